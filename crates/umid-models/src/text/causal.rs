//! CLIP's text tower: a causal transformer, read at its end token.
//!
//! Reference: transformers, `CLIPTextTransformer` and `CLIPModel.get_text_features`.

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::{Device, Tensor};

use super::{TextOutput, embedded};
use crate::Result;
use crate::config::{Pooling, TextConfig};
use crate::frozen::Blocks;
use crate::transformer::{Attend, Transformer, load_layer_norm, load_projection, parameter};
use crate::weights::Weights;

/// A causal transformer over token ids, read at the end-of-text token.
#[derive(Module, Debug)]
pub struct CausalText {
    pub(crate) token_embedding: Param<Tensor<2>>,
    pub(crate) position_embedding: Param<Tensor<2>>,
    pub(crate) encoder: Transformer,
    pub(crate) final_layer_norm: LayerNorm,
    /// `[width, embedding_dim]`.
    pub(crate) text_projection: Param<Tensor<2>>,
    #[module(skip)]
    pooling: Pooling,
}

impl CausalText {
    pub(crate) fn load(
        weights: &Weights,
        config: &TextConfig,
        embedding_dim: usize,
        blocks: Blocks,
        device: &Device,
    ) -> Result<Self> {
        let width = config.transformer.width;
        let table = |name: &str, rows: usize| {
            let name = format!("text_model.embeddings.{name}.weight");
            Ok(parameter(weights.take(&name, &[rows, width])?, [rows, width], device))
        };
        Ok(Self {
            token_embedding: table("token_embedding", config.vocabulary)?,
            position_embedding: table("position_embedding", config.context)?,
            encoder: Transformer::load(
                weights,
                "text_model",
                &config.transformer,
                Attend::Backwards,
                blocks,
                device,
            )?,
            final_layer_norm: load_layer_norm(
                weights,
                "text_model.final_layer_norm",
                width,
                config.transformer.layer_norm_epsilon,
                device,
            )?,
            text_projection: load_projection(
                weights,
                "text_projection.weight",
                width,
                embedding_dim,
                device,
            )?,
            pooling: config.pooling,
        })
    }

    /// Embeds token sequences of one length.
    ///
    /// Attention is causal, so what stands behind the pooled position (padding, above all) has
    /// no influence; sequences are best given without it.
    ///
    /// # Shapes
    ///
    /// `ids` holds `batch` sequences of equal length, at most the context.
    ///
    /// # Panics
    ///
    /// If `ids` is empty or its sequences differ in length; [`crate::Model::embed_texts`] groups
    /// texts so that they do not.
    pub fn forward(&self, ids: &[Vec<u32>]) -> TextOutput {
        let (batch, tokens) = (ids.len(), ids[0].len());
        let hidden = embedded(self.token_embedding.val(), ids);
        let positions = self.position_embedding.val().narrow(0, 0, tokens);
        let width = positions.dims()[1];
        let hidden = (hidden + positions.unsqueeze_dim(0)).reshape([batch * tokens, width]);
        let pooled: Vec<usize> = ids.iter().map(|ids| self.pooling.position(ids)).collect();
        let state = self.encoder.forward(hidden, &pooled);
        let embedding =
            self.final_layer_norm.forward(state.clone()).matmul(self.text_projection.val());
        let centred = state.clone() - state.clone().mean_dim(1);
        let gain = self.final_layer_norm.gamma.val().unsqueeze_dim(0);
        let response = (centred * gain).matmul(self.text_projection.val());
        TextOutput { embedding, state, response }
    }
}
