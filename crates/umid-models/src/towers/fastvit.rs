//! FastViT as MobileCLIP has it ("MCi"): normalised pixels to an embedding.
//!
//! References: FastViT (arXiv 2303.14189); MobileCLIP (arXiv 2311.17049); timm, `FastVit`
//! (`fastvit.py`), as open_clip's `TimmModel` makes it. Tensors have timm's names. Convolutions that
//! are stored as a sum of branches are folded into one.

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, FloatDType, Tensor};
use serde::{Deserialize, Serialize};
use umid_core::InputTower;

use super::{InputConfigOf, InputModule, Invalid, within};
use crate::Result;
use crate::nn::Activation;
use crate::nn::batch_norm::MelNorm;
use crate::nn::branched::{Branch, BranchedConvolution};
use crate::nn::convolution::BiasedConvolution;
use crate::nn::head::{Head, HeadConfig};
use crate::nn::patches::{describe_product, image, rows};
use crate::nn::visit::{self, Visitor};
use crate::precision::normed;

/// Where the tower's tensors are.
const PREFIX: &str = "visual.trunk";
/// Red, green and blue.
const CHANNELS: usize = 3;
/// Columns of an attention head.
const HEAD_WIDTH: usize = 32;
/// Sides of kernels: the stem's and the mixers', a perceptron's and a stage's first.
const SMALL: usize = 3;
const LARGE: usize = 7;

/// How the pixels of a stage's feature map see each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mixer {
    /// By a convolution of each channel by itself.
    Convolution,
    /// By attention after a batch norm.
    BatchNormedAttention,
    /// By attention after a layer norm.
    LayerNormedAttention,
}

/// A stage of a FastViT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FastVitStageConfig {
    /// Channels.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Width of the hidden layer of each block's perceptron.
    pub mlp_width: usize,
    /// How pixels see each other.
    pub mixer: Mixer,
    /// Width of the perceptron that weighs the channels where the stage begins.
    pub squeeze: Option<usize>,
}

/// Shape of a FastViT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FastVitConfig {
    /// Side of the square input in pixels.
    pub image_size: usize,
    /// Whether the convolutions of the stem have a branch of one pixel.
    pub stem_branch: bool,
    /// The stages; each but the first halves the sides.
    pub stages: Vec<FastVitStageConfig>,
    /// Channels that are pooled.
    pub features: usize,
    /// Width of the perceptron that weighs them.
    pub squeeze: usize,
    /// Epsilon of every layer norm.
    pub layer_norm_epsilon: f64,
    /// From the pooled features to the joint space.
    pub head: HeadConfig,
}

impl FastVitConfig {
    /// Side of each stage's feature map.
    fn sides(&self) -> impl Iterator<Item = usize> {
        let halved = |side: usize| side.div_ceil(2);
        let mut side = halved(halved(self.image_size));
        self.stages.iter().enumerate().map(move |(i, _)| {
            side = if i == 0 { side } else { halved(side) };
            side
        })
    }
}

impl InputConfigOf for FastVitConfig {
    type Tower = FastVit;

    fn build(&self, embedding_dim: usize, device: &Device) -> FastVit {
        let first = self.stages[0].width;
        let last = self.stages[self.stages.len() - 1].width;
        let stem = |input, side, stride, groups| {
            let branch = self.stem_branch;
            mobile_one([first, input, side], stride, groups, branch, device)
        };
        let mut before = None;
        let stages = self
            .stages
            .iter()
            .map(|stage| Stage::new(*stage, before.replace(stage.width), self, device));
        FastVit {
            stem: vec![stem(CHANNELS, SMALL, 2, 1), stem(1, SMALL, 2, first), stem(first, 1, 1, 1)],
            stages: stages.collect(),
            last: mobile_one([self.features, 1, SMALL], 1, last, true, device),
            squeeze: SqueezeExcite::new(self.features, self.squeeze, device),
            head: self.head.build(self.features, embedding_dim, device),
            image_size: self.image_size,
        }
    }

