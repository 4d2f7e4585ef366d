//! Attention that a few learnt queries ask: it reads a sequence as one vector per query.
//!
//! References: open_clip, `AttentionalPooler` (`transformer.py`), as CoCa has it; transformers,
//! `SiglipMultiheadAttentionPoolingHead`; timm, `AttentionPoolLatent` (`layers/attention_pool.py`).
//! The first two are PyTorch's `MultiheadAttention`, with its names; CoCa norms what enters it,
//! SigLIP has a perceptron behind it, and so has timm, with names of its own.

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::module::{attention, linear};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::visit::{self, Form, Visitor};
use crate::Result;
use crate::nn::Activation;
use crate::precision::normed;

/// Names of query, key and value that PyTorch stores one by one.
const SEPARATE: [&str; 3] =
    ["attention.q_proj_weight", "attention.k_proj_weight", "attention.v_proj_weight"];

/// Everything about learnt queries that their weights do not say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueriesConfig {
    /// Number of queries.
    pub(crate) count: usize,
    /// Width of the sequence.
    pub(crate) input: usize,
    /// Width of the queries and of what they gather.
    pub(crate) width: usize,
    pub(crate) heads: usize,
    /// What is around the attention.
    pub(crate) around: Around,
    pub(crate) layout: Layout,
}

/// How the attention is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// As PyTorch's `MultiheadAttention`.
    PyTorch,
    /// As timm's `AttentionPoolLatent`; the sequence is as wide as the queries.
    Timm,
}

/// Shape of a pool of timm's: one query, as wide as the sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatentPoolConfig {
    /// Attention heads.
    pub heads: usize,
    /// Width of the perceptron's hidden layer.
    pub mlp_width: usize,
    /// Between the perceptron's layers.
    pub activation: Activation,
}

impl LatentPoolConfig {
    pub(crate) fn queries(self, width: usize, epsilon: f64) -> QueriesConfig {
        let Self { heads, mlp_width: inner, activation } = self;
        let around = Around::Perceptron { inner, activation, epsilon };
        QueriesConfig { count: 1, input: width, width, heads, around, layout: Layout::Timm }
    }
}

/// What is around the attention.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Around {
    /// Norms of the queries and of the sequence, with this epsilon.
    Norms(f64),
    /// A perceptron with a norm before it, added to what was gathered.
    Perceptron {
        /// Columns between its layers.
        inner: usize,
        activation: Activation,
        epsilon: f64,
    },
}

impl QueriesConfig {
    /// Multiplications for one sequence.
    pub(crate) fn multiplications(&self, tokens: usize) -> usize {
        let (count, width) = (self.count, self.width);
        let perceptron = match self.around {
            Around::Norms(_) => 0,
            Around::Perceptron { inner, .. } => 2 * width * inner,
        };
        2 * tokens * self.input * width
            + count * (2 * width * width + 2 * tokens * width + perceptron)
    }

    /// Numbers that the backward pass needs of the forward pass of one sequence.
    pub(crate) fn numbers_kept(&self, tokens: usize) -> usize {
        tokens * (self.input + 2 * self.width) + 5 * self.count * self.width
    }
}

/// Learnt queries, and what they ask with.
#[derive(Module, Debug)]
pub(crate) struct Queries {
    /// `[count, width]`.
    probe: Param<Tensor<2>>,
    /// Of the queries and of the sequence.
    norms: Option<[LayerNorm; 2]>,
    /// Query, key and value: side by side, `[width, 3 width]`, where PyTorch has a sequence as wide
    /// as the queries, else one by one; of timm, the query, then key and value side by side.
    weights: Vec<Param<Tensor<2>>>,
    /// Of query, key and value, `3 width` in all.
    biases: Vec<Param<Tensor<1>>>,
    output: Linear,
    perceptron: Option<Perceptron>,
    heads: usize,
    #[module(skip)]
    layout: Layout,
}

/// The perceptron behind the attention.
#[derive(Module, Debug)]
struct Perceptron {
    norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    activation: Activation,
}

impl Queries {
    pub(crate) fn new(config: QueriesConfig, device: &Device) -> Self {
        let QueriesConfig { count, input, width, heads, around, layout } = config;
        let norm = |width, epsilon| visit::layer_norm(width, epsilon, device);
        let linear = |input, output| visit::linear(input, output, true, device);
        let (norms, perceptron) = match around {
            Around::Norms(epsilon) => (Some([norm(width, epsilon), norm(input, epsilon)]), None),
            Around::Perceptron { inner, activation, epsilon } => {
                let (norm, fc1, fc2) =
                    (norm(width, epsilon), linear(width, inner), linear(inner, width));
                (None, Some(Perceptron { norm, fc1, fc2, activation }))
            }
        };
        let (weights, biases): (&[[usize; 2]], &[usize]) = match layout {
            Layout::Timm => (&[[width, width], [width, 2 * width]], &[width, 2 * width]),
            Layout::PyTorch if input == width => (&[[width, 3 * width]], &[3 * width]),
            Layout::PyTorch => (&[[width, width], [input, width], [input, width]], &[3 * width]),
        };
        Self {
            probe: visit::empty([count, width], device),
            norms,
            weights: weights.iter().map(|shape| visit::empty(*shape, device)).collect(),
            biases: biases.iter().map(|width| visit::empty([*width], device)).collect(),
            output: linear(width, width),
            perceptron,
            heads,
            layout,
        }
    }

