//! What the references make of themselves: the signals that the report plots, the split of the
//! calibrated reading's names, and the fitted ensemble of the paper's reading. The calibrated
//! reading's tests are in [`super::calibrated_reader`].
//!
//! All of it is computed from the reference alone, and signals can be kept in the user's cache.

use std::collections::{BTreeMap, BTreeSet};

use linfa::DatasetBase;
use linfa::traits::Fit;
use ndarray::{Array2, arr2};
use serde::{Deserialize, Serialize};
use umid_detect::{
    Detector, Ensemble, EnsembleParams, MIN_CALIBRATION_ROWS, MIN_KNOWN_MEMBERS, Split,
};
use umid_signals::inversion::{SIMILARITY, VARIABILITY};
use umid_signals::{Signal, SignalRow};

use crate::error::AuditError;
use crate::queries::Query;
use crate::reading::form::{self, Form};
use crate::reading::known_members::KnownMembers;
use crate::record::PaperReading;

/// Names of a form below which too few of them calibrate, since a third sets the scales.
pub(crate) const MIN_NAMES_OF_A_FORM: usize = MIN_CALIBRATION_ROWS * 3 / 2;

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

/// Splits the names of a calibrated reference, and refuses those that could rank no name.
///
/// # Errors
///
/// [`AuditError::CalibrationNames`].
pub(crate) fn split_names(names: &[Query], seed: u64) -> Result<Split, AuditError> {
    let split = form::split(names, seed)?;
    let found = most_ranked_among(names, &split);
    if found < MIN_CALIBRATION_ROWS {
        let one_form = names.windows(2).all(|pair| Form::of(&pair[0]) == Form::of(&pair[1]));
        return Err(AuditError::CalibrationNames {
            kind: if one_form { "names" } else { "names of one form" },
            found,
            needed: MIN_CALIBRATION_ROWS,
            ask: MIN_NAMES_OF_A_FORM,
        });
    }
    Ok(split)
}

/// How many names of the reference a query is ranked among, at most: names of its form.
pub(crate) fn most_ranked_among(names: &[Query], split: &Split) -> usize {
    let ranked = |form| form::rows_for(form, names, split).calibration.len();
    forms_served(names).into_iter().map(ranked).max().unwrap_or(0)
}

/// Forms of names that a reference has names for, were they enough.
pub(crate) fn forms_served(names: &[Query]) -> BTreeSet<Form> {
    names.iter().map(Form::of).flat_map(|form| [form, form.without_parts()]).collect()
}

