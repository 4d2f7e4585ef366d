//! Nothing leaks: what is said of a name depends on the model, the name, the references and
//! the parameters, and neither on the other names nor on how the work is cut up.
//!
//! Measured on the fixtures with the CPU backend: order, company and threads move no bit, since
//! every element of a matrix product is summed in one order whatever the rows beside it. The
//! exception are products of a few rows (up to eight at least), which take another path: a
//! small `--batch`, a short last batch, or a name that is alone in its chunk. What that changes is round-off of
//! f32, amplified by the steps of the inversion. The products here are small; on a model of
//! full size or on another backend, expect round-off where these tests find equality.

mod common;

use std::path::Path;

use common::{Bench, fixture, queries, reference, succeed, write_names};
use umid::audit::{AuditOptions, AuditSummary, audit};
use umid::auditor::{Auditor, Reading};
use umid::cache::ReferenceCache;
use umid::known_answers::KnownAnswers;
use umid::progress::Silent;
use umid::queries::{NameFile, PartRule, Query, QueryOptions, read_queries};
use umid::record::QueryRecord;
use umid::reference::{ReferenceTexts, from_file, gibberish};
use umid::siblings::Siblings;
use umid::templates::Templates;
use umid_invert::{Clamp, InvertParams, Optimiser, Starts};
use umid_models::{Modality, Model, default_device};
use umid_signals::Signal;
use umid_signals::inversion::{
    CROSS_TEMPLATE_TRANSFER, FINAL_GRADIENT_NORM, SIMILARITY, STEPS_TO_THRESHOLD, VARIABILITY,
    VARIABILITY_TUNI,
};

/// Both layouts and both activations.
const MODELS: [&str; 2] = ["hf-quickgelu-legacy-eos", "openclip-gelu"];
/// More than one chunk of names, and a last chunk of one name.
const QUERIES: usize = 33;
/// Signals, relative to one plus their size, where a batch takes another path through the
/// matrix products: f32 round-off of 1e-7, amplified by five steps of gradients. Measured:
/// 1.3e-6.
const SIGNAL_ROUND_OFF: f64 = 1e-5;
/// Scores of the paper's detectors, relative to one plus their size, where that happens to a
/// query and the detectors are the same. Measured: 4.6e-6.
const SCORE_ROUND_OFF: f64 = 1e-5;

/// Signals that an inversion gives.
static OF_INVERSIONS: [Signal; 6] = [
    SIMILARITY.signal(),
    VARIABILITY.signal(),
    VARIABILITY_TUNI.signal(),
    STEPS_TO_THRESHOLD.signal(),
    FINAL_GRADIENT_NORM.signal(),
    CROSS_TEMPLATE_TRANSFER.signal(),
];

fn load(case: &str) -> Model {
    Model::load(&fixture(case), &default_device().unwrap()).unwrap()
}

fn query(text: &str) -> Query {
    Query { id: text.to_owned(), text: text.to_owned(), parts: PartRule::FirstWord.split(text) }
}

fn asked(count: usize) -> Vec<Query> {
    queries(count).iter().map(|name| query(name)).collect()
}

fn fixed_reference() -> ReferenceTexts {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("reference.txt");
    write_names(&path, &reference());
    from_file(&path, &QueryOptions::default(), &[]).unwrap()
}

fn options() -> AuditOptions {
    AuditOptions {
        templates: Templates::new(vec!["a {}".into(), "{} in a photo".into()]).unwrap(),
        // A chunk of names is one batch, so that no short last batch takes another path.
        inversion: Some(InvertParams {
            restarts: 2,
            steps: 5,
            batch_rows: 64,
            ..InvertParams::default()
        }),
        siblings: Siblings::bundled(3).unwrap(),
        ..AuditOptions::new(Modality::Image, 0, gibberish(0, 12).unwrap(), fixed_reference())
            .unwrap()
    }
}

