//! A pre-norm residual block with frozen weights: attention, then a two-layer perceptron, forward
//! and back to its input.

use std::ops::Range;
use std::sync::OnceLock;

use crate::attention::{self, Groups, Heads, Scratch, Sequence};
use crate::bf16::Pairs;
use crate::buffers::{Buffers, Values};
use crate::elementwise::{Activation, activate, multiply, norm, norm_backward};
use crate::folded::{Folded, Linear, Norm};
use crate::product::{LANES, Start};
use crate::weight::{Precision, Weight};

/// A block's weights, as a checkpoint has them.
#[derive(Debug, Clone)]
pub struct Weights<'a> {
    /// Before attention.
    pub norm_before: Norm<'a>,
    /// Query, key and value: `[width, width]` each.
    pub qkv: [Linear<'a>; 3],
    /// `[width, width]`.
    pub output: Linear<'a>,
    /// Before the perceptron.
    pub norm_after: Norm<'a>,
    /// `[inner, width]`.
    pub fc1: Linear<'a>,
    /// `[width, inner]`.
    pub fc2: Linear<'a>,
    /// Attention heads.
    pub heads: usize,
    /// Between the perceptron's layers.
    pub activation: Activation,
    /// Of both norms.
    pub epsilon: f32,
    /// Who attends to whom.
    pub groups: Groups,
    /// Of the products with weights.
    pub precision: Precision,
}

impl Weights<'_> {
    /// Columns of the hidden state, and of the perceptron between its layers.
    fn widths(&self) -> (usize, usize) {
        let width = self.norm_before.gain.len();
        (width, self.fc1.weight.count() / width)
    }
}

/// Whether there are kernels for a block's shape: both widths are multiples of 16, and the
/// number of heads divides the first.
#[must_use]
pub fn fits(width: usize, inner: usize, heads: usize) -> bool {
    width.is_multiple_of(LANES) && inner.is_multiple_of(LANES) && width.is_multiple_of(heads)
}

/// A linear layer, laid out for the way forward and, when it is first asked for, for the way back.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    forward: Weight,
    backward: OnceLock<Weight>,
    bias: Vec<f32>,
}

impl Layer {
    /// `columns` from all layers side by side.
    fn new(folded: &Folded, columns: usize, precision: Precision) -> Self {
        let (packed, bias) = folded.lay_out(columns);
        Self { forward: Weight::new(precision, packed), backward: OnceLock::new(), bias }
    }
}

/// A block, laid out for the way forward and, when it is first asked for, for the way back.
#[derive(Debug, Clone)]
pub struct Block {
    query: Layer,
    key_value: Layer,
    output: Layer,
    fc1: Layer,
    fc2: Layer,
    heads: Heads,
    activation: Activation,
    epsilon: f32,
    groups: Groups,
}

/// What the way back needs of the way forward.
#[derive(Debug)]
pub(crate) struct Saved {
    normed_before: Values,
    scales_before: Values,
    queries: Values,
    keys_values: Values,
    normed_after: Values,
    scales_after: Values,
    /// Derivatives of the activations.
    slopes: Values,
}

impl Block {
    /// Lays out a block.
    ///
    /// # Panics
    ///
    /// If there are no kernels for its shape ([`fits`]) or its precision
    /// ([`Precision::is_available`]).
    #[must_use]
    pub fn new(weights: &Weights) -> Self {
        let (width, inner) = weights.widths();
        assert!(fits(width, inner, weights.heads), "no kernels for {width} and {inner} columns");
        assert!(weights.precision.is_available(), "no kernels for {:?} here", weights.precision);
        let heads = Heads { count: weights.heads, width: width / weights.heads };
        let (before, after) = (Some(weights.norm_before), Some(weights.norm_after));
        let scale = 1.0 / (heads.width as f32).sqrt();
        let layer = |parts: &[Linear], columns, norm, factor| {
            Layer::new(&Folded { parts, norm, factor }, columns, weights.precision)
        };
        let (query, key_value) = weights.qkv.split_at(1);
        Self {
            query: layer(query, width, before, scale),
            key_value: layer(key_value, 2 * width, before, 1.0),
            output: layer(&[weights.output], width, None, 1.0),
            fc1: layer(&[weights.fc1], inner, after, 1.0),
            fc2: layer(&[weights.fc2], width, None, 1.0),
            heads,
            activation: weights.activation,
            epsilon: weights.epsilon,
            groups: weights.groups.clone(),
        }
    }

    pub(crate) fn width(&self) -> usize {
        self.heads.model_width()
    }

    pub(crate) fn layers(&self) -> [&Layer; 5] {
        [&self.query, &self.key_value, &self.output, &self.fc1, &self.fc2]
    }

