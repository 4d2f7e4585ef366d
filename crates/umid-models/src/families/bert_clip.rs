//! CLIP models of transformers whose text tower is a BERT or RoBERTa: `chinese_clip`, `altclip` and
//! `vision-text-dual-encoder` with CLIP's image tower or the plain `vit`. With any other image tower
//! a dual encoder opens with its text tower alone.
//!
//! References: transformers, `models/chinese_clip/modeling_chinese_clip.py` (the last layer at the
//! first token, a linear head), `models/altclip/modeling_altclip.py` (a further norm and linear
//! layer before the head), `models/vision_text_dual_encoder` (each tower's own pooler, then a linear
//! head) and `models/vit`. Absent sizes take the defaults of the configuration classes.

use serde_json::Value;

use super::clip::{CONFIG, POSITION_IDS, transformer, vit};
use super::{Family, Names, Opened, as_described, checked, image_processor};
use crate::Result;
use crate::checkpoint::{Found, Naming, Section, View};
use crate::config::{
    Activation, BertConfig, EncoderPooling, InputConfig, ModelConfig, TextConfig, TextHead,
    VitConfig, VitPooling,
};
use crate::front_end::{FrontEnd, Modality};
use crate::provenance::Provenance;
use crate::tokenizer::{TextRules, TokenizerFiles};

/// What names of AltCLIP's encoder begin with, below the text tower.
const ROBERTA: &str = "text_model.roberta.";
/// Where transformers says how long texts may be.
const SETTINGS: &str = "tokenizer_config.json";
/// What transformers 5 calls AltCLIP's image blocks when it writes them; all others are `layers`.
const LAYER: &str = "vision_model.encoder.layer.";
/// Where older files have the image tower of a dual encoder.
const NESTED: &str = "vision_model.vision_model.";
/// Names of CLIP's image tower, and what `ViTModel` calls the same.
const NAMES_OF_VIT: [(&str, &str); 13] = [
    (".class_embedding", ".cls_token"),
    (".position_embedding.weight", ".position_embeddings"),
    (".patch_embedding.", ".patch_embeddings.projection."),
    (".encoder.layers.", ".encoder.layer."),
    (".self_attn.q_proj.", ".attention.attention.query."),
    (".self_attn.k_proj.", ".attention.attention.key."),
    (".self_attn.v_proj.", ".attention.attention.value."),
    (".self_attn.out_proj.", ".attention.output.dense."),
    (".mlp.fc1.", ".intermediate.dense."),
    (".mlp.fc2.", ".output.dense."),
    (".layer_norm1.", ".layernorm_before."),
    (".layer_norm2.", ".layernorm_after."),
    (".post_layernorm.", ".layernorm."),
];
/// The padding token of every RoBERTa, behind whose id its positions begin.
const ROBERTA_PADDING: usize = 1;

/// `ChineseCLIPModel` of transformers.
pub(super) struct ChineseClip;

/// `AltCLIPModel` of transformers.
pub(super) struct AltClip;

/// `VisionTextDualEncoderModel` of transformers.
pub(super) struct DualEncoder;

/// What a text configuration leaves out.
struct Defaults {
    vocabulary: usize,
    width: usize,
    layers: usize,
    heads: usize,
    mlp_width: usize,
    positions: usize,
    token_types: usize,
    epsilon: f64,
    is_roberta: bool,
}

const BERT: Defaults = Defaults {
    vocabulary: 30_522,
    width: 768,
    layers: 12,
    heads: 12,
    mlp_width: 3_072,
    positions: 512,
    token_types: 2,
    epsilon: 1e-12,
    is_roberta: false,
};
const ALT_ROBERTA: Defaults = Defaults {
    vocabulary: 250_002,
    width: 1_024,
    layers: 24,
    heads: 16,
    mlp_width: 4_096,
    positions: 514,
    token_types: 1,
    epsilon: 1e-5,
    is_roberta: true,
};

impl Family for ChineseClip {
    fn recognises(&self, found: &Found) -> bool {
        found.model_type().as_deref() == Some("chinese_clip")
    }

    fn open(&self, found: &Found) -> Result<Opened> {
        let files = TokenizerFiles::WholeOrWordPieces;
        open(found, 512, files, as_described, |text| {
            encoder(text, &BERT, EncoderPooling::First, TextHead::Linear)
        })
    }
}

