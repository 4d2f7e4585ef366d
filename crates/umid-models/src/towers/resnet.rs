//! CLIP's residual network: normalised pixels to an embedding.
//!
//! Reference: OpenAI's CLIP, `ModifiedResNet` and `AttentionPool2d` (`model.py`), as open_clip has
//! them (`modified_resnet.py`), in evaluation mode: a stem of three convolutions, an average pool
//! before every strided convolution, and attention in place of the last pooling. Batch norms are
//! folded into the convolutions before them.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::{relu, softmax};
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use umid_core::InputTower;
use umid_kernels::{Conv, ConvStack, Relu, Step};

use super::{InputConfigOf, InputModule, Invalid, check_heads, within};
use crate::Result;
use crate::nn::batch_norm::Convolution;
use crate::nn::frozen;
use crate::nn::visit::{self, Visitor};

/// Where the tower's tensors are in open_clip.
const PREFIX: &str = "visual";
const CHANNELS: usize = 3;
/// Side of the kernels that see more than a pixel.
const SIDE: usize = 3;
/// Pixels that the stem's last step, and every later stage but the first, makes one of.
const POOL: usize = 2;
/// Channels that a block puts out over those that it computes with.
const EXPANSION: usize = 4;
/// Pixels of the input on a side that become one of the last feature map.
const REDUCTION: usize = 32;

/// Shape of CLIP's residual image tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResnetConfig {
    /// Side of the square input in pixels.
    pub image_size: usize,
    /// Blocks of the four stages.
    pub layers: [usize; 4],
    /// Channels after the stem.
    pub width: usize,
    /// Heads of the attention that pools; divides the last feature map's channels.
    pub heads: usize,
}

impl ResnetConfig {
    /// Channels of the last feature map.
    pub fn features(&self) -> usize {
        self.width * 8 * EXPANSION
    }

    /// Positions of the last feature map.
    fn positions(&self) -> usize {
        (self.image_size / REDUCTION).pow(2)
    }

    /// Every block's input channels, inner channels and stride, and the side of its input.
    fn blocks(&self) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        let stages = self.layers.into_iter().enumerate();
        let mut input = self.width;
        let mut side = self.image_size / (2 * POOL);
        stages.flat_map(|(stage, blocks)| (0..blocks).map(move |block| (stage, block))).map(
            move |(stage, block)| {
                let (planes, stride) =
                    (self.width << stage, if stage > 0 && block == 0 { POOL } else { 1 });
                let shape = (input, planes, stride, side);
                input = planes * EXPANSION;
                side /= stride;
                shape
            },
        )
    }

    /// Output pixels, input channels times kernel elements, and output channels of every
    /// convolution.
    fn convolutions(&self) -> Vec<[usize; 3]> {
        let (width, area) = (self.width, SIDE * SIDE);
        let stem = (self.image_size / 2).pow(2);
        let mut all = vec![
            [stem, CHANNELS * area, width / 2],
            [stem, width / 2 * area, width / 2],
            [stem, width / 2 * area, width],
        ];
        for (input, planes, stride, side) in self.blocks() {
            let (before, after) = (side * side, (side / stride).pow(2));
            let output = planes * EXPANSION;
            all.extend([
                [before, input, planes],
                [before, planes * area, planes],
                [after, planes, output],
            ]);
            if stride > 1 || input != output {
                all.push([after, input, output]);
            }
        }
        all
    }
}

impl InputConfigOf for ResnetConfig {
    type Tower = Resnet;

