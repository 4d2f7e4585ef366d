//! Targets that others published: what is at hand, how well their members are found, and how much of
//! that is left when the score of a model that did not see the names is taken off.

use std::collections::BTreeSet;

use umid_detect::{Interval, share_interval};

use super::results::{Gap, Results, Which, area_cell, share_cell, standing};
use crate::page::{Part, Section};
use crate::record::{Group, Sees};
use crate::suites::Target;
use crate::table::{Cell, Column, Standing, Table};

pub fn section(results: &Results<'_>) -> Option<Section> {
    let targets: Vec<&Target> =
        results.targets().iter().filter(|target| target.foreign.is_some()).collect();
    if targets.is_empty() {
        return None;
    }
    let mut tables = vec![at_hand(results)];
    let panels: Vec<&str> = targets.iter().map(|target| target.panel.as_str()).collect();
    let mut seen = BTreeSet::new();
    tables.extend(panels.iter().filter(|panel| seen.insert(**panel)).map(|p| areas(results, p)));
    tables.extend([controlled(results, &targets), parts_of_lists(results, &targets)]);
    let parts: Vec<Part> =
        tables.into_iter().filter(|table| !table.rows.is_empty()).map(Part::Table).collect();
    Some(Section {
        id: "published".to_owned(),
        title: "Published targets".to_owned(),
        plain: vec![
            "These models were trained by others, on data that they describe. Members and \
             non-members of a published list need not be one draw: the lists of IDIA, for one, were \
             made by what a model knew of the people. A control is the same names on a model that \
             did not see them, or saw them less: whatever tells the names apart without training on \
             them is taken off with the control's score."
                .to_owned(),
        ],
        parts,
        notes: Vec::new(),
    })
}

/// Which targets of the suite were scored, and what is missing of the others.
fn at_hand(results: &Results<'_>) -> Table {
    let columns = vec![
        Column::words("Target"),
        Column::words("State"),
        Column::numbers("Members"),
        Column::numbers("Non-members"),
        Column::words("Published"),
    ];
    let mut table = Table::new("published-targets", "What is at hand", columns);
    "Which published models were scored, and with how many names?".clone_into(&mut table.question);
    "Where a list has no non-members, they are new combinations of its own first and last parts. \
     datasets/public/fetch.md says where missing files go."
        .clone_into(&mut table.plain);
    for target in results.all_targets() {
        let Some(foreign) = &target.foreign else { continue };
        let missing: Vec<String> = foreign
            .needed()
            .iter()
            .filter(|needed| !needed.found && !needed.optional)
            .map(|needed| needed.path.display().to_string())
            .collect();
        let asked = results.targets().iter().any(|asked| asked.name == target.name);
        let state = match (missing.as_slice(), asked) {
            ([], true) => "scored".to_owned(),
            ([], false) => "not asked for".to_owned(),
            (missing, _) => format!("MISSING: {}", missing.join(", ")),
        };
        let names = results.names(target).ok().filter(|_| asked);
        let count = |of: Option<usize>| of.map_or(Cell::Empty, |count| Cell::Count(count as u64));
        let row = vec![
            Cell::text(&target.name),
            Cell::Text(state),
            count(names.as_ref().map(|names| names.members.len())),
            count(names.as_ref().map(|names| names.non_members.len())),
            Cell::text(&foreign.names.published),
        ];
        table.push(standing(target), row);
    }
    table
}

/// Every headline reading on the targets of a panel, as it is and less the control's.
fn areas(results: &Results<'_>, panel: &str) -> Table {
    let targets = results.panel(panel);
    let mut columns = vec![Column::words("Method"), Column::words("Corrected by")];
    columns.extend(targets.iter().map(|target| Column::intervals(&target.name)));
    let title = results.panel_words(panel);
    let mut table = Table::new(&format!("published-{panel}"), title, columns);
    "How well are members told from non-members (AUC)?".clone_into(&mut table.question);
    "Without a correction: the scores of the model alone, as the papers report them. Corrected: each \
     name's score less its score under the control."
        .clone_into(&mut table.plain);
    for which in results.headlines() {
        let plain: Vec<Cell> =
            targets.iter().map(|target| area_cell(results.auc(target, which))).collect();
        let corrected =
            targets.iter().map(|target| area_cell(corrected_area(results, target, which)));
        let corrected: Vec<Cell> = corrected.collect();
        for (by, cells) in [("nothing", plain), ("the control", corrected)] {
            if cells.iter().any(|cell| *cell != Cell::Empty) {
                let first = [Cell::text(which.reading), Cell::text(by)];
                table.push(Standing::Evidence, first.into_iter().chain(cells).collect());
            }
        }
    }
    table
}

fn corrected_area(
    results: &Results<'_>,
    target: &Target,
    which: Which<'_>,
) -> Result<Interval, Gap> {
    let members = differences(results, target, which, Group::Member)?;
    let non_members = differences(results, target, which, Group::NonMember)?;
    results.area_of(&present(&members), &present(&non_members))
}

/// Each name's score less its score under the control, in the order of the list.
fn differences(
    results: &Results<'_>,
    target: &Target,
    which: Which<'_>,
    group: Group,
) -> Result<Vec<Option<f64>>, Gap> {
    if results.reading(target, which)?.sees == Sees::NamesOnly {
        // Without a model there is nothing to take off.
        return Err(Gap::NotAsked);
    }
    let control = control(results, target)?;
    let ours = results.column(target, which, group)?;
    let theirs = results.column(control, which, group)?;
    if ours.scores.len() != theirs.scores.len() {
        let reason = format!("{} was scored with another list of names", control.name);
        return Err(Gap::Failed(reason));
    }
    let pairs = ours.scores.iter().zip(&theirs.scores);
    Ok(pairs.map(|(ours, theirs)| Some((*ours)? - (*theirs)?)).collect())
}

