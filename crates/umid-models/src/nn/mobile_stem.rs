//! The convolutions before the blocks of a `ViTamin`: inverted bottlenecks that divide the sides by 16.
//!
//! References: `ViTamin` (arXiv 2404.02132); timm, `MbConvStages` (`vitamin.py`). Tensors have timm's
//! names below the stem's own.

use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::convolution::BiasedConvolution;
use super::patches::{describe_product, image, rows};
use super::visit::{self, Visitor};
use crate::Result;
use crate::nn::Activation;
use crate::precision::normed;

/// Red, green and blue.
const CHANNELS: usize = 3;
/// Side of every kernel that is not one pixel, and of what is averaged.
const SIDE: usize = 3;
/// Epsilon of the stem's norms.
const EPSILON: f64 = 1e-6;

/// Shape of the stem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MobileStemConfig {
    /// Channels of the first convolutions.
    pub stem_width: usize,
    /// Channels of each stage.
    pub widths: [usize; 2],
    /// Channels inside each stage's blocks.
    pub inner_widths: [usize; 2],
    /// Blocks of each stage.
    pub depths: [usize; 2],
}

impl MobileStemConfig {
    /// What the sides are divided by.
    pub(crate) const REDUCTION: usize = 16;

    /// Every block's stage, input channels and stride.
    fn blocks(self) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..2).flat_map(move |stage| {
            (0..self.depths[stage]).map(move |block| match (block, stage) {
                (0, 0) => (stage, self.stem_width, 2),
                (0, _) => (stage, self.widths[stage - 1], 2),
                _ => (stage, self.widths[stage], 1),
            })
        })
    }

    /// Multiplications of one input's forward pass, to tokens of a width.
    pub(crate) fn multiplications(self, image_size: usize, width: usize) -> usize {
        let area = SIDE * SIDE;
        let mut side = image_size.div_ceil(2);
        let mut sum = side * side * area * self.stem_width * (CHANNELS + self.stem_width);
        for (stage, input, stride) in self.blocks() {
            let inner = self.inner_widths[stage];
            sum += side * side * input * inner;
            side = side.div_ceil(stride);
            sum += side * side * inner * (area + self.widths[stage]);
        }
        sum + side.div_ceil(2).pow(2) * area * self.widths[1] * width
    }
}

/// Two convolutions, two stages, and a convolution to tokens.
#[derive(Module, Debug)]
pub(crate) struct MobileStem {
    conv1: BiasedConvolution,
    norm1: LayerNorm,
    conv2: BiasedConvolution,
    blocks: Vec<Block>,
    pool_norm: LayerNorm,
    pool: BiasedConvolution,
    #[module(skip)]
    config: MobileStemConfig,
}

impl MobileStem {
    pub(crate) fn new(config: MobileStemConfig, width: usize, device: &Device) -> Self {
        let norm = |width| visit::layer_norm(width, EPSILON, device);
        let (first, last) = (config.stem_width, config.widths[1]);
        let convolution =
            |input, output, stride| BiasedConvolution::new([output, input, SIDE], stride, device);
        Self {
            conv1: convolution(CHANNELS, first, 2),
            norm1: norm(first),
            conv2: convolution(first, first, 1),
            blocks: config
                .blocks()
                .map(|(stage, input, stride)| {
                    let (inner, output) = (config.inner_widths[stage], config.widths[stage]);
                    Block::new([input, inner, output], stride, device)
                })
                .collect(),
            pool_norm: norm(last),
            pool: convolution(last, width, 2),
            config,
        }
    }

    pub(crate) fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        self.conv1.describe(visitor, &format!("{name}.stem.conv1"))?;
        visitor.norm(&format!("{name}.stem.norm1"), &mut self.norm1)?;
        self.conv2.describe(visitor, &format!("{name}.stem.conv2"))?;
        let depths = self.config.depths.into_iter().enumerate();
        let names = depths.flat_map(|(stage, depth)| {
            (0..depth).map(move |block| format!("{name}.stages.{stage}.{block}"))
        });
        for (name, block) in names.zip(&mut self.blocks) {
            block.describe(visitor, &name)?;
        }
        visitor.norm(&format!("{name}.pool.norm"), &mut self.pool_norm)?;
        self.pool.describe(visitor, &format!("{name}.pool.proj"))
    }

    /// # Shapes
    ///
    /// - pixels: `[batch, channels, side, side]`
    /// - output: `[batch * patches, width]`
    pub(crate) fn forward(&self, pixels: Tensor<4>) -> Tensor<2> {
        let batch = pixels.dims()[0];
        let dtype = self.blocks[0].expand.weight.val().dtype();
        let hidden = rows(self.conv1.forward(pixels.cast(dtype)));
        let hidden = Activation::Gelu.apply(normed(&self.norm1, hidden));
        let hidden = self.conv2.forward(image(hidden, batch));
        let hidden = self.blocks.iter().fold(hidden, |hidden, block| block.forward(hidden));
        let hidden = normed(&self.pool_norm, rows(hidden));
        rows(self.pool.forward(image(hidden, batch)))
    }
}

/// A product with each pixel, a convolution of each channel by itself, a product with each pixel.
#[derive(Module, Debug)]
struct Block {
    norm: LayerNorm,
    expand: Linear,
    convolution: BiasedConvolution,
    reduce: Linear,
    /// To another number of channels, around the block.
    around: Option<Linear>,
    stride: usize,
}

impl Block {
    fn new([input, inner, output]: [usize; 3], stride: usize, device: &Device) -> Self {
        let linear = |input, output| visit::linear(input, output, true, device);
        Self {
            norm: visit::layer_norm(input, EPSILON, device),
            expand: linear(input, inner),
            convolution: BiasedConvolution::of_channels(inner, SIDE, stride, device),
            reduce: linear(inner, output),
            around: (input != output).then(|| linear(input, output)),
            stride,
        }
    }

    fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        if let Some(around) = &mut self.around {
            describe_product(visitor, &format!("{name}.shortcut.expand"), 1, around)?;
        }
        visitor.norm(&format!("{name}.pre_norm"), &mut self.norm)?;
        describe_product(visitor, &format!("{name}.conv1_1x1"), 1, &mut self.expand)?;
        self.convolution.describe(visitor, &format!("{name}.conv2_kxk"))?;
        describe_product(visitor, &format!("{name}.conv3_1x1"), 1, &mut self.reduce)
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, input, side, side]`
    /// - output: `[batch, output, side, side]`, with sides divided by the stride and rounded up
    fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        let batch = hidden.dims()[0];
        let inner = self.expand.forward(normed(&self.norm, rows(hidden.clone())));
        let inner = image(Activation::Gelu.apply(inner), batch);
        let inner = Activation::Gelu.apply(self.convolution.forward(inner));
        let added = self.reduce.forward(rows(inner));
        let hidden = match self.stride {
            1 => hidden,
            stride => {
                let options = AvgPoolOptions::new([SIDE; 2])
                    .with_stride([stride; 2])
                    .with_padding([SIDE / 2; 2])
                    .with_count_include_pad(false);
                avg_pool2d(hidden, options)
            }
        };
        let around = match &self.around {
            Some(around) => around.forward(rows(hidden)),
            None => rows(hidden),
        };
        image(around + added, batch)
    }
}
