//! The vision transformer of CLIP and of the models made after it: normalised pixels to an
//! embedding.
//!
//! References: transformers, `CLIPVisionTransformer`, `CLIPModel.get_image_features`,
//! `SiglipVisionModel` and `ViTModel`; open_clip, `VisionTransformer` (`transformer.py`), whose
//! switches are the values of a [`VitConfig`]: CLIPA and CoCa are made with them.

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use umid_core::InputTower;

use super::{
    InputConfigOf, InputModule, Invalid, TransformerConfig, block_multiplications, kept_per_token,
    within,
};
use crate::Result;
use crate::nn::AttentionDropout;
use crate::nn::block::{Attend, Transformer};
use crate::nn::patches::patches;
use crate::nn::queries::{Around, Layout, Queries, QueriesConfig};
use crate::nn::visit::{self, Form, Visitor};
use crate::precision::normed;

/// Where the tower's tensors are in the Hugging Face layout.
const PREFIX: &str = "vision_model";
/// Red, green and blue.
const CHANNELS: usize = 3;
/// Of the norms around CoCa's queries, whatever the other norms have.
const QUERIES_EPSILON: f64 = 1e-5;

/// Shape of an image transformer (ViT).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VitConfig {
    /// Side of the square input in pixels.
    pub image_size: usize,
    /// Side of a square patch in pixels.
    pub patch_size: usize,
    /// Colour channels of the input.
    pub channels: usize,
    /// Whether a bias is added to each embedded patch.
    pub patch_bias: bool,
    /// Whether a learnt token stands before the patches.
    pub class_token: bool,
    /// Whether the tokens are normed before the blocks.
    pub pre_norm: bool,
    /// The residual blocks.
    pub transformer: TransformerConfig,
    /// How the tokens become one vector.
    pub pooling: VitPooling,
    /// What takes that vector to the joint space.
    pub head: VitHead,
}

/// What takes the vector that the tokens become to the joint space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VitHead {
    /// A matrix.
    Linear,
    /// Nothing: the joint space is as wide as the vector.
    None,
}

/// How the tokens after the last block become one vector. All but [`VitPooling::MeanNormed`] and
/// [`VitPooling::Queries`] norm the tokens first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VitPooling {
    /// The class token.
    ClassToken,
    /// The class token, through a linear layer and a hyperbolic tangent, as in `ViTModel`.
    Pooler,
    /// The mean of the patches.
    Mean,
    /// The mean of the patches, which is normed, as in CLIPA.
    MeanNormed,
    /// What one learnt query gathers, with a perceptron behind it, as in SigLIP.
    Probe,
    /// What learnt queries gather, which is normed, as in CoCa.
    Queries {
        /// Number of queries.
        count: usize,
        /// Attention heads; divides the width of the joint space.
        heads: usize,
        /// Which of them are read.
        read: QueriesRead,
    },
}

/// Which of the learnt queries are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueriesRead {
    /// The first.
    First,
    /// The mean of all but the first.
    MeanOfOthers,
    /// Another one, of an attention of its own, which reads the normed tokens too.
    Parallel,
    /// Another one, of an attention of its own, which reads what the queries gather from the normed
    /// tokens.
    Cascade,
}

impl VitConfig {
    /// Number of patches of an input.
    pub fn patches(&self) -> usize {
        (self.image_size / self.patch_size).pow(2)
    }

    /// CLIP's own tower, as transformers has it and as open_clip's switches are by default.
    pub fn clip(image_size: usize, patch_size: usize, transformer: TransformerConfig) -> Self {
        Self {
            image_size,
            patch_size,
            channels: CHANNELS,
            patch_bias: false,
            class_token: true,
            pre_norm: true,
            transformer,
            pooling: VitPooling::ClassToken,
            head: VitHead::Linear,
        }
    }

    /// Whether the tower is CLIP's own.
    pub(crate) fn is_clip(&self) -> bool {
        let clip = Self::clip(self.image_size, self.patch_size, self.transformer.clone());
        *self == clip && !self.transformer.layer_scale
    }

    fn tokens(&self) -> usize {
        usize::from(self.class_token) + self.patches()
    }

