//! The LAION-CLAP layout: the state dict of `laion_clap`, as safetensors or as it was saved by
//! PyTorch.
//!
//! Reference: laion_clap, `clap_module/{model,htsat,pann_model}.py`. Published checkpoints are
//! one `.pt` file without a configuration, so sizes are read from the tensors' shapes. What the
//! shapes do not say has the values of every published model unless a `model_config.json` beside
//! the weights, in the form of the package's own model configurations, says otherwise. The
//! tokenizer is roberta-base's, whose `tokenizer.json` is to be put there too.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::json::Section;
use super::{Layout, Opened};
use crate::audio::{LogMel, LogMelParams, Padding, Truncation};
use crate::config::{
    Activation, AudioConfig, ClapConfig, Cnn14Config, FusionConfig, HtsatConfig, ModelConfig,
    ProjectionConfig, RobertaConfig,
};
use crate::front_end::FrontEnd;
use crate::stored::View;
use crate::weights::Weights;
use crate::{ModelError, Result};

/// The configuration's file name.
pub(crate) const CONFIG: &str = "model_config.json";
const SAFETENSORS: &str = "model.safetensors";
const PICKLE: &str = "pt";
/// Width of one of roberta-base's attention heads.
const HEAD_WIDTH: usize = 64;
/// PyTorch's default for layer norms, and roberta-base's.
const EPSILON: f64 = 1e-5;
/// Most stages, blocks or layers that are looked for.
const MOST: usize = 1 << 10;
/// Blocks of Cnn14.
const CNN14_BLOCKS: usize = 6;
/// Buffers, and heads that embeddings do not pass through.
const UNUSED: [&str; 8] = [
    "audio_branch.spectrogram_extractor.",
    "audio_branch.logmel_extractor.",
    "audio_branch.tscam_conv.",
    "audio_branch.head.",
    "audio_branch.fc_audioset.",
    "audio_transform.",
    "text_transform.",
    "text_branch.embeddings.position_ids",
];
/// Ends of names of buffers inside blocks.
const UNUSED_BUFFERS: [&str; 2] = [".attn_mask", ".relative_position_index"];

/// Whether a directory looks like this layout.
pub(crate) fn is_here(directory: &Path) -> bool {
    directory.join(CONFIG).is_file() || matches!(pickles(directory).as_slice(), [_])
}

pub(crate) fn open(directory: &Path) -> Result<Opened> {
    let mut files = Vec::new();
    let config_path = directory.join(CONFIG);
    let given = if config_path.is_file() {
        files.push(config_path.clone());
        Section::read(&config_path)?
    } else {
        Section::empty(&config_path)
    };
    let safetensors = directory.join(SAFETENSORS);
    let mut weights = if safetensors.is_file() {
        files.push(safetensors);
        Weights::open(directory, &files[files.len() - 1..], Vec::new())?
    } else {
        let Ok([pickle]) = <[PathBuf; 1]>::try_from(pickles(directory)) else {
            return Err(ModelError::MissingFile {
                path: safetensors,
                purpose: "it (or one .pt file) holds the weights",
            });
        };
        files.push(pickle);
        Weights::open_pickle(directory, &files[files.len() - 1], Vec::new())?
    };
    for name in weights.names() {
        if UNUSED.iter().any(|prefix| name.starts_with(prefix))
            || UNUSED_BUFFERS.iter().any(|suffix| name.ends_with(suffix))
        {
            weights.discard(&name);
        }
    }
    let mut config = Configured { given: &given, weights: &weights, defaulted: Vec::new() };
    let (audio, text) = (config.audio()?, config.text()?);
    let embedding_dim = weights.shape("audio_projection.0.weight")?[0];
    let front_end = config.front_end(&audio)?;
    let defaulted = config.defaulted;
    weights.defaulted(defaulted);
    let projection = ProjectionConfig { embedding_dim, activation: Activation::Relu };
    let config = ClapConfig { projection, text, audio };
    super::check_clap(&config, front_end.bins, given.path(), &[])?;
    rename(&mut weights, &config)?;
    let front_end = FrontEnd::Audio(LogMel::new(front_end)?);
    let layout = Layout::LaionClap;
    Ok(Opened { layout, config: ModelConfig::Clap(config), front_end, weights, files })
}

