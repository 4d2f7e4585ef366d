//! The shape of a model, whichever family it was read by.

use serde::{Deserialize, Serialize};

pub use crate::nn::Activation;
pub use crate::nn::head::HeadConfig;
pub use crate::nn::mobile_stem::MobileStemConfig;
pub use crate::nn::projection::ProjectionConfig;
pub use crate::nn::queries::LatentPoolConfig;
pub use crate::nn::relative::RelativePositionsConfig;
pub use crate::nn::rotary::{FirstAxis, RotaryConfig};
pub use crate::nn::vit_block::{BranchNorm, Perceptron, Projections, VitBlockConfig};
pub use crate::towers::{
    BertConfig, ClipTextConfig, Cnn14Config, EncoderPooling, FusionConfig, HtsatConfig,
    InputConfig, M2m100Config, Pooling, QueriesRead, ResnetConfig, T5Config, TextAttention,
    TextConfig, TextHead, TransformerConfig, VitConfig, VitHead, VitPooling,
};
// Of timm.
pub use crate::towers::{
    ConvNextConfig, FastVitConfig, FastVitStageConfig, LearntPositions, Mixer, PatchStem,
    TimmVitConfig, VitPool,
};

/// Everything about a model that its weights do not say themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Width of the joint embedding.
    pub embedding_dim: usize,
    /// The text tower.
    pub text: TextConfig,
    /// The input tower; `None` if the model has none, or one of a kind that is not known here.
    pub input: Option<InputConfig>,
}

impl ModelConfig {
    /// The architecture in words, such as
    /// `CLIP ViT-B/32 at 224 px (12 x 768, text 12 x 512)`.
    pub fn architecture(&self) -> String {
        let text = self.text.dimensions();
        let Some(input) = &self.input else {
            return format!("text tower alone ({text})");
        };
        let kind = match input.modality() {
            crate::Modality::Image => "CLIP",
            crate::Modality::Audio => "CLAP",
        };
        format!("{kind} {} ({}, text {text})", input.name(), input.dimensions())
    }
}
