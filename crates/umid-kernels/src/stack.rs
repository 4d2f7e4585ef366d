//! Blocks one after the other, for a batch of sequences.

use rayon::prelude::*;

use crate::attention::Scratch;
use crate::block::{Block, Saved, Weights};
use crate::buffers::Buffers;

/// Rows that go through all blocks together on one core: enough for a product to reach its rate,
/// few enough for the cache.
const ROWS: usize = 256;

/// Frozen blocks, laid out for both directions.
#[derive(Debug)]
pub struct Stack {
    blocks: Vec<Block>,
    width: usize,
    buffers: Buffers,
}

/// What the way back needs of a way forward.
#[derive(Debug)]
pub struct Passed {
    parts: Vec<Vec<Saved>>,
    tokens: usize,
    read: Option<Vec<usize>>,
}

impl Stack {
    /// Lays out blocks of one width.
    #[must_use]
    pub fn new(blocks: &[Weights]) -> Self {
        let width = blocks.first().map_or(0, |block| block.norm_before.gain.len());
        let blocks = blocks.par_iter().map(Block::new).collect();
        Self { blocks, width, buffers: Buffers::default() }
    }

    /// Passes sequences through the blocks.
    ///
    /// # Shapes
    ///
    /// - hidden: `[sequences * tokens, width]`
    /// - read: for each sequence the token whose output is wanted; none for all
    /// - output: as hidden, or `[sequences, width]`
    #[must_use]
    pub fn forward(
        &self,
        hidden: &[f32],
        tokens: usize,
        read: Option<&[usize]>,
    ) -> (Vec<f32>, Passed) {
        let sequences = hidden.len() / self.width / tokens;
        let each = (ROWS / tokens).max(1).min(sequences.div_ceil(rayon::current_num_threads()));
        let mut output = vec![0.0; if read.is_some() { sequences } else { sequences * tokens } * self.width];
        let kept_each = output.len() / sequences;
        let parts = hidden
            .par_chunks(each * tokens * self.width)
            .zip(output.par_chunks_mut(each * kept_each))
            .enumerate()
            .map(|(part, (hidden, output))| {
                let read = read.map(|read| &read[part * each..][..output.len() / kept_each]);
                forward(self, hidden, tokens, read, output)
            })
            .collect();
        (output, Passed { parts, tokens, read: read.map(<[usize]>::to_vec) })
    }

    /// The gradient of the input, from that of the output.
    #[must_use]
    pub fn backward(&self, gradient: &[f32], passed: Passed) -> Vec<f32> {
        let Passed { parts, tokens, read } = passed;
        let rows: Vec<usize> = parts.iter().map(|p| p[0].rows()).collect();
        let total: usize = rows.iter().sum();
        let sequences = total / tokens;
        let kept_each = gradient.len() / sequences;
        let mut inputs = vec![0.0; total * self.width];
        let each = rows[0] / tokens;
        gradient
            .par_chunks(each * kept_each)
            .zip(inputs.par_chunks_mut(each * tokens * self.width))
            .zip(parts)
            .enumerate()
            .for_each(|(part, ((gradient, inputs), saved))| {
                let count = gradient.len() / kept_each;
                let read = read.as_ref().map(|read| &read[part * each..][..count]);
                backward(self, gradient, saved, tokens, read, inputs);
            });
        inputs
    }
}

fn forward(
    stack: &Stack,
    hidden: &[f32],
    tokens: usize,
    read: Option<&[usize]>,
    output: &mut [f32],
) -> Vec<Saved> {
    let mut scratch = Scratch::default();
    let mut current = stack.buffers.take(hidden.len());
    current.copy_from_slice(hidden);
    let mut all = Vec::with_capacity(stack.blocks.len());
    for (i, block) in stack.blocks.iter().enumerate() {
        let read = if i + 1 == stack.blocks.len() { read } else { None };
        let (next, saved) = block.forward(current, tokens, read, &stack.buffers, &mut scratch);
        current = next;
        all.push(saved);
    }
    output.copy_from_slice(&current);
    stack.buffers.give(current);
    all
}

fn backward(
    stack: &Stack,
    gradient: &[f32],
    saved: Vec<Saved>,
    tokens: usize,
    read: Option<&[usize]>,
    inputs: &mut [f32],
) {
    let mut scratch = Scratch::default();
    let mut current = stack.buffers.take(gradient.len());
    current.copy_from_slice(gradient);
    for (i, (block, saved)) in stack.blocks.iter().zip(saved).enumerate().rev() {
        let read = if i + 1 == stack.blocks.len() { read } else { None };
        current = block.backward(current, saved, tokens, read, &stack.buffers, &mut scratch);
    }
    inputs.copy_from_slice(&current);
    stack.buffers.give(current);
}
