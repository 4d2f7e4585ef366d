//! Frozen towers of convolutions: the forward pass, and the backward pass to the images.
//!
//! A tower is a list of [`Step`]s. A models crate folds each batch norm into the convolution before
//! it, describes the tower once, and packs it:
//!
//! ```
//! use umid_kernels::{Conv, ConvStack, Precision, Relu, Step};
//!
//! let (kernel, bias) = (vec![0.1; 8 * 3 * 3 * 3], vec![0.0; 8]);
//! let conv = Conv {
//!     kernel: &kernel,
//!     bias: Some(&bias),
//!     inputs: 3,
//!     outputs: 8,
//!     side: 3,
//!     stride: 2,
//!     padding: 1,
//!     relu: Relu::Yes,
//! };
//! let tower = ConvStack::new(&[Step::Conv(conv), Step::AveragePool(2)], Precision::F32);
//! let images = vec![1.0; 2 * 3 * 32 * 32];
//! let (features, passed) = tower.forward_for_backward(&images, 32, 32);
//! assert_eq!(tower.output_shape(32, 32), Some([8, 8, 8]));
//! assert_eq!(features.len(), 2 * 8 * 8 * 8);
//! let gradient = tower.backward(&features, &passed);
//! assert_eq!(gradient.len(), images.len());
//! ```
//!
//! Inside, channels are innermost, so that a convolution is a product of rows, one per pixel: of
//! the pixels themselves where the kernel has one element, else of what the kernel sees, gathered
//! in chunks that stay in a core's cache. The gradient of a convolution whose stride is 1 is the
//! convolution with the kernel turned round; else the gradients of what the kernel saw are
//! scattered to the pixels, in the same order for every batch. The backward pass needs nothing of
//! the forward pass but which outputs of a ReLU were positive: one bit each.

mod convolution;
mod steps;

use std::sync::Arc;

use rayon::prelude::*;

use crate::buffers::Buffers;
use crate::folded::Stored;
use crate::weight::Precision;
use steps::{PackedStep, Pass, Saved, Shape};

/// Images that pass through all steps together on one core, at most: more use more memory and are
/// no faster on an RN50.
const IMAGES: usize = 2;

/// A step of a tower.
#[derive(Debug, Clone)]
pub enum Step<'a> {
    /// A convolution.
    Conv(Conv<'a>),
    /// Means of squares of this many pixels on a side, one beside the other. Pixels that fill no
    /// square are left out.
    AveragePool(usize),
    /// The ReLU of the sum of two paths.
    Residual {
        /// The path that has steps.
        main: Vec<Step<'a>>,
        /// The other path; the input itself if it has no steps.
        skip: Vec<Step<'a>>,
    },
}

/// A convolution with a square kernel, with any batch norm folded in.
#[derive(Debug, Clone, Copy)]
pub struct Conv<'a> {
    /// As PyTorch stores it: `[outputs, inputs, side, side]`.
    pub kernel: &'a dyn Stored,
    /// `[outputs]`; none if there is no bias.
    pub bias: Option<&'a [f32]>,
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Elements of the kernel on a side.
    pub side: usize,
    /// Pixels from one position of the kernel to the next.
    pub stride: usize,
    /// Zeros around the image, on every side.
    pub padding: usize,
    /// Whether a ReLU follows.
    pub relu: Relu,
}

/// Whether a ReLU follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relu {
    /// The positive part is the output.
    Yes,
    /// The sum is the output.
    No,
}

/// A tower of convolutions with frozen weights, packed for both directions.
///
/// Results are bitwise identical for any batch composition, order or number of threads.
#[derive(Debug)]
pub struct ConvStack {
    steps: Vec<PackedStep>,
    /// Channels of the images and of the features.
    channels: [usize; 2],
    buffers: Arc<Buffers>,
}

/// What a backward pass of a [`ConvStack`] needs of its forward pass.
#[derive(Debug)]
pub struct ConvPassed {
    parts: Vec<Vec<Saved>>,
    batch: Batch,
}

