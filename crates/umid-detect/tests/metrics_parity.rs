//! Agreement of the metrics with scikit-learn 1.9.1, and of exact intervals with SciPy, on the
//! samples of `tests/fixtures/metrics.json`, which `scripts/make_metric_fixtures.py` writes.

use serde::Deserialize;
use umid_detect::{
    auc, balanced_accuracy, precision, recall, roc_curve, share_interval, spearman, tpr_at_fpr,
};

/// Both sides divide the same counts, or sum the same tails, in another order.
const ROUNDING: f64 = 1e-12;

#[derive(Deserialize)]
struct Fixtures {
    samples: Vec<Sample>,
    shares: Vec<Share>,
    correlations: Vec<Correlation>,
}

#[derive(Deserialize)]
struct Sample {
    name: String,
    members: Vec<f64>,
    non_members: Vec<f64>,
    auc: f64,
    false_positive_rates: Vec<f64>,
    true_positive_rates: Vec<f64>,
    tpr_at_fpr: Vec<Height>,
    member_flags: Vec<bool>,
    non_member_flags: Vec<bool>,
    balanced_accuracy: f64,
    precision: Option<f64>,
    recall: f64,
}

/// The highest true positive rate on the curve whose false positive rate is at most the limit.
#[derive(Deserialize)]
struct Height {
    false_positive_rate: f64,
    highest: f64,
}

#[derive(Deserialize)]
struct Share {
    hits: usize,
    trials: usize,
    low: f64,
    high: f64,
}

#[derive(Deserialize)]
struct Correlation {
    name: String,
    first: Vec<f64>,
    second: Vec<f64>,
    value: f64,
}

fn fixtures() -> Fixtures {
    serde_json::from_str(include_str!("fixtures/metrics.json")).expect("the script writes this")
}

fn assert_close(what: &str, ours: f64, theirs: f64) {
    assert!((ours - theirs).abs() <= ROUNDING, "{what}: ours {ours}, theirs {theirs}");
}

#[test]
fn areas_and_curves_agree() {
    for sample in fixtures().samples {
        let ours = auc(&sample.members, &sample.non_members).expect("two classes");
        assert_close(&sample.name, ours, sample.auc);
        let curve = roc_curve(&sample.members, &sample.non_members).expect("two classes");
        assert_eq!(curve.len(), sample.false_positive_rates.len(), "{}", sample.name);
        assert_eq!(curve.len(), sample.true_positive_rates.len(), "{}", sample.name);
        let theirs = sample.false_positive_rates.iter().zip(&sample.true_positive_rates);
        for (point, (&fpr, &tpr)) in curve.iter().zip(theirs) {
            assert_close(&sample.name, point.false_positive_rate, fpr);
            assert_close(&sample.name, point.true_positive_rate, tpr);
        }
    }
}

/// Where the sample resolves the rate, the readings agree. Where it does not, the curve still has a
/// height, that of no false positive at all; we give no number.
#[test]
fn heights_agree_where_the_sample_resolves_the_rate() {
    let (mut resolved, mut unresolved) = (0, 0);
    for sample in fixtures().samples {
        for height in &sample.tpr_at_fpr {
            let what = format!("{} at {}", sample.name, height.false_positive_rate);
            let rate = height.false_positive_rate;
            let ours = tpr_at_fpr(&sample.members, &sample.non_members, rate);
            let resolves = sample.non_members.len() as f64 * rate >= 1.0 - ROUNDING;
            if let Some(ours) = ours.expect("two classes") {
                assert!(resolves, "{what}");
                assert_close(&what, ours, height.highest);
                resolved += 1;
            } else {
                assert!(!resolves, "{what}");
                unresolved += 1;
            }
        }
    }
    assert!(resolved > 0 && unresolved > 0, "the fixtures hold both kinds");
}

#[test]
fn rates_of_decisions_agree() {
    for sample in fixtures().samples {
        let (members, non_members) = (&sample.member_flags, &sample.non_member_flags);
        let accuracy = balanced_accuracy(members, non_members).expect("two classes");
        assert_close(&sample.name, accuracy, sample.balanced_accuracy);
        assert_close(&sample.name, recall(members).expect("members"), sample.recall);
        let ours = precision(members, non_members).expect("two classes");
        assert_eq!(ours.is_some(), sample.precision.is_some(), "{}", sample.name);
        if let Some((ours, theirs)) = ours.zip(sample.precision) {
            assert_close(&sample.name, ours, theirs);
        }
    }
}

#[test]
fn exact_intervals_agree() {
    for share in fixtures().shares {
        let what = format!("{} of {}", share.hits, share.trials);
        let ours = share_interval(share.hits, share.trials).expect("some trials");
        assert_close(&what, ours.low, share.low);
        assert_close(&what, ours.high, share.high);
    }
}

#[test]
fn rank_correlations_agree() {
    let cases = fixtures().correlations;
    assert_eq!(cases.len(), 4);
    for case in cases {
        let ours = spearman(&case.first, &case.second).expect("finite").expect("not constant");
        assert_close(&case.name, ours, case.value);
    }
}
