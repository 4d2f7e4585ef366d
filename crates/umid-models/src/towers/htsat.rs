//! HTSAT: a Swin transformer over a log-mel spectrogram that is folded into a square.
//!
//! Reference: transformers, `ClapAudioEncoder` (`models/clap/modeling_clap.py`), in evaluation
//! mode. Windows of tokens attend among themselves; every second block shifts the windows by half
//! their side; between stages four neighbours become one token of twice the width.

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use umid_core::InputTower;

use super::fusion::{Fusion, FusionConfig};
use super::{
    InputConfigOf, InputModule, Invalid, MAX_SIZE, block_multiplications, kept_per_token, within,
};
use crate::Result;
use crate::front_end::Modality;
use crate::front_end::audio::{FUSED_CHANNELS, bicubic_matrix};
use crate::nn::Activation;
use crate::nn::batch_norm::{EPSILON, MelNorm};
use crate::nn::block::{Attend, BlockConfig, BlockNames, NormOrder, Transformer};
use crate::nn::projection::{Projection, ProjectionConfig};
use crate::nn::visit::{self, Visitor};
use crate::nn::windows::{ShiftedWindows, padded};
use crate::precision::normed;

/// Where the tower's tensors are in the Hugging Face layout.
const PREFIX: &str = "audio_model.audio_encoder";

const BLOCK: BlockNames = BlockNames {
    norm1: "layernorm_before",
    qkv: ["attention.self.query", "attention.self.key", "attention.self.value"],
    output: "attention.output.dense",
    norm2: "layernorm_after",
    fc1: "intermediate.dense",
    fc2: "output.dense",
};

/// Shape of the Swin transformer over folded log-mels (HTSAT).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HtsatConfig {
    /// Frames of the input.
    pub frames: usize,
    /// Mel bins of the input.
    pub mel_bins: usize,
    /// Side of the square that the log-mels are folded into.
    pub spec_size: usize,
    /// Rows and columns of a patch.
    pub patch_size: [usize; 2],
    /// Rows and columns between patches.
    pub patch_stride: [usize; 2],
    /// Whether a layer norm follows the patches.
    pub patch_norm: bool,
    /// Width of the first stage; each further stage has twice the width.
    pub width: usize,
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// Attention heads of each stage.
    pub heads: Vec<usize>,
    /// Side of an attention window in tokens.
    pub window: usize,
    /// Width of a block's MLP over the block's width.
    pub mlp_ratio: f64,
    /// Whether query, key and value have a bias.
    pub qkv_bias: bool,
    /// Activation of the MLPs.
    pub activation: Activation,
    /// Epsilon of the layer norms inside blocks.
    pub epsilon: f64,
    /// Whether and how features of a long clip's pieces are fused.
    pub fusion: Option<FusionConfig>,
    /// The projection to the joint space.
    pub projection: ProjectionConfig,
}

impl HtsatConfig {
    /// Consecutive pieces of a clip that are laid under one another.
    pub fn folds(&self) -> usize {
        self.spec_size / self.mel_bins
    }

    /// Width of a stage.
    pub fn width_of(&self, stage: usize) -> usize {
        self.width << stage
    }

    /// Width of the pooled state.
    pub fn output_width(&self) -> usize {
        self.width_of(self.depths.len() - 1)
    }

    /// Width of the hidden layer of a stage's MLPs.
    pub fn mlp_width(&self, stage: usize) -> usize {
        (self.mlp_ratio * self.width_of(stage) as f64) as usize
    }

    /// Tokens along the shorter side of a stage, as the reference counts them.
    pub fn resolution(&self, stage: usize) -> usize {
        self.patch_stride
            .map(|stride| (self.spec_size / stride) >> stage)
            .into_iter()
            .min()
            .unwrap_or(0)
    }

    /// Zeros around the square before it is cut into patches.
    pub fn padding(&self) -> [usize; 2] {
        [0, 1].map(|axis| (self.patch_size[axis] - self.patch_stride[axis]) / 2)
    }

    /// Tokens of a stage, down and to the right; merging pads an odd side.
    fn grid(&self, stage: usize) -> [usize; 2] {
        self.patch_stride
            .map(|stride| (0..stage).fold(self.spec_size / stride, |side, _| side.div_ceil(2)))
    }

    /// Frames that the square holds.
    fn stretched(&self) -> usize {
        self.spec_size * self.folds()
    }

