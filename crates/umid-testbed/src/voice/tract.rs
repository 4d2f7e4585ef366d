//! The filter: the vocal tract with its nose and its fixed side cavities, and the cavity before
//! a constriction.

use super::RATE_HZ;
use super::filter::{Resonance, Resonator, SideCavity};
use super::score::Frame;
use super::traits::{FORMANTS, PoleZero, Voice};

/// Bandwidths of the formants in Hz (Klatt 1980, table I, rounded; the upper ones a little wider).
const BANDWIDTHS_HZ: [f32; FORMANTS] = [60.0, 90.0, 170.0, 250.0, 300.0];
/// The nasal resonance, the bandwidth of it and of its zero, and how far the open nose parts the
/// two, all in Hz (Klatt 1980).
const NASAL_HZ: f32 = 270.0;
const NASAL_WIDTH_HZ: f32 = 100.0;
const NASAL_SPREAD_HZ: f32 = 180.0;

/// Lowest resonance of the neutral tube above the formants, the distance of each from the next
/// (Fant 1960) and their bandwidth, in Hz. They go on to half the sample rate: fewer, and the
/// cascade would be duller than a tube.
const UPPER_HZ: f32 = 5_500.0;
const UPPER_STEP_HZ: f32 = 1_000.0;
const UPPER_WIDTH_HZ: f32 = 350.0;

/// Everything between glottis and lips, in cascade.
pub(super) struct VocalTract<'a> {
    voice: &'a Voice,
    nose: SideCavity,
    sinus: SideCavity,
    hollows: SideCavity,
    formants: [Resonator; FORMANTS],
    upper: Vec<Resonator>,
}

impl<'a> VocalTract<'a> {
    pub(super) fn new(voice: &'a Voice) -> Self {
        let fixed = |pair: PoleZero| {
            let mut cavity = SideCavity::through();
            let [pole, zero] =
                [pair.pole_hz, pair.zero_hz].map(|hz| Resonance { hz, width_hz: pair.width_hz });
            cavity.tune(pole, zero);
            cavity
        };
        let lowest_hz = voice.formant_scale * UPPER_HZ;
        let step_hz = voice.formant_scale * UPPER_STEP_HZ;
        let count = ((0.5 * RATE_HZ - lowest_hz) / step_hz).ceil() as usize;
        let upper = (0..count)
            .map(|n| {
                let mut resonator = Resonator::through();
                let hz = lowest_hz + step_hz * n as f32;
                resonator.tune(Resonance { hz, width_hz: UPPER_WIDTH_HZ });
                resonator
            })
            .collect();
        Self {
            voice,
            nose: SideCavity::through(),
            sinus: fixed(voice.sinus),
            hollows: fixed(voice.hollows),
            formants: [Resonator::through(); FORMANTS],
            upper,
        }
    }

    /// Moves nose and formants to a frame's places.
    pub(super) fn retune(&mut self, frame: &Frame) {
        let pole_hz = NASAL_HZ * self.voice.formant_scale;
        let zero_hz = pole_hz + NASAL_SPREAD_HZ * frame.nasal;
        let [pole, zero] = [pole_hz, zero_hz].map(|hz| Resonance { hz, width_hz: NASAL_WIDTH_HZ });
        self.nose.tune(pole, zero);
        for (index, formant) in self.formants.iter_mut().enumerate() {
            let width_hz = BANDWIDTHS_HZ[index] * self.voice.bandwidth_factors[index];
            formant.tune(Resonance { hz: frame.formants_hz[index], width_hz });
        }
    }

    /// Filters one sample.
    #[inline]
    pub(super) fn pass(&mut self, source: f32) -> f32 {
        let coloured = self.hollows.pass(self.sinus.pass(self.nose.pass(source)));
        let spoken =
            self.formants.iter_mut().fold(coloured, |sample, formant| formant.pass(sample));
        self.upper.iter_mut().fold(spoken, |sample, resonance| resonance.pass(sample))
    }
}

/// The cavity before a constriction, through which turbulence sounds.
pub(super) struct HissTract {
    level: f32,
    cavity: Resonator,
}

impl HissTract {
    pub(super) fn new() -> Self {
        Self { level: 0.0, cavity: Resonator::through() }
    }

    /// Moves the resonance to a frame's place.
    pub(super) fn retune(&mut self, frame: &Frame) {
        self.level = frame.hiss.level;
        self.cavity.tune(Resonance { hz: frame.hiss.hz, width_hz: frame.hiss.width_hz });
    }

    /// Filters one sample.
    #[inline]
    pub(super) fn pass(&mut self, noise: f32) -> f32 {
        self.cavity.pass(self.level * noise)
    }
}
