//! The models that targets are: a small CLIP, or a small CLAP with either audio tower.

use std::fmt;

use serde::{Deserialize, Serialize};
use umid_models::audio::{LogMel, LogMelParams, Padding, Reading, Truncation};
use umid_models::config::{
    Activation, BertConfig, ClipTextConfig, Cnn14Config, EncoderPooling, HtsatConfig, InputConfig,
    ModelConfig, Pooling, ProjectionConfig, ResnetConfig, TextConfig, TextHead, TransformerConfig,
    VitConfig,
};
use umid_models::{Filter, FrontEnd, ImageConvention, OPENAI_MEAN, OPENAI_STD, Preprocess, Resize};

use crate::photo::ImageSize;
use crate::recording::{CLIP_RATE, CLIP_SAMPLES, Medium};
use crate::tokenizer::{CaptionTokenizer, TokenizerFamily};

/// Width of every target's joint space.
const EMBEDDING_DIM: usize = 64;
/// Mel bins of every audio tower's input.
const MEL_BINS: usize = 32;
/// Id of RoBERTa's padding token, from behind which positions are counted.
const PADDING_ID: usize = 1;

/// Which towers a target has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// CLIP: a vision transformer and a causal text transformer.
    Vit(ModelShape),
    /// CLIP: a residual network and a causal text transformer.
    Resnet(ResnetShape),
    /// CLAP: a Swin transformer over folded log-mels, and RoBERTa.
    Htsat,
    /// CLAP: PANN's Cnn14 at a fraction of its width, and RoBERTa.
    Cnn14,
}

impl fmt::Display for Architecture {
    /// The kind of the input tower, and the layers and width of the text tower.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vit(shape) => {
                write!(f, "ViT/{}, text {} x {}", shape.patch, shape.text_layers, shape.width)
            }
            Self::Resnet(shape) => {
                write!(f, "ResNet, text {} x {}", shape.text_layers, shape.text_width)
            }
            Self::Htsat => f.write_str("HTSAT, RoBERTa"),
            Self::Cnn14 => f.write_str("Cnn14, RoBERTa"),
        }
    }
}

impl Default for Architecture {
    fn default() -> Self {
        Self::Vit(ModelShape::default())
    }
}

/// The shape of a CLIP target's towers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelShape {
    /// Side of a patch in pixels; it divides the side of a photo.
    pub patch: usize,
    /// Width of both towers, a multiple of four: there are four heads.
    pub width: usize,
    /// Blocks of the image tower.
    pub image_layers: usize,
    /// Blocks of the text tower.
    pub text_layers: usize,
}

impl Default for ModelShape {
    /// 670 thousand weights that memorise 400 people in minutes on one core.
    fn default() -> Self {
        Self { patch: 8, width: 96, image_layers: 3, text_layers: 2 }
    }
}

/// The shape of a CLIP target with a residual image tower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResnetShape {
    /// Channels after the stem; the last feature map has 32 times as many.
    pub width: usize,
    /// Blocks of the four stages.
    pub layers: [usize; 4],
    /// Width of the text tower, a multiple of four: there are four heads.
    pub text_width: usize,
    /// Blocks of the text tower.
    pub text_layers: usize,
}

impl Default for ResnetShape {
    /// One block per stage, and the text tower of the default [`ModelShape`].
    fn default() -> Self {
        let ModelShape { width: text_width, text_layers, .. } = ModelShape::default();
        Self { width: 12, layers: [1; 4], text_width, text_layers }
    }
}

impl Architecture {
    /// What the model takes beside texts.
    pub fn medium(self) -> Medium {
        match self {
            Self::Vit(_) | Self::Resnet(_) => Medium::Photos,
            Self::Htsat | Self::Cnn14 => Medium::Clips,
        }
    }

    /// Whose tokenizer the model has.
    pub fn tokenizer_family(self) -> TokenizerFamily {
        match self {
            Self::Vit(_) | Self::Resnet(_) => TokenizerFamily::Clip,
            Self::Htsat | Self::Cnn14 => TokenizerFamily::Roberta,
        }
    }

    /// The configuration of a target.
    pub fn config(self, tokenizer: &CaptionTokenizer, image_size: ImageSize) -> ModelConfig {
        let (text, input) = match self {
            Self::Vit(shape) => {
                let text = small_transformer(shape.width, shape.text_layers);
                let pooling = Pooling::FirstOf(tokenizer.end_id());
                (small_causal(text, pooling, tokenizer), small_vit(shape, image_size))
            }
            Self::Resnet(shape) => {
                let text = small_transformer(shape.text_width, shape.text_layers);
                // As open_clip, in whose layout such a model is written.
                let text = small_causal(text, Pooling::LargestId, tokenizer);
                (text, small_resnet(shape, image_size))
            }
            Self::Htsat => (small_roberta(tokenizer), InputConfig::Htsat(small_htsat())),
            Self::Cnn14 => (small_roberta(tokenizer), InputConfig::Cnn14(small_cnn14())),
        };
        ModelConfig { embedding_dim: EMBEDDING_DIM, text, input: Some(input) }
    }

