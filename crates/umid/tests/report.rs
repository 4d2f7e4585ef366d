//! The files that a run leaves: complete, self-contained, and silent about names where that
//! was asked for.

mod common;
#[path = "common/snapshot.rs"]
mod snapshot;

use common::{Bench, queries, succeed};
use snapshot::snapshot;

const QUERIES: usize = 17;
/// What loads something over a network when a page is opened.
const LOADERS: [&str; 10] = [
    "src=\"http",
    "src=\"//",
    "href=\"http",
    "<link",
    "<iframe",
    "@import",
    "url(http",
    "fetch(",
    "XMLHttpRequest",
    "import(",
];

#[test]
fn the_report_counts_its_names_and_loads_nothing() {
    let bench = Bench::new(QUERIES);
    succeed(&mut bench.audit("out"));
    let html = std::fs::read_to_string(bench.path("out").join("report.html")).unwrap();
    assert!(html.contains(&format!("of {QUERIES} names detected")));
    assert!(html.contains(&format!("<dt>Names asked</dt><dd>{QUERIES}</dd>")));
    for name in queries(QUERIES) {
        assert!(html.contains(&name), "{name}");
    }
    for loader in LOADERS {
        assert!(!html.contains(loader), "{loader}");
    }
}

#[test]
fn every_query_has_its_row_in_order() {
    let bench = Bench::new(QUERIES);
    succeed(&mut bench.audit("out"));
    let read = |file: &str| std::fs::read_to_string(bench.path("out").join(file)).unwrap();
    let texts: Vec<String> = read("results.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|record| record["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(texts, queries(QUERIES));
    assert_eq!(read("results.csv").lines().count(), QUERIES + 1);
}

#[test]
fn a_redacted_run_holds_no_name() {
    let bench = Bench::new(QUERIES);
    let run = succeed(bench.audit("out").arg("--redact"));
    let printed = [run.stdout, run.stderr].concat();
    let files = snapshot(&bench.path("out")).into_iter().map(|(path, content)| {
        (path.display().to_string(), content.expect("a run holds files alone"))
    });
    for (place, content) in files.chain([("the terminal".to_owned(), printed)]) {
        let content = String::from_utf8_lossy(&content).into_owned();
        for name in queries(QUERIES) {
            assert!(!content.contains(&name), "{name} is in {place}");
        }
    }
}
