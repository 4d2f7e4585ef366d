//! The OpenCLIP layout, as `open_clip` pushes models to a hub.
//!
//! Reference: open_clip, `model.py`, `transformer.py`, `push_to_hf_hub.py`. Query, key and
//! value are one fused matrix, and projections without a bias are stored as `[width, embedding]`
//! matrices. The text tower's tensors stand at the top, or under `text.` in models that open_clip
//! calls `custom_text`; which, the file says.

mod bare;
mod clap;
mod config;
mod hf_text;
mod names;
mod preprocess;
mod text;
mod timm;
mod vision;

use serde_json::{Value, json};

pub(super) use self::bare::Bare;
pub(super) use self::clap::OpenClipClap;
use self::config::{Read, read_config};
use self::names::{names, stored_name};
use self::preprocess::read_preprocess;
use super::{Family, Opened};
use crate::Result;
use crate::checkpoint::{Found, Naming, Section, WeightFiles};
use crate::config::{
    Activation, ClipTextConfig, InputConfig, ModelConfig, Pooling, ResnetConfig, TextConfig,
};
use crate::front_end::{Filter, FrontEnd, Modality, Preprocess};
use crate::precision::Precision;
use crate::provenance::Provenance;

/// The configuration's file name.
const CONFIG: &str = "open_clip_config.json";
/// The name of a written model's weights.
const WEIGHTS: &str = "open_clip_model.safetensors";
/// What open_clip calls weights, in the order in which it looks for them in a directory.
const ALL_WEIGHTS: [&str; 8] = [
    WEIGHTS,
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
];

/// `CLIP` of open_clip.
pub(super) struct OpenClip;

impl Family for OpenClip {
    fn layout(&self) -> &'static str {
        "open-clip"
    }

    fn recognises(&self, found: &Found) -> bool {
        found.has(CONFIG) && !found.is_of_transformers() && !clap::hears(found)
    }

    fn weights(&self, found: &Found) -> Result<WeightFiles> {
        found.weights(&ALL_WEIGHTS)
    }

    fn open(&self, found: &Found) -> Result<Opened> {
        let config_path = found.path(CONFIG);
        let top = Section::read(&config_path)?;
        let weights = self.weights(found)?;
        let mut checkpoint = found.open(&weights, Vec::new())?;
        let Read { config, texts, image, assumed, defaulted } = read_config(&top, &checkpoint)?;
        checkpoint.defaulted(defaulted);
        let files = std::iter::once(config_path).chain(weights.all()).collect();
        // A causal mask that some versions saved as a buffer.
        for name in ["attn_mask", "text.attn_mask"] {
            checkpoint.discard(name);
        }
        // CoCa's decoder is no part of either tower.
        if top.section("model_cfg")?.get("multimodal_cfg").is_some() {
            checkpoint.leave("text_decoder.");
        }
        let front_end = match image {
            Ok(size) => FrontEnd::Image(read_preprocess(&top, size)?),
            Err(reason) => {
                checkpoint.leave("visual.");
                FrontEnd::Absent { modality: Modality::Image, reason }
            }
        };
        let (names, provenance) =
            (names(&config, &checkpoint), Provenance { assumed, ..Provenance::default() });
        Ok(Opened { config, front_end, checkpoint, names, texts, files, provenance })
    }

    fn naming(&self) -> Naming {
        stored_name
    }

    fn weights_file(&self) -> &'static str {
        WEIGHTS
    }

    /// Models that transformers has are written in its layout.
    fn writes(&self, config: &ModelConfig) -> bool {
        matches!(
            (&config.text, &config.input),
            (
                TextConfig::Clip(text @ ClipTextConfig { pooling: Pooling::LargestId, .. }),
                Some(InputConfig::Resnet(_))
            ) if text.is_clip()
        )
    }

    fn files(
        &self,
        config: &ModelConfig,
        front_end: &FrontEnd,
        _: Precision,
    ) -> Option<Vec<(&'static str, Value)>> {
        match (&config.text, &config.input, front_end) {
            (
                TextConfig::Clip(text),
                Some(InputConfig::Resnet(image)),
                FrontEnd::Image(preprocess),
            ) => Some(vec![(CONFIG, config_json(config.embedding_dim, text, image, preprocess))]),
            _ => None,
        }
    }
}

/// The contents of the configuration's file. open_clip resizes and crops to the image's size.
fn config_json(
    embedding_dim: usize,
    text: &ClipTextConfig,
    image: &ResnetConfig,
    preprocess: &Preprocess,
) -> Value {
    json!({
        "model_cfg": {
            "embed_dim": embedding_dim,
            "quick_gelu": text.transformer.activation == Activation::QuickGelu,
            "vision_cfg": {
                "image_size": image.image_size,
                "layers": image.layers,
                "width": image.width,
                "head_width": image.features() / image.heads,
                "patch_size": null,
            },
            "text_cfg": {
                "context_length": text.context,
                "vocab_size": text.vocabulary,
                "width": text.transformer.width,
                "heads": text.transformer.heads,
                "layers": text.transformer.layers,
                "mlp_ratio": text.transformer.mlp_width as f64 / text.transformer.width as f64,
            },
        },
        "preprocess_cfg": {
            "mean": preprocess.mean,
            "std": preprocess.std,
            "interpolation": match preprocess.filter {
                Filter::Bilinear => "bilinear",
                Filter::Bicubic => "bicubic",
            },
            "resize_mode": "shortest",
        },
    })
}
