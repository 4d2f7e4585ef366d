//! CLIP's vision transformer: normalised pixels to an embedding.
//!
//! Reference: transformers, `CLIPVisionTransformer` and `CLIPModel.get_image_features`.

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use umid_core::InputTower;

use super::{
    InputConfigOf, InputModule, Invalid, TransformerConfig, block_multiplications, kept_per_token,
    within,
};
use crate::Result;
use crate::front_end::Modality;
use crate::nn::block::{Attend, Transformer};
use crate::nn::visit::{self, Form, Visitor};
use crate::precision::normed;

/// Where the tower's tensors are in the Hugging Face layout.
const PREFIX: &str = "vision_model";
/// Red, green and blue.
const CHANNELS: usize = 3;

/// Shape of an image transformer (ViT).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VitConfig {
    /// Side of the square input in pixels.
    pub image_size: usize,
    /// Side of a square patch in pixels.
    pub patch_size: usize,
    /// Colour channels of the input.
    pub channels: usize,
    /// The residual blocks.
    pub transformer: TransformerConfig,
}

impl VitConfig {
    /// Number of patches of an input.
    pub fn patches(&self) -> usize {
        (self.image_size / self.patch_size).pow(2)
    }
}

impl InputConfigOf for VitConfig {
    type Tower = Vit;

    fn build(&self, embedding_dim: usize, device: &Device) -> Vit {
        let (width, patch) = (self.transformer.width, self.patch_size);
        let norm = || visit::layer_norm(width, self.transformer.layer_norm_epsilon, device);
        Vit {
            class_embedding: visit::empty([width], device),
            patch_embedding: visit::empty([self.channels * patch * patch, width], device),
            position_embedding: visit::empty([1 + self.patches(), width], device),
            pre_layer_norm: norm(),
            encoder: Transformer::new(self.transformer.blocks(Attend::Everywhere), device),
            post_layer_norm: norm(),
            visual_projection: visit::empty([width, embedding_dim], device),
            image_size: self.image_size,
            patch_size: patch,
        }
    }

    fn modality(&self) -> Modality {
        Modality::Image
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
        self.transformer.dimensions()
    }

    fn numbers_kept(&self) -> usize {
        let t = &self.transformer;
        (self.patches() + 1) * t.layers * kept_per_token(t.width, t.mlp_width)
    }

    fn multiplications(&self, embedding_dim: usize) -> usize {
        let (t, patches, patch) = (&self.transformer, self.patches(), self.patch_size);
        let tokens = patches + 1;
        patches * self.channels * patch * patch * t.width
            + t.layers * block_multiplications(tokens, tokens, t.width, t.mlp_width)
            + t.width * embedding_dim
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

/// A transformer over the patches of an image, read at its class token.
#[derive(Module, Debug)]
pub struct Vit {
    /// `[width]`.
    class_embedding: Param<Tensor<1>>,
    /// The patch convolution as a matrix: `[channels * patch * patch, width]`.
    patch_embedding: Param<Tensor<2>>,
    /// `[1 + patches, width]`.
    position_embedding: Param<Tensor<2>>,
    pre_layer_norm: LayerNorm,
    encoder: Transformer,
    post_layer_norm: LayerNorm,
    /// `[width, embedding_dim]`.
    visual_projection: Param<Tensor<2>>,
    image_size: usize,
    patch_size: usize,
}

impl InputModule for Vit {
    fn describe(&mut self, visitor: &mut impl Visitor) -> Result<()> {
        let embeddings = format!("{PREFIX}.embeddings");
        visitor.plain(&format!("{embeddings}.class_embedding"), &mut self.class_embedding)?;
        let [_, width] = self.patch_embedding.lazy_shape().dims();
        let kernel = [width, CHANNELS, self.patch_size, self.patch_size];
        let name = format!("{embeddings}.patch_embedding.weight");
        visitor.tensor(&name, &kernel, Form::Transposed, &mut self.patch_embedding)?;
        let name = format!("{embeddings}.position_embedding.weight");
        visitor.plain(&name, &mut self.position_embedding)?;
        // The misspelling is the Hugging Face layout's.
        visitor.norm(&format!("{PREFIX}.pre_layrnorm"), &mut self.pre_layer_norm)?;
        visitor
            .transformer(&mut self.encoder, &|layer| format!("{PREFIX}.encoder.layers.{layer}"))?;
        visitor.norm(&format!("{PREFIX}.post_layernorm"), &mut self.post_layer_norm)?;
        visitor.transposed("visual_projection.weight", &mut self.visual_projection)
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
        let patches = self.patches(pixels).matmul(self.patch_embedding.val());
        let [rows, width] = patches.dims();
        let patches = patches.reshape([batch, rows / batch, width]);
        let class = self.class_embedding.val().reshape([1, 1, width]).expand([batch, 1, width]);
        let positions = self.position_embedding.val().unsqueeze_dim(0);
        let hidden = Tensor::cat(vec![class, patches], 1) + positions;
        let hidden = hidden.reshape([rows + batch, width]);
        let class = self.encoder.forward_at(normed(&self.pre_layer_norm, hidden), &vec![0; batch]);
        normed(&self.post_layer_norm, class).matmul(self.visual_projection.val())
    }
}

impl Vit {
    /// Cuts images into patches, row by row.
    ///
    /// # Shapes
    ///
    /// - pixels: `[batch, channels, image_size, image_size]`
    /// - output: `[batch * patches, channels * patch * patch]`
    fn patches(&self, pixels: Tensor<4>) -> Tensor<2> {
        let [batch, channels, height, width] = pixels.dims();
        let patch = self.patch_size;
        let (rows, columns) = (height / patch, width / patch);
        // An image size that the patch size does not divide leaves a margin, which the
        // reference's strided convolution never reads.
        pixels
            .narrow(2, 0, rows * patch)
            .narrow(3, 0, columns * patch)
            .reshape([batch, channels, rows, patch, columns, patch])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([batch * rows * columns, channels * patch * patch])
    }
}
