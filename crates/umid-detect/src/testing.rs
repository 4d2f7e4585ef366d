//! References and checks shared by the unit tests.

use ndarray::{Array2, array};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::detector::Detector;

/// Standard normal rows by Box and Muller's transform, `[rows, columns]`.
pub(crate) fn gaussian(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_simple_fn((rows, columns), || {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
    })
}

/// A detector of two columns, fitted on standard normal rows, flags a far row and not the centre.
pub(crate) fn outlier_is_flagged(detector: &impl Detector) {
    let queries = array![[0.0, 0.0], [6.0, -6.0]];
    let scores = detector.score(&queries.view()).expect("two finite rows");
    assert!(scores[1] > scores[0], "scores {scores}");
    let flags = detector.flags(&queries.view()).expect("two finite rows");
    assert_eq!(flags, [false, true]);
}
