//! The pre-norm residual attention blocks that both towers are made of.
//!
//! Reference: transformers, `models/clip/modeling_clip.py` (`CLIPEncoderLayer`). Field names
//! follow the checkpoint's keys; query, key and value are kept as one matrix so that a block
//! costs four matrix products.

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::activation::{gelu, sigmoid};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor, TensorData};

use crate::Result;
use crate::config::{Activation, TransformerConfig};
use crate::weights::{Weights, transpose};

/// Slope of the sigmoid in quick-GELU (OpenAI's CLIP, `model.py`).
const QUICK_GELU_SLOPE: f64 = 1.702;

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
    layers: Vec<Block>,
}

impl Transformer {
    pub(crate) fn load(
        weights: &mut Weights,
        prefix: &str,
        config: &TransformerConfig,
        attend: Attend,
        device: &Device,
    ) -> Result<Self> {
        let layers = (0..config.layers)
            .map(|i| {
                Block::load(
                    weights,
                    &format!("{prefix}.encoder.layers.{i}"),
                    config,
                    attend,
                    device,
                )
            })
            .collect::<Result<_>>()?;
        Ok(Self { layers })
    }

    /// # Shapes
    ///
    /// - hidden, output: `[batch, tokens, width]`
    pub(crate) fn forward(&self, hidden: Tensor<3>) -> Tensor<3> {
        self.layers.iter().fold(hidden, |hidden, layer| layer.forward(hidden))
    }

    pub(crate) fn layers(&self) -> &[Block] {
        &self.layers
    }
}

/// One residual block: attention, then a two-layer perceptron, each behind a layer norm.
#[derive(Module, Debug)]
pub(crate) struct Block {
    pub(crate) layer_norm1: LayerNorm,
    /// Query, key and value projections side by side: `[width, 3 width]`.
    pub(crate) qkv_proj: Linear,
    pub(crate) out_proj: Linear,
    pub(crate) layer_norm2: LayerNorm,
    pub(crate) fc1: Linear,
    pub(crate) fc2: Linear,
    heads: usize,
    #[module(skip)]
    activation: Activation,
    causal: bool,
}

impl Block {
    fn load(
        weights: &mut Weights,
        prefix: &str,
        config: &TransformerConfig,
        attend: Attend,
        device: &Device,
    ) -> Result<Self> {
        let (width, mlp_width) = (config.width, config.mlp_width);
        let epsilon = config.layer_norm_epsilon;
        let mut linear = |name: &str, input, output| {
            load_linear(weights, &format!("{prefix}.{name}"), input, output, device)
        };
        let [q, k, v] =
            ["q", "k", "v"].map(|part| linear(&format!("self_attn.{part}_proj"), width, width));
        let qkv_proj = side_by_side([q?, k?, v?]);
        let out_proj = linear("self_attn.out_proj", width, width)?;
        let fc1 = linear("mlp.fc1", width, mlp_width)?;
        let fc2 = linear("mlp.fc2", mlp_width, width)?;
        let mut norm = |name: &str| {
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

    fn forward(&self, hidden: Tensor<3>) -> Tensor<3> {
        let attended = self.attend(self.layer_norm1.forward(hidden.clone()));
        let hidden = hidden + attended;
        let inner = self.fc1.forward(self.layer_norm2.forward(hidden.clone()));
        let inner = match self.activation {
            Activation::Gelu => gelu(inner),
            Activation::QuickGelu => inner.clone() * sigmoid(inner * QUICK_GELU_SLOPE),
        };
        hidden + self.fc2.forward(inner)
    }

    fn attend(&self, hidden: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, width] = hidden.dims();
        let head_width = width / self.heads;
        let qkv = self
            .qkv_proj
            .forward(hidden)
            .reshape([batch, tokens, 3, self.heads, head_width])
            // [3, batch, heads, tokens, head_width]
            .permute([2, 0, 3, 1, 4]);
        let part = |i: usize| -> Tensor<4> { qkv.clone().narrow(0, i, 1).squeeze_dim(0) };
        let options = AttentionModuleOptions { is_causal: self.causal, ..Default::default() };
        let context = attention(part(0), part(1), part(2), None, None, options);
        let context = context.swap_dims(1, 2).reshape([batch, tokens, width]);
        self.out_proj.forward(context)
    }
}

/// A linear layer whose weight is stored `[output, input]`, as PyTorch does.
fn load_linear(
    weights: &mut Weights,
    name: &str,
    input: usize,
    output: usize,
    device: &Device,
) -> Result<Linear> {
    let weight = weights.take(&format!("{name}.weight"), &[output, input])?;
    let bias = weights.take(&format!("{name}.bias"), &[output])?;
    Ok(Linear {
        weight: parameter(transpose(&weight, output, input), [input, output], device),
        bias: Some(parameter(bias, [output], device)),
    })
}

/// A projection without bias, as the `[input, output]` matrix that multiplies from the right.
pub(crate) fn load_projection(
    weights: &mut Weights,
    name: &str,
    input: usize,
    output: usize,
    device: &Device,
) -> Result<Param<Tensor<2>>> {
    let weight = weights.take(name, &[output, input])?;
    Ok(parameter(transpose(&weight, output, input), [input, output], device))
}

pub(crate) fn load_layer_norm(
    weights: &mut Weights,
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

fn side_by_side(parts: [Linear; 3]) -> Linear {
    let [q, k, v] = parts;
    let bias = |linear: &Linear| linear.bias.as_ref().map(Param::val);
    let biases = [&q, &k, &v].into_iter().filter_map(bias).collect();
    Linear {
        weight: Param::from_tensor(Tensor::cat(
            vec![q.weight.val(), k.weight.val(), v.weight.val()],
            1,
        )),
        bias: Some(Param::from_tensor(Tensor::cat(biases, 0))),
    }
}
