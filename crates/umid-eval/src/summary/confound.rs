//! The reference confound: what a comparison with gibberish measures.

use super::results::{
    CALIBRATED, PAPER, Results, SIMILARITY, VARIABILITY, Which, area_cell, share_cell, standing,
};
use crate::figure::{Group as Points, Label, SignalScatter};
use crate::page::{Part, Section};
use crate::record::Group;
use crate::suites::{Role, Target};
use crate::table::{Cell, Column, Table};

/// Readings, each with the kind of gibberish that it can score.
const READINGS: [(Which<'_>, Group); 6] = [
    (PAPER, Group::Gibberish),
    (SIMILARITY, Group::Gibberish),
    (VARIABILITY, Group::Gibberish),
    (Which::of("inversion", "signed, gibberish"), Group::Gibberish),
    (CALIBRATED, Group::GibberishPair),
    (Which::of("calibrated", "interaction"), Group::GibberishPair),
];

pub fn section(results: &Results<'_>) -> Option<Section> {
    let columns = vec![
        Column::words("Target"),
        Column::words("Reading"),
        Column::intervals("Member v non-member"),
        Column::intervals("Member v gibberish"),
        Column::intervals("Non-member v gibberish"),
        Column::intervals("Gibberish called member"),
    ];
    let mut table = Table::new("confound", "What a gibberish reference measures", columns);
    "Is it membership that a comparison with gibberish finds?".clone_into(&mut table.question);
    "Only the first column is about membership. Where the other two are alike, the reading tells \
     names from gibberish, whoever was trained on. The calibrated readings are shown gibberish in \
     two words, the others in one."
        .clone_into(&mut table.plain);
    for target in results.targets().iter().filter(|target| target.role != Role::Control) {
        for (which, gibberish) in READINGS {
            if results.reading(target, which).is_err() {
                continue;
            }
            let flagged = results.flags(target, which, gibberish).and_then(|flags| {
                let hits = flags.iter().filter(|flag| **flag).count();
                Ok(umid_detect::share_interval(hits, flags.len())?)
            });
            table.push(
                standing(target),
                vec![
                    Cell::text(&target.name),
                    Cell::text(which.reading),
                    area_cell(results.auc(target, which)),
                    area_cell(results.area(target, which, [Group::Member, gibberish])),
                    area_cell(results.area(target, which, [Group::NonMember, gibberish])),
                    share_cell(flagged),
                ],
            );
        }
    }
    if table.rows.is_empty() {
        return None;
    }
    let mut parts = vec![Part::Table(table)];
    parts.extend(results.tests().iter().rev().find_map(|target| scatter(results, target)));
    Some(Section {
        id: "confound".to_owned(),
        title: "The reference confound".to_owned(),
        plain: vec![
            "The paper's detectors learn what gibberish looks like and call a member what does \
             not. Any real name does not."
                .to_owned(),
        ],
        parts,
        notes: Vec::new(),
    })
}

/// Similarity against variability of the last test target with inversions.
fn scatter(results: &Results<'_>, target: &Target) -> Option<Part> {
    let (s, v) =
        (results.reading(target, SIMILARITY).ok()?, results.reading(target, VARIABILITY).ok()?);
    let points = |group| {
        let (s, v) = (s.groups.get(&group)?, v.groups.get(&group)?);
        // Variability is kept as a score, which is higher for members: less of it.
        let pairs = s.scores.iter().zip(&v.scores).filter_map(|(s, v)| Some((((*s)?), -((*v)?))));
        Some(pairs.collect::<Vec<_>>())
    };
    let groups = [
        ("gibberish", Group::Gibberish),
        ("non-members", Group::NonMember),
        ("members", Group::Member),
    ];
    let groups: Vec<Points> = groups
        .into_iter()
        .filter_map(|(name, group)| Some(Points { name: name.to_owned(), points: points(group)? }))
        .collect();
    let label = Label::new(
        "scatter",
        &format!("Similarity and variability on {}", target.name),
        "Each mark is a text: members and non-members overlap, gibberish lies apart from both.",
    );
    match (SignalScatter { label, groups }).draw() {
        Ok(figure) => Some(Part::Figure(figure)),
        Err(error) => Some(Part::Warning(format!("the scatter failed: {error}"))),
    }
}
