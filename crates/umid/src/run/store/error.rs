//! Errors of a run's directory.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::{Difference, ReadBackProblem, RecordProblem};

/// Why a run's directory was refused, or could not be written or read back.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A file of the run could not be opened or read.
    #[error(
        "cannot read the {what} {}: {source}; check the path and that you may read it",
        path.display()
    )]
    ReadFile {
        /// What the file is for, such as `results`.
        what: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },

    /// The output path is not a directory.
    #[error("the output {} is a file; give a directory", path.display())]
    OutputNotADirectory {
        /// The path.
        path: PathBuf,
    },

    /// The run's files could not be created.
    #[error(
        "cannot create {}: {source}; check that the output directory is writable and its \
         disk has room",
        path.display()
    )]
    CreateOutput {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },

    /// The output directory holds something else than a run.
    #[error(
        "the output directory {} holds `{entry}` and no run.json, so it is not the directory \
         of a run; give a new or an empty one (nothing was changed)",
        dir.display()
    )]
    ForeignOutput {
        /// The directory.
        dir: PathBuf,
        /// One thing that is in it.
        entry: String,
    },

    /// Another process is writing this run.
    #[error(
        "the output directory {} is in use by another run; wait for it to end, or give \
         another directory",
        dir.display()
    )]
    OutputLocked {
        /// The directory.
        dir: PathBuf,
    },

    /// The lock could be neither taken nor found taken.
    #[error(
        "cannot lock {}: {source}; give a directory on a disk whose file system has locks",
        path.display()
    )]
    LockOutput {
        /// The lock file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },

    /// `run.json` is there and is not the description of a run.
    #[error(
        "{} is not a run's description: {reason}; give another directory, or move that one \
         away to start afresh (nothing was changed)",
        path.display()
    )]
    RunInfoUnreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The directory holds a run with other inputs or settings.
    #[error(
        "the run in {} is not the one asked for: {}; give another directory, or the settings of \
         that run to resume it (nothing was changed)",
        dir.display(),
        Difference::list(differences)
    )]
    DifferentRun {
        /// The directory.
        dir: PathBuf,
        /// What differs.
        differences: Vec<Difference>,
    },

    /// A line of `results.jsonl` that this run cannot have written.
    #[error(
        "{} line {line}: {problem}; remove that line and all after it to compute them again, \
         or give another directory (nothing was changed)",
        path.display()
    )]
    ResultsRecord {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: RecordProblem,
    },

    /// The key of a redacted run is gone or damaged.
    #[error(
        "the redaction key {} {reason}; put the run's own key back, or give another directory",
        path.display()
    )]
    RedactionKey {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// A number that JSON cannot hold.
    #[error(
        "the record of query `{id}` has a value that is not finite: {field}; remove the query, \
         or report this as a defect"
    )]
    RecordNotFinite {
        /// The query's id.
        id: String,
        /// Where in the record.
        field: String,
    },

    /// A record that is not the next one of the run.
    #[error(
        "a record for `{found}` was handed in where {expected} is next; records are written \
         in the order of the queries, so report this as a defect"
    )]
    UnexpectedRecord {
        /// The id and text that were expected, or `nothing`.
        expected: String,
        /// The record's id.
        found: String,
    },

    /// A finished record could not be read back from `results.jsonl`.
    #[error(
        "{} line {line} cannot be read back: {problem}; the file was changed or damaged after \
         it was written, and a resumed run checks every line",
        path.display()
    )]
    ReadBack {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What went wrong.
        problem: ReadBackProblem,
    },

    /// A write failed while the run was going.
    #[error(
        "cannot write {}: {source}; free some space or mend the disk",
        path.display()
    )]
    WriteOutput {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}
