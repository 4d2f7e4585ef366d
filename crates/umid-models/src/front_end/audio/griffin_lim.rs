//! A log-mel spectrogram made audible.
//!
//! A spectrogram has no phase and a mel spectrogram only bands of frequencies. The power of each
//! frequency is found by non-negative multiplicative updates (Lee and Seung 2001), the phase by the
//! fast Griffin-Lim algorithm (Griffin and Lim 1984; Perraudin, Balazs and Søndergaard 2013). What
//! is heard is one of many sounds with this spectrogram.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Zip};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::LogMel;

/// Updates of the powers and of the phases.
const POWER_UPDATES: usize = 30;
const PHASE_UPDATES: usize = 32;
/// How far a phase goes on in the direction of its last change.
const MOMENTUM: f64 = 0.99;
/// Smaller denominators count as this.
const TINY: f64 = 1e-12;
/// Largest sample of the result.
const PEAK: f64 = 0.9;
/// Seed of the first phases.
const PHASE_SEED: u64 = 0;

impl LogMel {
    /// A waveform in -1..1 whose log-mel is close to the given one, up to its loudness.
    ///
    /// # Shapes
    ///
    /// - log_mel: `[frames, mel_bins]`, decibels
    /// - output: `hop * (frames - 1)` samples
    pub fn sound_of(&self, log_mel: ArrayView2<f32>) -> Vec<f32> {
        let amplitudes = self.powers(log_mel).mapv(f64::sqrt);
        let transform = Transform::new(self);
        let mut rng = ChaCha8Rng::seed_from_u64(PHASE_SEED);
        let mut guess = amplitudes
            .mapv(|a| Complex::from_polar(a, rng.random_range(0.0..std::f64::consts::TAU)));
        let mut before = guess.clone();
        for _ in 0..PHASE_UPDATES {
            let consistent = transform.forward(&transform.backward(&guess), amplitudes.nrows());
            Zip::from(&mut guess).and(&consistent).and(&before).and(&amplitudes).for_each(
                |guess, now, before, amplitude| {
                    let ahead = now + (now - before) * MOMENTUM;
                    *guess = ahead * (amplitude / ahead.norm().max(TINY));
                },
            );
            before = consistent;
        }
        let sound = transform.backward(&guess);
        let largest = sound.iter().fold(TINY, |most, s| most.max(s.abs()));
        sound.into_iter().map(|sample| (sample * PEAK / largest) as f32).collect()
    }

    /// Powers of frequencies whose mel bands are the given ones: `[frames, window / 2 + 1]`.
    fn powers(&self, log_mel: ArrayView2<f32>) -> Array2<f64> {
        let mel = log_mel.mapv(|decibels| 10f64.powf(f64::from(decibels) / 10.0));
        let filters = self.filters();
        let wanted = mel.dot(&filters.t());
        let mut powers = wanted.clone();
        for _ in 0..POWER_UPDATES {
            let found = powers.dot(filters).dot(&filters.t());
            Zip::from(&mut powers)
                .and(&wanted)
                .and(&found)
                .for_each(|power, wanted, found| *power *= wanted / found.max(TINY));
        }
        powers
    }
}

/// The front end's transform and its inverse by overlapping and adding.
struct Transform<'a> {
    taper: &'a [f64],
    hop: usize,
    forward: Arc<dyn RealToComplex<f64>>,
    backward: Arc<dyn ComplexToReal<f64>>,
}

impl<'a> Transform<'a> {
    fn new(front_end: &'a LogMel) -> Self {
        let mut planner = RealFftPlanner::<f64>::new();
        let (window, hop) = (front_end.params().window, front_end.params().hop);
        Self {
            taper: front_end.taper(),
            hop,
            forward: planner.plan_fft_forward(window),
            backward: planner.plan_fft_inverse(window),
        }
    }