    /// # Shapes
    ///
    /// - hidden: `[sequences * tokens, width]`
    /// - read: for each sequence the token whose output is wanted; none for all
    /// - output: as hidden, or `[sequences, width]`
    pub(crate) fn forward(
        &self,
        hidden: Values,
        tokens: usize,
        read: Option<&[usize]>,
        buffers: &Buffers,
        scratch: &mut Scratch,
    ) -> (Values, Saved) {
        let width = self.heads.model_width();
        let rows = hidden.len() / width;
        let sequences = rows / tokens;
        let kept = if read.is_some() { sequences } else { rows };

        let mut normed_before = buffers.take(rows * width);
        let mut scales_before = buffers.take(rows);
        let mut keys_values = buffers.take(rows * 2 * width);
        let mut queries = buffers.take(kept * width);
        for chunk in chunks(rows) {
            let normed = part_mut(&mut normed_before, &chunk, width);
            let scales = &mut scales_before[chunk.clone()];
            norm(part(&hidden, &chunk, width), width, self.epsilon, normed, scales);
            self.key_value.pass(
                normed,
                part_mut(&mut keys_values, &chunk, 2 * width),
                &mut scratch.rounded,
            );
            if read.is_none() {
                self.query.pass(
                    normed,
                    part_mut(&mut queries, &chunk, width),
                    &mut scratch.rounded,
                );
            }
        }
        let mut hidden = match read {
            None => hidden,
            Some(read) => {
                let mut normed_read = buffers.take(kept * width);
                copy_read(&normed_before, width, tokens, read, &mut normed_read);
                self.query.pass(&normed_read, &mut queries, &mut scratch.rounded);
                buffers.give(normed_read);
                let mut hidden_read = buffers.take(kept * width);
                copy_read(&hidden, width, tokens, read, &mut hidden_read);
                buffers.give(hidden);
                hidden_read
            }
        };

        let mut context = buffers.take(kept * width);
        let each = tokens * width;
        let kept_each = kept / sequences * width;
        for sequence in 0..sequences {
            let operands = Sequence {
                queries: &queries[sequence * kept_each..][..kept_each],
                keys_values: &keys_values[sequence * 2 * each..][..2 * each],
                read: read.map(|read| read[sequence]),
            };
            let context = &mut context[sequence * kept_each..][..kept_each];
            attention::forward(self.heads, &self.groups, operands, context, scratch);
        }
        let mut normed_after = context;
        let mut scales_after = buffers.take(kept);
        let inner_width = self.fc1.bias.len();
        let mut slopes = buffers.take(kept * inner_width);
        let mut activated = buffers.take(longest_chunk(kept) * inner_width);
        for chunk in chunks(kept) {
            let hidden = part_mut(&mut hidden, &chunk, width);
            let normed = part_mut(&mut normed_after, &chunk, width);
            self.output.add(normed, hidden, &mut scratch.rounded);
            norm(hidden, width, self.epsilon, normed, &mut scales_after[chunk.clone()]);
            let inner = part_mut(&mut slopes, &chunk, inner_width);
            self.fc1.pass(normed, inner, &mut scratch.rounded);
            let activated = &mut activated[..inner.len()];
            activate(self.activation, inner, activated);
            self.fc2.add(activated, hidden, &mut scratch.rounded);
        }
        buffers.give(activated);
        let saved = Saved {
            normed_before,
            scales_before,
            queries,
            keys_values,
            normed_after,
            scales_after,
            slopes,
        };
        (hidden, saved)
    }

