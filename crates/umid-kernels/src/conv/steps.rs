//! PackedStep steps, and images on their way through them.

use super::convolution::Convolution;
use super::{Conv, Step};
use crate::bf16::Pairs;
use crate::buffers::{Buffers, Values};
use crate::elementwise::{add, keep_positive, rectify, scale};
use crate::product::LANES;
use crate::weight::Precision;

#[derive(Debug)]
pub(super) enum PackedStep {
    Conv(Convolution),
    AveragePool(usize),
    Residual { main: Vec<PackedStep>, skip: Vec<PackedStep> },
}

/// The shape of one image on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) height: usize,
    pub(super) width: usize,
    /// Padded to whole registers with zeros, but for the images themselves.
    pub(super) channels: usize,
}

impl Shape {
    pub(super) fn pixels(self) -> usize {
        self.height * self.width
    }

    pub(super) fn values(self) -> usize {
        self.pixels() * self.channels
    }
}

/// The images of a part, between two steps: `[images, height, width, channels]`.
pub(super) struct Map {
    pub(super) shape: Shape,
    pub(super) values: Values,
}

/// What the steps share while a part passes through them.
pub(super) struct Pass<'a> {
    pub(super) buffers: &'a Buffers,
    pub(super) images: usize,
    /// Room for a left operand in bf16.
    pub(super) rounded: Vec<Pairs>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(buffers: &'a Buffers, images: usize) -> Self {
        Self { buffers, images, rounded: Vec::new() }
    }

    /// A map with anything in it. It is to be given back.
    pub(super) fn map(&self, shape: Shape) -> Map {
        Map { shape, values: self.buffers.take(self.images * shape.values()) }
    }

    pub(super) fn give(&self, map: Map) {
        self.buffers.give(map.values);
    }
}

/// What a step's backward pass needs of its forward pass.
#[derive(Debug)]
pub(super) struct Saved {
    pub(super) input: Shape,
    /// For each output of a ReLU whether it was positive; nothing if there is no ReLU.
    pub(super) positive: Vec<u16>,
    /// Of the two paths of a residual.
    main: Vec<Saved>,
    skip: Vec<Saved>,
}

impl Saved {
    pub(super) fn new(input: Shape) -> Self {
        Self { input, positive: Vec::new(), main: Vec::new(), skip: Vec::new() }
    }
}

/// Packs steps whose input has some channels; their output's channels too.
pub(super) fn pack(
    steps: &[Step],
    inputs: usize,
    precision: Precision,
) -> (Vec<PackedStep>, usize) {
    pack_after(steps, inputs, inputs, precision)
}

/// `stored` channels of the input, of which some are not zeros.
fn pack_after(
    steps: &[Step],
    mut channels: usize,
    mut stored: usize,
    precision: Precision,
) -> (Vec<PackedStep>, usize) {
    let mut packed = Vec::with_capacity(steps.len());
    for step in steps {
        packed.push(match step {
            Step::Conv(conv) => {
                let Conv { inputs, outputs, .. } = *conv;
                assert_eq!(inputs, channels, "a convolution follows {channels} channels");
                let packed = Convolution::new(conv, stored, precision);
                (channels, stored) = (outputs, outputs.next_multiple_of(LANES));
                PackedStep::Conv(packed)
            }
            Step::AveragePool(side) => {
                assert!(*side > 0, "a pool of no pixels");
                PackedStep::AveragePool(*side)
            }
            Step::Residual { main, skip } => {
                assert!(!main.is_empty(), "a residual without steps");
                let (main, outputs) = pack_after(main, channels, stored, precision);
                let (skip, also) = pack_after(skip, channels, stored, precision);
                assert_eq!(outputs, also, "channels of two paths that are added");
                (channels, stored) = (outputs, outputs.next_multiple_of(LANES));
                PackedStep::Residual { main, skip }
            }
        });
    }
    (packed, channels)
}

pub(super) fn output_shape(steps: &[PackedStep], input: Shape) -> Option<Shape> {
    steps.iter().try_fold(input, |shape, step| step.output_shape(shape))
}

/// Takes the input and returns the output.
pub(super) fn forward(steps: &[PackedStep], input: Map, pass: &mut Pass) -> (Map, Vec<Saved>) {
    let mut saved = Vec::with_capacity(steps.len());
    let output = steps.iter().fold(input, |input, step| {
        let (output, kept) = step.forward(&input, pass);
        saved.push(kept);
        pass.give(input);
        output
    });
    (output, saved)
}

/// Takes the gradient of the output and returns that of the input.
pub(super) fn backward(
    steps: &[PackedStep],
    gradient: Map,
    saved: &[Saved],
    pass: &mut Pass,
) -> Map {
    assert_eq!(steps.len(), saved.len(), "what was kept came through another stack");
    steps.iter().zip(saved).rev().fold(gradient, |gradient, (step, saved)| {
        let below = step.backward(&gradient, saved, pass);
        pass.give(gradient);
        below
    })
}

/// As [`forward`], of an input that is needed again. None if there is no step.
fn forward_of(steps: &[PackedStep], input: &Map, pass: &mut Pass) -> Option<(Map, Vec<Saved>)> {
    let (first, rest) = steps.split_first()?;
    let (map, kept) = first.forward(input, pass);
    let (output, mut saved) = forward(rest, map, pass);
    saved.insert(0, kept);
    Some((output, saved))
}

