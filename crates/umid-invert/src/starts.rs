//! Where inversions start. Start i is a function of the seed and of i alone, so every text has
//! the same starts, and more restarts only add to them.

use ndarray::Array2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::StandardNormal;

use crate::params::Starts;

/// Draws starts.
///
/// # Shapes
///
/// - output: `[restarts, range.len()]`
pub fn draw(kind: Starts, seed: u64, restarts: usize, range: &[(f32, f32)]) -> Array2<f32> {
    let mut starts = Array2::zeros((restarts, range.len()));
    for (restart, mut row) in starts.rows_mut().into_iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(restart as u64);
        for (value, (low, high)) in row.iter_mut().zip(range) {
            *value = match kind {
                Starts::Gaussian => rng.sample(StandardNormal),
                Starts::Uniform => low + (high - low) * rng.random::<f32>(),
            };
        }
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_restarts_only_add() {
        let range = vec![(-1.0, 2.0); 50];
        for kind in [Starts::Gaussian, Starts::Uniform] {
            let few = draw(kind, 7, 2, &range);
            let many = draw(kind, 7, 5, &range);
            assert_eq!(few, many.slice(ndarray::s![..2, ..]));
            assert_ne!(many.row(0), many.row(1));
            assert_ne!(few, draw(kind, 8, 2, &range));
        }
    }

    #[test]
    fn uniform_starts_fill_their_range() {
        let starts = draw(Starts::Uniform, 1, 100, &[(-1.0, 3.0); 20]);
        let (low, high) =
            starts.iter().fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
        assert!((-1.0..-0.9).contains(&low) && (2.9..3.0).contains(&high), "{low} {high}");
    }
}
