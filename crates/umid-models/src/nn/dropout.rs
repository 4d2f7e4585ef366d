//! Dropout of attention in a trained model, for attacks that average over random subnetworks (Gal and
//! Ghahramani, "Dropout as a Bayesian Approximation", ICML 2016). Loaded models otherwise have none.

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Which attention weights are set to zero, after the softmax.
///
/// The choice follows from the seed and the block alone: every input of a batch passes the same
/// subnetwork, so that an embedding does not depend on the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionDropout {
    /// Probability of a weight to be dropped, at least 0 and below 1. Others are divided by one less
    /// this.
    pub share: f64,
    /// Seed of the choice.
    pub seed: u64,
}

/// The dropout of one block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockDropout {
    pub(crate) dropout: AttentionDropout,
    /// Which block of the model it is.
    pub(crate) stream: u64,
}

impl BlockDropout {
    /// Attention with dropped weights.
    ///
    /// # Shapes
    ///
    /// - q: `[batch, heads, queries, head_width]`
    /// - k, v: `[batch, heads, keys, head_width]`
    /// - causal: query i does not see keys after i
    /// - later: keys that each sequence's queries do not see, `[batch, 1, 1, keys]`
    /// - output: as q
    pub(crate) fn attend(
        &self,
        [q, k, v]: [Tensor<4>; 3],
        causal: bool,
        later: Option<Tensor<4, Bool>>,
    ) -> Tensor<4> {
        let ([_, heads, queries, width], keys) = (q.dims(), k.dims()[2]);
        let device = q.device();
        let mut scores = q.matmul(k.swap_dims(2, 3)) / (width as f64).sqrt();
        if causal {
            let later = (0..queries).flat_map(|query| (0..keys).map(move |key| key > query));
            let later = TensorData::new(later.collect::<Vec<bool>>(), [1, 1, queries, keys]);
            let later = Tensor::<4, Bool>::from_data(later, &device).expand(scores.dims());
            scores = scores.mask_fill(later, f32::NEG_INFINITY);
        }
        if let Some(later) = later {
            let later = later.expand(scores.dims());
            scores = scores.mask_fill(later, f32::NEG_INFINITY);
        }
        let weights = softmax(scores, 3) * self.kept([heads, queries, keys], &device);
        weights.matmul(v)
    }

    /// The factor on each attention weight: 0, or one over the share that is kept.
    fn kept(&self, [heads, queries, keys]: [usize; 3], device: &Device) -> Tensor<4> {
        let AttentionDropout { share, seed } = self.dropout;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(self.stream);
        let kept = 1.0 / (1.0 - share);
        let factor = |dropped: f64| if dropped < share { 0.0 } else { kept as f32 };
        let factors: Vec<f32> =
            (0..heads * queries * keys).map(|_| factor(rng.random::<f64>())).collect();
        Tensor::from_data(TensorData::new(factors, [1, heads, queries, keys]), device)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::module::attention;
    use burn::tensor::ops::AttentionModuleOptions;

    use super::*;
    use crate::{parse_device, to_host};

    const SHAPE: [usize; 4] = [2, 2, 3, 4];

    fn part(seed: usize) -> Tensor<4> {
        let values = (0..48).map(|i| ((i * 7 + seed * 13) % 11) as f32 / 5.0 - 1.0);
        let device = parse_device("cpu").expect("cpu");
        Tensor::from_data(TensorData::new(values.collect::<Vec<f32>>(), SHAPE), &device)
    }

    fn block(share: f64, seed: u64, stream: u64) -> BlockDropout {
        BlockDropout { dropout: AttentionDropout { share, seed }, stream }
    }

    #[test]
    fn dropping_nothing_is_plain_attention() {
        for causal in [false, true] {
            let options = AttentionModuleOptions { is_causal: causal, ..Default::default() };
            let plain = to_host(attention(part(1), part(2), part(3), None, None, options));
            let ours = to_host(block(0.0, 5, 0).attend([part(1), part(2), part(3)], causal, None));
            for (a, b) in plain.iter().zip(&ours) {
                assert!((a - b).abs() < 1e-6, "{a} {b}");
            }
        }
    }

    #[test]
    fn the_share_is_dropped_the_rest_scaled_and_the_choice_is_the_block_s_own() {
        let device = parse_device("cpu").expect("cpu");
        let factors = |seed, stream| to_host(block(0.25, seed, stream).kept([4, 50, 50], &device));
        let first = factors(1, 0);
        let dropped = first.iter().filter(|factor| **factor == 0.0).count();
        // 10,000 draws: a standard error of .0043.
        assert!((dropped as f64 / 1e4 - 0.25).abs() < 0.02, "{dropped}");
        assert!(first.iter().all(|f| *f == 0.0 || (f - 4.0 / 3.0).abs() < 1e-6));
        assert_eq!(first, factors(1, 0));
        assert_ne!(first, factors(2, 0));
        assert_ne!(first, factors(1, 1));
    }
}
