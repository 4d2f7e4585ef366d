//! What a model imagines for a text, made visible and, where it is a sound, audible.

use std::io::Cursor;

use hound::{SampleFormat, WavSpec, WavWriter};
use ndarray::ArrayView2;
use umid_models::audio::LogMel;
use umid_models::{FrontEnd, Model, ModelError};

use crate::report::ReportError;
use crate::report::preview::{png_from_chw, spectrogram_png};

/// An input that can be looked at, and listened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imagined {
    /// The image, or the spectrogram of the sound, as a PNG file.
    pub png: Vec<u8>,
    /// The sound as a WAV file of 16 bits; none of an image.
    pub wav: Option<Vec<u8>>,
}

/// Shows one input of a model.
///
/// A log-mel has no phase: the sound is one of many with this spectrogram (see
/// [`LogMel::sound_of`]).
///
/// # Shapes
/// `input`: as many values as the input tower's shape has, row-major.
///
/// # Errors
/// [`ReportError::PreviewShape`] for another number of values.
pub fn imagined(model: &Model, input: &[f32], side: usize) -> Result<Imagined, ReportError> {
    use umid_models::InputTower as _;
    let [_, height, width] = model.tower()?.input_shape();
    match &model.front_end {
        FrontEnd::Image(preprocess) => {
            let png = png_from_chw(&preprocess.denormalise(input), height, width, side)?;
            Ok(Imagined { png, wav: None })
        }
        FrontEnd::Audio(log_mel) => {
            let png = spectrogram_png(input, height, width, side)?;
            Ok(Imagined { png, wav: Some(wav(log_mel, input, height, width)?) })
        }
        FrontEnd::Absent { reason, .. } => {
            Err(ModelError::TextAlone { reason: reason.clone() }.into())
        }
    }
}

fn wav(
    log_mel: &LogMel,
    input: &[f32],
    frames: usize,
    bins: usize,
) -> Result<Vec<u8>, ReportError> {
    let values = ArrayView2::from_shape((frames, bins), input).map_err(|_| {
        ReportError::PreviewShape { height: bins, width: frames, found: input.len() }
    })?;
    wav_file(&log_mel.sound_of(values), log_mel.params().sample_rate)
}

/// Samples in -1..1 as a WAV file of 16 bits and one channel.
///
/// # Errors
/// [`ReportError::Sound`] for more samples than the format can hold.
pub fn wav_file(samples: &[f32], rate: usize) -> Result<Vec<u8>, ReportError> {
    let spec = WavSpec {
        channels: 1,
        sample_rate: u32::try_from(rate).unwrap_or(u32::MAX),
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    let mut file = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut file, spec)?;
    for sample in samples {
        writer.write_sample((sample.clamp(-1.0, 1.0) * f32::from(i16::MAX)) as i16)?;
    }
    writer.finalize()?;
    Ok(file.into_inner())
}
