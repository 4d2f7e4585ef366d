//! The residual branch of multi-head self-attention.

use crate::attention::{self, Groups, Scratch, Sequence};
use crate::block::Pass;
use crate::block::entry::Entry;
use crate::buffers::Values;
use crate::chunks::{chunks, part, part_mut};
use crate::folded::{Folded, Linear, Norm};
use crate::layer::Layer;
use crate::shared::Part;
use crate::weight::Precision;

pub(super) use crate::attention::Heads;

#[derive(Debug, Clone)]
pub(crate) struct Attention {
    entry: Entry,
    query: Layer,
    key_value: Layer,
    output: Layer,
    heads: Heads,
    groups: Groups,
}

/// Of all tokens, but for the queries where one token of each sequence is read.
#[derive(Debug)]
pub(crate) struct Saved {
    normed: Values,
    scales: Values,
    queries: Values,
    keys_values: Values,
}

impl Saved {
    pub(super) fn into_buffers(self) -> [Values; 4] {
        [self.normed, self.scales, self.queries, self.keys_values]
    }
}

impl Attention {
    pub(super) fn new(
        entry: Entry,
        norm: Option<Norm>,
        qkv: &[Linear; 3],
        output: Linear,
        heads: Heads,
        groups: Groups,
        precision: Precision,
    ) -> Self {
        let width = heads.model_width();
        let scale = 1.0 / (heads.width as f32).sqrt();
        let layer = |parts: &[Linear], norm, factor| {
            Layer::new(&Folded { parts, norm, factor }, width, parts.len() * width, precision)
        };
        let (query, key_value) = qkv.split_at(1);
        Self {
            entry,
            query: layer(query, norm, scale),
            key_value: layer(key_value, norm, 1.0),
            output: layer(&[output], None, 1.0),
            heads,
            groups,
        }
    }

    pub(super) fn width(&self) -> usize {
        self.heads.model_width()
    }

    pub(super) fn layers(&self) -> [&Layer; 3] {
        [&self.query, &self.key_value, &self.output]
    }

    /// See [`super::Residual::forward`].
    pub(super) fn forward(
        &self,
        hidden: Values,
        read: Option<&[usize]>,
        pass: &mut Pass,
    ) -> (Values, Saved) {
        let (width, tokens) = (self.width(), pass.tokens);
        let sequences = hidden.len() / width / tokens;
        let rows: Option<Vec<usize>> = read.map(|read| {
            read.iter().enumerate().map(|(sequence, read)| sequence * tokens + read).collect()
        });
        self.with_context(
            hidden,
            rows.as_deref(),
            pass,
            |queries, keys_values, context, scratch| {
                let each = tokens * width;
                let kept_each = queries.len() / sequences;
                for sequence in 0..sequences {
                    let operands = Sequence {
                        queries: &queries[sequence * kept_each..][..kept_each],
                        keys_values: &keys_values[sequence * 2 * each..][..2 * each],
                        read: read.map(|read| read[sequence]),
                    };
                    let context = &mut context[sequence * kept_each..][..kept_each];
                    attention::forward(self.heads, &self.groups, operands, context, scratch);
                }
            },
        )
    }

    /// See [`super::Residual::forward_shared`].
    pub(super) fn forward_shared(
        &self,
        hidden: Values,
        part: &Part,
        is_last: bool,
        pass: &mut Pass,
    ) -> (Values, Saved) {
        assert_eq!(self.groups, Groups::Backwards, "tokens see those that come after them");
        let width = self.width();
        let read = is_last.then_some(part.ends());
        let attend = |queries: &[f32],
                      keys_values: &[f32],
                      context: &mut [f32],
                      scratch: &mut _| {
            for (sequence, (rows, new)) in part.paths().enumerate() {
                let (first, queries_of, compact) =
                    if is_last { (sequence * width, 1, true) } else { (0, new, false) };
                let path = attention::Path { rows, queries: queries_of, compact };
                let (queries, context) = (&queries[first..], &mut context[first..]);
                attention::forward_path(self.heads, &path, queries, keys_values, context, scratch);
            }
        };
        self.with_context(hidden, read, pass, attend)
    }

