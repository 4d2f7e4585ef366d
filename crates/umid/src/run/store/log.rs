//! `results.jsonl`: one record a line, appended as queries complete and in their order.
//!
//! A line is written by one call and counts once its newline is there. Whatever a kill, a
//! crash or a full disk leaves after the last good line is cut off when the run is resumed,
//! and that query is computed again. A killed process loses nothing that was appended; a
//! power failure may lose what came in the last [`SYNC_INTERVAL`], since the file is flushed
//! to the disk at most that often, and at the end.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::StoreError;
use super::records::read_line;
use super::written::WrittenQueries;
use crate::record::QueryRecord;
use crate::shown::shown;

/// Longest time that an appended record waits to be flushed to the disk while others follow.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Why a line is not a record of this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordProblem {
    /// Not a record in JSON.
    Unparsable {
        /// The parser's reason.
        reason: String,
    },
    /// A record of no query of the run.
    UnknownId {
        /// Its id.
        id: String,
    },
    /// A second record of one query.
    Duplicate {
        /// The query's id.
        id: String,
    },
    /// A record that should come later.
    OutOfOrder {
        /// Its id.
        id: String,
        /// The id that is next.
        expected: String,
    },
    /// A record whose text is not the query's.
    OtherText {
        /// Its id.
        id: String,
    },
}

impl fmt::Display for RecordProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unparsable { reason } => write!(f, "not a record ({reason})"),
            Self::UnknownId { id } => write!(f, "`{}` is no query of this run", shown(id)),
            Self::Duplicate { id } => write!(f, "a second record of `{}`", shown(id)),
            Self::OutOfOrder { id, expected } => {
                write!(f, "a record of `{}` where `{}` is next", shown(id), shown(expected))
            }
            Self::OtherText { id } => write!(f, "the text of `{}` is another", shown(id)),
        }
    }
}

/// The open file.
#[derive(Debug)]
pub(super) struct ResultsLog {
    path: PathBuf,
    file: File,
    /// Bytes of good lines, which are all lines unless a write failed.
    len: u64,
    lines: usize,
    /// Whether a failed write may have left bytes after `len`.
    tail_is_dirty: bool,
    last_sync: Instant,
    unsynced: bool,
}

/// What was in the file when it was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub log: ResultsLog,
    /// Bytes after the last good line, which were cut off.
    pub torn_bytes: u64,
}

impl ResultsLog {
    /// Opens the file at `path`, or makes it; checks every line against `queries` and then
    /// cuts off a torn end.
    pub fn open(path: &Path, queries: &WrittenQueries<'_>) -> Result<Opened, StoreError> {
        let create = |source| StoreError::CreateOutput { path: path.to_owned(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(create)?;
        let Good { lines, bytes, torn_bytes } = check(path, &mut BufReader::new(&file), queries)?;
        let mut log = Self {
            path: path.to_owned(),
            file,
            len: bytes,
            lines,
            tail_is_dirty: torn_bytes > 0,
            last_sync: Instant::now(),
            unsynced: false,
        };
        log.restore_end().map_err(create)?;
        Ok(Opened { log, torn_bytes })
    }

    /// Good lines, each of which is a finished record.
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// Appends `line`, which holds no newline, and a newline.
    ///
    /// On an error the file is cut back to the lines before; the next call tries again.
    pub fn append(&mut self, line: &[u8]) -> Result<(), StoreError> {
        let mut bytes = Vec::with_capacity(line.len() + 1);
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
        let written = self.restore_end().and_then(|()| {
            self.tail_is_dirty = true;
            self.file.write_all(&bytes)
        });
        if let Err(source) = written {
            // The next opening cuts the end off as well, so a failure here loses nothing.
            let _ = self.restore_end();
            return Err(self.failed(source));
        }
        self.tail_is_dirty = false;
        self.len += bytes.len() as u64;
        self.lines += 1;
        self.unsynced = true;
        Ok(())
    }

    /// Flushes what was appended to the disk, unless that was done just now.
    pub fn sync_when_due(&mut self) -> Result<(), StoreError> {
        if self.last_sync.elapsed() >= SYNC_INTERVAL { self.sync() } else { Ok(()) }
    }

    /// Flushes what was appended to the disk.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        if self.unsynced {
            self.file.sync_data().map_err(|source| self.failed(source))?;
            self.unsynced = false;
        }
        self.last_sync = Instant::now();
        Ok(())
    }

