//! Tests of the run's directory: what is refused and left alone, and that an interrupted run
//! ends as an uninterrupted one.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;

use super::*;
use crate::queries::{PartRule, queries_digest};
use crate::record::{
    CalibratedReading, Counts, ModelInfo, PaperReading, Parameters, ReferenceInfo,
};
use crate::report::ReportError;

pub(crate) fn queries(count: usize) -> Vec<Query> {
    let query = |i: usize| {
        let text = format!("Jane Roe{i}");
        Query { id: format!("q{i}"), parts: PartRule::FirstWord.split(&text), text }
    };
    (0..count).map(query).collect()
}

pub(crate) fn record(id: &str, text: &str) -> QueryRecord {
    // Values that depend on the query and whose decimal forms are long.
    let value = f64::from(u32::from(text.bytes().last().unwrap_or(1))) / 7.0;
    QueryRecord {
        id: id.to_owned(),
        text: text.to_owned(),
        parts: PartRule::FirstWord.split(text).map(|(first, last)| [first, last]),
        signals: BTreeMap::from([
            ("missing".to_owned(), None),
            ("similarity".to_owned(), Some(value)),
        ]),
        paper: Some(PaperReading {
            scores: BTreeMap::from([("forest".to_owned(), -value)]),
            flags: BTreeMap::from([("forest".to_owned(), true)]),
            votes: 3,
            vote_score: value / 3.0,
            member: true,
        }),
        calibrated: Some(CalibratedReading {
            score: value,
            p_value: 1.0 / 3.0,
            tail_p_value: None,
            ranked_among: 0,
            signals_used: vec!["similarity".to_owned()],
            detected: false,
            known_members: None,
        }),
        warnings: Vec::new(),
    }
}

pub(crate) fn info(queries: &[Query]) -> RunInfo {
    let reference = |digest: &str| ReferenceInfo {
        description: "texts".to_owned(),
        count: 2,
        ranked: 2,
        digest: digest.to_owned(),
        signals: BTreeMap::from([("similarity".to_owned(), vec![Some(0.1), None])]),
    };
    RunInfo {
        schema_version: SCHEMA_VERSION,
        umid_version: "0.1.0".to_owned(),
        begun: "2026-01-31".to_owned(),
        model: ModelInfo {
            name: "model".to_owned(),
            layout: "hugging-face".to_owned(),
            architecture: "CLIP".to_owned(),
            digest: "m".to_owned(),
            parameter_count: 1,
            text_alone: None,
            provenance: umid_models::Provenance::default(),
        },
        parameters: Parameters {
            seed: 0,
            templates: vec!["a photo of {}".to_owned()],
            contexts: Vec::new(),
            restarts: 4,
            steps: 20,
            stop_at: None,
            precision: umid_models::Precision::F32,
            text_precision: umid_models::Precision::F32,
            optimiser: "normalised-gradient(0.07)".to_owned(),
            starts: "gaussian".to_owned(),
            clamp: true,
            space: "pixels".to_owned(),
            alpha: 0.05,
            false_discovery_rate: 0.1,
            min_votes: 3,
            calibrated_signals: BTreeMap::from([("interaction".to_owned(), 1.0)]),
            one_part_signals: BTreeMap::new(),
            siblings: "16 x 16, 0123456789abcdef".to_owned(),
            bank: None,
            redact: false,
        },
        options: BTreeMap::new(),
        device: "cpu".to_owned(),
        unit: None,
        paper_reference: Some(reference("p")),
        calibrated_reference: reference("c"),
        known_members: None,
        checked: None,
        whole_list: None,
        queries_digest: queries_digest(queries),
        counts: Counts { queries: queries.len(), done: 0 },
        wall_s: BTreeMap::new(),
        warnings: Vec::new(),
    }
}

/// Appends all records that are missing.
fn complete(store: &mut RunStore<'_>, queries: &[Query]) {
    for (i, query) in queries.iter().enumerate().skip(store.done()) {
        let mut next = record(&query.id, &query.text);
        next.text = store.written_text(i).into_owned();
        next.parts = store.written_parts(i).map(|parts| parts.map(str::to_owned));
        store.append(&next).unwrap();
    }
}

/// Writes the files of the end.
fn finish(store: &mut RunStore<'_>, q_values: &[f64]) -> Result<(), AuditError> {
    let q_values: Vec<Option<f64>> = q_values.iter().copied().map(Some).collect();
    let overview = overview(&queries(store.done()));
    store.finish(&overview, &q_values, |report| report.write_all(b"<html>"))
}

