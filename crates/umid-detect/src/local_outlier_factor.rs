//! Local outlier factor: Breunig, Kriegel, Ng and Sander, "LOF: Identifying Density-Based Local
//! Outliers", SIGMOD 2000 (definitions 3 to 7).
//!
//! A row is anomalous when its neighbourhood is sparser than the neighbourhoods of its neighbours.
//! As in scikit-learn's `LocalOutlierFactor(novelty=True)`: a neighbourhood has exactly `k` rows,
//! `k` is clipped to one less than the reference, `1e-10` is added to the mean reachability
//! distance so that duplicated rows have a finite density, and a query that equals a reference row
//! has that row among its neighbours.
//!
//! **Ties.** Copies of one row are interchangeable. Where *different* rows lie at exactly the same
//! distance and only some of them fit into the neighbourhood, the factor is not well defined:
//! scikit-learn's own tree and brute-force searches differ there by several per cent. Here the row
//! that comes first in the reference wins.

use linfa::ParamGuard;
use linfa::dataset::DatasetBase;
use linfa::traits::Fit;
use linfa_nn::distance::{Distance, L2Dist};
use linfa_nn::{KdTree, NearestNeighbour, NearestNeighbourIndex};
use ndarray::{Array1, Array2, ArrayBase, ArrayView1, ArrayView2, Axis, Data, Ix2};
use serde::{Deserialize, Serialize};

use crate::contamination::Contamination;
use crate::detector::Detector;
use crate::error::{DetectError, Result};
use crate::records::{check_queries, check_reference};

const ALGORITHM: &str = "local outlier factor";
/// Neighbours that work well in general (scikit-learn's default; Breunig et al., section 6.2,
/// advise 10 to 20 as the lower end).
const DEFAULT_N_NEIGHBORS: usize = 20;
/// Added to the mean reachability distance: more copies of a row than neighbours would otherwise
/// give an infinite density. scikit-learn's value.
const DUPLICATE_DISTANCE: f64 = 1e-10;
/// Factor that scikit-learn takes as the threshold when the contamination is automatic.
const AUTO_THRESHOLD: f64 = 1.5;
/// The search for ties looks this much beyond the last neighbour, relative to its distance: wide
/// enough for the rounding of a square root and a square, too narrow to cost anything.
const TIE_MARGIN: f64 = 1e-9;

/// A fitted local outlier factor. Scores are near 1 inside the reference and higher outside.
///
/// ```
/// use linfa::prelude::*;
/// use ndarray::{Array2, array};
/// use umid_detect::{Detector, LocalOutlierFactor};
///
/// let reference = Array2::from_shape_fn((64, 2), |(i, j)| ((i * 7 + j * 13) % 17) as f64);
/// let model = LocalOutlierFactor::params().n_neighbors(10).fit(&DatasetBase::from(reference))?;
/// let scores = model.score(&array![[8.0, 8.0], [90.0, -40.0]].view())?;
/// assert!(scores[1] > scores[0]);
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LocalOutlierFactor {
    records: Array2<f64>,
    n_neighbors: usize,
    neighbour_distance: Array1<f64>,
    reachability_density: Array1<f64>,
    reference_scores: Array1<f64>,
    threshold: f64,
}

/// Parameters of [`LocalOutlierFactor`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LocalOutlierFactorParams(LocalOutlierFactorValidParams);

/// Checked parameters of [`LocalOutlierFactor`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LocalOutlierFactorValidParams {
    n_neighbors: usize,
    contamination: Contamination,
}

impl Default for LocalOutlierFactorParams {
    fn default() -> Self {
        Self(LocalOutlierFactorValidParams {
            n_neighbors: DEFAULT_N_NEIGHBORS,
            contamination: Contamination::default(),
        })
    }
}

impl LocalOutlierFactorParams {
    /// Neighbours of a row, clipped to one less than the reference; 20 unless set.
    #[must_use]
    pub fn n_neighbors(mut self, n_neighbors: usize) -> Self {
        self.0.n_neighbors = n_neighbors;
        self
    }

