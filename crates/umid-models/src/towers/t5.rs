//! The encoder of T5: pre-norm blocks without biases, a learnt bias for each pair of tokens by how
//! far they lie apart, perceptrons that are gated in mT5 and in T5 from version 1.1 on.
//!
//! References: transformers, `T5Stack` and `T5Attention` (`models/t5/modeling_t5.py`); open_clip,
//! `HFTextEncoder` (`hf_model.py`).
//!
//! What the calibrated score takes from this tower: texts are not padded, since the reference
//! hides padding by a mask. The state is the residual stream before the last norm, of the first
//! token or the mean over all. The response is that state, multiplied by that norm's gain, through
//! a linear head; through a head that is not linear, the response is the embedding.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::bert::EncoderPooling;
use super::text_head::{HeadLayers, TextHead};
use super::{
    Invalid, TextConfigOf, TextModule, TextOutput, TextSizes, check_epsilon, embedded, within,
};
use crate::Result;
use crate::nn::Activation;
use crate::nn::visit::{self, Visitor};

const PREFIX: &str = "text_model";
/// Text and end.
const MIN_CONTEXT: usize = 2;

/// Shape of a T5 encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct T5Config {
    /// Number of token ids.
    pub vocabulary: usize,
    /// Longest token sequence, the end token included.
    pub context: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of an attention head.
    pub head_width: usize,
    /// Width of the hidden layer of each block's MLP.
    pub mlp_width: usize,
    /// Kinds of distances between two tokens, to the left and to the right.
    pub distances: usize,
    /// Distance from which on all are alike.
    pub farthest: usize,
    /// Activation of the MLP, or of its gate.
    pub activation: Activation,
    /// Whether each block's MLP has a gate.
    pub gated: bool,
    /// Epsilon of every norm.
    pub epsilon: f64,
    /// What of the last layer is pooled.
    pub pooling: EncoderPooling,
    /// What takes it to the joint space.
    pub head: TextHead,
}

impl TextConfigOf for T5Config {
    type Tower = T5;

    fn build(&self, embedding_dim: usize, device: &Device) -> T5 {
        let (width, inner) = (self.width, self.heads * self.head_width);
        let linear = |input, output| visit::linear(input, output, false, device);
        let norm = || Norm { gain: visit::empty([width], device), epsilon: self.epsilon };
        let block = |_| Block {
            norm1: norm(),
            query: linear(width, inner),
            key: linear(width, inner),
            value: linear(width, inner),
            output: linear(inner, width),
            norm2: norm(),
            gate: self.gated.then(|| linear(width, self.mlp_width)),
            fc1: linear(width, self.mlp_width),
            fc2: linear(self.mlp_width, width),
            heads: self.heads,
            activation: self.activation,
        };
        T5 {
            words: visit::empty([self.vocabulary, width], device),
            distance_bias: visit::empty([self.distances, self.heads], device),
            blocks: (0..self.layers).map(block).collect(),
            norm: norm(),
            head: HeadLayers::new(self.head, width, embedding_dim, self.epsilon, device),
            farthest: self.farthest,
            pooling: self.pooling,
        }
    }

    fn sizes(&self) -> TextSizes {
        let Self { vocabulary, context, width, layers, mlp_width, .. } = *self;
        TextSizes { vocabulary, context, width, layers, mlp_width, shortest: MIN_CONTEXT }
    }

    fn check(&self, embedding_dim: usize) -> Result<(), Invalid> {
        for (key, size) in [
            ("attention heads of the text tower", self.heads),
            ("head width of the text tower", self.head_width),
            ("relative positions of the text tower", self.distances),
            ("farthest relative position of the text tower", self.farthest),
        ] {
            within(key, size)?;
        }
        if self.distances < 4 || self.farthest <= self.distances / 4 {
            let found = format!("{} up to {}", self.distances, self.farthest);
            let expected = "at least 4, up to more than a quarter of their number";
            return Err(Invalid::new("relative positions of the text tower", &found, expected));
        }
        check_epsilon("layer_norm_epsilon", self.epsilon)?;
        if self.pooling == EncoderPooling::Pooler {
            return Err(Invalid::new("pooling", &"a pooler", "the first token or the mean"));
        }
        self.head.check(self.width, embedding_dim)
    }
}

/// A T5 encoder over token ids.
#[derive(Module, Debug)]
pub struct T5 {
    words: Param<Tensor<2>>,
    /// `[distances, heads]`; the first block has it, for all.
    distance_bias: Param<Tensor<2>>,
    blocks: Vec<Block>,
    norm: Norm,
    head: HeadLayers,
    farthest: usize,
    #[module(skip)]
    pooling: EncoderPooling,
}

impl TextModule for T5 {
    fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
        visitor.plain(&format!("{PREFIX}.embed_tokens.weight"), &mut self.words)?;
        let bias = "block.0.layer.0.SelfAttention.relative_attention_bias.weight";
        visitor.plain(&format!("{PREFIX}.{bias}"), &mut self.distance_bias)?;
        for (i, block) in self.blocks.iter_mut().enumerate() {
            block.describe(visitor, &format!("{PREFIX}.block.{i}"))?;
        }
        self.norm.describe(visitor, &format!("{PREFIX}.final_layer_norm"))?;
        self.head.describe(visitor)
    }

    fn forward(&self, ids: &[Vec<u32>]) -> TextOutput {
        let (batch, tokens) = (ids.len(), ids[0].len());
        let words = self.words.val();
        let width = words.dims()[1];
        let hidden = embedded(words, ids).reshape([batch * tokens, width]);
        let bias = self.pair_bias(tokens);
        let states =
            self.blocks.iter().fold(hidden, |hidden, block| block.forward(hidden, batch, &bias));
        let pooled = |hidden| self.pooling.pooled(hidden, batch);
        let state = pooled(states.clone());
        let undivided = state.clone() * self.norm.gain.val().unsqueeze_dim(0);
        let (embedding, response) = self.head.embed(pooled(self.norm.forward(states)), undivided);
        TextOutput { embedding, state, response }
    }
}

