//! What must not change a number: the order of the rows under test and the other rows under test.
//! Checked for an ensemble of every detector; what holds for each alone is checked beside it.

use std::sync::LazyLock;

use linfa::prelude::*;
use ndarray::{Array2, Axis};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use umid_detect::{Ensemble, IsolationForest, LocalOutlierFactor, OneClassSvm};

const COLUMNS: usize = 3;
const QUERIES: usize = 8;
/// Each case scores some dozens of rows with every detector.
const CASES: u32 = 48;

static ENSEMBLE: LazyLock<Ensemble> = LazyLock::new(|| {
    let params = Ensemble::params()
        .detector(IsolationForest::params().seed(3))
        .detector(LocalOutlierFactor::params())
        .detector(OneClassSvm::params());
    #[cfg(feature = "autoencoder")]
    let params = params.detector(umid_detect::Autoencoder::params().epochs(20).seed(3));
    params.fit(&DatasetBase::from(reference())).expect("a valid reference")
});

/// Two clouds with a few repeated rows.
fn reference() -> Array2<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let mut rows = Array2::from_shape_fn((70, COLUMNS), |(row, _)| {
        let sum: f64 = (0..6).map(|_| rng.random::<f64>() - 0.5).sum();
        if row < 40 { sum } else { 3.0 + 0.3 * sum }
    });
    for copy in 60..70 {
        let original = rows.row(copy - 60).to_owned();
        rows.row_mut(copy).assign(&original);
    }
    rows
}

fn queries() -> impl Strategy<Value = Array2<f64>> {
    prop::collection::vec(-6.0..6.0_f64, QUERIES * COLUMNS).prop_map(|values| {
        Array2::from_shape_vec((QUERIES, COLUMNS), values).expect("as many values as the shape has")
    })
}

fn permutation() -> impl Strategy<Value = Vec<usize>> {
    Just((0..QUERIES).collect::<Vec<_>>()).prop_shuffle()
}

/// Scores of every detector and the vote score, as bits, per row.
fn all_scores(rows: &Array2<f64>) -> Vec<Vec<u64>> {
    let readings = ENSEMBLE.read(&rows.view()).expect("finite rows");
    let scores = readings.iter().map(|reading| {
        let opinions = reading.opinions.iter().map(|opinion| opinion.score);
        opinions.chain([reading.vote_score]).map(f64::to_bits).collect()
    });
    scores.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn permuting_the_rows_permutes_the_scores(rows in queries(), order in permutation()) {
        let straight = all_scores(&rows);
        let expected: Vec<Vec<u64>> = order.iter().map(|&row| straight[row].clone()).collect();
        prop_assert_eq!(expected, all_scores(&rows.select(Axis(0), &order)));
    }

    #[test]
    fn the_other_rows_do_not_move_a_rows_scores(rows in queries(), others in queries(), kept in 0..QUERIES) {
        let mut changed = others;
        changed.row_mut(kept).assign(&rows.row(kept));
        let scores = all_scores(&rows);
        prop_assert_eq!(&scores[kept], &all_scores(&changed)[kept]);
        let alone = all_scores(&rows.select(Axis(0), &[kept]));
        prop_assert_eq!(&scores[kept..=kept], &alone[..]);
    }
}

#[test]
fn no_rows_have_no_scores() {
    assert!(all_scores(&Array2::zeros((0, COLUMNS))).is_empty());
}

#[test]
fn non_finite_rows_are_errors_and_never_scores() {
    for bad in [f64::NAN, f64::INFINITY] {
        let rows = Array2::from_elem((1, COLUMNS), bad);
        assert!(ENSEMBLE.read(&rows.view()).is_err(), "took {bad}");
    }
}

#[cfg(feature = "autoencoder")]
#[test]
fn the_papers_ensemble_calls_a_far_row_a_member_and_a_central_one_not() {
    let ensemble = umid_detect::EnsembleParams::paper(5)
        .fit(&DatasetBase::from(reference()))
        .expect("a valid reference");
    let centre_of_first_cloud = [0.0; COLUMNS];
    let far = [-9.0, 9.0, -9.0];
    let queries = Array2::from_shape_vec((2, COLUMNS), [centre_of_first_cloud, far].concat())
        .expect("two rows");
    let readings = ensemble.read(&queries.view()).expect("finite rows");
    let names: Vec<&str> = readings[0].opinions.iter().map(|o| o.detector.as_str()).collect();
    assert_eq!(names, ["isolation_forest", "local_outlier_factor", "one_class_svm", "autoencoder"]);
    assert_eq!(readings[0].decision, umid_detect::Decision::NotDetected);
    assert_eq!((readings[1].votes, readings[1].decision), (4, umid_detect::Decision::Member));
    assert!(readings[1].vote_score > readings[0].vote_score);
}
