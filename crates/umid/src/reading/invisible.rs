//! Characters that a reader does not see and a tokenizer does: a name with one of them is another
//! text to the model, mostly one that it never met. They come from copying out of web pages and
//! from files joined with their byte-order marks, and are refused like control characters.
//!
//! The zero-width joiner and non-joiner are letters' neighbours in the scripts that write with
//! them (Persian compounds, Indic conjuncts, Malayalam's older final consonants) and are kept
//! there: between two characters of such scripts, or, for the joiner, after an Indic one at the
//! end of a word.

const NON_JOINER: char = '\u{200c}';
const JOINER: char = '\u{200d}';

/// Default-ignorable code points (Unicode's `DerivedCoreProperties.txt`), the marks of
/// interlinear annotations and the blank Braille pattern.
const INVISIBLE: [(char, char); 20] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{13430}', '\u{13455}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d159}', '\u{1d159}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Devanagari to Sinhala.
const INDIC: (char, char) = ('\u{900}', '\u{dff}');
/// Other scripts that join: Arabic, Syriac, N'Ko and their extensions, Tibetan, Myanmar, Khmer,
/// Mongolian, Balinese to Javanese, Arabic's presentation forms.
const JOINING: [(char, char); 8] = [
    ('\u{600}', '\u{8ff}'),
    ('\u{f00}', '\u{fff}'),
    ('\u{1000}', '\u{109f}'),
    ('\u{1780}', '\u{18aa}'),
    ('\u{1b00}', '\u{1b7f}'),
    ('\u{a8e0}', '\u{a9df}'),
    ('\u{fb50}', '\u{fdff}'),
    ('\u{fe70}', '\u{fefc}'),
];

/// The first character of `text` that is a control character or invisible where it stands.
pub(crate) fn first_invisible(text: &str) -> Option<char> {
    let mut before = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let kept = is_joiner_in_place(before, character, characters.peek().copied());
        if is_invisible(character) && !kept {
            return Some(character);
        }
        before = Some(character);
    }
    None
}

/// Whether nothing is seen of a character by itself.
pub(crate) fn is_invisible(character: char) -> bool {
    character.is_control() || is_within(&INVISIBLE, character)
}

fn is_joiner_in_place(before: Option<char>, character: char, after: Option<char>) -> bool {
    let joins = |neighbour: char| {
        let script = is_within(&[INDIC], neighbour) || is_within(&JOINING, neighbour);
        script && !is_invisible(neighbour) && !neighbour.is_numeric()
    };
    let Some(before) = before.filter(|before| joins(*before)) else { return false };
    let ends = after.is_none_or(char::is_whitespace);
    match character {
        NON_JOINER => after.is_some_and(joins),
        JOINER => after.is_some_and(joins) || (ends && is_within(&[INDIC], before)),
        _ => false,
    }
}

fn is_within(ranges: &[(char, char)], character: char) -> bool {
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_invisible_character_is_found_wherever_it_stands() {
        let kinds = [
            '\u{0}',
            '\t',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{180e}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{202e}',
            '\u{2060}',
            '\u{2064}',
            '\u{2066}',
            '\u{2069}',
            '\u{2800}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e0100}',
        ];
        for kind in kinds {
            for text in ["{}Jane Roe", "Ja{}ne Roe", "Jane{} Roe", "Jane {}Roe", "Jane Roe{}", "{}"]
            {
                let text = text.replace("{}", &kind.to_string());
                assert_eq!(first_invisible(&text), Some(kind), "{text:?}");
            }
        }
    }

    #[test]
    fn names_in_any_script_are_as_they_should_be() {
        for name in [
            "José Müller-Łukasz O’Neill",
            "Jose\u{301}",
            "Нина",
            "李小龙",
            "たなか",
            "김철수",
            "محمد علی",
            "שרה",
            "नरेन्द्र",
            "Jane\u{a0}Roe",
            "สมชาย",
            "Nguyễn Thị Mười",
            "👩",
            // With joiners that are part of the spelling.
            "علی\u{200c}رضا",
            "مهدی\u{200c}زاده احمدی",
            "क्\u{200d}ष",
            "ක්\u{200d}රිස්ටිනා",
            "র\u{200d}্যান্ডি",
            "രാജന്\u{200d}",
            "രാജന്\u{200d} കുമാര്\u{200d}",
        ] {
            assert_eq!(first_invisible(name), None, "{name}");
        }
    }

    #[test]
    fn joiners_are_refused_where_they_join_nothing() {
        for name in [
            "علی\u{200c}",
            "\u{200c}علی",
            "علی \u{200c}رضا",
            "علی\u{200c}\u{200c}رضا",
            "علی\u{200c}Roe",
            "علی\u{200d} رضا",
            "रा\u{200c}",
            "Jane\u{200d}Roe",
            "👩\u{200d}🚀",
            "۱\u{200c}۲",
            "क\u{200b}ष",
        ] {
            assert!(first_invisible(name).is_some(), "{name:?}");
        }
    }
}
