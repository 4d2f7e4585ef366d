//! The crate's one error type. A variant carries what failed, where, what was expected and
//! what was found; its message ends in what to try. [`AuditError::Stopped`] alone is of a run
//! that began (exit code 3); any other error of [`crate::audit::audit`] left nothing written.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Everything that can go wrong in an audit.
#[derive(Debug, Error)]
pub enum AuditError {
    /// The checkpoint or an image could not be used.
    #[error(transparent)]
    Model(#[from] umid_models::ModelError),

    /// An inversion could not be set up.
    #[error(transparent)]
    Invert(#[from] umid_invert::InvertError),

    /// A signal could not be computed.
    #[error(transparent)]
    Signal(#[from] umid_signals::Error),

    /// A detector or a test could not be fitted or read.
    #[error(transparent)]
    Detect(#[from] umid_detect::DetectError),

    /// The report could not be drawn.
    #[error(transparent)]
    Report(#[from] crate::report::ReportError),

    /// A list of names was refused.
    #[error(transparent)]
    Queries(#[from] crate::queries::QueriesError),

    /// Caption templates were refused.
    #[error(transparent)]
    Template(#[from] crate::templates::TemplateError),

    /// Siblings were refused.
    #[error(transparent)]
    Sibling(#[from] crate::siblings::SiblingError),

    /// There is no reference.
    #[error(transparent)]
    Reference(#[from] crate::reference::ReferenceError),

    /// A name of the reference, or one with a sibling's part, does not fit the model's context.
    #[error(
        "{what} has {tokens} tokens in a template, the model reads {context} and would not see \
         the end; shorten the template, {remedy}"
    )]
    TextTooLongForModel {
        /// Which text.
        what: String,
        /// Tokens of the longest template filled with it.
        tokens: usize,
        /// The model's context.
        context: usize,
        /// What else to try.
        remedy: &'static str,
    },

    /// A name does not fit the model's context.
    #[error(
        "query `{id}` has {tokens} tokens in a template, the model reads {context}; shorten the \
         name or the template, what is cut off could not be audited"
    )]
    QueryTooLong {
        /// The query's id.
        id: String,
        /// Tokens of the longest template filled with the name.
        tokens: usize,
        /// The model's context.
        context: usize,
    },

    /// One restart, with which there is no variability.
    #[error(
        "1 restart gives no variability, which the paper's reading needs; take at least 2, or 0 to \
         leave inversions out"
    )]
    OneRestart,

    /// A level that is no probability.
    #[error("the {name} is {found}, expected a number above 0 and below 1; 0.05 is usual")]
    Level {
        /// Which level.
        name: &'static str,
        /// Its value.
        found: f64,
    },

    /// Votes for a member that cannot be reached, or need not be.
    #[error(
        "{found} votes for a member, expected 1 to {most}, the number of detectors; 3 is usual"
    )]
    MinVotes {
        /// How many were asked for.
        found: usize,
        /// How many detectors vote.
        most: usize,
    },

    /// A reference that cannot calibrate a p-value.
    #[error(
        "the calibrated reading has {found} {kind} to calibrate with, at least {needed} are \
         needed, and a third of the reference goes into the scales before; {ask} names of one form \
         would do"
    )]
    CalibrationNames {
        /// Which names: all, or those of two parts.
        kind: &'static str,
        /// How many there are.
        found: usize,
        /// The fewest that give p-values.
        needed: usize,
        /// A reference that is large enough.
        ask: usize,
    },

    /// Too few known members to fit a score on.
    #[error(
        "of {count} known members, {found} are names of one form that the reference can rank, and \
         at least {needed} are needed to fit a score; give more known members with as many words \
         in each part as the queries have, or none"
    )]
    KnownMembers {
        /// Different names that were given.
        count: usize,
        /// The most of them that are of one form.
        found: usize,
        /// The fewest that a score is fitted on.
        needed: usize,
    },

    /// A directory that is no bank.
    #[error("the bank {} cannot be used: {reason}", path.display())]
    Bank {
        /// The directory.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },

    /// The reference's inversions mostly failed.
    #[error(
        "only {usable} of {count} gibberish texts gave finite inversions; the step is too large \
         for this model, or its weights are corrupt"
    )]
    ReferenceFailed {
        /// Texts with both signals.
        usable: usize,
        /// Texts of the reference.
        count: usize,
    },

    /// A file could not be opened or read.
    #[error(
        "cannot read the {what} {}: {source}; check the path and that you may read it",
        path.display()
    )]
    ReadFile {
        /// What the file is for, such as `queries file`.
        what: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },

    /// Two audits could not be compared.
    #[error(transparent)]
    Compare(#[from] crate::compare::CompareError),

    /// The run's directory was refused, or could not be written or read back.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),

    /// The run began and did not end: whatever failed after its directory was there.
    #[error(
        "the run in {} stopped with {kept} finished records, which are kept; the same command \
         resumes it",
        dir.display()
    )]
    Stopped {
        /// The run's directory.
        dir: PathBuf,
        /// Records that were finished before.
        kept: usize,
        /// What failed.
        source: Box<AuditError>,
    },
}
