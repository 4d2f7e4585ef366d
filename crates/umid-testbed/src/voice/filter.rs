//! Second-order sections, tuned by frequency and bandwidth.
//!
//! The resonator and antiresonator are those of Klatt 1980, equations 1 to 4: poles (or zeros)
//! at `exp(-pi bandwidth T +- 2 pi i frequency T)`, and a gain of one at 0 Hz.

use std::f32::consts::{PI, TAU};

use super::RATE_HZ;

/// A resonance or antiresonance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Resonance {
    pub(super) hz: f32,
    pub(super) width_hz: f32,
}

impl Resonance {
    /// The polynomial `1 - b/z - c/z^2` whose roots are the poles, as (b, c), and its value at
    /// 0 Hz.
    fn polynomial(self) -> [f32; 3] {
        let radius = (-PI * self.width_hz / RATE_HZ).exp();
        let b = 2.0 * radius * (TAU * self.hz / RATE_HZ).cos();
        let c = -radius * radius;
        [b, c, 1.0 - b - c]
    }
}

/// A pole pair with its memory. As created, it passes its input on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resonator {
    gain: f32,
    output: [f32; 2],
    outputs: [f32; 2],
}

impl Resonator {
    pub(super) fn through() -> Self {
        Self { gain: 1.0, output: [0.0; 2], outputs: [0.0; 2] }
    }

    /// Moves the resonance.
    pub(super) fn tune(&mut self, pole: Resonance) {
        let [b, c, gain] = pole.polynomial();
        self.gain = gain;
        self.output = [b, c];
    }

    /// Filters one sample.
    #[inline]
    pub(super) fn pass(&mut self, x: f32) -> f32 {
        // The last output comes last: all else is known before it.
        let y =
            (self.gain * x + self.output[1] * self.outputs[1]) + self.output[0] * self.outputs[0];
        self.outputs = [y, self.outputs[0]];
        y
    }
}

/// A zero pair before a pole pair. As created, it passes its input on.
#[derive(Clone, Copy, Debug)]
pub(super) struct SideCavity {
    input: [f32; 3],
    inputs: [f32; 2],
    poles: Resonator,
}

impl SideCavity {
    pub(super) fn through() -> Self {
        Self { input: [1.0, 0.0, 0.0], inputs: [0.0; 2], poles: Resonator::through() }
    }

    /// Moves resonance and antiresonance.
    pub(super) fn tune(&mut self, pole: Resonance, zero: Resonance) {
        let [b, c, gain] = zero.polynomial();
        self.input = [1.0 / gain, -b / gain, -c / gain];
        self.poles.tune(pole);
    }

    /// Filters one sample.
    #[inline]
    pub(super) fn pass(&mut self, x: f32) -> f32 {
        let fed =
            self.input[0] * x + (self.input[1] * self.inputs[0] + self.input[2] * self.inputs[1]);
        self.inputs = [x, self.inputs[0]];
        self.poles.pass(fed)
    }
}

/// A first-order low-pass, of gain one at 0 Hz.
#[derive(Clone, Copy, Debug)]
pub(super) struct LowPass {
    kept: f32,
    last: f32,
}

impl LowPass {
    /// Its corner in Hz.
    pub(super) fn new(corner_hz: f32) -> Self {
        Self { kept: (-TAU * corner_hz / RATE_HZ).exp(), last: 0.0 }
    }

    /// Filters one sample.
    #[inline]
    pub(super) fn pass(&mut self, x: f32) -> f32 {
        self.last = x + self.kept * (self.last - x);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gain of a filter at a frequency, from its impulse response.
    fn gain(mut pass: impl FnMut(f32) -> f32, hz: f32) -> f32 {
        let (mut re, mut im) = (0.0, 0.0);
        for n in 0..4_000 {
            let y = pass(if n == 0 { 1.0 } else { 0.0 });
            let angle = TAU * hz * n as f32 / RATE_HZ;
            re += y * angle.cos();
            im -= y * angle.sin();
        }
        re.hypot(im)
    }

    fn assert_near(found: f32, expected: f32) {
        assert!((found - expected).abs() < 0.02 * expected, "{found} for {expected}");
    }

    #[test]
    fn a_resonator_peaks_at_its_frequency_and_keeps_a_constant() {
        let mut resonator = Resonator::through();
        resonator.tune(Resonance { hz: 1_000.0, width_hz: 80.0 });
        let response = |hz| {
            let mut fresh = resonator;
            gain(|x| fresh.pass(x), hz)
        };
        assert_near(response(0.0), 1.0);
        assert!(response(1_000.0) > response(960.0) && response(1_000.0) > response(1_040.0));
        // Half of the power at half the bandwidth on either side.
        assert_near(response(1_040.0) / response(1_000.0), 0.5_f32.sqrt());
    }

    #[test]
    fn a_zero_takes_out_its_frequency_and_undoes_an_equal_pole() {
        let pole = Resonance { hz: 600.0, width_hz: 90.0 };
        let zero = Resonance { hz: 900.0, width_hz: 30.0 };
        let response = |pole, zero, hz| {
            let mut cavity = SideCavity::through();
            cavity.tune(pole, zero);
            gain(|x| cavity.pass(x), hz)
        };
        assert_near(response(pole, zero, 0.0), 1.0);
        assert!(response(pole, zero, 900.0) < 0.2 * response(pole, zero, 600.0));
        assert_near(response(pole, pole, 600.0), 1.0);
    }

    #[test]
    fn a_low_pass_halves_the_power_at_its_corner() {
        let response = |hz| {
            let mut filter = LowPass::new(200.0);
            gain(|x| filter.pass(x), hz)
        };
        assert_near(response(0.0), 1.0);
        // The corner of the sampled filter lies a little above the continuous one's.
        assert!((response(200.0) - 0.5_f32.sqrt()).abs() < 0.05, "{}", response(200.0));
    }
}
