//! The calibrated reading: a test for each form of name, fitted on the reference and, where these are
//! given, on known members.

use std::collections::BTreeMap;

use umid_detect::{
    CalibratedTest, DetectError, MIN_CALIBRATION_ROWS, MIN_KNOWN_MEMBERS, Split, anchored_auc,
};
use umid_signals::score::{oriented, weights_on};
use umid_signals::text::{BANK_CSLS, RESPONSE_AGREEMENT, RESPONSE_NORM};
use umid_signals::{Signal, SignalRow};

use crate::error::AuditError;
use crate::queries::Query;
use crate::reading::form::{self, Form};
use crate::reading::known_members::KnownMembers;
use crate::reading::reference_fit::{ReferenceSignals, forms_served};
use crate::record::{CalibratedReading, FittedScore};
use crate::score::weights;

/// The calibrated reading: a test for each form of name that the reference has enough names of.
pub(crate) struct CalibratedReader {
    tests: BTreeMap<Form, FormTest>,
    alpha: f64,
}

struct FormTest {
    score: Vec<(Signal, f64)>,
    test: CalibratedTest,
    /// The score that was fitted on known members; `None` for the default score.
    fitted: Option<FittedScore>,
}

/// Scores of the names that names of one form are compared with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReferenceScores {
    /// Of the names that set scales.
    pub(crate) fit: Vec<Option<f64>>,
    /// Of the names that calibrate.
    pub(crate) calibration: Vec<Option<f64>>,
}

/// Known members with their signals, to fit scores on.
pub(crate) struct Anchors<'a> {
    pub(crate) known: &'a KnownMembers,
    pub(crate) signals: &'a ReferenceSignals,
    /// Of the folds of the cross-validation.
    pub(crate) seed: u64,
}

/// Signals that a score fitted on known members has besides those of the default score.
static ANCHORED_SIGNALS: [Signal; 3] =
    [RESPONSE_NORM.signal(), RESPONSE_AGREEMENT.signal(), BANK_CSLS.signal()];

impl CalibratedReader {
    /// Fits each form's test on the reference's names of that form: names with two parts by one
    /// score, names without by another, and where there are enough known members of a form by a
    /// score that is fitted on these.
    ///
    /// # Errors
    ///
    /// Those of the test.
    pub(crate) fn fit(
        reference: &ReferenceSignals,
        names: &[Query],
        split: &Split,
        score: &[(Signal, f64)],
        one_part_score: &[(Signal, f64)],
        anchors: Option<&Anchors<'_>>,
        alpha: f64,
    ) -> Result<Self, AuditError> {
        let mut tests = BTreeMap::new();
        for form in forms_served(names) {
            let rows = form::rows_for(form, names, split);
            if rows.calibration.len() >= MIN_CALIBRATION_ROWS {
                let score = if form.has_parts() { score } else { one_part_score };
                let known = anchors.map(|anchors| (anchors, anchors.known.of_form(form)));
                let test = match known.filter(|(_, known)| known.len() >= MIN_KNOWN_MEMBERS) {
                    Some((anchors, known)) => {
                        FormTest::fit_anchored(reference, score, &rows, form, anchors, &known)?
                    }
                    None => FormTest::fit(reference, score, &rows)?,
                };
                tests.insert(form, test);
            }
        }
        Ok(Self { tests, alpha })
    }

    /// Tests a query by its row of signals; `None` if the reference has too few names of its
    /// form.
    ///
    /// # Errors
    ///
    /// Those of the test.
    pub(crate) fn read(
        &self,
        form: Form,
        row: &SignalRow,
    ) -> Result<Option<CalibratedReading>, AuditError> {
        let Some(FormTest { score, test, fitted }) = self.tests.get(&form) else { return Ok(None) };
        let outcome = test.test(&oriented(score, row))?;
        Ok(Some(CalibratedReading {
            score: outcome.score,
            p_value: outcome.p_value,
            tail_p_value: outcome.tail_p_value,
            ranked_among: outcome.calibration_n,
            signals_used: outcome.signals_used,
            detected: outcome.p_value <= self.alpha,
            known_members: fitted.as_ref().map(|fitted| fitted.known_members),
        }))
    }

