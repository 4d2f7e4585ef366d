//! Text towers: token ids to an embedding.

mod causal;
mod roberta;

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};

pub use causal::CausalText;
pub use roberta::Roberta;

/// What a text tower makes of a batch of token sequences.
#[derive(Debug, Clone)]
pub struct TextOutput {
    /// Embeddings in the joint space, not normalised: `[batch, embedding_dim]`.
    pub embedding: Tensor<2>,
    /// The residual stream where the embedding is read, before the tower's last layer norm:
    /// `[batch, width]`.
    pub state: Tensor<2>,
    /// The embedding but for what the tower's last layer norm divides by and what is added to
    /// every text: `[batch, embedding_dim]`. Its length is not levelled out by that norm.
    pub response: Tensor<2>,
}

/// The text tower of a model.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has one of them")]
pub enum TextTower {
    /// CLIP's.
    Causal(CausalText),
    /// CLAP's.
    Roberta(Roberta),
}

impl TextTower {
    /// Embeds token sequences of one length, without padding.
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
        match self {
            Self::Causal(tower) => tower.forward(ids),
            Self::Roberta(tower) => tower.forward(ids),
        }
    }
}

/// The rows of an embedding table for sequences of one length: `[batch, tokens, width]`.
fn embedded(table: Tensor<2>, ids: &[Vec<u32>]) -> Tensor<3> {
    let (batch, tokens) = (ids.len(), ids[0].len());
    assert!(ids.iter().all(|i| i.len() == tokens), "token sequences differ in length");
    let (device, width) = (table.device(), table.dims()[1]);
    let flat: Vec<i64> = ids.iter().flatten().map(|id| i64::from(*id)).collect();
    let flat = Tensor::<1, Int>::from_data(TensorData::new(flat, [batch * tokens]), &device);
    table.select(0, flat).reshape([batch, tokens, width])
}
