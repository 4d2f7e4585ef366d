//! Tests of units that a processor may lack.

use std::io::Write;

/// Units that must be tested, as a list with commas: `bf16`, `amx`.
const REQUIRED: &str = "UMID_REQUIRE_UNITS";

/// To be called in place of a test of a unit that this processor lacks: says so past the test
/// harness, which hides what a test that passes has printed.
///
/// # Panics
///
/// If the environment requires the unit.
pub fn skip(unit: &str) {
    let required = std::env::var(REQUIRED).unwrap_or_default();
    assert!(!requires(&required, unit), "{REQUIRED} asks for {unit}, which is not available here");
    let line = format!("\nSKIPPED: no {unit} here, so its test tests nothing\n");
    std::io::stderr().write_all(line.as_bytes()).expect("stderr");
}

fn requires(list: &str, unit: &str) -> bool {
    let listed: Vec<&str> = list.split(',').filter(|listed| !listed.is_empty()).collect();
    for listed in &listed {
        assert!(["bf16", "amx"].contains(listed), "{REQUIRED} asks for an unknown unit, {listed}");
    }
    listed.contains(&unit)
}

#[test]
fn only_units_that_are_listed_are_required() {
    assert!(requires("bf16,amx", "amx"));
    assert!(!requires("bf16", "amx"));
    assert!(!requires("", "bf16"));
    assert!(std::panic::catch_unwind(|| requires("bf61", "bf16")).is_err());
}
