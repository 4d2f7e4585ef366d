//! Linear maps on hidden states: from the width D of the text tower to where residuals are measured.
//!
//! The states are those before the final layer norm, gain * (x - mean(x)) / std(x) + bias. What
//! that norm and the output projection do to a *difference* of states, apart from the scalar
//! 1 / std, is linear: centre over features, multiply by the gain, project. Here is that map, onto
//! directions in which inputs of the other modality vary; see [`crate::interaction`].

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

use crate::{Result, checks};

/// The map diag(gain) * projection * directions, for [`crate::SiblingGrid::with_map`].
///
/// # Shapes
/// `gain` (D): the final layer norm's weight. `projection` (D, d): text state to joint embedding;
/// transpose a linear layer's (d, D) weight. `directions` (d, p), as
/// [`crate::principal::principal_directions`] gives them. The result is (D, p).
///
/// # Errors
/// Shapes that do not chain, or a weight that is not finite.
pub fn output_head_map(
    gain: ArrayView1<'_, f32>,
    projection: ArrayView2<'_, f32>,
    directions: ArrayView2<'_, f64>,
) -> Result<Array2<f64>> {
    checks::finite("layer norm gains", &gain)?;
    checks::finite("projection weights", &projection)?;
    checks::length("projection weights", "rows", projection.nrows(), gain.len())?;
    checks::length("principal directions", "rows", directions.nrows(), projection.ncols())?;
    let gain = gain.mapv(f64::from).insert_axis(Axis(1));
    Ok((projection.mapv(f64::from) * gain).dot(&directions))
}

/// The map followed by the removal of one direction of its target: map (I - u u^T), u being
/// `direction` at unit length. A direction of length zero removes nothing.
///
/// # Shapes
/// `map` (D, p) and `direction` (p) give (D, p).
///
/// # Errors
/// Two widths p, or a direction that is not finite.
pub fn without_direction(
    map: ArrayView2<'_, f64>,
    direction: ArrayView1<'_, f32>,
) -> Result<Array2<f64>> {
    checks::finite("direction", &direction)?;
    checks::length("direction", "elements", direction.len(), map.ncols())?;
    let direction = direction.mapv(f64::from);
    let length = direction.dot(&direction).sqrt();
    if length == 0.0 {
        return Ok(map.to_owned());
    }
    let unit = direction.mapv(|value| value / length);
    let along = map.dot(&unit).insert_axis(Axis(1));
    Ok(&map - &along.dot(&unit.insert_axis(Axis(0))))
}

/// Takes from each state the mean of its features, as a layer norm does.
///
/// # Shapes
/// `states` (n, D) gives (n, D).
pub fn center_over_features(states: ArrayView2<'_, f64>) -> Array2<f64> {
    match states.mean_axis(Axis(1)) {
        Some(means) => &states - &means.insert_axis(Axis(1)),
        None => states.to_owned(),
    }
}

/// The responses of a text tower: its embeddings but for what the final layer norm divides by and
/// adds. A response is the state, centred and mapped by [`output_head_map`] onto the whole joint
/// space (identity directions), so its length still says how far the state lies from its mean,
/// which the layer norm takes away.
///
/// # Shapes
/// `states` (n, D) and `map` (D, d) give (n, d).
///
/// # Errors
/// Two widths D.
pub fn responses(states: ArrayView2<'_, f32>, map: ArrayView2<'_, f64>) -> Result<Array2<f32>> {
    let centred = center_over_features(states.mapv(f64::from).view());
    Ok(project(centred.view(), map)?.mapv(|value| value as f32))
}

/// Applies a linear map to each state.
///
/// # Shapes
/// `states` (n, D) and `map` (D, p) give (n, p).
///
/// # Errors
/// Two widths D.
pub fn project(states: ArrayView2<'_, f64>, map: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
    checks::length("the map", "rows", map.nrows(), states.ncols())?;
    Ok(states.dot(&map))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, arr1, arr2};

    use super::*;
    use crate::Error;

    /// Of sums of a few products of order ten in f64.
    const ROUND_OFF: f64 = 1e-13;

    #[test]
    fn centred_states_have_mean_zero() {
        let states = arr2(&[[1.0, 2.0, 6.0], [5.0, 5.0, 5.0]]);
        assert_eq!(
            center_over_features(states.view()),
            arr2(&[[-2.0, -1.0, 3.0], [0.0, 0.0, 0.0]])
        );
    }

    #[test]
    fn the_head_map_scales_projects_and_rotates() {
        let gain = arr1(&[2.0, 1.0, 0.5]);
        let projection = arr2(&[[1.0, 0.0], [0.0, 1.0], [4.0, 4.0]]);
        let directions = arr2(&[[0.0], [1.0]]);
        let map = output_head_map(gain.view(), projection.view(), directions.view()).unwrap();
        assert_eq!(map, arr2(&[[0.0], [1.0], [2.0]]));
        let states = arr2(&[[1.0, 1.0, 1.0]]);
        assert_eq!(project(states.view(), map.view()).unwrap(), arr2(&[[3.0]]));
    }

    #[test]
    fn a_direction_that_is_taken_out_is_gone_and_the_rest_stays() {
        let map = arr2(&[[1.0, 2.0, 3.0], [0.0, 4.0, -4.0]]);
        let diagonal = arr1(&[0.0, 5.0, 5.0]);
        let rest = without_direction(map.view(), diagonal.view()).unwrap();
        let expected = arr2(&[[1.0, -0.5, 0.5], [0.0, 4.0, -4.0]]);
        assert!((&rest - &expected).iter().all(|difference| difference.abs() < ROUND_OFF));
        let nothing = Array1::zeros(3);
        assert_eq!(without_direction(map.view(), nothing.view()).unwrap(), map);
        assert!(without_direction(map.view(), arr1(&[1.0]).view()).is_err());
        assert!(without_direction(map.view(), arr1(&[1.0, f32::NAN, 0.0]).view()).is_err());
    }

    #[test]
    fn shapes_must_chain() {
        let gain = arr1(&[1.0, 1.0]);
        let projection = Array2::ones((2, 3));
        let wrong = |gain: ArrayView1<'_, f32>, directions: Array2<f64>| {
            output_head_map(gain, projection.view(), directions.view()).unwrap_err()
        };
        let short = wrong(gain.view(), Array2::ones((2, 1)));
        assert!(matches!(short, Error::Mismatch { expected: 3, found: 2, .. }));
        let long = wrong(arr1(&[1.0; 3]).view(), Array2::ones((3, 1)));
        assert!(matches!(long, Error::Mismatch { expected: 3, found: 2, .. }));
        let states = Array2::ones((1, 4));
        assert!(project(states.view(), Array2::ones((3, 1)).view()).is_err());
    }
}
