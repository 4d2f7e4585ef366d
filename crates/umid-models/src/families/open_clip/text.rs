//! `text_cfg` of an OpenCLIP configuration becomes a text tower's.

use serde_json::Value;

use super::config::{LAYER_NORM_EPSILON, mlp_width, plain};
use crate::Result;
use crate::checkpoint::Section;
use crate::config::{Activation, ClipTextConfig, Pooling, TextConfig, TransformerConfig};

/// The text tower.
pub(super) fn read(text: &mut Section, activation: Activation) -> Result<TextConfig> {
    if text.get("hf_model_name").is_some() {
        return Err(text.unsupported("a text tower of another package".to_owned()));
    }
    plain(
        text,
        &[
            ("embed_cls", Value::from(false)),
            ("pad_id", Value::from(0)),
            ("proj_type", Value::from("linear")),
            ("proj_bias", Value::from(false)),
            ("no_causal_mask", Value::from(false)),
            ("final_ln_after_pool", Value::from(false)),
            ("ls_init_value", Value::Null),
        ],
    )?;
    match text.optional_text("pool_type")? {
        None | Some("argmax") => {}
        Some(other) => {
            let found = Value::from(other);
            return Err(text.invalid("pool_type", &found, "`argmax`, the only kind supported"));
        }
    }
    let width = text.count_or("width", 512)?;
    Ok(TextConfig::Clip(ClipTextConfig::clip(
        text.count_or("vocab_size", 49_408)?,
        text.count_or("context_length", 77)?,
        Pooling::LargestId,
        TransformerConfig {
            width,
            layers: text.count_or("layers", 12)?,
            heads: text.count_or("heads", 8)?,
            mlp_width: mlp_width(text, width)?,
            activation,
            layer_norm_epsilon: LAYER_NORM_EPSILON,
            layer_scale: false,
        },
    )))
}
