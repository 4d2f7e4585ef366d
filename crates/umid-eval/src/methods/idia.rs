//! IDIA (Hintersdorf et al., JAIR 2024): does the model find the name to a face?

use std::collections::BTreeMap;
use std::time::Instant;

use ndarray::{Array2, Array3, s};
use serde::{Deserialize, Serialize};
use umid_baselines::{DEFAULT_TAU, IdentityCandidates, IdentityOutcome, PROMPTS};
use umid_models::Modality;
use umid_testbed::Identity;
use umid_testbed::caption::fill;

use super::{Method, settings};
use crate::error::Error;
use crate::record::{Column, Cost, Group, Reading, Sees};
use crate::subject::Subject;

/// Candidate names, one of which is right, as in the paper.
const CANDIDATES: usize = 1_000;
/// People per group, few enough that the candidates include names of nobody.
const PEOPLE: usize = 400;

/// The identity inference attack.
pub static METHOD: Method = Method {
    definition: || format!("2 {COUNTS:?}"),
    check: Some(|table| settings::<Settings>(table)?.check()),
    ..Method::new("idia", "Hintersdorf et al. 2024", 15.0, measure)
};

/// Numbers of attack images for which rates are told, as far as there are as many.
pub const COUNTS: [u32; 7] = [1, 2, 3, 5, 10, 20, 30];

/// Settings of the attack.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Photos of each person, none of which the target was trained on; the authors have up to 30.
    images: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { images: 6 }
    }
}

impl Settings {
    fn check(&self) -> crate::Result<()> {
        if self.images == 0 {
            return Err(Error::NoImages);
        }
        Ok(())
    }
}

/// Name of the reading that looks at the first images alone.
pub fn of_count(count: u32) -> String {
    format!("IDIA, {count} images")
}

fn measure(subject: &Subject, table: &toml::Table) -> crate::Result<Vec<Reading>> {
    subject.ensure_reads(Modality::Image, "IDIA")?;
    let Settings { images } = settings(table)?;
    let mut counts: Vec<u32> = COUNTS.into_iter().filter(|count| *count < images).collect();
    counts.push(images);
    let mut people: Vec<(Group, Vec<&Identity>)> = Vec::new();
    for group in [Group::Member, Group::NonMember] {
        let mut of_group = subject.people(group)?;
        of_group.truncate(PEOPLE);
        people.push((group, of_group));
    }
    let candidates = subject.shared("IDIA".to_owned(), || candidates(subject, &people))?;
    let started = Instant::now();
    let mut first = 0;
    let mut outcomes: BTreeMap<Group, Vec<Vec<IdentityOutcome>>> = BTreeMap::new();
    let first_images: Vec<usize> = counts.iter().map(|count| *count as usize).collect();
    for (group, people) in &people {
        let infer = |(i, person): (usize, &&Identity)| {
            let images = photos(subject, person, images)?;
            Ok(candidates.infer_counts(&images.view(), first + i, &first_images)?)
        };
        let of_group = people.iter().enumerate().map(infer).collect::<crate::Result<_>>()?;
        outcomes.insert(*group, of_group);
        first += people.len();
    }
    let seconds = started.elapsed().as_secs_f64() / first as f64;
    let reading = |(place, count): (usize, &u32)| {
        let columns = outcomes.iter().map(|(group, people)| {
            let (scores, flags) = people
                .iter()
                .map(|outcomes| &outcomes[place])
                .map(|outcome| (Some(outcome.score()), Some(outcome.is_member(DEFAULT_TAU))))
                .unzip();
            let mut column = Column { scores, flags: Some(flags), p_values: None };
            // Texts beyond the people that were looked at have no score.
            let texts = subject.groups()[group].len();
            column.scores.resize(texts, None);
            column.flags.get_or_insert_default().resize(texts, None);
            (*group, column)
        });
        let share = f64::from(*count) / f64::from(images);
        let seconds = Some(seconds * share);
        let cost = Cost { forward: f64::from(*count), backward: 0.0, seconds, latency: seconds };
        Reading::new(of_count(*count), Sees::Images, columns.collect(), cost)
    };
    let mut readings: Vec<Reading> = counts.iter().enumerate().map(reading).collect();
    if let Some(all) = readings.last_mut() {
        "IDIA".clone_into(&mut all.name);
        all.headline = true;
    }
    Ok(readings)
}

/// Everyone under test, then names of nobody, in every prompt.
fn candidates(
    subject: &Subject,
    people: &[(Group, Vec<&Identity>)],
) -> crate::Result<IdentityCandidates> {
    let names: Vec<String> = people
        .iter()
        .flat_map(|(_, people)| people.iter().map(|person| person.name.to_string()))
        .chain(subject.fresh().iter().map(|query| query.text.clone()))
        .take(CANDIDATES)
        .collect();
    let mut all: Option<Array3<f32>> = None;
    for (i, prompt) in PROMPTS.iter().enumerate() {
        let captions: Vec<String> = names.iter().map(|name| fill(prompt, name)).collect();
        let embeddings = subject.model.embed_texts(&captions)?.embeddings;
        let shape = (PROMPTS.len(), names.len(), embeddings.ncols());
        all.get_or_insert_with(|| Array3::zeros(shape))
            .slice_mut(s![i, .., ..])
            .assign(&embeddings);
    }
    Ok(IdentityCandidates::new(&all.unwrap_or_default().view())?)
}

fn photos(subject: &Subject, person: &Identity, images: u32) -> crate::Result<Array2<f32>> {
    let world = subject.world()?;
    let photos: Vec<_> = (0..images)
        .map(|i| world.held_out_recording(person, i).input(&subject.model.front_end))
        .collect::<Result<_, _>>()?;
    Ok(subject.model.embed_inputs(&photos)?)
}
