//! Checks at the edge of the crate; what passes them is not checked again.

use ndarray::{ArrayView, ArrayView2, Dimension};

use crate::{Error, Result};

/// How far a cosine may leave [-1, 1] through rounding. Two vectors normalised in bfloat16
/// (unit round-off 2^-8) can miss by about 2 * 2^-8 = 0.008; a raw dot product misses by far more.
const COSINE_SLACK: f32 = 0.01;

/// Refuses NaN and infinities, naming the first.
pub(crate) fn finite<D: Dimension>(
    array: &'static str,
    values: &ArrayView<'_, f32, D>,
) -> Result<()> {
    match position(values, |value| !value.is_finite()) {
        None => Ok(()),
        Some((at, value)) => Err(Error::NotFinite { array, at, value }),
    }
}

/// Refuses what cannot be a cosine, naming the first.
pub(crate) fn cosines<D: Dimension>(
    array: &'static str,
    values: &ArrayView<'_, f32, D>,
) -> Result<()> {
    finite(array, values)?;
    match position(values, |value| value.abs() > 1.0 + COSINE_SLACK) {
        None => Ok(()),
        Some((at, value)) => Err(Error::NotACosine { array, at, value }),
    }
}

/// Refuses an array whose rows are not as wide as those it is compared with.
pub(crate) fn width(
    array: &'static str,
    rows: &ArrayView2<'_, f32>,
    expected: usize,
) -> Result<()> {
    length(array, "columns", rows.ncols(), expected)
}

/// Refuses an axis of the wrong length.
pub(crate) fn length(
    array: &'static str,
    axis: &'static str,
    found: usize,
    expected: usize,
) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Mismatch { array, axis, expected, found })
}

/// Refuses fewer than `needed` items.
pub(crate) fn at_least(needed: usize, items: &'static str, found: usize) -> Result<()> {
    if found >= needed {
        return Ok(());
    }
    Err(Error::TooFew { items, needed, found })
}

/// Refuses an index past the end.
pub(crate) fn index(index_of: &'static str, index: usize, len: usize) -> Result<()> {
    if index < len {
        return Ok(());
    }
    Err(Error::IndexOutOfRange { index_of, index, len })
}

/// Refuses a scale that is not a positive number.
pub(crate) fn scale(value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::OutOfRange {
        parameter: "scale",
        value,
        allowed: "a positive number, such as the model's own logit scale",
    })
}

/// Index and value of the first element that `is_wrong`.
fn position<D: Dimension>(
    values: &ArrayView<'_, f32, D>,
    is_wrong: impl Fn(f32) -> bool,
) -> Option<(Vec<usize>, f32)> {
    // The dynamic index is slow, and hardly ever needed.
    if !values.iter().any(|&value| is_wrong(value)) {
        return None;
    }
    values
        .view()
        .into_dyn()
        .indexed_iter()
        .find(|(_, value)| is_wrong(**value))
        .map(|(at, &value)| (at.slice().to_vec(), value))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, arr1, arr2};

    use super::*;

    #[test]
    fn the_first_broken_element_is_named() {
        let mut states = Array3::<f32>::zeros((2, 3, 4));
        states[[1, 2, 0]] = f32::INFINITY;
        let error = finite("states", &states.view()).unwrap_err();
        assert!(matches!(error, Error::NotFinite { at, .. } if at == [1, 2, 0]));
    }

    #[test]
    fn a_nan_is_no_cosine_and_a_dot_product_is_none_either() {
        let nan = arr1(&[0.5, f32::NAN]);
        assert!(matches!(cosines("cosines", &nan.view()), Err(Error::NotFinite { .. })));
        let dot = arr2(&[[0.5], [1.5]]);
        let error = cosines("cosines", &dot.view()).unwrap_err();
        assert!(matches!(error, Error::NotACosine { at, .. } if at == [1, 0]));
        assert!(cosines("cosines", &arr1(&[1.004]).view()).is_ok());
    }

    #[test]
    fn a_scale_is_positive_and_finite() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(scale(bad).is_err(), "{bad}");
        }
        assert!(scale(100.0).is_ok());
    }
}
