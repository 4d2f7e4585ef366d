//! A checkpoint, loaded: two towers, a tokenizer, a front end, and what is known of where they
//! came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use ndarray::Array2;
use rayon::prelude::*;

use crate::audio::{AudioTower, FUSED_CHANNELS};
use crate::config::ModelConfig;
use crate::digest::digest;
use crate::front_end::{FrontEnd, Input, InputUnits, Modality};
use crate::frozen::Blocks;
use crate::image::ImageTower;
use crate::layout::{self, Layout, Opened};
use crate::precision::Precision;
use crate::text::{CausalText, Roberta, TextTower};
use crate::tokenizer::{self, TextTokenizer, Tokens};
use crate::tower::{InputTower, Tower};
use crate::weights::Weights;
use crate::{ModelError, Result};

/// Texts that go through the tower together. Larger batches are no faster on a CPU and cost
/// memory.
const TEXT_BATCH: usize = 64;
/// Inputs that go through the tower together when they are only embedded.
const INPUT_BATCH: usize = 32;

/// A loaded model, CLIP or CLAP.
#[derive(Debug)]
pub struct Model {
    /// The model's shape.
    pub config: ModelConfig,
    /// The text tower.
    pub text: TextTower,
    /// The image or audio tower.
    pub tower: Tower,
    /// The tokenizer.
    pub tokenizer: TextTokenizer,
    /// How image or sound files become inputs.
    pub front_end: FrontEnd,
    /// Logarithm of the factor that the model multiplies cosines with; of CLAP that for ranking
    /// texts by a sound.
    pub log_logit_scale: f32,
    /// Where the model came from.
    pub source: Source,
    device: Device,
    precision: Precision,
    trainable: bool,
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
    /// The text tower's state before its last layer norm: `[texts, width]`.
    pub states: Array2<f32>,
    /// The embeddings but for what that norm divides by and what is added to every text; see
    /// [`TextOutput::response`](crate::TextOutput::response): `[texts, embedding_dim]`.
    pub responses: Array2<f32>,
}

impl Model {
    /// Loads a checkpoint directory of any layout, to compute in f32 on `device`.
    ///
    /// On a CPU the blocks of its transformers are given to kernels, which neither change nor
    /// export them; see [`Model::load_trainable`].
    ///
    /// # Errors
    ///
    /// Any [`ModelError`]; every tensor of the checkpoint is accounted for.
    pub fn load(directory: &Path, device: &Device) -> Result<Self> {
        Self::load_in(directory, device, Precision::F32)
    }

    /// As [`Model::load`], with an input tower that computes in some precision: of a CPU the blocks
    /// that have kernels, elsewhere everything but norms.
    ///
    /// # Errors
    ///
    /// As of [`Model::load`], and [`ModelError::Precision`] where the device does not compute so or
    /// the tower has no blocks for the kernels.
    pub fn load_in(directory: &Path, device: &Device, precision: Precision) -> Result<Self> {
        if *device != Device::flex() {
            let mut model = Self::load_trainable(directory, device)?;
            model.tower = precision.apply(model.tower, device)?;
            model.precision = precision;
            model.trainable = precision == Precision::F32;
            return Ok(model);
        }
        let blocks = Blocks::Frozen(precision.of_kernels()?);
        let mut model = Self::open(directory, device, blocks)?;
        if precision != Precision::F32 && !model.tower.is_frozen() {
            let reason = "this model's input tower has no blocks that the kernels fit";
            return Err(ModelError::Precision { precision, reason });
        }
        model.precision = precision;
        model.trainable = false;
        Ok(model)
    }

    /// As [`Model::load`], with all weights as burn's parameters: for training, for gradients with
    /// respect to them, and for saving. Slower on a CPU.
    ///
    /// # Errors
    ///
    /// As of [`Model::load`].
    pub fn load_trainable(directory: &Path, device: &Device) -> Result<Self> {
        Self::open(directory, device, Blocks::Parameters)
    }

