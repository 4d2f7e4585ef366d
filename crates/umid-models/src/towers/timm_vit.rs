//! timm's vision transformers: normalised pixels to an embedding.
//!
//! Reference: timm, `VisionTransformer` (`vision_transformer.py`), `Eva` (`eva.py`) and
//! `VisionTransformerRelPos` (`vision_transformer_relpos.py`), as open_clip's `TimmModel` makes
//! them. EVA-CLIP (arXiv 2303.15389), the Perception Encoder (arXiv 2504.13181), and MobileCLIP's
//! largest towers (arXiv 2311.17049, 2508.20691) are among them.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use umid_core::InputTower;
use umid_kernels::Stack;

use super::{
    InputConfigOf, InputModule, Invalid, block_multiplications, check_heads, kept_per_token, within,
};
use crate::Result;
use crate::nn::Activation;
use crate::nn::batch_norm::Convolution;
use crate::nn::frozen;
use crate::nn::head::{Head, HeadConfig};
use crate::nn::mobile_stem::{MobileStem, MobileStemConfig};
use crate::nn::patches::{describe_product, patches};
use crate::nn::queries::{LatentPoolConfig, Queries};
use crate::nn::rotary::{RotaryConfig, Rotation};
use crate::nn::visit::{self, Form, Visitor};
use crate::nn::vit_block::{VitBlock, VitBlockConfig};
use crate::precision::normed;

/// Where the tower's tensors are.
const PREFIX: &str = "visual.trunk";
/// Red, green and blue.
const CHANNELS: usize = 3;

/// How an image becomes patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PatchStem {
    /// One product with each square patch.
    Patches {
        /// Side of a patch in pixels.
        size: usize,
        /// Whether a bias is added.
        bias: bool,
    },
    /// Three convolutions that do not overlap; the first two with a batch norm and a GELU.
    Convolutions {
        /// Output channels of the first two.
        channels: [usize; 2],
        /// Side of each one's kernel.
        sides: [usize; 3],
    },
    /// Stages of inverted bottlenecks, which divide the sides by 16.
    Mobile(MobileStemConfig),
}

impl PatchStem {
    /// Side of a patch in pixels.
    pub(crate) fn patch_size(&self) -> usize {
        match self {
            Self::Patches { size, .. } => *size,
            Self::Convolutions { sides, .. } => {
                sides.iter().fold(1, |product, side| product.saturating_mul(*side))
            }
            Self::Mobile(_) => MobileStemConfig::REDUCTION,
        }
    }

    fn multiplications(&self, image_size: usize, width: usize) -> usize {
        match self {
            Self::Patches { size, .. } => {
                (image_size / size).pow(2) * CHANNELS * size * size * width
            }
            Self::Convolutions { channels: [first, second], sides } => {
                let mut side = image_size;
                let widths = [CHANNELS, *first, *second, width];
                let each = widths.windows(2).zip(sides).map(|(widths, kernel)| {
                    side /= kernel;
                    side * side * kernel * kernel * widths[0] * widths[1]
                });
                each.sum()
            }
            Self::Mobile(stem) => stem.multiplications(image_size, width),
        }
    }
}

/// Which tokens have a learnt position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearntPositions {
    /// None.
    Absent,
    /// The patches.
    Patches,
    /// All, the class token too.
    All,
}

/// How the tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VitPool {
    /// The class token.
    Token,
    /// The mean of the patches.
    Mean,
    /// The mean of the patches, which is normed instead of the tokens.
    MeanThenNorm,
    /// Attention that a learnt token asks.
    Latent(LatentPoolConfig),
}

/// Shape of one of timm's image transformers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimmVitConfig {
    /// Side of the square input in pixels.
    pub image_size: usize,
    /// How the image becomes patches.
    pub stem: PatchStem,
    /// Whether a class token stands before the patches.
    pub class_token: bool,
    /// Which tokens have a learnt position.
    pub positions: LearntPositions,
    /// How queries and keys are turned by the place of their patch.
    pub rotary: Option<RotaryConfig>,
    /// Whether the tokens are normed before the blocks.
    pub pre_norm: bool,
    /// Number of blocks.
    pub layers: usize,
    /// The blocks.
    pub block: VitBlockConfig,
    /// How the tokens become one vector.
    pub pool: VitPool,
    /// From the vector to the joint space.
    pub head: HeadConfig,
}

impl TimmVitConfig {
    /// Patches on a side of the input.
    fn side(&self) -> usize {
        match self.stem {
            PatchStem::Mobile(_) => self.image_size.div_ceil(MobileStemConfig::REDUCTION),
            stem => self.image_size / stem.patch_size(),
        }
    }

