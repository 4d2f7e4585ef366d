//! Agreement with scikit-learn 1.9.1 on the references of `tests/fixtures`, which
//! `scripts/make_detector_fixtures.py` writes. `UMID_DETECT_FIXTURES` names another directory of
//! fixtures of the same kind, made with another seed.

use std::path::PathBuf;

use linfa::prelude::*;
use ndarray::Array2;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use umid_detect::{
    Contamination, Detector, Gamma, IsolationForest, LocalOutlierFactor, OneClassSvm,
    StandardScaler, auc, average_path_length,
};

/// Both sides do the same arithmetic in another order: some hundred roundings of f64.
const ROUNDING: f64 = 1e-12;
/// scikit-learn's brute-force search computes distances through dot products, which costs half of
/// the digits of small distances. Relative to the factor where it is above 1: with more copies of a
/// row than neighbours it reaches 1e10.
const OUTLIER_FACTOR_TOLERANCE: f64 = 1e-6;
/// Both solve to 1e-6, but libsvm keeps its kernel in single precision; what is asked for is its
/// default accuracy.
const DECISION_TOLERANCE: f64 = 1e-3;
/// Two forests of 1,000 trees with different seeds rank rows alike to this degree.
const FOREST_RANK_CORRELATION: f64 = 0.95;
/// And separate planted outliers alike to this degree.
const FOREST_AUC_TOLERANCE: f64 = 0.02;
/// And place the tenth percentile of the reference alike to this degree (scores are in 0..=1).
const FOREST_THRESHOLD_TOLERANCE: f64 = 0.02;

fn fixture<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let directory = std::env::var_os("UMID_DETECT_FIXTURES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"),
        PathBuf::from,
    );
    let path = directory.join(name).with_extension("json");
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn matrix(rows: &[Vec<f64>]) -> Array2<f64> {
    let columns = rows.first().map_or(0, Vec::len);
    Array2::from_shape_fn((rows.len(), columns), |(i, j)| rows[i][j])
}

fn assert_close(
    what: &str,
    ours: impl IntoIterator<Item = f64>,
    theirs: &[f64],
    tolerance: impl Fn(f64) -> f64,
) {
    let ours: Vec<f64> = ours.into_iter().collect();
    assert_eq!(ours.len(), theirs.len(), "{what}: number of values");
    for (i, (our, their)) in ours.iter().zip(theirs).enumerate() {
        let allowed = tolerance(*their);
        assert!(
            (our - their).abs() <= allowed,
            "{what}, value {i}: ours {our}, scikit-learn's {their}"
        );
    }
}

/// Rows, queries and what scikit-learn's fits give on them.
#[derive(Deserialize)]
struct Fitted<F> {
    name: String,
    reference: Vec<Vec<f64>>,
    queries: Vec<Vec<f64>>,
    fits: Vec<F>,
}

#[derive(Deserialize)]
struct OutlierFactorFit {
    n_neighbors: usize,
    contamination: Option<f64>,
    neighbours_used: usize,
    negative_outlier_factor: Vec<f64>,
    offset: f64,
    score_samples: Vec<f64>,
    predictions: Vec<i8>,
}

