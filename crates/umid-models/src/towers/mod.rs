//! The towers, one readable file each, and the two lists of them.
//!
//! A tower has a configuration, which says everything that its weights do not, and which builds it
//! without values; a description of its tensors, which loads and exports them (see
//! [`nn::visit`](crate::nn::visit)); and a forward pass. Adding one is its file and one line in
//! [`text_towers`] or [`input_towers`].

mod bert;
mod clip_text;
mod cnn14;
mod convnext;
mod fastvit;
mod fusion;
mod htsat;
mod m2m100;
mod resnet;
mod t5;
mod text_head;
mod timm_vit;
mod vit;

use burn::module::Module;
use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use umid_core::InputTower;

pub use bert::{Bert, BertConfig, EncoderPooling};
pub use clip_text::{ClipText, ClipTextConfig, Pooling, TextAttention};
pub use cnn14::{Cnn14, Cnn14Config};
pub use convnext::{ConvNext, ConvNextConfig};
pub use fastvit::{FastVit, FastVitConfig, FastVitStageConfig, Mixer};
pub use fusion::FusionConfig;
pub use htsat::{Htsat, HtsatConfig};
pub use m2m100::{M2m100, M2m100Config};
pub use resnet::{Resnet, ResnetConfig};
pub use t5::{T5, T5Config};
pub use text_head::TextHead;
pub use timm_vit::{LearntPositions, PatchStem, TimmVit, TimmVitConfig, VitPool};
pub use vit::{QueriesRead, Vit, VitConfig, VitHead, VitPooling};

use crate::Result;
use crate::front_end::Modality;
use crate::nn::block::{Attend, BlockConfig, BlockNames, NormOrder};
use crate::nn::visit::Visitor;
use crate::nn::{Activation, AttentionDropout};

/// Larger than any size of a real model, and small enough that their products do not overflow.
const MAX_SIZE: usize = 1 << 24;

/// What a text tower makes of a batch of token sequences.
#[derive(Debug, Clone)]
pub struct TextOutput {
    /// Embeddings in the joint space, not normalised: `[batch, embedding_dim]`.
    pub embedding: Tensor<2>,
    /// The residual stream at the pooled position, before the tower's last layer norm:
    /// `[batch, width]`.
    pub state: Tensor<2>,
    /// The embedding without the division of the tower's last layer norm and without what is added
    /// to every text: `[batch, embedding_dim]`. Its length is not levelled out by that norm.
    pub response: Tensor<2>,
}

/// A text tower.
pub(crate) trait TextModule {
    /// Names every tensor.
    fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()>;

    /// Sets the dropout of attention, each block with a stream of its own from the given one on, and returns how
    /// many blocks drop.
    fn set_attention_dropout(&mut self, _: Option<AttentionDropout>, _: u64) -> usize {
        0
    }

    /// Whether the tower takes sequences of any lengths, and computes once what several begin with.
    fn shares_beginnings(&self) -> bool {
        false
    }

    /// Embeds token sequences: of one length, unless the tower shares beginnings, and padded to the
    /// context if the configuration says so.
    fn forward(&self, ids: &[Vec<u32>]) -> TextOutput;
}

/// The configuration of a text tower.
pub(crate) trait TextConfigOf {
    /// The tower.
    type Tower;

    /// The tower, without values.
    fn build(&self, embedding_dim: usize, device: &Device) -> Self::Tower;
    /// The sizes that every text tower has.
    fn sizes(&self) -> TextSizes;
    /// Whether an embedding depends on padding, so that every text is padded to the context.
    fn is_padded(&self) -> bool {
        false
    }
    /// Checks what no shape of a tensor would show, beyond its sizes.
    fn check(&self, embedding_dim: usize) -> Result<(), Invalid>;
}

/// The sizes of a text tower.
pub(crate) struct TextSizes {
    vocabulary: usize,
    context: usize,
    width: usize,
    layers: usize,
    mlp_width: usize,
    /// Fewest tokens of a context.
    shortest: usize,
}

impl TextSizes {
    fn check(&self) -> Result<(), Invalid> {
        within("vocabulary of the text tower", self.vocabulary)?;
        within("width of the text tower", self.width)?;
        within("layers of the text tower", self.layers)?;
        within("MLP width of the text tower", self.mlp_width)?;
        if !(self.shortest..=MAX_SIZE).contains(&self.context) {
            let expected = format!("{} to {MAX_SIZE} tokens", self.shortest);
            return Err(Invalid::new("context of the text tower", &self.context, expected));
        }
        Ok(())
    }
}

