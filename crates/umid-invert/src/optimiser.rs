//! One step upwards, row by row. Nothing here mixes rows, so a row's path does not depend on
//! the rows beside it.

use burn::tensor::{Int, Tensor};

use crate::params::Optimiser;

/// Decay rates and the guard against division by zero of Adam's paper (Algorithm 1).
const ADAM_BETA1: f64 = 0.9;
const ADAM_BETA2: f64 = 0.999;
const ADAM_EPSILON: f64 = 1e-8;
/// Gradients of a smaller norm count as zero, and the row stays where it is.
const SMALLEST_GRADIENT: f64 = 1e-30;

/// An optimiser with its state for one batch of rows.
#[expect(clippy::large_enum_variant, reason = "one is alive at a time")]
pub(crate) enum Stepper {
    NormalisedGradient {
        /// Length of a step, `[rows, 1]`.
        length: Tensor<2>,
    },
    GradientAscent {
        step: f64,
    },
    Adam {
        learning_rate: f64,
        /// Decaying means of the gradient and of its square, `[rows, dim]`; none before the
        /// first step.
        moments: Option<(Tensor<2>, Tensor<2>)>,
        taken: i32,
    },
}

impl Stepper {
    /// # Shapes
    ///
    /// - starts: `[rows, dim]`
    pub(crate) fn new(optimiser: Optimiser, starts: &Tensor<2>) -> Self {
        match optimiser {
            Optimiser::NormalisedGradient { step } => {
                Self::NormalisedGradient { length: row_norms(starts.clone()) * step }
            }
            Optimiser::GradientAscent { step } => Self::GradientAscent { step },
            Optimiser::Adam { learning_rate } => {
                Self::Adam { learning_rate, moments: None, taken: 0 }
            }
        }
    }

    /// Goes on with some of the rows.
    pub(crate) fn keep(&mut self, rows: &Tensor<1, Int>) {
        let kept = |tensor: &mut Tensor<2>| *tensor = tensor.clone().select(0, rows.clone());
        match self {
            Self::NormalisedGradient { length } => kept(length),
            Self::GradientAscent { .. } => {}
            Self::Adam { moments, .. } => {
                if let Some((mean, variance)) = moments {
                    kept(mean);
                    kept(variance);
                }
            }
        }
    }

    /// # Shapes
    ///
    /// - variables, gradients, output: `[rows, dim]`
    /// - gradient_norms: `[rows, 1]`
    pub(crate) fn step(
        &mut self,
        variables: Tensor<2>,
        gradients: Tensor<2>,
        gradient_norms: Tensor<2>,
    ) -> Tensor<2> {
        match self {
            Self::NormalisedGradient { length } => {
                let scale = length.clone() / gradient_norms.clamp_min(SMALLEST_GRADIENT);
                variables + gradients * scale
            }
            Self::GradientAscent { step } => variables + gradients * *step,
            Self::Adam { learning_rate, moments, taken } => {
                let square = gradients.clone() * gradients.clone();
                let (mean, variance) = match moments.take() {
                    None => (gradients * (1.0 - ADAM_BETA1), square * (1.0 - ADAM_BETA2)),
                    Some((mean, variance)) => (
                        mean * ADAM_BETA1 + gradients * (1.0 - ADAM_BETA1),
                        variance * ADAM_BETA2 + square * (1.0 - ADAM_BETA2),
                    ),
                };
                *taken += 1;
                let unbiased_mean = mean.clone() / (1.0 - ADAM_BETA1.powi(*taken));
                let unbiased_variance = variance.clone() / (1.0 - ADAM_BETA2.powi(*taken));
                *moments = Some((mean, variance));
                variables
                    + unbiased_mean * *learning_rate / (unbiased_variance.sqrt() + ADAM_EPSILON)
            }
        }
    }
}

/// Euclidean norm of each row.
///
/// # Shapes
///
/// `[rows, dim]` to `[rows, 1]`
pub(crate) fn row_norms(rows: Tensor<2>) -> Tensor<2> {
    (rows.clone() * rows).sum_dim(1).sqrt()
}