fn pickles(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let is_pickle = |path: &PathBuf| path.extension().is_some_and(|e| e == PICKLE);
    entries.map(|entry| entry.path()).filter(is_pickle).collect()
}

/// A configuration that is put together from what is given and from shapes.
struct Configured<'a> {
    given: &'a Section,
    weights: &'a Weights,
    defaulted: Vec<String>,
}

impl Configured<'_> {
    fn audio(&mut self) -> Result<AudioConfig> {
        if self.weights.shape("audio_branch.conv_block1.conv1.weight").is_ok() {
            return Ok(AudioConfig::Cnn14(self.cnn14()?));
        }
        Ok(AudioConfig::Htsat(self.htsat()?))
    }

    fn cnn14(&self) -> Result<Cnn14Config> {
        if self.given.optional_flag("enable_fusion")? == Some(true)
            || self.weights.shape("audio_branch.mel_conv1d.0.weight").is_ok()
        {
            return Err(self.given.unsupported("a Cnn14 that fuses features".to_owned()));
        }
        let mut widths = [0; CNN14_BLOCKS];
        for (i, width) in widths.iter_mut().enumerate() {
            let name = format!("audio_branch.conv_block{}.conv2.weight", i + 1);
            *width = self.axis(&name, 0)?;
        }
        Ok(Cnn14Config { mel_bins: self.axis("audio_branch.bn0.weight", 0)?, widths })
    }

    fn htsat(&mut self) -> Result<HtsatConfig> {
        let mut given = self.part("htsat")?;
        let patch = "audio_branch.patch_embed.proj.weight";
        let (width, patch_size) =
            (self.axis(patch, 0)?, [self.axis(patch, 2)?, self.axis(patch, 3)?]);
        let layers = |name: &str| format!("audio_branch.layers.{name}");
        let table =
            |stage: usize| layers(&format!("{stage}.blocks.0.attn.relative_position_bias_table"));
        let stages = self.count(table);
        let depths = (0..stages)
            .map(|stage| {
                self.count(|block| layers(&format!("{stage}.blocks.{block}.norm1.weight")))
            })
            .collect();
        let heads = (0..stages).map(|stage| self.axis(&table(stage), 1)).collect::<Result<_>>()?;
        // Offsets from 1 - window to window - 1 on both axes.
        let offsets = self.axis(&table(0), 0)?.isqrt();
        let inner = self.axis(&layers("0.blocks.0.mlp.fc1.weight"), 0)?;
        let fuses = self.weights.shape("audio_branch.patch_embed.mel_conv2d.weight").is_ok();
        let fusion = if fuses {
            let name = "audio_branch.patch_embed.fusion_model.local_att.0.weight";
            let reduction = width / self.axis(name, 0)?.max(1);
            Some(FusionConfig { reduction, short_clips: false })
        } else {
            None
        };
        let config = HtsatConfig {
            mel_bins: self.axis("audio_branch.bn0.weight", 0)?,
            spec_size: given.count_or("spec_size", 256)?,
            patch_size,
            patch_stride: patch_size,
            patch_norm: self.weights.shape("audio_branch.patch_embed.norm.weight").is_ok(),
            width,
            depths,
            heads,
            window: offsets.div_ceil(2),
            mlp_ratio: inner as f64 / width.max(1) as f64,
            qkv_bias: self.weights.shape(&layers("0.blocks.0.attn.qkv.bias")).is_ok(),
            activation: Activation::Gelu,
            epsilon: EPSILON,
            fusion,
        };
        self.defaulted.extend(given.into_defaulted());
        Ok(config)
    }

    fn text(&mut self) -> Result<RobertaConfig> {
        let mut given = self.part("roberta")?;
        let table = |name: &str| format!("text_branch.embeddings.{name}_embeddings.weight");
        let width = self.axis(&table("word"), 1)?;
        let layer = |i: usize| format!("text_branch.encoder.layer.{i}.intermediate.dense.weight");
        let config = RobertaConfig {
            vocabulary: self.axis(&table("word"), 0)?,
            positions: self.axis(&table("position"), 0)?,
            padding_id: 1,
            token_types: self.axis(&table("token_type"), 0)?,
            width,
            layers: self.count(layer),
            heads: given.count_or("num_attention_heads", width / HEAD_WIDTH)?,
            mlp_width: self.axis(&layer(0), 0)?,
            activation: Activation::Gelu,
            epsilon: given.optional_number("layer_norm_eps")?.unwrap_or(EPSILON),
        };
        self.defaulted.extend(given.into_defaulted());
        Ok(config)
    }

    fn front_end(&mut self, audio: &AudioConfig) -> Result<LogMelParams> {
        let given = self.part("audio_cfg")?;
        let count =
            |key: &str, default| Ok::<_, ModelError>(given.optional_count(key)?.unwrap_or(default));
        let number = |key: &str, default| {
            Ok::<_, ModelError>(given.optional_number(key)?.unwrap_or(default))
        };
        Ok(LogMelParams {
            sample_rate: count("sample_rate", 48_000)?,
            window: count("window_size", 1_024)?,
            hop: count("hop_size", 480)?,
            bins: audio.mel_bins(),
            lowest: number("fmin", 50.0)?,
            highest: number("fmax", 14_000.0)?,
            samples: count("clip_samples", 480_000)?,
            truncation: if audio.fuses() { Truncation::Fusion } else { Truncation::RandTrunc },
            padding: Padding::RepeatPad,
        })
    }

    fn part(&self, key: &str) -> Result<Section> {
        if self.given.get(key).is_some() {
            self.given.section(key)
        } else {
            Ok(Section::empty(self.given.path()))
        }
    }

    /// Length of an axis of a stored tensor.
    fn axis(&self, name: &str, axis: usize) -> Result<usize> {
        let shape = self.weights.shape(name)?;
        shape.get(axis).copied().ok_or_else(|| {
            let found = Value::from(shape.clone());
            self.given.invalid(name, &found, &format!("a shape of more than {axis} axes"))
        })
    }

    /// How many tensors there are of a numbered name.
    fn count(&self, name: impl Fn(usize) -> String) -> usize {
        (0..MOST).take_while(|i| self.weights.shape(&name(*i)).is_ok()).count()
    }
}

