//! CLIP's text tower: a causal transformer, read at its end token.
//!
//! Reference: transformers, `CLIPTextTransformer` and `CLIPModel.get_text_features`.

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Invalid, TextConfigOf, TextModule, TextOutput, TransformerConfig, embedded, within};
use crate::Result;
use crate::nn::block::{Attend, Transformer};
use crate::nn::visit::{self, Visitor};

/// Where the tower's tensors are in the Hugging Face layout.
const PREFIX: &str = "text_model";
/// Start, text and end.
const MIN_CONTEXT: usize = 3;

/// Shape of a causal text transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CausalTextConfig {
    /// Number of token ids.
    pub vocabulary: usize,
    /// Longest token sequence, start and end tokens included.
    pub context: usize,
    /// How the pooled position is found in a sequence.
    pub pooling: Pooling,
    /// The residual blocks.
    pub transformer: TransformerConfig,
}

/// How the pooled position, at which the embedding is read, is found in a token sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The first occurrence of the largest id. OpenAI's tokenizer gives the end-of-text token the
    /// largest id; OpenCLIP relies on it, and so does transformers wherever a configuration has
    /// the legacy `eos_token_id` of 2.
    LargestId,
    /// The first occurrence of this id, or position 0 if there is none.
    FirstOf(u32),
}

impl Pooling {
    /// The pooled position of a token sequence.
    pub fn position(self, ids: &[u32]) -> usize {
        match self {
            Self::FirstOf(eos) => ids.iter().position(|id| *id == eos).unwrap_or(0),
            Self::LargestId => {
                let largest = ids.iter().max();
                ids.iter().position(|id| Some(id) == largest).unwrap_or(0)
            }
        }
    }
}

impl TextConfigOf for CausalTextConfig {
    type Tower = CausalText;

    fn build(&self, embedding_dim: usize, device: &Device) -> CausalText {
        let width = self.transformer.width;
        let blocks = self.transformer.blocks(Attend::Backwards);
        CausalText {
            token_embedding: visit::empty([self.vocabulary, width], device),
            position_embedding: visit::empty([self.context, width], device),
            encoder: Transformer::new(blocks, device),
            final_layer_norm: visit::layer_norm(width, self.transformer.layer_norm_epsilon, device),
            text_projection: visit::empty([width, embedding_dim], device),
            pooling: self.pooling,
        }
    }

    fn width(&self) -> usize {
        self.transformer.width
    }

    fn context(&self) -> usize {
        self.context
    }

    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn dimensions(&self) -> String {
        self.transformer.dimensions()
    }

    fn check(&self) -> Result<(), Invalid> {
        within("vocabulary of the text tower", self.vocabulary)?;
        within("context of the text tower", self.context)?;
        self.transformer.check("text")?;
        if self.context < MIN_CONTEXT {
            return Err(Invalid::new(
                "context of the text tower",
                &self.context,
                format!("at least {MIN_CONTEXT} tokens: start, text and end"),
            ));
        }
        // The reference would then read every text at its start token, where all are alike.
        if let Pooling::FirstOf(eos) = self.pooling
            && eos as usize >= self.vocabulary
        {
            let expected = format!("an id below the vocabulary's size of {}", self.vocabulary);
            return Err(Invalid::new("eos_token_id", &eos, expected));
        }
        Ok(())
    }
}

/// A causal transformer over token ids, read at the end-of-text token.
#[derive(Module, Debug)]
pub struct CausalText {
    token_embedding: Param<Tensor<2>>,
    position_embedding: Param<Tensor<2>>,
    encoder: Transformer,
    final_layer_norm: LayerNorm,
    /// `[width, embedding_dim]`.
    text_projection: Param<Tensor<2>>,
    #[module(skip)]
    pooling: Pooling,
}

impl TextModule for CausalText {
    fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
        let embeddings = format!("{PREFIX}.embeddings");
        let name = format!("{embeddings}.token_embedding.weight");
        visitor.plain(&name, &mut self.token_embedding)?;
        let name = format!("{embeddings}.position_embedding.weight");
        visitor.plain(&name, &mut self.position_embedding)?;
        visitor
            .transformer(&mut self.encoder, &|layer| format!("{PREFIX}.encoder.layers.{layer}"))?;
        visitor.norm(&format!("{PREFIX}.final_layer_norm"), &mut self.final_layer_norm)?;
        visitor.transposed("text_projection.weight", &mut self.text_projection)
    }

    /// Attention is causal, so what stands behind the pooled position (padding, above all) has
    /// no influence; sequences are best given without it.
    fn forward(&self, ids: &[Vec<u32>]) -> TextOutput {
        let (batch, tokens) = (ids.len(), ids[0].len());
        let hidden = embedded(self.token_embedding.val(), ids);
        let positions = self.position_embedding.val().narrow(0, 0, tokens);
        let width = positions.dims()[1];
        let hidden = (hidden + positions.unsqueeze_dim(0)).reshape([batch * tokens, width]);
        let pooled: Vec<usize> = ids.iter().map(|ids| self.pooling.position(ids)).collect();
        let state = self.encoder.forward_at(hidden, &pooled);
        let embedding =
            self.final_layer_norm.forward(state.clone()).matmul(self.text_projection.val());
        let centred = state.clone() - state.clone().mean_dim(1);
        let gain = self.final_layer_norm.gamma.val().unsqueeze_dim(0);
        let response = (centred * gain).matmul(self.text_projection.val());
        TextOutput { embedding, state, response }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooling_takes_the_first_match() {
        assert_eq!(Pooling::LargestId.position(&[3, 9, 4, 9]), 1);
        assert_eq!(Pooling::FirstOf(4).position(&[3, 9, 4, 4]), 2);
        assert_eq!(Pooling::FirstOf(7).position(&[3, 9, 4]), 0);
    }
}
