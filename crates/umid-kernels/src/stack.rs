//! Blocks one after the other, for a batch of sequences.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::attention::Scratch;
use crate::block::{Block, Pass, Residual, Saved};
use crate::buffers::{Buffers, Values};
use crate::shared::SharedSequences;

/// Rows that pass through all blocks together on one core, at most: the more, the less often
/// weights are read; what is computed row by row goes in smaller chunks.
pub(crate) const ROWS: usize = 512;

/// Frozen blocks, packed for both directions.
#[derive(Debug)]
pub struct Stack {
    branches: Vec<Residual>,
    /// The last branch that attends: from it on, a token that is not read plays no part.
    last_attention: usize,
    width: usize,
    buffers: Arc<Buffers>,
}

/// What a backward pass needs of its forward pass.
#[derive(Debug)]
pub struct Passed {
    parts: Vec<Vec<Saved>>,
    batch: Batch,
    buffers: Arc<Buffers>,
}

/// How a batch is cut into parts.
#[derive(Debug, Clone)]
struct Batch {
    sequences: usize,
    tokens: usize,
    /// Sequences of a part; the last part may have fewer.
    each: usize,
    read: Option<Vec<usize>>,
}

impl Batch {
    fn new(hidden: &[f32], width: usize, tokens: usize, read: Option<&[usize]>) -> Self {
        // No tokens at all are an empty batch.
        let sequences = (hidden.len() / width).checked_div(tokens).unwrap_or(0);
        assert_eq!(sequences * tokens * width, hidden.len(), "not whole sequences");
        if let Some(read) = read {
            assert_eq!(read.len(), sequences, "one token is read of each sequence");
            assert!(read.iter().all(|read| *read < tokens), "a token is read that is not there");
        }
        // A whole number of parts per core, of nearly as many sequences each.
        let cores = rayon::current_num_threads();
        let parts = sequences.div_ceil((ROWS / tokens.max(1)).max(1)).next_multiple_of(cores);
        let each = sequences.div_ceil(parts.max(1)).max(1);
        Self { sequences, tokens, each, read: read.map(<[usize]>::to_vec) }
    }

    /// Rows of the output that a sequence has.
    fn kept(&self) -> usize {
        if self.read.is_some() { 1 } else { self.tokens }
    }

    fn part(&self, part: usize) -> Range<usize> {
        part * self.each..((part + 1) * self.each).min(self.sequences)
    }

    fn parts(&self) -> usize {
        self.sequences.div_ceil(self.each)
    }
}

impl Stack {
    /// Blocks of one width, one after the other.
    ///
    /// # Panics
    ///
    /// If no branch of a block attends, or if widths differ.
    #[must_use]
    pub fn new(blocks: Vec<Block>) -> Self {
        let branches: Vec<_> = blocks.into_iter().flat_map(|block| block.branches).collect();
        let last_attention =
            branches.iter().rposition(Residual::attends).expect("a branch that attends");
        let width = branches[0].width();
        assert!(branches.iter().all(|branch| branch.width() == width), "widths differ");
        Self { branches, last_attention, width, buffers: Arc::default() }
    }

    /// Columns of every hidden state.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Passes sequences through the blocks. An empty batch has an empty result.
    ///
    /// # Shapes
    ///
    /// - hidden: `[sequences * tokens, width]`
    /// - read: for each sequence the token whose output is wanted; none for all
    /// - output: as hidden, or `[sequences, width]`
    ///
    /// # Panics
    ///
    /// If shapes are others, or a token is read that is not there.
    #[must_use]
    pub fn forward(&self, hidden: &[f32], tokens: usize, read: Option<&[usize]>) -> Vec<f32> {
        let batch = Batch::new(hidden, self.width, tokens, read);
        self.pass(hidden, &batch, |saved| saved.give(&self.buffers)).0
    }

    /// Passes sequences that share their beginnings through the blocks. What is computed for a sequence is,
    /// to the bit, what [`Stack::forward`] computes for it alone.
    ///
    /// # Shapes
    ///
    /// - hidden: `[sequences.tokens().len(), width]`, the rows of its tokens
    /// - output: `[sequences, width]`, of the last token of each
    ///
    /// # Panics
    ///
    /// If shapes are others, or tokens see those that come after them.
    #[must_use]
    pub fn forward_shared(&self, hidden: &[f32], sequences: &SharedSequences) -> Vec<f32> {
        let width = self.width;
        assert_eq!(hidden.len(), sequences.tokens().len() * width, "not a row for each token");
        let ends: Vec<Values> = sequences
            .parts()
            .par_iter()
            .map(|part| {
                let mut pass =
                    Pass { tokens: 0, buffers: &self.buffers, scratch: Scratch::default() };
                let hidden = &hidden[part.rows.start * width..part.rows.end * width];
                let mut current = self.buffers.take(hidden.len());
                current.copy_from_slice(hidden);
                for (i, branch) in self.branches.iter().enumerate() {
                    let is_last = i == self.last_attention;
                    current = branch.forward_shared(current, part, is_last, &mut pass);
                }
                current
            })
            .collect();
        let mut output = Vec::with_capacity(sequences.len() * width);
        for (part, end) in sequences.places() {
            output.extend_from_slice(&ends[part][end * width..][..width]);
        }
        for ends in ends {
            self.buffers.give(ends);
        }
        output
    }

    /// As [`Stack::forward`], keeping what [`Stack::backward`] needs: for each block and row some
    /// five widths and the inner width of its perceptron.
    ///
    /// # Panics
    ///
    /// As [`Stack::forward`].
    #[must_use]
    pub fn forward_for_backward(
        &self,
        hidden: &[f32],
        tokens: usize,
        read: Option<&[usize]>,
    ) -> (Vec<f32>, Passed) {
        let batch = Batch::new(hidden, self.width, tokens, read);
        // A core that has no part of a small batch packs what the backward pass will ask for.
        let ((output, parts), ()) =
            rayon::join(|| self.pass(hidden, &batch, |saved| saved), || self.pack_backward());
        (output, Passed { parts, batch, buffers: Arc::clone(&self.buffers) })
    }

