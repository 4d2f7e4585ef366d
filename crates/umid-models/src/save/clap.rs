//! CLAP in the Hugging Face layout and in LAION-CLAP's.
//!
//! Tensors carry the Hugging Face layout's names while they are collected, but for Cnn14, which
//! that layout does not have.

use serde_json::{Value, json};

use super::clip::activation;
use super::export::Export;
use super::torch_name;
use crate::audio::{AudioTower, LogMelParams, Padding, Truncation};
use crate::config::{AudioConfig, ClapConfig, Cnn14Config, HtsatConfig, RobertaConfig};
use crate::precision::Precision;
use crate::text::Roberta;

/// Names of the two factors on cosines: for ranking texts by a sound, and sounds by a text.
const LOGIT_SCALES: [&str; 2] = ["logit_scale_a", "logit_scale_t"];

/// What the LAION-CLAP layout calls a tensor.
fn laion_name(name: &str) -> String {
    [
        ("text_model.", "text_branch."),
        ("_projection.linear1.", "_projection.0."),
        ("_projection.linear2.", "_projection.2."),
    ]
    .into_iter()
    .fold(name.to_owned(), |name, (from, to)| name.replacen(from, to, 1))
}

/// The towers' weights, under their names in the layout.
pub(super) fn export(text: &Roberta, audio: &AudioTower, log_logit_scale: f32) -> Export {
    let mut out = Export::default();
    for name in LOGIT_SCALES {
        out.push(name, vec![], vec![log_logit_scale]);
    }
    text.export(&mut out);
    audio.export(&mut out);
    if audio.is_cnn14() {
        out.rename(laion_name);
    }
    out
}

/// Name and shape of every tensor.
pub(super) fn tensor_shapes(config: &ClapConfig) -> Vec<(String, Vec<usize>)> {
    let mut shapes = Shapes(Vec::new());
    for name in LOGIT_SCALES {
        shapes.add(name, &[]);
    }
    shapes.text(&config.text);
    match &config.audio {
        AudioConfig::Htsat(htsat) => shapes.htsat(htsat),
        AudioConfig::Cnn14(cnn14) => shapes.cnn14(cnn14),
    }
    let dim = config.projection.embedding_dim;
    for (tower, width) in [("text", config.text.width), ("audio", config.audio.output_width())] {
        shapes.linear(&format!("{tower}_projection.linear1"), dim, width);
        shapes.linear(&format!("{tower}_projection.linear2"), dim, dim);
    }
    if matches!(config.audio, AudioConfig::Cnn14(_)) {
        for (name, _) in &mut shapes.0 {
            *name = laion_name(name);
        }
    }
    shapes.0
}

struct Shapes(Vec<(String, Vec<usize>)>);

impl Shapes {
    fn add(&mut self, name: &str, shape: &[usize]) {
        self.0.push((name.to_owned(), shape.to_vec()));
    }

    /// A weight and a bias.
    fn linear(&mut self, name: &str, output: usize, input: usize) {
        self.add(&format!("{name}.weight"), &[output, input]);
        self.add(&format!("{name}.bias"), &[output]);
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.add(&format!("{name}.weight"), &[width]);
        self.add(&format!("{name}.bias"), &[width]);
    }

    fn batch_norm(&mut self, name: &str, width: usize) {
        self.norm(name, width);
        self.add(&format!("{name}.running_mean"), &[width]);
        self.add(&format!("{name}.running_var"), &[width]);
    }

    fn text(&mut self, config: &RobertaConfig) {
        let (width, inner) = (config.width, config.mlp_width);
        for (table, rows) in [
            ("word", config.vocabulary),
            ("position", config.positions),
            ("token_type", config.token_types),
        ] {
            self.add(&format!("text_model.embeddings.{table}_embeddings.weight"), &[rows, width]);
        }
        self.norm("text_model.embeddings.LayerNorm", width);
        for layer in 0..config.layers {
            let layer = format!("text_model.encoder.layer.{layer}");
            for part in ["query", "key", "value"] {
                self.linear(&format!("{layer}.attention.self.{part}"), width, width);
            }
            self.linear(&format!("{layer}.attention.output.dense"), width, width);
            self.norm(&format!("{layer}.attention.output.LayerNorm"), width);
            self.linear(&format!("{layer}.intermediate.dense"), inner, width);
            self.linear(&format!("{layer}.output.dense"), width, inner);
            self.norm(&format!("{layer}.output.LayerNorm"), width);
        }
        self.linear("text_model.pooler.dense", width, width);
    }

