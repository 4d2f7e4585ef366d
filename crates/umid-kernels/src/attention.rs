//! Attention within groups of tokens, one head after the other.

use crate::elementwise::{softmax, softmax_backward};
use crate::product::{LANES, Right, Rows, Start, strip};

/// Which tokens of a sequence attend to which, and how.
#[derive(Debug, Clone, PartialEq)]
pub enum Groups {
    /// Every token to every token.
    All,
    /// Every token to itself and those before it.
    Backwards,
    /// Tokens to those of their window.
    Windows(Windows),
}

/// Windows of as many tokens each.
#[derive(Debug, Clone, PartialEq)]
pub struct Windows {
    /// Tokens of each window; every token of a sequence is in one: `[windows][window]`.
    pub tokens: Vec<Vec<usize>>,
    /// Added to the scores of each head: `[heads, window, window]`.
    pub bias: Vec<f32>,
    /// For each window, which tokens are kept apart; none where a window is whole.
    pub regions: Option<Vec<Vec<usize>>>,
}

/// A block's shape, as attention needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) count: usize,
    pub(crate) width: usize,
}

impl Heads {
    pub(crate) fn model_width(self) -> usize {
        self.count * self.width
    }

    fn padded(self) -> usize {
        self.width.next_multiple_of(LANES)
    }
}

/// Room for one head of one group, and for a rounded operand.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) rounded: Vec<u32>,
    queries: Vec<f32>,
    keys: Vec<f32>,
    keys_across: Vec<f32>,
    values: Vec<f32>,
    scores: Vec<f32>,
    context: Vec<f32>,
    score_gradients: Vec<f32>,
    gradients: Vec<f32>,
}

/// Tokens that attend to one another.
struct Group<'a> {
    groups: &'a Groups,
    window: usize,
    /// Row of each token; all rows from the first on where there is no list.
    tokens: Option<&'a [usize]>,
    count: usize,
}

impl Group<'_> {
    fn row(&self, token: usize) -> usize {
        self.tokens.map_or(token, |tokens| tokens[token])
    }
}

/// One sequence's queries, keys and values.
#[derive(Clone, Copy)]
pub(crate) struct Sequence<'a> {
    /// `[queries, heads * head width]`.
    pub(crate) queries: &'a [f32],
    /// Keys and values side by side: `[tokens, 2 * heads * head width]`.
    pub(crate) keys_values: &'a [f32],
    /// The token whose query alone is there; none where all are.
    pub(crate) read: Option<usize>,
}

/// The weighted values: `context [queries, heads * head width]`.
///
/// Queries are expected to be divided by the root of the head's width.
pub(crate) fn forward(
    heads: Heads,
    groups: &Groups,
    sequence: Sequence,
    context: &mut [f32],
    scratch: &mut Scratch,
) {
    let width = heads.model_width();
    let tokens = sequence.keys_values.len() / (2 * width);
    let mut one = |group: Group| {
        let queries = query_count(&group, sequence);
        scratch.resize(heads, queries, group.count);
        for head in 0..heads.count {
            scratch.gather(heads, head, &group, sequence);
            scratch.probabilities(heads, head, &group, sequence);
            let padded = (group.count.next_multiple_of(LANES), heads.padded());
            let left = Rows::new(&scratch.scores, padded.0, queries);
            wide_product(left, group.count, &scratch.values, padded.1, &mut scratch.context);
            for query in 0..queries {
                let from = &scratch.context[query * padded.1..][..heads.width];
                let to = group.row(query) * width + head * heads.width;
                context[to..to + heads.width].copy_from_slice(from);
            }
        }
    };
    visit(groups, tokens, &mut one);
}

/// Gradients of queries, keys and values, from those of the context.
///
/// # Shapes
///
/// - context_gradients, query_gradients: `[queries, heads * head width]`
/// - key_value_gradients: `[tokens, 2 * heads * head width]`
pub(crate) fn backward(
    heads: Heads,
    groups: &Groups,
    sequence: Sequence,
    context_gradients: &[f32],
    query_gradients: &mut [f32],
    key_value_gradients: &mut [f32],
    scratch: &mut Scratch,
) {
    let width = heads.model_width();
    let tokens = sequence.keys_values.len() / (2 * width);
    let mut one = |group: Group| {
        let queries = query_count(&group, sequence);
        scratch.resize(heads, queries, group.count);
        let (across, padded) = (group.count.next_multiple_of(LANES), heads.padded());
        for head in 0..heads.count {
            scratch.gather(heads, head, &group, sequence);
            scratch.probabilities(heads, head, &group, sequence);
            // Gradients of the context, where the context was.
            for query in 0..queries {
                let from = group.row(query) * width + head * heads.width;
                scratch.context[query * padded..][..heads.width]
                    .copy_from_slice(&context_gradients[from..from + heads.width]);
            }
            // Of the probabilities, then of the scores.
            transpose(&scratch.values, padded, group.count, &mut scratch.keys_across, across);
            let left = Rows::new(&scratch.context, padded, queries);
            let right = &scratch.keys_across;
            wide_product(left, heads.width, right, across, &mut scratch.score_gradients);
            let rows = scratch.scores.chunks_exact(across);
            for (p, g) in rows.zip(scratch.score_gradients.chunks_exact_mut(across)).take(queries) {
                softmax_backward(p, g);
            }
            // Of the queries, keys and values.
            let left = Rows::new(&scratch.score_gradients, across, queries);
            wide_product(left, group.count, &scratch.keys, padded, &mut scratch.gradients);
            for query in 0..queries {
                let to = group.row(query) * width + head * heads.width;
                query_gradients[to..to + heads.width]
                    .copy_from_slice(&scratch.gradients[query * padded..][..heads.width]);
            }
            let left = Rows::transposed(&scratch.score_gradients, across, group.count);
            wide_product(left, queries, &scratch.queries, padded, &mut scratch.gradients);
            for token in 0..group.count {
                let to = group.row(token) * 2 * width + head * heads.width;
                key_value_gradients[to..to + heads.width]
                    .copy_from_slice(&scratch.gradients[token * padded..][..heads.width]);
            }
            let left = Rows::transposed(&scratch.scores, across, group.count);
            wide_product(left, queries, &scratch.context, padded, &mut scratch.gradients);
            for token in 0..group.count {
                let to = group.row(token) * 2 * width + width + head * heads.width;
                key_value_gradients[to..to + heads.width]
                    .copy_from_slice(&scratch.gradients[token * padded..][..heads.width]);
            }
        }
    };
    visit(groups, tokens, &mut one);
}

