//! Measures the cells of a plan that are not there yet.
//!
//! A cell that fails is kept with its reason and tried again by the next run; the others go on.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::error::chain;
use crate::plan::Planned;
use crate::record::{Cell, Outcome, Store};
use crate::subject::Subject;
use crate::suites::{Suite, Target};
use crate::zoo;

/// Measures what is missing and returns all cells in the plan's order.
pub fn run(suite: &Suite, plan: &[Planned], store: &Store) -> crate::Result<Vec<Cell>> {
    train(suite, plan, store);
    let bar = ProgressBar::new(plan.len() as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} cells, {elapsed} so far, {msg}");
    bar.set_style(style.expect("a template of indicatif's"));
    let mut cells = Vec::with_capacity(plan.len());
    let mut loaded: Option<Loaded> = None;
    for planned in plan {
        if let Some(cell) = done(store, planned) {
            cells.push(cell);
            bar.inc(1);
            continue;
        }
        bar.set_message(planned.title());
        // One target at a time is in memory.
        if loaded.as_ref().is_none_or(|l| l.name != planned.target.name) {
            loaded = Some(Loaded::new(suite, planned));
        }
        let subject = loaded
            .as_ref()
            .map_or(Err("no target"), |l| l.subject.as_ref().map_err(String::as_str));
        let started = Instant::now();
        let outcome = match subject {
            Ok(subject) => measure(planned, subject),
            Err(reason) => Outcome::Failed(reason.to_owned()),
        };
        let cell = Cell {
            key: planned.key.clone(),
            target: planned.target.name.clone(),
            method: planned.run.method.clone(),
            variant: planned.run.variant.clone(),
            seconds: started.elapsed().as_secs_f64(),
            outcome,
        };
        store.put(&cell)?;
        say(&bar, planned, &cell);
        cells.push(cell);
        bar.inc(1);
    }
    bar.finish_with_message("");
    Ok(cells)
}

/// A cell that was measured; a failed one is not done.
pub fn done(store: &Store, planned: &Planned) -> Option<Cell> {
    store.get(&planned.key).filter(|cell| matches!(cell.outcome, Outcome::Done(_)))
}

/// Trains what the missing cells need, side by side. One that fails is tried again when its cells
/// come, which then tell why; so does one that panics.
fn train(suite: &Suite, plan: &[Planned], store: &Store) {
    let missing = plan.iter().filter(|cell| done(store, cell).is_none());
    let names: BTreeSet<String> = missing.flat_map(|cell| cell.needs(suite)).collect();
    let targets: Vec<&Target> =
        suite.targets.iter().filter(|target| names.contains(&target.name)).collect();
    let _ = guarded(|| Ok(zoo::make_missing(&targets)));
}

struct Loaded {
    name: String,
    /// A target that cannot be had fails its cells and no others.
    subject: Result<Subject, String>,
}

impl Loaded {
    fn new(suite: &Suite, planned: &Planned) -> Self {
        let subject = guarded(|| Subject::load(&planned.target, suite));
        Self { name: planned.target.name.clone(), subject }
    }
}

fn measure(planned: &Planned, subject: &Subject) -> Outcome {
    match guarded(|| (planned.method()?.measure)(subject, &planned.run.set)) {
        Ok(readings) => Outcome::Done(readings),
        Err(reason) => Outcome::Failed(reason),
    }
}

/// The value, or why there is none. A panic of one method must not take the others with it.
fn guarded<T>(work: impl FnOnce() -> crate::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| chain(&error)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("panicked: {}", text.unwrap_or("without a message")))
        }
    }
}

fn say(bar: &ProgressBar, planned: &Planned, cell: &Cell) {
    let line = match &cell.outcome {
        Outcome::Done(_) => {
            format!(
                "{}: {}",
                planned.title(),
                HumanDuration(std::time::Duration::from_secs_f64(cell.seconds))
            )
        }
        Outcome::Failed(reason) => format!("{}: FAILED: {reason}", planned.title()),
    };
    if bar.is_hidden() { eprintln!("{line}") } else { bar.println(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_and_a_panic_become_reasons() {
        let failed = guarded::<()>(|| Err(crate::Error::NothingToTime));
        assert_eq!(failed, Err("no text to time".to_owned()));
        let panicked = guarded::<()>(|| panic!("at {}", 7));
        assert_eq!(panicked, Err("panicked: at 7".to_owned()));
        assert_eq!(guarded(|| Ok(3)), Ok(3));
    }

    /// A target whose training cannot start: more names to a batch than there are people.
    const BROKEN: &str = "about = \"\"\n[[target]]\nname = \"broken\"\nrole = \"test\"\n\
                          seed = 1\nmembers = 4\nnon_members = 4\n[[target]]\n\
                          name = \"alpha-100\"\nrole = \"test\"\ncommitted = true\n\
                          seed = 21\n[[run]]\nmethod = \"csa\"\n";

    #[test]
    fn a_target_that_cannot_be_had_fails_alone_and_is_tried_again() {
        let suite: Suite = toml::from_str(BROKEN).unwrap();
        let plan = super::super::plan::plan(&suite).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_owned()).unwrap();
        let cells = run(&suite, &plan, &store).unwrap();
        let Outcome::Failed(reason) = &cells[0].outcome else { panic!("{:?}", cells[0]) };
        assert!(reason.contains("names_per_batch"), "{reason}");
        assert!(matches!(cells[1].outcome, Outcome::Done(_)), "{:?}", cells[1]);
        // What is done is not measured again, what failed is.
        assert!(done(&store, &plan[0]).is_none());
        let seconds = done(&store, &plan[1]).expect("kept").seconds;
        let again = run(&suite, &plan, &store).unwrap();
        assert_eq!(again[1].seconds.to_bits(), seconds.to_bits());
    }
}
