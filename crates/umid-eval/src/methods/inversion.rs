//! UMID as in the paper: texts are inverted through the input tower, and similarity and
//! variability are compared with those of a reference.
//!
//! Detectors are fitted on the reference alone, and a text's scores are ranked among the
//! reference's, so no text's result depends on the other texts under test.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use umid::PaperReader;
use umid::audit::DEFAULT_MIN_VOTES;
use umid::inversion_signals::signals;
use umid::queries::Query;
use umid::record::PaperReading;
use umid::reference::gibberish;
use umid::templates::Templates;
use umid_detect::{CalibratedScore, CalibratedTest, DEFAULT_FIT_FRACTION, SignalWeight, Split};
use umid_invert::{Clamp, Inversion, InvertParams, Inverter, KeepInputs, Optimiser};
use umid_models::{LoadOptions, Model, Precision};
use umid_signals::inversion::{
    CROSS_TEMPLATE_TRANSFER, INVERSION_SIGNALS, SIMILARITY, VARIABILITY,
};
use umid_signals::{Signal, SignalRow};
use umid_testbed::caption::fill;

use super::coarse::Searched;
use super::known::decided;
use super::{Method, Needs, columns_of, latency, settings};
use crate::record::{Column, Cost, Group, Reading, Sees};
use crate::subject::Subject;

/// Groups that are inverted.
const GROUPS: [Group; 4] = [Group::Member, Group::NonMember, Group::Mispaired, Group::Gibberish];
/// Texts that one worker inverts together.
const CHUNK: usize = 16;
/// Significance level of the calibrated readings' decisions.
const ALPHA: f64 = 0.05;

/// Signals that are listed among the methods.
static HEADLINES: [Signal; 3] =
    [SIMILARITY.signal(), VARIABILITY.signal(), CROSS_TEMPLATE_TRANSFER.signal()];

/// Inversion, the paper's detectors, and each signal alone.
pub static METHOD: Method = Method {
    needs: |table| match settings::<Settings>(table) {
        Ok(Settings { start: Start::Bank, .. }) => Needs::People,
        _ => Needs::Names,
    },
    check: Some(|table| settings::<Settings>(table)?.check()),
    definition: || String::from("2, votes and thresholds"),
    ..Method::new("inversion", "UMID, arXiv 2603.14222", 60.0, measure)
};

/// Settings of an inversion.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// As in [`InvertParams`].
    pub restarts: usize,
    /// As in [`InvertParams`].
    pub steps: usize,
    /// As in [`InvertParams`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_at: Option<f32>,
    /// As in [`InvertParams`].
    pub optimiser: Optimiser,
    /// Precision of the input tower.
    #[serde(skip_serializing_if = "is_default")]
    pub precision: Precision,
    /// Side of the images that are searched; absent for the input's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coarse: Option<usize>,
    /// Where inversions start.
    #[serde(skip_serializing_if = "is_default")]
    pub start: Start,
    /// Whether pixels are kept in their range.
    pub clamp: bool,
    /// Seed of starts, gibberish and detectors.
    pub seed: u64,
    /// Strings of the paper's reference.
    pub gibberish: usize,
    /// Names of the plausible reference, at most a thousand.
    pub names: usize,
    /// Templates; the first is inverted, the others serve the cross-template transfer. Empty for
    /// those of the training.
    pub templates: Vec<String>,
    /// Most texts of each group, to make an expensive setting affordable.
    pub most: Option<usize>,
}

/// Where inversions start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// From noise, as the parameters say.
    #[default]
    Noise,
    /// From photos or clips of people of the bank, one for each restart, the same for every text.
    Bank,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for Settings {
    fn default() -> Self {
        let params = InvertParams::default();
        Self {
            restarts: params.restarts,
            steps: params.steps,
            stop_at: params.stop_at,
            optimiser: params.optimiser,
            precision: Precision::F32,
            coarse: None,
            start: Start::Noise,
            clamp: params.clamp == Clamp::ValidRange,
            seed: 0,
            gibberish: 100,
            names: 600,
            templates: Vec::new(),
            most: None,
        }
    }
}

impl Settings {
    /// Refuses what no inversion can be.
    pub fn check(&self) -> crate::Result<()> {
        Ok(self.params().check()?)
    }

