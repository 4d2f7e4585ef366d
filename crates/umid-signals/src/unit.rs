//! Embeddings as directions: rows checked once, then compared by cosine.
//!
//! Rows stay `f32` with their norms beside them; they become unit `f64` rows block by block, so a
//! bank of N inputs costs 4 N d bytes and not 8, and products are accumulated in `f64`.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, linalg::general_mat_mul, s};

use crate::{Error, Result, checks};

/// Left rows in one product of [`for_each_cosine_tile`].
const LEFT_BLOCK: usize = 256;
/// Right rows in one product: with d = 512 a block of both takes 10 MB and the product 4 MB.
const RIGHT_BLOCK: usize = 2048;

/// Rows that are finite and of non-zero length, to be compared by cosine.
#[derive(Debug, Clone)]
pub struct UnitRows {
    rows: Array2<f32>,
    norms: Array1<f64>,
}

impl UnitRows {
    /// Takes raw or normalised embeddings; `array` says what they are, for error messages.
    ///
    /// # Shapes
    /// `rows` (n, d); n = 0 is allowed.
    ///
    /// # Errors
    /// A row with a NaN or an infinity, or of length zero.
    pub fn new(array: &'static str, rows: ArrayView2<'_, f32>) -> Result<Self> {
        let norms = row_norms(array, rows)?;
        Ok(Self { rows: rows.to_owned(), norms })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.nrows()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Width d of a row.
    pub fn width(&self) -> usize {
        self.rows.ncols()
    }

    /// One row on its own.
    pub(crate) fn one(&self, row: usize) -> Self {
        let rows = self.rows.slice(s![row..=row, ..]).to_owned();
        Self { rows, norms: self.norms.slice(s![row..=row]).to_owned() }
    }

    /// Every row, at unit length, (n, d).
    pub(crate) fn directions(&self) -> Array2<f64> {
        self.block(0..self.len())
    }

    /// Cosine of row `row` with row `other_row` of `other`; widths have been checked.
    pub(crate) fn cosine(&self, row: usize, other: &Self, other_row: usize) -> f64 {
        dot(self.rows.row(row), other.rows.row(other_row))
            / (self.norms[row] * other.norms[other_row])
    }

    /// Refuses rows of another width than these.
    pub(crate) fn check_width(&self, array: &'static str, other: &Self) -> Result<()> {
        checks::width(array, &other.rows.view(), self.width())
    }

    fn block(&self, range: Range<usize>) -> Array2<f64> {
        let mut block = self.rows.slice(s![range.clone(), ..]).mapv(f64::from);
        block /= &self.norms.slice(s![range]).insert_axis(Axis(1));
        block
    }
}

/// Visits the cosines of all rows of `left` with all rows of `right`, a tile at a time.
///
/// `visit` gets the index of the tile's first left row, of its first right row, and the cosines
/// (left rows, right rows). Each left row meets the right rows in ascending order. A cosine is the
/// same number, to the bit, whichever rows share its tile: matrix products accumulate each element
/// along d in one fixed order.
pub(crate) fn for_each_cosine_tile(
    left: &UnitRows,
    right: &UnitRows,
    mut visit: impl FnMut(usize, usize, ArrayView2<'_, f64>),
) {
    for right_range in blocks(right.len(), RIGHT_BLOCK) {
        let right_block = right.block(right_range.clone());
        for left_range in blocks(left.len(), LEFT_BLOCK) {
            let left_block = left.block(left_range.clone());
            let mut cosines = Array2::zeros((left_range.len(), right_range.len()));
            general_mat_mul(1.0, &left_block, &right_block.t(), 0.0, &mut cosines);
            visit(left_range.start, right_range.start, cosines.view());
        }
    }
}

/// Consecutive ranges of at most `size` that cover `0..len`.
pub(crate) fn blocks(len: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(size).map(move |start| start..(start + size).min(len))
}

/// Puts `value` in its place in a list in descending order, dropping the smallest entry.
///
/// Started from negative infinities, the list ends as the largest values seen, whatever their order.
pub(crate) fn keep_largest(largest: &mut [f64], value: f64) {
    let place = largest.partition_point(|&kept| kept >= value);
    if place < largest.len() {
        largest[place..].rotate_right(1);
        largest[place] = value;
    }
}

/// The Euclidean length of each row.
///
/// # Errors
/// A row that is not finite or has length zero.
pub(crate) fn row_norms(array: &'static str, rows: ArrayView2<'_, f32>) -> Result<Array1<f64>> {
    checks::finite(array, &rows)?;
    let norms: Array1<f64> = rows.outer_iter().map(norm).collect();
    match norms.iter().position(|&norm| norm == 0.0) {
        None => Ok(norms),
        Some(row) => Err(Error::ZeroRow { array, row }),
    }
}

/// Euclidean length, accumulated in f64.
pub(crate) fn norm(row: ArrayView1<'_, f32>) -> f64 {
    dot(row, row).sqrt()
}

fn dot(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    #[test]
    fn directions_have_unit_length() {
        let rows = arr2(&[[3.0, 4.0], [0.0, -2.0]]);
        let unit = UnitRows::new("rows", rows.view()).unwrap();
        assert_eq!(unit.directions(), arr2(&[[0.6, 0.8], [0.0, -1.0]]));
    }

    #[test]
    fn broken_rows_are_named() {
        let zero = arr2(&[[1.0, 0.0], [0.0, 0.0]]);
        assert!(matches!(UnitRows::new("rows", zero.view()), Err(Error::ZeroRow { row: 1, .. })));
        let nan = arr2(&[[1.0, 0.0], [2.0, f32::NAN]]);
        assert!(matches!(
            UnitRows::new("rows", nan.view()),
            Err(Error::NotFinite { at, .. }) if at == [1, 1]
        ));
    }

    #[test]
    fn tiles_cover_every_pair_once_with_the_same_cosine() {
        let left = UnitRows::new("left", waves(LEFT_BLOCK + 3).view()).unwrap();
        let right = UnitRows::new("right", waves(RIGHT_BLOCK + 5).view()).unwrap();
        let mut seen = Array2::from_elem((left.len(), right.len()), f64::NAN);
        for_each_cosine_tile(&left, &right, |first_left, first_right, cosines| {
            for ((i, j), &cosine) in cosines.indexed_iter() {
                assert!(seen[[first_left + i, first_right + j]].is_nan());
                seen[[first_left + i, first_right + j]] = cosine;
            }
        });
        for (i, j) in [(0, 0), (LEFT_BLOCK, RIGHT_BLOCK + 4), (7, 2047)] {
            // Two summation orders of five f64 products.
            assert!((seen[[i, j]] - left.cosine(i, &right, j)).abs() < 1e-14);
        }
    }

    #[test]
    fn the_largest_values_are_kept_in_order() {
        let mut largest = [f64::NEG_INFINITY; 3];
        for value in [0.1, 0.5, -0.2, 0.5, 0.3] {
            keep_largest(&mut largest, value);
        }
        assert_eq!(largest.map(f64::to_bits), [0.5, 0.5, 0.3].map(f64::to_bits));
    }

    fn waves(rows: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, 5), |(i, k)| ((i * 7 + k * 3) as f32).sin() + 0.01)
    }
}
