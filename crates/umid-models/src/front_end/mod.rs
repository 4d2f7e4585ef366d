//! How files become inputs of a model.

pub mod audio;
mod image;

use std::path::Path;

use serde::Serialize;

use self::audio::{FLOOR_DECIBELS, LogMel};
pub use self::image::{Filter, ImageConvention, OPENAI_MEAN, OPENAI_STD, Preprocess, Resize};
use crate::{ModelError, Result};

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
    /// None: the model is open with its text tower alone.
    Absent {
        /// What the model was trained with beside texts.
        modality: Modality,
        /// Why there is no input tower.
        reason: String,
    },
}

impl FrontEnd {
    /// What it reads.
    pub fn modality(&self) -> Modality {
        match self {
            Self::Image(_) => Modality::Image,
            Self::Audio(_) => Modality::Audio,
            Self::Absent { modality, .. } => *modality,
        }
    }

    /// How images become pixels; `None` for a model that reads sound.
    pub fn pixels(&self) -> Option<&Preprocess> {
        match self {
            Self::Image(preprocess) => Some(preprocess),
            Self::Audio(_) | Self::Absent { .. } => None,
        }
    }

    /// Range of each element of an input of this shape: `[channels * height * width]`.
    pub(crate) fn valid_range(&self, [_, height, width]: [usize; 3]) -> Vec<(f32, f32)> {
        match self {
            Self::Image(preprocess) => {
                let channel = |range: (f32, f32)| std::iter::repeat_n(range, height * width);
                preprocess.valid_range().into_iter().flat_map(channel).collect()
            }
            Self::Audio(log_mel) => {
                let row = log_mel.ceiling().into_iter().map(|high| (FLOOR_DECIBELS, high));
                row.collect::<Vec<_>>().repeat(height)
            }
            Self::Absent { .. } => Vec::new(),
        }
    }

    /// Reads a file. Of a long sound, which pieces the model reads is drawn from a fixed seed;
    /// see [`LogMel::of_clip`] for others.
    ///
    /// # Errors
    ///
    /// Those of [`Preprocess::open`], [`audio::read_sound`] and [`LogMel::of_clip`], and
    /// [`ModelError::TextAlone`].
    pub fn open(&self, path: &Path) -> Result<Input> {
        match self {
            Self::Image(preprocess) => preprocess.open(path),
            Self::Audio(log_mel) => {
                let params = log_mel.params();
                let clip = audio::read_sound_as(path, params.sample_rate, params.reading)?;
                log_mel.of_clip(&clip, CUT_SEED)
            }
            Self::Absent { reason, .. } => Err(ModelError::TextAlone { reason: reason.clone() }),
        }
    }
}
