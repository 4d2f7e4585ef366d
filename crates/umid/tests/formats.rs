//! Lists in other formats, options from a file, and what is refused of them by the program itself.

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Bench, output, queries, succeed};
use serde_json::Value;

const QUERIES: usize = 6;

/// [`Bench::audit`] of another list.
fn audit_of(bench: &Bench, list: &Path, out: &str) -> Command {
    let mut command = bench.audit_with(out, 0, 5);
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let at = arguments.iter().position(|argument| argument == "--queries").unwrap();
    let program = command.get_program().to_owned();
    command = Command::new(program);
    command.args(&arguments[..=at]).arg(list).args(&arguments[at + 2..]);
    command
}

fn json_lines(names: &[String]) -> String {
    let line = |(i, name): (usize, &String)| format!("{{\"who\": \"{name}\", \"key\": {i}}}\n");
    names.iter().enumerate().map(line).collect()
}

fn run_json(bench: &Bench, out: &str) -> Value {
    serde_json::from_slice(&std::fs::read(bench.path(out).join("run.json")).unwrap()).unwrap()
}

#[test]
fn the_standard_input_is_read_and_its_columns_have_the_names_that_are_given() {
    let bench = Bench::new(QUERIES);
    let mut command = audit_of(&bench, Path::new("-"), "out");
    command.args(["--text-column", "who", "--id-column", "key"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let list = json_lines(&queries(QUERIES));
    child.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let records = std::fs::read_to_string(bench.path("out/results.jsonl")).unwrap();
    let ids: Vec<String> = records
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, ["0", "1", "2", "3", "4", "5"]);
    let parquet = std::fs::read(bench.path("out/results.parquet")).unwrap();
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
}

#[test]
fn a_run_gives_its_options_again() {
    let bench = Bench::new(QUERIES);
    succeed(bench.audit("first").args(["--alpha", "0.2", "--seed", "5"]));
    let first = run_json(&bench, "first");
    assert_eq!(first["options"]["alpha"][0], "0.2");
    let mut again = common::umid();
    again.arg("audit").arg("--config").arg(bench.path("first/run.json"));
    again.arg("--model").arg(&bench.model).arg("--queries").arg(bench.path("queries.txt"));
    again.arg("--reference").arg(format!("file:{}", bench.path("reference.txt").display()));
    again.arg("--reference").arg("gibberish:12");
    again.arg("--out").arg(bench.path("again")).arg("--no-cache");
    succeed(&mut again);
    let second = run_json(&bench, "again");
    assert_eq!(first["parameters"], second["parameters"]);
    let results = |out: &str| std::fs::read(bench.path(out).join("results.jsonl")).unwrap();
    assert!(results("first") == results("again"));
}

#[test]
fn bad_lists_and_configurations_are_refused_and_nothing_is_written() {
    let bench = Bench::new(QUERIES);
    let write = |name: &str, content: &[u8]| {
        std::fs::write(bench.path(name), content).unwrap();
        bench.path(name)
    };
    let lines = write("names.jsonl", json_lines(&queries(QUERIES)).as_bytes());
    let broken = write("broken.jsonl", b"{\"text\": \"Ann Lee\"}\n{\"text\"\n");
    let nested = write("nested.jsonl", b"{\"text\": [\"Ann\", \"Lee\"]}\n");
    let parquet = write("cut.parquet", b"PAR1 and then nothing");
    let packed = write("cut.csv.gz", &[0x1f, 0x8b, 8, 0, 0]);
    let good = bench.path("queries.txt");
    let unknown = write("unknown.toml", b"seed = 1\nsead = 2\n");
    let kind = write("kind.toml", b"seed = [1, 2]\n");
    let value = write("value.toml", b"alpha = \"much\"\n");
    let syntax = write("syntax.toml", b"seed = = 1\n");
    let other = write("other.json", b"{\"a\": 1}");
    let none: [&str; 0] = [];
    let config = |path: &Path| ["--config".to_owned(), path.display().to_string()].to_vec();
    let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    for (list, more, expected) in [
        (&lines, owned(&none), "`text`"),
        (&lines, owned(&["--text-column", "whom"]), "no column `whom`"),
        (&lines, owned(&["--text-column", "who", "--id-column", "nr"]), "no column `nr`"),
        (&lines, owned(&["--text-column", "who", "--member-column", "m"]), "no column `m`"),
        (&lines, owned(&["--text-column", "who", "--exposures-column", "n"]), "no column `n`"),
        (&lines, owned(&["--first-column", "f", "--last-column", "l"]), "no column `f`"),
        (&good, owned(&["--text-column", "who"]), "no column `who`"),
        (&broken, owned(&none), "line 2"),
        (&nested, owned(&none), "a list or an object on line 1"),
        (&parquet, owned(&none), "Parquet"),
        (&packed, owned(&none), "gzip"),
        (&good, config(&unknown), "unknown.toml, line 2: `sead` is no option of audit"),
        (&good, config(&kind), "kind.toml, line 1: `seed` takes one value"),
        (&good, config(&value), "invalid value 'much' for '--alpha"),
        (&good, config(&syntax), "is not TOML"),
        (&good, config(&other), "is no run.json of an audit"),
        (&good, config(&bench.path("nowhere.toml")), "cannot read the configuration"),
    ] {
        let refused = output(audit_of(&bench, list, "out").args(&more));
        let message = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{expected}: {message}");
        assert!(message.contains(expected), "{expected}: {message}");
        assert!(!bench.path("out").exists(), "{expected}");
    }
}
