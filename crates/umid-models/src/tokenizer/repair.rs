//! Repairs of a text's characters, as Python's `ftfy.fix_text` does them.
//!
//! Reference: ftfy 6.3, `fix_text` and `fixes.py`, whose steps are repeated until nothing changes:
//! character references, wrong decodings, C1 controls, ligatures, character width, curly quotes,
//! line breaks, terminal escapes, control characters, composed accents.
//!
//! Wrong decodings are in `mojibake.rs`. Left out, since no text of a tower's context comes near it:
//! ftfy repairs texts of more than a million characters in pieces.

use tokenizers::NormalizedString;

use super::mojibake;

/// Longest text between `&` and `;` of a character reference.
const LONGEST_REFERENCE: usize = 24;

/// Letters that stand for two or three, and those.
const LIGATURES: [(char, &str); 22] = [
    ('Ĳ', "IJ"),
    ('ĳ', "ij"),
    ('ŉ', "ʼn"),
    ('Ǳ', "DZ"),
    ('ǲ', "Dz"),
    ('ǳ', "dz"),
    ('Ǆ', "DŽ"),
    ('ǅ', "Dž"),
    ('ǆ', "dž"),
    ('Ǉ', "LJ"),
    ('ǈ', "Lj"),
    ('ǉ', "lj"),
    ('Ǌ', "NJ"),
    ('ǋ', "Nj"),
    ('ǌ', "nj"),
    ('ﬀ', "ff"),
    ('ﬁ', "fi"),
    ('ﬂ', "fl"),
    ('ﬃ', "ffi"),
    ('ﬄ', "ffl"),
    ('ﬅ', "ſt"),
    ('ﬆ', "st"),
];

/// The text, repaired line by line.
pub(super) fn repair(text: &str) -> String {
    let mut references: fn(&str) -> String = resolve_references;
    let mut repaired = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        // What may be a document, which has tags, keeps its character references for now.
        if line.contains('<') {
            references = str::to_owned;
        }
        repaired.push_str(&repair_line(line, references));
    }
    repaired
}

fn repair_line(line: &str, references: fn(&str) -> String) -> String {
    let mut text = line.to_owned();
    loop {
        let before = text.clone();
        text = references(&text);
        text = mojibake::undo(&text).replace("\r\n", "\n");
        text = without_escapes(&text.chars().map(replaced).collect::<String>());
        text.retain(|c| !is_removed(c));
        text = composed(&text);
        if text == before {
            return text;
        }
    }
}

/// Resolves references that end in a semicolon; the names of capitals may be written in capitals.
fn resolve_references(text: &str) -> String {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        resolved.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '#');
        let reference = match end {
            Some(end)
                if rest[1 + end..].starts_with(';') && (1..=LONGEST_REFERENCE).contains(&end) =>
            {
                &rest[..end + 2]
            }
            _ => &rest[..1],
        };
        resolved.push_str(&of_reference(reference));
        rest = &rest[reference.len()..];
    }
    resolved + rest
}

fn of_reference(reference: &str) -> String {
    let found = htmlize::unescape(reference);
    let name = reference.trim_matches(['&', ';']);
    if found != reference || name.chars().any(|c| !c.is_ascii_uppercase()) {
        // A part of a name does not count.
        return if found.ends_with(';') { reference.to_owned() } else { found.into_owned() };
    }
    let (first, others) = name.split_at(name.len().min(1));
    let capital = format!("&{first}{};", others.to_ascii_lowercase());
    let found = htmlize::unescape(capital.as_str());
    if found == capital { reference.to_owned() } else { found.to_uppercase() }
}

/// What a character becomes.
fn replaced(c: char) -> Replaced {
    match c {
        '\u{80}'..='\u{9f}' => one(mojibake::without_c1_control(c)),
        '\u{2bc}' | '\u{2018}'..='\u{201b}' => one('\''),
        '\u{201c}'..='\u{201f}' => one('"'),
        '\u{2028}' | '\u{2029}' | '\r' => one('\n'),
        '\u{3000}' => one(' '),
        '\u{ff01}'..='\u{ffef}' => {
            let mut text = NormalizedString::from(c.to_string());
            Replaced::Text(text.nfkc().get().to_owned())
        }
        _ => match LIGATURES.iter().find(|(ligature, _)| *ligature == c) {
            Some((_, letters)) => Replaced::Text((*letters).to_owned()),
            None => one(c),
        },
    }
}

/// One character, or several.
enum Replaced {
    One(char),
    Text(String),
}

fn one(c: char) -> Replaced {
    Replaced::One(c)
}

impl FromIterator<Replaced> for String {
    fn from_iter<I: IntoIterator<Item = Replaced>>(parts: I) -> Self {
        parts.into_iter().fold(Self::new(), |mut text, part| {
            match part {
                Replaced::One(c) => text.push(c),
                Replaced::Text(letters) => text.push_str(&letters),
            }
            text
        })
    }
}

/// The text without the sequences that move a terminal's cursor or change its colours.
fn without_escapes(text: &str) -> String {
    const ESCAPE: &str = "\u{1b}[";
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(ESCAPE) {
        let (before, sequence) = rest.split_at(start);
        kept.push_str(before);
        let arguments = &sequence[ESCAPE.len()..];
        let end = arguments.find(|c: char| !c.is_ascii_digit() && c != ';');
        let command =
            end.filter(|end| arguments[*end..].starts_with(|c: char| c.is_ascii_alphabetic()));
        if let Some(end) = command {
            rest = &arguments[end + 1..];
        } else {
            kept.push_str(ESCAPE);
            rest = arguments;
        }
    }
    kept + rest
}

/// Control characters that no text means to have.
fn is_removed(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{8}'
            | '\u{b}'
            | '\u{e}'..='\u{1f}'
            | '\u{7f}'
            | '\u{206a}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffc}'
    )
}

fn composed(text: &str) -> String {
    NormalizedString::from(text).nfc().get().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Texts and what the reference makes of them (`scripts/make_repair_fixtures.py`).
    fn fixtures() -> Value {
        let content = include_str!("../../tests/fixtures/texts/repaired.json");
        serde_json::from_str(content).expect("JSON")
    }

    #[test]
    fn texts_are_repaired_as_ftfy_does() {
        let fixtures = fixtures();
        let texts = fixtures["texts"].as_array().expect("texts");
        assert!(texts.len() > 1200, "only {} texts", texts.len());
        let wrong: Vec<_> = texts
            .iter()
            .map(|pair| (pair[0].as_str().expect("text"), pair[1].as_str().expect("repaired")))
            .map(|(text, repaired)| (text, repaired, repair(text)))
            .filter(|(_, repaired, ours)| ours != repaired)
            .collect();
        assert!(wrong.is_empty(), "{} of {}: {wrong:?}", wrong.len(), texts.len());
    }

    #[test]
    fn what_is_left_out_stays_as_it_is() {
        for text in fixtures()["left_out"].as_array().expect("texts") {
            let [of_ours, of_reference] = ["text", "reference"].map(|key| text[key].as_str());
            let of_ours = repair(of_ours.expect("text"));
            assert_ne!(Some(of_ours.as_str()), of_reference, "{}", text["reason"]);
        }
    }
}
