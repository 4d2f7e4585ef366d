//! HTSAT: a Swin transformer over a log-mel spectrogram that is folded into a square.
//!
//! Reference: transformers, `ClapAudioEncoder` (`models/clap/modeling_clap.py`), in evaluation
//! mode. Windows of tokens attend among themselves; every second block shifts the windows by half
//! their side; between stages four neighbours become one token of twice the width.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::activation::softmax;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Int, Tensor, TensorData};
use umid_kernels::{Groups, Stack};

use super::fusion::Fusion;
use super::mel_norm::{EPSILON, MelNorm};
use super::resize::bicubic_matrix;
use super::shifted::ShiftedWindows;
use crate::config::{Activation, HtsatConfig};
use crate::frozen::{self, BlockShape, Blocks};
use crate::precision::normed;
use crate::save::Export;
use crate::transformer::{load_layer_norm, load_linear, parameter, side_by_side};
use crate::weights::{Weights, transpose};
use crate::{ModelError, Result};

/// Where the tower's tensors are in the Hugging Face layout.
const PREFIX: &str = "audio_model.audio_encoder";
/// Added to the attention of tokens that a shift has brought together from opposite edges.
const FAR_APART: f32 = -100.0;

/// The audio tower: log-mels to a pooled state of the last stage's width.
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
    folds: usize,
    stride: [usize; 2],
    padding: [usize; 2],
}

impl Htsat {
    pub(crate) fn load(
        weights: &Weights,
        config: &HtsatConfig,
        frames: usize,
        blocks: Blocks,
        device: &Device,
    ) -> Result<Self> {
        let (bins, width) = (config.mel_bins, config.width);
        let mel_norm = MelNorm::load(weights, &format!("{PREFIX}.batch_norm"), bins, device)?;
        let folds = config.folds();
        let stretched = config.spec_size * folds;
        if frames > stretched {
            let reason = format!("{frames} frames do not fit the tower, which takes {stretched}");
            return Err(ModelError::FrontEnd { reason });
        }
        let stretch = (frames < stretched).then(|| {
            let matrix = TensorData::new(bicubic_matrix(frames, stretched), [stretched, frames]);
            Tensor::from_data(matrix, device)
        });
        let [rows, columns] = config.patch_size;
        let kernel_shape = [width, 1, rows, columns];
        let norm = |name: &str, width| {
            load_layer_norm(weights, &format!("{PREFIX}.{name}"), width, EPSILON, device)
        };
        let (patch_norm, last_norm) = (
            config.patch_norm.then(|| norm("patch_embed.norm", width)).transpose()?,
            norm("norm", config.output_width())?,
        );
        let kernel = weights.take(&format!("{PREFIX}.patch_embed.proj.weight"), &kernel_shape)?;
        let kernel_bias = weights.take(&format!("{PREFIX}.patch_embed.proj.bias"), &[width])?;
        let fusion =
            config.fusion.as_ref().map(|f| Fusion::load(weights, f, config, device)).transpose()?;
        let stages = (0..config.depths.len())
            .map(|stage| Stage::load(weights, config, stage, blocks, device))
            .collect::<Result<_>>()?;
        Ok(Self {
            mel_norm,
            stretch,
            patch_kernel: parameter(kernel, kernel_shape, device),
            patch_bias: parameter(kernel_bias, [width], device),
            patch_norm,
            fusion,
            stages,
            norm: last_norm,
            folds,
            stride: config.patch_stride,
            padding: config.padding(),
        })
    }

    pub(crate) fn frozen_stages(&self) -> Vec<bool> {
        self.stages.iter().map(|stage| stage.frozen.is_some()).collect()
    }

    /// What it is made of, but for a fusion.
    pub(crate) fn export(&self, out: &mut Export) {
        self.mel_norm.export(out, &format!("{PREFIX}.batch_norm"));
        out.param(&format!("{PREFIX}.patch_embed.proj.weight"), &self.patch_kernel);
        out.param(&format!("{PREFIX}.patch_embed.proj.bias"), &self.patch_bias);
        if let Some(norm) = &self.patch_norm {
            out.layer_norm(&format!("{PREFIX}.patch_embed.norm"), norm);
        }
        for (i, stage) in self.stages.iter().enumerate() {
            stage.export(out, &format!("{PREFIX}.layers.{i}"));
        }
        out.layer_norm(&format!("{PREFIX}.norm"), &self.norm);
    }

    /// Pools log-mels.
    ///
    /// # Shapes
    ///
    /// - log_mel: `[batch, channels, frames, mel_bins]`; one channel, or four, which are fused
    /// - output: `[batch, output_width]`
    pub(crate) fn forward(&self, log_mel: Tensor<4>) -> Tensor<2> {
        let square = self.folded(self.mel_norm.forward(log_mel));
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
        hidden.mean_dim(1).reshape([batch, width])
    }

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

