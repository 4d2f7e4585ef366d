//! The Hugging Face layout of CLAP, as transformers writes `ClapModel`.
//!
//! Reference: transformers, `models/clap/configuration_clap.py` and `feature_extraction_clap.py`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::hugging_face::{PREPROCESSOR, PROCESSOR, WeightFiles, weight_files};
use super::json::Section;
use super::{Layout, Opened, check_clap};
use crate::audio::{LogMel, LogMelParams, Padding, Truncation};
use crate::config::{
    Activation, AudioConfig, ClapConfig, FusionConfig, HtsatConfig, ModelConfig, ProjectionConfig,
    RobertaConfig,
};
use crate::front_end::FrontEnd;
use crate::weights::Weights;
use crate::{ModelError, Result};

/// Reads everything but the tokenizer of a directory whose `config.json` says `clap`.
pub(crate) fn open(directory: &Path) -> Result<Opened> {
    let path = directory.join(super::hugging_face::CONFIG);
    let (front_end_path, section) = feature_extractor(directory)?;
    let front_end = read_front_end(&section)?;
    let (config, defaulted) = read_config(&path, front_end.bins)?;
    let WeightFiles { weights: weight_files, index } = weight_files(directory)?;
    let weights = Weights::open(directory, &weight_files, defaulted)?;
    let mut files = vec![path, front_end_path];
    files.extend(weight_files);
    files.extend(index);
    let front_end = FrontEnd::Audio(LogMel::new(front_end)?);
    let (layout, config) = (Layout::HuggingFace, ModelConfig::Clap(config));
    Ok(Opened { layout, config, front_end, weights, files })
}

fn read_config(path: &Path, front_end_bins: usize) -> Result<(ClapConfig, Vec<String>)> {
    let mut top = Section::read(path)?;
    let (mut text, mut audio) = (top.section("text_config")?, top.section("audio_config")?);
    let projection = ProjectionConfig {
        embedding_dim: top.count_or("projection_dim", 512)?,
        activation: activation(&top, "projection_hidden_act", Activation::Relu)?,
    };
    let config = ClapConfig {
        projection,
        text: RobertaConfig {
            vocabulary: text.count_or("vocab_size", 50_265)?,
            positions: text.count_or("max_position_embeddings", 514)?,
            padding_id: text.count_or("pad_token_id", 1)?,
            token_types: text.count_or("type_vocab_size", 1)?,
            width: text.count_or("hidden_size", 768)?,
            layers: text.count_or("num_hidden_layers", 12)?,
            heads: text.count_or("num_attention_heads", 12)?,
            mlp_width: text.count_or("intermediate_size", 3_072)?,
            activation: activation(&text, "hidden_act", Activation::Gelu)?,
            epsilon: text.optional_number("layer_norm_eps")?.unwrap_or(1e-12),
        },
        audio: AudioConfig::Htsat(htsat(&mut audio)?),
    };
    let mut defaulted = top.into_defaulted();
    defaulted.extend(text.into_defaulted());
    defaulted.extend(audio.into_defaulted());
    check_clap(&config, front_end_bins, path, &defaulted)?;
    Ok((config, defaulted))
}

