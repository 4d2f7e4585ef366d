//! The small networks that take either of a CLAP's towers to the joint space.
//!
//! References: transformers, `ClapProjectionLayer`; msclap, `Projection` (`models/clap.py`), in
//! evaluation mode.

use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::batch_norm::EPSILON;
use super::visit::{self, Visitor};
use crate::Result;
use crate::nn::Activation;

/// Shape of a projection to the joint space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProjectionConfig {
    /// Two linear layers with biases and an activation between them, as LAION's CLAP has it.
    Perceptron(Activation),
    /// A linear layer, whose output is added to what another linear layer makes of its GELU; then a
    /// layer norm. The linear layers have no biases. As Microsoft's CLAP has it.
    Residual,
}

/// A projection to the joint space.
#[derive(Module, Debug)]
pub(crate) struct Projection {
    linear1: Linear,
    linear2: Linear,
    /// Of a residual projection.
    norm: Option<LayerNorm>,
    #[module(skip)]
    config: ProjectionConfig,
}

impl Projection {
    pub(crate) fn new(
        width: usize,
        embedding_dim: usize,
        config: ProjectionConfig,
        device: &Device,
    ) -> Self {
        let residual = config == ProjectionConfig::Residual;
        let linear = |input| visit::linear(input, embedding_dim, !residual, device);
        Self {
            linear1: linear(width),
            linear2: linear(embedding_dim),
            norm: residual.then(|| visit::layer_norm(embedding_dim, EPSILON, device)),
            config,
        }
    }

    pub(crate) fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        visitor.linear(&format!("{name}.linear1"), &mut self.linear1)?;
        visitor.linear(&format!("{name}.linear2"), &mut self.linear2)?;
        match &mut self.norm {
            Some(norm) => visitor.norm(&format!("{name}.layer_norm"), norm),
            None => Ok(()),
        }
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, width]`
    /// - output: `[batch, embedding_dim]`, not normalised
    pub(crate) fn forward(&self, hidden: Tensor<2>) -> Tensor<2> {
        let last = self.unnormed(hidden);
        match &self.norm {
            Some(norm) => norm.forward(last),
            None => last,
        }
    }

    /// The output, and the output without what is added to every text and without the division of
    /// a norm that it ends with.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch, width]`
    /// - output: `[batch, embedding_dim]`, twice
    pub(crate) fn forward_with_response(&self, hidden: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let last = self.unnormed(hidden);
        if let Some(norm) = &self.norm {
            let centred = last.clone() - last.clone().mean_dim(1);
            let response = centred * norm.gamma.val().unsqueeze_dim(0);
            return (norm.forward(last), response);
        }
        let response = match &self.linear2.bias {
            Some(bias) => last.clone() - bias.val().unsqueeze_dim(0),
            None => last.clone(),
        };
        (last, response)
    }

    /// The output before the norm of a residual projection.
    fn unnormed(&self, hidden: Tensor<2>) -> Tensor<2> {
        let first = self.linear1.forward(hidden);
        match self.config {
            ProjectionConfig::Perceptron(activation) => {
                self.linear2.forward(activation.apply(first))
            }
            ProjectionConfig::Residual => {
                first.clone() + self.linear2.forward(Activation::Gelu.apply(first))
            }
        }
    }
}
