//! The layers between an image tower's pooled features and the joint space.
//!
//! Reference: open_clip, `TimmModel` (`timm_model.py`): the tower's own classifier, or a projection
//! or a perceptron after it.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::visit::{self, Visitor};
use crate::Result;
use crate::nn::Activation;

/// What follows the pooled features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadConfig {
    /// Nothing: the features are the embedding.
    Absent,
    /// The tower's own classifier, with a bias.
    Classifier,
    /// A projection of its own.
    Linear {
        /// Whether it adds a bias.
        bias: bool,
    },
    /// A perceptron of two layers, twice as wide inside as the joint space.
    Mlp {
        /// Whether its second layer adds a bias.
        bias: bool,
    },
}

impl HeadConfig {
    pub(crate) fn build(self, features: usize, embedding_dim: usize, device: &Device) -> Head {
        let linear = |input, output, bias| visit::linear(input, output, bias, device);
        let layers = match self {
            Self::Absent => vec![],
            Self::Classifier => vec![linear(features, embedding_dim, true)],
            Self::Linear { bias } => vec![linear(features, embedding_dim, bias)],
            Self::Mlp { bias } => {
                let inner = 2 * embedding_dim;
                vec![linear(features, inner, true), linear(inner, embedding_dim, bias)]
            }
        };
        Head { layers, config: self }
    }

    /// Multiplications of one input's forward pass.
    pub(crate) fn multiplications(self, features: usize, embedding_dim: usize) -> usize {
        match self {
            Self::Absent => 0,
            Self::Classifier | Self::Linear { .. } => features * embedding_dim,
            Self::Mlp { .. } => 2 * embedding_dim * (features + embedding_dim),
        }
    }
}

/// Linear layers with a GELU between them.
#[derive(Module, Debug)]
pub(crate) struct Head {
    layers: Vec<Linear>,
    #[module(skip)]
    config: HeadConfig,
}

impl Head {
    /// `classifier` is the name of the tower's own.
    pub(crate) fn describe(&mut self, visitor: &mut impl Visitor, classifier: &str) -> Result<()> {
        let names: &[&str] = match self.config {
            HeadConfig::Absent => &[],
            HeadConfig::Classifier => &[classifier],
            HeadConfig::Linear { .. } => &["visual.head.proj"],
            HeadConfig::Mlp { .. } => &["visual.head.mlp.fc1", "visual.head.mlp.fc2"],
        };
        names.iter().zip(&mut self.layers).try_for_each(|(name, layer)| visitor.linear(name, layer))
    }

    /// # Shapes
    ///
    /// - features: `[batch, features]`
    /// - output: `[batch, embedding_dim]`
    pub(crate) fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        let mut layers = self.layers.iter();
        let Some(first) = layers.next() else { return features };
        layers.fold(first.forward(features), |hidden, layer| {
            layer.forward(Activation::Gelu.apply(hidden))
        })
    }
}
