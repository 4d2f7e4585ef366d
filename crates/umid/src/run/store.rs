//! The directory of a run, and the promise that a run may be killed at any point and resumed
//! by the same command, with the same `results.jsonl` in the end.
//!
//! | file | what it is | how it is written |
//! | --- | --- | --- |
//! | `.lock` | held while a run writes; freed by the system when the process ends | never |
//! | `run.json` | what is run ([`RunInfo`]) | whole, renamed into place |
//! | `results.jsonl` | one record per query, in the order of the queries | line by line |
//! | `results.csv`, `results.parquet`, `report.html` | made from the two at the end | whole, renamed into place |
//! | `redact.key` | the key of a redacted run ([`crate::redact`]) | whole, private |
//!
//! A directory is taken only when it is new, empty, or holds the same run (model,
//! parameters, queries, references). Everything that can be refused is refused by
//! [`RunStore::open`], before anything is computed and without a change to what is there.
//!
//! Records are in `results.jsonl` and nowhere else: what needs them reads them back
//! ([`RunStore::records`]), so that memory does not grow with the work done.

mod error;
mod identity;
mod log;
mod records;
mod written;

use std::borrow::Cow;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use umid_core::atomic::{Replacement, TEMPORARY_PREFIX, sync_directory, write_atomically};

use crate::csv_out::TableWriter;
use crate::error::AuditError;
use crate::overview::Overview;
use crate::queries::Query;
use crate::record::{Counts, QueryRecord, RunInfo, SCHEMA_VERSION};
use crate::redact::{KEY_FILE, RedactionKey};
use crate::run::parquet_out::ParquetWriter;

pub use error::StoreError;
pub use identity::Difference;
pub use log::{RecordProblem, SYNC_INTERVAL};
pub use records::ReadBackProblem;
pub(crate) use records::Records;

use log::ResultsLog;
use written::WrittenQueries;

const LOCK_FILE: &str = ".lock";

/// What was run, in the run's directory.
pub const RUN_FILE: &str = "run.json";
/// One record a line, in the run's directory.
pub const RESULTS_FILE: &str = "results.jsonl";
/// The records as a table, in the run's directory.
pub const TABLE_FILE: &str = "results.csv";
/// The same table with types, in the run's directory.
pub const PARQUET_FILE: &str = "results.parquet";
/// The report, in the run's directory.
pub const REPORT_FILE: &str = "report.html";

/// An open run: its directory is locked for as long as this lives.
#[derive(Debug)]
pub struct RunStore<'a> {
    dir: PathBuf,
    info: RunInfo,
    queries: WrittenQueries<'a>,
    warnings: Vec<String>,
    log: ResultsLog,
    _lock: File,
}

impl<'a> RunStore<'a> {
    /// Opens the run `info` over `queries` in `dir`: a new run where `dir` is absent or empty,
    /// and otherwise the rest of the same run.
    ///
    /// Of `info`, model, parameters, digests and schema must be final; device, timings,
    /// counts, warnings and the references' signals may follow by [`Self::update_info`]. When
    /// the run is resumed, [`Self::info`] is the stored one, brought up to date in device and
    /// version.
    ///
    /// # Errors
    /// A directory that cannot be made, written or locked, is in use, holds something else or
    /// another run, or whose files are damaged in a way that no interruption explains.
    pub fn open(dir: &Path, info: RunInfo, queries: &'a [Query]) -> Result<Self, StoreError> {
        prepare_directory(dir)?;
        let lock = take_lock(dir)?;
        remove_leftovers(dir);
        check_outputs(dir)?;
        let mut warnings = Vec::new();
        let path = dir.join(RUN_FILE);
        let (key, info) = match read_info(&path)? {
            Some(stored) => resume(dir, stored, info, &mut warnings)?,
            None => start(dir, info, queries.len())?,
        };
        let queries = WrittenQueries::new(queries, key);
        if queries.are_redacted() && !queries.ids().all(is_plain_number) {
            warnings.push(
                "names are redacted and ids are not; make sure that the ids of the queries \
                 file tell nobody's name, or remove that column"
                    .to_owned(),
            );
        }
        let opened = ResultsLog::open(&dir.join(RESULTS_FILE), &queries)?;
        sync_directory(dir);
        if opened.torn_bytes > 0 {
            warnings.push(format!(
                "{} bytes of an unfinished last line were cut off {RESULTS_FILE}; its query is \
                 computed again",
                opened.torn_bytes
            ));
        }
        let done = opened.log.lines();
        if done < info.counts.done {
            warnings.push(format!(
                "{RUN_FILE} counts {} finished queries and {RESULTS_FILE} holds {done}; the \
                 others are computed again",
                info.counts.done
            ));
        }
        let mut store =
            Self { dir: dir.to_owned(), info, queries, warnings, log: opened.log, _lock: lock };
        // Also tells, before the work starts, whether whole files can be written here.
        store.write_info().map_err(|source| StoreError::CreateOutput { path, source })?;
        Ok(store)
    }

