//! The CLAPs of Microsoft's package `msclap`: the versions of 2022 and 2023.
//!
//! Reference: msclap 1.3, `CLAPWrapper.py`, `models/{clap,audio,htsat,config}.py` and
//! `configs/config_{2022,2023}.yml`. A published checkpoint is one `.pth` file whose state dict is
//! under `model`. Sizes are read from the tensors' shapes, and the version is told by them; how sound
//! and texts are prepared is part of the package, and of this file.
//!
//! | | 2022 | 2023 |
//! | --- | --- | --- |
//! | audio tower | Cnn14 | HTSAT |
//! | sound | 5 s at 44.1 kHz | 7 s at 44.1 kHz |
//! | text tower | BERT, bidirectional, read at its first token | GPT-2, causal, read at its end token |
//! | tokenizer | bert-base-uncased's | gpt2's |
//!
//! - **Front end.** Samples are at 44.1 kHz, windows of 1,024 with a hop of 320, 64 mel bins between
//!   50 and 14,000 Hz on Slaney's scale. The HTSAT of 2023 takes its settings from a file of its own
//!   and makes its filters for 32 kHz, whatever the version's configuration says. Channels are joined
//!   one after another. A shorter clip is repeated and cut; of a longer one the package takes a
//!   piece at random, and this takes one that follows from a fixed seed.
//! - **Texts** are not cut to the package's `text_len`, which it only pads to: a text may be as long
//!   as the tower has positions. For GPT-2 the package appends ` <|endoftext|>` to a text, and makes
//!   `!` the padding token, of id 0. It reads the tower at the number of ids that are not 0, less
//!   one: a text with exclamation marks is read as many tokens before its end.
//! - **Padding** has no influence: it is masked or stands behind the token that is read. Texts are
//!   not padded here.
//! - **Response.** Either tower ends in a projection whose last step is a layer norm. The state is the
//!   text tower's stream at the pooled token, before the tower's last norm. The response is the
//!   projection's output before its layer norm, centred and multiplied by that norm's gain.

use super::audio::{Shapes, encoder_name};
use super::{Family, Names, Opened, check};
use crate::Result;
use crate::checkpoint::{Found, Section, View, WeightFiles};
use crate::config::{
    Activation, BertConfig, ClipTextConfig, EncoderPooling, InputConfig, ModelConfig, Pooling,
    ProjectionConfig, TextAttention, TextConfig, TextHead, TransformerConfig,
};
use crate::front_end::FrontEnd;
use crate::front_end::audio::{
    Channels, LogMel, LogMelParams, Padding, Reading, Resampling, Truncation,
};
use crate::provenance::Provenance;
use crate::tokenizer::{BERT, TextRules, TokenizerFiles};

/// What the names of the towers' tensors begin with.
const AUDIO: &str = "audio_encoder.base.";
const TEXT: &str = "caption_encoder.base.";
/// Where the wrapper of the version of 2023 keeps its audio encoder.
const HTSAT: &str = "audio_encoder.base.htsat.";
const SAMPLE_RATE: usize = 44_100;
/// Seconds of sound.
const CNN14_SECONDS: usize = 5;
const HTSAT_SECONDS: usize = 7;
/// The rate for which the HTSAT makes its filters (`models/config.py`).
const HTSAT_FILTER_RATE: usize = 32_000;
/// Side of the square that the HTSAT folds log-mels into.
const SPEC_SIZE: usize = 256;
const GPT2_EPSILON: f64 = 1e-5;
const BERT_EPSILON: f64 = 1e-12;
const PADDING_ID: u32 = 0;

/// The state dict of `msclap`.
pub(super) struct Msclap;

impl Family for Msclap {
    fn layout(&self) -> &'static str {
        "msclap"
    }

    fn recognises(&self, found: &Found) -> bool {
        found.bare().is_some_and(|table| table.holds(AUDIO) && table.holds(TEXT))
    }

    fn weights(&self, found: &Found) -> Result<WeightFiles> {
        found.only_weights()
    }

    fn open(&self, found: &Found) -> Result<Opened> {
        let weights = self.weights(found)?;
        let mut checkpoint = found.open(&weights, Vec::new())?;
        let encoder = if found.table(&weights.weights[0])?.holds(HTSAT) { HTSAT } else { AUDIO };
        Shapes::discard_unused(&mut checkpoint, encoder);
        for name in checkpoint.names() {
            if is_unused(&name) {
                checkpoint.discard(&name);
            }
        }
        let given = Section::empty(found.given());
        let shapes = Shapes { section: &given, checkpoint: &checkpoint, encoder };
        let log_mel = LogMel::new(front_end(shapes.mel_bins()?, shapes.is_cnn14()))?;
        let (frames, projection) = (log_mel.frames(), ProjectionConfig::Residual);
        if let Some(reason) = shapes.unknown() {
            return Err(given.unsupported(format!("a model of msclap: {reason}")));
        }
        let input = if shapes.is_cnn14() {
            InputConfig::Cnn14(shapes.cnn14(frames, projection)?)
        } else {
            InputConfig::Htsat(shapes.htsat(frames, SPEC_SIZE, projection)?)
        };
        let (text, texts) = if found.table(&weights.weights[0])?.holds(GPT2_BLOCKS) {
            (TextConfig::Clip(gpt2(&shapes)?), TextRules::gpt2_of_msclap())
        } else {
            let texts = TextRules::of(TokenizerFiles::BroughtAlong(&BERT));
            (TextConfig::Bert(bert(&shapes)?), texts)
        };
        let embedding_dim = shapes.axis("caption_encoder.projection.linear1.weight", 0)?;
        let config = ModelConfig { embedding_dim, text, input: Some(input) };
        check(&config, given.path(), &[])?;
        let provenance = provenance(&config, log_mel.params());
        Ok(Opened {
            config,
            front_end: FrontEnd::Audio(log_mel),
            checkpoint,
            names: Names { text: text_name, input: audio_name },
            texts,
            files: weights.all().collect(),
            provenance,
        })
    }
}

