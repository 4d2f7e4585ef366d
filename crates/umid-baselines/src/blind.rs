//! The blind control: can texts, or simple features of recordings, tell members from non-members? It never sees a model, so
//! anything above 0.5 is a difference between the two lists of texts, not memory in a model, and
//! no attack's result on such lists can be believed (Das, Zhang and Tramèr 2025, "Blind Baselines
//! Beat Membership Inference Attacks for Foundation Models").
//!
//! Character n-grams weighted by TF-IDF, or given features that are standardised, then logistic
//! regression, in stratified cross-validation: n-grams, their weights, means and deviations come from
//! the training folds alone, and each text is scored by the model that did not see it. It needs both
//! labels, so it is a control and not an attack.
//!
//! The area is the mean over folds of each fold's own, since scores of different models need not
//! share a scale. (The scores of all folds together are offered too; their pooled area can lie
//! below 0.5 where there is nothing to learn, as each fold's intercept opposes its test share.)
//!
//! **Cost**: no forward pass. Inner products are taken once per fold, and all permutations are fitted
//! together (see `kernel.rs` for why that is exact).

mod folds;
mod kernel;
mod tfidf;

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;
use umid_detect::{StandardScaler, auc};

use crate::checks;
use crate::error::{BaselineError, Result};
use folds::{deal, shuffle_within};
use kernel::KernelLogistic;
use tfidf::{Ngrams, SparseRow, TfIdf};

/// Decisions are rounded to this, above what the fit leaves open, so that equal texts tie.
const DECISION_STEP: f64 = 1e-7;
/// Labellings that are fitted together.
const TOGETHER: usize = 50;

/// How the control is run.
///
/// ```
/// use umid_baselines::BlindControl;
/// use umid_detect::ConformalCalibration;
///
/// let names: Vec<String> = (0..60).map(|i| format!("name{} {}", i % 7, i % 11)).collect();
/// let members: Vec<bool> = (0..60).map(|i| i % 2 == 0).collect();
/// let control = BlindControl { folds: 3, ..BlindControl::default() };
/// let prepared = control.prepare(&names, &members)?;
/// let observed = prepared.evaluate()?;
/// let null = prepared.permutation_null(19, 1)?;
/// // The share of the null at or above what was observed, which is itself counted among it.
/// assert!(ConformalCalibration::new(null)?.p_value(observed.area)? >= 0.05);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlindControl {
    /// Characters of the shortest n-grams, at least 1.
    pub shortest_ngram: usize,
    /// Characters of the longest n-grams.
    pub longest_ngram: usize,
    /// Training texts that an n-gram must stand in to be a feature, at least 1.
    pub min_documents: usize,
    /// Folds, at least 2 and at most the texts of the smaller class.
    pub folds: usize,
    /// scikit-learn's C: the larger, the weaker the L2 penalty on the weights.
    pub inverse_penalty: f64,
    /// Seed of the folds.
    pub seed: u64,
}

impl Default for BlindControl {
    /// n-grams of 1 to 4 characters in at least 2 texts, 5 folds, C = 1.
    fn default() -> Self {
        Self {
            shortest_ngram: 1,
            longest_ngram: 4,
            min_documents: 2,
            folds: 5,
            inverse_penalty: 1.0,
            seed: 0,
        }
    }
}

/// What the control finds.
#[derive(Debug, Clone, PartialEq)]
pub struct BlindOutcome {
    /// Log odds of being a member for each text, from the model that did not see it.
    pub scores: Vec<f64>,
    /// The fold in which each text was tested.
    pub fold_of: Vec<usize>,
    /// Area under the ROC curve in each fold.
    pub fold_areas: Vec<f64>,
    /// Their mean.
    pub area: f64,
}

/// Features of every fold, ready for any labels.
#[derive(Debug)]
pub struct PreparedBlindControl {
    members: Vec<bool>,
    fold_of: Vec<usize>,
    folds: Vec<Fold>,
}

