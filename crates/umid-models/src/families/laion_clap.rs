//! The LAION-CLAP layout: the state dict of `laion_clap`, as safetensors or as it was saved by
//! PyTorch.
//!
//! Reference: laion_clap, `clap_module/{model,htsat,pann_model}.py`. Published checkpoints are
//! one `.pt` file without a configuration, so sizes are read from the tensors' shapes. What the
//! shapes do not say has the values of every published model unless a `model_config.json` beside
//! the weights, in the form of the package's own model configurations, says otherwise. The
//! tokenizer is roberta-base's, whose `tokenizer.json` is to be put there too.
//!
//! The package has further towers, with which no checkpoint was published. A model with another
//! audio tower opens with its text tower alone; one with another text tower is refused.

use serde_json::{Value, json};

use super::audio::{PADDING_ID, Shapes, encoder_name};
use super::clap::LOGIT_SCALES;
use super::{Family, Names, Opened, check};
use crate::checkpoint::{Found, Naming, Section, View, WEIGHTS, WeightFiles};
use crate::config::{
    Activation, BertConfig, Cnn14Config, EncoderPooling, InputConfig, ModelConfig,
    ProjectionConfig, TextConfig,
};
use crate::front_end::audio::{LogMel, LogMelParams, Padding, Reading, Truncation};
use crate::front_end::{FrontEnd, Modality};
use crate::precision::Precision;
use crate::provenance::Provenance;
use crate::tokenizer::{ROBERTA, TextRules, TokenizerFiles};
use crate::{ModelError, Result};

/// The configuration's file name.
const CONFIG: &str = "model_config.json";
/// What the names of the audio tower's tensors begin with.
const AUDIO: &str = "audio_branch.";
/// Tokens that the package cuts a text to (`CLAP_Module.tokenizer` of its `hook.py`).
const CONTEXT: usize = 77;
/// Of every published model.
const PROJECTION: ProjectionConfig = ProjectionConfig::Perceptron(Activation::Relu);
/// Buffers, and heads that embeddings do not pass through.
const UNUSED: [&str; 3] =
    ["audio_transform.", "text_transform.", "text_branch.embeddings.position_ids"];
/// What the names of its projection's tensors begin with.
const AUDIO_PROJECTION: &str = "audio_projection.";
/// Tensors of text towers that the package has too, and that no published checkpoint has.
const OTHER_TEXT_TOWERS: [(&str, &str); 2] =
    [("text_branch.resblocks.0.ln_1.weight", "CLIP's"), ("text_branch.shared.weight", "BART's")];

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
            Section::empty(found.given())
        };
        let weights = self.weights(found)?;
        let mut checkpoint = found.open(&weights, Vec::new())?;
        files.extend(weights.all());
        for name in checkpoint.names() {
            if UNUSED.iter().any(|prefix| name.starts_with(prefix)) {
                checkpoint.discard(&name);
            }
        }
        Shapes::discard_unused(&mut checkpoint, AUDIO);
        let shapes = Shapes { section: &given, checkpoint: &checkpoint, encoder: AUDIO };
        let mut description = Description { given: &given, shapes, defaulted: Vec::new() };
        let (config, front_end) = description.config()?;
        let defaulted = description.defaulted;
        check(&config, given.path(), &[])?;
        checkpoint.defaulted(defaulted);
        if config.input.is_none() {
            checkpoint.leave(AUDIO);
            checkpoint.leave(AUDIO_PROJECTION);
        }
        let provenance =
            if found.has(CONFIG) { Provenance::default() } else { provenance(&config, &front_end) };
        let names = Names::of_both(stored_name);
        let texts = TextRules::of(TokenizerFiles::BroughtAlong(&ROBERTA));
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
            (
                TextConfig::Bert(BertConfig { pooling: EncoderPooling::Pooler, .. }),
                Some(InputConfig::Cnn14(_))
            )
        )
    }

    fn files(
        &self,
        config: &ModelConfig,
        front_end: &FrontEnd,
        _: Precision,
    ) -> Option<Vec<(&'static str, Value)>> {
        match (&config.text, &config.input, front_end) {
            (TextConfig::Bert(text), Some(InputConfig::Cnn14(audio)), FrontEnd::Audio(log_mel))
                if log_mel.params().reading == Reading::LAION =>
            {
                let dim = config.embedding_dim;
                Some(vec![(CONFIG, config_json(dim, text, audio, log_mel.params()))])
            }
            _ => None,
        }
    }
}

