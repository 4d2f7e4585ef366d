//! The Hugging Face layout of CLAP, as transformers writes `ClapModel`.
//!
//! Reference: transformers, `models/clap/configuration_clap.py` and `feature_extraction_clap.py`.

use std::path::Path;

use serde_json::{Value, json};

use super::clip::{CONFIG, PREPROCESSOR};
use super::image_processor::processor;
use super::{Family, Names, Opened, as_described, checked};
use crate::checkpoint::{Found, Section};
use crate::config::{
    Activation, BertConfig, EncoderPooling, FusionConfig, HtsatConfig, InputConfig, ModelConfig,
    ProjectionConfig, TextConfig, TextHead,
};
use crate::front_end::FrontEnd;
use crate::front_end::audio::{LogMel, LogMelParams, Padding, Reading, Truncation};
use crate::precision::Precision;
use crate::provenance::Provenance;
use crate::tokenizer::{TextRules, TokenizerFiles};
use crate::{ModelError, Result};

/// `ClapModel` of transformers.
pub(super) struct Clap;

/// Names of the two factors on cosines: for ranking texts by a sound, and sounds by a text.
pub(super) const LOGIT_SCALES: [&str; 2] = ["logit_scale_a", "logit_scale_t"];

/// Buffers of older checkpoints that only count positions.
const BUFFERS: [&str; 1] = ["text_model.embeddings.position_ids"];

impl Family for Clap {
    fn recognises(&self, found: &Found) -> bool {
        found.model_type().as_deref() == Some("clap")
    }

    fn open(&self, found: &Found) -> Result<Opened> {
        let path = found.path(CONFIG);
        let (front_end_path, section) =
            processor(found, "feature_extractor", "it says how sound becomes log-mels")?;
        let log_mel = LogMel::new(read_front_end(&section)?)?;
        let (config, defaulted) = read_config(&path, &log_mel)?;
        let weights = self.weights(found)?;
        let mut checkpoint = found.open(&weights, defaulted)?;
        for name in BUFFERS {
            checkpoint.discard(name);
        }
        let mut files = vec![path, front_end_path];
        files.extend(weights.all());
        let front_end = FrontEnd::Audio(log_mel);
        let (names, provenance) = (Names::of_both(as_described), Provenance::default());
        let texts = TextRules::of(TokenizerFiles::Whole);
        Ok(Opened { config, front_end, checkpoint, names, texts, files, provenance })
    }

    fn logit_scales(&self) -> &'static [&'static str] {
        &LOGIT_SCALES
    }

    /// A model that fuses features, or cuts texts before its positions end, can be read and not
    /// written.
    fn writes(&self, config: &ModelConfig) -> bool {
        let TextConfig::Bert(text) = &config.text else { return false };
        text.pooling == EncoderPooling::Pooler
            && text.first_position > 0
            && text.context + text.first_position == text.positions
            && matches!(&config.input, Some(InputConfig::Htsat(HtsatConfig { fusion: None, .. })))
    }

    fn files(
        &self,
        config: &ModelConfig,
        front_end: &FrontEnd,
        precision: Precision,
    ) -> Option<Vec<(&'static str, Value)>> {
        let (
            TextConfig::Bert(text),
            Some(InputConfig::Htsat(audio @ HtsatConfig { fusion: None, .. })),
            FrontEnd::Audio(log_mel),
        ) = (&config.text, &config.input, front_end)
        else {
            return None;
        };
        let (TextHead::Network(ProjectionConfig::Perceptron(between)), Reading::LIBROSA) =
            (text.head, log_mel.params().reading)
        else {
            return None;
        };
        let configuration = config_json(config.embedding_dim, text, audio, between, precision);
        let front_end = feature_extractor_json(log_mel.params())?;
        Some(vec![(CONFIG, configuration), (PREPROCESSOR, front_end)])
    }
}

fn read_config(path: &Path, log_mel: &LogMel) -> Result<(ModelConfig, Vec<String>)> {
    let mut top = Section::read(path)?;
    let (mut text, mut audio) = (top.section("text_config")?, top.section("audio_config")?);
    let embedding_dim = top.count_or("projection_dim", 512)?;
    let projection = ProjectionConfig::Perceptron(
        top.optional_activation("projection_hidden_act")?.unwrap_or(Activation::Relu),
    );
    let positions = text.count_or("max_position_embeddings", 514)?;
    let first_position = text.count_or("pad_token_id", 1)?.saturating_add(1);
    let config = ModelConfig {
        embedding_dim,
        text: TextConfig::Bert(BertConfig {
            vocabulary: text.count_or("vocab_size", 50_265)?,
            context: positions.saturating_sub(first_position),
            positions,
            first_position,
            token_types: text.count_or("type_vocab_size", 1)?,
            width: text.count_or("hidden_size", 768)?,
            layers: text.count_or("num_hidden_layers", 12)?,
            heads: text.count_or("num_attention_heads", 12)?,
            mlp_width: text.count_or("intermediate_size", 3_072)?,
            activation: text.optional_activation("hidden_act")?.unwrap_or(Activation::Gelu),
            epsilon: text.optional_number("layer_norm_eps")?.unwrap_or(1e-12),
            pooling: EncoderPooling::Pooler,
            head: TextHead::Network(projection),
        }),
        input: Some(InputConfig::Htsat(htsat(&mut audio, log_mel, projection)?)),
    };
    checked(config, path, [top, text, audio])
}