/// Refuses known members that no score could be fitted on.
///
/// # Errors
///
/// [`AuditError::KnownMembers`].
pub(crate) fn check_known_members(
    known: &KnownMembers,
    names: &[Query],
    split: &Split,
) -> Result<(), AuditError> {
    let ranked =
        |form: &Form| form::rows_for(*form, names, split).calibration.len() >= MIN_CALIBRATION_ROWS;
    let of_form = |form| known.of_form(form).len();
    let found = forms_served(names).into_iter().filter(ranked).map(of_form).max().unwrap_or(0);
    if found < MIN_KNOWN_MEMBERS {
        let (count, needed) = (known.names().len(), MIN_KNOWN_MEMBERS);
        return Err(AuditError::KnownMembers { count, found, needed });
    }
    Ok(())
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
#[derive(Debug)]
pub struct PaperReader {
    ensemble: Ensemble,
}

/// Detectors of the paper's ensemble.
const DETECTORS: usize = 4;

/// The signals that the paper's ensemble sees.
static PAPER_SIGNALS: [Signal; 2] = [SIMILARITY.signal(), VARIABILITY.signal()];

impl PaperReader {
    /// Fits the detectors on the signals of the reference's texts.
    ///
    /// # Errors
    ///
    /// [`AuditError::ReferenceFailed`] where fewer than half of the reference's inversions
    /// gave both signals, and those of the detectors.
    pub fn fit(reference: &[SignalRow], min_votes: usize, seed: u64) -> Result<Self, AuditError> {
        let rows: Vec<[f64; 2]> = reference.iter().filter_map(paper_row).collect();
        if rows.len() * 2 < reference.len() {
            return Err(AuditError::ReferenceFailed { usable: rows.len(), count: reference.len() });
        }
        let records = Array2::from(rows);
        let ensemble =
            EnsembleParams::paper(seed).min_votes(min_votes).fit(&DatasetBase::from(records))?;
        Ok(Self { ensemble })
    }

    /// Names of the detectors.
    pub fn detectors(&self) -> impl Iterator<Item = &'static str> {
        self.ensemble.detectors().map(Detector::name)
    }

    /// Reads a text by its signals; `None` where the inversions gave no similarity or no variability.
    ///
    /// # Errors
    ///
    /// Those of the detectors.
    pub fn read(&self, row: &SignalRow) -> Result<Option<PaperReading>, AuditError> {
        let Some(values) = paper_row(row) else { return Ok(None) };
        let reading = self.ensemble.read(&arr2(&[values]).view())?.remove(0);
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

#[cfg(test)]
pub(crate) mod tests {
    use umid_signals::text::{
        INTERACTION, RESPONSE_AGREEMENT, RESPONSE_AGREEMENT_CALIBRATED,
        RESPONSE_COHERENCE_CALIBRATED, RESPONSE_INTERACTION, RESPONSE_NORM,
        RESPONSE_NORM_CALIBRATED, TEMPLATE_AGREEMENT, TEXT_NORM,
    };

    use super::*;

    pub(crate) const SEED: u64 = 3;

    /// A name of two words, or of one.
    pub(crate) fn name(i: usize, has_parts: bool) -> Query {
        let parts = has_parts.then(|| (format!("A{i}"), format!("B{i}")));
        let text = if has_parts { format!("A{i} B{i}") } else { format!("A{i}") };
        Query { id: i.to_string(), text, parts }
    }

    /// A row whose signals are spread over the reference without a pattern.
    pub(crate) fn row(i: usize, has_parts: bool) -> SignalRow {
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

    pub(crate) fn reference(count: usize, two_parts: impl Fn(usize) -> bool) -> ReferenceSignals {
        ReferenceSignals { rows: (0..count).map(|i| row(i, two_parts(i))).collect() }
    }

    pub(crate) fn names(count: usize, two_parts: impl Fn(usize) -> bool) -> Vec<Query> {
        (0..count).map(|i| name(i, two_parts(i))).collect()
    }

    #[test]
    fn votes_are_those_of_the_papers_detectors() {
        let signals = reference(60, |_| true);
        for votes in 0..=DETECTORS + 1 {
            let fitted = PaperReader::fit(&signals.rows, votes, SEED);
            assert_eq!(check_votes(votes).is_ok(), fitted.is_ok(), "{votes}");
        }
        let reader = PaperReader::fit(&signals.rows, 3, SEED).unwrap();
        let reading = reader.read(&row(1000, true)).unwrap().unwrap();
        assert_eq!(reading.scores.len(), DETECTORS);
    }

    #[test]
    fn inversions_that_mostly_failed_are_told_and_a_single_one_is_passed_over() {
        let mut signals = reference(60, |_| true);
        signals.rows[..30].iter_mut().for_each(|row| _ = row.insert(VARIABILITY.signal(), None));
        assert!(PaperReader::fit(&signals.rows, 3, SEED).is_ok());
        signals.rows[30].insert(SIMILARITY.signal(), None);
        let error = PaperReader::fit(&signals.rows, 3, SEED).err().unwrap();
        assert!(matches!(error, AuditError::ReferenceFailed { usable: 29, count: 60 }), "{error}");

        let reader = PaperReader::fit(&reference(60, |_| true).rows, 3, SEED).unwrap();
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

    #[test]
    fn known_members_of_no_form_that_is_ranked_are_refused() {
        let names = names(60, |_| true);
        let split = split_names(&names, SEED).unwrap();
        let check = |two: usize, one| {
            let known = (500..500 + two + one).map(|i| name(i, i < 500 + two)).collect();
            check_known_members(&KnownMembers::new(known), &names, &split)
        };
        assert!(check(MIN_KNOWN_MEMBERS, 0).is_ok());
        let error = check(MIN_KNOWN_MEMBERS - 1, 50).unwrap_err();
        assert!(
            matches!(error, AuditError::KnownMembers { count: 79, found: 29, needed: 30 }),
            "{error}"
        );
    }
}
