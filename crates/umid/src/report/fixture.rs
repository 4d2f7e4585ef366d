//! Made-up runs for the tests of the report.

use std::collections::BTreeMap;

use super::{Report, Table};
use crate::known_answers::KnownAnswers;
use crate::overview::Overview;
use crate::record::{
    CalibratedReading, Counts, FittedScore, ModelInfo, PaperReading, Parameters, QueryRecord,
    ReferenceInfo, RunInfo, SCHEMA_VERSION,
};

const DETECTORS: [&str; 4] =
    ["autoencoder", "isolation_forest", "local_outlier_factor", "one_class_svm"];
const FIRST: [&str; 8] = ["Ada", "Bram", "Chika", "Dora", "Emeka", "Farid", "Greta", "Hana"];
const LAST: [&str; 7] = ["Okafor", "Lindqvist", "Moreau", "Tanaka", "Haddad", "Novak", "Silva"];

/// What a report is drawn from besides its run.
pub struct Drawn {
    pub overview: Overview,
    pub table: Table,
    /// What is known of the names.
    pub answers: KnownAnswers,
}

impl Drawn {
    /// Reads records twice, as a run's end does.
    pub fn of(run: &RunInfo, records: &[QueryRecord]) -> Self {
        let again = || records.iter().cloned().map(Ok);
        let overview = Overview::read(run, again()).expect("records in memory");
        let table = Table::read(&overview, again()).expect("the same records");
        Self { overview, table, answers: KnownAnswers::default() }
    }

    /// A report without images and truth.
    pub fn report<'a>(&'a self, run: &'a RunInfo, q_values: &'a [Option<f64>]) -> Report<'a> {
        let Self { overview, table, .. } = self;
        Report { run, overview, table, q_values, previews: &[], answers: &self.answers }
    }
}

/// A run with `reference` plausible names and half as many gibberish strings.
pub fn run(reference: usize) -> RunInfo {
    RunInfo {
        schema_version: SCHEMA_VERSION,
        umid_version: "0.1.0".to_owned(),
        begun: "2026-01-31".to_owned(),
        model: ModelInfo {
            name: "clip-faces-small".to_owned(),
            layout: "hugging-face".to_owned(),
            architecture: "CLIP ViT, patch 8 at 32 x 32, width 96, 3 layers".to_owned(),
            digest: "7f3a".repeat(16),
            parameter_count: 634_112,
            text_alone: None,
            provenance: umid_models::Provenance::default(),
        },
        parameters: Parameters {
            seed: u64::MAX,
            templates: vec!["a photo of {}".to_owned(), "a portrait of {}".to_owned()],
            contexts: vec!["happy birthday {}".to_owned(), "interview with {}".to_owned()],
            restarts: 4,
            steps: 25,
            stop_at: None,
            precision: umid_models::Precision::F32,
            text_precision: umid_models::Precision::F32,
            optimiser: "normalised-gradient(0.07)".to_owned(),
            starts: "gaussian".to_owned(),
            clamp: true,
            space: "pixels".to_owned(),
            alpha: 0.05,
            false_discovery_rate: 0.05,
            min_votes: 3,
            calibrated_signals: [("part_interaction", 2.0), ("text_norm", 0.5)]
                .map(|(name, weight)| (name.to_owned(), weight))
                .into(),
            one_part_signals: BTreeMap::new(),
            siblings: "16 x 16, 0123456789abcdef".to_owned(),
            bank: None,
            redact: false,
        },
        options: BTreeMap::new(),
        device: "cpu".to_owned(),
        unit: Some("f32 (avx2)".to_owned()),
        paper_reference: Some(self::reference("gibberish strings", reference / 2, -2.5)),
        calibrated_reference: self::reference(
            "new combinations of the bundled name lists",
            reference,
            0.0,
        ),
        known_members: None,
        checked: None,
        whole_list: None,
        queries_digest: "c0ffee".repeat(10),
        counts: Counts { queries: 0, done: 0 },
        wall_s: [("load", 0.4), ("reference", 12.34), ("queries", 3.0)]
            .map(|(stage, s)| (stage.to_owned(), s))
            .into(),
        warnings: Vec::new(),
    }
}

/// A score that was fitted on known members of two words.
pub fn fitted_score() -> FittedScore {
    FittedScore {
        form: "1 + 1 words".to_owned(),
        known_members: 100,
        reference_names: 200,
        signals: vec!["part_interaction".to_owned(), "text_norm".to_owned()],
        in_sample_auc: 0.95,
        cross_validated_auc: 0.875,
    }
}

/// `n` records, every `member_every`-th of which looks like a member.
pub fn records(n: usize, member_every: usize) -> Vec<QueryRecord> {
    (0..n)
        .map(|i| {
            let shift = if i.is_multiple_of(member_every) { 2.2 } else { 0.0 };
            let mut draw = Draw(i as u64 + 1);
            let [first, last] = [FIRST[draw.below(FIRST.len())], LAST[draw.below(LAST.len())]];
            let signals = signals(&mut draw, shift);
            let score = shift + draw.bell();
            let p_value = (0.5 * (-0.72 * score).exp()).clamp(0.001, 1.0);
            let flags: BTreeMap<String, bool> =
                DETECTORS.map(|name| (name.to_owned(), draw.uniform() < 0.6 + 0.1 * shift)).into();
            let votes = flags.values().filter(|flag| **flag).count();
            QueryRecord {
                id: format!("q{:05}", i + 1),
                text: format!("{first} {last} {}", i + 1),
                parts: Some([first.to_owned(), last.to_owned()]),
                signals,
                paper: Some(PaperReading {
                    scores: DETECTORS.map(|name| (name.to_owned(), draw.bell())).into(),
                    flags,
                    votes,
                    vote_score: votes as f64 + 0.5,
                    member: votes >= 3,
                }),
                calibrated: Some(CalibratedReading {
                    score,
                    p_value,
                    tail_p_value: None,
                    ranked_among: 0,
                    signals_used: vec!["part_interaction".to_owned(), "text_norm".to_owned()],
                    detected: p_value <= 0.05,
                    known_members: None,
                }),
                warnings: Vec::new(),
            }
        })
        .collect()
}

fn reference(description: &str, count: usize, shift: f64) -> ReferenceInfo {
    let mut values: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
    for i in 0..count {
        for (name, value) in signals(&mut Draw(i as u64 ^ shift.to_bits() | 1 << 40), shift) {
            values.entry(name).or_default().push(value);
        }
    }
    ReferenceInfo {
        description: description.to_owned(),
        count,
        ranked: count,
        digest: "0b5e".repeat(16),
        signals: values,
    }
}

fn signals(draw: &mut Draw, shift: f64) -> BTreeMap<String, Option<f64>> {
    [
        ("similarity", 0.9 + 0.012 * (shift + draw.bell())),
        ("variability", 0.31 - 0.014 * (0.5 * shift + draw.bell())),
        ("part_interaction", -1.4 + 0.2 * (1.2 * shift + draw.bell())),
        ("text_norm", 11.5 + 0.6 * (0.5 * shift + draw.bell())),
        ("gradient_norm", 0.02 + 0.002 * draw.bell()),
    ]
    .map(|(name, value)| (name.to_owned(), Some(value)))
    .into()
}

/// A small counter-based generator (`SplitMix64`), good enough for pictures.
struct Draw(u64);

impl Draw {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        (self.uniform() * n as f64) as usize
    }

    /// Roughly standard normal: a sum of uniforms.
    fn bell(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}
