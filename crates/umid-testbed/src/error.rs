//! The one error type of this crate.

use std::io;
use std::path::PathBuf;

/// What can go wrong when a world is drawn, rendered or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name list is too short to draw a world from.
    #[error(
        "the list of {part} names in {origin} has {found} names, at least {needed} are needed; \
         add names or use the bundled list"
    )]
    TooFewNames {
        /// `first` or `last`.
        part: &'static str,
        /// Where the list came from.
        origin: String,
        /// How many names there are.
        found: usize,
        /// How many are needed.
        needed: usize,
    },
    /// A name occurs twice in a list, which would make it twice as likely.
    #[error("{name:?} stands twice in {origin}, again on line {line}; remove one of the two")]
    DuplicateName {
        /// The name.
        name: String,
        /// Where the list came from.
        origin: String,
        /// Line of the second occurrence, from 1.
        line: usize,
    },
    /// A name that is not one word, so that a full name could not be split into its two parts.
    #[error("{name:?} on line {line} of {origin} is not one word; join or hyphenate its parts")]
    NotOneWord {
        /// The name.
        name: String,
        /// Where the list came from.
        origin: String,
        /// Line, from 1.
        line: usize,
    },
    /// More names were asked for than the lists can make.
    #[error(
        "{requested} names were asked for and the lists can make {available} more; ask for fewer \
         or lengthen the lists"
    )]
    NamesExhausted {
        /// How many were asked for.
        requested: usize,
        /// How many combinations are left.
        available: usize,
    },
    /// A parameter is outside its range.
    #[error("{parameter} is {found}, expected {expected}; change it")]
    InvalidParameter {
        /// Name of the parameter.
        parameter: &'static str,
        /// The value that was given.
        found: usize,
        /// The range that is allowed, in words.
        expected: &'static str,
    },
    /// A number that is not a count is outside its range.
    #[error("{parameter} is {found}, expected {expected}; change it")]
    InvalidRate {
        /// Name of the parameter.
        parameter: &'static str,
        /// The value that was given.
        found: f64,
        /// The range that is allowed, in words.
        expected: &'static str,
    },
    /// A parameter of the world that a crawl has no use for.
    #[error("a world like a web crawl takes {expected} alone; leave {parameter} out")]
    CrawlTakes {
        /// Name of the parameter.
        parameter: &'static str,
        /// What a crawl takes, in words.
        expected: &'static str,
    },
    /// An index that names nobody, or no photo, of this world.
    #[error("{what} {index} was asked for and this world has {count}; use an index below that")]
    OutOfRange {
        /// What was indexed.
        what: &'static str,
        /// The index.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// Photos of different sizes on one sheet, or no photo at all.
    #[error("a contact sheet needs at least one photo and one size for all; {found}")]
    UnevenSheet {
        /// What was given instead.
        found: String,
    },
    /// A row of a membership list that cannot be read.
    #[error(
        "cannot read the membership list {path}: {source}; expected columns id,text,member,first,last"
    )]
    MembershipRow {
        /// The file.
        path: PathBuf,
        /// What the CSV reader says, with the line.
        source: csv::Error,
    },
    /// Two rows of a membership list have the same identifier.
    #[error("id {id:?} stands twice in the membership list {path}; give every row its own")]
    DuplicateId {
        /// The file.
        path: PathBuf,
        /// The identifier.
        id: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}; check that it exists and that you may")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// An image could not be encoded or written.
    #[error("cannot write the image {path}: {source}; check that the folder exists")]
    Image {
        /// The file.
        path: PathBuf,
        /// What the encoder says.
        source: image::ImageError,
    },
    /// A clip could not be encoded.
    #[error("cannot encode the clip {path}: {source}")]
    Sound {
        /// The file.
        path: PathBuf,
        /// What the encoder says.
        source: hound::Error,
    },
    /// The corpus holds fewer distinct pairs of symbols than merges were asked for.
    #[error(
        "{requested} merges were asked for and the captions give {learned} that occur twice; ask \
         for fewer or give more captions"
    )]
    CorpusTooSmall {
        /// Merges asked for.
        requested: usize,
        /// Merges that could be learned.
        learned: usize,
    },
    /// The tokenizer library refused a definition or a text.
    #[error("the tokenizer library failed to {action}: {source}; please report this")]
    Tokenizer {
        /// What was being done.
        action: &'static str,
        /// What the library says.
        source: tokenizers::Error,
    },
    /// A caption that the text tower cannot read whole.
    #[error(
        "{caption:?} has {found} tokens and the context {limit}; train the tokenizer with a \
         longer context or with more merges"
    )]
    CaptionTooLong {
        /// The caption.
        caption: String,
        /// Its length in tokens, start and end included.
        found: usize,
        /// The context in tokens.
        limit: usize,
    },
    /// Training went astray.
    #[error("the loss at step {step} is {loss}; try a smaller learning rate or a longer warm-up")]
    Diverged {
        /// The step, from 0.
        step: usize,
        /// The loss.
        loss: f32,
    },
    /// A checkpoint of a training could not be read or written.
    #[error("the checkpoint {path} fails: {source}; remove it to train from the start")]
    Checkpoint {
        /// The folder.
        path: PathBuf,
        /// What burn says.
        source: burn::store::RecordError,
    },
    /// A target's card that is none.
    #[error("{path} is no card of a target: {source}; make the target again")]
    Card {
        /// The file.
        path: PathBuf,
        /// What the JSON reader says.
        source: serde_json::Error,
    },
    /// A model could not be loaded or written.
    #[error(transparent)]
    Model(Box<umid_models::ModelError>),
}

impl From<umid_models::ModelError> for Error {
    fn from(error: umid_models::ModelError) -> Self {
        Self::Model(Box::new(error))
    }
}

impl Error {
    /// For `map_err` on reading `path`.
    pub(crate) fn reading(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        Self::io("read", path.into())
    }

    /// For `map_err` on writing `path`.
    pub(crate) fn writing(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        Self::io("write", path.into())
    }

    fn io(action: &'static str, path: PathBuf) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path, source }
    }
}
