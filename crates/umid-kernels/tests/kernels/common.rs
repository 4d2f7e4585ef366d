//! What the tests of this crate share.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use umid_kernels::Precision;

use crate::units;

/// Those that this processor has; of those it lacks it says so.
pub fn precisions() -> Vec<Precision> {
    let mut precisions = vec![Precision::F32];
    if Precision::Bf16.is_available() {
        precisions.push(Precision::Bf16);
    } else {
        units::skip("bf16");
    }
    precisions
}

/// Numbers between -2 and 2.
pub fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| random.random_range(-2.0..2.0f32)).collect()
}

pub fn exact(values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| f64::from(*x)).collect()
}

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Every difference is within a share of the largest value.
#[track_caller]
pub fn assert_close(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    assert!(expected.iter().all(|x| x.is_finite()), "{what}");
    let largest = expected.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (f64::from(*found) - expected).abs();
        assert!(
            difference <= tolerance * largest,
            "{what}: {found} for {expected} at {i}, where the largest is {largest}"
        );
    }
}

#[test]
fn a_nan_and_a_missing_number_are_not_close() {
    let close = |found: &[f32], expected: &[f64]| {
        std::panic::catch_unwind(|| assert_close(found, expected, 0.1, "")).is_ok()
    };
    assert!(close(&[1.0, 2.0], &[1.0, 2.1]));
    assert!(!close(&[1.0, f32::NAN], &[1.0, 2.0]));
    assert!(!close(&[1.0, 2.0], &[1.0, f64::NAN]));
    assert!(!close(&[1.0, 2.0], &[1.0, f64::INFINITY]));
    assert!(!close(&[1.0], &[1.0, 2.0]));
}
