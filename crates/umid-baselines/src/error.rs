//! The crate's one error type.

use thiserror::Error;

/// Result of every fallible function in this crate.
pub type Result<T, E = BaselineError> = std::result::Result<T, E>;

/// What can go wrong while an attack is prepared or a pair is scored.
#[derive(Debug, Error)]
pub enum BaselineError {
    /// An argument is outside its range (NaN is outside every range).
    #[error("`{argument}` is {found}, expected {expected}; pass a value in that range")]
    Argument {
        /// Name of the argument or field.
        argument: &'static str,
        /// The accepted range, in words.
        expected: &'static str,
        /// The rejected value.
        found: f64,
    },

    /// There are fewer of something than the attack can work with.
    #[error(
        "{found} {what}, at least {needed} are needed; add more or change the attack's settings"
    )]
    TooFew {
        /// What is counted.
        what: &'static str,
        /// How many are needed.
        needed: usize,
        /// How many there are.
        found: usize,
    },

    /// Two arrays that belong together differ in a size.
    #[error("{what}: {found}, expected {expected}; pass arrays that belong together")]
    Size {
        /// Which size of which array.
        what: &'static str,
        /// The size of the array that it must match.
        expected: usize,
        /// The size found.
        found: usize,
    },

    /// A value in an array is NaN or infinite.
    #[error("{array}: entry {index} in row-major order is {value}; drop the row that holds it")]
    NonFinite {
        /// What the array holds.
        array: &'static str,
        /// Position in row-major order, from 0.
        index: usize,
        /// The value found.
        value: f64,
    },

    /// The weights are not there to take a gradient with respect to, or to drop.
    #[error("the model's weights are frozen; load it with `LoadOptions::trainable`")]
    FrozenModel,

    /// Dropout was asked of a model in which nothing drops.
    #[error("neither tower of the model has attention that can drop; use another attack")]
    NothingToDrop,

    /// An embedding has length zero, so it has no direction.
    #[error("{array}: row {row} has length zero, so its cosine is undefined; drop the row")]
    ZeroRow {
        /// What the array holds.
        array: &'static str,
        /// Row, from 0.
        row: usize,
    },

    /// A query lacks the reference models that it needs.
    #[error(
        "query {query} has no reference model {side} its training set; train reference models on random halves, or use the offline variant"
    )]
    NoReference {
        /// Query, from 0.
        query: usize,
        /// `with it in` or `with it out of`.
        side: &'static str,
    },

    /// Scores that should spread do not, so nothing can be measured in their deviations.
    #[error("{what} do not vary, so they have no deviation to measure by; use more varied ones")]
    NoSpread {
        /// Which scores.
        what: &'static str,
    },

    /// No character n-gram stands in enough training texts.
    #[error(
        "no character n-gram stands in {min_documents} of {texts} training texts; lower `min_documents` or add texts"
    )]
    EmptyVocabulary {
        /// Training texts.
        texts: usize,
        /// Texts that an n-gram must stand in.
        min_documents: usize,
    },

    /// Logistic regression stopped away from its optimum.
    #[error(
        "logistic regression stopped with a gradient of {gradient:e}, above {tolerance:e}; lower `inverse_penalty` or rescale the features"
    )]
    NotConverged {
        /// Largest absolute entry of the gradient.
        gradient: f64,
        /// The largest that is accepted.
        tolerance: f64,
    },

    /// Logistic regression took all its steps.
    #[error(
        "logistic regression still moved after {steps} steps; lower `inverse_penalty` or check that both classes are there"
    )]
    StepsExhausted {
        /// Steps taken.
        steps: usize,
    },

    /// The solver of the logistic regression failed.
    #[error("logistic regression: {0}; lower `inverse_penalty` or rescale the features")]
    Logistic(#[from] linfa_logistic::error::Error),

    /// Scores could not be ranked.
    #[error(transparent)]
    Ranking(#[from] umid_detect::DetectError),

    /// The model refused an input.
    #[error(transparent)]
    Model(#[from] umid_models::ModelError),

    /// An image does not have the model's input shape.
    #[error("an image of shape {found:?}, expected {expected:?}; preprocess it for this model")]
    InputShape {
        /// `[channels, height, width]` of the model's input.
        expected: [usize; 3],
        /// The shape found.
        found: [usize; 3],
    },
}
