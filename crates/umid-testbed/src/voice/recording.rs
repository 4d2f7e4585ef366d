//! From the lips to the microphone: room, background noise, colour; and the level of the file.

use super::filter::LowPass;
use super::utterance::{Echo, Utterance};
use super::{Noise, RATE_HZ, white};

/// Highest peak of a clip, full scale being 1.
const HIGHEST_PEAK: f32 = 0.97;
/// Between lows and highs of a microphone's colour, in Hz.
const COLOUR_HZ: f32 = 1_000.0;
/// Corner of a rumble in Hz.
const RUMBLE_HZ: f32 = 300.0;
/// Factor on low-passed noise of that corner that leaves it as strong as it was: a first-order
/// low-pass keeps `pi corner / rate` of white noise's power.
fn rumble_gain() -> f32 {
    (RATE_HZ / (std::f32::consts::PI * RUMBLE_HZ)).sqrt()
}

/// Turns speech at the lips into what a microphone gives, at any level.
pub(super) fn record(clip: &mut [f32], utterance: &Utterance) {
    add_echoes(clip, &utterance.echoes);
    add_noise(clip, utterance);
    colour(clip, utterance);
}

fn add_echoes(clip: &mut [f32], echoes: &[Echo]) {
    let direct = clip.to_owned();
    for echo in echoes {
        let delay = ((echo.delay_s * RATE_HZ) as usize).min(clip.len());
        for (sample, earlier) in clip[delay..].iter_mut().zip(&direct) {
            *sample += echo.gain * earlier;
        }
    }
}

fn add_noise(clip: &mut [f32], utterance: &Utterance) {
    let level = root_mean_square(clip) * 10.0_f32.powf(-utterance.snr_db / 20.0);
    let mut noise = Noise::Background.stream(utterance);
    let mut low_pass = LowPass::new(RUMBLE_HZ);
    let rumble = level * utterance.rumble * rumble_gain();
    let hiss = level * (1.0 - utterance.rumble);
    for sample in clip {
        let noise = white(&mut noise);
        *sample += hiss * noise + rumble * low_pass.pass(noise);
    }
}

fn colour(clip: &mut [f32], utterance: &Utterance) {
    // Half of the difference above the corner, half below it.
    let highs = 10.0_f32.powf(utterance.microphone_db / 40.0);
    let lows = 1.0 / highs;
    let mut split = LowPass::new(COLOUR_HZ);
    let mut unheard = LowPass::new(utterance.microphone_corner_hz);
    for sample in clip {
        let low = split.pass(*sample);
        let coloured = highs * (*sample - low) + lows * low;
        *sample = coloured - unheard.pass(coloured);
    }
}

/// Brings a clip to the given root mean square, or as near as its peak allows.
pub(super) fn set_level(clip: &mut [f32], level: f32) {
    let peak = clip.iter().fold(0.0_f32, |most, sample| most.max(sample.abs()));
    // A clip too short for its first syllable is silence and stays so.
    if peak <= f32::MIN_POSITIVE {
        return clip.fill(0.0);
    }
    let gain = (level / root_mean_square(clip)).min(HIGHEST_PEAK / peak);
    for sample in clip {
        *sample *= gain;
    }
}

fn root_mean_square(clip: &[f32]) -> f32 {
    let squares: f32 = clip.iter().map(|sample| sample * sample).sum();
    (squares / clip.len().max(1) as f32).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone() -> Vec<f32> {
        (0..16_000).map(|n| (0.3 * n as f32).sin()).collect()
    }

    #[test]
    fn echoes_come_late_and_weakened() {
        let mut clip = vec![0.0; 100];
        clip[10] = 1.0;
        let echoes = [Echo { delay_s: 0.002, gain: -0.5 }, Echo { delay_s: 0.5, gain: 0.5 }];
        add_echoes(&mut clip, &echoes);
        let heard: Vec<(usize, f32)> =
            clip.into_iter().enumerate().filter(|(_, sample)| *sample != 0.0).collect();
        assert_eq!(heard, [(10, 1.0), (42, -0.5)]);
    }

    #[test]
    fn noise_has_the_asked_level_of_either_colour() {
        for rumble in [0.0, 1.0] {
            let utterance = Utterance { snr_db: 20.0, rumble, ..Utterance::studio(1) };
            let clean = tone();
            let mut noisy = clean.clone();
            add_noise(&mut noisy, &utterance);
            let noise: Vec<f32> = noisy.iter().zip(&clean).map(|(a, b)| a - b).collect();
            let ratio = root_mean_square(&clean) / root_mean_square(&noise);
            // 20 dB; rumble has few independent samples, and the sampled corner is inexact.
            assert!((ratio / 10.0 - 1.0).abs() < 0.12, "{ratio} with {rumble}");
        }
    }

    #[test]
    fn a_perfect_microphone_changes_nothing() {
        let mut clip = tone();
        colour(&mut clip, &Utterance::studio(1));
        let most = clip.iter().zip(tone()).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(most < 1e-5, "{most}");
    }

    #[test]
    fn levels_are_met_unless_a_peak_is_in_the_way() {
        let mut clip = tone();
        set_level(&mut clip, 0.1);
        assert!((root_mean_square(&clip) - 0.1).abs() < 1e-3);
        let mut click = vec![0.0; 10_000];
        click[3] = 20.0;
        set_level(&mut click, 0.1);
        assert!((click[3] - HIGHEST_PEAK).abs() < 1e-6, "{}", click[3]);
    }
}
