//! How many steps an inversion takes until it is close to the text.

use ndarray::{Array1, ArrayView1, ArrayView2};

use super::InversionSignal;
use crate::card::OWN;
use crate::{Basis, Card, Direction, Result, checks};

/// The cosine that is to be reached (docs/method.md), below the zone of .92 to .97 in which a
/// well-set inversion ends.
const THRESHOLD: f64 = 0.9;

/// Steps until the cosine reaches .9.
pub static STEPS_TO_THRESHOLD: InversionSignal = InversionSignal::new(
    Card {
        name: "steps_to_threshold",
        definition: "mean number of steps until the cosine first reaches the threshold",
        direction: Direction::LowerIsMember,
        basis: Basis::Name,
        source: OWN,
        version: 1,
    },
    |inversion| steps_to_threshold(inversion.cosines(), THRESHOLD),
);

/// The mean number of steps after which the cosine, (m, n + 1), first reaches a threshold.
///
/// Step k is the state after k updates, so column 0 is the start. The crossing is interpolated
/// linearly between the last step below and the first step at or above the threshold: with a few
/// restarts of twenty steps whole numbers would leave most queries tied. A restart that never gets
/// there counts n + 1, one that starts there counts 0. `None` without a restart.
pub(super) fn steps_to_threshold(
    cosines: ArrayView2<'_, f32>,
    threshold: f64,
) -> Result<Option<f64>> {
    checks::cosines("cosine trajectories", &cosines)?;
    let steps: Array1<f64> =
        cosines.outer_iter().map(|trajectory| first_crossing(trajectory, threshold)).collect();
    Ok(steps.mean())
}

/// Steps, interpolated, until one trajectory reaches `threshold`; its length if it never does.
pub(super) fn first_crossing(trajectory: ArrayView1<'_, f32>, threshold: f64) -> f64 {
    let cosine = |step: usize| f64::from(trajectory[step]);
    match (0..trajectory.len()).find(|&step| cosine(step) >= threshold) {
        None => trajectory.len() as f64,
        Some(0) => 0.0,
        Some(step) => {
            let (before, after) = (cosine(step - 1), cosine(step));
            (step - 1) as f64 + (threshold - before) / (after - before)
        }
    }
}