/// What the records of these queries, in the clear, say together.
fn overview(asked: &[Query]) -> Overview {
    let records = asked.iter().map(|query| Ok(record(&query.id, &query.text)));
    Overview::read(&info(asked), records).unwrap()
}

fn read_back(store: &RunStore<'_>) -> Vec<QueryRecord> {
    store.records().unwrap().map(Result::unwrap).collect()
}

/// Something that a test does to a record.
type Edit = fn(&mut QueryRecord);

/// Every file below `dir` but the lock, with its content.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name() != LOCK_FILE)
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).unwrap_or_default())
        })
        .collect()
}

/// The error of opening `dir`, which must leave everything in it as it was.
fn refused(dir: &Path, info: RunInfo, queries: &[Query]) -> StoreError {
    let before = contents(dir);
    let error = RunStore::open(dir, info, queries).unwrap_err();
    assert_eq!(contents(dir), before, "nothing is changed");
    error
}

/// A file of results without a `run.json` would be taken for something else than a run.
#[test]
fn the_description_is_there_before_the_results() {
    let dir = tempfile::tempdir().unwrap();
    let asked = queries(2);
    start(dir.path(), info(&asked), asked.len()).unwrap();
    assert_eq!(contents(dir.path()).into_keys().collect::<Vec<_>>(), [RUN_FILE]);
    let mut store = RunStore::open(dir.path(), info(&asked), &asked).unwrap();
    assert!(store.warnings().is_empty() && store.done() == 0);
    complete(&mut store, &asked);
}

#[test]
fn a_run_leaves_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("new/run");
    let asked = queries(3);
    let mut store = RunStore::open(&out, info(&asked), &asked).unwrap();
    assert!(store.warnings().is_empty() && store.done() == 0);
    complete(&mut store, &asked);
    store.update_info(|info| _ = info.wall_s.insert("load".into(), 0.1 + 0.2)).unwrap();
    finish(&mut store, &[0.1, 0.2, 0.3]).unwrap();
    assert_eq!(store.info().counts, Counts { queries: 3, done: 3 });
    drop(store);

    let names: Vec<String> = contents(&out).into_keys().collect();
    assert_eq!(names, [REPORT_FILE, TABLE_FILE, RESULTS_FILE, PARQUET_FILE, RUN_FILE]);
    let store = RunStore::open(&out, info(&asked), &asked).unwrap();
    assert_eq!(store.done(), 3);
    assert_eq!(read_back(&store)[1], record("q1", "Jane Roe1"));
    assert_eq!(store.info().wall_s["load"].to_bits(), (0.1_f64 + 0.2).to_bits());
    assert_eq!(store.info().calibrated_reference.signals["similarity"], [Some(0.1), None]);
}

#[test]
fn leftovers_of_a_killed_start_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let asked = queries(1);
    for name in [LOCK_FILE, ".umid-tmp-abc"] {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    let store = RunStore::open(dir.path(), info(&asked), &asked).unwrap();
    assert!(store.done() == 0);
    assert!(!dir.path().join(".umid-tmp-abc").exists());
}

#[test]
fn output_locked_error_while_another_run_writes() {
    let dir = tempfile::tempdir().unwrap();
    let asked = queries(2);
    let mut first = RunStore::open(dir.path(), info(&asked), &asked).unwrap();
    let error = refused(dir.path(), info(&asked), &asked);
    assert!(matches!(error, StoreError::OutputLocked { .. }), "{error}");
    complete(&mut first, &asked);
    drop(first);
    assert_eq!(RunStore::open(dir.path(), info(&asked), &asked).unwrap().done(), 2);
}

#[test]
fn output_not_a_directory_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "kept").unwrap();
    let error = RunStore::open(&path, info(&queries(1)), &queries(1)).unwrap_err();
    assert!(matches!(error, StoreError::OutputNotADirectory { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
}

#[test]
fn create_output_error_below_a_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "kept").unwrap();
    let path = dir.path().join("file/run");
    let error = RunStore::open(&path, info(&queries(1)), &queries(1)).unwrap_err();
    assert!(matches!(error, StoreError::CreateOutput { .. }), "{error}");
}

