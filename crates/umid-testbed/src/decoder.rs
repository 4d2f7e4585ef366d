//! Training of a decoder of public photos: a variational autoencoder (Kingma and Welling 2014)
//! whose encoder is thrown away.
//!
//! Afterwards the latents are whitened: over public photos they have mean 0 and covariance 1, so
//! that random starts from N(0, 1) mean something. Photos are those of the bank, one a person: nobody who is a member or a non-member is among
//! them. The encoder's latents of those photos are kept with the decoder, as starts.

use burn::module::{Module, Param};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, s};
use serde::{Deserialize, Serialize};
use umid_invert::{Decoder, DecoderConfig};
use umid_models::to_host;

use crate::error::Error;
use crate::init::key;
use crate::schedule::cosine_after_warmup;
use crate::stream::{Purpose, Stream};
use crate::train::Progress;
use crate::whitening::Whitening;
use crate::world::World;

/// Width of the encoder's hidden layer.
const HIDDEN: usize = 256;
/// Photos on which the error is measured, behind those of the training.
const HELD_OUT: usize = 256;
/// Photos that go through a network together when nothing is learned.
const BATCH: usize = 64;

/// How a decoder is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecoderParams {
    /// Photos of the bank to train on. At least `batch`, and 256 fewer than the bank holds.
    pub photos: usize,
    /// Optimiser steps. At least 1.
    pub steps: usize,
    /// Photos in a batch. At least 1.
    pub batch: usize,
    /// Learning rate at its peak, over 0; it falls along a cosine.
    pub learning_rate: f64,
    /// Deviation of a pixel in 0..1 that counts as noise, over 0: smaller ones trade closeness
    /// to the prior for sharper images.
    pub pixel_deviation: f64,
    /// Latents of public photos to keep, at most `photos`.
    pub kept_latents: usize,
    /// Weights, batches and noise follow from this.
    pub seed: u64,
}

impl Default for DecoderParams {
    fn default() -> Self {
        Self {
            photos: 8_000,
            steps: 2_000,
            batch: 64,
            learning_rate: 2e-3,
            pixel_deviation: 0.08,
            kept_latents: 2_000,
            seed: 1,
        }
    }
}

impl DecoderParams {
    /// Checks the ranges against what the bank holds.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a count, [`Error::InvalidRate`] for any other number.
    pub fn check(&self, bank: usize) -> Result<(), Error> {
        let photos = self.batch..=bank.saturating_sub(HELD_OUT);
        for (parameter, found, valid, expected) in [
            ("batch", self.batch, self.batch >= 1, "at least 1"),
            (
                "photos",
                self.photos,
                photos.contains(&self.photos),
                "at least a batch and 256 fewer than the bank holds",
            ),
            ("steps", self.steps, self.steps >= 1, "at least 1"),
            (
                "kept_latents",
                self.kept_latents,
                self.kept_latents <= self.photos,
                "at most the number of photos",
            ),
        ] {
            if !valid {
                return Err(Error::InvalidParameter { parameter, found, expected });
            }
        }
        for (parameter, found) in
            [("learning_rate", self.learning_rate), ("pixel_deviation", self.pixel_deviation)]
        {
            if !(found > 0.0 && found.is_finite()) {
                return Err(Error::InvalidRate { parameter, found, expected: "over 0" });
            }
        }
        Ok(())
    }
}

/// A trained decoder, and how close it comes.
#[derive(Debug)]
pub struct TrainedDecoder {
    /// The decoder, on the device that was given.
    pub decoder: Decoder,
    /// Root mean square error of a pixel in 0..1, on photos it was not trained on.
    pub held_out_error: f64,
    /// The same for the mean photo: what knowing nothing gives.
    pub mean_photo_error: f64,
}

