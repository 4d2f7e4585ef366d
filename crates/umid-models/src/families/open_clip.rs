//! The OpenCLIP layout, as `open_clip` pushes models to a hub.
//!
//! Reference: open_clip, `model.py`, `transformer.py`, `push_to_hf_hub.py`. Query, key and
//! value are one fused matrix, both projections are stored as `[width, embedding]` matrices,
//! and the tokenizer's end token is found by its largest id.

use std::path::Path;

use serde_json::{Value, json};

use super::{Family, Opened, check};
use crate::checkpoint::{Checkpoint, Naming, Section, View};
use crate::config::{
    Activation, CausalTextConfig, InputConfig, ModelConfig, Pooling, ResnetConfig, TextConfig,
    TransformerConfig, VitConfig,
};
use crate::front_end::{
    CropRounding, Filter, FrontEnd, OPENAI_MEAN, OPENAI_STD, Preprocess, Resize, Transparency,
};
use crate::precision::Precision;
use crate::tokenizer::TokenizerFiles;
use crate::{ModelError, Result};

/// The configuration's file name.
const CONFIG: &str = "open_clip_config.json";
const WEIGHTS: &str = "open_clip_model.safetensors";
/// open_clip's layer norms all use PyTorch's default.
const LAYER_NORM_EPSILON: f64 = 1e-5;

/// `CLIP` of open_clip.
pub(super) struct OpenClip;

impl Family for OpenClip {
    fn layout(&self) -> &'static str {
        "open-clip"
    }

    fn recognises(&self, directory: &Path) -> bool {
        directory.join(CONFIG).is_file()
    }

    fn open(&self, directory: &Path) -> Result<Opened> {
        let config_path = directory.join(CONFIG);
        let top = Section::read(&config_path)?;
        let (config, image_size, defaulted) = read_config(&top)?;
        let front_end = FrontEnd::Image(read_preprocess(&top, image_size)?);
        let path = directory.join(WEIGHTS);
        if !path.is_file() {
            return Err(ModelError::MissingFile {
                path,
                purpose: "it holds the weights (pickled .bin and .pt files are not read)",
            });
        }
        let files = vec![config_path, path];
        let mut checkpoint = Checkpoint::open(directory, &files[1..], defaulted)?;
        // A causal mask that some versions saved as a buffer.
        checkpoint.discard("attn_mask");
        Ok(Opened { config, front_end, checkpoint, files })
    }

    fn naming(&self) -> Naming {
        stored_name
    }

    fn logit_scales(&self) -> &'static [&'static str] {
        &["logit_scale"]
    }

    fn tokenizer(&self) -> TokenizerFiles {
        TokenizerFiles::WholeOrBpe
    }

    fn weights_file(&self) -> &'static str {
        WEIGHTS
    }

    /// Models that transformers has are written in its layout.
    fn writes(&self, config: &ModelConfig) -> bool {
        matches!(
            (&config.text, &config.input),
            (
                TextConfig::Causal(CausalTextConfig { pooling: Pooling::LargestId, .. }),
                InputConfig::Resnet(_)
            )
        )
    }

    fn files(
        &self,
        config: &ModelConfig,
        front_end: &FrontEnd,
        _: Precision,
    ) -> Option<Vec<(&'static str, Value)>> {
        match (&config.text, &config.input, front_end) {
            (TextConfig::Causal(text), InputConfig::Resnet(image), FrontEnd::Image(preprocess)) => {
                Some(vec![(CONFIG, config_json(config.embedding_dim, text, image, preprocess))])
            }
            _ => None,
        }
    }
}

