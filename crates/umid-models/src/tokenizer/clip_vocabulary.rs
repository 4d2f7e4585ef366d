//! CLIP's own vocabulary of 49,408 tokens, for weights that come without a tokenizer.
//!
//! Reference: OpenAI's CLIP, `simple_tokenizer.py`. The crate `instant-clip-tokenizer` carries the
//! vocabulary and gives it back only as text, in which bytes that are no whole characters are
//! replaced. Each token is therefore asked for between bytes that complete its characters, and the
//! pair that it was merged of follows from the merges before it. A test compares the outcome with
//! the published list.

use std::collections::HashMap;

use instant_clip_tokenizer::{Token, Tokenizer};

/// Size of the vocabulary.
pub(crate) const SIZE: usize = 49_408;
pub(super) const START: &str = "<|startoftext|>";
pub(super) const END: &str = "<|endoftext|>";
/// What a token at the end of a word ends with.
pub(super) const END_OF_WORD: &str = "</w>";
/// What stands for bytes that are no character.
const REPLACEMENT: char = '\u{fffd}';
/// Beginnings of characters of two to four bytes, which bytes of a token may continue.
const BEGINNINGS: [&[u8]; 7] =
    [&[], &[0xc3], &[0xe3], &[0xe3, 0x81], &[0xf1], &[0xf1, 0x81], &[0xf1, 0x81, 0x81]];
/// Ends of characters; after some first bytes the second is limited.
const ENDS: [&[u8]; 9] = [
    &[],
    &[0x80],
    &[0x90],
    &[0xa0],
    &[0x80, 0x80],
    &[0x90, 0x80],
    &[0xa0, 0x80],
    &[0x80, 0x80, 0x80],
    &[0x90, 0x80, 0x80],
];

/// CLIP's own vocabulary: its tokens in the order of their ids, without the two special tokens that
/// come last, and the pairs of tokens that are merged, most frequent first.
pub fn clip_vocabulary() -> (Vec<String>, Vec<(String, String)>) {
    let Vocabulary { mut tokens, merges } = Vocabulary::of_clip();
    tokens.truncate(SIZE - 2);
    (tokens, merges)
}

/// The tokens in the order of their ids, and the pairs that are merged, most frequent first.
pub(super) struct Vocabulary {
    pub(super) tokens: Vec<String>,
    pub(super) merges: Vec<(String, String)>,
}

impl Vocabulary {
    /// OpenAI's.
    pub(super) fn of_clip() -> Self {
        let letters = letters();
        let mut tokens: Vec<String> =
            letters.iter().map(|(_, letter)| letter.to_string()).collect();
        tokens.extend(letters.iter().map(|(_, letter)| format!("{letter}{END_OF_WORD}")));
        let letter: HashMap<u8, char> = letters.iter().copied().collect();
        let asked = Asked::new(&letters);
        let mut merges = Vec::new();
        // Which token a pair of tokens becomes.
        let mut merged = HashMap::new();
        let ids: HashMap<String, usize> = tokens.iter().cloned().zip(0..).collect();
        for id in tokens.len()..SIZE - 2 {
            let (bytes, ends_word) = asked.token(id as u16);
            let mut symbols: Vec<String> =
                bytes.iter().map(|byte| letter[byte].to_string()).collect();
            if let Some(last) = symbols.last_mut().filter(|_| ends_word) {
                last.push_str(END_OF_WORD);
            }
            let token = symbols.concat();
            let mut parts: Vec<usize> = symbols.iter().map(|symbol| ids[symbol]).collect();
            merge(&mut parts, &merged);
            if let [first, second] = parts[..] {
                merges.push((tokens[first].clone(), tokens[second].clone()));
                merged.insert((first, second), id);
            }
            tokens.push(token);
        }
        tokens.extend([START, END].map(str::to_owned));
        Self { tokens, merges }
    }
}

/// Merges the pair of the lowest id until there is none left.
fn merge(parts: &mut Vec<usize>, merged: &HashMap<(usize, usize), usize>) {
    loop {
        let pairs = parts.windows(2).enumerate();
        let known = pairs.filter_map(|(at, pair)| Some((*merged.get(&(pair[0], pair[1]))?, at)));
        let Some((id, at)) = known.min() else { return };
        parts[at] = id;
        parts.remove(at + 1);
    }
}

/// Bytes and the characters that stand for them, in the order of their ids.
fn letters() -> Vec<(u8, char)> {
    let printable: Vec<u8> = (b'!'..=b'~').chain(0xa1..=0xac).chain(0xae..=0xff).collect();
    let others = (0..=u8::MAX).filter(|byte| !printable.contains(byte));
    let others =
        others.zip(0x100_u32..).filter_map(|(byte, code)| Some((byte, char::from_u32(code)?)));
    printable.iter().map(|byte| (*byte, char::from(*byte))).chain(others).collect()
}

/// The crate's tokenizer, asked for one token after the other.
struct Asked {
    tokenizer: Tokenizer,
    /// The token of each byte.
    of_byte: HashMap<u8, u16>,
}

impl Asked {
    fn new(letters: &[(u8, char)]) -> Self {
        let of_byte = letters.iter().map(|(byte, _)| *byte).zip(0..).collect();
        Self { tokenizer: Tokenizer::new(), of_byte }
    }

    /// Bytes of a token, and whether it ends a word.
    fn token(&self, id: u16) -> (Vec<u8>, bool) {
        for begun in BEGINNINGS {
            for ended in ENDS {
                let text = self.text(begun, id, ended);
                if text.contains(REPLACEMENT) {
                    continue;
                }
                // The end of a word is a space here.
                let bytes = &text.as_bytes()[begun.len()..text.len() - ended.len()];
                return match bytes.strip_suffix(b" ") {
                    Some(word) => (word.to_vec(), true),
                    None => (bytes.to_vec(), false),
                };
            }
        }
        // It is the replacement itself.
        let text = self.text(&[], id, &[]);
        let word = text.strip_suffix(' ');
        (word.unwrap_or(&text).as_bytes().to_vec(), word.is_some())
    }

    fn text(&self, begun: &[u8], id: u16, ended: &[u8]) -> String {
        let of_bytes =
            |bytes: &[u8]| bytes.iter().map(|byte| self.of_byte[byte]).collect::<Vec<_>>();
        let ids = of_bytes(begun).into_iter().chain([id]).chain(of_bytes(ended));
        self.tokenizer.decode(ids.filter_map(|id| Token::from_u16(id, &self.tokenizer)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BLAKE3 of the merges in OpenAI's `bpe_simple_vocab_16e6.txt`, its lines 2 to 48,895.
    const MERGES: &str = "d2277cd80067082937cd1952c2a4980b211c7ab89c617d4f2935834cf3d4b5c2";

    #[test]
    fn the_merges_are_the_published_ones() {
        let Vocabulary { tokens, merges } = Vocabulary::of_clip();
        assert_eq!((tokens.len(), merges.len()), (SIZE, SIZE - 514));
        let lines: Vec<String> = merges.iter().map(|(a, b)| format!("{a} {b}\n")).collect();
        assert_eq!(blake3::hash(lines.concat().as_bytes()).to_hex().as_str(), MERGES);
        assert!(
            tokens[512..].iter().zip(&merges).all(|(token, (a, b))| *token == format!("{a}{b}"))
        );
        assert_eq!(tokens[320], "a</w>");
    }
}