/// Trains a decoder on the bank of a world.
///
/// The same world and parameters give the same weights on one machine.
///
/// # Errors
/// Parameters outside their ranges, or a loss that is not finite.
pub fn train_decoder(
    world: &World,
    params: &DecoderParams,
    device: &Device,
    mut progress: impl FnMut(Progress),
) -> Result<TrainedDecoder, Error> {
    params.check(world.params().bank)?;
    let side = world.params().image_size.side();
    let config = config_of(side)?;
    let photos = Photos::render(world, params.photos + HELD_OUT)?;
    let tracked = device.clone().autodiff();
    let mut pair = Pair {
        encoder: Encoder::new(&config, photos.mean.clone(), params.seed, device),
        decoder: Decoder::init(config, params.seed, device)?,
    }
    .train();
    let mut optimiser = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.0).init();
    for step in 0..params.steps {
        let mut stream = Stream::new(params.seed, Purpose::DecoderBatch, step as u64, 0);
        let rows: Vec<usize> = (0..params.batch).map(|_| stream.below(params.photos)).collect();
        let noise: Vec<f32> =
            (0..params.batch * pair.decoder.latent_dim()).map(|_| stream.bell()).collect();
        let noise = TensorData::new(noise, [params.batch, pair.decoder.latent_dim()]);
        // The prior comes in over the first fifth: at once, it would silence the latents.
        let prior = (5.0 * step as f64 / params.steps as f64).min(1.0);
        let loss = pair.loss(
            photos.rows(&rows, &tracked),
            Tensor::from_data(noise, &tracked),
            params.pixel_deviation,
            prior,
        );
        let value = to_host(loss.clone().inner())[0];
        if !value.is_finite() {
            return Err(Error::Diverged { step, loss: value });
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &pair);
        let rate = cosine_after_warmup(params.learning_rate, step, params.steps / 20, params.steps);
        pair = optimiser.step(rate, pair, gradients);
        progress(Progress { step: step + 1, steps: params.steps, loss: value });
    }
    pair.valid().finish(&photos, params, device)
}

/// The decoder's shape for photos of this side: a stage for each doubling of 4 pixels.
fn config_of(side: usize) -> Result<DecoderConfig, Error> {
    let channels = match side {
        16 => vec![64, 32, 16],
        32 => vec![64, 32, 16, 8],
        64 => vec![64, 32, 16, 16, 8],
        128 => vec![64, 32, 16, 16, 16, 8],
        _ => {
            return Err(Error::InvalidParameter {
                parameter: "image size",
                found: side,
                expected: "16, 32, 64 or 128 pixels for a decoder",
            });
        }
    };
    Ok(DecoderConfig { channels, ..DecoderConfig::default() })
}

/// What is trained together.
#[derive(Module, Debug)]
struct Pair {
    encoder: Encoder,
    decoder: Decoder,
}

impl Pair {
    /// Minus the evidence lower bound of a photo, up to a constant, in nats.
    ///
    /// # Shapes
    /// - photos: `[batch, 3 * side * side]`
    /// - noise: `[batch, latent_dim]`
    /// - output: `[1]`
    fn loss(
        &self,
        photos: Tensor<2>,
        noise: Tensor<2>,
        pixel_deviation: f64,
        prior: f64,
    ) -> Tensor<1> {
        let [batch, _] = photos.dims();
        let (mean, log_variance) = self.encoder.forward(photos.clone());
        let latents = mean.clone() + (log_variance.clone() * 0.5).exp() * noise;
        let error = (self.decoder.forward(latents).flatten::<2>(1, 3) - photos).powi_scalar(2);
        let divergence = mean.powi_scalar(2) + log_variance.clone().exp() - log_variance - 1.0;
        let precision = 0.5 / (pixel_deviation * pixel_deviation);
        (error.sum() * precision + divergence.sum() * (0.5 * prior)) / batch as f64
    }

    fn finish(
        self,
        photos: &Photos,
        params: &DecoderParams,
        device: &Device,
    ) -> Result<TrainedDecoder, Error> {
        let held_out: Vec<usize> = (params.photos..params.photos + HELD_OUT).collect();
        let (mut squares, mut mean_squares) = (0.0, 0.0);
        for rows in held_out.chunks(BATCH) {
            let batch = photos.rows(rows, device);
            let (latents, _) = self.encoder.forward(batch.clone());
            let sum = |t: Tensor<2>| f64::from(to_host(t.powi_scalar(2).sum())[0]);
            squares += sum(self.decoder.forward(latents).flatten::<2>(1, 3) - batch.clone());
            mean_squares += sum(self.encoder.centred(batch));
        }
        let values = (HELD_OUT * photos.length) as f64;
        let (latents, whitening) = self.whitened(photos, params, device);
        let decoder = self.decoder.with_latents_mapped(&whitening.matrix, &whitening.offset)?;
        Ok(TrainedDecoder {
            decoder: decoder.with_public_latents(latents)?,
            held_out_error: (squares / values).sqrt(),
            mean_photo_error: (mean_squares / values).sqrt(),
        })
    }
}

