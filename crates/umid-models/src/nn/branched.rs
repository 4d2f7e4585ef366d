//! Convolutions that are trained as a sum of branches, folded into one.
//!
//! References: RepVGG (arXiv 2101.03697); MobileOne (arXiv 2206.04040); timm, `MobileOneBlock`,
//! `ReparamLargeKernelConv` and `RepMixer` (`fastvit.py`).

use burn::module::{Module, Param};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};
use umid_core::to_host;

use super::batch_norm::BatchNorm;
use super::visit::{Derived, Visitor, empty, parameter};
use crate::Result;

/// A branch: a convolution without a bias and its batch norm, or a batch norm alone.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    /// Name of the convolution and side of its kernel.
    pub(crate) convolution: Option<(&'static str, usize)>,
    /// Name of the batch norm.
    pub(crate) norm: &'static str,
    /// Whether the branch is added or subtracted.
    pub(crate) sign: f32,
}

impl Branch {
    pub(crate) fn convolution(name: &'static str, norm: &'static str, side: usize) -> Self {
        Self { convolution: Some((name, side)), norm, sign: 1.0 }
    }

    pub(crate) fn identity(norm: &'static str) -> Self {
        Self { convolution: None, norm, sign: 1.0 }
    }
}

/// A sum of branches as one convolution.
#[derive(Module, Debug)]
pub(crate) struct BranchedConvolution {
    /// `[output, input / groups, side, side]`.
    kernel: Param<Tensor<4>>,
    /// `[output]`.
    bias: Param<Tensor<1>>,
    stride: usize,
    groups: usize,
    #[module(skip)]
    branches: Vec<Branch>,
    /// Name of the factor that each channel of the sum has before the input is added.
    #[module(skip)]
    residual: Option<&'static str>,
}

impl BranchedConvolution {
    /// # Shapes
    ///
    /// - kernel: `[output, input / groups, side, side]`, with a side that no branch exceeds
    pub(crate) fn new(
        kernel: [usize; 4],
        stride: usize,
        groups: usize,
        branches: Vec<Branch>,
        device: &Device,
    ) -> Self {
        let (bias, residual) = (empty([kernel[0]], device), None);
        Self { kernel: empty(kernel, device), bias, stride, groups, branches, residual }
    }

    /// The same, added to its input after a factor of each channel.
    pub(crate) fn with_residual(self, factor: &'static str) -> Self {
        Self { residual: Some(factor), ..self }
    }

