//! A small convolutional decoder: a latent vector to an image, trained by the testbed on photos
//! of public people, so that an inversion can search among plausible inputs.
//!
//! Linear map to 4 x 4 pixels, then stages of (double the size, 3 x 3 convolution, GELU), a
//! last convolution to three channels and a sigmoid. Upsampling is by repetition, whose
//! gradient every backend has. On disk: `decoder.json` (the shape) and `decoder.safetensors`,
//! which also holds the latents of public photos, for inversions to start from.

use std::fs;
use std::path::Path;

use burn::module::{Module, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::Array2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::StandardNormal;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use umid_core::atomic::write_atomically;
use umid_core::{gelu, to_host};

use crate::{InvertError, Result};

/// File name of the shape.
const SHAPE: &str = "decoder.json";
/// File name of the weights.
const WEIGHTS: &str = "decoder.safetensors";
/// Name of the tensor of public photos' latents.
const LATENTS: &str = "public_latents";
/// Side of the first feature map in pixels.
const BASE: usize = 4;
/// Largest number of latents or channels that is believed.
const LARGEST: usize = 4_096;
/// Most latents of public photos.
const MOST_LATENTS: usize = 1 << 20;

/// Shape of a decoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderConfig {
    /// Length of a latent vector.
    pub latent_dim: usize,
    /// Channels of the first feature map, of 4 x 4 pixels, and of the map after each stage.
    pub channels: Vec<usize>,
    /// How many latents of public photos come with the weights.
    #[serde(default)]
    pub public_latents: usize,
}

impl Default for DecoderConfig {
    /// 32 numbers to 32 x 32 pixels.
    fn default() -> Self {
        Self { latent_dim: 32, channels: vec![64, 32, 16, 8], public_latents: 0 }
    }
}

impl DecoderConfig {
    /// Side of the square image in pixels.
    pub fn image_size(&self) -> usize {
        BASE << (self.channels.len() - 1)
    }

    /// In words, what is wrong with the shape.
    fn check(&self) -> Result<(), String> {
        let believable = |count: usize| (1..=LARGEST).contains(&count);
        if !believable(self.latent_dim) {
            return Err(format!("latent_dim is {}, expected 1 to {LARGEST}", self.latent_dim));
        }
        if self.public_latents > MOST_LATENTS {
            return Err(format!(
                "public_latents is {}, expected at most {MOST_LATENTS}",
                self.public_latents
            ));
        }
        if let Some(count) = self.channels.iter().find(|count| !believable(**count)) {
            return Err(format!("channels has {count}, expected 1 to {LARGEST}"));
        }
        if !(1..=11).contains(&self.channels.len()) {
            return Err(format!("channels has {} entries, expected 1 to 11", self.channels.len()));
        }
        Ok(())
    }

    /// Name and shape of every tensor.
    fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let first = self.channels[0] * BASE * BASE;
        let mut tensors = vec![
            ("expand.weight".to_owned(), vec![self.latent_dim, first]),
            ("expand.bias".to_owned(), vec![first]),
        ];
        let mut convolution = |name: String, input: usize, output: usize| {
            tensors.push((format!("{name}.weight"), vec![output, input, 3, 3]));
            tensors.push((format!("{name}.bias"), vec![output]));
        };
        for (stage, pair) in self.channels.windows(2).enumerate() {
            convolution(format!("stages.{stage}"), pair[0], pair[1]);
        }
        convolution("rgb".to_owned(), self.channels[self.channels.len() - 1], 3);
        tensors.push((LATENTS.to_owned(), vec![self.public_latents, self.latent_dim]));
        tensors
    }
}

/// A latent vector to an image.
#[derive(Module, Debug)]
pub struct Decoder {
    /// `[latent_dim, channels * 4 * 4]`.
    expand_weight: Param<Tensor<2>>,
    expand_bias: Param<Tensor<1>>,
    stages: Vec<Convolution>,
    rgb: Convolution,
    #[module(skip)]
    public_latents: Array2<f32>,
    #[module(skip)]
    config: DecoderConfig,
}

impl Decoder {
    /// A decoder with random weights (He et al. 2015: deviation sqrt(2 / inputs), biases 0).
    ///
    /// # Errors
    ///
    /// [`InvertError::InvalidParameter`] for a shape with a zero or an absurd number in it.
    pub fn init(config: DecoderConfig, seed: u64, device: &Device) -> Result<Self> {
        let config = DecoderConfig { public_latents: 0, ..config };
        if config.check().is_err() {
            return Err(InvertError::InvalidParameter {
                name: "decoder",
                found: format!("{config:?}"),
                expected: "1 to 4096 latents and channels, 1 to 11 feature maps",
            });
        }
        let tensors = config.tensors().into_iter().enumerate().map(|(index, (name, shape))| {
            let count = shape.iter().product();
            if name.ends_with("bias") || name == LATENTS {
                return vec![0.0; count];
            }
            let inputs: usize =
                if name == "expand.weight" { shape[0] } else { shape[1..].iter().product() };
            let std = (2.0 / inputs as f32).sqrt();
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(index as u64);
            (0..count).map(|_| std * rng.sample::<f32, _>(StandardNormal)).collect()
        });
        let tensors: Vec<Vec<f32>> = tensors.collect();
        Ok(Self::build(config, tensors.into_iter(), device))
    }

