//! LiRA (Carlini et al. 2022) and RMIA (Zarifzadeh et al. 2024) with the target's shadows: models
//! trained like it on random halves of the same people.

use ndarray::{Array1, Array2, Axis, concatenate};
use umid_baselines::{Points, ReferenceSide, Rmia, lira_offline, lira_online};
use umid_models::Model;
use umid_testbed::World;

use super::pair_probe::{Pairs, Probe};
use super::{Method, Needs};
use crate::error::Error;
use crate::record::{Column, Cost, Group, Reading, Sees};
use crate::subject::Subject;

/// Attacks by reference models.
pub static METHOD: Method = Method {
    needs: |_| Needs::Shadows,
    ..Method::new("reference-models", "Carlini et al. 2022, Zarifzadeh et al. 2024", 15.0, measure)
};

/// Scores of all people under one model.
struct Scores {
    /// Cosine of each pair.
    cosines: Array1<f64>,
    /// Log probability of each person's name among names of nobody, given the photo.
    log_probabilities: Array1<f64>,
    /// The same of pairs of nobody.
    population: Array1<f64>,
}

fn measure(subject: &Subject, _: &toml::Table) -> crate::Result<Vec<Reading>> {
    let shadows = subject.shadows()?;
    if shadows.len() < 2 {
        return Err(Error::ReferenceModels { found: shadows.len(), needed: 2 });
    }
    let groups = [Group::Member, Group::NonMember];
    let probe = Probe::of(subject)?;
    let target = scores(&probe, &subject.model, &groups);
    let mut references = Vec::new();
    for (model, _) in &shadows {
        references.push(scores(&Probe::compute(subject, model)?, model, &groups));
    }
    let trained_on = trained_on(subject, &shadows, &groups)?;
    let stack = |of: &dyn Fn(&Scores) -> Array1<f64>| {
        let rows: Vec<Array1<f64>> = references.iter().map(of).collect();
        let rows: Vec<_> = rows.iter().map(|row| row.view().insert_axis(Axis(0))).collect();
        concatenate(Axis(0), &rows)
    };
    let cosines = stack(&|s| s.cosines.clone())?;
    let (queries, population) =
        (stack(&|s| s.log_probabilities.clone())?, stack(&|s| s.population.clone())?);
    let nobody = Array2::from_elem(population.dim(), false);
    let queries = Points {
        target: target.log_probabilities.view(),
        references: queries.view(),
        trained_on: trained_on.view(),
    };
    let population = Points {
        target: target.population.view(),
        references: population.view(),
        trained_on: nobody.view(),
    };
    let rmia = Rmia { side: ReferenceSide::Online, ..Rmia::default() };
    let cosines = Points {
        target: target.cosines.view(),
        references: cosines.view(),
        trained_on: trained_on.view(),
    };
    let all = [
        ("LiRA", lira_online(&cosines)?),
        ("LiRA, offline", lira_offline(&cosines)?),
        ("RMIA", rmia.score(&queries, &population)?),
    ];
    let cost = Cost {
        forward: 2.0 * (1 + shadows.len()) as f64,
        backward: 0.0,
        seconds: Some(probe.seconds * (1 + shadows.len()) as f64),
        latency: None,
    };
    Ok(all
        .into_iter()
        .map(|(name, scores)| {
            let mut scores = scores.into_iter().map(Some);
            let columns = groups.iter().map(|group| {
                let count = subject.groups()[group].len();
                (*group, Column::of(scores.by_ref().take(count).collect()))
            });
            Reading::new(name, Sees::ImageAndModels, columns.collect(), cost).headline()
        })
        .collect())
}

/// Whether each model was trained on each person, `[models, people]`.
pub fn trained_on(
    subject: &Subject,
    shadows: &[(Model, World)],
    groups: &[Group],
) -> crate::Result<Array2<bool>> {
    let mut people: Vec<usize> = Vec::new();
    for group in groups {
        people.extend(subject.people(*group)?.iter().map(|person| person.index));
    }
    let mut trained_on = Array2::from_elem((shadows.len(), people.len()), false);
    for (mut row, (_, world)) in trained_on.rows_mut().into_iter().zip(shadows) {
        let members: std::collections::HashSet<usize> =
            world.members().iter().map(|person| person.index).collect();
        row.iter_mut().zip(&people).for_each(|(cell, person)| *cell = members.contains(person));
    }
    Ok(trained_on)
}

fn scores(probe: &Probe, model: &Model, groups: &[Group]) -> Scores {
    let scale = f64::from(model.logit_scale());
    let pairs: Vec<&Pairs> = groups.iter().map(|group| &probe.groups[group]).collect();
    let flat = |of: &dyn Fn(&Pairs) -> Array1<f64>| -> Array1<f64> {
        pairs.iter().flat_map(|pairs| of(pairs)).collect()
    };
    Scores {
        cosines: flat(&Pairs::cosines),
        log_probabilities: flat(&|pairs| log_probabilities(pairs, &probe.known, scale)),
        population: log_probabilities(&probe.known, &probe.known, scale),
    }
}

/// Log of the softmax weight of each pair's own text among it and the texts of nobody.
fn log_probabilities(pairs: &Pairs, known: &Pairs, scale: f64) -> Array1<f64> {
    let unit = |rows: &Array2<f32>| {
        let mut rows = rows.mapv(f64::from);
        for mut row in rows.rows_mut() {
            let length = row.dot(&row).sqrt();
            row /= length;
        }
        rows
    };
    let (images, others) = (unit(&pairs.embedded), unit(&known.texts));
    let cosines = images.dot(&others.t());
    let own = pairs.cosines();
    cosines
        .outer_iter()
        .zip(&own)
        .zip(&pairs.captions)
        .map(|((row, own), caption)| {
            let rest = row.iter().zip(&known.captions).filter(|(_, other)| *other != caption);
            // Relative to the own text, whose term is 1.
            let others: f64 = rest.map(|(cosine, _)| (scale * (cosine - own)).exp()).sum();
            -(1.0 + others).ln()
        })
        .collect()
}
