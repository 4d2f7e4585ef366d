//! Reads the finished records of a run back from `results.jsonl`, which is the one place that
//! holds them: one at a time, so that a run of any length fits in memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::error::StoreError;
use super::log::RecordProblem;
use crate::record::QueryRecord;

/// Why a finished record could not be read back.
#[derive(Debug, Error)]
pub enum ReadBackProblem {
    /// The system's reason.
    #[error("{0}")]
    Read(io::Error),
    /// The file is shorter than the run.
    #[error("the file ends before it, where {expected} records were written")]
    Missing {
        /// Records of the run.
        expected: usize,
    },
    /// The line is not the record that was written.
    #[error("{0}")]
    Record(RecordProblem),
}

/// The first `count` records of a run's `results.jsonl`, in the queries' order. It ends after
/// the first error, and never early without one.
#[derive(Debug)]
pub(crate) struct Records {
    path: PathBuf,
    file: BufReader<File>,
    line: Vec<u8>,
    done: usize,
    count: usize,
}

impl Records {
    /// # Errors
    /// [`StoreError::ReadBack`] when the file cannot be opened.
    pub(crate) fn open(path: &Path, count: usize) -> Result<Self, StoreError> {
        let path = path.to_owned();
        match File::open(&path) {
            Ok(file) => {
                Ok(Self { path, file: BufReader::new(file), line: Vec::new(), done: 0, count })
            }
            Err(source) => {
                Err(StoreError::ReadBack { path, line: 1, problem: ReadBackProblem::Read(source) })
            }
        }
    }

    fn read(&mut self) -> Result<QueryRecord, ReadBackProblem> {
        read_line(&mut self.file, &mut self.line).map_err(ReadBackProblem::Read)?;
        if !self.line.ends_with(b"\n") {
            return Err(ReadBackProblem::Missing { expected: self.count });
        }
        serde_json::from_slice(&self.line).map_err(|error| {
            ReadBackProblem::Record(RecordProblem::Unparsable { reason: error.to_string() })
        })
    }
}

impl Iterator for Records {
    type Item = Result<QueryRecord, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done == self.count {
            return None;
        }
        let line = self.done + 1;
        let read = self.read();
        self.done = if read.is_ok() { line } else { self.count };
        Some(read.map_err(|problem| StoreError::ReadBack {
            path: self.path.clone(),
            line,
            problem,
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.count - self.done))
    }
}

/// The next line of `file` with its newline, in place of what `line` holds; without one at the
/// end of a torn file, and empty after the last.
pub(super) fn read_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    file.read_until(b'\n', line).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::record;

    fn lines(count: usize) -> Vec<u8> {
        let line = |i: usize| {
            let record = record(&format!("q{i}"), &format!("Jane Roe{i}"));
            [serde_json::to_vec(&record).unwrap(), b"\n".to_vec()].concat()
        };
        (0..count).flat_map(line).collect()
    }

    fn read(content: &[u8], count: usize) -> Vec<Result<QueryRecord, StoreError>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.jsonl");
        std::fs::write(&path, content).unwrap();
        Records::open(&path, count).unwrap().collect()
    }

    #[test]
    fn records_come_back_in_order_and_as_many_as_were_finished() {
        let whole = lines(3);
        for count in 0..=3 {
            let records: Vec<_> = read(&whole, count).into_iter().map(Result::unwrap).collect();
            let wanted: Vec<_> =
                (0..count).map(|i| record(&format!("q{i}"), &format!("Jane Roe{i}"))).collect();
            assert_eq!(records, wanted);
        }
    }

    #[test]
    fn missing_problem_wherever_the_file_ends() {
        let whole = lines(2);
        for end in [0, 1, lines(1).len(), whole.len() - 1] {
            let records = read(&whole[..end], 2);
            let (last, before) = records.split_last().unwrap();
            assert!(before.iter().all(Result::is_ok));
            let Err(StoreError::ReadBack { line, problem, .. }) = last else { panic!("{last:?}") };
            assert_eq!(*line, before.len() + 1);
            assert!(matches!(problem, ReadBackProblem::Missing { expected: 2 }), "{problem}");
        }
    }

    #[test]
    fn record_problem_for_a_damaged_line_and_nothing_after_it() {
        let content = [&lines(1)[..], b"{}\n", &lines(1)].concat();
        let records = read(&content, 3);
        assert_eq!(records.len(), 2);
        let Err(error) = &records[1] else { panic!("a damaged line was read") };
        assert!(matches!(
            error,
            StoreError::ReadBack {
                line: 2,
                problem: ReadBackProblem::Record(RecordProblem::Unparsable { .. }),
                ..
            }
        ));
    }

    #[test]
    fn read_problem_without_the_file() {
        let error = Records::open(Path::new("absent/results.jsonl"), 1).unwrap_err();
        let StoreError::ReadBack { problem: ReadBackProblem::Read(_), .. } = &error else {
            panic!("{error}")
        };
    }
}