    /// Where the threshold comes from; a tenth of the reference unless set.
    #[must_use]
    pub fn contamination(mut self, contamination: Contamination) -> Self {
        self.0.contamination = contamination;
        self
    }
}

impl ParamGuard for LocalOutlierFactorParams {
    type Checked = LocalOutlierFactorValidParams;
    type Error = DetectError;

    fn check_ref(&self) -> Result<&Self::Checked> {
        if self.0.n_neighbors == 0 {
            return Err(DetectError::Hyperparameter {
                algorithm: ALGORITHM,
                parameter: "n_neighbors",
                expected: "at least 1",
                found: 0.0,
            });
        }
        self.0.contamination.check(ALGORITHM)?;
        Ok(&self.0)
    }

    fn check(self) -> Result<Self::Checked> {
        self.check_ref()?;
        Ok(self.0)
    }
}

impl<D: Data<Elem = f64>, T> Fit<ArrayBase<D, Ix2>, T, DetectError>
    for LocalOutlierFactorValidParams
{
    type Object = LocalOutlierFactor;

    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<LocalOutlierFactor> {
        check_reference(ALGORITHM, dataset.records())?;
        let records = dataset.records().as_standard_layout().into_owned();
        let n_neighbors = self.n_neighbors.min(records.nrows() - 1);
        let neighbourhoods = reference_neighbourhoods(&records, n_neighbors)?;
        let neighbour_distance: Array1<f64> =
            neighbourhoods.iter().map(|n| n.last().map_or(0.0, |last| last.distance)).collect();
        let reachability_density: Array1<f64> =
            neighbourhoods.iter().map(|n| density(n, &neighbour_distance)).collect();
        let reference_scores: Array1<f64> = neighbourhoods
            .iter()
            .zip(&reachability_density)
            .map(|(n, &own)| factor(n, own, &reachability_density))
            .collect();
        let threshold = self.contamination.threshold(&reference_scores, AUTO_THRESHOLD);
        Ok(LocalOutlierFactor {
            records,
            n_neighbors,
            neighbour_distance,
            reachability_density,
            reference_scores,
            threshold,
        })
    }
}

impl LocalOutlierFactor {
    /// Parameters to fit with.
    pub fn params() -> LocalOutlierFactorParams {
        LocalOutlierFactorParams::default()
    }

    /// Neighbours actually used, after clipping to the reference.
    pub fn n_neighbors(&self) -> usize {
        self.n_neighbors
    }
}

impl Detector for LocalOutlierFactor {
    fn columns(&self) -> usize {
        self.records.ncols()
    }

    fn reference_scores(&self) -> &Array1<f64> {
        &self.reference_scores
    }

    fn threshold(&self) -> f64 {
        self.threshold
    }

    fn score(&self, records: &ArrayView2<'_, f64>) -> Result<Array1<f64>> {
        check_queries(records, self.columns())?;
        let index = KdTree.from_batch(&self.records, L2Dist)?;
        records
            .as_standard_layout()
            .axis_iter(Axis(0))
            .map(|row| {
                let neighbours = nearest(index.as_ref(), row, self.n_neighbors)?;
                let own = density(&neighbours, &self.neighbour_distance);
                Ok(factor(&neighbours, own, &self.reachability_density))
            })
            .collect()
    }
}

#[derive(Debug, Clone, Copy)]
struct Neighbour {
    row: usize,
    distance: f64,
}

/// Neighbourhoods of the reference's own rows; a row is not its own neighbour.
fn reference_neighbourhoods(
    records: &Array2<f64>,
    n_neighbors: usize,
) -> Result<Vec<Vec<Neighbour>>> {
    let index = KdTree.from_batch(records, L2Dist)?;
    let without_itself = |(itself, row): (usize, ArrayView1<'_, f64>)| {
        // A row with many copies may not be among its own nearest; then a copy is dropped
        // instead, which is as far away.
        let mut neighbours = nearest(index.as_ref(), row, n_neighbors + 1)?;
        neighbours.retain(|neighbour| neighbour.row != itself);
        neighbours.truncate(n_neighbors);
        Ok(neighbours)
    };
    records.axis_iter(Axis(0)).enumerate().map(without_itself).collect()
}