    /// `[frames, window / 2 + 1]` from samples; frames are centred, silence around.
    fn forward(&self, sound: &[f64], frames: usize) -> Array2<Complex<f64>> {
        let window = self.taper.len();
        let mut spectra = Array2::zeros((frames, window / 2 + 1));
        let mut frame = self.forward.make_input_vec();
        let mut spectrum = self.forward.make_output_vec();
        for (i, mut row) in spectra.rows_mut().into_iter().enumerate() {
            for (at, (value, taper)) in frame.iter_mut().zip(self.taper).enumerate() {
                let sample = (i * self.hop + at).checked_sub(window / 2);
                *value = taper * sample.and_then(|s| sound.get(s)).copied().unwrap_or(0.0);
            }
            self.forward.process(&mut frame, &mut spectrum).expect("the planner's lengths");
            row.iter_mut().zip(&spectrum).for_each(|(to, from)| *to = *from);
        }
        spectra
    }

    fn backward(&self, spectra: &Array2<Complex<f64>>) -> Vec<f64> {
        let (frames, window) = (spectra.nrows(), self.taper.len());
        let samples = self.hop * frames.saturating_sub(1);
        let (mut sound, mut weight) = (vec![0.0; samples], vec![0.0; samples]);
        let mut spectrum = self.backward.make_input_vec();
        let mut frame = self.backward.make_output_vec();
        for (i, row) in spectra.rows().into_iter().enumerate() {
            spectrum.iter_mut().zip(row).for_each(|(to, from)| *to = *from);
            // The transform of real values is real at both ends.
            for end in [0, window / 2] {
                spectrum[end].im = 0.0;
            }
            self.backward.process(&mut spectrum, &mut frame).expect("the planner's lengths");
            for (at, (value, taper)) in frame.iter().zip(self.taper).enumerate() {
                let sample = (i * self.hop + at).checked_sub(window / 2);
                if let Some(sample) = sample.filter(|s| *s < samples) {
                    sound[sample] += value * taper / window as f64;
                    weight[sample] += taper * taper;
                }
            }
        }
        sound.iter().zip(weight).map(|(s, w)| s / w.max(TINY)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;
    use crate::audio::{LogMelParams, Padding, Truncation};

    /// Decibels between two log-mels, their means aside.
    fn distance(a: &Array2<f32>, b: &Array2<f32>) -> f32 {
        let (a, b) = (a - a.mean().unwrap(), b - b.mean().unwrap());
        (&a - &b).mapv(f32::abs).mean().unwrap()
    }

    #[test]
    fn the_sound_of_a_log_mel_has_nearly_that_log_mel() {
        let front_end = LogMel::new(LogMelParams {
            sample_rate: 16_000,
            window: 512,
            hop: 128,
            bins: 32,
            lowest: 50.0,
            highest: 8_000.0,
            samples: 16_000,
            truncation: Truncation::RandTrunc,
            reading: crate::front_end::audio::Reading::LIBROSA,
            padding: Padding::RepeatPad,
        })
        .unwrap();
        // Harmonics of a gliding tone, over a little noise so that no band is empty.
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let sound: Vec<f32> = (0..16_000)
            .map(|i| {
                let t = i as f32 / 16_000.0;
                let voice: f32 = (1..8)
                    .map(|k| (TAU * k as f32 * (150.0 + 20.0 * t) * t).sin() / k as f32)
                    .sum();
                0.1 * voice + 0.01 * rng.random_range(-1.0f32..1.0)
            })
            .collect();
        let wanted = front_end.of_waveform(&sound).unwrap();
        let again = front_end.sound_of(wanted.view());
        assert!(again.iter().all(|s| s.abs() <= 1.0));
        let found = front_end.of_waveform(&again).unwrap();
        let frames = found.nrows().min(wanted.nrows());
        let cut = |log_mel: &Array2<f32>| log_mel.slice(ndarray::s![..frames, ..]).to_owned();
        let other = Array2::from_shape_fn((frames, 32), |(i, _)| wanted[[(i * 7) % frames, 31]]);
        let (near, far) = (distance(&cut(&found), &cut(&wanted)), distance(&other, &cut(&wanted)));
        assert!(near < 3.0 && near < far / 3.0, "{near} and {far} dB");
    }
}