#[test]
fn local_outlier_factors_agree() {
    let relative = |theirs: f64| OUTLIER_FACTOR_TOLERANCE * theirs.abs().max(1.0);
    for case in fixture::<Fitted<OutlierFactorFit>>("local_outlier_factor") {
        let reference = DatasetBase::from(matrix(&case.reference));
        let queries = matrix(&case.queries);
        for fit in case.fits {
            let what = format!("{}, {} neighbours", case.name, fit.n_neighbors);
            let model = LocalOutlierFactor::params()
                .n_neighbors(fit.n_neighbors)
                .contamination(fit.contamination.map_or(Contamination::Auto, Contamination::Share))
                .fit(&reference)
                .expect("a valid case");
            assert_eq!(model.n_neighbors(), fit.neighbours_used, "{what}");
            let own = model.reference_scores().iter().map(|s| -s);
            assert_close(
                &format!("{what}: reference"),
                own,
                &fit.negative_outlier_factor,
                relative,
            );
            assert_close(
                &format!("{what}: threshold"),
                [-model.threshold()],
                &[fit.offset],
                relative,
            );
            let scores = model.score(&queries.view()).expect("finite queries");
            let negated = scores.iter().map(|s| -s);
            assert_close(&format!("{what}: queries"), negated, &fit.score_samples, relative);
            let flags = model.flags(&queries.view()).expect("finite queries");
            assert_eq!(flags.len(), fit.predictions.len(), "{what}");
            for (i, (flag, prediction)) in flags.iter().zip(&fit.predictions).enumerate() {
                let margin = (scores[i] - model.threshold()).abs();
                let undecided = margin <= relative(scores[i]);
                assert!(undecided || *flag == (*prediction == -1), "{what}: flag of query {i}");
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum GammaSetting {
    Value(f64),
    Rule(String),
}

#[derive(Deserialize)]
struct SvmFit {
    nu: f64,
    gamma: GammaSetting,
    decision_values: Vec<f64>,
    reference_decision_values: Vec<f64>,
}

#[test]
fn one_class_decision_values_agree() {
    for case in fixture::<Fitted<SvmFit>>("one_class_svm") {
        let reference = matrix(&case.reference);
        let queries = matrix(&case.queries);
        for fit in case.fits {
            let gamma = match &fit.gamma {
                GammaSetting::Value(gamma) => Gamma::Value(*gamma),
                GammaSetting::Rule(rule) if rule == "auto" => Gamma::Auto,
                GammaSetting::Rule(rule) if rule == "scale" => Gamma::Scale,
                GammaSetting::Rule(rule) => panic!("unknown gamma {rule}"),
            };
            let what = format!("{}, nu {}, {gamma:?}", case.name, fit.nu);
            let model = OneClassSvm::params()
                .nu(fit.nu)
                .gamma(gamma)
                .fit(&DatasetBase::from(reference.clone()))
                .expect("a valid case");
            for (rows, theirs) in
                [(&queries, &fit.decision_values), (&reference, &fit.reference_decision_values)]
            {
                let ours = model.decision_values(&rows.view()).expect("finite rows");
                assert_close(&what, ours, theirs, |_| DECISION_TOLERANCE);
            }
        }
    }
}

#[derive(Deserialize)]
struct ForestCase {
    name: String,
    reference: Vec<Vec<f64>>,
    queries: Vec<Vec<f64>>,
    n_estimators: usize,
    planted: Vec<u8>,
    score_samples: Vec<f64>,
    offset: f64,
    auc: f64,
}

#[test]
fn isolation_forests_rank_alike() {
    for case in fixture::<ForestCase>("isolation_forest") {
        let model = IsolationForest::params()
            .n_estimators(case.n_estimators)
            .seed(1)
            .fit(&DatasetBase::from(matrix(&case.reference)))
            .expect("a valid case");
        let ours = model.score(&matrix(&case.queries).view()).expect("finite queries");
        let theirs: Vec<f64> = case.score_samples.iter().map(|s| -s).collect();
        let correlation = spearman(&ours, &theirs);
        assert!(
            correlation > FOREST_RANK_CORRELATION,
            "{}: rank correlation {correlation}",
            case.name
        );

        assert_eq!(ours.len(), case.planted.len(), "{}", case.name);
        let of = |class: u8| -> Vec<f64> {
            let labelled = ours.iter().zip(&case.planted);
            labelled.filter(|(_, planted)| **planted == class).map(|(s, _)| *s).collect()
        };
        let separation = auc(&of(1), &of(0)).expect("two classes");
        assert!(
            (separation - case.auc).abs() < FOREST_AUC_TOLERANCE,
            "{}: AUC {separation}, scikit-learn's {}",
            case.name,
            case.auc
        );
        assert_close(&case.name, [-model.threshold()], &[case.offset], |_| {
            FOREST_THRESHOLD_TOLERANCE
        });
    }
}

/// Spearman's correlation of two lists without ties.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let ranks = |values: &[f64]| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
        let mut ranks = vec![0.0; values.len()];
        order.into_iter().enumerate().for_each(|(rank, i)| ranks[i] = rank as f64);
        ranks
    };
    let squared: f64 = ranks(a).iter().zip(ranks(b)).map(|(x, y)| (x - y).powi(2)).sum();
    let n = a.len() as f64;
    1.0 - 6.0 * squared / (n * (n * n - 1.0))
}

#[derive(Deserialize)]
struct PathLength {
    rows: usize,
    length: f64,
}

#[test]
fn path_length_normalisers_agree() {
    for case in fixture::<PathLength>("path_length") {
        let length = average_path_length(case.rows);
        assert_close("path length", [length], &[case.length], |_| ROUNDING);
    }
}

#[derive(Deserialize)]
struct ScalerCase {
    name: String,
    reference: Vec<Vec<f64>>,
    mean: Vec<f64>,
    scale: Vec<f64>,
    transformed: Vec<Vec<f64>>,
}

#[test]
fn standard_scalers_agree() {
    let relative = |theirs: f64| ROUNDING * theirs.abs().max(1.0);
    for case in fixture::<ScalerCase>("standard_scaler") {
        let reference = matrix(&case.reference);
        let scaler = StandardScaler::fit(&reference).expect("a valid case");
        assert_close(&case.name, scaler.mean().iter().copied(), &case.mean, relative);
        assert_close(&case.name, scaler.scale().iter().copied(), &case.scale, relative);
        let ours = scaler.transform(&reference.view()).expect("finite rows");
        // The mean's rounding, relative to the deviation.
        let looser = |theirs: f64| 1e3 * relative(theirs);
        assert_close(&case.name, ours, &case.transformed.concat(), looser);
    }
}

#[derive(Deserialize)]
struct AucCase {
    name: String,
    members: Vec<f64>,
    non_members: Vec<f64>,
    auc: f64,
}

#[test]
fn areas_under_the_curve_agree() {
    for case in fixture::<AucCase>("area_under_curve") {
        let ours = auc(&case.members, &case.non_members).expect("two classes");
        assert_close(&case.name, [ours], &[case.auc], |_| ROUNDING);
    }
}