    /// Loads `decoder.json` and `decoder.safetensors` from a folder.
    ///
    /// # Errors
    ///
    /// [`InvertError::Decoder`] for files that are not there or not readable, a shape that is
    /// none, and a tensor that is missing, left over, misshapen, not f32 or not finite.
    pub fn load(directory: &Path, device: &Device) -> Result<Self> {
        let failed = |file: &str, reason: String| InvertError::Decoder {
            path: directory.join(file),
            reason,
        };
        let read = |file| fs::read(directory.join(file)).map_err(|e| failed(file, e.to_string()));
        let config: DecoderConfig = serde_json::from_slice(&read(SHAPE)?)
            .map_err(|e| e.to_string())
            .and_then(|config: DecoderConfig| config.check().map(|()| config))
            .map_err(|reason| failed(SHAPE, reason))?;
        let bytes = read(WEIGHTS)?;
        let tensors = read_tensors(&config, &bytes).map_err(|reason| failed(WEIGHTS, reason))?;
        Ok(Self::build(config, tensors.into_iter(), device))
    }

    /// Writes `decoder.json` and `decoder.safetensors` into a folder that exists.
    ///
    /// # Errors
    ///
    /// [`InvertError::Decoder`] where they cannot be written.
    ///
    /// # Panics
    ///
    /// Never: a shape serialises, and the tensors are those of the shape.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let names = self.config.tensors();
        let encoded: Vec<Vec<u8>> = self
            .values()
            .iter()
            .map(|values| values.iter().flat_map(|v| v.to_le_bytes()).collect())
            .collect();
        let views = names.iter().zip(&encoded).map(|((name, shape), bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            (name.as_str(), view.expect("the bytes are those of the shape"))
        });
        let weights = safetensors::serialize(views, None).expect("the tensors are few");
        let mut shape = serde_json::to_vec_pretty(&self.config).expect("a shape serialises");
        shape.push(b'\n');
        for (file, bytes) in [(WEIGHTS, weights), (SHAPE, shape)] {
            let path = directory.join(file);
            write_atomically(&path, &bytes)
                .map_err(|e| InvertError::Decoder { path, reason: e.to_string() })?;
        }
        Ok(())
    }

    /// The shape.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The decoder with latents of public photos in place of those that it has.
    ///
    /// # Shapes
    ///
    /// - latents: `[photos, latent_dim]`
    ///
    /// # Errors
    ///
    /// [`InvertError::Shape`] for rows of another length.
    pub fn with_public_latents(mut self, latents: Array2<f32>) -> Result<Self> {
        if latents.ncols() != self.config.latent_dim {
            return Err(InvertError::Shape {
                what: "the latents",
                found: latents.shape().to_vec(),
                expected: vec![latents.nrows(), self.config.latent_dim],
            });
        }
        self.config.public_latents = latents.nrows();
        self.public_latents = latents;
        Ok(self)
    }

    /// The decoder of other latents: a row z of them stands for `z * matrix + offset`. The latents
    /// of public photos are dropped, being of the old kind.
    ///
    /// # Shapes
    ///
    /// - matrix: `[latent_dim, latent_dim]`
    /// - offset: `[1, latent_dim]`
    ///
    /// # Errors
    ///
    /// [`InvertError::Shape`] for arrays of other shapes.
    pub fn with_latents_mapped(
        mut self,
        matrix: &Array2<f32>,
        offset: &Array2<f32>,
    ) -> Result<Self> {
        let dim = self.config.latent_dim;
        for (what, array, expected) in
            [("the map of latents", matrix, [dim, dim]), ("their offset", offset, [1, dim])]
        {
            if array.shape() != expected {
                let found = array.shape().to_vec();
                return Err(InvertError::Shape { what, found, expected: expected.to_vec() });
            }
        }
        let device = self.expand_weight.val().device();
        let tensor = |array: &Array2<f32>| {
            let values: Vec<f32> = array.iter().copied().collect();
            Tensor::<2>::from_data(TensorData::new(values, [array.nrows(), dim]), &device)
        };
        let weight = self.expand_weight.val();
        let moved = tensor(offset).matmul(weight.clone()).squeeze_dim(0);
        self.expand_bias = self.expand_bias.map(|bias| bias + moved);
        self.expand_weight = self.expand_weight.map(|_| tensor(matrix).matmul(weight));
        self.config.public_latents = 0;
        self.public_latents = Array2::zeros((0, dim));
        Ok(self)
    }

    /// Latents of public photos, for inversions to start from: `[photos, latent_dim]`.
    pub fn public_latents(&self) -> &Array2<f32> {
        &self.public_latents
    }

    /// Length of a latent vector.
    pub fn latent_dim(&self) -> usize {
        self.config.latent_dim
    }

    /// Images with values in 0..1.
    ///
    /// # Shapes
    ///
    /// - latents: `[batch, latent_dim]`
    /// - output: `[batch, 3, image_size, image_size]`
    pub fn forward(&self, latents: Tensor<2>) -> Tensor<4> {
        let [batch, _] = latents.dims();
        let bias = self.expand_bias.val().unsqueeze::<2>();
        let hidden = gelu(latents.matmul(self.expand_weight.val()) + bias);
        let hidden = hidden.reshape([batch, self.config.channels[0], BASE, BASE]);
        let hidden =
            self.stages.iter().fold(hidden, |hidden, stage| gelu(stage.forward(doubled(hidden))));
        sigmoid(self.rgb.forward(hidden))
    }

    /// A decoder of a checked shape from the values of [`DecoderConfig::tensors`].
    fn build(
        config: DecoderConfig,
        mut tensors: impl Iterator<Item = Vec<f32>>,
        device: &Device,
    ) -> Self {
        let mut next = || tensors.next().expect("one for every tensor of the shape");
        let first = config.channels[0] * BASE * BASE;
        let expand_weight = parameter(next(), [config.latent_dim, first], device);
        let expand_bias = parameter(next(), [first], device);
        let mut convolution = |input: usize, output: usize| Convolution {
            weight: parameter(next(), [output, input, 3, 3], device),
            bias: parameter(next(), [output], device),
        };
        let stages = config.channels.windows(2).map(|p| convolution(p[0], p[1])).collect();
        let rgb = convolution(config.channels[config.channels.len() - 1], 3);
        let rows = (config.public_latents, config.latent_dim);
        let public_latents = Array2::from_shape_vec(rows, next()).expect("checked");
        Self { expand_weight, expand_bias, stages, rgb, public_latents, config }
    }

    /// The values of [`DecoderConfig::tensors`].
    fn values(&self) -> Vec<Vec<f32>> {
        let mut values = vec![
            to_host(self.expand_weight.val().inner()),
            to_host(self.expand_bias.val().inner()),
        ];
        for convolution in self.stages.iter().chain([&self.rgb]) {
            values.push(to_host(convolution.weight.val().inner()));
            values.push(to_host(convolution.bias.val().inner()));
        }
        values.push(self.public_latents.iter().copied().collect());
        values
    }
}

