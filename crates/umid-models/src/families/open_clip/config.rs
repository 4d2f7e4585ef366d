//! `model_cfg` of an OpenCLIP configuration becomes the model's configuration.

use serde_json::Value;

use super::vision::Image;
use super::{text, vision};
use crate::Result;
use crate::checkpoint::{Checkpoint, Section};
use crate::config::{Activation, ModelConfig};
use crate::families::check;
use crate::tokenizer::TextRules;

/// open_clip's layer norms all use PyTorch's default.
pub(super) const LAYER_NORM_EPSILON: f64 = 1e-5;

/// What a configuration says.
pub(super) struct Read {
    pub(super) config: ModelConfig,
    pub(super) texts: TextRules,
    /// The side of an image in pixels, or why there is no image tower.
    pub(super) image: Result<usize, String>,
    /// What neither a file nor a shape says.
    pub(super) assumed: Vec<String>,
    /// Keys that took the format's default.
    pub(super) defaulted: Vec<String>,
}

/// Reads the two towers' configurations.
pub(super) fn read_config(top: &Section, checkpoint: &Checkpoint) -> Result<Read> {
    let model = top.section("model_cfg")?;
    let mut text = model.section("text_cfg")?;
    let mut vision = model.section("vision_cfg")?;
    if model.get("multimodal_cfg").is_some() {
        return Err(model.unsupported("a CoCa model".to_owned()));
    }
    // Where the text tower's tensors are, and whether there is a bias, the weights say.
    model.optional_flag("custom_text")?;
    model.optional_number("init_logit_bias")?;
    let activation = match model.optional_flag("quick_gelu")? {
        Some(true) => Activation::QuickGelu,
        Some(false) | None => Activation::Gelu,
    };
    let texts = text::read_rules(&text)?;
    let mut assumed = Vec::new();
    let text_config = text::read(&mut text, activation, checkpoint, &mut assumed)?;
    let embedding_dim = model.count("embed_dim")?;
    let (input, image) = match vision::read(&mut vision, activation, embedding_dim, checkpoint)? {
        Image::Tower(input, size) => (Some(input), Ok(size)),
        Image::Unknown(reason) => (None, Err(reason)),
    };
    let config = ModelConfig { embedding_dim, text: text_config, input };
    let mut defaulted = text.into_defaulted();
    defaulted.extend(vision.into_defaulted());
    check(&config, top.path(), &defaulted)?;
    Ok(Read { config, texts, image, assumed, defaulted })
}

/// Refuses a key that has another value than the one that is supported.
pub(super) fn plain(section: &Section, keys: &[(&str, Value)]) -> Result<()> {
    for (key, plain) in keys {
        if let Some(found) = section.get(key)
            && found != plain
        {
            return Err(section.invalid(key, found, &format!("{plain}, the only kind supported")));
        }
    }
    Ok(())
}

/// The epsilon of a tower's norms, by `norm_kwargs`.
pub(super) fn norm_epsilon(section: &Section) -> Result<f64> {
    const KEY: &str = "norm_kwargs";
    if section.get(KEY).is_none() {
        return Ok(LAYER_NORM_EPSILON);
    }
    let given = section.section(KEY)?;
    if let Some((key, found)) = given.entries().find(|(key, _)| *key != "eps") {
        return Err(given.invalid(key, found, "no other key than `eps`"));
    }
    Ok(given.optional_number("eps")?.unwrap_or(LAYER_NORM_EPSILON))
}

/// The activation of a tower's blocks, by `act_kwargs`.
pub(super) fn activation_of(section: &Section, activation: Activation) -> Result<Activation> {
    const KEY: &str = "act_kwargs";
    if section.get(KEY).is_none() {
        return Ok(activation);
    }
    let given = section.section(KEY)?;
    given.entries().try_fold(activation, |activation, (key, found)| {
        match (activation, key, found.as_str()) {
            (Activation::Gelu, "approximate", Some("tanh")) => Ok(Activation::GeluTanh),
            (Activation::Gelu, "approximate", Some("none")) => Ok(activation),
            _ => Err(given.invalid(key, found, "`approximate` of `tanh` or `none`, for a GELU")),
        }
    })
}

pub(super) fn mlp_width(section: &Section, width: usize) -> Result<usize> {
    let ratio = section.optional_number("mlp_ratio")?.unwrap_or(4.0);
    if !(ratio > 0.0 && ratio <= 64.0) {
        return Err(section.invalid("mlp_ratio", &Value::from(ratio), "a number from 0 to 64"));
    }
    // Truncated, as the reference does.
    Ok((width as f64 * ratio) as usize)
}
