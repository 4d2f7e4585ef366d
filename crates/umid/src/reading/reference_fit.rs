//! What the references make of themselves: the fitted ensemble of the paper's reading, the
//! fitted tests of the calibrated reading, and the signals that the report plots.
//!
//! Both are computed from the reference alone and can be kept in the user's cache.

use std::collections::BTreeMap;

use linfa::DatasetBase;
use linfa::traits::Fit;
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use umid_detect::{
    CalibratedTest, DEFAULT_FIT_FRACTION, DetectError, Ensemble, EnsembleParams,
    MIN_CALIBRATION_ROWS, Split,
};
use umid_signals::inversion::{SIMILARITY, VARIABILITY};
use umid_signals::score::oriented;
use umid_signals::text::INTERACTION;
use umid_signals::{Signal, SignalRow};

use crate::error::AuditError;
use crate::queries::Query;
use crate::record::{CalibratedReading, PaperReading};
use crate::score::weights;

/// Signals of a reference's texts, in the texts' order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReferenceSignals {
    pub(crate) rows: Vec<SignalRow>,
}

impl ReferenceSignals {
    /// By signal name, for `run.json`.
    pub(crate) fn by_name(&self) -> BTreeMap<String, Vec<Option<f64>>> {
        let mut columns: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
        for signal in self.rows.iter().flat_map(BTreeMap::keys) {
            columns.entry(signal.name().to_owned()).or_default();
        }
        for (name, column) in &mut columns {
            column.extend(self.rows.iter().map(|row| {
                row.iter().find(|(s, _)| s.name() == name).and_then(|(_, value)| *value)
            }));
        }
        columns
    }
}

/// The rows of a reference that set scales and neighbours, and those that calibrate p-values.
pub(crate) fn split(count: usize, seed: u64) -> Result<Split, AuditError> {
    Ok(Split::new(count, DEFAULT_FIT_FRACTION, seed)?)
}

/// Refuses, before anything is computed, names that could not calibrate a p-value.
///
/// # Errors
///
/// [`AuditError::CalibrationNames`].
pub(crate) fn check_names(names: &[Query], seed: u64) -> Result<(), AuditError> {
    // Too few names to split are too few to calibrate with.
    let calibration = split(names.len(), seed).map_or_else(|_| vec![], |split| split.calibration);
    let ask = (MIN_CALIBRATION_ROWS as f64 / (1.0 - DEFAULT_FIT_FRACTION)).ceil() as usize;
    let check = |kind, found| {
        let needed = MIN_CALIBRATION_ROWS;
        if found < needed {
            return Err(AuditError::CalibrationNames { kind, found, needed, ask });
        }
        Ok(())
    };
    check("names", calibration.len())?;
    if mostly_two_parts(names.iter().map(|name| name.parts.is_some())) {
        let two_parts = calibration.iter().filter(|row| names[**row].parts.is_some());
        check("names of two parts", two_parts.count())?;
    }
    Ok(())
}

/// Whether names like these calibrate the score of names with two parts. Half is a matter of
/// judgement: below it, the reference is of another kind of name.
pub(crate) fn mostly_two_parts(names: impl ExactSizeIterator<Item = bool>) -> bool {
    let count = names.len();
    names.filter(|has_parts| *has_parts).count() * 2 >= count
}

/// Refuses votes that the paper's detectors cannot give.
///
/// # Errors
///
/// [`AuditError::MinVotes`].
pub(crate) fn check_votes(min_votes: usize) -> Result<(), AuditError> {
    if (1..=DETECTORS).contains(&min_votes) {
        Ok(())
    } else {
        Err(AuditError::MinVotes { found: min_votes, most: DETECTORS })
    }
}

/// The paper's reading: an ensemble over (similarity, variability), fitted on gibberish.
pub(crate) struct PaperReader {
    ensemble: Ensemble,
}

/// Detectors of the paper's ensemble.
const DETECTORS: usize = 4;

/// The signals that the paper's ensemble sees.
static PAPER_SIGNALS: [Signal; 2] = [SIMILARITY.signal(), VARIABILITY.signal()];

