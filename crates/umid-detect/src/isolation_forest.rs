//! Isolation forest: Liu, Ting and Zhou, "Isolation Forest", ICDM 2008 (equations 1 and 2,
//! algorithms 1 to 3).
//!
//! A row that random axis-parallel cuts separate from the rest after few cuts is an anomaly. As in
//! scikit-learn's `IsolationForest`: trees grow on subsamples without replacement to a depth of
//! `ceil(log2(max_samples))`, cuts fall on columns that still vary, and the threshold is a
//! percentile of the reference's own scores. Each tree draws from its own stream of the seed, so
//! tree `t` is the same in a forest of any size.

use linfa::dataset::DatasetBase;
use linfa::traits::Fit;
use ndarray::{Array2, ArrayView1};
use rand::RngExt;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::contamination::Contamination;
use crate::detector::Detector;
use crate::error::{DetectError, Result, at_least_one};
use crate::parameters::parameters;
use crate::records::check_reference;
use crate::streams::stream;

const ALGORITHM: &str = "isolation forest";
/// Trees after which the path length has converged (Liu et al., section 4.1).
const DEFAULT_N_ESTIMATORS: usize = 100;
/// Subsample that is enough to tell anomalies apart (Liu et al., section 4.1).
const DEFAULT_MAX_SAMPLES: usize = 256;
pub(crate) const TREE_PURPOSE: &str = "umid 2026 isolation forest tree";
/// Score of a row whose path is as long as an average one: the limit that Liu et al. (section 2)
/// name for "no distinct anomaly".
const AUTO_THRESHOLD: f64 = 0.5;

/// A fitted isolation forest. Scores are in `0..=1`, higher is more anomalous.
///
/// ```
/// use linfa::prelude::*;
/// use ndarray::{Array2, array};
/// use umid_detect::{Detector, IsolationForest};
///
/// let reference = Array2::from_shape_fn((64, 2), |(i, j)| ((i * 7 + j * 13) % 17) as f64);
/// let forest = IsolationForest::params().seed(7).fit(&DatasetBase::from(reference))?;
/// let scores = forest.score(&array![[8.0, 8.0], [90.0, -40.0]].view())?;
/// assert!(scores[1] > scores[0]);
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IsolationForest {
    trees: Vec<Node>,
    columns: usize,
    max_samples: usize,
    reference_scores: Vec<f64>,
    threshold: f64,
}

parameters!(
    IsolationForest,
    IsolationForestParams,
    IsolationForestValidParams {
        /// Number of trees; 100 unless set.
        n_estimators: usize = DEFAULT_N_ESTIMATORS,
        /// Rows drawn for each tree, clipped to the rows of the reference; 256 unless set.
        max_samples: usize = DEFAULT_MAX_SAMPLES,
        /// Where the threshold comes from; a tenth of the reference unless set.
        contamination: Contamination = Contamination::default(),
        /// Seed of the subsamples and cuts; 0 unless set.
        seed: u64 = 0,
    }
);

impl IsolationForestValidParams {
    fn check_values(&self) -> Result<()> {
        at_least_one(ALGORITHM, "n_estimators", self.n_estimators)?;
        at_least_one(ALGORITHM, "max_samples", self.max_samples)?;
        self.contamination.check(ALGORITHM)
    }
}

impl<T> Fit<Array2<f64>, T, DetectError> for IsolationForestValidParams {
    type Object = IsolationForest;

    fn fit(&self, dataset: &DatasetBase<Array2<f64>, T>) -> Result<IsolationForest> {
        let records = dataset.records();
        check_reference(ALGORITHM, records)?;
        let max_samples = self.max_samples.min(records.nrows());
        let trees = (0..self.n_estimators as u64)
            .map(|tree| {
                let mut rng = stream(TREE_PURPOSE, self.seed, tree);
                let rows = index::sample(&mut rng, records.nrows(), max_samples).into_vec();
                Node::grow(records, rows, depth_limit(max_samples), &mut rng)
            })
            .collect();
        let mut forest = IsolationForest {
            trees,
            columns: records.ncols(),
            max_samples,
            reference_scores: Vec::new(),
            threshold: AUTO_THRESHOLD,
        };
        forest.reference_scores = forest.score(&records.view())?;
        forest.threshold = self.contamination.threshold(&forest.reference_scores, AUTO_THRESHOLD);
        Ok(forest)
    }
}

impl Detector for IsolationForest {
    fn name(&self) -> &'static str {
        "isolation_forest"
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn reference_scores(&self) -> &[f64] {
        &self.reference_scores
    }

    fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Equation 2 of Liu et al.: `2^(-E[h(x)] / c(max_samples))`.
    fn score_row(&self, row: ArrayView1<'_, f64>) -> f64 {
        let total: f64 = self.trees.iter().map(|tree| tree.path_length(row)).sum();
        let normaliser = self.trees.len() as f64 * average_path_length(self.max_samples);
        // Trees of a single row have no path to compare with: scikit-learn's answer is one half.
        let relative = if normaliser > 0.0 { total / normaliser } else { 1.0 };
        (-relative).exp2()
    }
}