#[test]
fn create_output_error_for_a_directory_where_the_report_goes() {
    let dir = tempfile::tempdir().unwrap();
    let asked = queries(1);
    drop(RunStore::open(dir.path(), info(&asked), &asked).unwrap());
    fs::create_dir(dir.path().join(REPORT_FILE)).unwrap();
    let error = refused(dir.path(), info(&asked), &asked);
    assert!(matches!(error, StoreError::CreateOutput { .. }), "{error}");
}

#[test]
fn lock_output_error_where_there_are_no_locks() {
    let source = io::Error::from(io::ErrorKind::Unsupported);
    let (dir, path) = (Path::new("out"), PathBuf::from("out/.lock"));
    let error = lock_error(dir, path, TryLockError::Error(source));
    assert!(matches!(error, StoreError::LockOutput { .. }), "{error}");
}

#[test]
fn foreign_output_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "kept").unwrap();
    let error = refused(dir.path(), info(&queries(1)), &queries(1));
    assert!(matches!(error, StoreError::ForeignOutput { .. }), "{error}");
    assert!(!dir.path().join(LOCK_FILE).exists());
}

#[test]
fn foreign_output_error_for_results_without_their_run() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(RESULTS_FILE), "{}\n").unwrap();
    let error = refused(dir.path(), info(&queries(1)), &queries(1));
    assert!(matches!(error, StoreError::ForeignOutput { .. }), "{error}");
}

#[test]
fn run_info_unreadable_error() {
    let dir = tempfile::tempdir().unwrap();
    let asked = queries(1);
    let mut other_version = serde_json::to_value(info(&asked)).unwrap();
    other_version["schema_version"] = 99.into();
    for content in ["", "{", "[]", "{\"schema_version\":1}", &other_version.to_string()] {
        fs::write(dir.path().join(RUN_FILE), content).unwrap();
        let error = refused(dir.path(), info(&asked), &asked);
        assert!(matches!(error, StoreError::RunInfoUnreadable { .. }), "{error}");
    }
    fs::remove_file(dir.path().join(RUN_FILE)).unwrap();
    fs::create_dir(dir.path().join(RUN_FILE)).unwrap();
    let error = refused(dir.path(), info(&asked), &asked);
    assert!(matches!(error, StoreError::RunInfoUnreadable { .. }), "{error}");
}

#[test]
fn different_run_error_names_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    let asked = queries(2);
    complete(&mut RunStore::open(dir.path(), info(&asked), &asked).unwrap(), &asked);
    let mut other = info(&asked);
    other.parameters.steps = 99;
    other.model.digest = "other".into();
    let error = refused(dir.path(), other, &asked);
    let StoreError::DifferentRun { differences, .. } = &error else { panic!("{error}") };
    let fields: Vec<&str> = differences.iter().map(|d| d.field.as_str()).collect();
    assert_eq!(fields, ["model.digest", "parameters.steps"]);
    let text = error.to_string();
    assert!(text.contains("parameters.steps is 20 there and 99 here"), "{text}");

    let error = refused(dir.path(), info(&queries(3)), &queries(3));
    assert!(error.to_string().contains("queries_digest"), "{error}");
}

#[test]
fn results_record_error_is_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    let asked = queries(3);
    complete(&mut RunStore::open(dir.path(), info(&asked), &asked).unwrap(), &asked);
    let path = dir.path().join(RESULTS_FILE);
    let text = fs::read_to_string(&path).unwrap().replacen("\"q1\"", "\"q1", 1);
    fs::write(&path, text).unwrap();
    let error = refused(dir.path(), info(&asked), &asked);
    assert!(matches!(error, StoreError::ResultsRecord { line: 2, .. }), "{error}");
}

#[test]
fn another_device_or_version_is_told_and_the_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let asked = queries(1);
    drop(RunStore::open(dir.path(), info(&asked), &asked).unwrap());
    let mut other = info(&asked);
    other.device = "cuda:0".into();
    let store = RunStore::open(dir.path(), other, &asked).unwrap();
    assert_eq!(store.info().device, "cuda:0");
    assert!(store.warnings()[0].contains("device cpu"), "{:?}", store.warnings());
}

