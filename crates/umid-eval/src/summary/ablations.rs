//! What each setting is worth: one setting varied at a time.

use super::decisions::Decided;
use super::results::{Gap, Results, Which, area_cell, share_cell, standing};
use crate::page::{Part, Section};
use crate::plan::Planned;
use crate::record::{Cell as Measured, Group, Outcome};
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

/// Ablations that have tables of their own.
pub const TEXT_PRECISION: &str = "text precision";
const NAMES_OF_NOBODY: &str = "names of nobody";

/// The reading whose decisions are the vote.
const VOTE: Which<'_> = Which::of("inversion", "paper");

pub fn section(results: &Results<'_>) -> Option<Section> {
    let mut columns =
        vec![Column::words("Target"), Column::words("What is varied"), Column::words("Run")];
    columns.extend(READINGS.iter().map(|which| Column::intervals(which.reading)));
    columns.push(Column::intervals("Accuracy of the vote"));
    columns.push(Column::intervals("FPR at p of 5 %"));
    columns.push(Column::numbers("ms per query"));
    let mut table = Table::new("ablations", "Ablations", columns);
    "What do restarts, steps, starts, optimiser, references, templates and siblings matter?"
        .clone_into(&mut table.question);
    "Each row changes one setting of the defaults; the rows `defaults` are the defaults. TUNI's \
     similarity, variability and vote stand in the columns of those of UMID."
        .clone_into(&mut table.plain);
    for target in results.targets() {
        let ablated: Vec<_> = results
            .cells()
            .filter(|(planned, cell)| {
                cell.target == target.name
                    && !has_own_table(planned)
                    && (planned.run.ablation.is_some() || is_default(planned))
                    && (cell.method == "tuni"
                        || READINGS.iter().any(|which| which.method == cell.method))
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
                let reading = match which.reading {
                    reading if cell.method != "tuni" => reading,
                    "paper" => "TUNI vote",
                    "similarity" => "TUNI similarity",
                    "variability" => "TUNI variability",
                    other => other,
                };
                Which { method: &cell.method, variant: &cell.variant, reading }
            };
            let has = |which: &Which<'_>| which.method == cell.method || cell.method == "tuni";
            row.extend(READINGS.iter().map(|which| {
                if has(which) { area_cell(results.auc(target, of(which))) } else { Cell::Empty }
            }));
            row.push(Decided::of(results, target, of(&VOTE)).accuracy());
            let realised = READINGS
                .iter()
                .rev()
                .filter(|which| which.method == cell.method)
                .map(|which| results.realised(target, of(which), Group::NonMember, 0.05))
                .find(|realised| *realised != Err(Gap::NotAsked));
            row.push(share_cell(realised.unwrap_or(Err(Gap::NotAsked))));
            row.push(milliseconds(cell));
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

/// A run that others are compared with; TUNI's has a variant, since its published setting is too
/// expensive.
fn has_own_table(planned: &Planned) -> bool {
    planned.run.ablation.as_deref().is_some_and(|a| [TEXT_PRECISION, NAMES_OF_NOBODY].contains(&a))
}

fn is_default(planned: &Planned) -> bool {
    planned.run.variant.is_empty() || planned.run.method == "tuni"
}

fn milliseconds(cell: &Measured) -> Cell {
    let Outcome::Done(readings) = &cell.outcome else { return Cell::Empty };
    match readings.first().and_then(|reading| reading.cost.seconds) {
        Some(seconds) => Cell::Number { value: 1e3 * seconds, digits: 1 },
        None => Cell::Empty,
    }
}
