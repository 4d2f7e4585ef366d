//! One convolution as a product of rows, packed for both directions.

use std::ops::Range;
use std::sync::OnceLock;

use super::steps::{Map, Pass, Saved, Shape};
use super::{Conv, Relu};
use crate::chunks::{chunks_of, part, part_mut};
use crate::elementwise::{keep_positive, rectify};
use crate::product::{self, LANES, Start};
use crate::weight::{Precision, Weight};

/// Values of a chunk of what the kernel sees, at most, so that it stays in a core's cache.
const CHUNK_VALUES: usize = 1 << 17;
/// Rows that a chunk has all the same, so that weights are not read too often, and whose multiple
/// it has, so that tiles of any height fill it.
const FEWEST_ROWS: usize = 192;

#[derive(Debug)]
pub(super) struct Convolution {
    /// What the kernel sees, as [`Convolution::gather`] lays it out, by the output's padded channels.
    forward: Weight,
    backward: OnceLock<Backward>,
    /// Padded.
    bias: Vec<f32>,
    /// Channels of the input, which are padded unless they are an image's.
    inputs: usize,
    side: usize,
    stride: usize,
    padding: usize,
    relu: Relu,
}

/// Two ways from the gradient of the output to that of the input.
#[derive(Debug)]
enum Backward {
    /// The convolution with the kernel turned round, if positions of the kernel are a pixel apart.
    Turned(Box<Convolution>),
    /// A product with the transposed weight: gradients of what the kernel saw, which are the pixels
    /// themselves or are scattered to them.
    Transposed(Weight),
}

impl Convolution {
    /// `inputs` channels of the input: as many as the kernel has or more, which are zeros.
    pub(super) fn new(conv: &Conv, inputs: usize, precision: Precision) -> Self {
        let Conv { side, stride, padding, relu, outputs, .. } = *conv;
        assert!(side > 0 && stride > 0, "a kernel of {side} pixels at every {stride}");
        let taps = side * side;
        let count = outputs * conv.inputs * taps;
        assert_eq!(conv.kernel.count(), count, "not [{outputs}, {}, {side}, {side}]", conv.inputs);
        let mut bias = vec![0.0; outputs.next_multiple_of(LANES)];
        if let Some(values) = conv.bias {
            assert_eq!(values.len(), outputs, "a bias is not [{outputs}]");
            bias[..outputs].copy_from_slice(values);
        }
        let kernel = conv.kernel.values(0..count);
        let at = |row: usize, output: usize| {
            let (tap, input) = (row / inputs, row % inputs);
            let there = tap < taps && input < conv.inputs && output < outputs;
            if there { kernel[(output * conv.inputs + input) * taps + tap] } else { 0.0 }
        };
        let rows = (taps * inputs).next_multiple_of(LANES);
        let packed = product::Packed::new(rows, bias.len(), at);
        let forward = Weight::new(precision, packed);
        Self { forward, backward: OnceLock::new(), bias, inputs, side, stride, padding, relu }
    }

    fn backward_weights(&self) -> &Backward {
        self.backward.get_or_init(|| {
            let turns = self.stride == 1 && self.padding < self.side;
            if turns && self.inputs.is_multiple_of(LANES) && !self.sees_rows() {
                Backward::Turned(Box::new(self.turned()))
            } else {
                Backward::Transposed(self.forward.transposed())
            }
        })
    }

    /// The convolution that the gradient of this one is.
    fn turned(&self) -> Self {
        let (taps, outputs) = (self.side * self.side, self.bias.len());
        let at = |row: usize, input: usize| {
            let (tap, output) = (taps - 1 - row / outputs, row % outputs);
            self.forward.at(tap * self.inputs + input, output)
        };
        Self {
            forward: self.forward.like(product::Packed::new(taps * outputs, self.inputs, at)),
            backward: OnceLock::new(),
            bias: vec![0.0; self.inputs],
            inputs: outputs,
            side: self.side,
            stride: 1,
            padding: self.side - 1 - self.padding,
            relu: Relu::No,
        }
    }

    pub(super) fn pack_backward(&self) {
        self.backward_weights();
    }

    /// None if the image is smaller than the kernel.
    pub(super) fn output_shape(&self, input: Shape) -> Option<Shape> {
        let positions = |pixels: usize| {
            let free = (pixels + 2 * self.padding).checked_sub(self.side)?;
            Some(free / self.stride + 1)
        };
        let (height, width) = (positions(input.height)?, positions(input.width)?);
        Some(Shape { height, width, channels: self.bias.len() })
    }

    /// Whether what the kernel sees of a pixel is the pixel, with no padding of channels missing.
    fn sees_rows(&self) -> bool {
        (self.side, self.stride, self.padding) == (1, 1, 0) && self.inputs == self.forward.rows()
    }

    fn chunks(&self, rows: usize) -> impl Iterator<Item = Range<usize>> {
        chunks_of(rows, self.longest_chunk())
    }

    fn longest_chunk(&self) -> usize {
        (CHUNK_VALUES / self.forward.rows() / FEWEST_ROWS).max(1) * FEWEST_ROWS
    }

    pub(super) fn forward(&self, input: &Map, pass: &mut Pass) -> (Map, Saved) {
        let shape = self.output_shape(input.shape).expect("checked for the whole stack");
        let mut output = pass.map(shape);
        let (rows, depth) = (pass.images * shape.pixels(), self.forward.rows());
        let mut saved = Saved::new(input.shape);
        if self.relu == Relu::Yes {
            saved.positive = vec![0; output.values.len() / LANES];
        }
        let mut seen = if self.sees_rows() {
            pass.buffers.take(0)
        } else {
            pass.buffers.take(self.longest_chunk().min(rows) * depth)
        };
        for chunk in self.chunks(rows) {
            let left = if self.sees_rows() {
                part(&input.values, &chunk, depth)
            } else {
                let seen = &mut seen[..chunk.len() * depth];
                self.gather(input, shape, chunk.clone(), seen);
                seen
            };
            let output = part_mut(&mut output.values, &chunk, shape.channels);
            self.forward.multiply(left, output, Start::Bias(&self.bias), &mut pass.rounded);
            if self.relu == Relu::Yes {
                let registers = shape.channels / LANES;
                let positive = chunk.start * registers..chunk.end * registers;
                rectify(output, &mut saved.positive[positive]);
            }
        }
        pass.buffers.give(seen);
        (output, saved)
    }