fn records(summary: &AuditSummary) -> Vec<QueryRecord> {
    summary.records().unwrap().map(Result::unwrap).collect()
}

fn read(model: &Model, options: &AuditOptions, names: &[Query]) -> Vec<Reading> {
    let auditor = Auditor::prepare(model, options, &Silent).unwrap();
    auditor.read(&names.iter().collect::<Vec<_>>()).unwrap()
}

/// Every signal differs by at most [`SIGNAL_ROUND_OFF`].
#[track_caller]
fn assert_signals_alike(a: &Reading, b: &Reading) {
    assert!(a.signals.keys().eq(b.signals.keys()));
    for ((signal, a), b) in a.signals.iter().zip(b.signals.values()) {
        assert_eq!(a.is_some(), b.is_some(), "{signal}");
        let distance = a.zip(*b).map_or(0.0, relative);
        // Not true of a NaN.
        assert!(distance <= SIGNAL_ROUND_OFF, "{signal} differs by {distance:e}");
    }
}

fn relative((a, b): (f64, f64)) -> f64 {
    (a - b).abs() / (1.0 + a.abs())
}

/// The decisions are the same, and all numbers are but for round-off.
#[track_caller]
fn assert_alike(a: &Reading, b: &Reading) {
    assert_signals_alike(a, b);
    let (one, other) = (a.paper.as_ref().unwrap(), b.paper.as_ref().unwrap());
    assert_eq!((&one.flags, one.votes, one.member), (&other.flags, other.votes, other.member));
    assert!(one.scores.keys().eq(other.scores.keys()));
    for (name, score) in &one.scores {
        let distance = relative((*score, other.scores[name]));
        assert!(distance <= SCORE_ROUND_OFF, "{name} differs by {distance:e}");
    }
    assert_eq!(a.warnings, b.warnings);
    let [a, b] = [a, b].map(|reading| reading.calibrated.as_ref().unwrap());
    assert_eq!(a.p_value.to_bits(), b.p_value.to_bits());
    assert_eq!(a.detected, b.detected);
    assert_eq!(a.signals_used, b.signals_used);
    let distance = relative((a.score, b.score));
    assert!(distance <= SIGNAL_ROUND_OFF, "calibrated scores differ by {distance:e}");
}

#[test]
fn other_queries_do_not_move_a_reading() {
    for case in MODELS {
        let (model, options) = (load(case), options());
        let auditor = Auditor::prepare(&model, &options, &Silent).unwrap();
        let read = |names: &[Query]| auditor.read(&names.iter().collect::<Vec<_>>()).unwrap();
        let all = asked(QUERIES);
        let whole = read(&all);

        // Five in the company of others: no bit moves.
        let strangers = ["Cher", "Zz Qq", "x x", "Prince"].map(query);
        let mut company: Vec<Query> = strangers.to_vec();
        company.extend_from_slice(&all[..5]);
        company.push(query("!!! ???"));
        assert_eq!(read(&company)[4..9], whole[..5], "{case}");

        // Alone, a name meets other paths of the matrix products.
        for i in [0, 5, 32] {
            let alone = read(&all[i..=i]);
            assert_alike(&alone[0], &whole[i]);
        }
    }
}

#[test]
fn the_order_of_the_queries_does_not_matter() {
    for case in MODELS {
        let (model, options) = (load(case), options());
        let forward = asked(QUERIES);
        let backward: Vec<Query> = forward.iter().rev().cloned().collect();
        let one = read(&model, &options, &forward);
        let mut other = read(&model, &options, &backward);
        other.reverse();
        for (i, (a, b)) in one.iter().zip(&other).enumerate() {
            // The first and the last are alone in their chunk, one way or the other.
            if i == 0 || i == QUERIES - 1 {
                assert_alike(a, b);
            } else {
                assert_eq!(a, b, "{case}, query {i}");
            }
        }
    }
}

