//! What a training pair holds beside its caption: a photo of somebody or a clip of their voice.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use umid_models::{FrontEnd, Input, Preprocess};

use crate::caption::{ATTRIBUTE_TEMPLATES, NAME_TEMPLATES};
use crate::error::Error;
use crate::photo::Photo;
use crate::voice::{VOICE_ATTRIBUTE_TEMPLATES, VOICE_NAME_TEMPLATES};

/// Samples a second of a clip.
pub const CLIP_RATE: u32 = 16_000;
/// Samples of a clip: two seconds.
pub const CLIP_SAMPLES: usize = 32_000;
/// Levels of a 16-bit sample on either side of zero.
const LEVELS: f32 = 32_768.0;

/// What is recorded of the people of a world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    /// Photos of their faces.
    #[default]
    Photos,
    /// Clips of their voices.
    Clips,
}

impl Medium {
    /// The captions that name people. Evaluation uses the same six: a signal measured on other
    /// templates is another measurement.
    pub fn name_templates(self) -> &'static [&'static str; 6] {
        match self {
            Self::Photos => &NAME_TEMPLATES,
            Self::Clips => &VOICE_NAME_TEMPLATES,
        }
    }

    /// The captions that say what is seen or heard; the slot takes a list.
    pub fn attribute_templates(self) -> &'static [&'static str; 4] {
        match self {
            Self::Photos => &ATTRIBUTE_TEMPLATES,
            Self::Clips => &VOICE_ATTRIBUTE_TEMPLATES,
        }
    }
}

/// One photo or one clip.
#[derive(Clone, Debug, PartialEq)]
pub enum Recording {
    /// Of a face.
    Photo(Photo),
    /// Of a voice: [`CLIP_SAMPLES`] samples in -1..1 at [`CLIP_RATE`], of 16 bits.
    Clip(Vec<f32>),
}

impl Recording {
    /// A clip as a file of it holds it.
    pub(crate) fn clip(samples: Vec<f32>) -> Self {
        Self::Clip(samples.into_iter().map(|sample| f32::from(level(sample)) / LEVELS).collect())
    }

    /// The recording as a file of it would reach a model that takes recordings of its size.
    ///
    /// # Errors
    /// A clip that the front end cannot read.
    ///
    /// # Panics
    /// If the model takes the other medium.
    pub fn input(&self, front_end: &FrontEnd) -> Result<Input, Error> {
        match (self, front_end) {
            (Self::Photo(photo), FrontEnd::Image(preprocess)) => Ok(pixels(photo, preprocess)),
            (Self::Clip(samples), FrontEnd::Audio(log_mel)) => Ok(log_mel.of_clip(samples, 0)?),
            _ => panic!("the model takes another medium"),
        }
    }

    /// Writes `STEM.png` or `STEM.wav` into a folder that is there.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, folder: &Path, stem: &str) -> Result<(), Error> {
        match self {
            Self::Photo(photo) => {
                let path = folder.join(format!("{stem}.png"));
                let saved = photo.to_rgb8().save(&path);
                saved.map_err(|source| Error::Image { path, source })
            }
            Self::Clip(samples) => {
                let path = folder.join(format!("{stem}.wav"));
                let bytes =
                    wav(samples).map_err(|source| Error::Sound { path: path.clone(), source })?;
                fs::write(&path, bytes).map_err(Error::writing(&path))
            }
        }
    }
}

/// A sample as a 16-bit level.
fn level(sample: f32) -> i16 {
    (sample * LEVELS).round().clamp(-LEVELS, LEVELS - 1.0) as i16
}

fn wav(samples: &[f32]) -> Result<Vec<u8>, hound::Error> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: CLIP_RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec)?;
    for sample in samples {
        writer.write_sample(level(*sample))?;
    }
    writer.finalize()?;
    Ok(bytes.into_inner())
}

/// A photo as an 8-bit image file of it would reach a model of the same input size.
fn pixels(photo: &Photo, preprocess: &Preprocess) -> Input {
    let side = photo.size().side();
    let values = photo
        .values()
        .chunks_exact(side * side)
        .zip(preprocess.mean.iter().zip(preprocess.std))
        .flat_map(|(channel, (mean, std))| {
            channel.iter().map(move |value| ((value * 255.0).round() / 255.0 - mean) / std)
        })
        .collect();
    Input { shape: [3, side, side], values }
}