/// An input tower, beyond what an inversion asks of it.
pub(crate) trait InputModule: InputTower {
    /// Names every tensor.
    fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()>;

    /// Sets the dropout of attention, each block with a stream of its own from the given one on, and returns how
    /// many blocks drop.
    fn set_attention_dropout(&mut self, _: Option<AttentionDropout>, _: u64) -> usize {
        0
    }

    /// Which of the parts that may have kernels have them.
    fn frozen_parts(&self) -> Vec<bool> {
        Vec::new()
    }

    /// Gives the kernels what they take only when all of it is loaded.
    fn freeze(&mut self, _: umid_kernels::Precision) {}

    /// Whether inputs of a shape can be embedded.
    fn accepts(&self, shape: [usize; 3]) -> bool {
        shape == self.input_shape()
    }

    /// Mean and deviation to which the tower brings each element of an input's last axis itself;
    /// `None` if inputs come normalised.
    fn statistics(&self) -> Option<(Vec<f32>, Vec<f32>)> {
        None
    }
}

/// The configuration of an input tower.
pub(crate) trait InputConfigOf {
    /// The tower.
    type Tower;

    /// The tower, without values.
    fn build(&self, embedding_dim: usize, device: &Device) -> Self::Tower;
    /// What it reads.
    fn modality(&self) -> Modality {
        Modality::Image
    }
    /// What it is called, such as `ViT-B/32 at 224 px`.
    fn name(&self) -> String;
    /// Layers and widths, in words.
    fn dimensions(&self) -> String;
    /// Numbers that the backward pass needs of the forward pass of one input.
    fn numbers_kept(&self) -> usize;
    /// Multiplications of the products of one input's forward pass.
    fn multiplications(&self, embedding_dim: usize) -> usize;
    /// Checks what no shape of a tensor would show.
    fn check(&self) -> Result<(), Invalid>;
}