    fn name(&self) -> String {
        format!("FastViT at {} px", self.image_size)
    }

    fn dimensions(&self) -> String {
        let of = |part: fn(&FastVitStageConfig) -> usize| {
            self.stages.iter().map(part).collect::<Vec<_>>()
        };
        format!("{:?} x {:?}", of(|stage| stage.depth), of(|stage| stage.width))
    }

    fn numbers_kept(&self) -> usize {
        let each = |(stage, side): (&FastVitStageConfig, usize)| {
            side * side * stage.depth * (4 * stage.width + stage.mlp_width)
        };
        self.stages.iter().zip(self.sides()).map(each).sum()
    }

    fn multiplications(&self, embedding_dim: usize) -> usize {
        let first = self.stages[0].width;
        let half = self.image_size.div_ceil(2).pow(2);
        let mut sum = half * SMALL * SMALL * CHANNELS * first
            + half.div_ceil(4) * first * (SMALL * SMALL + first);
        for (i, (stage, side)) in self.stages.iter().zip(self.sides()).enumerate() {
            let (pixels, width) = (side * side, stage.width);
            let mixing = match stage.mixer {
                Mixer::Convolution => SMALL * SMALL,
                _ => 4 * width + 2 * pixels,
            };
            let block = width * (mixing + LARGE * LARGE + 2 * stage.mlp_width);
            let before = if i == 0 { 0 } else { width * (LARGE * LARGE + width) };
            sum += pixels * (before + stage.depth * block);
        }
        let pixels = self.sides().last().unwrap_or_default().pow(2);
        sum + self.features * (pixels * SMALL * SMALL + 2 * self.squeeze)
            + self.head.multiplications(self.features, embedding_dim)
    }

    fn check(&self) -> Result<(), Invalid> {
        within("image size", self.image_size)?;
        within("stages of the image tower", self.stages.len())?;
        within("features of the image tower", self.features)?;
        within("squeeze of the image tower", self.squeeze)?;
        for stage in &self.stages {
            within("layers of the image tower", stage.depth)?;
            within("width of the image tower", stage.width)?;
            within("MLP width of the image tower", stage.mlp_width)?;
            within("squeeze of the image tower", stage.squeeze.unwrap_or(1))?;
            if stage.mixer != Mixer::Convolution && !stage.width.is_multiple_of(HEAD_WIDTH) {
                let expected = format!("a multiple of {HEAD_WIDTH}");
                return Err(Invalid::new("width of an attention stage", &stage.width, expected));
            }
        }
        for widths in self.stages.windows(2) {
            if !widths[1].width.is_multiple_of(widths[0].width) {
                let found = format!("{} after {}", widths[1].width, widths[0].width);
                return Err(Invalid::new("width of the image tower", &found, "a multiple"));
            }
        }
        let last = self.stages[self.stages.len() - 1].width;
        if !self.features.is_multiple_of(last) {
            let expected = format!("a multiple of {last}");
            return Err(Invalid::new("features of the image tower", &self.features, expected));
        }
        Ok(())
    }
}

/// Stages of convolutions, the last of attention.
#[derive(Module, Debug)]
pub struct FastVit {
    stem: Vec<BranchedConvolution>,
    stages: Vec<Stage>,
    last: BranchedConvolution,
    squeeze: SqueezeExcite,
    head: Head,
    image_size: usize,
}

impl InputModule for FastVit {
    fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
        for (i, convolution) in self.stem.iter_mut().enumerate() {
            convolution.describe(visitor, &format!("{PREFIX}.stem.{i}"))?;
        }
        for (i, stage) in self.stages.iter_mut().enumerate() {
            stage.describe(visitor, &format!("{PREFIX}.stages.{i}"))?;
        }
        self.last.describe(visitor, &format!("{PREFIX}.final_conv"))?;
        self.squeeze.describe(visitor, &format!("{PREFIX}.final_conv.se"))?;
        self.head.describe(visitor, &format!("{PREFIX}.head.fc"))
    }
}

