//! A linear layer, packed for the forward pass and, when it is first needed, for the backward pass.

use std::sync::OnceLock;

use crate::bf16::Pairs;
use crate::folded::Folded;
use crate::product::Start;
use crate::weight::{Precision, Weight};

/// A weight `[input, output]` and a bias `[output]`.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    forward: Weight,
    backward: OnceLock<Weight>,
    bias: Vec<f32>,
}

impl Layer {
    pub(crate) fn new(folded: &Folded, input: usize, output: usize, precision: Precision) -> Self {
        let (packed, bias) = folded.lay_out(input, output);
        Self { forward: Weight::new(precision, packed), backward: OnceLock::new(), bias }
    }

    /// Columns of the layer's output.
    pub(crate) fn output_width(&self) -> usize {
        self.bias.len()
    }

    /// `outputs = inputs * weight + bias`.
    pub(crate) fn pass(&self, inputs: &[f32], outputs: &mut [f32], rounded: &mut Vec<Pairs>) {
        self.forward.multiply(inputs, outputs, Start::Bias(&self.bias), rounded);
    }

    /// `outputs += inputs * weight + bias`.
    pub(crate) fn add(&self, inputs: &[f32], outputs: &mut [f32], rounded: &mut Vec<Pairs>) {
        for row in outputs.chunks_exact_mut(self.bias.len()) {
            for (output, bias) in row.iter_mut().zip(&self.bias) {
                *output += bias;
            }
        }
        self.forward.multiply(inputs, outputs, Start::Stored, rounded);
    }

    /// Sets the gradients of the inputs, from those of the outputs.
    pub(crate) fn back(&self, outputs: &[f32], inputs: &mut [f32], rounded: &mut Vec<Pairs>) {
        self.backward().multiply(outputs, inputs, Start::Zero, rounded);
    }

    /// Adds to the gradients of the inputs, from those of the outputs.
    pub(crate) fn add_back(&self, outputs: &[f32], inputs: &mut [f32], rounded: &mut Vec<Pairs>) {
        self.backward().multiply(outputs, inputs, Start::Stored, rounded);
    }

    /// The transposed weight, packed when it is first asked for.
    pub(crate) fn backward(&self) -> &Weight {
        self.backward.get_or_init(|| self.forward.transposed())
    }
}
