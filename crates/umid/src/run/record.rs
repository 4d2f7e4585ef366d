//! What a run leaves behind, as data: one [`QueryRecord`] a line in `results.jsonl`, one
//! [`RunInfo`] in `run.json`. The report is drawn from these two and from nothing else.
//!
//! A query's record is final when it is written: every number in it depends on the model, the
//! query, the parameters and the reference, never on the other queries. The one quantity that
//! needs the whole run, the Benjamini-Hochberg q-value, is therefore not here but in
//! `results.csv` and in the report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use umid_detect::ListAnswer;
use umid_models::{Precision, Provenance};

use crate::checked::Checked;

/// Version of the layout of `results.jsonl` and `run.json`.
pub const SCHEMA_VERSION: u32 = 2;

/// One line of `results.jsonl`: everything that the run says about one query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryRecord {
    /// The query's identifier, unique in the run.
    pub id: String,
    /// The name that was asked about, or its hash in a redacted run.
    pub text: String,
    /// The first and the last part of the name, if it has parts; `None` in a redacted run.
    pub parts: Option<[String; 2]>,
    /// Raw signal values by name, as the signal's definition gives them. A signal that could
    /// not be computed for this query is `None`.
    pub signals: BTreeMap<String, Option<f64>>,
    /// The paper's reading: the ensemble's vote against gibberish. `None` when the run was
    /// made without inversions.
    pub paper: Option<PaperReading>,
    /// The calibrated reading: a conformal p-value against plausible names of the same form.
    /// `None` if the reference has too few of these; a warning says so.
    pub calibrated: Option<CalibratedReading>,
    /// What the reader must know about this query, in plain words.
    pub warnings: Vec<String>,
}

/// The ensemble's vote on one query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaperReading {
    /// Each detector's score by name; higher is more member-like.
    pub scores: BTreeMap<String, f64>,
    /// Whether each detector calls the query anomalous.
    pub flags: BTreeMap<String, bool>,
    /// How many detectors do.
    pub votes: usize,
    /// Votes with ties broken by the detectors' ranks against the reference; for ROC curves.
    pub vote_score: f64,
    /// Whether the votes reach the ensemble's minimum.
    pub member: bool,
}

/// The calibrated test's outcome on one query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibratedReading {
    /// Signed weighted mean of z-scores, or the log-odds of a score fitted on known members;
    /// higher is more member-like.
    pub score: f64,
    /// Conformal p-value of the score: the chance of a score this high for a name that is
    /// exchangeable with the reference.
    pub p_value: f64,
    /// For a score above all reference names, the p-value by the tail of their scores, which is
    /// extrapolated; the q-value goes by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail_p_value: Option<f64>,
    /// Reference names that the score was ranked among: no `p_value` is below one in as many, and one
    /// more.
    #[serde(default)]
    pub ranked_among: usize,
    /// The signals that entered the score.
    pub signals_used: Vec<String>,
    /// Whether `p_value` is at most the run's `alpha`. `false` means *not detected*.
    pub detected: bool,
    /// How many known members the score was fitted on; `None` for the default score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_members: Option<usize>,
}

/// `run.json`: what was run, on what, and how it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Version of umid that wrote the run.
    pub umid_version: String,
    /// The day on which the run was begun, in UTC, such as `2026-12-01`.
    pub begun: String,
    /// The audited model.
    pub model: ModelInfo,
    /// Everything that determines the results besides model and texts.
    pub parameters: Parameters,
    /// The options that were given, by their names, without those that name files and directories:
    /// `--config run.json` gives them again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, Vec<String>>,
    /// Where the run was computed, such as `cpu`.
    pub device: String,
    /// What products of the input tower ran on, such as `f32 (avx512)`.
    #[serde(default)]
    pub unit: Option<String>,
    /// The reference of the paper's reading; `None` without inversions.
    pub paper_reference: Option<ReferenceInfo>,
    /// The reference of the calibrated reading.
    pub calibrated_reference: ReferenceInfo,
    /// The known members that scores were fitted on; `None` where none were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_members: Option<KnownMembersInfo>,
    /// What the verdicts are worth on names whose answers the list held; `None` where it held none, and
    /// before the run is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<Checked>,
    /// What the list says as a whole; `None` before the run is done, or where no name was tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole_list: Option<WholeList>,
    /// Digest of the queries file's parsed content (ids and texts, in order).
    pub queries_digest: String,
    /// How many queries were asked and how many are done.
    pub counts: Counts,
    /// Wall-clock seconds by stage (`reference`, `queries`), summed over resumptions.
    pub wall_s: BTreeMap<String, f64>,
    /// Warnings about the run as a whole, each ending in what to do.
    pub warnings: Vec<String>,
}

