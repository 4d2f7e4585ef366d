//! The residual blocks that transformers are made of: attention, then a two-layer perceptron.
//!
//! References: transformers, `CLIPEncoderLayer`, `ClapAudioLayer` and `ClapTextLayer`. Blocks
//! differ in where their norms are, in who attends to whom and in the names of their tensors;
//! these are values of a [`BlockConfig`]. Query, key and value are one matrix.
//!
//! The residual stream is one matrix of all tokens of a batch: a product of many rows with one
//! weight is twice as fast as one product per sequence.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::module::{attention, linear};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use umid_core::to_host;
use umid_kernels::{AddedTo, Groups, SharedSequences, Stack, fits};

use super::dropout::{AttentionDropout, BlockDropout};
use super::frozen;
use super::visit::{self, Visitor};
use super::windows::{ShiftedWindows, WindowAttention};
use crate::Result;
use crate::nn::Activation;
use crate::precision::normed;

/// Names of a block's tensors below the block's own name.
#[derive(Debug)]
pub(crate) struct BlockNames {
    /// The first norm of the block's [`NormOrder`].
    pub(crate) norm1: &'static str,
    pub(crate) qkv: [&'static str; 3],
    pub(crate) output: &'static str,
    pub(crate) norm2: &'static str,
    pub(crate) fc1: &'static str,
    pub(crate) fc2: &'static str,
}

/// Names of the learnt scales on what attention and the perceptron add, below the block's own name
/// (transformers, `Dinov2LayerScale`; CLIP has none in that layout).
const LAYER_SCALES: [&str; 2] = ["layer_scale1.lambda1", "layer_scale2.lambda1"];

/// Where a block's two norms are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NormOrder {
    /// Before attention and before the perceptron ("pre-norm").
    Before,
    /// After the sum of either with its input ("post-norm").
    After,
}

/// Which tokens a token attends to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attend {
    /// Every token of the sequence.
    Everywhere,
    /// Itself and earlier tokens.
    Backwards,
    /// Those that a mask of the batch leaves; see [`Transformer::forward_masked`].
    Masked,
    /// Those of its window, on a grid of this many rows and columns.
    Windows(ShiftedWindows, [usize; 2]),
}

/// Everything about a block that its weights do not say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockConfig {
    pub(crate) names: &'static BlockNames,
    pub(crate) order: NormOrder,
    pub(crate) attend: Attend,
    pub(crate) width: usize,
    /// Columns between the perceptron's layers.
    pub(crate) inner: usize,
    pub(crate) heads: usize,
    pub(crate) qkv_bias: bool,
    pub(crate) activation: Activation,
    pub(crate) epsilon: f64,
    /// Whether what is added to the residual stream is multiplied by a learnt scale.
    pub(crate) layer_scale: bool,
}

/// A stack of residual blocks.
#[derive(Module, Debug)]
pub(crate) struct Transformer {
    /// Empty where the kernels have them.
    pub(crate) layers: Vec<Block>,
    #[module(skip)]
    frozen: Option<Arc<Stack>>,
    /// The norm that a post-norm stack ends with, where the kernels have the blocks.
    last_norm: Option<LayerNorm>,
}

impl Transformer {
    pub(crate) fn new(layers: impl IntoIterator<Item = BlockConfig>, device: &Device) -> Self {
        let layers = layers.into_iter().map(|config| Block::new(config, device)).collect();
        Self { layers, frozen: None, last_norm: None }
    }

    /// # Panics
    ///
    /// If the kernels have the blocks: they do not give weights back.
    pub(crate) fn describe_layers(
        &mut self,
        visitor: &mut impl Visitor,
        name: &impl Fn(usize) -> String,
    ) -> Result<()> {
        assert!(self.frozen.is_none(), "the kernels do not give weights back");
        let mut layers = self.layers.iter_mut().enumerate();
        layers.try_for_each(|(i, layer)| layer.describe(visitor, &name(i)))
    }

    /// Whether there are kernels for all blocks.
    pub(crate) fn fits(&self) -> bool {
        !self.layers.is_empty() && self.layers.iter().all(Block::fits)
    }

