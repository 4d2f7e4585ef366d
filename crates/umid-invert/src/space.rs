//! What is optimised: the variable of an inversion, and how it becomes a model input.

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, ArrayView2};
use umid_models::InputUnits;
use umid_models::audio::{LogMel, LogMelTensors};

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

/// The model's input itself, in the units of [`Model::input_units`](umid_models::Model::input_units):
/// normalised pixels, or log-mels with each bin brought to mean 0 and deviation 1.
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

/// The waveform that an audio tower hears, through the differentiable front end.
#[derive(Debug, Clone)]
pub struct WaveformSpace {
    samples: usize,
    front_end: LogMelTensors,
}

/// Amplitude of a waveform whose variable is 1: that of quiet speech, so that standard normal
/// starts are sounds and not clipped noise.
const AMPLITUDE: f32 = 0.1;

impl WaveformSpace {
    /// Waveforms of the length that a front end reads.
    pub fn new(front_end: &LogMel, device: &Device) -> Self {
        Self { samples: front_end.params().samples, front_end: front_end.on(device) }
    }

    /// The waveforms that variables stand for, in -1..1.
    ///
    /// # Shapes
    ///
    /// - variables, output: `[rows, samples]`
    pub fn samples(&self, variables: ArrayView2<f32>) -> Array2<f32> {
        variables.mapv(|variable| (variable * AMPLITUDE).clamp(-1.0, 1.0))
    }
}

impl Space for WaveformSpace {
    fn dim(&self) -> usize {
        self.samples
    }

    fn valid_range(&self) -> Vec<(f32, f32)> {
        vec![(-1.0 / AMPLITUDE, 1.0 / AMPLITUDE); self.samples]
    }

    fn inputs(&self, variables: Tensor<2>) -> Tensor<4> {
        self.front_end.forward(variables * AMPLITUDE)
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
