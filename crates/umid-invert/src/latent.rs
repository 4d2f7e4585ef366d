//! The latent of a decoder as the space of an inversion.
//!
//! A decoder trained on public inputs of the model's domain confines the search to plausible
//! inputs. Starts may be random, or the latents of those bank inputs whose embeddings are
//! closest to a text ([`LatentSpace::best_starts`]).

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use umid_core::Space;

use crate::{Decoder, InvertError, Result};

/// Latents are trained to have unit variance; beyond this many deviations a decoder has seen
/// nothing.
const LATENT_RANGE: f32 = 4.0;

/// The latents of a decoder whose output the model takes.
#[derive(Debug)]
pub struct LatentSpace {
    decoder: Decoder,
    /// Per channel, `[1, 3, 1, 1]`.
    mean: Tensor<4>,
    std: Tensor<4>,
}

impl LatentSpace {
    /// A decoder's latents, with pixels normalised by the model's mean and standard deviation of
    /// each channel.
    pub fn new(decoder: Decoder, mean: [f32; 3], std: [f32; 3], device: &Device) -> Self {
        let channels =
            |v: [f32; 3]| Tensor::from_data(TensorData::new(v.to_vec(), [1, 3, 1, 1]), device);
        Self { decoder, mean: channels(mean), std: channels(std) }
    }

    /// The decoder.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The `restarts` latents whose inputs' embeddings are closest to a text, best first.
    ///
    /// # Shapes
    ///
    /// - text: `[embedding_dim]`
    /// - latents: `[bank, dim]`
    /// - embeddings: `[bank, embedding_dim]`, of the decoded latents
    /// - output: `[restarts, dim]`
    ///
    /// # Errors
    ///
    /// [`InvertError::Shape`] where the arrays do not fit each other or the bank has fewer
    /// than `restarts` rows.
    pub fn best_starts(
        text: ArrayView1<f32>,
        latents: ArrayView2<f32>,
        embeddings: ArrayView2<f32>,
        restarts: usize,
    ) -> Result<Array2<f32>> {
        if embeddings.dim() != (latents.nrows(), text.len()) || latents.nrows() < restarts {
            return Err(InvertError::Shape {
                what: "the bank's embeddings",
                found: embeddings.shape().to_vec(),
                expected: vec![latents.nrows().max(restarts), text.len()],
            });
        }
        let cosines: Vec<f64> = embeddings
            .rows()
            .into_iter()
            .map(|e| {
                let dot: f64 = e.iter().zip(text).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                dot / e.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>().sqrt()
            })
            .collect();
        let mut order: Vec<usize> = (0..cosines.len()).collect();
        order.sort_by(|a, b| cosines[*b].total_cmp(&cosines[*a]).then(a.cmp(b)));
        order.truncate(restarts);
        Ok(latents.select(Axis(0), &order))
    }
}

impl Space for LatentSpace {
    fn dim(&self) -> usize {
        self.decoder.latent_dim()
    }

    fn valid_range(&self) -> Vec<(f32, f32)> {
        vec![(-LATENT_RANGE, LATENT_RANGE); self.dim()]
    }

    fn inputs(&self, variables: Tensor<2>) -> Tensor<4> {
        let pixels = self.decoder.forward(variables);
        (pixels - self.mean.clone()) / self.std.clone()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn best_starts_are_those_of_the_closest_inputs() {
        let latents = array![[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]];
        let embeddings = array![[0.0, 1.0], [5.0, 5.0], [0.1, 0.0]];
        let text = array![1.0, 0.0];
        let best = LatentSpace::best_starts(text.view(), latents.view(), embeddings.view(), 2);
        assert_eq!(best.expect("fits"), array![[3.0, 0.0], [2.0, 0.0]]);
        let too_many = LatentSpace::best_starts(text.view(), latents.view(), embeddings.view(), 4);
        assert!(matches!(too_many, Err(InvertError::Shape { .. })));
    }
}
