//! Published targets whose list says how often each name occurs in the training data: whether the
//! score rises with that number, and from which number on names are found.

use std::ops::Range;

use super::dose_response::{LEVELS, Rule, decided, half, share};
use super::results::{Gap, Results, Which, area_cell, correlation_cell, standing};
use crate::page::{Part, Section};
use crate::record::{Group, Sees};
use crate::suites::Target;
use crate::table::{Cell, Column, Table};

/// Numbers of occurrences that are reported together.
const BINS: [Range<usize>; 5] = [1..10, 10..100, 100..1_000, 1_000..10_000, 10_000..usize::MAX];

pub fn section(results: &Results<'_>) -> Option<Section> {
    let counted = |target: &&Target| {
        let names = results.names(target);
        target.foreign.is_some() && names.is_ok_and(|names| !names.exposures.is_empty())
    };
    let targets: Vec<&Target> = results.targets().iter().filter(counted).collect();
    let tables = [rising(results, &targets), detected(results, &targets)];
    let parts: Vec<Part> =
        tables.into_iter().filter(|table| !table.rows.is_empty()).map(Part::Table).collect();
    (!parts.is_empty()).then(|| Section {
        id: "counts".to_owned(),
        title: "How often a name occurs in the training data".to_owned(),
        plain: vec![
            "A score that measures training on a name should rise with the number of captions that \
             hold it. This needs no non-members at all, but fame grows with that number too: what \
             a name's parts say of it is in the comparison only for readings that are calibrated by \
             siblings."
                .to_owned(),
        ],
        parts,
        notes: Vec::new(),
    })
}

fn bins() -> impl Iterator<Item = String> {
    BINS.iter().map(|bin| match bin.end {
        usize::MAX => format!("{} or more", bin.start),
        end => format!("{} to {}", bin.start, end - 1),
    })
}

fn rising(results: &Results<'_>, targets: &[&Target]) -> Table {
    let mut columns = vec![
        Column::words("Target"),
        Column::words("Method"),
        Column::numbers("Names"),
        Column::intervals("Rank correlation with the count"),
    ];
    columns.extend(bins().map(|bin| Column::intervals(&format!("AUC, {bin}"))));
    let mut table = Table::new("counts", "Score by number of occurrences", columns);
    "Does the score rise with the number of times that a name occurs?"
        .clone_into(&mut table.question);
    "Spearman's rank correlation of score and number over all listed names that occur; and the AUC \
     of the names of each range against names that do not occur."
        .clone_into(&mut table.plain);
    for target in targets {
        let Ok(names) = results.names(target) else { continue };
        for which in
            results.headlines().into_iter().filter(|which| asks_a_model(results, target, *which))
        {
            let Ok(members) = results.column(target, which, Group::Member) else { continue };
            let scored: Vec<(f64, usize)> = members
                .scores
                .iter()
                .zip(&names.exposures)
                .filter_map(|(score, count)| Some(((*score)?, *count)))
                .collect();
            let (scores, counts): (Vec<f64>, Vec<f64>) =
                scored.iter().map(|(score, count)| (*score, *count as f64)).unzip();
            let correlation = results.bootstrap().spearman(&scores, &counts);
            let constant = || Gap::Unresolved("all scores or all counts are equal".to_owned());
            let correlation =
                correlation.map_err(Gap::from).and_then(|found| found.ok_or_else(constant));
            let mut row = vec![
                Cell::text(&target.name),
                Cell::text(which.reading),
                Cell::Count(scored.len() as u64),
                correlation_cell(correlation),
            ];
            row.extend(BINS.map(|bin| {
                let of_bin = scored.iter().filter(|(_, count)| bin.contains(count));
                let of_bin: Vec<f64> = of_bin.map(|(score, _)| *score).collect();
                if of_bin.is_empty() {
                    return Cell::Empty;
                }
                let others = results.column(target, which, Group::NonMember);
                area_cell(others.and_then(|others| results.area_of(&of_bin, &others.present())))
            }));
            table.push(standing(target), row);
        }
    }
    table
}

/// Whether a reading has to do with the target's model.
fn asks_a_model(results: &Results<'_>, target: &Target, which: Which<'_>) -> bool {
    results.reading(target, which).is_ok_and(|reading| reading.sees != Sees::NamesOnly)
}

fn detected(results: &Results<'_>, targets: &[&Target]) -> Table {
    let mut columns = vec![
        Column::words("Target"),
        Column::words("Method"),
        Column::words("Detected if"),
        Column::intervals("Names that do not occur"),
    ];
    columns.extend(bins().map(|bin| Column::intervals(&bin)));
    columns.push(Column::words("Half are detected at"));
    let mut table = Table::new("counts-detected", "Detected by number of occurrences", columns);
    "How often must a name occur for half of such names to be detected?"
        .clone_into(&mut table.question);
    "Share of names that are detected, by how often they occur.".clone_into(&mut table.plain);
    for target in targets {
        for which in results.headlines() {
            for rule in LEVELS.map(Rule::Level).into_iter().chain([Rule::FalseDiscovery]) {
                let Ok(decided) = decided(results, target, which, rule) else { continue };
                let mut row = vec![
                    Cell::text(&target.name),
                    Cell::text(which.reading),
                    Cell::Text(rule.words()),
                    share(&decided.non_members),
                ];
                row.extend(BINS.map(|bin| {
                    let of_bin = decided.members.range(bin).flat_map(|(_, flags)| flags);
                    let flags: Vec<bool> = of_bin.copied().collect();
                    if flags.is_empty() { Cell::Empty } else { share(&flags) }
                }));
                row.push(half(results, &decided));
                table.push(standing(target), row);
            }
        }
    }
    table
}
