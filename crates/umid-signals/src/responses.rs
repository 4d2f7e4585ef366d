//! Responses: what a text tower makes of a text but for what its last layer norm divides by and
//! what is added to every text. Their length still says how far a text lies from others, which that
//! norm takes away from embeddings.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

use crate::{Result, checks};

/// Takes one direction, (d), out of each response, (n, d): r - u (u . r), u being `direction` at unit
/// length. A direction of length zero takes nothing.
pub(crate) fn without_direction(
    responses: ArrayView2<'_, f32>,
    direction: ArrayView1<'_, f32>,
) -> Result<Array2<f32>> {
    checks::finite("direction", &direction)?;
    checks::length("direction", "elements", direction.len(), responses.ncols())?;
    let direction = direction.mapv(f64::from);
    let length = direction.dot(&direction).sqrt();
    if length == 0.0 {
        return Ok(responses.to_owned());
    }
    let unit = direction.mapv(|value| value / length);
    let responses = responses.mapv(f64::from);
    let along = responses.dot(&unit).insert_axis(Axis(1));
    Ok((responses - along.dot(&unit.insert_axis(Axis(0)))).mapv(|value| value as f32))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, arr1, arr2};

    use super::*;

    const ROUND_OFF: f32 = 1e-6;

    #[test]
    fn a_direction_that_is_taken_out_is_gone_and_the_rest_stays() {
        let responses = arr2(&[[1.0, 2.0, 3.0], [0.0, 4.0, -4.0]]);
        let diagonal = arr1(&[0.0, 5.0, 5.0]);
        let rest = without_direction(responses.view(), diagonal.view()).unwrap();
        let expected = arr2(&[[1.0, -0.5, 0.5], [0.0, 4.0, -4.0]]);
        assert!((&rest - &expected).iter().all(|difference| difference.abs() < ROUND_OFF));
        let nothing = Array1::zeros(3);
        assert_eq!(without_direction(responses.view(), nothing.view()).unwrap(), responses);
        assert!(without_direction(responses.view(), arr1(&[1.0]).view()).is_err());
        assert!(without_direction(responses.view(), arr1(&[1.0, f32::NAN, 0.0]).view()).is_err());
    }
}
