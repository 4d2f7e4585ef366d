//! An audio tower with its way to the joint space.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::FUSED_CHANNELS;
use super::cnn14::Cnn14;
use super::htsat::Htsat;
use crate::Result;
use crate::config::{AudioConfig, ProjectionConfig};
use crate::frozen::Blocks;
use crate::projection::Projection;
use crate::save::Export;
use crate::weights::Weights;

/// Log-mels to an embedding.
#[derive(Module, Debug)]
pub struct AudioTower {
    encoder: Encoder,
    projection: Projection,
    frames: usize,
    bins: usize,
    fuses_short: bool,
}

#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has one of them")]
enum Encoder {
    Htsat(Htsat),
    Cnn14(Cnn14),
}

impl AudioTower {
    pub(crate) fn load(
        weights: &Weights,
        config: &AudioConfig,
        projection: ProjectionConfig,
        frames: usize,
        blocks: Blocks,
        device: &Device,
    ) -> Result<Self> {
        let encoder = match config {
            AudioConfig::Htsat(config) => {
                Encoder::Htsat(Htsat::load(weights, config, frames, blocks, device)?)
            }
            // Convolutions, for which there are no kernels.
            AudioConfig::Cnn14(config) => Encoder::Cnn14(Cnn14::load(weights, config, device)?),
        };
        let width = config.output_width();
        Ok(Self {
            encoder,
            projection: Projection::load(weights, "audio_projection", width, projection, device)?,
            frames,
            bins: config.mel_bins(),
            fuses_short: config.fuses_short(),
        })
    }

    /// `[1, frames, mel_bins]`.
    pub fn input_shape(&self) -> [usize; 3] {
        [1, self.frames, self.bins]
    }

    /// Embeds log-mels; the result is not normalised.
    ///
    /// One channel is a clip that the model reads whole. transformers fuses such a clip with
    /// three copies of itself where it is given alone; so does this, in that layout.
    ///
    /// # Shapes
    ///
    /// - log_mels: `[batch, 1, frames, mel_bins]`, or four channels, the whole and three pieces,
    ///   for a long clip of a model that fuses
    /// - output: `[batch, embedding_dim]`
    pub fn forward(&self, log_mels: Tensor<4>) -> Tensor<2> {
        let log_mels = if self.fuses_short && log_mels.dims()[1] == 1 {
            log_mels.repeat_dim(1, FUSED_CHANNELS)
        } else {
            log_mels
        };
        self.projection.forward(match &self.encoder {
            Encoder::Htsat(tower) => tower.forward(log_mels),
            Encoder::Cnn14(tower) => tower.forward(log_mels),
        })
    }

    /// Which stages the kernels have.
    pub(crate) fn frozen_stages(&self) -> Vec<bool> {
        match &self.encoder {
            Encoder::Htsat(tower) => tower.frozen_stages(),
            Encoder::Cnn14(_) => Vec::new(),
        }
    }

    pub(crate) fn is_cnn14(&self) -> bool {
        matches!(self.encoder, Encoder::Cnn14(_))
    }

    pub(crate) fn export(&self, out: &mut Export) {
        match &self.encoder {
            Encoder::Htsat(tower) => tower.export(out),
            Encoder::Cnn14(tower) => tower.export(out),
        }
        self.projection.export(out, "audio_projection");
    }

    /// The norm over mel bins that the tower begins with: mean and deviation in decibels,
    /// `[mel_bins]` each.
    pub(crate) fn mel_statistics(&self) -> (Vec<f32>, Vec<f32>) {
        match &self.encoder {
            Encoder::Htsat(tower) => tower.mel_norm().statistics(),
            Encoder::Cnn14(tower) => tower.mel_norm().statistics(),
        }
    }
}
