//! The shape of a model, whichever layout it was read from.

use std::f64::consts::FRAC_1_SQRT_2;

use burn::tensor::Tensor;
use burn::tensor::activation::{relu, sigmoid};
use serde::{Deserialize, Serialize};

/// Slope of the sigmoid in quick-GELU (OpenAI's CLIP, `model.py`).
const QUICK_GELU_SLOPE: f64 = 1.702;

/// Everything about a model that its weights do not say themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ModelConfig {
    /// Of an image-text model.
    Clip(ClipConfig),
    /// Of an audio-text model.
    Clap(ClapConfig),
}

impl ModelConfig {
    /// Width of the joint embedding.
    pub fn embedding_dim(&self) -> usize {
        match self {
            Self::Clip(config) => config.embedding_dim,
            Self::Clap(config) => config.projection.embedding_dim,
        }
    }

    /// Width of the text tower's residual stream.
    pub fn text_width(&self) -> usize {
        match self {
            Self::Clip(config) => config.text.transformer.width,
            Self::Clap(config) => config.text.width,
        }
    }

    /// Longest token sequence, start and end tokens included.
    pub fn context(&self) -> usize {
        match self {
            Self::Clip(config) => config.text.context,
            Self::Clap(config) => config.text.context(),
        }
    }

    /// Number of token ids.
    pub fn vocabulary(&self) -> usize {
        match self {
            Self::Clip(config) => config.text.vocabulary,
            Self::Clap(config) => config.text.vocabulary,
        }
    }

    /// Numbers that the way back needs of one input's way through the blocks of the input tower,
    /// whose input has this shape.
    pub(crate) fn numbers_kept(&self, [_, height, width]: [usize; 3]) -> usize {
        // Of a token: two norms, queries, keys, values and the perceptron's slopes.
        let block = |width: usize, inner: usize| 5 * width + inner;
        match self {
            Self::Clip(config) => {
                let (image, t) = (&config.image, &config.image.transformer);
                (image.patches() + 1) * t.layers * block(t.width, t.mlp_width)
            }
            Self::Clap(config) => match &config.audio {
                AudioConfig::Htsat(htsat) => {
                    let stage = |stage: usize| {
                        let tokens: usize = htsat.grid(stage).into_iter().product();
                        let of_block = block(htsat.width_of(stage), htsat.mlp_width(stage));
                        tokens * htsat.depths[stage] * of_block
                    };
                    (0..htsat.depths.len()).map(stage).sum()
                }
                AudioConfig::Cnn14(cnn14) => {
                    // Two convolutions, each with its positive part, between halvings of both sides.
                    let halved = |block: usize| (height >> block) * (width >> block);
                    let widths = cnn14.widths.iter().enumerate();
                    widths.map(|(block, width)| 4 * width * halved(block)).sum()
                }
            },
        }
    }

    /// The architecture in words, such as
    /// `CLIP ViT-B/32 at 224 px (12 x 768, text 12 x 512)`.
    pub fn architecture(&self) -> String {
        match self {
            Self::Clip(config) => config.architecture(),
            Self::Clap(config) => config.architecture(),
        }
    }
}

impl ClipConfig {
    fn architecture(&self) -> String {
        let (image, text) = (&self.image.transformer, &self.text.transformer);
        let size = match (image.width, image.layers) {
            (768, 12) => "B",
            (1024, 24) => "L",
            (1280, 32) => "H",
            (384, 12) => "S",
            _ => "custom",
        };
        format!(
            "CLIP ViT-{size}/{} at {} px ({} x {}, text {} x {})",
            self.image.patch_size,
            self.image.image_size,
            image.layers,
            image.width,
            text.layers,
            text.width
        )
    }
}

impl ClapConfig {
    fn architecture(&self) -> String {
        let audio = match &self.audio {
            AudioConfig::Htsat(config) => {
                let fused = if config.fusion.is_some() { ", fused" } else { "" };
                format!("HTSAT{fused} ({:?} x {}", config.depths, config.width)
            }
            AudioConfig::Cnn14(config) => format!("Cnn14 ({:?}", config.widths),
        };
        format!("CLAP {audio}, text {} x {})", self.text.layers, self.text.width)
    }
}

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
    /// The positive part.
    Relu,
}

impl Activation {
    pub(crate) fn kernel(self) -> umid_kernels::Activation {
        match self {
            Self::QuickGelu => umid_kernels::Activation::QuickGelu,
            Self::Gelu => umid_kernels::Activation::Gelu,
            Self::Relu => umid_kernels::Activation::Relu,
        }
    }

    pub(crate) fn apply<const D: usize>(self, inner: Tensor<D>) -> Tensor<D> {
        match self {
            Self::QuickGelu => inner.clone() * sigmoid(inner * QUICK_GELU_SLOPE),
            // Written out: on GPUs the gradient of burn's own GELU is that of another function,
            // the approximation through tanh.
            Self::Gelu => {
                let half = inner.clone() * 0.5;
                half.clone() * (inner * FRAC_1_SQRT_2).erf() + half
            }
            Self::Relu => relu(inner),
        }
    }
}

/// Everything about a CLAP model that its weights do not say themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClapConfig {
    /// The way from each tower to the joint embedding.
    pub projection: ProjectionConfig,
    /// The text tower.
    pub text: RobertaConfig,
    /// The audio tower.
    pub audio: AudioConfig,
}

/// Shape of an audio tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AudioConfig {
    /// A Swin transformer.
    Htsat(HtsatConfig),
    /// A convolutional network of six blocks (PANN).
    Cnn14(Cnn14Config),
}

impl AudioConfig {
    /// Mel bins of the input.
    pub fn mel_bins(&self) -> usize {
        match self {
            Self::Htsat(config) => config.mel_bins,
            Self::Cnn14(config) => config.mel_bins,
        }
    }

