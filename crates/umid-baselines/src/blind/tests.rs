//! Parity with scikit-learn, equivalence of the reduced features, and what the control finds.

use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::*;
use crate::logistic::Logistic;

/// The same sums in another order.
const FEATURE_TOLERANCE: f64 = 1e-12;
/// Both solvers stop at a gradient of 1e-7 or less; the penalty's curvature of 0.1 to 1 turns it
/// into a distance.
const DECISION_TOLERANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct Case {
    shortest_ngram: usize,
    longest_ngram: usize,
    min_documents: usize,
    inverse_penalty: f64,
    texts: Vec<String>,
    members: Vec<bool>,
    held_out: Vec<String>,
    vocabulary: Vec<String>,
    rows: Vec<SparseRow>,
    held_out_rows: Vec<SparseRow>,
    coefficients: Vec<f64>,
    intercept: f64,
    decisions: Vec<f64>,
    held_out_decisions: Vec<f64>,
}

fn cases() -> Vec<Case> {
    let text = include_str!("../../tests/fixtures/blind_control.json");
    serde_json::from_str(text).expect("fixture")
}

impl Case {
    fn features(&self) -> TfIdf {
        let ngrams = Ngrams {
            shortest: self.shortest_ngram,
            longest: self.longest_ngram,
            min_documents: self.min_documents,
        };
        TfIdf::fit(ngrams, &self.texts).expect("shared n-grams")
    }
}

fn dense(rows: &[SparseRow], columns: usize) -> Array2<f64> {
    let mut dense = Array2::zeros((rows.len(), columns));
    for (i, row) in rows.iter().enumerate() {
        for &(column, value) in row {
            dense[[i, column]] = value;
        }
    }
    dense
}

fn assert_close(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((found - expected).abs() <= tolerance, "{what}: {found}, expected {expected}");
}

#[test]
fn features_equal_those_of_scikit_learn() {
    for case in cases() {
        let features = case.features();
        assert_eq!(features.columns(), case.vocabulary);
        assert_eq!(case.texts.len(), case.rows.len());
        assert_eq!(case.held_out.len(), case.held_out_rows.len());
        let texts = case.texts.iter().chain(&case.held_out);
        for (text, expected) in texts.zip(case.rows.iter().chain(&case.held_out_rows)) {
            let found = features.row(text);
            assert_eq!(found.len(), expected.len(), "{text:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert_eq!(found.0, expected.0, "{text:?}");
                assert_close(found.1, expected.1, FEATURE_TOLERANCE, text);
            }
        }
    }
}

#[test]
fn the_plain_fit_equals_that_of_scikit_learn() {
    for case in cases() {
        let records = dense(&case.rows, case.vocabulary.len());
        let model =
            Logistic::fit(&records.view(), &case.members, case.inverse_penalty).expect("converges");
        assert_eq!(model.weights.len(), case.coefficients.len());
        assert_close(model.intercept, case.intercept, DECISION_TOLERANCE, "intercept");
        for (i, &expected) in case.coefficients.iter().enumerate() {
            assert_close(model.weights[i], expected, DECISION_TOLERANCE, &case.vocabulary[i]);
        }
    }
}

#[test]
fn the_fit_by_inner_products_equals_that_of_scikit_learn() {
    for case in cases() {
        let kernel = tfidf::inner_products(&case.rows, &case.rows);
        let labels = case.members.iter().map(|member| f64::from(u8::from(*member)));
        let labels = Array2::from_shape_vec((case.members.len(), 1), labels.collect());
        let model = KernelLogistic::new(&kernel.view(), case.inverse_penalty);
        let fitted = model.fit(&labels.expect("one column").view()).expect("converges");
        let held_out = tfidf::inner_products(&case.held_out_rows, &case.rows);
        for (kernel, expected) in
            [(&kernel, &case.decisions), (&held_out, &case.held_out_decisions)]
        {
            let found = fitted.decide(&kernel.view());
            assert_eq!(found.dim(), (expected.len(), 1));
            for (found, &expected) in found.iter().zip(expected) {
                assert_close(*found, expected, DECISION_TOLERANCE, "log odds");
            }
        }
    }
}

#[test]
fn features_are_standardised_and_tell_where_they_differ() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let members: Vec<bool> = (0..80).map(|i| i % 2 == 0).collect();
    // The second feature differs between the classes, on a scale that hides it without standardising.
    let mut features = |shift: f64| {
        Array2::from_shape_fn((80, 2), |(row, column)| {
            let noise = rng.random::<f64>() - 0.5;
            match column {
                0 => 1e4 * noise,
                _ => 1e-4 * (noise + if members[row] { shift } else { 0.0 }),
            }
        })
    };
    let (alike, apart) = (features(0.0), features(1.0));
    let area = |features: &Array2<f64>| {
        let prepared = BlindControl::default().prepare_features(&features.view(), &members);
        prepared.expect("usable").evaluate().expect("converges").area
    };
    assert!((area(&alike) - 0.5).abs() < 0.25, "{}", area(&alike));
    assert!(area(&apart) > 0.95, "{}", area(&apart));
    let mut bad = alike;
    bad[[3, 1]] = f64::NAN;
    let refused = BlindControl::default().prepare_features(&bad.view(), &members);
    assert!(matches!(refused, Err(BaselineError::NonFinite { .. })));
}

