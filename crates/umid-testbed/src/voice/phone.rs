//! The sounds of speech: targets that a voice moves towards.
//!
//! Formants of the vowels are the men's averages of Peterson & Barney 1952, table II; those of
//! the consonants follow Klatt 1980, tables II and III, for a tract of about 17.5 cm. Durations
//! are those of fluent speech at a middle pace (Klatt 1979), rounded.

/// What the tract does for some time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Gesture {
    /// Duration at a middle pace.
    pub(super) seconds: f32,
    /// Targets of the first three formants in Hz; the others do not move.
    pub(super) formants_hz: [f32; 3],
    /// Level of the glottal pulses, a vowel's being 1.
    pub(super) voicing: f32,
    /// Level of breath at the glottis, beyond what the voice has by itself.
    pub(super) aspiration: f32,
    /// Openness of the nose, 0 to 1.
    pub(super) nasal: f32,
    /// Turbulence at a constriction.
    pub(super) hiss: Hiss,
}

/// Noise made in the mouth, shaped by the cavity before the constriction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hiss {
    /// Level beside a vowel's.
    pub(super) level: f32,
    /// Resonance of the cavity.
    pub(super) hz: f32,
    /// Its bandwidth.
    pub(super) width_hz: f32,
}

const NO_HISS: Hiss = Hiss { level: 0.0, hz: 4_000.0, width_hz: 1_500.0 };

/// Silence with the tract at rest.
pub(super) const SILENCE: Gesture = Gesture {
    seconds: 0.15,
    formants_hz: [500.0, 1_500.0, 2_500.0],
    voicing: 0.0,
    aspiration: 0.0,
    nasal: 0.0,
    hiss: NO_HISS,
};

/// Peterson & Barney's ten: heed, hid, head, had, hod, hawed, hood, who'd, hud, heard.
pub(super) const VOWELS: [Gesture; 10] = [
    vowel(270.0, 2_290.0, 3_010.0),
    vowel(390.0, 1_990.0, 2_550.0),
    vowel(530.0, 1_840.0, 2_480.0),
    vowel(660.0, 1_720.0, 2_410.0),
    vowel(730.0, 1_090.0, 2_440.0),
    vowel(570.0, 840.0, 2_410.0),
    vowel(440.0, 1_020.0, 2_240.0),
    vowel(300.0, 870.0, 2_240.0),
    vowel(640.0, 1_190.0, 2_390.0),
    vowel(490.0, 1_350.0, 1_690.0),
];

/// A consonant: one gesture, or two where a closure is released.
pub(super) type Consonant = &'static [Gesture];

/// Consonants at the beginning of a syllable: m, n, w, y, r, l, f, v, s, z, sh, h and the stops.
pub(super) const ONSETS: [Consonant; 18] = [
    &[nasal(1_270.0, 2_130.0)],
    &[nasal(1_340.0, 2_470.0)],
    &[glide(290.0, 610.0, 2_150.0)],
    &[glide(260.0, 2_070.0, 3_020.0)],
    &[glide(310.0, 1_060.0, 1_380.0)],
    &[glide(310.0, 1_050.0, 2_880.0)],
    &[fricative([340.0, 1_100.0, 2_080.0], 0.0, LIPS)],
    &[fricative([220.0, 1_100.0, 2_080.0], 0.35, LIPS)],
    &[fricative([320.0, 1_390.0, 2_530.0], 0.0, TEETH)],
    &[fricative([240.0, 1_390.0, 2_530.0], 0.35, TEETH)],
    &[fricative([300.0, 1_840.0, 2_750.0], 0.0, PALATE)],
    &[Gesture { seconds: 0.07, aspiration: 0.3, ..SILENCE }],
    &[closure([400.0, 1_100.0, 2_150.0], 0.0), burst([400.0, 1_100.0, 2_150.0], LIP_BURST)],
    &[closure([400.0, 1_600.0, 2_600.0], 0.0), burst([400.0, 1_600.0, 2_600.0], TOOTH_BURST)],
    &[closure([300.0, 1_990.0, 2_850.0], 0.0), burst([300.0, 1_990.0, 2_850.0], VELAR_BURST)],
    &[closure([200.0, 1_100.0, 2_150.0], 0.15), release([200.0, 1_100.0, 2_150.0], LIP_BURST)],
    &[closure([200.0, 1_600.0, 2_600.0], 0.15), release([200.0, 1_600.0, 2_600.0], TOOTH_BURST)],
    &[closure([200.0, 1_990.0, 2_850.0], 0.15), release([200.0, 1_990.0, 2_850.0], VELAR_BURST)],
];