    fn restore_end(&mut self) -> io::Result<()> {
        if self.tail_is_dirty {
            self.file.set_len(self.len)?;
            self.tail_is_dirty = false;
        }
        self.file.seek(SeekFrom::Start(self.len))?;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> StoreError {
        StoreError::WriteOutput { path: self.path.clone(), source }
    }
}

impl Drop for ResultsLog {
    fn drop(&mut self) {
        // The lines are with the system already; only a power failure could still lose them.
        let _ = self.sync();
    }
}

/// What a file begins with.
struct Good {
    lines: usize,
    bytes: u64,
    /// Bytes after the good lines.
    torn_bytes: u64,
}

/// Checks the file line by line. Good are all lines that end in a newline, except that the
/// file's very last one may be damaged.
fn check(
    path: &Path,
    file: &mut impl BufRead,
    queries: &WrittenQueries<'_>,
) -> Result<Good, StoreError> {
    let failed = |source| StoreError::ReadFile { what: "results", path: path.to_owned(), source };
    let mut good = Good { lines: 0, bytes: 0, torn_bytes: 0 };
    let mut line = Vec::new();
    loop {
        read_line(file, &mut line).map_err(failed)?;
        let fail = |problem| StoreError::ResultsRecord {
            path: path.to_owned(),
            line: good.lines + 1,
            problem,
        };
        if !line.ends_with(b"\n") {
            break;
        }
        let record: QueryRecord = match serde_json::from_slice(&line) {
            Ok(record) => record,
            Err(error) => {
                if file.fill_buf().map_err(failed)?.is_empty() {
                    break;
                }
                return Err(fail(RecordProblem::Unparsable { reason: error.to_string() }));
            }
        };
        if let Some(problem) = problem_of(&record, good.lines, queries) {
            return Err(fail(problem));
        }
        good.lines += 1;
        good.bytes += line.len() as u64;
    }
    good.torn_bytes = line.len() as u64;
    Ok(good)
}

/// Why `record` is not that of query number `index`; `None` when it is. The records of all
/// queries before have been seen.
pub(super) fn problem_of(
    record: &QueryRecord,
    index: usize,
    queries: &WrittenQueries<'_>,
) -> Option<RecordProblem> {
    let id = || record.id.clone();
    match queries.get(index) {
        Some(next) if next.id == record.id => {
            (!next.agrees_with(record)).then(|| RecordProblem::OtherText { id: id() })
        }
        next => Some(match (queries.ids().position(|known| known == record.id), next) {
            (None, _) => RecordProblem::UnknownId { id: id() },
            (Some(position), Some(next)) if position > index => {
                RecordProblem::OutOfOrder { id: id(), expected: next.id.to_owned() }
            }
            (Some(_), _) => RecordProblem::Duplicate { id: id() },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queries::Query;
    use crate::store::tests::{queries, record};

    fn open(path: &Path, queries: &[Query]) -> Result<Opened, StoreError> {
        ResultsLog::open(path, &WrittenQueries::new(queries, None))
    }

    fn line(query: &Query) -> Vec<u8> {
        serde_json::to_vec(&record(&query.id, &query.text)).unwrap()
    }

    /// Bytes of the first `lines` lines.
    fn good_bytes(content: &[u8], lines: usize) -> usize {
        content.split_inclusive(|&byte| byte == b'\n').take(lines).map(<[u8]>::len).sum()
    }

    fn problem_of(lines: &[Vec<u8>], queries: &[Query]) -> (usize, RecordProblem) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.jsonl");
        let content: Vec<u8> =
            lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect();
        std::fs::write(&path, &content).unwrap();
        let error = open(&path, queries).unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), content, "nothing is changed");
        match error {
            StoreError::ResultsRecord { line, problem, .. } => (line, problem),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_torn_end_at_every_byte_is_cut_off_and_written_anew() {
        let queries = queries(3);
        let whole: Vec<u8> =
            queries.iter().flat_map(|query| [line(query), b"\n".to_vec()].concat()).collect();
        let start = good_bytes(&whole, 2);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.jsonl");
        for end in start..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            let mut opened = open(&path, &queries).unwrap();
            assert_eq!(opened.log.lines(), 2, "cut at {end}");
            assert_eq!(opened.torn_bytes, (end - start) as u64);
            assert_eq!(std::fs::metadata(&path).unwrap().len(), start as u64);
            opened.log.append(&line(&queries[2])).unwrap();
            drop(opened);
            assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {end}");
        }
    }

    #[test]
    fn a_damaged_last_line_counts_as_torn() {
        let queries = queries(2);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.jsonl");
        for damage in [&b"\0\0\0\0"[..], b"{}\n", b"\n", b"{\"id\":\"q0\"\xff\n"] {
            let content = [&line(&queries[0]), &b"\n"[..], damage].concat();
            std::fs::write(&path, content).unwrap();
            let opened = open(&path, &queries).unwrap();
            assert_eq!(opened.log.lines(), 1);
            assert_eq!(opened.torn_bytes, damage.len() as u64);
        }
    }

    #[test]
    fn unparsable_problem_in_the_middle_names_the_line() {
        let queries = queries(3);
        let lines = [line(&queries[0]), b"{".to_vec(), line(&queries[1])];
        let (at, problem) = problem_of(&lines, &queries);
        assert_eq!(at, 2);
        assert!(matches!(problem, RecordProblem::Unparsable { .. }), "{problem}");
    }

    #[test]
    fn unknown_id_problem() {
        let all = queries(3);
        let (at, problem) = problem_of(&[line(&all[0]), line(&all[2])], &all[..2]);
        assert_eq!((at, problem), (2, RecordProblem::UnknownId { id: all[2].id.clone() }));
    }

    #[test]
    fn duplicate_problem() {
        let all = queries(3);
        let (at, problem) = problem_of(&[line(&all[0]), line(&all[0])], &all);
        assert_eq!((at, problem), (2, RecordProblem::Duplicate { id: all[0].id.clone() }));
    }

    #[test]
    fn out_of_order_problem() {
        let all = queries(3);
        let (at, problem) = problem_of(&[line(&all[1])], &all);
        assert_eq!(at, 1);
        assert!(matches!(problem, RecordProblem::OutOfOrder { .. }), "{problem}");
    }

    #[test]
    fn duplicate_problem_after_the_last_query() {
        let all = queries(2);
        let (at, problem) = problem_of(&[line(&all[0]), line(&all[1]), line(&all[0])], &all);
        assert_eq!((at, problem), (3, RecordProblem::Duplicate { id: all[0].id.clone() }));
    }

    #[test]
    fn other_text_problem() {
        let mut all = queries(2);
        let line = line(&all[0]);
        all[0].text = "Someone Else".into();
        let (at, problem) = problem_of(&[line], &all);
        assert_eq!((at, problem), (1, RecordProblem::OtherText { id: all[0].id.clone() }));
    }

    #[test]
    fn write_output_error_keeps_the_lines_before_and_the_next_append_mends_the_end() {
        let queries = queries(3);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.jsonl");
        let mut log = open(&path, &queries).unwrap().log;
        log.append(&line(&queries[0])).unwrap();

        // A handle that cannot write stands for a full disk; the partial line is put there by
        // hand.
        let writable = std::mem::replace(&mut log.file, File::open(&path).unwrap());
        let error = log.append(&line(&queries[1])).unwrap_err();
        assert!(matches!(error, StoreError::WriteOutput { .. }), "{error}");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"id\":\"q1").unwrap();

        log.file = writable;
        log.append(&line(&queries[1])).unwrap();
        drop(log);
        let opened = open(&path, &queries).unwrap();
        assert_eq!((opened.log.lines(), opened.torn_bytes), (2, 0));
    }

    #[test]
    fn create_output_error_for_a_directory_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let error = open(dir.path(), &[]).unwrap_err();
        assert!(matches!(error, StoreError::CreateOutput { .. }), "{error}");
    }
}
