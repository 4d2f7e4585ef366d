//! From values to text that is safe in HTML: escaping, embedded JSON, data URIs, and the one
//! way in which the report writes counts and rates.

use std::io::{self, Write};

use serde::Serialize;

/// A dash for a value that does not exist, with the reason as its title.
pub(super) fn missing(reason: &str) -> String {
    format!("<span class=\"missing\" title=\"{}\">\u{2013}</span>", escape(reason))
}

/// Escapes text for element content and for quoted attribute values. Control characters, which
/// HTML does not allow, and direction controls, which can make a text read as another, become
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
            c if c.is_control() || is_direction_control(c) => {
                escaped.push(char::REPLACEMENT_CHARACTER);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// Embeddings, overrides and isolates of the bidirectional algorithm. The implicit marks, which
/// names in right-to-left scripts may need, are not among them.
fn is_direction_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes a value as JSON that can stand inside a `<script>` element: the characters that could
/// end the element, start a comment or end a line of script are written as `\u` escapes.
/// Numbers that are not finite become `null`.
pub(super) fn write_json_for_script<T: Serialize>(
    value: &T,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(out, ScriptSafe);
    Ok(value.serialize(&mut serializer)?)
}

/// Compact JSON. The characters in question can stand in strings alone.
struct ScriptSafe;

impl serde_json::ser::Formatter for ScriptSafe {
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (before, from) = rest.split_at(at);
            let c = from.chars().next().expect("one was found here");
            write!(out, "{before}\\u{:04x}", u32::from(c))?;
            rest = &from[c.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

/// Writes the template with each `{{name}}` replaced by what `part` writes for it, in one pass:
/// braces in a part stay as they are.
pub(super) fn fill(
    template: &str,
    out: &mut dyn Write,
    mut part: impl FnMut(&str, &mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").expect("the template closes its braces");
        out.write_all(before.as_bytes())?;
        part(name, out)?;
        rest = after;
    }
    out.write_all(rest.as_bytes())
}

/// A file as a `data:` URI.
pub(super) fn data_uri(media_type: &str, bytes: &[u8]) -> String {
    format!("data:{media_type};base64,{}", base64(bytes))
}

/// Base64 with padding, RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let sextet = (bits >> (18 - 6 * i)) & 63;
            let is_padding = i > group.len();
            encoded.push(if is_padding { '=' } else { char::from(ALPHABET[sextet as usize]) });
        }
    }
    encoded
}

/// A count with thousands separators: `10,000`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count of names in words: `1 name`, `10,000 names`.
pub(super) fn names(n: usize) -> String {
    format!("{} {}", count(n as u64), if n == 1 { "name" } else { "names" })
}

/// A rate in per cent, without needless zeros and with a space that does not break: `5 %`,
/// `0.1 %`.
pub(super) fn percent(rate: f64) -> String {
    format!("{}\u{a0}%", trimmed(rate * 100.0, 3))
}

/// A number with at most `decimals` digits after the point, without trailing zeros, and with
/// a true minus sign.
pub(super) fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    match text.strip_prefix('-') {
        Some("0") => "0".to_owned(),
        Some(magnitude) => format!("\u{2212}{magnitude}"),
        None => text.to_owned(),
    }
}

/// A p-value or the like with four decimals, as the table writes it.
pub(super) fn probability(p: f64) -> String {
    if p > 0.0 && p < 0.0001 { "<\u{a0}0.0001".to_owned() } else { format!("{p:.4}") }
}

/// A signal's or detector's name in words.
pub(super) fn words(identifier: &str) -> String {
    identifier.replace(['_', '-'], " ")
}

/// The value if it is a finite number.
pub(super) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped() {
        assert_eq!(
            escape("<script>alert(1)</script> & \"x\" 'y' \u{0}\u{202e}"),
            "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;x&quot; &#39;y&#39; \u{fffd}\u{fffd}"
        );
    }

    fn json_for_script<T: Serialize>(value: &T) -> String {
        let mut json = Vec::new();
        write_json_for_script(value, &mut json).expect("memory takes all");
        String::from_utf8(json).expect("JSON is text")
    }

    #[test]
    fn embedded_json_cannot_leave_its_element() {
        let hostile = "</script><!--<script>\u{2028}\u{2029}&";
        let json = json_for_script(&hostile);
        for c in ['<', '>', '&', '\u{2028}', '\u{2029}'] {
            assert!(!json.contains(c), "{json}");
        }
        assert_eq!(serde_json::from_str::<String>(&json).expect("still JSON"), hostile);
    }

    #[test]
    fn embedded_json_has_no_nan() {
        assert_eq!(json_for_script(&[f64::NAN, f64::INFINITY, 1.5]), "[null,null,1.5]");
    }

    #[test]
    fn embedded_json_is_plain_json_but_for_those_characters() {
        let text = "\u{2028}Ann <b>& \"\\\n\u{e9}\u{2029}</b>\u{1f600}";
        let plain = serde_json::to_string(text).expect("a string");
        let escaped = plain
            .replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026")
            .replace('\u{2028}', "\\u2028")
            .replace('\u{2029}', "\\u2029");
        assert_eq!(json_for_script(&text), escaped);
    }

    #[test]
    fn parts_are_not_filled_again() {
        let mut filled = Vec::new();
        let part = |name: &str| if name == "a" { "{{b}}" } else { "x" };
        fill("<{{a}}|{{b}}>", &mut filled, |name, out| out.write_all(part(name).as_bytes()))
            .expect("memory takes all");
        assert_eq!(filled, b"<{{b}}|x>");
    }

    #[test]
    fn base64_follows_the_rfc() {
        // Test vectors of RFC 4648 section 10.
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, encoded) in vectors {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn numbers_are_written_one_way() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(names(1), "1 name");
        assert_eq!(percent(0.05), "5\u{a0}%");
        assert_eq!(percent(0.001), "0.1\u{a0}%");
        assert_eq!(trimmed(-0.000_01, 2), "0");
        assert_eq!(trimmed(-1.50, 2), "\u{2212}1.5");
        assert_eq!(trimmed(120.0, 0), "120");
        assert_eq!(probability(0.05), "0.0500");
        assert_eq!(probability(0.000_01), "<\u{a0}0.0001");
    }
}
