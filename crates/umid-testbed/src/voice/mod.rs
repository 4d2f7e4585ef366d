//! Voices: what faces are to images, for sound.
//!
//! A [`Voice`] holds what stays with a speaker, an [`Utterance`] what changes from clip to clip,
//! and [`speak`] makes the clip: a glottal pulse train and breath through a cascade of formant
//! resonators (source and filter, Fant 1960; the cascade of Klatt 1980, "Software for a
//! cascade/parallel formant synthesizer"), then a room, a microphone and background noise. The
//! syllables mean nothing; nobody real is in here.
//!
//! ```
//! use umid_testbed::{Utterance, Voice, speak};
//!
//! let voice = Voice::draw(1, 0);
//! let clip = speak(&voice, &Utterance::draw(1, 0, 0), 16_000, 32_000);
//! assert_eq!(clip.len(), 32_000);
//! assert!(clip.iter().all(|sample| sample.abs() < 1.0));
//! ```

mod caption;
mod filter;
mod glottis;
mod phone;
mod recording;
mod resample;
mod score;
mod script;
mod tract;
mod traits;
mod utterance;

use crate::stream::{Purpose, Stream};
use glottis::Glottis;
use resample::Resampler;
use tract::{HissTract, VocalTract};

pub(crate) use caption::caption_from_stream;
pub use caption::{VOICE_ATTRIBUTE_TEMPLATES, VOICE_NAME_TEMPLATES, voice_caption, voice_facts};
pub use traits::{Contour, PoleZero, Voice};
pub use utterance::{Echo, Utterance};

/// Lowest sample rate of a clip in Hz: telephone speech. Below it, two formants would be left.
pub const LOWEST_RATE_HZ: u32 = 8_000;

/// The rate of synthesis in Hz; other rates are resampled from it, so that they sound alike.
const RATE: u32 = 16_000;
const RATE_HZ: f32 = RATE as f32;

/// What the numbers of an utterance's noise are for: the item of its streams.
#[derive(Clone, Copy)]
enum Noise {
    /// Turbulence at glottis and constriction, a number a sample.
    Turbulence = 0,
    /// Jitter and shimmer, two numbers a pulse.
    Pulses = 1,
    /// What the microphone hears besides, a number a sample.
    Background = 2,
}

impl Noise {
    fn stream(self, utterance: &Utterance) -> Stream {
        Stream::new(utterance.noise_seed, Purpose::UtteranceNoise, 0, self as u64)
    }
}

/// Renders one clip.
///
/// A pure function: the same arguments give the same clip, on every thread and in every order.
/// The sound is made at 16 kHz, so that a clip of a higher rate holds nothing above 8 kHz. The level
/// is the utterance's, or less where a peak would be clipped.
///
/// # Shapes
/// `[samples]`, mono, within -1..1.
///
/// # Panics
/// If the rate is below [`LOWEST_RATE_HZ`].
pub fn speak(voice: &Voice, utterance: &Utterance, sample_rate: u32, samples: usize) -> Vec<f32> {
    assert!(sample_rate >= LOWEST_RATE_HZ, "a rate of {sample_rate} Hz holds no voice");
    let resampler = Resampler::new(sample_rate);
    let mut heard = sound(voice, utterance, resampler.needed(samples));
    recording::record(&mut heard, utterance);
    let mut clip = resampler.resample(heard, samples);
    recording::set_level(&mut clip, utterance.level);
    clip
}

/// The speech as it leaves the lips, at any level.
fn sound(voice: &Voice, utterance: &Utterance, samples: usize) -> Vec<f32> {
    let frame_length = (RATE_HZ * score::FRAME_S) as usize;
    let frames = score::frames(voice, utterance, samples.div_ceil(frame_length));
    let mut glottis = Glottis::new(voice, utterance);
    let mut tract = VocalTract::new(voice);
    let mut hiss = HissTract::new();
    let mut turbulence = Noise::Turbulence.stream(utterance);
    let mut clip = vec![0.0; samples];
    for (frame, block) in frames.iter().zip(clip.chunks_mut(frame_length)) {
        glottis.retune(frame);
        tract.retune(frame);
        hiss.retune(frame);
        for sample in block {
            let noise = white(&mut turbulence);
            *sample = tract.pass(glottis.flow_change(noise)) + hiss.pass(noise);
        }
    }
    clip
}

/// Noise of mean 0 and deviation 1 from the halves of one word (a triangular distribution): one
/// word a sample is most of what noise costs.
fn white(stream: &mut Stream) -> f32 {
    // Variance of a uniform 16-bit number: (65536^2 - 1) / 12; of the sum of two, a sixth.
    const DEVIATION: f32 = 26_754.937;
    let word = stream.word();
    let sum = (word >> 16) + (word & 0xffff);
    (sum as f32 - 65_535.0) / DEVIATION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_noise_has_the_stated_moments_and_no_memory() {
        const DRAWS: usize = 40_000;
        let mut stream = Stream::new(1, Purpose::UtteranceNoise, 0, 0);
        let draws: Vec<f32> = (0..DRAWS).map(|_| white(&mut stream)).collect();
        let mean = |values: &mut dyn Iterator<Item = f32>| values.sum::<f32>() / DRAWS as f32;
        // Five standard errors of each at this count.
        assert!(mean(&mut draws.iter().copied()).abs() < 0.025);
        assert!((mean(&mut draws.iter().map(|x| x * x)) - 1.0).abs() < 0.03);
        assert!(mean(&mut draws.windows(2).map(|pair| pair[0] * pair[1])).abs() < 0.025);
    }

    #[test]
    fn a_longer_clip_says_the_same_at_first() {
        let (voice, utterance) = (Voice::draw(3, 0), Utterance::draw(3, 0, 0));
        let short = sound(&voice, &utterance, 4_001);
        let long = sound(&voice, &utterance, 9_000);
        assert_eq!(short, long[..4_001]);
    }

    #[test]
    fn clips_of_no_and_of_one_sample_are_clips() {
        let (voice, utterance) = (Voice::draw(3, 1), Utterance::draw(3, 1, 0));
        for samples in [0, 1] {
            let clip = speak(&voice, &utterance, LOWEST_RATE_HZ, samples);
            assert_eq!(clip.len(), samples);
            assert!(clip.iter().all(|sample| sample.is_finite()));
        }
    }

    #[test]
    #[should_panic(expected = "holds no voice")]
    fn a_rate_too_low_for_formants_is_refused() {
        let (voice, utterance) = (Voice::draw(3, 1), Utterance::draw(3, 1, 0));
        speak(&voice, &utterance, LOWEST_RATE_HZ - 1, 10);
    }
}
