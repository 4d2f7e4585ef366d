//! The text tower of CLAP: a post-norm transformer (RoBERTa), read at its first token.
//!
//! Reference: transformers, `ClapTextModelWithProjection` (`models/clap/modeling_clap.py`).

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor};

use super::{TextOutput, embedded};
use crate::Result;
use crate::config::{Activation, ProjectionConfig, RobertaConfig};
use crate::model::to_host;
use crate::projection::Projection;
use crate::save::Export;
use crate::transformer::{load_layer_norm, load_linear, parameter, rows_read, side_by_side};
use crate::weights::Weights;

const PREFIX: &str = "text_model";

/// A bidirectional transformer over token ids.
#[derive(Module, Debug)]
pub struct Roberta {
    /// Words, with the embedding of the one token type that texts have added to each:
    /// `[vocabulary, width]`.
    words: Param<Tensor<2>>,
    /// `[context, width]`; the reference's rows for padding are left out.
    positions: Param<Tensor<2>>,
    norm: LayerNorm,
    layers: Vec<Layer>,
    pooler: Linear,
    projection: Projection,
    /// Rows of the position table that belong to no text.
    skipped: usize,
    /// Rows of the reference's table of token types; all but the first are unused.
    token_types: usize,
}

impl Roberta {
    pub(crate) fn load(
        weights: &Weights,
        config: &RobertaConfig,
        projection: ProjectionConfig,
        device: &Device,
    ) -> Result<Self> {
        let width = config.width;
        let embeddings = format!("{PREFIX}.embeddings");
        for buffer in ["position_ids", "token_type_ids"] {
            weights.skip(&format!("{embeddings}.{buffer}"));
        }
        let table = |name: &str, rows: usize| {
            weights.take(&format!("{embeddings}.{name}_embeddings.weight"), &[rows, width])
        };
        let mut words = table("word", config.vocabulary)?;
        let types = table("token_type", config.token_types)?;
        let all_positions = table("position", config.positions)?;
        for word in words.chunks_exact_mut(width) {
            word.iter_mut().zip(&types).for_each(|(word, shared)| *word += shared);
        }
        // Positions are counted from behind the padding token's id.
        let skipped = config.padding_id + 1;
        let positions = all_positions[skipped * width..].to_vec();
        let norm = format!("{embeddings}.LayerNorm");
        Ok(Self {
            words: parameter(words, [config.vocabulary, width], device),
            positions: parameter(positions, [config.positions - skipped, width], device),
            norm: load_layer_norm(weights, &norm, width, config.epsilon, device)?,
            layers: (0..config.layers)
                .map(|layer| Layer::load(weights, config, layer, device))
                .collect::<Result<_>>()?,
            pooler: load_linear(
                weights,
                &format!("{PREFIX}.pooler.dense"),
                width,
                width,
                true,
                device,
            )?,
            projection: Projection::load(weights, "text_projection", width, projection, device)?,
            skipped,
            token_types: config.token_types,
        })
    }

    pub(crate) fn export(&self, out: &mut Export) {
        let embeddings = format!("{PREFIX}.embeddings");
        out.param(&format!("{embeddings}.word_embeddings.weight"), &self.words);
        let positions = self.positions.val().inner();
        let [context, width] = positions.dims();
        let rows = self.skipped + context;
        let mut table = vec![0.0; self.skipped * width];
        table.extend(to_host(positions));
        out.push(&format!("{embeddings}.position_embeddings.weight"), vec![rows, width], table);
        let types = vec![0.0; self.token_types * width];
        let shape = vec![self.token_types, width];
        out.push(&format!("{embeddings}.token_type_embeddings.weight"), shape, types);
        out.layer_norm(&format!("{embeddings}.LayerNorm"), &self.norm);
        for (i, layer) in self.layers.iter().enumerate() {
            layer.export(out, &format!("{PREFIX}.encoder.layer.{i}"));
        }
        out.linear(&format!("{PREFIX}.pooler.dense"), &self.pooler);
        self.projection.export(out, "text_projection");
    }

