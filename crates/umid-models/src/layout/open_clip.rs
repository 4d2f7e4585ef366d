//! The OpenCLIP layout, as `open_clip` pushes models to a hub.
//!
//! Reference: open_clip, `model.py`, `transformer.py`, `push_to_hf_hub.py`. Query, key and
//! value are one fused matrix, both projections are stored as `[width, embedding]` matrices,
//! and the tokenizer's end token is found by its largest id.

use std::path::Path;

use serde_json::Value;

use super::json::Section;
use super::{Layout, Opened, check};
use crate::config::{
    Activation, ClipConfig, ImageConfig, ModelConfig, Pooling, TextConfig, TransformerConfig,
};
use crate::front_end::FrontEnd;
use crate::preprocess::{
    CropRounding, Filter, OPENAI_MEAN, OPENAI_STD, Preprocess, Resize, Transparency,
};
use crate::stored::View;
use crate::weights::Weights;
use crate::{ModelError, Result};

/// The configuration's file name.
pub(crate) const CONFIG: &str = "open_clip_config.json";
const WEIGHTS: &str = "open_clip_model.safetensors";
/// open_clip's layer norms all use PyTorch's default.
const LAYER_NORM_EPSILON: f64 = 1e-5;

pub(crate) fn open(directory: &Path) -> Result<Opened> {
    let config_path = directory.join(CONFIG);
    let top = Section::read(&config_path)?;
    let (config, defaulted) = read_config(&top)?;
    let preprocess = read_preprocess(&top, config.image.image_size)?;
    let path = directory.join(WEIGHTS);
    if !path.is_file() {
        return Err(ModelError::MissingFile {
            path,
            purpose: "it holds the weights (pickled .bin and .pt files are not read)",
        });
    }
    let files = vec![config_path, path];
    let mut weights = Weights::open(directory, &files[1..], defaulted)?;
    rename(&mut weights, &config)?;
    let (layout, config) = (Layout::OpenClip, ModelConfig::Clip(config));
    Ok(Opened { layout, config, front_end: FrontEnd::Image(preprocess), weights, files })
}

fn read_config(top: &Section) -> Result<(ClipConfig, Vec<String>)> {
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
    if let Some(layers @ Value::Array(_)) = vision.get("layers") {
        return Err(vision.unsupported(format!("a ResNet image tower with layers {layers}")));
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
    let vision_width = vision.count_or("width", 768)?;
    let head_width = vision.count_or("head_width", 64)?;
    if head_width == 0 {
        return Err(vision.invalid("head_width", &Value::from(0), "a positive number"));
    }
    let text_width = text.count_or("width", 512)?;
    let config = ClipConfig {
        embedding_dim: model.count("embed_dim")?,
        text: TextConfig {
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
        },
        image: ImageConfig {
            image_size: square(&mut vision, "image_size", 224)?,
            patch_size: square(&mut vision, "patch_size", 16)?,
            channels: 3,
            transformer: TransformerConfig {
                width: vision_width,
                layers: vision.count_or("layers", 12)?,
                heads: vision_width / head_width,
                mlp_width: mlp_width(&vision, vision_width)?,
                activation,
                layer_norm_epsilon: LAYER_NORM_EPSILON,
            },
        },
    };
    let mut defaulted = text.into_defaulted();
    defaulted.extend(vision.into_defaulted());
    check(&config, top.path(), &defaulted)?;
    Ok((config, defaulted))
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

/// Registers the tensors under the Hugging Face layout's names.
fn rename(weights: &mut Weights, config: &ClipConfig) -> Result<()> {
    // A causal mask that some versions saved as a buffer.
    weights.discard("attn_mask");
    let whole = |to: &'static str| [(to, View::Whole)];
    for (from, to) in [
        ("token_embedding.weight", "text_model.embeddings.token_embedding.weight"),
        ("positional_embedding", "text_model.embeddings.position_embedding.weight"),
        ("ln_final.weight", "text_model.final_layer_norm.weight"),
        ("ln_final.bias", "text_model.final_layer_norm.bias"),
        ("visual.class_embedding", "vision_model.embeddings.class_embedding"),
        ("visual.conv1.weight", "vision_model.embeddings.patch_embedding.weight"),
        ("visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
        // The misspelling is the Hugging Face layout's.
        ("visual.ln_pre.weight", "vision_model.pre_layrnorm.weight"),
        ("visual.ln_pre.bias", "vision_model.pre_layrnorm.bias"),
        ("visual.ln_post.weight", "vision_model.post_layernorm.weight"),
        ("visual.ln_post.bias", "vision_model.post_layernorm.bias"),
    ] {
        weights.rename(from, &whole(to))?;
    }
    weights.rename("text_projection", &[("text_projection.weight", View::Transposed)])?;
    weights.rename("visual.proj", &[("visual_projection.weight", View::Transposed)])?;
    rename_blocks(weights, "transformer", "text_model", config.text.transformer.layers)?;
    rename_blocks(weights, "visual.transformer", "vision_model", config.image.transformer.layers)
}

fn rename_blocks(weights: &mut Weights, from: &str, to: &str, layers: usize) -> Result<()> {
    for layer in 0..layers {
        let from = format!("{from}.resblocks.{layer}");
        let to = format!("{to}.encoder.layers.{layer}");
        for kind in ["weight", "bias"] {
            for (old, new) in [
                ("ln_1", "layer_norm1"),
                ("attn.out_proj", "self_attn.out_proj"),
                ("ln_2", "layer_norm2"),
                ("mlp.c_fc", "mlp.fc1"),
                ("mlp.c_proj", "mlp.fc2"),
            ] {
                let new = format!("{to}.{new}.{kind}");
                weights.rename(&format!("{from}.{old}.{kind}"), &[(&new, View::Whole)])?;
            }
            let parts = ["q", "k", "v"].map(|p| format!("{to}.self_attn.{p}_proj.{kind}"));
            let views = [
                (parts[0].as_str(), View::Third(0)),
                (parts[1].as_str(), View::Third(1)),
                (parts[2].as_str(), View::Third(2)),
            ];
            weights.rename(&format!("{from}.attn.in_proj_{kind}"), &views)?;
        }
    }
    Ok(())
}
