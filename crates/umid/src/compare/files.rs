//! The directory of a comparison: the two runs, and what is said of them together.
//!
//! | path | what it is |
//! | --- | --- |
//! | `before/`, `after/` | the two audits, each a run's directory that resumes by itself |
//! | `changes.jsonl`, `changes.csv` | a name a line |
//! | `report.html` | the comparison, side by side |
//! | `compare.json` | what was compared; written last |

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;
use umid_core::atomic::{Replacement, write_atomically};

use super::{Comparison, NameChange};
use crate::error::AuditError;

const COMPARISON_FILE: &str = "compare.json";
const LINES_FILE: &str = "changes.jsonl";
const TABLE_FILE: &str = "changes.csv";
const REPORT_FILE: &str = "report.html";
/// All that may be in the directory.
const OWN: [&str; 6] = [COMPARISON_FILE, LINES_FILE, TABLE_FILE, REPORT_FILE, "before", "after"];

/// Why two audits are not compared.
#[derive(Debug, Error)]
pub enum CompareError {
    /// The audits differ in what must be the same.
    #[error(
        "the two audits differ in {what}; audit both models with the same names, references and \
         options"
    )]
    OtherRuns {
        /// What differs.
        what: &'static str,
    },

    /// The models take different inputs.
    #[error(
        "the model before is a {before} model and the one after a {after} model; compare models of one kind"
    )]
    OtherModality {
        /// What the first takes beside texts.
        before: String,
        /// What the second takes.
        after: String,
    },

    /// The directory holds something else.
    #[error(
        "the output {} holds `{entry}`, so it is not the directory of a comparison; give a new or an empty \
         one (nothing was changed)",
        directory.display()
    )]
    ForeignOutput {
        /// The directory.
        directory: PathBuf,
        /// One thing that is in it.
        entry: String,
    },

    /// The directory cannot be read or written.
    #[error("cannot use {}: {source}; check that the output directory is writable and its disk has room", path.display())]
    Output {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// A directory that is new, empty, or a comparison's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory(PathBuf);

impl Directory {
    /// Checks the directory without a change to it.
    ///
    /// # Errors
    /// One that is a file, cannot be read, or holds something else.
    pub fn open(path: &Path) -> Result<Self, CompareError> {
        let unusable = |source| CompareError::Output { path: path.to_owned(), source };
        match std::fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(error)),
            Ok(entries) => {
                for entry in entries {
                    let entry = entry.map_err(unusable)?.file_name();
                    let entry = entry.to_string_lossy();
                    if !OWN.contains(&entry.as_ref()) && !entry.starts_with('.') {
                        let (directory, entry) = (path.to_owned(), entry.into_owned());
                        return Err(CompareError::ForeignOutput { directory, entry });
                    }
                }
            }
        }
        Ok(Self(path.to_owned()))
    }

    /// Where the audits of the two models go.
    pub fn runs(&self) -> [PathBuf; 2] {
        ["before", "after"].map(|run| self.0.join(run))
    }

    /// Writes everything that is said of both runs; gives the report's path.
    pub(super) fn write(
        &self,
        comparison: &Comparison,
        names: &[NameChange],
        report: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<PathBuf, AuditError> {
        self.file(LINES_FILE, |out| {
            for name in names {
                serde_json::to_writer(&mut *out, name)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })?;
        self.file(TABLE_FILE, |out| table(out, names))?;
        self.file(REPORT_FILE, report)?;
        let path = self.0.join(COMPARISON_FILE);
        let whole = serde_json::to_vec_pretty(comparison).map_err(io::Error::from);
        whole
            .and_then(|bytes| write_atomically(&path, &bytes))
            .map_err(|source| CompareError::Output { path, source })?;
        Ok(self.0.join(REPORT_FILE))
    }

    fn file(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), CompareError> {
        let path = self.0.join(name);
        let written = Replacement::begin(&path).and_then(|mut file| {
            write(&mut file)?;
            file.commit()
        });
        written.map_err(|source| CompareError::Output { path, source })
    }
}

fn table(out: &mut dyn Write, names: &[NameChange]) -> io::Result<()> {
    let mut table = csv::Writer::from_writer(out);
    table.write_record([
        "id",
        "text",
        "verdict",
        "score_before",
        "score_after",
        "change",
        "p_value_before",
        "p_value_after",
        "q_value_before",
        "q_value_after",
        "change_p_value",
        "change_q_value",
    ])?;
    let cell = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for name in names {
        let [before, after] = [0, 1].map(|side| name.scores.map(|scores| scores[side]));
        table.write_record([
            name.id.clone(),
            name.text.clone(),
            name.verdict.map_or("", super::Verdict::words).to_owned(),
            cell(before),
            cell(after),
            cell(before.zip(after).map(|(before, after)| after - before)),
            cell(name.p_values[0]),
            cell(name.p_values[1]),
            cell(name.q_values[0]),
            cell(name.q_values[1]),
            cell(name.change_p_value),
            cell(name.change_q_value),
        ])?;
    }
    table.flush()
}
