//! A run that is killed at any point and given again writes the same `results.jsonl` and
//! `results.csv` as one that was left alone, to the byte.

mod common;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Bench, output, succeed};

/// Four chunks of names, the last one short.
const QUERIES: usize = 100;
/// Steps that make a chunk last long enough to be interrupted.
const STEPS: usize = 30;
/// More than the queries of the fixture ever take to be computed on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

fn records(out: &Path) -> Vec<u8> {
    std::fs::read(out.join("results.jsonl")).unwrap_or_default()
}

fn lines(content: &[u8]) -> usize {
    content.split(|byte| *byte == b'\n').count() - 1
}

#[track_caller]
fn assert_same_run(bench: &Bench, out: &str, whole: &str) {
    for file in ["results.jsonl", "results.csv"] {
        let read = |out: &str| std::fs::read_to_string(bench.path(out).join(file)).unwrap();
        let (resumed, whole) = (read(out), read(whole));
        assert_eq!(lines(resumed.as_bytes()), lines(whole.as_bytes()), "{out}/{file}");
        assert!(resumed == whole, "{out}/{file} differs from the uninterrupted run's");
    }
    assert!(bench.path(out).join("report.html").is_file());
}

/// Starts the run and kills it once `wanted` holds; the number of records it then had, or
/// `None` if it ended before.
fn kill_when(bench: &Bench, out: &str, wanted: impl Fn(&Path) -> bool) -> Option<usize> {
    let dir = bench.path(out);
    let mut command = bench.audit_with_steps(out, STEPS);
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
    let started = Instant::now();
    let killed = loop {
        if wanted(&dir) {
            child.kill().expect("the child is ours");
            break true;
        }
        if child.try_wait().expect("the child is ours").is_some() {
            break false;
        }
        assert!(started.elapsed() < PATIENCE, "the run takes too long");
        std::thread::sleep(Duration::from_millis(1));
    };
    // A kill that came too late finds a run that ended well.
    let ended = child.wait().expect("the child is ours").success();
    (killed && !ended).then(|| lines(&records(&dir)))
}

#[test]
fn a_killed_run_is_resumed_to_the_same_bytes() {
    let bench = Bench::new(QUERIES);
    succeed(&mut bench.audit_with_steps("whole", STEPS));
    assert_eq!(lines(&records(&bench.path("whole"))), QUERIES);

    let mut caught = Vec::new();
    // While the reference is computed, and after some records.
    let begun = |dir: &Path| dir.join("run.json").is_file();
    caught.extend(kill_when(&bench, "killed-begun", begun));
    for least in [1, 33, 65] {
        let out = format!("killed-{least}");
        caught.extend(kill_when(&bench, &out, |dir| lines(&records(dir)) >= least));
        succeed(&mut bench.audit_with_steps(&out, STEPS));
        assert_same_run(&bench, &out, "whole");
    }
    succeed(&mut bench.audit_with_steps("killed-begun", STEPS));
    assert_same_run(&bench, "killed-begun", "whole");

    // One directory, killed over and over.
    let mut least = 0;
    while let Some(found) = kill_when(&bench, "often", |dir| lines(&records(dir)) > least) {
        assert!(found > least, "a kill lost a record: {found} after {least}");
        least = found;
        caught.push(found);
    }
    assert_same_run(&bench, "often", "whole");
    let halfway = caught.iter().filter(|found| (1..QUERIES).contains(*found)).count();
    assert!(halfway >= 2, "hardly a kill came in time: {caught:?}");
}

/// What a kill can leave, at bytes of one's choosing.
#[test]
fn a_torn_end_is_cut_off_and_computed_again() {
    let bench = Bench::new(QUERIES);
    succeed(&mut bench.audit("whole"));
    let whole = records(&bench.path("whole"));
    let ends: Vec<usize> =
        whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
    // In the first line, in the middle of a chunk, before and after the newline at its end,
    // one byte into the next, in the last line, and after it.
    let cuts = [ends[0] - 40, ends[16] + 7, ends[31] - 1, ends[31], ends[31] + 1];
    for (i, cut) in cuts.into_iter().chain([whole.len() - 2, whole.len()]).enumerate() {
        let out = format!("torn-{i}");
        let dir = bench.path(&out);
        std::fs::create_dir(&dir).unwrap();
        std::fs::copy(bench.path("whole").join("run.json"), dir.join("run.json")).unwrap();
        std::fs::write(dir.join("results.jsonl"), &whole[..cut]).unwrap();
        let resumed = succeed(&mut bench.audit(&out));
        assert_same_run(&bench, &out, "whole");
        let told = String::from_utf8(resumed.stderr).unwrap();
        assert_eq!(told.contains("were cut off"), !ends.contains(&cut), "cut {i}: {told}");
    }
}

#[test]
fn a_finished_run_is_left_as_it_is() {
    let bench = Bench::new(40);
    succeed(&mut bench.audit("run"));
    let read =
        || ["results.jsonl", "results.csv"].map(|f| std::fs::read(bench.path("run").join(f)));
    let before = read().map(Result::unwrap);
    let again = succeed(&mut bench.audit("run"));
    assert_eq!(read().map(Result::unwrap), before);
    let told = String::from_utf8(again.stderr).unwrap();
    assert!(!told.contains("queries"), "a finished query was computed again: {told}");
}

#[test]
fn a_redacted_run_is_resumed_with_its_key() {
    let bench = Bench::new(40);
    let redacted = |out: &str| {
        let mut command = bench.audit(out);
        command.arg("--redact");
        command
    };
    succeed(&mut redacted("run"));
    let whole = records(&bench.path("run"));
    std::fs::write(bench.path("run").join("results.jsonl"), &whole[..whole.len() / 2]).unwrap();
    succeed(&mut redacted("run"));
    assert!(records(&bench.path("run")) == whole);

    std::fs::remove_file(bench.path("run").join("redact.key")).unwrap();
    let refused = output(&mut redacted("run"));
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("key"));
}
