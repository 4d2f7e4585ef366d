//! TUNI's published setting (arXiv 2405.14517, and its authors' code): many restarts from crops of
//! one public photo a text, many small steps of plain gradient ascent, no clamp.
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
use umid_detect::{Decision, EnsembleParams};
use umid_invert::{Clamp, InputSpace, InvertParams, Inverter, KeepInputs, Optimiser};
use umid_models::{Input, Modality, Model};
use umid_signals::inversion::{SIMILARITY, VARIABILITY_TUNI};
use umid_testbed::World;
use umid_testbed::caption::fill;

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
    /// Strings of the reference.
    gibberish: usize,
    /// Texts of each group.
    most: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { restarts: 100, steps: 2_000, learning_rate: 0.02, gibberish: 100, most: usize::MAX }
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
    let reader = Reader {
        model: &subject.model,
        world: subject.world()?,
        template: subject.first_template(),
        settings: &settings,
    };
    let read = |texts: &[Query]| -> crate::Result<Vec<Option<[f64; 2]>>> {
        let texts = &texts[..settings.most.min(texts.len())];
        texts.par_iter().map(|text| reader.signals(text)).collect()
    };
    let reference = gibberish(0, settings.gibberish)?.texts;
    let reference: Vec<[f64; 2]> = reference
        .par_iter()
        .map(|text| reader.signals(text))
        .collect::<crate::Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect();
    let fitted = EnsembleParams::paper(0).fit(&DatasetBase::from(Array2::from(reference)))?;
    let started = Instant::now();
    let wanted = [Group::Member, Group::NonMember, Group::Gibberish];
    let rows: BTreeMap<Group, Vec<Option<[f64; 2]>>> = wanted
        .into_iter()
        .map(|group| Ok((group, read(&subject.groups()[&group])?)))
        .collect::<crate::Result<_>>()?;
    let count: usize = rows.values().map(Vec::len).sum();
    let passes = (settings.restarts * settings.steps) as f64;
    let cost = Cost {
        forward: 1.0 + passes + settings.restarts as f64,
        backward: passes,
        seconds: Some(started.elapsed().as_secs_f64() / count as f64),
        latency: None,
    };
    let vote = columns_of(&rows, |rows| {
        let mut column = Column { flags: Some(Vec::new()), ..Column::default() };
        for row in rows {
            let read = match row {
                Some(row) => Some(fitted.read(&Array2::from(vec![*row]).view())?.remove(0)),
                None => None,
            };
            column.scores.push(read.as_ref().map(|read| read.vote_score));
            let member = read.map(|read| read.decision == Decision::Member);
            column.flags.get_or_insert_default().push(member);
        }
        Ok(column)
    })?;
    let mut readings = vec![Reading::new("TUNI vote", Sees::Text, vote, cost).headline()];
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

/// A target, ready to invert texts.
struct Reader<'a> {
    model: &'a Model,
    world: &'a World,
    template: &'a str,
    settings: &'a Settings,
}

impl Reader<'_> {
    /// Similarity and variability of a text; nothing where the inversions failed.
    fn signals(&self, text: &Query) -> crate::Result<Option<[f64; 2]>> {
        let model = self.model;
        let target = model.embed_texts(&[fill(self.template, &text.text)])?.embeddings;
        let space = InputSpace::new(&model.input_units()?, model.device());
        let params = self.settings.params();
        let inverter = Inverter::new(model.tower()?, &space, params, model.device())?;
        let starts = self.crops(&text.text)?;
        let inversions = inverter.invert_from(target.view(), starts.view(), KeepInputs::No)?;
        let row = signals(&inversions[0], target.view())?;
        let pair = row[&SIMILARITY.signal()].zip(row[&VARIABILITY_TUNI.signal()]);
        Ok(pair.map(|(s, v)| [s, v]))
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
        let people = self.world.params().bank;
        let person = ((uniform() * people as f64) as usize).min(people - 1);
        let photo = self.world.bank_recording(person)?.input(&self.model.front_end)?;
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
