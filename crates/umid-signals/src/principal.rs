//! Principal directions of a set of embeddings: the few in which public inputs differ most.
//!
//! Principal component analysis (Pearson 1901) by the eigenvectors of the covariance. A few of many
//! are wanted, so they come from subspace iteration with a Rayleigh-Ritz step (Saad, "Numerical
//! Methods for Large Eigenvalue Problems", 2nd edition, algorithm 5.3), from a fixed start. The
//! interaction residual is measured along these directions when public inputs are at hand.

use linfa_linalg::{
    eigh::{EigSort, EighInto},
    qr::QRInto,
};
use ndarray::{Array1, Array2, ArrayView2, Axis, linalg::general_mat_mul, s};

use crate::{Error, Result, checks, unit::blocks};

/// Directions used for the interaction residual; the value measured in docs/method.md.
pub const DEFAULT_DIRECTIONS: usize = 16;

/// Rows centred at a time: 4 MB for d = 512.
const BLOCK: usize = 1024;
/// Columns iterated beyond twice the number wanted; the surplus sets the speed of convergence.
const SURPLUS: usize = 8;
/// A direction v of variance s is found when |C v - s v| is below this share of the largest s.
const TOLERANCE: f64 = 1e-9;
/// Iterations before the slow but certain dense solver takes over; natural spectra need dozens.
const MAX_ITERATIONS: usize = 300;

/// The `count` directions of largest variance, as orthonormal columns, largest first.
///
/// Embeddings are taken as they are, less their mean; pass them at unit length to have them weigh
/// alike. The sign of a direction is arbitrary, and no norm of a projection depends on it.
///
/// ```
/// use ndarray::arr2;
/// use umid_signals::principal::principal_directions;
///
/// let embeddings = arr2(&[[1.0, 5.0], [3.0, 5.0], [5.0, 5.0]]);
/// let direction = principal_directions(embeddings.view(), 1)?;
/// assert!((direction[[0, 0]].abs() - 1.0).abs() < 1e-12);
/// assert!(direction[[1, 0]].abs() < 1e-12);
/// # Ok::<(), umid_signals::Error>(())
/// ```
///
/// # Shapes
/// `embeddings` (N, d) gives (d, count).
///
/// # Errors
/// A row that is not finite, fewer than two rows, a count of zero, or fewer than `count`
/// directions with variance above round-off.
pub fn principal_directions(embeddings: ArrayView2<'_, f32>, count: usize) -> Result<Array2<f64>> {
    checks::finite("embeddings", &embeddings)?;
    checks::at_least(2, "embeddings", embeddings.nrows())?;
    checks::at_least(1, "principal directions", count)?;
    let (variances, directions) = leading_eigenpairs(covariance(embeddings), count)?;
    let largest = variances.first().copied().unwrap_or(0.0);
    let round_off = largest * embeddings.ncols() as f64 * f64::EPSILON;
    let available = variances.iter().filter(|&&v| v > round_off).count();
    if count > available {
        return Err(Error::RankDeficient { requested: count, available });
    }
    Ok(directions.slice(s![.., ..count]).to_owned())
}

/// At least the `count` largest eigenvalues of a covariance (or all, when it has no more) in
/// descending order, and their eigenvectors as columns.
fn leading_eigenpairs(covariance: Array2<f64>, count: usize) -> Result<(Array1<f64>, Array2<f64>)> {
    let width = covariance.nrows();
    let columns = width.min(2 * count.min(width) + SURPLUS);
    // Column j samples sin at multiples of j + 1: any number of columns is linearly independent.
    let mut block =
        Array2::from_shape_fn((width, columns), |(i, j)| (((i + 1) * (j + 1)) as f64).sin());
    for _ in 0..MAX_ITERATIONS {
        let basis = block.qr_into()?.generate_q();
        let image = covariance.dot(&basis);
        let (values, rotation) = basis.t().dot(&image).eigh_into()?.sort_eig_desc();
        let vectors = basis.dot(&rotation);
        block = image.dot(&rotation);
        let wanted = count.min(columns);
        let residual = &block - &(&vectors * &values);
        let error = residual.slice(s![.., ..wanted]).iter().map(|value| value * value).sum::<f64>();
        if error.sqrt() <= TOLERANCE * values[0] {
            return Ok((values, vectors));
        }
    }
    Ok(covariance.eigh_into()?.sort_eig_desc())
}

