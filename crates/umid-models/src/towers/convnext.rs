//! ConvNeXt: normalised pixels to an embedding.
//!
//! Reference: A ConvNet for the 2020s (arXiv 2201.03545); timm, `ConvNeXt` (`convnext.py`), as
//! open_clip's `TimmModel` makes it. Tensors have timm's names.

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use umid_core::InputTower;

use super::{InputConfigOf, InputModule, Invalid, within};
use crate::Result;
use crate::nn::Activation;
use crate::nn::convolution::BiasedConvolution;
use crate::nn::head::{Head, HeadConfig};
use crate::nn::patches::{describe_product, image, patches, rows};
use crate::nn::visit::{self, Visitor};
use crate::precision::normed;

/// Where the tower's tensors are.
const PREFIX: &str = "visual.trunk";
/// Red, green and blue.
const CHANNELS: usize = 3;
/// Side of a stage's first patches, in pixels of the stage before.
const DOWNSAMPLING: usize = 2;

/// Shape of a ConvNeXt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConvNextConfig {
    /// Side of the square input in pixels.
    pub image_size: usize,
    /// Side of the first patches in pixels.
    pub patch_size: usize,
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// Channels of each stage.
    pub widths: Vec<usize>,
    /// Width of the perceptron of each stage's blocks.
    pub mlp_widths: Vec<usize>,
    /// Side of each channel's own kernel; an odd number.
    pub kernel: usize,
    /// Epsilon of every norm.
    pub layer_norm_epsilon: f64,
    /// From the pooled features to the joint space.
    pub head: HeadConfig,
}

impl ConvNextConfig {
    fn features(&self) -> usize {
        self.widths.last().copied().unwrap_or_default()
    }

    /// Side of each stage's feature map.
    fn sides(&self) -> impl Iterator<Item = usize> {
        let first = self.image_size / self.patch_size;
        (0..self.widths.len()).map(move |stage| first >> stage)
    }
}

impl InputConfigOf for ConvNextConfig {
    type Tower = ConvNext;

    fn build(&self, embedding_dim: usize, device: &Device) -> ConvNext {
        let norm = |width| visit::layer_norm(width, self.layer_norm_epsilon, device);
        let linear = |input, output| visit::linear(input, output, true, device);
        let patch = CHANNELS * self.patch_size.pow(2);
        let stage = |i: usize| {
            let (width, inner) = (self.widths[i], self.mlp_widths[i]);
            let before = i.checked_sub(1).map(|before| self.widths[before]);
            Stage {
                norm: before.map(norm),
                downsample: before
                    .map(|before| linear(before * DOWNSAMPLING * DOWNSAMPLING, width)),
                blocks: (0..self.depths[i])
                    .map(|_| Block {
                        convolution: BiasedConvolution::of_channels(width, self.kernel, 1, device),
                        norm: norm(width),
                        fc1: linear(width, inner),
                        fc2: linear(inner, width),
                        scale: visit::empty([width], device),
                    })
                    .collect(),
            }
        };
        ConvNext {
            stem: linear(patch, self.widths[0]),
            stem_norm: norm(self.widths[0]),
            stages: (0..self.widths.len()).map(stage).collect(),
            norm: norm(self.features()),
            head: self.head.build(self.features(), embedding_dim, device),
            image_size: self.image_size,
            patch_size: self.patch_size,
        }
    }

    fn name(&self) -> String {
        let size = match (self.depths.as_slice(), self.widths.as_slice()) {
            ([3, 3, 9, 3], [96, ..]) => "T",
            ([3, 3, 27, 3], [96, ..]) => "S",
            ([3, 3, 27, 3], [128, ..]) => "B",
            ([3, 3, 27, 3], [192, ..]) => "L",
            ([3, 3, 27, 3], [256, ..]) => "XL",
            ([3, 4, 30, 3], [384, ..]) => "XXL",
            _ => "custom",
        };
        format!("ConvNeXt-{size} at {} px", self.image_size)
    }

    fn dimensions(&self) -> String {
        format!("{:?} x {:?}", self.depths, self.widths)
    }

    fn numbers_kept(&self) -> usize {
        let stages = self.sides().enumerate();
        let each = |(i, side): (usize, usize)| {
            side * side * self.depths[i] * (4 * self.widths[i] + self.mlp_widths[i])
        };
        stages.map(each).sum()
    }

    fn multiplications(&self, embedding_dim: usize) -> usize {
        let stages = self.sides().enumerate();
        let each = |(i, side): (usize, usize)| {
            let (width, inner) = (self.widths[i], self.mlp_widths[i]);
            let before = match i.checked_sub(1) {
                Some(before) => self.widths[before] * DOWNSAMPLING * DOWNSAMPLING,
                None => CHANNELS * self.patch_size * self.patch_size,
            };
            let block = width * (self.kernel * self.kernel + 2 * inner);
            side * side * (before * width + self.depths[i] * block)
        };
        stages.map(each).sum::<usize>() + self.head.multiplications(self.features(), embedding_dim)
    }

