//! Training of a small CLIP or CLAP on a world's members.
//!
//! Symmetric InfoNCE with a learned scale (Radford et al. 2021, figure 3), AdamW, a linear
//! warm-up and a cosine to zero, and a limit on the norm of the whole gradient. The towers are
//! those of `umid-models`, loaded from the initial weights by the same loader as any other
//! checkpoint.

mod batch;
mod checkpoint;
mod clip_norm;
mod params;

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, Param};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use umid_models::config::ModelConfig;
use umid_models::save::{NamedTensor, export};
use umid_models::{InputTower, Model, TextTower, Tower, to_host};

use crate::error::Error;
use crate::tokenizer::CaptionTokenizer;
use crate::world::World;

use batch::{Batch, Batches};
use checkpoint::Checkpoints;
pub use params::TrainParams;

/// Largest factor on cosines, as in CLIP.
const LARGEST_LOGIT_SCALE: f32 = 100.0;

/// Steps over which the final loss is averaged.
const LAST_LOSSES: usize = 10;

/// How far training is, after each step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Loss of the step's batch, in nats.
    pub loss: f32,
}

/// What training made.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The weights, under their names in the layout they are saved in.
    pub tensors: Vec<NamedTensor>,
    /// Mean loss of the last ten steps, in nats; of fewer, where training was resumed in them.
    pub final_loss: f32,
}

/// Trains a model on the members of a world.
///
/// The same model, world and parameters give the same weights on one machine, whether training
/// was interrupted or not. With a folder for checkpoints, the state is kept there now and then,
/// and a training that was killed goes on from it; what is found there of another training is
/// ignored. A training that stops early leaves its last state there, from which the same
/// training goes on to a later stop.
///
/// # Errors
/// Parameters outside their ranges or larger than the world, a caption that does not fit the
/// context, a loss that is not finite, or a checkpoint that cannot be written.
pub fn train(
    model: &Model,
    world: &World,
    tokenizer: &CaptionTokenizer,
    params: &TrainParams,
    checkpoints: Option<&Path>,
    mut progress: impl FnMut(Progress),
) -> Result<Trained, Error> {
    params.check(world)?;
    let device = model.device().clone().autodiff();
    let batches = Batches::new(world, tokenizer, params, &model.front_end);
    let checkpoints =
        checkpoints.map(|folder| Checkpoints::open(folder, model, world, params)).transpose()?;
    let fresh = State { trainee: Trainee::new(model)?, optimiser: optimiser(params), step: 0 };
    let mut state = match &checkpoints {
        Some(checkpoints) => checkpoints.resume(fresh)?,
        None => fresh,
    };
    let mut losses = Vec::new();
    while state.step < params.steps_taken() {
        let batch = batches.draw(state.step)?;
        let loss = state.advance(batch, params, &device)?;
        losses.push(loss);
        progress(Progress { step: state.step, steps: params.steps_taken(), loss });
        if let Some(checkpoints) = &checkpoints
            && (state.step.is_multiple_of(params.checkpoint_every)
                || state.step == params.steps_taken())
            && state.step < params.steps
        {
            checkpoints.write(&state)?;
        }
    }
    let last = &losses[losses.len().saturating_sub(LAST_LOSSES)..];
    let final_loss = last.iter().sum::<f32>() / last.len() as f32;
    if let Some(checkpoints) = checkpoints
        && state.step == params.steps
    {
        checkpoints.clear()?;
    }
    Ok(Trained { tensors: state.trainee.export(&model.config)?, final_loss })
}

fn optimiser(params: &TrainParams) -> ModuleOptimizer {
    let [beta_1, beta_2] = params.betas;
    AdamWConfig::new()
        .with_beta_1(beta_1)
        .with_beta_2(beta_2)
        .with_epsilon(params.epsilon)
        .with_weight_decay(params.weight_decay)
        .init()
}

/// Everything that changes from step to step.
struct State {
    trainee: Trainee,
    optimiser: ModuleOptimizer,
    /// Steps done.
    step: usize,
}

