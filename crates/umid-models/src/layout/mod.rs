//! How the layouts found in the wild are laid out on disk.
//!
//! A layout reads its configuration into a [`ModelConfig`] and registers its tensors under the
//! names of the Hugging Face layout, which the towers are built from.

pub(crate) mod clap_hugging_face;
pub(crate) mod hugging_face;
pub(crate) mod json;
pub(crate) mod laion_clap;
pub(crate) mod open_clip;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{AudioConfig, ClapConfig, ClipConfig, HtsatConfig, ModelConfig, Pooling};
use crate::front_end::FrontEnd;
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
    /// `model.safetensors` or one `.pt` file with the names of `laion_clap`.
    LaionClap,
}

impl std::fmt::Display for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::HuggingFace => "hugging-face",
            Self::OpenClip => "open-clip",
            Self::LaionClap => "laion-clap",
        })
    }
}

/// What a layout makes of a directory.
pub(crate) struct Opened {
    pub(crate) layout: Layout,
    pub(crate) config: ModelConfig,
    pub(crate) front_end: FrontEnd,
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
    } else if laion_clap::is_here(directory) {
        laion_clap::open(directory)
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

/// As [`check`], for an audio-text model whose front end makes `front_end_bins` mel bins.
pub(crate) fn check_clap(
    config: &ClapConfig,
    front_end_bins: usize,
    path: &Path,
    defaulted: &[String],
) -> Result<()> {
    let invalid = |key: &str, found: String, expected: &str| ModelError::InvalidConfigValue {
        path: path.to_owned(),
        key: key.to_owned(),
        found: format!("{found}{}", json::default_hint(defaulted)),
        expected: expected.to_owned(),
    };
    let text = &config.text;
    for (key, size) in [
        ("width of the joint embedding", config.projection.embedding_dim),
        ("vocabulary of the text tower", text.vocabulary),
        ("positions of the text tower", text.positions),
        ("token types of the text tower", text.token_types),
        ("width of the text tower", text.width),
        ("layers of the text tower", text.layers),
        ("MLP width of the text tower", text.mlp_width),
        ("mel bins of the audio tower", config.audio.mel_bins()),
    ] {
        if !(1..=MAX_SIZE).contains(&size) {
            return Err(invalid(key, size.to_string(), &format!("a number from 1 to {MAX_SIZE}")));
        }
    }
    if text.heads == 0 || !text.width.is_multiple_of(text.heads) {
        let found = format!("{} at width {}", text.heads, text.width);
        return Err(invalid(
            "attention heads of the text tower",
            found,
            "a number that divides it",
        ));
    }
    if text.context() < MIN_CONTEXT {
        let expected = format!("at least {MIN_CONTEXT} more than the padding token's id");
        return Err(invalid("positions of the text tower", text.positions.to_string(), &expected));
    }
    if config.audio.mel_bins() != front_end_bins {
        let expected = format!("the {front_end_bins} of the feature extractor");
        return Err(invalid("num_mel_bins", config.audio.mel_bins().to_string(), &expected));
    }
    match &config.audio {
        AudioConfig::Htsat(htsat) => check_htsat(htsat, &invalid),
        AudioConfig::Cnn14(_) => Ok(()),
    }
}

fn check_htsat(
    config: &HtsatConfig,
    invalid: &dyn Fn(&str, String, &str) -> ModelError,
) -> Result<()> {
    let sizes = [config.spec_size, config.width, config.window, config.patch_stride[0]];
    let stages = config.depths.len();
    if stages == 0 || config.heads.len() != stages || stages > usize::BITS as usize / 2 {
        let found = format!("{:?} and {:?}", config.depths, config.heads);
        return Err(invalid("depths and num_attention_heads", found, "one number of each a stage"));
    }
    if sizes.iter().chain(&config.patch_stride).any(|size| !(1..=MAX_SIZE).contains(size)) {
        let found = format!("{sizes:?}");
        return Err(invalid("spec_size, width, window_size, patch_stride", found, "positive"));
    }
    if (0..stages)
        .any(|i| config.heads[i] == 0 || !config.width_of(i).is_multiple_of(config.heads[i]))
    {
        let found = format!("{:?} at width {}", config.heads, config.width);
        return Err(invalid("num_attention_heads", found, "divisors of each stage's width"));
    }
    if !config.spec_size.is_multiple_of(config.mel_bins) {
        let expected = format!("a multiple of the {} mel bins", config.mel_bins);
        return Err(invalid("spec_size", config.spec_size.to_string(), &expected));
    }
    if (0..2).any(|axis| config.patch_size[axis] < config.patch_stride[axis]) {
        let found = format!("{:?}", config.patch_size);
        return Err(invalid("patch_size", found, "at least the patch_stride"));
    }
    if !(config.mlp_ratio > 0.0 && config.mlp_ratio <= 64.0) {
        return Err(invalid("mlp_ratio", config.mlp_ratio.to_string(), "a number from 0 to 64"));
    }
    // The reference's own table of offsets has no size for this.
    if config.resolution(stages - 1) < config.window {
        let found = format!("{} at {} tokens", config.window, config.resolution(stages - 1));
        return Err(invalid("window_size", found, "at most the last stage's tokens a side"));
    }
    if config.fusion.is_some_and(|f| !(1..=config.width).contains(&f.reduction)) {
        let found = format!("{:?}", config.fusion.map(|f| f.reduction));
        return Err(invalid("aff_block_r", found, "a number from 1 to the width"));
    }
    Ok(())
}