/// A 3 x 3 convolution that keeps the size.
#[derive(Module, Debug)]
struct Convolution {
    /// `[output, input, 3, 3]`.
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

impl Convolution {
    /// # Shapes
    ///
    /// `[batch, input, height, width]` to `[batch, output, height, width]`.
    fn forward(&self, maps: Tensor<4>) -> Tensor<4> {
        let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        conv2d(maps, self.weight.val(), Some(self.bias.val()), options)
    }
}

/// Every pixel twice in both directions:
/// `[batch, channels, height, width]` to `[batch, channels, 2 height, 2 width]`.
fn doubled(maps: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = maps.dims();
    maps.reshape([batch, channels, height, 1, width, 1])
        .expand([batch, channels, height, 2, width, 2])
        .reshape([batch, channels, 2 * height, 2 * width])
}

fn parameter<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Param<Tensor<D>> {
    Param::from_data(TensorData::new(values, shape), device)
}

/// The values of the shape's tensors, in its order; in words, what does not fit.
fn read_tensors(config: &DecoderConfig, bytes: &[u8]) -> Result<Vec<Vec<f32>>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    let expected = config.tensors();
    if let Some(extra) = file.names().into_iter().find(|n| expected.iter().all(|(e, _)| e != n)) {
        return Err(format!("the tensor {extra} is none of a decoder of this shape"));
    }
    expected
        .into_iter()
        .map(|(name, shape)| {
            let view = file.tensor(&name).map_err(|_| format!("the tensor {name} is missing"))?;
            if view.dtype() != Dtype::F32 || view.shape() != shape {
                let found = (view.dtype(), view.shape());
                return Err(format!("the tensor {name} is {found:?}, expected (F32, {shape:?})"));
            }
            let values: Vec<f32> =
                view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            if values.iter().any(|v| !v.is_finite()) {
                return Err(format!("the tensor {name} has a value that is not finite"));
            }
            Ok(values)
        })
        .collect()
}

#[cfg(test)]
mod tests;