fn htsat(audio: &mut Section) -> Result<HtsatConfig> {
    let fusion = audio.optional_flag("enable_fusion")?.unwrap_or(false);
    if let Some(kind) = audio.optional_text("fusion_type")?
        && fusion
        && kind != "aff_2d"
    {
        return Err(audio.invalid("fusion_type", &Value::from(kind), "`aff_2d`"));
    }
    Ok(HtsatConfig {
        mel_bins: audio.count_or("num_mel_bins", 64)?,
        spec_size: audio.count_or("spec_size", 256)?,
        patch_size: pair(audio, "patch_size", 4)?,
        patch_stride: pair(audio, "patch_stride", 4)?,
        patch_norm: audio.optional_flag("enable_patch_layer_norm")?.unwrap_or(true),
        width: audio.count_or("patch_embeds_hidden_size", 96)?,
        depths: audio.counts_or("depths", &[2, 2, 6, 2])?,
        heads: audio.counts_or("num_attention_heads", &[4, 8, 16, 32])?,
        window: audio.count_or("window_size", 8)?,
        mlp_ratio: audio.optional_number("mlp_ratio")?.unwrap_or(4.0),
        qkv_bias: audio.optional_flag("qkv_bias")?.unwrap_or(true),
        activation: activation(audio, "hidden_act", Activation::Gelu)?,
        epsilon: audio.optional_number("layer_norm_eps")?.unwrap_or(1e-5),
        fusion: if fusion {
            Some(FusionConfig { reduction: audio.count_or("aff_block_r", 4)?, short_clips: true })
        } else {
            None
        },
    })
}

/// One number for both axes, or one for each.
fn pair(section: &mut Section, key: &str, default: usize) -> Result<[usize; 2]> {
    if section.get(key).is_some_and(Value::is_array) {
        let counts = section.counts_or(key, &[])?;
        return counts.try_into().map_err(|_| {
            section.invalid(key, section.get(key).unwrap_or(&Value::Null), "two numbers")
        });
    }
    let both = section.count_or(key, default)?;
    Ok([both, both])
}

fn activation(section: &Section, key: &str, default: Activation) -> Result<Activation> {
    Ok(match section.optional_text(key)? {
        None => default,
        Some("gelu") => Activation::Gelu,
        Some("quick_gelu") => Activation::QuickGelu,
        Some("relu") => Activation::Relu,
        Some(other) => {
            return Err(section.invalid(
                key,
                &Value::from(other),
                "`gelu`, `quick_gelu` or `relu`",
            ));
        }
    })
}

/// The feature extractor's file, and the part of it that counts.
fn feature_extractor(directory: &Path) -> Result<(PathBuf, Section)> {
    let path = directory.join(PREPROCESSOR);
    if path.is_file() {
        let section = Section::read(&path)?;
        return Ok((path, section));
    }
    let processor = directory.join(PROCESSOR);
    if processor.is_file() {
        let section = Section::read(&processor)?.section("feature_extractor")?;
        return Ok((processor, section));
    }
    Err(ModelError::MissingFile { path, purpose: "it says how sound becomes log-mels" })
}

fn read_front_end(section: &Section) -> Result<LogMelParams> {
    let count =
        |key: &str, default| Ok::<_, ModelError>(section.optional_count(key)?.unwrap_or(default));
    let number =
        |key: &str, default| Ok::<_, ModelError>(section.optional_number(key)?.unwrap_or(default));
    let sample_rate = count("sampling_rate", 48_000)?;
    let truncation = match section.optional_text("truncation")? {
        None | Some("fusion") => Truncation::Fusion,
        Some("rand_trunc") => Truncation::RandTrunc,
        Some(other) => {
            return Err(section.invalid(
                "truncation",
                &Value::from(other),
                "`fusion` or `rand_trunc`",
            ));
        }
    };
    let padding = match section.optional_text("padding")? {
        None | Some("repeatpad") => Padding::RepeatPad,
        Some("repeat") => Padding::Repeat,
        Some("pad") => Padding::Pad,
        Some(other) => {
            return Err(section.invalid(
                "padding",
                &Value::from(other),
                "`repeatpad`, `repeat` or `pad`",
            ));
        }
    };
    Ok(LogMelParams {
        sample_rate,
        window: count("fft_window_size", 1_024)?,
        hop: count("hop_length", 480)?,
        bins: count("feature_size", 64)?,
        lowest: number("frequency_min", 0.0)?,
        highest: number("frequency_max", 14_000.0)?,
        samples: (number("max_length_s", 10.0)? * sample_rate as f64) as usize,
        truncation,
        padding,
    })
}