    fn build(&self, embedding_dim: usize, device: &Device) -> Resnet {
        let (width, features) = (self.width, self.features());
        let convolution = |input, output, stride| {
            Convolution::new([output, input, SIDE, SIDE], stride, SIDE / 2, device)
        };
        let linear = |output| visit::linear(features, output, true, device);
        let block = |(input, planes, stride, _)| Bottleneck::new(input, planes, stride, device);
        Resnet {
            stem: vec![
                convolution(CHANNELS, width / 2, 2),
                convolution(width / 2, width / 2, 1),
                convolution(width / 2, width, 1),
            ],
            blocks: self.blocks().map(block).collect(),
            frozen: None,
            pool: AttentionPool {
                positions: visit::empty([self.positions() + 1, features], device),
                query: linear(features),
                key: linear(features),
                value: linear(features),
                output: linear(embedding_dim),
                heads: self.heads,
            },
            layers: self.layers.to_vec(),
            image_size: self.image_size,
        }
    }

    fn name(&self) -> String {
        let size = match (self.layers, self.width) {
            ([3, 4, 6, 3], 64) => "50",
            ([3, 4, 23, 3], 64) => "101",
            ([4, 6, 10, 6], 80) => "50x4",
            ([6, 8, 18, 8], 96) => "50x16",
            ([3, 15, 36, 10], 128) => "50x64",
            _ => "-custom",
        };
        format!("RN{size} at {} px", self.image_size)
    }

    fn dimensions(&self) -> String {
        format!("{:?} x {}", self.layers, self.width)
    }

    fn numbers_kept(&self) -> usize {
        self.convolutions().iter().map(|[pixels, _, output]| pixels * output).sum()
    }

    fn multiplications(&self, embedding_dim: usize) -> usize {
        let convolutions = self.convolutions();
        let convolutions: usize =
            convolutions.iter().map(|sizes| sizes.iter().product::<usize>()).sum();
        // One position asks; its key and value products are with vectors.
        let (features, positions) = (self.features(), self.positions() + 1);
        let pooling = features * (3 * features + 2 * self.heads * positions + embedding_dim);
        convolutions + pooling
    }

    fn check(&self) -> Result<(), Invalid> {
        within("image size", self.image_size)?;
        within("width of the image tower", self.width)?;
        for layers in self.layers {
            within("layers of the image tower", layers)?;
        }
        if !self.image_size.is_multiple_of(REDUCTION) {
            let expected = format!("a multiple of {REDUCTION} pixels");
            return Err(Invalid::new("image size", &self.image_size, expected));
        }
        if !self.width.is_multiple_of(2) {
            return Err(Invalid::new("width of the image tower", &self.width, "an even number"));
        }
        check_heads("image", self.heads, self.features())
    }
}

/// A residual network over the pixels of an image.
#[derive(Module, Debug)]
pub struct Resnet {
    /// Empty where the kernels have the convolutions, as are the blocks.
    stem: Vec<Convolution>,
    blocks: Vec<Bottleneck>,
    #[module(skip)]
    frozen: Option<Arc<ConvStack>>,
    pool: AttentionPool,
    /// Blocks of each stage.
    #[module(skip)]
    layers: Vec<usize>,
    image_size: usize,
}

impl InputModule for Resnet {
    /// # Panics
    ///
    /// If the kernels have the convolutions: they do not give weights back.
    fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
        assert!(self.frozen.is_none(), "the kernels do not give weights back");
        for (i, convolution) in (1..).zip(&mut self.stem) {
            let names = [format!("{PREFIX}.conv{i}"), format!("{PREFIX}.bn{i}")];
            convolution.describe(visitor, &names[0], &names[1])?;
        }
        let stages = (1..).zip(&self.layers);
        let names = stages.flat_map(|(stage, blocks)| {
            (0..*blocks).map(move |block| format!("{PREFIX}.layer{stage}.{block}"))
        });
        for (name, block) in names.zip(&mut self.blocks) {
            block.describe(visitor, &name)?;
        }
        self.pool.describe(visitor, &format!("{PREFIX}.attnpool"))
    }

    fn frozen_parts(&self) -> Vec<bool> {
        vec![self.frozen.is_some()]
    }

    fn freeze(&mut self, precision: umid_kernels::Precision) {
        let stem: Vec<Packed> = self.stem.iter().map(Packed::of).collect();
        let blocks: Vec<PackedBlock> = self.blocks.iter().map(PackedBlock::of).collect();
        let mut steps: Vec<Step> = stem.iter().map(|conv| conv.step(Relu::Yes)).collect();
        steps.push(Step::AveragePool(POOL));
        steps.extend(blocks.iter().map(PackedBlock::step));
        self.frozen = Some(Arc::new(ConvStack::new(&steps, precision)));
        self.stem.clear();
        self.blocks.clear();
    }
}