/// Names of random syllables; with a tell, every member's ends in a syllable of its own.
fn names(count: usize, seed: u64, tell: Option<&str>) -> (Vec<String>, Vec<bool>) {
    const SYLLABLES: [&str; 24] = [
        "ba", "bel", "cor", "da", "dri", "el", "fa", "gor", "ha", "in", "jo", "ka", "lan", "mi",
        "nor", "o", "pet", "qui", "ra", "sen", "ta", "u", "vik", "wen",
    ];
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut word = |syllables: usize| -> String {
        (0..syllables).map(|_| SYLLABLES[rng.random_range(0..SYLLABLES.len())]).collect()
    };
    let members: Vec<bool> = (0..count).map(|i| i % 2 == 0).collect();
    let name = |&member: &bool| {
        let ending = if member { tell.unwrap_or_default() } else { "" };
        format!("{} {}{ending}", word(2), word(3))
    };
    (members.iter().map(name).collect(), members)
}

fn p_value(area: f64, null: Vec<f64>) -> f64 {
    let null = umid_detect::ConformalCalibration::new(null).expect("finite areas");
    null.p_value(area).expect("a finite area")
}

#[test]
fn a_split_at_random_is_not_told_apart_and_a_tell_is() {
    let control = BlindControl::default();
    let (texts, members) = names(120, 1, None);
    let prepared = control.prepare(&texts, &members).expect("usable");
    let observed = prepared.evaluate().expect("converges");
    let null = prepared.permutation_null(39, 2).expect("converges");
    let centre = mean(&null);
    assert!(p_value(observed.area, null) > 0.05, "{observed:?}");
    assert!((centre - 0.5).abs() < 0.04, "{centre}");

    let (texts, members) = names(120, 1, Some("ski"));
    let prepared = control.prepare(&texts, &members).expect("usable");
    let observed = prepared.evaluate().expect("converges");
    let null = prepared.permutation_null(39, 2).expect("converges");
    assert!(observed.area > 0.95, "{}", observed.area);
    assert_eq!(p_value(observed.area, null), 1.0 / 40.0);
}

#[test]
fn scores_are_out_of_fold_and_do_not_depend_on_the_test_labels() {
    let (texts, members) = names(60, 3, Some("ski"));
    let prepared = BlindControl::default().prepare(&texts, &members).expect("usable");
    let outcome = prepared.evaluate().expect("converges");
    let mut flipped = members.clone();
    for (text, label) in flipped.iter_mut().enumerate() {
        if outcome.fold_of[text] == 0 {
            *label = !*label;
        }
    }
    let fold = &prepared.folds[0];
    let decisions = fold.decide(&[flipped]).expect("converges").remove(0);
    assert_eq!(decisions.len(), fold.test.len());
    for (&text, decision) in fold.test.iter().zip(decisions) {
        assert_eq!(outcome.scores[text], decision);
    }
    assert_close(outcome.area, mean(&outcome.fold_areas), 0.0, "area");
}

#[test]
fn the_same_seed_gives_the_same_null_and_a_longer_one_begins_with_it() {
    let (texts, members) = names(40, 4, None);
    let prepared = BlindControl::default().prepare(&texts, &members).expect("usable");
    let long = prepared.permutation_null(6, 5).expect("converges");
    assert_eq!(long[..3], prepared.permutation_null(3, 5).expect("converges"));
}

#[test]
fn settings_outside_their_range_are_refused() {
    let (texts, members) = names(20, 5, None);
    let base = BlindControl::default();
    let bad = [
        ("shortest_ngram", BlindControl { shortest_ngram: 0, ..base }),
        ("longest_ngram", BlindControl { shortest_ngram: 3, longest_ngram: 2, ..base }),
        ("min_documents", BlindControl { min_documents: 0, ..base }),
        ("folds", BlindControl { folds: 1, ..base }),
        ("inverse_penalty", BlindControl { inverse_penalty: f64::NAN, ..base }),
    ];
    for (name, control) in bad {
        match control.prepare(&texts, &members) {
            Err(BaselineError::Argument { argument, .. }) => assert_eq!(argument, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    let few = BlindControl { folds: 11, ..base }.prepare(&texts, &members);
    assert!(matches!(few, Err(BaselineError::TooFew { needed: 11, found: 10, .. })));
    let labels = base.prepare(&texts, &members[1..]);
    assert!(matches!(labels, Err(BaselineError::Size { expected: 20, found: 19, .. })));
}
