//! BERT, RoBERTa and XLM-RoBERTa as text towers: a bidirectional post-norm transformer.
//!
//! References: transformers, `BertModel`, `RobertaModel`, `ClapTextModelWithProjection`,
//! `ChineseCLIPModel`, `AltCLIPTextModel` and `VisionTextDualEncoderModel`; open_clip, `HFTextEncoder` (`hf_model.py`).
//!
//! What the calibrated score takes from this tower: texts are not padded, since the reference
//! hides padding by a mask. The state is the residual stream before the last block's last norm, of
//! the first token or the mean over all. The response is that state, centred and multiplied by
//! that norm's gain, through a linear head without its biases; through a head that is not linear,
//! the response is the embedding.

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use umid_core::to_host;

use super::text_head::{HeadLayers, TextHead};
use super::{
    Invalid, TextConfigOf, TextModule, TextOutput, TextSizes, check_epsilon, check_heads, embedded,
    within,
};
use crate::Result;
use crate::nn::Activation;
use crate::nn::block::{Attend, BlockConfig, BlockNames, NormOrder, Transformer};
use crate::nn::visit::{self, Derived, Visitor, parameter};

const PREFIX: &str = "text_model";
/// Start, text and end.
const MIN_CONTEXT: usize = 3;

const BLOCK: BlockNames = BlockNames {
    norm1: "attention.output.LayerNorm",
    qkv: ["attention.self.query", "attention.self.key", "attention.self.value"],
    output: "attention.output.dense",
    norm2: "output.LayerNorm",
    fc1: "intermediate.dense",
    fc2: "output.dense",
};

/// Shape of a BERT-like text tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BertConfig {
    /// Number of token ids.
    pub vocabulary: usize,
    /// Longest token sequence, start and end tokens included.
    pub context: usize,
    /// Rows of the position table.
    pub positions: usize,
    /// Row of a text's first token: 0 in BERT, behind the padding token's id in RoBERTa.
    pub first_position: usize,
    /// Rows of the token type table; texts are of the first type.
    pub token_types: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Width of the hidden layer of each block's MLP.
    pub mlp_width: usize,
    /// Activation of the MLP.
    pub activation: Activation,
    /// Epsilon of every layer norm.
    pub epsilon: f64,
    /// What of the last layer is pooled.
    pub pooling: EncoderPooling,
    /// What takes it to the joint space.
    pub head: TextHead,
}

/// What of an encoder's last layer is pooled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncoderPooling {
    /// The first token.
    First,
    /// The mean over all tokens.
    Mean,
    /// The first token, through a linear layer and a hyperbolic tangent.
    Pooler,
}

impl EncoderPooling {
    /// One vector per text, before the layer and the tangent of a pooler.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch * tokens, width]`
    /// - output: `[batch, width]`
    pub(super) fn pooled(self, hidden: Tensor<2>, batch: usize) -> Tensor<2> {
        let [rows, width] = hidden.dims();
        let hidden = hidden.reshape([batch, rows / batch, width]);
        let pooled = match self {
            Self::Mean => hidden.mean_dim(1),
            Self::First | Self::Pooler => hidden.narrow(1, 0, 1),
        };
        pooled.reshape([batch, width])
    }
}

impl TextConfigOf for BertConfig {
    type Tower = Bert;

    fn build(&self, embedding_dim: usize, device: &Device) -> Bert {
        let width = self.width;
        let block = BlockConfig {
            names: &BLOCK,
            order: NormOrder::After,
            attend: Attend::Everywhere,
            width,
            inner: self.mlp_width,
            heads: self.heads,
            qkv_bias: true,
            activation: self.activation,
            epsilon: self.epsilon,
            layer_scale: false,
        };
        let pooler = self.pooling == EncoderPooling::Pooler;
        let rows = self.positions - self.first_position;
        Bert {
            tables: Tables {
                words: visit::empty([self.vocabulary, width], device),
                positions: visit::empty([rows, width], device),
                skipped: self.first_position,
                token_types: self.token_types,
            },
            norm: visit::layer_norm(width, self.epsilon, device),
            encoder: Transformer::new(std::iter::repeat_n(block, self.layers), device),
            pooler: pooler.then(|| visit::linear(width, width, true, device)),
            head: HeadLayers::new(self.head, width, embedding_dim, self.epsilon, device),
            pooling: self.pooling,
        }
    }

    fn sizes(&self) -> TextSizes {
        let Self { vocabulary, context, width, layers, mlp_width, .. } = *self;
        TextSizes { vocabulary, context, width, layers, mlp_width, shortest: MIN_CONTEXT }
    }

