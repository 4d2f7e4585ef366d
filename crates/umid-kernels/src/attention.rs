//! Attention within groups of tokens, one head after the other.

use std::ops::Range;

use crate::bf16::Pairs;
use crate::buffers::{Values, zeros};
use crate::elementwise::{softmax, softmax_backward};
use crate::product::{LANES, Right, Rows, Start, panels, strip};

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

/// Windows of the same number of tokens each.
#[derive(Debug, Clone, PartialEq)]
pub struct Windows {
    /// Tokens of each window, `[windows][window]`; every token of a sequence is in exactly one.
    pub tokens: Vec<Vec<usize>>,
    /// Added to the scores of each head: `[heads, window, window]`.
    pub bias: Vec<f32>,
    /// For each window the region of each of its tokens: tokens of different regions do not attend to
    /// each other. None if every window is one region.
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

/// Scratch memory: for an operand rounded to bf16, and for one head of one group.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) rounded: Vec<Pairs>,
    room: Option<Room>,
}

/// Room for one head of one group, of one shape. What is beyond a head's width and beyond the
/// group's tokens stays zero; everything else is written before it is read.
#[derive(Debug)]
struct Room {
    shape: Shape,
    queries: Values,
    keys: Values,
    keys_across: Values,
    values: Values,
    scores: Values,
    context: Values,
    score_gradients: Values,
    gradients: Values,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    queries: usize,
    tokens: usize,
    /// Columns of a head.
    width: usize,
}

/// Tokens that attend to one another.
struct Group<'a> {
    groups: &'a Groups,
    window: usize,
    /// Row of each token; if there is no list, all rows from the first on.
    tokens: Option<&'a [usize]>,
    count: usize,
    /// The tokens that have queries, one after the other.
    queries: Range<usize>,
    /// Whether there are rows for the tokens that have queries alone.
    compact: bool,
}

impl<'a> Group<'a> {
    /// A group whose tokens all have queries, or of which one has.
    fn new(
        groups: &'a Groups,
        window: usize,
        tokens: Option<&'a [usize]>,
        count: usize,
        read: Option<usize>,
    ) -> Self {
        let queries = read.map_or(0..count, |read| read..read + 1);
        Self { groups, window, tokens, count, queries, compact: read.is_some() }
    }

    /// Row of a token's key and value.
    fn row(&self, token: usize) -> usize {
        self.tokens.map_or(token, |tokens| tokens[token])
    }

    /// Row of a query and of its context.
    fn query_row(&self, query: usize) -> usize {
        if self.compact { query } else { self.row(self.queries.start + query) }
    }
}

/// One sequence's queries, keys and values.
#[derive(Clone, Copy)]
pub(crate) struct Sequence<'a> {
    /// `[queries, heads * head width]`.
    pub(crate) queries: &'a [f32],
    /// Keys and values side by side: `[tokens, 2 * heads * head width]`.
    pub(crate) keys_values: &'a [f32],
    /// The only token that has a query; none if all have one.
    pub(crate) read: Option<usize>,
}

/// The rows of a sequence's tokens, where other sequences have some of them too. Each token attends to
/// itself and those before it.
pub(crate) struct Path<'a> {
    pub(crate) rows: &'a [usize],
    /// How many of the last tokens have queries.
    pub(crate) queries: usize,
    /// Whether queries and context have rows for these alone.
    pub(crate) compact: bool,
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
    let tokens = sequence.keys_values.len() / (2 * heads.model_width());
    visit(groups, tokens, sequence.read, &mut |group| {
        attend(heads, &group, sequence.queries, sequence.keys_values, context, scratch);
    });
}

/// As [`forward`], of the last tokens of a path through rows that sequences share.
pub(crate) fn forward_path(
    heads: Heads,
    path: &Path,
    queries: &[f32],
    keys_values: &[f32],
    context: &mut [f32],
    scratch: &mut Scratch,
) {
    let count = path.rows.len();
    let group = Group {
        groups: &Groups::Backwards,
        window: 0,
        tokens: Some(path.rows),
        count,
        queries: count - path.queries..count,
        compact: path.compact,
    };
    attend(heads, &group, queries, keys_values, context, scratch);
}

