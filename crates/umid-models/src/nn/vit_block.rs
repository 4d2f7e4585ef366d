//! The residual blocks of timm's image transformers.
//!
//! Reference: timm, `Block` (`vision_transformer.py`), `EvaBlock` and `EvaBlockPostNorm` (`eva.py`),
//! `RelPosBlock` (`vision_transformer_relpos.py`). They differ in how query, key and value are
//! stored, in their norms, in their perceptron and in how they know where a token is; these are
//! values of a [`VitBlockConfig`]. Tensors have timm's names.

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::activation::silu;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use umid_core::to_host;
use umid_kernels::fits;

use super::relative::{RelativePositions, RelativePositionsConfig};
use super::rotary::Rotation;
use super::visit::{self, Visitor};
use crate::Result;
use crate::checkpoint::transpose;
use crate::nn::Activation;
use crate::precision::normed;

/// How query, key and value are stored. Without a bias of its own, a key's is zero; it would add
/// the same to every score of a query, which the softmax does not see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Projections {
    /// One matrix and one bias.
    Fused,
    /// One matrix.
    FusedWithoutBias,
    /// One matrix, and a bias each for query and value.
    FusedTwoBiases,
    /// Three matrices, and a bias each for query and value.
    Separate,
}

/// Where the norms of a block's two branches are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BranchNorm {
    /// Of what enters a branch.
    Before,
    /// Of what a branch adds.
    After,
}

/// The perceptron of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Perceptron {
    /// Two layers with an activation between them.
    Plain,
    /// Two layers side by side, of which one gates the other through a SiLU, a norm and a last
    /// layer.
    SiluGated,
    /// A norm, two layers side by side, of which one gates the other through a GELU, and a last
    /// layer.
    GeluGated,
}

/// Everything about a block that its weights do not say.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct VitBlockConfig {
    /// Width of the residual stream.
    pub width: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Width of the perceptron's hidden layer.
    pub mlp_width: usize,
    /// Epsilon of every norm.
    pub layer_norm_epsilon: f64,
    /// How query, key and value are stored.
    pub projections: Projections,
    /// Where the norms are.
    pub norms: BranchNorm,
    /// Whether what attention gathers is normed before its output projection.
    pub attention_norm: bool,
    /// The perceptron.
    pub perceptron: Perceptron,
    /// Between the layers of a plain perceptron.
    pub activation: Activation,
    /// Whether each branch is multiplied with a learnt factor per column.
    pub layer_scale: bool,
    /// Attention scores by how far two patches lie apart.
    pub relative_positions: Option<RelativePositionsConfig>,
}

impl VitBlockConfig {
    /// Columns between the perceptron's layers, the gate's included.
    pub(crate) fn inner(&self) -> usize {
        match self.perceptron {
            Perceptron::Plain => self.mlp_width,
            Perceptron::SiluGated | Perceptron::GeluGated => 3 * self.mlp_width / 2,
        }
    }
}

/// One residual block.
#[derive(Module, Debug)]
pub(crate) struct VitBlock {
    norm1: LayerNorm,
    /// One layer, or three.
    qkv: Vec<Linear>,
    /// Biases of query and value, where they are stored apart from the matrix.
    biases: Vec<Param<Tensor<1>>>,
    relative_positions: Option<RelativePositions>,
    attention_norm: Option<LayerNorm>,
    output: Linear,
    /// Factors of the two branches.
    scales: Vec<Param<Tensor<1>>>,
    norm2: LayerNorm,
    /// One layer, or the gate and what it gates.
    fc1: Vec<Linear>,
    /// A gated perceptron's own norm.
    mlp_norm: Option<LayerNorm>,
    fc2: Linear,
    #[module(skip)]
    config: VitBlockConfig,
}

impl VitBlock {
    pub(crate) fn new(config: VitBlockConfig, device: &Device) -> Self {
        let (width, inner) = (config.width, config.mlp_width);
        let norm = |width| visit::layer_norm(width, config.layer_norm_epsilon, device);
        let linear = |input, output, bias| visit::linear(input, output, bias, device);
        let qkv = match config.projections {
            Projections::Fused => vec![linear(width, 3 * width, true)],
            Projections::FusedWithoutBias | Projections::FusedTwoBiases => {
                vec![linear(width, 3 * width, false)]
            }
            Projections::Separate => [true, false, true].map(|b| linear(width, width, b)).into(),
        };
        let of_width = |count| (0..count).map(|_| visit::empty([width], device)).collect();
        let mlp_norm = match config.perceptron {
            Perceptron::Plain => None,
            Perceptron::SiluGated => Some(inner),
            Perceptron::GeluGated => Some(width),
        };
        Self {
            norm1: norm(width),
            qkv,
            biases: of_width(2 * usize::from(config.projections == Projections::FusedTwoBiases)),
            relative_positions: config
                .relative_positions
                .map(|relative| RelativePositions::new(relative, config.heads, device)),
            attention_norm: config.attention_norm.then(|| norm(width)),
            output: linear(width, width, true),
            scales: of_width(2 * usize::from(config.layer_scale)),
            norm2: norm(width),
            fc1: (0..=usize::from(mlp_norm.is_some()))
                .map(|_| linear(width, inner, true))
                .collect(),
            mlp_norm: mlp_norm.map(norm),
            fc2: linear(inner, width, true),
            config,
        }
    }

