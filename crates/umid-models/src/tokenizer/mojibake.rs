//! UTF-8 that was decoded by a code page, decoded rightly.
//!
//! Reference: ftfy 6.3's `fix_encoding`. A text that has a sequence of characters which is unlikely
//! in any language is encoded by the first code page that has all its characters and whose bytes
//! are UTF-8. If there is none, the parts of the text that look like UTF-8 are tried on their own.
//! What was decoded wrongly twice is decoded twice.
//!
//! Left out: ftfy also reads two encoded surrogates as one character, and an encoded NUL of two
//! bytes, as some programs write them (CESU-8). Names have neither.

use super::code_pages::{CodePage, LIKE_LATIN_1, LOST, PAGES, WINDOWS_1252};
use super::unlikely::is_unlikely;

/// A no-break space as a byte of most code pages, which some programs replace by a space.
const NO_BREAK_SPACE: u8 = 0xa0;
/// What may stand behind a Portuguese `à` that is not a word of its own.
const CONTRACTED: [&[u8]; 5] = [b" ", b"quele", b"quela", b"quilo", b"s "];
/// The replacement character in UTF-8.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// The text, decoded rightly.
pub(super) fn undo(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(decoded) = undo_once(&text) {
        text = decoded;
    }
    text
}

/// The text after one step, if that changes it.
fn undo_once(text: &str) -> Option<String> {
    if text.is_ascii() || !is_unlikely(text) {
        return None;
    }
    let whole = PAGES.iter().find_map(|page| decode(page.encode(text)?, page));
    let changed = whole.unwrap_or_else(|| {
        let in_parts = undo_in_parts(text);
        if in_parts == text { text.chars().map(without_c1_control).collect() } else { in_parts }
    });
    (changed != text).then_some(changed)
}

/// What a control character from 0x80 on, which no text means to have, is in Windows-1252.
pub(super) fn without_c1_control(c: char) -> char {
    match c {
        '\u{80}'..='\u{9f}' => WINDOWS_1252.character(c as u8),
        _ => c,
    }
}

/// A page's bytes read as UTF-8, in which bytes may have been lost or replaced by spaces.
fn decode(bytes: Vec<u8>, page: &CodePage) -> Option<String> {
    let restored = if page.spaces_are_meant { bytes } else { with_no_break_spaces(bytes) };
    let whole = if page.has_losses { with_replacements(&restored) } else { restored };
    String::from_utf8(whole).ok()
}

/// The bytes with a no-break space in place of each space that makes a likely character of UTF-8.
fn with_no_break_spaces(bytes: Vec<u8>) -> Vec<u8> {
    if !(0..bytes.len()).any(|at| length_with_space(&bytes[at..]).is_some()) {
        return bytes;
    }
    // `à` is mostly a word of its own, whose own space is kept.
    let mut spaced = Vec::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        let is_word = at > 0
            && bytes[at - 1..=at] == [0xc3, b' ']
            && !CONTRACTED.iter().any(|end| bytes[at + 1..].starts_with(end));
        if is_word {
            spaced.push(NO_BREAK_SPACE);
        }
        spaced.push(*byte);
    }
    let mut at = 0;
    while at < spaced.len() {
        let length = length_with_space(&spaced[at..]).unwrap_or(0);
        for byte in spaced[at..at + length].iter_mut().filter(|byte| **byte == b' ') {
            *byte = NO_BREAK_SPACE;
        }
        at += length.max(1);
    }
    spaced
}

