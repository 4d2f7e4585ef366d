//! What several crates share, and nothing else: the traits of input towers and of the spaces in
//! which inputs are searched, two functions of tensors, and the one way to replace a file.
//!
//! `umid-models` implements them for published checkpoints, `umid-invert` runs inversions through
//! them, and neither needs the other: a model of your own that implements [`InputTower`] can be
//! inverted without a tokenizer or a decoder in sight.

pub mod atomic;

use std::f64::consts::FRAC_1_SQRT_2;

use burn::tensor::Tensor;

/// An input tower: a differentiable function from inputs to embeddings.
pub trait InputTower {
    /// Shape of one input: `[channels, height, width]`; for sound `[1, frames, mel_bins]`.
    fn input_shape(&self) -> [usize; 3];

    /// Embeds a batch of inputs; the result is f32 and not normalised.
    ///
    /// # Shapes
    ///
    /// - inputs: `[batch, channels, height, width]`
    /// - output: `[batch, embedding_dim]`
    fn embed(&self, inputs: Tensor<4>) -> Tensor<2>;
}

/// A space in which inputs are searched.
///
/// A variable is a row of `dim` numbers; rows never mix.
pub trait Space {
    /// Numbers in one variable.
    fn dim(&self) -> usize;

    /// Range of each number of a variable, `[dim]`: for uniform starts and for clamping.
    fn valid_range(&self) -> Vec<(f32, f32)>;

    /// Model inputs for a batch of variables, differentiably.
    ///
    /// # Shapes
    ///
    /// - variables: `[rows, dim]`
    /// - output: `[rows, channels, height, width]`
    fn inputs(&self, variables: Tensor<2>) -> Tensor<4>;
}

/// Units in which an input is searched: input = mean + deviation x variable, elementwise.
///
/// For images these are the input's own units, because pixels are normalised already. For sound
/// they are the units to which the audio tower itself brings each mel bin before its first layer.
#[derive(Debug, Clone, PartialEq)]
pub struct InputUnits {
    /// `[channels, height, width]`.
    pub shape: [usize; 3],
    /// Mean of each element of the last axis: `[width]`.
    pub mean: Vec<f32>,
    /// Standard deviation of each element of the last axis: `[width]`.
    pub deviation: Vec<f32>,
    /// Range of each element of an input: `[channels * height * width]`.
    pub valid_range: Vec<(f32, f32)>,
}

/// The exact GELU, through the error function (Hendrycks and Gimpel 2016).
///
/// It is written out because on GPUs the gradient of burn's own GELU is that of another function,
/// the approximation through tanh.
///
/// # Shapes
///
/// - inputs, output: any, elementwise
pub fn gelu<const D: usize>(inputs: Tensor<D>) -> Tensor<D> {
    let half = inputs.clone() * 0.5;
    half.clone() * (inputs * FRAC_1_SQRT_2).erf() + half
}

/// A tensor's values on the host, in row-major order.
///
/// # Panics
///
/// If the tensor is not of type f32, as embeddings, variables and text states always are.
pub fn to_host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().expect("an f32 tensor")
}
