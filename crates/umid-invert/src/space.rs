//! What is optimised: the variable of an inversion, and how it becomes a model input.

use burn::tensor::{Device, Tensor, TensorData};
use umid_models::Preprocess;

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

/// The model's input itself: normalised pixels.
#[derive(Debug, Clone)]
pub struct PixelSpace {
    shape: [usize; 3],
    valid_range: [(f32, f32); 3],
}

impl PixelSpace {
    /// The pixels that a model with this preprocessing and input shape
    /// (`[channels, height, width]`) takes.
    pub fn new(preprocess: &Preprocess, shape: [usize; 3]) -> Self {
        Self { shape, valid_range: preprocess.valid_range() }
    }
}

impl Space for PixelSpace {
    fn dim(&self) -> usize {
        self.shape.iter().product()
    }

    fn valid_range(&self) -> Vec<(f32, f32)> {
        let [_, height, width] = self.shape;
        self.valid_range.iter().flat_map(|r| std::iter::repeat_n(*r, height * width)).collect()
    }

    fn inputs(&self, variables: Tensor<2>) -> Tensor<4> {
        let [rows, _] = variables.dims();
        let [channels, height, width] = self.shape;
        variables.reshape([rows, channels, height, width])
    }
}

/// Bounds of a space on a device, as rows that broadcast over a batch.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    low: Tensor<2>,
    high: Tensor<2>,
}

impl Bounds {
    pub(crate) fn new(range: &[(f32, f32)], device: &Device) -> Self {
        let row = |bound: fn(&(f32, f32)) -> f32| {
            let values: Vec<f32> = range.iter().map(bound).collect();
            Tensor::from_data(TensorData::new(values, [1, range.len()]), device)
        };
        Self { low: row(|r| r.0), high: row(|r| r.1) }
    }

    /// # Shapes
    ///
    /// - variables, output: `[rows, dim]`
    pub(crate) fn clamp(&self, variables: Tensor<2>) -> Tensor<2> {
        let shape = variables.dims();
        variables.max_pair(self.low.clone().expand(shape)).min_pair(self.high.clone().expand(shape))
    }
}
