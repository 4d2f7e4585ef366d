//! What was measured, by target, method and reading, with the metrics that tables are made of.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::rc::Rc;

use umid_detect::{Bootstrap, ClassScores, Interval, realised_false_positive_rate};
use umid_testbed::{NameLists, World};

use crate::error::chain;
use crate::foreign::{Groups, Listed};
use crate::plan::Planned;
use crate::record::{Cell as Measured, Column, Group, Outcome, Reading};
use crate::suites::{Role, Suite, Target};
use crate::table::{Cell, Standing};

/// Why a cell of a table has no number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// The suite does not ask for it.
    NotAsked,
    /// It failed.
    Failed(String),
    /// The sample cannot resolve it.
    Unresolved(String),
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("not part of this suite"),
            Self::Failed(reason) | Self::Unresolved(reason) => f.write_str(reason),
        }
    }
}

impl From<umid_detect::DetectError> for Gap {
    fn from(error: umid_detect::DetectError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Names a reading of a suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Which<'a> {
    /// The method.
    pub method: &'a str,
    /// The run's variant.
    pub variant: &'a str,
    /// The reading's name.
    pub reading: &'a str,
}

impl<'a> Which<'a> {
    /// A reading of a method's default run.
    pub const fn of(method: &'a str, reading: &'a str) -> Self {
        Self { method, variant: "", reading }
    }
}

/// The readings that the tables of this project are about.
pub const PAPER: Which<'_> = Which::of("inversion", "paper");
pub const SIMILARITY: Which<'_> = Which::of("inversion", "similarity");
pub const VARIABILITY: Which<'_> = Which::of("inversion", "variability");
pub const CALIBRATED: Which<'_> = Which::of("calibrated", "calibrated");
pub const CSA: Which<'_> = Which::of("csa", "CSA");

/// The level of tables on whole lists.
pub const FALSE_DISCOVERY_RATE: f64 = 0.05;

/// All cells of a suite that were asked for.
pub struct Results<'a> {
    suite: &'a Suite,
    plan: &'a [Planned],
    cells: &'a [Measured],
    targets: Vec<Target>,
    bootstrap: Bootstrap,
    /// By target: a world is drawn once, however many tables ask for its names.
    names: RefCell<BTreeMap<String, Rc<Names>>>,
}

impl<'a> Results<'a> {
    /// Cells in the order of the plan, which returns to a target for its ablations.
    pub fn new(suite: &'a Suite, plan: &'a [Planned], cells: &'a [Measured]) -> Self {
        let mut targets: Vec<Target> = Vec::new();
        for planned in plan {
            if targets.iter().all(|target| target.name != planned.target.name) {
                targets.push(planned.target.clone());
            }
        }
        let bootstrap = Bootstrap::default();
        Self { suite, plan, cells, targets, bootstrap, names: RefCell::default() }
    }

    /// The names of a target's groups.
    pub fn names(&self, target: &Target) -> Result<Rc<Names>, Gap> {
        if let Some(names) = self.names.borrow().get(&target.name) {
            return Ok(Rc::clone(names));
        }
        let names = Rc::new(Names::of(target)?);
        self.names.borrow_mut().insert(target.name.clone(), Rc::clone(&names));
        Ok(names)
    }