    /// Scores of the reference's names by the test of each form that they serve, in the order of the
    /// split: those that set scales, and those that calibrate. `None` for a name without signals.
    ///
    /// # Errors
    ///
    /// Those of the test.
    pub(crate) fn reference_scores(
        &self,
        reference: &ReferenceSignals,
        names: &[Query],
        split: &Split,
    ) -> Result<BTreeMap<Form, ReferenceScores>, AuditError> {
        let scores = self.tests.iter().map(|(form, FormTest { score, test, .. })| {
            let rows = form::rows_for(*form, names, split);
            let of = |rows: &[usize]| -> Result<Vec<Option<f64>>, DetectError> {
                let oriented = rows.iter().map(|row| oriented(score, &reference.rows[*row]));
                oriented.map(|row| test.score(&row)).collect()
            };
            let (fit, calibration) = (of(&rows.fit)?, of(&rows.calibration)?);
            Ok((*form, ReferenceScores { fit, calibration }))
        });
        scores.collect()
    }

    /// The score for names of a form, if it was fitted on known members.
    pub(crate) fn fitted_score(&self, form: Form) -> Option<&FittedScore> {
        self.tests.get(&form)?.fitted.as_ref()
    }
}

impl FormTest {
    fn fit(
        reference: &ReferenceSignals,
        score: &[(Signal, f64)],
        split: &Split,
    ) -> Result<Self, DetectError> {
        let scales: Vec<_> = split.fit.iter().map(|row| &reference.rows[*row]).collect();
        let score = weights_on(score, &scales);
        let rows: Vec<_> = reference.rows.iter().map(|row| oriented(&score, row)).collect();
        let test = CalibratedTest::fit(&weights(&score), &rows, split)?;
        Ok(Self { test, score, fitted: None })
    }

    /// Fits a score on the known members in the places `known`, against the fit part of `split`.
    fn fit_anchored(
        reference: &ReferenceSignals,
        score: &[(Signal, f64)],
        split: &Split,
        form: Form,
        anchors: &Anchors<'_>,
        known: &[usize],
    ) -> Result<Self, DetectError> {
        let mut signals: Vec<Signal> = score.iter().map(|(signal, _)| *signal).collect();
        let more = ANCHORED_SIGNALS.iter().filter(|signal| !signals.contains(signal)).copied();
        signals.extend(more.collect::<Vec<_>>());
        // A signal that some name of the fit lacks has no part in it.
        let fit_rows = || split.fit.iter().map(|row| &reference.rows[*row]);
        let known_rows = || known.iter().map(|place| &anchors.signals.rows[*place]);
        signals.retain(|signal| {
            fit_rows().chain(known_rows()).all(|row| matches!(row.get(signal), Some(Some(_))))
        });
        let score: Vec<(Signal, f64)> = signals.iter().map(|signal| (*signal, 1.0)).collect();
        let names: Vec<&str> = signals.iter().map(|signal| signal.name()).collect();
        let rows: Vec<_> = reference.rows.iter().map(|row| oriented(&score, row)).collect();
        let known: Vec<_> = known_rows().map(|row| oriented(&score, row)).collect();
        let test = CalibratedTest::fit_anchored(&names, &rows, split, &known)?;
        let fit: Vec<_> = fit_rows().map(|row| oriented(&score, row)).collect();
        let auc = anchored_auc(&names, &fit, &known, anchors.seed)?;
        let fitted = FittedScore {
            form: form.to_string(),
            known_members: known.len(),
            reference_names: fit.len(),
            signals: names.into_iter().map(str::to_owned).collect(),
            in_sample_auc: auc.in_sample,
            cross_validated_auc: auc.cross_validated,
        };
        Ok(Self { test, score, fitted: Some(fitted) })
    }
}

#[cfg(test)]
mod tests {
    use umid_signals::text::RESPONSE_INTERACTION;

    use super::*;
    use crate::reading::reference_fit::tests::{SEED, name, names, reference, row};
    use crate::reading::reference_fit::{MIN_NAMES_OF_A_FORM, split_names};
    use crate::score::{DEFAULT_SCORE, ONE_PART_SCORE};

    const ALPHA: f64 = 0.05;

    fn calibrated(reference: &ReferenceSignals, names: &[Query]) -> CalibratedReader {
        let split = split_names(names, SEED).unwrap();
        let scores = (&DEFAULT_SCORE, &ONE_PART_SCORE);
        CalibratedReader::fit(reference, names, &split, scores.0, scores.1, None, ALPHA).unwrap()
    }

