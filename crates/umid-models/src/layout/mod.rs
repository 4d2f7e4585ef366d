//! How the two layouts found in the wild are laid out on disk.
//!
//! A layout reads its configuration into a [`ClipConfig`] and registers its tensors under the
//! names of the Hugging Face layout, which the towers are built from.

pub(crate) mod hugging_face;
pub(crate) mod json;
pub(crate) mod open_clip;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::ClipConfig;
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

/// Checks what no shape check of a tensor would notice.
pub(crate) fn check(config: &ClipConfig, path: &Path) -> Result<()> {
    let invalid = |key: &str, found: String, expected: &str| ModelError::InvalidConfigValue {
        path: path.to_owned(),
        key: key.to_owned(),
        found,
        expected: expected.to_owned(),
    };
    for (key, t) in
        [("text tower", &config.text.transformer), ("image tower", &config.image.transformer)]
    {
        if t.width == 0 || t.layers == 0 || t.mlp_width == 0 {
            return Err(invalid(key, format!("{t:?}"), "positive width, layers and MLP width"));
        }
        if t.heads == 0 || t.width % t.heads != 0 {
            let found = format!("of width {} with {} attention heads", t.width, t.heads);
            return Err(invalid(key, found, "a number of heads that divides the width"));
        }
        if !(t.layer_norm_epsilon > 0.0 && t.layer_norm_epsilon < 1.0) {
            return Err(invalid(
                "layer_norm_eps",
                t.layer_norm_epsilon.to_string(),
                "a number between 0 and 1",
            ));
        }
    }
    let image = &config.image;
    if image.patch_size == 0 || image.image_size < image.patch_size {
        let found = format!("{} with patch_size {}", image.image_size, image.patch_size);
        return Err(invalid("image_size", found, "at least one patch"));
    }
    if image.channels != 3 {
        return Err(invalid("num_channels", image.channels.to_string(), "3"));
    }
    if config.text.vocabulary == 0 || config.text.context < 3 || config.embedding_dim == 0 {
        return Err(invalid(
            "vocab_size, max_position_embeddings or projection_dim",
            format!(
                "{}, {}, {}",
                config.text.vocabulary, config.text.context, config.embedding_dim
            ),
            "positive numbers and a context of at least 3 tokens",
        ));
    }
    Ok(())
}
