//! Signal against cost of an inversion, with a fixed number of steps and with restarts that stop
//! once they reach a cosine.

use super::results::{Results, Which, area_cell, standing};
use crate::figure::{AreaCurve, CurvePoint, CurveSeries, Label};
use crate::page::{Part, Section};
use crate::plan::Planned;
use crate::record::{Cell as Measured, Cost, Outcome};
use crate::suites::Target;
use crate::table::{Cell, Column, Table};

/// What a run varies, as `ablation` says in the suite, and what a figure calls it.
const VARIED: [(&str, &str); 4] = [
    ("steps", "fixed steps"),
    ("stop", "stopped"),
    ("resolution", "low resolution"),
    ("precision", "bf16"),
];
const SIGNALS: [&str; 3] = ["similarity", "variability", "cross_template_transfer"];

type Run<'a> = (&'a Planned, &'a Measured);

pub fn section(results: &Results<'_>) -> Option<Section> {
    let mut columns = vec![
        Column::words("Target"),
        Column::words("Inversion"),
        Column::numbers("Gradients per query"),
        Column::numbers("Seconds per query"),
    ];
    columns.extend(SIGNALS.map(Column::intervals));
    let mut table = Table::new("steps", "Signal and cost", columns);
    "Do fewer steps give the same answer?".clone_into(&mut table.question);
    "Gradients are counted: of four restarts with 20 steps there are 80. A restart that stops has \
     computed one that it does not use."
        .clone_into(&mut table.plain);
    let mut figures = Vec::new();
    for target in results.targets() {
        let runs = runs(results, target);
        if !runs.iter().any(|(planned, _)| planned.run.ablation.is_some()) {
            continue;
        }
        for (planned, cell) in &runs {
            let cost = cost(cell);
            let number = |value: Option<f64>, digits| {
                value.map_or(Cell::Empty, |value| Cell::Number { value, digits })
            };
            let variant = if cell.variant.is_empty() { "defaults" } else { &cell.variant };
            let mut row = vec![
                Cell::text(&target.name),
                Cell::text(variant),
                number(cost.map(|cost| cost.backward), 1),
                number(cost.and_then(|cost| cost.seconds), 4),
            ];
            row.extend(
                SIGNALS.map(|signal| area_cell(results.auc(target, which(planned, signal)))),
            );
            table.push(standing(target), row);
        }
        figures.push(figure(results, target, &runs));
    }
    if table.rows.is_empty() {
        return None;
    }
    figures.push(Part::Table(table));
    Some(Section {
        id: "steps".to_owned(),
        title: "What steps buy".to_owned(),
        plain: Vec::new(),
        parts: figures,
        notes: Vec::new(),
    })
}

/// Inversions of a target that differ in their steps alone, and the defaults.
fn runs<'a>(results: &Results<'a>, target: &Target) -> Vec<Run<'a>> {
    let of_interest = |planned: &Planned| match planned.run.ablation.as_deref() {
        None => planned.run.variant.is_empty(),
        Some(ablation) => VARIED.iter().any(|(varied, _)| *varied == ablation),
    };
    results
        .cells()
        .filter(|(planned, cell)| {
            cell.target == target.name && cell.method == "inversion" && of_interest(planned)
        })
        .collect()
}

fn which<'a>(planned: &'a Planned, signal: &'a str) -> Which<'a> {
    Which { method: "inversion", variant: &planned.run.variant, reading: signal }
}

fn cost(cell: &Measured) -> Option<Cost> {
    match &cell.outcome {
        Outcome::Done(readings) => readings.first().map(|reading| reading.cost),
        Outcome::Failed(_) => None,
    }
}

fn figure(results: &Results<'_>, target: &Target, runs: &[Run<'_>]) -> Part {
    let mut series = Vec::new();
    for signal in SIGNALS {
        for (varied, name) in VARIED {
            let of_series = runs.iter().filter(|(planned, _)| match &planned.run.ablation {
                None => varied == "steps",
                Some(ablation) => ablation == varied,
            });
            let point = |(planned, cell): &Run<'_>| {
                let area = results.auc(target, which(planned, signal)).ok()?;
                Some(CurvePoint { count: cost(cell)?.backward, area })
            };
            let points: Vec<CurvePoint> = of_series.filter_map(point).collect();
            if !points.is_empty() {
                series.push(CurveSeries { name: format!("{signal}, {name}"), points });
            }
        }
    }
    let label = Label::new(
        &format!("steps-{}", target.name),
        &format!("Signal against cost on {}", target.name),
        "Area under the ROC curve against the gradients of a query, for inversions of a fixed \
         number of steps and for ones whose starts stop at a cosine.",
    );
    match (AreaCurve { label, axis: "gradients per query".to_owned(), apart: false, series }).draw()
    {
        Ok(figure) => Part::Figure(figure),
        Err(error) => Part::Warning(format!("the figure of steps failed: {error}")),
    }
}