/// Registers the tensors under the Hugging Face layout's names.
fn rename(weights: &mut Weights, config: &ClapConfig) -> Result<()> {
    for tower in ["audio", "text"] {
        for (from, to) in [("0", "linear1"), ("2", "linear2")] {
            for kind in ["weight", "bias"] {
                let to = format!("{tower}_projection.{to}.{kind}");
                let from = format!("{tower}_projection.{from}.{kind}");
                weights.rename(&from, &[(&to, View::Whole)])?;
            }
        }
    }
    let htsat = matches!(config.audio, AudioConfig::Htsat(_));
    for name in weights.names() {
        if let Some(rest) = name.strip_prefix("text_branch.") {
            weights.rename(&name, &[(&format!("text_model.{rest}"), View::Whole)])?;
        } else if let Some(rest) = name.strip_prefix("audio_branch.").filter(|_| htsat) {
            rename_audio(weights, &name, rest)?;
        }
    }
    Ok(())
}

fn rename_audio(weights: &mut Weights, from: &str, rest: &str) -> Result<()> {
    let to = |name: &str| format!("audio_model.audio_encoder.{name}");
    if let Some((block, kind)) = rest.split_once(".attn.qkv.") {
        let parts = ["query", "key", "value"]
            .map(|part| to(&format!("{block}.attention.self.{part}.{kind}")));
        let views = [0, 1, 2].map(|i| (parts[i].as_str(), View::Third(i)));
        return weights.rename(from, &views);
    }
    let mut name = rest.replacen("bn0.", "batch_norm.", 1);
    if name.contains(".blocks.") {
        for (old, new) in [
            (".norm1.", ".layernorm_before."),
            (".norm2.", ".layernorm_after."),
            (".attn.proj.", ".attention.output.dense."),
            (".attn.relative", ".attention.self.relative"),
            (".mlp.fc1.", ".intermediate.dense."),
            (".mlp.fc2.", ".output.dense."),
        ] {
            name = name.replacen(old, new, 1);
        }
    }
    weights.rename(from, &[(&to(&name), View::Whole)])
}
