//! How the signal grows with the number of times a name was shown.

use super::results::{Results, Which, area_cell, standing};
use crate::figure::{AreaCurve, CurvePoint, CurveSeries, Label};
use crate::page::{Part, Section};
use crate::suites::{Role, Target};
use crate::table::{Cell, Column, Table};

/// Readings that are drawn.
const SERIES: [&str; 6] =
    ["paper", "similarity", "calibrated", "calibrated, bank", "calibrated, inversion", "CSA"];

pub fn section(results: &Results<'_>) -> Option<Section> {
    let worlds = worlds(results);
    if worlds.is_empty() {
        return None;
    }
    let shown: Vec<Which<'_>> =
        results.headlines().into_iter().filter(|w| SERIES.contains(&w.reading)).collect();
    let mut columns = vec![Column::words("Target"), Column::numbers("Exposures per name")];
    columns.extend(shown.iter().map(|which| Column::intervals(which.reading)));
    let mut table = Table::new("exposure", "Exposure", columns);
    "How often must a name have been shown before it is found?".clone_into(&mut table.question);
    "The same training, stopped early and completed.".clone_into(&mut table.plain);
    for target in worlds.iter().flatten() {
        let mut row =
            vec![Cell::text(&target.name), Cell::Number { value: exposures(target), digits: 0 }];
        row.extend(shown.iter().map(|which| area_cell(results.auc(target, *which))));
        table.push(standing(target), row);
    }
    let mut parts: Vec<Part> = worlds.iter().map(|world| figure(results, world, &shown)).collect();
    parts.push(Part::Table(table));
    Some(Section {
        id: "exposure".to_owned(),
        title: "Exposure".to_owned(),
        plain: vec![
            "A model that saw a name rarely gives little away to a test by text alone, while an \
             attack that is shown the person's input still works. A small AUC here is a limit of \
             the test, not proof that the data were not used."
                .to_owned(),
        ],
        parts,
        notes: Vec::new(),
    })
}

/// Targets that are snapshots of one training, where there are at least two.
fn worlds<'a>(results: &'a Results<'_>) -> Vec<Vec<&'a Target>> {
    let mut worlds: Vec<Vec<&Target>> = Vec::new();
    for target in results.targets() {
        let chosen = matches!(target.role, Role::Test | Role::Development);
        if !chosen || target.foreign.is_some() {
            continue;
        }
        match worlds.iter_mut().find(|world| world[0].work() == target.work()) {
            Some(world) => world.push(target),
            None => worlds.push(vec![target]),
        }
    }
    worlds.retain(|world| world.len() > 1);
    worlds
}

fn exposures(target: &Target) -> f64 {
    target
        .recipe()
        .map_or(f64::NAN, |recipe| recipe.training.exposures_per_name(recipe.world.members))
}

fn figure(results: &Results<'_>, world: &[&Target], shown: &[Which<'_>]) -> Part {
    let name = world[0].name.split('-').next().unwrap_or_default();
    let series = shown
        .iter()
        .map(|which| CurveSeries {
            name: which.reading.to_owned(),
            points: world
                .iter()
                .filter_map(|target| {
                    let area = results.auc(target, *which).ok()?;
                    Some(CurvePoint { count: exposures(target), area })
                })
                .collect(),
        })
        .filter(|series| !series.points.is_empty())
        .collect();
    let label = Label::new(
        &format!("exposure-{name}"),
        &format!("Exposure in the world {name}"),
        "Area under the ROC curve against the number of times each name was shown in training.",
    );
    match (AreaCurve { label, axis: "exposures per name".to_owned(), apart: true, series }).draw() {
        Ok(figure) => Part::Figure(figure),
        Err(error) => Part::Warning(format!("the exposure figure failed: {error}")),
    }
}