impl InputTower for FastVit {
    fn input_shape(&self) -> [usize; 3] {
        [CHANNELS, self.image_size, self.image_size]
    }

    fn embed(&self, pixels: Tensor<4>) -> Tensor<2> {
        let pixels = pixels.cast(self.squeeze.fc1.weight.val().dtype());
        let hidden = self.stem.iter().fold(pixels, |hidden, convolution| {
            Activation::Gelu.apply(convolution.forward(hidden))
        });
        let hidden = self.stages.iter().fold(hidden, |hidden, stage| stage.forward(hidden));
        let hidden = Activation::Gelu.apply(self.squeeze.forward(self.last.forward(hidden)));
        self.head.forward(mean(hidden))
    }
}

/// Blocks of one width, after a convolution that halves the sides.
#[derive(Module, Debug)]
struct Stage {
    downsample: Option<Downsample>,
    /// What each pixel is told of its place: a convolution of each channel by itself.
    positions: Option<BiasedConvolution>,
    blocks: Vec<Block>,
}

impl Stage {
    fn new(
        stage: FastVitStageConfig,
        before: Option<usize>,
        config: &FastVitConfig,
        device: &Device,
    ) -> Self {
        let attends = stage.mixer != Mixer::Convolution;
        Self {
            downsample: before.map(|before| Downsample::new(stage, before, device)),
            positions: attends
                .then(|| BiasedConvolution::of_channels(stage.width, LARGE, 1, device)),
            blocks: (0..stage.depth)
                .map(|_| Block::new(stage, config.layer_norm_epsilon, device))
                .collect(),
        }
    }

    fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        if let Some(downsample) = &mut self.downsample {
            downsample.describe(visitor, &format!("{name}.downsample.proj"))?;
        }
        if let Some(positions) = &mut self.positions {
            positions.describe(visitor, &format!("{name}.pos_emb.pos_enc"))?;
        }
        for (i, block) in self.blocks.iter_mut().enumerate() {
            block.describe(visitor, &format!("{name}.blocks.{i}"))?;
        }
        Ok(())
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, width before, rows, columns]`
    /// - output: `[batch, width, rows / 2, columns / 2]`; the first stage keeps the sides
    fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        let hidden = match &self.downsample {
            Some(downsample) => downsample.forward(hidden),
            None => hidden,
        };
        let hidden = match &self.positions {
            Some(positions) => hidden.clone() + positions.forward(hidden),
            None => hidden,
        };
        self.blocks.iter().fold(hidden, |hidden, block| block.forward(hidden))
    }
}

/// What begins a stage: a wide convolution of each channel by itself, then one of each pixel.
#[derive(Module, Debug)]
struct Downsample {
    wide: BranchedConvolution,
    squeeze: Option<SqueezeExcite>,
    pixelwise: BranchedConvolution,
}

impl Downsample {
    fn new(stage: FastVitStageConfig, before: usize, device: &Device) -> Self {
        let width = stage.width;
        let branches = vec![
            Branch::convolution("large_conv.conv", "large_conv.bn", LARGE),
            Branch::convolution("small_conv.conv", "small_conv.bn", SMALL),
        ];
        let kernel = [width, 1, LARGE, LARGE];
        Self {
            wide: BranchedConvolution::new(kernel, 2, before, branches, device),
            squeeze: stage.squeeze.map(|squeeze| SqueezeExcite::new(width, squeeze, device)),
            pixelwise: mobile_one([width, width, 1], 1, 1, true, device),
        }
    }

    fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        self.wide.describe(visitor, &format!("{name}.0"))?;
        if let Some(squeeze) = &mut self.squeeze {
            squeeze.describe(visitor, &format!("{name}.0.se"))?;
        }
        self.pixelwise.describe(visitor, &format!("{name}.1"))
    }

    fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        let hidden = self.wide.forward(hidden);
        let hidden = match &self.squeeze {
            Some(squeeze) => squeeze.forward(hidden),
            None => hidden,
        };
        let hidden = self.pixelwise.forward(Activation::Gelu.apply(hidden));
        Activation::Gelu.apply(hidden)
    }
}

/// A mixer of pixels, then a perceptron after a convolution of each channel by itself.
#[derive(Module, Debug)]
struct Block {
    convolution: Option<BranchedConvolution>,
    attention: Option<Attention>,
    wide: BranchedConvolution,
    fc1: Linear,
    fc2: Linear,
    /// A factor of each channel: `[width, 1, 1]`.
    scale: Param<Tensor<3>>,
}

impl Block {
    fn new(stage: FastVitStageConfig, epsilon: f64, device: &Device) -> Self {
        let FastVitStageConfig { width, mlp_width, mixer, .. } = stage;
        let kernel = |side| [width, 1, side, side];
        let mixing = || {
            let branches = vec![
                Branch { sign: -1.0, ..Branch::identity("norm.identity") },
                Branch::identity("mixer.identity"),
                Branch::convolution("mixer.conv_kxk.0.conv", "mixer.conv_kxk.0.bn", SMALL),
                Branch::convolution("mixer.conv_scale.conv", "mixer.conv_scale.bn", 1),
            ];
            BranchedConvolution::new(kernel(SMALL), 1, width, branches, device)
                .with_residual("layer_scale.gamma")
        };
        let wide = vec![Branch::convolution("conv", "bn", LARGE)];
        Self {
            convolution: (mixer == Mixer::Convolution).then(mixing),
            attention: (mixer != Mixer::Convolution)
                .then(|| Attention::new(width, mixer, epsilon, device)),
            wide: BranchedConvolution::new(kernel(LARGE), 1, width, wide, device),
            fc1: visit::linear(width, mlp_width, true, device),
            fc2: visit::linear(mlp_width, width, true, device),
            scale: visit::empty([width, 1, 1], device),
        }
    }

    fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        if let Some(convolution) = &mut self.convolution {
            convolution.describe(visitor, &format!("{name}.token_mixer"))?;
        }
        let scale = if self.attention.is_some() { "layer_scale_2" } else { "layer_scale" };
        if let Some(attention) = &mut self.attention {
            attention.describe(visitor, name)?;
        }
        self.wide.describe(visitor, &format!("{name}.mlp.conv"))?;
        describe_product(visitor, &format!("{name}.mlp.fc1"), 1, &mut self.fc1)?;
        describe_product(visitor, &format!("{name}.mlp.fc2"), 1, &mut self.fc2)?;
        visitor.plain(&format!("{name}.{scale}.gamma"), &mut self.scale)
    }

    /// # Shapes
    ///
    /// - hidden, output: `[batch, width, rows, columns]`, of a square
    fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        let hidden = match (&self.convolution, &self.attention) {
            (Some(convolution), _) => convolution.forward(hidden),
            (None, Some(attention)) => attention.forward(hidden),
            (None, None) => hidden,
        };
        let batch = hidden.dims()[0];
        let inner =
            Activation::Gelu.apply(self.fc1.forward(rows(self.wide.forward(hidden.clone()))));
        let added = image(self.fc2.forward(inner), batch);
        hidden + added * self.scale.val().unsqueeze_dim(0)
    }
}

/// Attention of every pixel to every other.
#[derive(Module, Debug)]
struct Attention {
    batch_norm: Option<MelNorm>,
    layer_norm: Option<LayerNorm>,
    qkv: Linear,
    output: Linear,
    /// A factor of each channel: `[width, 1, 1]`.
    scale: Param<Tensor<3>>,
}

impl Attention {
    fn new(width: usize, mixer: Mixer, epsilon: f64, device: &Device) -> Self {
        let of_layers = mixer == Mixer::LayerNormedAttention;
        Self {
            batch_norm: (!of_layers).then(|| MelNorm::new(width, device)),
            layer_norm: of_layers.then(|| visit::layer_norm(width, epsilon, device)),
            qkv: visit::linear(width, 3 * width, false, device),
            output: visit::linear(width, width, true, device),
            scale: visit::empty([width, 1, 1], device),
        }
    }

    /// `name` is the block's.
    fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        if let Some(norm) = &mut self.batch_norm {
            norm.describe(visitor, &format!("{name}.norm"))?;
        }
        if let Some(norm) = &mut self.layer_norm {
            visitor.norm(&format!("{name}.norm"), norm)?;
        }
        visitor.linear(&format!("{name}.token_mixer.qkv"), &mut self.qkv)?;
        visitor.linear(&format!("{name}.token_mixer.proj"), &mut self.output)?;
        visitor.plain(&format!("{name}.layer_scale_1.gamma"), &mut self.scale)
    }

    /// # Shapes
    ///
    /// - hidden, output: `[batch, width, rows, columns]`, of a square
    fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        let (batch, width) = (hidden.dims()[0], hidden.dims()[1]);
        let (pixels, heads) = (hidden.dims()[2] * hidden.dims()[3], width / HEAD_WIDTH);
        let source = rows(hidden.clone());
        let source = match (&self.batch_norm, &self.layer_norm) {
            (Some(norm), _) => {
                let dtype = source.dtype();
                norm.forward(source.cast(FloatDType::F32)).cast(dtype)
            }
            (None, Some(norm)) => normed(norm, source),
            (None, None) => source,
        };
        let columns = self
            .qkv
            .forward(source)
            .reshape([batch, pixels, 3, heads, HEAD_WIDTH])
            .permute([2, 0, 3, 1, 4]);
        let [query, key, value] =
            [0, 1, 2].map(|part| columns.clone().narrow(0, part, 1).squeeze_dim::<4>(0));
        let options = AttentionModuleOptions::default();
        let gathered = attention(query, key, value, None, None, options);
        let gathered = gathered.swap_dims(1, 2).reshape([batch * pixels, width]);
        hidden + image(self.output.forward(gathered), batch) * self.scale.val().unsqueeze_dim(0)
    }
}

/// Factors of the channels, from the mean of each.
#[derive(Module, Debug)]
struct SqueezeExcite {
    fc1: Linear,
    fc2: Linear,
}

impl SqueezeExcite {
    fn new(width: usize, inner: usize, device: &Device) -> Self {
        let linear = |input, output| visit::linear(input, output, true, device);
        Self { fc1: linear(width, inner), fc2: linear(inner, width) }
    }

    fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        describe_product(visitor, &format!("{name}.fc1"), 1, &mut self.fc1)?;
        describe_product(visitor, &format!("{name}.fc2"), 1, &mut self.fc2)
    }

    /// # Shapes
    ///
    /// - hidden, output: `[batch, width, rows, columns]`
    fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        let [batch, width, ..] = hidden.dims();
        let factors = sigmoid(self.fc2.forward(relu(self.fc1.forward(mean(hidden.clone())))));
        hidden * factors.reshape([batch, width, 1, 1])
    }
}

/// A convolution of MobileOne's branches: of one pixel, and of the whole kernel, and, where it keeps
/// width and sides, of a batch norm alone.
///
/// # Shapes
///
/// - kernel: `[output, input / groups, side]`
fn mobile_one(
    [output, input, side]: [usize; 3],
    stride: usize,
    groups: usize,
    scale_branch: bool,
    device: &Device,
) -> BranchedConvolution {
    let mut branches = Vec::new();
    if stride == 1 && output == input * groups {
        branches.push(Branch::identity("identity"));
    }
    branches.push(Branch::convolution("conv_kxk.0.conv", "conv_kxk.0.bn", side));
    if side > 1 && scale_branch {
        branches.push(Branch::convolution("conv_scale.conv", "conv_scale.bn", 1));
    }
    BranchedConvolution::new([output, input, side, side], stride, groups, branches, device)
}

/// The mean of each channel: `[batch, width, rows, columns]` to `[batch, width]`.
fn mean(images: Tensor<4>) -> Tensor<2> {
    let [batch, width, rows, columns] = images.dims();
    images.reshape([batch, width, rows * columns]).mean_dim(2).reshape([batch, width])
}