    /// Tokens before the patches.
    fn prefix(&self) -> usize {
        usize::from(self.class_token)
    }

    fn tokens(&self) -> usize {
        self.prefix() + self.side().pow(2)
    }
}

impl InputConfigOf for TimmVitConfig {
    type Tower = TimmVit;

    fn build(&self, embedding_dim: usize, device: &Device) -> TimmVit {
        let (width, epsilon) = (self.block.width, self.block.layer_norm_epsilon);
        let norm = || visit::layer_norm(width, epsilon, device);
        let positions = match self.positions {
            LearntPositions::Absent => None,
            LearntPositions::Patches => Some(self.side().pow(2)),
            LearntPositions::All => Some(self.tokens()),
        };
        let pool = match self.pool {
            VitPool::Latent(pool) => Some(Queries::new(pool.queries(width, epsilon), device)),
            VitPool::Token | VitPool::Mean | VitPool::MeanThenNorm => None,
        };
        TimmVit {
            stem: Stem::new(self.stem, width, device),
            class_token: self.class_token.then(|| visit::empty([1, width], device)),
            positions: positions.map(|count| visit::empty([count, width], device)),
            pre_norm: self.pre_norm.then(norm),
            blocks: (0..self.layers).map(|_| VitBlock::new(self.block, device)).collect(),
            frozen: None,
            norm: norm(),
            pool,
            head: self.head.build(width, embedding_dim, device),
            config: self.clone(),
        }
    }

    fn name(&self) -> String {
        format!("timm ViT/{} at {} px", self.stem.patch_size(), self.image_size)
    }

    fn dimensions(&self) -> String {
        format!("{} x {}", self.layers, self.block.width)
    }

    fn numbers_kept(&self) -> usize {
        self.tokens() * self.layers * kept_per_token(self.block.width, self.block.inner())
    }

    fn multiplications(&self, embedding_dim: usize) -> usize {
        let (tokens, width) = (self.tokens(), self.block.width);
        let epsilon = self.block.layer_norm_epsilon;
        let pool = match self.pool {
            VitPool::Latent(pool) => pool.queries(width, epsilon).multiplications(tokens),
            VitPool::Token | VitPool::Mean | VitPool::MeanThenNorm => 0,
        };
        self.stem.multiplications(self.image_size, width)
            + self.layers * block_multiplications(tokens, tokens, width, self.block.inner())
            + pool
            + self.head.multiplications(width, embedding_dim)
    }

    fn check(&self) -> Result<(), Invalid> {
        let block = &self.block;
        within("image size", self.image_size)?;
        within("patch size", self.stem.patch_size())?;
        within("width of the image tower", block.width)?;
        within("layers of the image tower", self.layers)?;
        within("MLP width of the image tower", block.mlp_width)?;
        if self.side() == 0 {
            let found = format!("{} with patch size {}", self.image_size, self.stem.patch_size());
            return Err(Invalid::new("image size", &found, "at least one patch"));
        }
        if let PatchStem::Mobile(stem) = self.stem {
            within("width of the stem", stem.stem_width)?;
            for i in 0..2 {
                within("width of the stem", stem.widths[i])?;
                within("width of the stem's blocks", stem.inner_widths[i])?;
                within("blocks of the stem", stem.depths[i])?;
            }
        }
        let mut heads = vec![block.heads];
        if let VitPool::Latent(pool) = self.pool {
            within("MLP width of the image tower's pool", pool.mlp_width)?;
            heads.push(pool.heads);
        }
        heads.into_iter().try_for_each(|heads| check_heads("image", heads, block.width))?;
        // Pairs of columns on two axes.
        let head_width = block.width / block.heads;
        if self.rotary.is_some() && !head_width.is_multiple_of(4) {
            let found = format!("{} at width {}", block.heads, block.width);
            let key = "attention heads of the image tower";
            return Err(Invalid::new(key, &found, "heads of a multiple of 4 columns"));
        }
        Ok(())
    }
}

/// A transformer over the patches of an image.
#[derive(Module, Debug)]
pub struct TimmVit {
    stem: Stem,
    /// `[1, width]`.
    class_token: Option<Param<Tensor<2>>>,
    /// `[positions, width]`.
    positions: Option<Param<Tensor<2>>>,
    pre_norm: Option<LayerNorm>,
    /// Empty where the kernels have them.
    blocks: Vec<VitBlock>,
    #[module(skip)]
    frozen: Option<Arc<Stack>>,
    norm: LayerNorm,
    pool: Option<Queries>,
    head: Head,
    #[module(skip)]
    config: TimmVitConfig,
}