    fn block(&self, stage: usize, block: usize) -> BlockConfig {
        let side = self.window;
        // One window holds everything where the resolution is no larger than a window.
        let shifted = block % 2 == 1 && self.resolution(stage) > side;
        let windows = ShiftedWindows { side, shift: if shifted { side / 2 } else { 0 } };
        BlockConfig {
            names: &BLOCK,
            order: NormOrder::Before,
            attend: Attend::Windows(windows, self.grid(stage)),
            width: self.width_of(stage),
            inner: self.mlp_width(stage),
            heads: self.heads[stage],
            qkv_bias: self.qkv_bias,
            activation: self.activation,
            epsilon: self.epsilon,
            layer_scale: false,
        }
    }
}

impl InputConfigOf for HtsatConfig {
    type Tower = Htsat;

    fn build(&self, embedding_dim: usize, device: &Device) -> Htsat {
        let (width, last) = (self.width, self.output_width());
        let [rows, columns] = self.patch_size;
        let stretched = self.stretched();
        let stretch = (self.frames < stretched).then(|| {
            let matrix = bicubic_matrix(self.frames, stretched);
            Tensor::from_data(TensorData::new(matrix, [stretched, self.frames]), device)
        });
        let stages = 0..self.depths.len();
        Htsat {
            mel_norm: MelNorm::new(self.mel_bins, device),
            stretch,
            patch_kernel: visit::empty([width, 1, rows, columns], device),
            patch_bias: visit::empty([width], device),
            patch_norm: self.patch_norm.then(|| visit::layer_norm(width, EPSILON, device)),
            fusion: self.fusion.as_ref().map(|fusion| Fusion::new(fusion, self, device)),
            stages: stages.map(|stage| Stage::new(self, stage, device)).collect(),
            norm: visit::layer_norm(last, EPSILON, device),
            projection: Projection::new(last, embedding_dim, self.projection, device),
            folds: self.folds(),
            stride: self.patch_stride,
            padding: self.padding(),
            frames: self.frames,
            bins: self.mel_bins,
            fuses_short: self.fusion.is_some_and(|fusion| fusion.short_clips),
        }
    }

    fn modality(&self) -> Modality {
        Modality::Audio
    }

    fn name(&self) -> String {
        if self.fusion.is_some() { "HTSAT, fused".to_owned() } else { "HTSAT".to_owned() }
    }

    fn dimensions(&self) -> String {
        format!("{:?} x {}", self.depths, self.width)
    }

    fn numbers_kept(&self) -> usize {
        let stage = |stage: usize| {
            let tokens: usize = self.grid(stage).into_iter().product();
            let per_token = kept_per_token(self.width_of(stage), self.mlp_width(stage));
            tokens * self.depths[stage] * per_token
        };
        (0..self.depths.len()).map(stage).sum()
    }

    fn multiplications(&self, embedding_dim: usize) -> usize {
        let last = self.depths.len() - 1;
        let stage = |stage: usize| {
            let (width, side) = (self.width_of(stage), self.resolution(stage));
            let tokens = side * side;
            let merging = if stage < last { tokens / 4 * (4 * width) * (2 * width) } else { 0 };
            let seen = self.window.pow(2);
            let block = block_multiplications(tokens, seen, width, self.mlp_width(stage));
            self.depths[stage] * block + merging
        };
        let [rows, columns] = self.patch_size;
        let patches = self.resolution(0).pow(2) * rows * columns * self.width;
        let projection = (self.output_width() + embedding_dim) * embedding_dim;
        patches + (0..=last).map(stage).sum::<usize>() + projection
    }

