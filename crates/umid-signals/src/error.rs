//! The one error type of this crate: a broken input, named with its place and its value.

/// A result whose error is [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Why a signal could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An array holds a NaN or an infinity.
    #[error("{array} hold {value} at {at:?}; drop that row or embed it again")]
    NotFinite {
        /// What the array holds.
        array: &'static str,
        /// Index of the first offending element; its first entry is the row.
        at: Vec<usize>,
        /// The offending element.
        value: f32,
    },
    /// A row has length zero, hence no direction.
    #[error(
        "{array}: row {row} is all zeros and has no direction; drop that row or embed it again"
    )]
    ZeroRow {
        /// What the array holds.
        array: &'static str,
        /// The offending row.
        row: usize,
    },
    /// An element lies outside the range of a cosine.
    #[error("{array} hold {value} at {at:?}; pass cosines in [-1, 1], not raw dot products")]
    NotACosine {
        /// What the array holds.
        array: &'static str,
        /// Index of the first offending element.
        at: Vec<usize>,
        /// The offending element.
        value: f32,
    },
    /// A length is negative.
    #[error("{array} hold {value} at row {row}; pass norms, which are never negative")]
    NegativeNorm {
        /// What the array holds.
        array: &'static str,
        /// The offending row.
        row: usize,
        /// The offending element.
        value: f32,
    },
    /// Two arrays disagree on an axis.
    #[error("{array} have {found} {axis}, expected {expected}; take both from the same run")]
    Mismatch {
        /// What the array holds.
        array: &'static str,
        /// The axis in question.
        axis: &'static str,
        /// The length that the other array has.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// A collection is too small for the definition of the signal.
    #[error("{found} {items} are too few; give at least {needed}")]
    TooFew {
        /// What is counted.
        items: &'static str,
        /// How many are needed.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// A parameter lies outside its range.
    #[error("{parameter} is {value}; pass {allowed}")]
    OutOfRange {
        /// Name of the parameter.
        parameter: &'static str,
        /// The value found.
        value: f64,
        /// The values that are allowed.
        allowed: &'static str,
    },
    /// An index points past the end of its list.
    #[error("{index_of} is {index} but there are only {len}; pass an index below {len}")]
    IndexOutOfRange {
        /// What the index points to.
        index_of: &'static str,
        /// The index found.
        index: usize,
        /// Length of the list.
        len: usize,
    },
    /// A residual is exactly zero, so its logarithm does not exist.
    #[error(
        "the residual of {residual} is exactly zero; check that the text tower sees the whole \
         name (not truncated) and that the states of different names differ"
    )]
    ZeroResidual {
        /// Whose it is.
        residual: &'static str,
    },
    /// A template without a place for the name, or with several.
    #[error(
        "the template \"{template}\" has {found} `{{}}`; write it with one, like \"a photo of {{}}\""
    )]
    Template {
        /// The template.
        template: String,
        /// How many places it has.
        found: usize,
    },
    /// A name that no signal has.
    #[error("no signal is called \"{found}\"; use one of {}", crate::card::known_names())]
    UnknownSignal {
        /// The name found.
        found: String,
    },
}