    /// The learnt queries, one attention after the other.
    fn queries(&self, embedding_dim: usize) -> Vec<QueriesConfig> {
        let (t, layout) = (&self.transformer, Layout::PyTorch);
        match self.pooling {
            VitPooling::ClassToken
            | VitPooling::Pooler
            | VitPooling::Mean
            | VitPooling::MeanNormed => vec![],
            VitPooling::Probe => {
                let (inner, activation, epsilon) =
                    (t.mlp_width, t.activation, t.layer_norm_epsilon);
                let around = Around::Perceptron { inner, activation, epsilon };
                let (input, width, heads) = (t.width, t.width, t.heads);
                vec![QueriesConfig { count: 1, input, width, heads, around, layout }]
            }
            VitPooling::Queries { count, heads, read } => {
                let around = Around::Norms(QUERIES_EPSILON);
                let (input, width) = (t.width, embedding_dim);
                let queries = QueriesConfig { count, input, width, heads, around, layout };
                match read {
                    QueriesRead::First | QueriesRead::MeanOfOthers => vec![queries],
                    QueriesRead::Parallel | QueriesRead::Cascade => {
                        vec![queries, QueriesConfig { count: 1, ..queries }]
                    }
                }
            }
        }
    }

    /// Width of the vector that the tokens become.
    fn pooled_width(&self, embedding_dim: usize) -> usize {
        match self.pooling {
            VitPooling::Queries { .. } => embedding_dim,
            _ => self.transformer.width,
        }
    }
}

impl InputConfigOf for VitConfig {
    type Tower = Vit;

    fn build(&self, embedding_dim: usize, device: &Device) -> Vit {
        let (width, patch) = (self.transformer.width, self.patch_size);
        let norm = |width| visit::layer_norm(width, self.transformer.layer_norm_epsilon, device);
        let pooled = self.pooled_width(embedding_dim);
        let projection =
            (self.head == VitHead::Linear).then(|| visit::empty([pooled, embedding_dim], device));
        let queries = self.queries(embedding_dim).into_iter();
        let pooler = self.pooling == VitPooling::Pooler;
        Vit {
            class_embedding: self.class_token.then(|| visit::empty([width], device)),
            patch_embedding: visit::empty([self.channels * patch * patch, width], device),
            patch_bias: self.patch_bias.then(|| visit::empty([width], device)),
            position_embedding: visit::empty([self.tokens(), width], device),
            pre_layer_norm: self.pre_norm.then(|| norm(width)),
            encoder: Transformer::new(self.transformer.blocks(Attend::Everywhere), device),
            post_layer_norm: norm(pooled),
            pooler: pooler.then(|| visit::linear(width, width, true, device)),
            queries: queries.map(|queries| Queries::new(queries, device)).collect(),
            visual_projection: projection,
            pooling: self.pooling,
            image_size: self.image_size,
            patch_size: patch,
        }
    }

    fn name(&self) -> String {
        let size = match (self.transformer.width, self.transformer.layers) {
            (768, 12) => "B",
            (1024, 24) => "L",
            (1280, 32) => "H",
            (384, 12) => "S",
            _ => "custom",
        };
        format!("ViT-{size}/{} at {} px", self.patch_size, self.image_size)
    }

    fn dimensions(&self) -> String {
        format!("{} x {}", self.transformer.layers, self.transformer.width)
    }

    fn numbers_kept(&self) -> usize {
        let (t, tokens) = (&self.transformer, self.tokens());
        // The joint space is about as wide as the tower.
        let queries = self.queries(t.width).into_iter().map(|queries| queries.numbers_kept(tokens));
        tokens * t.layers * kept_per_token(t.width, t.mlp_width) + queries.sum::<usize>()
    }

    fn multiplications(&self, embedding_dim: usize) -> usize {
        let (t, patches, patch) = (&self.transformer, self.patches(), self.patch_size);
        let tokens = self.tokens();
        let queries = self.queries(embedding_dim).into_iter();
        patches * self.channels * patch * patch * t.width
            + t.layers * block_multiplications(tokens, tokens, t.width, t.mlp_width)
            + queries.map(|queries| queries.multiplications(tokens)).sum::<usize>()
            + self.pooled_width(embedding_dim) * embedding_dim
    }