    fn check(&self) -> Result<(), Invalid> {
        within("mel bins of the audio tower", self.mel_bins)?;
        let sizes = [self.spec_size, self.width, self.window, self.patch_stride[0]];
        let stages = self.depths.len();
        if stages == 0 || self.heads.len() != stages || stages > usize::BITS as usize / 2 {
            let found = format!("{:?} and {:?}", self.depths, self.heads);
            let key = "depths and num_attention_heads";
            return Err(Invalid::new(key, &found, "one number of each per stage"));
        }
        if sizes.iter().chain(&self.patch_stride).any(|size| !(1..=MAX_SIZE).contains(size)) {
            let key = "spec_size, width, window_size, patch_stride";
            return Err(Invalid::new(key, &format!("{sizes:?}"), "positive"));
        }
        if (0..stages)
            .any(|i| self.heads[i] == 0 || !self.width_of(i).is_multiple_of(self.heads[i]))
        {
            let found = format!("{:?} at width {}", self.heads, self.width);
            let expected = "divisors of each stage's width";
            return Err(Invalid::new("num_attention_heads", &found, expected));
        }
        if !self.spec_size.is_multiple_of(self.mel_bins) {
            let expected = format!("a multiple of the {} mel bins", self.mel_bins);
            return Err(Invalid::new("spec_size", &self.spec_size, expected));
        }
        if (0..2).any(|axis| self.patch_size[axis] < self.patch_stride[axis]) {
            let found = format!("{:?}", self.patch_size);
            return Err(Invalid::new("patch_size", &found, "at least the patch_stride"));
        }
        if !(self.mlp_ratio > 0.0 && self.mlp_ratio <= 64.0) {
            return Err(Invalid::new("mlp_ratio", &self.mlp_ratio, "a number from 0 to 64"));
        }
        // The reference's own table of offsets has no size for this.
        if self.resolution(stages - 1) < self.window {
            let found = format!("{} at {} tokens", self.window, self.resolution(stages - 1));
            let expected = "at most the last stage's tokens a side";
            return Err(Invalid::new("window_size", &found, expected));
        }
        if self.fusion.is_some_and(|f| !(1..=self.width).contains(&f.reduction)) {
            let found = format!("{:?}", self.fusion.map(|f| f.reduction));
            return Err(Invalid::new("aff_block_r", &found, "a number from 1 to the width"));
        }
        if self.frames > self.stretched() {
            let expected = format!("at most the {} that the tower takes", self.stretched());
            return Err(Invalid::new("frames of the feature extractor", &self.frames, expected));
        }
        Ok(())
    }
}

/// The audio tower: log-mels to an embedding.
#[derive(Module, Debug)]
pub struct Htsat {
    mel_norm: MelNorm,
    /// Resizes frames to the square's side times the number of folds: `[folded, frames]`.
    stretch: Option<Tensor<2>>,
    patch_kernel: Param<Tensor<4>>,
    patch_bias: Param<Tensor<1>>,
    patch_norm: Option<LayerNorm>,
    fusion: Option<Fusion>,
    stages: Vec<Stage>,
    norm: LayerNorm,
    projection: Projection,
    folds: usize,
    stride: [usize; 2],
    padding: [usize; 2],
    frames: usize,
    bins: usize,
    /// Whether a clip that fits the input is fused with copies of itself.
    fuses_short: bool,
}

impl InputModule for Htsat {
    fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
        self.mel_norm.describe(visitor, &format!("{PREFIX}.batch_norm"))?;
        let patches = format!("{PREFIX}.patch_embed");
        visitor.plain(&format!("{patches}.proj.weight"), &mut self.patch_kernel)?;
        visitor.plain(&format!("{patches}.proj.bias"), &mut self.patch_bias)?;
        if let Some(norm) = &mut self.patch_norm {
            visitor.norm(&format!("{patches}.norm"), norm)?;
        }
        if let Some(fusion) = &mut self.fusion {
            fusion.describe(visitor)?;
        }
        for (i, stage) in self.stages.iter_mut().enumerate() {
            stage.describe(visitor, &format!("{PREFIX}.layers.{i}"))?;
        }
        visitor.norm(&format!("{PREFIX}.norm"), &mut self.norm)?;
        self.projection.describe(visitor, "audio_projection")
    }

    fn frozen_parts(&self) -> Vec<bool> {
        self.stages.iter().map(|stage| stage.blocks.is_frozen()).collect()
    }

    /// A long clip of a model that fuses has the whole and its pieces as channels.
    fn accepts(&self, shape: [usize; 3]) -> bool {
        let fused = [FUSED_CHANNELS, self.frames, self.bins];
        shape == self.input_shape() || (self.fusion.is_some() && shape == fused)
    }

    fn statistics(&self) -> Option<(Vec<f32>, Vec<f32>)> {
        Some(self.mel_norm.statistics())
    }
}

impl InputTower for Htsat {
    fn input_shape(&self) -> [usize; 3] {
        [1, self.frames, self.bins]
    }

    /// One channel is a clip that the model reads whole. transformers fuses such a clip with
    /// three copies of itself where it is given alone; so does this, in that layout.
    fn embed(&self, log_mels: Tensor<4>) -> Tensor<2> {
        let log_mels = if self.fuses_short && log_mels.dims()[1] == 1 {
            log_mels.repeat_dim(1, FUSED_CHANNELS)
        } else {
            log_mels
        };
        let square = self.folded(self.mel_norm.forward(log_mels));
        let square = square.cast(self.patch_kernel.val().dtype());
        let hidden = self.patches(square);
        let [batch, width, rows, columns] = hidden.dims();
        let hidden = hidden.reshape([batch, width, rows * columns]).swap_dims(1, 2);
        let hidden = match &self.patch_norm {
            Some(norm) => normed(norm, hidden),
            None => hidden,
        };
        let hidden = hidden.reshape([batch, rows, columns, width]);
        let hidden = self.stages.iter().fold(hidden, |hidden, stage| stage.forward(hidden));
        let [batch, rows, columns, width] = hidden.dims();
        let hidden = normed(&self.norm, hidden.reshape([batch, rows * columns, width]));
        self.projection.forward(hidden.mean_dim(1).reshape([batch, width]))
    }
}