/// A node of an isolation tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Node {
    /// Rows that were not separated any further.
    Leaf { rows: usize },
    /// Rows with `value <= cut` in `column` go left.
    Cut { column: usize, cut: f64, left: Box<Node>, right: Box<Node> },
}

impl Node {
    fn grow(
        records: &Array2<f64>,
        rows: Vec<usize>,
        depth_left: u32,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let leaf = Self::Leaf { rows: rows.len() };
        if depth_left == 0 || rows.len() < 2 {
            return leaf;
        }
        let varying: Vec<(usize, f64, f64)> = (0..records.ncols())
            .map(|column| {
                let (low, high) = column_range(records, &rows, column);
                (column, low, high)
            })
            .filter(|(_, low, high)| low < high)
            .collect();
        if varying.is_empty() {
            return leaf;
        }
        let (column, low, high) = varying[rng.random_range(0..varying.len())];
        let drawn = low + rng.random::<f64>() * (high - low);
        // Rounding (or overflow of the range) may reach the top, which would leave a side empty.
        let cut = if drawn < high { drawn } else { low };
        let (left, right) = rows.into_iter().partition(|&row| records[[row, column]] <= cut);
        Self::Cut {
            column,
            cut,
            left: Box::new(Self::grow(records, left, depth_left - 1, rng)),
            right: Box::new(Self::grow(records, right, depth_left - 1, rng)),
        }
    }

    /// Algorithm 3 of Liu et al.: cuts passed, plus what an unfinished leaf would have needed.
    fn path_length(&self, row: ArrayView1<'_, f64>) -> f64 {
        let mut node = self;
        let mut cuts_passed = 0.0;
        loop {
            match node {
                Self::Leaf { rows } => return cuts_passed + average_path_length(*rows),
                Self::Cut { column, cut, left, right } => {
                    node = if row[*column] <= *cut { left } else { right };
                    cuts_passed += 1.0;
                }
            }
        }
    }
}

fn column_range(records: &Array2<f64>, rows: &[usize], column: usize) -> (f64, f64) {
    rows.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &row| {
        let value = records[[row, column]];
        (low.min(value), high.max(value))
    })
}

/// `ceil(log2(max_samples))`, at least 1: the average depth, beyond which rows are not anomalies.
fn depth_limit(max_samples: usize) -> u32 {
    max_samples.max(2).next_power_of_two().ilog2()
}

/// Equation 1 of Liu et al.: average path length of an unsuccessful search in a binary search tree
/// of `rows` keys, with the harmonic number by `ln(n - 1) + gamma` as scikit-learn has it.
pub fn average_path_length(rows: usize) -> f64 {
    match rows {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => {
            let n = rows as f64;
            2.0 * ((n - 1.0).ln() + std::f64::consts::EULER_GAMMA) - 2.0 * (n - 1.0) / n
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{behaves_as_a_detector, gaussian, outlier_is_flagged};
    use linfa::ParamGuard;

    use ndarray::array;

    fn rejected(params: &IsolationForestParams) -> &'static str {
        match params.check_ref() {
            Err(DetectError::Hyperparameter { parameter, .. }) => parameter,
            other => panic!("expected a rejected parameter, got {other:?}"),
        }
    }

    #[test]
    fn zero_trees_are_refused() {
        assert_eq!(rejected(&IsolationForest::params().n_estimators(0)), "n_estimators");
    }

    #[test]
    fn zero_samples_are_refused() {
        assert_eq!(rejected(&IsolationForest::params().max_samples(0)), "max_samples");
    }

    #[test]
    fn a_contamination_outside_its_range_is_refused() {
        for bad in [0.0, 0.51, f64::NAN] {
            let params = IsolationForest::params().contamination(Contamination::Share(bad));
            assert_eq!(rejected(&params), "contamination");
        }
    }

    #[test]
    fn it_behaves_as_a_detector() {
        behaves_as_a_detector(|reference| {
            IsolationForest::params().seed(3).fit(reference).expect("valid reference")
        });
    }

    #[test]
    fn an_outlier_is_flagged_and_the_centre_is_not() {
        let forest = IsolationForest::params()
            .fit(&DatasetBase::from(gaussian(200, 2, 1)))
            .expect("valid reference");
        outlier_is_flagged(&forest);
    }

    #[test]
    fn the_depth_limit_is_the_ceiling_of_the_logarithm() {
        for (samples, depth) in [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8), (257, 9)] {
            assert_eq!(depth_limit(samples), depth, "max_samples {samples}");
        }
    }

    #[test]
    fn identical_rows_all_score_the_same() {
        let reference = Array2::from_elem((10, 2), 3.0);
        let forest = IsolationForest::params()
            .fit(&DatasetBase::from(reference))
            .expect("constant columns are allowed");
        let scores = forest.score(&array![[3.0, 3.0], [9.0, 9.0]].view()).expect("finite");
        assert!((scores[0] - 0.5).abs() < 1e-12 && (scores[1] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_tree_does_not_depend_on_how_many_others_grow() {
        let reference = DatasetBase::from(gaussian(50, 2, 2));
        let few = IsolationForest::params().n_estimators(2).fit(&reference).expect("valid");
        let many = IsolationForest::params().n_estimators(5).fit(&reference).expect("valid");
        assert_eq!(few.trees[..], many.trees[..2]);
    }
}
