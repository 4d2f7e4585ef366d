//! Attention that is asked by one learnt token, then a perceptron: it reads a sequence as one vector.
//!
//! Reference: timm, `AttentionPoolLatent` (`layers/attention_pool.py`).

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::visit::{self, Form, Visitor};
use crate::Result;
use crate::nn::Activation;
use crate::precision::normed;

/// Shape of the pool; it is as wide as the sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatentPoolConfig {
    /// Attention heads.
    pub heads: usize,
    /// Width of the perceptron's hidden layer.
    pub mlp_width: usize,
    /// Between the perceptron's layers.
    pub activation: Activation,
}

/// The token that asks, and what becomes of its answer.
#[derive(Module, Debug)]
pub(crate) struct LatentPool {
    /// `[1, width]`.
    latent: Param<Tensor<2>>,
    query: Linear,
    /// Keys and values side by side.
    key_value: Linear,
    output: Linear,
    norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
    #[module(skip)]
    activation: Activation,
}

impl LatentPool {
    pub(crate) fn new(
        config: LatentPoolConfig,
        width: usize,
        epsilon: f64,
        device: &Device,
    ) -> Self {
        let linear = |input, output| visit::linear(input, output, true, device);
        Self {
            latent: visit::empty([1, width], device),
            query: linear(width, width),
            key_value: linear(width, 2 * width),
            output: linear(width, width),
            norm: visit::layer_norm(width, epsilon, device),
            fc1: linear(width, config.mlp_width),
            fc2: linear(config.mlp_width, width),
            heads: config.heads,
            activation: config.activation,
        }
    }

    pub(crate) fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        let [_, width] = self.latent.lazy_shape().dims();
        let stored = [1, 1, width];
        visitor.tensor(&format!("{name}.latent"), &stored, Form::Plain, &mut self.latent)?;
        visitor.linear(&format!("{name}.q"), &mut self.query)?;
        visitor.linear(&format!("{name}.kv"), &mut self.key_value)?;
        visitor.linear(&format!("{name}.proj"), &mut self.output)?;
        visitor.norm(&format!("{name}.norm"), &mut self.norm)?;
        visitor.linear(&format!("{name}.mlp.fc1"), &mut self.fc1)?;
        visitor.linear(&format!("{name}.mlp.fc2"), &mut self.fc2)
    }

    /// # Shapes
    ///
    /// - hidden: `[batch * tokens, width]`
    /// - output: `[batch, width]`
    pub(crate) fn forward(&self, hidden: Tensor<2>, batch: usize) -> Tensor<2> {
        let [rows, width] = hidden.dims();
        let (tokens, head) = (rows / batch, width / self.heads);
        let query = self.query.forward(self.latent.val()).reshape([1, self.heads, 1, head]);
        let query = query.expand([batch, self.heads, 1, head]);
        let parts = self.key_value.forward(hidden);
        let part = |i: usize| {
            let part = parts.clone().narrow(1, i * width, width);
            part.reshape([batch, tokens, self.heads, head]).swap_dims(1, 2)
        };
        let options = AttentionModuleOptions::default();
        let answer = attention(query, part(0), part(1), None, None, options);
        let pooled = self.output.forward(answer.reshape([batch, width]));
        let inner = self.activation.apply(self.fc1.forward(normed(&self.norm, pooled.clone())));
        pooled + self.fc2.forward(inner)
    }

    /// Multiplications of one input's forward pass.
    pub(crate) fn multiplications(config: LatentPoolConfig, width: usize, tokens: usize) -> usize {
        2 * width * (tokens * (width + 1) + width + config.mlp_width)
    }
}
