//! The text tower: token ids to an embedding.
//!
//! Reference: transformers, `CLIPTextTransformer` and `CLIPModel.get_text_features`.

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::{Device, Int, Tensor, TensorData};

use ndarray::{Array1, Array2};

use crate::Result;
use crate::clip::to_host;
use crate::config::{Pooling, TextConfig};
use crate::transformer::{Attend, Transformer, load_layer_norm, load_projection, parameter};
use crate::weights::Weights;

/// What the text tower makes of a batch of token sequences.
#[derive(Debug, Clone)]
pub struct TextOutput {
    /// Embeddings in the joint space, not normalised: `[batch, embedding_dim]`.
    pub embedding: Tensor<2>,
    /// The residual stream at the pooled position, before the final layer norm and the
    /// projection: `[batch, width]`.
    pub state: Tensor<2>,
}

/// A causal transformer over token ids, read at the end-of-text token.
#[derive(Module, Debug)]
pub struct TextTower {
    pub(crate) token_embedding: Param<Tensor<2>>,
    pub(crate) position_embedding: Param<Tensor<2>>,
    pub(crate) encoder: Transformer,
    pub(crate) final_layer_norm: LayerNorm,
    /// `[width, embedding_dim]`.
    pub(crate) text_projection: Param<Tensor<2>>,
    #[module(skip)]
    pooling: Pooling,
}

impl TextTower {
    pub(crate) fn load(
        weights: &mut Weights,
        config: &TextConfig,
        embedding_dim: usize,
        device: &Device,
    ) -> Result<Self> {
        let width = config.transformer.width;
        let table = |weights: &mut Weights, name: &str, rows: usize| {
            let name = format!("text_model.embeddings.{name}.weight");
            Ok(parameter(weights.take(&name, &[rows, width])?, [rows, width], device))
        };
        Ok(Self {
            token_embedding: table(weights, "token_embedding", config.vocabulary)?,
            position_embedding: table(weights, "position_embedding", config.context)?,
            encoder: Transformer::load(
                weights,
                "text_model",
                &config.transformer,
                Attend::Backwards,
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

    /// What follows the state: the final layer norm's gain, `[width]`, and the projection to the
    /// joint space, `[width, embedding_dim]`.
    ///
    /// # Panics
    ///
    /// Never: a tensor has as many values as its shape says.
    pub fn output_head(&self) -> (Array1<f32>, Array2<f32>) {
        let projection = self.text_projection.val();
        let shape: [usize; 2] = projection.dims();
        let projection = Array2::from_shape_vec(shape, to_host(projection));
        let gain = Array1::from(to_host(self.final_layer_norm.gamma.val()));
        (gain, projection.expect("a tensor fills its shape"))
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
    /// If `ids` is empty or its sequences differ in length; [`crate::Clip::embed_texts`] groups
    /// texts so that they do not.
    pub fn forward(&self, ids: &[Vec<u32>]) -> TextOutput {
        let (batch, tokens) = (ids.len(), ids[0].len());
        assert!(ids.iter().all(|i| i.len() == tokens), "token sequences differ in length");
        let embeddings = self.token_embedding.val();
        let device = embeddings.device();
        let width = embeddings.dims()[1];
        let flat: Vec<i64> = ids.iter().flatten().map(|id| i64::from(*id)).collect();
        let flat = Tensor::<1, Int>::from_data(TensorData::new(flat, [batch * tokens]), &device);
        let hidden = embeddings.select(0, flat).reshape([batch, tokens, width]);
        let positions = self.position_embedding.val().narrow(0, 0, tokens);
        let hidden = (hidden + positions.unsqueeze_dim(0)).reshape([batch * tokens, width]);
        let pooled: Vec<usize> = ids.iter().map(|ids| self.pooling.position(ids)).collect();
        let state = self.encoder.forward(hidden, &pooled);
        let embedding =
            self.final_layer_norm.forward(state.clone()).matmul(self.text_projection.val());
        TextOutput { embedding, state }
    }
}
