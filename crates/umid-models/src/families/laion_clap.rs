//! The LAION-CLAP layout: the state dict of `laion_clap`, as safetensors or as it was saved by
//! PyTorch.
//!
//! Reference: laion_clap, `clap_module/{model,htsat,pann_model}.py`. Published checkpoints are
//! one `.pt` file without a configuration, so sizes are read from the tensors' shapes. What the
//! shapes do not say has the values of every published model unless a `model_config.json` beside
//! the weights, in the form of the package's own model configurations, says otherwise. The
//! tokenizer is roberta-base's, whose `tokenizer.json` is to be put there too.

use serde_json::{Value, json};

use super::clap::LOGIT_SCALES;
use super::{Family, Names, Opened, check};
use crate::checkpoint::{Checkpoint, Found, Naming, Section, View, WEIGHTS, WeightFiles};
use crate::config::{
    Activation, Cnn14Config, FusionConfig, HtsatConfig, InputConfig, ModelConfig, ProjectionConfig,
    RobertaConfig, TextConfig,
};
use crate::front_end::FrontEnd;
use crate::front_end::audio::{LogMel, LogMelParams, Padding, Reading, Truncation};
use crate::precision::Precision;
use crate::provenance::Provenance;
use crate::tokenizer::{TextRules, TokenizerFiles};
use crate::{ModelError, Result};

/// The configuration's file name.
const CONFIG: &str = "model_config.json";
/// What the names of the audio tower's tensors begin with.
const AUDIO: &str = "audio_branch.";
/// Width of one of roberta-base's attention heads.
const HEAD_WIDTH: usize = 64;
/// PyTorch's default for layer norms, and roberta-base's.
const EPSILON: f64 = 1e-5;
/// roberta-base's.
const PADDING_ID: usize = 1;
/// Tokens that the package cuts a text to (`CLAP_Module.tokenizer` of its `hook.py`).
const CONTEXT: usize = 77;
/// Most stages, blocks or layers that are looked for.
const MOST: usize = 1 << 10;
/// Of every published model.
const PROJECTION: ProjectionConfig = ProjectionConfig::Perceptron(Activation::Relu);
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

/// The state dict of `laion_clap`.
pub(super) struct LaionClap;

impl Family for LaionClap {
    fn layout(&self) -> &'static str {
        "laion-clap"
    }

    fn recognises(&self, found: &Found) -> bool {
        let has_configuration = found.has(CONFIG) && found.has(WEIGHTS);
        has_configuration || found.bare().is_some_and(|table| table.holds(AUDIO))
    }

    fn weights(&self, found: &Found) -> Result<WeightFiles> {
        found.weights(&[WEIGHTS]).or_else(|_| found.only_weights())
    }

    fn open(&self, found: &Found) -> Result<Opened> {
        let mut files = Vec::new();
        let config_path = found.path(CONFIG);
        let given = if found.has(CONFIG) {
            files.push(config_path.clone());
            Section::read(&config_path)?
        } else {
            Section::empty(&config_path)
        };
        let weights = self.weights(found)?;
        let mut checkpoint = found.open(&weights, Vec::new())?;
        files.extend(weights.all());
        for name in checkpoint.names() {
            if UNUSED.iter().any(|prefix| name.starts_with(prefix))
                || UNUSED_BUFFERS.iter().any(|suffix| name.ends_with(suffix))
            {
                checkpoint.discard(&name);
            }
        }
        let mut shapes = Shapes { given: &given, checkpoint: &checkpoint, defaulted: Vec::new() };
        let (config, log_mel) = shapes.config()?;
        let defaulted = shapes.defaulted;
        check(&config, given.path(), &[])?;
        checkpoint.defaulted(defaulted);
        let front_end = FrontEnd::Audio(log_mel);
        let (names, provenance) = (Names::of_both(stored_name), Provenance::default());
        let texts = TextRules::of(TokenizerFiles::Whole);
        Ok(Opened { config, front_end, checkpoint, names, texts, files, provenance })
    }

    fn naming(&self) -> Naming {
        stored_name
    }

    fn logit_scales(&self) -> &'static [&'static str] {
        &LOGIT_SCALES
    }

    fn writes(&self, config: &ModelConfig) -> bool {
        matches!(
            (&config.text, &config.input),
            (TextConfig::Roberta(_), Some(InputConfig::Cnn14(_)))
        )
    }

    fn files(
        &self,
        config: &ModelConfig,
        front_end: &FrontEnd,
        _: Precision,
    ) -> Option<Vec<(&'static str, Value)>> {
        match (&config.text, &config.input, front_end) {
            (
                TextConfig::Roberta(text),
                Some(InputConfig::Cnn14(audio)),
                FrontEnd::Audio(log_mel),
            ) if log_mel.params().reading == Reading::LAION => {
                let dim = config.embedding_dim;
                Some(vec![(CONFIG, config_json(dim, text, audio, log_mel.params()))])
            }
            _ => None,
        }
    }
}

