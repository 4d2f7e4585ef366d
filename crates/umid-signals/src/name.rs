//! A name and its parts, and when two of them are one to a model.

use unicode_normalization::UnicodeNormalization;

/// A name whose signals are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<'a> {
    /// The name as it is put into a template.
    pub text: &'a str,
    /// Its first and its last part, which exchange with public parts; `None` for a name of one part.
    pub parts: Option<(&'a str, &'a str)>,
}

/// How the parts of a name are joined.
pub fn full_name(first: &str, last: &str) -> String {
    format!("{first} {last}")
}

/// The form under which two names count as one: accents composed (Unicode's normal form C), lower
/// case, with single spaces. CLIP's tokenizers do all three to a text.
///
/// ```
/// use umid_signals::name_key;
///
/// assert_eq!(name_key("  JANE \t Roe "), "jane roe");
/// assert_eq!(name_key("Jose\u{301}"), name_key("José"));
/// ```
pub fn name_key(text: &str) -> String {
    let mut key = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !key.is_empty() {
            key.push(' ');
        }
        key.extend(word.nfc().flat_map(char::to_lowercase).nfc());
    }
    key
}
