//! How the package that a model was published with reads a sound, where packages differ.

use serde::{Deserialize, Serialize};

/// How a sound is read. The default is what transformers' examples do: librosa loads the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// What becomes of several channels.
    pub channels: Channels,
    /// How the rate is changed.
    pub resampling: Resampling,
    /// To what samples are rounded.
    pub resolution: Resolution,
    /// What of a long clip stands beside its pieces where pieces are fused.
    pub whole: Whole,
    /// Samples per second for which the mel filters are made, if not those of the sound.
    pub filter_rate: Option<usize>,
}

impl Reading {
    /// librosa's, samples as they are.
    pub const LIBROSA: Self = Self {
        channels: Channels::Mean,
        resampling: Resampling::Fourier,
        resolution: Resolution::Full,
        whole: Whole::Shrunk,
        filter_rate: None,
    };
    /// laion_clap's.
    pub const LAION: Self =
        Self { resolution: Resolution::SixteenBits, whole: Whole::ShrunkSmoothly, ..Self::LIBROSA };
}

impl Default for Reading {
    fn default() -> Self {
        Self::LIBROSA
    }
}

/// What becomes of several channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// Their mean is heard.
    Mean,
    /// They are heard one after another, as msclap has it.
    Joined,
}

/// How the rate of a sound is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resampling {
    /// With a long filter, through a Fourier transform. librosa's filter is as long, and not the
    /// same.
    Fourier,
    /// With torchaudio's default: twelve zero crossings of a sinc under a Hann window.
    ShortSinc,
}

/// To what samples are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolution {
    /// They are heard as they are.
    Full,
    /// They are limited to -1..1 and rounded towards zero to 16 bits, as laion_clap has it.
    SixteenBits,
}

impl Resolution {
    /// A sample as the model hears it.
    ///
    /// Reference: laion_clap, `float32_to_int16` and `int16_to_float32` (`training/data.py`).
    pub fn of(self, sample: f32) -> f32 {
        const LARGEST: f32 = 32_767.0;
        match self {
            Self::Full => sample,
            Self::SixteenBits => (sample.clamp(-1.0, 1.0) * LARGEST).trunc() / LARGEST,
        }
    }
}

/// What of a long clip stands beside its three pieces where pieces are fused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whole {
    /// All of it, shrunk by interpolation between neighbouring frames, as transformers has it. The
    /// pieces are drawn at random.
    Shrunk,
    /// All of it, shrunk by averages over as many frames as become one, as laion_clap has it. The
    /// pieces are drawn at random.
    ShrunkSmoothly,
    /// A fourth piece, which is drawn at random, as open_clip has it. The three others are the
    /// first, the middle and the last one.
    Piece,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_limit_and_cut_off() {
        let heard = |sample| (Resolution::SixteenBits.of(sample) * 32_767.0).round();
        let pairs = [(2.0, 32_767.0), (-2.0, -32_767.0), (0.5, 16_383.0), (-0.5, -16_383.0)];
        for (sample, expected) in pairs.into_iter().chain([(2e-5, 0.0), (-2e-5, 0.0)]) {
            let found: f32 = heard(sample);
            assert!((found - expected).abs() < f32::EPSILON, "{sample}: {found}");
        }
        assert!((Resolution::Full.of(2.0) - 2.0).abs() < f32::EPSILON);
    }
}
