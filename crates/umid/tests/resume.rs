//! A run that is killed at any point and given again writes the same `results.jsonl` and
//! `results.csv` as one that was left alone, to the byte.

mod common;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Bench, output, succeed};

/// Four chunks of names, the last one short.
const QUERIES: usize = 100;
/// More than the queries of the fixture ever take to be computed on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn records(out: &Path) -> Vec<u8> {
    std::fs::read(out.join("results.jsonl")).unwrap_or_default()
}

fn lines(content: &[u8]) -> usize {
    content.iter().filter(|&&byte| byte == b'\n').count()
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
fn kill_when(
    bench: &Bench,
    out: &str,
    steps: &str,
    wanted: impl Fn(&Path) -> bool,
) -> Option<usize> {
    let dir = bench.path(out);
    let mut command = bench.audit(out);
    command.args(["--restarts", "2"]).args(["--steps", steps]);
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
    let started = Instant::now();
    let killed = loop {
        if child.try_wait().expect("the child is ours").is_some() {
            break false;
        }
        if wanted(&dir) {
            child.kill().expect("the child is ours");
            break true;
        }
        assert!(started.elapsed() < PATIENCE, "the run takes too long");
        std::thread::sleep(Duration::from_millis(1));
    };
    child.wait().expect("the child is ours");
    killed.then(|| lines(&records(&dir)))
}