    /// How recordings become inputs. Photos pass through it unscaled, clips uncut.
    ///
    /// # Panics
    /// Never: the sizes are constants.
    pub fn front_end(self, image_size: ImageSize) -> FrontEnd {
        match self {
            Self::Vit(_) | Self::Resnet(_) => FrontEnd::Image(preprocessing(image_size)),
            // Each layout reads as the package that it is named after.
            Self::Htsat => FrontEnd::Audio(log_mel(Reading::LIBROSA)),
            Self::Cnn14 => FrontEnd::Audio(log_mel(Reading::LAION)),
        }
    }
}

fn log_mel(reading: Reading) -> LogMel {
    let log_mel = LogMel::new(LogMelParams {
        sample_rate: CLIP_RATE as usize,
        window: 512,
        hop: 256,
        bins: MEL_BINS,
        lowest: 50.0,
        highest: 7_600.0,
        samples: CLIP_SAMPLES,
        truncation: Truncation::RandTrunc,
        padding: Padding::RepeatPad,
        reading,
    });
    log_mel.expect("the sizes fit each other")
}

fn small_causal(
    transformer: TransformerConfig,
    pooling: Pooling,
    tokenizer: &CaptionTokenizer,
) -> TextConfig {
    let (vocabulary, context) = (tokenizer.vocabulary_size(), tokenizer.context_length());
    TextConfig::Clip(ClipTextConfig::clip(vocabulary, context, pooling, transformer))
}

fn small_resnet(shape: ResnetShape, image_size: ImageSize) -> InputConfig {
    /// Width of an attention head in CLIP.
    const HEAD: usize = 64;
    let ResnetShape { width, layers, .. } = shape;
    let mut config = ResnetConfig { image_size: image_size.side(), layers, width, heads: 1 };
    config.heads = config.features() / HEAD;
    InputConfig::Resnet(config)
}

fn small_vit(shape: ModelShape, image_size: ImageSize) -> InputConfig {
    let transformer = small_transformer(shape.width, shape.image_layers);
    InputConfig::Vit(VitConfig::clip(image_size.side(), shape.patch, transformer))
}

fn small_transformer(width: usize, layers: usize) -> TransformerConfig {
    TransformerConfig {
        width,
        layers,
        heads: 4,
        mlp_width: 4 * width,
        activation: Activation::QuickGelu,
        layer_norm_epsilon: 1e-5,
        layer_scale: false,
    }
}

fn small_roberta(tokenizer: &CaptionTokenizer) -> TextConfig {
    TextConfig::Bert(BertConfig {
        vocabulary: tokenizer.vocabulary_size(),
        context: tokenizer.context_length(),
        positions: tokenizer.context_length() + PADDING_ID + 1,
        first_position: PADDING_ID + 1,
        token_types: 1,
        width: 96,
        layers: 2,
        heads: 4,
        mlp_width: 384,
        activation: Activation::Gelu,
        epsilon: 1e-5,
        pooling: EncoderPooling::Pooler,
        head: TextHead::Network(ProjectionConfig::Perceptron(Activation::Relu)),
    })
}

fn small_cnn14() -> Cnn14Config {
    Cnn14Config {
        frames: log_mel(Reading::LAION).frames(),
        mel_bins: MEL_BINS,
        widths: [8, 16, 32, 64, 96, 96],
        projection: ProjectionConfig::Perceptron(Activation::Relu),
    }
}

/// Two stages of windows: 126 frames of 32 bins, stretched to 128 and folded into a square of 64.
fn small_htsat() -> HtsatConfig {
    HtsatConfig {
        frames: log_mel(Reading::LIBROSA).frames(),
        mel_bins: MEL_BINS,
        spec_size: 64,
        patch_size: [8, 8],
        patch_stride: [8, 8],
        patch_norm: true,
        width: 64,
        depths: vec![2, 2],
        heads: vec![2, 4],
        window: 4,
        mlp_ratio: 4.0,
        qkv_bias: true,
        activation: Activation::Gelu,
        epsilon: 1e-5,
        fusion: None,
        projection: ProjectionConfig::Perceptron(Activation::Relu),
    }
}

/// CLIP's preprocessing at the size of the testbed's photos.
fn preprocessing(image_size: ImageSize) -> Preprocess {
    Preprocess {
        resize: Resize::ShortestEdge(image_size.side()),
        filter: Filter::Bicubic,
        crop: Some(image_size.side()),
        fill: 0,
        convention: ImageConvention::Transformers,
        mean: OPENAI_MEAN,
        std: OPENAI_STD,
    }
}
