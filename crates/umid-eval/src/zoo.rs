//! Trains the targets of a suite.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use umid_testbed::{Card, Progress, Recipe, make_target};

use crate::error::Error;
use crate::suites::Target;

/// How targets are trained.
#[derive(Debug, Clone)]
pub struct Order {
    /// Steps instead of the recipe's. The target is then not what its name promises.
    pub steps: Option<usize>,
    /// Folder in which each target gets its own, instead of the targets' own folders.
    pub out: Option<PathBuf>,
}

impl Order {
    /// Where a target goes.
    pub fn folder(&self, target: &Target) -> PathBuf {
        self.out.as_ref().map_or_else(|| target.folder(), |out| out.join(&target.name))
    }
}

/// Trains targets; one that was interrupted continues from where it stopped.
///
/// # Errors
/// The first target's that failed; the others are still trained.
pub fn train(targets: &[&Target], order: &Order) -> crate::Result<()> {
    let failures = side_by_side(targets, |target, bars| {
        let (mut recipe, work) = recipe_of(target)?;
        recipe.training.steps = order.steps.unwrap_or(recipe.training.steps);
        let started = Instant::now();
        let card = make(&recipe, &order.folder(target), &work, bars)?;
        report(&card, started.elapsed().as_secs_f64());
        Ok(())
    });
    match failures.into_iter().next() {
        Some((target, source)) => Err(Error::Training { target, source: Box::new(source) }),
        None => Ok(()),
    }
}

/// Trains a target that is not there yet.
pub(crate) fn ensure_made(target: &Target) -> crate::Result<()> {
    make_missing(&[target]).into_values().next().map_or(Ok(()), Err)
}

/// Trains the targets that are not there yet. Returns why some could not be, by name.
pub(crate) fn make_missing(targets: &[&Target]) -> BTreeMap<String, Error> {
    let missing: Vec<&Target> = targets.iter().copied().filter(|t| !t.is_made()).collect();
    side_by_side(&missing, |target, bars| {
        let (recipe, work) = recipe_of(target)?;
        make(&recipe, &target.folder(), &work, bars).map(drop)
    })
}

/// Does the work on every target and returns the failures by name. As many targets are in work as
/// there are cores, since one training keeps one core busy. Snapshots of one training come one after
/// the other, because each continues the last.
fn side_by_side(
    targets: &[&Target],
    work: impl Fn(&Target, &MultiProgress) -> crate::Result<()> + Sync,
) -> BTreeMap<String, Error> {
    let mut trainings: BTreeMap<Option<PathBuf>, Vec<&Target>> = BTreeMap::new();
    for target in targets {
        trainings.entry(target.work()).or_default().push(target);
    }
    let (queue, failures) = (Mutex::new(trainings), Mutex::new(BTreeMap::new()));
    let bars = MultiProgress::new();
    let next = || queue.lock().expect("no holder panics").pop_first();
    let worker = || {
        while let Some((_, stops)) = next() {
            for target in stops {
                if let Err(error) = work(target, &bars) {
                    let mut failures = failures.lock().expect("no holder panics");
                    failures.insert(target.name.clone(), error);
                }
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores.min(targets.len()) {
            scope.spawn(worker);
        }
    });
    failures.into_inner().expect("no holder panics")
}

/// What a target is trained by, and where its unfinished training is kept.
fn recipe_of(target: &Target) -> crate::Result<(Recipe, PathBuf)> {
    let foreign = || Error::NotTrainedHere { target: target.name.clone() };
    target.recipe().zip(target.work()).ok_or_else(foreign)
}

fn make(recipe: &Recipe, folder: &Path, work: &Path, bars: &MultiProgress) -> crate::Result<Card> {
    let bar = Bar::new(recipe.name.clone(), bars);
    Ok(make_target(recipe, folder, work, |progress| bar.show(progress))?)
}

/// A progress bar on a terminal; elsewhere, a line every so many steps.
struct Bar {
    what: String,
    bar: ProgressBar,
}

impl Bar {
    fn new(what: String, bars: &MultiProgress) -> Self {
        let bar = bars.add(ProgressBar::new(0).with_prefix(what.clone()));
        let style = ProgressStyle::with_template(
            "{prefix} {bar:30} {pos}/{len} steps, {per_sec}, {eta} left, {msg}",
        );
        bar.set_style(style.expect("a template of indicatif's"));
        Self { what, bar }
    }

    fn show(&self, Progress { step, steps, loss }: Progress) {
        self.bar.set_length(steps as u64);
        self.bar.set_position(step as u64);
        self.bar.set_message(format!("loss {loss:.3}"));
        if self.bar.is_hidden() && step.is_multiple_of(50) {
            eprintln!("{}: step {step} of {steps}, loss {loss:.3}", self.what);
        }
        if step == steps {
            self.bar.finish();
        }
    }
}

fn report(card: &Card, seconds: f64) {
    eprintln!(
        "{}: loss {:.3}, own name found from {:.1} % of training and {:.1} % of other inputs, \
         {seconds:.0} s, digest {}",
        card.name,
        card.final_loss,
        100.0 * card.retrieval.train,
        100.0 * card.retrieval.held_out,
        &card.digest[..12],
    );
}