/// The covariance of the columns, (d, d), accumulated block by block.
fn covariance(embeddings: ArrayView2<'_, f32>) -> Array2<f64> {
    let (rows, width) = embeddings.dim();
    let sum = embeddings
        .outer_iter()
        .fold(Array1::<f64>::zeros(width), |sum, row| sum + row.mapv(f64::from));
    let mean = (sum / rows as f64).insert_axis(Axis(0));
    let mut covariance = Array2::zeros((width, width));
    for range in blocks(rows, BLOCK) {
        let centred = embeddings.slice(s![range, ..]).mapv(f64::from) - &mean;
        general_mat_mul(1.0, &centred.t(), &centred, 1.0, &mut covariance);
    }
    covariance / rows as f64
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;
    use proptest::prelude::*;

    use super::*;

    /// An eigen-decomposition of a 6 x 6 matrix of order one.
    const ROUND_OFF: f64 = 1e-9;

    #[test]
    fn directions_come_by_falling_variance() {
        // Variance 8 along (1, 1), 2 along (1, -1), 0 along the third axis.
        let embeddings =
            arr2(&[[4.0, 2.0, 7.0], [0.0, -2.0, 7.0], [2.0, 4.0, 7.0], [-2.0, 0.0, 7.0]]);
        let directions = principal_directions(embeddings.view(), 2).unwrap();
        let half = 0.5f64.sqrt();
        let along = Array1::from(vec![half, half, 0.0]);
        let across = Array1::from(vec![half, -half, 0.0]);
        assert!((directions.column(0).dot(&along).abs() - 1.0).abs() < ROUND_OFF);
        assert!((directions.column(1).dot(&across).abs() - 1.0).abs() < ROUND_OFF);
    }

    #[test]
    fn more_directions_than_vary_is_an_error() {
        let line = arr2(&[[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [4.0, 0.0, 0.0]]);
        let result = principal_directions(line.view(), 2);
        assert!(matches!(result, Err(Error::RankDeficient { requested: 2, available: 1 })));
    }

    #[test]
    fn broken_inputs_are_errors() {
        let rows = arr2(&[[1.0, 0.0], [0.0, f32::NAN]]);
        assert!(matches!(
            principal_directions(rows.view(), 1),
            Err(Error::NotFinite { at, .. }) if at == [1, 1]
        ));
        let one = arr2(&[[1.0, 0.0]]);
        assert!(principal_directions(one.view(), 1).is_err());
        assert!(principal_directions(Array2::eye(2).view(), 0).is_err());
    }

    #[test]
    fn iteration_finds_what_the_dense_solver_finds() {
        // Forty features whose spread falls off as 1/k, mixed by a rotation in each plane (k, k + 1).
        let mut embeddings = Array2::from_shape_fn((200, 40), |(i, k)| {
            ((i * (k + 3)) as f32 * 0.37).sin() / (k + 1) as f32
        });
        for k in 0..39 {
            let (left, right) =
                (embeddings.column(k).to_owned(), embeddings.column(k + 1).to_owned());
            embeddings.column_mut(k).assign(&(&left * 0.8 + &right * 0.6));
            embeddings.column_mut(k + 1).assign(&(&right * 0.8 - &left * 0.6));
        }
        let found = principal_directions(embeddings.view(), 4).unwrap();
        let (_, dense) = covariance(embeddings.view()).eigh_into().unwrap().sort_eig_desc();
        let overlap = found.t().dot(&dense.slice(s![.., ..4])).mapv(f64::abs);
        // TOLERANCE over the gaps between these variances, squared in a cosine.
        assert!((overlap - Array2::<f64>::eye(4)).iter().all(|gap| gap.abs() < 1e-6));
    }

    #[test]
    fn embeddings_that_do_not_vary_have_no_direction() {
        let same = Array2::<f32>::ones((5, 40));
        assert!(matches!(
            principal_directions(same.view(), 1),
            Err(Error::RankDeficient { available: 0, .. })
        ));
    }

    proptest! {
        #[test]
        fn directions_are_orthonormal_and_diagonalise_the_covariance(
            values in prop::collection::vec(-1.0f32..1.0, 30 * 6),
        ) {
            let embeddings = Array2::from_shape_vec((30, 6), values).expect("30 x 6 values");
            let directions = principal_directions(embeddings.view(), 6)?;
            let gram = directions.t().dot(&directions) - Array2::<f64>::eye(6);
            prop_assert!(gram.iter().all(|value| value.abs() < ROUND_OFF));
            let variances = directions.t().dot(&covariance(embeddings.view())).dot(&directions);
            for ((i, j), variance) in variances.indexed_iter() {
                prop_assert!(i == j || variance.abs() < ROUND_OFF);
            }
            let diagonal = variances.diag();
            prop_assert!(diagonal.windows(2).into_iter().all(|w| w[0] >= w[1] - ROUND_OFF));
        }
    }
}