impl T5 {
    /// Added to the score of each pair of tokens: `[1, heads, tokens, tokens]`.
    fn pair_bias(&self, tokens: usize) -> Tensor<4> {
        let table = self.distance_bias.val();
        let [distances, heads] = table.dims();
        let pairs = (0..tokens).flat_map(|query| (0..tokens).map(move |key| (query, key)));
        let kinds: Vec<i64> = pairs
            .map(|(query, key)| {
                kind_of_distance(key as i64 - query as i64, distances, self.farthest)
            })
            .collect();
        let kinds = TensorData::new(kinds, [tokens * tokens]);
        let kinds = Tensor::<1, Int>::from_data(kinds, &table.device());
        let bias = table.select(0, kinds).reshape([tokens, tokens, heads]);
        bias.permute([2, 0, 1]).unsqueeze_dim(0)
    }
}

/// The row of the table for a distance: the first half for tokens before, the second for those
/// behind; near ones each have a row of their own, farther ones share rows by their logarithm.
fn kind_of_distance(distance: i64, distances: usize, farthest: usize) -> i64 {
    let half = (distances / 2) as i64;
    let exact = half / 2;
    let far = distance.abs();
    let kind = if far < exact {
        far
    } else {
        let share = (far as f32 / exact as f32).ln() / (farthest as f32 / exact as f32).ln();
        (exact + (share * (half - exact) as f32) as i64).min(half - 1)
    };
    if distance > 0 { half + kind } else { kind }
}

/// A root mean square norm.
#[derive(Module, Debug)]
struct Norm {
    gain: Param<Tensor<1>>,
    epsilon: f64,
}

impl Norm {
    fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        visitor.plain(&format!("{name}.weight"), &mut self.gain)
    }

    fn forward(&self, hidden: Tensor<2>) -> Tensor<2> {
        let square = hidden.clone().powi_scalar(2).mean_dim(1) + self.epsilon;
        hidden / square.sqrt() * self.gain.val().unsqueeze_dim(0)
    }
}

#[derive(Module, Debug)]
struct Block {
    norm1: Norm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    norm2: Norm,
    gate: Option<Linear>,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
    #[module(skip)]
    activation: Activation,
}

impl Block {
    fn describe(&mut self, visitor: &mut impl Visitor, name: &str) -> Result<()> {
        let (attention, perceptron) = (format!("{name}.layer.0"), format!("{name}.layer.1"));
        self.norm1.describe(visitor, &format!("{attention}.layer_norm"))?;
        for (part, layer) in [
            ("q", &mut self.query),
            ("k", &mut self.key),
            ("v", &mut self.value),
            ("o", &mut self.output),
        ] {
            visitor.linear(&format!("{attention}.SelfAttention.{part}"), layer)?;
        }
        self.norm2.describe(visitor, &format!("{perceptron}.layer_norm"))?;
        let perceptron = format!("{perceptron}.DenseReluDense");
        let first = if let Some(gate) = &mut self.gate {
            visitor.linear(&format!("{perceptron}.wi_0"), gate)?;
            "wi_1"
        } else {
            "wi"
        };
        visitor.linear(&format!("{perceptron}.{first}"), &mut self.fc1)?;
        visitor.linear(&format!("{perceptron}.wo"), &mut self.fc2)
    }

    /// # Shapes
    ///
    /// - hidden, output: `[batch * tokens, width]`
    /// - bias: `[1, heads, tokens, tokens]`
    fn forward(&self, hidden: Tensor<2>, batch: usize, bias: &Tensor<4>) -> Tensor<2> {
        let normed = self.norm1.forward(hidden.clone());
        let [rows, inner] = [normed.dims()[0], self.query.weight.dims()[1]];
        let heads = |layer: &Linear| {
            let shape = [batch, rows / batch, self.heads, inner / self.heads];
            layer.forward(normed.clone()).reshape(shape).swap_dims(1, 2)
        };
        let [_, count, queries, keys] = bias.dims();
        let bias = bias.clone().expand([batch, count, queries, keys]);
        // Scores are not divided by the root of the head's width.
        let options = AttentionModuleOptions { scale: Some(1.0), ..Default::default() };
        let (query, key, value) = (heads(&self.query), heads(&self.key), heads(&self.value));
        let context = attention(query, key, value, None, Some(bias), options);
        let hidden = hidden + self.output.forward(context.swap_dims(1, 2).reshape([rows, inner]));
        let normed = self.norm2.forward(hidden.clone());
        let inner = self.fc1.forward(normed.clone());
        let inner = match &self.gate {
            Some(gate) => self.activation.apply(gate.forward(normed)) * inner,
            None => self.activation.apply(inner),
        };
        hidden + self.fc2.forward(inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// transformers, `T5Attention._relative_position_bucket` of 32 buckets up to 128.
    #[test]
    fn far_tokens_share_a_kind_of_distance() {
        let expected = [(0, 0), (-1, 1), (-7, 7), (-8, 8), (-12, 9), (-127, 15), (-900, 15)];
        for (distance, kind) in expected {
            assert_eq!(kind_of_distance(distance, 32, 128), kind, "{distance}");
            if distance != 0 {
                assert_eq!(kind_of_distance(-distance, 32, 128), 16 + kind, "{}", -distance);
            }
        }
    }
}
