//! What can go wrong before an inversion runs. Once it runs, trouble ends a row, not the run.

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvertError {
    /// A parameter outside of its range.
    #[error("`{name}` is {found}, expected {expected}; change it and try again")]
    InvalidParameter {
        /// The parameter's name.
        name: &'static str,
        /// Its value.
        found: String,
        /// What would have been accepted.
        expected: &'static str,
    },
    /// An array does not fit the model or the space.
    #[error("{what} has shape {found:?}, expected {expected:?}; it belongs to another model")]
    Shape {
        /// The array.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: Vec<usize>,
    },
    /// A text embedding with which no cosine is defined.
    #[error("text embedding {row} is {found}; the model's weights are likely corrupt")]
    Target {
        /// Index of the text.
        row: usize,
        /// What is wrong with it.
        found: &'static str,
    },
}

/// Shorthand for results of this crate.
pub type Result<T, E = InvertError> = std::result::Result<T, E>;
