//! Arguments that several commands share, and what they stand for.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use umid_invert::{Clamp, InvertParams, Optimiser, Starts};
use umid_models::config::Activation;
use umid_models::{LoadOptions, Model, ModelError, Precision};

/// The model and where it runs.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// Checkpoint: a directory as it was downloaded, a file of weights (.pt, .bin, .safetensors),
    /// or ORG/NAME[@REVISION] of a hub repository in the local cache
    #[arg(long, value_name = "PATH|ORG/NAME")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) opening: OpeningArgs,
}

/// How a model is opened, and where it runs.
#[derive(Debug, Args)]
pub(crate) struct OpeningArgs {
    #[command(flatten)]
    pub(crate) activation: ActivationArgs,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// In which precision the towers compute: f32, bf16, f16, or auto, which is f32, but in an audit
    /// bf16 for texts where processor and text tower allow it. A text tower that does not allow what is
    /// asked for stays f32
    #[arg(long, default_value = "auto", value_name = "NAME")]
    precision: PrecisionChoice,
}

/// One precision for both towers, or for each what the command needs.
#[derive(Debug, Clone, Copy)]
enum PrecisionChoice {
    Auto,
    Given(Precision),
}

impl FromStr for PrecisionChoice {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, ModelError> {
        if name == "auto" { Ok(Self::Auto) } else { name.parse().map(Self::Given) }
    }
}

/// What no file says of weights without a configuration.
#[derive(Debug, Args)]
pub(crate) struct ActivationArgs {
    /// Activation of a model whose weights come without a configuration [default: gelu, and
    /// quick-gelu for OpenAI's archives]
    #[arg(long, value_enum, value_name = "NAME")]
    activation: Option<ActivationName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ActivationName {
    Gelu,
    QuickGelu,
}

impl ActivationArgs {
    pub(crate) fn given(&self) -> Option<Activation> {
        self.activation.map(|name| match name {
            ActivationName::Gelu => Activation::Gelu,
            ActivationName::QuickGelu => Activation::QuickGelu,
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// Where to compute: cpu, wgpu[:index] or cuda[:index]
    #[arg(long, default_value = "cpu", env = umid_models::DEVICE_VARIABLE, value_name = "NAME")]
    pub(crate) device: String,
}

/// What a command needs of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Embeddings and gradients as the reference implementation gives them.
    Exact,
    /// What an audit asks: of texts in bf16 its verdicts differ at the threshold alone.
    Audit,
    /// An audit by text alone.
    AuditOfTexts,
}

impl ModelArgs {
    pub(crate) fn load(&self, purpose: Use) -> anyhow::Result<Model> {
        self.opening.load(&self.model, purpose)
    }
}

impl OpeningArgs {
    pub(crate) fn load(&self, model: &Path, purpose: Use) -> anyhow::Result<Model> {
        let device = umid_models::parse_device(&self.device.device)?;
        let (inputs, texts) = match (self.precision, purpose) {
            (PrecisionChoice::Given(precision), _) => (precision, precision),
            (PrecisionChoice::Auto, Use::Exact) => (Precision::F32, Precision::F32),
            (PrecisionChoice::Auto, Use::Audit | Use::AuditOfTexts) => {
                (Precision::F32, Precision::Bf16)
            }
        };
        let mut options = LoadOptions::on(&device)
            .in_precision(inputs)
            .texts_in(texts)
            .with_activation(self.activation.given());
        if purpose == Use::AuditOfTexts {
            options = options.text_alone();
        }
        Model::load(model, options)
            .with_context(|| format!("cannot load the model {}", model.display()))
    }
}

/// How texts are inverted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Inversion")]
pub(crate) struct InversionArgs {
    /// Random starts per text, at least 2 for an audit, since variability needs several. 0 leaves
    /// out inversions and with them the paper's reading
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub(crate) restarts: usize,
    /// Optimiser steps per start. More is not better: saturated inversions tell nothing
    #[arg(long, default_value_t = 20, value_name = "N")]
    steps: usize,
    /// A start that has reached this cosine takes no more steps
    #[arg(long, value_name = "COSINE")]
    stop_at: Option<f32>,
    /// How a gradient becomes a step
    #[arg(long, value_enum, default_value_t = OptimiserName::NormalisedGradient)]
    optimiser: OptimiserName,
    /// Step size [default: 0.07 of the start's norm for normalised-gradient, 20 for
    /// gradient-ascent, 0.1 for adam]
    #[arg(long, value_name = "X")]
    step: Option<f64>,
    /// Distribution of the starts
    #[arg(long, value_enum, default_value_t = StartsName::Gaussian)]
    starts: StartsName,
    /// Let pixels leave their valid range
    #[arg(long)]
    no_clamp: bool,
    /// Texts times starts that go through the model together [default: as many as --max-memory
    /// has room for, at most 16]
    #[arg(long, value_name = "ROWS")]
    batch: Option<usize>,
    /// Memory for inversions, roughly, besides the model's own
    #[arg(long, default_value = "2GiB", value_name = "SIZE", conflicts_with = "batch")]
    max_memory: ByteSize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OptimiserName {
    NormalisedGradient,
    GradientAscent,
    Adam,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StartsName {
    Gaussian,
    Uniform,
}

impl InversionArgs {
    /// `None` for 0 restarts, and for a model that is open with its text tower alone.
    pub(crate) fn params(&self, seed: u64, model: &Model) -> anyhow::Result<Option<InvertParams>> {
        if self.restarts == 0 || model.without_input().is_some() {
            return Ok(None);
        }
        let batch_rows = match self.batch {
            Some(rows) => rows,
            None => rows_that_fit(self.max_memory, model.bytes_per_input()?)?,
        };
        let optimiser = match self.optimiser {
            OptimiserName::NormalisedGradient => {
                Optimiser::NormalisedGradient { step: self.step.unwrap_or(0.07) }
            }
            OptimiserName::GradientAscent => {
                Optimiser::GradientAscent { step: self.step.unwrap_or(20.0) }
            }
            OptimiserName::Adam => Optimiser::Adam { learning_rate: self.step.unwrap_or(0.1) },
        };
        let params = InvertParams {
            restarts: self.restarts,
            steps: self.steps,
            stop_at: self.stop_at,
            optimiser,
            starts: match self.starts {
                StartsName::Gaussian => Starts::Gaussian,
                StartsName::Uniform => Starts::Uniform,
            },
            clamp: if self.no_clamp { Clamp::Off } else { Clamp::ValidRange },
            seed,
            batch_rows,
        };
        params.check()?;
        Ok(Some(params))
    }
}

/// Rows of a batch that fit a budget. More than the default of [`InvertParams`] are no faster.
fn rows_that_fit(budget: ByteSize, bytes_per_row: u64) -> anyhow::Result<usize> {
    let rows = usize::try_from(budget.as_u64() / bytes_per_row.max(1)).unwrap_or(usize::MAX);
    anyhow::ensure!(
        rows > 0,
        "--max-memory is {budget}; one start alone takes about {} on this model",
        ByteSize(bytes_per_row)
    );
    Ok(rows.min(InvertParams::default().batch_rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_fits_its_budget_and_is_no_larger_than_it_pays() {
        assert_eq!(rows_that_fit(ByteSize::mib(100), 30 << 20).unwrap(), 3);
        assert_eq!(rows_that_fit(ByteSize::gib(100), 30 << 20).unwrap(), 16);
        let error = rows_that_fit(ByteSize::mib(20), 30 << 20).unwrap_err().to_string();
        assert!(error.contains("20.0 MiB") && error.contains("30.0 MiB"), "{error}");
    }
}