impl Family for AltClip {
    fn recognises(&self, found: &Found) -> bool {
        found.model_type().as_deref() == Some("altclip")
    }

    fn open(&self, found: &Found) -> Result<Opened> {
        let mut opened = open(found, 768, TokenizerFiles::Whole, below_roberta, |text| {
            let head = TextHead::Transformed(text.count_or("project_dim", 768)?);
            encoder(text, &ALT_ROBERTA, EncoderPooling::First, head)
        })?;
        if opened.checkpoint.names().iter().any(|name| name.starts_with(LAYER)) {
            opened.names.input = singular;
        }
        Ok(opened)
    }
}

impl Family for DualEncoder {
    fn recognises(&self, found: &Found) -> bool {
        found.model_type().as_deref() == Some("vision-text-dual-encoder")
    }

    fn open(&self, found: &Found) -> Result<Opened> {
        let files = TokenizerFiles::WholeOrWordPieces;
        let mut opened = open(found, 512, files, as_described, |text| {
            let is_roberta = match text.optional_text("model_type")? {
                Some("bert") => false,
                Some("roberta" | "xlm-roberta") => true,
                other => {
                    let found = Value::from(other);
                    let expected = "`bert`, `roberta` or `xlm-roberta`";
                    return Err(text.invalid("model_type", &found, expected));
                }
            };
            let defaults = Defaults { is_roberta, ..BERT };
            encoder(text, &defaults, EncoderPooling::Pooler, TextHead::Linear)
        })?;
        if opened.checkpoint.names().iter().any(|name| name.starts_with(NESTED)) {
            opened.names.input = nested;
            opened.checkpoint.discard("vision_model.vision_model.embeddings.position_ids");
        }
        Ok(opened)
    }
}

fn below_roberta(name: &str) -> (String, View) {
    let of_encoder = ["text_model.embeddings.", "text_model.encoder."];
    let name = if of_encoder.iter().any(|prefix| name.starts_with(prefix)) {
        name.replacen("text_model.", ROBERTA, 1)
    } else {
        name.to_owned()
    };
    (name, View::Whole)
}

fn singular(name: &str) -> (String, View) {
    (name.replacen("vision_model.encoder.layers.", LAYER, 1), View::Whole)
}

fn nested(name: &str) -> (String, View) {
    (name.replacen("vision_model.", NESTED, 1), View::Whole)
}

fn of_vit(name: &str) -> (String, View) {
    let replaced = |name: String, (from, to): &(&str, &str)| name.replacen(from, to, 1);
    (NAMES_OF_VIT.iter().fold(name.to_owned(), replaced), View::Whole)
}

/// An image tower that is known, what its tensors are called, and the kind of its image processor.
struct Image {
    config: InputConfig,
    names: Naming,
    processor: &'static str,
}

impl Image {
    /// `None` of a kind that is not known.
    fn read(kind: Option<&str>, vision: &mut Section) -> Result<Option<Self>> {
        Ok(match kind {
            Some("vit") => {
                let config = InputConfig::Vit(plain_vit(vision)?);
                Some(Self { config, names: of_vit, processor: "ViT" })
            }
            Some(other) if !other.contains("clip_vision_model") => None,
            _ => Some(Self { config: vit(vision)?, names: as_described, processor: "CLIP" }),
        })
    }
}

/// The image tower of `ViTModel` with its pooler, which a dual encoder reads.
fn plain_vit(vision: &mut Section) -> Result<VitConfig> {
    let width = vision.count_or("hidden_size", 768)?;
    if vision.optional_flag("qkv_bias")? == Some(false) {
        return Err(vision.invalid("qkv_bias", &Value::from(false), "true"));
    }
    if let Some(other) = vision.optional_text("pooler_act")?.filter(|name| *name != "tanh") {
        return Err(vision.invalid("pooler_act", &Value::from(other), "`tanh`"));
    }
    let pooled = vision.optional_count("pooler_output_size")?.unwrap_or(width);
    if pooled != width {
        let expected = format!("{width}, the width of the tower");
        return Err(vision.invalid("pooler_output_size", &Value::from(pooled), &expected));
    }
    let transformer = transformer(vision, [width, 12, 3_072], Activation::Gelu, 1e-12)?;
    let (image_size, patch_size) =
        (vision.count_or("image_size", 224)?, vision.count_or("patch_size", 16)?);
    Ok(VitConfig {
        channels: vision.count_or("num_channels", 3)?,
        patch_bias: true,
        pre_norm: false,
        pooling: VitPooling::Pooler,
        ..VitConfig::clip(image_size, patch_size, transformer)
    })
}

