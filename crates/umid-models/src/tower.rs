//! Input towers: what an inversion differentiates through.

use burn::module::Module;
use burn::tensor::{FloatDType, Tensor};

use crate::audio::AudioTower;
use crate::image::ImageTower;

/// An input tower.
pub trait InputTower {
    /// `[channels, height, width]` of one input; of sound `[1, frames, mel_bins]`.
    fn input_shape(&self) -> [usize; 3];

    /// Embeds a batch of inputs; the result is not normalised.
    ///
    /// # Shapes
    ///
    /// - inputs: `[batch, channels, height, width]`
    /// - output: `[batch, embedding_dim]`
    fn embed(&self, inputs: Tensor<4>) -> Tensor<2>;
}

/// The input tower of a model.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has one of them")]
pub enum Tower {
    /// CLIP's.
    Image(ImageTower),
    /// CLAP's.
    Audio(AudioTower),
}

impl Tower {
    /// Whether the kernels have a part of it.
    pub(crate) fn is_frozen(&self) -> bool {
        match self {
            Self::Image(tower) => tower.encoder.is_frozen(),
            Self::Audio(tower) => tower.frozen_stages().contains(&true),
        }
    }
}

impl InputTower for Tower {
    fn input_shape(&self) -> [usize; 3] {
        match self {
            Self::Image(tower) => [3, tower.image_size(), tower.image_size()],
            Self::Audio(tower) => tower.input_shape(),
        }
    }

    fn embed(&self, inputs: Tensor<4>) -> Tensor<2> {
        let embeddings = match self {
            Self::Image(tower) => tower.forward(inputs),
            Self::Audio(tower) => tower.forward(inputs),
        };
        embeddings.cast(FloatDType::F32)
    }
}