    /// Embeds token sequences of one length, without padding.
    ///
    /// The state is the first token's, in the last layer, before that layer's last norm.
    ///
    /// # Shapes
    ///
    /// `ids` holds `batch` sequences of equal length, at most the context.
    ///
    /// # Panics
    ///
    /// If `ids` is empty or its sequences differ in length.
    pub fn forward(&self, ids: &[Vec<u32>]) -> TextOutput {
        let (batch, tokens) = (ids.len(), ids[0].len());
        let words = self.words.val();
        let width = words.dims()[1];
        let hidden = embedded(words, ids);
        let positions = self.positions.val().narrow(0, 0, tokens).unsqueeze_dim(0);
        let hidden = self.norm.forward((hidden + positions).reshape([batch * tokens, width]));
        let (last, layers) = self.layers.split_last().expect("at least one layer");
        let hidden = layers.iter().fold(hidden, |hidden, layer| layer.forward(hidden, batch));
        let state = last.forward_first(hidden, batch);
        let pooled = self.pooler.forward(last.norm_after(state.clone())).tanh();
        let embedding = self.projection.forward(pooled);
        let response = embedding.clone() - self.projection.offset();
        TextOutput { embedding, state, response }
    }
}

/// Attention, then a two-layer perceptron, each followed by a layer norm of the sum.
#[derive(Module, Debug)]
struct Layer {
    qkv: Linear,
    output: Linear,
    attention_norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    norm: LayerNorm,
    heads: usize,
    #[module(skip)]
    activation: Activation,
}

impl Layer {
    fn load(
        weights: &Weights,
        config: &RobertaConfig,
        layer: usize,
        device: &Device,
    ) -> Result<Self> {
        let (width, inner) = (config.width, config.mlp_width);
        let prefix = format!("{PREFIX}.encoder.layer.{layer}");
        let linear = |name: &str, input, output| {
            load_linear(weights, &format!("{prefix}.{name}"), input, output, true, device)
        };
        let [q, k, v] = ["query", "key", "value"]
            .map(|part| linear(&format!("attention.self.{part}"), width, width));
        let qkv = side_by_side([q?, k?, v?]);
        let output = linear("attention.output.dense", width, width)?;
        let fc1 = linear("intermediate.dense", width, inner)?;
        let fc2 = linear("output.dense", inner, width)?;
        let norm = |name: &str| {
            load_layer_norm(weights, &format!("{prefix}.{name}"), width, config.epsilon, device)
        };
        Ok(Self {
            qkv,
            output,
            attention_norm: norm("attention.output.LayerNorm")?,
            fc1,
            fc2,
            norm: norm("output.LayerNorm")?,
            heads: config.heads,
            activation: config.activation,
        })
    }

    fn export(&self, out: &mut Export, name: &str) {
        let thirds = ["query", "key", "value"].map(|part| format!("{name}.attention.self.{part}"));
        out.thirds(&thirds, &self.qkv);
        out.linear(&format!("{name}.attention.output.dense"), &self.output);
        out.layer_norm(&format!("{name}.attention.output.LayerNorm"), &self.attention_norm);
        out.linear(&format!("{name}.intermediate.dense"), &self.fc1);
        out.linear(&format!("{name}.output.dense"), &self.fc2);
        out.layer_norm(&format!("{name}.output.LayerNorm"), &self.norm);
    }

    /// # Shapes
    ///
    /// - hidden, output: `[batch * tokens, width]`
    fn forward(&self, hidden: Tensor<2>, batch: usize) -> Tensor<2> {
        let context = self.context(hidden.clone(), batch);
        self.norm_after(self.before_norm(hidden, context))
    }

    /// The first token of each sequence, before the layer's last norm.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch * tokens, width]`
    /// - output: `[batch, width]`
    fn forward_first(&self, hidden: Tensor<2>, batch: usize) -> Tensor<2> {
        let first = vec![0; batch];
        let context = rows_read(self.context(hidden.clone(), batch), &first);
        self.before_norm(rows_read(hidden, &first), context)
    }

    fn norm_after(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.norm.forward(hidden)
    }

    fn before_norm(&self, hidden: Tensor<2>, context: Tensor<2>) -> Tensor<2> {
        let hidden = self.attention_norm.forward(hidden + self.output.forward(context));
        let inner = self.activation.apply(self.fc1.forward(hidden.clone()));
        hidden + self.fc2.forward(inner)
    }

    /// What each token gathers from all of its sequence: `[batch * tokens, width]`.
    fn context(&self, hidden: Tensor<2>, batch: usize) -> Tensor<2> {
        let [rows, width] = hidden.dims();
        let tokens = rows / batch;
        let qkv = self
            .qkv
            .forward(hidden)
            .reshape([batch, tokens, 3, self.heads, width / self.heads])
            .permute([2, 0, 3, 1, 4]);
        let part = |i| qkv.clone().narrow(0, i, 1).squeeze_dim::<4>(0);
        let options = AttentionModuleOptions::default();
        attention(part(0), part(1), part(2), None, None, options)
            .swap_dims(1, 2)
            .reshape([rows, width])
    }
}