#[test]
fn records_that_went_missing_are_told_and_computed_again() {
    let dir = tempfile::tempdir().unwrap();
    let asked = queries(2);
    let mut store = RunStore::open(dir.path(), info(&asked), &asked).unwrap();
    complete(&mut store, &asked);
    finish(&mut store, &[1.0, 1.0]).unwrap();
    drop(store);
    let whole = fs::read(dir.path().join(RESULTS_FILE)).unwrap();
    fs::remove_file(dir.path().join(RESULTS_FILE)).unwrap();
    let mut store = RunStore::open(dir.path(), info(&asked), &asked).unwrap();
    assert!(store.warnings()[0].contains("counts 2"), "{:?}", store.warnings());
    complete(&mut store, &asked);
    assert_eq!(fs::read(dir.path().join(RESULTS_FILE)).unwrap(), whole);
}

#[test]
fn records_are_read_back_while_the_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let asked = queries(3);
    let mut store = RunStore::open(dir.path(), info(&asked), &asked).unwrap();
    for (done, query) in asked.iter().enumerate() {
        let expected: Vec<_> = asked[..done].iter().map(|q| record(&q.id, &q.text)).collect();
        assert_eq!(read_back(&store), expected);
        store.append(&record(&query.id, &query.text)).unwrap();
    }
    assert_eq!(read_back(&store).len(), 3);
}

#[test]
fn read_back_error_for_a_file_that_was_changed_and_no_table_is_made_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let asked = queries(3);
    let mut store = RunStore::open(dir.path(), info(&asked), &asked).unwrap();
    complete(&mut store, &asked);
    let path = dir.path().join(RESULTS_FILE);
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let swapped = [lines[0], lines[2], lines[1]].concat();
    let shorter = lines[..2].concat();
    let renamed = whole.replace("Jane Roe1", "Jane Roe9");
    let damaged = whole.replacen("\"q1\"", "\"q1", 1);
    for (changed, at) in [(swapped, 2), (shorter, 3), (renamed, 2), (damaged, 2)] {
        fs::write(&path, changed).unwrap();
        let last = store.records().unwrap().find(Result::is_err);
        let Some(Err(AuditError::Store(StoreError::ReadBack { line, .. }))) = last else {
            panic!("{last:?}")
        };
        assert_eq!(line, at);
        let error = finish(&mut store, &[1.0; 3]).unwrap_err();
        assert!(matches!(error, AuditError::Store(StoreError::ReadBack { .. })), "{error}");
        assert!(!dir.path().join(TABLE_FILE).exists() && !dir.path().join(REPORT_FILE).exists());
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(store.records().err(), Some(AuditError::Store(StoreError::ReadBack { .. }))));
}

#[test]
fn other_records_error_for_an_overview_of_another_run() {
    let dir = tempfile::tempdir().unwrap();
    let asked = queries(2);
    let mut store = RunStore::open(dir.path(), info(&asked), &asked).unwrap();
    complete(&mut store, &asked);
    // Of one record fewer, one more, and of the same in another order.
    let reversed: Vec<Query> = asked.iter().rev().cloned().collect();
    for (other, at) in [(queries(1), 1), (queries(3), 2), (reversed, 0)] {
        let error = store.finish(&overview(&other), &[Some(1.0); 2], |_| Ok(())).unwrap_err();
        let AuditError::Report(ReportError::OtherRecords { position }) = error else {
            panic!("{error}")
        };
        assert_eq!(position, at);
        assert!(!dir.path().join(TABLE_FILE).exists());
    }
}

#[test]
fn unexpected_record_error() {
    let dir = tempfile::tempdir().unwrap();
    let asked = queries(2);
    let mut store = RunStore::open(dir.path(), info(&asked), &asked).unwrap();
    for wrong in [record("q1", "Jane Roe1"), record("q0", "Jane Roe1"), record("x", "y")] {
        let error = store.append(&wrong).unwrap_err();
        assert!(matches!(error, StoreError::UnexpectedRecord { .. }), "{error}");
    }
    complete(&mut store, &asked);
    let error = store.append(&record("q0", "Jane Roe0")).unwrap_err();
    assert!(error.to_string().contains("nothing is next"), "{error}");
}