    pub(crate) fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        let at = |part: &str| format!("{name}.{part}");
        let named = |names: &[&str]| names.iter().map(|part| at(part)).collect::<Vec<_>>();
        visitor.norm(&at("norm1"), &mut self.norm1)?;
        let qkv = match self.qkv.len() {
            1 => named(&["attn.qkv"]),
            _ => named(&["attn.q_proj", "attn.k_proj", "attn.v_proj"]),
        };
        for (name, layer) in qkv.iter().zip(&mut self.qkv) {
            visitor.linear(name, layer)?;
        }
        for (name, bias) in named(&["attn.q_bias", "attn.v_bias"]).iter().zip(&mut self.biases) {
            visitor.plain(name, bias)?;
        }
        if let Some(relative) = &mut self.relative_positions {
            relative.describe(visitor, &at("attn.rel_pos.mlp"))?;
        }
        if let Some(norm) = &mut self.attention_norm {
            visitor.norm(&at("attn.norm"), norm)?;
        }
        visitor.linear(&at("attn.proj"), &mut self.output)?;
        for (name, scale) in named(&["ls1.gamma", "ls2.gamma"]).iter().zip(&mut self.scales) {
            visitor.plain(name, scale)?;
        }
        visitor.norm(&at("norm2"), &mut self.norm2)?;
        let (fc1, fc2) = match self.config.perceptron {
            Perceptron::Plain => (named(&["mlp.fc1"]), "mlp.fc2"),
            Perceptron::SiluGated => (named(&["mlp.fc1_g", "mlp.fc1_x"]), "mlp.fc2"),
            Perceptron::GeluGated => (named(&["mlp.w0", "mlp.w1"]), "mlp.w2"),
        };
        for (name, layer) in fc1.iter().zip(&mut self.fc1) {
            visitor.linear(name, layer)?;
        }
        if let Some(norm) = &mut self.mlp_norm {
            visitor.norm(&at("mlp.norm"), norm)?;
        }
        visitor.linear(&at(fc2), &mut self.fc2)
    }

    /// # Shapes
    ///
    /// - hidden, output: `[batch * tokens, width]`
    pub(crate) fn forward(
        &self,
        hidden: Tensor<2>,
        batch: usize,
        rotation: Option<&Rotation>,
    ) -> Tensor<2> {
        let before = self.config.norms == BranchNorm::Before;
        let entering = |norm, hidden| if before { normed(norm, hidden) } else { hidden };
        let leaving = |norm, i: usize, added: Tensor<2>| {
            let added = if before { added } else { normed(norm, added) };
            match self.scales.get(i) {
                Some(scale) => added * scale.val().unsqueeze_dim(0),
                None => added,
            }
        };
        let attended = self.attended(entering(&self.norm1, hidden.clone()), batch, rotation);
        let hidden = hidden + leaving(&self.norm1, 0, attended);
        let added = self.perceptron(entering(&self.norm2, hidden.clone()));
        hidden + leaving(&self.norm2, 1, added)
    }

    fn attended(&self, source: Tensor<2>, batch: usize, rotation: Option<&Rotation>) -> Tensor<2> {
        let [rows, width] = source.dims();
        let (tokens, heads) = (rows / batch, self.config.heads);
        let split = |columns: Tensor<2>| {
            columns.reshape([batch, tokens, heads, width / heads]).swap_dims(1, 2)
        };
        let [query, key, value] = self.projected(source).map(split);
        let turned = |heads| match rotation {
            Some(rotation) => rotation.apply(heads),
            None => heads,
        };
        let bias = self
            .relative_positions
            .as_ref()
            .map(|relative| relative.scores(query.dtype()).expand([batch, heads, tokens, tokens]));
        let options = AttentionModuleOptions::default();
        let gathered = attention(turned(query), turned(key), value, None, bias, options);
        let gathered = gathered.swap_dims(1, 2).reshape([rows, width]);
        self.output.forward(match &self.attention_norm {
            Some(norm) => normed(norm, gathered),
            None => gathered,
        })
    }

    /// Query, key and value: `[rows, width]` each.
    fn projected(&self, source: Tensor<2>) -> [Tensor<2>; 3] {
        let [_, width] = source.dims();
        let [mut query, key, mut value] = match self.qkv.as_slice() {
            [fused] => {
                let columns = fused.forward(source);
                [0, 1, 2].map(|i| columns.clone().narrow(1, i * width, width))
            }
            layers => [0, 1, 2].map(|i| layers[i].forward(source.clone())),
        };
        if let [of_query, of_value] = self.biases.as_slice() {
            query = query + of_query.val().unsqueeze_dim(0);
            value = value + of_value.val().unsqueeze_dim(0);
        }
        [query, key, value]
    }

    fn perceptron(&self, source: Tensor<2>) -> Tensor<2> {
        let own = |hidden| match &self.mlp_norm {
            Some(norm) => normed(norm, hidden),
            None => hidden,
        };
        let first = &self.fc1[0];
        self.fc2.forward(match self.config.perceptron {
            Perceptron::Plain => self.config.activation.apply(first.forward(source)),
            Perceptron::SiluGated => {
                own(silu(first.forward(source.clone())) * self.fc1[1].forward(source))
            }
            Perceptron::GeluGated => {
                let source = own(source);
                let gate = self.config.activation.apply(first.forward(source.clone()));
                gate * self.fc1[1].forward(source)
            }
        })
    }

    /// Whether there is a kernel for a block of this shape whose tokens are not turned.
    pub(crate) fn fits(config: &VitBlockConfig) -> bool {
        config.norms == BranchNorm::Before
            && !config.attention_norm
            && config.perceptron == Perceptron::Plain
            && config.relative_positions.is_none()
            && fits(config.width, config.mlp_width, config.heads)
    }

    /// The block in the kernels' layout.
    pub(crate) fn kernel(&self, precision: umid_kernels::Precision) -> umid_kernels::Block {
        let width = self.config.width;
        let scale = |i: usize| self.scales.get(i).map(|scale| to_host(scale.val()));
        let [mut q, mut k, mut v] = match self.qkv.as_slice() {
            [fused] => {
                let stored = Stored::of(fused);
                let part = |i: usize| Stored {
                    weight: stored.weight[i * width * width..][..width * width].to_vec(),
                    bias: stored.bias.as_ref().map(|bias| bias[i * width..][..width].to_vec()),
                };
                [0, 1, 2].map(part)
            }
            layers => [0, 1, 2].map(|i| Stored::of(&layers[i])),
        };
        if let [of_query, of_value] = self.biases.as_slice() {
            (q.bias, v.bias) = (Some(to_host(of_query.val())), Some(to_host(of_value.val())));
        }
        k.bias = None;
        let output = Stored::of(&self.output).scaled(scale(0));
        let (fc1, fc2) = (Stored::of(&self.fc1[0]), Stored::of(&self.fc2).scaled(scale(1)));
        let norms = [&self.norm1, &self.norm2].map(|norm| {
            let shift = norm.beta.as_ref().expect("made with a shift");
            [to_host(norm.gamma.val()), to_host(shift.val())]
        });
        let epsilon = self.config.layer_norm_epsilon as f32;
        let norm = |i: usize| {
            let [gain, shift] = &norms[i];
            umid_kernels::Norm { gain, shift, epsilon }
        };
        let attention = umid_kernels::Body::Attention {
            qkv: [q.linear(), k.linear(), v.linear()],
            output: output.linear(),
            heads: self.config.heads,
            groups: umid_kernels::Groups::All,
        };
        let perceptron = umid_kernels::Body::Perceptron {
            fc1: fc1.linear(),
            fc2: fc2.linear(),
            activation: self.config.activation.kernel(),
        };
        let branches = [(0, attention), (1, perceptron)].map(|(i, body)| umid_kernels::Branch {
            width,
            norm: Some(norm(i)),
            added_to: umid_kernels::AddedTo::Hidden,
            body,
        });
        umid_kernels::Block::new(&branches, precision)
    }
}

/// A linear layer on the host, as PyTorch stores it.
struct Stored {
    /// `[output, input]`.
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
}

impl Stored {
    fn of(linear: &Linear) -> Self {
        let [input, output] = linear.weight.dims();
        Self {
            weight: transpose(&to_host(linear.weight.val()), input, output),
            bias: linear.bias.as_ref().map(|bias| to_host(bias.val())),
        }
    }

    /// The same, with a factor per output.
    fn scaled(mut self, factors: Option<Vec<f32>>) -> Self {
        let Some(factors) = factors else { return self };
        let input = self.weight.len() / factors.len();
        for (row, factor) in self.weight.chunks_exact_mut(input).zip(&factors) {
            for weight in row {
                *weight *= factor;
            }
        }
        for (bias, factor) in self.bias.iter_mut().flatten().zip(&factors) {
            *bias *= factor;
        }
        self
    }

    fn linear(&self) -> umid_kernels::Linear<'_> {
        umid_kernels::Linear { weight: &self.weight, bias: self.bias.as_deref() }
    }
}
