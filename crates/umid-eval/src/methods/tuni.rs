//! TUNI's published setting (arXiv 2405.14517, and its authors' code): the name without a caption,
//! many restarts from crops of one public photo per text, many small steps of plain gradient ascent,
//! no clamp; the vote of four detectors, and a fifth vote from the person's own photos (see
//! [`super::photo_vote`]).
//!
//! As published it is 100 restarts of 2,000 steps for each text; the suite says how far that is
//! scaled down. Of the code's defects none is copied: the scaler and the detectors are fitted on
//! the reference alone, and crops follow from the text, not from its place in a list.

use std::collections::BTreeMap;
use std::time::Instant;

use linfa::DatasetBase;
use linfa::traits::Fit;
use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use umid::inversion_signals::signals;
use umid::queries::Query;
use umid::reference::gibberish;
use umid_detect::{Decision, EnsembleParams, EnsembleReading};
use umid_invert::{Clamp, InputSpace, InvertParams, Inverter, KeepInputs, Optimiser};
use umid_models::{Input, Modality, Model};
use umid_signals::inversion::{SIMILARITY, VARIABILITY_TUNI};
use umid_testbed::Identity;
use umid_testbed::caption::fill;

use super::photo_vote::{self, FaceNetwork, Names, Photos};
use super::{Method, columns_of, settings};
use crate::record::{Column, Cost, Group, Reading, Sees};
use crate::subject::Subject;

/// Red, green and blue.
const CHANNELS: usize = 3;
/// Smallest share of the photo's area that a crop keeps.
const LEAST_AREA: f64 = 0.9;

/// TUNI.
pub static METHOD: Method = Method {
    check: Some(|table| Ok(settings::<Settings>(table)?.params().check()?)),
    definition: || String::from("2, texts, starts and five votes"),
    ..Method::new("tuni", "TUNI, arXiv 2405.14517", 120.0, measure)
};

/// How far the published setting is scaled down.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Crops of each text's photo; 100 as published.
    restarts: usize,
    /// Steps of each; 2,000 as published.
    steps: usize,
    /// Learning rate.
    learning_rate: f64,
    /// What is inverted.
    text: Text,
    /// Where inversions start.
    start: Start,
    /// Strings of the reference.
    gibberish: usize,
    /// Texts of each group.
    most: usize,
}

/// What is inverted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Text {
    /// The name alone, as published.
    Name,
    /// The name in the first caption of the target's training.
    Caption,
}

/// Where inversions start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Start {
    /// From crops of a public photo that the text chooses, as published.
    Photo,
    /// From noise, the same for every text.
    Noise,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            restarts: 100,
            steps: 2_000,
            learning_rate: 0.02,
            text: Text::Name,
            start: Start::Photo,
            gibberish: 100,
            most: usize::MAX,
        }
    }
}

impl Settings {
    fn params(&self) -> InvertParams {
        InvertParams {
            restarts: self.restarts,
            steps: self.steps,
            optimiser: Optimiser::GradientAscent { step: self.learning_rate },
            clamp: Clamp::Off,
            ..InvertParams::default()
        }
    }
}

