//! IDIA (Hintersdorf et al., JAIR 2024): does the model find the name to a face?

use std::time::Instant;

use ndarray::{Array2, Array3, s};
use umid_baselines::{DEFAULT_TAU, IdentityCandidates, PROMPTS};
use umid_models::Modality;
use umid_testbed::Identity;
use umid_testbed::caption::fill;

use super::Method;
use crate::record::{Column, Cost, Group, Reading, Sees};
use crate::subject::Subject;

/// Candidate names, one of which is right, as in the paper.
const CANDIDATES: usize = 1_000;
/// Photos of each person, none of which the target was trained on.
const PHOTOS: u32 = 6;
/// People per group, few enough that the candidates include names of nobody.
const PEOPLE: usize = 400;

/// The identity inference attack.
pub static METHOD: Method = Method::new("idia", "Hintersdorf et al. 2024", 15.0, measure);

fn measure(subject: &Subject, _: &toml::Table) -> crate::Result<Vec<Reading>> {
    subject.ensure_reads(Modality::Image, "IDIA")?;
    let mut people: Vec<(Group, Vec<&Identity>)> = Vec::new();
    for group in [Group::Member, Group::NonMember] {
        let mut of_group = subject.people(group)?;
        of_group.truncate(PEOPLE);
        people.push((group, of_group));
    }
    let candidates = candidates(subject, &people)?;
    let started = Instant::now();
    let mut first = 0;
    let mut groups = std::collections::BTreeMap::new();
    for (group, people) in &people {
        let mut column = Column { flags: Some(Vec::new()), ..Column::default() };
        for (i, person) in people.iter().enumerate() {
            let images = photos(subject, person)?;
            let outcome = candidates.infer(&images.view(), first + i)?;
            column.scores.push(Some(outcome.score()));
            column.flags.get_or_insert_default().push(Some(outcome.is_member(DEFAULT_TAU)));
        }
        // Texts beyond the people that were looked at have no score.
        let missing = subject.groups()[group].len() - people.len();
        column.scores.extend(std::iter::repeat_n(None, missing));
        column.flags.get_or_insert_default().extend(std::iter::repeat_n(None, missing));
        first += people.len();
        groups.insert(*group, column);
    }
    let seconds = Some(started.elapsed().as_secs_f64() / first as f64);
    let cost = Cost { forward: f64::from(PHOTOS), backward: 0.0, seconds, latency: seconds };
    Ok(vec![Reading::new("IDIA", Sees::Images, groups, cost).headline()])
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

fn photos(subject: &Subject, person: &Identity) -> crate::Result<Array2<f32>> {
    let world = subject.world()?;
    let photos: Vec<_> = (0..PHOTOS)
        .map(|i| world.held_out_recording(person, i).input(&subject.model.front_end))
        .collect::<Result<_, _>>()?;
    Ok(subject.model.embed_inputs(&photos)?)
}
