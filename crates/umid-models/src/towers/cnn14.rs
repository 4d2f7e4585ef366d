//! PANN's Cnn14: six blocks of two convolutions over a log-mel spectrogram.
//!
//! Reference: laion_clap, `clap_module/pann_model.py` (`Cnn14`), in evaluation mode; Kong et al.
//! 2020. Batch norms are folded into the convolutions before them.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use umid_core::InputTower;

use super::{InputConfigOf, InputModule, Invalid, within};
use crate::Result;
use crate::front_end::Modality;
use crate::nn::batch_norm::{Convolution, MelNorm};
use crate::nn::projection::{Projection, ProjectionConfig};
use crate::nn::visit::{self, Visitor};

/// Where the tower's tensors are in `laion_clap`; transformers does not have it.
const PREFIX: &str = "audio_branch";
const KERNEL: usize = 3;
/// Frames and bins that one block's pooling makes one of.
const POOL: usize = 2;

/// Shape of the convolutional network (PANN's Cnn14).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cnn14Config {
    /// Frames of the input.
    pub frames: usize,
    /// Mel bins of the input.
    pub mel_bins: usize,
    /// Channels of the six blocks.
    pub widths: [usize; 6],
    /// The projection to the joint space.
    pub projection: ProjectionConfig,
}

impl InputConfigOf for Cnn14Config {
    type Tower = Cnn14;

    fn build(&self, embedding_dim: usize, device: &Device) -> Cnn14 {
        let convolution = |input, output| {
            Convolution::new([output, input, KERNEL, KERNEL], 1, KERNEL / 2, device)
        };
        let last = self.widths.len() - 1;
        let block = |(i, width): (usize, &usize)| Block {
            conv1: convolution(if i == 0 { 1 } else { self.widths[i - 1] }, *width),
            conv2: convolution(*width, *width),
            // The last block's pooling is of one pixel.
            pools: i < last,
        };
        let width = self.widths[last];
        Cnn14 {
            mel_norm: MelNorm::new(self.mel_bins, device),
            blocks: self.widths.iter().enumerate().map(block).collect(),
            fc1: visit::linear(width, width, true, device),
            projection: Projection::new(width, embedding_dim, self.projection, device),
            frames: self.frames,
            bins: self.mel_bins,
        }
    }

    fn modality(&self) -> Modality {
        Modality::Audio
    }

    fn name(&self) -> String {
        "Cnn14".to_owned()
    }

    fn dimensions(&self) -> String {
        format!("{:?}", self.widths)
    }

    fn numbers_kept(&self) -> usize {
        // Two convolutions, each with its positive part, between halvings of both sides.
        let halved = |block: usize| (self.frames >> block) * (self.mel_bins >> block);
        let widths = self.widths.iter().enumerate();
        widths.map(|(block, width)| 4 * width * halved(block)).sum()
    }

    fn multiplications(&self, embedding_dim: usize) -> usize {
        let block = |(i, width): (usize, &usize)| {
            let pixels = (self.frames >> i) * (self.mel_bins >> i);
            let input = if i == 0 { 1 } else { self.widths[i - 1] };
            pixels * KERNEL * KERNEL * width * (input + width)
        };
        let last = self.widths[self.widths.len() - 1];
        let convolutions: usize = self.widths.iter().enumerate().map(block).sum();
        convolutions + last * last + (last + embedding_dim) * embedding_dim
    }

    fn check(&self) -> Result<(), Invalid> {
        within("mel bins of the audio tower", self.mel_bins)
    }
}

/// A convolutional network over log-mels.
#[derive(Module, Debug)]
pub struct Cnn14 {
    mel_norm: MelNorm,
    blocks: Vec<Block>,
    fc1: Linear,
    projection: Projection,
    frames: usize,
    bins: usize,
}

impl InputModule for Cnn14 {
    fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
        self.mel_norm.describe(visitor, &format!("{PREFIX}.bn0"))?;
        for (i, block) in self.blocks.iter_mut().enumerate() {
            let name = format!("{PREFIX}.conv_block{}", i + 1);
            for (number, convolution) in [(1, &mut block.conv1), (2, &mut block.conv2)] {
                let (conv, norm) = (format!("{name}.conv{number}"), format!("{name}.bn{number}"));
                convolution.describe(visitor, &conv, &norm)?;
            }
        }
        visitor.linear(&format!("{PREFIX}.fc1"), &mut self.fc1)?;
        self.projection.describe(visitor, "audio_projection")
    }

    fn statistics(&self) -> Option<(Vec<f32>, Vec<f32>)> {
        Some(self.mel_norm.statistics())
    }
}

impl InputTower for Cnn14 {
    fn input_shape(&self) -> [usize; 3] {
        [1, self.frames, self.bins]
    }

    fn embed(&self, log_mels: Tensor<4>) -> Tensor<2> {
        // Without the axis of the one channel: where elementwise operations are fused (burn 0.22 on
        // wgpu), they take the gradient of a convolution of one channel for something else.
        let [batch, _, frames, bins] = log_mels.dims();
        let hidden = self.mel_norm.forward(log_mels.reshape([batch, frames, bins]));
        let hidden = hidden.unsqueeze_dim::<4>(1).cast(self.fc1.weight.val().dtype());
        let hidden = self.blocks.iter().fold(hidden, |hidden, block| block.forward(hidden));
        let [batch, width, frames, _] = hidden.dims();
        let hidden = hidden.mean_dim(3).reshape([batch, width, frames]);
        let pooled = hidden.clone().max_dim(2) + hidden.mean_dim(2);
        self.projection.forward(relu(self.fc1.forward(pooled.reshape([batch, width]))))
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
        let hidden = relu(self.conv2.forward(relu(self.conv1.forward(hidden))));
        if self.pools { avg_pool2d(hidden, AvgPoolOptions::new([POOL; 2])) } else { hidden }
    }
}