impl Htsat {
    /// Stretches time to a multiple of the square's side and lays the pieces under one another.
    ///
    /// # Shapes
    ///
    /// - normed: `[batch, channels, frames, mel_bins]`
    /// - output: `[batch, channels, folds * mel_bins, stretched / folds]`
    fn folded(&self, normed: Tensor<4>) -> Tensor<4> {
        let stretched = match &self.stretch {
            Some(stretch) => stretch.clone().unsqueeze_dims::<4>(&[0, 0]).matmul(normed),
            None => normed,
        };
        let [batch, channels, frames, bins] = stretched.dims();
        stretched
            .reshape([batch, channels * self.folds, frames / self.folds, bins])
            .swap_dims(2, 3)
            .reshape([batch, channels, self.folds * bins, frames / self.folds])
    }

    /// # Shapes
    ///
    /// - square: `[batch, channels, side, side]`
    /// - output: `[batch, width, side / stride, side / stride]`
    fn patches(&self, square: Tensor<4>) -> Tensor<4> {
        let whole = square.clone().narrow(1, 0, 1);
        let options = ConvOptions::new(self.stride, self.padding, [1, 1], 1);
        let (kernel, bias) = (self.patch_kernel.val(), self.patch_bias.val());
        let whole = conv2d(whole, kernel, Some(bias), options);
        match &self.fusion {
            Some(fusion) if square.dims()[1] > 1 => fusion.forward(whole, square),
            _ => whole,
        }
    }
}

/// Blocks of one resolution, and the merging that follows them.
#[derive(Module, Debug)]
struct Stage {
    blocks: Transformer,
    merging: Option<Merging>,
}

impl Stage {
    fn new(config: &HtsatConfig, stage: usize, device: &Device) -> Self {
        let blocks = (0..config.depths[stage]).map(|block| config.block(stage, block));
        let merges = stage + 1 < config.depths.len();
        Self {
            blocks: Transformer::new(blocks, device),
            merging: merges.then(|| Merging::new(config.width_of(stage), device)),
        }
    }

    fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        visitor.transformer(&mut self.blocks, &|block| format!("{name}.blocks.{block}"))?;
        match &mut self.merging {
            Some(merging) => merging.describe(visitor, &format!("{name}.downsample")),
            None => Ok(()),
        }
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, rows, columns, width]`
    /// - output: the same, or `[batch, rows / 2, columns / 2, 2 width]` where a stage follows
    fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        let [batch, rows, columns, width] = hidden.dims();
        let hidden = self.blocks.forward(hidden.reshape([batch * rows * columns, width]), batch);
        let hidden = hidden.reshape([batch, rows, columns, width]);
        match &self.merging {
            Some(merging) => merging.forward(hidden),
            None => hidden,
        }
    }
}

/// Four neighbouring tokens become one of twice the width.
#[derive(Module, Debug)]
struct Merging {
    norm: LayerNorm,
    /// `[4 width, 2 width]`.
    reduction: Param<Tensor<2>>,
}

impl Merging {
    fn new(width: usize, device: &Device) -> Self {
        Self {
            norm: visit::layer_norm(4 * width, EPSILON, device),
            reduction: visit::empty([4 * width, 2 * width], device),
        }
    }

    fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        visitor.norm(&format!("{name}.norm"), &mut self.norm)?;
        visitor.transposed(&format!("{name}.reduction.weight"), &mut self.reduction)
    }

    fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        let [_, rows, columns, _] = hidden.dims();
        let hidden = padded(hidden, [rows, columns].map(|side| side.next_multiple_of(2)));
        let [batch, rows, columns, width] = hidden.dims();
        // The reference's order of the four: down first, then to the right.
        let merged = hidden
            .reshape([batch, rows / 2, 2, columns / 2, 2, width])
            .permute([0, 1, 3, 4, 2, 5])
            .reshape([batch * (rows / 2) * (columns / 2), 4 * width]);
        normed(&self.norm, merged).matmul(self.reduction.val()).reshape([
            batch,
            rows / 2,
            columns / 2,
            2 * width,
        ])
    }
}
