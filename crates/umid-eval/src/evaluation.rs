//! An evaluation from its suite to its page: what `cargo xtask eval` calls.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::error::Error;
use crate::plan::{self, Planned};
use crate::record::{Outcome, Store};
use crate::suites::{Suite, Target, workspace_root};
use crate::{runner, summary};

/// The cells of a suite and where they are kept.
pub struct Evaluation {
    name: String,
    suite: Suite,
    plan: Vec<Planned>,
    /// Cells of foreign targets whose files are missing.
    absent: Vec<Planned>,
    store: Store,
    out: PathBuf,
}

/// A cell that a suite asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Digest of everything that the outcome depends on.
    pub key: String,
    /// Such as `alpha-100 inversion (steps 50)`.
    pub title: String,
    /// Whether it has been or can be measured.
    pub state: State,
}

/// How far a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has been measured.
    Done,
    /// It can be measured.
    ToDo,
    /// Files of its target are missing.
    NoFiles,
}

/// What is missing and how long it may take.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Title and seconds of each cell that has not been measured: as long as the same method took
    /// on other targets, or a rough guess where it has not been measured. Foreign targets are of
    /// any size, so of these only what others of them took is known.
    pub missing: Vec<(String, Option<f64>)>,
    /// How many cells the plan has.
    pub cells: usize,
    /// Names of targets that have to be trained first.
    pub to_train: Vec<String>,
}

/// What became of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// The page of results.
    pub page: PathBuf,
    /// How many cells the plan has.
    pub cells: usize,
    /// How many of them failed; the page says why.
    pub failed: usize,
}

impl Evaluation {
    /// Plans a suite. Only cells whose title contains one of `only` are part of it, or all where
    /// nothing is given. Results go to `out`, or to `target/eval/NAME` of the workspace.
    ///
    /// # Errors
    /// When the suite asks for what does not exist, when no cell is left, or when the folder of
    /// cells cannot be made.
    pub fn open(
        name: &str,
        suite: Suite,
        only: &[String],
        out: Option<PathBuf>,
    ) -> crate::Result<Self> {
        let mut plan = plan::plan(&suite)?;
        plan.retain(|cell| {
            let title = cell.title();
            only.is_empty() || only.iter().any(|text| title.contains(text))
        });
        if plan.is_empty() {
            return Err(Error::NoCell { suite: name.to_owned(), only: only.to_vec() });
        }
        let at_hand = |cell: &Planned| cell.target.is_at_hand();
        let (plan, absent): (Vec<Planned>, Vec<Planned>) = plan.into_iter().partition(at_hand);
        let out = out.unwrap_or_else(|| workspace_root().join("target/eval").join(name));
        let store = Store::open(out.join("cells"))?;
        Ok(Self { name: name.to_owned(), suite, plan, absent, store, out })
    }

    /// The cells, in the order in which they are measured, and then those whose targets' files are
    /// missing.
    pub fn cells(&self) -> Vec<Listed> {
        let listed =
            |cell: &Planned, state| Listed { key: cell.key.clone(), title: cell.title(), state };
        let at_hand = self.plan.iter().map(|cell| match runner::done(&self.store, cell) {
            Some(_) => listed(cell, State::Done),
            None => listed(cell, State::ToDo),
        });
        at_hand.chain(self.absent.iter().map(|cell| listed(cell, State::NoFiles))).collect()
    }

    /// Of each published list with a target that is asked for and is not at hand: what is there of
    /// it, where the rest is expected, and how to get it.
    pub fn missing(&self) -> Vec<String> {
        let asked = |target: &Target| {
            self.plan.iter().chain(&self.absent).any(|cell| cell.target.name == target.name)
        };
        self.suite.missing(asked)
    }

    /// Says what is missing and how long it may take.
    ///
    /// # Errors
    /// When the plan names a method that does not exist, which [`Evaluation::open`] refuses.
    pub fn estimate(&self) -> crate::Result<Estimate> {
        let measured: Vec<_> = self
            .plan
            .iter()
            .filter_map(|cell| Some((&cell.target, runner::done(&self.store, cell)?)))
            .collect();
        let mut missing = Vec::new();
        let mut needed = BTreeSet::new();
        for cell in self.plan.iter().filter(|cell| runner::done(&self.store, cell).is_none()) {
            let alike: Vec<f64> = measured
                .iter()
                .filter(|(_, done)| {
                    done.method == cell.run.method && done.variant == cell.run.variant
                })
                .filter(|(target, _)| target.foreign.is_some() == cell.target.foreign.is_some())
                .map(|(_, done)| done.seconds)
                .collect();
            let seconds = match alike.as_slice() {
                [] if cell.target.foreign.is_some() => None,
                [] => Some(cell.method()?.seconds),
                alike => Some(alike.iter().sum::<f64>() / alike.len() as f64),
            };
            missing.push((cell.title(), seconds));
            needed.extend(cell.needs(&self.suite));
        }
        let to_train = |target: &&Target| needed.contains(&target.name) && !target.is_made();
        let to_train = self.suite.targets.iter().filter(to_train).map(|target| target.name.clone());
        Ok(Estimate { missing, cells: self.plan.len(), to_train: to_train.collect() })
    }

    /// Measures what is missing and writes tables, figures and the page.
    ///
    /// # Errors
    /// When no target is at hand, or when cells or results cannot be written. A cell that fails is no error: it is kept with its
    /// reason, and the next call tries it again.
    pub fn run(&self) -> crate::Result<Measured> {
        if self.plan.is_empty() {
            return Err(Error::NothingAtHand { suite: self.name.clone() });
        }
        let cells = runner::run(&self.suite, &self.plan, &self.store)?;
        let results = summary::Results::new(&self.suite, &self.plan, &cells);
        summary::write(&self.name, &self.suite, &results, &self.out)?;
        let failed = cells.iter().filter(|cell| matches!(cell.outcome, Outcome::Failed(_))).count();
        Ok(Measured { page: self.out.join("index.html"), cells: cells.len(), failed })
    }
}
