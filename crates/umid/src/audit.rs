//! The audit, from a loaded model and a list of names to a run directory with its report.
//!
//! Queries are computed in chunks at fixed places of the list, and a resumed run computes the
//! chunk that it was killed in from its start: round-off can depend on which rows share a batch.
//! Texts of siblings are embedded with the chunk that first needs them, which after a resume can be
//! another one; so a resumed run writes the same bytes as an uninterrupted one where the text tower
//! gives a text the same bits in any batch, as the tests find on CPUs, and else differs by round-off.
//!
//! Memory does not grow with the work done: a record is on the disk once its chunk is computed,
//! and what the end needs of all records is gathered there in passes over the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use umid_detect::{MIN_ANCHORED_AUC, Split};
use umid_models::{Modality, Model};
use umid_signals::Signal;

use crate::auditor::Auditor;
use crate::checked::Checked;
use crate::error::AuditError;
use crate::imagined::imagined;
use crate::inversion_signals::SATURATION;
use crate::overview::{Discoveries, Overview};
use crate::progress::Progress;
use crate::queries::{NameFile, Query, queries_digest};
use crate::reading::bank::fingerprint;
use crate::reading::calibrated_reader::ReferenceScores;
use crate::reading::form::Form;
use crate::reading::lengths::check_lengths;
pub use crate::reading::options::{AuditOptions, DEFAULT_ALPHA, DEFAULT_MIN_VOTES, Redaction};
use crate::reading::reference_fit::most_ranked_among;
use crate::reading::text_signals::CHUNK;
use crate::record::{
    Counts, FittedScore, KnownMembersInfo, ModelInfo, Parameters, QueryRecord, ReferenceInfo,
    RunInfo, SCHEMA_VERSION,
};
use crate::reference::ReferenceTexts;
use crate::report::{Preview, Report, Table, render};
use crate::store::{REPORT_FILE, RESULTS_FILE, Records, RunStore};

/// Shown side of a preview image in pixels, at least.
const PREVIEW_SIDE: usize = 128;

/// What a finished audit leaves with its caller.
#[derive(Debug, Clone)]
pub struct AuditSummary {
    /// `run.json` as it was written.
    pub run: RunInfo,
    /// What the records say together, in the queries' order.
    pub overview: Overview,
    /// q-values of the records, see [`Overview::discoveries`]; `None` for one without a p-value.
    pub q_values: Vec<Option<f64>>,
    /// The report.
    pub report: PathBuf,
    results: PathBuf,
    /// Scores of the calibrated reference's names, by the form of the names that they serve.
    pub(crate) reference_scores: BTreeMap<Form, ReferenceScores>,
}

impl AuditSummary {
    /// Queries whose q-value is within the run's false discovery rate.
    pub fn discoveries(&self) -> usize {
        let level = self.run.parameters.false_discovery_rate;
        self.q_values.iter().flatten().filter(|q| **q <= level).count()
    }

    /// Reads the records back from the run's directory, one at a time, in the queries' order.
    ///
    /// # Errors
    ///
    /// Here or from the iterator, [`StoreError::ReadBack`](crate::store::StoreError::ReadBack) where the directory no longer holds
    /// all of them, and [`crate::report::ReportError::OtherRecords`] where it holds others.
    pub fn records(
        &self,
    ) -> Result<impl Iterator<Item = Result<QueryRecord, AuditError>>, AuditError> {
        let records = Records::open(&self.results, self.overview.names())?;
        let records = records.map(|record| record.map_err(AuditError::from));
        Ok(self.overview.checked(records))
    }
}

/// Audits `model` for `queries` and writes the run to `out`, or finishes a run that is there.
///
/// # Errors
///
/// Any [`AuditError`]. After [`AuditError::Stopped`] the run is in `out` and the same call
/// resumes it; after any other error nothing was written.
pub fn audit(
    model: &Model,
    queries: &NameFile,
    options: &AuditOptions,
    out: &Path,
    progress: &dyn Progress,
) -> Result<AuditSummary, AuditError> {
    let split = check(model, queries, options)?;
    let info = run_info(model, queries, options, &split)?;
    let mut store = RunStore::open(out, info, &queries.queries)?;
    complete(model, queries, options, &split, &mut store, progress).map_err(|source| {
        let kept = store.done();
        AuditError::Stopped { dir: out.to_owned(), kept, source: Box::new(source) }
    })
}