/// How a batch is cut into parts.
#[derive(Debug, Clone, Copy)]
struct Batch {
    images: usize,
    /// Images of a part; the last part may have fewer.
    each: usize,
    input: Shape,
    output: Shape,
}

impl ConvStack {
    /// Packs a tower.
    ///
    /// # Panics
    ///
    /// If the first step is no convolution, if a residual's main path has no steps, if a kernel or bias has another shape than its step
    /// says, if steps that follow one another or paths that are added differ in channels, if a
    /// stride, a side or a pool is zero, or if this processor lacks the precision
    /// ([`Precision::is_available`]).
    #[must_use]
    pub fn new(steps: &[Step], precision: Precision) -> Self {
        assert!(precision.is_available(), "no kernels for {precision:?} on this processor");
        let Some(Step::Conv(first)) = steps.first() else { panic!("no convolution comes first") };
        let (packed, outputs) = steps::pack(steps, first.inputs, precision);
        let channels = [first.inputs, outputs];
        Self { steps: packed, channels, buffers: Arc::default() }
    }

    /// Channels of the images.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels[0]
    }

    /// Height, width and channels of an image's features; none if an image of this size is too
    /// small for a step, or if two paths that are added come out in different sizes.
    #[must_use]
    pub fn output_shape(&self, height: usize, width: usize) -> Option<[usize; 3]> {
        let shape = self.last_shape(self.input_shape(height, width))?;
        Some([shape.height, shape.width, self.channels[1]])
    }

    /// With the channels as they are stored.
    fn last_shape(&self, input: Shape) -> Option<Shape> {
        (input.pixels() > 0).then(|| steps::output_shape(&self.steps, input)).flatten()
    }

    fn input_shape(&self, height: usize, width: usize) -> Shape {
        Shape { height, width, channels: self.channels[0] }
    }

    /// The features of images. An empty batch has an empty result.
    ///
    /// # Shapes
    ///
    /// - images: `[batch, channels, height, width]`
    /// - output: `[batch, height, width, channels]` of [`ConvStack::output_shape`]
    ///
    /// # Panics
    ///
    /// If images do not fill the values, or if they have no output shape.
    #[must_use]
    pub fn forward(&self, images: &[f32], height: usize, width: usize) -> Vec<f32> {
        self.pass(images, &self.batch(images, height, width), drop).0
    }

    /// As [`ConvStack::forward`], keeping what [`ConvStack::backward`] needs: a bit for each output
    /// of a ReLU.
    ///
    /// # Panics
    ///
    /// As [`ConvStack::forward`].
    #[must_use]
    pub fn forward_for_backward(
        &self,
        images: &[f32],
        height: usize,
        width: usize,
    ) -> (Vec<f32>, ConvPassed) {
        let batch = self.batch(images, height, width);
        // A core that has no part of a small batch packs what the backward pass will ask for.
        let ((output, parts), ()) =
            rayon::join(|| self.pass(images, &batch, |saved| saved), || self.pack_backward());
        (output, ConvPassed { parts, batch })
    }

    fn batch(&self, images: &[f32], height: usize, width: usize) -> Batch {
        let input = self.input_shape(height, width);
        let output = self.last_shape(input);
        let output = output.unwrap_or_else(|| panic!("no features of {height} x {width} pixels"));
        let count = images.len() / input.values();
        assert_eq!(count * input.values(), images.len(), "not whole images");
        // A whole number of parts per core, of nearly as many images each.
        let cores = rayon::current_num_threads();
        let parts = count.div_ceil(IMAGES).next_multiple_of(cores);
        let each = count.div_ceil(parts.max(1)).max(1);
        let output = Shape { channels: self.channels[1], ..output };
        Batch { images: count, each, input, output }
    }

    fn pass<K: Send>(
        &self,
        images: &[f32],
        batch: &Batch,
        keep: impl Fn(Vec<Saved>) -> K + Sync,
    ) -> (Vec<f32>, Vec<K>) {
        let (input, output) = (batch.input, batch.output);
        let mut features = vec![0.0; batch.images * output.values()];
        let parts = images
            .par_chunks(batch.each * input.values())
            .zip(features.par_chunks_mut(batch.each * output.values()))
            .map(|(images, features)| {
                let count = images.len() / input.values();
                let mut pass = Pass::new(&self.buffers, count);
                let mut first = pass.map(input);
                channels_last(images, input, &mut first.values);
                let (last, saved) = steps::forward(&self.steps, first, &mut pass);
                copy_rows(&last.values, last.shape.channels, features, output.channels);
                pass.give(last);
                keep(saved)
            })
            .collect();
        (features, parts)
    }

    /// Each convolution on one core: a core that waits for a packed weight never has to be the one
    /// that packs it.
    fn pack_backward(&self) {
        let mut convolutions = Vec::new();
        self.steps.iter().for_each(|step| step.convolutions(&mut convolutions));
        convolutions.par_iter().for_each(|conv| conv.pack_backward());
    }

    /// The gradient of the images, from that of the features.
    ///
    /// # Shapes
    ///
    /// - gradient: as the output of the forward pass
    /// - output: as the images
    ///
    /// # Panics
    ///
    /// If the gradient has another shape, or `passed` is another stack's.
    #[must_use]
    pub fn backward(&self, gradient: &[f32], passed: &ConvPassed) -> Vec<f32> {
        let batch = passed.batch;
        let (input, output) = (batch.input, batch.output);
        assert_eq!(gradient.len(), batch.images * output.values(), "not the shape of the output");
        let mut images = vec![0.0; batch.images * input.values()];
        images
            .par_chunks_mut(batch.each * input.values())
            .zip(gradient.par_chunks(batch.each * output.values()))
            .zip(&passed.parts)
            .for_each(|((images, gradient), saved)| {
                let count = images.len() / input.values();
                let mut pass = Pass::new(&self.buffers, count);
                let padded = self.last_shape(input).expect("as going forward");
                let mut last = pass.map(padded);
                last.values.fill(0.0);
                copy_rows(gradient, output.channels, &mut last.values, padded.channels);
                let first = steps::backward(&self.steps, last, saved, &mut pass);
                channels_first(&first.values, input, images);
                pass.give(first);
            });
        images
    }
}

