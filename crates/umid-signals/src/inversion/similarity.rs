//! S: how close the restarts of an inversion come to the text.

use ndarray::ArrayView1;

use super::InversionSignal;
use crate::card::UMID;
use crate::{Basis, Card, Direction, Result, checks};

/// [`similarity`] of the final cosines.
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

/// S: the mean final cosine over restarts; `None` without a restart.
///
/// ```
/// use ndarray::arr1;
/// use umid_signals::inversion::similarity;
///
/// assert_eq!(similarity(arr1(&[0.75, 0.5]).view())?, Some(0.625));
/// # Ok::<(), umid_signals::Error>(())
/// ```
///
/// # Shapes
/// `final_cosines` (m): cos(v_i, f_txt(t)).
///
/// # Errors
/// A value that is not a cosine.
///
/// # Source
/// UMID, arXiv 2603.14222.
pub fn similarity(final_cosines: ArrayView1<'_, f32>) -> Result<Option<f64>> {
    checks::cosines("final cosines", &final_cosines)?;
    Ok(final_cosines.mapv(f64::from).mean())
}
