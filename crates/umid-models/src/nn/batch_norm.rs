//! Batch norms in evaluation mode: over mel bins, and folded into the convolution before them.

use burn::module::{Module, Param};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};
use umid_core::to_host;

use super::visit::{Derived, Visitor, empty, parameter};
use crate::Result;

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
    pub(crate) fn new(bins: usize, device: &Device) -> Self {
        Self {
            scale: empty([bins], device),
            shift: empty([bins], device),
            mean: vec![0.0; bins],
            deviation: vec![1.0; bins],
        }
    }

    pub(crate) fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        visitor.unused(&format!("{name}.num_batches_tracked"));
        visitor.derived(&BatchNorm::tensors(name, self.mean.len()), self)
    }

    /// # Shapes
    ///
    /// - log_mels, output: `[..., mel_bins]`
    pub(crate) fn forward<const D: usize>(&self, log_mels: Tensor<D>) -> Tensor<D> {
        let row = |values: &Param<Tensor<1>>| values.val().unsqueeze::<D>();
        log_mels * row(&self.scale) + row(&self.shift)
    }

    /// Mean and deviation of the inputs that the tower was trained on, in decibels: `[mel_bins]`
    /// each.
    pub(crate) fn statistics(&self) -> (Vec<f32>, Vec<f32>) {
        (self.mean.clone(), self.deviation.clone())
    }
}

impl Derived for MelNorm {
    fn set(&mut self, stored: Vec<Vec<f32>>, device: &Device) {
        let BatchNorm { gain, bias, mean, deviation } = BatchNorm::of(stored);
        let bins = gain.len();
        let scale: Vec<f32> =
            gain.iter().zip(&deviation).map(|(g, d)| (f64::from(*g) / d) as f32).collect();
        let shift = (0..bins).map(|i| bias[i] - mean[i] * scale[i]).collect();
        self.scale = parameter(scale, [bins], device);
        self.shift = parameter(shift, [bins], device);
        self.mean = mean;
        self.deviation = deviation.into_iter().map(|d| d as f32).collect();
    }

    fn get(&self) -> Vec<Vec<f32>> {
        let (scale, shift) = (to_host(self.scale.val().inner()), to_host(self.shift.val().inner()));
        let norm = BatchNorm {
            gain: scale.iter().zip(&self.deviation).map(|(s, d)| s * d).collect(),
            bias: (0..scale.len()).map(|i| shift[i] + self.mean[i] * scale[i]).collect(),
            mean: self.mean.clone(),
            deviation: self.deviation.iter().map(|d| f64::from(*d)).collect(),
        };
        norm.stored().to_vec()
    }
}

/// A convolution with its batch norm folded in.
#[derive(Module, Debug)]
pub(crate) struct Convolution {
    pub(crate) kernel: Param<Tensor<4>>,
    pub(crate) bias: Param<Tensor<1>>,
    /// Whether the convolution has a bias of its own in the file.
    stored_bias: bool,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

impl Convolution {
    /// # Shapes
    ///
    /// - kernel: `[output, input, rows, columns]`
    pub(crate) fn new(kernel: [usize; 4], stride: usize, padding: usize, device: &Device) -> Self {
        let bias = empty([kernel[0]], device);
        Self { kernel: empty(kernel, device), bias, stored_bias: false, stride, padding }
    }

    /// The same, with a bias of its own in the file.
    pub(crate) fn with_stored_bias(self) -> Self {
        Self { stored_bias: true, ..self }
    }

    /// `name` is the convolution's, `norm` the batch norm's.
    pub(crate) fn describe(
        &mut self,
        visitor: &mut impl Visitor,
        name: &str,
        norm: &str,
    ) -> Result<()> {
        let kernel = self.kernel.lazy_shape().to_vec();
        let width = kernel[0];
        let mut tensors = vec![(format!("{name}.weight"), kernel)];
        if self.stored_bias {
            tensors.push((format!("{name}.bias"), vec![width]));
        }
        tensors.extend(BatchNorm::tensors(norm, width));
        visitor.unused(&format!("{norm}.num_batches_tracked"));
        visitor.derived(&tensors, self)
    }

    /// Kernel and bias on the host.
    pub(crate) fn values(&self) -> [Vec<f32>; 2] {
        [to_host(self.kernel.val()), to_host(self.bias.val())]
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, input, rows, columns]`
    /// - output: `[batch, output, rows, columns]`, divided by the stride
    pub(crate) fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        let options = ConvOptions::new([self.stride; 2], [self.padding; 2], [1, 1], 1);
        conv2d(hidden, self.kernel.val(), Some(self.bias.val()), options)
    }
}

impl Derived for Convolution {
    fn set(&mut self, mut stored: Vec<Vec<f32>>, device: &Device) {
        let norm = BatchNorm::of(stored.split_off(stored.len() - BatchNorm::PARTS.len()));
        let mut stored = stored.into_iter();
        let mut kernel = stored.next().expect("described first");
        let mut bias = stored.next().unwrap_or_else(|| vec![0.0; norm.gain.len()]);
        norm.fold_into(&mut kernel, &mut bias);
        self.kernel = parameter(kernel, self.kernel.lazy_shape().dims(), device);
        self.bias = parameter(bias, self.bias.lazy_shape().dims(), device);
    }

    /// The kernel as it is, and a batch norm that adds the bias and changes nothing else.
    fn get(&self) -> Vec<Vec<f32>> {
        let bias = to_host(self.bias.val().inner());
        let mut stored = vec![to_host(self.kernel.val().inner())];
        if self.stored_bias {
            stored.push(vec![0.0; bias.len()]);
        }
        stored.extend(BatchNorm::adding(bias).stored());
        stored
    }
}

/// A batch norm's numbers.
pub(crate) struct BatchNorm {
    gain: Vec<f32>,
    bias: Vec<f32>,
    mean: Vec<f32>,
    deviation: Vec<f64>,
}

impl BatchNorm {
    pub(crate) const PARTS: [&str; 4] = ["weight", "bias", "running_mean", "running_var"];

    /// Names and shapes of the stored tensors.
    pub(crate) fn tensors(name: &str, width: usize) -> Vec<(String, Vec<usize>)> {
        Self::PARTS.iter().map(|part| (format!("{name}.{part}"), vec![width])).collect()
    }

    pub(crate) fn of(stored: Vec<Vec<f32>>) -> Self {
        let [gain, bias, mean, variance] =
            stored.try_into().expect("as many tensors as were described");
        let deviation = variance.iter().map(|v| (f64::from(*v) + EPSILON).sqrt()).collect();
        Self { gain, bias, mean, deviation }
    }

    pub(crate) fn stored(self) -> [Vec<f32>; 4] {
        let variance = self.deviation.iter().map(|d| (d * d - EPSILON) as f32).collect();
        [self.gain, self.bias, self.mean, variance]
    }

    /// One that changes nothing but adds a bias.
    pub(crate) fn adding(bias: Vec<f32>) -> Self {
        let width = bias.len();
        Self { gain: vec![1.0; width], bias, mean: vec![0.0; width], deviation: vec![1.0; width] }
    }

    /// One that makes 0 of everything.
    pub(crate) fn of_zeros(width: usize) -> Self {
        Self { gain: vec![0.0; width], ..Self::adding(vec![0.0; width]) }
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