    pub(crate) fn mel_norm(&self) -> &MelNorm {
        &self.mel_norm
    }
}

/// Blocks of one resolution, and the merging that follows them.
#[derive(Module, Debug)]
struct Stage {
    /// None where they are frozen.
    blocks: Vec<Block>,
    #[module(skip)]
    frozen: Option<Arc<Stack>>,
    merging: Option<Merging>,
}

impl Stage {
    fn load(
        weights: &Weights,
        config: &HtsatConfig,
        stage: usize,
        blocks: Blocks,
        device: &Device,
    ) -> Result<Self> {
        let prefix = format!("{PREFIX}.layers.{stage}");
        let (depth, grid) = (config.depths[stage], config.grid(stage));
        let shape = block_shape(config, stage);
        // The kernels know whole windows only.
        let whole = grid.iter().all(|side| side.is_multiple_of(config.window));
        let (blocks, frozen) = match blocks {
            Blocks::Frozen(precision) if whole && shape.fits() && depth > 0 => {
                let load = |block| load_frozen(weights, config, &shape, stage, block, precision);
                (Vec::new(), Some(frozen::stack(depth, load)?))
            }
            Blocks::Frozen(_) | Blocks::Parameters => {
                let load = |block| Block::load(weights, config, stage, block, device);
                ((0..depth).map(load).collect::<Result<_>>()?, None)
            }
        };
        let merging = (stage + 1 < config.depths.len())
            .then(|| Merging::load(weights, &prefix, config.width_of(stage), device))
            .transpose()?;
        Ok(Self { blocks, frozen, merging })
    }

