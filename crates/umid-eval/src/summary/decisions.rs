//! Decisions and low false-positive rates: what matters to somebody who acts on a verdict.

use umid_detect::{Bootstrap, Interval, RocPoint, roc_curve, share_interval};

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

/// How methods decide.
pub const RULES: &str = "How a method decides. The paper's vote, TUNI's vote and IDIA have a rule of their own: at least \
     three of four or five detectors; at least one right prompt. A calibrated reading flags p-values \
     of at most 5 %. A method that only scores flags what reaches the 99th percentile of its scores \
     of pairs or names that are known not to be members (names of nobody, with public inputs where \
     inputs are needed): the rule of CSA in CLIP-MIA-Bench, which aims at a false-positive rate of 1 %.";

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
        Column::intervals("F1"),
        Column::intervals("FPR of the decision"),
        Column::intervals("FPR at p of 5 %"),
        Column::intervals("FPR at p of 1 %"),
    ];
    let mut table = Table::new("decisions", "All metrics", columns);
    "What do a method's decisions find, and whom do they accuse?".clone_into(&mut table.question);
    "TPR: share of members found; FPR: share of non-members accused. A method that only scores is \
     given the rule in the note; where it has no scores of known non-members it has no decisions. \
     Only calibrated readings have p-values."
        .clone_into(&mut table.plain);
    table.notes.push(RULES.to_owned());
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

/// What becomes of members and non-members by a reading's decisions.
pub struct Decided<'a> {
    results: &'a Results<'a>,
    members: Result<Vec<bool>, Gap>,
    non_members: Result<Vec<bool>, Gap>,
}

impl<'a> Decided<'a> {
    pub fn of(results: &'a Results<'a>, target: &Target, which: Which<'_>) -> Self {
        let flags = |group| results.flags(target, which, group);
        Self { results, members: flags(Group::Member), non_members: flags(Group::NonMember) }
    }

    fn both(
        &self,
        statistic: impl Fn(&Bootstrap, &[bool], &[bool]) -> umid_detect::Result<Interval>,
    ) -> Result<Interval, Gap> {
        let (members, others) = (self.members.clone()?, self.non_members.clone()?);
        Ok(statistic(self.results.bootstrap(), &members, &others)?)
    }

    pub fn accuracy(&self) -> Cell {
        share_cell(self.both(Bootstrap::accuracy))
    }

    fn balanced_accuracy(&self) -> Cell {
        area_cell(self.both(Bootstrap::balanced_accuracy))
    }

    pub fn f1(&self) -> Cell {
        area_cell(self.both(Bootstrap::f1))
    }

    pub fn precision(&self) -> Cell {
        let nothing = || Gap::Unresolved("nobody was flagged".to_owned());
        let found = || {
            let (members, others) = (self.members.clone()?, self.non_members.clone()?);
            self.results.bootstrap().precision(&members, &others)?.ok_or_else(nothing)
        };
        share_cell(found())
    }

    pub fn recall(&self) -> Cell {
        let found = || Ok(self.results.bootstrap().recall(&self.members.clone()?)?);
        share_cell(found())
    }

    pub fn accused(&self) -> Cell {
        let found = || {
            let others = self.non_members.clone()?;
            let hits = others.iter().filter(|flag| **flag).count();
            Ok(share_interval(hits, others.len())?)
        };
        share_cell(found())
    }
}

fn row(results: &Results<'_>, target: &Target, which: Which<'_>) -> Vec<Cell> {
    let decided = Decided::of(results, target, which);
    vec![
        Cell::text(&target.name),
        Cell::text(which.reading),
        area_cell(results.auc(target, which)),
        share_cell(results.tpr(target, which, 0.01)),
        share_cell(results.tpr(target, which, 0.001)),
        decided.balanced_accuracy(),
        decided.precision(),
        decided.recall(),
        decided.f1(),
        decided.accused(),
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