    /// Finished queries: those before the index of this number.
    pub fn done(&self) -> usize {
        self.log.lines()
    }

    /// Reads the finished records back, in the order of the queries.
    ///
    /// # Errors
    /// [`StoreError::ReadBack`], here or from the iterator, when the file is not there or holds
    /// anything but these queries' records.
    pub fn records(
        &self,
    ) -> Result<impl Iterator<Item = Result<QueryRecord, AuditError>>, AuditError> {
        let path = self.dir.join(RESULTS_FILE);
        let records = Records::open(&path, self.done())?;
        Ok(records.enumerate().map(move |(index, record)| {
            let record = record?;
            match log::problem_of(&record, index, &self.queries) {
                None => Ok(record),
                Some(problem) => Err(AuditError::Store(StoreError::ReadBack {
                    path: path.clone(),
                    line: index + 1,
                    problem: ReadBackProblem::Record(problem),
                })),
            }
        }))
    }

    /// What the user should know about the state in which the directory was found.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The run's description as it is in `run.json`.
    pub fn info(&self) -> &RunInfo {
        &self.info
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What a record says as its text for query number `index`: the name, or its hash in a
    /// redacted run.
    ///
    /// # Panics
    /// When there is no such query.
    pub fn written_text(&self, index: usize) -> Cow<'a, str> {
        self.written(index).text
    }

    /// What a record says as its parts for query number `index`: none in a redacted run.
    ///
    /// # Panics
    /// When there is no such query.
    pub fn written_parts(&self, index: usize) -> Option<[&'a str; 2]> {
        self.written(index).parts
    }

    fn written(&self, index: usize) -> written::WrittenQuery<'a> {
        self.queries.get(index).expect("the caller asks for a query of the run")
    }

    /// Appends the record of the next query.
    ///
    /// # Errors
    /// A record that is not the next query's as this run writes it, one with a value that is
    /// not finite, or a failed write; the records before are kept in each case.
    pub fn append(&mut self, record: &QueryRecord) -> Result<(), StoreError> {
        let next = self.queries.get(self.done());
        let fits =
            next.as_ref().is_some_and(|next| next.id == record.id && next.agrees_with(record));
        if !fits {
            return Err(StoreError::UnexpectedRecord {
                expected: next.map_or_else(
                    || "nothing".to_owned(),
                    |next| format!("`{}` with the text `{}`", next.id, next.text),
                ),
                found: record.id.clone(),
            });
        }
        if let Some(field) = non_finite_field(record) {
            return Err(StoreError::RecordNotFinite { id: record.id.clone(), field });
        }
        let line =
            serde_json::to_vec(record).map_err(|error| self.failed(RESULTS_FILE, error.into()))?;
        self.log.append(&line)?;
        self.log.sync_when_due()
    }

    /// Changes what `run.json` says besides the run's identity, and writes it. Counts are
    /// kept by the store.
    ///
    /// # Errors
    /// A failed write; the old file is then as it was.
    pub fn update_info(&mut self, edit: impl FnOnce(&mut RunInfo)) -> Result<(), StoreError> {
        let before = self.info.clone();
        edit(&mut self.info);
        debug_assert!(
            identity::differences(&before, &self.info).is_empty(),
            "a run's identity is fixed when it is opened"
        );
        self.write_info().map_err(|source| self.failed(RUN_FILE, source))
    }

    /// Writes `results.csv` and `results.parquet`, with one q-value for each finished record, `report.html` by
    /// `report`, and the last `run.json`. The q-values are of the records of `overview`.
    ///
    /// # Errors
    /// A failed write, or records that cannot be read back or are not the overview's; the same
    /// command tries again.
    ///
    /// # Panics
    /// When there is not one q-value for each record.
    pub fn finish(
        &mut self,
        overview: &Overview,
        q_values: &[Option<f64>],
        report: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), AuditError> {
        assert_eq!(self.done(), q_values.len(), "one q-value a record");
        self.log.sync()?;
        self.write_table(overview, q_values)?;
        let write_report = || {
            let mut file = Replacement::begin(&self.dir.join(REPORT_FILE))?;
            report(&mut file)?;
            file.commit()
        };
        write_report().map_err(|source| self.failed(REPORT_FILE, source))?;
        self.write_info().map_err(|source| self.failed(RUN_FILE, source))?;
        Ok(())
    }

    fn write_table(&self, overview: &Overview, q_values: &[Option<f64>]) -> Result<(), AuditError> {
        let failed = |source| self.failed(TABLE_FILE, source);
        let mut file = Replacement::begin(&self.dir.join(TABLE_FILE)).map_err(failed)?;
        let mut table = TableWriter::new(&mut file, overview.signals()).map_err(failed)?;
        for (i, record) in overview.checked(self.records()?).enumerate() {
            table.write(&record?, q_values[i]).map_err(failed)?;
        }
        table.finish().map_err(failed)?;
        file.commit().map_err(failed)?;

        let failed = |source| self.failed(PARQUET_FILE, source);
        let mut file = Replacement::begin(&self.dir.join(PARQUET_FILE)).map_err(failed)?;
        let mut table = ParquetWriter::new(&mut file, overview.signals()).map_err(failed)?;
        for (i, record) in overview.checked(self.records()?).enumerate() {
            table.write(record?, q_values[i]).map_err(failed)?;
        }
        table.finish().map_err(failed)?;
        file.commit().map_err(failed)?;
        Ok(())
    }

    fn write_info(&mut self) -> io::Result<()> {
        self.info.counts.queries = self.queries.len();
        self.info.counts.done = self.done();
        write_info(&self.dir, &self.info)
    }

    fn failed(&self, file: &str, source: io::Error) -> StoreError {
        StoreError::WriteOutput { path: self.dir.join(file), source }
    }
}

