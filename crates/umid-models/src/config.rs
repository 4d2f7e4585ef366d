//! The shape of a CLIP model, whichever layout it was read from.

use serde::{Deserialize, Serialize};

/// Everything about a CLIP model that its weights do not say themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClipConfig {
    /// Width of the joint embedding.
    pub embedding_dim: usize,
    /// The text tower.
    pub text: TextConfig,
    /// The image tower.
    pub image: ImageConfig,
}

/// Shape of the causal text transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextConfig {
    /// Number of token ids.
    pub vocabulary: usize,
    /// Longest token sequence, start and end tokens included.
    pub context: usize,
    /// How the position of the embedding is found in the sequence.
    pub pooling: Pooling,
    /// The residual blocks.
    pub transformer: TransformerConfig,
}

/// Shape of the image transformer (ViT).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// Side of the square input in pixels.
    pub image_size: usize,
    /// Side of a square patch in pixels.
    pub patch_size: usize,
    /// Colour channels of the input.
    pub channels: usize,
    /// The residual blocks.
    pub transformer: TransformerConfig,
}

impl ImageConfig {
    /// Number of patches of an input.
    pub fn patches(&self) -> usize {
        (self.image_size / self.patch_size).pow(2)
    }
}

/// Shape of a stack of pre-norm residual attention blocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransformerConfig {
    /// Width of the residual stream.
    pub width: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Width of the hidden layer of each block's MLP.
    pub mlp_width: usize,
    /// Activation of the MLP.
    pub activation: Activation,
    /// Epsilon of every layer norm.
    pub layer_norm_epsilon: f64,
}

/// Activation function of an MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `x * sigmoid(1.702 x)`, as in OpenAI's CLIP.
    QuickGelu,
    /// The exact GELU, through the error function.
    Gelu,
}

/// Where in the token sequence the text tower's embedding is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// At the first occurrence of the largest id. OpenAI's tokenizer gives the end-of-text
    /// token the largest id; OpenCLIP relies on it, and so does transformers wherever a
    /// configuration has the legacy `eos_token_id` of 2.
    LargestId,
    /// At the first occurrence of this id, or at position 0 if there is none.
    FirstOf(u32),
}

impl Pooling {
    /// Position at which the embedding of a token sequence is read.
    pub fn position(self, ids: &[u32]) -> usize {
        match self {
            Self::FirstOf(eos) => ids.iter().position(|id| *id == eos).unwrap_or(0),
            Self::LargestId => {
                let largest = ids.iter().max();
                ids.iter().position(|id| Some(id) == largest).unwrap_or(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooling_takes_the_first_match() {
        assert_eq!(Pooling::LargestId.position(&[3, 9, 4, 9]), 1);
        assert_eq!(Pooling::FirstOf(4).position(&[3, 9, 4, 4]), 2);
        assert_eq!(Pooling::FirstOf(7).position(&[3, 9, 4]), 0);
    }
}