    fn pass<K: Send>(
        &self,
        hidden: &[f32],
        batch: &Batch,
        keep: impl Fn(Saved) -> K + Sync,
    ) -> (Vec<f32>, Vec<Vec<K>>) {
        let each = batch.tokens * self.width;
        let kept = batch.kept() * self.width;
        let mut output = vec![0.0; batch.sequences * kept];
        let parts = (0..batch.parts())
            .into_par_iter()
            .zip(output.par_chunks_mut((batch.each * kept).max(1)))
            .map(|(part, output)| {
                let sequences = batch.part(part);
                let hidden = &hidden[sequences.start * each..sequences.end * each];
                let mut pass = self.one_pass(batch);
                let mut current = self.buffers.take(hidden.len());
                current.copy_from_slice(hidden);
                let mut all = Vec::with_capacity(self.branches.len());
                for (i, branch) in self.branches.iter().enumerate() {
                    let read = self.read(batch, &sequences, i);
                    let (next, saved) = branch.forward(current, read, &mut pass);
                    current = next;
                    all.push(keep(saved));
                }
                output.copy_from_slice(&current);
                self.buffers.give(current);
                all
            })
            .collect();
        (output, parts)
    }

    fn one_pass(&self, batch: &Batch) -> Pass<'_> {
        Pass { tokens: batch.tokens, buffers: &self.buffers, scratch: Scratch::default() }
    }

    /// Each layer on one core: a core that waits for a packed weight never has to be the one that
    /// packs it.
    fn pack_backward(&self) {
        self.branches.par_iter().flat_map(Residual::layers).for_each(|layer| {
            layer.backward();
        });
    }

    /// The gradient of the input, from that of the output.
    ///
    /// # Shapes
    ///
    /// - gradient: as the output of the forward pass
    /// - output: `[sequences * tokens, width]`
    ///
    /// # Panics
    ///
    /// If the gradient has another shape, or `passed` is another stack's.
    #[must_use]
    pub fn backward(&self, gradient: &[f32], passed: &Passed) -> Vec<f32> {
        let batch = &passed.batch;
        let each = batch.tokens * self.width;
        let kept = batch.kept() * self.width;
        assert_eq!(gradient.len(), batch.sequences * kept, "not the shape of the output");
        let mut inputs = vec![0.0; batch.sequences * each];
        inputs.par_chunks_mut((batch.each * each).max(1)).zip(&passed.parts).enumerate().for_each(
            |(part, (inputs, saved))| {
                assert_eq!(saved.len(), self.branches.len(), "what was kept is another stack's");
                let sequences = batch.part(part);
                let gradient = &gradient[sequences.start * kept..sequences.end * kept];
                let mut pass = self.one_pass(batch);
                let mut current = self.buffers.take(gradient.len());
                current.copy_from_slice(gradient);
                for (i, (branch, saved)) in self.branches.iter().zip(saved).enumerate().rev() {
                    let read = self.read(batch, &sequences, i);
                    current = branch.backward(current, saved, read, &mut pass);
                }
                inputs.copy_from_slice(&current);
                self.buffers.give(current);
            },
        );
        inputs
    }

    /// The tokens that are read, in the branch that leaves the others out.
    fn read<'a>(
        &self,
        batch: &'a Batch,
        sequences: &Range<usize>,
        branch: usize,
    ) -> Option<&'a [usize]> {
        let read = batch.read.as_ref()?;
        (branch == self.last_attention).then(|| &read[sequences.clone()])
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        for saved in self.parts.drain(..).flatten() {
            saved.give(&self.buffers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, AddedTo, Body, Branch, Groups, Linear, Norm, Precision};

    const WIDTH: usize = 16;
    const TOKENS: usize = 3;
    const SEQUENCES: usize = 5;

    fn stack() -> Stack {
        let ones = vec![1.0; WIDTH * WIDTH];
        let linear = || Linear { weight: &ones, bias: None };
        let branch = |body| {
            let norm = Norm { gain: &ones[..WIDTH], shift: &ones[..WIDTH], epsilon: 1e-5 };
            Branch { width: WIDTH, norm: Some(norm), added_to: AddedTo::Hidden, body }
        };
        let block = || {
            let attention = Body::Attention {
                qkv: [linear(), linear(), linear()],
                output: linear(),
                heads: 1,
                groups: Groups::Backwards,
            };
            let perceptron = Body::Perceptron {
                fc1: linear(),
                fc2: linear(),
                activation: Activation::QuickGelu,
            };
            Block::new(&[branch(attention), branch(perceptron)], Precision::F32)
        };
        Stack::new(vec![block(), block()])
    }

    #[test]
    fn every_buffer_that_is_taken_is_given_back() {
        let stack = stack();
        let hidden: Vec<f32> = (0..SEQUENCES * TOKENS * WIDTH).map(|i| i as f32).collect();
        for read in [None, Some(&[2; SEQUENCES][..])] {
            let output = stack.forward(&hidden, TOKENS, read);
            assert_eq!(stack.buffers.used_values(), 0);
            let (same, passed) = stack.forward_for_backward(&hidden, TOKENS, read);
            assert_eq!(same, output);
            assert!(stack.buffers.used_values() > 0);
            let _ = stack.backward(&output, &passed);
            drop(passed);
            assert_eq!(stack.buffers.used_values(), 0);
        }
    }
}
