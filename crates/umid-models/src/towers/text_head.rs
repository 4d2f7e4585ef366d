//! What takes a pooled text to the joint space, in towers that were made for other purposes.
//!
//! References: open_clip, `HFTextEncoder` (`hf_model.py`); transformers, `ChineseCLIPModel`,
//! `AltCLIPTextModel`.

use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::Invalid;
use crate::Result;
use crate::nn::Activation;
use crate::nn::projection::{Projection, ProjectionConfig};
use crate::nn::visit::{self, Visitor};

/// Shape of a text head. No layer has a bias unless it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextHead {
    /// Nothing: the joint space is as wide as the tower.
    None,
    /// A linear layer.
    Linear,
    /// A linear layer with a bias.
    LinearWithBias,
    /// Two linear layers with a GELU between them, the inner width halfway between the outer ones.
    Perceptron,
    /// The small network of a CLAP.
    Network(ProjectionConfig),
    /// AltCLIP's: a norm, a linear layer with a bias to this width, a linear layer.
    Transformed(usize),
}

impl TextHead {
    pub(super) fn check(self, width: usize, embedding_dim: usize) -> Result<(), Invalid> {
        if self == Self::None && width != embedding_dim {
            let expected = format!("{embedding_dim}, as it has no projection to that width");
            return Err(Invalid::new("width of the text tower", &width, expected));
        }
        Ok(())
    }
}

/// The layers of a text head.
#[derive(Module, Debug)]
pub(super) struct HeadLayers {
    norm: Option<LayerNorm>,
    inner: Option<Linear>,
    last: Option<Linear>,
    /// In place of all others.
    network: Option<Projection>,
    #[module(skip)]
    kind: TextHead,
}

impl HeadLayers {
    /// `epsilon` is that of the head's norm.
    pub(super) fn new(
        kind: TextHead,
        width: usize,
        embedding_dim: usize,
        epsilon: f64,
        device: &Device,
    ) -> Self {
        let inner = match kind {
            TextHead::Perceptron => Some(width.midpoint(embedding_dim)),
            TextHead::Transformed(inner) => Some(inner),
            _ => None,
        };
        let transformed = matches!(kind, TextHead::Transformed(_));
        let biased = kind == TextHead::LinearWithBias;
        let before_last = inner.unwrap_or(width);
        Self {
            norm: transformed.then(|| visit::layer_norm(width, epsilon, device)),
            inner: inner.map(|inner| visit::linear(width, inner, transformed, device)),
            last: (!matches!(kind, TextHead::None | TextHead::Network(_)))
                .then(|| visit::linear(before_last, embedding_dim, biased, device)),
            network: match kind {
                TextHead::Network(config) => {
                    Some(Projection::new(width, embedding_dim, config, device))
                }
                _ => None,
            },
            kind,
        }
    }

    pub(super) fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
        if let Some(network) = &mut self.network {
            return network.describe(visitor, "text_projection");
        }
        let (inner, last) = match self.kind {
            TextHead::Perceptron => ("text_projection.0", "text_projection.2"),
            _ => ("text_model.transformation", "text_projection"),
        };
        if let Some(norm) = &mut self.norm {
            visitor.norm("text_model.pre_LN", norm)?;
        }
        for (layer, name) in [(&mut self.inner, inner), (&mut self.last, last)] {
            if let Some(layer) = layer {
                visitor.linear(name, layer)?;
            }
        }
        Ok(())
    }

    /// The embedding, and the response: where the head is linear, of a state without a norm's
    /// division and without biases; of a CLAP's network that network's; and otherwise the embedding
    /// itself.
    ///
    /// # Shapes
    ///
    /// - pooled: `[batch, width]`
    /// - undivided: `[batch, width]`, the pooled state without the last norm's division and shift
    /// - output: `[batch, embedding_dim]`, twice
    pub(super) fn embed(&self, pooled: Tensor<2>, undivided: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        if let Some(network) = &self.network {
            return network.forward_with_response(pooled);
        }
        let last = |hidden: Tensor<2>| match &self.last {
            Some(last) => last.forward(hidden),
            None => hidden,
        };
        match (&self.norm, &self.inner) {
            (Some(norm), Some(inner)) => {
                let centred = undivided.clone() - undivided.mean_dim(1);
                let scaled = centred * norm.gamma.val().unsqueeze_dim(0);
                let response = last(scaled.matmul(inner.weight.val()));
                (last(inner.forward(norm.forward(pooled))), response)
            }
            (_, Some(inner)) => {
                let embedding = last(Activation::Gelu.apply(inner.forward(pooled)));
                (embedding.clone(), embedding)
            }
            (_, None) => {
                let response = match &self.last {
                    Some(last) => undivided.matmul(last.weight.val()),
                    None => undivided,
                };
                (last(pooled), response)
            }
        }
    }
}
