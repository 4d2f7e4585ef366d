//! IDIA's rates by the number of attack images (Hintersdorf et al., JAIR 2024).

use super::decisions::Decided;
use super::results::{Results, Which, area_cell, standing};
use crate::methods::idia::{COUNTS, of_count};
use crate::page::{Part, Section};
use crate::plan::Planned;
use crate::record::{Cell as Measured, Outcome, Reading};
use crate::table::{Cell, Column, Table};

pub fn section(results: &Results<'_>) -> Option<Section> {
    let columns = vec![
        Column::words("Target"),
        Column::numbers("Training images per person"),
        Column::numbers("Attack images"),
        Column::intervals("TPR"),
        Column::intervals("FPR"),
        Column::intervals("Accuracy"),
        Column::intervals("AUC"),
    ];
    let mut table = Table::new("idia", "IDIA by number of attack images", columns);
    "How many images of a person does IDIA need?".clone_into(&mut table.question);
    "A person is called a member if at least one of 21 prompts finds the name among 1,000. The \
     attack images are none that the target was trained on."
        .clone_into(&mut table.plain);
    for (planned, cell) in results.cells().filter(by_count) {
        let target = &planned.target;
        // People are known of targets that were trained here.
        let Some(recipe) = target.recipe() else { continue };
        let which = |reading| Which { method: "idia", variant: &planned.run.variant, reading };
        let Outcome::Done(readings) = &cell.outcome else { continue };
        for (count, name) in counts(readings) {
            let decided = Decided::of(results, target, which(name));
            let trained = recipe.world.images_per_person as u64;
            table.push(
                standing(target),
                vec![
                    Cell::text(&target.name),
                    Cell::Count(trained),
                    Cell::Count(u64::from(count)),
                    decided.recall(),
                    decided.accused(),
                    decided.accuracy(),
                    area_cell(results.auc(target, which(name))),
                ],
            );
        }
    }
    (!table.rows.is_empty()).then(|| Section {
        id: "idia".to_owned(),
        title: "IDIA".to_owned(),
        plain: Vec::new(),
        parts: vec![Part::Table(table)],
        notes: Vec::new(),
    })
}

/// The run that was given as many images as the authors' rates go up to.
fn by_count((planned, cell): &(&Planned, &Measured)) -> bool {
    let images = planned.run.set.get("images").and_then(toml::Value::as_integer);
    cell.method == "idia" && images.is_some()
}

/// The readings by number of images; the headline is that of all of them.
fn counts(readings: &[Reading]) -> Vec<(u32, &str)> {
    let named = COUNTS.iter().filter_map(|count| {
        let reading = readings.iter().find(|reading| reading.name == of_count(*count))?;
        Some((*count, reading.name.as_str()))
    });
    let all = readings.iter().filter(|reading| reading.headline);
    named.chain(all.map(|all| (all.cost.forward as u32, all.name.as_str()))).collect()
}