    fn check(&self) -> Result<(), Invalid> {
        within("image size", self.image_size)?;
        within("patch size", self.patch_size)?;
        self.transformer.check("image")?;
        if self.image_size < self.patch_size {
            let found = format!("{} with patch size {}", self.image_size, self.patch_size);
            return Err(Invalid::new("image size", &found, "at least one patch"));
        }
        if self.channels != CHANNELS {
            return Err(Invalid::new("num_channels", &self.channels, CHANNELS.to_string()));
        }
        Ok(())
    }
}

/// A transformer over the patches of an image.
#[derive(Module, Debug)]
pub struct Vit {
    /// `[width]`.
    class_embedding: Option<Param<Tensor<1>>>,
    /// The patch convolution as a matrix: `[channels * patch * patch, width]`.
    patch_embedding: Param<Tensor<2>>,
    /// `[width]`.
    patch_bias: Option<Param<Tensor<1>>>,
    /// `[tokens, width]`.
    position_embedding: Param<Tensor<2>>,
    pre_layer_norm: Option<LayerNorm>,
    encoder: Transformer,
    /// Of the tokens, or of what they become.
    post_layer_norm: LayerNorm,
    pooler: Option<Linear>,
    queries: Vec<Queries>,
    /// `[width, embedding_dim]`.
    visual_projection: Option<Param<Tensor<2>>>,
    #[module(skip)]
    pooling: VitPooling,
    image_size: usize,
    patch_size: usize,
}

impl InputModule for Vit {
    fn set_attention_dropout(
        &mut self,
        dropout: Option<AttentionDropout>,
        first_stream: u64,
    ) -> usize {
        self.encoder.set_attention_dropout(dropout, first_stream)
    }

    fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
        /// SigLIP's is in transformers; open_clip has one attention of CoCa, or two.
        const QUERIES: [&str; 2] = ["head", "head_contrastive"];
        let embeddings = format!("{PREFIX}.embeddings");
        let [_, width] = self.patch_embedding.lazy_shape().dims();
        // `ViTModel` stores what is added to a batch of images with the axes of a batch.
        let of_batch = |shape: &[usize]| match &self.pooler {
            Some(_) => [&[1; 2][..3 - shape.len()], shape].concat(),
            None => shape.to_vec(),
        };
        if let Some(class) = &mut self.class_embedding {
            let name = format!("{embeddings}.class_embedding");
            visitor.tensor(&name, &of_batch(&[width]), Form::Plain, class)?;
        }
        let kernel = [width, CHANNELS, self.patch_size, self.patch_size];
        let name = format!("{embeddings}.patch_embedding.weight");
        visitor.tensor(&name, &kernel, Form::Transposed, &mut self.patch_embedding)?;
        if let Some(bias) = &mut self.patch_bias {
            visitor.plain(&format!("{embeddings}.patch_embedding.bias"), bias)?;
        }
        let name = format!("{embeddings}.position_embedding.weight");
        let stored = of_batch(&self.position_embedding.lazy_shape().to_vec());
        visitor.tensor(&name, &stored, Form::Plain, &mut self.position_embedding)?;
        if let Some(norm) = &mut self.pre_layer_norm {
            // The misspelling is the Hugging Face layout's.
            visitor.norm(&format!("{PREFIX}.pre_layrnorm"), norm)?;
        }
        visitor
            .transformer(&mut self.encoder, &|layer| format!("{PREFIX}.encoder.layers.{layer}"))?;
        visitor.norm(&format!("{PREFIX}.post_layernorm"), &mut self.post_layer_norm)?;
        if let Some(pooler) = &mut self.pooler {
            visitor.linear(&format!("{PREFIX}.pooler.dense"), pooler)?;
        }
        for (name, queries) in QUERIES.iter().zip(&mut self.queries) {
            queries.describe(visitor, &format!("{PREFIX}.{name}"))?;
        }
        match &mut self.visual_projection {
            Some(projection) => visitor.transposed("visual_projection.weight", projection),
            None => Ok(()),
        }
    }

    fn frozen_parts(&self) -> Vec<bool> {
        vec![self.encoder.is_frozen()]
    }
}

impl InputTower for Vit {
    fn input_shape(&self) -> [usize; 3] {
        [CHANNELS, self.image_size, self.image_size]
    }

