//! The CLAPs of open_clip from version 4 on, whose configuration has `audio_cfg` in place of
//! `vision_cfg`.
//!
//! Reference: open_clip 4.2, `clap_model.py`, `audio/{config,tower,htsat,transform}.py`. The text
//! towers are open_clip's others, under `text.`; the audio tower is LAION's HTSAT under
//! `audio.encoder.`, whose sizes `model_name` stands for and the tensors' shapes say. Any other
//! audio tower (Whisper, NaFlex) is not known here, and its model opens with the text tower alone.
//! Weights without a configuration are refused, since nothing says the activation between the audio
//! tower and the joint space.
//!
//! - **Front end.** Of a longer sound the first seconds are heard, a shorter one is repeated as often
//!   as it fits; the rate is changed as torchaudio does. Where features are fused, a long sound's
//!   three pieces are the first, the middle and the last one. open_clip draws the fourth piece at
//!   random; this takes one that follows from a fixed seed. The training's own settings of both
//!   (`data_fill`, `int16_normalize`) are in no file; these are open_clip's defaults.
//! - **Texts**, padding and the response are those of the text tower's kind.

use serde_json::Value;

use super::config::plain;
use super::names::{stored_name, text_names};
use super::{ALL_WEIGHTS, CONFIG, text};
use crate::checkpoint::{Found, Naming, Section, View, WeightFiles};
use crate::config::{Activation, HtsatConfig, InputConfig, ModelConfig, ProjectionConfig};
use crate::families::audio::{Shapes, encoder_name};
use crate::families::{Family, Names, Opened, check};
use crate::front_end::audio::{
    LogMel, LogMelParams, Padding, Reading, Resampling, Truncation, Whole,
};
use crate::front_end::{FrontEnd, Modality};
use crate::provenance::Provenance;
use crate::{ModelError, Result};

/// The part of the configuration that no model of images has.
const AUDIO_CFG: &str = "audio_cfg";
/// What the names of the audio tower's tensors begin with, and those of its encoder.
const AUDIO: &str = "audio.";
const ENCODER: &str = "audio.encoder.";
/// What the names of the text tower's tensors begin with.
const TEXT: &str = "text.";
/// Side of the square that log-mels are folded into (`AudioTower`).
const SPEC_SIZE: usize = 256;
/// What the package takes from the training's command line.
const TRAINING: &str = "sound: a short one is repeated, then followed by silence, and samples are not rounded (open_clip's defaults; no file says how the model was trained)";
/// What `model_name` can be of an HTSAT.
const SIZES: [&str; 3] = ["tiny", "base", "large"];

/// `CLAP` of open_clip.
pub(in crate::families) struct OpenClipClap;

/// Whether an OpenCLIP configuration describes a model of sounds.
pub(super) fn hears(found: &Found) -> bool {
    let model = Section::read(&found.path(CONFIG)).and_then(|top| top.section("model_cfg"));
    model.is_ok_and(|model| model.get(AUDIO_CFG).is_some())
}

impl Family for OpenClipClap {
    fn layout(&self) -> &'static str {
        "open-clip"
    }

    fn recognises(&self, found: &Found) -> bool {
        if found.has(CONFIG) {
            return !found.is_of_transformers() && hears(found);
        }
        found.bare().is_some_and(|table| table.holds(ENCODER) && table.holds(TEXT))
    }

    fn weights(&self, found: &Found) -> Result<WeightFiles> {
        found.weights(&ALL_WEIGHTS)
    }

    fn open(&self, found: &Found) -> Result<Opened> {
        let config_path = found.path(CONFIG);
        if !found.has(CONFIG) {
            let purpose = "it is the configuration of open_clip by the model's name, under the key `model_cfg`; a CLAP's weights do not say how it hears";
            return Err(ModelError::MissingFile { path: config_path, purpose });
        }
        let top = Section::read(&config_path)?;
        let weights = self.weights(found)?;
        let mut checkpoint = found.open(&weights, Vec::new())?;
        checkpoint.discard("text.attn_mask");
        Shapes::discard_unused(&mut checkpoint, ENCODER);
        let model = top.section("model_cfg")?;
        let mut text = model.section("text_cfg")?;
        model.optional_number("init_logit_bias")?;
        let activation = match model.optional_flag("quick_gelu")? {
            Some(true) => Activation::QuickGelu,
            Some(false) | None => Activation::Gelu,
        };
        let texts = text::read_rules(&text)?;
        let mut provenance = Provenance::default();
        let text_config = text::read(&mut text, activation, &checkpoint, &mut provenance.assumed)?;
        let mut audio = model.section(AUDIO_CFG)?;
        let shapes = Shapes { section: &top, checkpoint: &checkpoint, encoder: ENCODER };
        let (input, front_end) = if let Some(reason) = unknown(&audio, &shapes)? {
            (None, FrontEnd::Absent { modality: Modality::Audio, reason })
        } else {
            let (htsat, log_mel) = htsat(&mut audio, &shapes)?;
            provenance.assumed.push(TRAINING.to_owned());
            (Some(InputConfig::Htsat(htsat)), FrontEnd::Audio(log_mel))
        };
        let config =
            ModelConfig { embedding_dim: model.count("embed_dim")?, text: text_config, input };
        let mut defaulted = text.into_defaulted();
        defaulted.extend(audio.into_defaulted());
        check(&config, top.path(), &defaulted)?;
        checkpoint.defaulted(defaulted);
        if config.input.is_none() {
            checkpoint.leave(AUDIO);
        }
        let names = Names { text: text_names(&config.text, &checkpoint), input: audio_name };
        let files = std::iter::once(config_path).chain(weights.all()).collect();
        Ok(Opened { config, front_end, checkpoint, names, texts, files, provenance })
    }

    fn naming(&self) -> Naming {
        stored_name
    }

    fn logit_scales(&self) -> &'static [&'static str] {
        &["logit_scale"]
    }
}

