//! Attentional feature fusion: a long clip's three crops beside a shrunk version of the whole.
//!
//! Reference: transformers, `ClapAudioPatchEmbed` and `ClapAudioAFFBlock`, in evaluation mode.

use burn::module::{Module, Param};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};

use super::mel_norm::BatchNorm;
use crate::Result;
use crate::config::{FusionConfig, HtsatConfig};
use crate::transformer::parameter;
use crate::weights::Weights;

const PREFIX: &str = "audio_model.audio_encoder.patch_embed";
/// Crops beside the whole.
pub(crate) const CROPS: usize = 3;

/// Patches of the crops, and how they are mixed with those of the whole.
#[derive(Module, Debug)]
pub(crate) struct Fusion {
    kernel: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
    local: Attention,
    global: Attention,
    stride: [usize; 2],
    padding: [usize; 2],
}

impl Fusion {
    pub(crate) fn load(
        weights: &Weights,
        fusion: &FusionConfig,
        config: &HtsatConfig,
        device: &Device,
    ) -> Result<Self> {
        let width = config.width;
        let ([rows, columns], [down, right]) = (config.patch_size, config.patch_stride);
        let shape = [width, 1, rows, CROPS * columns];
        let kernel = weights.take(&format!("{PREFIX}.mel_conv2d.weight"), &shape)?;
        let bias = weights.take(&format!("{PREFIX}.mel_conv2d.bias"), &[width])?;
        let inner = width / fusion.reduction;
        let attention = |name: &str, first: usize| {
            Attention::load(
                weights,
                &format!("{PREFIX}.fusion_model.{name}"),
                first,
                width,
                inner,
                device,
            )
        };
        Ok(Self {
            kernel: parameter(kernel, shape, device),
            bias: parameter(bias, [width], device),
            local: attention("local_att", 0)?,
            // The global branch pools before its first layer.
            global: attention("global_att", 1)?,
            stride: [down, CROPS * right],
            padding: config.padding(),
        })
    }

    /// # Shapes
    ///
    /// - whole, output: `[batch, width, rows, columns]`, patches of the whole clip
    /// - squares: `[batch, 4, side, side]`, the whole and its crops
    pub(crate) fn forward(&self, whole: Tensor<4>, squares: Tensor<4>) -> Tensor<4> {
        let [batch, _, side, across] = squares.dims();
        let crops = squares.narrow(1, 1, CROPS).reshape([batch * CROPS, 1, side, across]);
        let options = ConvOptions::new(self.stride, self.padding, [1, 1], 1);
        let crops = conv2d(crops, self.kernel.val(), Some(self.bias.val()), options);
        let [_, width, rows, columns] = crops.dims();
        let crops = crops
            .reshape([batch, CROPS, width, rows, columns])
            .permute([0, 2, 3, 1, 4])
            .reshape([batch, width, rows, CROPS * columns]);
        let missing = whole.dims()[3] - CROPS * columns;
        let crops = if missing > 0 {
            let zeros =
                Tensor::zeros([batch, width, rows, missing], (&crops.device(), crops.dtype()));
            Tensor::cat(vec![crops, zeros], 3)
        } else {
            crops
        };
        let sum = whole.clone() + crops.clone();
        let pooled = sum.clone().mean_dim(2).mean_dim(3);
        let share = sigmoid(self.local.forward(sum) + self.global.forward(pooled));
        whole * share.clone() * 2.0 + crops * (share.neg() + 1.0) * 2.0
    }
}

/// Two convolutions of one pixel, each with its batch norm folded in.
#[derive(Module, Debug)]
struct Attention {
    down: Pixelwise,
    up: Pixelwise,
}

impl Attention {
    fn load(
        weights: &Weights,
        prefix: &str,
        first: usize,
        width: usize,
        inner: usize,
        device: &Device,
    ) -> Result<Self> {
        let layer =
            |at: usize, input, output| Pixelwise::load(weights, prefix, at, input, output, device);
        // Convolution, norm, activation, convolution, norm.
        Ok(Self { down: layer(first, width, inner)?, up: layer(first + 3, inner, width)? })
    }

    fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        self.up.forward(relu(self.down.forward(hidden)))
    }
}

#[derive(Module, Debug)]
struct Pixelwise {
    kernel: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

impl Pixelwise {
    fn load(
        weights: &Weights,
        prefix: &str,
        at: usize,
        input: usize,
        output: usize,
        device: &Device,
    ) -> Result<Self> {
        let mut kernel = weights.take(&format!("{prefix}.{at}.weight"), &[output, input, 1, 1])?;
        let mut bias = weights.take(&format!("{prefix}.{at}.bias"), &[output])?;
        BatchNorm::take(weights, &format!("{prefix}.{}", at + 1), output)?
            .fold_into(&mut kernel, &mut bias);
        Ok(Self {
            kernel: parameter(kernel, [output, input, 1, 1], device),
            bias: parameter(bias, [output], device),
        })
    }

    fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
        conv2d(hidden, self.kernel.val(), Some(self.bias.val()), options)
    }
}
