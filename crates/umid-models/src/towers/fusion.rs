//! Attentional feature fusion: a long clip's three crops beside a shrunk version of the whole.
//!
//! Reference: transformers, `ClapAudioPatchEmbed` and `ClapAudioAFFBlock`, in evaluation mode.

use burn::module::{Module, Param};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::htsat::HtsatConfig;
use crate::Result;
use crate::front_end::audio::CROPS;
use crate::nn::batch_norm::Convolution;
use crate::nn::visit::{self, Visitor};

const PREFIX: &str = "audio_model.audio_encoder.patch_embed";

/// Shape of the attentional feature fusion (`aff_2d`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FusionConfig {
    /// The first stage's width over that of the attention's inner layer.
    pub reduction: usize,
    /// Whether a clip that fits the input is fused with copies of itself, as transformers does
    /// with a clip that is given alone, or not at all, as laion_clap has it.
    pub short_clips: bool,
}

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
    pub(crate) fn new(fusion: &FusionConfig, config: &HtsatConfig, device: &Device) -> Self {
        let width = config.width;
        let ([rows, columns], [down, right]) = (config.patch_size, config.patch_stride);
        let attention = || Attention::new(width, width / fusion.reduction, device);
        Self {
            kernel: visit::empty([width, 1, rows, CROPS * columns], device),
            bias: visit::empty([width], device),
            local: attention(),
            global: attention(),
            stride: [down, CROPS * right],
            padding: config.padding(),
        }
    }

    pub(crate) fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
        visitor.plain(&format!("{PREFIX}.mel_conv2d.weight"), &mut self.kernel)?;
        visitor.plain(&format!("{PREFIX}.mel_conv2d.bias"), &mut self.bias)?;
        self.local.describe(visitor, &format!("{PREFIX}.fusion_model.local_att"), 0)?;
        // The global branch pools before its first layer.
        self.global.describe(visitor, &format!("{PREFIX}.fusion_model.global_att"), 1)
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
    down: Convolution,
    up: Convolution,
}

impl Attention {
    fn new(width: usize, inner: usize, device: &Device) -> Self {
        let pixelwise = |input, output| {
            Convolution::new([output, input, 1, 1], 1, 0, device).with_stored_bias()
        };
        Self { down: pixelwise(width, inner), up: pixelwise(inner, width) }
    }

    /// Convolution, norm, activation, convolution, norm: numbered from `first` on.
    fn describe(&mut self, visitor: &mut impl Visitor, name: &str, first: usize) -> Result<()> {
        let at = |layer: usize| format!("{name}.{}", first + layer);
        self.down.describe(visitor, &at(0), &at(1))?;
        self.up.describe(visitor, &at(3), &at(4))
    }

    fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        self.up.forward(relu(self.down.forward(hidden)))
    }
}
