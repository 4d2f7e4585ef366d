//! A CLIP checkpoint, loaded: two towers, a tokenizer, preprocessing, and what is known of
//! where they came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::Array2;
use rayon::prelude::*;

use crate::config::ClipConfig;
use crate::image::ImageTower;
use crate::layout::{self, Layout, Opened};
use crate::preprocess::{Pixels, Preprocess};
use crate::text::TextTower;
use crate::tokenizer::{ClipTokenizer, Tokens};
use crate::weights::map_file;
use crate::{ModelError, Result};

/// Texts that go through the tower together. Larger batches are no faster on a CPU and cost
/// memory.
const TEXT_BATCH: usize = 64;
/// Images that go through the tower together when they are only embedded.
const IMAGE_BATCH: usize = 32;

/// An input tower: what an inversion differentiates through.
pub trait InputTower {
    /// `[channels, height, width]` of one input.
    fn input_shape(&self) -> [usize; 3];

    /// Embeds a batch of inputs; the result is not normalised.
    ///
    /// # Shapes
    ///
    /// - inputs: `[batch, channels, height, width]`
    /// - output: `[batch, embedding_dim]`
    fn embed(&self, inputs: Tensor<4>) -> Tensor<2>;
}

impl InputTower for ImageTower {
    fn input_shape(&self) -> [usize; 3] {
        [3, self.image_size(), self.image_size()]
    }

    fn embed(&self, inputs: Tensor<4>) -> Tensor<2> {
        self.forward(inputs)
    }
}

/// A loaded CLIP model.
#[derive(Debug)]
pub struct Clip {
    /// The model's shape.
    pub config: ClipConfig,
    /// The text tower.
    pub text: TextTower,
    /// The image tower.
    pub image: ImageTower,
    /// The tokenizer.
    pub tokenizer: ClipTokenizer,
    /// How image files become inputs.
    pub preprocess: Preprocess,
    /// Logarithm of the factor that the model multiplies cosines with.
    pub log_logit_scale: f32,
    /// Where the model came from.
    pub source: Source,
    device: Device,
}

/// What is known of a checkpoint on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The directory.
    pub directory: PathBuf,
    /// Its layout.
    pub layout: Layout,
    /// BLAKE3 of configuration, preprocessing, weights and tokenizer files, in hexadecimal.
    pub digest: String,
    /// Number of stored tensors by type, such as `F16`.
    pub dtypes: BTreeMap<String, usize>,
    /// Number of stored weights.
    pub parameter_count: u64,
}

/// Host-side embeddings of a list of texts, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct TextEmbeddings {
    /// Not normalised: `[texts, embedding_dim]`.
    pub embeddings: Array2<f32>,
    /// The text tower's state before its final layer norm: `[texts, width]`.
    pub states: Array2<f32>,
}