/// The references come from the cache, whose entries serve every batch size.
#[test]
fn the_batch_size_does_not_matter() {
    for case in MODELS {
        let model = load(case);
        let names = asked(12);
        let dir = tempfile::tempdir().unwrap();
        let with_batch = |batch_rows: usize| {
            let mut options = AuditOptions { cache: ReferenceCache::at(dir.path()), ..options() };
            options.inversion.as_mut().unwrap().batch_rows = batch_rows;
            read(&model, &options, &names)
        };
        let whole = with_batch(64);
        assert_eq!(with_batch(1000), whole, "{case}");
        for batch_rows in [1, 3, 7, 8, 16] {
            let other = with_batch(batch_rows);
            assert_eq!(other.len(), whole.len());
            for (a, b) in whole.iter().zip(&other) {
                assert_alike(a, b);
            }
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "one entry per reference");
    }
}

/// What is fitted on the references amplifies round-off (an autoencoder is trained on them for a
/// thousand epochs), so what is compared is what goes into it.
#[test]
fn the_batch_size_moves_the_references_signals_by_round_off_alone() {
    let model = load(MODELS[0]);
    let queries =
        NameFile { queries: asked(1), answers: KnownAnswers::default(), warnings: Vec::new() };
    let dir = tempfile::tempdir().unwrap();
    let with_batch = |batch_rows: usize| {
        let mut options = options();
        options.inversion.as_mut().unwrap().batch_rows = batch_rows;
        let out = dir.path().join(batch_rows.to_string());
        let run = audit(&model, &queries, &options, &out, &Silent).unwrap().run;
        (run.paper_reference.unwrap().signals, run.calibrated_reference.signals)
    };
    let (paper, calibrated) = with_batch(64);
    for signal in OF_INVERSIONS {
        assert_eq!(paper[signal.name()].iter().flatten().count(), 12, "{}", signal.name());
    }
    for batch_rows in [1, 3, 7, 8, 16] {
        let other = with_batch(batch_rows);
        assert_eq!(calibrated, other.1);
        assert!(paper.keys().eq(other.0.keys()));
        for ((signal, column), other) in paper.iter().zip(other.0.values()) {
            assert_eq!(column.len(), other.len(), "{signal}");
            for (a, b) in column.iter().zip(other) {
                assert_eq!(a.is_some(), b.is_some(), "{signal}");
                let distance = a.zip(*b).map_or(0.0, relative);
                assert!(distance <= SIGNAL_ROUND_OFF, "{signal} differs by {distance:e}");
            }
        }
    }
}

#[test]
fn one_text_twice_has_one_inversion_since_all_queries_share_their_starts() {
    for case in MODELS {
        let (model, options) = (load(case), options());
        let mut names = asked(QUERIES + 7);
        for (at, id) in [(1, "a"), (17, "b"), (31, "c"), (36, "d")] {
            names[at] = Query { id: id.into(), ..query("Ann Lee") };
        }
        let readings = read(&model, &options, &names);
        for at in [17, 31, 36] {
            for signal in OF_INVERSIONS {
                let [one, other] = [1, at].map(|at| readings[at].signals[&signal].unwrap());
                assert_eq!(one.to_bits(), other.to_bits(), "{case}, {}, {at}", signal.name());
            }
            assert_eq!(readings[1], readings[at], "{case}, {at}");
        }
        // The starts of another seed are others, so that equality above says something.
        let mut reseeded = options;
        reseeded.inversion.as_mut().unwrap().seed = 1;
        let other = read(&model, &reseeded, &names[1..10]);
        let [a, b] = [&readings[1], &other[0]].map(|r| r.signals[&VARIABILITY.signal()].unwrap());
        assert!(relative((a, b)) > 10.0 * SIGNAL_ROUND_OFF, "{a} {b}");
    }
}