    pub(crate) fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        let [output, input, ..] = self.kernel.lazy_shape().dims::<4>();
        let mut tensors = Vec::new();
        for branch in &self.branches {
            if let Some((convolution, side)) = branch.convolution {
                let shape = vec![output, input, side, side];
                tensors.push((format!("{name}.{convolution}.weight"), shape));
            }
            let norm = format!("{name}.{}", branch.norm);
            visitor.unused(&format!("{norm}.num_batches_tracked"));
            tensors.extend(BatchNorm::tensors(&norm, output));
        }
        if let Some(factor) = self.residual {
            tensors.push((format!("{name}.{factor}"), vec![output, 1, 1]));
        }
        visitor.derived(&tensors, self)
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, input, rows, columns]`
    /// - output: `[batch, output, rows, columns]`, divided by the stride and rounded up
    pub(crate) fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        let padding = self.kernel.val().dims()[2] / 2;
        let options = ConvOptions::new([self.stride; 2], [padding; 2], [1, 1], self.groups);
        conv2d(hidden, self.kernel.val(), Some(self.bias.val()), options)
    }

    /// Adds a kernel in the middle of another one, per output.
    fn add(&self, sum: &mut [f32], kernel: &[f32], side: usize, sign: f32) {
        let [_, _, full, _] = self.kernel.lazy_shape().dims::<4>();
        let margin = (full - side) / 2;
        for (channel, kernel) in kernel.chunks_exact(side * side).enumerate() {
            for (i, weight) in kernel.iter().enumerate() {
                let (row, column) = (margin + i / side, margin + i % side);
                sum[(channel * full + row) * full + column] += sign * weight;
            }
        }
    }

    /// What passes every channel on, as a kernel of one pixel.
    fn identity(&self) -> Vec<f32> {
        let [output, input, ..] = self.kernel.lazy_shape().dims::<4>();
        let mut kernel = vec![0.0; output * input];
        for channel in 0..output {
            kernel[channel * input + channel % input] = 1.0;
        }
        kernel
    }
}

impl Derived for BranchedConvolution {
    fn set(&mut self, stored: Vec<Vec<f32>>, device: &Device) {
        let shape: [usize; 4] = self.kernel.lazy_shape().dims();
        let mut sum = vec![0.0; shape.iter().product()];
        let mut bias = vec![0.0; shape[0]];
        let mut stored = stored.into_iter();
        for branch in &self.branches {
            let (mut kernel, side) = match branch.convolution {
                Some((_, side)) => (stored.next().expect("described first"), side),
                None => (self.identity(), 1),
            };
            let norm = BatchNorm::of(stored.by_ref().take(BatchNorm::PARTS.len()).collect());
            let mut shift = vec![0.0; shape[0]];
            norm.fold_into(&mut kernel, &mut shift);
            self.add(&mut sum, &kernel, side, branch.sign);
            for (bias, shift) in bias.iter_mut().zip(&shift) {
                *bias += branch.sign * shift;
            }
        }
        if let Some(factors) = stored.next() {
            let each = sum.len() / factors.len();
            for ((kernel, bias), factor) in sum.chunks_exact_mut(each).zip(&mut bias).zip(&factors)
            {
                for value in kernel.iter_mut().chain([bias]) {
                    *value *= factor;
                }
            }
            self.add(&mut sum, &self.identity(), 1, 1.0);
        }
        self.kernel = parameter(sum, shape, device);
        self.bias = parameter(bias, [shape[0]], device);
    }

    /// All of it in the first branch whose kernel is as large; the others add nothing.
    fn get(&self) -> Vec<Vec<f32>> {
        let shape: [usize; 4] = self.kernel.dims();
        let [output, input, full, _] = shape;
        let mut kernel = to_host(self.kernel.val().inner());
        if self.residual.is_some() {
            self.add(&mut kernel, &self.identity(), 1, -1.0);
        }
        let mut whole = Some((kernel, to_host(self.bias.val().inner())));
        let mut stored = Vec::new();
        for branch in &self.branches {
            let side = branch.convolution.map(|(_, side)| side);
            let all = if side == Some(full) { whole.take() } else { None };
            let (kernel, norm) = if let Some((kernel, bias)) = all {
                (kernel, BatchNorm::adding(bias))
            } else {
                let side = side.unwrap_or_default();
                (vec![0.0; output * input * side * side], BatchNorm::of_zeros(output))
            };
            if side.is_some() {
                stored.push(kernel);
            }
            stored.extend(norm.stored());
        }
        if self.residual.is_some() {
            stored.push(vec![1.0; output]);
        }
        stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The branches that are stored again make the same convolution, with and without a factor.
    #[test]
    fn what_is_exported_makes_the_same_convolution() {
        let device = crate::default_device().expect("a device");
        let branches = || {
            vec![
                Branch { sign: -1.0, ..Branch::identity("norm") },
                Branch::convolution("whole", "whole_norm", 3),
                Branch::convolution("pixel", "pixel_norm", 1),
            ]
        };
        let plain = || BranchedConvolution::new([4, 1, 3, 3], 1, 4, branches(), &device);
        for residual in [false, true] {
            let make = || if residual { plain().with_residual("factor") } else { plain() };
            let sizes = [&[4; 4][..], &[36, 4, 4, 4, 4], &[4; 5]].concat();
            let mut next = 0.0f32;
            let mut values = |count: usize| -> Vec<f32> {
                (0..count)
                    .map(|_| {
                        next += 1.0;
                        1.5 + (0.7 * next).sin()
                    })
                    .collect()
            };
            let mut stored: Vec<Vec<f32>> = sizes.iter().map(|count| values(*count)).collect();
            if residual {
                stored.push(values(4));
            }
            let [mut first, mut again] = [make(), make()];
            first.set(stored, &device);
            again.set(first.get(), &device);
            let numbers = |convolution: &BranchedConvolution| {
                [to_host(convolution.kernel.val()), to_host(convolution.bias.val())].concat()
            };
            let (first, again) = (numbers(&first), numbers(&again));
            assert_eq!(first.len(), again.len());
            for (first, again) in first.iter().zip(&again) {
                assert!((first - again).abs() < 1e-5, "{first} {again}");
            }
        }
    }
}
