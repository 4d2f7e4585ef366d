//! How the two layouts found in the wild are laid out on disk.
//!
//! A layout reads its configuration into a [`ClipConfig`] and registers its tensors under the
//! names of the Hugging Face layout, which the towers are built from.

pub(crate) mod hugging_face;
pub(crate) mod json;
pub(crate) mod open_clip;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{ClipConfig, Pooling};
use crate::preprocess::Preprocess;
use crate::weights::Weights;
use crate::{ModelError, Result};

/// Layout of a checkpoint directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `config.json`, `model.safetensors` (or its sharded index), `preprocessor_config.json`.
    HuggingFace,
    /// `open_clip_config.json`, `open_clip_model.safetensors`.
    OpenClip,
}

impl std::fmt::Display for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::HuggingFace => "hugging-face",
            Self::OpenClip => "open-clip",
        })
    }
}

/// What a layout makes of a directory.
pub(crate) struct Opened {
    pub(crate) layout: Layout,
    pub(crate) config: ClipConfig,
    pub(crate) preprocess: Preprocess,
    pub(crate) weights: Weights,
    /// Every file that was read, for the digest.
    pub(crate) files: Vec<PathBuf>,
}

/// Recognises the layout of a directory and reads everything but the tokenizer.
///
/// A directory with files of both layouts, as the LAION repositories have, is read in the
/// Hugging Face layout.
pub(crate) fn open(directory: &Path) -> Result<Opened> {
    if !directory.is_dir() {
        return Err(ModelError::NotADirectory { path: directory.to_owned() });
    }
    if directory.join(hugging_face::CONFIG).is_file() {
        hugging_face::open(directory)
    } else if directory.join(open_clip::CONFIG).is_file() {
        open_clip::open(directory)
    } else {
        Err(ModelError::UnknownLayout { path: directory.to_owned() })
    }
}

/// Larger than any size of a real model, and small enough that their products do not overflow.
const MAX_SIZE: usize = 1 << 24;
const MIN_CONTEXT: usize = 3;

/// Checks what no shape check of a tensor would notice. `defaulted` are the keys that took the
/// format's default.
pub(crate) fn check(config: &ClipConfig, path: &Path, defaulted: &[String]) -> Result<()> {
    let invalid = |key: &str, found: String, expected: &str| ModelError::InvalidConfigValue {
        path: path.to_owned(),
        key: key.to_owned(),
        found,
        expected: expected.to_owned(),
    };
    let (text, image) = (&config.text, &config.image);
    for (key, size) in [
        ("width of the joint embedding", config.embedding_dim),
        ("vocabulary of the text tower", text.vocabulary),
        ("context of the text tower", text.context),
        ("width of the text tower", text.transformer.width),
        ("layers of the text tower", text.transformer.layers),
        ("MLP width of the text tower", text.transformer.mlp_width),
        ("image size", image.image_size),
        ("patch size", image.patch_size),
        ("width of the image tower", image.transformer.width),
        ("layers of the image tower", image.transformer.layers),
        ("MLP width of the image tower", image.transformer.mlp_width),
    ] {
        if !(1..=MAX_SIZE).contains(&size) {
            return Err(invalid(key, size.to_string(), &format!("a number from 1 to {MAX_SIZE}")));
        }
    }
    for (key, t) in [
        ("attention heads of the text tower", &text.transformer),
        ("attention heads of the image tower", &image.transformer),
    ] {
        if t.heads == 0 || t.width % t.heads != 0 {
            let found =
                format!("{} at width {}{}", t.heads, t.width, json::default_hint(defaulted));
            return Err(invalid(key, found, "a number that divides the width"));
        }
        if !(t.layer_norm_epsilon > 0.0 && t.layer_norm_epsilon < 1.0) {
            return Err(invalid(
                "layer_norm_eps",
                t.layer_norm_epsilon.to_string(),
                "a number between 0 and 1",
            ));
        }
    }
    if image.image_size < image.patch_size {
        let found = format!("{} with patch size {}", image.image_size, image.patch_size);
        return Err(invalid("image size", found, "at least one patch"));
    }
    if image.channels != 3 {
        return Err(invalid("num_channels", image.channels.to_string(), "3"));
    }
    if text.context < MIN_CONTEXT {
        return Err(invalid(
            "context of the text tower",
            text.context.to_string(),
            &format!("at least {MIN_CONTEXT} tokens: start, text and end"),
        ));
    }
    // The reference would then read every text at its start token, where all are alike.
    if let Pooling::FirstOf(eos) = text.pooling
        && eos as usize >= text.vocabulary
    {
        let found = format!("{eos}{}", json::default_hint(defaulted));
        let expected = format!("an id below the vocabulary's size of {}", text.vocabulary);
        return Err(invalid("eos_token_id", found, &expected));
    }
    Ok(())
}