    /// The gradient of the input.
    pub(super) fn backward(&self, gradient: &Map, saved: &Saved, pass: &mut Pass) -> Map {
        let weight = match self.backward_weights() {
            Backward::Transposed(weight) => weight,
            Backward::Turned(turned) if self.relu == Relu::No => {
                return turned.forward(gradient, pass).0;
            }
            Backward::Turned(turned) => {
                let mut kept = pass.map(gradient.shape);
                keep_positive(&saved.positive, &gradient.values, &mut kept.values);
                let input = turned.forward(&kept, pass).0;
                pass.give(kept);
                return input;
            }
        };
        let (shape, depth) = (gradient.shape, self.forward.rows());
        let rows = pass.images * shape.pixels();
        let mut input = pass.map(saved.input);
        let longest = self.longest_chunk().min(rows);
        let mut seen = pass.buffers.take(if self.sees_rows() { 0 } else { longest * depth });
        let mut kept = pass.buffers.take(longest * shape.channels);
        if !self.sees_rows() {
            input.values.fill(0.0);
        }
        for chunk in self.chunks(rows) {
            let mut above = part(&gradient.values, &chunk, shape.channels);
            if self.relu == Relu::Yes {
                let registers = shape.channels / LANES;
                let positive = &saved.positive[chunk.start * registers..chunk.end * registers];
                let kept = &mut kept[..above.len()];
                keep_positive(positive, above, kept);
                above = kept;
            }
            if self.sees_rows() {
                let input = part_mut(&mut input.values, &chunk, depth);
                weight.multiply(above, input, Start::Zero, &mut pass.rounded);
            } else {
                let seen = &mut seen[..chunk.len() * depth];
                weight.multiply(above, seen, Start::Zero, &mut pass.rounded);
                self.scatter(seen, shape, chunk, &mut input);
            }
        }
        pass.buffers.give(seen);
        pass.buffers.give(kept);
        input
    }

    /// What the kernel sees at some positions, row by row of the kernel, and zeros up to whole
    /// registers.
    fn gather(&self, input: &Map, output: Shape, positions: Range<usize>, seen: &mut [f32]) {
        let line = self.side * self.inputs;
        let (depth, used) = (self.forward.rows(), self.side * line);
        let corners = self.corners(output, positions);
        for (corner, seen) in corners.zip(seen.chunks_exact_mut(depth)) {
            let (seen, rest) = seen.split_at_mut(used);
            rest.fill(0.0);
            for (row, seen) in seen.chunks_exact_mut(line).enumerate() {
                let Some((from, there)) = self.place(input.shape, corner, row) else {
                    seen.fill(0.0);
                    continue;
                };
                seen[..there.start].fill(0.0);
                seen[there.end..].fill(0.0);
                seen[there.clone()].copy_from_slice(&input.values[from..][..there.len()]);
            }
        }
    }

    /// Adds the gradients of what the kernel saw to those of the input.
    fn scatter(&self, seen: &[f32], output: Shape, positions: Range<usize>, input: &mut Map) {
        let line = self.side * self.inputs;
        let (depth, used) = (self.forward.rows(), self.side * line);
        let corners = self.corners(output, positions);
        for (corner, seen) in corners.zip(seen.chunks_exact(depth)) {
            for (row, seen) in seen[..used].chunks_exact(line).enumerate() {
                if let Some((to, there)) = self.place(input.shape, corner, row) {
                    let to = &mut input.values[to..][..there.len()];
                    for (to, gradient) in to.iter_mut().zip(&seen[there]) {
                        *to += gradient;
                    }
                }
            }
        }
    }

    /// Where the kernel is at some positions.
    fn corners(&self, output: Shape, positions: Range<usize>) -> impl Iterator<Item = Corner> {
        let (mut image, pixel) =
            (positions.start / output.pixels(), positions.start % output.pixels());
        let (mut y, mut x) = (pixel / output.width, pixel % output.width);
        let stride = self.stride;
        positions.map(move |_| {
            let corner = Corner { image, top: y * stride, left: x * stride };
            x += 1;
            if x == output.width {
                (x, y) = (0, y + 1);
            }
            if y == output.height {
                (y, image) = (0, image + 1);
            }
            corner
        })
    }

    /// Where in the input the pixels begin that a row of the kernel sees, and which part of the row
    /// sees them; none if the row is beyond the image.
    fn place(&self, input: Shape, corner: Corner, row: usize) -> Option<(usize, Range<usize>)> {
        let Corner { image, top, left } = corner;
        let y = (top + row).checked_sub(self.padding).filter(|y| *y < input.height)?;
        let first = self.padding.saturating_sub(left);
        let end = (input.width + self.padding).saturating_sub(left).min(self.side);
        let x = (left + first).checked_sub(self.padding).filter(|_| first < end)?;
        let pixel = (image * input.height + y) * input.width + x;
        Some((pixel * self.inputs, first * self.inputs..end * self.inputs))
    }
}

/// Where a kernel is: in which image, and where its top left element is in the padded image.
#[derive(Clone, Copy)]
struct Corner {
    image: usize,
    top: usize,
    left: usize,
}