/// As [`backward`], of a gradient that is needed again. None if there is no step.
fn backward_of(
    steps: &[PackedStep],
    gradient: &Map,
    saved: &[Saved],
    pass: &mut Pass,
) -> Option<Map> {
    let ((last, rest), (kept, saved)) = (steps.split_last()?, saved.split_last()?);
    let below = last.backward(gradient, kept, pass);
    Some(backward(rest, below, saved, pass))
}

impl PackedStep {
    pub(super) fn convolutions<'a>(&'a self, to: &mut Vec<&'a Convolution>) {
        match self {
            Self::Conv(conv) => to.push(conv),
            Self::AveragePool(_) => {}
            Self::Residual { main, skip } => {
                main.iter().chain(skip).for_each(|step| step.convolutions(to));
            }
        }
    }

    fn output_shape(&self, input: Shape) -> Option<Shape> {
        match self {
            Self::Conv(conv) => conv.output_shape(input),
            Self::AveragePool(side) => {
                let (height, width) = (input.height / side, input.width / side);
                (height > 0 && width > 0).then_some(Shape { height, width, ..input })
            }
            Self::Residual { main, skip } => {
                let (main, skip) = (output_shape(main, input)?, output_shape(skip, input)?);
                (main == skip).then_some(main)
            }
        }
    }

    fn forward(&self, input: &Map, pass: &mut Pass) -> (Map, Saved) {
        match self {
            Self::Conv(conv) => conv.forward(input, pass),
            Self::AveragePool(side) => (average(input, *side, pass), Saved::new(input.shape)),
            Self::Residual { main, skip } => {
                let mut saved = Saved::new(input.shape);
                let (mut sum, of_main) = forward_of(main, input, pass).expect("it has steps");
                saved.main = of_main;
                saved.positive = vec![0; sum.values.len() / LANES];
                match forward_of(skip, input, pass) {
                    Some((skipped, of_skip)) => {
                        add_and_rectify(&skipped.values, &mut sum.values, &mut saved.positive);
                        pass.give(skipped);
                        saved.skip = of_skip;
                    }
                    None => add_and_rectify(&input.values, &mut sum.values, &mut saved.positive),
                }
                (sum, saved)
            }
        }
    }

    fn backward(&self, gradient: &Map, saved: &Saved, pass: &mut Pass) -> Map {
        match self {
            Self::Conv(conv) => conv.backward(gradient, saved, pass),
            Self::AveragePool(side) => spread(gradient, saved.input, *side, pass),
            Self::Residual { main, skip } => {
                let mut kept = pass.map(gradient.shape);
                keep_positive(&saved.positive, &gradient.values, &mut kept.values);
                let main = backward_of(main, &kept, &saved.main, pass);
                let mut below = main.expect("it has steps");
                if let Some(skipped) = backward_of(skip, &kept, &saved.skip, pass) {
                    add(&skipped.values, &mut below.values);
                    pass.give(skipped);
                } else {
                    add(&kept.values, &mut below.values);
                }
                pass.give(kept);
                below
            }
        }
    }
}

/// The ReLU of a sum, in pieces that stay in a core's first cache between the two.
fn add_and_rectify(values: &[f32], sum: &mut [f32], positive: &mut [u16]) {
    const PIECE: usize = 256;
    let sums = sum.chunks_mut(PIECE * LANES).zip(positive.chunks_mut(PIECE));
    for (values, (sum, positive)) in values.chunks(PIECE * LANES).zip(sums) {
        add(values, sum);
        rectify(sum, positive);
    }
}

/// Means of squares of pixels.
fn average(input: &Map, side: usize, pass: &Pass) -> Map {
    let Shape { height, width, channels } = input.shape;
    let shape = Shape { height: height / side, width: width / side, channels };
    let mut output = pass.map(shape);
    for (i, to) in output.values.chunks_exact_mut(channels).enumerate() {
        to.fill(0.0);
        for from in square(input.shape, shape, i, side) {
            add(&input.values[from * channels..][..channels], to);
        }
        scale(1.0 / (side * side) as f32, to);
    }
    output
}

/// The gradients of pixels, from those of the means of their squares.
fn spread(gradient: &Map, shape: Shape, side: usize, pass: &Pass) -> Map {
    let channels = shape.channels;
    let mut input = pass.map(shape);
    input.values.fill(0.0);
    for (i, from) in gradient.values.chunks_exact(channels).enumerate() {
        for to in square(shape, gradient.shape, i, side) {
            let to = &mut input.values[to * channels..][..channels];
            to.copy_from_slice(from);
            scale(1.0 / (side * side) as f32, to);
        }
    }
    input
}

/// The pixels of the square whose mean is the pixel `i` of the output.
fn square(input: Shape, output: Shape, i: usize, side: usize) -> impl Iterator<Item = usize> {
    let (image, pixel) = (i / output.pixels(), i % output.pixels());
    let (top, left) = (pixel / output.width * side, pixel % output.width * side);
    let first = (image * input.height + top) * input.width + left;
    (0..side).flat_map(move |y| (0..side).map(move |x| first + y * input.width + x))
}