    fn open(directory: &Path, device: &Device, blocks: Blocks) -> Result<Self> {
        let Opened { layout, config, front_end, weights, mut files } = layout::open(directory)?;
        files.extend(tokenizer::files(directory, &config)?);
        let (dtypes, parameter_count) = (weights.dtypes().clone(), weights.parameter_count());
        let towers = || towers(&weights, &config, &front_end, blocks, device);
        let tokenizer = || TextTokenizer::load(directory, &config);
        let (towers, (tokenizer, digest)) =
            both(blocks, towers, || both(blocks, tokenizer, || digest(&files)));
        let (tokenizer, (text, tower)) = (tokenizer?, towers?);
        let log_logit_scale = match config {
            ModelConfig::Clip(_) => weights.take_scalar("logit_scale")?,
            ModelConfig::Clap(_) => {
                weights.take_scalar("logit_scale_t")?;
                weights.take_scalar("logit_scale_a")?
            }
        };
        weights.finish()?;
        let directory = directory.to_owned();
        let source = Source { directory, layout, digest: digest?, dtypes, parameter_count };
        let device = device.clone();
        Ok(Self {
            config,
            text,
            tower,
            tokenizer,
            front_end,
            log_logit_scale,
            source,
            device,
            precision: Precision::F32,
            trainable: true,
        })
    }

    /// What the model reads beside texts.
    pub fn modality(&self) -> Modality {
        self.front_end.modality()
    }

    /// The towers of an image-text model; none of another.
    pub fn clip_towers(&self) -> Option<(&CausalText, &ImageTower)> {
        match (&self.text, &self.tower) {
            (TextTower::Causal(text), Tower::Image(image)) => Some((text, image)),
            _ => None,
        }
    }

    /// In which units inputs are searched, and what they can be.
    pub fn input_units(&self) -> InputUnits {
        let shape = self.tower.input_shape();
        match (&self.front_end, &self.tower) {
            (FrontEnd::Audio(log_mel), Tower::Audio(tower)) => {
                let (mean, deviation) = tower.mel_statistics();
                let ceiling = log_mel.ceiling();
                let row = ceiling.into_iter().map(|high| (crate::audio::FLOOR_DECIBELS, high));
                let row: Vec<(f32, f32)> = row.collect();
                InputUnits { shape, mean, deviation, valid_range: row.repeat(shape[1]) }
            }
            (FrontEnd::Image(preprocess), _) => InputUnits::of_pixels(preprocess, shape),
            (FrontEnd::Audio(_), Tower::Image(_)) => {
                unreachable!("a layout opens both of one kind")
            }
        }
    }

    /// In which precision the input tower computes.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Whether all weights are burn's parameters, in f32.
    pub fn is_trainable(&self) -> bool {
        self.trainable
    }

