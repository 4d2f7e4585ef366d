//! A model whose input tower is of a kind that is not known here is audited with its text tower,
//! and every output says so.

mod common;

use std::path::Path;
use std::process::Output;

use common::{Bench, fixture, output, succeed, umid};
use serde_json::{Value, json};

const QUERIES: usize = 5;
/// An architecture that no release of timm has.
const UNKNOWN: &str = "unknown_architecture";

/// A copy of a fixture whose configuration names an image tower of another package.
fn with_unknown_image_tower(to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(fixture("openclip-gelu")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
    let path = to.join("open_clip_config.json");
    let mut config = json_file(&path);
    config["model_cfg"]["vision_cfg"] = json!({ "timm_model_name": UNKNOWN, "image_size": 32 });
    std::fs::write(path, config.to_string()).unwrap();
}

/// Names to ask about, and such a model.
fn bench() -> Bench {
    let mut bench = Bench::new(QUERIES);
    bench.model = bench.path("model");
    with_unknown_image_tower(&bench.model);
    bench
}

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// What the calibrated reading says of each name.
fn calibrated(bench: &Bench, out: &str) -> Vec<Value> {
    let records = std::fs::read_to_string(bench.path(out).join("results.jsonl")).unwrap();
    let record = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    records.lines().map(|line| record(line)["calibrated"].clone()).collect()
}

#[track_caller]
fn assert_refused(output: &Output, expected: &str) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains(expected), "{message}");
}

#[test]
fn the_calibrated_reading_is_that_of_the_whole_model_and_the_rest_is_left_out() {
    let asked = bench();
    let said = succeed(&mut asked.audit("alone"));
    assert!(String::from_utf8_lossy(&said.stdout).contains(UNKNOWN), "{said:?}");
    let whole = Bench { model: fixture("openclip-gelu"), ..bench() };
    succeed(&mut whole.audit_with("whole", 0, 5));

    let alone = calibrated(&asked, "alone");
    assert_eq!(alone.len(), QUERIES);
    assert!(alone.iter().all(|reading| reading["p_value"].is_f64()), "{alone:?}");
    assert_eq!(alone, calibrated(&whole, "whole"));

    let run = json_file(&asked.path("alone").join("run.json"));
    assert!(run["model"]["text_alone"].as_str().unwrap().contains(UNKNOWN), "{run}");
    assert!(run["paper_reference"].is_null(), "{run}");
    assert!(run["warnings"].to_string().contains("text tower alone"), "{run}");
    let report = std::fs::read_to_string(asked.path("alone").join("report.html")).unwrap();
    assert!(report.contains("Input tower") && report.contains(UNKNOWN));
    let run = json_file(&whole.path("whole").join("run.json"));
    assert!(run["model"]["text_alone"].is_null(), "{run}");
}

#[test]
fn what_needs_the_input_tower_is_refused_with_the_reason() {
    let asked = bench();
    let bank = fixture("images");
    let refused = output(asked.audit("out").arg("--bank").arg(&bank));
    assert_refused(&refused, UNKNOWN);
    assert_refused(&refused, "no --bank");
    assert!(!asked.path("out").exists());
    let photo = bank.join("photo.png");
    assert_refused(
        &output(umid().args(["embed", "--model"]).arg(&asked.model).arg("--image").arg(photo)),
        UNKNOWN,
    );
    let found = asked.path("found.safetensors");
    assert_refused(
        &output(
            umid()
                .args(["invert", "--text", "a", "--model"])
                .arg(&asked.model)
                .arg("--out")
                .arg(found),
        ),
        UNKNOWN,
    );
    let inspected = succeed(umid().arg("inspect").arg(&asked.model));
    assert!(String::from_utf8_lossy(&inspected.stdout).contains(UNKNOWN));
}
