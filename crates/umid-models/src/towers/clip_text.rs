//! The text tower of CLIP and of the models made after it: a pre-norm transformer over token ids,
//! read at one token.
//!
//! References: transformers, `CLIPTextTransformer` and `CLIPModel.get_text_features`; open_clip,
//! `TextTransformer` (`transformer.py`), whose switches are the values of a [`ClipTextConfig`].
//!
//! What the calibrated score takes from this tower: the state is the residual stream at the pooled
//! position, before the last norm; the response is that state, centred and multiplied by the last
//! norm's gain, through the head without its bias. If the head is a small network, the response is
//! the network's; see [`nn::projection`](crate::nn::projection).

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use umid_kernels::SharedSequences;

use super::text_head::{HeadLayers, TextHead};
use super::{
    Invalid, TextConfigOf, TextModule, TextOutput, TextSizes, TransformerConfig, embedded,
    table_rows,
};
use crate::Result;
use crate::nn::AttentionDropout;
use crate::nn::block::{Attend, Transformer, rows_at};
use crate::nn::visit::{self, Visitor};

/// Where the tower's tensors are in the Hugging Face layout.
const PREFIX: &str = "text_model";
/// Start, text and end.
const MIN_CONTEXT: usize = 3;

/// Shape of a pre-norm text transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClipTextConfig {
    /// Number of token ids.
    pub vocabulary: usize,
    /// Longest token sequence, start and end tokens included.
    pub context: usize,
    /// Which tokens a token attends to.
    pub attention: TextAttention,
    /// How the pooled position is found in a sequence.
    pub pooling: Pooling,
    /// What takes the pooled state to the joint space.
    pub head: TextHead,
    /// The residual blocks.
    pub transformer: TransformerConfig,
}

/// Which tokens a token of a text attends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextAttention {
    /// Itself and earlier tokens.
    Causal,
    /// Every token, padding included.
    Bidirectional,
    /// CoCa's: a class token is appended behind the padding and read. Tokens attend as `causal`
    /// says, and not to a token whose predecessor has the id `padding`.
    ///
    /// The reference means to hide padding, but its mask is shifted by one token: the first token
    /// of the padding can be seen, and the class token is hidden from itself unless the text
    /// fills the context. Its published weights were trained so.
    ClassToken {
        /// Whether tokens are hidden from earlier ones.
        causal: bool,
        /// Id of the padding token.
        padding: u32,
    },
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
    /// Position 0.
    First,
    /// The last position: the class token, or that of the padded sequence.
    Last,
    /// One before the number of ids that are not this one. msclap finds the end token so: the
    /// padding's id is 0. A text that holds the padding's token is read as many tokens earlier.
    LastByCountWithout(u32),
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
            Self::First => 0,
            Self::Last => ids.len().saturating_sub(1),
            Self::LastByCountWithout(padding) => {
                ids.iter().filter(|id| **id != padding).count().saturating_sub(1)
            }
        }
    }
}

impl ClipTextConfig {
    /// The tower of CLIP itself: causal, with a matrix for its head.
    pub fn clip(
        vocabulary: usize,
        context: usize,
        pooling: Pooling,
        transformer: TransformerConfig,
    ) -> Self {
        let (attention, head) = (TextAttention::Causal, TextHead::Linear);
        Self { vocabulary, context, attention, pooling, head, transformer }
    }

    /// Whether the tower is CLIP's own, as transformers has it and as open_clip's switches are by
    /// default.
    pub(crate) fn is_clip(&self) -> bool {
        self.reads_no_padding()
            && self.pooling != Pooling::First
            && self.head == TextHead::Linear
            && !self.transformer.layer_scale
    }

    /// Whether a causal tower is read at a token that `pooling` finds before any padding.
    fn reads_no_padding(&self) -> bool {
        self.attention == TextAttention::Causal && self.pooling != Pooling::Last
    }
}

impl TextConfigOf for ClipTextConfig {
    type Tower = ClipText;