    /// Bytes that one input takes up on its way forward and back, roughly: what is kept of each
    /// block, and the input with its gradient and their copies.
    pub fn bytes_per_input(&self) -> u64 {
        /// Input, gradient, step, patches and theirs, each once before and once after.
        const COPIES: usize = 10;
        /// burn keeps the parts of a block that the kernels fuse.
        const UNFUSED: usize = 3;
        let shape = self.tower.input_shape();
        let kept = self.config.numbers_kept(shape);
        // The kernels keep f32 in every precision.
        let kept = match (self.device == Device::flex(), self.precision) {
            (true, _) => size_of::<f32>() * kept,
            (false, Precision::F32) => size_of::<f32>() * UNFUSED * kept,
            (false, Precision::F16 | Precision::Bf16) => size_of::<f16>() * UNFUSED * kept,
        };
        (kept + size_of::<f32>() * COPIES * shape.iter().product::<usize>()) as u64
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The factor that the model multiplies cosines with.
    pub fn logit_scale(&self) -> f32 {
        self.log_logit_scale.exp()
    }

    /// Embeds texts.
    ///
    /// Texts of one token length go through the tower together and are never padded, so that a
    /// text's embedding does not depend on the company it is in beyond the round-off of the
    /// matrix products. Texts longer than the context are cut as the reference does; see
    /// [`TextTokenizer::tokenize`] to find out beforehand.
    ///
    /// # Errors
    ///
    /// Those of [`TextTokenizer::tokenize`].
    pub fn embed_texts<S: AsRef<str>>(&self, texts: &[S]) -> Result<TextEmbeddings> {
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let tokens: Vec<Tokens> =
            texts.par_iter().map(|text| self.tokenizer.tokenize(text)).collect::<Result<_>>()?;
        let mut by_length: BTreeMap<usize, Vec<(usize, Tokens)>> = BTreeMap::new();
        for (row, tokens) in tokens.into_iter().enumerate() {
            by_length.entry(tokens.ids.len()).or_default().push((row, tokens));
        }
        let batches: Vec<&[(usize, Tokens)]> =
            by_length.values().flat_map(|group| group.chunks(TEXT_BATCH)).collect();
        let forward = |batch: &&[(usize, Tokens)]| {
            let ids: Vec<Vec<u32>> = batch.iter().map(|(_, t)| t.ids.clone()).collect();
            let output = self.text.forward(&ids);
            [output.embedding, output.state, output.response].map(to_host)
        };
        // On a CPU, small matrices keep one core busy; several batches keep all of them.
        let outputs: Vec<[Vec<f32>; 3]> = if self.device == Device::flex() {
            batches.par_iter().map(forward).collect()
        } else {
            batches.iter().map(forward).collect()
        };
        let (dim, width) = (self.config.embedding_dim(), self.config.text_width());
        let mut parts = [dim, width, dim].map(|columns| Array2::zeros((texts.len(), columns)));
        for (batch, outputs) in batches.iter().zip(outputs) {
            for (values, part) in outputs.iter().zip(&mut parts) {
                copy_rows(values, batch.iter().map(|(row, _)| *row), part);
            }
        }
        let [embeddings, states, responses] = parts;
        Ok(TextEmbeddings { embeddings, states, responses })
    }

    /// Embeds inputs; the embeddings are not normalised.
    ///
    /// # Shapes
    ///
    /// - output: `[inputs, embedding_dim]`
    ///
    /// # Errors
    ///
    /// [`ModelError::InputShape`] where an input is not of the model's size.
    pub fn embed_inputs(&self, inputs: &[Input]) -> Result<Array2<f32>> {
        let mut embeddings = Array2::zeros((inputs.len(), self.config.embedding_dim()));
        let mut first = 0;
        // Long sounds may have more channels than short ones; a batch has one shape.
        for alike in inputs.chunk_by(|a, b| a.shape == b.shape) {
            let [channels, height, width] = self.accepted(alike[0].shape)?;
            for batch in alike.chunks(INPUT_BATCH) {
                let values: Vec<f32> = batch.iter().flat_map(|i| &i.values).copied().collect();
                let values = TensorData::new(values, [batch.len(), channels, height, width]);
                let output = self.tower.embed(Tensor::from_data(values, &self.device));
                copy_rows(&to_host(output), first..first + batch.len(), &mut embeddings);
                first += batch.len();
            }
        }
        Ok(embeddings)
    }

    fn accepted(&self, shape: [usize; 3]) -> Result<[usize; 3]> {
        let expected = self.tower.input_shape();
        let [channels, rest @ ..] = expected;
        let fuses = matches!(&self.config, ModelConfig::Clap(config) if config.audio.fuses());
        if shape == expected || (fuses && shape == [FUSED_CHANNELS, rest[0], rest[1]]) {
            return Ok(shape);
        }
        Err(ModelError::InputShape {
            found: shape.to_vec(),
            expected: format!("[{channels}, {}, {}]", rest[0], rest[1]),
        })
    }
}

fn towers(
    weights: &Weights,
    config: &ModelConfig,
    front_end: &FrontEnd,
    blocks: Blocks,
    device: &Device,
) -> Result<(TextTower, Tower)> {
    // Texts are not rounded.
    let in_f32 = blocks.in_f32();
    match (config, front_end) {
        (ModelConfig::Clip(config), _) => {
            let dim = config.embedding_dim;
            let (text, image) = both(
                blocks,
                || CausalText::load(weights, &config.text, dim, in_f32, device),
                || ImageTower::load(weights, &config.image, dim, blocks, device),
            );
            Ok((TextTower::Causal(text?), Tower::Image(image?)))
        }
        (ModelConfig::Clap(config), FrontEnd::Audio(log_mel)) => {
            let (projection, frames) = (config.projection, log_mel.frames());
            let (text, audio) = both(
                blocks,
                || Roberta::load(weights, &config.text, projection, device),
                || AudioTower::load(weights, &config.audio, projection, frames, blocks, device),
            );
            Ok((TextTower::Roberta(text?), Tower::Audio(audio?)))
        }
        (ModelConfig::Clap(_), FrontEnd::Image(_)) => {
            unreachable!("a layout opens both of one kind")
        }
    }
}

/// Does both, at the same time where the blocks are for the CPU. Other devices are spoken to from
/// one thread.
fn both<A: Send, B: Send>(
    blocks: Blocks,
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    match blocks {
        Blocks::Parameters => (one(), other()),
        Blocks::Frozen(_) => rayon::join(one, other),
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
