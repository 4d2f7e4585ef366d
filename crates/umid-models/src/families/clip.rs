//! CLIP in the Hugging Face layout, as transformers writes `CLIPModel`.
//!
//! Reference: transformers, `models/clip/configuration_clip.py` and `modeling_clip.py`.
//! transformers leaves out of `config.json` what equals its defaults, so absent sizes take
//! the same defaults here; they are named if a shape then does not fit.

use std::path::Path;

use serde_json::{Value, json};

use super::{Family, Names, Opened, as_described, checked, image_processor};
use crate::checkpoint::{Found, Section};
use crate::config::{
    Activation, ClipTextConfig, InputConfig, ModelConfig, Pooling, TextConfig, TransformerConfig,
    VitConfig,
};
use crate::front_end::FrontEnd;
use crate::precision::Precision;
use crate::provenance::Provenance;
use crate::tokenizer::{TextRules, TokenizerFiles};
use crate::{ModelError, Result};

/// The configuration's file name.
pub(super) const CONFIG: &str = "config.json";
pub(super) const PREPROCESSOR: &str = "preprocessor_config.json";
/// Where transformers 5 saves the image processor's settings, together with the tokenizer's.
pub(super) const PROCESSOR: &str = "processor_config.json";

/// `eos_token_id` of configurations written before it was fixed; pooling then goes by the
/// largest id (transformers pull request 24773).
const LEGACY_EOS: usize = 2;

/// The `model_type` of MetaCLIP 2, which is CLIP with another tokenizer, whose end token really has
/// the id 2.
const META_CLIP_2: &str = "metaclip_2";

/// Buffers of older checkpoints that only count positions.
pub(super) const POSITION_IDS: [&str; 2] =
    ["text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"];

/// `CLIPModel` of transformers.
pub(super) struct Clip;

impl Family for Clip {
    fn recognises(&self, found: &Found) -> bool {
        matches!(found.model_type().as_deref(), Some("clip" | META_CLIP_2))
    }

    fn open(&self, found: &Found) -> Result<Opened> {
        let path = found.path(CONFIG);
        let (config, defaulted) = read_config(&path)?;
        let (front_end, preprocess_path) = image_processor::front_end(found, "CLIP")?;
        let weights = self.weights(found)?;
        let mut checkpoint = found.open(&weights, defaulted)?;
        for name in POSITION_IDS {
            checkpoint.discard(name);
        }
        let mut files = vec![path, preprocess_path];
        files.extend(weights.all());
        let (names, provenance) = (Names::of_both(as_described), Provenance::default());
        let texts = TextRules::of(TokenizerFiles::WholeOrBpe);
        Ok(Opened { config, front_end, checkpoint, names, texts, files, provenance })
    }

    fn writes(&self, config: &ModelConfig) -> bool {
        matches!(
            (&config.text, &config.input),
            (TextConfig::Clip(text), Some(InputConfig::Vit(image)))
                if text.is_clip() && image.is_clip()
        )
    }

    fn files(
        &self,
        config: &ModelConfig,
        front_end: &FrontEnd,
        precision: Precision,
    ) -> Option<Vec<(&'static str, Value)>> {
        match (&config.text, &config.input, front_end) {
            (
                TextConfig::Clip(text),
                Some(InputConfig::Vit(image)),
                FrontEnd::Image(preprocess),
            ) => Some(vec![
                (CONFIG, config_json(config.embedding_dim, text, image, precision)),
                (PREPROCESSOR, image_processor::to_json(preprocess)),
            ]),
            _ => None,
        }
    }
}

/// Name of the layout, of every family that transformers writes.
pub(super) const LAYOUT: &str = "hugging-face";

/// Why a directory's `config.json` belongs to no family.
pub(super) fn unknown_model(directory: &Path) -> ModelError {
    let section = match Section::read(&directory.join(CONFIG)) {
        Ok(section) => section,
        Err(error) => return error,
    };
    match section.optional_text("model_type") {
        Err(error) => error,
        Ok(None) => section.missing("model_type"),
        Ok(Some(other)) => section.unsupported(format!("model_type `{other}`")),
    }
}