/// Buffers, and BERT's pooler, which is not read.
fn is_unused(name: &str) -> bool {
    let mask = name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
    name.starts_with(TEXT) && (mask || name.contains(".pooler.") || name.ends_with(".position_ids"))
}

fn front_end(mel_bins: usize, cnn14: bool) -> LogMelParams {
    let (seconds, filter_rate) =
        if cnn14 { (CNN14_SECONDS, None) } else { (HTSAT_SECONDS, Some(HTSAT_FILTER_RATE)) };
    LogMelParams {
        sample_rate: SAMPLE_RATE,
        window: 1_024,
        hop: 320,
        bins: mel_bins,
        lowest: 50.0,
        highest: 14_000.0,
        samples: seconds * SAMPLE_RATE,
        truncation: Truncation::RandTrunc,
        padding: Padding::Repeat,
        reading: Reading {
            channels: Channels::Joined,
            resampling: Resampling::ShortSinc,
            filter_rate,
            ..Reading::LIBROSA
        },
    }
}

fn bert(shapes: &Shapes) -> Result<BertConfig> {
    let bert = shapes.bert(TEXT, 0, EncoderPooling::First, ProjectionConfig::Residual)?;
    Ok(BertConfig { epsilon: BERT_EPSILON, ..bert })
}

fn gpt2(shapes: &Shapes) -> Result<ClipTextConfig> {
    let table = |name: &str| format!("{TEXT}{name}.weight");
    let width = shapes.axis(&table("wte"), 1)?;
    let block = |i: usize| format!("{TEXT}h.{i}.mlp.c_fc.weight");
    Ok(ClipTextConfig {
        vocabulary: shapes.axis(&table("wte"), 0)?,
        context: shapes.axis(&table("wpe"), 0)?,
        attention: TextAttention::Causal,
        pooling: Pooling::LastByCountWithout(PADDING_ID),
        head: TextHead::Network(ProjectionConfig::Residual),
        transformer: TransformerConfig {
            width,
            layers: shapes.count(block),
            heads: Shapes::heads(width),
            mlp_width: shapes.axis(&block(0), 1)?,
            activation: Activation::GeluTanh,
            layer_norm_epsilon: GPT2_EPSILON,
            layer_scale: false,
        },
    })
}

fn provenance(config: &ModelConfig, params: &LogMelParams) -> Provenance {
    let mut provenance = Provenance::default();
    provenance.inferred.push(format!("sizes: {}", config.architecture()));
    let LogMelParams { sample_rate, samples, .. } = params;
    let seconds = samples / sample_rate;
    let why = "as msclap has it for this audio tower; no file says it";
    provenance.assumed.push(format!("sound: {seconds} s at {sample_rate} Hz ({why})"));
    provenance
}

/// Names of the text towers' tensors, as the towers have them and as the packages have them. BERT's
/// has the Hugging Face layout's.
const TEXT_NAMES: [(&str, &str); 4] = [
    ("text_model.embeddings.token_embedding.", "wte."),
    ("text_model.embeddings.position_embedding.", "wpe."),
    ("text_model.final_layer_norm.", "ln_f."),
    ("text_model.encoder.layers.", GPT2_LAYERS),
];
const GPT2_LAYERS: &str = "h.";
const GPT2_BLOCKS: &str = "caption_encoder.base.h.";

/// What msclap calls a tensor of either text tower. GPT-2 stores a linear layer as
/// `[input, output]`, and query, key and value as one.
fn text_name(name: &str) -> (String, View) {
    if let Some(part) = name.strip_prefix("text_projection.") {
        return (format!("caption_encoder.projection.{part}"), View::Whole);
    }
    let Some((from, to)) = TEXT_NAMES.iter().find(|(from, _)| name.starts_with(from)) else {
        return (name.replacen("text_model.", TEXT, 1), View::Whole);
    };
    let stored = format!("{TEXT}{}", name.replacen(from, to, 1));
    if *to != GPT2_LAYERS {
        return (stored, View::Whole);
    }
    let is_matrix = stored.ends_with(".weight");
    for (third, part) in ["q", "k", "v"].into_iter().enumerate() {
        let from = format!(".self_attn.{part}_proj.");
        if stored.contains(&from) {
            let view = if is_matrix { View::ColumnThird(third) } else { View::Third(third) };
            return (stored.replacen(&from, ".attn.c_attn.", 1), view);
        }
    }
    for (from, to, linear) in [
        (".layer_norm1.", ".ln_1.", false),
        (".layer_norm2.", ".ln_2.", false),
        (".self_attn.out_proj.", ".attn.c_proj.", true),
        (".mlp.fc1.", ".mlp.c_fc.", true),
        (".mlp.fc2.", ".mlp.c_proj.", true),
    ] {
        if stored.contains(from) {
            let view = if linear && is_matrix { View::Transposed } else { View::Whole };
            return (stored.replacen(from, to, 1), view);
        }
    }
    (stored, View::Whole)
}

/// What msclap calls a tensor of either audio tower. PANN's is described under another name than
/// HTS-AT's.
fn audio_name(name: &str) -> (String, View) {
    if let Some(part) = name.strip_prefix("audio_projection.") {
        return (format!("audio_encoder.projection.{part}"), View::Whole);
    }
    match encoder_name(name) {
        Some((part, view)) if name.starts_with("audio_branch.") => (format!("{AUDIO}{part}"), view),
        Some((part, view)) => (format!("{HTSAT}{part}"), view),
        None => (name.to_owned(), View::Whole),
    }
}
