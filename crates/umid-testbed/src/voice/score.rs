//! How a voice says a script: the controls of the synthesizer, frame by frame.
//!
//! Targets step from gesture to gesture; articulators follow with a lag, which makes the
//! transitions between vowel and consonant (coarticulation at its simplest).

use super::phone::{Gesture, Hiss, SILENCE};
use super::script::{Script, Spoken};
use super::traits::{FORMANTS, Voice};
use super::utterance::Utterance;

/// Length of a frame in seconds. Klatt 1980 has five times as much; there, the steps of the filters
/// are heard as clicks.
pub(super) const FRAME_S: f32 = 0.001;

/// Controls of one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Frame {
    /// Fundamental frequency.
    pub(super) f0_hz: f32,
    /// Formants of this speaker.
    pub(super) formants_hz: [f32; FORMANTS],
    /// Level of the glottal pulses.
    pub(super) voicing: f32,
    /// Level of breath beyond the voice's own.
    pub(super) aspiration: f32,
    /// Openness of the nose, 0 to 1.
    pub(super) nasal: f32,
    /// Turbulence at a constriction.
    pub(super) hiss: Hiss,
}

/// Formants of the neutral vowel, a uniform tube of 17.5 cm (Fant 1960).
const NEUTRAL_HZ: [f32; FORMANTS] = [500.0, 1_500.0, 2_500.0, 3_500.0, 4_500.0];
/// Time constants in seconds: of articulators (each of two lags in series), of levels (short, or
/// bursts would be lost) and of pitch.
const ARTICULATOR_S: f32 = 0.012;
const LEVEL_S: f32 = 0.004;
const PITCH_S: f32 = 0.04;
/// Least distance of a formant from the one below it: where two met, they would drown the rest.
const CLOSEST_HZ: [f32; FORMANTS - 1] = [150.0, 200.0, 450.0, 500.0];
/// Loudness that full emphasis adds to a syllable of stress one, as a share.
const STRESS_LOUDNESS: f32 = 0.6;
/// Height of such a syllable in extents of the intonation.
const STRESS_HEIGHT: f32 = 0.8;

/// Controls of the first `count` frames of a clip.
pub(super) fn frames(voice: &Voice, utterance: &Utterance, count: usize) -> Vec<Frame> {
    let mut script = Script::new(utterance.script_seed);
    let stretch = Script::stretch(voice.pace * utterance.tempo);
    let mut spoken = Spoken { gesture: SILENCE, stress: 0.0 };
    let mut end_s = utterance.lead_in_s;
    let mut speaker = Speaking::new(voice, utterance);
    (0..count)
        .map(|frame| {
            let time_s = frame as f32 * FRAME_S;
            while time_s >= end_s {
                spoken = script.next().expect("a script has no end");
                end_s += spoken.gesture.seconds * stretch;
            }
            speaker.frame(&spoken, time_s)
        })
        .collect()
}

/// A voice on its way from target to target.
struct Speaking<'a> {
    voice: &'a Voice,
    utterance: &'a Utterance,
    formants: [[Lag; 2]; 3],
    voicing: Lag,
    aspiration: Lag,
    hiss: Lag,
    nasal: Lag,
    semitones: Lag,
}

impl<'a> Speaking<'a> {
    fn new(voice: &'a Voice, utterance: &'a Utterance) -> Self {
        Self {
            voice,
            utterance,
            formants: SILENCE.formants_hz.map(|hz| [Lag::new(ARTICULATOR_S, hz); 2]),
            voicing: Lag::new(LEVEL_S, 0.0),
            aspiration: Lag::new(LEVEL_S, 0.0),
            hiss: Lag::new(LEVEL_S, 0.0),
            nasal: Lag::new(ARTICULATOR_S, 0.0),
            semitones: Lag::new(PITCH_S, semitones(voice, utterance, 0.0, 0.0)),
        }
    }