fn read_config(path: &Path) -> Result<(ModelConfig, Vec<String>)> {
    let mut top = Section::read(path)?;
    let mut text = tower_section(&top, "text_config")?;
    let mut vision = tower_section(&top, "vision_config")?;
    let legacy = top.optional_text("model_type")? != Some(META_CLIP_2);
    let config = ModelConfig {
        embedding_dim: top.count_or("projection_dim", 512)?,
        text: TextConfig::Clip(self::text(&mut text, legacy)?),
        input: Some(vit(&mut vision)?),
    };
    checked(config, path, [top, text, vision])
}

/// CLIP's text tower. `legacy` is whether an end token of [`LEGACY_EOS`] means the largest id.
pub(super) fn text(text: &mut Section, legacy: bool) -> Result<ClipTextConfig> {
    Ok(ClipTextConfig::clip(
        text.count_or("vocab_size", 49_408)?,
        text.count_or("max_position_embeddings", 77)?,
        pooling(text, legacy)?,
        transformer(text, [512, 8, 2_048], Activation::QuickGelu, 1e-5)?,
    ))
}

/// CLIP's image tower.
pub(super) fn vit(vision: &mut Section) -> Result<InputConfig> {
    Ok(InputConfig::Vit(VitConfig {
        channels: vision.count_or("num_channels", 3)?,
        ..VitConfig::clip(
            vision.count_or("image_size", 224)?,
            vision.count_or("patch_size", 32)?,
            transformer(vision, [768, 12, 3_072], Activation::QuickGelu, 1e-5)?,
        )
    }))
}

/// A tower's section. Older files give it twice, and transformers then lets the second,
/// completed with its defaults, replace the first.
fn tower_section(top: &Section, key: &str) -> Result<Section> {
    let second = format!("{key}_dict");
    if top.get(&second).is_some() { top.section(&second) } else { top.section(key) }
}

fn pooling(text: &mut Section, legacy: bool) -> Result<Pooling> {
    const KEY: &str = "eos_token_id";
    let eos = text.count_or(KEY, 49_407)?;
    if legacy && eos == LEGACY_EOS {
        return Ok(Pooling::LargestId);
    }
    let id = u32::try_from(eos);
    id.map(Pooling::FirstOf).map_err(|_| text.invalid(KEY, &Value::from(eos), "a token id"))
}

/// The blocks of either tower, with the format's defaults.
pub(super) fn transformer(
    section: &mut Section,
    [width, heads, mlp_width]: [usize; 3],
    activation: Activation,
    epsilon: f64,
) -> Result<TransformerConfig> {
    Ok(TransformerConfig {
        width: section.count_or("hidden_size", width)?,
        layers: section.count_or("num_hidden_layers", 12)?,
        heads: section.count_or("num_attention_heads", heads)?,
        mlp_width: section.count_or("intermediate_size", mlp_width)?,
        activation: section.optional_activation("hidden_act")?.unwrap_or(activation),
        layer_norm_epsilon: section.optional_number("layer_norm_eps")?.unwrap_or(epsilon),
        layer_scale: false,
    })
}

/// The contents of `config.json`.
fn config_json(
    embedding_dim: usize,
    text: &ClipTextConfig,
    image: &VitConfig,
    precision: Precision,
) -> Value {
    let eos = match text.pooling {
        Pooling::FirstOf(eos) => eos,
        _ => LEGACY_EOS as u32,
    };
    let mut text_json = transformer_json(&text.transformer, "clip_text_model");
    text_json["vocab_size"] = json!(text.vocabulary);
    text_json["max_position_embeddings"] = json!(text.context);
    text_json["eos_token_id"] = json!(eos);
    text_json["projection_dim"] = json!(embedding_dim);
    let mut image_json = transformer_json(&image.transformer, "clip_vision_model");
    image_json["image_size"] = json!(image.image_size);
    image_json["patch_size"] = json!(image.patch_size);
    image_json["num_channels"] = json!(image.channels);
    image_json["projection_dim"] = json!(embedding_dim);
    json!({
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": embedding_dim,
        "torch_dtype": precision.torch_name(),
        "text_config": text_json,
        "vision_config": image_json,
    })
}

fn transformer_json(config: &TransformerConfig, model_type: &str) -> Value {
    json!({
        "model_type": model_type,
        "hidden_size": config.width,
        "intermediate_size": config.mlp_width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "hidden_act": config.activation.transformers_name(),
        "layer_norm_eps": config.layer_norm_epsilon,
    })
}
