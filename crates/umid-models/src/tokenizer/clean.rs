//! What open_clip does to a text before it is tokenized.
//!
//! Reference: open_clip, `basic_clean`, `get_clean_fn` and `canonicalize_text` (`tokenizer.py`).
//! Texts are repaired as Python's `ftfy.fix_text` does it: text that was decoded in a wrong
//! encoding, curly quotes, ligatures, character width, line breaks, control characters, composed
//! accents. The crate that does it here differs from it only for some rare wrong decodings: two
//! layers of a Cyrillic code page are undone where ftfy gives up, and a text of a single wrongly
//! decoded letter is left as it is. Then character references of HTML are resolved, twice.

use std::borrow::Cow;

use plsfix::TextFixerConfig;

/// Python's `string.punctuation`.
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// How texts are cleaned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clean {
    /// Not at all: the tokenizer does what there is to do.
    AsIs,
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
            Self::Whitespace => Cow::Owned(single_spaces(&repaired(text))),
            Self::Lower => Cow::Owned(single_spaces(&repaired(text)).to_lowercase()),
            Self::Canonicalize => {
                let mut text = repaired(text).replace('_', " ");
                text.retain(|c| !PUNCTUATION.contains(c));
                Cow::Owned(single_spaces(&text.to_lowercase()))
            }
        }
    }
}

/// A text without the marks of wrong decodings, and without character references.
fn repaired(text: &str) -> String {
    // Nothing is to be repaired in visible ASCII.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n') && byte != b'&') {
        return text.to_owned();
    }
    // ftfy leaves character references alone in what may be a document, which has tags.
    let unescape_html = if text.contains('<') { Some(false) } else { None };
    let config = TextFixerConfig { unescape_html, ..TextFixerConfig::default() };
    let fixed = plsfix::fix_text(text, Some(&config));
    htmlize::unescape(htmlize::unescape(fixed)).into_owned()
}

/// Words with a single space between each two.
fn single_spaces(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
