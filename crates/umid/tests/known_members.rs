//! `umid audit --known-members`: the score is fitted on names that are known to be members, and the
//! error rate is that of the reference, whatever they are.

mod common;
#[path = "common/snapshot.rs"]
mod snapshot;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{Bench, names, output, queries, reference, succeed, umid, write_names};
use serde_json::Value;
use snapshot::snapshot;

/// Known members of the bundled target.
const KNOWN: usize = 100;
/// Its other members, and non-members, that are asked about.
const ASKED: usize = 60;
/// How many of 60 non-members reach p <= .05 with a chance of 5 % each: at most the 99.9 % quantile
/// of the binomial distribution.
const FALSE: std::ops::RangeInclusive<usize> = 0..=9;

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn records(out: &Path) -> Vec<Value> {
    let records = std::fs::read_to_string(out.join("results.jsonl")).unwrap();
    records.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn assert_refused(output: &Output, words: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    for word in words {
        assert!(message.contains(word), "no `{word}` in: {message}");
    }
}

/// Names of a list of the bundled target.
fn of_demo(list: &str) -> Vec<String> {
    let zoo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/zoo/demo");
    let content = std::fs::read_to_string(zoo.join(list)).unwrap();
    let text = |line: &str| line.split(',').nth(1).unwrap().to_owned();
    content.lines().skip(1).map(text).collect()
}

/// The bundled target with the first known members in `known.txt`, and other members before
/// non-members in `queries.txt`.
fn demo() -> Bench {
    let mut bench = Bench::new(1);
    bench.model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/zoo/demo");
    let members = of_demo("members.csv");
    write_names(&bench.path("known.txt"), &members[..KNOWN]);
    let mut asked = members[KNOWN..KNOWN + ASKED].to_vec();
    asked.extend_from_slice(&of_demo("non_members.csv")[..ASKED]);
    write_names(&bench.path("queries.txt"), &asked);
    bench
}

fn audit_demo(bench: &Bench, out: &str) -> Command {
    let mut command = umid();
    command.arg("audit").arg("--model").arg(&bench.model).arg("--queries");
    command.arg(bench.path("queries.txt")).arg("--out").arg(bench.path(out));
    command.args(["--restarts", "0", "--siblings", "8", "--reference", "names:300", "--no-cache"]);
    command
}

#[test]
fn the_bundled_targets_other_members_are_found_and_its_non_members_are_not() {
    let bench = demo();
    let said = succeed(
        audit_demo(&bench, "run").arg("--known-members").arg(bench.path("known.txt")).arg("--json"),
    );
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    let score = &said["known_members"]["scores"][0];
    assert_eq!(score["known_members"], KNOWN);
    let [inside, across] =
        ["in_sample_auc", "cross_validated_auc"].map(|k| score[k].as_f64().unwrap());
    assert!(inside > across && across > 0.8, "{said}");

    let records = records(&bench.path("run"));
    assert_eq!(records.len(), 2 * ASKED);
    let reading = |record: &Value, key: &str| record["calibrated"][key].as_f64().unwrap();
    for record in &records {
        assert_eq!(record["calibrated"]["known_members"], KNOWN, "{record}");
    }
    let (members, non_members) = records.split_at(ASKED);
    let detected = |records: &[Value]| {
        records.iter().filter(|record| reading(record, "p_value") <= 0.05).count()
    };
    assert!(FALSE.contains(&detected(non_members)), "{}", detected(non_members));
    assert!(detected(members) > ASKED / 2, "{}", detected(members));
    // Nobody is asked about whose name is not split.
    assert_eq!(said["known_members"]["scores"].as_array().unwrap().len(), 1);
    let scores = |records: &[Value]| -> Vec<f64> {
        records.iter().map(|record| reading(record, "score")).collect()
    };
    let auc = umid_detect::auc(&scores(members), &scores(non_members)).unwrap();
    assert!(auc > 0.85, "{auc}");

    let run = json_file(&bench.path("run").join("run.json"));
    assert_eq!(run["known_members"], said["known_members"]);
    let report = std::fs::read_to_string(bench.path("run").join("report.html")).unwrap();
    assert!(report.contains("fitted on 100 known members"));
    assert!(report.contains("The score was fitted on known members"));
}

/// The bench's random model with known members that are no queries, in `known.txt`.
fn small(known: usize) -> Bench {
    let bench = Bench::new(5);
    // The reference is the first 60 of these hundred names, and the queries are others.
    let others = names(100).split_off(reference().len());
    let all: Vec<String> = others
        .iter()
        .cloned()
        .chain(others.iter().map(|name| format!("{name}a")))
        .take(known)
        .collect();
    assert_eq!(all.len(), known);
    write_names(&bench.path("known.txt"), &all);
    bench
}

fn audit(bench: &Bench, out: &str) -> Command {
    let mut command = bench.audit_with(out, 0, 5);
    command.arg("--known-members").arg(bench.path("known.txt"));
    command
}

#[test]
fn too_few_known_members_are_refused_before_anything_is_written() {
    for (list, words) in [
        (names(29).join("\n"), &["29 known members", "at least 30", "--known-members"][..]),
        // One name many times is one name.
        ("Ana Bly\n".repeat(40), &["of 1 known members", "at least 30"]),
        // Names that the reference cannot rank.
        (
            names(40).join("\n").replace(' ', " van "),
            &["of 40 known members, 0 are names of one form", "as the queries have"],
        ),
        (String::new(), &["file of known members", "holds no names"]),
        ("Ana\u{200b} Bly\n".to_owned(), &["invisible character"]),
    ] {
        let bench = small(30);
        std::fs::write(bench.path("known.txt"), list).unwrap();
        let before = snapshot(bench.dir.path());
        assert_refused(&output(&mut audit(&bench, "out")), words);
        assert!(before == snapshot(bench.dir.path()), "files were changed: {words:?}");
    }
    let bench = small(30);
    let missing = output(bench.audit("out").arg("--known-members").arg(bench.path("nowhere.txt")));
    assert_refused(&missing, &["file of known members", "nowhere.txt"]);
}

#[test]
fn a_resumed_run_is_the_same_and_other_known_members_are_another_run() {
    let bench = small(40);
    succeed(&mut audit(&bench, "whole"));
    let whole = std::fs::read(bench.path("whole").join("results.jsonl")).unwrap();
    // The order of the list, and a name twice, decide nothing.
    let mut list: Vec<String> = std::fs::read_to_string(bench.path("known.txt"))
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    list.reverse();
    list.push(list[3].clone());
    write_names(&bench.path("known.txt"), &list);
    succeed(&mut audit(&bench, "reversed"));
    assert!(whole == std::fs::read(bench.path("reversed").join("results.jsonl")).unwrap());

    // What a kill leaves: some records and no report.
    std::fs::write(bench.path("whole").join("results.jsonl"), &whole[..whole.len() / 2]).unwrap();
    succeed(&mut audit(&bench, "whole"));
    assert!(whole == std::fs::read(bench.path("whole").join("results.jsonl")).unwrap());

    let before = snapshot(&bench.path("whole"));
    write_names(&bench.path("known.txt"), &list[..39]);
    let refused = output(&mut audit(&bench, "whole"));
    assert_refused(&refused, &["is not the one asked for", "known_members is", "another --out"]);
    let refused = output(&mut bench.audit_with("whole", 0, 5));
    assert_refused(&refused, &["known_members is", "\"none\" here"]);
    assert!(before == snapshot(&bench.path("whole")));
}

#[test]
fn a_query_that_is_a_known_member_gets_no_verdict_and_a_reference_name_that_is_one_is_taken_out() {
    let bench = small(40);
    let known = std::fs::read_to_string(bench.path("known.txt")).unwrap();
    let first = known.lines().next().unwrap();
    // One query is known, spelt otherwise; so are two reference names.
    let mut asked = queries(5);
    asked[2] = first.to_uppercase();
    write_names(&bench.path("queries.txt"), &asked);
    let both = known.clone() + &reference()[..2].join("\n");
    std::fs::write(bench.path("known.txt"), both).unwrap();
    let said = succeed(&mut audit(&bench, "run"));
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("1 of 5 names, which are known members themselves"), "{said}");
    assert!(said.contains("fitted on 42 known members"), "{said}");
    assert!(!said.contains("of a form that the reference lacks"), "{said}");
    for (i, record) in records(&bench.path("run")).iter().enumerate() {
        assert_eq!(record["calibrated"].is_null(), i == 2, "{record}");
        let warned = record["warnings"].to_string().contains("one of the known members");
        assert_eq!(warned, i == 2, "{record}");
    }
    let run = json_file(&bench.path("run").join("run.json"));
    assert_eq!(run["calibrated_reference"]["count"], common::REFERENCE_NAMES - 2);
    assert_eq!(
        (&run["known_members"]["count"], &run["known_members"]["asked"]),
        (&42.into(), &1.into())
    );
    let warnings = run["warnings"].to_string();
    assert!(warnings.contains("2 of 60 reference names are known members"), "{warnings}");
    assert!(warnings.contains("1 of 5 names are known members"), "{warnings}");
    // This model was trained on nothing.
    assert_eq!(warnings.matches("are not told from the reference").count(), 1, "{warnings}");
}

