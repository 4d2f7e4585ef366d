//! What a query costs, method by method.

use super::results::{Results, Which};
use crate::methods::by_name;
use crate::page::{Part, Section};
use crate::record::Reading;
use crate::suites::Target;
use crate::table::{Cell, Column, Standing, Table};

/// "Sub-second" is the paper's claim for an audit of one text.
const SUB_SECOND: f64 = 1.0;

pub fn section(results: &Results<'_>) -> Option<Section> {
    let columns = vec![
        Column::words("Method"),
        Column::words("Sees"),
        Column::words("Target"),
        Column::numbers("Forward passes"),
        Column::numbers("Backward passes"),
        Column::numbers("ms per query, many at once"),
        Column::numbers("ms per query, alone"),
        Column::words("Under a second"),
        Column::words("Whose"),
    ];
    let mut table = Table::new("cost", "Cost of a query", columns);
    "What does an answer cost?".clone_into(&mut table.question);
    "Passes through either tower for one text; times are of the machine that ran this evaluation, \
     which may have had other work to do. What is done once for a model (references, banks, \
     reference models) is not counted."
        .clone_into(&mut table.plain);
    // One target for all methods, as far as they ran on one; the worlds' have the usual shape.
    let worlds = |target: &&Target| matches!(target.panel.as_str(), "worlds" | "later");
    let all = || results.targets().iter().rev();
    for which in results.headlines() {
        let measured = all()
            .filter(worlds)
            .chain(all())
            .find_map(|target| Some((target, results.reading(target, which).ok()?)));
        if let Some((target, reading)) = measured {
            table.push(Standing::Evidence, row(which, target, reading));
        }
    }
    (!table.rows.is_empty()).then(|| Section {
        id: "cost".to_owned(),
        title: "Cost".to_owned(),
        plain: Vec::new(),
        parts: vec![Part::Table(table)],
        notes: Vec::new(),
    })
}

fn row(which: Which<'_>, target: &Target, reading: &Reading) -> Vec<Cell> {
    let (method, cost) = (by_name(which.method).ok(), reading.cost);
    let milliseconds = |seconds: Option<f64>| match seconds {
        Some(seconds) => Cell::Number { value: 1e3 * seconds, digits: 2 },
        None => Cell::Empty,
    };
    let sub_second = match cost.latency.or(cost.seconds) {
        Some(seconds) if seconds < SUB_SECOND => Cell::text("yes"),
        Some(_) => Cell::text("no"),
        None => Cell::Empty,
    };
    vec![
        Cell::text(which.reading),
        Cell::text(reading.sees.words()),
        Cell::text(&target.name),
        Cell::Count(cost.forward.round() as u64),
        Cell::Count(cost.backward.round() as u64),
        milliseconds(cost.seconds),
        milliseconds(cost.latency),
        sub_second,
        Cell::text(method.as_ref().map_or("", |m| m.source)),
    ]
}