/// The `count` nearest reference rows, nearest first, ties by position in the reference.
fn nearest(
    index: &dyn NearestNeighbourIndex<f64>,
    row: ArrayView1<'_, f64>,
    count: usize,
) -> Result<Vec<Neighbour>> {
    let distance_to = |point: ArrayView1<'_, f64>| L2Dist.distance(row, point);
    let furthest = index
        .k_nearest(row, count)?
        .into_iter()
        .map(|(point, _)| distance_to(point))
        .fold(0.0, f64::max);
    // The index breaks ties in the order of its own heap: look again for all that tie.
    let reach = furthest * (1.0 + TIE_MARGIN) + f64::MIN_POSITIVE.sqrt();
    let mut neighbours: Vec<Neighbour> = index
        .within_range(row, reach)?
        .into_iter()
        .map(|(point, row)| Neighbour { row, distance: distance_to(point) })
        .collect();
    neighbours.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
    neighbours.truncate(count);
    Ok(neighbours)
}

/// Definition 6 of Breunig et al.: inverse of the mean reachability distance (definition 5).
fn density(neighbours: &[Neighbour], neighbour_distance: &Array1<f64>) -> f64 {
    let reachability = neighbours.iter().map(|n| n.distance.max(neighbour_distance[n.row]));
    1.0 / (reachability.sum::<f64>() / neighbours.len() as f64 + DUPLICATE_DISTANCE)
}

/// Definition 7 of Breunig et al.: mean density of the neighbours relative to the row's own.
fn factor(neighbours: &[Neighbour], own: f64, densities: &Array1<f64>) -> f64 {
    let ratios = neighbours.iter().map(|n| densities[n.row] / own);
    ratios.sum::<f64>() / neighbours.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gaussian, outlier_is_flagged};
    use ndarray::array;

    fn rejected(params: &LocalOutlierFactorParams) -> &'static str {
        match params.check_ref() {
            Err(DetectError::Hyperparameter { parameter, .. }) => parameter,
            other => panic!("expected a rejected parameter, got {other:?}"),
        }
    }

    #[test]
    fn zero_neighbours_are_refused() {
        assert_eq!(rejected(&LocalOutlierFactor::params().n_neighbors(0)), "n_neighbors");
    }

    #[test]
    fn a_contamination_outside_its_range_is_refused() {
        for bad in [0.0, 0.51, f64::NAN] {
            let params = LocalOutlierFactor::params().contamination(Contamination::Share(bad));
            assert_eq!(rejected(&params), "contamination");
        }
    }

    #[test]
    fn an_outlier_is_flagged_and_the_centre_is_not() {
        let model = LocalOutlierFactor::params()
            .fit(&DatasetBase::from(gaussian(200, 2, 1)))
            .expect("valid reference");
        outlier_is_flagged(&model);
    }

    #[test]
    fn neighbours_are_clipped_to_one_less_than_the_reference() {
        let model = LocalOutlierFactor::params()
            .fit(&DatasetBase::from(array![[0.0], [1.0], [3.0]]))
            .expect("three rows");
        assert_eq!(model.n_neighbors(), 2);
    }

    #[test]
    fn more_copies_than_neighbours_stay_finite() {
        let mut reference = gaussian(40, 2, 3);
        reference.slice_mut(ndarray::s![..30, ..]).fill(0.25);
        let model = LocalOutlierFactor::params()
            .n_neighbors(5)
            .fit(&DatasetBase::from(reference))
            .expect("duplicates are allowed");
        assert!(model.reference_scores().iter().all(|s| s.is_finite()));
        let copy = model.score(&array![[0.25, 0.25]].view()).expect("finite");
        assert!((copy[0] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn of_rows_at_one_distance_the_first_wins() {
        let records = array![[1.0], [-1.0], [1.0], [5.0]];
        let index = KdTree.from_batch(&records, L2Dist).expect("one column");
        let found = nearest(index.as_ref(), array![0.0].view(), 2).expect("one column");
        assert_eq!(found.iter().map(|n| n.row).collect::<Vec<_>>(), [0, 1]);
    }
}
