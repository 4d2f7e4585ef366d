//! What determines an inversion besides the model and the text.

use serde::{Deserialize, Serialize};

use crate::{InvertError, Result};

/// Parameters of an inversion. The defaults are the settings that a search on procedural
/// targets found best (`docs/method.md`): few, large, normalised steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InvertParams {
    /// Random starts of each text.
    pub restarts: usize,
    /// Optimiser steps of each start, at most.
    pub steps: usize,
    /// A start that has reached this cosine takes no more steps, and leaves its batch. None: every
    /// start takes all steps. On a GPU it costs a round trip to the host at every step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_at: Option<f32>,
    /// How the gradient becomes a step.
    pub optimiser: Optimiser,
    /// Where the starts come from.
    pub starts: Starts,
    /// Whether the variable is kept in its valid range.
    pub clamp: Clamp,
    /// Seed of the starts.
    pub seed: u64,
    /// Rows (text, start) that go through the tower together. It bounds memory; results
    /// depend on it only through the round-off of the matrix products. On a CPU, more than the
    /// default gain little or nothing (`docs/speed.md`).
    pub batch_rows: usize,
}

impl Default for InvertParams {
    fn default() -> Self {
        Self {
            restarts: 4,
            steps: 20,
            stop_at: None,
            optimiser: Optimiser::NormalisedGradient { step: 0.07 },
            starts: Starts::Gaussian,
            clamp: Clamp::ValidRange,
            seed: 0,
            batch_rows: 16,
        }
    }
}

/// How the gradient g of the cosine with respect to the variable x becomes a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimiser {
    /// x + step · |x0| · g / |g|, with the norms taken over the whole row: the length of a
    /// step is a fixed fraction of the start's norm.
    NormalisedGradient {
        /// Fraction of the start's norm.
        step: f64,
    },
    /// x + step · g.
    GradientAscent {
        /// Step size.
        step: f64,
    },
    /// Adam (Kingma and Ba 2015) with its published decay rates, upwards.
    Adam {
        /// Learning rate.
        learning_rate: f64,
    },
}

impl std::fmt::Display for Optimiser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NormalisedGradient { step } => write!(f, "normalised-gradient({step})"),
            Self::GradientAscent { step } => write!(f, "gradient-ascent({step})"),
            Self::Adam { learning_rate } => write!(f, "adam({learning_rate})"),
        }
    }
}

/// Distribution of the random starts. Given starts are an argument of the inversion itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Starts {
    /// Standard normal in the space's own units.
    Gaussian,
    /// Uniform over the space's valid range.
    Uniform,
}

impl std::fmt::Display for Starts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gaussian => "gaussian",
            Self::Uniform => "uniform",
        })
    }
}

/// What happens to a variable that leaves its valid range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clamp {
    /// It is put back after every step, and at the start.
    ValidRange,
    /// Nothing.
    Off,
}

impl InvertParams {
    /// Checks every range.
    ///
    /// # Errors
    ///
    /// [`InvertError::InvalidParameter`] for the first parameter outside of its range.
    pub fn check(&self) -> Result<()> {
        let at_least_one = |name, value: usize| match value {
            0 => Err(invalid(name, &value, "at least 1")),
            _ => Ok(()),
        };
        at_least_one("restarts", self.restarts)?;
        at_least_one("steps", self.steps)?;
        at_least_one("batch_rows", self.batch_rows)?;
        if let Some(cosine) = self.stop_at
            && !(cosine > -1.0 && cosine < 1.0)
        {
            return Err(invalid("stop_at", &cosine, "a cosine between -1 and 1"));
        }
        let (name, size) = match self.optimiser {
            Optimiser::NormalisedGradient { step } | Optimiser::GradientAscent { step } => {
                ("step", step)
            }
            Optimiser::Adam { learning_rate } => ("learning_rate", learning_rate),
        };
        if !(size > 0.0 && size.is_finite()) {
            return Err(invalid(name, &size, "a positive number"));
        }
        Ok(())
    }
}

fn invalid(name: &'static str, found: &dyn ToString, expected: &'static str) -> InvertError {
    InvertError::InvalidParameter { name, found: found.to_string(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(change: impl FnOnce(&mut InvertParams), parameter: &str) {
        let mut params = InvertParams::default();
        params.check().expect("the defaults are valid");
        change(&mut params);
        match params.check() {
            Err(InvertError::InvalidParameter { name, .. }) => assert_eq!(name, parameter),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_restarts() {
        refused(|p| p.restarts = 0, "restarts");
    }

    #[test]
    fn no_steps() {
        refused(|p| p.steps = 0, "steps");
    }

    #[test]
    fn no_rows() {
        refused(|p| p.batch_rows = 0, "batch_rows");
    }

    #[test]
    fn a_stop_that_is_no_cosine() {
        for cosine in [1.0, -1.0, f32::NAN] {
            refused(|p| p.stop_at = Some(cosine), "stop_at");
        }
    }

    #[test]
    fn a_step_that_is_no_positive_number() {
        for step in [0.0, -0.1, f64::NAN, f64::INFINITY] {
            refused(|p| p.optimiser = Optimiser::NormalisedGradient { step }, "step");
            refused(|p| p.optimiser = Optimiser::GradientAscent { step }, "step");
            let adam = Optimiser::Adam { learning_rate: step };
            refused(|p| p.optimiser = adam, "learning_rate");
        }
    }
}
