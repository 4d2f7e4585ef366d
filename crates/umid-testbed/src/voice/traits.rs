//! What stays with a speaker: the lasting attributes of a voice.
//!
//! Drawn independently of each other, so that hundreds of speakers stay apart in two seconds.
//! What a clip changes is in [`Utterance`](super::Utterance). Ranges are those of adult speech
//! (fundamentals: Peterson & Barney 1952; open quotients, tilt and breathiness: Klatt & Klatt
//! 1990; jitter and shimmer up to those of
//! hoarse voices), the formants' own offsets wider.

use std::f32::consts::TAU;

use crate::stream::{Purpose, Stream};

/// Formants of a voice.
pub(super) const FORMANTS: usize = 5;

/// The lasting sound of a speaker.
#[derive(Clone, Debug, PartialEq)]
pub struct Voice {
    /// Mean fundamental frequency in Hz.
    pub mean_f0_hz: f32,
    /// Factor on all resonances; a short vocal tract has a large one.
    pub formant_scale: f32,
    /// The speaker's own factor on each formant.
    pub formant_factors: [f32; FORMANTS],
    /// The speaker's own factor on each formant's bandwidth.
    pub bandwidth_factors: [f32; FORMANTS],
    /// Extent of the vowels about the neutral one, 1 being usual.
    pub vowel_space: f32,
    /// Share of a glottal period in which the glottis is open.
    pub open_quotient: f32,
    /// Share of the open phase in which the glottis closes.
    pub closing_share: f32,
    /// Attenuation of the glottal source at 3 kHz in dB, beyond the pulse's own.
    pub tilt_db: f32,
    /// Level of breath beside the pulses.
    pub breathiness: f32,
    /// Deviation of a pulse's length, as a share of the period.
    pub jitter: f32,
    /// Deviation of a pulse's strength, as a share.
    pub shimmer: f32,
    /// Share by which every second pulse is weaker: roughness, 0 for most speakers.
    pub creak: f32,
    /// Syllables per second.
    pub pace: f32,
    /// Extent of the intonation to either side of the mean, in semitones.
    pub intonation_semitones: f32,
    /// Course of the pitch through a phrase.
    pub contour: Contour,
    /// Openness of the nose during vowels, none (0) to that of a nasal consonant (1).
    pub nasality: f32,
    /// Factor on the frequencies of hiss.
    pub sibilance: f32,
    /// A resonance of the sinuses and its antiresonance.
    pub sinus: PoleZero,
    /// The antiresonance of the hollows beside the larynx, and its resonance.
    pub hollows: PoleZero,
}

/// A fixed pair of a resonance and an antiresonance, in Hz.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoleZero {
    /// The resonance.
    pub pole_hz: f32,
    /// The antiresonance.
    pub zero_hz: f32,
    /// Bandwidth of both.
    pub width_hz: f32,
}

/// Course of the pitch through a phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Contour {
    /// From high to low.
    Falling,
    /// From low to high.
    Rising,
    /// Highest in the middle.
    Arched,
    /// Lowest in the middle.
    Dipping,
}

impl Contour {
    const WEIGHTS: &[(Self, f32)] =
        &[(Self::Falling, 2.0), (Self::Rising, 1.0), (Self::Arched, 1.5), (Self::Dipping, 1.0)];

    /// Height of the pitch in -1..1 at a place in 0..1 of the phrase; its mean is 0.
    pub(super) fn height(self, place: f32) -> f32 {
        match self {
            Self::Falling => 1.0 - 2.0 * place,
            Self::Rising => 2.0 * place - 1.0,
            Self::Arched => -(TAU * place).cos(),
            Self::Dipping => (TAU * place).cos(),
        }
    }
}

/// Lowest and highest mean fundamental in Hz.
const F0_HZ: [f32; 2] = [80.0, 260.0];
/// Factor on all resonances: tracts of about 15 to 20 cm, where the vowels were measured at 17.5.
const FORMANT_SCALE: [f32; 2] = [0.86, 1.18];
/// Largest share by which a formant is the speaker's own. The fourth and fifth stay closer: they
/// must not meet.
const FORMANT_OFFSETS: [f32; FORMANTS] = [0.12, 0.11, 0.08, 0.09, 0.09];
/// Smallest and largest factor on a bandwidth.
const BANDWIDTHS: [f32; 2] = [0.65, 1.6];
/// Share of speakers with a rough voice.
const ROUGH: f32 = 0.3;