    fn frame(&mut self, spoken: &Spoken, time_s: f32) -> Frame {
        let Spoken { gesture, stress } = spoken;
        let loudness = 1.0 + STRESS_LOUDNESS * self.utterance.emphasis * stress;
        let height = semitones(self.voice, self.utterance, *stress, time_s);
        let semitones = self.semitones.follow(height);
        Frame {
            f0_hz: self.voice.mean_f0_hz * (semitones / 12.0).exp2(),
            formants_hz: self.formants(gesture),
            voicing: self.voicing.follow(gesture.voicing * loudness),
            aspiration: self.aspiration.follow(gesture.aspiration * loudness),
            nasal: self.nasal.follow(gesture.nasal.max(self.voice.nasality)),
            hiss: Hiss {
                level: self.hiss.follow(gesture.hiss.level * loudness),
                hz: gesture.hiss.hz * self.voice.sibilance,
                ..gesture.hiss
            },
        }
    }

    /// The gesture's formants in this tract, after the lag.
    fn formants(&mut self, gesture: &Gesture) -> [f32; FORMANTS] {
        let mut formants = NEUTRAL_HZ;
        for (index, target) in gesture.formants_hz.into_iter().enumerate() {
            let neutral = NEUTRAL_HZ[index];
            let own = neutral + self.voice.vowel_space * (target - neutral);
            let [first, second] = &mut self.formants[index];
            formants[index] = second.follow(first.follow(own));
        }
        for (formant, factor) in formants.iter_mut().zip(self.voice.formant_factors) {
            *formant *= factor * self.voice.formant_scale;
        }
        for index in 1..FORMANTS {
            formants[index] = formants[index].max(formants[index - 1] + CLOSEST_HZ[index - 1]);
        }
        formants
    }
}

/// Pitch above the speaker's mean.
fn semitones(voice: &Voice, utterance: &Utterance, stress: f32, time_s: f32) -> f32 {
    let place = (utterance.phrase_start + time_s / utterance.phrase_s).fract();
    let height = voice.contour.height(place) + STRESS_HEIGHT * utterance.emphasis * stress;
    utterance.pitch_semitones + utterance.liveliness * voice.intonation_semitones * height
}

/// A value that approaches its target exponentially.
#[derive(Clone, Copy, Debug)]
struct Lag {
    share: f32,
    value: f32,
}

impl Lag {
    fn new(time_constant_s: f32, value: f32) -> Self {
        Self { share: 1.0 - (-FRAME_S / time_constant_s).exp(), value }
    }

    fn follow(&mut self, target: f32) -> f32 {
        self.value += self.share * (target - self.value);
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_SECONDS: usize = 2_000;

    fn mean(values: impl Iterator<Item = f32>) -> f32 {
        values.sum::<f32>() / TWO_SECONDS as f32
    }

    #[test]
    fn formants_rise_in_every_frame_of_every_voice() {
        for number in 0..200 {
            let (voice, utterance) = (Voice::draw(1, number), Utterance::draw(1, number, 0));
            for frame in frames(&voice, &utterance, TWO_SECONDS) {
                let apart = frame.formants_hz.windows(2).all(|pair| pair[1] > pair[0] + 149.0);
                assert!(apart && frame.formants_hz[0] > 120.0, "{:?}", frame.formants_hz);
            }
        }
    }

    #[test]
    fn the_mean_pitch_of_whole_phrases_is_the_voice_s() {
        for number in 0..50 {
            let voice = Voice::draw(1, number);
            let utterance = Utterance { emphasis: 0.0, ..Utterance::studio(number) };
            let octaves = mean(
                frames(&voice, &utterance, TWO_SECONDS)
                    .iter()
                    .map(|frame| (frame.f0_hz / voice.mean_f0_hz).log2()),
            );
            // A tenth of the largest extent.
            assert!(octaves.abs() < 0.03, "{octaves} for {:?}", voice.contour);
        }
    }

    #[test]
    fn a_faster_voice_says_more() {
        let voice = Voice::draw(1, 0);
        let turns = |pace| {
            let frames = frames(&Voice { pace, ..voice.clone() }, &Utterance::studio(1), 20_000);
            let jumps = |pair: &&[Frame]| (pair[1].voicing < 0.5) != (pair[0].voicing < 0.5);
            frames.windows(2).filter(jumps).count() as f32
        };
        let ratio = turns(6.0) / turns(3.0);
        assert!((1.6..2.4).contains(&ratio), "{ratio}");
    }
}