/// The audited model, as far as a reader of the report needs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// The name of the model's directory, file or repository (not its path).
    pub name: String,
    /// The layout, such as `hugging-face` or `open-clip`.
    pub layout: String,
    /// Architecture in words, such as `CLIP ViT-B/32`.
    pub architecture: String,
    /// BLAKE3 digest of configuration, weights, tokenizer and preprocessing.
    pub digest: String,
    /// Number of weights.
    pub parameter_count: u64,
    /// Why the model was read with its text tower alone; `None` if it has an input tower.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_alone: Option<String>,
    /// Which files it was read from, and what was inferred and assumed.
    #[serde(default)]
    pub provenance: Provenance,
}

/// The parameters of a run. Two runs with equal model digest, parameters and query digest
/// give equal results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// Seed of the starts, the references and the detectors.
    pub seed: u64,
    /// Caption templates, each with one `{}`. The first is the one that is inverted.
    pub templates: Vec<String>,
    /// Captions that say other things beside the name, each with one `{}`.
    #[serde(default)]
    pub contexts: Vec<String>,
    /// In which precision the input tower computes.
    #[serde(default)]
    pub precision: Precision,
    /// In which precision the blocks of the text tower compute.
    #[serde(default)]
    pub text_precision: Precision,
    /// Restarts of each inversion; 0 leaves inversions out, and the paper's reading with them.
    pub restarts: usize,
    /// Steps of each inversion, at most.
    pub steps: usize,
    /// The cosine at which a restart stops; `None` where all steps are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_at: Option<f32>,
    /// Optimiser in words with its step size, such as `normalised-gradient(0.07)`.
    pub optimiser: String,
    /// `gaussian` or `uniform`.
    pub starts: String,
    /// Whether inputs are clamped to the valid range after each step.
    pub clamp: bool,
    /// What is optimised: `pixels`.
    pub space: String,
    /// Per-name significance level of the calibrated test.
    pub alpha: f64,
    /// Level of the false discovery rate control across the run.
    pub false_discovery_rate: f64,
    /// Votes that make a member in the paper's reading.
    pub min_votes: usize,
    /// Signals of the calibrated score with their weights.
    pub calibrated_signals: BTreeMap<String, f64>,
    /// Weights for names without two parts.
    pub one_part_signals: BTreeMap<String, f64>,
    /// Digest of the names that siblings are made of, and how many of each kind.
    pub siblings: String,
    /// Digest of the bank's images; `None` without a bank.
    pub bank: Option<String>,
    /// Whether texts are written as keyed hashes instead of in the clear.
    pub redact: bool,
}

/// Where a reference came from, and how large it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReferenceInfo {
    /// What kind of texts, in words for the report.
    pub description: String,
    /// Number of texts.
    pub count: usize,
    /// How many of them a query is ranked among, at most: all for the paper's reading, and for
    /// the calibrated one those of the query's form that do not set the scales.
    pub ranked: usize,
    /// Digest of the texts in order.
    pub digest: String,
    /// The signals of each reference text, raw, by signal name; for the report's plots.
    pub signals: BTreeMap<String, Vec<Option<f64>>>,
}

/// The known members that scores were fitted on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownMembersInfo {
    /// Number of names, each counted once.
    pub count: usize,
    /// Digest of the names in order.
    pub digest: String,
    /// Queries that are among them and get no calibrated verdict.
    pub asked: usize,
    /// The fitted scores, one for each form of name that has enough known members.
    pub scores: Vec<FittedScore>,
}

/// A score that was fitted on known members, for names of one form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedScore {
    /// Words in each part of the names.
    pub form: String,
    /// Known members that it was fitted on.
    pub known_members: usize,
    /// Reference names that they were set against, none of which gives p-values.
    pub reference_names: usize,
    /// The signals that entered, each with its square.
    pub signals: Vec<String>,
    /// AUC of the known members against these reference names by the score itself; too good.
    pub in_sample_auc: f64,
    /// The same by five-fold cross-validation.
    pub cross_validated_auc: f64,
}

/// What the list says as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WholeList {
    /// Estimated share of names that are not members, by which q-values are scaled; 1 for a list of
    /// fewer than [`umid_detect::MIN_NAMES_FOR_A_SHARE`] names.
    pub non_member_share: f64,
    /// Whether some of the names are members, and how many.
    #[serde(flatten)]
    pub answer: ListAnswer,
}

/// Progress of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Queries in the file.
    pub queries: usize,
    /// Queries with a record.
    pub done: usize,
}