#[test]
fn record_not_finite_error_names_the_field() {
    let dir = tempfile::tempdir().unwrap();
    let asked = queries(1);
    let mut store = RunStore::open(dir.path(), info(&asked), &asked).unwrap();
    let edits: [(&str, Edit); 5] = [
        ("signals.similarity", |r| _ = r.signals.insert("similarity".into(), Some(f64::NAN))),
        ("calibrated.score", |r| r.calibrated.as_mut().unwrap().score = f64::INFINITY),
        ("calibrated.p_value", |r| r.calibrated.as_mut().unwrap().p_value = f64::NAN),
        ("paper.vote_score", |r| r.paper.as_mut().unwrap().vote_score = f64::NAN),
        ("paper.scores.forest", |r| {
            r.paper.as_mut().unwrap().scores.insert("forest".into(), f64::NEG_INFINITY);
        }),
    ];
    for (wanted, edit) in edits {
        let mut bad = record("q0", "Jane Roe0");
        edit(&mut bad);
        let error = store.append(&bad).unwrap_err();
        let StoreError::RecordNotFinite { field, .. } = &error else { panic!("{error}") };
        assert!(field.starts_with(wanted), "{error}");
    }
    complete(&mut store, &asked);
}

#[test]
fn write_output_error_when_a_file_cannot_be_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let asked = queries(1);
    let mut store = RunStore::open(dir.path(), info(&asked), &asked).unwrap();
    complete(&mut store, &asked);
    fs::create_dir_all(dir.path().join(REPORT_FILE).join("x")).unwrap();
    let error = finish(&mut store, &[1.0]).unwrap_err();
    assert!(matches!(error, AuditError::Store(StoreError::WriteOutput { .. })), "{error}");
    assert!(error.to_string().contains(REPORT_FILE), "{error}");
}

#[test]
fn a_redacted_run_holds_no_name_and_resumes_with_its_key_alone() {
    let dir = tempfile::tempdir().unwrap();
    let asked = queries(3);
    let mut redacted = info(&asked);
    redacted.parameters.redact = true;
    let mut store = RunStore::open(dir.path(), redacted.clone(), &asked).unwrap();
    assert!(store.warnings()[0].contains("ids"), "{:?}", store.warnings());
    assert_eq!(store.written_parts(0), None);
    assert_ne!(store.info().queries_digest, redacted.queries_digest);
    complete(&mut store, &asked);
    finish(&mut store, &[1.0; 3]).unwrap();
    drop(store);
    for (name, content) in contents(dir.path()) {
        let text = String::from_utf8_lossy(&content).into_owned();
        assert!(!text.contains("Roe") && !text.contains(&redacted.queries_digest), "{name}");
    }
    let again = RunStore::open(dir.path(), redacted.clone(), &asked).unwrap();
    assert_eq!(again.done(), 3);
    drop(again);

    let error = refused(dir.path(), info(&asked), &asked);
    assert!(error.to_string().contains("parameters.redact is true there"), "{error}");
    let error = {
        fs::remove_file(dir.path().join(KEY_FILE)).unwrap();
        refused(dir.path(), redacted.clone(), &asked)
    };
    assert!(matches!(error, StoreError::RedactionKey { .. }), "{error}");
    RedactionKey::create(dir.path()).unwrap();
    let error = refused(dir.path(), redacted, &asked);
    assert!(error.to_string().contains("queries_digest"), "{error}");
}

proptest! {
    // Each case flushes several files to the disk.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_run_cut_at_any_byte_and_resumed_ends_the_same(
        cuts in prop::collection::vec(0.0..=1.0_f64, 1..4),
        count in 1..8_usize,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let asked = queries(count);
        let path = dir.path().join(RESULTS_FILE);
        complete(&mut RunStore::open(dir.path(), info(&asked), &asked).unwrap(), &asked);
        let whole = fs::read(&path).unwrap();
        for cut in cuts {
            let end = (cut * whole.len() as f64) as usize;
            fs::write(&path, &whole[..end]).unwrap();
            let mut store = RunStore::open(dir.path(), info(&asked), &asked).unwrap();
            let lines = whole[..end].split(|&byte| byte == b'\n').count() - 1;
            prop_assert_eq!(store.done(), lines);
            complete(&mut store, &asked);
            drop(store);
            prop_assert_eq!(&fs::read(&path).unwrap(), &whole);
        }
    }
}

proptest! {
    #[test]
    fn numbers_survive_the_file(bits in prop::collection::vec(any::<u64>(), 1..20)) {
        let finite = bits.into_iter().map(f64::from_bits).filter(|value| value.is_finite());
        for value in finite {
            let mut sent = record("q", "Jane Roe");
            sent.calibrated.as_mut().unwrap().score = value;
            let line = serde_json::to_vec(&sent).unwrap();
            let back: QueryRecord = serde_json::from_slice(&line).unwrap();
            prop_assert_eq!(back.calibrated.unwrap().score.to_bits(), value.to_bits());
        }
    }
}