impl InputModule for TimmVit {
    /// # Panics
    ///
    /// If the kernels have the blocks: they do not give weights back.
    fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
        assert!(self.frozen.is_none(), "the kernels do not give weights back");
        for (name, rows) in
            [("cls_token", &mut self.class_token), ("pos_embed", &mut self.positions)]
        {
            if let Some(rows) = rows {
                let [count, width] = rows.lazy_shape().dims();
                let stored = [1, count, width];
                visitor.tensor(&format!("{PREFIX}.{name}"), &stored, Form::Plain, rows)?;
            }
        }
        self.stem.describe(visitor, &format!("{PREFIX}.patch_embed"))?;
        if let Some(norm) = &mut self.pre_norm {
            visitor.norm(&format!("{PREFIX}.norm_pre"), norm)?;
        }
        for (i, block) in self.blocks.iter_mut().enumerate() {
            block.describe(visitor, &format!("{PREFIX}.blocks.{i}"))?;
        }
        let norm = if self.config.pool == VitPool::MeanThenNorm { "fc_norm" } else { "norm" };
        visitor.norm(&format!("{PREFIX}.{norm}"), &mut self.norm)?;
        if let Some(pool) = &mut self.pool {
            pool.describe(visitor, &format!("{PREFIX}.attn_pool"))?;
        }
        self.head.describe(visitor, &format!("{PREFIX}.head"))
    }

    fn frozen_parts(&self) -> Vec<bool> {
        vec![self.frozen.is_some()]
    }

    fn freeze(&mut self, precision: umid_kernels::Precision) {
        if self.config.rotary.is_none() && VitBlock::fits(&self.config.block) {
            // One by one, so that a block's weights are not held twice for longer than it takes.
            let blocks = std::mem::take(&mut self.blocks);
            let blocks = blocks.into_iter().map(|block| block.kernel(precision)).collect();
            self.frozen = Some(Arc::new(Stack::new(blocks)));
        }
    }
}

impl InputTower for TimmVit {
    fn input_shape(&self) -> [usize; 3] {
        [CHANNELS, self.config.image_size, self.config.image_size]
    }

    fn embed(&self, pixels: Tensor<4>) -> Tensor<2> {
        let batch = pixels.dims()[0];
        let hidden = self.with_positions(self.stem.forward(pixels), batch);
        let hidden = match &self.pre_norm {
            Some(norm) => normed(norm, hidden),
            None => hidden,
        };
        let pooled = match (self.config.pool, &self.pool) {
            (VitPool::Token, _) => normed(&self.norm, self.class_tokens(hidden, batch)),
            (_, Some(pool)) => {
                let hidden = normed(&self.norm, self.through_blocks(hidden, batch));
                let [rows, width] = hidden.dims();
                pool.forward(hidden.reshape([batch, rows / batch, width]), 0, 1).squeeze_dim(1)
            }
            (VitPool::MeanThenNorm, None) => {
                normed(&self.norm, self.mean(self.through_blocks(hidden, batch), batch))
            }
            (_, None) => self.mean(normed(&self.norm, self.through_blocks(hidden, batch)), batch),
        };
        self.head.forward(pooled)
    }
}

impl TimmVit {
    /// The tokens with their positions.
    ///
    /// # Shapes
    ///
    /// - patches: `[batch * patches, width]`
    /// - output: `[batch * tokens, width]`
    fn with_positions(&self, patches: Tensor<2>, batch: usize) -> Tensor<2> {
        let [rows, width] = patches.dims();
        let mut hidden = patches.reshape([batch, rows / batch, width]);
        let positions = self.positions.as_ref().map(|positions| positions.val().unsqueeze_dim(0));
        if self.config.positions == LearntPositions::Patches
            && let Some(positions) = &positions
        {
            hidden = hidden + positions.clone();
        }
        if let Some(class) = &self.class_token {
            let class = class.val().unsqueeze_dim::<3>(0).expand([batch, 1, width]);
            hidden = Tensor::cat(vec![class, hidden], 1);
        }
        if self.config.positions == LearntPositions::All
            && let Some(positions) = positions
        {
            hidden = hidden + positions;
        }
        hidden.reshape([batch * self.config.tokens(), width])
    }

    /// # Shapes
    ///
    /// - hidden, output: `[batch * tokens, width]`
    fn through_blocks(&self, hidden: Tensor<2>, batch: usize) -> Tensor<2> {
        match &self.frozen {
            Some(stack) => frozen::forward(stack, hidden, self.config.tokens(), None),
            None => self.folded(hidden, batch),
        }
    }

