//! Learning the merges of a byte-level BPE, with end-of-word symbols or without.
//!
//! Sennrich, Haddow and Birch, *Neural machine translation of rare words with subword units*,
//! ACL 2016, algorithm 1, on the byte-level symbols of GPT-2, for CLIP with its `</w>` on the last
//! symbol of a word. The trainer of the `tokenizers` crate numbers the `</w>` symbols in the
//! order of a hash map, which changes from run to run and with it the ids and the ties; here a
//! tie goes to the smallest pair of ids, so that one corpus always gives one vocabulary.

use std::collections::BTreeMap;

/// CLIP's suffix of the last symbol of a word.
pub(crate) const END_OF_WORD: &str = "</w>";

/// Symbols and merges of a trained BPE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Merges {
    /// All symbols in the order of their ids: the alphabet, the alphabet with the suffix, if there
    /// is one, then one a merge.
    pub(crate) symbols: Vec<String>,
    /// Pairs that were merged, most frequent first.
    pub(crate) pairs: Vec<(String, String)>,
}

/// A pair that occurs once is one word's accident and not worth a symbol.
const LEAST_COUNT: u64 = 2;

/// Learns up to `count` merges from words with their counts; fewer if no pair occurs twice.
///
/// Every character of every word must be in `alphabet`, which is in the order of the ids. The
/// last symbol of a word has the suffix.
pub(crate) fn learn(
    words: &BTreeMap<String, u64>,
    alphabet: &[char],
    suffix: &str,
    count: usize,
) -> Merges {
    let mut symbols: Vec<String> = alphabet.iter().map(ToString::to_string).collect();
    if !suffix.is_empty() {
        symbols.extend(alphabet.iter().map(|symbol| format!("{symbol}{suffix}")));
    }
    let ids: BTreeMap<char, usize> = alphabet.iter().copied().zip(0..).collect();
    let mut corpus: Vec<(Vec<usize>, u64)> = words
        .iter()
        .map(|(word, &occurrences)| {
            let mut spelled: Vec<usize> = word.chars().map(|letter| ids[&letter]).collect();
            if let Some(last) = spelled.last_mut().filter(|_| !suffix.is_empty()) {
                *last += alphabet.len();
            }
            (spelled, occurrences)
        })
        .collect();

    let mut pairs = Vec::with_capacity(count);
    while pairs.len() < count {
        let Some((left, right)) = most_frequent(&corpus) else {
            break;
        };
        let merged = symbols.len();
        pairs.push((symbols[left].clone(), symbols[right].clone()));
        symbols.push(format!("{}{}", symbols[left], symbols[right]));
        for (spelled, _) in &mut corpus {
            merge(spelled, (left, right), merged);
        }
    }
    Merges { symbols, pairs }
}

/// The pair of neighbours that occurs most often; of equals, the smallest.
fn most_frequent(corpus: &[(Vec<usize>, u64)]) -> Option<(usize, usize)> {
    let mut counts: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    for (spelled, occurrences) in corpus {
        for pair in spelled.windows(2) {
            *counts.entry((pair[0], pair[1])).or_default() += occurrences;
        }
    }
    counts
        .into_iter()
        .filter(|&(_, count)| count >= LEAST_COUNT)
        .max_by_key(|&(pair, count)| (count, std::cmp::Reverse(pair)))
        .map(|(pair, _)| pair)
}

/// Replaces every occurrence of a pair, left to right, by one symbol.
fn merge(spelled: &mut Vec<usize>, pair: (usize, usize), merged: usize) {
    let mut kept = 0;
    let mut next = 0;
    while next < spelled.len() {
        if next + 1 < spelled.len() && (spelled[next], spelled[next + 1]) == pair {
            spelled[kept] = merged;
            next += 2;
        } else {
            spelled[kept] = spelled[next];
            next += 1;
        }
        kept += 1;
    }
    spelled.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
        counts.iter().map(|&(word, count)| (word.to_owned(), count)).collect()
    }

    #[test]
    fn most_frequent_pair_comes_first_and_ties_go_to_the_smallest() {
        let merges =
            learn(&words(&[("ab", 3), ("cab", 2), ("cc", 2)]), &['a', 'b', 'c'], END_OF_WORD, 10);
        let pairs: Vec<String> =
            merges.pairs.iter().map(|(left, right)| format!("{left} {right}")).collect();
        // "a b</w>" occurs five times; then "c c</w>" (ids 2, 5) and "c ab</w>" (2, 6) twice each.
        assert_eq!(pairs, ["a b</w>", "c c</w>", "c ab</w>"]);
        assert_eq!(merges.symbols.len(), 6 + 3);
        assert_eq!(merges.symbols[8], "cab</w>");
    }

    #[test]
    fn without_a_suffix_the_last_symbol_is_like_any_other() {
        let merges = learn(&words(&[("ab", 3), ("abc", 2)]), &['a', 'b', 'c'], "", 10);
        assert_eq!(merges.symbols, ["a", "b", "c", "ab", "abc"]);
    }

    #[test]
    fn overlapping_pairs_merge_from_the_left() {
        let mut spelled = vec![1, 1, 1, 2];
        merge(&mut spelled, (1, 1), 9);
        assert_eq!(spelled, [9, 1, 2]);
    }

    #[test]
    fn single_occurrences_are_not_merged() {
        assert!(learn(&words(&[("ab", 1)]), &['a', 'b'], END_OF_WORD, 5).pairs.is_empty());
    }
}