fn measure(subject: &Subject, table: &toml::Table) -> crate::Result<Vec<Reading>> {
    subject.ensure_reads(Modality::Image, "TUNI")?;
    let settings: Settings = settings(table)?;
    let faces = FaceNetwork::of(subject)?;
    let reader = Reader {
        model: &subject.model,
        photos: Photos { world: subject.world()?, faces: &faces },
        template: match settings.text {
            Text::Name => "{}",
            Text::Caption => subject.first_template(),
        },
        settings: &settings,
    };
    let read = |group| -> crate::Result<Vec<Seen>> {
        let (texts, people) = (&subject.groups()[&group], subject.people(group)?);
        let texts = &texts[..settings.most.min(texts.len())];
        let person = |i: usize| people.get(i).copied();
        texts.par_iter().enumerate().map(|(i, text)| reader.read(text, person(i))).collect()
    };
    let reference = gibberish(0, settings.gibberish)?.texts;
    let reference: Vec<[f64; 2]> = reference
        .par_iter()
        .map(|text| Ok(reader.read(text, None)?.signals))
        .collect::<crate::Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect();
    let fitted = EnsembleParams::paper(0).fit(&DatasetBase::from(Array2::from(reference)))?;
    let started = Instant::now();
    let wanted = [Group::Member, Group::NonMember, Group::Gibberish];
    let seen: BTreeMap<Group, Vec<Seen>> =
        wanted.into_iter().map(|group| Ok((group, read(group)?))).collect::<crate::Result<_>>()?;
    let rows =
        columns_of(&seen, |seen| Ok(seen.iter().map(|seen| seen.signals).collect::<Vec<_>>()))?;
    let count: usize = rows.values().map(Vec::len).sum();
    let passes = (settings.restarts * settings.steps) as f64;
    let cost = Cost {
        forward: 1.0 + passes + settings.restarts as f64,
        backward: passes,
        seconds: Some(started.elapsed().as_secs_f64() / count as f64),
        latency: None,
    };
    let read = |row: &Option<[f64; 2]>| -> crate::Result<Option<EnsembleReading>> {
        let Some(row) = row else { return Ok(None) };
        Ok(Some(fitted.read(&Array2::from(vec![*row]).view())?.remove(0)))
    };
    let votes = columns_of(&rows, |rows| rows.iter().map(read).collect::<crate::Result<Vec<_>>>())?;
    let vote = columns_of(&votes, |votes| {
        let decided = votes.iter().map(|vote| match vote {
            Some(vote) => (Some(vote.vote_score), Some(vote.decision == Decision::Member)),
            None => (None, None),
        });
        let (scores, flags) = decided.unzip();
        Ok(Column { scores, flags: Some(flags), p_values: None })
    })?;
    let mut readings = vec![Reading::new("TUNI vote", Sees::Text, vote, cost).headline()];
    let mut people = BTreeMap::new();
    for (group, votes) in &votes {
        let pairs = votes.iter().zip(&seen[group]).filter_map(|(vote, seen)| {
            Some((vote.as_ref().map(|vote| vote.votes), seen.distance?))
        });
        let pairs: Vec<(Option<usize>, f64)> = pairs.collect();
        if !pairs.is_empty() {
            people.insert(*group, pairs);
        }
    }
    readings.extend(photo_vote::readings(&FIFTH, &people, cost)?);
    for (i, (name, signal)) in
        [("TUNI similarity", SIMILARITY.signal()), ("TUNI variability", VARIABILITY_TUNI.signal())]
            .into_iter()
            .enumerate()
    {
        let groups = columns_of(&rows, |rows| {
            let score = |row: &Option<[f64; 2]>| row.map(|row| signal.oriented(row[i]));
            Ok(Column::of(rows.iter().map(score).collect()))
        })?;
        readings.push(Reading::new(name, Sees::Text, groups, cost).headline());
    }
    Ok(readings)
}

/// What the readings with the person's photos are called.
const FIFTH: Names =
    Names { photo: "TUNI photo", five: "TUNI five votes", kept: "TUNI five votes, never dropped" };

/// What an inversion shows of a text.
struct Seen {
    /// Similarity and variability; absent if the inversions failed.
    signals: Option<[f64; 2]>,
    /// Distance to the person's photos; absent for a text of nobody.
    distance: Option<f64>,
}

/// A target, ready to invert texts.
struct Reader<'a> {
    model: &'a Model,
    photos: Photos<'a>,
    template: &'a str,
    settings: &'a Settings,
}

