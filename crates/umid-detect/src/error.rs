//! The crate's one error type.

use thiserror::Error;

/// Result of every fallible function in this crate.
pub type Result<T, E = DetectError> = std::result::Result<T, E>;

/// What can go wrong while fitting a detector, scoring rows or calibrating.
#[derive(Debug, Error)]
pub enum DetectError {
    /// A hyperparameter is outside its range (NaN is outside every range).
    #[error(
        "{algorithm}: `{parameter}` is {found}, expected {expected}; set it with `.{parameter}(..)`"
    )]
    Hyperparameter {
        /// The algorithm whose parameters were checked.
        algorithm: &'static str,
        /// Name of the parameter and of its setter.
        parameter: &'static str,
        /// The accepted range, in words.
        expected: &'static str,
        /// The rejected value.
        found: f64,
    },

    /// An argument of a function is outside its range (NaN is outside every range).
    #[error("`{argument}` is {found}, expected {expected}; pass a value in that range")]
    Argument {
        /// Name of the argument.
        argument: &'static str,
        /// The accepted range, in words.
        expected: &'static str,
        /// The rejected value.
        found: f64,
    },

    /// The reference has too few rows for the algorithm to mean anything.
    #[error(
        "{algorithm}: {found} reference rows, at least {needed} are needed; add reference texts"
    )]
    TooFewRows {
        /// The algorithm that was being fitted.
        algorithm: &'static str,
        /// Rows needed.
        needed: usize,
        /// Rows given.
        found: usize,
    },

    /// Too few known members to fit a score on.
    #[error(
        "{found} known members, at least {needed} are needed to fit a score on them; add known \
         members or test by the default score"
    )]
    TooFewKnownMembers {
        /// Known members needed.
        needed: usize,
        /// Known members given.
        found: usize,
    },

    /// The records have no column.
    #[error("the records have no column; give at least one signal per row")]
    NoColumns,

    /// The records do not have the columns that the model was fitted on.
    #[error(
        "the records have {found} columns, the model was fitted on {expected}; pass the same signals in the same order"
    )]
    ColumnCount {
        /// Columns of the reference.
        expected: usize,
        /// Columns of the records.
        found: usize,
    },

    /// A value in a matrix of records is NaN, infinite or so large that its square may overflow.
    #[error(
        "record {row}, column {column} is {value}, expected a number of at most 1e100 in size; drop the row or use a score that takes missing signals"
    )]
    UnusableRecord {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The value found.
        value: f64,
    },

    /// A score in a list is NaN or infinite.
    #[error("{list} score {index} is {value}; leave it out and say that it is missing")]
    NonFiniteScore {
        /// Which list the score is in.
        list: &'static str,
        /// Position, from 0.
        index: usize,
        /// The value found.
        value: f64,
    },

    /// A list that must hold something is empty.
    #[error("the list of {list} is empty; at least one value is needed")]
    Empty {
        /// Which list is empty.
        list: &'static str,
    },

    /// Two methods that are compared did not score the same identities.
    #[error(
        "the first method scored {first} {list}, the second {second}; leave out identities that only one of them scored"
    )]
    Unpaired {
        /// Which class differs.
        list: &'static str,
        /// Identities that the first method scored.
        first: usize,
        /// Identities that the second method scored.
        second: usize,
    },

    /// A p-value is outside `0..=1`.
    #[error("p-value {index} is {value}, expected 0 to 1; pass p-values, not scores")]
    NotAProbability {
        /// Position, from 0.
        index: usize,
        /// The value found.
        value: f64,
    },

    /// A named signal does not vary over the reference, so it has no z-score.
    #[error(
        "signal `{signal}` has standard deviation {standard_deviation:e} over {present} reference rows; leave it out or widen the reference"
    )]
    DegenerateSignal {
        /// Name of the signal.
        signal: String,
        /// Reference rows that have the signal.
        present: usize,
        /// The deviation found.
        standard_deviation: f64,
    },

    /// Too few reference rows have a named signal.
    #[error(
        "signal `{signal}` is present in {found} reference rows, at least {needed} are needed; leave it out or widen the reference"
    )]
    SparseSignal {
        /// Name of the signal.
        signal: String,
        /// Rows needed.
        needed: usize,
        /// Rows that have it.
        found: usize,
    },

    /// A named signal is NaN or infinite. A missing value is `None`.
    #[error("signal `{signal}` of row {row} is {value}; pass `None` for a missing value")]
    NonFiniteSignal {
        /// Name of the signal.
        signal: String,
        /// Row, from 0; a query is row 0.
        row: usize,
        /// The value found.
        value: f64,
    },

    /// A signal's weight is not a positive finite number.
    #[error(
        "signal `{signal}` has weight {weight}, expected a finite number above 0; orient the signal first (higher is more member-like)"
    )]
    SignalWeight {
        /// Name of the signal.
        signal: String,
        /// The rejected weight.
        weight: f64,
    },

    /// Two signals have one name.
    #[error("signal `{signal}` is named twice; give every signal its own name")]
    DuplicateSignal {
        /// The repeated name.
        signal: String,
    },

    /// A row does not have one entry for each named signal.
    #[error("row {row} has {found} signals, expected {expected}; pass `None` for a missing value")]
    SignalCount {
        /// Row, from 0; a query is row 0.
        row: usize,
        /// Number of named signals.
        expected: usize,
        /// Entries in the row.
        found: usize,
    },

    /// A row has none of the signals.
    #[error("none of the signals {expected:?} is available for this row; compute at least one")]
    NoSignal {
        /// Names of the signals that were looked for.
        expected: Vec<String>,
    },

    /// A split names a row that the reference does not have, or names a row twice.
    #[error("the split names row {row}, {problem}; split the rows of this reference")]
    Split {
        /// The row, from 0.
        row: usize,
        /// What is wrong with it, in words.
        problem: &'static str,
    },

    /// Too few calibration rows have the signals that a query has.
    #[error(
        "{found} calibration rows have all of {signals:?}, at least {needed} are needed; add reference texts that have these signals"
    )]
    CalibrationTooSmall {
        /// The signals that the query has.
        signals: Vec<String>,
        /// Rows needed.
        needed: usize,
        /// Rows that have them all.
        found: usize,
    },

    /// The solver stopped before its tolerance was met.
    #[error(
        "{algorithm} stopped at a violation of {violation:e}, above its tolerance {tolerance:e}; raise the tolerance or remove extreme reference rows"
    )]
    NotConverged {
        /// The algorithm that was being fitted.
        algorithm: &'static str,
        /// The tolerance asked for.
        tolerance: f64,
        /// What was left of the optimality violation.
        violation: f64,
    },

    /// Training left a value that is not finite.
    #[error("autoencoder weights are not finite after {epochs} epochs; lower `learning_rate`")]
    Diverged {
        /// Epochs that were run.
        epochs: usize,
    },

    /// The support-vector solver failed.
    #[error("one-class SVM: {0}; check `nu` and the reference")]
    Svm(#[from] linfa_svm::SvmError),

    /// A failure that linfa itself reports.
    #[error("linfa: {0}; check the shape of the dataset")]
    Linfa(#[from] linfa::Error),
}

/// Refuses a parameter that is not as `expected`.
pub(crate) fn require(
    holds: bool,
    algorithm: &'static str,
    parameter: &'static str,
    expected: &'static str,
    found: f64,
) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(DetectError::Hyperparameter { algorithm, parameter, expected, found })
}

pub(crate) fn at_least_one(
    algorithm: &'static str,
    parameter: &'static str,
    found: usize,
) -> Result<()> {
    require(found > 0, algorithm, parameter, "at least 1", found as f64)
}

pub(crate) fn above_zero(
    algorithm: &'static str,
    parameter: &'static str,
    found: f64,
) -> Result<()> {
    let holds = found > 0.0 && found.is_finite();
    require(holds, algorithm, parameter, "a finite number above 0", found)
}
