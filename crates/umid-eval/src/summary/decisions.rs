//! Decisions and low false-positive rates: what matters to somebody who acts on a verdict.

use umid_detect::{RocPoint, roc_curve};

use super::results::{Gap, Results, Which, area_cell, share_cell, standing};
use crate::figure::{Label, RocFigure, RocSeries};
use crate::page::{Part, Section};
use crate::record::Group;
use crate::suites::{Role, Target};
use crate::table::{Cell, Column, Table};

/// Series of a ROC figure; more are hard to tell apart.
const SERIES: [&str; 7] = [
    "paper",
    "similarity",
    "calibrated",
    "calibrated, bank",
    "calibrated, inversion",
    "CSA",
    "blind control",
];

pub fn section(results: &Results<'_>) -> Option<Section> {
    let table = table(results);
    if table.rows.is_empty() {
        return None;
    }
    let mut parts = vec![Part::Table(table)];
    let full = results.tests().into_iter().filter(|target| target.panel == "worlds");
    let shown: Vec<&Target> = full
        .filter(|t| t.recipe().is_some_and(|recipe| recipe.training.stop_after.is_none()))
        .collect();
    parts.extend(shown.into_iter().take(2).filter_map(|target| roc(results, target)));
    Some(Section {
        id: "decisions".to_owned(),
        title: "Decisions and small false-positive rates".to_owned(),
        plain: vec![
            "An AUC says little about accusations: what counts is how many members are found \
             while hardly any non-member is accused, and whether a test that promises 5 % false \
             positives keeps its promise."
                .to_owned(),
        ],
        parts,
        notes: Vec::new(),
    })
}

fn table(results: &Results<'_>) -> Table {
    let columns = vec![
        Column::words("Target"),
        Column::words("Method"),
        Column::intervals("AUC"),
        Column::intervals("TPR at 1 % FPR"),
        Column::intervals("TPR at 0.1 % FPR"),
        Column::intervals("Balanced accuracy"),
        Column::intervals("Precision"),
        Column::intervals("Recall"),
        Column::intervals("FPR of the decision"),
        Column::intervals("FPR at p of 5 %"),
        Column::intervals("FPR at p of 1 %"),
    ];
    let mut table = Table::new("decisions", "All metrics", columns);
    "What do a method's decisions find, and whom do they accuse?".clone_into(&mut table.question);
    "TPR: share of members found; FPR: share of non-members accused. Methods without a rule of \
     their own have no decisions; only calibrated ones have p-values."
        .clone_into(&mut table.plain);
    for target in results.targets().iter().filter(|target| target.role != Role::Control) {
        for which in results.headlines() {
            if results.reading(target, which) == Err(Gap::NotAsked) {
                continue;
            }
            table.push(standing(target), row(results, target, which));
        }
    }
    table
}

fn row(results: &Results<'_>, target: &Target, which: Which<'_>) -> Vec<Cell> {
    let flags = |group| results.flags(target, which, group);
    let both = || Ok::<_, Gap>((flags(Group::Member)?, flags(Group::NonMember)?));
    let bootstrap = results.bootstrap();
    let balanced =
        both().and_then(|(members, others)| Ok(bootstrap.balanced_accuracy(&members, &others)?));
    let precision = both().and_then(|(members, others)| {
        let nothing = || Gap::Unresolved("nobody was flagged".to_owned());
        bootstrap.precision(&members, &others)?.ok_or_else(nothing)
    });
    let recall = flags(Group::Member).and_then(|members| Ok(bootstrap.recall(&members)?));
    let accused = flags(Group::NonMember).and_then(|others| {
        let hits = others.iter().filter(|flag| **flag).count();
        Ok(umid_detect::share_interval(hits, others.len())?)
    });
    vec![
        Cell::text(&target.name),
        Cell::text(which.reading),
        area_cell(results.auc(target, which)),
        share_cell(results.tpr(target, which, 0.01)),
        share_cell(results.tpr(target, which, 0.001)),
        area_cell(balanced),
        share_cell(precision),
        share_cell(recall),
        share_cell(accused),
        share_cell(results.realised(target, which, Group::NonMember, 0.05)),
        share_cell(results.realised(target, which, Group::NonMember, 0.01)),
    ]
}

fn roc(results: &Results<'_>, target: &Target) -> Option<Part> {
    let series: Vec<RocSeries> = results
        .headlines()
        .into_iter()
        .filter(|which| SERIES.contains(&which.reading))
        .filter_map(|which| {
            let reading = results.reading(target, which).ok()?;
            let members = reading.groups.get(&Group::Member)?.present();
            let non_members = reading.groups.get(&Group::NonMember)?.present();
            let points: Vec<RocPoint> = roc_curve(&members, &non_members).ok()?;
            let name = which.reading.to_owned();
            Some(RocSeries { name, points, non_members: non_members.len() })
        })
        .collect();
    if series.is_empty() {
        return None;
    }
    let label = Label::new(
        &format!("roc-{}", target.name),
        &format!("ROC on {}", target.name),
        "Share of members found against share of non-members accused, both on logarithmic axes: \
         the left edge is what matters for accusations.",
    );
    match (RocFigure { label, series }).draw() {
        Ok(figure) => Some(Part::Figure(figure)),
        Err(error) => Some(Part::Warning(format!("the ROC figure failed: {error}"))),
    }
}