impl PaperReader {
    /// # Errors
    ///
    /// [`AuditError::ReferenceFailed`] where fewer than half of the reference's inversions
    /// gave both signals, and those of the detectors.
    pub(crate) fn fit(
        reference: &ReferenceSignals,
        min_votes: usize,
        seed: u64,
    ) -> Result<Self, AuditError> {
        let rows: Vec<[f64; 2]> = reference.rows.iter().filter_map(paper_row).collect();
        if rows.len() * 2 < reference.rows.len() {
            return Err(AuditError::ReferenceFailed {
                usable: rows.len(),
                count: reference.rows.len(),
            });
        }
        let records = Array2::from(rows);
        let ensemble =
            EnsembleParams::paper(seed).min_votes(min_votes).fit(&DatasetBase::from(records))?;
        Ok(Self { ensemble })
    }

    /// `None` where the inversions gave no similarity or no variability.
    ///
    /// # Errors
    ///
    /// Those of the detectors.
    pub(crate) fn read(&self, row: &SignalRow) -> Result<Option<PaperReading>, AuditError> {
        let Some(values) = paper_row(row) else { return Ok(None) };
        let view = ArrayView2::from_shape((1, 2), &values).expect("two values");
        let reading = self.ensemble.read(&view)?.remove(0);
        Ok(Some(PaperReading {
            scores: reading.opinions.iter().map(|o| (o.detector.clone(), o.score)).collect(),
            flags: reading.opinions.iter().map(|o| (o.detector.clone(), o.anomalous)).collect(),
            votes: reading.votes,
            vote_score: reading.vote_score,
            member: reading.decision == umid_detect::Decision::Member,
        }))
    }
}

fn paper_row(row: &SignalRow) -> Option<[f64; 2]> {
    let value = |signal: Signal| row.get(&signal).copied().flatten();
    Some([value(PAPER_SIGNALS[0])?, value(PAPER_SIGNALS[1])?])
}

/// The calibrated reading: one test for names of two parts, one for the others.
pub(crate) struct CalibratedReader {
    two_parts: Option<Test>,
    one_part: Test,
    alpha: f64,
}

struct Test {
    score: Vec<(Signal, f64)>,
    test: CalibratedTest,
}

impl CalibratedReader {
    /// Fits both tests on the reference's names, the first on those that have two parts.
    ///
    /// # Errors
    ///
    /// Those of the test, such as a reference that is too small.
    pub(crate) fn fit(
        reference: &ReferenceSignals,
        score: &[(Signal, f64)],
        one_part_score: &[(Signal, f64)],
        alpha: f64,
        split: &Split,
    ) -> Result<Self, AuditError> {
        let one_part = Test::fit(reference, one_part_score, split)?;
        let two_parts = if mostly_two_parts(reference.rows.iter().map(has_parts)) {
            Some(Test::fit(reference, score, split)?)
        } else {
            None
        };
        Ok(Self { two_parts, one_part, alpha })
    }

    /// Whether names of two parts are tested by their own score.
    pub(crate) fn has_two_part_test(&self) -> bool {
        self.two_parts.is_some()
    }

    /// Tests a query by its row of signals.
    ///
    /// # Errors
    ///
    /// Those of the test.
    pub(crate) fn read(&self, row: &SignalRow) -> Result<CalibratedReading, AuditError> {
        let Test { score, test } = match &self.two_parts {
            Some(two_parts) if has_parts(row) => two_parts,
            _ => &self.one_part,
        };
        let outcome = test.test(&oriented(score, row))?;
        Ok(CalibratedReading {
            score: outcome.score,
            p_value: outcome.p_value,
            signals_used: outcome.signals_used,
            detected: outcome.p_value <= self.alpha,
        })
    }
}

/// Whether the row is of a name with two parts.
fn has_parts(row: &SignalRow) -> bool {
    matches!(row.get(&INTERACTION.signal()), Some(Some(_)))
}

