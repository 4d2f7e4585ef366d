//! A model with its references, ready to read names: the part of an audit that needs no run
//! directory. It reads the bank's files and, where there is one, the cache of references.
//!
//! Data flows one way: names to embeddings to inversions to signals; the references' signals
//! fit the readers; each name is then read by them. Nothing is fitted on a name under test.

use std::collections::{BTreeMap, BTreeSet};

use umid_detect::{MIN_KNOWN_MEMBERS, Split, quantile};
use umid_invert::{InputSpace, Inversion, InvertParams, Inverter, KeepInputs};
use umid_models::{Model, Tower};
use umid_signals::{Bank, Basis, SignalRow, TextReader};

use crate::audit::AuditOptions;
use crate::cache::{CacheKey, Lookup, ReferenceCache};
use crate::error::AuditError;
use crate::inversion_signals;
use crate::progress::Progress;
use crate::queries::{Query, names_digest};
use crate::reading::bank::{fingerprint, load_bank};
use crate::reading::calibrated_reader::{Anchors, CalibratedReader, ReferenceScores};
use crate::reading::computed::ComputedBy;
use crate::reading::form::Form;
use crate::reading::reference_fit::{MIN_NAMES_OF_A_FORM, PaperReader, ReferenceSignals};
use crate::reading::text_signals::{CHUNK, TextTower, names as text_names, text_reader};
use crate::record::{CalibratedReading, FittedScore, PaperReading};
use crate::shown::shown;

/// Everything that is said of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Raw signal values; a signal that the name or the run lacks is `None` or absent.
    pub signals: SignalRow,
    /// The ensemble's vote; `None` without inversions, or where they failed.
    pub paper: Option<PaperReading>,
    /// The calibrated test's result; `None` if the reference has too few names of this form, or for
    /// a known member that scores were fitted on.
    pub calibrated: Option<CalibratedReading>,
    /// What a reader must know about this name.
    pub warnings: Vec<String>,
}

/// A model, its references and the readers fitted on them.
///
/// What the siblings of a first or last part say is computed when a name with that part is first read,
/// be it of a reference or asked about, and kept as long as the auditor lives, in at most
/// [`umid_signals::DEFAULT_SUMMARY_BYTES`] of memory; the least recently used part goes first.
pub struct Auditor<'a> {
    model: &'a Model,
    options: &'a AuditOptions,
    text: TextReader<'a, TextTower<'a>>,
    calibrated_signals: ReferenceSignals,
    calibrated: CalibratedReader,
    split: Split,
    paper: Option<Paper>,
    cache_warnings: Vec<String>,
}

struct Paper {
    params: InvertParams,
    space: InputSpace,
    signals: ReferenceSignals,
    reader: PaperReader,
}

/// Columns of signals by name, as `run.json` holds them.
pub(crate) type Columns = BTreeMap<String, Vec<Option<f64>>>;

impl<'a> Auditor<'a> {
    /// Computes the references' signals, or reads them from the cache, and fits the readers.
    ///
    /// # Errors
    ///
    /// Those of the model, the signals and the detectors.
    pub fn prepare(
        model: &'a Model,
        options: &'a AuditOptions,
        progress: &dyn Progress,
    ) -> Result<Self, AuditError> {
        Self::with_split(model, options, &options.check()?, progress)
    }