    fn export(&self, out: &mut Export, name: &str) {
        assert!(self.frozen.is_none(), "the kernels do not give weights back");
        for (i, block) in self.blocks.iter().enumerate() {
            block.export(out, &format!("{name}.blocks.{i}"));
        }
        if let Some(merging) = &self.merging {
            out.layer_norm(&format!("{name}.downsample.norm"), &merging.norm);
            out.transposed(&format!("{name}.downsample.reduction.weight"), &merging.reduction);
        }
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, rows, columns, width]`
    /// - output: the same, or `[batch, rows / 2, columns / 2, 2 width]` where a stage follows
    fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        let hidden = match &self.frozen {
            Some(stack) => {
                let [batch, rows, columns, width] = hidden.dims();
                let hidden = hidden.reshape([batch * rows * columns, width]);
                let hidden = frozen::forward(stack, hidden, rows * columns, None);
                hidden.reshape([batch, rows, columns, width])
            }
            None => self.blocks.iter().fold(hidden, |hidden, block| block.forward(hidden)),
        };
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
    fn load(weights: &Weights, prefix: &str, width: usize, device: &Device) -> Result<Self> {
        let name = format!("{prefix}.downsample.reduction.weight");
        let reduction = weights.take(&name, &[2 * width, 4 * width])?;
        let reduction = transpose(&reduction, 2 * width, 4 * width);
        let norm = format!("{prefix}.downsample.norm");
        Ok(Self {
            norm: load_layer_norm(weights, &norm, 4 * width, EPSILON, device)?,
            reduction: parameter(reduction, [4 * width, 2 * width], device),
        })
    }

    fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        let [_, rows, columns, _] = hidden.dims();
        let hidden = padded(hidden, rows.next_multiple_of(2), columns.next_multiple_of(2));
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

/// Attention within windows, then a two-layer perceptron, each behind a layer norm.
#[derive(Module, Debug)]
struct Block {
    norm_before: LayerNorm,
    /// Query, key and value side by side: `[width, 3 width]`.
    qkv: Linear,
    output: Linear,
    norm_after: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    /// Bias of a pair of tokens, by how far they lie apart: `[(2 window - 1)^2, heads]`.
    position_table: Param<Tensor<2>>,
    /// The table's row for each pair of a window's tokens: `[window^4]`.
    pair_offsets: Tensor<1, Int>,
    heads: usize,
    window: usize,
    shift: usize,
    #[module(skip)]
    activation: Activation,
}

impl Block {
    fn load(
        weights: &Weights,
        config: &HtsatConfig,
        stage: usize,
        block: usize,
        device: &Device,
    ) -> Result<Self> {
        let prefix = format!("{PREFIX}.layers.{stage}.blocks.{block}");
        let (width, heads, window) = (config.width_of(stage), config.heads[stage], config.window);
        let linear = |name: &str, input, output, bias: bool| {
            load_linear(weights, &format!("{prefix}.{name}"), input, output, bias, device)
        };
        let [q, k, v] = ["query", "key", "value"]
            .map(|part| linear(&format!("attention.self.{part}"), width, width, config.qkv_bias));
        let qkv = side_by_side([q?, k?, v?]);
        let output = linear("attention.output.dense", width, width, true)?;
        let inner = config.mlp_width(stage);
        let fc1 = linear("intermediate.dense", width, inner, true)?;
        let fc2 = linear("output.dense", inner, width, true)?;
        let table = take_position_table(weights, &prefix, window, heads)?;
        let windows = ShiftedWindows::of(config, stage, block);
        let norm = |name: &str| {
            load_layer_norm(weights, &format!("{prefix}.{name}"), width, config.epsilon, device)
        };
        Ok(Self {
            norm_before: norm("layernorm_before")?,
            qkv,
            output,
            norm_after: norm("layernorm_after")?,
            fc1,
            fc2,
            position_table: parameter(table, [(2 * window - 1).pow(2), heads], device),
            pair_offsets: pair_offsets(windows, device),
            heads,
            window,
            shift: windows.shift,
            activation: config.activation,
        })
    }

    fn shifted(&self) -> ShiftedWindows {
        ShiftedWindows { side: self.window, shift: self.shift }
    }

    fn export(&self, out: &mut Export, name: &str) {
        let attention = format!("{name}.attention.self");
        out.param(&format!("{attention}.relative_position_bias_table"), &self.position_table);
        out.thirds(&["query", "key", "value"].map(|part| format!("{attention}.{part}")), &self.qkv);
        out.linear(&format!("{name}.attention.output.dense"), &self.output);
        out.layer_norm(&format!("{name}.layernorm_before"), &self.norm_before);
        out.layer_norm(&format!("{name}.layernorm_after"), &self.norm_after);
        out.linear(&format!("{name}.intermediate.dense"), &self.fc1);
        out.linear(&format!("{name}.output.dense"), &self.fc2);
    }

    /// # Shapes
    ///
    /// - hidden, output: `[batch, rows, columns, width]`
    fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        let [batch, rows, columns, width] = hidden.dims();
        let (all_rows, all_columns) =
            (rows.next_multiple_of(self.window), columns.next_multiple_of(self.window));
        let before = normed(&self.norm_before, hidden.clone());
        let before = rolled(padded(before, all_rows, all_columns), self.shift);
        let windows = self.windows(before);
        let attended = self.attend(windows, all_rows, all_columns);
        let attended = self.unwindowed(attended, [batch, all_rows, all_columns, width]);
        let back = |side: usize| (side - self.shift) % side;
        let attended = rolled_by(attended, [back(all_rows), back(all_columns)])
            .narrow(1, 0, rows)
            .narrow(2, 0, columns);
        let hidden = hidden + attended;
        let rows_of = hidden.clone().reshape([batch * rows * columns, width]);
        let inner = self.fc1.forward(normed(&self.norm_after, rows_of));
        let inner = self.fc2.forward(self.activation.apply(inner));
        hidden + inner.reshape([batch, rows, columns, width])
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, rows, columns, width]`
    /// - output: `[batch * windows, window^2, width]`
    fn windows(&self, hidden: Tensor<4>) -> Tensor<3> {
        let ([batch, rows, columns, width], side) = (hidden.dims(), self.window);
        hidden
            .reshape([batch, rows / side, side, columns / side, side, width])
            .permute([0, 1, 3, 2, 4, 5])
            .reshape([batch * (rows / side) * (columns / side), side * side, width])
    }

    fn unwindowed(&self, windows: Tensor<3>, shape: [usize; 4]) -> Tensor<4> {
        let ([batch, rows, columns, width], side) = (shape, self.window);
        windows
            .reshape([batch, rows / side, columns / side, side, side, width])
            .permute([0, 1, 3, 2, 4, 5])
            .reshape(shape)
    }

    /// # Shapes
    ///
    /// - windows, output: `[batch * windows, window^2, width]`
    fn attend(&self, windows: Tensor<3>, rows: usize, columns: usize) -> Tensor<3> {
        let [count, tokens, width] = windows.dims();
        let head = width / self.heads;
        let qkv = self
            .qkv
            .forward(windows.reshape([count * tokens, width]))
            .reshape([count, tokens, 3, self.heads, head])
            .permute([2, 0, 3, 1, 4]);
        let part = |i| qkv.clone().narrow(0, i, 1).reshape([count, self.heads, tokens, head]);
        let scores = part(0).matmul(part(1).swap_dims(2, 3)) * (head as f64).sqrt().recip();
        let dtype = scores.dtype();
        let scores = scores + self.position_bias().unsqueeze_dim(0);
        let scores = if self.shift == 0 {
            scores
        } else {
            let mask = self.mask(rows, columns, &scores.device()).cast(dtype);
            let windows_each = mask.dims()[0];
            let shape = scores.dims();
            let scores =
                scores.reshape([count / windows_each, windows_each, self.heads, tokens, tokens]);
            (scores + mask.reshape([1, windows_each, 1, tokens, tokens])).reshape(shape)
        };
        let context = softmax(scores, 3).matmul(part(2)).swap_dims(1, 2);
        self.output
            .forward(context.reshape([count * tokens, width]))
            .reshape([count, tokens, width])
    }

