//! What must not change a number: the order of the rows under test, the other rows under test, and
//! saving a model. Checked for every detector and for the ensemble.

use std::sync::LazyLock;

use linfa::prelude::*;
use ndarray::{Array2, Axis};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use umid_detect::{
    Detector, DetectorParams, Ensemble, FittedDetector, GaussianMixture, IsolationForest,
    LocalOutlierFactor, OneClassSvm,
};

const COLUMNS: usize = 3;
const QUERIES: usize = 8;
/// Each case scores some dozens of rows with every detector.
const CASES: u32 = 48;

static DETECTORS: LazyLock<Vec<FittedDetector>> = LazyLock::new(|| {
    let reference = DatasetBase::from(reference());
    all_params().iter().map(|params| params.fit(&reference).expect("a valid reference")).collect()
});

static ENSEMBLE: LazyLock<Ensemble> = LazyLock::new(|| {
    let params = Ensemble::params(all_params());
    params.fit(&DatasetBase::from(reference())).expect("a valid reference")
});

fn all_params() -> Vec<DetectorParams> {
    vec![
        DetectorParams::IsolationForest(IsolationForest::params().seed(3)),
        DetectorParams::LocalOutlierFactor(LocalOutlierFactor::params()),
        DetectorParams::OneClassSvm(OneClassSvm::params()),
        DetectorParams::GaussianMixture(GaussianMixture::params(2).seed(3)),
        #[cfg(feature = "autoencoder")]
        DetectorParams::Autoencoder(umid_detect::Autoencoder::params().epochs(20).seed(3)),
    ]
}

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

/// Scores of every detector, and the ensemble's vote score, as bits: `[detector][row]`.
fn all_scores(rows: &Array2<f64>) -> Vec<Vec<u64>> {
    let bits = |scores: Vec<f64>| scores.into_iter().map(f64::to_bits).collect::<Vec<_>>();
    let of_detector =
        |d: &FittedDetector| bits(d.score(&rows.view()).expect("finite rows").to_vec());
    let mut scores: Vec<Vec<u64>> = DETECTORS.iter().map(of_detector).collect();
    let readings = ENSEMBLE.read(&rows.view()).expect("finite rows");
    scores.push(bits(readings.iter().map(|reading| reading.vote_score).collect()));
    scores
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn permuting_the_rows_permutes_the_scores(rows in queries(), order in permutation()) {
        let straight = all_scores(&rows);
        let permuted = all_scores(&rows.select(Axis(0), &order));
        for (before, after) in straight.iter().zip(&permuted) {
            let expected: Vec<u64> = order.iter().map(|&row| before[row]).collect();
            prop_assert_eq!(&expected, after);
        }
    }

    #[test]
    fn the_other_rows_do_not_move_a_rows_scores(rows in queries(), others in queries(), kept in 0..QUERIES) {
        let mut changed = others;
        changed.row_mut(kept).assign(&rows.row(kept));
        for (before, after) in all_scores(&rows).iter().zip(&all_scores(&changed)) {
            prop_assert_eq!(before[kept], after[kept]);
        }
        let alone = all_scores(&rows.select(Axis(0), &[kept]));
        for (before, after) in all_scores(&rows).iter().zip(&alone) {
            prop_assert_eq!(before[kept], after[0]);
        }
    }

    #[test]
    fn a_saved_detector_gives_identical_scores(rows in queries()) {
        for detector in DETECTORS.iter() {
            let text = serde_json::to_string(detector).expect("serialisable");
            let read: FittedDetector = serde_json::from_str(&text).expect("what was written");
            prop_assert_eq!(detector, &read);
            let bits = |d: &FittedDetector| d.score(&rows.view()).expect("finite").mapv(f64::to_bits);
            prop_assert_eq!(bits(detector), bits(&read));
        }
    }
}

#[test]
fn a_saved_ensemble_gives_identical_readings() {
    let text = serde_json::to_string(&*ENSEMBLE).expect("serialisable");
    let read: Ensemble = serde_json::from_str(&text).expect("what was written");
    let rows = reference();
    assert_eq!(
        ENSEMBLE.read(&rows.view()).expect("finite rows"),
        read.read(&rows.view()).expect("finite rows")
    );
}

#[test]
fn fitting_twice_gives_the_same_detectors() {
    let reference = DatasetBase::from(reference());
    for (params, fitted) in all_params().iter().zip(DETECTORS.iter()) {
        assert_eq!(&params.fit(&reference).expect("a valid reference"), fitted);
    }
}

#[test]
fn no_rows_have_no_scores() {
    let none = Array2::zeros((0, COLUMNS));
    assert!(all_scores(&none).iter().all(Vec::is_empty));
}

#[test]
fn non_finite_rows_are_errors_and_never_scores() {
    for bad in [f64::NAN, f64::INFINITY] {
        let rows = Array2::from_elem((1, COLUMNS), bad);
        for detector in DETECTORS.iter() {
            assert!(detector.score(&rows.view()).is_err(), "{} took {bad}", detector.name());
        }
        assert!(ENSEMBLE.read(&rows.view()).is_err());
    }
}

#[cfg(feature = "autoencoder")]
#[test]
fn the_papers_ensemble_calls_a_far_row_a_member_and_a_central_one_not() {
    let rows = reference();
    let ensemble = umid_detect::EnsembleParams::paper(5)
        .fit(&DatasetBase::from(rows.view()))
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
