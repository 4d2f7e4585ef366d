//! SigLIP and SigLIP 2 in the Hugging Face layout, as transformers writes `SiglipModel` and
//! `Siglip2Model`.
//!
//! Reference: transformers, `models/siglip/configuration_siglip.py` and `modeling_siglip.py`.
//! SigLIP 2 of one image size is published as `siglip` too; as `siglip2` it takes images of any
//! proportion (`NaFlex`), which have no room here, so that it opens with its text tower alone.
//!
//! Texts are padded to the context, attention is not masked, and the last position is read, which
//! is padding in most texts: so a text's embedding depends on the padding, and no prefix can be
//! shared. The logits have a bias beside their factor, which is the same for all.

use serde_json::Value;

use super::clip::{CONFIG, transformer};
use super::{Family, Names, Opened, as_described, checked, image_processor};
use crate::Result;
use crate::checkpoint::{Found, Section, View};
use crate::config::{
    Activation, ClipTextConfig, InputConfig, ModelConfig, Pooling, TextAttention, TextConfig,
    TextHead, VitConfig, VitHead, VitPooling,
};
use crate::front_end::{FrontEnd, Modality};
use crate::provenance::Provenance;
use crate::tokenizer::{TextRules, TokenizerFiles};

const FIXED: &str = "siglip";
const FLEXIBLE: &str = "siglip2";
/// Added to every logit: it changes no order and no cosine.
const LOGIT_BIAS: &str = "logit_bias";
/// Width, attention heads and width of the MLP, and epsilon of either tower.
const DEFAULTS: [usize; 3] = [768, 12, 3_072];
const EPSILON: f64 = 1e-6;

/// `SiglipModel` of transformers, and the text tower of `Siglip2Model`.
pub(super) struct Siglip;

impl Family for Siglip {
    fn recognises(&self, found: &Found) -> bool {
        matches!(found.model_type().as_deref(), Some(FIXED | FLEXIBLE))
    }

    fn open(&self, found: &Found) -> Result<Opened> {
        let path = found.path(CONFIG);
        let mut files = vec![path.clone()];
        let flexible = found.model_type().as_deref() == Some(FLEXIBLE);
        let (config, defaulted) = read_config(&path, flexible)?;
        let front_end = if flexible {
            let reason = "its image tower takes images of any proportion, which is not known here";
            FrontEnd::Absent { modality: Modality::Image, reason: reason.to_owned() }
        } else {
            let (front_end, preprocess_path) = image_processor::front_end(found, "Siglip")?;
            files.push(preprocess_path);
            front_end
        };
        let weights = self.weights(found)?;
        files.extend(weights.all());
        let mut checkpoint = found.open(&weights, defaulted)?;
        for tower in ["text_model", "vision_model"] {
            checkpoint.discard(&format!("{tower}.embeddings.position_ids"));
        }
        checkpoint.skip(LOGIT_BIAS);
        if flexible {
            checkpoint.leave("vision_model.");
        }
        let (names, provenance) = (Names::of_both(stored_name), Provenance::default());
        // The end token alone is added to a text.
        let texts = TextRules { least_added: 1, ..TextRules::of(TokenizerFiles::Whole) };
        Ok(Opened { config, front_end, checkpoint, names, texts, files, provenance })
    }
}

/// The text tower's projection is its head; the image tower has none.
fn stored_name(name: &str) -> (String, View) {
    as_described(&name.replacen("text_projection.", "text_model.head.", 1))
}

fn read_config(path: &std::path::Path, flexible: bool) -> Result<(ModelConfig, Vec<String>)> {
    let top = Section::read(path)?;
    let section = |key: &str| match top.get(key) {
        Some(_) => top.section(key),
        None => Ok(Section::empty(path)),
    };
    let mut text = section("text_config")?;
    let mut vision = section("vision_config")?;
    let width = vision.count_or("hidden_size", 768)?;
    let transformer = transformer(&mut text, DEFAULTS, Activation::GeluTanh, EPSILON)?;
    let projected = text.optional_count("projection_size")?.unwrap_or(transformer.width);
    if projected != width {
        let expected = format!("{width}, the width of the image tower");
        return Err(text.invalid("projection_size", &Value::from(projected), &expected));
    }
    let text_config = ClipTextConfig {
        vocabulary: text.count_or("vocab_size", 32_000)?,
        context: text.count_or("max_position_embeddings", 64)?,
        attention: TextAttention::Bidirectional,
        pooling: Pooling::Last,
        head: TextHead::LinearWithBias,
        transformer,
    };
    let input = if flexible { None } else { Some(InputConfig::Vit(vit(&mut vision)?)) };
    let config = ModelConfig { embedding_dim: width, text: TextConfig::Clip(text_config), input };
    checked(config, path, [text, vision])
}

fn vit(vision: &mut Section) -> Result<VitConfig> {
    if vision.optional_flag("vision_use_head")? == Some(false) {
        let expected = "true: without its head an image has no embedding";
        return Err(vision.invalid("vision_use_head", &Value::from(false), expected));
    }
    Ok(VitConfig {
        image_size: vision.count_or("image_size", 224)?,
        patch_size: vision.count_or("patch_size", 16)?,
        channels: vision.count_or("num_channels", 3)?,
        patch_bias: true,
        class_token: false,
        pre_norm: false,
        transformer: transformer(vision, DEFAULTS, Activation::GeluTanh, EPSILON)?,
        pooling: VitPooling::Probe,
        head: VitHead::None,
    })
}