impl Pair {
    /// White latents of the first photos, and what they stand for.
    fn whitened(
        &self,
        photos: &Photos,
        params: &DecoderParams,
        device: &Device,
    ) -> (Array2<f32>, Whitening) {
        let dim = self.decoder.latent_dim();
        let rows: Vec<usize> = (0..params.photos).collect();
        let (mut means, mut variances) = (Vec::new(), vec![0.0; dim]);
        for rows in rows.chunks(BATCH) {
            let (mean, log_variance) = self.encoder.forward(photos.rows(rows, device));
            means.extend(to_host(mean));
            let batch = to_host(log_variance.exp().sum_dim(0));
            variances.iter_mut().zip(batch).for_each(|(sum, v)| *sum += f64::from(v));
        }
        let variances: Vec<f64> = variances.iter().map(|v| v / params.photos as f64).collect();
        let means = Array2::from_shape_vec((params.photos, dim), means).expect("a row for each");
        let whitening = Whitening::fit(means.view(), &variances);
        let kept = means.slice_move(s![..params.kept_latents, ..]);
        (whitening.apply(kept), whitening)
    }
}

/// Photos to the mean and the logarithm of the variance of their latents, by two linear layers.
#[derive(Module, Debug)]
struct Encoder {
    /// The mean photo, which is not learned: `[1, pixels]`.
    mean: Tensor<2>,
    /// `[pixels, hidden]`.
    hidden: Param<Tensor<2>>,
    hidden_bias: Param<Tensor<1>>,
    /// `[hidden, 2 * latent_dim]`.
    output: Param<Tensor<2>>,
    output_bias: Param<Tensor<1>>,
}

impl Encoder {
    fn new(config: &DecoderConfig, mean: Vec<f32>, seed: u64, device: &Device) -> Self {
        let weights = |name: &str, input: usize, output: usize| {
            let mut stream = Stream::new(seed, Purpose::InitialWeights, key(name), 0);
            let std = (input as f32).powf(-0.5);
            let values: Vec<f32> = (0..input * output).map(|_| std * stream.bell()).collect();
            Param::from_data(TensorData::new(values, [input, output]), device)
        };
        let zeros = |length| Param::from_data(TensorData::new(vec![0.0; length], [length]), device);
        let (pixels, output) = (mean.len(), 2 * config.latent_dim);
        Self {
            mean: Tensor::from_data(TensorData::new(mean, [1, pixels]), device),
            hidden: weights("encoder.hidden", pixels, HIDDEN),
            hidden_bias: zeros(HIDDEN),
            output: weights("encoder.output", HIDDEN, output),
            output_bias: zeros(output),
        }
    }

    /// # Shapes
    /// `[batch, pixels]` to `[batch, latent_dim]` twice.
    fn forward(&self, photos: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let hidden = self.centred(photos).matmul(self.hidden.val());
        let hidden = gelu(hidden + self.hidden_bias.val().unsqueeze());
        let output = hidden.matmul(self.output.val()) + self.output_bias.val().unsqueeze();
        let half = output.dims()[1] / 2;
        (output.clone().narrow(1, 0, half), output.narrow(1, half, half))
    }

    fn centred(&self, photos: Tensor<2>) -> Tensor<2> {
        photos - self.mean.clone()
    }
}

/// Photos of the bank on the host, in 8-bit levels.
struct Photos {
    levels: Vec<u8>,
    /// Numbers in one photo.
    length: usize,
    /// The mean photo, in 0..1.
    mean: Vec<f32>,
}

impl Photos {
    fn render(world: &World, count: usize) -> Result<Self, Error> {
        let side = world.params().image_size.side();
        let length = 3 * side * side;
        let mut levels = Vec::with_capacity(count * length);
        let mut sums = vec![0.0_f64; length];
        for person in 0..count {
            let photo = world.bank_photo(person)?;
            levels.extend(photo.values().iter().map(|value| (value * 255.0).round() as u8));
            sums.iter_mut().zip(photo.values()).for_each(|(sum, v)| *sum += f64::from(*v));
        }
        let mean = sums.into_iter().map(|sum| (sum / count as f64) as f32).collect();
        Ok(Self { levels, length, mean })
    }

    /// `[rows, 3 * side * side]`, in 0..1.
    fn rows(&self, rows: &[usize], device: &Device) -> Tensor<2> {
        let values: Vec<f32> = rows
            .iter()
            .flat_map(|row| &self.levels[row * self.length..(row + 1) * self.length])
            .map(|level| f32::from(*level) / 255.0)
            .collect();
        Tensor::from_data(TensorData::new(values, [rows.len(), self.length]), device)
    }
}