    /// The class token of each sequence after the last block.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch * tokens, width]`
    /// - output: `[batch, width]`
    fn class_tokens(&self, hidden: Tensor<2>, batch: usize) -> Tensor<2> {
        let tokens = self.config.tokens();
        if let Some(stack) = &self.frozen {
            return frozen::forward(stack, hidden, tokens, Some(&vec![0; batch]));
        }
        let width = hidden.dims()[1];
        let hidden = self.folded(hidden, batch).reshape([batch, tokens, width]);
        hidden.narrow(1, 0, 1).reshape([batch, width])
    }

    /// The mean of the patches of each sequence.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch * tokens, width]`
    /// - output: `[batch, width]`
    fn mean(&self, hidden: Tensor<2>, batch: usize) -> Tensor<2> {
        let (prefix, tokens, width) =
            (self.config.prefix(), self.config.tokens(), hidden.dims()[1]);
        let hidden = hidden.reshape([batch, tokens, width]);
        hidden.narrow(1, prefix, tokens - prefix).mean_dim(1).reshape([batch, width])
    }

    fn folded(&self, hidden: Tensor<2>, batch: usize) -> Tensor<2> {
        let rotation = self.rotation(&hidden.device());
        self.blocks
            .iter()
            .fold(hidden, |hidden, block| block.forward(hidden, batch, rotation.as_ref()))
    }

    fn rotation(&self, device: &Device) -> Option<Rotation> {
        let (config, block) = (&self.config, &self.config.block);
        let head_width = block.width / block.heads;
        let (side, prefix) = (config.side(), config.prefix());
        config.rotary.map(|rotary| rotary.rotation(side, prefix, head_width, device))
    }
}

/// What cuts an image into tokens.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a tower has one of them")]
enum Stem {
    Patches(PatchConvolutions),
    Mobile(MobileStem),
}

impl Stem {
    fn new(config: PatchStem, width: usize, device: &Device) -> Self {
        let (sides, channels, bias) = match config {
            PatchStem::Patches { size, bias } => (vec![size], vec![CHANNELS, width], bias),
            PatchStem::Convolutions { channels: [first, second], sides } => {
                (sides.to_vec(), vec![CHANNELS, first, second, width], true)
            }
            PatchStem::Mobile(stem) => return Self::Mobile(MobileStem::new(stem, width, device)),
        };
        Self::Patches(PatchConvolutions::new(&sides, &channels, bias, device))
    }

    fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        match self {
            Self::Patches(stem) => stem.describe(visitor, name),
            Self::Mobile(stem) => stem.describe(visitor, &format!("{name}.backbone")),
        }
    }

    /// # Shapes
    ///
    /// - pixels: `[batch, channels, height, width]`
    /// - output: `[batch * patches, width]`
    fn forward(&self, pixels: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Patches(stem) => stem.forward(pixels),
            Self::Mobile(stem) => stem.forward(pixels),
        }
    }
}

/// Convolutions that do not overlap; all but the last with a batch norm and a GELU.
#[derive(Module, Debug)]
struct PatchConvolutions {
    convolutions: Vec<Convolution>,
    /// The last, as a product with each patch: `[channels * side * side, width]`.
    last: Linear,
    last_side: usize,
}

impl PatchConvolutions {
    /// `channels` are those of the input and of each convolution's output.
    fn new(sides: &[usize], channels: &[usize], bias: bool, device: &Device) -> Self {
        let mut layers: Vec<_> = sides.iter().zip(channels.windows(2)).collect();
        let (side, widths) = layers.pop().expect("at least one convolution");
        let convolution = |(side, widths): (&usize, &[usize])| {
            Convolution::new([widths[1], widths[0], *side, *side], *side, 0, device)
        };
        Self {
            convolutions: layers.into_iter().map(convolution).collect(),
            last: visit::linear(widths[0] * side * side, widths[1], bias, device),
            last_side: *side,
        }
    }

    fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        for (i, convolution) in self.convolutions.iter_mut().enumerate() {
            let at = |part: &str| format!("{name}.backbone.{i}.{part}");
            convolution.describe(visitor, &at("conv"), &at("bn"))?;
        }
        let name = match self.convolutions.len() {
            0 => format!("{name}.proj"),
            count => format!("{name}.backbone.{count}.conv"),
        };
        describe_product(visitor, &name, self.last_side, &mut self.last)
    }

    fn forward(&self, pixels: Tensor<4>) -> Tensor<2> {
        let pixels = pixels.cast(self.last.weight.val().dtype());
        let hidden = self.convolutions.iter().fold(pixels, |hidden, convolution| {
            Activation::Gelu.apply(convolution.forward(hidden))
        });
        self.last.forward(patches(hidden, self.last_side))
    }
}
