//! V: how far apart the restarts of an inversion end.

use ndarray::{Array1, ArrayView1, ArrayView2, Axis};

use super::InversionSignal;
use crate::card::UMID;
use crate::{Basis, Card, Direction, Result, UnitRows, checks};

/// V as UMID defines it.
pub static VARIABILITY: InversionSignal = InversionSignal::new(
    Card {
        name: "variability",
        definition: "mean distance of the unit final embeddings to their mean",
        direction: Direction::LowerIsMember,
        basis: Basis::Name,
        source: UMID,
        version: 1,
    },
    |inversion| variability(inversion.directions()),
);

/// V as TUNI's code has it.
pub static VARIABILITY_TUNI: InversionSignal = InversionSignal::new(
    Card {
        name: "variability_tuni",
        definition: "summed distance of the raw final embeddings to their mean",
        direction: Direction::LowerIsMember,
        basis: Basis::Name,
        source: "TUNI, arXiv 2405.14517, published code",
        version: 1,
    },
    |inversion| variability_tuni(inversion.embeddings()),
);

/// V of the final embeddings, (m, d), normalised or not; `None` below two restarts.
///
/// The mean is not brought back to unit length: V = (1/m) sum_i |v_i - mean_j v_j|.
pub(super) fn variability(final_embeddings: ArrayView2<'_, f32>) -> Result<Option<f64>> {
    let restarts = UnitRows::new("final embeddings", final_embeddings)?;
    Ok(distances_to_mean(restarts.directions().view()).and_then(|distances| distances.mean()))
}

/// V as TUNI's code has it: the *sum* of the distances of *un-normalised* embeddings to their mean.
///
/// A sum grows with the number of restarts: compare only queries with equally many usable ones.
/// `None` below two restarts.
pub(super) fn variability_tuni(final_embeddings: ArrayView2<'_, f32>) -> Result<Option<f64>> {
    checks::finite("final embeddings", &final_embeddings)?;
    let embeddings = final_embeddings.mapv(f64::from);
    Ok(distances_to_mean(embeddings.view()).map(|distances| distances.sum()))
}

/// The distance of each row to the mean row; `None` below two rows, which have no spread.
fn distances_to_mean(rows: ArrayView2<'_, f64>) -> Option<Array1<f64>> {
    if rows.nrows() < 2 {
        return None;
    }
    let mean = rows.mean_axis(Axis(0))?;
    let distance = |row: ArrayView1<'_, f64>| {
        let offset = &row - &mean;
        offset.dot(&offset).sqrt()
    };
    Some(rows.outer_iter().map(distance).collect())
}
