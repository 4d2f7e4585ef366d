//! A checkpoint, loaded: two towers, a tokenizer, a front end, and what is known of where they
//! came from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use ndarray::Array2;
use rayon::prelude::*;
use umid_core::{InputTower, InputUnits, to_host};

use crate::config::{InputConfig, ModelConfig};
use crate::front_end::{FrontEnd, Input, Modality};
use crate::nn::AttentionDropout;
use crate::precision::Precision;
use crate::provenance::Provenance;
use crate::tokenizer::{TextTokenizer, Tokens};
use crate::towers::{TextTower, Tower};
use crate::{ModelError, Result};

/// Texts that go through the tower together. Larger batches are no faster on a CPU and cost
/// memory.
const TEXT_BATCH: usize = 64;
/// As many where they share beginnings: the more, the more they share.
const SHARING_BATCH: usize = 1024;
/// Inputs that go through the tower together when they are only embedded.
const INPUT_BATCH: usize = 32;

/// A loaded model, CLIP or CLAP.
#[derive(Debug)]
pub struct Model {
    /// The model's shape.
    pub config: ModelConfig,
    /// The text tower.
    pub text: TextTower,
    /// The image or audio tower; `None` if the model is open with its text tower alone.
    pub(crate) tower: Option<Tower>,
    /// The tokenizer.
    pub tokenizer: TextTokenizer,
    /// How image or sound files become inputs.
    pub front_end: FrontEnd,
    /// Logarithm of the factor that the model multiplies cosines with; for CLAP, the one for ranking
    /// texts by a sound.
    /// NaN for a text tower that was published alone, which compares nothing.
    pub log_logit_scale: f32,
    /// What a model that was trained with a sigmoid loss (SigLIP) adds to scaled cosines.
    pub logit_bias: Option<f32>,
    /// Where the model came from.
    pub source: Source,
    pub(crate) device: Device,
    pub(crate) precision: Precision,
    pub(crate) text_precision: Precision,
    pub(crate) trainable: bool,
}

/// What is known of a checkpoint on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The directory, the file of weights or the repository's name, as it was given.
    pub path: PathBuf,
    /// Name of the directory, the file or the repository.
    pub name: String,
    /// Its layout, such as `hugging-face`, `open-clip` or `laion-clap`.
    pub layout: &'static str,
    /// BLAKE3 of configuration, preprocessing, weights and tokenizer files, in hexadecimal.
    pub digest: String,
    /// Number of stored tensors by type, such as `F16`.
    pub dtypes: BTreeMap<String, usize>,
    /// Number of stored weights.
    pub parameter_count: u64,
    /// What was read, inferred and assumed.
    pub provenance: Provenance,
}

/// Host-side embeddings of a list of texts, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct TextEmbeddings {
    /// Not normalised: `[texts, embedding_dim]`.
    pub embeddings: Array2<f32>,
    /// The text tower's state before its last layer norm: `[texts, width]`.
    pub states: Array2<f32>,
    /// The embeddings without that norm's division and without what is added to every text; see
    /// [`TextOutput::response`](crate::TextOutput::response): `[texts, embedding_dim]`.
    pub responses: Array2<f32>,
}

impl Model {
    /// What the model reads beside texts.
    pub fn modality(&self) -> Modality {
        self.front_end.modality()
    }

    /// The image or audio tower.
    ///
    /// # Errors
    ///
    /// [`ModelError::TextAlone`] if the model is open with its text tower alone.
    pub fn tower(&self) -> Result<&Tower> {
        self.tower.as_ref().ok_or_else(|| {
            let reason = match &self.front_end {
                FrontEnd::Absent { reason, .. } => reason.as_str(),
                FrontEnd::Image(_) | FrontEnd::Audio(_) => "it was loaded for texts",
            };
            ModelError::TextAlone { reason: reason.to_owned() }
        })
    }

    /// Why the model has no input tower that can be read; `None` if it has one, also where it was
    /// loaded for texts.
    pub fn without_input(&self) -> Option<String> {
        match &self.front_end {
            FrontEnd::Absent { reason, .. } => Some(reason.clone()),
            FrontEnd::Image(_) | FrontEnd::Audio(_) => None,
        }
    }

    /// In which units inputs are searched, and what they can be.
    ///
    /// # Errors
    ///
    /// As of [`Model::tower`].
    pub fn input_units(&self) -> Result<InputUnits> {
        let tower = self.tower()?;
        let shape = tower.input_shape();
        let width = shape[2];
        let (mean, deviation) =
            tower.statistics().unwrap_or_else(|| (vec![0.0; width], vec![1.0; width]));
        Ok(InputUnits { shape, mean, deviation, valid_range: self.front_end.valid_range(shape) })
    }

    /// In which precision the input tower computes.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// In which precision the blocks of the text tower compute. Its token embeddings, its last norm and
    /// its head are f32 in each.
    pub fn text_precision(&self) -> Precision {
        self.text_precision
    }

    /// Whether all weights are burn's parameters, in f32.
    pub fn is_trainable(&self) -> bool {
        self.trainable
    }

