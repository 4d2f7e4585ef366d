//! The encoder of M2M-100 as NLLB has it: a pre-norm transformer over scaled embeddings with
//! computed positions.
//!
//! References: transformers, `M2M100Encoder` (`models/m2m_100/modeling_m2m_100.py`); open_clip,
//! `HFTextEncoder` (`hf_model.py`).
//!
//! What the calibrated score takes from this tower: texts are not padded, since the reference
//! hides padding by a mask. The state is the residual stream before the last norm, of the first
//! token, which names the language, or the mean over all. The response is that state, centred and
//! multiplied by that norm's gain, through a linear head; through a head that is not linear, it is
//! the embedding.

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::bert::EncoderPooling;
use super::text_head::{HeadLayers, TextHead};
use super::{Invalid, TextConfigOf, TextModule, TextOutput, TextSizes, check_heads, embedded};
use crate::Result;
use crate::nn::Activation;
use crate::nn::block::{Attend, BlockConfig, BlockNames, NormOrder, Transformer};
use crate::nn::visit::{self, Visitor};

const PREFIX: &str = "text_model";
/// Language, text and end.
const MIN_CONTEXT: usize = 3;
/// PyTorch's default, which the reference's norms have.
const EPSILON: f64 = 1e-5;
/// Wavelength of the slowest position, over that of the fastest (Vaswani et al. 2017).
const WAVELENGTHS: f64 = 10_000.0;

const BLOCK: BlockNames = BlockNames {
    norm1: "self_attn_layer_norm",
    qkv: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    output: "self_attn.out_proj",
    norm2: "final_layer_norm",
    fc1: "fc1",
    fc2: "fc2",
};

/// Shape of an M2M-100 encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct M2m100Config {
    /// Number of token ids.
    pub vocabulary: usize,
    /// Longest token sequence, language and end tokens included.
    pub context: usize,
    /// Position of a text's first token: behind the padding token's id.
    pub first_position: usize,
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
    /// Whether embeddings are multiplied by the root of the width.
    pub scaled: bool,
    /// What of the last layer is pooled.
    pub pooling: EncoderPooling,
    /// What takes the pooled state to the joint space.
    pub head: TextHead,
}

impl TextConfigOf for M2m100Config {
    type Tower = M2m100;

    fn build(&self, embedding_dim: usize, device: &Device) -> M2m100 {
        let width = self.width;
        let block = BlockConfig {
            names: &BLOCK,
            order: NormOrder::Before,
            attend: Attend::Everywhere,
            width,
            inner: self.mlp_width,
            heads: self.heads,
            qkv_bias: true,
            activation: self.activation,
            epsilon: EPSILON,
            layer_scale: false,
        };
        M2m100 {
            words: visit::empty([self.vocabulary, width], device),
            encoder: Transformer::new(std::iter::repeat_n(block, self.layers), device),
            norm: visit::layer_norm(width, EPSILON, device),
            head: HeadLayers::new(self.head, width, embedding_dim, EPSILON, device),
            scale: if self.scaled { (width as f64).sqrt() } else { 1.0 },
            first_position: self.first_position,
            pooling: self.pooling,
        }
    }

    fn sizes(&self) -> TextSizes {
        let Self { vocabulary, context, width, layers, mlp_width, .. } = *self;
        TextSizes { vocabulary, context, width, layers, mlp_width, shortest: MIN_CONTEXT }
    }

    fn check(&self, embedding_dim: usize) -> Result<(), Invalid> {
        if self.width < 4 || !self.width.is_multiple_of(2) {
            let expected = "an even number of at least 4";
            return Err(Invalid::new("width of the text tower", &self.width, expected));
        }
        check_heads("text", self.heads, self.width)?;
        if self.pooling == EncoderPooling::Pooler {
            return Err(Invalid::new("pooling", &"a pooler", "the first token or the mean"));
        }
        self.head.check(self.width, embedding_dim)
    }
}

/// An M2M-100 encoder over token ids.
#[derive(Module, Debug)]
pub struct M2m100 {
    words: Param<Tensor<2>>,
    encoder: Transformer,
    norm: LayerNorm,
    head: HeadLayers,
    scale: f64,
    first_position: usize,
    #[module(skip)]
    pooling: EncoderPooling,
}

impl TextModule for M2m100 {
    fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
        visitor.plain(&format!("{PREFIX}.embed_tokens.weight"), &mut self.words)?;
        visitor.transformer(&mut self.encoder, &|layer| format!("{PREFIX}.layers.{layer}"))?;
        visitor.norm(&format!("{PREFIX}.layer_norm"), &mut self.norm)?;
        self.head.describe(visitor)
    }

    fn forward(&self, ids: &[Vec<u32>]) -> TextOutput {
        let (batch, tokens) = (ids.len(), ids[0].len());
        let words = self.words.val();
        let (width, device) = (words.dims()[1], words.device());
        let positions = TensorData::new(self.positions(tokens, width), [1, tokens, width]);
        let hidden = embedded(words, ids) * self.scale + Tensor::from_data(positions, &device);
        let hidden = hidden.reshape([batch * tokens, width]);
        let (state, normed) = if self.pooling == EncoderPooling::Mean {
            let states = self.encoder.forward(hidden, batch);
            let mean = |hidden| self.pooling.pooled(hidden, batch);
            (mean(states.clone()), mean(self.norm.forward(states)))
        } else {
            let state = self.encoder.forward_at(hidden, &vec![0; batch]);
            (state.clone(), self.norm.forward(state))
        };
        let centred = state.clone() - state.clone().mean_dim(1);
        let undivided = centred * self.norm.gamma.val().unsqueeze_dim(0);
        let (embedding, response) = self.head.embed(normed, undivided);
        TextOutput { embedding, state, response }
    }
}

impl M2m100 {
    /// Sines, then cosines, of wavelengths that grow by a constant factor: `[tokens, width]`.
    fn positions(&self, tokens: usize, width: usize) -> Vec<f32> {
        let half = width / 2;
        let step = WAVELENGTHS.ln() / (half - 1) as f64;
        let angles = |token: usize| {
            let position = (self.first_position + token) as f32;
            (0..half).map(move |i| position * (-(i as f64) * step).exp() as f32)
        };
        (0..tokens)
            .flat_map(|token| angles(token).map(f32::sin).chain(angles(token).map(f32::cos)))
            .collect()
    }
}