/// Why the audio tower cannot be used, if it is not an HTSAT of LAION's.
fn unknown(audio: &Section, shapes: &Shapes) -> Result<Option<String>> {
    let kind = audio.optional_text("model_type")?.unwrap_or("HTSAT");
    if kind != "HTSAT" {
        return Ok(Some(format!("its audio tower, open_clip's `{kind}`, is not known here")));
    }
    for key in ["pre_norm", "training_head"] {
        if audio.optional_flag(key)? == Some(true) {
            return Ok(Some(format!(
                "its audio tower divides features by their length before the projection (`{key}`), which is not known here"
            )));
        }
    }
    Ok(shapes.unknown())
}

/// An HTSAT and its front end. `audio_length`, `class_num` and `pretrained` change no embedding.
fn htsat(audio: &mut Section, shapes: &Shapes) -> Result<(HtsatConfig, LogMel)> {
    if let Some(name) = audio.optional_text("model_name")?
        && !SIZES.contains(&name)
    {
        let expected = format!("`{}`", SIZES.join("`, `"));
        return Err(audio.invalid("model_name", &Value::from(name), &expected));
    }
    let fuses = audio.optional_flag("enable_fusion")?.unwrap_or(false);
    if fuses != shapes.fuses() {
        let expected = format!("{}, which the weights are of", shapes.fuses());
        return Err(audio.invalid("enable_fusion", &Value::from(fuses), &expected));
    }
    if fuses {
        plain(audio, &[("fusion_type", Value::from("aff_2d"))])?;
    }
    let (bins, stored) = (audio.count_or("mel_bins", 64)?, shapes.mel_bins()?);
    if bins != stored {
        let expected = format!("{stored}, which the weights are of");
        return Err(audio.invalid("mel_bins", &Value::from(bins), &expected));
    }
    let between = match audio.optional_text("proj_act")? {
        None | Some("gelu") => Activation::Gelu,
        Some("relu") => Activation::Relu,
        Some(other) => {
            return Err(audio.invalid("proj_act", &Value::from(other), "`gelu` or `relu`"));
        }
    };
    let log_mel = LogMel::new(LogMelParams {
        sample_rate: audio.count_or("sample_rate", 48_000)?,
        window: audio.count_or("window_size", 1_024)?,
        hop: audio.count_or("hop_size", 480)?,
        bins,
        lowest: audio.optional_number("fmin")?.unwrap_or(50.0),
        highest: audio.optional_number("fmax")?.unwrap_or(14_000.0),
        samples: audio.count_or("clip_samples", 480_000)?,
        truncation: if fuses { Truncation::Fusion } else { Truncation::First },
        padding: Padding::RepeatPad,
        reading: Reading {
            resampling: Resampling::ShortSinc,
            whole: Whole::Piece,
            ..Reading::LIBROSA
        },
    })?;
    let projection = ProjectionConfig::Perceptron(between);
    let config = shapes.htsat(log_mel.frames(), SPEC_SIZE, projection)?;
    Ok((config, log_mel))
}

/// What open_clip calls a tensor of the audio tower.
fn audio_name(name: &str) -> (String, View) {
    if let Some((part, view)) = encoder_name(name) {
        return (format!("{ENCODER}{part}"), view);
    }
    let stored = name.replacen("audio_projection.linear1.", "audio.proj.0.", 1);
    (stored.replacen("audio_projection.linear2.", "audio.proj.2.", 1), View::Whole)
}