    /// All targets of the suite, whether or not anything was asked of them.
    pub fn all_targets(&self) -> &'a [Target] {
        &self.suite.targets
    }

    /// Targets of which something was asked, in the suite's order.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The targets of a panel.
    pub fn panel(&self, panel: &str) -> Vec<&Target> {
        self.targets.iter().filter(|target| target.panel == panel).collect()
    }

    /// The targets that stand for columns of the paper family's tables, with the columns' names.
    pub fn columns(&self) -> Vec<(&Target, &str)> {
        self.targets.iter().filter_map(|t| Some((t, t.column.as_deref()?))).collect()
    }

    /// What the suite says of a panel's targets.
    pub fn panel_words(&self, panel: &str) -> &'a str {
        self.suite.panels.get(panel).map_or("", |words| words.trim())
    }

    /// Targets on which nothing was chosen and whose members can be found.
    pub fn tests(&self) -> Vec<&Target> {
        self.targets.iter().filter(|target| target.role == Role::Test).collect()
    }

    /// The cells with their plan.
    pub fn cells(&self) -> impl Iterator<Item = (&'a Planned, &'a Measured)> {
        self.plan.iter().zip(self.cells)
    }

    /// Every headline reading of the suite's runs, once, in the order of the runs.
    pub fn headlines(&self) -> Vec<Which<'a>> {
        let mut headlines = Vec::new();
        for (planned, cell) in self.cells() {
            let Outcome::Done(readings) = &cell.outcome else { continue };
            if planned.run.ablation.is_some() {
                continue;
            }
            for reading in readings.iter().filter(|reading| reading.headline) {
                let which =
                    Which { method: &cell.method, variant: &cell.variant, reading: &reading.name };
                if !headlines.contains(&which) {
                    headlines.push(which);
                }
            }
        }
        headlines
    }

    /// A reading of a target.
    pub fn reading(&self, target: &Target, which: Which<'_>) -> Result<&'a Reading, Gap> {
        let cell = self.cells.iter().find(|cell| {
            cell.target == target.name
                && cell.method == which.method
                && cell.variant == which.variant
        });
        match cell.map(|cell| &cell.outcome) {
            None => Err(Gap::NotAsked),
            Some(Outcome::Failed(reason)) => Err(Gap::Failed(reason.clone())),
            Some(Outcome::Done(readings)) => {
                readings.iter().find(|r| r.name == which.reading).ok_or(Gap::NotAsked)
            }
        }
    }

    /// All readings of a cell; none of one that failed or was not asked for.
    pub fn readings(&self, target: &Target, method: &str, variant: &str) -> &'a [Reading] {
        let cell = self.cells.iter().find(|cell| {
            cell.target == target.name && cell.method == method && cell.variant == variant
        });
        match cell.map(|cell| &cell.outcome) {
            Some(Outcome::Done(readings)) => readings,
            None | Some(Outcome::Failed(_)) => &[],
        }
    }

    /// What a reading says of one group of names.
    pub fn column(
        &self,
        target: &Target,
        which: Which<'_>,
        group: Group,
    ) -> Result<&'a Column, Gap> {
        self.reading(target, which)?.groups.get(&group).ok_or(Gap::NotAsked)
    }

    /// Area under the ROC curve of two groups, the first being the positives. Texts to which the
    /// reading does not apply are left out.
    pub fn area(
        &self,
        target: &Target,
        which: Which<'_>,
        [positive, negative]: [Group; 2],
    ) -> Result<Interval, Gap> {
        let positive = self.column(target, which, positive)?.present();
        let negative = self.column(target, which, negative)?.present();
        self.area_of(&positive, &negative)
    }

    /// Area under the ROC curve of two lists of scores.
    pub fn area_of(&self, positive: &[f64], negative: &[f64]) -> Result<Interval, Gap> {
        if positive.is_empty() || negative.is_empty() {
            return Err(Gap::Unresolved("the reading does not apply to these texts".to_owned()));
        }
        Ok(self.bootstrap.auc(positive, negative)?)
    }

    /// Members against non-members.
    pub fn auc(&self, target: &Target, which: Which<'_>) -> Result<Interval, Gap> {
        self.area(target, which, [Group::Member, Group::NonMember])
    }

    /// Members against non-members among the names that `keep` takes.
    pub fn auc_of(
        &self,
        target: &Target,
        which: Which<'_>,
        keep: impl Fn(&str) -> bool,
    ) -> Result<Interval, Gap> {
        let names = self.names(target)?;
        let kept = |group, names: &[String]| -> Result<Vec<f64>, Gap> {
            let scores = &self.column(target, which, group)?.scores;
            let kept = scores.iter().zip(names).filter(|(_, name)| keep(name));
            Ok(kept.filter_map(|(score, _)| *score).collect())
        };
        let members = kept(Group::Member, &names.members)?;
        let non_members = kept(Group::NonMember, &names.non_members)?;
        self.area_of(&members, &non_members)
    }

    /// Members of a crawl that were shown so often, against all non-members.
    pub fn auc_at(
        &self,
        target: &Target,
        which: Which<'_>,
        exposures: usize,
    ) -> Result<Interval, Gap> {
        let scores = &self.column(target, which, Group::Member)?.scores;
        let names = self.names(target)?;
        let members = scores.iter().zip(&names.exposures);
        let members = members.filter(|(_, count)| **count == exposures);
        let members: Vec<f64> = members.filter_map(|(score, _)| *score).collect();
        let non_members = self.column(target, which, Group::NonMember)?.present();
        if members.is_empty() {
            return Err(Gap::NotAsked);
        }
        Ok(self.bootstrap.auc(&members, &non_members)?)
    }

    /// The p-values of members and of non-members; none of a name without one.
    pub fn p_values(
        &self,
        target: &Target,
        which: Which<'_>,
    ) -> Result<[Vec<Option<f64>>; 2], Gap> {
        let of = |group| {
            let column = self.column(target, which, group)?;
            column.p_values.clone().ok_or(Gap::NotAsked)
        };
        Ok([of(Group::Member)?, of(Group::NonMember)?])
    }

    /// Whom Benjamini and Hochberg's rule over all members and non-members detects at this false discovery
    /// rate; none of a name without a p-value.
    pub fn discoveries(
        &self,
        target: &Target,
        which: Which<'_>,
        rate: f64,
    ) -> Result<[Vec<Option<bool>>; 2], Gap> {
        let groups = self.p_values(target, which)?;
        let all: Vec<f64> = groups.iter().flatten().copied().flatten().collect();
        let mut found = umid_detect::benjamini_hochberg(&all, rate)?.discoveries.into_iter();
        Ok(groups.map(|group| group.iter().map(|p| p.and_then(|_| found.next())).collect()))
    }

    /// The p-values of a crawl's non-members, each with how often members with the same first and
    /// with the same last part were shown.
    pub fn part_exposures(
        &self,
        target: &Target,
        which: Which<'_>,
    ) -> Result<Vec<(f64, [usize; 2])>, Gap> {
        let [_, p_values] = self.p_values(target, which)?;
        let names = self.names(target)?;
        let shown = p_values.into_iter().zip(&names.part_exposures);
        Ok(shown.filter_map(|(p, shown)| Some((p?, *shown))).collect())
    }

    /// The first reading's area less the second's, over the names that both score.
    pub fn difference(
        &self,
        target: &Target,
        first: Which<'_>,
        second: Which<'_>,
    ) -> Result<Interval, Gap> {
        let both = |group| -> Result<(Vec<f64>, Vec<f64>), Gap> {
            let a = &self.column(target, first, group)?.scores;
            let b = &self.column(target, second, group)?.scores;
            Ok(a.iter().zip(b).filter_map(|(a, b)| Some((((*a)?), (*b)?))).unzip())
        };
        let (members, non_members) = (both(Group::Member)?, both(Group::NonMember)?);
        let first = ClassScores { members: &members.0, non_members: &non_members.0 };
        let second = ClassScores { members: &members.1, non_members: &non_members.1 };
        Ok(self.bootstrap.auc_difference(first, second)?)
    }

    /// Share of members found while at most `rate` of the non-members are flagged.
    pub fn tpr(&self, target: &Target, which: Which<'_>, rate: f64) -> Result<Interval, Gap> {
        self.tpr_against(target, which, Group::NonMember, rate)
    }

    /// [`Self::tpr`] with another group for the non-members.
    pub fn tpr_against(
        &self,
        target: &Target,
        which: Which<'_>,
        non_members: Group,
        rate: f64,
    ) -> Result<Interval, Gap> {
        let members = self.column(target, which, Group::Member)?.present();
        let non_members = self.column(target, which, non_members)?.present();
        self.found(&members, &non_members, rate)
    }

    /// Share of the first scores that are found while at most `rate` of the second are flagged.
    pub fn found(&self, members: &[f64], non_members: &[f64], rate: f64) -> Result<Interval, Gap> {
        if members.is_empty() || non_members.is_empty() {
            return Err(Gap::Unresolved("the reading does not apply to these texts".to_owned()));
        }
        let found = self.bootstrap.tpr_at_fpr(members, non_members, rate)?;
        let count = non_members.len();
        found.ok_or_else(|| {
            Gap::Unresolved(format!(
                "a false-positive rate of {} % needs {:.0} non-members, there are {count}",
                100.0 * rate,
                (1.0 / rate).ceil()
            ))
        })
    }

    /// Share of non-members with a p-value of at most `level`.
    pub fn realised(
        &self,
        target: &Target,
        which: Which<'_>,
        group: Group,
        level: f64,
    ) -> Result<Interval, Gap> {
        let column = self.column(target, which, group)?;
        let p_values = column.p_values.as_ref().ok_or(Gap::NotAsked)?;
        let p_values: Vec<f64> = p_values.iter().copied().flatten().collect();
        Ok(realised_false_positive_rate(&p_values, level)?)
    }

    /// The reading's own decisions on a group.
    pub fn flags(&self, target: &Target, which: Which<'_>, group: Group) -> Result<Vec<bool>, Gap> {
        let column = self.column(target, which, group)?;
        let flags = column.flags.as_ref().ok_or(Gap::NotAsked)?;
        Ok(flags.iter().copied().flatten().collect())
    }

    /// The reading's own decisions on non-members, with their names.
    pub fn flagged_non_members(
        &self,
        target: &Target,
        which: Which<'_>,
    ) -> Result<Vec<(String, bool)>, Gap> {
        let names = self.names(target)?;
        let column = self.column(target, which, Group::NonMember)?;
        let flags = column.flags.as_ref().ok_or(Gap::NotAsked)?;
        let flagged = names.non_members.iter().zip(flags);
        Ok(flagged.filter_map(|(n, f)| Some((n.clone(), (*f)?))).collect())
    }

    /// How resamples are drawn.
    pub fn bootstrap(&self) -> &Bootstrap {
        &self.bootstrap
    }
}

