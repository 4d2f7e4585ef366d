//! Escaping of text for HTML and SVG, and names of anchors.

/// Escapes text for element content and for quoted attribute values. Control characters, which
/// neither format allows, and direction controls, which can make a text read as another, become
/// U+FFFD.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                escaped.push(char::REPLACEMENT_CHARACTER);
            }
            c if c.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn markup_is_escaped() {
        assert_eq!(
            escape("<a href=\"x\">R&D 'y'</a>\u{0}\u{202e}"),
            "&lt;a href=&quot;x&quot;&gt;R&amp;D &#39;y&#39;&lt;/a&gt;\u{fffd}\u{fffd}"
        );
    }
}
