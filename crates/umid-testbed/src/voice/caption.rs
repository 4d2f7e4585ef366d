//! Captions of clips: of named people by template, of unnamed speakers by how they sound.

use super::traits::{Contour, Voice};
use crate::caption::{fill, some_facts};
use crate::stream::{Purpose, Stream};

/// The captions under which a named person's clips are trained. Evaluation uses the same six: a
/// signal measured on other templates is another measurement.
pub const VOICE_NAME_TEMPLATES: [&str; 6] = [
    "a recording of {}",
    "the voice of {}",
    "{} speaking",
    "a clip of {} talking",
    "an audio clip of {}",
    "{} in a recording",
];

/// The generic captions; the slot takes a list of what is heard.
pub const VOICE_ATTRIBUTE_TEMPLATES: [&str; 4] = [
    "a voice with {}",
    "a recording of a person with {}",
    "a clip of someone speaking with {}",
    "somebody talking with {}",
];

/// What a caption could say about a voice, in a fixed order: the pitch of everyone, the rest of
/// those who are far from the middle.
pub fn voice_facts(voice: &Voice) -> Vec<&'static str> {
    [
        Some(pitch(voice.mean_f0_hz)),
        outside(voice.formant_scale, (0.93, "a dark timbre"), (1.09, "a bright timbre")),
        tone(voice),
        outside(voice.tilt_db, (4.0, "a sharp edge"), (13.0, "a soft edge")),
        outside(voice.pace, (3.8, "a slow pace"), (5.2, "a fast pace")),
        melody(voice),
        (voice.nasality > 0.6).then_some("a nasal sound"),
        (voice.creak > 0.0).then_some("a rough sound"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A generic caption that mentions one to three facts: how the voice sounds and not whose it is.
/// The numbers say which of a seed's captions it is, and choose what is mentioned.
pub fn voice_caption(voice: &Voice, seed: u64, speaker: u64, caption: u64) -> String {
    caption_from_stream(voice, &mut Stream::new(seed, Purpose::VoiceCaption, speaker, caption))
}

pub(crate) fn caption_from_stream(voice: &Voice, stream: &mut Stream) -> String {
    let facts = some_facts(voice_facts(voice), stream);
    let template = VOICE_ATTRIBUTE_TEMPLATES[stream.below(VOICE_ATTRIBUTE_TEMPLATES.len())];
    fill(template, &facts)
}

/// Thirds of the range of fundamentals, about.
fn pitch(mean_f0_hz: f32) -> &'static str {
    match mean_f0_hz {
        hz if hz < 118.0 => "a low pitch",
        hz if hz < 176.0 => "a medium pitch",
        _ => "a high pitch",
    }
}

fn tone(voice: &Voice) -> Option<&'static str> {
    if voice.breathiness > 0.055 {
        Some("a breathy tone")
    } else {
        (voice.open_quotient < 0.5).then_some("a pressed tone")
    }
}

/// The course of a pitch that hardly moves is not heard.
fn melody(voice: &Voice) -> Option<&'static str> {
    if voice.intonation_semitones < 0.8 {
        return Some("a flat intonation");
    }
    match voice.contour {
        Contour::Rising => Some("a rising intonation"),
        Contour::Falling => Some("a falling intonation"),
        Contour::Arched | Contour::Dipping => {
            (voice.intonation_semitones > 2.0).then_some("a lively intonation")
        }
    }
}

/// A word for a value below the lower limit or above the upper one.
fn outside(
    value: f32,
    low: (f32, &'static str),
    high: (f32, &'static str),
) -> Option<&'static str> {
    if value < low.0 { Some(low.1) } else { (value > high.0).then_some(high.1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caption::{ATTRIBUTE_TEMPLATES, MOST_FACTS, NAME_TEMPLATES, SLOT};

    #[test]
    fn every_template_has_one_slot_and_none_is_a_face_s() {
        let templates: Vec<&str> = NAME_TEMPLATES
            .into_iter()
            .chain(ATTRIBUTE_TEMPLATES)
            .chain(VOICE_NAME_TEMPLATES)
            .chain(VOICE_ATTRIBUTE_TEMPLATES)
            .collect();
        for (i, template) in templates.iter().enumerate() {
            assert_eq!(template.matches(SLOT).count(), 1, "{template}");
            assert!(!templates[..i].contains(template), "{template}");
        }
    }

    #[test]
    fn captions_say_what_is_so_and_nobody_has_none() {
        for number in 0..500 {
            let voice = Voice::draw(3, number);
            let (facts, caption) = (voice_facts(&voice), voice_caption(&voice, 3, number, 0));
            let said = facts.iter().filter(|fact| caption.contains(*fact)).count();
            assert!((1..=MOST_FACTS).contains(&said), "{caption}");
            assert!(!caption.contains(SLOT));
        }
    }

    #[test]
    fn no_fact_is_of_nearly_all_or_nearly_none() {
        const SPEAKERS: usize = 1_000;
        let mut counts = std::collections::BTreeMap::new();
        for number in 0..SPEAKERS as u64 {
            for fact in voice_facts(&Voice::draw(3, number)) {
                *counts.entry(fact).or_insert(0_usize) += 1;
            }
        }
        assert_eq!(counts.len(), 17, "{counts:?}");
        for (fact, count) in counts {
            assert!((SPEAKERS / 20..SPEAKERS / 2).contains(&count), "{fact}: {count}");
        }
    }

    #[test]
    fn extremes_are_called_by_their_names() {
        let voice = Voice {
            mean_f0_hz: 85.0,
            pace: 3.3,
            breathiness: 0.09,
            intonation_semitones: 0.5,
            ..Voice::draw(3, 0)
        };
        let facts = voice_facts(&voice);
        for fact in ["a low pitch", "a slow pace", "a breathy tone", "a flat intonation"] {
            assert!(facts.contains(&fact), "{facts:?}");
        }
        assert!(!facts.contains(&"a high pitch"));
    }
}