    /// [`Self::prepare`] with the split that the options' check gave.
    pub(crate) fn with_split(
        model: &'a Model,
        options: &'a AuditOptions,
        split: &Split,
        progress: &dyn Progress,
    ) -> Result<Self, AuditError> {
        let names = &options.calibrated_reference.texts;
        let bank: Option<Bank> = options
            .bank
            .as_deref()
            .map(|directory| load_bank(model, directory, &options.cache, progress))
            .transpose()?;
        let neighbours: Vec<&Query> = split.fit.iter().map(|row| &names[*row]).collect();
        let AuditOptions { templates, contexts, siblings, .. } = options;
        let text = text_reader(model, templates, contexts, siblings, &neighbours, bank)?;

        let mut cache_warnings = Vec::new();
        let bank = options
            .bank
            .as_deref()
            .map(|directory| fingerprint(directory, model.modality()))
            .transpose()?;
        let key = cache_key(
            model,
            options,
            &ComputedBy::texts(model),
            &("calibrated", &bank, &split.fit),
            names,
        );
        let calibrated_signals = cached(&options.cache, &key, &mut cache_warnings, || {
            let own_row = |i: usize| split.fit.binary_search(&i).ok();
            text_signals(&text, names, own_row, "texts of the reference", progress)
        })?;
        let known_signals = options.known_members.as_ref().map(|known| {
            // Some signals compare with the names that set scales, and with the bank.
            let neighbours: Vec<Query> = neighbours.iter().copied().cloned().collect();
            let parameters = ("known members", &bank, names_digest(&neighbours));
            let by = ComputedBy::texts(model);
            let key = cache_key(model, options, &by, &parameters, known.names());
            cached(&options.cache, &key, &mut cache_warnings, || {
                let stage = "texts of known members";
                text_signals(&text, known.names(), |_| None, stage, progress)
            })
        });
        let known_signals = known_signals.transpose()?;
        let anchors = options.known_members.as_ref().zip(known_signals.as_ref());
        let anchors =
            anchors.map(|(known, signals)| Anchors { known, signals, seed: options.seed });
        let calibrated = CalibratedReader::fit(
            &calibrated_signals,
            names,
            split,
            &options.score,
            &options.one_part_score,
            anchors.as_ref(),
            options.alpha,
        )?;
        let paper = match &options.inversion {
            None => None,
            Some(params) => {
                Some(Paper::fit(model, options, params, &text, &mut cache_warnings, progress)?)
            }
        };
        for warning in &cache_warnings {
            progress.note(warning);
        }
        Ok(Self {
            model,
            options,
            text,
            calibrated_signals,
            calibrated,
            split: split.clone(),
            paper,
            cache_warnings,
        })
    }

    /// Reads names. What is said of a name does not depend on the others beyond the round-off
    /// of shared matrix products.
    ///
    /// # Errors
    ///
    /// Those of the model, the signals and the detectors.
    pub fn read(&self, names: &[&Query]) -> Result<Vec<Reading>, AuditError> {
        let mut readings = Vec::with_capacity(names.len());
        for chunk in names.chunks(CHUNK) {
            let (rows, warnings) = self.chunk(chunk)?;
            for ((name, row), warnings) in chunk.iter().zip(rows).zip(warnings) {
                readings.push(self.reading(name, row, warnings)?);
            }
        }
        Ok(readings)
    }

    fn chunk(&self, names: &[&Query]) -> Result<(Vec<SignalRow>, Vec<Vec<String>>), AuditError> {
        let inverter = self.paper.as_ref().map(|paper| paper.inverter(self.model)).transpose()?;
        chunk_signals(&self.text, inverter.as_ref(), names)
    }

    fn reading(
        &self,
        name: &Query,
        signals: SignalRow,
        mut warnings: Vec<String>,
    ) -> Result<Reading, AuditError> {
        let form = Form::of(name);
        let known_members = self.options.known_members.as_ref();
        let is_known = known_members.is_some_and(|known| known.contains(name));
        let calibrated = if is_known { None } else { self.calibrated.read(form, &signals)? };
        if is_known {
            warnings.push(
                "no calibrated verdict: this name is one of the known members that scores were \
                 fitted on, so there is nothing to test"
                    .to_owned(),
            );
        } else if calibrated.is_none() {
            warnings.push(format!(
                "no calibrated verdict: the reference has fewer than {MIN_NAMES_OF_A_FORM} names \
                 of {form}, so this name cannot be ranked among names like it; give a file of \
                 plausible names of that form as the reference"
            ));
        } else if !form.has_parts() {
            warnings.push(
                "not a name of two parts, so the part-interaction residual does not apply and \
                 the score rests on weaker signals"
                    .to_owned(),
            );
        }
        let by_default = calibrated.as_ref().is_some_and(|read| read.known_members.is_none());
        if known_members.is_some() && by_default {
            warnings.push(format!(
                "fewer than {MIN_KNOWN_MEMBERS} known members are names of {form}, so this name is \
                 ranked by the default score"
            ));
        }
        let paper = match &self.paper {
            None => None,
            Some(paper) => paper.reader.read(&signals)?,
        };
        if self.paper.is_some() && paper.is_none() {
            warnings.push(
                "too few restarts stayed finite for the paper's reading; try a smaller step or \
                 more restarts"
                    .to_owned(),
            );
        }
        Ok(Reading { signals, paper, calibrated, warnings })
    }

