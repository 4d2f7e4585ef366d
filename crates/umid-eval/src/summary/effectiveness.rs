//! Table 1: how well each method tells members from non-members, target by target.

use super::results::{Results, area_cell};
use crate::page::{Part, Section};
use crate::suites::{Role, Target};
use crate::table::{Cell, Column, Standing, Table};

/// The panel of the targets that stand for columns of the paper family's tables; such a target may
/// have a panel of its own too.
const COLUMNS: &str = "columns";
/// Panels in the order of the page, and their titles. The suite itself says what is in them.
const PANELS: [(&str, &str); 7] = [
    (COLUMNS, "The paper family's columns"),
    ("worlds", "Worlds that nothing was chosen on"),
    ("later", "A world made after the last choice"),
    ("variants", "Other targets"),
    ("residual", "A residual image tower"),
    ("controls", "Where little or nothing is to be found"),
    ("development", "The world that settings were chosen on"),
];

pub fn section(results: &Results<'_>) -> Option<Section> {
    let tables: Vec<Part> =
        PANELS.iter().filter_map(|panel| table(results, panel)).map(Part::Table).collect();
    if tables.is_empty() {
        return None;
    }
    Some(Section {
        id: "effectiveness".to_owned(),
        title: "Effectiveness".to_owned(),
        plain: vec![
            "The area under the ROC curve (AUC) is the chance that a random member scores above a \
             random non-member: .5 is guessing, 1 is perfect. Members and non-members are one draw \
             of names and people, cut in two at random, so nothing but training tells them apart."
                .to_owned(),
        ],
        parts: tables,
        notes: vec![
            "Intervals are of 95 % by a bootstrap over identities, 2,000 resamples.".to_owned(),
        ],
    })
}

fn table(results: &Results<'_>, (panel, title): &(&str, &str)) -> Option<Table> {
    let targets: Vec<(&Target, &str)> = if *panel == COLUMNS {
        results.columns()
    } else {
        results.panel(panel).into_iter().map(|target| (target, target.name.as_str())).collect()
    };
    if targets.is_empty() {
        return None;
    }
    let mut columns = vec![Column::words("Method"), Column::words("Sees")];
    columns.extend(targets.iter().map(|(_, heading)| Column::intervals(heading)));
    let targets: Vec<&Target> = targets.into_iter().map(|(target, _)| target).collect();
    let mut table = Table::new(&format!("effectiveness-{panel}"), title, columns);
    "Does the method tell members from non-members drawn like them?"
        .clone_into(&mut table.question);
    results.panel_words(panel).clone_into(&mut table.plain);
    for which in results.headlines() {
        let cells: Vec<Cell> =
            targets.iter().map(|target| area_cell(results.auc(target, which))).collect();
        if cells.iter().all(|cell| *cell == Cell::Empty) {
            continue;
        }
        let sees = targets.iter().find_map(|target| results.reading(target, which).ok());
        let sees = sees.map_or("", |reading| reading.sees.words());
        let row = [Cell::text(which.reading), Cell::text(sees)].into_iter().chain(cells).collect();
        // All targets of a panel have one role.
        let chosen = targets.iter().all(|target| target.role == Role::Development);
        table.push(if chosen { Standing::UsedForChoosing } else { Standing::Evidence }, row);
    }
    Some(table)
}
