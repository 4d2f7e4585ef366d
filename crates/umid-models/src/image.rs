//! The image tower (ViT): normalised pixels to an embedding.
//!
//! Reference: transformers, `CLIPVisionTransformer` and `CLIPModel.get_image_features`.

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::{Device, Tensor};

use crate::Result;
use crate::config::ImageConfig;
use crate::frozen::Blocks;
use crate::precision::normed;
use crate::transformer::{Attend, Transformer, load_layer_norm, load_projection, parameter};
use crate::weights::{Weights, transpose};

/// A transformer over the patches of an image, read at its class token.
#[derive(Module, Debug)]
pub struct ImageTower {
    /// `[width]`.
    pub(crate) class_embedding: Param<Tensor<1>>,
    /// The patch convolution as a matrix: `[channels * patch * patch, width]`.
    pub(crate) patch_embedding: Param<Tensor<2>>,
    /// `[1 + patches, width]`.
    pub(crate) position_embedding: Param<Tensor<2>>,
    pub(crate) pre_layer_norm: LayerNorm,
    pub(crate) encoder: Transformer,
    pub(crate) post_layer_norm: LayerNorm,
    /// `[width, embedding_dim]`.
    pub(crate) visual_projection: Param<Tensor<2>>,
    image_size: usize,
    patch_size: usize,
}

impl ImageTower {
    pub(crate) fn load(
        weights: &Weights,
        config: &ImageConfig,
        embedding_dim: usize,
        blocks: Blocks,
        device: &Device,
    ) -> Result<Self> {
        let width = config.transformer.width;
        let epsilon = config.transformer.layer_norm_epsilon;
        let (channels, patch) = (config.channels, config.patch_size);
        let tokens = 1 + config.patches();
        let kernel = weights.take(
            "vision_model.embeddings.patch_embedding.weight",
            &[width, channels, patch, patch],
        )?;
        let kernel = transpose(&kernel, width, channels * patch * patch);
        let class = weights.take("vision_model.embeddings.class_embedding", &[width])?;
        let positions =
            weights.take("vision_model.embeddings.position_embedding.weight", &[tokens, width])?;
        let norm = |name: &str| {
            load_layer_norm(weights, &format!("vision_model.{name}"), width, epsilon, device)
        };
        Ok(Self {
            class_embedding: parameter(class, [width], device),
            patch_embedding: parameter(kernel, [channels * patch * patch, width], device),
            position_embedding: parameter(positions, [tokens, width], device),
            // The misspelling is the Hugging Face layout's.
            pre_layer_norm: norm("pre_layrnorm")?,
            post_layer_norm: norm("post_layernorm")?,
            encoder: Transformer::load(
                weights,
                "vision_model",
                &config.transformer,
                Attend::Everywhere,
                blocks,
                device,
            )?,
            visual_projection: load_projection(
                weights,
                "visual_projection.weight",
                width,
                embedding_dim,
                device,
            )?,
            image_size: config.image_size,
            patch_size: patch,
        })
    }

    /// Side of the square input in pixels.
    pub fn image_size(&self) -> usize {
        self.image_size
    }

    pub(crate) fn patch_size(&self) -> usize {
        self.patch_size
    }

    /// Embeds normalised images; the result is not normalised.
    ///
    /// # Shapes
    ///
    /// - pixels: `[batch, channels, image_size, image_size]`, normalised by the model's mean
    ///   and standard deviation
    /// - output: `[batch, embedding_dim]`
    pub fn forward(&self, pixels: Tensor<4>) -> Tensor<2> {
        let batch = pixels.dims()[0];
        let pixels = pixels.cast(self.patch_embedding.val().dtype());
        let patches = self.patches(pixels).matmul(self.patch_embedding.val());
        let [rows, width] = patches.dims();
        let patches = patches.reshape([batch, rows / batch, width]);
        let class = self.class_embedding.val().reshape([1, 1, width]).expand([batch, 1, width]);
        let positions = self.position_embedding.val().unsqueeze_dim(0);
        let hidden = Tensor::cat(vec![class, patches], 1) + positions;
        let hidden = hidden.reshape([rows + batch, width]);
        let class = self.encoder.forward(normed(&self.pre_layer_norm, hidden), &vec![0; batch]);
        normed(&self.post_layer_norm, class).matmul(self.visual_projection.val())
    }

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