/// Consonants at the end of a syllable: m, n, ng, r, l, s and the closures.
pub(super) const CODAS: [Consonant; 9] = [
    ONSETS[0],
    ONSETS[1],
    &[nasal(2_000.0, 2_900.0)],
    ONSETS[4],
    ONSETS[5],
    ONSETS[8],
    &[closure([400.0, 1_100.0, 2_150.0], 0.0)],
    &[closure([400.0, 1_600.0, 2_600.0], 0.0)],
    &[closure([300.0, 1_990.0, 2_850.0], 0.0)],
];

const LIPS: Hiss = Hiss { level: 0.03, hz: 5_500.0, width_hz: 4_000.0 };
const TEETH: Hiss = Hiss { level: 0.08, hz: 5_200.0, width_hz: 1_600.0 };
const PALATE: Hiss = Hiss { level: 0.10, hz: 2_900.0, width_hz: 1_200.0 };
const LIP_BURST: Hiss = Hiss { level: 0.15, hz: 900.0, width_hz: 1_000.0 };
const TOOTH_BURST: Hiss = Hiss { level: 0.12, hz: 4_200.0, width_hz: 2_000.0 };
const VELAR_BURST: Hiss = Hiss { level: 0.15, hz: 1_900.0, width_hz: 800.0 };

const fn vowel(f1: f32, f2: f32, f3: f32) -> Gesture {
    Gesture { seconds: 0.13, formants_hz: [f1, f2, f3], voicing: 1.0, ..SILENCE }
}

/// The first formant of all nasal consonants is at 480 Hz.
const fn nasal(f2: f32, f3: f32) -> Gesture {
    let formants_hz = [480.0, f2, f3];
    Gesture { seconds: 0.07, formants_hz, voicing: 0.7, nasal: 1.0, ..SILENCE }
}

const fn glide(f1: f32, f2: f32, f3: f32) -> Gesture {
    Gesture { seconds: 0.06, formants_hz: [f1, f2, f3], voicing: 0.7, ..SILENCE }
}

const fn fricative(formants_hz: [f32; 3], voicing: f32, hiss: Hiss) -> Gesture {
    Gesture { seconds: 0.09, formants_hz, voicing, hiss, ..SILENCE }
}

const fn closure(formants_hz: [f32; 3], voicing: f32) -> Gesture {
    Gesture { seconds: 0.06, formants_hz, voicing, ..SILENCE }
}

/// The release of an unvoiced stop, with aspiration.
const fn burst(formants_hz: [f32; 3], hiss: Hiss) -> Gesture {
    Gesture { seconds: 0.03, formants_hz, aspiration: 0.2, hiss, ..SILENCE }
}

/// The release of a voiced stop.
const fn release(formants_hz: [f32; 3], hiss: Hiss) -> Gesture {
    Gesture { seconds: 0.015, formants_hz, voicing: 0.4, hiss, ..SILENCE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formants_rise_in_every_sound() {
        let consonants = ONSETS.iter().chain(&CODAS).flat_map(|consonant| consonant.iter());
        for gesture in VOWELS.iter().chain(consonants) {
            let [f1, f2, f3] = gesture.formants_hz;
            assert!(0.0 < f1 && f1 < f2 && f2 < f3, "{gesture:?}");
        }
    }
}
