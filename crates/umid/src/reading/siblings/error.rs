//! Errors of siblings.

use std::path::PathBuf;

use thiserror::Error;

use crate::queries::QueriesError;

/// Why siblings were refused.
#[derive(Debug, Error)]
pub enum SiblingError {
    /// Too few or too many of the bundled siblings.
    #[error(
        "{found} siblings of a kind, expected from 3 to {most}; 16 is the default, or give \
         longer lists"
    )]
    SiblingCount {
        /// How many were asked for.
        found: usize,
        /// How many there could be.
        most: usize,
    },

    /// A list of siblings that is too short.
    #[error(
        "the {what} {} holds {found} distinct names, at least 3 are needed and 16 are better; \
         add some, or leave the file out to use the bundled ones",
        path.display()
    )]
    TooFewSiblings {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// How many names it holds.
        found: usize,
    },

    /// A list of siblings could not be read.
    #[error(transparent)]
    File(#[from] QueriesError),
}
