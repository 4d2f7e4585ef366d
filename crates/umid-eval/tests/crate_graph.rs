//! What the crates of the workspace may not depend on, as `docs/architecture.md` says.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Crates that a user of the product builds.
const PRODUCT: [&str; 6] =
    ["umid", "umid-kernels", "umid-models", "umid-invert", "umid-signals", "umid-detect"];
/// Crates that serve experiments alone.
const EXPERIMENTS: [&str; 3] = ["umid-testbed", "umid-baselines", "umid-eval"];

/// What each crate of the workspace depends on directly.
struct Graph {
    /// For building it.
    normal: BTreeMap<String, BTreeSet<String>>,
    /// For its tests, examples and benchmarks as well.
    all: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn read() -> Self {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--offline", "--no-deps", "--format-version", "1"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
        let list = |value: &Value| value.as_array().expect("a list").clone();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let (mut normal, mut all) = (BTreeMap::new(), BTreeMap::new());
        for package in list(&metadata["packages"]) {
            let of = |keep: &dyn Fn(&Value) -> bool| -> BTreeSet<String> {
                let dependencies = list(&package["dependencies"]);
                dependencies.iter().filter(|d| keep(d)).map(|d| text(&d["name"])).collect()
            };
            let name = text(&package["name"]);
            normal
                .insert(name.clone(), of(&|dependency| dependency["kind"].as_str() != Some("dev")));
            all.insert(name, of(&|_| true));
        }
        Self { normal, all }
    }

    /// What a crate depends on, through other crates of the workspace too; with what its tests
    /// need, but not with what the tests of others need.
    fn reachable(&self, name: &str) -> BTreeSet<String> {
        let mut reached = self.all[name].clone();
        let mut open: Vec<String> = reached.iter().cloned().collect();
        while let Some(next) = open.pop() {
            for dependency in self.normal.get(&next).into_iter().flatten() {
                if reached.insert(dependency.clone()) {
                    open.push(dependency.clone());
                }
            }
        }
        reached
    }
}

fn assert_without(graph: &Graph, name: &str, forbidden: &[&str]) {
    let reached = graph.reachable(name);
    for forbidden in forbidden {
        assert!(!reached.contains(*forbidden), "{name} depends on {forbidden}");
    }
}

#[test]
fn the_graph_is_that_of_this_workspace() {
    let graph = Graph::read();
    for name in PRODUCT.iter().chain(&EXPERIMENTS) {
        assert!(graph.all.contains_key(*name), "{name} is not in the workspace");
    }
    // Dependencies are followed through the workspace, so that the other tests can fail.
    assert!(graph.reachable("umid-invert").contains("umid-kernels"));
    assert!(graph.reachable("umid-eval").contains("clap"));
}

#[test]
fn no_product_crate_depends_on_what_serves_experiments() {
    let graph = Graph::read();
    for name in PRODUCT {
        assert_without(&graph, name, &EXPERIMENTS);
    }
}

#[test]
fn signals_and_detectors_know_nothing_of_models() {
    let graph = Graph::read();
    let models = ["umid-models", "umid-invert", "umid-kernels", "umid"];
    assert_without(&graph, "umid-signals", &models);
    assert_without(&graph, "umid-detect", &models);
    assert_without(&graph, "umid-signals", &["burn"]);
}

#[test]
fn models_know_nothing_of_auditing() {
    let auditing = ["umid", "umid-signals", "umid-detect", "umid-invert"];
    assert_without(&Graph::read(), "umid-models", &auditing);
}

#[test]
fn only_the_command_lines_know_clap_and_anyhow() {
    let graph = Graph::read();
    for (name, dependencies) in &graph.normal {
        let is_command_line = ["umid", "xtask"].contains(&name.as_str());
        for library in ["clap", "anyhow"] {
            let depends = dependencies.contains(library);
            assert!(is_command_line || !depends, "{name} depends on {library}");
        }
    }
}