#[derive(Debug)]
struct Fold {
    train: Vec<usize>,
    test: Vec<usize>,
    /// Of the training texts.
    model: KernelLogistic,
    /// Inner products with the training texts, `[test, train]`.
    tested: Array2<f64>,
}

impl BlindControl {
    /// Deals the folds and makes their features.
    ///
    /// # Errors
    /// A setting outside its range, a label count other than the texts', a class with fewer texts
    /// than folds, or training texts without a shared n-gram.
    pub fn prepare<S: AsRef<str> + Sync>(
        &self,
        texts: &[S],
        members: &[bool],
    ) -> Result<PreparedBlindControl> {
        self.check(texts.len(), members)?;
        let ngrams = Ngrams {
            shortest: self.shortest_ngram,
            longest: self.longest_ngram,
            min_documents: self.min_documents,
        };
        self.deal(members, |train, test| {
            let train: Vec<&str> = train.iter().map(|&text| texts[text].as_ref()).collect();
            let features = TfIdf::fit(ngrams, &train)?;
            let rows: Vec<SparseRow> = train.iter().map(|text| features.row(text)).collect();
            let test: Vec<SparseRow> =
                test.iter().map(|&text| features.row(texts[text].as_ref())).collect();
            Ok([tfidf::inner_products(&rows, &rows), tfidf::inner_products(&test, &rows)])
        })
    }

    /// The same for features of recordings instead of texts, one row per person: each is
    /// standardised by the training folds.
    ///
    /// # Shapes
    /// `features` `[people, features]`.
    ///
    /// # Errors
    /// A setting outside its range, a label count other than the rows', a class with fewer rows than
    /// folds, or a feature that is not finite.
    pub fn prepare_features(
        &self,
        features: &ArrayView2<'_, f64>,
        members: &[bool],
    ) -> Result<PreparedBlindControl> {
        self.check(features.nrows(), members)?;
        checks::finite("features", features)?;
        self.deal(members, |train, test| {
            let train = features.select(Axis(0), train);
            let scaler = StandardScaler::fit(&train)?;
            let train = scaler.transform(&train.view())?;
            let test = scaler.transform(&features.select(Axis(0), test).view())?;
            Ok([train.dot(&train.t()), test.dot(&train.t())])
        })
    }

    /// Deals the folds; `kernels` has the inner products of the training rows with each other and of
    /// the test rows with them.
    fn deal(
        &self,
        members: &[bool],
        kernels: impl Fn(&[usize], &[usize]) -> Result<[Array2<f64>; 2]> + Sync,
    ) -> Result<PreparedBlindControl> {
        let fold_of = deal(members, self.folds, self.seed);
        let fold = |fold: usize| {
            let (test, train): (Vec<usize>, Vec<usize>) =
                (0..members.len()).partition(|&text| fold_of[text] == fold);
            let [kernel, tested] = kernels(&train, &test)?;
            let model = KernelLogistic::new(&kernel.view(), self.inverse_penalty);
            Ok(Fold { train, test, model, tested })
        };
        let folds = (0..self.folds).into_par_iter().map(fold).collect::<Result<_>>()?;
        Ok(PreparedBlindControl { members: members.to_vec(), fold_of, folds })
    }

    fn check(&self, texts: usize, members: &[bool]) -> Result<()> {
        let reject = |argument, expected, found: usize| {
            Err(BaselineError::Argument { argument, expected, found: found as f64 })
        };
        if self.shortest_ngram == 0 {
            return reject("shortest_ngram", "at least 1", self.shortest_ngram);
        }
        if self.longest_ngram < self.shortest_ngram {
            return reject("longest_ngram", "at least `shortest_ngram`", self.longest_ngram);
        }
        if self.min_documents == 0 {
            return reject("min_documents", "at least 1", self.min_documents);
        }
        if self.folds < 2 {
            return reject("folds", "at least 2", self.folds);
        }
        checks::positive("inverse_penalty", self.inverse_penalty)?;
        checks::same_size("labels", texts, members.len())?;
        let found = members.iter().filter(|&&member| member).count();
        checks::at_least("member texts", self.folds, found)?;
        checks::at_least("non-member texts", self.folds, texts - found)
    }
}