    /// Sets the dropout of every block that attends to a whole sequence, and returns how many do. Blocks that
    /// the kernels have know none.
    pub(crate) fn set_attention_dropout(
        &mut self,
        dropout: Option<AttentionDropout>,
        first_stream: u64,
    ) -> usize {
        let whole = self.layers.iter_mut().filter(|layer| layer.windows.is_none() && !layer.masked);
        let with_streams = whole.zip(first_stream..);
        let set = |(layer, stream): (&mut Block, u64)| {
            layer.dropout = dropout.map(|dropout| BlockDropout { dropout, stream });
        };
        with_streams.map(set).count()
    }

    /// Leaves the blocks to the kernels. The last norm of a post-norm stack is not among theirs.
    pub(crate) fn freeze(
        &mut self,
        blocks: Vec<umid_kernels::Block>,
        last_norm: Option<LayerNorm>,
    ) {
        self.layers.clear();
        self.last_norm = last_norm;
        self.frozen = Some(Arc::new(Stack::new(blocks)));
    }

    /// Whether the kernels have the blocks: such weights can be neither trained nor exported.
    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// The stream after the last block.
    ///
    /// # Shapes
    ///
    /// - hidden, output: `[batch * tokens, width]`
    pub(crate) fn forward(&self, hidden: Tensor<2>, batch: usize) -> Tensor<2> {
        match &self.frozen {
            Some(stack) => {
                let tokens = hidden.dims()[0] / batch;
                let hidden = frozen::forward(stack, hidden, tokens, None);
                match &self.last_norm {
                    Some(norm) => norm.forward(hidden),
                    None => hidden,
                }
            }
            None => {
                self.layers.iter().fold(hidden, |hidden, layer| layer.forward(hidden, batch, None))
            }
        }
    }

    /// The stream after the last block at one token of each sequence; if the last block ends with a
    /// norm, before that norm. The last block computes that token alone; the others enter it as
    /// keys and values.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch * tokens, width]`
    /// - positions: the pooled position in each sequence of the batch
    /// - output: `[batch, width]`
    pub(crate) fn forward_at(&self, hidden: Tensor<2>, positions: &[usize]) -> Tensor<2> {
        if let Some(stack) = &self.frozen {
            let tokens = hidden.dims()[0] / positions.len();
            return frozen::forward(stack, hidden, tokens, Some(positions));
        }
        let Some((last, layers)) = self.layers.split_last() else {
            return rows_at(&hidden, positions);
        };
        let batch = positions.len();
        let hidden = layers.iter().fold(hidden, |hidden, layer| layer.forward(hidden, batch, None));
        last.forward_at(&hidden, positions)
    }

    /// The stream after the last block at the last token of each of some sequences, whose tokens attend
    /// backwards.
    ///
    /// # Shapes
    ///
    /// - hidden: `[tokens of all sequences, width]`
    /// - output: `[sequences, width]`
    ///
    /// # Panics
    ///
    /// If the kernels do not have the blocks.
    pub(crate) fn forward_shared(
        &self,
        hidden: Tensor<2>,
        sequences: &SharedSequences,
    ) -> Tensor<2> {
        let stack = self.frozen.as_ref().expect("only the kernels share what is alike");
        let device = hidden.device();
        let output = stack.forward_shared(&to_host(hidden), sequences);
        let rows = output.len() / stack.width();
        Tensor::from_data(TensorData::new(output, [rows, stack.width()]), &device)
    }

    /// The stream after the last block, of tokens that do not see all others.
    ///
    /// # Shapes
    ///
    /// - hidden, output: `[batch * tokens, width]`
    /// - hidden_pairs: `[batch, 1, tokens, tokens]`, true where a query (a row) must not see a key
    ///
    /// # Panics
    ///
    /// If the kernels have the blocks: those of [`Attend::Masked`] stay burn's.
    pub(crate) fn forward_masked(
        &self,
        hidden: Tensor<2>,
        hidden_pairs: &Tensor<4, Bool>,
        batch: usize,
    ) -> Tensor<2> {
        assert!(self.frozen.is_none(), "the kernels know no mask");
        let mask = Some(hidden_pairs);
        self.layers.iter().fold(hidden, |hidden, layer| layer.forward(hidden, batch, mask))
    }