/// `[images, channels, pixels]` to `[images, pixels, channels]`.
fn channels_last(images: &[f32], shape: Shape, to: &mut [f32]) {
    let pixels = shape.height * shape.width;
    let each = shape.values();
    for (image, to) in images.chunks_exact(each).zip(to.chunks_exact_mut(each)) {
        for (channel, plane) in image.chunks_exact(pixels).enumerate() {
            for (to, value) in to[channel..].iter_mut().step_by(shape.channels).zip(plane) {
                *to = *value;
            }
        }
    }
}

/// `[images, pixels, channels]` to `[images, channels, pixels]`.
fn channels_first(rows: &[f32], shape: Shape, images: &mut [f32]) {
    let pixels = shape.height * shape.width;
    let each = shape.values();
    for (rows, image) in rows.chunks_exact(each).zip(images.chunks_exact_mut(each)) {
        for (channel, plane) in image.chunks_exact_mut(pixels).enumerate() {
            for (to, value) in plane.iter_mut().zip(rows[channel..].iter().step_by(shape.channels))
            {
                *to = *value;
            }
        }
    }
}

/// The columns that both have, of rows of different widths.
fn copy_rows(from: &[f32], from_width: usize, to: &mut [f32], to_width: usize) {
    let columns = from_width.min(to_width);
    for (from, to) in from.chunks_exact(from_width).zip(to.chunks_exact_mut(to_width)) {
        to[..columns].copy_from_slice(&from[..columns]);
    }
}
