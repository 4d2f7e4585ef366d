//! Sound: from a file to log-mels, and the towers that read them.

mod cnn14;
mod fusion;
mod griffin_lim;
mod htsat;
mod log_mel;
mod mel_norm;
mod resize;
mod shifted;
mod sound;
mod tower;

pub(crate) use fusion::CROPS;
pub(crate) use log_mel::FLOOR_DECIBELS;
pub use log_mel::{LogMel, LogMelParams, LogMelTensors, Padding, Truncation};
pub use sound::{read_sound, resampled};
pub use tower::AudioTower;

/// Channels of a long clip's input: the whole and its pieces.
pub(crate) const FUSED_CHANNELS: usize = 1 + CROPS;