fn present(differences: &[Option<f64>]) -> Vec<f64> {
    differences.iter().copied().flatten().collect()
}

fn control<'a>(results: &'a Results<'_>, target: &Target) -> Result<&'a Target, Gap> {
    let foreign = target.foreign.as_ref().ok_or(Gap::NotAsked)?;
    let name = foreign.control.as_ref().ok_or(Gap::NotAsked)?;
    let found = results.targets().iter().find(|target| target.name == *name);
    found.ok_or_else(|| Gap::Unresolved(format!("the control {name} was not scored")))
}

/// All figures of targets with a control.
fn controlled(results: &Results<'_>, targets: &[&Target]) -> Table {
    let columns = vec![
        Column::words("Target"),
        Column::words("Control"),
        Column::words("Method"),
        Column::intervals("AUC"),
        Column::intervals("AUC of the control"),
        Column::intervals("AUC of the difference"),
        Column::intervals("TPR at 1 % FPR"),
        Column::intervals("TPR at 0.1 % FPR"),
        Column::intervals("TPR of the difference at 1 % FPR"),
        Column::intervals("TPR of the difference at 0.1 % FPR"),
        Column::intervals("Members that score higher than under the control"),
        Column::intervals("Non-members that do"),
    ];
    let mut table = Table::new("controlled", "Against a model that did not see the names", columns);
    "Is it the training on these names that is found?".clone_into(&mut table.question);
    "The control was asked for the same names. If its AUC is not .5, the two groups differ in more \
     than membership. The difference of each name's two scores is free of that."
        .clone_into(&mut table.plain);
    for target in targets {
        let Some(name) = target.foreign.as_ref().and_then(|foreign| foreign.control.as_ref())
        else {
            continue;
        };
        for which in results.headlines() {
            match results.reading(target, which) {
                Ok(reading) if reading.sees != Sees::NamesOnly => {}
                Ok(_) | Err(_) => continue,
            }
            let of = |group| differences(results, target, which, group);
            let both = || Ok::<_, Gap>((of(Group::Member)?, of(Group::NonMember)?));
            let found = |rate| {
                both().and_then(|(members, others)| {
                    results.found(&present(&members), &present(&others), rate)
                })
            };
            let higher = |group| {
                of(group).and_then(|differences| {
                    let differences = present(&differences);
                    let hits = differences.iter().filter(|difference| **difference > 0.0).count();
                    Ok(share_interval(hits, differences.len())?)
                })
            };
            let row = vec![
                Cell::text(&target.name),
                Cell::text(name),
                Cell::text(which.reading),
                area_cell(results.auc(target, which)),
                area_cell(control(results, target).and_then(|control| results.auc(control, which))),
                area_cell(corrected_area(results, target, which)),
                share_cell(results.tpr(target, which, 0.01)),
                share_cell(results.tpr(target, which, 0.001)),
                share_cell(found(0.01)),
                share_cell(found(0.001)),
                share_cell(higher(Group::Member)),
                share_cell(higher(Group::NonMember)),
            ];
            table.push(standing(target), row);
        }
    }
    table
}

/// Parts of a list that its publisher tells apart, such as names that were to be forgotten and names
/// that were not.
fn parts_of_lists(results: &Results<'_>, targets: &[&Target]) -> Table {
    let columns = vec![
        Column::words("Target"),
        Column::words("Method"),
        Column::words("Part of the list"),
        Column::numbers("Names"),
        Column::intervals("AUC v non-members"),
        Column::intervals("AUC v the list's other members"),
        Column::intervals("AUC of the difference v non-members"),
    ];
    let mut table = Table::new("list-parts", "Parts of a list", columns);
    "Are some members found better than others?".clone_into(&mut table.question);
    "Parts as the publisher names them. In SALMUBench the compromised model saw all of them; a model \
     that has unlearned should no longer know those of `forget` and still know the others."
        .clone_into(&mut table.plain);
    for target in targets {
        let Ok(names) = results.names(target) else { continue };
        let parts: BTreeSet<&String> = names.groups.iter().flatten().collect();
        let asks_a_model = |which: &Which<'_>| {
            results.reading(target, *which).is_ok_and(|reading| reading.sees != Sees::NamesOnly)
        };
        for which in results.headlines().into_iter().filter(asks_a_model) {
            for part in &parts {
                let Ok(members) = results.column(target, which, Group::Member) else { continue };
                let Ok(others) = results.column(target, which, Group::NonMember) else { continue };
                let inside = |scores: &[Option<f64>], inside: bool| -> Vec<f64> {
                    let of_part = scores.iter().zip(&names.groups);
                    let kept =
                        of_part.filter(|(_, group)| (group.as_ref() == Some(*part)) == inside);
                    kept.filter_map(|(score, _)| *score).collect()
                };
                let own = inside(&members.scores, true);
                let difference = || {
                    let of = |group| differences(results, target, which, group);
                    let members = inside(&of(Group::Member)?, true);
                    results.area_of(&members, &present(&of(Group::NonMember)?))
                };
                let row = vec![
                    Cell::text(&target.name),
                    Cell::text(which.reading),
                    Cell::text(part),
                    Cell::Count(own.len() as u64),
                    area_cell(results.area_of(&own, &others.present())),
                    area_cell(results.area_of(&own, &inside(&members.scores, false))),
                    area_cell(difference()),
                ];
                table.push(standing(target), row);
            }
        }
    }
    table
}