    fn embed(&self, pixels: Tensor<4>) -> Tensor<2> {
        let batch = pixels.dims()[0];
        let pixels = pixels.cast(self.patch_embedding.val().dtype());
        let hidden = self.tokens(pixels);
        let pooled = match self.pooling {
            VitPooling::ClassToken | VitPooling::Pooler => {
                let class = self.encoder.forward_at(hidden, &vec![0; batch]);
                let class = normed(&self.post_layer_norm, class);
                match &self.pooler {
                    Some(pooler) => pooler.forward(class).tanh(),
                    None => class,
                }
            }
            _ => self.pooled(self.encoder.forward(hidden, batch), batch),
        };
        match &self.visual_projection {
            Some(projection) => pooled.matmul(projection.val()),
            None => pooled,
        }
    }
}

impl Vit {
    /// The tokens that enter the first block.
    ///
    /// # Shapes
    ///
    /// - pixels: `[batch, channels, image_size, image_size]`
    /// - output: `[batch * tokens, width]`
    fn tokens(&self, pixels: Tensor<4>) -> Tensor<2> {
        let batch = pixels.dims()[0];
        let mut embedded = patches(pixels, self.patch_size).matmul(self.patch_embedding.val());
        if let Some(bias) = &self.patch_bias {
            embedded = embedded + bias.val().unsqueeze_dim(0);
        }
        let [rows, width] = embedded.dims();
        let mut hidden = embedded.reshape([batch, rows / batch, width]);
        if let Some(class) = &self.class_embedding {
            let class = class.val().reshape([1, 1, width]).expand([batch, 1, width]);
            hidden = Tensor::cat(vec![class, hidden], 1);
        }
        let hidden = hidden + self.position_embedding.val().unsqueeze_dim(0);
        let tokens = hidden.dims()[1];
        let hidden = hidden.reshape([batch * tokens, width]);
        match &self.pre_layer_norm {
            Some(norm) => normed(norm, hidden),
            None => hidden,
        }
    }

    /// One vector of all tokens after the last block.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch * tokens, width]`
    /// - output: `[batch, width]`
    fn pooled(&self, hidden: Tensor<2>, batch: usize) -> Tensor<2> {
        let norm = |hidden| normed(&self.post_layer_norm, hidden);
        let sequences = |hidden: Tensor<2>| {
            let [rows, width] = hidden.dims();
            hidden.reshape([batch, rows / batch, width])
        };
        let classes = usize::from(self.class_embedding.is_some());
        // What the queries of one attention gather, all of them or one.
        let asked = |i: usize, hidden: Tensor<3>, first, count| {
            let queries: &Queries = &self.queries[i];
            queries.forward(hidden, first, count)
        };
        match self.pooling {
            VitPooling::ClassToken | VitPooling::Pooler => {
                norm(sequences(hidden).narrow(1, 0, 1).squeeze_dim(1))
            }
            VitPooling::Mean => mean_from(sequences(norm(hidden)), classes),
            VitPooling::MeanNormed => norm(mean_from(sequences(hidden), classes)),
            VitPooling::Probe => asked(0, sequences(norm(hidden)), 0, 1).squeeze_dim(1),
            VitPooling::Queries { count, read, .. } => match read {
                QueriesRead::First => norm(asked(0, sequences(hidden), 0, 1).squeeze_dim(1)),
                QueriesRead::MeanOfOthers => {
                    let gathered = asked(0, sequences(hidden), 1, count - 1);
                    mean_from(normed(&self.post_layer_norm, gathered), 0)
                }
                QueriesRead::Parallel => asked(1, sequences(norm(hidden)), 0, 1).squeeze_dim(1),
                QueriesRead::Cascade => {
                    let gathered = asked(0, sequences(norm(hidden)), 0, count);
                    asked(1, gathered, 0, 1).squeeze_dim(1)
                }
            },
        }
    }
}

/// The mean of the tokens from one on.
///
/// # Shapes
///
/// - hidden: `[batch, tokens, width]`
/// - output: `[batch, width]`
fn mean_from(hidden: Tensor<3>, first: usize) -> Tensor<2> {
    let tokens = hidden.dims()[1];
    hidden.narrow(1, first, tokens - first).mean_dim(1).squeeze_dim(1)
}