/// A configuration that is put together from what is given and from the tensors' shapes.
struct Shapes<'a> {
    given: &'a Section,
    checkpoint: &'a Checkpoint,
    defaulted: Vec<String>,
}

impl Shapes<'_> {
    fn config(&mut self) -> Result<(ModelConfig, LogMel)> {
        let cnn14 = self.checkpoint.shape("audio_branch.conv_block1.conv1.weight").is_ok();
        let fuses = self.checkpoint.shape("audio_branch.patch_embed.mel_conv2d.weight").is_ok();
        let mel_bins = self.axis("audio_branch.bn0.weight", 0)?;
        let log_mel = LogMel::new(self.front_end(mel_bins, fuses)?)?;
        let frames = log_mel.frames();
        let input = if cnn14 {
            InputConfig::Cnn14(self.cnn14(frames, mel_bins)?)
        } else {
            InputConfig::Htsat(self.htsat(frames, mel_bins, fuses)?)
        };
        let text = TextConfig::Roberta(self.text()?);
        let embedding_dim = self.axis("audio_projection.0.weight", 0)?;
        Ok((ModelConfig { embedding_dim, text, input: Some(input) }, log_mel))
    }

    fn cnn14(&self, frames: usize, mel_bins: usize) -> Result<Cnn14Config> {
        if self.given.optional_flag("enable_fusion")? == Some(true)
            || self.checkpoint.shape("audio_branch.mel_conv1d.0.weight").is_ok()
        {
            return Err(self.given.unsupported("a Cnn14 that fuses features".to_owned()));
        }
        let mut widths = [0; CNN14_BLOCKS];
        for (i, width) in widths.iter_mut().enumerate() {
            let name = format!("audio_branch.conv_block{}.conv2.weight", i + 1);
            *width = self.axis(&name, 0)?;
        }
        Ok(Cnn14Config { frames, mel_bins, widths, projection: PROJECTION })
    }

    fn htsat(&mut self, frames: usize, mel_bins: usize, fuses: bool) -> Result<HtsatConfig> {
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
        let fusion = if fuses {
            let name = "audio_branch.patch_embed.fusion_model.local_att.0.weight";
            let reduction = width / self.axis(name, 0)?.max(1);
            Some(FusionConfig { reduction, short_clips: false })
        } else {
            None
        };
        let config = HtsatConfig {
            frames,
            mel_bins,
            spec_size: given.count_or("spec_size", 256)?,
            patch_size,
            patch_stride: patch_size,
            patch_norm: self.checkpoint.shape("audio_branch.patch_embed.norm.weight").is_ok(),
            width,
            depths,
            heads,
            window: offsets.div_ceil(2),
            mlp_ratio: inner as f64 / width.max(1) as f64,
            qkv_bias: self.checkpoint.shape(&layers("0.blocks.0.attn.qkv.bias")).is_ok(),
            activation: Activation::Gelu,
            epsilon: EPSILON,
            fusion,
            projection: PROJECTION,
        };
        self.defaulted.extend(given.into_defaulted());
        Ok(config)
    }

    fn text(&mut self) -> Result<RobertaConfig> {
        let mut given = self.part("roberta")?;
        let table = |name: &str| format!("text_branch.embeddings.{name}_embeddings.weight");
        let width = self.axis(&table("word"), 1)?;
        let positions = self.axis(&table("position"), 0)?;
        let layer = |i: usize| format!("text_branch.encoder.layer.{i}.intermediate.dense.weight");
        let config = RobertaConfig {
            vocabulary: self.axis(&table("word"), 0)?,
            positions,
            padding_id: PADDING_ID,
            longest: self.longest(positions)?,
            token_types: self.axis(&table("token_type"), 0)?,
            width,
            layers: self.count(layer),
            heads: given.count_or("num_attention_heads", width / HEAD_WIDTH)?,
            mlp_width: self.axis(&layer(0), 0)?,
            activation: Activation::Gelu,
            epsilon: given.optional_number("layer_norm_eps")?.unwrap_or(EPSILON),
            projection: PROJECTION,
        };
        self.defaulted.extend(given.into_defaulted());
        Ok(config)
    }

    /// The package cuts every text to the same length, which its configurations say too.
    fn longest(&self, positions: usize) -> Result<Option<usize>> {
        let given = self.part("text_cfg")?.optional_count("context_length")?;
        let longest = given.unwrap_or(CONTEXT);
        Ok(Some(longest).filter(|longest| longest + PADDING_ID + 1 < positions))
    }

    fn front_end(&self, mel_bins: usize, fuses: bool) -> Result<LogMelParams> {
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
            bins: mel_bins,
            lowest: number("fmin", 50.0)?,
            highest: number("fmax", 14_000.0)?,
            samples: count("clip_samples", 480_000)?,
            truncation: if fuses { Truncation::Fusion } else { Truncation::RandTrunc },
            padding: Padding::RepeatPad,
            reading: Reading::LAION,
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
        let shape = self.checkpoint.shape(name)?;
        shape.get(axis).copied().ok_or_else(|| {
            let found = Value::from(shape.clone());
            self.given.invalid(name, &found, &format!("a shape of more than {axis} axes"))
        })
    }

    /// How many tensors there are of a numbered name.
    fn count(&self, name: impl Fn(usize) -> String) -> usize {
        (0..MOST).take_while(|i| self.checkpoint.shape(&name(*i)).is_ok()).count()
    }
}

