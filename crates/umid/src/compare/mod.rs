//! Two models, the same names: what changed between them. This is the check of unlearning and of a
//! defence.
//!
//! Both models read the names and the same reference by text alone, each in a run of its own
//! ([`crate::audit`]). A name's change of score is then compared with the changes of the reference names that
//! calibrate, which neither model saw. See [`change`] for the test and [`Verdict`] for what follows.

pub mod change;
mod files;
mod page;
mod plane;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use umid_detect::adaptive_benjamini_hochberg;

use crate::audit::AuditSummary;
use crate::error::AuditError;
use crate::queries::NameFile;
use crate::reading::form::Form;
use crate::record::{ModelInfo, QueryRecord};

pub use change::Direction;
use change::{Changes, Standardised};
pub use files::{CompareError, Directory};
pub use verdict::Verdict;

/// What is said of one name: a line of `changes.jsonl` and a row of `changes.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NameChange {
    /// The query's identifier.
    pub id: String,
    /// The name, or its hash in a redacted run.
    pub text: String,
    /// What became of it; `None` where one of the models has no calibrated verdict on it.
    pub verdict: Option<Verdict>,
    /// Score in deviations of the reference, before and after.
    pub scores: Option<[f64; 2]>,
    /// p-values of membership, before and after.
    pub p_values: [Option<f64>; 2],
    /// q-values of membership, before and after.
    pub q_values: [Option<f64>; 2],
    /// Conformal p-value of the change of score in the direction that was asked for.
    pub change_p_value: Option<f64>,
    /// Its q-value over the list.
    pub change_q_value: Option<f64>,
}

/// `compare.json`: what was compared and how it came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Version of the layout.
    pub schema_version: u32,
    /// Version of umid that wrote it.
    pub umid_version: String,
    /// The day on which the first run was begun, in UTC.
    pub begun: String,
    /// The models, before and after.
    pub models: [ModelInfo; 2],
    /// Digest of the queries.
    pub queries_digest: String,
    /// Which changes count.
    pub direction: Direction,
    /// Level of the false discovery rate, of membership and of change.
    pub false_discovery_rate: f64,
    /// Names with each verdict.
    pub verdicts: BTreeMap<Verdict, usize>,
    /// The same of names that the list says are members, and of those that are not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub verdicts_of_known: BTreeMap<String, BTreeMap<Verdict, usize>>,
    /// Names without a verdict.
    pub without_verdict: usize,
    /// Reference names that a change was ranked among, at most.
    pub ranked: usize,
    /// Correlation of the reference names' scores under the two models, by form of name.
    pub correlation: BTreeMap<String, f64>,
    /// What a reader must know.
    pub warnings: Vec<String>,
}

/// [`Comparison::schema_version`] of this version.
pub const COMPARISON_VERSION: u32 = 1;

/// What a comparison leaves with its caller.
#[derive(Debug, Clone, PartialEq)]
pub struct CompareSummary {
    /// `compare.json` as it was written.
    pub comparison: Comparison,
    /// The names' changes in the queries' order.
    pub changes: Vec<NameChange>,
    /// The report.
    pub report: PathBuf,
}

/// Compares two finished audits of the same names with the same reference, seed and parameters, and writes
/// `compare.json`, `changes.jsonl`, `changes.csv` and `report.html` into the directory.
///
/// # Errors
/// [`CompareError::OtherRuns`] for audits that are not of the same names and references; those of the
/// detectors, and records or files that cannot be read or written.
pub fn compare(
    [before, after]: [&AuditSummary; 2],
    queries: &NameFile,
    direction: Direction,
    directory: &Directory,
) -> Result<CompareSummary, AuditError> {
    same_runs(before, after)?;
    let rate = before.run.parameters.false_discovery_rate;
    let standardised = [Standardised::of(before), Standardised::of(after)];
    let forms: BTreeSet<Form> = queries.queries.iter().map(Form::of).collect();
    let changes = Changes::of(&standardised, &forms)?;
    let mut names = Vec::with_capacity(queries.queries.len());
    let records = before.records()?.zip(after.records()?);
    for (place, (query, (first, second))) in queries.queries.iter().zip(records).enumerate() {
        let records = [first?, second?];
        let q_values = [before.q_values[place], after.q_values[place]];
        names.push(name_change(
            Form::of(query),
            records,
            q_values,
            &standardised,
            &changes,
            direction,
        )?);
    }
    let tested: Vec<f64> = names.iter().filter_map(|name| name.change_p_value).collect();
    let mut found = adaptive_benjamini_hochberg(&tested, rate)?.found.q_values.into_iter();
    for name in &mut names {
        name.change_q_value = name.change_p_value.and_then(|_| found.next());
        name.verdict = Verdict::of(name, direction, rate);
    }
    let comparison = comparison([before, after], queries, direction, &changes, &names);
    let report = directory.write(&comparison, &names, |out| {
        page::write(out, &comparison, &names, &changes, [before, after])
    })?;
    Ok(CompareSummary { comparison, changes: names, report })
}

