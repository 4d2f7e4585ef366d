//! The pre-norm residual attention blocks that both towers are made of.
//!
//! Reference: transformers, `models/clip/modeling_clip.py` (`CLIPEncoderLayer`). Field names
//! follow the checkpoint's keys; query, key and value are kept as one matrix so that a block
//! costs four matrix products.
//!
//! The residual stream is kept as one matrix of all tokens of a batch: a product of many rows
//! with one weight is twice as fast as one product a sequence. A tower reads one token of each
//! sequence, so the last block computes that one alone; earlier tokens enter it as keys and
//! values.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::module::{attention, linear};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use umid_kernels::{Groups, Stack};

use crate::Result;
use crate::config::{Activation, TransformerConfig};
use crate::frozen::{self, BlockShape, Blocks};
use crate::precision::normed;
use crate::save::Export;
use crate::weights::{Weights, transpose};

/// Whether a token may attend to later tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attend {
    /// To every token.
    Everywhere,
    /// To itself and to earlier tokens.
    Backwards,
}

/// A stack of residual blocks.
#[derive(Module, Debug)]
pub struct Transformer {
    /// None where they are frozen.
    layers: Vec<Block>,
    #[module(skip)]
    frozen: Option<Arc<Stack>>,
}

impl Transformer {
    pub(crate) fn load(
        weights: &Weights,
        prefix: &str,
        config: &TransformerConfig,
        attend: Attend,
        blocks: Blocks,
        device: &Device,
    ) -> Result<Self> {
        let name = |layer: usize| format!("{prefix}.encoder.layers.{layer}");
        let shape = block_shape(config);
        if let Blocks::Frozen(precision) = blocks
            && shape.fits()
            && config.layers > 0
        {
            let groups = match attend {
                Attend::Everywhere => Groups::All,
                Attend::Backwards => Groups::Backwards,
            };
            let load = |i| shape.load(weights, &name(i), groups.clone(), precision);
            let frozen = Some(frozen::stack(config.layers, load)?);
            return Ok(Self { layers: Vec::new(), frozen });
        }
        let layers = (0..config.layers)
            .map(|i| Block::load(weights, &name(i), config, attend, device))
            .collect::<Result<_>>()?;
        Ok(Self { layers, frozen: None })
    }

    /// A frozen transformer has no weights to train or to export.
    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// The stream behind the last block, at one token of each sequence.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch * tokens, width]`
    /// - read: the position of the token that is read, for each sequence of the batch
    /// - output: `[batch, width]`
    pub(crate) fn forward(&self, hidden: Tensor<2>, read: &[usize]) -> Tensor<2> {
        if let Some(stack) = &self.frozen {
            let tokens = hidden.dims()[0] / read.len();
            return frozen::forward(stack, hidden, tokens, Some(read));
        }
        let Some((last, layers)) = self.layers.split_last() else {
            return rows_read(hidden, read);
        };
        let hidden = layers.iter().fold(hidden, |hidden, layer| layer.forward(hidden, read.len()));
        last.forward_at(hidden, read)
    }

    pub(crate) fn export(&self, out: &mut Export, tower: &str) {
        assert!(self.frozen.is_none(), "the kernels do not give weights back");
        for (i, layer) in self.layers.iter().enumerate() {
            layer.export(out, &format!("{tower}.encoder.layers.{i}"));
        }
    }
}

/// A block as the kernels load it.
fn block_shape(config: &TransformerConfig) -> BlockShape {
    BlockShape {
        norm_before: "layer_norm1",
        qkv: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
        qkv_bias: true,
        output: "self_attn.out_proj",
        norm_after: "layer_norm2",
        fc1: "mlp.fc1",
        fc2: "mlp.fc2",
        width: config.width,
        inner: config.mlp_width,
        heads: config.heads,
        activation: config.activation,
        epsilon: config.layer_norm_epsilon as f32,
    }
}

/// One residual block: attention, then a two-layer perceptron, each behind a layer norm.
#[derive(Module, Debug)]
struct Block {
    layer_norm1: LayerNorm,
    /// Query, key and value projections side by side: `[width, 3 width]`.
    qkv_proj: Linear,
    out_proj: Linear,
    layer_norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
    #[module(skip)]
    activation: Activation,
    causal: bool,
}