    fn check(&self, embedding_dim: usize) -> Result<(), Invalid> {
        within("positions of the text tower", self.positions)?;
        within("token types of the text tower", self.token_types)?;
        check_heads("text", self.heads, self.width)?;
        check_epsilon("layer_norm_eps", self.epsilon)?;
        let most = self.positions.saturating_sub(self.first_position);
        if self.context > most {
            let expected = format!("at most {most}, for which there are positions");
            return Err(Invalid::new("context of the text tower", &self.context, expected));
        }
        self.head.check(self.width, embedding_dim)
    }
}

/// A bidirectional post-norm transformer over token ids.
#[derive(Module, Debug)]
pub struct Bert {
    tables: Tables,
    norm: LayerNorm,
    encoder: Transformer,
    pooler: Option<Linear>,
    head: HeadLayers,
    #[module(skip)]
    pooling: EncoderPooling,
}

impl TextModule for Bert {
    fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
        self.tables.describe(visitor)?;
        visitor.norm(&format!("{PREFIX}.embeddings.LayerNorm"), &mut self.norm)?;
        visitor
            .transformer(&mut self.encoder, &|layer| format!("{PREFIX}.encoder.layer.{layer}"))?;
        if let Some(pooler) = &mut self.pooler {
            visitor.linear(&format!("{PREFIX}.pooler.dense"), pooler)?;
        }
        self.head.describe(visitor)
    }

    fn forward(&self, ids: &[Vec<u32>]) -> TextOutput {
        let batch = ids.len();
        let hidden = self.norm.forward(self.tables.placed(ids));
        let last_norm = self.encoder.last_norm().expect("at least one layer");
        let mean = |hidden| self.pooling.pooled(hidden, batch);
        let (state, normed) = if self.pooling == EncoderPooling::Mean {
            let states = self.encoder.forward_before_norm(hidden, batch);
            (mean(states.clone()), mean(last_norm.forward(states)))
        } else {
            let state = self.encoder.forward_at(hidden, &vec![0; batch]);
            (state.clone(), last_norm.forward(state))
        };
        let (embedding, response) = if let Some(pooler) = &self.pooler {
            let pooled = pooler.forward(normed).tanh();
            self.head.embed(pooled.clone(), pooled)
        } else {
            let centred = state.clone() - state.clone().mean_dim(1);
            let gain = last_norm.gamma.val().unsqueeze_dim(0);
            self.head.embed(normed, centred * gain)
        };
        TextOutput { embedding, state, response }
    }
}

/// The embedding tables.
#[derive(Module, Debug)]
struct Tables {
    /// Words, with the embedding of the one token type that texts have added to each:
    /// `[vocabulary, width]`.
    words: Param<Tensor<2>>,
    /// `[context, width]`; the reference's rows for padding are left out.
    positions: Param<Tensor<2>>,
    /// Rows of the position table that belong to no text.
    skipped: usize,
    /// Rows of the reference's table of token types; all but the first are unused.
    token_types: usize,
}

impl Tables {
    /// Tokens with their positions, before the norm: `[batch * tokens, width]`.
    fn placed(&self, ids: &[Vec<u32>]) -> Tensor<2> {
        let hidden = embedded(self.words.val(), ids);
        let [batch, tokens, width] = hidden.dims();
        let positions = self.positions.val().narrow(0, 0, tokens).unsqueeze_dim(0);
        (hidden + positions).reshape([batch * tokens, width])
    }

    fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
        let embeddings = format!("{PREFIX}.embeddings");
        for buffer in ["position_ids", "token_type_ids"] {
            visitor.unused(&format!("{embeddings}.{buffer}"));
        }
        let [vocabulary, width] = self.words.lazy_shape().dims();
        let [context, _] = self.positions.lazy_shape().dims();
        let tables = [
            ("word", vocabulary),
            ("token_type", self.token_types),
            ("position", self.skipped + context),
        ];
        let tensors = tables.map(|(table, rows)| {
            (format!("{embeddings}.{table}_embeddings.weight"), vec![rows, width])
        });
        visitor.derived(&tensors, self)
    }
}

impl Derived for Tables {
    fn set(&mut self, stored: Vec<Vec<f32>>, device: &Device) {
        let [mut words, types, positions] = stored.try_into().expect("three tables");
        let [vocabulary, width] = self.words.lazy_shape().dims();
        let [context, _] = self.positions.lazy_shape().dims();
        for word in words.chunks_exact_mut(width) {
            word.iter_mut().zip(&types).for_each(|(word, shared)| *word += shared);
        }
        let positions = positions[self.skipped * width..].to_vec();
        self.words = parameter(words, [vocabulary, width], device);
        self.positions = parameter(positions, [context, width], device);
    }

    fn get(&self) -> Vec<Vec<f32>> {
        let words = self.words.val().inner();
        let width = words.dims()[1];
        let mut positions = vec![0.0; self.skipped * width];
        positions.extend(to_host(self.positions.val().inner()));
        vec![to_host(words), vec![0.0; self.token_types * width], positions]
    }
}
