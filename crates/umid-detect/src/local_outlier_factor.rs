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

use std::cmp::Ordering;

use linfa::dataset::DatasetBase;
use linfa::traits::Fit;
use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use crate::contamination::Contamination;
use crate::detector::Detector;
use crate::error::{DetectError, Result, at_least_one};
use crate::parameters::parameters;
use crate::records::check_reference;

const ALGORITHM: &str = "local outlier factor";
/// Neighbours that work well in general (scikit-learn's default; Breunig et al., section 6.2,
/// advise 10 to 20 as the lower end).
const DEFAULT_N_NEIGHBORS: usize = 20;
/// Added to the mean reachability distance: more copies of a row than neighbours would otherwise
/// give an infinite density. scikit-learn's value.
const DUPLICATE_DISTANCE: f64 = 1e-10;
/// Factor that scikit-learn takes as the threshold when the contamination is automatic.
const AUTO_THRESHOLD: f64 = 1.5;

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
    neighbour_distance: Vec<f64>,
    reachability_density: Vec<f64>,
    reference_scores: Vec<f64>,
    threshold: f64,
}

parameters!(
    LocalOutlierFactor,
    LocalOutlierFactorParams,
    LocalOutlierFactorValidParams {
        /// Neighbours of a row, clipped to one less than the reference; 20 unless set.
        n_neighbors: usize = DEFAULT_N_NEIGHBORS,
        /// Where the threshold comes from; a tenth of the reference unless set.
        contamination: Contamination = Contamination::default(),
    }
);

impl LocalOutlierFactorValidParams {
    fn check_values(&self) -> Result<()> {
        at_least_one(ALGORITHM, "n_neighbors", self.n_neighbors)?;
        self.contamination.check(ALGORITHM)
    }
}

impl<T> Fit<Array2<f64>, T, DetectError> for LocalOutlierFactorValidParams {
    type Object = LocalOutlierFactor;

    fn fit(&self, dataset: &DatasetBase<Array2<f64>, T>) -> Result<LocalOutlierFactor> {
        let records = dataset.records().clone();
        check_reference(ALGORITHM, &records)?;
        let n_neighbors = self.n_neighbors.min(records.nrows() - 1);
        let rows = records.rows().into_iter().enumerate();
        let neighbourhoods: Vec<Vec<Neighbour>> =
            rows.map(|(itself, row)| nearest(&records, row, Some(itself), n_neighbors)).collect();
        let neighbour_distance: Vec<f64> =
            neighbourhoods.iter().map(|n| n.last().map_or(0.0, |last| last.distance)).collect();
        let reachability_density: Vec<f64> =
            neighbourhoods.iter().map(|n| density(n, &neighbour_distance)).collect();
        let reference_scores: Vec<f64> = neighbourhoods
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
    /// Neighbours actually used, after clipping to the reference.
    pub fn n_neighbors(&self) -> usize {
        self.n_neighbors
    }
}

impl Detector for LocalOutlierFactor {
    fn name(&self) -> &'static str {
        "local_outlier_factor"
    }

    fn columns(&self) -> usize {
        self.records.ncols()
    }

    fn reference_scores(&self) -> &[f64] {
        &self.reference_scores
    }

    fn threshold(&self) -> f64 {
        self.threshold
    }

    fn score_row(&self, row: ArrayView1<'_, f64>) -> f64 {
        let neighbours = nearest(&self.records, row, None, self.n_neighbors);
        let own = density(&neighbours, &self.neighbour_distance);
        factor(&neighbours, own, &self.reachability_density)
    }
}

#[derive(Debug, Clone, Copy)]
struct Neighbour {
    row: usize,
    distance: f64,
}

impl Neighbour {
    /// The nearer comes first; of two at one distance, the one that is first in the reference.
    fn order(a: &Self, b: &Self) -> Ordering {
        a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row))
    }
}

/// The `count` reference rows nearest to a row, nearest first. A row of the reference is not its own
/// neighbour.
fn nearest(
    reference: &Array2<f64>,
    row: ArrayView1<'_, f64>,
    itself: Option<usize>,
    count: usize,
) -> Vec<Neighbour> {
    let distance = |other: ArrayView1<'_, f64>| {
        row.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    };
    let mut neighbours: Vec<Neighbour> = reference
        .rows()
        .into_iter()
        .enumerate()
        .filter(|(other, _)| Some(*other) != itself)
        .map(|(other, values)| Neighbour { row: other, distance: distance(values) })
        .collect();
    if count < neighbours.len() {
        neighbours.select_nth_unstable_by(count, Neighbour::order);
        neighbours.truncate(count);
    }
    neighbours.sort_unstable_by(Neighbour::order);
    neighbours
}

/// Definition 6 of Breunig et al.: inverse of the mean reachability distance (definition 5).
fn density(neighbours: &[Neighbour], neighbour_distance: &[f64]) -> f64 {
    let reachability = neighbours.iter().map(|n| n.distance.max(neighbour_distance[n.row]));
    1.0 / (reachability.sum::<f64>() / neighbours.len() as f64 + DUPLICATE_DISTANCE)
}

/// Definition 7 of Breunig et al.: mean density of the neighbours relative to the row's own.
fn factor(neighbours: &[Neighbour], own: f64, densities: &[f64]) -> f64 {
    let ratios = neighbours.iter().map(|n| densities[n.row] / own);
    ratios.sum::<f64>() / neighbours.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{behaves_as_a_detector, gaussian, outlier_is_flagged};
    use linfa::ParamGuard;

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
    fn it_behaves_as_a_detector() {
        behaves_as_a_detector(|reference| {
            LocalOutlierFactor::params().fit(reference).expect("valid reference")
        });
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
        let found = nearest(&records, array![0.0].view(), None, 2);
        assert_eq!(found.iter().map(|n| n.row).collect::<Vec<_>>(), [0, 1]);
    }
}