impl PreparedBlindControl {
    /// Cross-validates with the true labels.
    ///
    /// # Errors
    /// Where a fit does not converge.
    pub fn evaluate(&self) -> Result<BlindOutcome> {
        let labels = std::slice::from_ref(&self.members);
        let decisions: Vec<Vec<f64>> = self
            .folds
            .par_iter()
            .map(|fold| Ok(fold.decide(labels)?.remove(0)))
            .collect::<Result<_>>()?;
        let mut scores = vec![0.0; self.members.len()];
        for (fold, decisions) in self.folds.iter().zip(&decisions) {
            fold.test.iter().zip(decisions).for_each(|(&text, &score)| scores[text] = score);
        }
        let fold_areas: Vec<f64> = self
            .folds
            .iter()
            .zip(&decisions)
            .map(|(fold, decisions)| fold.area(decisions, &self.members))
            .collect::<Result<_>>()?;
        let area = mean(&fold_areas);
        Ok(BlindOutcome { scores, fold_of: self.fold_of.clone(), fold_areas, area })
    }

    /// The areas that the control finds with shuffled labels, one per permutation: what it would
    /// find if membership had nothing to do with the texts. The p-value of the observed area is
    /// [`umid_detect::ConformalCalibration::p_value`] of it (Phipson and Smyth 2010).
    ///
    /// Labels are shuffled within folds. Given the folds, every such labelling is as likely as the
    /// true one under the null, so the test is exact, and every fold keeps its share of members.
    ///
    /// # Errors
    /// When `permutations` is 0, or a fit does not converge.
    pub fn permutation_null(&self, permutations: usize, seed: u64) -> Result<Vec<f64>> {
        checks::at_least("permutations", 1, permutations)?;
        let folds = self.folds.len();
        let labels: Vec<Vec<bool>> = (0..permutations)
            .map(|p| shuffle_within(&self.members, &self.fold_of, folds, seed, p))
            .collect();
        let jobs: Vec<(&[Vec<bool>], &Fold)> = labels
            .chunks(TOGETHER)
            .flat_map(|labels| self.folds.iter().map(move |fold| (labels, fold)))
            .collect();
        let of_job = |(labels, fold): &(&[Vec<bool>], &Fold)| {
            let decided = fold.decide(labels)?;
            let areas = decided.iter().zip(*labels).map(|(d, labels)| fold.area(d, labels));
            areas.collect::<Result<Vec<f64>>>()
        };
        let areas: Vec<Vec<f64>> = jobs.par_iter().map(of_job).collect::<Result<_>>()?;
        let of_chunk = |areas: &[Vec<f64>]| -> Vec<f64> {
            let of_labels = |p: usize| areas.iter().map(|of_fold| of_fold[p]).collect::<Vec<f64>>();
            (0..areas[0].len()).map(|p| mean(&of_labels(p))).collect()
        };
        Ok(areas.chunks(folds).flat_map(of_chunk).collect())
    }
}

impl Fold {
    /// Scores of the test texts by models of the training texts, one list for each labelling.
    fn decide(&self, labels: &[Vec<bool>]) -> Result<Vec<Vec<f64>>> {
        let label =
            |(row, column): (usize, usize)| f64::from(u8::from(labels[column][self.train[row]]));
        let labels = Array2::from_shape_fn((self.train.len(), labels.len()), label);
        let decided = self.model.fit(&labels.view())?.decide(&self.tested.view());
        let rounded = decided.mapv(|score| (score / DECISION_STEP).round() * DECISION_STEP);
        Ok(rounded.columns().into_iter().map(|column| column.to_vec()).collect())
    }

    fn area(&self, decisions: &[f64], members: &[bool]) -> Result<f64> {
        let of = |wanted: bool| -> Vec<f64> {
            let labelled = self.test.iter().zip(decisions);
            labelled
                .filter(|(text, _)| members[**text] == wanted)
                .map(|(_, score)| *score)
                .collect()
        };
        Ok(auc(&of(true), &of(false))?)
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests;
