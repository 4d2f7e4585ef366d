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

/// A copy of a fixture whose configuration has another input tower.
fn with_tower(from: &str, to: &Path, key: &str, tower: Value) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(fixture(from)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
    let path = to.join("open_clip_config.json");
    let mut config = json_file(&path);
    config["model_cfg"][key] = tower;
    std::fs::write(path, config.to_string()).unwrap();
}

/// Names to ask about, and a model whose configuration names an image tower of another package.
fn bench() -> Bench {
    let mut bench = Bench::new(QUERIES);
    bench.model = bench.path("model");
    let tower = json!({ "timm_model_name": UNKNOWN, "image_size": 32 });
    with_tower("openclip-gelu", &bench.model, "vision_cfg", tower);
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

#[test]
fn a_model_of_sounds_without_its_audio_tower_is_audited_too() {
    const REASON: &str = "`whisper`, is not known here";
    let mut asked = Bench::new(QUERIES);
    asked.model = asked.path("model");
    let tower = json!({ "model_type": "whisper", "model_name": "tiny" });
    with_tower("clap-openclip-htsat", &asked.model, "audio_cfg", tower);
    succeed(&mut asked.audit("alone"));
    let whole = Bench { model: fixture("clap-openclip-htsat"), ..Bench::new(QUERIES) };
    succeed(&mut whole.audit_with("whole", 0, 5));
    let alone = calibrated(&asked, "alone");
    assert!(alone.len() == QUERIES && alone.iter().all(|reading| reading["p_value"].is_f64()));
    assert_eq!(alone, calibrated(&whole, "whole"));
    let run = json_file(&asked.path("alone").join("run.json"));
    assert!(run["model"]["text_alone"].as_str().unwrap().contains(REASON), "{run}");

    let sound = fixture("clap-clips/chord.wav");
    let embed =
        output(umid().args(["embed", "--model"]).arg(&asked.model).arg("--audio").arg(sound));
    assert_refused(&embed, REASON);
    let inspected = succeed(umid().arg("inspect").arg(&asked.model));
    let said = String::from_utf8_lossy(&inspected.stdout).into_owned();
    assert!(said.contains("audio tower   none") && said.contains(REASON), "{said}");
}
