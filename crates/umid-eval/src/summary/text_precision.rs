//! What it moves when the text tower computes in bf16.

use super::ablations::TEXT_PRECISION;
use super::results::{Gap, Results, Which, area_cell, difference_cell, standing};
use crate::page::{Part, Section};
use crate::record::Outcome;
use crate::suites::Target;
use crate::table::{Cell, Column, Table};

/// The same names, texts and reference in f32.
const IN_F32: Which<'_> = Which::of("calibrated", "calibrated");
const LEVEL: f64 = 0.05;

pub fn section(results: &Results<'_>) -> Option<Section> {
    let table = table(results);
    (!table.rows.is_empty()).then(|| Section {
        id: "text-precision".to_owned(),
        title: "Texts in bf16".to_owned(),
        plain: vec![
            "Processors multiply numbers of 16 bits faster than those of 32. Here every target's \
             names are read in both, with the same reference."
                .to_owned(),
        ],
        parts: vec![Part::Table(table)],
        notes: Vec::new(),
    })
}

fn table(results: &Results<'_>) -> Table {
    let columns = vec![
        Column::words("Target"),
        Column::intervals("AUC in f32"),
        Column::intervals("AUC in bf16 less that in f32"),
        Column::numbers("p-values move by, median"),
        Column::numbers("99 %"),
        Column::numbers("At most"),
        Column::words("Other verdict at p of 5 %"),
    ];
    let mut table = Table::new("text-precision", "Texts in bf16", columns);
    "Does anybody get another verdict when texts are embedded in bf16?"
        .clone_into(&mut table.question);
    "p-values of members and non-members: how far apart the two of a name are."
        .clone_into(&mut table.plain);
    for (planned, cell) in results.cells() {
        let is_rounded = planned.run.ablation.as_deref() == Some(TEXT_PRECISION);
        if !is_rounded || !matches!(cell.outcome, Outcome::Done(_)) {
            continue;
        }
        let target = &planned.target;
        let rounded = Which { variant: &cell.variant, ..IN_F32 };
        let mut row = vec![
            Cell::text(&target.name),
            area_cell(results.auc(target, IN_F32)),
            difference_cell(results.difference(target, rounded, IN_F32)),
        ];
        match moves(results, target, rounded) {
            Ok((moves, changed)) => {
                let number =
                    |share: f64| Cell::Number { value: quantile(&moves, share), digits: 4 };
                row.extend([0.5, 0.99, 1.0].map(number));
                row.push(Cell::Text(format!("{changed} of {}", moves.len())));
            }
            Err(_) => row.extend([const { Cell::Empty }; 4]),
        }
        table.push(standing(target), row);
    }
    table
}

/// How far the p-values of a name are apart, in rising order, and how many verdicts differ.
fn moves(
    results: &Results<'_>,
    target: &Target,
    rounded: Which<'_>,
) -> Result<(Vec<f64>, usize), Gap> {
    let [exact, rounded] = [IN_F32, rounded].map(|which| results.p_values(target, which));
    let (exact, rounded) = (exact?.concat(), rounded?.concat());
    let pairs: Vec<(f64, f64)> =
        exact.into_iter().zip(rounded).filter_map(|(a, b)| Some((a?, b?))).collect();
    let changed = pairs.iter().filter(|(a, b)| (*a <= LEVEL) != (*b <= LEVEL)).count();
    let mut moves: Vec<f64> = pairs.into_iter().map(|(a, b)| (a - b).abs()).collect();
    moves.sort_by(f64::total_cmp);
    if moves.is_empty() { Err(Gap::NotAsked) } else { Ok((moves, changed)) }
}

/// The least of some sorted values that this share of them does not exceed.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_value_that_so_many_do_not_exceed() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        for (share, expected) in [(0.5, 100.0), (0.99, 198.0), (1.0, 200.0)] {
            assert!((quantile(&values, share) - expected).abs() < f64::EPSILON, "{share}");
        }
        assert!((quantile(&[7.0], 0.5) - 7.0).abs() < f64::EPSILON);
    }
}
