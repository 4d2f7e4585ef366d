//! Repairs of a text's characters, as Python's `ftfy.fix_text` does them.
//!
//! Reference: ftfy 6.3, `fix_text` and `fixes.py`, whose steps are repeated until nothing changes:
//! character references, wrong decodings, C1 controls, ligatures, character width, curly quotes,
//! line breaks, terminal escapes, control characters, composed accents.
//!
//! ftfy undoes wrong decodings by many code pages and judges by a large table of sequences that
//! are unlikely in any language. Here UTF-8 that was decoded as Latin-1 or Windows-1252 is undone,
//! by far the most common mistake, where it shows in one of the sequences of [`is_telling`]. Other
//! wrong decodings are left as they are, so that such a text's ids differ from the reference's.

use tokenizers::NormalizedString;

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

/// Windows-1252 from 0x80 on, where it is not Latin-1. Unassigned bytes stand for themselves, as
/// browsers decode them.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text, repaired line by line.
pub(super) fn repair(text: &str) -> String {
    text.split_inclusive('\n').map(repair_line).collect()
}

fn repair_line(line: &str) -> String {
    // What may be a document, which has tags, keeps its character references for now.
    let is_document = line.contains('<');
    let mut text = line.to_owned();
    loop {
        let before = text.clone();
        if !is_document {
            text = resolve_references(&text);
        }
        while let Some(decoded) = decoded_rightly(&text) {
            text = decoded;
        }
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

/// The text that was decoded wrongly, if it was: all of it, or the telling sequences in it.
fn decoded_rightly(text: &str) -> Option<String> {
    let characters: Vec<char> = text.chars().collect();
    let bytes: Vec<Option<u8>> = characters.iter().map(|c| byte_of(*c)).collect();
    let sequences: Vec<(usize, usize)> = (0..bytes.len())
        .filter_map(|at| Some((at, at + length_of_sequence(&bytes[at..])?)))
        .collect();
    let telling = |(start, end): &&(usize, usize)| is_telling(&characters[*start..*end]);
    let several_alike = |(start, _): &(usize, usize)| {
        let alike =
            |(other, _): &&(usize, usize)| same_script(characters[*start], characters[*other]);
        sequences.iter().filter(alike).count() > 1
    };
    let is_bad = sequences.iter().any(|s| telling(&s) || several_alike(s));
    if !is_bad {
        return None;
    }
    let whole: Option<Vec<u8>> = bytes.iter().copied().collect();
    if let Some(decoded) = whole.and_then(|whole| String::from_utf8(whole).ok()) {
        return Some(decoded);
    }
    let mut decoded = String::with_capacity(text.len());
    let mut at = 0;
    let mut changed = false;
    while at < characters.len() {
        let sequence = sequences.iter().find(|(start, _)| *start == at).filter(telling);
        if let Some((start, end)) = sequence {
            let values: Vec<u8> = bytes[*start..*end].iter().copied().flatten().collect();
            decoded.push_str(&String::from_utf8_lossy(&values));
            (at, changed) = (*end, true);
        } else {
            decoded.push(characters[at]);
            at += 1;
        }
    }
    changed.then_some(decoded)
}

/// Characters that, as bytes of Windows-1252, are one character of UTF-8 beyond ASCII.
fn length_of_sequence(bytes: &[Option<u8>]) -> Option<usize> {
    let length = match (*bytes.first()?)? {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let sequence: Vec<u8> = bytes.get(..length)?.iter().copied().collect::<Option<_>>()?;
    std::str::from_utf8(&sequence).is_ok().then_some(length)
}

/// Whether a sequence is unlikely to have been meant: a capital A with circumflex or tilde before
/// what no word has behind it, punctuation and symbols, or a sequence of three or four.
fn is_telling(sequence: &[char]) -> bool {
    match sequence {
        ['Â' | 'Ã', second] => !matches!(second, '’' | '”' | '™'),
        ['Ä' | 'Å', second] => !is_common(*second) && !second.is_alphabetic(),
        ['â' | 'ï' | 'ð', _, ..] => sequence.len() > 2,
        [_, _, ..] => sequence.len() > 2 && !sequence.iter().any(|c| is_common(*c)),
        _ => false,
    }
}

/// Whether a character is common behind any letter.
fn is_common(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{2018}'..='\u{201d}' | '–' | '—' | '™' | '»' | '…')
}

/// Whether two characters are lead bytes of one script, Cyrillic or Greek.
fn same_script(one: char, other: char) -> bool {
    [['Ð', 'Ñ'], ['Î', 'Ï']].iter().any(|leads| leads.contains(&one) && leads.contains(&other))
}

fn byte_of(c: char) -> Option<u8> {
    match c {
        '\0'..='\u{ff}' => Some(c as u8),
        _ => WINDOWS_1252.iter().position(|w| *w == c).map(|at| 0x80 + at as u8),
    }
}

/// What a character becomes.
fn replaced(c: char) -> Replaced {
    match c {
        '\u{80}'..='\u{9f}' => one(WINDOWS_1252[c as usize - 0x80]),
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