    /// `[heads, window^2, window^2]`.
    fn position_bias(&self) -> Tensor<3> {
        let tokens = self.window * self.window;
        let pairs = self.position_table.val().select(0, self.pair_offsets.clone());
        pairs.reshape([tokens, tokens, self.heads]).permute([2, 0, 1])
    }

    /// Keeps tokens apart that the shift brought together: `[windows, window^2, window^2]`.
    fn mask(&self, rows: usize, columns: usize, device: &Device) -> Tensor<3> {
        let windows = self.shifted().positions(rows, columns);
        let mut values = Vec::new();
        for window in &windows {
            let regions: Vec<usize> = window
                .iter()
                .map(|position| self.shifted().region(*position, rows, columns))
                .collect();
            for one in &regions {
                values.extend(regions.iter().map(|o| if o == one { 0.0 } else { FAR_APART }));
            }
        }
        let tokens = self.window * self.window;
        Tensor::from_data(TensorData::new(values, [windows.len(), tokens, tokens]), device)
    }
}

/// A stage's blocks as the kernels load them.
fn block_shape(config: &HtsatConfig, stage: usize) -> BlockShape {
    BlockShape {
        norm_before: "layernorm_before",
        qkv: ["attention.self.query", "attention.self.key", "attention.self.value"],
        qkv_bias: config.qkv_bias,
        output: "attention.output.dense",
        norm_after: "layernorm_after",
        fc1: "intermediate.dense",
        fc2: "output.dense",
        width: config.width_of(stage),
        inner: config.mlp_width(stage),
        heads: config.heads[stage],
        activation: config.activation,
        epsilon: config.epsilon as f32,
    }
}

fn load_frozen(
    weights: &Weights,
    config: &HtsatConfig,
    shape: &BlockShape,
    stage: usize,
    block: usize,
    precision: umid_kernels::Precision,
) -> Result<umid_kernels::Block> {
    let name = format!("{PREFIX}.layers.{stage}.blocks.{block}");
    let table = take_position_table(weights, &name, config.window, shape.heads)?;
    let [rows, columns] = config.grid(stage);
    let windows = ShiftedWindows::of(config, stage, block).over(rows, columns, &table, shape.heads);
    shape.load(weights, &name, Groups::Windows(windows), precision)
}

/// `[(2 window - 1)^2, heads]`.
fn take_position_table(
    weights: &Weights,
    block: &str,
    window: usize,
    heads: usize,
) -> Result<Vec<f32>> {
    let attention = format!("{block}.attention.self");
    weights.skip(&format!("{attention}.relative_position_index"));
    let offsets = (2 * window - 1).pow(2);
    weights.take(&format!("{attention}.relative_position_bias_table"), &[offsets, heads])
}

/// The position table's row for each pair of a window's tokens: `[window^4]`.
fn pair_offsets(windows: ShiftedWindows, device: &Device) -> Tensor<1, Int> {
    let offsets: Vec<i64> = windows.pair_offsets().into_iter().map(|o| o as i64).collect();
    let count = offsets.len();
    Tensor::from_data(TensorData::new(offsets, [count]), device)
}

/// Zeros below and to the right, up to a size.
fn padded(hidden: Tensor<4>, rows: usize, columns: usize) -> Tensor<4> {
    let [batch, found_rows, found_columns, width] = hidden.dims();
    let options = (&hidden.device(), hidden.dtype());
    let mut hidden = hidden;
    if found_columns < columns {
        let zeros = Tensor::zeros([batch, found_rows, columns - found_columns, width], options);
        hidden = Tensor::cat(vec![hidden, zeros], 2);
    }
    if found_rows < rows {
        let zeros = Tensor::zeros([batch, rows - found_rows, columns, width], options);
        hidden = Tensor::cat(vec![hidden, zeros], 1);
    }
    hidden
}

/// Moves rows up and columns to the left; what leaves at one edge enters at the other.
fn rolled(hidden: Tensor<4>, by: usize) -> Tensor<4> {
    rolled_by(hidden, [by, by])
}

fn rolled_by(hidden: Tensor<4>, by: [usize; 2]) -> Tensor<4> {
    [1, 2].into_iter().zip(by).fold(hidden, |hidden, (axis, by)| {
        if by == 0 {
            return hidden;
        }
        let length = hidden.dims()[axis];
        let front = hidden.clone().narrow(axis, 0, by);
        Tensor::cat(vec![hidden.narrow(axis, by, length - by), front], axis)
    })
}
