//! PANN's Cnn14: six blocks of two convolutions over a log-mel spectrogram.
//!
//! Reference: laion_clap, `clap_module/pann_model.py` (`Cnn14`), in evaluation mode; Kong et al.
//! 2020. Batch norms are folded into the convolutions before them.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::module::{avg_pool2d, conv2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions};
use burn::tensor::{Device, Tensor};

use super::mel_norm::{BatchNorm, MelNorm};
use crate::Result;
use crate::config::Cnn14Config;
use crate::model::to_host;
use crate::save::Export;
use crate::transformer::{load_linear, parameter};
use crate::weights::Weights;

const PREFIX: &str = "audio_branch";
const KERNEL: usize = 3;
/// Frames and bins that one block's pooling makes one of.
const POOL: usize = 2;

/// Log-mels to a pooled state of the last block's width.
#[derive(Module, Debug)]
pub struct Cnn14 {
    mel_norm: MelNorm,
    blocks: Vec<Block>,
    fc1: Linear,
}

impl Cnn14 {
    pub(crate) fn load(weights: &Weights, config: &Cnn14Config, device: &Device) -> Result<Self> {
        let mut blocks = Vec::new();
        let mut input = 1;
        for (i, width) in config.widths.into_iter().enumerate() {
            let name = format!("{PREFIX}.conv_block{}", i + 1);
            blocks.push(Block {
                conv1: Convolution::load(weights, &name, 1, input, width, device)?,
                conv2: Convolution::load(weights, &name, 2, width, width, device)?,
                // The last block's pooling is of one pixel.
                pools: i + 1 < config.widths.len(),
            });
            input = width;
        }
        Ok(Self {
            mel_norm: MelNorm::load(weights, &format!("{PREFIX}.bn0"), config.mel_bins, device)?,
            blocks,
            fc1: load_linear(weights, &format!("{PREFIX}.fc1"), input, input, true, device)?,
        })
    }

    pub(crate) fn export(&self, out: &mut Export) {
        self.mel_norm.export(out, &format!("{PREFIX}.bn0"));
        for (i, block) in self.blocks.iter().enumerate() {
            let name = format!("{PREFIX}.conv_block{}", i + 1);
            block.conv1.export(out, &name, 1);
            block.conv2.export(out, &name, 2);
        }
        out.linear(&format!("{PREFIX}.fc1"), &self.fc1);
    }

    /// # Shapes
    ///
    /// - log_mels: `[batch, 1, frames, mel_bins]`
    /// - output: `[batch, output_width]`
    pub(crate) fn forward(&self, log_mels: Tensor<4>) -> Tensor<2> {
        // Without the axis of the one channel: where elementwise operations are fused (burn 0.22 on
        // wgpu), they take the gradient of a convolution of one channel for something else.
        let [batch, _, frames, bins] = log_mels.dims();
        let hidden = self.mel_norm.forward(log_mels.reshape([batch, frames, bins]));
        let hidden = hidden.unsqueeze_dim::<4>(1).cast(self.fc1.weight.val().dtype());
        let hidden = self.blocks.iter().fold(hidden, |hidden, block| block.forward(hidden));
        let [batch, width, frames, _] = hidden.dims();
        let hidden = hidden.mean_dim(3).reshape([batch, width, frames]);
        let pooled = hidden.clone().max_dim(2) + hidden.mean_dim(2);
        relu(self.fc1.forward(pooled.reshape([batch, width])))
    }

    pub(crate) fn mel_norm(&self) -> &MelNorm {
        &self.mel_norm
    }
}

#[derive(Module, Debug)]
struct Block {
    conv1: Convolution,
    conv2: Convolution,
    pools: bool,
}

impl Block {
    fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        let hidden = self.conv2.forward(self.conv1.forward(hidden));
        if self.pools { avg_pool2d(hidden, AvgPoolOptions::new([POOL; 2])) } else { hidden }
    }
}

/// A convolution, its batch norm and the positive part.
#[derive(Module, Debug)]
struct Convolution {
    kernel: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

impl Convolution {
    fn load(
        weights: &Weights,
        block: &str,
        number: usize,
        input: usize,
        output: usize,
        device: &Device,
    ) -> Result<Self> {
        let shape = [output, input, KERNEL, KERNEL];
        let mut kernel = weights.take(&format!("{block}.conv{number}.weight"), &shape)?;
        let mut bias = vec![0.0; output];
        BatchNorm::take(weights, &format!("{block}.bn{number}"), output)?
            .fold_into(&mut kernel, &mut bias);
        Ok(Self {
            kernel: parameter(kernel, shape, device),
            bias: parameter(bias, [output], device),
        })
    }

    /// The layout has the bias in the batch norm.
    fn export(&self, out: &mut Export, block: &str, number: usize) {
        out.param(&format!("{block}.conv{number}.weight"), &self.kernel);
        let bias = to_host(self.bias.val().inner());
        BatchNorm::adding(bias).export(out, &format!("{block}.bn{number}"));
    }

    fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        let options = ConvOptions::new([1, 1], [KERNEL / 2; 2], [1, 1], 1);
        relu(conv2d(hidden, self.kernel.val(), Some(self.bias.val()), options))
    }
}