impl Clip {
    /// Loads a checkpoint directory of either layout, with f32 weights on `device`.
    ///
    /// # Errors
    ///
    /// Any [`ModelError`]; every tensor of the checkpoint is accounted for.
    pub fn load(directory: &Path, device: &Device) -> Result<Self> {
        let Opened { layout, config, preprocess, mut weights, mut files } =
            layout::open(directory)?;
        let tokenizer =
            ClipTokenizer::load(directory, config.text.context, config.text.vocabulary)?;
        files.extend_from_slice(tokenizer.files());
        let (dtypes, parameter_count) = (weights.dtypes().clone(), weights.parameter_count());
        let text = TextTower::load(&mut weights, &config.text, config.embedding_dim, device)?;
        let image = ImageTower::load(&mut weights, &config.image, config.embedding_dim, device)?;
        let log_logit_scale = weights.take_scalar("logit_scale")?;
        weights.finish()?;
        let digest = digest(&files)?;
        let directory = directory.to_owned();
        let source = Source { directory, layout, digest, dtypes, parameter_count };
        let device = device.clone();
        Ok(Self { config, text, image, tokenizer, preprocess, log_logit_scale, source, device })
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The factor that the model multiplies cosines with.
    pub fn logit_scale(&self) -> f32 {
        self.log_logit_scale.exp()
    }

    /// The architecture in words, such as `CLIP ViT-B/32 (12 x 768, text 12 x 512)`.
    pub fn architecture(&self) -> String {
        let (image, text) = (&self.config.image.transformer, &self.config.text.transformer);
        let size = match (image.width, image.layers) {
            (768, 12) => "B",
            (1024, 24) => "L",
            (1280, 32) => "H",
            (384, 12) => "S",
            _ => "custom",
        };
        format!(
            "CLIP ViT-{size}/{} at {} px ({} x {}, text {} x {})",
            self.config.image.patch_size,
            self.config.image.image_size,
            image.layers,
            image.width,
            text.layers,
            text.width
        )
    }

    /// Embeds texts.
    ///
    /// Texts of one token length go through the tower together and are never padded, so that a
    /// text's embedding does not depend on the company it is in beyond the round-off of the
    /// matrix products. Texts longer than the context are cut as the reference does; see
    /// [`ClipTokenizer::tokenize`] to find out beforehand.
    ///
    /// # Errors
    ///
    /// Those of [`ClipTokenizer::tokenize`].
    pub fn embed_texts<S: AsRef<str>>(&self, texts: &[S]) -> Result<TextEmbeddings> {
        let mut by_length: BTreeMap<usize, Vec<(usize, Tokens)>> = BTreeMap::new();
        for (row, text) in texts.iter().enumerate() {
            let tokens = self.tokenizer.tokenize(text.as_ref())?;
            by_length.entry(tokens.ids.len()).or_default().push((row, tokens));
        }
        let batches: Vec<&[(usize, Tokens)]> =
            by_length.values().flat_map(|group| group.chunks(TEXT_BATCH)).collect();
        let forward = |batch: &&[(usize, Tokens)]| {
            let ids: Vec<Vec<u32>> = batch.iter().map(|(_, t)| t.ids.clone()).collect();
            let output = self.text.forward(&ids);
            (to_host(output.embedding), to_host(output.state))
        };
        // On a CPU, small matrices keep one core busy; several batches keep all of them.
        let outputs: Vec<(Vec<f32>, Vec<f32>)> = if self.device == Device::flex() {
            batches.par_iter().map(forward).collect()
        } else {
            batches.iter().map(forward).collect()
        };
        let mut embeddings = Array2::zeros((texts.len(), self.config.embedding_dim));
        let mut states = Array2::zeros((texts.len(), self.config.text.transformer.width));
        for (batch, (embedding, state)) in batches.iter().zip(outputs) {
            let rows = || batch.iter().map(|(row, _)| *row);
            copy_rows(&embedding, rows(), &mut embeddings);
            copy_rows(&state, rows(), &mut states);
        }
        Ok(TextEmbeddings { embeddings, states })
    }

    /// Embeds preprocessed images; the embeddings are not normalised.
    ///
    /// # Shapes
    ///
    /// - output: `[images, embedding_dim]`
    ///
    /// # Errors
    ///
    /// [`ModelError::InputShape`] where an image is not of the model's size.
    pub fn embed_images(&self, images: &[Pixels]) -> Result<Array2<f32>> {
        let size = self.config.image.image_size;
        let mut embeddings = Array2::zeros((images.len(), self.config.embedding_dim));
        for (batch_index, batch) in images.chunks(IMAGE_BATCH).enumerate() {
            let mut values = Vec::with_capacity(batch.len() * 3 * size * size);
            for pixels in batch {
                if (pixels.height, pixels.width) != (size, size) {
                    return Err(ModelError::InputShape {
                        found: vec![3, pixels.height, pixels.width],
                        expected: format!("[3, {size}, {size}]"),
                    });
                }
                values.extend_from_slice(&pixels.values);
            }
            let values = TensorData::new(values, [batch.len(), 3, size, size]);
            let output = self.image.forward(Tensor::from_data(values, &self.device));
            let first = batch_index * IMAGE_BATCH;
            copy_rows(&to_host(output), first..first + batch.len(), &mut embeddings);
        }
        Ok(embeddings)
    }
}

/// A tensor's values on the host, in row-major order.
///
/// # Panics
///
/// If the tensor is not of type f32, as every tensor of this crate is.
pub fn to_host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().expect("tensors of this crate are f32")
}

fn copy_rows(values: &[f32], rows: impl Iterator<Item = usize>, to: &mut Array2<f32>) {
    let width = to.ncols();
    for (row, values) in rows.zip(values.chunks_exact(width)) {
        to.row_mut(row).iter_mut().zip(values).for_each(|(to, from)| *to = *from);
    }
}

/// Digest of a checkpoint's files. Each file enters with its name and its own digest, so the
/// order of reading does not matter and a renamed file does.
fn digest(files: &[PathBuf]) -> Result<String> {
    let mut parts = BTreeMap::new();
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut hasher = blake3::Hasher::new();
        hasher.update_rayon(&map_file(path)?);
        parts.insert(name, hasher.finalize());
    }
    let mut whole = blake3::Hasher::new();
    for (name, digest) in parts {
        whole.update(&(name.len() as u64).to_le_bytes());
        whole.update(name.as_bytes());
        whole.update(digest.as_bytes());
    }
    Ok(whole.finalize().to_hex().to_string())
}