    fn check(&self) -> Result<(), Invalid> {
        within("image size", self.image_size)?;
        within("patch size", self.patch_size)?;
        within("stages of the image tower", self.widths.len())?;
        for (depth, (width, inner)) in
            self.depths.iter().zip(self.widths.iter().zip(&self.mlp_widths))
        {
            within("layers of the image tower", *depth)?;
            within("width of the image tower", *width)?;
            within("MLP width of the image tower", *inner)?;
        }
        if self.sides().last() == Some(0) {
            let expected = "enough pixels for every stage";
            return Err(Invalid::new("image size", &self.image_size, expected));
        }
        if self.kernel.is_multiple_of(2) {
            return Err(Invalid::new("kernel of the image tower", &self.kernel, "an odd number"));
        }
        Ok(())
    }
}

/// Four stages of convolutions of each channel by itself and perceptrons of each pixel by itself.
#[derive(Module, Debug)]
pub struct ConvNext {
    /// The patch convolution as a matrix: `[channels * patch * patch, width]`.
    stem: Linear,
    stem_norm: LayerNorm,
    stages: Vec<Stage>,
    norm: LayerNorm,
    head: Head,
    image_size: usize,
    patch_size: usize,
}

impl InputModule for ConvNext {
    fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
        describe_product(visitor, &format!("{PREFIX}.stem.0"), self.patch_size, &mut self.stem)?;
        visitor.norm(&format!("{PREFIX}.stem.1"), &mut self.stem_norm)?;
        for (i, stage) in self.stages.iter_mut().enumerate() {
            stage.describe(visitor, &format!("{PREFIX}.stages.{i}"))?;
        }
        visitor.norm(&format!("{PREFIX}.head.norm"), &mut self.norm)?;
        self.head.describe(visitor, &format!("{PREFIX}.head.fc"))
    }
}

impl InputTower for ConvNext {
    fn input_shape(&self) -> [usize; 3] {
        [CHANNELS, self.image_size, self.image_size]
    }

    fn embed(&self, pixels: Tensor<4>) -> Tensor<2> {
        let batch = pixels.dims()[0];
        let pixels = pixels.cast(self.stem.weight.val().dtype());
        let hidden = self.stem.forward(patches(pixels, self.patch_size));
        let mut hidden = normed(&self.stem_norm, hidden);
        for stage in &self.stages {
            hidden = stage.forward(hidden, batch);
        }
        let [rows, width] = hidden.dims();
        let pooled = hidden.reshape([batch, rows / batch, width]).mean_dim(1);
        self.head.forward(normed(&self.norm, pooled.reshape([batch, width])))
    }
}

/// Blocks of one width, after a norm and a product with squares of pixels.
#[derive(Module, Debug)]
struct Stage {
    norm: Option<LayerNorm>,
    downsample: Option<Linear>,
    blocks: Vec<Block>,
}

impl Stage {
    fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        if let (Some(norm), Some(downsample)) = (&mut self.norm, &mut self.downsample) {
            visitor.norm(&format!("{name}.downsample.0"), norm)?;
            describe_product(visitor, &format!("{name}.downsample.1"), DOWNSAMPLING, downsample)?;
        }
        for (i, block) in self.blocks.iter_mut().enumerate() {
            block.describe(visitor, &format!("{name}.blocks.{i}"))?;
        }
        Ok(())
    }

    /// # Shapes
    ///
    /// - hidden: `[batch * rows * columns, width before]`, of a square
    /// - output: `[batch * rows / 2 * columns / 2, width]`, or as hidden in the first stage
    fn forward(&self, hidden: Tensor<2>, batch: usize) -> Tensor<2> {
        let hidden = match (&self.norm, &self.downsample) {
            (Some(norm), Some(downsample)) => {
                let image = image(normed(norm, hidden), batch);
                downsample.forward(patches(image, DOWNSAMPLING))
            }
            _ => hidden,
        };
        self.blocks.iter().fold(hidden, |hidden, block| block.forward(hidden, batch))
    }
}

/// A convolution of each channel by itself, and a perceptron of each pixel by itself.
#[derive(Module, Debug)]
struct Block {
    convolution: BiasedConvolution,
    norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    /// A factor of each channel: `[width]`.
    scale: Param<Tensor<1>>,
}

impl Block {
    fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        visitor.plain(&format!("{name}.gamma"), &mut self.scale)?;
        self.convolution.describe(visitor, &format!("{name}.conv_dw"))?;
        visitor.norm(&format!("{name}.norm"), &mut self.norm)?;
        visitor.linear(&format!("{name}.mlp.fc1"), &mut self.fc1)?;
        visitor.linear(&format!("{name}.mlp.fc2"), &mut self.fc2)
    }

    /// # Shapes
    ///
    /// - hidden, output: `[batch * rows * columns, width]`, of a square
    fn forward(&self, hidden: Tensor<2>, batch: usize) -> Tensor<2> {
        let convolved = rows(self.convolution.forward(image(hidden.clone(), batch)));
        let inner = Activation::Gelu.apply(self.fc1.forward(normed(&self.norm, convolved)));
        hidden + self.fc2.forward(inner) * self.scale.val().unsqueeze_dim(0)
    }
}