/// The contents of the configuration's file. open_clip resizes and crops to the image's size.
fn config_json(
    embedding_dim: usize,
    text: &CausalTextConfig,
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

fn read_config(top: &Section) -> Result<(ModelConfig, usize, Vec<String>)> {
    let model = top.section("model_cfg")?;
    let mut text = model.section("text_cfg")?;
    let mut vision = model.section("vision_cfg")?;
    for (section, key, why) in [
        (&model, "multimodal_cfg", "a CoCa model"),
        (&text, "hf_model_name", "a text tower of another package"),
        (&vision, "timm_model_name", "an image tower of another package"),
    ] {
        if section.get(key).is_some() {
            return Err(section.unsupported(why.to_owned()));
        }
    }
    for (section, key, plain) in [
        (&text, "embed_cls", Value::from(false)),
        (&text, "pad_id", Value::from(0)),
        (&text, "proj_type", Value::from("linear")),
        (&text, "proj_bias", Value::from(false)),
        (&text, "no_causal_mask", Value::from(false)),
        (&text, "final_ln_after_pool", Value::from(false)),
        (&text, "ls_init_value", Value::Null),
        (&vision, "ls_init_value", Value::Null),
        (&vision, "attentional_pool", Value::from(false)),
        (&vision, "no_ln_pre", Value::from(false)),
        (&vision, "final_ln_after_pool", Value::from(false)),
        (&vision, "pos_embed_type", Value::from("learnable")),
        (&vision, "pool_type", Value::from("tok")),
        (&vision, "output_tokens", Value::from(false)),
        (&model, "custom_text", Value::from(false)),
        (&model, "init_logit_bias", Value::Null),
    ] {
        if let Some(found) = section.get(key)
            && *found != plain
        {
            return Err(section.invalid(key, found, &format!("{plain}, the only kind supported")));
        }
    }
    match text.optional_text("pool_type")? {
        None | Some("argmax") => {}
        Some(other) => {
            let found = Value::from(other);
            return Err(text.invalid("pool_type", &found, "`argmax`, the only kind supported"));
        }
    }
    let activation = match model.optional_flag("quick_gelu")? {
        Some(true) => Activation::QuickGelu,
        Some(false) | None => Activation::Gelu,
    };
    let text_width = text.count_or("width", 512)?;
    let text_config = CausalTextConfig {
        vocabulary: text.count_or("vocab_size", 49_408)?,
        context: text.count_or("context_length", 77)?,
        pooling: Pooling::LargestId,
        transformer: TransformerConfig {
            width: text_width,
            layers: text.count_or("layers", 12)?,
            heads: text.count_or("heads", 8)?,
            mlp_width: mlp_width(&text, text_width)?,
            activation,
            layer_norm_epsilon: LAYER_NORM_EPSILON,
        },
    };
    let image_size = square(&mut vision, "image_size", 224)?;
    let config = ModelConfig {
        embedding_dim: model.count("embed_dim")?,
        text: TextConfig::Causal(text_config),
        input: if vision.get("layers").is_some_and(Value::is_array) {
            InputConfig::Resnet(resnet(&mut vision, image_size)?)
        } else {
            InputConfig::Vit(vit(&mut vision, image_size, activation)?)
        },
    };
    let mut defaulted = text.into_defaulted();
    defaulted.extend(vision.into_defaulted());
    check(&config, top.path(), &defaulted)?;
    Ok((config, image_size, defaulted))
}

fn resnet(vision: &mut Section, image_size: usize) -> Result<ResnetConfig> {
    let layers = vision.counts_or("layers", &[])?;
    let layers = layers.try_into().map_err(|_| {
        let found = vision.get("layers").unwrap_or(&Value::Null);
        vision.invalid("layers", found, "a number or four")
    })?;
    let width = vision.count_or("width", 64)?;
    let head_width = head_width(vision)?;
    let mut config = ResnetConfig { image_size, layers, width, heads: 0 };
    config.heads = config.features() / head_width;
    Ok(config)
}

fn head_width(vision: &mut Section) -> Result<usize> {
    let head_width = vision.count_or("head_width", 64)?;
    if head_width == 0 {
        return Err(vision.invalid("head_width", &Value::from(0), "a positive number"));
    }
    Ok(head_width)
}

fn vit(vision: &mut Section, image_size: usize, activation: Activation) -> Result<VitConfig> {
    let width = vision.count_or("width", 768)?;
    let head_width = head_width(vision)?;
    Ok(VitConfig {
        image_size,
        patch_size: square(vision, "patch_size", 16)?,
        channels: 3,
        transformer: TransformerConfig {
            width,
            layers: vision.count_or("layers", 12)?,
            heads: width / head_width,
            mlp_width: mlp_width(vision, width)?,
            activation,
            layer_norm_epsilon: LAYER_NORM_EPSILON,
        },
    })
}

fn mlp_width(section: &Section, width: usize) -> Result<usize> {
    let ratio = section.optional_number("mlp_ratio")?.unwrap_or(4.0);
    if !(ratio > 0.0 && ratio <= 64.0) {
        return Err(section.invalid("mlp_ratio", &Value::from(ratio), "a number from 0 to 64"));
    }
    // Truncated, as the reference does.
    Ok((width as f64 * ratio) as usize)
}

/// A side in pixels that may be given as a number or as an equal pair.
fn square(section: &mut Section, key: &str, default: usize) -> Result<usize> {
    match section.get(key) {
        Some(found @ Value::Array(sides)) => match sides.as_slice() {
            [a, b] if a == b => a
                .as_u64()
                .map(|n| n as usize)
                .ok_or_else(|| section.invalid(key, found, "whole numbers")),
            _ => Err(section.invalid(key, found, "a square")),
        },
        _ => section.count_or(key, default),
    }
}

fn read_preprocess(top: &Section, image_size: usize) -> Result<Preprocess> {
    let mut preprocess = Preprocess {
        resize: Resize::ShortestEdge(image_size),
        filter: Filter::Bicubic,
        crop: Some(image_size),
        crop_rounding: CropRounding::HalfEven,
        transparency: Transparency::Dropped,
        mean: OPENAI_MEAN,
        std: OPENAI_STD,
    };
    if top.get("preprocess_cfg").is_none() {
        return Ok(preprocess);
    }
    let section = top.section("preprocess_cfg")?;
    if let Some(mean) = section.optional_rgb("mean")? {
        preprocess.mean = mean;
    }
    if let Some(std) = section.optional_rgb("std")? {
        if let Some(bad) = std.iter().find(|s| !s.is_normal() || **s < 0.0) {
            return Err(section.invalid("std", &Value::from(*bad), "positive numbers"));
        }
        preprocess.std = std;
    }
    preprocess.filter = match section.optional_text("interpolation")? {
        None | Some("bicubic") => Filter::Bicubic,
        Some("bilinear") => Filter::Bilinear,
        Some(other) => {
            let found = Value::from(other);
            return Err(section.invalid("interpolation", &found, "`bicubic` or `bilinear`"));
        }
    };
    preprocess.resize = match section.optional_text("resize_mode")? {
        None | Some("shortest") => Resize::ShortestEdge(image_size),
        Some("squash") => Resize::Exact { height: image_size, width: image_size },
        Some(other) => {
            let found = Value::from(other);
            return Err(section.invalid("resize_mode", &found, "`shortest` or `squash`"));
        }
    };
    Ok(preprocess)
}

/// Names as the towers have them (Hugging Face's) and as open_clip has them.
const NAMES: [(&str, &str); 8] = [
    ("text_model.embeddings.token_embedding.weight", "token_embedding.weight"),
    ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("text_model.final_layer_norm.", "ln_final."),
    ("vision_model.embeddings.class_embedding", "visual.class_embedding"),
    ("vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight"),
    ("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"),
    ("vision_model.pre_layrnorm.", "visual.ln_pre."),
    ("vision_model.post_layernorm.", "visual.ln_post."),
];
/// The same, of parts of a block's names.
const BLOCK_NAMES: [(&str, &str); 7] = [
    ("text_model.encoder.layers.", "transformer.resblocks."),
    ("vision_model.encoder.layers.", "visual.transformer.resblocks."),
    (".layer_norm1.", ".ln_1."),
    (".layer_norm2.", ".ln_2."),
    (".self_attn.out_proj.", ".attn.out_proj."),
    (".mlp.fc1.", ".mlp.c_fc."),
    (".mlp.fc2.", ".mlp.c_proj."),
];

/// What open_clip calls a tensor. Query, key and value are one matrix, and the projections to the
/// joint space are stored as `[width, embedding_dim]`.
fn stored_name(name: &str) -> (String, View) {
    match name {
        "text_projection.weight" => return ("text_projection".to_owned(), View::Transposed),
        "visual_projection.weight" => return ("visual.proj".to_owned(), View::Transposed),
        _ => {}
    }
    if let Some((from, to)) = NAMES.iter().find(|(from, _)| name.starts_with(from)) {
        return (name.replacen(from, to, 1), View::Whole);
    }
    let stored =
        BLOCK_NAMES.iter().fold(name.to_owned(), |name, (from, to)| name.replacen(from, to, 1));
    for (third, part) in ["q", "k", "v"].into_iter().enumerate() {
        let from = format!(".self_attn.{part}_proj.");
        if stored.contains(&from) {
            return (stored.replacen(&from, ".attn.in_proj_", 1), View::Third(third));
        }
    }
    (stored, View::Whole)
}
