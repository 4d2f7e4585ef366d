//! How steep an inversion still is where it ends.

use ndarray::ArrayView1;

use super::InversionSignal;
use crate::card::OWN;
use crate::{Basis, Card, Direction, Error, Result, checks};

/// How steep the last step was.
pub static FINAL_GRADIENT_NORM: InversionSignal = InversionSignal::new(
    Card {
        name: "final_gradient_norm",
        definition: "mean over restarts of the length of the last gradient",
        direction: Direction::LowerIsMember,
        basis: Basis::Name,
        source: OWN,
        version: 1,
    },
    |inversion| final_gradient_norm(inversion.gradient_norms()),
);

/// The mean of |d cos / d x_i| at the last step over restarts i, (m); `None` without a restart.
pub(super) fn final_gradient_norm(gradient_norms: ArrayView1<'_, f32>) -> Result<Option<f64>> {
    const ARRAY: &str = "final gradient norms";
    checks::finite(ARRAY, &gradient_norms)?;
    if let Some((row, &value)) = gradient_norms.iter().enumerate().find(|(_, v)| **v < 0.0) {
        return Err(Error::NegativeNorm { array: ARRAY, row, value });
    }
    Ok(gradient_norms.mapv(f64::from).mean())
}