/// Scales, thresholds and ranks are the reference's: two audits that share one query and
/// nothing else say the same of it, and of their reference.
#[test]
fn scaler_thresholds_and_ranks_come_from_the_reference_alone() {
    let model = load(MODELS[0]);
    let options = options();
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str, texts: &[String]| {
        let file = dir.path().join(format!("{name}.txt"));
        write_names(&file, texts);
        let queries = read_queries(&file, &QueryOptions::default()).unwrap();
        audit(&model, &queries, &options, &dir.path().join(name), &Silent).unwrap()
    };
    let same = &queries(10);
    // Alike among themselves and far from the others: whatever is scaled on them would move.
    let far: Vec<String> = (0..20).map(|i| format!("{} {}", "9".repeat(1 + i % 4), i)).collect();
    let one = run("one", &[same.as_slice(), &queries(30)[10..]].concat());
    let other = run("other", &[same.as_slice(), &far].concat());
    let (records, others) = (records(&one), records(&other));
    for (a, b) in records[..10].iter().zip(&others[..10]) {
        assert_eq!(a, b);
    }
    assert_ne!(records[10..], others[10..]);
    let signals = |summary: &AuditSummary| {
        let run = &summary.run;
        (run.paper_reference.clone().unwrap().signals, run.calibrated_reference.signals.clone())
    };
    assert_eq!(signals(&one), signals(&other));
}

/// What is known of the names moves nothing that is said of them, and is set beside it at the end.
#[test]
fn known_answers_touch_no_score() {
    let model = load(MODELS[0]);
    let options = options();
    let dir = tempfile::tempdir().unwrap();
    let run = |list: &str, answer: &dyn Fn(usize) -> String| {
        let rows = queries(20);
        let rows: Vec<String> =
            rows.iter().enumerate().map(|(i, name)| format!("{name}{}\n", answer(i))).collect();
        let header = if answer(0).is_empty() { "name\n" } else { "name,member,exposures\n" };
        let file = dir.path().join(format!("{list}.csv"));
        std::fs::write(&file, header.to_owned() + &rows.concat()).unwrap();
        let queries = read_queries(&file, &QueryOptions::default()).unwrap();
        let out = dir.path().join(list);
        let summary = audit(&model, &queries, &options, &out, &Silent).unwrap();
        let files = ["results.jsonl", "results.csv"].map(|f| std::fs::read(out.join(f)).unwrap());
        (files, summary.run.checked)
    };
    let (plain, nothing) = run("plain", &|_| String::new());
    let known = |i: usize| {
        let exposures = if i.is_multiple_of(2) { 1 + i } else { 0 };
        format!(",{},{exposures}", i.is_multiple_of(2))
    };
    let (labelled, checked) = run("labelled", &known);
    let (turned, _) = run("turned", &|i| known(i + 1));
    assert_eq!(nothing, None);
    assert!(plain == labelled && plain == turned, "labels moved a result");
    let checked = checked.unwrap();
    assert_eq!((checked.members, checked.non_members, checked.unknown), (10, 10, 0));
    let readings: Vec<&str> = checked.readings.iter().map(|r| r.reading.as_str()).collect();
    assert_eq!(readings, ["calibrated", "paper"]);
    assert!(checked.readings.iter().all(|reading| reading.auc.is_some()));
    assert!(checked.dose_response.is_some());
}

/// What could be refused before is no failed run, whoever calls.
#[test]
fn options_that_no_inversion_takes_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options();
    options.inversion.as_mut().unwrap().batch_rows = 0;
    let queries =
        NameFile { queries: asked(3), answers: KnownAnswers::default(), warnings: Vec::new() };
    let out = dir.path().join("out");
    let error = audit(&load(MODELS[0]), &queries, &options, &out, &Silent).unwrap_err();
    assert!(error.to_string().contains("batch"), "{error}");
    assert!(!out.exists());
}