impl Test {
    fn fit(
        reference: &ReferenceSignals,
        score: &[(Signal, f64)],
        split: &Split,
    ) -> Result<Self, DetectError> {
        // Signals that the whole run lacks (no bank, one template) are not part of its score.
        let present: Vec<(Signal, f64)> = score
            .iter()
            .filter(|(signal, _)| {
                reference.rows.iter().any(|r| matches!(r.get(signal), Some(Some(_))))
            })
            .copied()
            .collect();
        let rows: Vec<_> = reference.rows.iter().map(|row| oriented(&present, row)).collect();
        let test = CalibratedTest::fit(&weights(&present), &rows, split)?;
        Ok(Self { test, score: present })
    }
}

#[cfg(test)]
mod tests {
    use umid_signals::text::{
        RESPONSE_AGREEMENT, RESPONSE_AGREEMENT_CALIBRATED, RESPONSE_COHERENCE_CALIBRATED,
        RESPONSE_INTERACTION, RESPONSE_NORM, RESPONSE_NORM_CALIBRATED, TEMPLATE_AGREEMENT,
        TEXT_NORM,
    };

    use super::*;
    use crate::score::{DEFAULT_SCORE, ONE_PART_SCORE};

    const ALPHA: f64 = 0.05;
    const SEED: u64 = 3;

    fn name(i: usize, has_parts: bool) -> Query {
        let parts = has_parts.then(|| (format!("A{i}"), format!("B{i}")));
        Query { id: i.to_string(), text: format!("A{i} B{i}"), parts }
    }

    /// A row whose signals are spread over the reference without a pattern.
    fn row(i: usize, has_parts: bool) -> SignalRow {
        let value = |shift: usize| ((i * 7919 + shift * 104_729) % 1009) as f64 / 1009.0;
        let of_parts = |shift| has_parts.then(|| value(shift));
        SignalRow::from([
            (SIMILARITY.signal(), Some(value(1))),
            (VARIABILITY.signal(), Some(value(2))),
            (TEXT_NORM.signal(), Some(value(3))),
            (TEMPLATE_AGREEMENT.signal(), Some(value(4))),
            (INTERACTION.signal(), of_parts(5)),
            (RESPONSE_NORM.signal(), Some(value(3))),
            (RESPONSE_AGREEMENT.signal(), Some(value(4))),
            (RESPONSE_INTERACTION.signal(), of_parts(5)),
            (RESPONSE_COHERENCE_CALIBRATED.signal(), of_parts(6)),
            (RESPONSE_NORM_CALIBRATED.signal(), of_parts(7)),
            (RESPONSE_AGREEMENT_CALIBRATED.signal(), of_parts(8)),
        ])
    }

    fn reference(count: usize, two_parts: impl Fn(usize) -> bool) -> ReferenceSignals {
        ReferenceSignals { rows: (0..count).map(|i| row(i, two_parts(i))).collect() }
    }

    fn calibrated(reference: &ReferenceSignals) -> CalibratedReader {
        let split = split(reference.rows.len(), SEED).unwrap();
        CalibratedReader::fit(reference, &DEFAULT_SCORE, &ONE_PART_SCORE, ALPHA, &split).unwrap()
    }

    #[test]
    fn neighbours_and_scales_come_from_the_same_part() {
        // A row of the fit part moves the score of a query, one of the calibration part its
        // p-value alone.
        let query = row(1000, true);
        let before = calibrated(&reference(60, |_| true)).read(&query).unwrap();
        let fit = split(60, SEED).unwrap().fit;
        for moved in 0..60 {
            let mut changed = reference(60, |_| true);
            changed.rows[moved].insert(RESPONSE_INTERACTION.signal(), Some(50.0));
            let after = calibrated(&changed).read(&query).unwrap();
            let in_fit_part = fit.binary_search(&moved).is_ok();
            assert_eq!(after.score.to_bits() != before.score.to_bits(), in_fit_part, "{moved}");
        }
    }