    fn params(&self) -> InvertParams {
        InvertParams {
            restarts: self.restarts,
            steps: self.steps,
            stop_at: self.stop_at,
            optimiser: self.optimiser,
            clamp: if self.clamp { Clamp::ValidRange } else { Clamp::Off },
            seed: self.seed,
            ..InvertParams::default()
        }
    }
}

/// Signals of all texts of a target by inversion.
pub struct Probe {
    /// Of the groups under test.
    pub groups: BTreeMap<Group, Vec<SignalRow>>,
    /// Of the paper's reference.
    pub gibberish: Vec<SignalRow>,
    /// Of the plausible reference.
    pub names: Vec<SignalRow>,
    /// What a query costs.
    pub cost: Cost,
}

impl Probe {
    /// Inverts every text of a target; shared between methods of the same settings.
    pub fn of(subject: &Subject, settings: &Settings) -> crate::Result<Rc<Self>> {
        let key = format!("inversion {}", serde_json::to_string(settings)?);
        subject.shared(key, || Self::compute(subject, settings))
    }

    fn compute(subject: &Subject, settings: &Settings) -> crate::Result<Self> {
        let most = settings.most.unwrap_or(usize::MAX);
        let first = |texts: &[Query], count: usize| texts[..count.min(texts.len())].to_vec();
        let groups: Vec<(Group, &Vec<Query>)> = GROUPS
            .iter()
            .filter_map(|group| Some((*group, subject.groups().get(group)?)))
            .collect();
        let lists: Vec<Vec<Query>> = groups
            .iter()
            .map(|(_, texts)| first(texts, most))
            .chain([
                gibberish(settings.seed, settings.gibberish)?.texts,
                first(subject.fresh(), settings.names),
            ])
            .collect();
        let rounded = (settings.precision != subject.model.precision())
            .then(|| {
                let model = &subject.model;
                let options = LoadOptions::on(model.device()).in_precision(settings.precision);
                Model::load(&model.source.path, options)
            })
            .transpose()?;
        let reader = Reader::new(subject, rounded.as_ref().unwrap_or(&subject.model), settings)?;
        let started = Instant::now();
        let mut rows = Vec::with_capacity(lists.len());
        let mut steps = Steps::default();
        for list in &lists {
            let (list, taken) = reader.rows(list)?;
            rows.push(list);
            steps = steps + taken;
        }
        let texts: usize = lists.iter().map(Vec::len).sum();
        let seconds = started.elapsed().as_secs_f64() / texts as f64;
        let alone = |text: &Query| reader.chunk(std::slice::from_ref(text)).map(drop);
        let latency = latency(&lists[0], alone)?;
        let (names, gibberish) = (rows.pop().unwrap_or_default(), rows.pop().unwrap_or_default());
        let a_text = |count: usize| count as f64 / texts as f64;
        let cost = Cost {
            // The text in every template, each step, and the embedding of the result.
            forward: (reader.templates.as_slice().len() + settings.restarts) as f64
                + a_text(steps.taken),
            backward: a_text(steps.taken + steps.not_taken),
            seconds: Some(seconds),
            latency: Some(latency),
        };
        Ok(Self {
            groups: groups.into_iter().map(|(group, _)| group).zip(rows).collect(),
            gibberish,
            names,
            cost,
        })
    }
}

/// How many gradients inversions computed.
#[derive(Debug, Clone, Copy, Default)]
struct Steps {
    taken: usize,
    /// A restart that stops early has computed one gradient whose step it does not take.
    not_taken: usize,
}

impl std::ops::Add for Steps {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { taken: self.taken + other.taken, not_taken: self.not_taken + other.not_taken }
    }
}

/// A model, ready to invert texts.
pub struct Reader<'a> {
    model: &'a Model,
    space: Searched,
    params: InvertParams,
    templates: Templates,
    /// Given starts, `[restarts, dim]`, instead of those of the parameters.
    starts: Option<Array2<f32>>,
}

impl<'a> Reader<'a> {
    /// A model with the starts that the settings say.
    pub fn new(subject: &Subject, model: &'a Model, settings: &Settings) -> crate::Result<Self> {
        let templates = subject.templates(&settings.templates)?;
        let space = Searched::new(model, settings.coarse)?;
        let starts = match settings.start {
            Start::Noise => None,
            Start::Bank => Some(bank_starts(subject, settings.restarts)?),
        };
        Ok(Self { model, space, params: settings.params(), templates, starts })
    }