    /// Sets the dropout of attention in CLIP's text transformer and in a plain vision transformer, or takes it
    /// away, and returns how many blocks drop. Other towers have none, nor has one whose weights the
    /// kernels have (see [`Model::is_trainable`]).
    pub fn set_attention_dropout(&mut self, dropout: Option<AttentionDropout>) -> usize {
        /// Streams of the input tower's blocks; no text tower has as many.
        const INPUT_STREAMS: u64 = 1 << 32;
        let text = self.text.set_attention_dropout(dropout, 0);
        let tower = self.tower.as_mut();
        text + tower.map_or(0, |tower| tower.set_attention_dropout(dropout, INPUT_STREAMS))
    }

    /// Roughly the bytes that a forward and backward pass of one input takes: what is kept of each
    /// block, and the input with its gradient and their copies.
    ///
    /// # Errors
    ///
    /// As of [`Model::tower`].
    pub fn bytes_per_input(&self) -> Result<u64> {
        /// Input, gradient, step, patches and theirs, each once before and once after.
        const COPIES: usize = 10;
        /// burn keeps the parts of a block that the kernels fuse.
        const UNFUSED: usize = 3;
        let shape = self.tower()?.input_shape();
        let kept = self.config.input.as_ref().map_or(0, InputConfig::numbers_kept);
        // The kernels keep f32 in every precision.
        let kept = match (self.device == Device::flex(), self.precision) {
            (true, _) => size_of::<f32>() * kept,
            (false, Precision::F32) => size_of::<f32>() * UNFUSED * kept,
            (false, Precision::F16 | Precision::Bf16) => size_of::<f16>() * UNFUSED * kept,
        };
        Ok((kept + size_of::<f32>() * COPIES * shape.iter().product::<usize>()) as u64)
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
    /// Texts of one token length go through the tower together, or, where it
    /// [shares beginnings](TextTower::shares_beginnings), texts that begin alike. They are padded only
    /// where the tower was trained so, and then to the context
    /// ([`TextConfig::is_padded`](crate::config::TextConfig::is_padded)), so that a text's embedding
    /// does not depend on the other texts of the call beyond the round-off of the matrix products.
    /// Texts longer than the context are cut as the reference does; see
    /// [`TextTokenizer::tokenize`] to find out beforehand.
    ///
    /// # Errors
    ///
    /// Those of [`TextTokenizer::tokenize`].
    pub fn embed_texts<S: AsRef<str>>(&self, texts: &[S]) -> Result<TextEmbeddings> {
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let tokens: Vec<Tokens> =
            texts.par_iter().map(|text| self.tokenizer.tokenize(text)).collect::<Result<_>>()?;
        let mut rows: Vec<(usize, Tokens)> = tokens.into_iter().enumerate().collect();
        let batches: Vec<&[(usize, Tokens)]> = if self.text.shares_beginnings() {
            rows.sort_by(|(_, a), (_, b)| a.ids.cmp(&b.ids));
            rows.chunks(SHARING_BATCH).collect()
        } else {
            rows.sort_by_key(|(_, tokens)| tokens.ids.len());
            let alike = rows.chunk_by(|(_, a), (_, b)| a.ids.len() == b.ids.len());
            alike.flat_map(|alike| alike.chunks(TEXT_BATCH)).collect()
        };
        let forward = |batch: &&[(usize, Tokens)]| {
            let ids: Vec<_> = batch.iter().map(|(_, text)| self.tokenizer.padded(text)).collect();
            let output = self.text.forward(&ids);
            [output.embedding, output.state, output.response].map(to_host)
        };
        // On a CPU, small matrices keep one core busy; several batches keep all of them.
        let outputs: Vec<[Vec<f32>; 3]> = if self.device == Device::flex() {
            batches.par_iter().map(forward).collect()
        } else {
            batches.iter().map(forward).collect()
        };
        let (dim, width) = (self.config.embedding_dim, self.config.text.width());
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
    /// [`ModelError::InputShape`] for an input that is not of the model's size, and as of
    /// [`Model::tower`].
    pub fn embed_inputs(&self, inputs: &[Input]) -> Result<Array2<f32>> {
        let tower = self.tower()?;
        let mut embeddings = Array2::zeros((inputs.len(), self.config.embedding_dim));
        let mut first = 0;
        // Long sounds may have more channels than short ones; a batch has one shape.
        for alike in inputs.chunk_by(|a, b| a.shape == b.shape) {
            let [channels, height, width] = accepted(tower, alike[0].shape)?;
            for batch in alike.chunks(INPUT_BATCH) {
                let values: Vec<f32> = batch.iter().flat_map(|i| &i.values).copied().collect();
                let values = TensorData::new(values, [batch.len(), channels, height, width]);
                let output = tower.embed(Tensor::from_data(values, &self.device));
                copy_rows(&to_host(output), first..first + batch.len(), &mut embeddings);
                first += batch.len();
            }
        }
        Ok(embeddings)
    }
}

/// The shape of inputs, if the tower takes it.
fn accepted(tower: &Tower, shape: [usize; 3]) -> Result<[usize; 3]> {
    if tower.accepts(shape) {
        return Ok(shape);
    }
    let [channels, height, width] = tower.input_shape();
    let expected = format!("[{channels}, {height}, {width}]");
    Err(ModelError::InputShape { found: shape.to_vec(), expected })
}

fn copy_rows(values: &[f32], rows: impl Iterator<Item = usize>, to: &mut Array2<f32>) {
    let width = to.ncols();
    for (row, values) in rows.zip(values.chunks_exact(width)) {
        to.row_mut(row).iter_mut().zip(values).for_each(|(to, from)| *to = *from);
    }
}