/// Reads everything but the tokenizer and the towers.
fn open(
    found: &Found,
    embedding_dim: usize,
    files: TokenizerFiles,
    text_names: Naming,
    read_text: impl Fn(&mut Section) -> Result<BertConfig>,
) -> Result<Opened> {
    let path = found.path(CONFIG);
    let mut top = Section::read(&path)?;
    let (mut text, mut vision) = (top.section("text_config")?, top.section("vision_config")?);
    let kind = vision.optional_text("model_type")?.map(str::to_owned);
    let image = Image::read(kind.as_deref(), &mut vision)?;
    let mut tower = read_text(&mut text)?;
    // The reference cuts texts to what the tokenizer says, where that is shorter.
    let settings = Some(found.path(SETTINGS)).filter(|path| path.is_file());
    if let Some(settings) = &settings {
        let longest = Section::read(settings)?.get("model_max_length").and_then(Value::as_u64);
        let longest = longest.and_then(|longest| usize::try_from(longest).ok());
        tower.context = tower.context.min(longest.unwrap_or(usize::MAX));
    }
    let config = ModelConfig {
        embedding_dim: top.count_or("projection_dim", embedding_dim)?,
        text: TextConfig::Bert(tower),
        input: image.as_ref().map(|image| image.config.clone()),
    };
    let (config, defaulted) = checked(config, &path, [top, text, vision])?;
    let weights = found.weights(&crate::checkpoint::TRANSFORMERS)?;
    let mut checkpoint = found.open(&weights, defaulted)?;
    for name in POSITION_IDS {
        checkpoint.discard(name);
    }
    let (front_end, front_end_path) = if let Some(image) = &image {
        let (front_end, path) = image_processor::front_end(found, image.processor)?;
        (front_end, Some(path))
    } else {
        checkpoint.leave("vision_model.");
        checkpoint.leave("visual_projection.");
        let kind = kind.unwrap_or_default();
        let reason =
            format!("its image tower is a `{kind}` of transformers, which is not known here");
        (FrontEnd::Absent { modality: Modality::Image, reason }, None)
    };
    let files_read = std::iter::once(path).chain(front_end_path).chain(settings);
    let files_read = files_read.chain(weights.all());
    let input = image.map_or(as_described as Naming, |image| image.names);
    Ok(Opened {
        config,
        front_end,
        checkpoint,
        names: Names { text: text_names, input },
        texts: TextRules::of(files),
        files: files_read.collect(),
        provenance: Provenance::default(),
    })
}

fn encoder(
    text: &mut Section,
    defaults: &Defaults,
    pooling: EncoderPooling,
    head: TextHead,
) -> Result<BertConfig> {
    for (key, expected) in [("position_embedding_type", "absolute")] {
        if let Some(kind) = text.optional_text(key)?
            && kind != expected
        {
            return Err(text.invalid(key, &Value::from(kind), &format!("`{expected}`")));
        }
    }
    let positions = text.count_or("max_position_embeddings", defaults.positions)?;
    let first_position = if defaults.is_roberta {
        text.optional_count("pad_token_id")?.unwrap_or(ROBERTA_PADDING).saturating_add(1)
    } else {
        0
    };
    Ok(BertConfig {
        vocabulary: text.count_or("vocab_size", defaults.vocabulary)?,
        context: positions.saturating_sub(first_position),
        positions,
        first_position,
        token_types: text.count_or("type_vocab_size", defaults.token_types)?,
        width: text.count_or("hidden_size", defaults.width)?,
        layers: text.count_or("num_hidden_layers", defaults.layers)?,
        heads: text.count_or("num_attention_heads", defaults.heads)?,
        mlp_width: text.count_or("intermediate_size", defaults.mlp_width)?,
        activation: text.optional_activation("hidden_act")?.unwrap_or(Activation::Gelu),
        epsilon: text.optional_number("layer_norm_eps")?.unwrap_or(defaults.epsilon),
        pooling,
        head,
    })
}