/// Refuses, before anything is computed or written, what [`audit`] would refuse of these, and splits the
/// calibrated reference.
///
/// # Errors
///
/// Those of [`audit`] that come before a run begins, less those of its directory.
pub fn check(
    model: &Model,
    queries: &NameFile,
    options: &AuditOptions,
) -> Result<Split, AuditError> {
    let split = options.check()?;
    if options.inversion.is_some() || options.bank.is_some() {
        model.tower()?;
    }
    check_lengths(model, options, &queries.queries)?;
    Ok(split)
}

/// Computes what the run lacks and writes its table and report.
fn complete(
    model: &Model,
    queries: &NameFile,
    options: &AuditOptions,
    split: &Split,
    store: &mut RunStore<'_>,
    progress: &dyn Progress,
) -> Result<AuditSummary, AuditError> {
    for warning in store.warnings() {
        progress.note(warning);
    }
    let started = Instant::now();
    let auditor = Auditor::with_split(model, options, split, progress)?;
    let reference_s = started.elapsed().as_secs_f64();
    let started = Instant::now();
    run(&auditor, &queries.queries, store, progress)?;
    let queries_s = started.elapsed().as_secs_f64();

    let (paper, calibrated) = auditor.reference_columns();
    store.update_info(|info| {
        *info.wall_s.entry("reference".to_owned()).or_default() += reference_s;
        *info.wall_s.entry("queries".to_owned()).or_default() += queries_s;
        if let (Some(reference), Some(signals)) = (&mut info.paper_reference, paper) {
            reference.signals = signals;
        }
        info.calibrated_reference.signals = calibrated;
        if let Some(known) = &mut info.known_members {
            known.scores = auditor.fitted_scores(&queries.queries);
        }
    })?;
    let overview = Overview::read(store.info(), store.records()?)?;
    let mut warnings = run_warnings(model, &auditor, queries, options, &overview);
    warnings.extend(
        store.info().known_members.as_ref().map(known_members_warnings).unwrap_or_default(),
    );
    store.update_info(|info| info.warnings = warnings)?;
    let Discoveries { q_values, whole_list } =
        overview.discoveries(options.false_discovery_rate, options.seed)?;
    store.update_info(|info| info.whole_list = whole_list)?;
    let checked = Checked::of(&overview, &q_values, &queries.answers, &store.info().parameters)?;
    store.update_info(|info| info.checked = checked)?;
    let reference_scores = auditor.reference_scores()?;
    let previews = previews(&auditor, model, options, &queries.queries, store, &overview)?;
    let table = Table::read(&overview, store.records()?)?;
    let run = store.info().clone();
    let page = render(&Report {
        run: &run,
        overview: &overview,
        table: &table,
        q_values: &q_values,
        previews: &previews,
        answers: &queries.answers,
    })?;
    store.finish(&overview, &q_values, |file| page.write_to(file))?;
    Ok(AuditSummary {
        run: store.info().clone(),
        overview,
        q_values,
        report: store.dir().join(REPORT_FILE),
        results: store.dir().join(RESULTS_FILE),
        reference_scores,
    })
}

/// Computes and appends every record that the store lacks.
fn run(
    auditor: &Auditor<'_>,
    queries: &[Query],
    store: &mut RunStore<'_>,
    progress: &dyn Progress,
) -> Result<(), AuditError> {
    let done = store.done();
    if done == queries.len() {
        return Ok(());
    }
    progress.stage("queries", queries.len());
    progress.advance(done);
    for first in (done / CHUNK * CHUNK..queries.len()).step_by(CHUNK) {
        let chunk: Vec<&Query> = queries[first..].iter().take(CHUNK).collect();
        for (i, reading) in auditor.read(&chunk)?.into_iter().enumerate() {
            let index = first + i;
            if index < store.done() {
                continue;
            }
            let named = |(signal, value): (Signal, _)| (signal.name().to_owned(), value);
            let record = QueryRecord {
                id: chunk[i].id.clone(),
                text: store.written_text(index).into_owned(),
                parts: store.written_parts(index).map(|parts| parts.map(str::to_owned)),
                signals: reading.signals.into_iter().map(named).collect(),
                paper: reading.paper,
                calibrated: reading.calibrated,
                warnings: reading.warnings,
            };
            store.append(&record)?;
            progress.advance(1);
        }
    }
    Ok(())
}

