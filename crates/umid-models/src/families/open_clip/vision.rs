//! `vision_cfg` of an OpenCLIP configuration becomes an image tower's.

use serde_json::Value;

use super::config::{LAYER_NORM_EPSILON, mlp_width, plain};
use crate::Result;
use crate::checkpoint::Section;
use crate::config::{Activation, InputConfig, ResnetConfig, TransformerConfig, VitConfig};

/// The image tower of a configuration.
pub(super) enum Image {
    /// One that is known here, and the side of its images in pixels.
    Tower(InputConfig, usize),
    /// One that is not, and which. The text tower can be used without it.
    Unknown(String),
}

/// Reads the image tower's configuration.
pub(super) fn read(vision: &mut Section, activation: Activation) -> Result<Image> {
    if let Some(name) = vision.optional_text("timm_model_name")? {
        return Ok(Image::Unknown(format!("its image tower, timm's `{name}`, is not known here")));
    }
    plain(
        vision,
        &[
            ("ls_init_value", Value::Null),
            ("attentional_pool", Value::from(false)),
            ("no_ln_pre", Value::from(false)),
            ("final_ln_after_pool", Value::from(false)),
            ("pos_embed_type", Value::from("learnable")),
            ("pool_type", Value::from("tok")),
            ("output_tokens", Value::from(false)),
        ],
    )?;
    let image_size = square(vision, "image_size", 224)?;
    let config = if vision.get("layers").is_some_and(Value::is_array) {
        InputConfig::Resnet(resnet(vision, image_size)?)
    } else {
        InputConfig::Vit(vit(vision, image_size, activation)?)
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
            layer_scale: false,
        },
    })
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
