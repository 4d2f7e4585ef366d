//! Attention scores by how far two patches lie apart, from a small perceptron.
//!
//! Reference: timm, `RelPosMlp` in its mode `cr` (`layers/pos_embed_rel.py`): the perceptron is
//! given the logarithm of one plus the distance on each axis, with its sign.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::visit::{self, Visitor};
use crate::Result;

/// Shape of the perceptron, and the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelativePositionsConfig {
    /// Patches on a side.
    pub side: usize,
    /// Tokens before the patches, to and from which the score is 0.
    pub prefix: usize,
    /// Width of the perceptron's hidden layer.
    pub mlp_width: usize,
}

/// A perceptron from a distance on two axes to a score for each head.
#[derive(Module, Debug)]
pub(crate) struct RelativePositions {
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    config: RelativePositionsConfig,
}

impl RelativePositions {
    pub(crate) fn new(config: RelativePositionsConfig, heads: usize, device: &Device) -> Self {
        Self {
            fc1: visit::linear(2, config.mlp_width, true, device),
            fc2: visit::linear(config.mlp_width, heads, true, device),
            config,
        }
    }

    pub(crate) fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        visitor.linear(&format!("{name}.fc1"), &mut self.fc1)?;
        visitor.linear(&format!("{name}.fc2"), &mut self.fc2)
    }

    /// What is added to the scores: `[1, heads, tokens, tokens]`.
    pub(crate) fn scores(&self, dtype: DType) -> Tensor<4> {
        let RelativePositionsConfig { side, prefix, .. } = self.config;
        let device = self.fc1.weight.val().device();
        let (span, patches) = (2 * side - 1, side * side);
        let distance = |index: usize| {
            let distance = index as f32 - (side - 1) as f32;
            distance.signum() * distance.abs().ln_1p()
        };
        let distances: Vec<f32> = (0..span * span)
            .flat_map(|index| [distance(index / span), distance(index % span)])
            .collect();
        let distances = TensorData::new(distances, [span * span, 2]);
        let distances = Tensor::<2>::from_data(distances, &device).cast(dtype);
        let scores = self.fc2.forward(relu(self.fc1.forward(distances)));
        let heads = scores.dims()[1];

        // From every patch to every patch.
        let pairs: Vec<i64> = (0..patches * patches)
            .map(|pair| {
                let (from, to) = (pair / patches, pair % patches);
                let along = |from: usize, to: usize| from + side - 1 - to;
                let (rows, columns) =
                    (along(from / side, to / side), along(from % side, to % side));
                (rows * span + columns) as i64
            })
            .collect();
        let pairs = TensorData::new(pairs, [patches * patches]);
        let pairs = Tensor::<1, Int>::from_data(pairs, &device);
        let scores = scores.select(0, pairs).reshape([patches, patches, heads]);
        let scores = scores.permute([2, 0, 1]).unsqueeze_dim::<4>(0);
        if prefix == 0 {
            return scores;
        }
        let zeros = |shape: [usize; 4]| Tensor::<4>::zeros(shape, &device).cast(dtype);
        let scores = Tensor::cat(vec![zeros([1, heads, prefix, patches]), scores], 2);
        Tensor::cat(vec![zeros([1, heads, prefix + patches, prefix]), scores], 3)
    }
}