    #[test]
    fn scales_come_from_the_fit_part_and_p_values_from_the_other() {
        // A row of the fit part moves the score of a query, one of the calibration part its
        // p-value alone.
        let (query, names) = (row(1000, true), names(60, |_| true));
        let read = |reference: &ReferenceSignals| {
            calibrated(reference, &names).read(Form::TWO_WORDS, &query).unwrap().unwrap()
        };
        let before = read(&reference(60, |_| true));
        let fit = split_names(&names, SEED).unwrap().fit;
        for moved in 0..60 {
            let mut changed = reference(60, |_| true);
            changed.rows[moved].insert(RESPONSE_INTERACTION.signal(), Some(50.0));
            let in_fit_part = fit.binary_search(&moved).is_ok();
            let moves = read(&changed).score.to_bits() != before.score.to_bits();
            assert_eq!(moves, in_fit_part, "{moved}");
        }
    }

    #[test]
    fn a_name_is_tested_by_the_score_and_the_names_of_its_form() {
        let has_parts = |i: usize| !i.is_multiple_of(3);
        let (reference, names) = (reference(120, has_parts), names(120, has_parts));
        let reader = calibrated(&reference, &names);
        let one_word = Form::of(&name(1, false));
        let two = reader.read(Form::TWO_WORDS, &row(1000, true)).unwrap().unwrap();
        assert!(two.signals_used.contains(&"response_interaction".to_owned()));
        // No bank: its term is not part of the score.
        assert_eq!(two.signals_used.len(), 4);
        let one = reader.read(one_word, &row(1000, false)).unwrap().unwrap();
        assert_eq!(one.signals_used, ["response_norm", "response_agreement"]);
        // 40 names of one word, of which 27 calibrate; 80 of two, of which 53 do.
        for (reading, ranked) in [(&one, 27.0), (&two, 53.0)] {
            let rank = reading.p_value * (ranked + 1.0);
            assert!((rank - rank.round()).abs() < 1e-9, "{rank}");
        }
        // What names of another form look like does not matter.
        let mut changed = reference.clone();
        for (row, name) in changed.rows.iter_mut().zip(&names) {
            if name.parts.is_some() {
                let moved = row[&RESPONSE_NORM.signal()].map(|value| 50.0 - 3.0 * value);
                row.insert(RESPONSE_NORM.signal(), moved);
            }
        }
        let again = calibrated(&changed, &names).read(one_word, &row(1000, false)).unwrap();
        assert_eq!(again.unwrap(), one);
        // No reference names of three words: no verdict.
        let three = Query { text: "A van B".into(), parts: None, ..names[0].clone() };
        assert_eq!(reader.read(Form::of(&three), &row(1000, false)).unwrap(), None);
    }

    #[test]
    fn names_without_parts_are_tested_among_all_of_as_many_words() {
        let reader = calibrated(&reference(60, |_| true), &names(60, |_| true));
        let unsplit = Form::TWO_WORDS.without_parts();
        let reading = reader.read(unsplit, &row(1000, false)).unwrap().unwrap();
        assert_eq!(reading.signals_used, ["response_norm", "response_agreement"]);
    }

    #[test]
    fn names_that_cannot_calibrate_are_refused_before_anything_is_computed() {
        for count in [2, 3, 29] {
            let error = split_names(&names(count, |_| true), SEED).unwrap_err();
            assert!(error.to_string().contains("30 names of one form"), "{error}");
        }
        // 20 names of each form.
        let error = split_names(&names(40, |i| i % 2 == 0), SEED).unwrap_err();
        assert!(error.to_string().contains("names of one form"), "{error}");
        // What passes here also fits and reads.
        for count in [MIN_NAMES_OF_A_FORM, 31, 47] {
            let reader = calibrated(&reference(count, |_| true), &names(count, |_| true));
            assert!(reader.read(Form::TWO_WORDS, &row(1000, true)).unwrap().is_some());
        }
    }

    /// one signal.
    fn anchors(two: usize, one: usize) -> (KnownMembers, ReferenceSignals) {
        let names = (500..500 + two + one).map(|i| name(i, i < 500 + two)).collect();
        let known = KnownMembers::new(names);
        let rows = known.names().iter().map(|name| {
            let mut row = row(name.id.parse().unwrap(), name.parts.is_some());
            let higher = row[&RESPONSE_NORM.signal()].map(|value| value + 0.8);
            row.insert(RESPONSE_NORM.signal(), higher);
            row
        });
        let signals = ReferenceSignals { rows: rows.collect() };
        (known, signals)
    }

