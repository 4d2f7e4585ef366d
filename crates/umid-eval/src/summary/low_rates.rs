//! Small false-positive rates, which a thousand non-members cannot tell: how many members are found
//! while one non-member in a thousand or in ten thousand is accused, by methods that cost text passes
//! alone.

use super::results::{Results, Which, share_cell, small_share_cell, standing};
use crate::page::{Part, Section};
use crate::record::Group;
use crate::table::{Cell, Column, Table};

const RATES: [f64; 3] = [0.01, 0.001, 0.0001];
const LEVELS: [f64; 3] = [0.05, 0.01, 0.001];

pub fn section(results: &Results<'_>) -> Option<Section> {
    let table = table(results);
    (!table.rows.is_empty()).then(|| Section {
        id: "low-rates".to_owned(),
        title: "Very small false-positive rates".to_owned(),
        plain: vec![
            "Whoever asks about many names must accuse hardly anybody in error. How many members are \
             then still found shows on names of nobody in great number, drawn as the people's are."
                .to_owned(),
        ],
        parts: vec![Part::Table(table)],
        notes: Vec::new(),
    })
}

fn table(results: &Results<'_>) -> Table {
    let mut columns =
        vec![Column::words("Target"), Column::words("Method"), Column::words("Names of nobody")];
    columns.extend(RATES.map(|rate| Column::intervals(&format!("TPR at {} % FPR", 100.0 * rate))));
    columns.extend(LEVELS.map(|p| Column::intervals(&format!("FPR at p of {} %", 100.0 * p))));
    let mut table = Table::new("low-rates", "Very small false-positive rates", columns);
    "How many members are found while hardly anybody is accused?".clone_into(&mut table.question);
    "TPR: share of members whose score is above all but that share of the names of nobody. FPR: \
     share of these names whose p-value is at most that; a p-value cannot be smaller than one over \
     the number of calibrating names."
        .clone_into(&mut table.plain);
    for (planned, _) in results.cells() {
        let target = &planned.target;
        let (method, variant) = (planned.run.method.as_str(), planned.run.variant.as_str());
        let readings = results.readings(target, method, variant);
        for reading in readings.iter().filter(|r| r.groups.contains_key(&Group::Stranger)) {
            let which = Which { method, variant, reading: &reading.name };
            let count = reading.groups[&Group::Stranger].present().len();
            let mut row = vec![
                Cell::text(&target.name),
                Cell::text(&reading.name),
                Cell::Text(count.to_string()),
            ];
            row.extend(
                RATES.map(|rate| {
                    share_cell(results.tpr_against(target, which, Group::Stranger, rate))
                }),
            );
            row.extend(LEVELS.map(|level| {
                small_share_cell(results.realised(target, which, Group::Stranger, level))
            }));
            table.push(standing(target), row);
        }
    }
    table
}