fn run_warnings(
    model: &Model,
    auditor: &Auditor<'_>,
    queries: &NameFile,
    options: &AuditOptions,
    overview: &Overview,
) -> Vec<String> {
    let mut warnings = queries.warnings.clone();
    warnings.extend(auditor.warnings());
    if options.templates.as_slice().len() == 1 {
        warnings.push(
            "only one template: agreement and coherence between templates are not available \
             and the calibrated score is weaker; give several with --template"
                .to_owned(),
        );
    }
    if let Some(reason) = model.without_input() {
        warnings.push(format!(
            "the model was read with its text tower alone: {reason}. Inversions and the paper's \
             reading are left out; the calibrated reading needs the text tower only"
        ));
    }
    let known = options.known_members.as_ref();
    let asked = known.map_or(0, |known| known.among(&queries.queries));
    if asked > 0 {
        warnings.push(format!(
            "{asked} of {} names are known members; they have no calibrated verdict and are left \
             out of the false discovery rate",
            overview.names()
        ));
    }
    let untested = overview.names() - overview.tested() - asked;
    if untested > 0 {
        warnings.push(format!(
            "{untested} of {} names have no calibrated verdict and are left out of the false \
             discovery rate, since the reference has too few names of their form; give a file of \
             plausible names that has some of each form",
            overview.names()
        ));
    }
    if let Some(mean) = overview.mean_similarity().filter(|mean| *mean > SATURATION) {
        warnings.push(format!(
            "the inversions are saturated (mean final cosine {mean:.3}): further steps erase \
             what similarity and variability could tell; take fewer or smaller steps"
        ));
    }
    warnings
}

/// Where the scores that were fitted on known members have no power.
fn known_members_warnings(known: &KnownMembersInfo) -> Vec<String> {
    // So that a NaN is told too.
    let has_power = |score: &&FittedScore| score.cross_validated_auc >= MIN_ANCHORED_AUC;
    let powerless = known.scores.iter().filter(|score| !has_power(score));
    let warning = |score: &FittedScore| {
        format!(
            "the known members that are names of {} are not told from the reference \
             (cross-validated AUC {:.2}): the score fitted on them has no power here; give other \
             known members, or none for the default score",
            score.form, score.cross_validated_auc
        )
    };
    powerless.map(warning).collect()
}

/// Inverted images of the queries with the smallest p-values and of some gibberish.
fn previews(
    auditor: &Auditor<'_>,
    model: &Model,
    options: &AuditOptions,
    queries: &[Query],
    store: &RunStore<'_>,
    overview: &Overview,
) -> Result<Vec<Preview>, AuditError> {
    let mut order: Vec<usize> = (0..overview.names()).collect();
    let p = |i: &usize| overview.p_value(*i).unwrap_or(f64::INFINITY);
    order.sort_by(|a, b| p(a).total_cmp(&p(b)).then(a.cmp(b)));
    order.truncate(options.previews);
    let captions: Vec<_> = order.iter().map(|i| store.written_text(*i)).collect();
    let gibberish = options.paper_reference.texts.iter().take(options.previews / 2);
    let names: Vec<(&str, &str, &str)> = order
        .iter()
        .zip(&captions)
        .map(|(i, caption)| (queries[*i].text.as_str(), caption.as_ref(), "query"))
        .chain(gibberish.map(|g| (g.text.as_str(), g.text.as_str(), "gibberish")))
        .collect();
    let texts: Vec<String> =
        names.iter().map(|(asked, ..)| options.templates.fill_first(asked)).collect();
    let mut previews = Vec::with_capacity(names.len());
    for ((_, caption, kind), inversion) in names.iter().zip(auditor.imagine(&texts)?) {
        if inversion.usable().is_empty() {
            continue;
        }
        let inputs = inversion.inputs.as_ref().expect("inputs were asked for");
        previews.push(Preview {
            caption: (*caption).to_owned(),
            imagined: imagined(model, &inputs.row(0).to_vec(), PREVIEW_SIDE)?,
            note: format!("{kind}, final cosine {:.3}", inversion.final_cosines()[0]),
        });
    }
    Ok(previews)
}