/// The names of a target's groups, in the order of its columns.
pub struct Names {
    pub members: Vec<String>,
    pub non_members: Vec<String>,
    /// Of a crawl, and of a list that has it: how often each member was shown.
    pub exposures: Vec<usize>,
    /// Of a foreign target: which part of its list each member belongs to.
    pub groups: Vec<Option<String>>,
    /// Of a crawl: how often members with a non-member's first and last part were shown.
    part_exposures: Vec<[usize; 2]>,
}

impl Names {
    fn of(target: &Target) -> Result<Self, Gap> {
        let failed = |error: &dyn std::error::Error| Gap::Failed(chain(error));
        match (&target.foreign, target.recipe()) {
            (Some(foreign), _) => Ok(Self::listed(&foreign.groups().map_err(|e| failed(&e))?)),
            (None, None) => Err(Gap::NotAsked),
            (None, Some(recipe)) => {
                let world = World::draw(recipe.world, &NameLists::bundled());
                Ok(Self::drawn(&world.map_err(|e| failed(&e))?))
            }
        }
    }

    /// Of a list that others published.
    fn listed(groups: &Groups) -> Self {
        let texts = |names: &[Listed]| names.iter().map(|name| name.query.text.clone()).collect();
        // Exposures that are not known of everyone are of no use.
        let exposures: Option<Vec<usize>> = groups
            .members
            .iter()
            .map(|name| name.exposures.and_then(|count| usize::try_from(count).ok()))
            .collect();
        Self {
            members: texts(&groups.members),
            non_members: texts(&groups.non_members),
            exposures: exposures.unwrap_or_default(),
            groups: groups.members.iter().map(|name| name.group.clone()).collect(),
            part_exposures: Vec::new(),
        }
    }

