//! The source: pulses of air through the glottis, and breath.
//!
//! A pulse is the polynomial one of Rosenberg 1971 ("Effect of glottal pulse shape on the quality
//! of natural vowels", pulse B): `3 x^2 - 2 x^3` while opening, `1 - x^2` while closing. The lips
//! radiate its derivative; the difference of the flow from sample to sample is that derivative
//! averaged over the sample, which keeps most of what lies above half the rate from folding back.

use super::filter::LowPass;
use super::score::Frame;
use super::traits::Voice;
use super::utterance::Utterance;
use super::{Noise, RATE_HZ};
use crate::stream::Stream;

/// Frequency at which a tilt is stated, in Hz (Klatt 1980).
const TILT_HZ: f32 = 3_000.0;
/// Smallest tilt in dB: effort cannot take more than there is.
const LEAST_TILT_DB: f32 = 0.5;
/// Breath through a closed glottis beside that through an open one.
const CLOSED_BREATH: f32 = 0.35;

/// A glottis and the state of its current pulse.
pub(super) struct Glottis<'a> {
    voice: &'a Voice,
    pulses: Stream,
    tilt: LowPass,
    /// Share of the period in which the glottis opens, and one over the shares in which it opens
    /// and closes.
    opening: f32,
    per_opening: f32,
    per_closing: f32,
    /// One over the steepest slope of a pulse in flows a period, which is the closing phase's end.
    per_slope: f32,
    /// Levels of this frame.
    f0_hz: f32,
    voicing: f32,
    aspiration: f32,
    /// Place in the current period in 0..1, and its change a sample.
    phase: f32,
    step: f32,
    /// Strength of the current pulse, and the flow at the last sample.
    strength: f32,
    flow: f32,
    weak: bool,
}

impl<'a> Glottis<'a> {
    pub(super) fn new(voice: &'a Voice, utterance: &Utterance) -> Self {
        let closing = voice.open_quotient * voice.closing_share;
        let opening = voice.open_quotient - closing;
        let tilt_db = (voice.tilt_db - utterance.effort_db).max(LEAST_TILT_DB);
        Self {
            voice,
            pulses: Noise::Pulses.stream(utterance),
            tilt: LowPass::new(tilt_corner_hz(tilt_db)),
            opening,
            per_opening: 1.0 / opening,
            per_closing: 1.0 / closing,
            per_slope: 0.5 * closing,
            f0_hz: voice.mean_f0_hz,
            voicing: 0.0,
            aspiration: 0.0,
            phase: 0.0,
            step: voice.mean_f0_hz / RATE_HZ,
            strength: 0.0,
            flow: 0.0,
            weak: false,
        }
    }

    /// Takes over the controls of a frame; pitch and strength change with the next pulse.
    pub(super) fn retune(&mut self, frame: &Frame) {
        self.f0_hz = frame.f0_hz;
        self.voicing = frame.voicing;
        self.aspiration = frame.aspiration + self.voice.breathiness * frame.voicing;
    }

    /// The derivative of the flow at the next sample, a period's steepest slope being 1 at
    /// every pitch in every voice, with breath from the given noise.
    #[inline]
    pub(super) fn flow_change(&mut self, noise: f32) -> f32 {
        self.phase += self.step;
        if self.phase >= 1.0 {
            self.phase -= 1.0;
            self.begin_pulse();
        }
        let openness = self.openness();
        let flow = self.strength * openness;
        let change = self.per_slope * (flow - self.flow) / self.step;
        self.flow = flow;
        let breath = noise * (CLOSED_BREATH + (1.0 - CLOSED_BREATH) * openness);
        self.tilt.pass(change) + self.aspiration * breath
    }

    fn begin_pulse(&mut self) {
        let length = 1.0 + self.voice.jitter * self.pulses.bell();
        let strength = 1.0 + self.voice.shimmer * self.pulses.bell();
        self.weak = !self.weak;
        let weakness = if self.weak { 1.0 - self.voice.creak } else { 1.0 };
        self.step = self.f0_hz / (RATE_HZ * length);
        self.strength = self.voicing * strength * weakness;
    }

    /// Flow of a pulse of strength one at this place of the period.
    fn openness(&self) -> f32 {
        if self.phase < self.opening {
            let x = self.phase * self.per_opening;
            x * x * (3.0 - 2.0 * x)
        } else if self.phase < self.voice.open_quotient {
            let x = (self.phase - self.opening) * self.per_closing;
            1.0 - x * x
        } else {
            0.0
        }
    }
}

/// Corner of the first-order low-pass that attenuates 3 kHz by this much.
fn tilt_corner_hz(tilt_db: f32) -> f32 {
    TILT_HZ / (10.0_f32.powf(tilt_db / 10.0) - 1.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::Utterance;
    use crate::voice::score::frames;

    fn pulses(change: impl FnOnce(&mut Voice)) -> Vec<f32> {
        let mut voice = Voice::draw(1, 0);
        (voice.mean_f0_hz, voice.jitter, voice.shimmer, voice.creak) = (100.0, 0.0, 0.0, 0.0);
        voice.breathiness = 0.0;
        change(&mut voice);
        let mut frame = frames(&voice, &Utterance::studio(1), 1)[0];
        (frame.f0_hz, frame.voicing, frame.aspiration) = (100.0, 1.0, 0.0);
        let mut glottis = Glottis::new(&voice, &Utterance::studio(1));
        glottis.retune(&frame);
        (0..1_600).map(|_| glottis.flow_change(1.0)).collect()
    }

    fn energy(samples: &[f32]) -> f32 {
        samples.iter().map(|sample| sample * sample).sum()
    }

    #[test]
    fn pulses_repeat_at_the_fundamental_and_sum_to_nothing() {
        let pulses = pulses(|_| ());
        for (sample, later) in pulses[400..1_000].iter().zip(&pulses[560..]) {
            assert!((sample - later).abs() < 0.02, "{sample} and {later}");
        }
        assert!(pulses[400..560].iter().sum::<f32>().abs() < 0.02);
    }

    #[test]
    fn tilt_takes_the_steepness_and_creak_every_second_pulse() {
        let peak = |samples: &[f32]| samples.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let bright = pulses(|voice| voice.tilt_db = 1.0);
        let dull = pulses(|voice| voice.tilt_db = 16.0);
        assert!(peak(&dull) < 0.8 * peak(&bright));
        let creaky = pulses(|voice| voice.creak = 0.4);
        let ratio = energy(&creaky[400..560]) / energy(&creaky[560..720]);
        let ratio = ratio.min(1.0 / ratio);
        // 0.6 squared.
        assert!((ratio - 0.36).abs() < 0.05, "{ratio}");
    }
}
