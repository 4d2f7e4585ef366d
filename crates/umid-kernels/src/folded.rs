//! Linear layers as a checkpoint stores them, packed in one pass over their numbers: transposed,
//! with the gain and shift of the norm before them and a factor of their output multiplied in.

use std::borrow::Cow;
use std::fmt::Debug;
use std::ops::Range;

use pulp::Arch;

use crate::product::{Packed, WIDEST};

/// Numbers that are read some at a time, wherever they are and of whatever type.
pub trait Stored: Debug + Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// Those of a range.
    fn values(&self, range: Range<usize>) -> Cow<'_, [f32]>;
}

impl Stored for Vec<f32> {
    fn count(&self) -> usize {
        self.len()
    }

    fn values(&self, range: Range<usize>) -> Cow<'_, [f32]> {
        Cow::Borrowed(&self[range])
    }
}

/// A linear layer, as PyTorch stores it: `[output, input]` and `[output]`.
#[derive(Debug, Clone, Copy)]
pub struct Linear<'a> {
    /// Row-major.
    pub weight: &'a dyn Stored,
    /// None if the layer has no bias.
    pub bias: Option<&'a [f32]>,
}

/// A layer norm.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// `[width]`.
    pub gain: &'a [f32],
    /// `[width]`.
    pub shift: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
}

/// Layers of one input side by side, what their input is multiplied with, and a factor of their
/// output.
pub(crate) struct Folded<'a> {
    /// As many columns each.
    pub(crate) parts: &'a [Linear<'a>],
    pub(crate) norm: Option<Norm<'a>>,
    pub(crate) factor: f32,
}

impl Folded<'_> {
    /// The weight `[input, columns]` and the bias `[columns]`.
    pub(crate) fn lay_out(&self, input: usize, columns: usize) -> (Packed, Vec<f32>) {
        let each = columns / self.parts.len();
        for part in self.parts {
            assert_eq!(part.weight.count(), each * input, "a weight is not [{each}, {input}]");
            assert!(part.bias.is_none_or(|bias| bias.len() == each), "a bias is not [{each}]");
        }
        let of_input = |values: &[f32]| values.len() == input;
        let norm_fits = self.norm.is_none_or(|norm| of_input(norm.gain) && of_input(norm.shift));
        assert!(norm_fits, "a norm is not [{input}]");
        let mut packed = Packed::zeros(input, columns);
        let mut bias = Vec::with_capacity(columns);
        for panel in packed.panels_mut() {
            let end = columns.min(panel.first + panel.width);
            let mut column = panel.first;
            while column < end {
                // A panel may hold the end of one part and the beginning of the next.
                let (part, row) = (&self.parts[column / each], column % each);
                let rows = row..each.min(row + end - column);
                column += rows.len();
                let sums = vec![0.0; rows.len()];
                let weight = part.weight.values(rows.start * input..rows.end * input);
                let lane = bias.len() - panel.first;
                let mut room = Room { values: panel.values, width: panel.width, lane };
                let columns = Columns { weight: &weight, input, norm: self.norm };
                let factor = self.factor;
                let sums = Arch::new().dispatch(
                    #[inline(always)]
                    move || columns.fold(factor, &mut room, sums),
                );
                for (sum, row) in sums.into_iter().zip(rows) {
                    let sum = part.bias.map_or(sum, |own| sum + f64::from(own[row]));
                    bias.push((sum * f64::from(self.factor)) as f32);
                }
            }
        }
        (packed, bias)
    }
}

/// Rows of a stored weight, which become columns.
struct Columns<'a> {
    weight: &'a [f32],
    input: usize,
    norm: Option<Norm<'a>>,
}

/// Columns of a panel, from `lane` on.
struct Room<'a> {
    /// `[input, width]`.
    values: &'a mut [f32],
    width: usize,
    lane: usize,
}

impl Columns<'_> {
    /// Fills some columns of a panel; what the norm's shift comes to is added to `sums`,
    /// which move through: see `at_best_level`.
    #[inline(always)]
    fn fold(&self, factor: f32, to: &mut Room, mut sums: Vec<f64>) -> Vec<f64> {
        // Rows of the panel that are transposed together: what stays in the cache.
        let mut block = [[0.0f32; WIDEST]; WIDEST];
        let mut rows = to.values.chunks_exact_mut(to.width);
        for first in (0..self.input).step_by(WIDEST) {
            let inputs = first..(first + WIDEST).min(self.input);
            for (column, weights) in self.weight.chunks_exact(self.input).enumerate() {
                for (row, weight) in block.iter_mut().zip(&weights[inputs.clone()]) {
                    row[column] = *weight;
                }
            }
            for ((i, weights), to_row) in inputs.zip(&block).zip(&mut rows) {
                let to_row = &mut to_row[to.lane..][..sums.len()];
                let Some(norm) = self.norm else {
                    for (to, weight) in to_row.iter_mut().zip(weights) {
                        *to = *weight * factor;
                    }
                    continue;
                };
                let (gain, shift) = (norm.gain[i], f64::from(norm.shift[i]));
                for ((to, weight), sum) in to_row.iter_mut().zip(weights).zip(&mut sums) {
                    *to = *weight * gain * factor;
                    *sum += shift * f64::from(*weight);
                }
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layers side by side, of which a panel holds two and a register one.
    #[test]
    fn what_is_laid_out_is_the_folded_transposed_weight() {
        let numbers = |count: usize, scale: f32| -> Vec<f32> {
            (0..count).map(|i| (i as f32 * 0.731).sin() * scale).collect()
        };
        for (input, each) in [(16, 16), (80, 48), (144, 80)] {
            let weights = [numbers(input * each, 1.0), numbers(input * each, 2.0)];
            let biases = [numbers(each, 1.0), numbers(each, 3.0)];
            let (gain, shift) = (numbers(input, 1.5), numbers(input, 0.3));
            let part = |i: usize| Linear { weight: &weights[i], bias: Some(&biases[i]) };
            for norm in [None, Some(Norm { gain: &gain, shift: &shift, epsilon: 0.0 })] {
                let folded = Folded { parts: &[part(0), part(1)], norm, factor: 0.5 };
                let (packed, bias) = folded.lay_out(input, 2 * each);
                for (column, bias) in bias.iter().enumerate() {
                    let (part, output) = (column / each, column % each);
                    let stored = |row: usize| weights[part][output * input + row];
                    let mut sum = 0.0f64;
                    for row in 0..input {
                        let (gain, shift) =
                            norm.map_or((1.0, 0.0), |n| (n.gain[row], n.shift[row]));
                        let expected = stored(row) * gain * 0.5;
                        assert_eq!(packed.at(row, column).to_bits(), expected.to_bits());
                        sum += f64::from(shift) * f64::from(stored(row));
                    }
                    sum += f64::from(biases[part][output]);
                    assert_eq!(bias.to_bits(), ((sum * 0.5) as f32).to_bits());
                }
                let transposed = packed.transposed();
                for row in 0..input {
                    for column in 0..2 * each {
                        let (found, expected) =
                            (transposed.at(column, row), packed.at(row, column));
                        assert_eq!(found.to_bits(), expected.to_bits());
                    }
                }
            }
        }
    }
}