    /// Of a world, drawn again.
    fn drawn(world: &World) -> Self {
        let (members, non_members) = world.groups();
        let paired = members.iter().filter(|person| !world.is_mispaired(person));
        let exposures: Vec<usize> =
            members.iter().filter_map(|person| world.exposures(person)).collect();
        let mut shown: [HashMap<&str, usize>; 2] = Default::default();
        for (person, count) in members.iter().zip(&exposures) {
            let parts = [&person.name.first, &person.name.last];
            for (shown, part) in shown.iter_mut().zip(parts) {
                *shown.entry(part.as_str()).or_default() += count;
            }
        }
        let part_exposures = non_members.iter().map(|person| {
            let of = |place: usize, part: &str| shown[place].get(part).copied().unwrap_or(0);
            [of(0, &person.name.first), of(1, &person.name.last)]
        });
        Self {
            part_exposures: part_exposures.collect(),
            members: paired.map(|person| person.name.to_string()).collect(),
            non_members: non_members.iter().map(|person| person.name.to_string()).collect(),
            exposures,
            groups: Vec::new(),
        }
    }
}

/// How a target's rows are marked.
pub fn standing(target: &Target) -> Standing {
    match target.role {
        Role::Development => Standing::UsedForChoosing,
        _ => Standing::Evidence,
    }
}

/// An area, or why there is none.
pub fn area_cell(area: Result<Interval, Gap>) -> Cell {
    cell(area, |interval| Cell::Interval { interval, digits: 3 })
}

/// A share, or why there is none.
pub fn share_cell(share: Result<Interval, Gap>) -> Cell {
    cell(share, |interval| Cell::Share { interval, digits: 1 })
}

/// A correlation, or why there is none.
pub fn correlation_cell(correlation: Result<Interval, Gap>) -> Cell {
    cell(correlation, |interval| Cell::Difference { interval, digits: 2 })
}

/// A share that may be as small as one in ten thousand, or why there is none.
pub fn small_share_cell(share: Result<Interval, Gap>) -> Cell {
    cell(share, |interval| Cell::Share { interval, digits: 2 })
}

/// A difference, or why there is none.
pub fn difference_cell(difference: Result<Interval, Gap>) -> Cell {
    cell(difference, |interval| Cell::Difference { interval, digits: 3 })
}

