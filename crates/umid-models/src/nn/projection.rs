//! The two-layer perceptron that takes either of CLAP's towers to the joint space.
//!
//! Reference: transformers, `ClapProjectionLayer`.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

use super::visit::{self, Visitor};
use crate::Result;
use crate::nn::Activation;

/// Two linear layers with an activation between them.
#[derive(Module, Debug)]
pub(crate) struct Projection {
    linear1: Linear,
    linear2: Linear,
    #[module(skip)]
    activation: Activation,
}

impl Projection {
    pub(crate) fn new(
        width: usize,
        embedding_dim: usize,
        activation: Activation,
        device: &Device,
    ) -> Self {
        Self {
            linear1: visit::linear(width, embedding_dim, true, device),
            linear2: visit::linear(embedding_dim, embedding_dim, true, device),
            activation,
        }
    }

    pub(crate) fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        visitor.linear(&format!("{name}.linear1"), &mut self.linear1)?;
        visitor.linear(&format!("{name}.linear2"), &mut self.linear2)
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, width]`
    /// - output: `[batch, embedding_dim]`, not normalised
    pub(crate) fn forward(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.linear2.forward(self.activation.apply(self.linear1.forward(hidden)))
    }

    /// What the last layer adds to every embedding: `[1, embedding_dim]`.
    pub(crate) fn offset(&self) -> Tensor<2> {
        let bias = self.linear2.bias.as_ref().expect("made with a bias");
        bias.val().unsqueeze_dim(0)
    }
}