    /// The stream of all tokens before the norm that the last block of a post-norm stack ends with.
    ///
    /// # Shapes
    ///
    /// - hidden, output: `[batch * tokens, width]`
    pub(crate) fn forward_before_norm(&self, hidden: Tensor<2>, batch: usize) -> Tensor<2> {
        if let Some(stack) = &self.frozen {
            let tokens = hidden.dims()[0] / batch;
            return frozen::forward(stack, hidden, tokens, None);
        }
        let (last, layers) = self.layers.split_last().expect("at least one block");
        let hidden = layers.iter().fold(hidden, |hidden, layer| layer.forward(hidden, batch, None));
        let hidden = normed(&last.norm1, hidden.clone() + last.attended(hidden, batch, None));
        hidden.clone() + last.perceptron(hidden)
    }

    /// The norm that the last block of a post-norm stack ends with.
    pub(crate) fn last_norm(&self) -> Option<&LayerNorm> {
        let of_layer = |layer: &'_ Block| layer.order == NormOrder::After;
        let of_layers =
            self.layers.last().filter(|layer| of_layer(layer)).map(|layer| &layer.norm2);
        self.last_norm.as_ref().or(of_layers)
    }
}

/// One residual block.
#[derive(Module, Debug)]
pub(crate) struct Block {
    norm1: LayerNorm,
    /// Query, key and value projections side by side: `[width, 3 width]`.
    qkv: Linear,
    output: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    /// Where attention stays within windows.
    windows: Option<WindowAttention>,
    /// Factors on what attention adds to the stream, and on what the perceptron adds.
    scales: Option<[Param<Tensor<1>>; 2]>,
    masked: bool,
    causal: bool,
    heads: usize,
    epsilon: f64,
    /// Absent unless an attack asks for it.
    #[module(skip)]
    dropout: Option<BlockDropout>,
    #[module(skip)]
    order: NormOrder,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    names: &'static BlockNames,
}

impl Block {
    fn new(config: BlockConfig, device: &Device) -> Self {
        let (width, inner) = (config.width, config.inner);
        let norm = || visit::layer_norm(width, config.epsilon, device);
        let linear = |input, output, bias| visit::linear(input, output, bias, device);
        let windows = match config.attend {
            Attend::Everywhere | Attend::Backwards | Attend::Masked => None,
            Attend::Windows(windows, grid) => {
                Some(WindowAttention::new(windows, grid, config.heads, device))
            }
        };
        Self {
            norm1: norm(),
            qkv: linear(width, 3 * width, config.qkv_bias),
            output: linear(width, width, true),
            norm2: norm(),
            fc1: linear(width, inner, true),
            fc2: linear(inner, width, true),
            windows,
            scales: config.layer_scale.then(|| [0; 2].map(|_| visit::empty([width], device))),
            masked: matches!(config.attend, Attend::Masked),
            causal: matches!(config.attend, Attend::Backwards),
            heads: config.heads,
            epsilon: config.epsilon,
            dropout: None,
            order: config.order,
            activation: config.activation,
            names: config.names,
        }
    }