impl Block {
    fn load(
        weights: &Weights,
        prefix: &str,
        config: &TransformerConfig,
        attend: Attend,
        device: &Device,
    ) -> Result<Self> {
        let (width, mlp_width) = (config.width, config.mlp_width);
        let epsilon = config.layer_norm_epsilon;
        let linear = |name: &str, input, output| {
            load_linear(weights, &format!("{prefix}.{name}"), input, output, true, device)
        };
        let [q, k, v] =
            ["q", "k", "v"].map(|part| linear(&format!("self_attn.{part}_proj"), width, width));
        let qkv_proj = side_by_side([q?, k?, v?]);
        let out_proj = linear("self_attn.out_proj", width, width)?;
        let fc1 = linear("mlp.fc1", width, mlp_width)?;
        let fc2 = linear("mlp.fc2", mlp_width, width)?;
        let norm = |name: &str| {
            load_layer_norm(weights, &format!("{prefix}.{name}"), width, epsilon, device)
        };
        Ok(Self {
            layer_norm1: norm("layer_norm1")?,
            qkv_proj,
            out_proj,
            layer_norm2: norm("layer_norm2")?,
            fc1,
            fc2,
            heads: config.heads,
            activation: config.activation,
            causal: attend == Attend::Backwards,
        })
    }

    fn export(&self, out: &mut Export, name: &str) {
        out.layer_norm(&format!("{name}.layer_norm1"), &self.layer_norm1);
        let thirds = ["q", "k", "v"].map(|part| format!("{name}.self_attn.{part}_proj"));
        out.thirds(&thirds, &self.qkv_proj);
        out.linear(&format!("{name}.self_attn.out_proj"), &self.out_proj);
        out.layer_norm(&format!("{name}.layer_norm2"), &self.layer_norm2);
        out.linear(&format!("{name}.mlp.fc1"), &self.fc1);
        out.linear(&format!("{name}.mlp.fc2"), &self.fc2);
    }

    /// # Shapes
    ///
    /// - hidden, output: `[batch * tokens, width]`
    fn forward(&self, hidden: Tensor<2>, batch: usize) -> Tensor<2> {
        let qkv = self.qkv_proj.forward(normed(&self.layer_norm1, hidden.clone()));
        let [q, k, v] = self.heads(qkv, batch);
        let options = AttentionModuleOptions { is_causal: self.causal, ..Default::default() };
        self.finish(hidden, attention(q, k, v, None, None, options))
    }

    /// The block's output at one token of each sequence; the others serve as keys and values.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch * tokens, width]`
    /// - read: `batch` positions
    /// - output: `[batch, width]`
    fn forward_at(&self, hidden: Tensor<2>, read: &[usize]) -> Tensor<2> {
        let (batch, [rows, width]) = (read.len(), hidden.dims());
        let before = normed(&self.layer_norm1, hidden.clone());
        let [k, v] = self.heads(self.project(before.clone(), width, 2 * width), batch);
        let [q] = self.heads(self.project(rows_read(before, read), 0, width), batch);
        let mask = self.causal.then(|| later_than(read, rows / batch, &hidden.device()));
        let context = attention(q, k, v, mask, None, AttentionModuleOptions::default());
        self.finish(rows_read(hidden, read), context)
    }

    /// Some of the columns of query, key and value.
    ///
    /// # Shapes
    ///
    /// - normed: `[rows, width]`
    /// - output: `[rows, count]`
    fn project(&self, normed: Tensor<2>, start: usize, count: usize) -> Tensor<2> {
        let weight = self.qkv_proj.weight.val().narrow(1, start, count);
        let bias = self.qkv_proj.bias.as_ref().map(|bias| bias.val().narrow(0, start, count));
        linear(normed, weight, bias)
    }

    /// Splits columns into parts of the block's width, and each part into heads.
    ///
    /// # Shapes
    ///
    /// - columns: `[batch * tokens, PARTS * width]`
    /// - output: `[batch, heads, tokens, head_width]` each
    fn heads<const PARTS: usize>(&self, columns: Tensor<2>, batch: usize) -> [Tensor<4>; PARTS] {
        let [rows, all] = columns.dims();
        let columns = columns
            .reshape([batch, rows / batch, PARTS, self.heads, all / PARTS / self.heads])
            .permute([2, 0, 3, 1, 4]);
        std::array::from_fn(|part| columns.clone().narrow(0, part, 1).squeeze_dim(0))
    }

