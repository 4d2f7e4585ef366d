//! Errors of references.

use thiserror::Error;

use crate::queries::QueriesError;

/// Why a reference was refused or could not be made.
#[derive(Debug, Error)]
pub enum ReferenceError {
    /// A reference that is named in no known way.
    #[error(
        "`{found}` names no reference; write gibberish:N or names:N with N a number, or \
         file:PATH"
    )]
    ReferenceSpec {
        /// What was given.
        found: String,
    },

    /// A reference that is too small to compare with, or absurdly large.
    #[error("a reference of {found} texts; ask for {min} to {max}")]
    ReferenceCount {
        /// How many were asked for.
        found: usize,
        /// The fewest.
        min: usize,
        /// The most.
        max: usize,
    },

    /// Name parts from which no new names can be made.
    #[error(
        "only {found} distinct {side} parts where at least {needed} are needed to make new \
         names; give a file of plausible names as the reference"
    )]
    TooFewParts {
        /// `first` or `last`.
        side: &'static str,
        /// How many there are.
        found: usize,
        /// How many are needed.
        needed: usize,
    },

    /// Name parts that do not combine into as many new names as asked.
    #[error(
        "{asked} new names are asked for and the parts give at most {possible}; ask for \
         fewer, or give a file of plausible names as the reference"
    )]
    TooFewCombinations {
        /// How many were asked for.
        asked: usize,
        /// How many can be drawn.
        possible: usize,
    },

    /// The reference file could not be read.
    #[error(transparent)]
    File(#[from] QueriesError),
}
