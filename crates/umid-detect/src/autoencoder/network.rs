//! The autoencoder's layers as plain arrays: what is saved and what scores rows.

use ndarray::{Array1, Array2, ArrayView1};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Widths between input and output (TUNI's code).
const HIDDEN_WIDTHS: [usize; 5] = [16, 8, 4, 8, 16];

/// Dense layers with ReLU between them and a linear output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Network {
    pub(super) layers: Vec<Layer>,
}

/// `x W + b`, with `weight` as `[inputs, outputs]` and `bias` as `[outputs]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Layer {
    pub(super) weight: Array2<f32>,
    pub(super) bias: Array1<f32>,
}

impl Network {
    /// Uniform weights of Glorot and Bengio 2010 (equation 16), zero biases.
    pub(super) fn initial(columns: usize, rng: &mut ChaCha8Rng) -> Self {
        let mut widths = vec![columns];
        widths.extend(HIDDEN_WIDTHS);
        widths.push(columns);
        let layers = widths
            .windows(2)
            .map(|pair| {
                let bound = (6.0 / (pair[0] + pair[1]) as f32).sqrt();
                let draw = || bound * (2.0 * rng.random::<f32>() - 1.0);
                Layer {
                    weight: Array2::from_shape_simple_fn((pair[0], pair[1]), draw),
                    bias: Array1::zeros(pair[1]),
                }
            })
            .collect();
        Self { layers }
    }

    pub(super) fn columns(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.weight.nrows())
    }

    pub(super) fn is_finite(&self) -> bool {
        self.layers
            .iter()
            .all(|layer| layer.weight.iter().chain(&layer.bias).all(|value| value.is_finite()))
    }

    /// Mean over columns of the squared difference between a row and its reconstruction.
    pub(super) fn reconstruction_error(&self, row: ArrayView1<'_, f64>) -> f64 {
        let reconstruction = self.reconstruct(row);
        let squared = row.iter().zip(&reconstruction).map(|(x, y)| (x - y).powi(2));
        squared.sum::<f64>() / row.len() as f64
    }

    fn reconstruct(&self, row: ArrayView1<'_, f64>) -> Array1<f64> {
        let mut activation = row.to_owned();
        for (depth, layer) in self.layers.iter().enumerate() {
            if depth > 0 {
                activation.mapv_inplace(|value| value.max(0.0));
            }
            activation = layer.apply(activation.view());
        }
        activation
    }
}

impl Layer {
    fn apply(&self, input: ArrayView1<'_, f64>) -> Array1<f64> {
        let mut output = self.bias.mapv(f64::from);
        for (value, weights) in input.iter().zip(self.weight.rows()) {
            for (sum, weight) in output.iter_mut().zip(weights) {
                *sum += value * f64::from(*weight);
            }
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use rand::SeedableRng;

    #[test]
    fn the_shape_is_the_papers() {
        let network = Network::initial(2, &mut ChaCha8Rng::seed_from_u64(0));
        let widths: Vec<usize> = network.layers.iter().map(|layer| layer.weight.ncols()).collect();
        assert_eq!(widths, [16, 8, 4, 8, 16, 2]);
    }

    #[test]
    fn the_output_is_linear_and_hidden_layers_are_not() {
        let layer = |weight: f32, bias: f32| Layer { weight: array![[weight]], bias: array![bias] };
        let network = Network { layers: vec![layer(1.0, 0.0), layer(2.0, -5.0)] };
        assert!((network.reconstruct(array![1.0].view())[0] + 3.0).abs() < f64::EPSILON);
        assert!((network.reconstruct(array![-1.0].view())[0] + 5.0).abs() < f64::EPSILON);
    }
}