    /// Width of the pooled state.
    pub fn output_width(&self) -> usize {
        match self {
            Self::Htsat(config) => config.output_width(),
            Self::Cnn14(config) => config.widths[config.widths.len() - 1],
        }
    }

    /// Whether the features of pieces of a long clip are fused.
    pub fn fuses(&self) -> bool {
        matches!(self, Self::Htsat(HtsatConfig { fusion: Some(_), .. }))
    }

    /// Whether a short clip is fused with copies of itself.
    pub fn fuses_short(&self) -> bool {
        matches!(self, Self::Htsat(HtsatConfig { fusion: Some(fusion), .. }) if fusion.short_clips)
    }
}

/// A two-layer perceptron to the joint embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectionConfig {
    /// Width of the joint embedding.
    pub embedding_dim: usize,
    /// Activation between the layers.
    pub activation: Activation,
}

/// Shape of a bidirectional post-norm text transformer (RoBERTa).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RobertaConfig {
    /// Number of token ids.
    pub vocabulary: usize,
    /// Rows of the position table; the first `padding_id + 1` belong to no text.
    pub positions: usize,
    /// Id of the padding token.
    pub padding_id: usize,
    /// Rows of the token type table; texts are of the first type.
    pub token_types: usize,
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
    pub epsilon: f64,
}

impl RobertaConfig {
    /// Longest token sequence, start and end tokens included.
    pub fn context(&self) -> usize {
        self.positions.saturating_sub(self.padding_id + 1)
    }
}

/// Shape of the Swin transformer over folded log-mels (HTSAT).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HtsatConfig {
    /// Mel bins of the input.
    pub mel_bins: usize,
    /// Side of the square that the log-mels are folded into.
    pub spec_size: usize,
    /// Rows and columns of a patch.
    pub patch_size: [usize; 2],
    /// Rows and columns between patches.
    pub patch_stride: [usize; 2],
    /// Whether a layer norm follows the patches.
    pub patch_norm: bool,
    /// Width of the first stage; each further stage has twice the width.
    pub width: usize,
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// Attention heads of each stage.
    pub heads: Vec<usize>,
    /// Side of an attention window in tokens.
    pub window: usize,
    /// Width of a block's MLP over the block's width.
    pub mlp_ratio: f64,
    /// Whether query, key and value have a bias.
    pub qkv_bias: bool,
    /// Activation of the MLPs.
    pub activation: Activation,
    /// Epsilon of the layer norms inside blocks.
    pub epsilon: f64,
    /// Whether and how features of a long clip's pieces are fused.
    pub fusion: Option<FusionConfig>,
}

/// Shape of the attentional feature fusion (`aff_2d`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FusionConfig {
    /// The first stage's width over that of the attention's inner layer.
    pub reduction: usize,
    /// Whether a clip that fits the input is fused with copies of itself, as transformers does
    /// with a clip that is given alone, or not at all, as laion_clap has it.
    pub short_clips: bool,
}

impl HtsatConfig {
    /// Consecutive pieces of a clip that are laid under one another.
    pub fn folds(&self) -> usize {
        self.spec_size / self.mel_bins
    }

    /// Width of a stage.
    pub fn width_of(&self, stage: usize) -> usize {
        self.width << stage
    }

    /// Width of the pooled state.
    pub fn output_width(&self) -> usize {
        self.width_of(self.depths.len() - 1)
    }

    /// Width of the hidden layer of a stage's MLPs.
    pub fn mlp_width(&self, stage: usize) -> usize {
        (self.mlp_ratio * self.width_of(stage) as f64) as usize
    }

    /// Tokens along the shorter side of a stage, as the reference counts them.
    pub fn resolution(&self, stage: usize) -> usize {
        self.patch_stride
            .map(|stride| (self.spec_size / stride) >> stage)
            .into_iter()
            .min()
            .unwrap_or(0)
    }

    /// Tokens of a stage, down and to the right; merging pads an odd side.
    pub(crate) fn grid(&self, stage: usize) -> [usize; 2] {
        self.patch_stride
            .map(|stride| (0..stage).fold(self.spec_size / stride, |side, _| side.div_ceil(2)))
    }

    /// Zeros around the square before it is cut into patches.
    pub fn padding(&self) -> [usize; 2] {
        [0, 1].map(|axis| (self.patch_size[axis] - self.patch_stride[axis]) / 2)
    }
}

/// Shape of the convolutional network (PANN's Cnn14).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cnn14Config {
    /// Mel bins of the input.
    pub mel_bins: usize,
    /// Channels of the six blocks.
    pub widths: [usize; 6],
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

    /// Derivatives of `x * normal_cdf(x)`; the approximation through tanh has 1.0830 at 1.
    #[test]
    fn the_gradient_of_gelu_is_that_of_the_error_function() {
        let at = [-3.0f32, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0];
        let expected = [-0.0119456, -0.0833155, 0.1325049, 0.5, 0.8674951, 1.0833155, 1.0852318];
        let x =
            Tensor::<1>::from_data(at, &crate::default_device().unwrap().autodiff()).require_grad();
        let gradients = Activation::Gelu.apply(x.clone()).sum().backward();
        let found = crate::to_host(x.grad(&gradients).unwrap());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 2e-6, "{found}, expected {expected}");
        }
    }

    #[test]
    fn pooling_takes_the_first_match() {
        assert_eq!(Pooling::LargestId.position(&[3, 9, 4, 9]), 1);
        assert_eq!(Pooling::FirstOf(4).position(&[3, 9, 4, 4]), 2);
        assert_eq!(Pooling::FirstOf(7).position(&[3, 9, 4]), 0);
    }
}