    fn htsat(&mut self, config: &HtsatConfig) {
        let tower = "audio_model.audio_encoder";
        self.batch_norm(&format!("{tower}.batch_norm"), config.mel_bins);
        let [rows, columns] = config.patch_size;
        let patch = format!("{tower}.patch_embed");
        self.add(&format!("{patch}.proj.weight"), &[config.width, 1, rows, columns]);
        self.add(&format!("{patch}.proj.bias"), &[config.width]);
        if config.patch_norm {
            self.norm(&format!("{patch}.norm"), config.width);
        }
        for (stage, (depth, heads)) in config.depths.iter().zip(&config.heads).enumerate() {
            let (width, inner) = (config.width_of(stage), config.mlp_width(stage));
            for block in 0..*depth {
                let block = format!("{tower}.layers.{stage}.blocks.{block}");
                let attention = format!("{block}.attention.self");
                let offsets = (2 * config.window - 1).pow(2);
                let table = format!("{attention}.relative_position_bias_table");
                self.add(&table, &[offsets, *heads]);
                for part in ["query", "key", "value"] {
                    self.add(&format!("{attention}.{part}.weight"), &[width, width]);
                    if config.qkv_bias {
                        self.add(&format!("{attention}.{part}.bias"), &[width]);
                    }
                }
                self.linear(&format!("{block}.attention.output.dense"), width, width);
                self.norm(&format!("{block}.layernorm_before"), width);
                self.norm(&format!("{block}.layernorm_after"), width);
                self.linear(&format!("{block}.intermediate.dense"), inner, width);
                self.linear(&format!("{block}.output.dense"), width, inner);
            }
            if stage + 1 < config.depths.len() {
                let merging = format!("{tower}.layers.{stage}.downsample");
                self.norm(&format!("{merging}.norm"), 4 * width);
                self.add(&format!("{merging}.reduction.weight"), &[2 * width, 4 * width]);
            }
        }
        self.norm(&format!("{tower}.norm"), config.output_width());
    }

    fn cnn14(&mut self, config: &Cnn14Config) {
        self.batch_norm("audio_branch.bn0", config.mel_bins);
        let mut input = 1;
        for (i, width) in config.widths.into_iter().enumerate() {
            let block = format!("audio_branch.conv_block{}", i + 1);
            for (number, input) in [(1, input), (2, width)] {
                self.add(&format!("{block}.conv{number}.weight"), &[width, input, 3, 3]);
                self.batch_norm(&format!("{block}.bn{number}"), width);
            }
            input = width;
        }
        self.linear("audio_branch.fc1", input, input);
    }
}

/// The contents of `config.json`.
pub(super) fn config_json(config: &ClapConfig, audio: &HtsatConfig, precision: Precision) -> Value {
    let (text, projection) = (&config.text, &config.projection);
    let (dim, between) = (projection.embedding_dim, activation(projection.activation));
    json!({
        "architectures": ["ClapModel"],
        "model_type": "clap",
        "projection_dim": dim,
        "projection_hidden_act": between,
        "torch_dtype": torch_name(precision),
        "text_config": {
            "model_type": "clap_text_model",
            "vocab_size": text.vocabulary,
            "max_position_embeddings": text.positions,
            "pad_token_id": text.padding_id,
            "bos_token_id": 0,
            "eos_token_id": 2,
            "type_vocab_size": text.token_types,
            "hidden_size": text.width,
            "num_hidden_layers": text.layers,
            "num_attention_heads": text.heads,
            "intermediate_size": text.mlp_width,
            "hidden_act": activation(text.activation),
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
            "hidden_act": activation(audio.activation),
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
pub(super) fn feature_extractor_json(params: &LogMelParams) -> Value {
    json!({
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
        "truncation": match params.truncation {
            Truncation::RandTrunc => "rand_trunc",
            Truncation::Fusion => "fusion",
        },
        "padding": match params.padding {
            Padding::RepeatPad => "repeatpad",
            Padding::Repeat => "repeat",
            Padding::Pad => "pad",
        },
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": false,
        "top_db": null,
    })
}

/// transformers multiplies seconds by the rate to a number of samples, which must be a whole one.
fn whole(seconds: f64) -> Value {
    if seconds.fract() == 0.0 { json!(seconds as u64) } else { json!(seconds) }
}

/// The contents of `model_config.json`.
pub(super) fn laion_json(config: &ClapConfig, audio: &Cnn14Config, params: &LogMelParams) -> Value {
    let text = &config.text;
    json!({
        "embed_dim": audio.widths[audio.widths.len() - 1],
        "joint_embed_shape": config.projection.embedding_dim,
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
        "text_cfg": { "model_type": "roberta", "context_length": text.context() },
        "roberta": {
            "hidden_size": text.width,
            "num_attention_heads": text.heads,
            "num_hidden_layers": text.layers,
            "intermediate_size": text.mlp_width,
            "type_vocab_size": text.token_types,
            "layer_norm_eps": text.epsilon,
            "hidden_act": activation(text.activation),
            "vocab_size": text.vocabulary,
            "max_position_embeddings": text.positions,
        },
    })
}
