//! What is optimised: the variable of an inversion, and how it becomes a model input.

use burn::tensor::{Device, Tensor, TensorData};
use umid_core::{InputUnits, Space};

/// The model's input itself, in the model's [`InputUnits`]: normalised pixels, or log-mels with each
/// bin brought to mean 0 and deviation 1.
#[derive(Debug, Clone)]
pub struct InputSpace {
    shape: [usize; 3],
    valid_range: Vec<(f32, f32)>,
    /// Mean and deviation of the last axis, `[1, 1, 1, width]`; none where there is nothing to do.
    units: Option<(Tensor<4>, Tensor<4>)>,
}

impl InputSpace {
    /// The inputs of a model, searched on the device where its weights are.
    pub fn new(units: &InputUnits, device: &Device) -> Self {
        let InputUnits { shape, mean, deviation, valid_range } = units;
        let each = mean.iter().zip(deviation).cycle();
        let range = |(mean, deviation): (&f32, &f32), (low, high): &(f32, f32)| {
            ((low - mean) / deviation, (high - mean) / deviation)
        };
        let width = mean.len();
        let plain = *mean == vec![0.0; width] && *deviation == vec![1.0; width];
        let row = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [1, 1, 1, values.len()]);
            Tensor::<4>::from_data(data, device)
        };
        Self {
            shape: *shape,
            valid_range: each.zip(valid_range).map(|(units, r)| range(units, r)).collect(),
            units: (!plain).then(|| (row(mean), row(deviation))),
        }
    }
}

impl Space for InputSpace {
    fn dim(&self) -> usize {
        self.shape.iter().product()
    }

    fn valid_range(&self) -> Vec<(f32, f32)> {
        self.valid_range.clone()
    }

    fn inputs(&self, variables: Tensor<2>) -> Tensor<4> {
        let [rows, _] = variables.dims();
        let [channels, height, width] = self.shape;
        let inputs = variables.reshape([rows, channels, height, width]);
        match &self.units {
            Some((mean, deviation)) => inputs * deviation.clone() + mean.clone(),
            None => inputs,
        }
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