/// A configuration that is put together from what is given and from the tensors' shapes.
struct Description<'a> {
    given: &'a Section,
    shapes: Shapes<'a>,
    defaulted: Vec<String>,
}

impl Description<'_> {
    fn config(&mut self) -> Result<(ModelConfig, FrontEnd)> {
        let embedding_dim = self.shapes.axis("audio_projection.0.weight", 0)?;
        let (input, front_end) = if let Some(reason) = self.shapes.unknown() {
            (None, FrontEnd::Absent { modality: Modality::Audio, reason })
        } else {
            let (input, log_mel) = self.audio()?;
            (Some(input), FrontEnd::Audio(log_mel))
        };
        let text = TextConfig::Bert(self.text()?);
        Ok((ModelConfig { embedding_dim, text, input }, front_end))
    }

    fn audio(&mut self) -> Result<(InputConfig, LogMel)> {
        let shapes = &self.shapes;
        let log_mel = LogMel::new(self.front_end(shapes.mel_bins()?, shapes.fuses())?)?;
        let frames = log_mel.frames();
        let input = if shapes.is_cnn14() {
            InputConfig::Cnn14(shapes.cnn14(frames, PROJECTION)?)
        } else {
            let mut given = self.part("htsat")?;
            let htsat = shapes.htsat(frames, given.count_or("spec_size", 256)?, PROJECTION)?;
            self.defaulted.extend(given.into_defaulted());
            InputConfig::Htsat(htsat)
        };
        Ok((input, log_mel))
    }

    fn text(&mut self) -> Result<BertConfig> {
        for (tensor, tower) in OTHER_TEXT_TOWERS {
            if self.shapes.checkpoint.shape(tensor).is_ok() {
                let found = format!("a model of laion_clap with {tower} text tower");
                return Err(self.given.unsupported(found));
            }
        }
        let mut given = self.part("roberta")?;
        let text =
            self.shapes.bert("text_branch.", PADDING_ID + 1, EncoderPooling::Pooler, PROJECTION)?;
        // RoBERTa has one.
        if text.token_types > 1 {
            let found = "a model of laion_clap with BERT's text tower";
            return Err(self.given.unsupported(found.to_owned()));
        }
        // The package cuts every text to the same length, which its configurations say too.
        let longest = self.part("text_cfg")?.optional_count("context_length")?;
        let config = BertConfig {
            context: longest.unwrap_or(CONTEXT).min(text.context),
            heads: given.count_or("num_attention_heads", text.heads)?,
            epsilon: given.optional_number("layer_norm_eps")?.unwrap_or(text.epsilon),
            ..text
        };
        self.defaulted.extend(given.into_defaulted());
        Ok(config)
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
}

/// What is not read of weights that come without a configuration.
fn provenance(config: &ModelConfig, front_end: &FrontEnd) -> Provenance {
    let mut provenance = Provenance::default();
    provenance.inferred.push(format!("sizes: {}", config.architecture()));
    let why = "as in every published model; no file says it";
    if let FrontEnd::Audio(log_mel) = front_end {
        let LogMelParams { sample_rate, samples, .. } = log_mel.params();
        let seconds = samples / sample_rate;
        provenance.assumed.push(format!("sound: {seconds} s at {sample_rate} Hz ({why})"));
    }
    if let TextConfig::Bert(text) = &config.text {
        let (heads, cut) = (text.heads, config.text.context());
        provenance.assumed.push(format!("attention heads of the text tower: {heads} ({why})"));
        provenance.assumed.push(format!("texts: cut to {cut} tokens ({why})"));
    }
    provenance
}

/// Parts of names, as the towers have them (Hugging Face's) and as `laion_clap` has them.
const NAMES: [(&str, &str); 3] = [
    ("_projection.linear1.", "_projection.0."),
    ("_projection.linear2.", "_projection.2."),
    ("text_model.", "text_branch."),
];

/// What `laion_clap` calls a tensor. Its text tower has the Hugging Face layout's names.
fn stored_name(name: &str) -> (String, View) {
    if let Some((part, view)) = encoder_name(name) {
        return (format!("{AUDIO}{part}"), view);
    }
    let replace = |name: String, (from, to): &(&str, &str)| name.replacen(from, to, 1);
    (NAMES.iter().fold(name.to_owned(), replace), View::Whole)
}

/// The contents of `model_config.json`.
fn config_json(
    embedding_dim: usize,
    text: &BertConfig,
    audio: &Cnn14Config,
    params: &LogMelParams,
) -> Value {
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
        "text_cfg": { "model_type": "roberta", "context_length": text.context },
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
