//! The residual branch of a two-layer perceptron.

use crate::block::Pass;
use crate::block::entry::Entry;
use crate::buffers::Values;
use crate::chunks::{chunks, longest_chunk, part, part_mut};
use crate::elementwise::{Activation, activate, multiply};
use crate::folded::{Folded, Linear, Norm};
use crate::layer::Layer;
use crate::weight::Precision;

#[derive(Debug, Clone)]
pub(crate) struct Perceptron {
    entry: Entry,
    fc1: Layer,
    fc2: Layer,
    activation: Activation,
}

#[derive(Debug)]
pub(crate) struct Saved {
    normed: Values,
    scales: Values,
    /// Derivatives of the activation.
    slopes: Values,
}

impl Saved {
    pub(super) fn into_buffers(self) -> [Values; 3] {
        [self.normed, self.scales, self.slopes]
    }
}

impl Perceptron {
    pub(super) fn new(
        entry: Entry,
        norm: Option<Norm>,
        fc1: Linear,
        fc2: Linear,
        inner: usize,
        activation: Activation,
        precision: Precision,
    ) -> Self {
        let width = fc2.weight.count() / inner;
        let layer = |part, norm, input, output| {
            let folded = Folded { parts: &[part], norm, factor: 1.0 };
            Layer::new(&folded, input, output, precision)
        };
        Self {
            entry,
            fc1: layer(fc1, norm, width, inner),
            fc2: layer(fc2, None, inner, width),
            activation,
        }
    }

    pub(super) fn width(&self) -> usize {
        self.fc2.output_width()
    }

    pub(super) fn layers(&self) -> [&Layer; 2] {
        [&self.fc1, &self.fc2]
    }

    /// # Shapes
    ///
    /// - hidden, output: `[rows, width]`
    pub(super) fn forward(&self, mut hidden: Values, pass: &mut Pass) -> (Values, Saved) {
        let (width, inner_width) = (self.width(), self.fc1.output_width());
        let (buffers, rounded) = (pass.buffers, &mut pass.scratch.rounded);
        let rows = hidden.len() / width;
        let mut normed = buffers.take(rows * width);
        let mut scales = buffers.take(rows);
        let mut slopes = buffers.take(rows * inner_width);
        let mut activated = buffers.take(longest_chunk(rows) * inner_width);
        for chunk in chunks(rows) {
            let hidden = part_mut(&mut hidden, &chunk, width);
            let normed = part_mut(&mut normed, &chunk, width);
            self.entry.enter(hidden, normed, &mut scales[chunk.clone()]);
            let inner = part_mut(&mut slopes, &chunk, inner_width);
            self.fc1.pass(normed, inner, rounded);
            let activated = &mut activated[..inner.len()];
            activate(self.activation, inner, activated);
            self.fc2.add(activated, hidden, rounded);
        }
        buffers.give(activated);
        (hidden, Saved { normed, scales, slopes })
    }

    /// The gradient of the branch's input, from that of its output.
    pub(super) fn backward(&self, mut gradient: Values, saved: &Saved, pass: &mut Pass) -> Values {
        let (width, inner_width) = (self.width(), self.fc1.output_width());
        let (buffers, rounded) = (pass.buffers, &mut pass.scratch.rounded);
        let rows = gradient.len() / width;
        let mut inner = buffers.take(longest_chunk(rows) * inner_width);
        let mut normed = buffers.take(longest_chunk(rows) * width);
        for chunk in chunks(rows) {
            let gradient = part_mut(&mut gradient, &chunk, width);
            let inner = &mut inner[..chunk.len() * inner_width];
            let normed = &mut normed[..gradient.len()];
            self.fc2.back(gradient, inner, rounded);
            multiply(part(&saved.slopes, &chunk, inner_width), inner);
            self.fc1.back(inner, normed, rounded);
            let saved_normed = part(&saved.normed, &chunk, width);
            self.entry.back(saved_normed, &saved.scales[chunk], normed, gradient);
        }
        buffers.give(inner);
        buffers.give(normed);
        gradient
    }
}
