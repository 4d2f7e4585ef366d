//! Foreign text in a message.

use crate::reading::invisible::is_invisible;

/// Longest piece of foreign text that a message repeats, in characters.
const SHOWN_CHARS: usize = 80;

/// `text` for a message: invisible characters escaped, long text cut.
pub(crate) fn shown(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(SHOWN_CHARS)
        .flat_map(|c| {
            let escape = is_invisible(c);
            let plain = (!escape).then_some(c);
            plain.into_iter().chain(escape.then(|| c.escape_default()).into_iter().flatten())
        })
        .collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_text_is_short_and_printable() {
        assert_eq!(shown("a\u{200b}b"), "a\\u{200b}b");
        assert_eq!(shown("a\tb"), "a\\tb");
        let long = shown(&"é".repeat(1000));
        assert_eq!(long.chars().count(), SHOWN_CHARS + 1);
    }
}
