//! What each setting is worth: one setting varied at a time.

use super::results::{Gap, Results, Which, area_cell, share_cell, standing};
use crate::page::{Part, Section};
use crate::record::Group;
use crate::table::{Cell, Column, Table};

/// The readings in the table; each run contributes those that its method has.
const READINGS: [Which<'_>; 7] = [
    Which::of("inversion", "similarity"),
    Which::of("inversion", "variability"),
    Which::of("inversion", "cross_template_transfer"),
    Which::of("inversion", "paper"),
    Which::of("inversion", "signed, plausible names"),
    Which::of("calibrated", "calibrated"),
    Which::of("calibrated", "calibrated, bank"),
];

pub fn section(results: &Results<'_>) -> Option<Section> {
    let mut columns =
        vec![Column::words("Target"), Column::words("What is varied"), Column::words("Run")];
    columns.extend(READINGS.iter().map(|which| Column::intervals(which.reading)));
    columns.push(Column::intervals("FPR at p of 5 %"));
    let mut table = Table::new("ablations", "Ablations", columns);
    "What do restarts, steps, optimiser, references, templates and siblings matter?"
        .clone_into(&mut table.question);
    "Each row changes one setting of the defaults; the rows `defaults` are the defaults."
        .clone_into(&mut table.plain);
    for target in results.targets() {
        let ablated: Vec<_> = results
            .cells()
            .filter(|(planned, cell)| {
                cell.target == target.name
                    && (planned.run.ablation.is_some() || planned.run.variant.is_empty())
                    && READINGS.iter().any(|which| which.method == cell.method)
            })
            .collect();
        if ablated.iter().all(|(planned, _)| planned.run.ablation.is_none()) {
            continue;
        }
        for (planned, cell) in ablated {
            let varied = planned.run.ablation.as_deref().unwrap_or("defaults");
            let mut row = vec![
                Cell::text(&target.name),
                Cell::text(varied),
                Cell::text(&format!("{} {}", cell.method, cell.variant)),
            ];
            let of = |which: &Which<'static>| -> Which<'_> {
                let reading = which.reading;
                Which { method: &cell.method, variant: &cell.variant, reading }
            };
            row.extend(READINGS.iter().map(|which| {
                if which.method == cell.method {
                    area_cell(results.auc(target, of(which)))
                } else {
                    Cell::Empty
                }
            }));
            let realised = READINGS
                .iter()
                .rev()
                .filter(|which| which.method == cell.method)
                .map(|which| results.realised(target, of(which), Group::NonMember, 0.05))
                .find(|realised| *realised != Err(Gap::NotAsked));
            row.push(share_cell(realised.unwrap_or(Err(Gap::NotAsked))));
            table.push(standing(target), row);
        }
    }
    (!table.rows.is_empty()).then(|| Section {
        id: "ablations".to_owned(),
        title: "Ablations".to_owned(),
        plain: Vec::new(),
        parts: vec![Part::Table(table)],
        notes: Vec::new(),
    })
}
