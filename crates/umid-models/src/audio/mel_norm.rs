//! The batch norm over mel bins that both audio towers begin with, in evaluation mode.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use crate::Result;
use crate::model::to_host;
use crate::save::Export;
use crate::transformer::parameter;
use crate::weights::Weights;

/// Epsilon of a batch norm (PyTorch's default).
pub(crate) const EPSILON: f64 = 1e-5;

/// A factor and a summand for each mel bin.
#[derive(Module, Debug)]
pub(crate) struct MelNorm {
    /// `[mel_bins]`.
    scale: Param<Tensor<1>>,
    /// `[mel_bins]`.
    shift: Param<Tensor<1>>,
    #[module(skip)]
    mean: Vec<f32>,
    #[module(skip)]
    deviation: Vec<f32>,
}

impl MelNorm {
    pub(crate) fn load(
        weights: &Weights,
        name: &str,
        bins: usize,
        device: &Device,
    ) -> Result<Self> {
        let BatchNorm { gain, bias, mean, deviation } = BatchNorm::take(weights, name, bins)?;
        let scale: Vec<f32> =
            gain.iter().zip(&deviation).map(|(g, d)| (f64::from(*g) / d) as f32).collect();
        let shift = (0..bins).map(|i| bias[i] - mean[i] * scale[i]).collect();
        Ok(Self {
            scale: parameter(scale, [bins], device),
            shift: parameter(shift, [bins], device),
            mean,
            deviation: deviation.into_iter().map(|d| d as f32).collect(),
        })
    }

    pub(crate) fn export(&self, out: &mut Export, name: &str) {
        let (scale, shift) = (to_host(self.scale.val().inner()), to_host(self.shift.val().inner()));
        let gain: Vec<f32> = scale.iter().zip(&self.deviation).map(|(s, d)| s * d).collect();
        let bias = (0..scale.len()).map(|i| shift[i] + self.mean[i] * scale[i]).collect();
        let batch_norm = BatchNorm {
            gain,
            bias,
            mean: self.mean.clone(),
            deviation: self.deviation.iter().map(|d| f64::from(*d)).collect(),
        };
        batch_norm.export(out, name);
    }

    /// # Shapes
    ///
    /// - log_mels, output: `[..., mel_bins]`
    pub(crate) fn forward<const D: usize>(&self, log_mels: Tensor<D>) -> Tensor<D> {
        let row = |values: &Param<Tensor<1>>| values.val().unsqueeze::<D>();
        log_mels * row(&self.scale) + row(&self.shift)
    }

    /// Mean and deviation of the inputs that the tower was trained on: `[mel_bins]` each.
    pub(crate) fn statistics(&self) -> (Vec<f32>, Vec<f32>) {
        (self.mean.clone(), self.deviation.clone())
    }
}

/// A batch norm's numbers.
pub(crate) struct BatchNorm {
    pub(crate) gain: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) mean: Vec<f32>,
    pub(crate) deviation: Vec<f64>,
}

impl BatchNorm {
    pub(crate) fn take(weights: &Weights, name: &str, width: usize) -> Result<Self> {
        weights.skip(&format!("{name}.num_batches_tracked"));
        let vector = |part: &str| weights.take(&format!("{name}.{part}"), &[width]);
        let (gain, bias) = (vector("weight")?, vector("bias")?);
        let (mean, variance) = (vector("running_mean")?, vector("running_var")?);
        let deviation = variance.iter().map(|v| (f64::from(*v) + EPSILON).sqrt()).collect();
        Ok(Self { gain, bias, mean, deviation })
    }

    /// One that changes nothing but adds a bias.
    pub(crate) fn adding(bias: Vec<f32>) -> Self {
        let width = bias.len();
        Self { gain: vec![1.0; width], bias, mean: vec![0.0; width], deviation: vec![1.0; width] }
    }

    pub(crate) fn export(self, out: &mut Export, name: &str) {
        let variance = self.deviation.iter().map(|d| (d * d - EPSILON) as f32).collect();
        let parts = [
            ("weight", self.gain),
            ("bias", self.bias),
            ("running_mean", self.mean),
            ("running_var", variance),
        ];
        for (part, values) in parts {
            out.push(&format!("{name}.{part}"), vec![values.len()], values);
        }
    }

    /// Lets the convolution before it do what it does.
    ///
    /// # Shapes
    ///
    /// - kernel: `[output, ...]`; bias: `[output]`
    pub(crate) fn fold_into(&self, kernel: &mut [f32], bias: &mut [f32]) {
        let each = kernel.len() / bias.len();
        for (i, kernel) in kernel.chunks_exact_mut(each).enumerate() {
            let factor = (f64::from(self.gain[i]) / self.deviation[i]) as f32;
            for weight in kernel {
                *weight *= factor;
            }
            bias[i] = (bias[i] - self.mean[i]) * factor + self.bias[i];
        }
    }
}