/// Parts of names, as the towers have them (Hugging Face's) and as `laion_clap` has them.
const NAMES: [(&str, &str); 4] = [
    ("_projection.linear1.", "_projection.0."),
    ("_projection.linear2.", "_projection.2."),
    ("text_model.", "text_branch."),
    ("audio_model.audio_encoder.", "audio_branch."),
];
/// The same, inside the audio tower.
const AUDIO_NAMES: [(&str, &str); 8] = [
    (".batch_norm.", ".bn0."),
    (".layernorm_before.", ".norm1."),
    (".layernorm_after.", ".norm2."),
    (".attention.self.relative", ".attn.relative"),
    (".attention.output.dense.", ".attn.proj."),
    (".intermediate.dense.", ".mlp.fc1."),
    (".output.dense.", ".mlp.fc2."),
    (".attention.self.", ".attn.qkv."),
];

/// What `laion_clap` calls a tensor. Its text tower has the Hugging Face layout's names.
fn stored_name(name: &str) -> (String, View) {
    let replaced = |name: String, pairs: &[(&str, &str)]| {
        pairs.iter().fold(name, |name, (from, to)| name.replacen(from, to, 1))
    };
    let stored = replaced(name.to_owned(), &NAMES);
    if !name.starts_with("audio_model.") {
        return (stored, View::Whole);
    }
    let stored = replaced(stored, &AUDIO_NAMES);
    // Query, key and value are one matrix.
    let mut thirds = ["query.", "key.", "value."].into_iter().enumerate();
    match thirds.find(|(_, part)| stored.contains(&format!(".attn.qkv.{part}"))) {
        Some((third, part)) => (stored.replacen(part, "", 1), View::Third(third)),
        None => (stored, View::Whole),
    }
}

/// The contents of `model_config.json`.
fn config_json(
    embedding_dim: usize,
    text: &RobertaConfig,
    audio: &Cnn14Config,
    params: &LogMelParams,
) -> Value {
    let context = TextConfig::Roberta(text.clone()).context();
    json!({
        "embed_dim": audio.widths[audio.widths.len() - 1],
        "joint_embed_shape": embedding_dim,
        "enable_fusion": false,
        "fusion_type": "None",
        "audio_cfg": {
            "model_type": "PANN",
            "model_name": "Cnn14",
            "sample_rate": params.sample_rate,
            "clip_samples": params.samples,
            "window_size": params.window,
            "hop_size": params.hop,
            "fmin": params.lowest,
            "fmax": params.highest,
            "mel_bins": params.bins,
        },
        "text_cfg": { "model_type": "roberta", "context_length": context },
        "roberta": {
            "hidden_size": text.width,
            "num_attention_heads": text.heads,
            "num_hidden_layers": text.layers,
            "intermediate_size": text.mlp_width,
            "type_vocab_size": text.token_types,
            "layer_norm_eps": text.epsilon,
            "hidden_act": text.activation.transformers_name(),
            "vocab_size": text.vocabulary,
            "max_position_embeddings": text.positions,
        },
    })
}