impl InputTower for Resnet {
    fn input_shape(&self) -> [usize; 3] {
        [CHANNELS, self.image_size, self.image_size]
    }

    fn embed(&self, pixels: Tensor<4>) -> Tensor<2> {
        if let Some(stack) = &self.frozen {
            let features = frozen::convolve(stack, pixels);
            let [batch, rows, columns, width] = features.dims();
            return self.pool.forward(features.reshape([batch, rows * columns, width]));
        }
        let pixels = pixels.cast(self.pool.positions.val().dtype());
        let hidden = self.stem.iter().fold(pixels, |hidden, conv| relu(conv.forward(hidden)));
        let hidden = average(hidden, POOL);
        let hidden = self.blocks.iter().fold(hidden, |hidden, block| block.forward(hidden));
        let [batch, width, rows, columns] = hidden.dims();
        self.pool.forward(hidden.reshape([batch, width, rows * columns]).swap_dims(1, 2))
    }
}

/// Convolutions of one pixel, of nine, and of one, and the path around them.
#[derive(Module, Debug)]
struct Bottleneck {
    conv1: Convolution,
    conv2: Convolution,
    conv3: Convolution,
    downsample: Option<Convolution>,
    stride: usize,
}

impl Bottleneck {
    fn new(input: usize, planes: usize, stride: usize, device: &Device) -> Self {
        let output = planes * EXPANSION;
        let pixelwise = |input, output| Convolution::new([output, input, 1, 1], 1, 0, device);
        Self {
            conv1: pixelwise(input, planes),
            conv2: Convolution::new([planes, planes, SIDE, SIDE], 1, SIDE / 2, device),
            conv3: pixelwise(planes, output),
            downsample: (stride > 1 || input != output).then(|| pixelwise(input, output)),
            stride,
        }
    }

    fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        for (i, conv) in (1..).zip([&mut self.conv1, &mut self.conv2, &mut self.conv3]) {
            conv.describe(visitor, &format!("{name}.conv{i}"), &format!("{name}.bn{i}"))?;
        }
        match &mut self.downsample {
            Some(conv) => {
                let names = [format!("{name}.downsample.0"), format!("{name}.downsample.1")];
                conv.describe(visitor, &names[0], &names[1])
            }
            None => Ok(()),
        }
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, input, rows, columns]`
    /// - output: `[batch, output, rows / stride, columns / stride]`
    fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        let inner = relu(self.conv1.forward(hidden.clone()));
        let inner = average(relu(self.conv2.forward(inner)), self.stride);
        let inner = self.conv3.forward(inner);
        let around = match &self.downsample {
            Some(conv) => conv.forward(average(hidden, self.stride)),
            None => hidden,
        };
        relu(inner + around)
    }
}

/// Means of squares of this many pixels on a side.
fn average(hidden: Tensor<4>, side: usize) -> Tensor<4> {
    if side == 1 {
        return hidden;
    }
    avg_pool2d(hidden, AvgPoolOptions::new([side; 2]))
}

/// Attention that is asked from one position, the mean of all.
#[derive(Module, Debug)]
struct AttentionPool {
    /// The mean's first: `[1 + positions, features]`.
    positions: Param<Tensor<2>>,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
}

impl AttentionPool {
    fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        visitor.plain(&format!("{name}.positional_embedding"), &mut self.positions)?;
        visitor.linear(&format!("{name}.q_proj"), &mut self.query)?;
        visitor.linear(&format!("{name}.k_proj"), &mut self.key)?;
        visitor.linear(&format!("{name}.v_proj"), &mut self.value)?;
        visitor.linear(&format!("{name}.c_proj"), &mut self.output)
    }

    /// Only one position asks, so its query is brought to the features instead of every position
    /// to a key, and the features are summed before they become a value. The key's bias adds the
    /// same to every score of a head, which the softmax does not see.
    ///
    /// # Shapes
    ///
    /// - features: `[batch, positions, features]`
    /// - output: `[batch, embedding_dim]`
    fn forward(&self, features: Tensor<3>) -> Tensor<2> {
        let [batch, _, width] = features.dims();
        let (heads, head) = (self.heads, width / self.heads);
        let mean = features.clone().mean_dim(1);
        let tokens = Tensor::cat(vec![mean, features], 1) + self.positions.val().unsqueeze_dim(0);
        let first = tokens.clone().narrow(1, 0, 1).reshape([batch, width]);
        let scale = (head as f64).sqrt().recip();
        // `[heads, batch, head]`, then `[heads, batch, width]`.
        let query = self.query.forward(first) * scale;
        let query = query.reshape([batch, heads, head]).swap_dims(0, 1);
        let keys = self.key.weight.val().reshape([width, heads, head]).permute([1, 2, 0]);
        let query = query.matmul(keys).swap_dims(0, 1);
        let shares = softmax(query.matmul(tokens.clone().swap_dims(1, 2)), 2);
        let pooled = shares.matmul(tokens).swap_dims(0, 1);
        let values = self.value.weight.val().reshape([width, heads, head]).swap_dims(0, 1);
        let pooled = pooled.matmul(values).swap_dims(0, 1).reshape([batch, width]);
        let bias = self.value.bias.as_ref().expect("made with a bias");
        self.output.forward(pooled + bias.val().unsqueeze_dim(0))
    }
}

/// A convolution on the host, to be packed.
struct Packed {
    kernel: Vec<f32>,
    bias: Vec<f32>,
    /// `[outputs, inputs, side, side]`.
    shape: [usize; 4],
    stride: usize,
    padding: usize,
}

impl Packed {
    fn of(convolution: &Convolution) -> Self {
        let [kernel, bias] = convolution.values();
        let shape = convolution.kernel.dims();
        let (stride, padding) = (convolution.stride, convolution.padding);
        Self { kernel, bias, shape, stride, padding }
    }

    fn step(&self, relu: Relu) -> Step<'_> {
        let [outputs, inputs, side, _] = self.shape;
        let (stride, padding) = (self.stride, self.padding);
        let (kernel, bias) = (&self.kernel, Some(self.bias.as_slice()));
        Step::Conv(Conv { kernel, bias, inputs, outputs, side, stride, padding, relu })
    }
}

/// A bottleneck on the host.
struct PackedBlock {
    convolutions: [Packed; 3],
    downsample: Option<Packed>,
    stride: usize,
}

impl PackedBlock {
    fn of(block: &Bottleneck) -> Self {
        Self {
            convolutions: [&block.conv1, &block.conv2, &block.conv3].map(Packed::of),
            downsample: block.downsample.as_ref().map(Packed::of),
            stride: block.stride,
        }
    }

    fn step(&self) -> Step<'_> {
        let [conv1, conv2, conv3] = &self.convolutions;
        let pool = || (self.stride > 1).then_some(Step::AveragePool(self.stride));
        let mut main = vec![conv1.step(Relu::Yes), conv2.step(Relu::Yes)];
        main.extend(pool());
        main.push(conv3.step(Relu::No));
        let mut skip = Vec::new();
        if let Some(conv) = &self.downsample {
            skip.extend(pool());
            skip.push(conv.step(Relu::No));
        }
        Step::Residual { main, skip }
    }
}
