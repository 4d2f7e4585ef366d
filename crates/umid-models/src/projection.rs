//! The two-layer perceptron that takes either of CLAP's towers to the joint space.
//!
//! Reference: transformers, `ClapProjectionLayer`.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

use crate::Result;
use crate::config::{Activation, ProjectionConfig};
use crate::save::Export;
use crate::transformer::load_linear;
use crate::weights::Weights;

/// Two linear layers with an activation between them.
#[derive(Module, Debug)]
pub(crate) struct Projection {
    linear1: Linear,
    linear2: Linear,
    #[module(skip)]
    activation: Activation,
}

impl Projection {
    pub(crate) fn load(
        weights: &Weights,
        name: &str,
        width: usize,
        config: ProjectionConfig,
        device: &Device,
    ) -> Result<Self> {
        let dim = config.embedding_dim;
        let linear = |part: &str, input| {
            load_linear(weights, &format!("{name}.{part}"), input, dim, true, device)
        };
        Ok(Self {
            linear1: linear("linear1", width)?,
            linear2: linear("linear2", dim)?,
            activation: config.activation,
        })
    }

    pub(crate) fn export(&self, out: &mut Export, name: &str) {
        out.linear(&format!("{name}.linear1"), &self.linear1);
        out.linear(&format!("{name}.linear2"), &self.linear2);
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, width]`
    /// - output: `[batch, embedding_dim]`, not normalised
    pub(crate) fn forward(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.linear2.forward(self.activation.apply(self.linear1.forward(hidden)))
    }

    /// What the last layer adds to everything: `[1, embedding_dim]`.
    pub(crate) fn offset(&self) -> Tensor<2> {
        let bias = self.linear2.bias.as_ref().expect("loaded with a bias");
        bias.val().unsqueeze_dim(0)
    }
}
