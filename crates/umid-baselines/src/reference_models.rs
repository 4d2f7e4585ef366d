//! Scores under the audited model and under reference ("shadow") models, as LiRA and RMIA take them.

use ndarray::{ArrayView1, ArrayView2};

use crate::checks;
use crate::error::{BaselineError, Result};

/// Scores of queries, or of population points, under the audited model and under reference models.
#[derive(Debug, Clone, Copy)]
pub struct Points<'a> {
    /// `[points]`, under the audited model.
    pub target: ArrayView1<'a, f64>,
    /// `[models, points]`, under the reference models.
    pub references: ArrayView2<'a, f64>,
    /// `[models, points]`, whether that model trained on that point.
    pub trained_on: ArrayView2<'a, bool>,
}

/// Reference models by whether they trained on a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Those that did.
    In,
    /// Those that did not.
    Out,
}

impl Points<'_> {
    /// Checks that there is a point, that the sizes agree and that every score is finite.
    pub(crate) fn check(&self, array: &'static str) -> Result<()> {
        let (points, models) = (self.target.len(), self.references.nrows());
        checks::at_least(array, 1, points)?;
        checks::same_size("points scored by reference models", points, self.references.ncols())?;
        checks::same_size("points with a membership", points, self.trained_on.ncols())?;
        checks::same_size("reference models with memberships", models, self.trained_on.nrows())?;
        checks::finite(array, &self.target)?;
        checks::finite(array, &self.references)
    }

    /// Scores of a point under the models of one side.
    pub(crate) fn under(&self, side: Side, point: usize) -> Vec<f64> {
        let scores = self.references.column(point).into_iter().zip(self.trained_on.column(point));
        scores.filter(|(_, trained)| **trained == (side == Side::In)).map(|(s, _)| *s).collect()
    }
}

impl Side {
    /// The error for a point that has no model on this side.
    pub(crate) fn missing(self, query: usize) -> BaselineError {
        let side = match self {
            Self::In => "with it in",
            Self::Out => "with it out of",
        };
        BaselineError::NoReference { query, side }
    }
}