    #[test]
    fn a_name_of_one_part_is_tested_by_its_own_score_and_the_whole_reference() {
        let reader = calibrated(&reference(60, |i| i % 4 != 0));
        assert!(reader.has_two_part_test());
        let two = reader.read(&row(1000, true)).unwrap();
        assert!(two.signals_used.contains(&"response_interaction".to_owned()));
        // No bank: its term is not part of the score.
        assert_eq!(two.signals_used.len(), 4);
        let one = reader.read(&row(1000, false)).unwrap();
        assert_eq!(one.signals_used, ["response_norm", "response_agreement"]);
        // Ranked among the 40 of the calibration part that have these signals: all of them.
        let rank = one.p_value * 41.0;
        assert!((rank - rank.round()).abs() < 1e-9, "{rank}");
    }

    #[test]
    fn a_reference_of_one_part_names_tests_all_names_by_their_score() {
        let reader = calibrated(&reference(60, |i| i % 4 == 0));
        assert!(!reader.has_two_part_test());
        let two = reader.read(&row(1000, true)).unwrap();
        assert_eq!(two.signals_used, ["response_norm", "response_agreement"]);
    }

    #[test]
    fn names_that_cannot_calibrate_are_refused_before_anything_is_computed() {
        let names = |count: usize, two_parts: fn(usize) -> bool| -> Vec<Query> {
            (0..count).map(|i| name(i, two_parts(i))).collect()
        };
        for count in [0, 1, 2, 29] {
            let error = check_names(&names(count, |_| true), SEED).unwrap_err();
            assert!(error.is_usage(), "{error}");
            assert!(error.to_string().contains("names:30"), "{error}");
        }
        assert!(check_names(&names(30, |_| true), SEED).is_ok());
        assert!(check_names(&names(30, |_| false), SEED).is_ok());
        // Half have two parts, some 13 of the 27 that calibrate.
        let error = check_names(&names(40, |i| i % 2 == 0), SEED).unwrap_err();
        assert!(error.to_string().contains("names of two parts"), "{error}");
        // What passes here also fits and reads.
        for count in [30, 31, 47] {
            let reader = calibrated(&reference(count, |_| true));
            assert!(reader.read(&row(1000, true)).is_ok());
        }
    }

    #[test]
    fn votes_are_those_of_the_papers_detectors() {
        let signals = reference(60, |_| true);
        for votes in 0..=DETECTORS + 1 {
            let fitted = PaperReader::fit(&signals, votes, SEED);
            assert_eq!(check_votes(votes).is_ok(), fitted.is_ok(), "{votes}");
        }
        let reader = PaperReader::fit(&signals, 3, SEED).unwrap();
        let reading = reader.read(&row(1000, true)).unwrap().unwrap();
        assert_eq!(reading.scores.len(), DETECTORS);
    }

    #[test]
    fn inversions_that_mostly_failed_are_told_and_a_single_one_is_passed_over() {
        let mut signals = reference(60, |_| true);
        signals.rows[..30].iter_mut().for_each(|row| _ = row.insert(VARIABILITY.signal(), None));
        assert!(PaperReader::fit(&signals, 3, SEED).is_ok());
        signals.rows[30].insert(SIMILARITY.signal(), None);
        let error = PaperReader::fit(&signals, 3, SEED).err().unwrap();
        assert!(matches!(error, AuditError::ReferenceFailed { usable: 29, count: 60 }), "{error}");

        let reader = PaperReader::fit(&reference(60, |_| true), 3, SEED).unwrap();
        let mut query = row(1000, true);
        query.insert(VARIABILITY.signal(), None);
        assert_eq!(reader.read(&query).unwrap(), None);
    }

    #[test]
    fn columns_keep_missing_values_and_the_order_of_the_texts() {
        let mut signals = reference(3, |i| i != 1);
        signals.rows[2].remove(&TEXT_NORM.signal());
        let columns = signals.by_name();
        assert_eq!(columns["interaction"][1], None);
        assert_eq!(columns["text_norm"][2], None);
        assert_eq!(columns["text_norm"][1], signals.rows[1][&TEXT_NORM.signal()]);
        assert!(columns.values().all(|column| column.len() == 3));
    }
}
