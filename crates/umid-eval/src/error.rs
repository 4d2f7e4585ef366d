//! What can go wrong in an evaluation.

use std::path::PathBuf;

use thiserror::Error;
use umid_models::{Modality, Precision};

/// The crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in an evaluation.
#[derive(Debug, Error)]
pub enum Error {
    /// A suite's file cannot be read.
    #[error("no suite {name}: {} cannot be read; there is {known}", path.display())]
    NoSuite {
        /// The name that was asked for.
        name: String,
        /// Where its file would be.
        path: PathBuf,
        /// Names of the suites that there are.
        known: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// A suite's file says something that no suite says.
    #[error("{} is not a suite", path.display())]
    SuiteFormat {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: Box<toml::de::Error>,
    },
    /// Two targets of a suite have one name.
    #[error("{}: the target {target} stands twice", path.display())]
    RepeatedTarget {
        /// The suite's file.
        path: PathBuf,
        /// The name.
        target: String,
    },
    /// A suite has no target of a name.
    #[error("no target {name:?}; there is {known}")]
    NoTarget {
        /// The name that was asked for.
        name: String,
        /// Names of the targets that there are.
        known: String,
    },
    /// A target of a suite is neither trained here nor a foreign one, or claims to be both.
    #[error(
        "{}: the target {target} needs either `seed`, to be trained here, or `foreign`, the checkpoint \
         of somebody else", path.display()
    )]
    TargetOrigin {
        /// The suite's file.
        path: PathBuf,
        /// The target.
        target: String,
    },
    /// A foreign target names a list that its suite lacks.
    #[error("the target {target} asks for the list {list:?}; the suite's lists are: {known}")]
    NoList {
        /// The target.
        target: String,
        /// The list.
        list: String,
        /// Names of the suite's lists.
        known: String,
    },
    /// A control is no model that is asked for the same names.
    #[error(
        "the target {target} names {control:?} as its control, which is no foreign target of the suite \
         that is asked for the list {list:?}; a control must have been asked for the same names"
    )]
    Control {
        /// The target.
        target: String,
        /// Its control.
        control: String,
        /// Its list.
        list: String,
    },
    /// A foreign target cannot be trained.
    #[error(
        "the target {target} was published by others and is not trained here; \
         datasets/public/fetch.md says how to get it"
    )]
    NotTrainedHere {
        /// The target.
        target: String,
    },
    /// A method needs more than a list of names.
    #[error(
        "{method} with these settings needs photos or clips of the people, or models trained like the \
         target, which there are not of the foreign target {target}; leave it out with `except`, or \
         name the run's `targets`"
    )]
    NamesAlone {
        /// The method.
        method: &'static str,
        /// The target.
        target: String,
    },
    /// Texts cannot be embedded in the precision that is asked for.
    #[error(
        "texts are embedded in {found} and not in {asked}: this processor or the target's text tower          does not allow it; leave the run out with `except`"
    )]
    TextPrecision {
        /// What the run asks for.
        asked: Precision,
        /// What the model does.
        found: Precision,
    },
    /// A foreign target's model is not there.
    #[error(
        "{} is not there; datasets/public/fetch.md, section {guide:?}, says how to get it", path.display()
    )]
    NotAtHand {
        /// Where the model is expected.
        path: PathBuf,
        /// Section of the guide.
        guide: String,
    },
    /// No target of a suite is at hand.
    #[error(
        "no target of the suite {suite} is at hand; put the missing files in the places that are listed, \
         or say with --public where they are"
    )]
    NothingAtHand {
        /// The suite.
        suite: String,
    },
    /// A list of names is too large.
    #[error("{} has more than {limit_bytes} bytes, which no list of names has", path.display())]
    ListTooLarge {
        /// The list.
        path: PathBuf,
        /// Most bytes that are read.
        limit_bytes: u64,
    },
    /// A list of names is not CSV.
    #[error("{} is not a list of names in CSV; its first line must name the columns", path.display())]
    ListCsv {
        /// The list.
        path: PathBuf,
        /// What is wrong, and where.
        source: csv::Error,
    },
    /// A list of names is not JSON.
    #[error("{} is not JSON, which its name promises", path.display())]
    ListJson {
        /// The list.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// A list of names in JSON does not have the form of one.
    #[error(
        "{}: {place} is not an object of columns; a list is an object or an array of these",
        path.display()
    )]
    ListShape {
        /// The list.
        path: PathBuf,
        /// Which part of it.
        place: String,
    },
    /// A list has no names.
    #[error("the list {list} has no names; each row is one name")]
    ListEmpty {
        /// The list, or its file.
        list: String,
    },
    /// A list has no column of names.
    #[error(
        "{}: no column `name` or `text`; its columns are: {found}; rename the one that holds the names",
        path.display()
    )]
    ListNames {
        /// The list.
        path: PathBuf,
        /// Its columns.
        found: String,
    },
    /// A list nowhere says who is a member.
    #[error(
        "{}: no column `{member}` and no column `{exposures}`; its columns are: {found}; add a column \
         `{member}` of true and false, or name the right column in the suite (`member`, `exposures`), \
         or say `member` of the whole file", path.display()
    )]
    ListMembership {
        /// The list.
        path: PathBuf,
        /// Name of the column of membership.
        member: String,
        /// Name of the column of exposures.
        exposures: String,
        /// Its columns.
        found: String,
    },
    /// A value of a list is not what its column holds.
    #[error("{}, {place}: the column `{column}` has {found:?}, expected {expected}", path.display())]
    ListValue {
        /// The list.
        path: PathBuf,
        /// The row.
        place: String,
        /// The column.
        column: String,
        /// What it has.
        found: String,
        /// What it should have.
        expected: &'static str,
    },
    /// A name stands in a list twice.
    #[error("{}, {place}: the same name as in {first}; keep one of the two", path.display())]
    ListRepeats {
        /// The list.
        path: PathBuf,
        /// The second row.
        place: String,
        /// File and place of the first row.
        first: String,
    },
    /// A file of details is about other names.
    #[error(
        "{}: none of its rows has an `id` or a `name` of the list {list}; it must be about the same \
         names, or be moved away", path.display()
    )]
    ListDetails {
        /// The file of details.
        path: PathBuf,
        /// The list.
        list: String,
    },
    /// A list has nobody to compare with.
    #[error(
        "the list {list} has {members} members and {non_members} non-members; both are needed: add the \
         missing ones, or let non-members be drawn with `fresh = 2000`, which takes at least 12 \
         different first and 12 different last parts"
    )]
    ListOneSided {
        /// The list.
        list: String,
        /// Its members.
        members: usize,
        /// Its non-members.
        non_members: usize,
    },
    /// A target has no list that others published.
    #[error("the target {target} was trained here and has no published list to read a column of")]
    NotListed {
        /// The target.
        target: String,
    },
    /// A list lacks a column of numbers that a method was to read.
    #[error(
        "no name of the target {target} has a number in the column {column:?}; there is: {known}"
    )]
    ListColumn {
        /// The target.
        target: String,
        /// The column.
        column: String,
        /// Columns of numbers that the list has.
        known: String,
    },
    /// There is no method of a name.
    #[error("no method {name:?}; there is {known}")]
    NoMethod {
        /// The name that was asked for.
        name: String,
        /// Names of the methods that there are.
        known: String,
    },
    /// A run of a suite cannot be planned.
    #[error("the run of {run}")]
    Run {
        /// Its method and variant.
        run: String,
        /// Why not.
        source: Box<Self>,
    },
    /// A run names a target that its suite lacks.
    #[error("the run of {method} names the target {target:?}, which the suite lacks")]
    RunTarget {
        /// The run's method.
        method: String,
        /// The target.
        target: String,
    },
    /// A suite asks for a cell twice.
    #[error("{title} stands twice")]
    RepeatedCell {
        /// The cell's title.
        title: String,
    },
    /// No cell of a suite is asked for.
    #[error("no cell of the suite {suite} has one of {only:?} in its title")]
    NoCell {
        /// The suite.
        suite: String,
        /// What titles should contain.
        only: Vec<String>,
    },
    /// A method without settings was given some.
    #[error("the method {method} has no settings")]
    NoSettings {
        /// The method.
        method: &'static str,
    },
    /// Settings that a method does not have.
    #[error("the method's settings")]
    Settings(#[source] Box<toml::de::Error>),
    /// A target on disk was trained otherwise than its suite says.
    #[error(
        "{} was trained by another recipe than the suite's; train it afresh with `cargo xtask zoo \
         --only {target}`",
        folder.display()
    )]
    Recipe {
        /// Where the target is.
        folder: PathBuf,
        /// Its name.
        target: String,
    },
    /// A target on disk is not the model that its card describes.
    #[error("{} is not the model of its card: its digest is {digest}", folder.display())]
    Digest {
        /// Where the target is.
        folder: PathBuf,
        /// Digest of the model that is there.
        digest: String,
    },
    /// A target could not be trained.
    #[error("the target {target} failed")]
    Training {
        /// Its name.
        target: String,
        /// Why not.
        source: Box<Self>,
    },
    /// A method makes no sense of the target's input.
    #[error("{method} is for {expected}-text models, not {found}-text ones")]
    Modality {
        /// The method.
        method: &'static str,
        /// What it is for.
        expected: Modality,
        /// What the target is.
        found: Modality,
    },
    /// A method needs more reference models than the suite has.
    #[error("the suite has {found} reference models of this target, {needed} are needed")]
    ReferenceModels {
        /// How many there are.
        found: usize,
        /// How many are needed.
        needed: usize,
    },
    /// An image to be searched at low resolution is not smaller than the model's input.
    #[error("{side} pixels are not fewer than {most}")]
    CoarseSide {
        /// Its side.
        side: usize,
        /// The side of the model's input.
        most: usize,
    },
    /// There is no text whose latency could be measured.
    #[error("no text to time")]
    NothingToTime,
    /// Real inputs cannot be seen as the target sees them.
    #[error("{} takes other inputs than the target; leave the photo's vote out here", folder.display())]
    FaceNetwork {
        /// The folder of the network.
        folder: PathBuf,
    },

    /// Distances that are all the same have no two clusters.
    #[error("all distances between inverted and real inputs are the same; ask about more people")]
    OneDistance,

    /// An attack on images was given none.
    #[error("`images` is 0, expected at least 1; give each person some")]
    NoImages,

    /// There is nothing to take a threshold from.
    #[error("no scores of known non-members; give the world names of nobody and a bank")]
    NoKnownNonMembers,

    /// A figure has nothing that could be drawn.
    #[error("{axis}: no finite value to draw")]
    NothingToDraw {
        /// The axis without a value.
        axis: String,
    },
    /// A value of a figure has no place on its axes.
    #[error("{series} has a value that cannot be drawn: {value}")]
    Undrawable {
        /// What the value belongs to.
        series: String,
        /// The value.
        value: String,
    },
    /// A file or folder cannot be written or read.
    #[error("{}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A photo of a bank cannot be changed.
    #[error("{}", path.display())]
    Photo {
        /// The photo.
        path: PathBuf,
        /// Why not.
        source: image::ImageError,
    },
    /// The product refuses or fails.
    #[error(transparent)]
    Audit(Box<umid::AuditError>),
    /// A baseline refuses or fails.
    #[error(transparent)]
    Baseline(Box<umid_baselines::BaselineError>),
    /// A detector or a metric refuses or fails.
    #[error(transparent)]
    Detect(#[from] umid_detect::DetectError),
    /// An inversion refuses or fails.
    #[error(transparent)]
    Invert(Box<umid_invert::InvertError>),
    /// A model refuses or fails.
    #[error(transparent)]
    Model(Box<umid_models::ModelError>),
    /// A signal refuses or fails.
    #[error(transparent)]
    Signal(#[from] umid_signals::Error),
    /// The testbed refuses or fails.
    #[error(transparent)]
    Testbed(Box<umid_testbed::Error>),
    /// A cell or a key cannot be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A table cannot be written as CSV.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// Arrays do not fit each other.
    #[error(transparent)]
    Shape(#[from] ndarray::ShapeError),
}

/// These are large, and a result should not be.
macro_rules! boxed {
    ($($variant:ident: $error:ty),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$variant(Box::new(error.into()))
            }
        }
    )*};
}

boxed!(
    Audit: umid::AuditError,
    Audit: umid::queries::QueriesError,
    Audit: umid::reference::ReferenceError,
    Audit: umid::siblings::SiblingError,
    Audit: umid::templates::TemplateError,
    Baseline: umid_baselines::BaselineError,
    Invert: umid_invert::InvertError,
    Model: umid_models::ModelError,
    Testbed: umid_testbed::Error
);

impl Error {
    /// For `map_err`: what could not be read or written.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