impl Voice {
    /// The voice of one of a seed's speakers, the same in every clip.
    pub fn draw(seed: u64, speaker: u64) -> Self {
        Self::from_stream(&mut Stream::new(seed, Purpose::PersonVoice, speaker, 0))
    }

    /// Draws one speaker. The order of the fields is the order of the draws and part of every
    /// world.
    pub(crate) fn from_stream(stream: &mut Stream) -> Self {
        Self {
            mean_f0_hz: log_between(stream, F0_HZ),
            formant_scale: log_between(stream, FORMANT_SCALE),
            formant_factors: FORMANT_OFFSETS.map(|most| 1.0 + stream.between(-most, most)),
            bandwidth_factors: [(); FORMANTS].map(|()| log_between(stream, BANDWIDTHS)),
            vowel_space: stream.between(0.65, 1.0),
            open_quotient: stream.between(0.40, 0.80),
            closing_share: stream.between(0.20, 0.42),
            tilt_db: stream.between(1.0, 16.0),
            breathiness: log_between(stream, [0.012, 0.1]),
            jitter: log_between(stream, [0.003, 0.02]),
            shimmer: log_between(stream, [0.012, 0.1]),
            creak: if stream.chance(ROUGH) { stream.between(0.15, 0.4) } else { 0.0 },
            pace: log_between(stream, [3.2, 6.2]),
            intonation_semitones: log_between(stream, [0.5, 4.0]),
            contour: stream.weighted(Contour::WEIGHTS),
            nasality: stream.unit().powi(2),
            sibilance: stream.between(0.8, 1.2),
            sinus: PoleZero::draw(stream, [450.0, 1_700.0], 120.0),
            hollows: PoleZero::draw(stream, [2_800.0, 4_800.0], 220.0),
        }
    }
}

impl PoleZero {
    /// A pair whose members are 12 to 30 % apart, either way round.
    fn draw(stream: &mut Stream, range_hz: [f32; 2], width_hz: f32) -> Self {
        let pole_hz = log_between(stream, range_hz);
        let apart = stream.between(1.12, 1.3);
        let zero_hz = if stream.chance(0.5) { pole_hz * apart } else { pole_hz / apart };
        Self { pole_hz, zero_hz, width_hz }
    }
}

/// Uniform in the logarithm.
fn log_between(stream: &mut Stream, [low, high]: [f32; 2]) -> f32 {
    low * (high / low).powf(stream.unit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voices(count: u64) -> impl Iterator<Item = Voice> {
        (0..count).map(|speaker| Voice::draw(4, speaker))
    }

    #[test]
    fn fundamentals_are_log_uniform_over_the_range() {
        let mut counts = [0_usize; 4];
        for voice in voices(2_000) {
            let place = (voice.mean_f0_hz / F0_HZ[0]).ln() / (F0_HZ[1] / F0_HZ[0]).ln();
            counts[(place * 4.0) as usize] += 1;
        }
        // 500 expected; five standard deviations are 97.
        assert!(counts.iter().all(|count| count.abs_diff(500) < 97), "{counts:?}");
    }

    #[test]
    fn contours_stay_in_range_about_zero() {
        const PLACES: usize = 1_000;
        for &(contour, _) in Contour::WEIGHTS {
            let heights: Vec<f32> =
                (0..PLACES).map(|i| contour.height((i as f32 + 0.5) / PLACES as f32)).collect();
            assert!(heights.iter().all(|height| height.abs() <= 1.0), "{contour:?}");
            let mean = heights.iter().sum::<f32>() / PLACES as f32;
            assert!(mean.abs() < 1e-3, "{contour:?}: {mean}");
        }
    }

    #[test]
    fn every_contour_and_some_roughness_occur() {
        let voices: Vec<Voice> = voices(500).collect();
        for &(contour, _) in Contour::WEIGHTS {
            assert!(voices.iter().any(|voice| voice.contour == contour), "{contour:?}");
        }
        let rough = voices.iter().filter(|voice| voice.creak > 0.0).count();
        // 150 expected; five standard deviations are 51.
        assert!(rough.abs_diff(150) < 51, "{rough}");
    }
}