    pub(crate) fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        let names = self.names;
        let at = |part: &str| format!("{name}.{part}");
        visitor.norm(&at(names.norm1), &mut self.norm1)?;
        if let Some(windows) = &mut self.windows {
            windows.describe(visitor, name)?;
        }
        visitor.side_by_side(&names.qkv.map(at), &mut self.qkv)?;
        visitor.linear(&at(names.output), &mut self.output)?;
        visitor.norm(&at(names.norm2), &mut self.norm2)?;
        visitor.linear(&at(names.fc1), &mut self.fc1)?;
        visitor.linear(&at(names.fc2), &mut self.fc2)?;
        let mut scales = self.scales.iter_mut().flatten().zip(LAYER_SCALES);
        scales.try_for_each(|(scale, name)| visitor.plain(&at(name), scale))
    }

    /// Whether there is a kernel for this block. The kernels know no mask, and of windows those that
    /// fill their grid.
    fn fits(&self) -> bool {
        let [width, inner] = self.fc1.weight.lazy_shape().dims();
        !self.masked
            && fits(width, inner, self.heads)
            && self.windows.as_ref().is_none_or(WindowAttention::fill_grid)
    }

    /// The block in the kernels' layout, of its tensors in the order of their description. A layer
    /// scale is multiplied into the weights before it. Of a post-norm block the last norm is left to
    /// what follows.
    ///
    /// - before: the last norm of the block before this one, which a post-norm block begins with
    /// - tables: the relative positions of windows, if there are any, then the layer scales
    pub(crate) fn kernel(
        &self,
        linears: &[umid_kernels::Linear],
        norms: &[[Vec<f32>; 2]],
        before: Option<&[Vec<f32>; 2]>,
        tables: &[Vec<f32>],
        precision: umid_kernels::Precision,
    ) -> umid_kernels::Block {
        let (groups, scales) = match (&self.windows, tables) {
            (Some(windows), [table, scales @ ..]) => {
                (Groups::Windows(windows.for_kernels(table, self.heads)), scales)
            }
            _ if self.causal => (Groups::Backwards, tables),
            _ => (Groups::All, tables),
        };
        let scaled: Vec<Scaled> =
            [3, 5].iter().zip(scales).map(|(i, scale)| Scaled::new(linears[*i], scale)).collect();
        let [output, fc2] = match scaled.as_slice() {
            [output, fc2] => [output.linear(), fc2.linear()],
            _ => [linears[3], linears[5]],
        };
        let attention = umid_kernels::Body::Attention {
            qkv: [linears[0], linears[1], linears[2]],
            output,
            heads: self.heads,
            groups,
        };
        let perceptron = umid_kernels::Body::Perceptron {
            fc1: linears[4],
            fc2,
            activation: self.activation.kernel(),
        };
        let epsilon = self.epsilon as f32;
        let (norms, added_to) = match self.order {
            NormOrder::Before => ([Some(&norms[0]), Some(&norms[1])], AddedTo::Hidden),
            NormOrder::After => ([before, Some(&norms[0])], AddedTo::Normed),
        };
        let [of_attention, of_perceptron] =
            norms.map(|norm| norm.map(|[gain, shift]| umid_kernels::Norm { gain, shift, epsilon }));
        let width = self.qkv.weight.lazy_shape().dims::<2>()[0];
        let branch = |norm, body| umid_kernels::Branch { width, norm, added_to, body };
        let branches = [branch(of_attention, attention), branch(of_perceptron, perceptron)];
        umid_kernels::Block::new(&branches, precision)
    }

    /// # Shapes
    ///
    /// - hidden, output: `[batch * tokens, width]`
    /// - mask: as of [`Transformer::forward_masked`]
    fn forward(
        &self,
        hidden: Tensor<2>,
        batch: usize,
        mask: Option<&Tensor<4, Bool>>,
    ) -> Tensor<2> {
        match self.order {
            NormOrder::Before => {
                let attended = self.attended(normed(&self.norm1, hidden.clone()), batch, mask);
                let hidden = hidden + attended;
                hidden.clone() + self.perceptron(normed(&self.norm2, hidden))
            }
            NormOrder::After => {
                let attended = self.attended(hidden.clone(), batch, mask);
                let hidden = normed(&self.norm1, hidden + attended);
                normed(&self.norm2, hidden.clone() + self.perceptron(hidden))
            }
        }
    }

    /// The block's output at one token of each sequence; see [`Transformer::forward_at`].
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch * tokens, width]`
    /// - positions: `batch` positions
    /// - output: `[batch, width]`
    fn forward_at(&self, hidden: &Tensor<2>, positions: &[usize]) -> Tensor<2> {
        match self.order {
            NormOrder::Before => {
                let attended = self.attended_at(&normed(&self.norm1, hidden.clone()), positions);
                let hidden = rows_at(hidden, positions) + attended;
                hidden.clone() + self.perceptron(normed(&self.norm2, hidden))
            }
            NormOrder::After => {
                let attended = self.attended_at(hidden, positions);
                let hidden = normed(&self.norm1, rows_at(hidden, positions) + attended);
                hidden.clone() + self.perceptron(hidden)
            }
        }
    }

    /// What each token gathers: `[batch * tokens, width]`.
    fn attended(
        &self,
        source: Tensor<2>,
        batch: usize,
        mask: Option<&Tensor<4, Bool>>,
    ) -> Tensor<2> {
        let shape = source.dims();
        let context = if let Some(windows) = &self.windows {
            windows.attend(source, batch, &self.qkv, self.heads)
        } else {
            let [q, k, v] = self.heads(self.qkv.forward(source), batch);
            if let Some(dropout) = &self.dropout {
                let context = dropout.attend([q, k, v], self.causal, None);
                let context = context.swap_dims(1, 2).reshape(shape);
                return self.scaled(0, self.output.forward(context));
            }
            let mask = mask.map(|mask| {
                let [batch, _, queries, keys] = mask.dims();
                mask.clone().expand([batch, self.heads, queries, keys])
            });
            let options = AttentionModuleOptions { is_causal: self.causal, ..Default::default() };
            attention(q, k, v, mask, None, options).swap_dims(1, 2).reshape(shape)
        };
        self.scaled(0, self.output.forward(context))
    }

    /// What attention (0) or the perceptron (1) adds to the stream, times its learnt scale.
    fn scaled(&self, part: usize, added: Tensor<2>) -> Tensor<2> {
        match &self.scales {
            Some(scales) => added * scales[part].val().unsqueeze_dim(0),
            None => added,
        }
    }

    /// What one token of each sequence gathers: `[batch, width]`.
    fn attended_at(&self, source: &Tensor<2>, positions: &[usize]) -> Tensor<2> {
        let (batch, [rows, width]) = (positions.len(), source.dims());
        let [k, v] = self.heads(self.project(source.clone(), width, 2 * width), batch);
        let [q] = self.heads(self.project(rows_at(source, positions), 0, width), batch);
        let mask = self.causal.then(|| later_than(positions, rows / batch, &source.device()));
        let context = match &self.dropout {
            Some(dropout) => dropout.attend([q, k, v], false, mask),
            None => attention(q, k, v, mask, None, AttentionModuleOptions::default()),
        };
        self.scaled(0, self.output.forward(context.swap_dims(1, 2).reshape([batch, width])))
    }

    fn perceptron(&self, source: Tensor<2>) -> Tensor<2> {
        self.scaled(1, self.fc2.forward(self.activation.apply(self.fc1.forward(source))))
    }

    /// Some of the columns of query, key and value.
    ///
    /// # Shapes
    ///
    /// - source: `[rows, width]`
    /// - output: `[rows, count]`
    fn project(&self, source: Tensor<2>, start: usize, count: usize) -> Tensor<2> {
        let weight = self.qkv.weight.val().narrow(1, start, count);
        let bias = self.qkv.bias.as_ref().map(|bias| bias.val().narrow(0, start, count));
        linear(source, weight, bias)
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
}

/// A stored linear layer whose outputs are multiplied with learnt factors.
#[derive(Debug)]
struct Scaled<'a> {
    weight: &'a dyn umid_kernels::Stored,
    bias: Option<Vec<f32>>,
    /// One per output.
    factors: &'a [f32],
}

impl<'a> Scaled<'a> {
    fn new(linear: umid_kernels::Linear<'a>, factors: &'a [f32]) -> Self {
        let scaled = |bias: &[f32]| bias.iter().zip(factors).map(|(b, f)| b * f).collect();
        Self { weight: linear.weight, bias: linear.bias.map(scaled), factors }
    }

    fn linear(&self) -> umid_kernels::Linear<'_> {
        umid_kernels::Linear { weight: self, bias: self.bias.as_deref() }
    }
}

impl umid_kernels::Stored for Scaled<'_> {
    fn count(&self) -> usize {
        self.weight.count()
    }

    fn values(&self, range: Range<usize>) -> Cow<'_, [f32]> {
        let inputs = self.count() / self.factors.len();
        let mut values = self.weight.values(range.clone()).into_owned();
        for (i, value) in range.zip(&mut values) {
            *value *= self.factors[i / inputs];
        }
        Cow::Owned(values)
    }
}

/// The rows of one token of each sequence.
///
/// # Shapes
///
/// - hidden: `[batch * tokens, width]`
/// - positions: `batch` positions
/// - output: `[batch, width]`
pub(crate) fn rows_at(hidden: &Tensor<2>, positions: &[usize]) -> Tensor<2> {
    let tokens = hidden.dims()[0] / positions.len();
    let rows: Vec<i64> =
        positions.iter().enumerate().map(|(i, token)| (i * tokens + token) as i64).collect();
    let rows = TensorData::new(rows, [positions.len()]);
    let rows = Tensor::<1, Int>::from_data(rows, &hidden.device());
    hidden.clone().select(0, rows)
}

/// True for tokens after the pooled position: `[batch, 1, 1, tokens]`.
fn later_than(positions: &[usize], tokens: usize, device: &Device) -> Tensor<4, Bool> {
    let later: Vec<bool> =
        positions.iter().flat_map(|at| (0..tokens).map(move |token| token > *at)).collect();
    Tensor::from_data(TensorData::new(later, [positions.len(), 1, 1, tokens]), device)
}
