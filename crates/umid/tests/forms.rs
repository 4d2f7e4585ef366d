//! Names of any number of words: each is ranked among reference names of its own form, so that
//! non-members get valid p-values, or it gets no verdict.

use std::path::Path;

use umid::audit::AuditOptions;
use umid::auditor::{Auditor, Reading};
use umid::progress::Silent;
use umid::queries::{Query, QueryOptions, read_queries};
use umid::reference::{ReferenceSize, choose_reference, gibberish};
use umid_models::{Modality, Model, default_device};

/// Names of each form.
const NAMES: usize = 200;
/// Reference names of each form.
const REFERENCE: usize = 450;
/// How many of 200 names reach p <= .05 with a chance of 5 % each: the 0.5 % and 99.5 % quantiles of
/// the binomial distribution.
const REACHED: std::ops::RangeInclusive<usize> = 3..=19;

/// Non-members of the bundled target, as (first, last).
fn non_members() -> Vec<(String, String)> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/zoo/demo/non_members.csv");
    let file = read_queries(&path, &QueryOptions::default()).unwrap();
    file.queries.into_iter().map(|query| query.parts.unwrap()).collect()
}

fn read(texts: &[String]) -> Vec<Reading> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("names.txt");
    std::fs::write(&path, texts.join("\n")).unwrap();
    let names: Vec<Query> = read_queries(&path, &QueryOptions::default()).unwrap().queries;
    let zoo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/zoo/demo");
    let model = Model::load(&zoo, &default_device().unwrap()).unwrap();
    let reference = choose_reference(0, ReferenceSize::exactly(REFERENCE), &names).unwrap();
    let options = AuditOptions {
        inversion: None,
        ..AuditOptions::new(Modality::Image, 0, gibberish(0, 10).unwrap(), reference).unwrap()
    };
    let auditor = Auditor::prepare(&model, &options, &Silent).unwrap();
    auditor.read(&names.iter().collect::<Vec<_>>()).unwrap()
}

#[test]
fn non_members_of_three_words_get_valid_p_values_and_those_of_one_word_no_verdict() {
    let people = non_members();
    let three = (0..NAMES).map(|i| {
        let middle = &people[people.len() - 1 - i].0;
        format!("{} {middle} {}", people[i].0, people[i].1)
    });
    let one = (0..20).map(|i| people[i].1.clone());
    let readings = read(&three.chain(one).collect::<Vec<_>>());
    let (three, one) = readings.split_at(NAMES);
    let p_values: Vec<f64> =
        three.iter().map(|reading| reading.calibrated.as_ref().unwrap().p_value).collect();
    assert!(p_values.iter().all(|p| (0.0..=1.0).contains(p)), "{p_values:?}");
    let reached = p_values.iter().filter(|p| **p <= 0.05).count();
    assert!(REACHED.contains(&reached), "{reached} of {NAMES} at p <= .05");
    // Not only at the level: below the median there is about half.
    let lower_half = p_values.iter().filter(|p| **p <= 0.5).count();
    assert!((70..=130).contains(&lower_half), "{lower_half} of {NAMES} at p <= .5");
    for reading in one {
        assert_eq!(reading.calibrated, None);
        assert!(reading.warnings[0].starts_with("no calibrated verdict"), "{:?}", reading.warnings);
    }
}
