//! Errors of reading a list of names.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a list of names was refused.
#[derive(Debug, Error)]
pub enum QueriesError {
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

    /// A text file in an encoding of two bytes per character.
    #[error(
        "{} is {encoding}, not UTF-8; save it as UTF-8 (for instance: iconv -f {encoding} -t UTF-8)",
        path.display()
    )]
    Utf16 {
        /// The file.
        path: PathBuf,
        /// Its encoding, as `iconv` calls it.
        encoding: &'static str,
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

    /// A packed or columnar list cannot be unpacked.
    #[error(
        "{} cannot be read as {format}: {reason}; it may be cut off, so make or copy it again",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it begins like.
        format: &'static str,
        /// What is wrong.
        reason: String,
    },

    /// A line of JSON Lines is not an object.
    #[error("{}, line {line}: {reason}; give one JSON object a line, such as {{\"text\": \"Ann Lee\"}}", path.display())]
    JsonLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },

    /// A column that was asked for by name is not there.
    #[error("{} has no column `{column}`; its first line or header is `{header}`", path.display())]
    NoSuchColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The columns that there are.
        header: String,
    },

    /// A column that names are in holds something else.
    #[error(
        "{}: the column `{column}` is {found}; names, ids and what is known of names are text, \
         numbers or truth values",
        path.display()
    )]
    ColumnType {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// What it holds.
        found: String,
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
         or `name`, or two columns `first` and `last`{}",
        path.display(),
        if *separated { "" } else { ", or rename the file to .txt to read one name a line" }
    )]
    UnknownHeader {
        /// The file.
        path: PathBuf,
        /// Its first line, shortened.
        header: String,
        /// Whether it has more than one column.
        separated: bool,
    },

    /// A line of a plain list that is a row of columns.
    #[error(
        "{} line {line}: `{text}` looks like a row of several columns, and a plain list has one \
         name a line; put a header line above, such as `id;text`, with the columns' names, or, \
         if it is a name, give the list a header line `text` and put this name in quotes",
        path.display()
    )]
    SeparatedLine {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// What it holds, shortened.
        text: String,
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

    /// A name or an id with a character in it that nobody sees.
    #[error(
        "{} line {line}: the {column} holds the invisible character U+{code:04X}, which makes it \
         another text to the model; remove it (a tab means a column too many in a plain list, a \
         line break an unclosed quote in a CSV file, U+FEFF within a file two files in one)",
        path.display()
    )]
    InvisibleCharacter {
        /// The file.
        path: PathBuf,
        /// Line on which the name starts.
        line: usize,
        /// Which column, or `name`.
        column: String,
        /// The character's code point.
        code: u32,
    },

    /// What is known of a name cannot be read.
    #[error(
        "{} line {line}: the {column} holds {found:?}; give {expected}, or leave the field empty \
         where it is not known",
        path.display()
    )]
    Answer {
        /// The file.
        path: PathBuf,
        /// Line of the name.
        line: usize,
        /// Which column.
        column: String,
        /// What it holds.
        found: String,
        /// What it may hold.
        expected: &'static str,
    },

    /// What is known of a name contradicts itself.
    #[error(
        "{} line {line}: a {} with {exposures} exposures; a member was seen at least once and a \
         non-member never, so correct one of the two columns or leave it empty",
        path.display(),
        if *member { "member" } else { "non-member" }
    )]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// Line of the name.
        line: usize,
        /// Whether it is called a member.
        member: bool,
        /// How often it was seen.
        exposures: u64,
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
}
