//! Sound: from a file to log-mels, and back to something that can be heard.

mod griffin_lim;
mod log_mel;
mod mp3;
mod reading;
mod resample;
mod resize;
mod sound;
mod wav;
mod waveform;

pub(crate) use log_mel::FLOOR_DECIBELS;
pub use log_mel::{LogMel, LogMelParams, LogMelTensors, Padding, Truncation};
pub use reading::{Channels, Reading, Resampling, Resolution, Whole};
pub use resample::resampled;
pub(crate) use resize::bicubic_matrix;
pub use sound::read_sound;
pub(crate) use sound::read_sound_as;
pub use waveform::WaveformSpace;

/// Pieces of a long clip that are fused with the whole.
pub(crate) const CROPS: usize = 3;
/// Channels of a long clip's input: the whole and its pieces.
pub(crate) const FUSED_CHANNELS: usize = 1 + CROPS;
