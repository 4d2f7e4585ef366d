//! One list asked of several models in one command.

mod common;

use std::process::Command;

use common::{Bench, fixture, output, succeed};

const QUERIES: usize = 5;

/// [`Bench::audit`] by text alone, of further models.
fn audit(bench: &Bench, out: &str) -> Command {
    let mut command = bench.audit(out);
    command.args(["--quiet", "--no-split"]);
    command
}

#[test]
fn each_model_has_its_run_and_the_table_is_over_all() {
    let bench = Bench::new(QUERIES);
    let other = fixture("openclip-gelu");
    std::fs::write(bench.path("models.txt"), format!("# the second\n\n{}\n", other.display()))
        .unwrap();
    let run = |out: &str| {
        let mut command = audit(&bench, out);
        command.arg("--models").arg(bench.path("models.txt"));
        command
    };
    let said = succeed(&mut run("out"));
    assert!(String::from_utf8_lossy(&said.stdout).contains("table over all models"));
    succeed(&mut audit(&bench, "alone"));
    let read = |path: &str| std::fs::read_to_string(bench.path(path)).unwrap();
    let alone = read("alone/results.jsonl");
    assert_eq!(read("out/hf-quickgelu-legacy-eos/results.jsonl"), alone);
    let table = read("out/models.csv");
    assert_eq!(table.lines().count(), QUERIES + 1);
    let header = table.lines().next().unwrap();
    for column in ["hf-quickgelu-legacy-eos.p_value", "openclip-gelu.detected"] {
        assert!(header.contains(column), "{header}");
    }
    let p_value =
        |row: usize| table.lines().nth(row).unwrap().split(',').nth(2).unwrap().to_owned();
    let first: serde_json::Value = serde_json::from_str(alone.lines().next().unwrap()).unwrap();
    assert_eq!(p_value(1), first["calibrated"]["p_value"].to_string());
    // The same command finds everything done.
    succeed(&mut run("out"));
    assert_eq!(read("out/models.csv"), table);
}

#[test]
fn a_model_that_fails_is_said_and_the_others_are_kept() {
    let bench = Bench::new(QUERIES);
    let mut command = audit(&bench, "out");
    command.arg("--model").arg(bench.path("nowhere"));
    let ended = output(&mut command);
    let message = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{message}");
    assert!(message.contains("1 of 2 models failed") && message.contains("nowhere"), "{message}");
    assert!(bench.path("out/hf-quickgelu-legacy-eos/report.html").is_file());
    assert!(bench.path("out/models.csv").is_file());
}

#[test]
fn nothing_is_written_where_every_model_is_refused_or_none_is_listed() {
    let bench = Bench::new(QUERIES);
    std::fs::write(bench.path("none.txt"), "# nothing\n").unwrap();
    let list = |file: &str| {
        let mut command = common::umid();
        command.arg("audit").arg("--models").arg(bench.path(file));
        command.arg("--queries").arg(bench.path("queries.txt")).arg("--out").arg(bench.path("out"));
        command
    };
    std::fs::write(bench.path("bad.txt"), "/nowhere/a\n/nowhere/b\n").unwrap();
    for (file, expected) in [
        ("none.txt", "has none; give one a line"),
        ("absent.txt", "cannot read the list of models"),
        ("bad.txt", "/nowhere/b"),
    ] {
        let refused = output(&mut list(file));
        let message = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
        assert!(!bench.path("out").exists(), "{file}");
    }
}
