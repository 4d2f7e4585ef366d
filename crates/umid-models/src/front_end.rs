//! How files become inputs of a model, and in which units inputs are best searched.

use std::path::Path;

use serde::Serialize;

use crate::Result;
use crate::audio::LogMel;
use crate::preprocess::Preprocess;

/// Seed of the pieces that are cut out of a long sound where none is given.
const CUT_SEED: u64 = 0;

/// One input as the model takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// `[channels, height, width]`: of an image its colours, rows and columns; of a sound one
    /// channel (four, where a model fuses the pieces of a long one), frames and mel bins.
    pub shape: [usize; 3],
    /// Row-major order. Of an image normalised pixels, of a sound decibels.
    pub values: Vec<f32>,
}

/// The kind of data beside the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Images, as CLIP takes them.
    Image,
    /// Sound, as CLAP takes it.
    Audio,
}

impl std::fmt::Display for Modality {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Image => "image",
            Self::Audio => "audio",
        })
    }
}

/// How files become inputs.
#[derive(Debug, Clone)]
pub enum FrontEnd {
    /// Resizing, cropping, normalising.
    Image(Preprocess),
    /// Decoding, resampling, a log-mel spectrogram.
    Audio(LogMel),
}

/// Units in which an input is searched: input = mean + deviation x variable, elementwise.
///
/// Of images the input's own, as pixels are normalised already. Of sound those that the audio
/// tower itself brings each mel bin to before its first layer.
#[derive(Debug, Clone, PartialEq)]
pub struct InputUnits {
    /// `[channels, height, width]`.
    pub shape: [usize; 3],
    /// Of each element of the last axis: `[width]`.
    pub mean: Vec<f32>,
    /// Of each element of the last axis: `[width]`.
    pub deviation: Vec<f32>,
    /// What each element of an input can be: `[channels * height * width]`.
    pub valid_range: Vec<(f32, f32)>,
}

impl InputUnits {
    /// Units of normalised pixels.
    pub fn of_pixels(preprocess: &Preprocess, shape: [usize; 3]) -> Self {
        let [_, height, width] = shape;
        let channel = |range: (f32, f32)| std::iter::repeat_n(range, height * width);
        Self {
            shape,
            mean: vec![0.0; width],
            deviation: vec![1.0; width],
            valid_range: preprocess.valid_range().into_iter().flat_map(channel).collect(),
        }
    }
}

impl FrontEnd {
    /// What it reads.
    pub fn modality(&self) -> Modality {
        match self {
            Self::Image(_) => Modality::Image,
            Self::Audio(_) => Modality::Audio,
        }
    }

    /// How images become pixels.
    ///
    /// # Panics
    ///
    /// Of a model that reads sound.
    pub fn pixels(&self) -> &Preprocess {
        match self {
            Self::Image(preprocess) => preprocess,
            Self::Audio(_) => panic!("an audio-text model has no pixels"),
        }
    }

    /// Reads a file. Of a long sound, which pieces the model reads is drawn from a fixed seed;
    /// see [`LogMel::of_clip`] for others.
    ///
    /// # Errors
    ///
    /// Those of [`Preprocess::open`], [`crate::audio::read_sound`] and [`LogMel::of_clip`].
    pub fn open(&self, path: &Path) -> Result<Input> {
        match self {
            Self::Image(preprocess) => preprocess.open(path),
            Self::Audio(log_mel) => {
                let clip = crate::audio::read_sound(path, log_mel.params().sample_rate)?;
                log_mel.of_clip(&clip, CUT_SEED)
            }
        }
    }
}