/// What an inversion optimises, in a word.
fn searched(modality: Modality) -> &'static str {
    match modality {
        Modality::Image => "pixels",
        Modality::Audio => "log-mel",
    }
}

fn run_info(
    model: &Model,
    queries: &NameFile,
    options: &AuditOptions,
    split: &Split,
) -> Result<RunInfo, AuditError> {
    let info = |reference: &ReferenceTexts, ranked: usize| ReferenceInfo {
        description: reference.description.clone(),
        count: reference.texts.len(),
        ranked,
        digest: reference.digest(),
        signals: BTreeMap::new(),
    };
    let calibrating = most_ranked_among(&options.calibrated_reference.texts, split);
    let inversion = options.inversion.as_ref();
    let weights = |score: &[(Signal, f64)]| {
        score.iter().map(|(s, weight)| (s.name().to_owned(), *weight)).collect()
    };
    Ok(RunInfo {
        schema_version: SCHEMA_VERSION,
        umid_version: env!("CARGO_PKG_VERSION").to_owned(),
        begun: jiff::Timestamp::now().strftime("%F").to_string(),
        model: ModelInfo {
            name: model.source.name.clone(),
            layout: model.source.layout.to_string(),
            architecture: model.config.architecture(),
            digest: model.source.digest.clone(),
            parameter_count: model.source.parameter_count,
            text_alone: model.without_input(),
            provenance: model.source.provenance.clone(),
        },
        parameters: Parameters {
            seed: options.seed,
            templates: options.templates.as_slice().to_vec(),
            contexts: options.contexts.as_slice().to_vec(),
            precision: model.precision(),
            text_precision: model.text_precision(),
            restarts: inversion.map_or(0, |p| p.restarts),
            steps: inversion.map_or(0, |p| p.steps),
            stop_at: inversion.and_then(|p| p.stop_at),
            optimiser: inversion.map_or_else(String::new, |p| p.optimiser.to_string()),
            starts: inversion.map_or_else(String::new, |p| p.starts.to_string()),
            clamp: inversion.is_some_and(|p| p.clamp == umid_invert::Clamp::ValidRange),
            space: inversion.map_or_else(String::new, |_| searched(model.modality()).to_owned()),
            alpha: options.alpha,
            false_discovery_rate: options.false_discovery_rate,
            min_votes: options.min_votes,
            calibrated_signals: weights(&options.score),
            one_part_signals: weights(&options.one_part_score),
            siblings: options.siblings.describe(),
            bank: options
                .bank
                .as_deref()
                .map(|directory| fingerprint(directory, model.modality()))
                .transpose()?,
            redact: options.redaction == Redaction::On,
        },
        options: options.given.clone(),
        device: model.device_name(),
        unit: Some(model.compute_unit()),
        paper_reference: inversion
            .map(|_| info(&options.paper_reference, options.paper_reference.texts.len())),
        calibrated_reference: info(&options.calibrated_reference, calibrating),
        checked: None,
        whole_list: None,
        known_members: options.known_members.as_ref().map(|known| KnownMembersInfo {
            count: known.names().len(),
            digest: known.digest(),
            asked: known.among(&queries.queries),
            scores: Vec::new(),
        }),
        queries_digest: queries_digest(&queries.queries),
        counts: Counts { queries: queries.queries.len(), done: 0 },
        wall_s: BTreeMap::new(),
        warnings: Vec::new(),
    })
}
