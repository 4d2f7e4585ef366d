//! Clips at other rates than that of synthesis, by a windowed sinc: the band-limited interpolation
//! of Smith & Gossett 1984 ("A flexible sampling-rate conversion method"), its kernels tabulated
//! for each phase that the two rates meet in.

use std::f32::consts::PI;

use super::RATE;

/// Zero crossings of the sinc on either side.
const CROSSINGS: f32 = 16.0;
/// Share of the narrower band that is kept; the rest is for the kernel's slope.
const KEPT: f32 = 0.94;

/// The way from the rate of synthesis to another one.
pub(super) struct Resampler {
    /// Samples that come out for `down` that go in, without common divisor.
    up: usize,
    down: usize,
    /// Upper end of the band that is kept, half the rate of synthesis being 1.
    cutoff: f32,
    /// Samples of synthesis on either side of one that comes out; 0 where the rates are equal.
    half: usize,
}

impl Resampler {
    pub(super) fn new(rate: u32) -> Self {
        let common = greatest_common_divisor(rate, RATE);
        let cutoff = KEPT * (rate as f32 / RATE as f32).min(1.0);
        let half = if rate == RATE { 0 } else { (CROSSINGS / cutoff) as usize };
        Self { up: (rate / common) as usize, down: (RATE / common) as usize, cutoff, half }
    }

    /// Samples of synthesis from which this many can be had.
    pub(super) fn needed(&self, samples: usize) -> usize {
        (samples * self.down).div_ceil(self.up) + 2 * self.half
    }

    /// The clip at the other rate. It begins half a kernel (about a millisecond) later than the
    /// given one, so that no sample is made up.
    pub(super) fn resample(&self, clip: Vec<f32>, samples: usize) -> Vec<f32> {
        if self.half == 0 {
            return clip;
        }
        let kernels: Vec<Vec<f32>> =
            (0..self.up.min(samples)).map(|n| self.kernel(n * self.down % self.up)).collect();
        (0..samples)
            .map(|n| {
                let around = &clip[n * self.down / self.up..];
                kernels[n % self.up].iter().zip(around).map(|(weight, x)| weight * x).sum()
            })
            .collect()
    }

    /// Weights about a place that lies this many `up`ths after the sample in the middle.
    fn kernel(&self, phase: usize) -> Vec<f32> {
        let middle = self.half as f32 + phase as f32 / self.up as f32;
        (1..=2 * self.half)
            .map(|tap| {
                let away = PI * (tap as f32 - middle);
                let window = (0.5 * away / self.half as f32).cos().powi(2);
                self.cutoff * window * sinc(self.cutoff * away)
            })
            .collect()
    }
}

fn sinc(x: f32) -> f32 {
    if x.abs() < 1e-4 { 1.0 } else { x.sin() / x }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: usize = 2_000;

    /// A tone at another rate, and the largest difference from the tone as it should be there.
    fn tone(hz: f32, rate: u32) -> (Vec<f32>, f32) {
        let resampler = Resampler::new(rate);
        let angle = 2.0 * PI * hz / RATE as f32;
        let clip = (0..resampler.needed(SAMPLES)).map(|n| (angle * n as f32).sin()).collect();
        let found = resampler.resample(clip, SAMPLES);
        let expected = |n: usize| {
            let place = n as f32 * RATE as f32 / rate as f32;
            // Tap 1 of the kernel is the first sample of the clip.
            (angle * (place + resampler.half as f32 - 1.0)).sin()
        };
        let off = found.iter().enumerate().map(|(n, sample)| (sample - expected(n)).abs());
        let most = off.fold(0.0, f32::max);
        (found, most)
    }

    #[test]
    fn tones_below_both_bands_ends_are_kept() {
        for rate in [8_000, 11_025, 44_100, 48_000] {
            for hz in [100.0, 1_000.0, 3_000.0] {
                let (found, most) = tone(hz, rate);
                assert_eq!(found.len(), SAMPLES);
                assert!(most < 0.01, "{most} at {hz} Hz and a rate of {rate} Hz");
            }
        }
    }

    #[test]
    fn tones_that_the_rate_cannot_hold_are_taken_out() {
        let (found, _) = tone(5_000.0, 8_000);
        assert!(found.iter().all(|sample| sample.abs() < 0.01));
    }

    #[test]
    fn the_rate_of_synthesis_is_left_as_it_is() {
        let clip: Vec<f32> = (0..10).map(|n| n as f32).collect();
        let resampler = Resampler::new(RATE);
        assert_eq!(resampler.needed(10), 10);
        assert_eq!(resampler.resample(clip.clone(), 10), clip);
    }
}