fn htsat(
    audio: &mut Section,
    log_mel: &LogMel,
    projection: ProjectionConfig,
) -> Result<HtsatConfig> {
    let fusion = audio.optional_flag("enable_fusion")?.unwrap_or(false);
    if let Some(kind) = audio.optional_text("fusion_type")?
        && fusion
        && kind != "aff_2d"
    {
        return Err(audio.invalid("fusion_type", &Value::from(kind), "`aff_2d`"));
    }
    let (mel_bins, made) = (audio.count_or("num_mel_bins", 64)?, log_mel.params().bins);
    if mel_bins != made {
        let expected = format!("the {made} of the feature extractor");
        return Err(audio.invalid("num_mel_bins", &Value::from(mel_bins), &expected));
    }
    Ok(HtsatConfig {
        frames: log_mel.frames(),
        mel_bins,
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
        activation: audio.optional_activation("hidden_act")?.unwrap_or(Activation::Gelu),
        epsilon: audio.optional_number("layer_norm_eps")?.unwrap_or(1e-5),
        fusion: if fusion {
            Some(FusionConfig { reduction: audio.count_or("aff_block_r", 4)?, short_clips: true })
        } else {
            None
        },
        projection,
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
        reading: Reading::LIBROSA,
    })
}

/// The contents of `config.json`.
fn config_json(
    dim: usize,
    text: &BertConfig,
    audio: &HtsatConfig,
    between: Activation,
    precision: Precision,
) -> Value {
    let between = between.transformers_name();
    json!({
        "architectures": ["ClapModel"],
        "model_type": "clap",
        "projection_dim": dim,
        "projection_hidden_act": between,
        "torch_dtype": precision.torch_name(),
        "text_config": {
            "model_type": "clap_text_model",
            "vocab_size": text.vocabulary,
            "max_position_embeddings": text.positions,
            "pad_token_id": text.first_position - 1,
            "bos_token_id": 0,
            "eos_token_id": 2,
            "type_vocab_size": text.token_types,
            "hidden_size": text.width,
            "num_hidden_layers": text.layers,
            "num_attention_heads": text.heads,
            "intermediate_size": text.mlp_width,
            "hidden_act": text.activation.transformers_name(),
            "layer_norm_eps": text.epsilon,
            "projection_dim": dim,
            "projection_hidden_act": between,
        },
        "audio_config": {
            "model_type": "clap_audio_model",
            "num_mel_bins": audio.mel_bins,
            "spec_size": audio.spec_size,
            "patch_size": one_or_two(audio.patch_size),
            "patch_stride": audio.patch_stride,
            "enable_patch_layer_norm": audio.patch_norm,
            "patch_embeds_hidden_size": audio.width,
            "hidden_size": audio.output_width(),
            "depths": audio.depths,
            "num_hidden_layers": audio.depths.len(),
            "num_attention_heads": audio.heads,
            "window_size": audio.window,
            "mlp_ratio": audio.mlp_ratio,
            "qkv_bias": audio.qkv_bias,
            "hidden_act": audio.activation.transformers_name(),
            "layer_norm_eps": audio.epsilon,
            "enable_fusion": false,
            "projection_dim": dim,
            "projection_hidden_act": between,
        },
    })
}

/// transformers wants one number where both are equal.
fn one_or_two(sides: [usize; 2]) -> Value {
    if sides[0] == sides[1] { json!(sides[0]) } else { json!(sides) }
}

/// The contents of `preprocessor_config.json`.
fn feature_extractor_json(params: &LogMelParams) -> Option<Value> {
    let truncation = match params.truncation {
        Truncation::RandTrunc => "rand_trunc",
        Truncation::Fusion => "fusion",
        Truncation::First => return None,
    };
    Some(json!({
        "feature_extractor_type": "ClapFeatureExtractor",
        "feature_size": params.bins,
        "sampling_rate": params.sample_rate,
        "fft_window_size": params.window,
        "nb_frequency_bins": params.window / 2 + 1,
        "hop_length": params.hop,
        "frequency_min": params.lowest,
        "frequency_max": params.highest,
        "max_length_s": whole(params.samples as f64 / params.sample_rate as f64),
        "nb_max_samples": params.samples,
        "truncation": truncation,
        "padding": match params.padding {
            Padding::RepeatPad => "repeatpad",
            Padding::Repeat => "repeat",
            Padding::Pad => "pad",
        },
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": false,
        "top_db": null,
    }))
}

/// transformers multiplies seconds by the rate to a number of samples, which must be a whole one.
fn whole(seconds: f64) -> Value {
    if seconds.fract() == 0.0 { json!(seconds as u64) } else { json!(seconds) }
}