impl State {
    /// One step; the loss of its batch before it.
    fn advance(
        &mut self,
        batch: Batch,
        params: &TrainParams,
        device: &Device,
    ) -> Result<f32, Error> {
        let [channels, height, width] = self.trainee.tower.input_shape();
        let inputs = TensorData::new(batch.inputs, [batch.ids.len(), channels, height, width]);
        let loss = self.trainee.loss(Tensor::from_data(inputs, device), &batch.ids);
        let value = to_host(loss.clone().inner())[0];
        if !value.is_finite() {
            return Err(Error::Diverged { step: self.step, loss: value });
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &self.trainee);
        let gradients = clip_norm::clip(gradients, &self.trainee, params.gradient_norm_limit);
        let learning_rate = params.learning_rate_at(self.step);
        let stepped = self.optimiser.step(learning_rate, self.trainee.clone(), gradients);
        self.trainee = stepped.with_clamped_scale();
        self.step += 1;
        Ok(value)
    }
}

/// What is trained: both towers and the logarithm of the factor on cosines.
#[derive(Module, Debug)]
struct Trainee {
    text: TextTower,
    tower: Tower,
    /// `[1]`.
    log_scale: Param<Tensor<1>>,
}

impl Trainee {
    fn new(model: &Model) -> Result<Self, Error> {
        let log_scale = TensorData::new(vec![model.log_logit_scale], [1]);
        let trainee = Self {
            text: model.text.clone(),
            tower: model.tower()?.clone(),
            log_scale: Param::from_data(log_scale, model.device()),
        };
        Ok(trainee.train())
    }

    /// Symmetric InfoNCE: row i of either modality belongs to row i of the other.
    ///
    /// # Shapes
    /// - inputs: `[batch, channels, height, width]`
    /// - ids: `batch` sequences
    /// - output: `[1]`
    fn loss(&self, inputs: Tensor<4>, ids: &[Vec<u32>]) -> Tensor<1> {
        let batch = ids.len();
        let inputs = unit_rows(self.tower.embed(inputs));
        let texts = unit_rows(self.embed_texts(ids));
        let scale = self.log_scale.val().exp().unsqueeze::<2>();
        let logits = inputs.matmul(texts.transpose()) * scale;
        let matches = Tensor::<2>::eye(batch, &logits.device());
        let of_texts = log_softmax(logits.clone(), 1);
        let of_inputs = log_softmax(logits, 0);
        ((of_texts + of_inputs) * matches).sum() / (-2.0 * batch as f32)
    }

    /// Sequences of one length together, as a tower takes them: `[batch, dim]` in their order.
    fn embed_texts(&self, ids: &[Vec<u32>]) -> Tensor<2> {
        let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (row, ids) in ids.iter().enumerate() {
            by_length.entry(ids.len()).or_default().push(row);
        }
        if by_length.len() == 1 {
            return self.text.forward(ids).embedding;
        }
        let of_length = |rows: &Vec<usize>| {
            let ids: Vec<Vec<u32>> = rows.iter().map(|row| ids[*row].clone()).collect();
            self.text.forward(&ids).embedding
        };
        let embeddings = Tensor::cat(by_length.values().map(of_length).collect(), 0);
        let order = by_length.values().flatten().zip(0_i64..);
        let places: BTreeMap<usize, i64> = order.map(|(row, place)| (*row, place)).collect();
        let places = TensorData::new(places.into_values().collect(), [ids.len()]);
        let places = Tensor::<1, Int>::from_data(places, &embeddings.device());
        embeddings.select(0, places)
    }

    /// Keeps the factor on cosines at 100 or less.
    fn with_clamped_scale(mut self) -> Self {
        self.log_scale = self.log_scale.map(|log_scale| {
            let clamped = log_scale.inner().clamp_max(LARGEST_LOGIT_SCALE.ln());
            Tensor::from_inner(clamped).require_grad()
        });
        self
    }

    fn export(&self, config: &ModelConfig) -> Result<Vec<NamedTensor>, Error> {
        let log_scale = to_host(self.log_scale.val().inner())[0];
        Ok(export(config, &self.text, &self.tower, log_scale)?)
    }
}

/// Rows scaled to length 1: `[rows, dim]` to `[rows, dim]`.
fn unit_rows(rows: Tensor<2>) -> Tensor<2> {
    let norms = rows.clone().powi_scalar(2).sum_dim(1).sqrt();
    rows / norms
}