#[test]
fn names_of_a_form_without_known_members_keep_the_default_score() {
    let bench = small(40);
    let three = |name: &String| name.replacen(' ', " de ", 1);
    let mut list = reference();
    list.extend(reference().iter().map(three));
    write_names(&bench.path("reference.txt"), &list);
    let mut asked = queries(4);
    asked.extend(queries(4).iter().map(three));
    write_names(&bench.path("queries.txt"), &asked);
    succeed(&mut audit(&bench, "anchored"));
    succeed(&mut bench.audit_with("default", 0, 5));
    let (anchored, default) = (records(&bench.path("anchored")), records(&bench.path("default")));
    assert_eq!((anchored.len(), default.len()), (8, 8));
    for (i, (record, default)) in anchored.iter().zip(&default).enumerate() {
        let told = record["warnings"].to_string().contains("ranked by the default score");
        assert_eq!(told, i >= 4, "{record}");
        assert_eq!(record["calibrated"] == default["calibrated"], i >= 4, "{record}");
        assert_eq!(record["signals"], default["signals"]);
        assert_eq!(record["calibrated"]["known_members"].is_null(), i >= 4, "{record}");
    }
}

#[test]
fn the_cache_keeps_known_members_apart_and_changes_nothing() {
    let bench = small(40);
    let cache = bench.path("cache");
    let cached = |out: &str| {
        let afresh = audit(&bench, out);
        let arguments = afresh.get_args().filter(|argument| *argument != "--no-cache");
        succeed(umid().env("UMID_CACHE_DIR", &cache).args(arguments));
        let entries: BTreeSet<PathBuf> =
            std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect();
        (std::fs::read(bench.path(out).join("results.jsonl")).unwrap(), entries)
    };
    succeed(&mut audit(&bench, "afresh"));
    let afresh = std::fs::read(bench.path("afresh").join("results.jsonl")).unwrap();
    let (first, entries) = cached("first");
    assert!(first == afresh);
    assert_eq!(entries.len(), 2, "the reference and the known members");
    assert_eq!(cached("second"), (first, entries.clone()));
    // One known member fewer: the reference is found, the known members are not.
    let list = std::fs::read_to_string(bench.path("known.txt")).unwrap();
    let fewer: Vec<String> = list.lines().skip(1).map(str::to_owned).collect();
    write_names(&bench.path("known.txt"), &fewer);
    let (other, more) = cached("other");
    assert!(other != afresh);
    assert_eq!((more.len(), more.is_superset(&entries)), (3, true));
    // Another reference: both are computed again, since signals compare with it.
    write_names(&bench.path("reference.txt"), &reference()[1..]);
    assert_eq!(cached("third").1.len(), 5);
}