    /// Inverts texts once each, from the first start, and keeps the inputs; nothing without
    /// inversions.
    pub(crate) fn imagine(&self, texts: &[String]) -> Result<Vec<Inversion>, AuditError> {
        let Some(paper) = &self.paper else { return Ok(Vec::new()) };
        let embeddings = self.model.embed_texts(texts)?.embeddings;
        let params = InvertParams { restarts: 1, ..paper.params.clone() };
        let inverter =
            Inverter::new(self.model.tower()?, &paper.space, params, self.model.device())?;
        Ok(inverter.invert(embeddings.view(), KeepInputs::Yes)?)
    }

    /// Signals of the calibrated reference's names, in their order.
    pub fn reference_signals(&self) -> &[SignalRow] {
        &self.calibrated_signals.rows
    }

    /// Scores of the calibrated reference's names, by form.
    ///
    /// # Errors
    ///
    /// Those of the test.
    pub(crate) fn reference_scores(&self) -> Result<BTreeMap<Form, ReferenceScores>, AuditError> {
        let names = &self.options.calibrated_reference.texts;
        self.calibrated.reference_scores(&self.calibrated_signals, names, &self.split)
    }

    /// Signals of the references: the paper's, the calibrated reading's.
    pub(crate) fn reference_columns(&self) -> (Option<Columns>, Columns) {
        let paper = self.paper.as_ref().map(|paper| paper.signals.by_name());
        (paper, self.calibrated_signals.by_name())
    }

    /// The scores that were fitted on known members and that serve some of these names.
    pub(crate) fn fitted_scores(&self, names: &[Query]) -> Vec<FittedScore> {
        let forms: BTreeSet<Form> = names.iter().map(Form::of).collect();
        forms.into_iter().filter_map(|form| self.calibrated.fitted_score(form).cloned()).collect()
    }

    /// What must be said about the references as a whole.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.options.calibrated_reference.warnings.clone();
        warnings.extend(self.options.known_members.iter().flat_map(|k| k.warnings().to_vec()));
        if self.paper.is_some() {
            warnings.extend(self.options.paper_reference.warnings.clone());
        }
        warnings.extend(self.cache_warnings.clone());
        warnings
            .extend(disagreeing(self.options.templates.as_slice(), self.text.template_agreement()));
        warnings
    }
}

impl Paper {
    /// Inverts the gibberish and fits the ensemble.
    fn fit(
        model: &Model,
        options: &AuditOptions,
        params: &InvertParams,
        text: &TextReader<'_, TextTower<'_>>,
        cache_warnings: &mut Vec<String>,
        progress: &dyn Progress,
    ) -> Result<Self, AuditError> {
        let names = &options.paper_reference.texts;
        let space = InputSpace::new(&model.input_units()?, model.device());
        // The batch size moves results by round-off alone, so one entry serves all of them.
        let parameters = ("paper", InvertParams { batch_rows: 0, ..params.clone() });
        let key = cache_key(model, options, &ComputedBy::inversions(model), &parameters, names);
        let signals = cached(&options.cache, &key, cache_warnings, || {
            let inverter = Inverter::new(model.tower()?, &space, params.clone(), model.device())?;
            progress.stage("reference gibberish", names.len());
            let mut rows = Vec::with_capacity(names.len());
            for chunk in names.chunks(CHUNK) {
                let chunk: Vec<&Query> = chunk.iter().collect();
                let signals = chunk_signals(text, Some(&inverter), &chunk)?.0;
                rows.extend(signals.into_iter().map(own_signals));
                progress.advance(chunk.len());
            }
            Ok(ReferenceSignals { rows })
        })?;
        let reader = PaperReader::fit(&signals.rows, options.min_votes, options.seed)?;
        Ok(Self { params: params.clone(), space, signals, reader })
    }

    fn inverter<'b>(
        &'b self,
        model: &'b Model,
    ) -> Result<Inverter<'b, Tower, InputSpace>, AuditError> {
        Ok(Inverter::new(model.tower()?, &self.space, self.params.clone(), model.device())?)
    }
}

/// Says of templates that are much farther from the others than most are (four times the median
/// distance, and a cosine below .8) that the model may not know captions like them. `agreement` is that of [`TextReader::template_agreement`].
fn disagreeing(templates: &[String], agreement: &[f64]) -> Vec<String> {
    let known: Vec<f64> = agreement.iter().copied().filter(|value| value.is_finite()).collect();
    if known.len() < 3 {
        return Vec::new();
    }
    let median = quantile(known, 0.5);
    let low = templates
        .iter()
        .zip(agreement)
        .filter(|(_, own)| **own < 0.8 && 1.0 - **own > 4.0 * (1.0 - median));
    low.map(|(template, own)| {
        format!(
            "the template `{}` disagrees with the others: on reference names, responses in it have a mean \
             cosine of {own:.2} with theirs, where {median:.2} is the median; the model may not \
             know captions like it, so leave it out or give others with --template",
            shown(template)
        )
    })
    .collect()
}

