//! Searching sounds as waveforms, through the differentiable front end.

use burn::tensor::{Device, Tensor};
use ndarray::{Array2, ArrayView2};
use umid_core::Space;

use super::{LogMel, LogMelTensors};

/// The waveform that an audio tower hears.
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
