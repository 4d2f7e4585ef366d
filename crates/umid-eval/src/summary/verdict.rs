//! The calibrated reading against the paper's decision, against similarity, and against the upper
//! limit that the person's own image gives.

use umid_detect::Interval;

use super::results::{
    CALIBRATED, CSA, Gap, PAPER, Results, SIMILARITY, Which, area_cell, difference_cell,
    share_cell, standing,
};
use crate::figure::{Forest, ForestItem, Label, Reading};
use crate::page::{Part, Section};
use crate::record::Group;
use crate::suites::{Role, Target};
use crate::table::{Cell, Column, Table};

pub fn section(results: &Results<'_>) -> Option<Section> {
    let targets: Vec<&Target> = results
        .targets()
        .iter()
        .filter(|target| matches!(target.role, Role::Test | Role::Development))
        .filter(|target| results.reading(target, CALIBRATED).is_ok())
        .collect();
    if targets.is_empty() {
        return None;
    }
    let columns = vec![
        Column::words("Target"),
        Column::intervals("Calibrated"),
        Column::intervals("less the paper's vote"),
        Column::intervals("less similarity"),
        Column::intervals("Its false positives at 5 %"),
        Column::numbers("Share of the way to CSA"),
    ];
    let mut table = Table::new("calibrated-v-paper", "The calibrated reading", columns);
    "Is the calibrated reading better than the paper's decision, and does its error rate hold?"
        .clone_into(&mut table.question);
    "Differences are of the area under the ROC curve over the same names; an interval without 0 \
     tells the two apart. The last column is the calibrated AUC's way from guessing towards that \
     of an attack that is shown the person's own training input (CSA)."
        .clone_into(&mut table.plain);
    for target in &targets {
        let auc = results.auc(target, CALIBRATED);
        let share = auc.clone().and_then(|auc| Ok(share_of_way(auc, results.auc(target, CSA)?)));
        table.push(
            standing(target),
            vec![
                Cell::text(&target.name),
                area_cell(auc),
                difference_cell(results.difference(target, CALIBRATED, PAPER)),
                difference_cell(results.difference(target, CALIBRATED, SIMILARITY)),
                share_cell(results.realised(target, CALIBRATED, Group::NonMember, 0.05)),
                match share {
                    Ok(value) => Cell::Number { value, digits: 2 },
                    Err(_) => Cell::Empty,
                },
            ],
        );
    }
    let mut parts = vec![Part::Table(table)];
    parts.extend(figure(results, &targets));
    Some(Section {
        id: "verdict".to_owned(),
        title: "What is gained over the paper".to_owned(),
        plain: vec![
            "The paper asks whether a name is unlike gibberish; the calibrated reading asks \
             whether it is more member-like than names of nobody, in a direction that was fixed \
             on other worlds."
                .to_owned(),
        ],
        parts,
        notes: Vec::new(),
    })
}

fn share_of_way(ours: Interval, ceiling: Interval) -> f64 {
    (ours.estimate - 0.5) / (ceiling.estimate - 0.5)
}

/// The readings side by side on the last test target of full exposure.
fn figure(results: &Results<'_>, targets: &[&Target]) -> Option<Part> {
    let target = targets.iter().rev().find(|target| target.panel == "worlds").or(targets.last())?;
    let item = |which: Which<'_>| {
        let reading = match results.auc(target, which) {
            Ok(area) if target.role == Role::Development => Reading::UsedForChoosing(area),
            Ok(area) => Reading::Area(area),
            Err(Gap::Unresolved(reason)) => Reading::Unresolved(reason),
            Err(gap) => Reading::Failed(gap.to_string()),
        };
        ForestItem { name: which.reading.to_owned(), reading }
    };
    let headlines = results.headlines();
    let asked = headlines.into_iter().filter(|which| results.reading(target, *which).is_ok());
    let forest = Forest {
        label: Label::new(
            "methods",
            &format!("Methods on {}", target.name),
            "Area under the ROC curve of each method, members against non-members, with its 95 % \
             interval.",
        ),
        axis: "area under the ROC curve".to_owned(),
        items: asked.map(item).collect(),
    };
    Some(Part::Figure(forest.draw()))
}
