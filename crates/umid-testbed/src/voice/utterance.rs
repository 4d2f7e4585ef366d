//! What changes from clip to clip: words, mood, room, microphone and noise.
//!
//! These are the nuisances: drawn anew for every clip, independent of the speaker.

use crate::stream::{Purpose, Stream};

/// Conditions of one clip.
#[derive(Clone, Debug, PartialEq)]
pub struct Utterance {
    /// Seed of the syllables, their lengths and their stress: as many are drawn as a clip has
    /// room for.
    pub script_seed: u64,
    /// Seed of all noise.
    pub noise_seed: u64,
    /// Silence before the first syllable, in seconds.
    pub lead_in_s: f32,
    /// Factor on the speaker's pace.
    pub tempo: f32,
    /// Shift of the pitch in semitones.
    pub pitch_semitones: f32,
    /// Factor on the extent of the speaker's intonation.
    pub liveliness: f32,
    /// Weight of stress, on loudness and pitch.
    pub emphasis: f32,
    /// Where in a phrase the clip begins, in 0..1.
    pub phrase_start: f32,
    /// Length of a phrase in seconds.
    pub phrase_s: f32,
    /// Vocal effort: what it takes from the source's tilt, in dB at 3 kHz.
    pub effort_db: f32,
    /// Echoes of the room; none outdoors.
    pub echoes: Vec<Echo>,
    /// Colour of the microphone: the highs' gain over the lows' in dB.
    pub microphone_db: f32,
    /// Corner below which the microphone is deaf, in Hz.
    pub microphone_corner_hz: f32,
    /// Level of the speech over the background noise, in dB.
    pub snr_db: f32,
    /// Share of the background noise that is rumble; the rest is white.
    pub rumble: f32,
    /// Root mean square of the clip, full scale being 1, where no peak would be clipped.
    pub level: f32,
}

/// One echo of the direct sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Echo {
    /// Delay in seconds.
    pub delay_s: f32,
    /// Its gain, of either sign.
    pub gain: f32,
}

/// Longest silence before the first syllable, in seconds.
const LEAD_IN_S: f32 = 0.25;
/// Deviation of the tempo, and of the pitch in semitones: moods. These and the constants below
/// are as large as they can be while nine of ten clips of 50 speakers are still nearest to their
/// own speaker's mean, with a margin (`tests/voices.rs`).
const TEMPO: f32 = 0.08;
const PITCH: f32 = 0.8;
/// Deviation of effort in dB.
const EFFORT_DB: f32 = 2.0;
/// Echoes of a room, their longest delay in seconds, and the room's reverberation time in
/// seconds (60 dB of decay): shortest and longest.
const ECHOES: usize = 20;
const LONGEST_DELAY_S: f32 = 0.15;
const REVERBERATION_S: [f32; 2] = [0.08, 0.5];
/// Largest gain of an echo without delay.
const ECHO_GAIN: f32 = 0.3;
/// Share of clips without a room.
const OUTDOORS: f32 = 0.2;
/// Deviation of the microphone's colour in dB, and the range of its corner in Hz.
const MICROPHONE_DB: f32 = 3.0;
const MICROPHONE_CORNER_HZ: [f32; 2] = [20.0, 200.0];
/// Range of the signal-to-noise ratio in dB.
const SNR_DB: [f32; 2] = [18.0, 45.0];
/// Range of a clip's root mean square.
const LEVEL: [f32; 2] = [0.03, 0.15];

impl Utterance {
    /// The conditions of one clip of one of a seed's speakers.
    pub fn draw(seed: u64, speaker: u64, clip: u64) -> Self {
        Self::from_stream(&mut Stream::new(seed, Purpose::PersonUtterance, speaker, clip))
    }

    /// Draws the conditions of one clip. The order of the fields is part of every world.
    pub(crate) fn from_stream(stream: &mut Stream) -> Self {
        Self {
            script_seed: stream.long_word(),
            noise_seed: stream.long_word(),
            lead_in_s: LEAD_IN_S * stream.unit(),
            tempo: 1.0 + TEMPO * stream.bell(),
            pitch_semitones: PITCH * stream.bell(),
            liveliness: stream.between(0.7, 1.3),
            emphasis: stream.between(0.3, 1.0),
            phrase_start: stream.unit(),
            phrase_s: stream.between(1.2, 2.8),
            effort_db: EFFORT_DB * stream.bell(),
            echoes: if stream.chance(OUTDOORS) { Vec::new() } else { room(stream) },
            microphone_db: MICROPHONE_DB * stream.bell(),
            microphone_corner_hz: stream.between(MICROPHONE_CORNER_HZ[0], MICROPHONE_CORNER_HZ[1]),
            snr_db: stream.between(SNR_DB[0], SNR_DB[1]),
            rumble: 1.0 - 0.4 * stream.unit(),
            level: LEVEL[0] * (LEVEL[1] / LEVEL[0]).powf(stream.unit()),
        }
    }

    /// A calm clip without echoes or background noise, through a perfect microphone: what the
    /// voice sounds like.
    pub fn studio(script_seed: u64) -> Self {
        Self {
            script_seed,
            noise_seed: script_seed,
            lead_in_s: 0.0,
            tempo: 1.0,
            pitch_semitones: 0.0,
            liveliness: 1.0,
            emphasis: 0.6,
            phrase_start: 0.0,
            phrase_s: 2.0,
            effort_db: 0.0,
            echoes: Vec::new(),
            microphone_db: 0.0,
            microphone_corner_hz: 0.0,
            snr_db: f32::INFINITY,
            rumble: 0.0,
            level: 0.1,
        }
    }
}

/// Echoes at random delays whose gains decay exponentially.
fn room(stream: &mut Stream) -> Vec<Echo> {
    let reverberation_s = stream.between(REVERBERATION_S[0], REVERBERATION_S[1]);
    let strength = ECHO_GAIN * stream.unit();
    (0..ECHOES)
        .map(|_| {
            let delay_s = LONGEST_DELAY_S * stream.unit();
            // 60 dB are a factor of 1,000.
            let decay = 1e-3_f32.powf(delay_s / reverberation_s);
            Echo { delay_s, gain: strength * decay * stream.between(-1.0, 1.0) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utterances_stay_within_what_a_voice_survives() {
        for clip in 0..2_000 {
            let utterance = Utterance::draw(8, 0, clip);
            // A bell never leaves 3.5 deviations.
            assert!(utterance.tempo > 0.7 && utterance.tempo < 1.3);
            assert!(utterance.pitch_semitones.abs() < 3.5 * PITCH);
            assert!(utterance.echoes.iter().all(|echo| echo.gain.abs() <= ECHO_GAIN));
            assert!(utterance.snr_db >= SNR_DB[0] && utterance.level <= LEVEL[1]);
        }
    }

    #[test]
    fn later_echoes_are_weaker() {
        let (mut early, mut late) = (0.0, 0.0);
        for clip in 0..200 {
            for echo in room(&mut Stream::new(8, Purpose::PersonUtterance, 1, clip)) {
                let half =
                    if echo.delay_s < LONGEST_DELAY_S / 2.0 { &mut early } else { &mut late };
                *half += echo.gain.powi(2);
            }
        }
        assert!(late < 0.5 * early, "{late} after {early}");
    }
}