/// Refuses audits whose names could not be set against each other.
fn same_runs(before: &AuditSummary, after: &AuditSummary) -> Result<(), CompareError> {
    let (a, b) = (&before.run, &after.run);
    let same = [
        ("the names that were asked about", a.queries_digest == b.queries_digest),
        ("the reference names", a.calibrated_reference.digest == b.calibrated_reference.digest),
        ("the seed", a.parameters.seed == b.parameters.seed),
        ("the templates", a.parameters.templates == b.parameters.templates),
        ("the captions of other contents", a.parameters.contexts == b.parameters.contexts),
        ("the siblings", a.parameters.siblings == b.parameters.siblings),
    ];
    match same.into_iter().find(|(_, same)| !same) {
        None => Ok(()),
        Some((what, _)) => Err(CompareError::OtherRuns { what }),
    }
}

fn name_change(
    form: Form,
    records: [QueryRecord; 2],
    q_values: [Option<f64>; 2],
    standardised: &[Standardised; 2],
    changes: &Changes,
    direction: Direction,
) -> Result<NameChange, AuditError> {
    let of = |side: usize| {
        let score = records[side].calibrated.as_ref()?.score;
        standardised[side].score(form, score)
    };
    let scores = of(0).zip(of(1)).map(|(before, after)| [before, after]);
    let change_p_value = match scores {
        None => None,
        Some([before, after]) => changes.p_value(form, after - before, direction)?,
    };
    let p_values = [0, 1].map(|side| records[side].calibrated.as_ref().map(|c| c.p_value));
    let [QueryRecord { id, text, .. }, _] = records;
    Ok(NameChange {
        id,
        text,
        verdict: None,
        scores,
        p_values,
        q_values,
        change_p_value,
        change_q_value: None,
    })
}

fn comparison(
    audits: [&AuditSummary; 2],
    queries: &NameFile,
    direction: Direction,
    changes: &Changes,
    names: &[NameChange],
) -> Comparison {
    let mut verdicts: BTreeMap<Verdict, usize> = BTreeMap::new();
    let mut of_known: BTreeMap<String, BTreeMap<Verdict, usize>> = BTreeMap::new();
    for name in names {
        let Some(verdict) = name.verdict else { continue };
        *verdicts.entry(verdict).or_default() += 1;
        if let Some(member) = queries.answers.member(&name.id) {
            let group = if member { "members" } else { "non-members" };
            *of_known.entry(group.to_owned()).or_default().entry(verdict).or_default() += 1;
        }
    }
    let without_verdict = names.iter().filter(|name| name.verdict.is_none()).count();
    let models = audits.map(|audit| audit.run.model.clone());
    Comparison {
        schema_version: COMPARISON_VERSION,
        umid_version: env!("CARGO_PKG_VERSION").to_owned(),
        begun: audits[0].run.begun.clone(),
        queries_digest: audits[0].run.queries_digest.clone(),
        direction,
        false_discovery_rate: audits[0].run.parameters.false_discovery_rate,
        verdicts,
        verdicts_of_known: of_known,
        without_verdict,
        ranked: changes.most_ranked(),
        correlation: changes.correlations(),
        warnings: warnings(audits, &models, changes, without_verdict, names.len()),
        models,
    }
}

/// Scores that rise and fall together less than this leave little power to a change.
const LOW_CORRELATION: f64 = 0.3;

fn warnings(
    audits: [&AuditSummary; 2],
    models: &[ModelInfo; 2],
    changes: &Changes,
    without_verdict: usize,
    names: usize,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if models[0].digest == models[1].digest {
        warnings.push(
            "both models have the same digest: nothing can have changed between them".to_owned(),
        );
    }
    if models[0].architecture != models[1].architecture {
        warnings.push(format!(
            "the models are of different architectures ({} and {}): each name is compared with each \
             model's own reference, and what the towers do differently with any name widens the \
             reference's changes, which costs power",
            models[0].architecture, models[1].architecture
        ));
    }
    for (form, correlation) in changes.correlations() {
        let agree = correlation >= LOW_CORRELATION;
        // So that a NaN is told too.
        if !agree {
            warnings.push(format!(
                "the two models agree little on reference names of {form} (correlation of scores \
                 {correlation:.2}): only large changes can be told from chance"
            ));
        }
    }
    if without_verdict > 0 {
        warnings.push(format!(
            "{without_verdict} of {names} names have no verdict under one of the models or both; the \
             two audits' reports say why"
        ));
    }
    for (audit, which) in audits.into_iter().zip(["before", "after"]) {
        warnings.extend(audit.run.warnings.iter().map(|warning| format!("{which}: {warning}")));
    }
    warnings
}