    /// What each text is inverted to: one array of `[restarts, dim]` per text.
    pub fn inputs(&self, texts: &[Query]) -> crate::Result<Vec<Array2<f32>>> {
        let template = &self.templates.as_slice()[0];
        let of_chunk = |chunk: &[Query]| {
            let captions: Vec<String> = chunk.iter().map(|q| fill(template, &q.text)).collect();
            let targets = self.model.embed_texts(&captions)?.embeddings;
            let inversions = self.invert(targets.view(), KeepInputs::Yes)?;
            Ok(inversions.into_iter().filter_map(|inversion| inversion.inputs).collect::<Vec<_>>())
        };
        let chunks = texts.par_chunks(CHUNK).map(of_chunk);
        Ok(chunks.collect::<crate::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn invert(&self, targets: ArrayView2<f32>, keep: KeepInputs) -> crate::Result<Vec<Inversion>> {
        let (tower, device) = (self.model.tower()?, self.model.device());
        let inverter = Inverter::new(tower, &self.space, self.params.clone(), device)?;
        Ok(match &self.starts {
            None => inverter.invert(targets, keep)?,
            Some(starts) => inverter.invert_from(targets, starts.view(), keep)?,
        })
    }

    /// Every text is inverted from the same starts, so its row does not depend on the others.
    fn rows(&self, texts: &[Query]) -> crate::Result<(Vec<SignalRow>, Steps)> {
        let chunks = texts.par_chunks(CHUNK).map(|chunk| self.chunk(chunk));
        let chunks: Vec<(Vec<SignalRow>, Steps)> = chunks.collect::<crate::Result<_>>()?;
        let steps = chunks.iter().fold(Steps::default(), |all, (_, steps)| all + *steps);
        Ok((chunks.into_iter().flat_map(|(rows, _)| rows).collect(), steps))
    }

    fn chunk(&self, texts: &[Query]) -> crate::Result<(Vec<SignalRow>, Steps)> {
        let captions: Vec<String> =
            texts.iter().flat_map(|query| self.templates.fill_all(&query.text)).collect();
        let embeddings = self.model.embed_texts(&captions)?.embeddings;
        let stride = self.templates.as_slice().len();
        let of_text = |i: usize| embeddings.slice(ndarray::s![i * stride..(i + 1) * stride, ..]);
        let names: Vec<ArrayView2<f32>> = (0..texts.len()).map(of_text).collect();
        let targets = embeddings.slice(ndarray::s![..;stride, ..]).to_owned();
        let inversions = self.invert(targets.view(), KeepInputs::No)?;
        let taken = inversions.iter().flat_map(|inversion| &inversion.steps);
        let steps = taken.fold(Steps::default(), |all, &taken| {
            all + Steps { taken, not_taken: usize::from(taken < self.params.steps) }
        });
        let rows = inversions.iter().zip(names).map(|(i, name)| Ok(signals(i, name)?));
        Ok((rows.collect::<crate::Result<_>>()?, steps))
    }
}

/// One person of the bank for each restart, in the variables of the model's inputs.
fn bank_starts(subject: &Subject, restarts: usize) -> crate::Result<Array2<f32>> {
    let units = subject.model.input_units()?;
    let world = subject.world()?;
    let mut starts = Array2::zeros((restarts, units.shape.iter().product()));
    for (person, mut start) in starts.rows_mut().into_iter().enumerate() {
        let input = world.bank_recording(person)?.input(&subject.model.front_end)?;
        let each = units.mean.iter().zip(&units.deviation).cycle();
        let variables = input.values.iter().zip(each).map(|(x, (mean, dev))| (x - mean) / dev);
        start.iter_mut().zip(variables).for_each(|(to, from)| *to = from);
    }
    Ok(starts)
}

fn measure(subject: &Subject, table: &toml::Table) -> crate::Result<Vec<Reading>> {
    let settings: Settings = settings(table)?;
    let probe = Probe::of(subject, &settings)?;
    let cost = probe.cost;
    let mut readings = ensemble("paper", &probe, &probe.gibberish, settings.seed, true)?;
    readings.extend(ensemble(
        "paper, plausible names",
        &probe,
        &probe.names,
        settings.seed,
        false,
    )?);
    let signed = [(SIMILARITY.signal(), 1.0), (VARIABILITY.signal(), 1.0)];
    for (name, reference) in
        [("signed, gibberish", &probe.gibberish), ("signed, plausible names", &probe.names)]
    {
        let groups = calibrated(&signed, reference, &probe.groups, settings.seed)?;
        readings.push(Reading::new(name, Sees::Text, groups, cost).headline());
    }
    for signal in INVERSION_SIGNALS.iter().map(|signal| signal.signal()) {
        let known: Vec<f64> = probe.names.iter().filter_map(|row| oriented(row, signal)).collect();
        let groups = columns_of(&probe.groups, |rows| {
            let scores = rows.iter().map(|row| oriented(row, signal)).collect();
            if known.is_empty() { Ok(Column::of(scores)) } else { decided(scores, &known) }
        })?;
        // A signal that no text has (the transfer, of one template) is no reading.
        if groups.values().all(|column| column.present().is_empty()) {
            continue;
        }
        let reading = Reading::new(signal.name(), Sees::Text, groups, cost);
        let headline = HEADLINES.contains(&signal);
        readings.push(if headline { reading.headline() } else { reading });
    }
    Ok(readings)
}

/// The vote of the paper's detectors on (similarity, variability) and, if asked for, each detector
/// alone.
fn ensemble(
    name: &str,
    probe: &Probe,
    reference: &[SignalRow],
    seed: u64,
    detectors: bool,
) -> crate::Result<Vec<Reading>> {
    let reader = PaperReader::fit(reference, DEFAULT_MIN_VOTES, seed)?;
    let read = columns_of(&probe.groups, |rows| {
        rows.iter().map(|row| Ok(reader.read(row)?)).collect::<crate::Result<Vec<_>>>()
    })?;
    let reading = |name: &str, of: &dyn Fn(&PaperReading) -> (f64, bool)| -> crate::Result<_> {
        let groups = columns_of(&read, |read| {
            let (scores, flags) = read.iter().map(|r| r.as_ref().map(of).unzip()).unzip();
            Ok(Column { scores, flags: Some(flags), p_values: None })
        })?;
        Ok(Reading::new(name, Sees::Text, groups, probe.cost).headline())
    };
    let mut readings = vec![reading(name, &|r| (r.vote_score, r.member))?];
    if detectors {
        for detector in reader.detectors() {
            readings.push(reading(detector, &|r| (r.scores[detector], r.flags[detector]))?);
        }
        // The vote's score is the same however many votes make a member.
        for votes in (1..=reader.detectors().count()).filter(|votes| *votes != DEFAULT_MIN_VOTES) {
            let name = format!("{name}, {votes} of {}", reader.detectors().count());
            let vote = reading(&name, &|r| (r.vote_score, r.votes >= votes))?;
            readings.push(Reading { headline: false, ..vote });
        }
    }
    Ok(readings)
}

/// Signed z-scores against a reference, with conformal p-values.
pub fn calibrated(
    score: &[(Signal, f64)],
    reference: &[SignalRow],
    groups: &BTreeMap<Group, Vec<SignalRow>>,
    seed: u64,
) -> crate::Result<BTreeMap<Group, Column>> {
    let of = |row: &SignalRow| umid_signals::score::oriented(score, row);
    let weights: Vec<SignalWeight> =
        score.iter().map(|(s, weight)| SignalWeight::new(s.name(), *weight)).collect();
    let rows: Vec<_> = reference.iter().map(of).collect();
    let split = Split::new(rows.len(), DEFAULT_FIT_FRACTION, seed)?;
    let test = CalibratedTest::fit(&weights, &rows, &split)?;
    columns_of(groups, |rows| {
        let outcome = |row: &SignalRow| {
            let values = of(row);
            // A row without any of the signals has no score.
            if values.iter().all(Option::is_none) {
                return Ok(None);
            }
            Ok(Some(test.test(&values)?))
        };
        let outcomes: Vec<Option<CalibratedScore>> =
            rows.iter().map(outcome).collect::<crate::Result<_>>()?;
        Ok(Column {
            scores: outcomes.iter().map(|o| o.as_ref().map(|o| o.score)).collect(),
            flags: Some(outcomes.iter().map(|o| o.as_ref().map(|o| o.p_value <= ALPHA)).collect()),
            p_values: Some(outcomes.iter().map(|o| o.as_ref().map(|o| o.p_value)).collect()),
        })
    })
}

/// A signal's value, higher for members.
pub fn oriented(row: &SignalRow, signal: Signal) -> Option<f64> {
    row.get(&signal).copied().flatten().map(|raw| signal.oriented(raw))
}

#[cfg(test)]
mod tests;