    /// What follows attention: its projection, the perceptron, and both residuals.
    ///
    /// # Shapes
    ///
    /// - hidden, output: `[batch * tokens, width]`
    /// - context: `[batch, heads, tokens, head_width]`
    fn finish(&self, hidden: Tensor<2>, context: Tensor<4>) -> Tensor<2> {
        let attended = self.out_proj.forward(context.swap_dims(1, 2).reshape(hidden.dims()));
        let hidden = hidden + attended;
        let inner = self.fc1.forward(normed(&self.layer_norm2, hidden.clone()));
        hidden + self.fc2.forward(self.activation.apply(inner))
    }
}

/// The rows of one token of each sequence.
///
/// # Shapes
///
/// - hidden: `[batch * tokens, width]`
/// - read: `batch` positions
/// - output: `[batch, width]`
pub(crate) fn rows_read(hidden: Tensor<2>, read: &[usize]) -> Tensor<2> {
    let tokens = hidden.dims()[0] / read.len();
    let rows: Vec<i64> =
        read.iter().enumerate().map(|(i, token)| (i * tokens + token) as i64).collect();
    let rows = TensorData::new(rows, [read.len()]);
    let rows = Tensor::<1, Int>::from_data(rows, &hidden.device());
    hidden.select(0, rows)
}

/// True for tokens behind the one that is read: `[batch, 1, 1, tokens]`.
fn later_than(read: &[usize], tokens: usize, device: &Device) -> Tensor<4, Bool> {
    let later: Vec<bool> =
        read.iter().flat_map(|read| (0..tokens).map(move |token| token > *read)).collect();
    Tensor::from_data(TensorData::new(later, [read.len(), 1, 1, tokens]), device)
}

/// A linear layer whose weight is stored `[output, input]`, as PyTorch does.
pub(crate) fn load_linear(
    weights: &Weights,
    name: &str,
    input: usize,
    output: usize,
    with_bias: bool,
    device: &Device,
) -> Result<Linear> {
    let weight = weights.take(&format!("{name}.weight"), &[output, input])?;
    let bias = with_bias.then(|| weights.take(&format!("{name}.bias"), &[output])).transpose()?;
    Ok(Linear {
        weight: parameter(transpose(&weight, output, input), [input, output], device),
        bias: bias.map(|bias| parameter(bias, [output], device)),
    })
}

/// A projection without bias, as the `[input, output]` matrix that multiplies from the right.
pub(crate) fn load_projection(
    weights: &Weights,
    name: &str,
    input: usize,
    output: usize,
    device: &Device,
) -> Result<Param<Tensor<2>>> {
    let weight = weights.take(name, &[output, input])?;
    Ok(parameter(transpose(&weight, output, input), [input, output], device))
}

pub(crate) fn load_layer_norm(
    weights: &Weights,
    name: &str,
    width: usize,
    epsilon: f64,
    device: &Device,
) -> Result<LayerNorm> {
    let mut norm = LayerNormConfig::new(width).with_epsilon(epsilon).init(device);
    norm.gamma = parameter(weights.take(&format!("{name}.weight"), &[width])?, [width], device);
    norm.beta = Some(parameter(weights.take(&format!("{name}.bias"), &[width])?, [width], device));
    Ok(norm)
}

/// A tensor of the model on its device.
pub(crate) fn parameter<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Param<Tensor<D>> {
    Param::from_data(TensorData::new(values, shape), device)
}

pub(crate) fn side_by_side(parts: [Linear; 3]) -> Linear {
    let [q, k, v] = parts;
    let bias = |linear: &Linear| linear.bias.as_ref().map(Param::val);
    let biases: Vec<Tensor<1>> = [&q, &k, &v].into_iter().filter_map(bias).collect();
    Linear {
        weight: Param::from_tensor(Tensor::cat(
            vec![q.weight.val(), k.weight.val(), v.weight.val()],
            1,
        )),
        bias: (!biases.is_empty()).then(|| Param::from_tensor(Tensor::cat(biases, 0))),
    }
}
