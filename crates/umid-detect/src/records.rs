//! Checks at the edge: a matrix of records that every detector may rely on.

use ndarray::{Array2, ArrayView2};

use crate::error::{DetectError, Result};

/// Rows that a reference must have before a detector is fitted: with fewer, neither a deviation
/// nor a neighbour exists.
const MIN_REFERENCE_ROWS: usize = 2;
/// Largest value that a record may hold: sums of its square, and of its product with a weight, are
/// still far from overflow.
const LARGEST_MAGNITUDE: f64 = 1e100;

/// Checks a reference: enough rows, at least one column, every value usable.
///
/// # Shapes
/// `records` is `[texts, signals]`.
pub(crate) fn check_reference(algorithm: &'static str, records: &Array2<f64>) -> Result<()> {
    if records.nrows() < MIN_REFERENCE_ROWS {
        return Err(DetectError::TooFewRows {
            algorithm,
            needed: MIN_REFERENCE_ROWS,
            found: records.nrows(),
        });
    }
    if records.ncols() == 0 {
        return Err(DetectError::NoColumns);
    }
    check_values(&records.view())
}

/// Checks rows under test against the number of columns of the reference. No rows are fine.
///
/// # Shapes
/// `records` is `[texts, signals]`.
pub(crate) fn check_queries(records: &ArrayView2<'_, f64>, expected_columns: usize) -> Result<()> {
    if records.ncols() != expected_columns {
        return Err(DetectError::ColumnCount {
            expected: expected_columns,
            found: records.ncols(),
        });
    }
    check_values(records)
}

fn check_values(records: &ArrayView2<'_, f64>) -> Result<()> {
    let usable = |value: &f64| value.abs() <= LARGEST_MAGNITUDE;
    match records.indexed_iter().find(|(_, value)| !usable(value)) {
        None => Ok(()),
        Some(((row, column), &value)) => Err(DetectError::UnusableRecord { row, column, value }),
    }
}

/// Checks a list of scores: at least one, every one finite.
pub(crate) fn check_scores(list: &'static str, scores: &[f64]) -> Result<()> {
    if scores.is_empty() {
        return Err(DetectError::Empty { list });
    }
    check_finite_scores(list, scores)
}

/// Checks that every score of a list is finite.
pub(crate) fn check_finite_scores(list: &'static str, scores: &[f64]) -> Result<()> {
    match scores.iter().enumerate().find(|(_, s)| !s.is_finite()) {
        None => Ok(()),
        Some((index, &value)) => Err(DetectError::NonFiniteScore { list, index, value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_reference_needs_two_rows_and_a_column() {
        assert!(matches!(
            check_reference("t", &array![[1.0]]),
            Err(DetectError::TooFewRows { needed: 2, found: 1, .. })
        ));
        assert!(matches!(
            check_reference("t", &Array2::<f64>::zeros((3, 0))),
            Err(DetectError::NoColumns)
        ));
    }

    #[test]
    fn an_unusable_value_is_named_by_row_and_column() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e101] {
            let records = array![[0.0, 1.0], [2.0, bad]];
            assert!(matches!(
                check_queries(&records.view(), 2),
                Err(DetectError::UnusableRecord { row: 1, column: 1, .. })
            ));
        }
    }

    #[test]
    fn queries_need_the_columns_of_the_reference() {
        assert!(matches!(
            check_queries(&array![[0.0, 1.0]].view(), 3),
            Err(DetectError::ColumnCount { expected: 3, found: 2 })
        ));
    }

    #[test]
    fn scores_must_exist_and_be_finite() {
        assert!(matches!(check_scores("member", &[]), Err(DetectError::Empty { list: "member" })));
        assert!(matches!(
            check_scores("member", &[0.0, f64::NAN]),
            Err(DetectError::NonFiniteScore { index: 1, .. })
        ));
    }
}