    fn build(&self, embedding_dim: usize, device: &Device) -> ClipText {
        let width = self.transformer.width;
        let (attend, class_tokens) = match self.attention {
            TextAttention::Causal => (Attend::Backwards, 0),
            TextAttention::Bidirectional => (Attend::Everywhere, 0),
            TextAttention::ClassToken { .. } => (Attend::Masked, 1),
        };
        let positions = self.context + class_tokens;
        let epsilon = self.transformer.layer_norm_epsilon;
        ClipText {
            token_embedding: visit::empty([self.vocabulary, width], device),
            class_embedding: (class_tokens > 0).then(|| visit::empty([width], device)),
            position_embedding: visit::empty([positions, width], device),
            encoder: Transformer::new(self.transformer.blocks(attend), device),
            final_layer_norm: visit::layer_norm(width, epsilon, device),
            head: HeadLayers::new(self.head, width, embedding_dim, epsilon, device),
            pooling: self.pooling,
            attention: self.attention,
        }
    }

    fn sizes(&self) -> TextSizes {
        let TransformerConfig { width, layers, mlp_width, .. } = self.transformer;
        let Self { vocabulary, context, .. } = *self;
        TextSizes { vocabulary, context, width, layers, mlp_width, shortest: MIN_CONTEXT }
    }

    fn is_padded(&self) -> bool {
        !self.reads_no_padding()
    }

    fn check(&self, embedding_dim: usize) -> Result<(), Invalid> {
        self.transformer.check("text")?;
        // The reference would then read every text at its start token, where all are alike.
        if let Pooling::FirstOf(eos) = self.pooling
            && eos as usize >= self.vocabulary
        {
            let expected = format!("an id below the vocabulary's size of {}", self.vocabulary);
            return Err(Invalid::new("eos_token_id", &eos, expected));
        }
        self.head.check(self.transformer.width, embedding_dim)
    }
}

/// A pre-norm transformer over token ids, read at one token.
#[derive(Module, Debug)]
pub struct ClipText {
    token_embedding: Param<Tensor<2>>,
    /// `[width]`; the token that is appended behind a padded text.
    class_embedding: Option<Param<Tensor<1>>>,
    position_embedding: Param<Tensor<2>>,
    encoder: Transformer,
    final_layer_norm: LayerNorm,
    head: HeadLayers,
    #[module(skip)]
    pooling: Pooling,
    #[module(skip)]
    attention: TextAttention,
}

impl TextModule for ClipText {
    fn set_attention_dropout(
        &mut self,
        dropout: Option<AttentionDropout>,
        first_stream: u64,
    ) -> usize {
        self.encoder.set_attention_dropout(dropout, first_stream)
    }

    fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
        let embeddings = format!("{PREFIX}.embeddings");
        let name = format!("{embeddings}.token_embedding.weight");
        visitor.plain(&name, &mut self.token_embedding)?;
        if let Some(class) = &mut self.class_embedding {
            visitor.plain(&format!("{embeddings}.class_embedding"), class)?;
        }
        let name = format!("{embeddings}.position_embedding.weight");
        visitor.plain(&name, &mut self.position_embedding)?;
        visitor
            .transformer(&mut self.encoder, &|layer| format!("{PREFIX}.encoder.layers.{layer}"))?;
        visitor.norm(&format!("{PREFIX}.final_layer_norm"), &mut self.final_layer_norm)?;
        self.head.describe(visitor)
    }

    fn shares_beginnings(&self) -> bool {
        self.attention == TextAttention::Causal
            && self.pooling != Pooling::Last
            && self.encoder.is_frozen()
    }

    /// A causal tower that is read before any padding is given sequences without it; every other
    /// is given sequences padded to the context.
    fn forward(&self, ids: &[Vec<u32>]) -> TextOutput {
        let state = match self.attention {
            TextAttention::ClassToken { causal, padding } => self.read_class(ids, causal, padding),
            _ if self.shares_beginnings() => self.read_shared(ids),
            TextAttention::Causal | TextAttention::Bidirectional => self.read_token(ids),
        };
        let centred = state.clone() - state.clone().mean_dim(1);
        let undivided = centred * self.final_layer_norm.gamma.val().unsqueeze_dim(0);
        let normed = self.final_layer_norm.forward(state.clone());
        let (embedding, response) = self.head.embed(normed, undivided);
        TextOutput { embedding, state, response }
    }
}

impl ClipText {
    /// The residual stream at the pooled token: `[batch, width]`.
    fn read_token(&self, ids: &[Vec<u32>]) -> Tensor<2> {
        let hidden = self.placed(embedded(self.token_embedding.val(), ids));
        let pooled: Vec<usize> = ids.iter().map(|ids| self.pooling.position(ids)).collect();
        self.encoder.forward_at(hidden, &pooled)
    }

