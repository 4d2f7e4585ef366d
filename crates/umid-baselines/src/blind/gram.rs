//! Sparse rows as few dense columns, with every inner product kept.
//!
//! An L2-penalised linear model sees its rows only through their inner products, so n training
//! rows in any number of columns can be replaced by n rows in at most n columns: the factor G of
//! their Gram matrix K = G G'. It is found by Cholesky with diagonal pivoting, which also drops
//! the columns that duplicate rows would leave empty (Higham, "Accuracy and Stability of Numerical
//! Algorithms", 2002, section 10.3).

use ndarray::{Array1, Array2, s};

use super::tfidf::{SparseRow, dot};

/// Squared distance from the pivots' span, relative to a row of length 1, at which a row counts as
/// lying in it: its place is then off by at most 1e-6.
const SPAN_TOLERANCE: f64 = 1e-12;

/// Training rows in dense columns, and what places further rows among them.
#[derive(Debug)]
pub(crate) struct Reduced {
    /// (rows, rank).
    pub(crate) train: Array2<f64>,
    /// The training rows that were pivots, in order.
    pivots: Vec<usize>,
}

impl Reduced {
    pub(crate) fn new(rows: &[SparseRow]) -> Self {
        let n = rows.len();
        let mut left: Vec<f64> = rows.iter().map(|row| dot(row, row)).collect();
        let mut factor = Array2::<f64>::zeros((n, n));
        let mut pivots = Vec::new();
        let mut taken = vec![false; n];
        while let Some(pivot) = farthest(&left) {
            let rank = pivots.len();
            let length = left[pivot].sqrt();
            let of_pivot = factor.slice(s![pivot, ..rank]).to_owned();
            for row in 0..n {
                // An earlier pivot lies in the span already; what round-off leaves is dropped.
                if taken[row] {
                    continue;
                }
                let known = factor.slice(s![row, ..rank]).dot(&of_pivot);
                let value = (dot(&rows[row], &rows[pivot]) - known) / length;
                factor[[row, rank]] = value;
                left[row] -= value * value;
            }
            factor[[pivot, rank]] = length;
            (left[pivot], taken[pivot]) = (0.0, true);
            pivots.push(pivot);
        }
        let train = factor.slice_move(s![.., ..pivots.len()]);
        // The solver's gradient runs down the columns, so they are stored as one piece each.
        let train = train.t().as_standard_layout().into_owned().reversed_axes();
        Self { train, pivots }
    }

    /// Places a further row; what of it lies outside the training rows' span has no influence on
    /// a model fitted within it.
    pub(crate) fn place(&self, rows: &[SparseRow], row: &SparseRow) -> Array1<f64> {
        let mut placed = Array1::zeros(self.pivots.len());
        for (column, &pivot) in self.pivots.iter().enumerate() {
            let of_pivot = self.train.row(pivot);
            let known = of_pivot.slice(s![..column]).dot(&placed.slice(s![..column]));
            placed[column] = (dot(row, &rows[pivot]) - known) / of_pivot[column];
        }
        placed
    }
}

/// The row that is farthest from the span, unless all lie in it.
fn farthest(left: &[f64]) -> Option<usize> {
    let (row, distance) = left.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
    (*distance > SPAN_TOLERANCE).then_some(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_products_are_kept_and_duplicates_add_no_column() {
        let rows: Vec<SparseRow> = vec![
            vec![(0, 0.6), (1, 0.8)],
            vec![(1, 1.0)],
            vec![(0, 0.6), (1, 0.8)],
            vec![],
            vec![(0, 0.8), (2, 0.6)],
        ];
        let reduced = Reduced::new(&rows);
        assert_eq!(reduced.train.ncols(), 3);
        for (i, a) in rows.iter().enumerate() {
            for (j, b) in rows.iter().enumerate() {
                let found = reduced.train.row(i).dot(&reduced.train.row(j));
                assert!((found - dot(a, b)).abs() < 1e-12, "rows {i} and {j}");
            }
        }
        let new = vec![(1, 0.5), (2, 0.5), (3, 0.7)];
        let placed = reduced.place(&rows, &new);
        for (i, a) in rows.iter().enumerate() {
            assert!((reduced.train.row(i).dot(&placed) - dot(a, &new)).abs() < 1e-12, "row {i}");
        }
    }
}
