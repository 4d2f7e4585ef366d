//! What is said: an endless sequence of random syllables.

use super::phone::{CODAS, Consonant, Gesture, ONSETS, SILENCE, VOWELS};
use crate::stream::{Purpose, Stream};

/// A gesture as spoken in its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spoken {
    pub(super) gesture: Gesture,
    /// Stress of its syllable about the mean of all syllables.
    pub(super) stress: f32,
}

/// Share of syllables with a consonant before the vowel, and after it.
const WITH_ONSET: f32 = 0.85;
const WITH_CODA: f32 = 0.35;
/// Share of syllables that are followed by a pause.
const PAUSED: f32 = 0.08;
/// Share of stressed syllables, and the factor on their vowel's duration.
const STRESSED: f32 = 0.35;
const STRESSED_DURATION: f32 = 1.3;
/// Deviation of a duration, as a share.
const DURATION: f32 = 0.15;
/// Deviation of a vowel's formants, as a share: no vowel is said twice in the same way.
const VOWEL: f32 = 0.03;
/// Mean duration of a syllable of this script in seconds, all of the above included.
const SYLLABLE_S: f32 = 0.246;

/// Syllables of one seed, one gesture after another.
pub(super) struct Script {
    stream: Stream,
    /// Gestures of the syllable at hand, the next one last.
    ahead: Vec<Spoken>,
}

impl Script {
    pub(super) fn new(seed: u64) -> Self {
        Self { stream: Stream::new(seed, Purpose::UtteranceScript, 0, 0), ahead: Vec::new() }
    }

    /// Factor on durations at a pace in syllables per second.
    pub(super) fn stretch(pace: f32) -> f32 {
        1.0 / (pace * SYLLABLE_S)
    }

    fn write_syllable(&mut self) {
        let stressed = self.stream.chance(STRESSED);
        let stress = f32::from(u8::from(stressed)) - STRESSED;
        let mut gestures = Vec::with_capacity(6);
        if self.stream.chance(WITH_ONSET) {
            gestures.extend_from_slice(self.consonant(&ONSETS));
        }
        gestures.push(self.vowel(if stressed { STRESSED_DURATION } else { 1.0 }));
        if self.stream.chance(WITH_CODA) {
            gestures.extend_from_slice(self.consonant(&CODAS));
        }
        if self.stream.chance(PAUSED) {
            gestures.push(SILENCE);
        }
        for mut gesture in gestures.into_iter().rev() {
            gesture.seconds *= 1.0 + DURATION * self.stream.bell();
            self.ahead.push(Spoken { gesture, stress });
        }
    }

    fn consonant(&mut self, from: &[Consonant]) -> Consonant {
        from[self.stream.below(from.len())]
    }

    fn vowel(&mut self, duration: f32) -> Gesture {
        let mut vowel = VOWELS[self.stream.below(VOWELS.len())];
        vowel.seconds *= duration;
        vowel.formants_hz = vowel.formants_hz.map(|hz| hz * (1.0 + VOWEL * self.stream.bell()));
        vowel
    }
}

impl Iterator for Script {
    type Item = Spoken;

    fn next(&mut self) -> Option<Spoken> {
        if self.ahead.is_empty() {
            self.write_syllable();
        }
        self.ahead.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syllables_have_the_stated_mean_duration_and_stress() {
        const SYLLABLES: usize = 5_000;
        let mut script = Script::new(1);
        let (mut seconds, mut stress) = (0.0, 0.0);
        for _ in 0..SYLLABLES {
            script.write_syllable();
            stress += script.ahead[0].stress;
            seconds += script.ahead.drain(..).map(|spoken| spoken.gesture.seconds).sum::<f32>();
        }
        let mean = seconds / SYLLABLES as f32;
        assert!((mean - SYLLABLE_S).abs() < 0.02 * SYLLABLE_S, "{mean}");
        assert!(stress.abs() / (SYLLABLES as f32) < 0.03, "{stress}");
    }

    #[test]
    fn most_of_a_script_is_voiced() {
        let (mut voiced, mut all) = (0.0, 0.0);
        for spoken in Script::new(2).take(5_000) {
            all += spoken.gesture.seconds;
            if spoken.gesture.voicing > 0.3 {
                voiced += spoken.gesture.seconds;
            }
        }
        assert!((0.6..0.9).contains(&(voiced / all)), "{}", voiced / all);
    }
}