/// Makes `dir`, or checks that it is empty or a run's.
fn prepare_directory(dir: &Path) -> Result<(), StoreError> {
    let create = |source| StoreError::CreateOutput { path: dir.to_owned(), source };
    match std::fs::metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return std::fs::create_dir_all(dir).map_err(create);
        }
        Err(error) => return Err(create(error)),
        Ok(metadata) if !metadata.is_dir() => {
            return Err(StoreError::OutputNotADirectory { path: dir.to_owned() });
        }
        Ok(_) => {}
    }
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(create)? {
        entries.push(entry.map_err(create)?.file_name().to_string_lossy().into_owned());
    }
    if entries.iter().any(|name| name == RUN_FILE) {
        return Ok(());
    }
    // A run that was killed while it started leaves these and no run.json.
    let own =
        |name: &str| name == LOCK_FILE || name == KEY_FILE || name.starts_with(TEMPORARY_PREFIX);
    match entries.into_iter().find(|name| !own(name) && !is_of_system(name)) {
        None => Ok(()),
        Some(entry) => Err(StoreError::ForeignOutput { dir: dir.to_owned(), entry }),
    }
}

/// Whether a file is one that file managers leave in any directory that was looked at.
fn is_of_system(name: &str) -> bool {
    const NAMES: [&str; 5] = [".DS_Store", ".localized", ".directory", "Thumbs.db", "desktop.ini"];
    name.starts_with("._") || NAMES.contains(&name)
}

fn take_lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK_FILE);
    let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = opened.map_err(|source| StoreError::CreateOutput { path: path.clone(), source })?;
    file.try_lock().map_err(|error| lock_error(dir, path, error))?;
    Ok(file)
}

fn lock_error(dir: &Path, path: PathBuf, error: TryLockError) -> StoreError {
    match error {
        TryLockError::WouldBlock => StoreError::OutputLocked { dir: dir.to_owned() },
        TryLockError::Error(source) => StoreError::LockOutput { path, source },
    }
}

/// Finds a directory where the run's end would write a file.
fn check_outputs(dir: &Path) -> Result<(), StoreError> {
    match [TABLE_FILE, PARQUET_FILE, REPORT_FILE]
        .map(|file| dir.join(file))
        .into_iter()
        .find(|p| p.is_dir())
    {
        None => Ok(()),
        Some(path) => {
            let source = io::Error::from(io::ErrorKind::IsADirectory);
            Err(StoreError::CreateOutput { path, source })
        }
    }
}

