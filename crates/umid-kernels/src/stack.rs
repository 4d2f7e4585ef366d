//! Blocks one after the other, for a batch of sequences.

use std::sync::Arc;

use rayon::prelude::*;

use crate::attention::Scratch;
use crate::block::{Block, Saved};
use crate::buffers::Buffers;

/// Rows that go through all blocks together on one core, at most: the more, the less often weights
/// are read; what is row by row goes in smaller chunks.
const ROWS: usize = 512;

/// Frozen blocks, laid out for both directions.
#[derive(Debug)]
pub struct Stack {
    blocks: Vec<Block>,
    width: usize,
    buffers: Arc<Buffers>,
}

/// What the way back needs of a way forward.
#[derive(Debug)]
pub struct Passed {
    parts: Vec<Vec<Saved>>,
    batch: Batch,
    buffers: Arc<Buffers>,
}

/// How a batch is cut.
#[derive(Debug, Clone)]
struct Batch {
    sequences: usize,
    tokens: usize,
    /// Sequences of a part; the last part may have fewer.
    each: usize,
    read: Option<Vec<usize>>,
}

impl Batch {
    fn new(rows: usize, tokens: usize, read: Option<&[usize]>) -> Self {
        let sequences = rows / tokens;
        // As many parts for every core, of nearly as many sequences each.
        let cores = rayon::current_num_threads();
        let parts = sequences.div_ceil((ROWS / tokens).max(1)).next_multiple_of(cores);
        let each = sequences.div_ceil(parts).max(1);
        Self { sequences, tokens, each, read: read.map(<[usize]>::to_vec) }
    }

    /// Rows of the output that a sequence has.
    fn kept(&self) -> usize {
        if self.read.is_some() { 1 } else { self.tokens }
    }

    fn read(&self, part: usize) -> Option<&[usize]> {
        let end = ((part + 1) * self.each).min(self.sequences);
        self.read.as_ref().map(|read| &read[part * self.each..end])
    }
}

impl Stack {
    /// Blocks of one width, one after the other.
    ///
    /// # Panics
    ///
    /// If there is no block or if widths differ.
    #[must_use]
    pub fn new(blocks: Vec<Block>) -> Self {
        let width = blocks.first().expect("a block").width();
        assert!(blocks.iter().all(|block| block.width() == width), "widths differ");
        Self { blocks, width, buffers: Arc::default() }
    }

    /// Columns of every hidden state.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Passes sequences through the blocks.
    ///
    /// # Shapes
    ///
    /// - hidden: `[sequences * tokens, width]`
    /// - read: for each sequence the token whose output is wanted; none for all
    /// - output: as hidden, or `[sequences, width]`
    #[must_use]
    pub fn forward(&self, hidden: &[f32], tokens: usize, read: Option<&[usize]>) -> Vec<f32> {
        let batch = Batch::new(hidden.len() / self.width, tokens, read);
        self.pass(hidden, &batch, |saved| saved.give(&self.buffers)).0
    }

    /// As [`Stack::forward`], keeping what [`Stack::backward`] needs: for each block and row some
    /// five widths and the width of its perceptron.
    #[must_use]
    pub fn forward_for_backward(
        &self,
        hidden: &[f32],
        tokens: usize,
        read: Option<&[usize]>,
    ) -> (Vec<f32>, Passed) {
        let batch = Batch::new(hidden.len() / self.width, tokens, read);
        // A core that has no part of a small batch lays out what the way back will ask for.
        let ((output, parts), ()) =
            rayon::join(|| self.pass(hidden, &batch, |saved| saved), || self.lay_out_back());
        (output, Passed { parts, batch, buffers: Arc::clone(&self.buffers) })
    }

    fn pass<K: Send>(
        &self,
        hidden: &[f32],
        batch: &Batch,
        keep: impl Fn(Saved) -> K + Sync,
    ) -> (Vec<f32>, Vec<Vec<K>>) {
        let kept = batch.kept() * self.width;
        let mut output = vec![0.0; batch.sequences * kept];
        let parts = hidden
            .par_chunks(batch.each * batch.tokens * self.width)
            .zip(output.par_chunks_mut(batch.each * kept))
            .enumerate()
            .map(|(part, (hidden, output))| {
                let mut scratch = Scratch::default();
                let mut current = self.buffers.take(hidden.len());
                current.copy_from_slice(hidden);
                let mut all = Vec::with_capacity(self.blocks.len());
                for (i, block) in self.blocks.iter().enumerate() {
                    let read = self.read(batch, part, i);
                    let (next, saved) =
                        block.forward(current, batch.tokens, read, &self.buffers, &mut scratch);
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

    /// Each layer on one core: a core that waits for a layout of another never has to be the one
    /// that makes it.
    fn lay_out_back(&self) {
        self.blocks.par_iter().flat_map(Block::layers).for_each(|layer| {
            layer.backward();
        });
    }

    /// The gradient of the input, from that of the output.
    ///
    /// # Shapes
    ///
    /// - gradient: as the output of the way forward
    /// - output: `[sequences * tokens, width]`
    #[must_use]
    pub fn backward(&self, gradient: &[f32], passed: &Passed) -> Vec<f32> {
        let batch = &passed.batch;
        let mut inputs = vec![0.0; batch.sequences * batch.tokens * self.width];
        gradient
            .par_chunks(batch.each * batch.kept() * self.width)
            .zip(inputs.par_chunks_mut(batch.each * batch.tokens * self.width))
            .zip(&passed.parts)
            .enumerate()
            .for_each(|(part, ((gradient, inputs), saved))| {
                let mut scratch = Scratch::default();
                let mut current = self.buffers.take(gradient.len());
                current.copy_from_slice(gradient);
                for (i, (block, saved)) in self.blocks.iter().zip(saved).enumerate().rev() {
                    let read = self.read(batch, part, i);
                    current = block.backward(
                        current,
                        saved,
                        batch.tokens,
                        read,
                        &self.buffers,
                        &mut scratch,
                    );
                }
                inputs.copy_from_slice(&current);
                self.buffers.give(current);
            });
        inputs
    }

    /// Only the last block leaves tokens out.
    fn read<'a>(&self, batch: &'a Batch, part: usize, block: usize) -> Option<&'a [usize]> {
        if block + 1 == self.blocks.len() { batch.read(part) } else { None }
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
    use crate::{Activation, Groups, Linear, Norm, Precision, Weights};

    const WIDTH: usize = 16;
    const TOKENS: usize = 3;
    const SEQUENCES: usize = 5;

    fn stack() -> Stack {
        let ones = vec![1.0; WIDTH * WIDTH];
        let linear = || Linear { weight: &ones, bias: None };
        let norm = || Norm { gain: &ones[..WIDTH], shift: &ones[..WIDTH] };
        let block = || {
            Block::new(&Weights {
                norm_before: norm(),
                qkv: [linear(), linear(), linear()],
                output: linear(),
                norm_after: norm(),
                fc1: linear(),
                fc2: linear(),
                heads: 1,
                activation: Activation::QuickGelu,
                epsilon: 1e-5,
                groups: Groups::Backwards,
                precision: Precision::F32,
            })
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