    /// Names are those of SigLIP's head; `query_norm` and `key_norm` are CoCa's.
    pub(crate) fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        let [count, width] = self.probe.lazy_shape().dims();
        // CoCa's are a matrix.
        let stored = if self.norms.is_some() { vec![count, width] } else { vec![1, count, width] };
        let at = |part: &str| format!("{name}.{part}");
        let [probe, output, norm_of_perceptron] = match self.layout {
            Layout::PyTorch => ["probe", "attention.out_proj", "layernorm"],
            Layout::Timm => ["latent", "proj", "norm"],
        };
        let (weights, biases): (&[&str], &[&str]) = match (self.layout, self.weights.len()) {
            (Layout::Timm, _) => (&["q.weight", "kv.weight"], &["q.bias", "kv.bias"]),
            (Layout::PyTorch, 1) => (&["attention.in_proj_weight"], &["attention.in_proj_bias"]),
            (Layout::PyTorch, _) => (&SEPARATE, &["attention.in_proj_bias"]),
        };
        visitor.tensor(&at(probe), &stored, Form::Plain, &mut self.probe)?;
        for (part, weight) in weights.iter().zip(&mut self.weights) {
            visitor.transposed(&at(part), weight)?;
        }
        for (part, bias) in biases.iter().zip(&mut self.biases) {
            visitor.plain(&at(part), bias)?;
        }
        visitor.linear(&at(output), &mut self.output)?;
        if let Some([of_queries, of_keys]) = &mut self.norms {
            visitor.norm(&at("query_norm"), of_queries)?;
            visitor.norm(&at("key_norm"), of_keys)?;
        }
        if let Some(Perceptron { norm, fc1, fc2, .. }) = &mut self.perceptron {
            visitor.norm(&at(norm_of_perceptron), norm)?;
            visitor.linear(&at("mlp.fc1"), fc1)?;
            visitor.linear(&at("mlp.fc2"), fc2)?;
        }
        Ok(())
    }

    /// What the queries from `first` gather, `count` of them.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch, tokens, input]`
    /// - output: `[batch, count, width]`
    pub(crate) fn forward(&self, hidden: Tensor<3>, first: usize, count: usize) -> Tensor<3> {
        let [batch, tokens, input] = hidden.dims();
        let mut queries = self.probe.val().narrow(0, first, count);
        let mut hidden = hidden.reshape([batch * tokens, input]);
        if let Some([of_queries, of_keys]) = &self.norms {
            queries = normed(of_queries, queries);
            hidden = normed(of_keys, hidden);
        }
        let width = queries.dims()[1];
        let split = |rows: Tensor<2>, sequences: usize| {
            let [all, _] = rows.dims();
            let heads = rows.reshape([sequences, all / sequences, self.heads, width / self.heads]);
            heads.swap_dims(1, 2)
        };
        let query = split(self.project(0, queries), 1);
        let query = query.expand([batch, self.heads, count, width / self.heads]);
        let key = split(self.project(1, hidden.clone()), batch);
        let value = split(self.project(2, hidden), batch);
        let options = AttentionModuleOptions::default();
        let gathered = attention(query, key, value, None, None, options);
        let gathered = gathered.swap_dims(1, 2).reshape([batch * count, width]);
        let gathered = self.output.forward(gathered);
        let gathered = match &self.perceptron {
            Some(Perceptron { norm, fc1, fc2, activation }) => {
                let inner = activation.apply(fc1.forward(normed(norm, gathered.clone())));
                gathered + fc2.forward(inner)
            }
            None => gathered,
        };
        gathered.reshape([batch, count, width])
    }

    /// Rows as queries (0), keys (1) or values (2): `[rows, width]`.
    fn project(&self, part: usize, rows: Tensor<2>) -> Tensor<2> {
        let width = self.output.weight.dims()[0];
        let bias = columns(&self.biases, part * width, width);
        linear(rows, columns(&self.weights, part * width, width), Some(bias))
    }
}

/// Columns of parameters that stand side by side.
fn columns<const D: usize>(params: &[Param<Tensor<D>>], first: usize, count: usize) -> Tensor<D> {
    let mut before = 0;
    let mut spans = params.iter().map(|param| {
        let start = before;
        before += param.dims()[D - 1];
        (param, start..before)
    });
    let (param, span) = spans.find(|(_, span)| span.contains(&first)).expect("one of them");
    param.val().narrow(D - 1, first - span.start, count)
}