    /// The gradient of the block's input, from that of its output.
    pub(crate) fn backward(
        &self,
        gradient: Values,
        saved: &Saved,
        tokens: usize,
        read: Option<&[usize]>,
        buffers: &Buffers,
        scratch: &mut Scratch,
    ) -> Values {
        let width = self.heads.model_width();
        let rows = saved.scales_before.len();
        let sequences = rows / tokens;
        let kept = saved.scales_after.len();
        let mut gradient = gradient;

        let inner_width = self.fc1.bias.len();
        let mut inner = buffers.take(longest_chunk(kept) * inner_width);
        let mut context = buffers.take(kept * width);
        for chunk in chunks(kept) {
            let gradient = part_mut(&mut gradient, &chunk, width);
            let inner = &mut inner[..chunk.len() * inner_width];
            self.fc2.back(gradient, inner, false, &mut scratch.rounded);
            multiply(part(&saved.slopes, &chunk, inner_width), inner);
            let normed = part_mut(&mut context, &chunk, width);
            self.fc1.back(inner, normed, false, &mut scratch.rounded);
            let scales = &saved.scales_after[chunk.clone()];
            norm_backward(
                part(&saved.normed_after, &chunk, width),
                scales,
                width,
                normed,
                gradient,
            );
            self.output.back(gradient, normed, false, &mut scratch.rounded);
        }
        buffers.give(inner);

        let mut queries = buffers.take(kept * width);
        let mut keys_values = buffers.take(rows * 2 * width);
        let each = tokens * width;
        let kept_each = kept / sequences * width;
        for sequence in 0..sequences {
            let operands = Sequence {
                queries: &saved.queries[sequence * kept_each..][..kept_each],
                keys_values: &saved.keys_values[sequence * 2 * each..][..2 * each],
                read: read.map(|read| read[sequence]),
            };
            attention::backward(
                self.heads,
                &self.groups,
                operands,
                &context[sequence * kept_each..][..kept_each],
                &mut queries[sequence * kept_each..][..kept_each],
                &mut keys_values[sequence * 2 * each..][..2 * each],
                scratch,
            );
        }
        let mut normed = buffers.take(rows * width);
        let mut whole = gradient;
        if let Some(read) = read {
            // The other tokens' queries and outputs are not there.
            self.query.back(&queries, &mut context, false, &mut scratch.rounded);
            let gradient = std::mem::replace(&mut whole, buffers.take(rows * width));
            whole.fill(0.0);
            normed.fill(0.0);
            for (sequence, read) in read.iter().enumerate() {
                let (from, to) = (sequence * width, (sequence * tokens + read) * width);
                whole[to..to + width].copy_from_slice(&gradient[from..from + width]);
                normed[to..to + width].copy_from_slice(&context[from..from + width]);
            }
            buffers.give(gradient);
        }
        for chunk in chunks(rows) {
            let normed = part_mut(&mut normed, &chunk, width);
            if read.is_none() {
                self.query.back(part(&queries, &chunk, width), normed, false, &mut scratch.rounded);
            }
            self.key_value.back(
                part(&keys_values, &chunk, 2 * width),
                normed,
                true,
                &mut scratch.rounded,
            );
            let (before, scales) =
                (part(&saved.normed_before, &chunk, width), &saved.scales_before[chunk.clone()]);
            norm_backward(before, scales, width, normed, part_mut(&mut whole, &chunk, width));
        }
        for buffer in [context, keys_values, normed, queries] {
            buffers.give(buffer);
        }
        whole
    }
}

impl Saved {
    pub(crate) fn give(self, buffers: &Buffers) {
        for buffer in [
            self.normed_before,
            self.scales_before,
            self.queries,
            self.keys_values,
            self.normed_after,
            self.scales_after,
            self.slopes,
        ] {
            buffers.give(buffer);
        }
    }
}

impl Layer {
    /// `outputs = inputs * weight + bias`.
    fn pass(&self, inputs: &[f32], outputs: &mut [f32], rounded: &mut Vec<Pairs>) {
        self.forward.multiply(inputs, outputs, Start::Bias(&self.bias), rounded);
    }

    /// `outputs += inputs * weight + bias`.
    fn add(&self, inputs: &[f32], outputs: &mut [f32], rounded: &mut Vec<Pairs>) {
        for row in outputs.chunks_exact_mut(self.bias.len()) {
            for (output, bias) in row.iter_mut().zip(&self.bias) {
                *output += bias;
            }
        }
        self.forward.multiply(inputs, outputs, Start::Stored, rounded);
    }

    /// Gradients of the inputs from those of the outputs, set or added.
    fn back(&self, outputs: &[f32], inputs: &mut [f32], add: bool, rounded: &mut Vec<Pairs>) {
        let start = if add { Start::Stored } else { Start::Zero };
        self.backward().multiply(outputs, inputs, start, rounded);
    }

    /// The layout for the way back, made when it is first asked for.
    pub(crate) fn backward(&self) -> &Weight {
        self.backward.get_or_init(|| self.forward.transposed())
    }
}

/// Rows that go through what is done row by row together, so that they stay in a core's cache.
const CHUNK: usize = 320;

/// Chunks of nearly the same length.
fn chunks(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows)
        .step_by(longest_chunk(rows))
        .map(move |first| first..(first + longest_chunk(rows)).min(rows))
}

fn longest_chunk(rows: usize) -> usize {
    rows.div_ceil(rows.div_ceil(CHUNK).max(1)).max(1)
}

fn part<'a>(rows: &'a [f32], chunk: &Range<usize>, width: usize) -> &'a [f32] {
    &rows[chunk.start * width..chunk.end * width]
}

fn part_mut<'a>(rows: &'a mut [f32], chunk: &Range<usize>, width: usize) -> &'a mut [f32] {
    &mut rows[chunk.start * width..chunk.end * width]
}

fn copy_read(rows: &[f32], width: usize, tokens: usize, read: &[usize], to: &mut [f32]) {
    for ((sequence, read), to) in read.iter().enumerate().zip(to.chunks_exact_mut(width)) {
        to.copy_from_slice(&rows[(sequence * tokens + read) * width..][..width]);
    }
}
