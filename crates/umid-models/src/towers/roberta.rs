//! The text tower of CLAP: a post-norm transformer (RoBERTa), read at its first token.
//!
//! Reference: transformers, `ClapTextModelWithProjection` (`models/clap/modeling_clap.py`).

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use umid_core::to_host;

use super::{Invalid, TextConfigOf, TextModule, TextOutput, embedded, within};
use crate::Result;
use crate::nn::Activation;
use crate::nn::block::{Attend, BlockConfig, BlockNames, NormOrder, Transformer};
use crate::nn::projection::{Projection, ProjectionConfig};
use crate::nn::visit::{self, Derived, Visitor, parameter};

const PREFIX: &str = "text_model";
/// Start, text and end.
const MIN_CONTEXT: usize = 3;

pub(super) const BLOCK: BlockNames = BlockNames {
    norm1: "attention.output.LayerNorm",
    qkv: ["attention.self.query", "attention.self.key", "attention.self.value"],
    output: "attention.output.dense",
    norm2: "output.LayerNorm",
    fc1: "intermediate.dense",
    fc2: "output.dense",
};

/// Shape of a bidirectional post-norm text transformer (RoBERTa).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RobertaConfig {
    /// Number of token ids.
    pub vocabulary: usize,
    /// Rows of the position table; the first `padding_id + 1` belong to no text.
    pub positions: usize,
    /// Id of the padding token.
    pub padding_id: usize,
    /// Tokens that texts are cut to, if it is fewer than there are positions for.
    pub longest: Option<usize>,
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
    /// The projection to the joint space.
    pub projection: ProjectionConfig,
}

impl TextConfigOf for RobertaConfig {
    type Tower = Roberta;

    fn build(&self, embedding_dim: usize, device: &Device) -> Roberta {
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
        // Positions are counted from behind the padding token's id.
        let skipped = self.padding_id + 1;
        Roberta {
            tables: Tables {
                words: visit::empty([self.vocabulary, width], device),
                positions: visit::empty([self.positions - skipped, width], device),
                skipped,
                token_types: self.token_types,
            },
            norm: visit::layer_norm(width, self.epsilon, device),
            encoder: Transformer::new(std::iter::repeat_n(block, self.layers), device),
            pooler: visit::linear(width, width, true, device),
            projection: Projection::new(width, embedding_dim, self.projection, device),
        }
    }

    fn width(&self) -> usize {
        self.width
    }

    fn context(&self) -> usize {
        let positions = self.positions.saturating_sub(self.padding_id + 1);
        self.longest.map_or(positions, |longest| longest.min(positions))
    }

    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn dimensions(&self) -> String {
        format!("{} x {}", self.layers, self.width)
    }

    fn check(&self, _: usize) -> Result<(), Invalid> {
        for (key, size) in [
            ("vocabulary of the text tower", self.vocabulary),
            ("positions of the text tower", self.positions),
            ("token types of the text tower", self.token_types),
            ("width of the text tower", self.width),
            ("layers of the text tower", self.layers),
            ("MLP width of the text tower", self.mlp_width),
        ] {
            within(key, size)?;
        }
        if self.heads == 0 || !self.width.is_multiple_of(self.heads) {
            let found = format!("{} at width {}", self.heads, self.width);
            let key = "attention heads of the text tower";
            return Err(Invalid::new(key, &found, "a number that divides it"));
        }
        if self.context() < MIN_CONTEXT {
            let expected = format!("at least {MIN_CONTEXT} more than the padding token's id");
            return Err(Invalid::new("positions of the text tower", &self.positions, expected));
        }
        Ok(())
    }
}

/// A bidirectional transformer over token ids.
#[derive(Module, Debug)]
pub struct Roberta {
    tables: Tables,
    norm: LayerNorm,
    encoder: Transformer,
    pooler: Linear,
    projection: Projection,
}

impl TextModule for Roberta {
    fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
        self.tables.describe(visitor)?;
        visitor.norm(&format!("{PREFIX}.embeddings.LayerNorm"), &mut self.norm)?;
        visitor
            .transformer(&mut self.encoder, &|layer| format!("{PREFIX}.encoder.layer.{layer}"))?;
        visitor.linear(&format!("{PREFIX}.pooler.dense"), &mut self.pooler)?;
        self.projection.describe(visitor, "text_projection")
    }

    /// The state is the first token's, in the last layer, before that layer's last norm.
    fn forward(&self, ids: &[Vec<u32>]) -> TextOutput {
        let hidden = self.norm.forward(self.tables.placed(ids));
        let state = self.encoder.forward_at(hidden, &vec![0; ids.len()]);
        let last_norm = self.encoder.last_norm().expect("at least one layer");
        let pooled = self.pooler.forward(last_norm.forward(state.clone())).tanh();
        let (embedding, response) = self.projection.forward_with_response(pooled);
        TextOutput { embedding, state, response }
    }
}

/// The embedding tables.
#[derive(Module, Debug)]
pub(super) struct Tables {
    /// Words, with the embedding of the one token type that texts have added to each:
    /// `[vocabulary, width]`.
    pub(super) words: Param<Tensor<2>>,
    /// `[context, width]`; the reference's rows for padding are left out.
    pub(super) positions: Param<Tensor<2>>,
    /// Rows of the position table that belong to no text.
    pub(super) skipped: usize,
    /// Rows of the reference's table of token types; all but the first are unused.
    pub(super) token_types: usize,
}

impl Tables {
    /// Tokens with their positions, before the norm: `[batch * tokens, width]`.
    pub(super) fn placed(&self, ids: &[Vec<u32>]) -> Tensor<2> {
        let hidden = embedded(self.words.val(), ids);
        let [batch, tokens, width] = hidden.dims();
        let positions = self.positions.val().narrow(0, 0, tokens).unsqueeze_dim(0);
        (hidden + positions).reshape([batch * tokens, width])
    }

    pub(super) fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
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