/// The entries of a cache are counted: a change of what a reference depends on adds one.
#[test]
fn the_cache_is_keyed_by_everything_that_a_reference_depends_on() {
    let model = load(MODELS[0]);
    let dir = tempfile::tempdir().unwrap();
    let mut entries = 0;
    let mut added = |model: &Model, change: &dyn Fn(&mut AuditOptions)| {
        let mut options = AuditOptions { cache: ReferenceCache::at(dir.path()), ..options() };
        change(&mut options);
        Auditor::prepare(model, &options, &Silent).unwrap();
        let before = entries;
        entries = std::fs::read_dir(dir.path()).unwrap().count();
        entries - before
    };
    assert_eq!(added(&model, &|_| ()), 2);
    assert_eq!(added(&model, &|_| ()), 0);
    let of_inversions: [&dyn Fn(&mut InvertParams); 7] = [
        &|params| params.restarts = 3,
        &|params| params.steps = 4,
        &|params| params.stop_at = Some(0.5),
        &|params| params.optimiser = Optimiser::Adam { learning_rate: 0.1 },
        &|params| params.starts = Starts::Uniform,
        &|params| params.clamp = Clamp::Off,
        &|params| params.seed = 1,
    ];
    for (i, change) in of_inversions.iter().enumerate() {
        let change = |options: &mut AuditOptions| change(options.inversion.as_mut().unwrap());
        assert_eq!(added(&model, &change), 1, "parameter {i} of the inversion");
    }
    let rows = |options: &mut AuditOptions| options.inversion.as_mut().unwrap().batch_rows = 5;
    assert_eq!(added(&model, &rows), 0);
    // The gibberish, the names, and which of these are compared with.
    assert_eq!(added(&model, &|options| options.paper_reference = gibberish(1, 12).unwrap()), 1);
    assert_eq!(added(&model, &|options| options.calibrated_reference.texts.truncate(50)), 1);
    assert_eq!(added(&model, &|options| options.seed = 1), 1);
    // What both references are read with.
    let template = || Templates::new(vec!["a {}".into(), "{} here".into()]).unwrap();
    assert_eq!(added(&model, &|options| options.templates = template()), 2);
    assert_eq!(added(&model, &|options| options.siblings = Siblings::bundled(4).unwrap()), 2);
    // What is fitted on them is not in the cache.
    assert_eq!(added(&model, &|options| (options.alpha, options.min_votes) = (0.2, 2)), 0);
    assert_eq!(added(&load(MODELS[1]), &|_| ()), 2);
}

/// What the cache holds of one reference serves audits with another one beside it.
#[test]
fn the_cache_changes_nothing() {
    let model = load(MODELS[0]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("queries.txt");
    write_names(&file, &queries(8));
    let queries = read_queries(&file, &QueryOptions::default()).unwrap();
    let mut run = 0;
    let mut audited = |cache: &ReferenceCache, names: usize| {
        let mut options = AuditOptions { cache: cache.clone(), ..options() };
        options.calibrated_reference.texts.truncate(names);
        run += 1;
        audit(&model, &queries, &options, &dir.path().join(run.to_string()), &Silent).unwrap()
    };
    let (kept, off) = (ReferenceCache::at(&dir.path().join("cache")), ReferenceCache::off());
    audited(&kept, 60);
    for names in [60, 45] {
        let (cached, computed) = (audited(&kept, names), audited(&off, names));
        assert_eq!(records(&cached), records(&computed));
        assert_eq!(cached.run.paper_reference, computed.run.paper_reference);
        assert_eq!(cached.run.calibrated_reference, computed.run.calibrated_reference);
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let bench = Bench::new(QUERIES);
    let with_threads = |threads: &str| {
        let out = format!("threads-{threads}");
        let mut command = bench.audit(&out);
        succeed(command.env("RAYON_NUM_THREADS", threads));
        read_results(&bench.path(&out))
    };
    let one = with_threads("1");
    assert_eq!(one, with_threads("2"));
    assert_eq!(one, with_threads("5"));
}

fn read_results(out: &Path) -> (String, String) {
    let read = |file: &str| std::fs::read_to_string(out.join(file)).unwrap();
    (read("results.jsonl"), read("results.csv"))
}
