//! A convolution with a bias, padded so that an odd kernel keeps the sides.

use burn::module::{Module, Param};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};

use super::visit::{self, Visitor};
use crate::Result;

/// A kernel of odd side and a bias.
#[derive(Module, Debug)]
pub(crate) struct BiasedConvolution {
    /// `[output, input / groups, side, side]`.
    kernel: Param<Tensor<4>>,
    /// `[output]`.
    bias: Param<Tensor<1>>,
    stride: usize,
    groups: usize,
}

impl BiasedConvolution {
    /// # Shapes
    ///
    /// - kernel: `[output, input, side]`
    pub(crate) fn new([output, input, side]: [usize; 3], stride: usize, device: &Device) -> Self {
        let kernel = visit::empty([output, input, side, side], device);
        Self { kernel, bias: visit::empty([output], device), stride, groups: 1 }
    }

    /// Of each channel by itself.
    pub(crate) fn of_channels(width: usize, side: usize, stride: usize, device: &Device) -> Self {
        Self { groups: width, ..Self::new([width, 1, side], stride, device) }
    }

    pub(crate) fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        visitor.plain(&format!("{name}.weight"), &mut self.kernel)?;
        visitor.plain(&format!("{name}.bias"), &mut self.bias)
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
}
