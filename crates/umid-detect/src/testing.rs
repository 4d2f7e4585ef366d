//! References and checks shared by the unit tests.

use ndarray::{Array2, Axis, array};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::detector::{Detector, Reference};

/// Standard normal rows by Box and Muller's transform, `[rows, columns]`.
pub(crate) fn gaussian(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_simple_fn((rows, columns), || {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
    })
}

/// Two clouds of three columns with a few repeated rows.
fn two_clouds() -> Array2<f64> {
    let mut rows = gaussian(70, 3, 17);
    rows.slice_mut(ndarray::s![40.., ..]).mapv_inplace(|value| 3.0 + 0.3 * value);
    for copy in 60..70 {
        let original = rows.row(copy - 60).to_owned();
        rows.row_mut(copy).assign(&original);
    }
    rows
}

/// What holds for every detector: a row's score depends on that row alone, fitting again or saving
/// and reading back changes nothing, and what is no number is an error.
pub(crate) fn behaves_as_a_detector<M>(fit: impl Fn(&Reference) -> M)
where
    M: Detector + PartialEq + Serialize + DeserializeOwned,
{
    let reference = Reference::from(two_clouds());
    let model = fit(&reference);
    assert_eq!(model, fit(&reference), "fitted twice");
    assert_eq!(model.columns(), 3);
    assert_eq!(model.reference_scores().len(), 70);
    assert!(model.reference_scores().iter().all(|score| score.is_finite()));
    assert!(model.threshold().is_finite());

    let rows = gaussian(8, 3, 5) * 3.0;
    let bits = |model: &M, rows: &Array2<f64>| -> Vec<u64> {
        model.score(&rows.view()).expect("finite rows").into_iter().map(f64::to_bits).collect()
    };
    let scores = bits(&model, &rows);
    assert_eq!(scores.len(), 8);
    let order = [3, 7, 0, 1, 6, 2, 5, 4];
    let permuted: Vec<u64> = order.iter().map(|&row| scores[row]).collect();
    assert_eq!(bits(&model, &rows.select(Axis(0), &order)), permuted, "rows in another order");
    for (row, &score) in scores.iter().enumerate() {
        assert_eq!(bits(&model, &rows.select(Axis(0), &[row])), [score], "row {row} alone");
    }
    assert!(bits(&model, &Array2::zeros((0, 3))).is_empty());

    let text = serde_json::to_string(&model).expect("serialisable");
    let read: M = serde_json::from_str(&text).expect("what was written");
    assert_eq!(model, read);
    assert_eq!(bits(&read, &rows), scores, "read back");

    for bad in [f64::NAN, f64::INFINITY] {
        assert!(model.score(&Array2::from_elem((1, 3), bad).view()).is_err(), "took {bad}");
    }
    assert!(model.score(&Array2::zeros((1, 2)).view()).is_err(), "took two columns");
}

/// A detector of two columns, fitted on standard normal rows, flags a far row and not the centre.
pub(crate) fn outlier_is_flagged(detector: &impl Detector) {
    let queries = array![[0.0, 0.0], [6.0, -6.0]];
    let scores = detector.score(&queries.view()).expect("two finite rows");
    assert!(scores[1] > scores[0], "scores {scores:?}");
    let flags = detector.flags(&queries.view()).expect("two finite rows");
    assert_eq!(flags, [false, true]);
}
