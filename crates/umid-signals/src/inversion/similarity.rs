//! S: how close the restarts of an inversion come to the text.

use ndarray::ArrayView1;

use super::InversionSignal;
use crate::card::UMID;
use crate::{Basis, Card, Direction, Result, checks};

/// S of the final cosines.
pub static SIMILARITY: InversionSignal = InversionSignal::new(
    Card {
        name: "similarity",
        definition: "mean over restarts of the final cosine with the text",
        direction: Direction::HigherIsMember,
        basis: Basis::Name,
        source: UMID,
        version: 1,
    },
    |inversion| {
        let cosines = inversion.cosines();
        similarity(cosines.column(cosines.ncols() - 1))
    },
);

/// S: the mean final cosine over restarts, (m); `None` without a restart.
pub(super) fn similarity(final_cosines: ArrayView1<'_, f32>) -> Result<Option<f64>> {
    checks::cosines("final cosines", &final_cosines)?;
    Ok(final_cosines.mapv(f64::from).mean())
}