/// How many bytes at the beginning are a likely character of UTF-8 but for a space.
fn length_with_space(bytes: &[u8]) -> Option<usize> {
    // Three dots are more likely than the byte of Windows-1252's ellipsis.
    let follows = |byte: &u8| matches!(byte, 0x80..=0x84 | 0x86..=0x9f | 0xa1..=0xbf);
    match bytes {
        [0xc2 | 0xc3 | 0xc5 | 0xce | 0xd0 | 0xd9, b' ', ..] => Some(2),
        [0xe2 | 0xe3, b' ', third, ..] if follows(third) => Some(3),
        [0xe0..=0xe3, second, b' ', ..] if follows(second) => Some(3),
        [0xf0, rest @ ..] => {
            let rest = rest.get(..3)?;
            let is_first = |at: &usize| rest[*at] == b' ';
            let others_fit =
                |at: usize| (0..3).all(|other| other == at || matches!(rest[other], 0x80..=0xbf));
            (0..3).find(is_first).filter(|at| others_fit(*at)).map(|_| 4)
        }
        _ => None,
    }
}

/// The bytes with the replacement character in place of each character of UTF-8 of which a byte
/// was lost. One byte may have become a question mark.
fn with_replacements(bytes: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let length = length_with_loss(&bytes[at..]);
        match length {
            Some(_) => replaced.extend(REPLACEMENT),
            None => replaced.push(bytes[at]),
        }
        at += length.unwrap_or(1);
    }
    replaced
}

/// How many bytes at the beginning are a character of UTF-8 that is not whole.
fn length_with_loss(bytes: &[u8]) -> Option<usize> {
    let length = match bytes.first()? {
        &LOST => return Some(1),
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let rest = bytes.get(1..length)?;
    // Two bytes of which one is a question mark are mostly the end of a question.
    let mut may_have_question = length > 2 || bytes[0] <= 0xc3;
    let is_lossy = rest.contains(&LOST) || rest.contains(&b'?');
    let fits = rest.iter().all(|byte| match byte {
        b'?' => std::mem::replace(&mut may_have_question, false),
        _ => matches!(byte, &LOST | 0x80..=0xbf),
    });
    (is_lossy && fits).then_some(length)
}

/// The text with the parts decoded rightly that look like UTF-8 in one code page or other.
fn undo_in_parts(text: &str) -> String {
    let characters: Vec<(usize, char)> = text.char_indices().collect();
    let start_of = |at: usize| characters.get(at).map_or(text.len(), |(start, _)| *start);
    let mut undone = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let length = if at > 0 && is_surely_continuation(characters[at - 1].1) {
            0
        } else {
            length_like_utf8(&characters[at..])
        };
        let part = &text[start_of(at)..start_of(at + length.max(1))];
        if length > 0 && part.len() < text.len() && is_unlikely(part) {
            undone.push_str(&undo(part));
        } else {
            undone.push_str(part);
        }
        at += length.max(1);
    }
    undone
}

/// How many characters at the beginning could be bytes of whole characters of UTF-8.
fn length_like_utf8(characters: &[(usize, char)]) -> usize {
    let mut length = 0;
    while let Some(one) = characters.get(length).and_then(|(_, c)| length_by_first(*c)) {
        let rest = characters.get(length + 1..length + one).unwrap_or_default();
        if rest.is_empty() || !rest.iter().all(|(_, c)| *c == ' ' || is_continuation(*c)) {
            break;
        }
        length += one;
    }
    length
}

/// How many bytes a character of UTF-8 has whose first byte stands for this in some code page.
fn length_by_first(c: char) -> Option<usize> {
    LIKE_LATIN_1.iter().find_map(|page| match page.byte_of(c)? {
        0xc2..=0xdf => Some(2),
        0xe0..=0xef => Some(3),
        // Characters with other first bytes are not assigned.
        0xf0 | 0xf3 => Some(4),
        _ => None,
    })
}

/// Whether a byte that continues a character of UTF-8 stands for this in some code page.
fn is_continuation(c: char) -> bool {
    LIKE_LATIN_1.iter().any(|page| matches!(page.byte_of(c), Some(0x80..=0xbf)))
}

/// The same, but for what often stands for itself: dashes, quotation marks, bullet and ellipsis.
fn is_surely_continuation(c: char) -> bool {
    is_continuation(c) && !matches!(c, '–'..='―' | '‘'..='‚' | '“'..='„' | '•' | '…')
}