    fn anchored(
        reference: &ReferenceSignals,
        names: &[Query],
        known: &KnownMembers,
        signals: &ReferenceSignals,
    ) -> CalibratedReader {
        let split = split_names(names, SEED).unwrap();
        let anchors = Anchors { known, signals, seed: SEED };
        let (two, one) = (&DEFAULT_SCORE, &ONE_PART_SCORE);
        CalibratedReader::fit(reference, names, &split, two, one, Some(&anchors), ALPHA).unwrap()
    }

    #[test]
    fn a_form_with_enough_known_members_gets_a_score_fitted_on_them_and_another_the_default() {
        let has_parts = |i: usize| !i.is_multiple_of(3);
        let (reference, names) = (reference(120, has_parts), names(120, has_parts));
        let default = calibrated(&reference, &names);
        let (known, signals) = anchors(MIN_KNOWN_MEMBERS, MIN_KNOWN_MEMBERS - 1);
        let reader = anchored(&reference, &names, &known, &signals);
        let one_word = Form::of(&name(1, false));
        let one = reader.read(one_word, &row(1000, false)).unwrap().unwrap();
        assert_eq!(one, default.read(one_word, &row(1000, false)).unwrap().unwrap());
        assert_eq!(one.known_members, None);
        let two = reader.read(Form::TWO_WORDS, &row(1000, true)).unwrap().unwrap();
        assert_eq!(two.known_members, Some(MIN_KNOWN_MEMBERS));
        // Those of the default score, and two more; there is no bank.
        assert_eq!(two.signals_used.len(), 6);
        assert!(two.signals_used.contains(&"response_norm".to_owned()));
        assert_eq!(reader.fitted_score(one_word), None);
        let fitted = reader.fitted_score(Form::TWO_WORDS).unwrap();
        assert_eq!((fitted.known_members, fitted.reference_names), (MIN_KNOWN_MEMBERS, 27));
        assert_eq!(fitted.signals, two.signals_used);
        assert!(fitted.cross_validated_auc > 0.7, "{fitted:?}");
        // The score looks for what the known members have.
        let mut high = row(1000, true);
        high.insert(RESPONSE_NORM.signal(), Some(1.5));
        let high = reader.read(Form::TWO_WORDS, &high).unwrap().unwrap();
        assert!(high.score > two.score && high.p_value <= two.p_value);
    }

    #[test]
    fn p_values_of_a_fitted_score_come_from_rows_that_it_was_not_fitted_on() {
        let (query, names) = (row(1000, true), names(60, |_| true));
        let (known, signals) = anchors(40, 0);
        let read = |reference: &ReferenceSignals| {
            let reader = anchored(reference, &names, &known, &signals);
            reader.read(Form::TWO_WORDS, &query).unwrap().unwrap()
        };
        let before = read(&reference(60, |_| true));
        let fit = split_names(&names, SEED).unwrap().fit;
        for moved in 0..60 {
            let mut changed = reference(60, |_| true);
            changed.rows[moved].insert(RESPONSE_AGREEMENT.signal(), Some(5.0));
            let in_fit_part = fit.binary_search(&moved).is_ok();
            let moves = read(&changed).score.to_bits() != before.score.to_bits();
            assert_eq!(moves, in_fit_part, "{moved}");
        }
        let rank = before.p_value * 41.0;
        assert!((rank - rank.round()).abs() < 1e-9, "{rank}");
    }

    #[test]
    fn a_signal_that_a_known_member_lacks_is_no_part_of_the_score() {
        let (reference, names) = (reference(60, |_| true), names(60, |_| true));
        let (known, mut signals) = anchors(40, 0);
        signals.rows[3].insert(RESPONSE_AGREEMENT.signal(), None);
        let reader = anchored(&reference, &names, &known, &signals);
        let reading = reader.read(Form::TWO_WORDS, &row(1000, true)).unwrap().unwrap();
        assert_eq!(reading.signals_used.len(), 5);
        assert!(!reading.signals_used.contains(&"response_agreement".to_owned()));
    }
}