fn attend(
    heads: Heads,
    group: &Group,
    queries: &[f32],
    keys_values: &[f32],
    context: &mut [f32],
    scratch: &mut Scratch,
) {
    let width = heads.model_width();
    let shape = Shape { queries: group.queries.len(), tokens: group.count, width: heads.width };
    let room = scratch.room(shape);
    for head in 0..heads.count {
        room.gather(heads, head, group, queries, keys_values);
        room.probabilities(heads, head, group);
        let padded = (group.count.next_multiple_of(LANES), heads.padded());
        let left = Rows::new(&room.scores, padded.0, shape.queries);
        wide_product(left, group.count, &room.values, padded.1, &mut room.context);
        for query in 0..shape.queries {
            let from = &room.context[query * padded.1..][..heads.width];
            let to = group.query_row(query) * width + head * heads.width;
            copy(from, &mut context[to..to + heads.width]);
        }
    }
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
        let queries = group.queries.len();
        let shape = Shape { queries, tokens: group.count, width: heads.width };
        let room = scratch.room(shape);
        let (across, padded) = (group.count.next_multiple_of(LANES), heads.padded());
        for head in 0..heads.count {
            room.gather(heads, head, &group, sequence.queries, sequence.keys_values);
            room.probabilities(heads, head, &group);
            // Gradients of the context, where the context was.
            for query in 0..queries {
                let from = group.query_row(query) * width + head * heads.width;
                copy(
                    &context_gradients[from..from + heads.width],
                    &mut room.context[query * padded..][..heads.width],
                );
            }
            // Of the probabilities, then of the scores.
            transpose(&room.values, padded, group.count, &mut room.keys_across, across);
            let left = Rows::new(&room.context, padded, queries);
            let right = &room.keys_across;
            wide_product(left, heads.width, right, across, &mut room.score_gradients);
            let rows = room.scores.chunks_exact(across);
            for (p, g) in rows.zip(room.score_gradients.chunks_exact_mut(across)).take(queries) {
                softmax_backward(p, g);
            }
            // Of the queries, keys and values.
            let left = Rows::new(&room.score_gradients, across, queries);
            wide_product(left, group.count, &room.keys, padded, &mut room.gradients);
            for query in 0..queries {
                let to = group.query_row(query) * width + head * heads.width;
                copy(
                    &room.gradients[query * padded..][..heads.width],
                    &mut query_gradients[to..to + heads.width],
                );
            }
            let left = Rows::transposed(&room.score_gradients, across, group.count);
            wide_product(left, queries, &room.queries, padded, &mut room.gradients);
            for token in 0..group.count {
                let to = group.row(token) * 2 * width + head * heads.width;
                copy(
                    &room.gradients[token * padded..][..heads.width],
                    &mut key_value_gradients[to..to + heads.width],
                );
            }
            let left = Rows::transposed(&room.scores, across, group.count);
            wide_product(left, queries, &room.context, padded, &mut room.gradients);
            for token in 0..group.count {
                let to = group.row(token) * 2 * width + width + head * heads.width;
                copy(
                    &room.gradients[token * padded..][..heads.width],
                    &mut key_value_gradients[to..to + heads.width],
                );
            }
        }
    };
    visit(groups, tokens, sequence.read, &mut one);
}

impl Scratch {
    fn room(&mut self, shape: Shape) -> &mut Room {
        let room = self.room.take().filter(|room| room.shape == shape);
        self.room.insert(room.unwrap_or_else(|| Room::new(shape)))
    }
}

impl Room {
    fn new(shape: Shape) -> Self {
        let Shape { queries, tokens, width } = shape;
        let (across, padded) = (tokens.next_multiple_of(LANES), width.next_multiple_of(LANES));
        Self {
            shape,
            queries: zeros(queries * padded),
            keys: zeros(across * padded),
            keys_across: zeros(padded * across),
            values: zeros(across * padded),
            scores: zeros(queries * across),
            context: zeros(queries * padded),
            score_gradients: zeros(queries * across),
            gradients: zeros(queries.max(tokens) * padded),
        }
    }

    fn gather(
        &mut self,
        heads: Heads,
        head: usize,
        group: &Group,
        queries: &[f32],
        keys_values: &[f32],
    ) {
        let (width, padded) = (heads.model_width(), heads.padded());
        for query in 0..group.queries.len() {
            let from = group.query_row(query) * width + head * heads.width;
            copy(
                &queries[from..from + heads.width],
                &mut self.queries[query * padded..][..heads.width],
            );
        }
        for token in 0..group.count {
            let from = group.row(token) * 2 * width + head * heads.width;
            let (keys, values) = keys_values[from..].split_at(width);
            copy(&keys[..heads.width], &mut self.keys[token * padded..][..heads.width]);
            copy(&values[..heads.width], &mut self.values[token * padded..][..heads.width]);
        }
    }

    fn probabilities(&mut self, heads: Heads, head: usize, group: &Group) {
        let (across, padded) = (group.count.next_multiple_of(LANES), heads.padded());
        transpose(&self.keys, padded, group.count, &mut self.keys_across, across);
        let left = Rows::new(&self.queries, padded, group.queries.len());
        wide_product(left, heads.width, &self.keys_across, across, &mut self.scores);
        let rows = self.scores.chunks_exact_mut(across);
        for (query, row) in group.queries.clone().zip(rows) {
            match group.groups {
                Groups::All => softmax(row, group.count),
                Groups::Backwards => softmax(row, query + 1),
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

/// Added to the score of two tokens of different regions, as in the Swin transformer's reference.
const FAR_APART: f32 = -100.0;

fn visit(groups: &Groups, tokens: usize, read: Option<usize>, one: &mut impl FnMut(Group)) {
    match groups {
        Groups::Windows(windows) => {
            for (window, tokens) in windows.tokens.iter().enumerate() {
                one(Group::new(groups, window, Some(tokens), tokens.len(), read));
            }
        }
        _ => one(Group::new(groups, 0, None, tokens, read)),
    }
}

/// A product with a matrix that is not packed in panels.
///
/// # Shapes
///
/// - right: `[depth, width]`, a multiple of 16 columns
/// - output: `[left rows, width]`
fn wide_product(left: Rows, depth: usize, right: &[f32], width: usize, output: &mut [f32]) {
    for (first, columns) in panels(width) {
        let data = &right[..depth * width];
        let right = Right { data, stride: width, first, width: columns, next: None };
        strip(left, right, &mut output[first..], width, Start::Zero);
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

/// Copies a head's columns, without a call for the widths of published models.
fn copy(from: &[f32], to: &mut [f32]) {
    fn all<const N: usize>(from: &[f32], to: &mut [f32]) {
        let whole = "its length was matched";
        *to.first_chunk_mut::<N>().expect(whole) = *from.first_chunk().expect(whole);
    }
    match to.len() {
        24 => all::<24>(from, to),
        32 => all::<32>(from, to),
        64 => all::<64>(from, to),
        _ => to.copy_from_slice(from),
    }
}
