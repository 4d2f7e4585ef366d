//! `vision_cfg` of an OpenCLIP configuration becomes an image tower's.

use serde_json::Value;

use super::config::{activation_of, mlp_width, norm_epsilon, plain};
use super::timm;
use crate::Result;
use crate::checkpoint::{Checkpoint, Section};
use crate::config::{
    Activation, InputConfig, QueriesRead, ResnetConfig, TransformerConfig, VitConfig, VitPooling,
};

/// More than any tower has.
const MAX_QUERIES: usize = 1 << 14;

/// The image tower of a configuration.
pub(super) enum Image {
    /// One that is known here, and the side of its images in pixels.
    Tower(InputConfig, usize),
    /// One that is not, and which. The text tower can be used without it.
    Unknown(String),
}

/// Reads the image tower's configuration.
pub(super) fn read(
    vision: &mut Section,
    activation: Activation,
    embedding_dim: usize,
    checkpoint: &Checkpoint,
) -> Result<Image> {
    if let Some(name) = vision.optional_text("timm_model_name")?.map(str::to_owned) {
        let image_size = square(vision, "image_size", 224)?;
        return Ok(match timm::read(&name, vision, image_size, checkpoint)? {
            Some(tower) => Image::Tower(tower, image_size),
            None => Image::Unknown(format!("its image tower, timm's `{name}`, is not known here")),
        });
    }
    let image_size = square(vision, "image_size", 224)?;
    let config = if vision.get("layers").is_some_and(Value::is_array) {
        InputConfig::Resnet(resnet(vision, image_size)?)
    } else {
        InputConfig::Vit(vit(vision, image_size, activation, embedding_dim)?)
    };
    Ok(Image::Tower(config, image_size))
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

/// A vision transformer. `patch_dropout` is for training, `output_tokens` returns the tokens beside
/// the embedding, and positions of sines and cosines are stored as learnt ones are.
fn vit(
    vision: &mut Section,
    image_size: usize,
    activation: Activation,
    embedding_dim: usize,
) -> Result<VitConfig> {
    let off = Value::from(false);
    let plain_blocks = [
        "qk_norm",
        "scaled_cosine_attn",
        "scale_heads",
        "scale_attn_inner",
        "scale_attn",
        "scale_fc",
    ];
    plain(vision, &plain_blocks.map(|key| (key, off.clone())))?;
    plain(vision, &[("block_type", Value::from("default"))])?;
    match vision.optional_text("pos_embed_type")? {
        None | Some("learnable" | "sin_cos_2d") => {}
        Some(other) => {
            let found = Value::from(other);
            return Err(vision.invalid("pos_embed_type", &found, "`learnable` or `sin_cos_2d`"));
        }
    }
    let width = vision.count_or("width", 768)?;
    let head_width = head_width(vision)?;
    let patch_size = square(vision, "patch_size", 16)?;
    let transformer = TransformerConfig {
        width,
        layers: vision.count_or("layers", 12)?,
        heads: width / head_width,
        mlp_width: mlp_width(vision, width)?,
        activation: activation_of(vision, activation)?,
        layer_norm_epsilon: norm_epsilon(vision)?,
        layer_scale: vision.optional_number("ls_init_value")?.is_some(),
    };
    Ok(VitConfig {
        pre_norm: !vision.optional_flag("no_ln_pre")?.unwrap_or(false),
        pooling: pooling(vision, width, embedding_dim)?,
        ..VitConfig::clip(image_size, patch_size, transformer)
    })
}

fn pooling(vision: &mut Section, width: usize, embedding_dim: usize) -> Result<VitPooling> {
    let norm_after = vision.optional_flag("final_ln_after_pool")?.unwrap_or(false);
    let mean = match vision.optional_text("pool_type")? {
        None | Some("tok") => false,
        Some("avg") => true,
        Some(other) => {
            let expected = "`tok` or `avg`, which give an image one embedding";
            return Err(vision.invalid("pool_type", &Value::from(other), expected));
        }
    };
    let queries_read = match vision.get("attentional_pool") {
        None | Some(Value::Bool(false)) => {
            return Ok(match (mean, norm_after) {
                (false, _) => VitPooling::ClassToken,
                (true, false) => VitPooling::Mean,
                (true, true) => VitPooling::MeanNormed,
            });
        }
        Some(Value::Bool(true)) if mean => QueriesRead::MeanOfOthers,
        Some(Value::Bool(true)) => QueriesRead::First,
        Some(Value::String(name)) if name == "parallel" => QueriesRead::Parallel,
        Some(Value::String(name)) if name == "cascade" => QueriesRead::Cascade,
        Some(found) => {
            let expected = "true, false, `parallel` or `cascade`";
            return Err(vision.invalid("attentional_pool", found, expected));
        }
    };
    let chained = matches!(queries_read, QueriesRead::Parallel | QueriesRead::Cascade);
    if chained && width != embedding_dim {
        let expected = format!("{embedding_dim}, the width of the joint space, for this pooling");
        return Err(vision.invalid("width", &Value::from(width), &expected));
    }
    let count = vision.count_or("attn_pooler_queries", 256)?;
    let least = if queries_read == QueriesRead::MeanOfOthers { 2 } else { 1 };
    if !(least..=MAX_QUERIES).contains(&count) {
        let expected = format!("a number from {least} to {MAX_QUERIES}");
        return Err(vision.invalid("attn_pooler_queries", &Value::from(count), &expected));
    }
    let heads = vision.count_or("attn_pooler_heads", 8)?;
    if heads == 0 || !embedding_dim.is_multiple_of(heads) {
        let expected = format!("a number that divides {embedding_dim}");
        return Err(vision.invalid("attn_pooler_heads", &Value::from(heads), &expected));
    }
    Ok(VitPooling::Queries { count, heads, read: queries_read })
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
