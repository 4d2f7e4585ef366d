//! Everything that an audit is asked to do besides model and queries.

use std::collections::BTreeMap;
use std::path::PathBuf;

use umid_detect::Split;
use umid_invert::InvertParams;
use umid_models::Modality;
use umid_signals::Signal;

use crate::cache::ReferenceCache;
use crate::error::AuditError;
use crate::reading::known_members::KnownMembers;
use crate::reading::reference_fit::{check_known_members, check_votes, split_names};
use crate::reference::ReferenceTexts;
use crate::score::{DEFAULT_SCORE, ONE_PART_SCORE};
use crate::siblings::{DEFAULT_SIBLINGS, Siblings};
use crate::templates::Templates;

/// Everything that an audit is asked to do besides model and queries.
///
/// What is not asked: an audit keeps what it computed for parts of names, in at most 512 MiB
/// ([`umid_signals::DEFAULT_SUMMARY_BYTES`]). Results do not depend on this, beyond the round-off of shared
/// matrix products.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// Caption templates; the first one is inverted.
    pub templates: Templates,
    /// Captions that say other things beside the name; one that the model's context cuts is asked as it
    /// was cut.
    pub contexts: Templates,
    /// Inversion parameters; `None` leaves inversions out, and the paper's reading with them.
    pub inversion: Option<InvertParams>,
    /// Texts of the paper's reading.
    pub paper_reference: ReferenceTexts,
    /// Texts of the calibrated reading: plausible names that cannot be members.
    pub calibrated_reference: ReferenceTexts,
    /// Names that the calibrated score is fitted on; `None` for the default score. Set by
    /// [`Self::with_known_members`], which takes them out of the reference.
    pub known_members: Option<KnownMembers>,
    /// Names that siblings of a query are made of.
    pub siblings: Siblings,
    /// Directory of public images or sounds of the model's domain.
    pub bank: Option<PathBuf>,
    /// Signals of the calibrated score with their weights.
    pub score: Vec<(Signal, f64)>,
    /// The same for names without two parts.
    pub one_part_score: Vec<(Signal, f64)>,
    /// Per-name significance level of the calibrated test.
    pub alpha: f64,
    /// Level of the false discovery rate control across the run.
    pub false_discovery_rate: f64,
    /// Votes that make a member in the paper's reading.
    pub min_votes: usize,
    /// Seed of starts, detectors and splits.
    pub seed: u64,
    /// Whether names are written as keyed hashes.
    pub redaction: Redaction,
    /// Where fitted references are kept.
    pub cache: ReferenceCache,
    /// Inverted images in the report.
    pub previews: usize,
    /// What the user gave, by the names of options, for `run.json`; it decides nothing.
    pub given: BTreeMap<String, Vec<String>>,
}

/// Level of the calibrated test and of the false discovery rate control.
pub const DEFAULT_ALPHA: f64 = 0.05;
/// Votes of the four detectors that make a member.
pub const DEFAULT_MIN_VOTES: usize = 3;

impl AuditOptions {
    /// The defaults of `umid audit` for a model of this kind with these references, except that the
    /// report shows no inverted images and nothing is cached.
    ///
    /// # Errors
    ///
    /// Those of the bundled siblings.
    pub fn new(
        modality: Modality,
        seed: u64,
        paper_reference: ReferenceTexts,
        calibrated_reference: ReferenceTexts,
    ) -> Result<Self, AuditError> {
        Ok(Self {
            templates: Templates::of(modality),
            contexts: Templates::contexts_of(modality),
            inversion: Some(InvertParams { seed, ..InvertParams::default() }),
            paper_reference,
            calibrated_reference,
            known_members: None,
            siblings: Siblings::bundled(DEFAULT_SIBLINGS)?,
            bank: None,
            score: DEFAULT_SCORE.to_vec(),
            one_part_score: ONE_PART_SCORE.to_vec(),
            alpha: DEFAULT_ALPHA,
            false_discovery_rate: DEFAULT_ALPHA,
            min_votes: DEFAULT_MIN_VOTES,
            seed,
            redaction: Redaction::Off,
            cache: ReferenceCache::off(),
            previews: 0,
            given: BTreeMap::new(),
        })
    }

    /// These options with a score that is fitted on known members. Names of the calibrated
    /// reference that are among them are taken out of it, with a warning.
    #[must_use]
    pub fn with_known_members(mut self, known: KnownMembers) -> Self {
        self.calibrated_reference.without(&known);
        self.known_members = Some(known);
        self
    }

    /// Refuses, before anything is computed, options with which no audit could end, and splits the
    /// calibrated reference: this split is the one that everything is fitted with.
    pub(crate) fn check(&self) -> Result<Split, AuditError> {
        for (name, level) in
            [("alpha", self.alpha), ("false discovery rate", self.false_discovery_rate)]
        {
            if !(level > 0.0 && level < 1.0) {
                return Err(AuditError::Level { name, found: level });
            }
        }
        if let Some(params) = &self.inversion {
            params.check()?;
            if params.restarts < 2 {
                return Err(AuditError::OneRestart);
            }
        }
        check_votes(self.min_votes)?;
        let names = &self.calibrated_reference.texts;
        let split = split_names(names, self.seed)?;
        if let Some(known) = &self.known_members {
            check_known_members(known, names, &split)?;
        }
        Ok(split)
    }
}

/// Whether names appear in a run's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redaction {
    /// In the clear.
    Off,
    /// As keyed hashes.
    On,
}
