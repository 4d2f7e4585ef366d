//! Two models, the same names: what changed is said, and only that.

mod common;
#[path = "common/snapshot.rs"]
mod snapshot;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Bench, fixture, output, queries, succeed, umid, write_names};
use serde_json::Value;
use snapshot::snapshot;

const QUERIES: usize = 9;

fn compare(bench: &Bench, [before, after]: [&Path; 2], out: &str) -> Command {
    let mut command = umid();
    command.arg("compare").arg("--before").arg(before).arg("--after").arg(after);
    command.arg("--queries").arg(bench.path("queries.txt")).arg("--out").arg(bench.path(out));
    command.args(["--template", "a {}", "--template", "{} in a photo"]);
    let reference = format!("file:{}", bench.path("reference.txt").display());
    command.args(["--reference", &reference, "--siblings", "3", "--no-cache", "--quiet"]);
    command
}

fn two_models(bench: &Bench) -> [PathBuf; 2] {
    [bench.model.clone(), fixture("openclip-gelu")]
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A bundled target.
fn zoo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/zoo").join(name)
}

#[test]
fn a_comparison_leaves_two_runs_and_what_changed_and_ends_as_it_began_when_repeated() {
    let bench = Bench::new(QUERIES);
    let [before, after] = two_models(&bench);
    let said = succeed(&mut compare(&bench, [&before, &after], "out"));
    let said = String::from_utf8_lossy(&said.stdout);
    assert!(said.contains("found in neither") && said.contains("report:"), "{said}");
    let out = bench.path("out");
    for run in ["before", "after"] {
        assert_eq!(json(&out.join(run).join("run.json"))["counts"]["done"], QUERIES);
        assert!(out.join(run).join("report.html").is_file());
    }
    let comparison = json(&out.join("compare.json"));
    let verdicts = comparison["verdicts"].as_object().unwrap();
    let counted: u64 = verdicts.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(counted, QUERIES as u64);
    assert_eq!(comparison["ranked"], 40);
    let warnings = comparison["warnings"].to_string();
    assert!(warnings.contains("different architectures"), "{warnings}");
    let lines = std::fs::read_to_string(out.join("changes.jsonl")).unwrap();
    let texts: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| line["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(texts, queries(QUERIES));
    assert_eq!(
        std::fs::read_to_string(out.join("changes.csv")).unwrap().lines().count(),
        QUERIES + 1
    );
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(queries(QUERIES).iter().all(|name| page.contains(name)));
    assert!(
        !page.contains("NaN") && !page.contains("http:") && !page.contains("https:"),
        "the page loads nothing"
    );

    let files = || {
        ["changes.jsonl", "changes.csv", "compare.json", "report.html", "before/results.jsonl"]
            .map(|name| std::fs::read(out.join(name)).unwrap())
    };
    let first = files();
    succeed(&mut compare(&bench, [&before, &after], "out"));
    assert!(files() == first, "the same command gives the same files");
}

#[test]
fn what_cannot_be_compared_is_refused_before_anything_is_written() {
    let bench = Bench::new(QUERIES);
    let [before, after] = two_models(&bench);
    let missing = bench.path("nowhere");
    let audio = fixture("clap-hf-unfused");
    for (models, expected) in [
        ([before.as_path(), missing.as_path()], "nowhere"),
        ([missing.as_path(), after.as_path()], "nowhere"),
        ([before.as_path(), audio.as_path()], "models of one kind"),
    ] {
        let refused = output(&mut compare(&bench, models, "out"));
        let message = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
        assert!(!bench.path("out").exists(), "{expected}");
    }
    let refused = output(compare(&bench, [&before, &after], "out").args(["--direction", "down"]));
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{message}");
    assert!(message.contains("less, more, both"), "{message}");
}

#[test]
fn a_directory_of_something_else_or_of_another_comparison_is_left_alone() {
    let bench = Bench::new(QUERIES);
    let [before, after] = two_models(&bench);
    std::fs::create_dir(bench.path("other")).unwrap();
    std::fs::write(bench.path("other/notes.txt"), "mine").unwrap();
    succeed(&mut compare(&bench, [&before, &after], "out"));
    succeed(&mut bench.audit("run"));
    for (models, out, expected) in [
        ([&before, &after], "other", "notes.txt"),
        ([&before, &after], "run", "so it is not the directory of a comparison"),
        ([&after, &before], "out", "is not the one asked for"),
    ] {
        let files = snapshot(&bench.path(out));
        let refused = output(&mut compare(&bench, models.map(PathBuf::as_path), out));
        let message = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
        assert_eq!(snapshot(&bench.path(out)), files, "{out}");
    }
}

#[test]
fn the_same_model_twice_changes_nothing_and_is_warned_of() {
    let bench = Bench::new(QUERIES);
    succeed(&mut compare(&bench, [&bench.model, &bench.model], "out"));
    let comparison = json(&bench.path("out/compare.json"));
    assert!(comparison["warnings"].to_string().contains("same digest"), "{comparison}");
    let verdicts = comparison["verdicts"].as_object().unwrap();
    assert!(
        verdicts
            .keys()
            .all(|verdict| { ["still_there", "found_in_neither"].contains(&verdict.as_str()) }),
        "{verdicts:?}"
    );
}

/// Two bundled targets of one world: the second was trained on the people whom the first did not see,
/// and on nobody else.
#[test]
fn members_who_were_left_out_are_gone_and_those_who_came_are_new() {
    const EACH: usize = 60;
    let bench = Bench::new(1);
    let people = |list: &str, member: &str| -> Vec<String> {
        let rows = std::fs::read_to_string(zoo("alpha-100").join(list)).unwrap();
        rows.lines()
            .skip(1)
            .take(EACH)
            .map(|row| format!("{},{member}", row.split(',').nth(1).unwrap()))
            .collect()
    };
    let mut list = vec!["text,member".to_owned()];
    list.extend(people("members.csv", "yes"));
    list.extend(people("non_members.csv", "no"));
    write_names(&bench.path("people.csv"), &list);
    let mut command = umid();
    command.arg("compare").arg("--before").arg(zoo("alpha-100"));
    command.arg("--after").arg(zoo("alpha-swapped"));
    command.arg("--queries").arg(bench.path("people.csv")).arg("--out").arg(bench.path("out"));
    command.args(["--reference", "names:600", "--siblings", "8", "--no-cache", "--quiet"]);
    succeed(&mut command);
    let known = json(&bench.path("out/compare.json"))["verdicts_of_known"].clone();
    let of = |group: &str, verdict: &str| known[group][verdict].as_u64().unwrap_or(0);
    assert!(of("members", "gone") >= 12, "{known}");
    assert!(of("non-members", "new") >= 12, "{known}");
    assert_eq!(of("members", "new") + of("non-members", "gone"), 0, "{known}");
}