impl Scratch {
    fn resize(&mut self, heads: Heads, queries: usize, tokens: usize) {
        let (across, padded) = (tokens.next_multiple_of(LANES), heads.padded());
        let most = queries.max(tokens);
        // What is beyond a head's width stays zero; everything else is written before it is read.
        for (buffer, length) in [
            (&mut self.queries, queries * padded),
            (&mut self.keys, across * padded),
            (&mut self.keys_across, padded * across),
            (&mut self.values, across * padded),
            (&mut self.scores, queries * across),
            (&mut self.context, queries * padded),
            (&mut self.score_gradients, queries * across),
            (&mut self.gradients, most * padded),
        ] {
            buffer.clear();
            buffer.resize(length, 0.0);
        }
    }

    fn gather(&mut self, heads: Heads, head: usize, group: &Group, sequence: Sequence) {
        let (width, padded) = (heads.model_width(), heads.padded());
        let queries = query_count(group, sequence);
        for query in 0..queries {
            let from = group.row(query) * width + head * heads.width;
            self.queries[query * padded..][..heads.width]
                .copy_from_slice(&sequence.queries[from..from + heads.width]);
        }
        for token in 0..group.count {
            let from = group.row(token) * 2 * width + head * heads.width;
            let (keys, values) = sequence.keys_values[from..].split_at(width);
            self.keys[token * padded..][..heads.width].copy_from_slice(&keys[..heads.width]);
            self.values[token * padded..][..heads.width].copy_from_slice(&values[..heads.width]);
        }
    }

    fn probabilities(&mut self, heads: Heads, head: usize, group: &Group, sequence: Sequence) {
        let (across, padded) = (group.count.next_multiple_of(LANES), heads.padded());
        let queries = query_count(group, sequence);
        transpose(&self.keys, padded, group.count, &mut self.keys_across, across);
        let left = Rows::new(&self.queries, padded, queries);
        wide_product(left, heads.width, &self.keys_across, across, &mut self.scores);
        for (query, row) in self.scores.chunks_exact_mut(across).enumerate() {
            match group.groups {
                Groups::All => softmax(row, group.count),
                Groups::Backwards => softmax(row, sequence.read.unwrap_or(query) + 1),
                Groups::Windows(windows) => {
                    let bias = (head * group.count + query) * group.count;
                    let bias = &windows.bias[bias..bias + group.count];
                    for (score, bias) in row.iter_mut().zip(bias) {
                        *score += bias;
                    }
                    if let Some(regions) = &windows.regions {
                        let regions = &regions[group.window];
                        for (score, region) in row.iter_mut().zip(regions) {
                            *score += if *region == regions[query] { 0.0 } else { FAR_APART };
                        }
                    }
                    softmax(row, group.count);
                }
            }
        }
    }
}

/// Added to the score of two tokens of different regions, as the Swin transformer's reference does.
const FAR_APART: f32 = -100.0;

fn query_count(group: &Group, sequence: Sequence) -> usize {
    if sequence.read.is_some() { 1 } else { group.count }
}

fn visit(groups: &Groups, tokens: usize, one: &mut impl FnMut(Group)) {
    match groups {
        Groups::Windows(windows) => {
            for (window, tokens) in windows.tokens.iter().enumerate() {
                one(Group { groups, window, tokens: Some(tokens), count: tokens.len() });
            }
        }
        _ => one(Group { groups, window: 0, tokens: None, count: tokens }),
    }
}

/// A product with a matrix that is not laid out in panels.
///
/// # Shapes
///
/// - right: `[depth, width]`, a multiple of 16 columns
/// - output: `[left rows, width]`
fn wide_product(left: Rows, depth: usize, right: &[f32], width: usize, output: &mut [f32]) {
    for first in (0..width).step_by(crate::product::PANEL) {
        let columns = (width - first).min(crate::product::PANEL);
        let right = Right { data: &right[first..], stride: width };
        strip(left, right, depth, columns, &mut output[first..], width, Start::Zero);
    }
}

/// `across[column, row] = rows[row, column]`.
fn transpose(rows: &[f32], width: usize, count: usize, across: &mut [f32], stride: usize) {
    for first in (0..count).step_by(LANES) {
        for column in 0..width {
            let to = &mut across[column * stride + first..][..LANES.min(count - first)];
            for (row, to) in to.iter_mut().enumerate() {
                *to = rows[(first + row) * width + column];
            }
        }
    }
}