    /// The branch, with the weighted values as they are computed from queries, keys and values. Of the
    /// rows `read` alone there are queries and an output; of all if there is no list.
    fn with_context(
        &self,
        mut hidden: Values,
        read: Option<&[usize]>,
        pass: &mut Pass,
        attend: impl FnOnce(&[f32], &[f32], &mut [f32], &mut Scratch),
    ) -> (Values, Saved) {
        let (width, buffers) = (self.width(), pass.buffers);
        let scratch = &mut pass.scratch;
        let rows = hidden.len() / width;
        let kept = read.map_or(rows, <[usize]>::len);

        let mut normed = buffers.take(rows * width);
        let mut scales = buffers.take(rows);
        let mut keys_values = buffers.take(rows * 2 * width);
        let mut queries = buffers.take(kept * width);
        for chunk in chunks(rows) {
            let normed = part_mut(&mut normed, &chunk, width);
            let scales = &mut scales[chunk.clone()];
            self.entry.enter(part_mut(&mut hidden, &chunk, width), normed, scales);
            let keys_values = part_mut(&mut keys_values, &chunk, 2 * width);
            self.key_value.pass(normed, keys_values, &mut scratch.rounded);
            if read.is_none() {
                let queries = part_mut(&mut queries, &chunk, width);
                self.query.pass(normed, queries, &mut scratch.rounded);
            }
        }
        let mut hidden = match read {
            None => hidden,
            Some(read) => {
                let mut normed_read = buffers.take(kept * width);
                copy_read(&normed, width, read, &mut normed_read);
                self.query.pass(&normed_read, &mut queries, &mut scratch.rounded);
                buffers.give(normed_read);
                let mut hidden_read = buffers.take(kept * width);
                copy_read(&hidden, width, read, &mut hidden_read);
                buffers.give(hidden);
                hidden_read
            }
        };

        let mut context = buffers.take(kept * width);
        attend(&queries, &keys_values, &mut context, scratch);
        for chunk in chunks(kept) {
            let hidden = part_mut(&mut hidden, &chunk, width);
            self.output.add(part(&context, &chunk, width), hidden, &mut scratch.rounded);
        }
        buffers.give(context);
        (hidden, Saved { normed, scales, queries, keys_values })
    }

    /// The gradient of the branch's input, from that of its output.
    pub(super) fn backward(
        &self,
        gradient: Values,
        saved: &Saved,
        read: Option<&[usize]>,
        pass: &mut Pass,
    ) -> Values {
        let (width, tokens, buffers) = (self.width(), pass.tokens, pass.buffers);
        let scratch = &mut pass.scratch;
        let rows = saved.scales.len();
        let sequences = rows / tokens;
        let kept = gradient.len() / width;

        let mut context = buffers.take(kept * width);
        for chunk in chunks(kept) {
            let gradient = part(&gradient, &chunk, width);
            self.output.back(gradient, part_mut(&mut context, &chunk, width), &mut scratch.rounded);
        }
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
        let mut gradient = gradient;
        if let Some(read) = read {
            // The other tokens have no query and no output.
            self.query.back(&queries, &mut context, &mut scratch.rounded);
            let gradient_read = std::mem::replace(&mut gradient, buffers.take(rows * width));
            spread_read(&gradient_read, width, tokens, read, &mut gradient);
            spread_read(&context, width, tokens, read, &mut normed);
            buffers.give(gradient_read);
        }
        for chunk in chunks(rows) {
            let normed = part_mut(&mut normed, &chunk, width);
            if read.is_none() {
                self.query.back(part(&queries, &chunk, width), normed, &mut scratch.rounded);
            }
            let keys_values = part(&keys_values, &chunk, 2 * width);
            self.key_value.add_back(keys_values, normed, &mut scratch.rounded);
            let saved_normed = part(&saved.normed, &chunk, width);
            let gradient = part_mut(&mut gradient, &chunk, width);
            self.entry.back(saved_normed, &saved.scales[chunk], normed, gradient);
        }
        for buffer in [context, keys_values, normed, queries] {
            buffers.give(buffer);
        }
        gradient
    }
}

/// The rows that are read.
fn copy_read(rows: &[f32], width: usize, read: &[usize], to: &mut [f32]) {
    for (read, to) in read.iter().zip(to.chunks_exact_mut(width)) {
        to.copy_from_slice(&rows[read * width..][..width]);
    }
}

/// Sets the row of each sequence that is read, and all others to zeros.
fn spread_read(from: &[f32], width: usize, tokens: usize, read: &[usize], rows: &mut [f32]) {
    rows.fill(0.0);
    for ((sequence, read), from) in read.iter().enumerate().zip(from.chunks_exact(width)) {
        rows[(sequence * tokens + read) * width..][..width].copy_from_slice(from);
    }
}