impl Reader<'_> {
    /// Inverts a text and compares the result with photos of the person, if there is one.
    fn read(&self, text: &Query, person: Option<&Identity>) -> crate::Result<Seen> {
        let model = self.model;
        let target = model.embed_texts(&[fill(self.template, &text.text)])?.embeddings;
        let space = InputSpace::new(&model.input_units()?, model.device());
        let params = self.settings.params();
        let inverter = Inverter::new(model.tower()?, &space, params, model.device())?;
        let starts = match self.settings.start {
            Start::Photo => self.crops(&text.text)?,
            Start::Noise => inverter.starts(),
        };
        let inversion =
            inverter.invert_from(target.view(), starts.view(), KeepInputs::Yes)?.remove(0);
        let row = signals(&inversion, target.view())?;
        let pair = row[&SIMILARITY.signal()].zip(row[&VARIABILITY_TUNI.signal()]);
        let distance = match person.zip(inversion.inputs.as_ref()) {
            Some((person, inverted)) => Some(self.photos.distance(person, &inverted.view())?),
            None => None,
        };
        Ok(Seen { signals: pair.map(|(s, v)| [s, v]), distance })
    }

    /// Random crops of a public photo that the text chooses, scaled back up, `[restarts, dim]`.
    fn crops(&self, text: &str) -> crate::Result<Array2<f32>> {
        let mut words = blake3::Hasher::new_derive_key("umid 2026 TUNI crops")
            .update(text.as_bytes())
            .finalize_xof();
        let mut uniform = || {
            let mut bytes = [0; 8];
            words.fill(&mut bytes);
            (u64::from_le_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64
        };
        let world = self.photos.world;
        let people = world.params().bank;
        let person = ((uniform() * people as f64) as usize).min(people - 1);
        let photo = world.bank_recording(person)?.input(&self.model.front_end)?;
        let mut starts = Array2::zeros((self.settings.restarts, photo.values.len()));
        for mut start in starts.rows_mut() {
            let side = (LEAST_AREA + (1.0 - LEAST_AREA) * uniform()).sqrt();
            let (left, top) = ((1.0 - side) * uniform(), (1.0 - side) * uniform());
            start.iter_mut().zip(crop(&photo, [left, top], side)).for_each(|(to, from)| *to = from);
        }
        Ok(starts)
    }
}

/// A square part of a photo at the photo's own size, bilinear. Place and side are shares of the
/// photo's.
fn crop(photo: &Input, [left, top]: [f64; 2], side: f64) -> Vec<f32> {
    let [_, height, width] = photo.shape;
    let place = |i: usize, size: usize, start: f64| {
        let at = (start + side * (i as f64 + 0.5) / size as f64) * size as f64 - 0.5;
        let at = at.clamp(0.0, (size - 1) as f64);
        let low = at.floor() as usize;
        (low, (low + 1).min(size - 1), (at - low as f64) as f32)
    };
    let mut values = Vec::with_capacity(photo.values.len());
    for channel in photo.values.chunks_exact(height * width).take(CHANNELS) {
        for row in 0..height {
            let (above, below, down) = place(row, height, top);
            for column in 0..width {
                let (before, after, across) = place(column, width, left);
                let along = |row: usize| {
                    let (a, b) = (channel[row * width + before], channel[row * width + after]);
                    a + across * (b - a)
                };
                values.push(along(above) + down * (along(below) - along(above)));
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_photo_is_itself_and_a_part_is_interpolated() {
        let values: Vec<f32> = (0..3 * 4 * 4).map(|v| v as f32).collect();
        let photo = Input { shape: [CHANNELS, 4, 4], values: values.clone() };
        assert_eq!(crop(&photo, [0.0, 0.0], 1.0), values);
        // The left upper quarter: centres at a quarter and three quarters of the first pixels.
        let part = crop(&photo, [0.0, 0.0], 0.5);
        assert_eq!(part[..4], [0.0, 0.25, 0.75, 1.25]);
        assert_eq!(part[4..5], [1.0]);
    }
}
