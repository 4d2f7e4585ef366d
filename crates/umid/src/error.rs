//! The crate's one error type. A variant carries what failed, where, what was expected and
//! what was found; its message ends in what to try. [`AuditError::Stopped`] alone is of a run
//! that began (exit code 3); any other error of [`crate::audit::audit`] left nothing written.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::store::{Difference, ReadBackProblem, RecordProblem};

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

    /// Too few or too many of the bundled siblings.
    #[error(
        "{found} siblings of a kind, expected from 3 to {most}; 16 is the default, or give longer \
         lists with --sibling-first and --sibling-last"
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
         needed, and a third of the reference goes into the scales before; ask for names:{ask} \
         or more, or add names to the file"
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
         for this model or its weights are corrupt, try --step 0.02"
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

    /// A text file is larger than this program reads.
    #[error(
        "the {what} {} is larger than {limit_bytes} bytes; check that it is a list of names, \
         or split it into several runs",
        path.display()
    )]
    FileTooLarge {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The largest size that is read.
        limit_bytes: u64,
    },

    /// A text file holds a byte that is not UTF-8.
    #[error(
        "{} is not UTF-8: line {line}, byte {byte_offset} of the file; save it as UTF-8 \
         (for instance: iconv -f LATIN1 -t UTF-8)",
        path.display()
    )]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Line of the first bad byte, counted from 1.
        line: usize,
        /// Offset of the first bad byte from the start of the file.
        byte_offset: usize,
    },

    /// A list of names has none.
    #[error("the {what} {} holds no names; give at least one, one a line", path.display())]
    NoNames {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },

    /// A `.csv` file whose header names no column that could be asked about.
    #[error(
        "{} has no column that holds names: its header is `{header}`; call one column `text` \
         or `name`, or two columns `first` and `last`, or rename the file to .txt to read one \
         name a line",
        path.display()
    )]
    UnknownHeader {
        /// The file.
        path: PathBuf,
        /// Its first line, shortened.
        header: String,
    },

    /// A header that names the text, the id or a part twice.
    #[error(
        "{} has more than one column for the {role}: {columns}; remove or rename all but one",
        path.display()
    )]
    AmbiguousHeader {
        /// The file.
        path: PathBuf,
        /// `text`, `id`, `first` or `last`.
        role: &'static str,
        /// The competing columns, as written.
        columns: String,
    },

    /// A CSV row with too few or too many fields.
    #[error(
        "{} line {line}: {found} fields where the header has {expected}; quote a field that \
         holds a comma",
        path.display()
    )]
    RowLength {
        /// The file.
        path: PathBuf,
        /// Line on which the row starts.
        line: usize,
        /// Fields in the header.
        expected: usize,
        /// Fields in the row.
        found: usize,
    },

    /// A CSV row without a value that it needs.
    #[error("{} line {line}: the column `{column}` is empty; fill it or remove the row", path.display())]
    EmptyField {
        /// The file.
        path: PathBuf,
        /// Line on which the row starts.
        line: usize,
        /// The column, as the header writes it.
        column: String,
    },

    /// A CSV row whose text is not its two parts joined by a space.
    #[error(
        "{} line {line}: the text `{text}` is not its parts joined, `{joined}`; make them \
         agree, or remove either the text column or the `first` and `last` columns",
        path.display()
    )]
    PartsMismatch {
        /// The file.
        path: PathBuf,
        /// Line on which the row starts.
        line: usize,
        /// The row's text.
        text: String,
        /// `first last`.
        joined: String,
    },

    /// A name or an id that is longer than any name.
    #[error(
        "{} line {line}: the {column} is {bytes} bytes long and the limit is {limit}; check \
         that the file holds one name a line",
        path.display()
    )]
    TextTooLong {
        /// The file.
        path: PathBuf,
        /// Line on which it starts.
        line: usize,
        /// Which column, or `name`.
        column: String,
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },

    /// A name or an id with a control character in it.
    #[error(
        "{} line {line}: the {column} holds the control character U+{code:04X}; remove it \
         (a tab means a column too many in a plain list, a line break an unclosed quote in a \
         CSV file)",
        path.display()
    )]
    ControlCharacter {
        /// The file.
        path: PathBuf,
        /// Line on which the name starts.
        line: usize,
        /// Which column, or `name`.
        column: String,
        /// The character's code point.
        code: u32,
    },

    /// Two queries with one id.
    #[error(
        "{}: the id `{id}` is on line {first_line} and again on line {second_line}; make ids \
         unique, or remove the id column to number queries by line",
        path.display()
    )]
    DuplicateId {
        /// The file.
        path: PathBuf,
        /// The id.
        id: String,
        /// Where it is first.
        first_line: usize,
        /// Where it is again.
        second_line: usize,
    },

    /// No caption template.
    #[error("no caption template; give at least one, such as --template \"a photo of {{}}\"")]
    NoTemplates,

    /// A template with no place for the name, or with several.
    #[error(
        "the template `{template}` has {found} `{{}}` where exactly one is needed; write it \
         like \"a photo of {{}}\""
    )]
    TemplatePlaceholders {
        /// The template, shortened.
        template: String,
        /// How many places it has.
        found: usize,
    },

    /// One template twice.
    #[error("the template `{template}` is given twice; remove one")]
    DuplicateTemplate {
        /// The template.
        template: String,
    },

    /// A template that is longer than any caption.
    #[error(
        "a template is {bytes} bytes long and the limit is {limit}; give a caption, such as \
         \"a photo of {{}}\""
    )]
    TemplateTooLong {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },

    /// A template with a control character in it.
    #[error("the template `{template}` holds the control character U+{code:04X}; remove it")]
    TemplateControlCharacter {
        /// The template, escaped and shortened.
        template: String,
        /// The character's code point.
        code: u32,
    },

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
         another --out",
        dir.display()
    )]
    OutputLocked {
        /// The directory.
        dir: PathBuf,
    },

    /// The lock could be neither taken nor found taken.
    #[error(
        "cannot lock {}: {source}; give an --out on a disk whose file system has locks",
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
        "{} is not a run's description: {reason}; give another --out, or move that directory \
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
        "the run in {} is not the one asked for: {}; give another --out, or the settings of \
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
         or give another --out (nothing was changed)",
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
        "the redaction key {} {reason}; put the run's own key back, or give another --out",
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