macro_rules! text_towers {
    ($($(#[$doc:meta])* $variant:ident($config:ident => $tower:ident)),+ $(,)?) => {
        /// Shape of a text tower.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum TextConfig { $($(#[$doc])* $variant($config)),+ }

        /// The text tower of a model.
        #[derive(Module, Debug)]
        pub enum TextTower { $($(#[$doc])* $variant($tower)),+ }

        impl TextConfig {
            pub(crate) fn build(&self, embedding_dim: usize, device: &Device) -> TextTower {
                match self {
                    $(Self::$variant(config) => {
                        TextTower::$variant(config.build(embedding_dim, device))
                    })+
                }
            }

            fn sizes(&self) -> TextSizes {
                match self { $(Self::$variant(config) => config.sizes()),+ }
            }

            /// Width of the residual stream.
            pub fn width(&self) -> usize {
                self.sizes().width
            }

            /// Longest token sequence, start and end tokens included.
            pub fn context(&self) -> usize {
                self.sizes().context
            }

            /// Number of token ids.
            pub fn vocabulary(&self) -> usize {
                self.sizes().vocabulary
            }

            /// Whether an embedding depends on padding, so that every text is padded to the
            /// context; see [`TextTokenizer::padded`](crate::TextTokenizer::padded).
            pub fn is_padded(&self) -> bool {
                match self { $(Self::$variant(config) => config.is_padded()),+ }
            }

            /// Layers and width, in words.
            pub fn dimensions(&self) -> String {
                let TextSizes { layers, width, .. } = self.sizes();
                format!("{layers} x {width}")
            }

            pub(crate) fn check(&self, embedding_dim: usize) -> Result<(), Invalid> {
                self.sizes().check()?;
                match self { $(Self::$variant(config) => config.check(embedding_dim)),+ }
            }
        }

        impl TextTower {
            pub(crate) fn set_attention_dropout(
                &mut self,
                dropout: Option<AttentionDropout>,
                first_stream: u64,
            ) -> usize {
                match self {
                    $(Self::$variant(tower) => tower.set_attention_dropout(dropout, first_stream)),+
                }
            }

            pub(crate) fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
                match self { $(Self::$variant(tower) => tower.describe(visitor)),+ }
            }

            /// Whether the tower takes sequences of any lengths, and computes once what several
            /// begin with: one that attends backwards, in the kernels for a CPU.
            pub fn shares_beginnings(&self) -> bool {
                match self { $(Self::$variant(tower) => tower.shares_beginnings()),+ }
            }

            /// Embeds token sequences.
            ///
            /// # Shapes
            ///
            /// `ids` holds `batch` sequences: without padding, or, if [`TextConfig::is_padded`],
            /// padded to the context; of equal length, unless [`TextTower::shares_beginnings`].
            ///
            /// # Panics
            ///
            /// If `ids` is empty, or its sequences differ in length where they must not;
            /// [`crate::Model::embed_texts`] groups texts so that they do not.
            pub fn forward(&self, ids: &[Vec<u32>]) -> TextOutput {
                match self { $(Self::$variant(tower) => tower.forward(ids)),+ }
            }
        }
    };
}

macro_rules! input_towers {
    ($($(#[$doc:meta])* $variant:ident($config:ident => $tower:ident)),+ $(,)?) => {
        /// Shape of an input tower.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum InputConfig { $($(#[$doc])* $variant($config)),+ }

        /// The input tower of a model.
        #[derive(Module, Debug)]
        #[expect(clippy::large_enum_variant, reason = "a model has one of them")]
        pub enum Tower { $($(#[$doc])* $variant($tower)),+ }

        impl InputConfig {
            pub(crate) fn build(&self, embedding_dim: usize, device: &Device) -> Tower {
                match self {
                    $(Self::$variant(config) => {
                        Tower::$variant(config.build(embedding_dim, device))
                    })+
                }
            }

            /// What the tower reads.
            pub fn modality(&self) -> Modality {
                match self { $(Self::$variant(config) => config.modality()),+ }
            }

            /// What the tower is called, such as `ViT-B/32 at 224 px`.
            pub fn name(&self) -> String {
                match self { $(Self::$variant(config) => config.name()),+ }
            }

            /// Layers and widths, in words.
            pub fn dimensions(&self) -> String {
                match self { $(Self::$variant(config) => config.dimensions()),+ }
            }

            pub(crate) fn numbers_kept(&self) -> usize {
                match self { $(Self::$variant(config) => config.numbers_kept()),+ }
            }

            /// Multiplications of the products (matrix products, attention and convolutions) of
            /// one input's forward pass. The backward pass to the input costs as many.
            pub fn multiplications(&self, embedding_dim: usize) -> usize {
                match self { $(Self::$variant(config) => config.multiplications(embedding_dim)),+ }
            }

            pub(crate) fn check(&self) -> Result<(), Invalid> {
                match self { $(Self::$variant(config) => config.check()),+ }
            }
        }

        impl Tower {
            pub(crate) fn set_attention_dropout(
                &mut self,
                dropout: Option<AttentionDropout>,
                first_stream: u64,
            ) -> usize {
                match self {
                    $(Self::$variant(tower) => tower.set_attention_dropout(dropout, first_stream)),+
                }
            }

            pub(crate) fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
                match self { $(Self::$variant(tower) => tower.describe(visitor)),+ }
            }

            pub(crate) fn freeze(&mut self, precision: umid_kernels::Precision) {
                match self { $(Self::$variant(tower) => tower.freeze(precision)),+ }
            }

            pub(crate) fn frozen_parts(&self) -> Vec<bool> {
                match self { $(Self::$variant(tower) => tower.frozen_parts()),+ }
            }

            pub(crate) fn accepts(&self, shape: [usize; 3]) -> bool {
                match self { $(Self::$variant(tower) => tower.accepts(shape)),+ }
            }

            pub(crate) fn statistics(&self) -> Option<(Vec<f32>, Vec<f32>)> {
                match self { $(Self::$variant(tower) => tower.statistics()),+ }
            }
        }

        impl InputTower for Tower {
            fn input_shape(&self) -> [usize; 3] {
                match self { $(Self::$variant(tower) => tower.input_shape()),+ }
            }

            fn embed(&self, inputs: Tensor<4>) -> Tensor<2> {
                let embeddings = match self { $(Self::$variant(tower) => tower.embed(inputs)),+ };
                embeddings.cast(FloatDType::F32)
            }
        }
    };
}

text_towers! {
    /// CLIP's, and those made after it.
    Clip(ClipTextConfig => ClipText),
    /// BERT, RoBERTa and XLM-RoBERTa; RoBERTa is CLAP's.
    Bert(BertConfig => Bert),
    /// mT5's encoder.
    T5(T5Config => T5),
    /// NLLB's encoder.
    M2m100(M2m100Config => M2m100),
}

input_towers! {
    /// A vision transformer.
    Vit(VitConfig => Vit),
    /// One of timm's vision transformers.
    TimmVit(TimmVitConfig => TimmVit),
    /// A ConvNeXt.
    ConvNext(ConvNextConfig => ConvNext),
    /// A `FastViT`.
    FastVit(FastVitConfig => FastVit),
    /// A residual network.
    Resnet(ResnetConfig => Resnet),
    /// A Swin transformer over folded log-mels.
    Htsat(HtsatConfig => Htsat),
    /// A convolutional network over log-mels (PANN).
    Cnn14(Cnn14Config => Cnn14),
}

/// A value of a configuration that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invalid {
    pub(crate) key: String,
    pub(crate) found: String,
    pub(crate) expected: String,
}

impl Invalid {
    pub(crate) fn new(
        key: impl Into<String>,
        found: &impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Self { key: key.into(), found: found.to_string(), expected: expected.into() }
    }
}

/// Refuses a size of 0 and one that no model has.
pub(crate) fn within(key: &str, size: usize) -> Result<(), Invalid> {
    if (1..=MAX_SIZE).contains(&size) {
        Ok(())
    } else {
        Err(Invalid::new(key, &size, format!("a number from 1 to {MAX_SIZE}")))
    }
}

/// Refuses attention heads that do not divide a width. `tower` is `text` or `image`.
fn check_heads(tower: &str, heads: usize, width: usize) -> Result<(), Invalid> {
    if heads == 0 || !width.is_multiple_of(heads) {
        let key = format!("attention heads of the {tower} tower");
        let found = format!("{heads} at width {width}");
        return Err(Invalid::new(key, &found, "a number that divides the width"));
    }
    Ok(())
}

/// Refuses what is no epsilon of a norm.
fn check_epsilon(key: &str, epsilon: f64) -> Result<(), Invalid> {
    if epsilon > 0.0 && epsilon < 1.0 {
        Ok(())
    } else {
        Err(Invalid::new(key, &epsilon, "a number between 0 and 1"))
    }
}

/// Shape of a stack of CLIP's residual blocks, in either tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransformerConfig {
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
    pub layer_norm_epsilon: f64,
    /// Whether what a block adds to the residual stream is multiplied by a learnt scale.
    pub layer_scale: bool,
}

impl TransformerConfig {
    const NAMES: BlockNames = BlockNames {
        norm1: "layer_norm1",
        qkv: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
        output: "self_attn.out_proj",
        norm2: "layer_norm2",
        fc1: "mlp.fc1",
        fc2: "mlp.fc2",
    };

    fn blocks(&self, attend: Attend) -> impl Iterator<Item = BlockConfig> {
        let block = BlockConfig {
            names: &Self::NAMES,
            order: NormOrder::Before,
            attend,
            width: self.width,
            inner: self.mlp_width,
            heads: self.heads,
            qkv_bias: true,
            activation: self.activation,
            epsilon: self.layer_norm_epsilon,
            layer_scale: self.layer_scale,
        };
        std::iter::repeat_n(block, self.layers)
    }

    /// `tower` is `text` or `image`.
    fn check(&self, tower: &str) -> Result<(), Invalid> {
        within(&format!("width of the {tower} tower"), self.width)?;
        within(&format!("layers of the {tower} tower"), self.layers)?;
        within(&format!("MLP width of the {tower} tower"), self.mlp_width)?;
        check_heads(tower, self.heads, self.width)?;
        check_epsilon("layer_norm_eps", self.layer_norm_epsilon)
    }
}

/// Numbers per token that the backward pass needs of a block: two norms, queries, keys, values and
/// the perceptron's slopes.
fn kept_per_token(width: usize, inner: usize) -> usize {
    5 * width + inner
}

/// Multiplications of a block whose tokens each attend to `seen` tokens.
fn block_multiplications(tokens: usize, seen: usize, width: usize, inner: usize) -> usize {
    tokens * (4 * width * width + 2 * width * inner + 2 * seen * width)
}

/// The rows of an embedding table for sequences of one length: `[batch, tokens, width]`.
fn embedded(table: Tensor<2>, ids: &[Vec<u32>]) -> Tensor<3> {
    let (batch, tokens) = (ids.len(), ids[0].len());
    assert!(ids.iter().all(|i| i.len() == tokens), "token sequences differ in length");
    let width = table.dims()[1];
    table_rows(table, ids.iter().flatten().copied()).reshape([batch, tokens, width])
}

/// Some rows of a table: `[rows, width]`.
fn table_rows(table: Tensor<2>, rows: impl Iterator<Item = u32>) -> Tensor<2> {
    let device = table.device();
    let rows: Vec<i64> = rows.map(i64::from).collect();
    let count = rows.len();
    table.select(0, Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &device))
}