/// Text signals of names. `own_row(i)` is the row of name i among the names that set scales, if it is
/// one of them.
///
/// Progress counts texts: the first names cost more than later ones, whose parts are known by then.
fn text_signals(
    text: &TextReader<'_, TextTower<'_>>,
    names: &[Query],
    own_row: impl Fn(usize) -> Option<usize> + Sync,
    stage: &str,
    progress: &dyn Progress,
) -> Result<ReferenceSignals, AuditError> {
    let names: Vec<&Query> = names.iter().collect();
    let names = text_names(&names);
    let mut left = text.texts_to_embed(&names);
    progress.stage(stage, left);
    let mut rows = Vec::with_capacity(names.len());
    for (first, chunk) in (0..).step_by(CHUNK).zip(names.chunks(CHUNK)) {
        // More than at first where a part was forgotten, or where chunks share a text.
        let texts = text.texts_to_embed(chunk).min(left);
        let readings = text.read(chunk, |i| own_row(first + i))?;
        rows.extend(readings.into_iter().map(|reading| reading.signals));
        progress.advance(texts);
        left -= texts;
    }
    if left > 0 {
        progress.advance(left);
    }
    Ok(ReferenceSignals { rows })
}

/// Without the signals that compare with the calibrated reference or the bank, so that one
/// entry of the cache serves every audit of the model: these are not in its key.
fn own_signals(mut row: SignalRow) -> SignalRow {
    row.retain(|signal, _| signal.card().basis == Basis::Name);
    row
}

/// Signals of a chunk of names, and what must be said of each.
fn chunk_signals(
    text: &TextReader<'_, TextTower<'_>>,
    inverter: Option<&Inverter<'_, Tower, InputSpace>>,
    names: &[&Query],
) -> Result<(Vec<SignalRow>, Vec<Vec<String>>), AuditError> {
    let readings = text.read(&text_names(names), |_| None)?;
    let Some(inverter) = inverter else {
        let warnings = vec![Vec::new(); names.len()];
        return Ok((readings.into_iter().map(|r| r.signals).collect(), warnings));
    };
    let embeddings: Vec<_> = readings.iter().map(|r| r.embeddings.view()).collect();
    let inversions = inversion_signals::invert(inverter, &embeddings)?;
    let mut rows = Vec::with_capacity(names.len());
    for (reading, inversion) in readings.iter().zip(&inversions) {
        let mut row = reading.signals.clone();
        row.extend(inversion_signals::signals(inversion, reading.embeddings.view())?);
        rows.push(row);
    }
    Ok((rows, inversions.iter().map(inversion_signals::warnings).collect()))
}

/// Key of a reference: the model, what computed it, what all references share, what this one adds,
/// its texts.
fn cache_key(
    model: &Model,
    options: &AuditOptions,
    by: &ComputedBy,
    more: &impl serde::Serialize,
    names: &[Query],
) -> CacheKey {
    let AuditOptions { templates, contexts, siblings, .. } = options;
    let shared = (by, templates.as_slice(), contexts.as_slice(), siblings.describe());
    CacheKey::new(&model.source.digest, &(shared, more), names)
}

fn cached(
    cache: &ReferenceCache,
    key: &CacheKey,
    warnings: &mut Vec<String>,
    compute: impl FnOnce() -> Result<ReferenceSignals, AuditError>,
) -> Result<ReferenceSignals, AuditError> {
    match cache.load(key) {
        Lookup::Hit(value) => return Ok(value),
        Lookup::Miss => {}
        Lookup::Damaged(warning) => warnings.push(warning),
    }
    let value = compute()?;
    warnings.extend(cache.store(key, &value));
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_disagrees_is_named_and_two_cannot_disagree() {
        let templates = ["a photo of {}", "{} waves", "a face of {}"].map(str::to_owned);
        let warnings = disagreeing(&templates, &[0.9, 0.2, 0.85]);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("`{} waves` disagrees") && warnings[0].contains("0.20"));
        assert!(disagreeing(&templates, &[0.8, 0.4, 0.7]).is_empty());
        assert!(disagreeing(&templates, &[0.99, 0.85, 0.98]).is_empty());
        assert!(disagreeing(&templates[..2], &[0.8, 0.1]).is_empty());
        assert!(disagreeing(&templates, &[f64::NAN; 3]).is_empty());
    }
}
