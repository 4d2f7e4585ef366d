//! Checks at the crate's edge, and cosines of what has passed them.

use ndarray::{Array1, Array2, ArrayBase, ArrayView1, ArrayView2, Data, Dimension};

use crate::error::{BaselineError, Result};

/// Rows scaled to length 1, in `f64`.
///
/// # Shapes
/// (n, d) to (n, d), n and d at least 1.
pub(crate) fn unit_rows(array: &'static str, rows: &ArrayView2<'_, f32>) -> Result<Array2<f64>> {
    at_least(array, 1, rows.nrows())?;
    finite(array, rows)?;
    let mut rows = rows.mapv(f64::from);
    for (row, mut values) in rows.outer_iter_mut().enumerate() {
        let norm = values.dot(&values).sqrt();
        if norm == 0.0 {
            return Err(BaselineError::ZeroRow { array, row });
        }
        values.mapv_inplace(|value| value / norm);
    }
    Ok(rows)
}

/// One embedding scaled to length 1, in `f64`.
pub(crate) fn unit(array: &'static str, embedding: &ArrayView1<'_, f32>) -> Result<Array1<f64>> {
    let row = embedding.insert_axis(ndarray::Axis(0));
    Ok(unit_rows(array, &row)?.remove_axis(ndarray::Axis(0)))
}

/// Every value is a number.
pub(crate) fn finite<A, D, N>(array: &'static str, values: &ArrayBase<A, N>) -> Result<()>
where
    A: Data<Elem = D>,
    D: Copy + Into<f64>,
    N: Dimension,
{
    match values.iter().position(|&value| !value.into().is_finite()) {
        None => Ok(()),
        Some(index) => {
            let value = values.iter().nth(index).map_or(f64::NAN, |&value| value.into());
            Err(BaselineError::NonFinite { array, index, value })
        }
    }
}

/// Every value of a list is a number.
pub(crate) fn finite_list(list: &'static str, values: &[f64]) -> Result<()> {
    finite(list, &ArrayView1::from(values))
}

pub(crate) fn at_least(what: &'static str, needed: usize, found: usize) -> Result<()> {
    if found < needed {
        return Err(BaselineError::TooFew { what, needed, found });
    }
    Ok(())
}

pub(crate) fn same_size(what: &'static str, expected: usize, found: usize) -> Result<()> {
    if expected != found {
        return Err(BaselineError::Size { what, expected, found });
    }
    Ok(())
}

/// A finite number above 0.
pub(crate) fn positive(argument: &'static str, found: f64) -> Result<()> {
    if !(found > 0.0 && found.is_finite()) {
        let expected = "a finite number above 0";
        return Err(BaselineError::Argument { argument, expected, found });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn unit_rows_have_length_one() {
        let rows = unit_rows("rows", &array![[3.0f32, 4.0], [0.0, -2.0]].view()).expect("usable");
        assert_eq!(rows, array![[0.6, 0.8], [0.0, -1.0]]);
    }

    #[test]
    fn a_zero_row_a_nan_and_no_row_are_refused() {
        let zero = unit_rows("rows", &array![[1.0f32], [0.0]].view());
        assert!(matches!(zero, Err(BaselineError::ZeroRow { row: 1, .. })));
        let nan = unit_rows("rows", &array![[1.0, 2.0], [3.0, f32::NAN]].view());
        assert!(matches!(nan, Err(BaselineError::NonFinite { index: 3, .. })));
        let none = unit_rows("rows", &Array2::zeros((0, 3)).view());
        assert!(matches!(none, Err(BaselineError::TooFew { found: 0, .. })));
    }
}
