//! Token sequences that share their beginnings.
//!
//! Where a token sees itself and those before it, what is computed for it depends on nothing else, so
//! sequences that begin alike need what they share once. In the order of their tokens, each sequence
//! adds to the one before only what comes after the beginning that the two share.

use std::ops::Range;

use rayon::current_num_threads;

use crate::stack::ROWS;

/// Sequences of tokens, each token once for all sequences that begin alike up to it.
///
/// They are cut into parts that are computed apart; a beginning that two parts share is in both.
#[derive(Debug, Clone)]
pub struct SharedSequences {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    parts: Vec<Part>,
    /// For each sequence its part, and its place among the ends of that part.
    places: Vec<(usize, usize)>,
}

/// Sequences that are computed together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    /// Among the rows of all parts.
    pub(crate) rows: Range<usize>,
    /// The rows of every sequence's tokens, one sequence after the other, from the part's first row on.
    steps: Vec<usize>,
    sequences: Vec<Steps>,
    /// Row of the last token of each sequence.
    ends: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Steps {
    range: Range<usize>,
    /// How many of the last tokens no sequence before has.
    new: usize,
}

impl Part {
    /// The rows of each sequence's tokens, and how many of the last of them are no other's before it.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (&[usize], usize)> {
        self.sequences.iter().map(|steps| (&self.steps[steps.range.clone()], steps.new))
    }

    /// The row of the last token of each sequence.
    pub(crate) fn ends(&self) -> &[usize] {
        &self.ends
    }
}

impl SharedSequences {
    /// Finds what sequences share, whatever their order. Equal sequences are one.
    ///
    /// # Panics
    ///
    /// If a sequence is empty.
    #[must_use]
    pub fn new<S: AsRef<[u32]>>(sequences: &[S]) -> Self {
        let of = |place: usize| sequences[place].as_ref();
        let mut order: Vec<usize> = (0..sequences.len()).collect();
        order.sort_by_key(|place| of(*place));
        assert!(order.first().is_none_or(|first| !of(*first).is_empty()), "an empty sequence");
        // A whole number of parts per core, of nearly as many rows each.
        let rows: usize = order
            .iter()
            .enumerate()
            .map(|(i, place)| {
                of(*place).len() - i.checked_sub(1).map_or(0, |i| shared(of(order[i]), of(*place)))
            })
            .sum();
        let parts = rows.div_ceil(ROWS).next_multiple_of(current_num_threads());
        let each = rows.div_ceil(parts.max(1));

        let mut all = Self {
            tokens: Vec::with_capacity(rows),
            positions: Vec::with_capacity(rows),
            parts: Vec::with_capacity(parts),
            places: vec![(0, 0); sequences.len()],
        };
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            rest = all.add_part(rest, &of, each);
        }
        all
    }

    /// Adds sequences until the part has `each` rows, and returns those that are left.
    fn add_part<'a, 's>(
        &mut self,
        order: &'a [usize],
        of: &impl Fn(usize) -> &'s [u32],
        each: usize,
    ) -> &'a [usize] {
        let first = self.tokens.len();
        let mut part = Part::default();
        let mut before: &[u32] = &[];
        let mut path: Vec<usize> = Vec::new();
        let mut added = 0;
        for place in order {
            if self.tokens.len() - first >= each {
                break;
            }
            let sequence = of(*place);
            let known = shared(before, sequence);
            let new = sequence.len() - known;
            if new > 0 {
                path.truncate(known);
                for (position, token) in sequence.iter().enumerate().skip(known) {
                    path.push(self.tokens.len() - first);
                    self.tokens.push(*token);
                    self.positions.push(position as u32);
                }
                let start = part.steps.len();
                part.steps.extend_from_slice(&path);
                part.sequences.push(Steps { range: start..part.steps.len(), new });
                part.ends.push(self.tokens.len() - first - 1);
            }
            self.places[*place] = (self.parts.len(), part.ends.len() - 1);
            before = sequence;
            added += 1;
        }
        part.rows = first..self.tokens.len();
        self.parts.push(part);
        &order[added..]
    }

    /// The token of each row.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The position of each row's token in its sequences.
    #[must_use]
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// How many sequences there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// For each sequence its part, and its place among the ends of that part.
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        self.places.iter().copied()
    }
}

/// How many tokens two sequences begin with alike.
fn shared(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEQUENCES: [&[u32]; 7] =
        [&[1, 2, 3], &[1, 2, 4, 5], &[9], &[1, 2, 3], &[1, 2], &[1, 2, 4, 6], &[2, 3]];

    /// The tokens of each sequence, read from the rows of its path.
    fn read_back(all: &SharedSequences) -> Vec<Vec<u32>> {
        all.places()
            .map(|(part, end)| {
                let part = &all.parts[part];
                let (path, _) = part.paths().nth(end).expect("a path for each end");
                assert_eq!(path.last(), Some(&part.ends()[end]));
                let rows = || path.iter().map(|row| part.rows.start + row);
                assert!(rows().map(|row| all.positions()[row] as usize).eq(0..path.len()));
                rows().map(|row| all.tokens()[row]).collect()
            })
            .collect()
    }

    #[test]
    fn a_token_is_a_row_once_for_all_that_begin_alike() {
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
        let all = one.install(|| SharedSequences::new(&SEQUENCES));
        assert_eq!(read_back(&all), SEQUENCES.map(<[u32]>::to_vec));
        assert_eq!(all.parts.len(), 1);
        // 1, 2, 3, 4, 5, 6; 2, 3; 9.
        assert_eq!(all.tokens(), [1, 2, 3, 4, 5, 6, 2, 3, 9]);
        let new: Vec<usize> = all.parts[0].paths().map(|(_, new)| new).collect();
        // [1, 2] is the first in the order of tokens, and [1, 2, 3] is there once.
        assert_eq!(new, [2, 1, 2, 1, 2, 1]);
    }

    #[test]
    fn parts_have_what_they_share_each() {
        let four = rayon::ThreadPoolBuilder::new().num_threads(4).build().expect("threads");
        let all = four.install(|| SharedSequences::new(&SEQUENCES));
        assert!(all.parts.len() > 1);
        assert_eq!(read_back(&all), SEQUENCES.map(<[u32]>::to_vec));
        assert!(SharedSequences::new::<&[u32]>(&[]).parts.is_empty());
    }
}