/// Removes temporary files of a run that was killed. Nobody else writes here while the lock
/// is held, and one that cannot be removed does no harm.
fn remove_leftovers(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// `run.json` at `path`; `None` when there is none.
fn read_info(path: &Path) -> Result<Option<RunInfo>, StoreError> {
    let unreadable =
        |reason: String| StoreError::RunInfoUnreadable { path: path.to_owned(), reason };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    let version = value.get("schema_version").and_then(serde_json::Value::as_u64);
    if let Some(version) = version.filter(|&version| version != u64::from(SCHEMA_VERSION)) {
        return Err(unreadable(format!(
            "its layout is version {version} and this program's is {SCHEMA_VERSION}"
        )));
    }
    serde_json::from_value(value).map(Some).map_err(|error| unreadable(error.to_string()))
}

/// Writes the `run.json` of a new run before there is any other file that a kill could leave
/// without it.
fn start(
    dir: &Path,
    mut info: RunInfo,
    queries: usize,
) -> Result<(Option<RedactionKey>, RunInfo), StoreError> {
    let mut key = None;
    if info.parameters.redact {
        let found = RedactionKey::find(dir)?.map_or_else(|| RedactionKey::create(dir), Ok)?;
        info.queries_digest = found.blinded(&info.queries_digest);
        key = Some(found);
    }
    info.counts = Counts { queries, done: 0 };
    write_info(dir, &info)
        .map_err(|source| StoreError::CreateOutput { path: dir.join(RUN_FILE), source })?;
    Ok((key, info))
}

fn write_info(dir: &Path, info: &RunInfo) -> io::Result<()> {
    let mut json = serde_json::to_vec_pretty(info)?;
    json.push(b'\n');
    write_atomically(&dir.join(RUN_FILE), &json)
}

fn resume(
    dir: &Path,
    mut stored: RunInfo,
    mut asked: RunInfo,
    warnings: &mut Vec<String>,
) -> Result<(Option<RedactionKey>, RunInfo), StoreError> {
    let mut key = None;
    if stored.parameters.redact && asked.parameters.redact {
        let found = RedactionKey::load(dir)?;
        asked.queries_digest = found.blinded(&asked.queries_digest);
        key = Some(found);
    }
    let differences = identity::differences(&stored, &asked);
    if !differences.is_empty() {
        return Err(StoreError::DifferentRun { dir: dir.to_owned(), differences });
    }
    let asked_unit = asked.unit.unwrap_or_default();
    let stored_unit = stored.unit.get_or_insert_with(|| asked_unit.clone());
    for (what, stored, asked) in [
        ("device", &mut stored.device, asked.device),
        ("processor's unit", stored_unit, asked_unit),
        ("version of umid", &mut stored.umid_version, asked.umid_version),
    ] {
        if *stored != asked {
            warnings.push(format!(
                "this run was begun with the {what} {stored} and goes on with {asked}; for \
                 records that are alike to the last digit, start afresh in another directory"
            ));
            *stored = asked;
        }
    }
    Ok((key, stored))
}

fn is_plain_number(id: &str) -> bool {
    id.bytes().all(|byte| byte.is_ascii_digit())
}

/// The first field of `record` that JSON would turn into `null`.
fn non_finite_field(record: &QueryRecord) -> Option<String> {
    let signals = record
        .signals
        .iter()
        .filter_map(|(name, value)| value.map(|value| (format!("signals.{name}"), value)));
    let paper = record.paper.iter().flat_map(|paper| {
        let scores =
            paper.scores.iter().map(|(name, &score)| (format!("paper.scores.{name}"), score));
        scores.chain([("paper.vote_score".to_owned(), paper.vote_score)])
    });
    let calibrated = record.calibrated.iter().flat_map(|calibrated| {
        [
            ("calibrated.score".to_owned(), calibrated.score),
            ("calibrated.p_value".to_owned(), calibrated.p_value),
            ("calibrated.tail_p_value".to_owned(), calibrated.tail_p_value.unwrap_or(1.0)),
        ]
    });
    signals
        .chain(paper)
        .chain(calibrated)
        .find(|(_, value)| !value.is_finite())
        .map(|(field, value)| format!("{field} is {value}"))
}

#[cfg(test)]
#[path = "store/tests.rs"]
pub(crate) mod tests;
