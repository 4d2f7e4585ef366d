//! What open_clip does to a text before it is tokenized.
//!
//! Reference: open_clip, `basic_clean`, `get_clean_fn` and `canonicalize_text` (`tokenizer.py`).
//! A text is repaired by [`repair`], then character references of HTML are resolved, twice.

use std::borrow::Cow;

use super::repair::repair;

/// Python's `string.punctuation`.
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// How texts are cleaned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clean {
    /// Not at all: the tokenizer does what there is to do.
    AsIs,
    /// msclap's for GPT-2: the end token's name behind it.
    Ended,
    /// Repaired, with single spaces.
    Whitespace,
    /// Repaired, with single spaces, in lower case.
    Lower,
    /// Repaired, with single spaces, in lower case, without punctuation.
    Canonicalize,
}

impl Clean {
    /// The kind of open_clip's name.
    pub(crate) fn of_open_clip(name: &str) -> Option<Self> {
        match name {
            "whitespace" => Some(Self::Whitespace),
            "lower" => Some(Self::Lower),
            "canonicalize" => Some(Self::Canonicalize),
            _ => None,
        }
    }

    /// The text as the tokenizer gets it.
    pub(crate) fn apply(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::AsIs => Cow::Borrowed(text),
            Self::Ended => Cow::Owned(format!("{text} <|endoftext|>")),
            Self::Whitespace => Cow::Owned(single_spaces(&readable(text))),
            Self::Lower => Cow::Owned(single_spaces(&readable(text)).to_lowercase()),
            Self::Canonicalize => {
                let mut text = readable(text).replace('_', " ");
                text.retain(|c| !PUNCTUATION.contains(c));
                Cow::Owned(single_spaces(&text.to_lowercase()))
            }
        }
    }
}

/// A repaired text without character references.
fn readable(text: &str) -> String {
    // Nothing is to be repaired in visible ASCII.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n') && byte != b'&') {
        return text.to_owned();
    }
    htmlize::unescape(htmlize::unescape(repair(text))).into_owned()
}

/// Words with a single space between each two.
fn single_spaces(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cleaned_as_open_clip_does() {
        for (text, whitespace) in [
            ("Seán O\u{2019}Brien", "Seán O'Brien"),
            ("Smith &amp;amp; Sons", "Smith & Sons"),
            ("&amp;notit; &bogus; & alone", "¬it; &bogus; & alone"),
            ("Jos&eacute Garcia", "José Garcia"),
            ("&EACUTE;lodie", "Élodie"),
            ("Ａda　Lovelace", "Ada Lovelace"),
            ("oﬃce", "office"),
            ("JosÃ© MuÃ±oz", "José Muñoz"),
            ("Adaâ€™s", "Ada's"),
            ("a\u{a0}b\u{200b}\u{feff}c\u{2028}d", "a b\u{200b}c d"),
            ("  two\t words\n", "two words"),
        ] {
            assert_eq!(Clean::Whitespace.apply(text), whitespace, "{text:?}");
        }
        assert_eq!(Clean::Lower.apply("İDA ΟΔΥΣΣΕΥΣ"), "i\u{307}da οδυσσευς");
        assert_eq!(Clean::Canonicalize.apply("A_photo: (of) O\u{2019}Brien!"), "a photo of obrien");
        assert_eq!(Clean::AsIs.apply("&amp;"), "&amp;");
    }

    #[test]
    fn every_way_of_cleaning_is_as_open_clips() {
        let content = include_str!("../../tests/fixtures/texts/repaired.json");
        let fixtures: serde_json::Value = serde_json::from_str(content).expect("JSON");
        let texts = fixtures["cleaned"].as_array().expect("texts");
        assert!(texts.len() >= 70, "only {} texts", texts.len());
        for row in texts {
            let text = row["text"].as_str().expect("text");
            for name in ["whitespace", "lower", "canonicalize"] {
                let cleaned = Clean::of_open_clip(name).expect(name).apply(text);
                assert_eq!(Some(cleaned.as_ref()), row[name].as_str(), "{name} of {text:?}");
            }
        }
    }
}