fn cell(value: Result<Interval, Gap>, shown: impl Fn(Interval) -> Cell) -> Cell {
    match value {
        Ok(interval) => shown(interval),
        Err(Gap::NotAsked) => Cell::Empty,
        Err(Gap::Failed(reason)) => Cell::Failed(reason),
        Err(Gap::Unresolved(reason)) => Cell::Unresolved(reason),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::plan::plan;
    use crate::record::{Cost, Sees};
    use crate::suites::Suite;

    const CSA_ALONE: &str = "about = \"\"\n[[target]]\nname = \"a\"\nrole = \"test\"\nseed = 1\n\
                             [[run]]\nmethod = \"csa\"\n";

    fn reading(members: &[Option<f64>], non_members: &[Option<f64>]) -> Reading {
        let groups = BTreeMap::from([
            (Group::Member, Column::of(members.to_vec())),
            (Group::NonMember, Column::of(non_members.to_vec())),
        ]);
        Reading::new("CSA", Sees::Images, groups, Cost::default()).headline()
    }

    /// What `look` returns for a suite with one cell of this outcome.
    fn with<T>(outcome: Outcome, look: impl FnOnce(&Results<'_>, &Target) -> T) -> T {
        let suite: Suite = toml::from_str(CSA_ALONE).unwrap();
        let plan = plan(&suite).unwrap();
        let cells = [Measured {
            key: plan[0].key.clone(),
            target: "a".into(),
            method: "csa".into(),
            variant: String::new(),
            seconds: 1.0,
            outcome,
        }];
        look(&Results::new(&suite, &plan, &cells), &suite.targets[0])
    }

    #[test]
    fn a_target_is_listed_once_though_its_ablations_come_last() {
        let suite = format!(
            "{CSA_ALONE}[[target]]\nname = \"b\"\nrole = \"test\"\nseed = 2\n\
             [[run]]\nmethod = \"blind\"\nvariant = \"again\"\nablation = \"again\"\n"
        );
        // The runs stand between the targets, which TOML allows.
        let suite: Suite = toml::from_str(&suite).unwrap();
        let plan = plan(&suite).unwrap();
        let order: Vec<&str> = plan.iter().map(|cell| cell.target.name.as_str()).collect();
        assert_eq!(order, ["a", "b", "a", "b"]);
        let results = Results::new(&suite, &plan, &[]);
        let names: Vec<&str> = results.targets().iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_failed_cell_says_so_and_one_that_was_not_asked_for_is_empty() {
        with(Outcome::Failed("no disk".into()), |results, target| {
            assert_eq!(area_cell(results.auc(target, CSA)), Cell::Failed("no disk".into()));
            assert_eq!(area_cell(results.auc(target, PAPER)), Cell::Empty);
            assert!(results.headlines().is_empty());
        });
    }

    #[test]
    fn texts_without_a_score_are_left_out_and_never_taken_for_zero() {
        let scores = reading(&[Some(2.0), None, Some(3.0)], &[Some(1.0), None]);
        with(Outcome::Done(vec![scores]), |results, target| {
            let area = results.auc(target, CSA).unwrap();
            assert!((area.estimate - 1.0).abs() < 1e-12);
            assert_eq!(results.headlines(), [CSA]);
        });
        with(Outcome::Done(vec![reading(&[None], &[Some(1.0)])]), |results, target| {
            assert!(matches!(results.auc(target, CSA), Err(Gap::Unresolved(_))));
        });
    }

    #[test]
    fn a_rate_that_the_sample_cannot_resolve_is_no_number() {
        let scores = vec![Some(1.0); 50];
        with(Outcome::Done(vec![reading(&scores, &scores)]), |results, target| {
            let cell = share_cell(results.tpr(target, CSA, 0.01));
            let Cell::Unresolved(reason) = cell else { panic!("{cell:?}") };
            assert!(reason.contains("needs 100") && reason.contains("50"), "{reason}");
            assert!(results.tpr(target, CSA, 0.1).is_ok());
            // Constant scores tell nothing apart, and are no error.
            assert!((results.auc(target, CSA).unwrap().estimate - 0.5).abs() < 1e-12);
        });
    }

    #[test]
    fn a_reading_without_decisions_or_p_values_has_none() {
        with(Outcome::Done(vec![reading(&[Some(1.0)], &[Some(0.0)])]), |results, target| {
            assert_eq!(results.flags(target, CSA, Group::Member), Err(Gap::NotAsked));
            assert_eq!(results.realised(target, CSA, Group::NonMember, 0.05), Err(Gap::NotAsked));
        });
    }
}