    /// As [`Self::read_token`], of sequences of any lengths. No token after the pooled one is of use.
    fn read_shared(&self, ids: &[Vec<u32>]) -> Tensor<2> {
        let read = |ids: &Vec<u32>| ids[..=self.pooling.position(ids)].to_vec();
        let sequences = SharedSequences::new(&ids.iter().map(read).collect::<Vec<_>>());
        let rows =
            |table: &Param<Tensor<2>>, rows: &[u32]| table_rows(table.val(), rows.iter().copied());
        let hidden = rows(&self.token_embedding, sequences.tokens())
            + rows(&self.position_embedding, sequences.positions());
        self.encoder.forward_shared(hidden, &sequences)
    }

    /// The residual stream at the class token behind a padded text: `[batch, width]`.
    fn read_class(&self, ids: &[Vec<u32>], causal: bool, padding: u32) -> Tensor<2> {
        let hidden = embedded(self.token_embedding.val(), ids);
        let [batch, tokens, width] = hidden.dims();
        let class = self.class_embedding.as_ref().expect("made with one").val();
        let class = class.reshape([1, 1, width]).repeat_dim(0, batch);
        let hidden = self.placed(Tensor::cat(vec![hidden, class], 1));
        let hidden_pairs = hidden_by_predecessor(ids, causal, padding, &hidden.device());
        let hidden = self.encoder.forward_masked(hidden, &hidden_pairs, batch);
        rows_at(&hidden, &vec![tokens; batch])
    }

    /// Tokens with their positions.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch, tokens, width]`
    /// - output: `[batch * tokens, width]`
    fn placed(&self, hidden: Tensor<3>) -> Tensor<2> {
        let [batch, tokens, width] = hidden.dims();
        let positions = self.position_embedding.val().narrow(0, 0, tokens);
        (hidden + positions.unsqueeze_dim(0)).reshape([batch * tokens, width])
    }
}

/// True where a token is hidden from another: `[batch, 1, tokens + 1, tokens + 1]`, queries before
/// keys, of sequences with a class token behind them.
fn hidden_by_predecessor(
    ids: &[Vec<u32>],
    causal: bool,
    padding: u32,
    device: &Device,
) -> Tensor<4, Bool> {
    let side = ids[0].len() + 1;
    let of_sequence = |ids: &Vec<u32>| {
        let padded: Vec<bool> = (0..side).map(|key| key > 0 && ids[key - 1] == padding).collect();
        let pairs = (0..side).flat_map(move |query| (0..side).map(move |key| (query, key)));
        pairs.map(move |(query, key)| padded[key] || (causal && key > query)).collect::<Vec<bool>>()
    };
    let hidden: Vec<bool> = ids.iter().flat_map(of_sequence).collect();
    Tensor::from_data(TensorData::new(hidden, [ids.len(), 1, side, side]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooling_takes_the_first_match() {
        assert_eq!(Pooling::LargestId.position(&[3, 9, 4, 9]), 1);
        assert_eq!(Pooling::FirstOf(4).position(&[3, 9, 4, 4]), 2);
        assert_eq!(Pooling::FirstOf(7).position(&[3, 9, 4]), 0);
        assert_eq!(Pooling::First.position(&[3, 9, 4]), 0);
        assert_eq!(Pooling::Last.position(&[3, 9, 4]), 2);
        assert_eq!(Pooling::LastByCountWithout(0).position(&[3, 0, 9, 4, 0, 0]), 2);
    }

    #[test]
    fn only_a_causal_tower_that_is_read_before_the_padding_goes_without_it() {
        let transformer = TransformerConfig {
            width: 8,
            layers: 1,
            heads: 1,
            mlp_width: 8,
            activation: crate::nn::Activation::Gelu,
            layer_norm_epsilon: 1e-5,
            layer_scale: false,
        };
        let clip = ClipTextConfig::clip(10, 5, Pooling::LargestId, transformer);
        assert!(!clip.is_padded());
        assert!(!ClipTextConfig { pooling: Pooling::FirstOf(2), ..clip.clone() }.is_padded());
        assert!(ClipTextConfig { pooling: Pooling::Last, ..clip.clone() }.is_padded());
        let bidirectional = TextAttention::Bidirectional;
        assert!(ClipTextConfig { attention: bidirectional, ..clip.clone() }.is_padded());
        let class = TextAttention::ClassToken { causal: true, padding: 0 };
        assert!(ClipTextConfig { attention: class, ..clip }.is_padded());
    }
}
