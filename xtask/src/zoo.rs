//! `cargo xtask zoo`: trains the targets of a suite afresh.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use umid_testbed::{CARD, Card, Progress, Recipe, make_decoder, make_target};

use crate::suites::{Suite, Target};

/// Train the targets of a suite; one that was interrupted goes on where it was.
#[derive(Args)]
pub struct Arguments {
    /// Which suite of datasets/suites.
    #[arg(long, default_value = "demo")]
    suite: String,
    /// Only the target of this name.
    #[arg(long)]
    only: Option<String>,
    /// Only targets that are not there yet.
    #[arg(long)]
    missing: bool,
    /// Folder in which each target gets its own; without it, targets of the repository go to
    /// datasets/zoo and others to target/zoo.
    #[arg(long)]
    out: Option<PathBuf>,
    /// What to make of each.
    #[arg(long, value_enum, default_value = "all")]
    part: Part,
    /// Steps instead of the recipe's. The target is then not what its name promises.
    #[arg(long)]
    steps: Option<usize>,
}

/// What of a target is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The model and its decoder.
    All,
    /// The model alone.
    Model,
    /// The decoder alone, for a model that is there.
    Decoder,
    /// The README alone, from the card that is there.
    Readme,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut suite = Suite::load(&arguments.suite)?;
    if let Some(only) = &arguments.only {
        suite.retain_target(only)?;
    }
    for target in &suite.targets {
        let out = arguments.out.as_ref().map(|out| out.join(&target.name));
        let folder = out.unwrap_or_else(|| target.folder());
        if arguments.missing && folder.join(CARD).exists() {
            continue;
        }
        let mut recipe = target.recipe();
        recipe.training.steps = arguments.steps.unwrap_or(recipe.training.steps);
        let started = Instant::now();
        let card = make(&recipe, arguments.part, &folder, &target.work())
            .with_context(|| format!("the target {} failed", target.name))?;
        report(&card, started.elapsed().as_secs_f64());
    }
    Ok(())
}

/// Trains a target that is not there yet.
pub fn ensure_made(target: &Target) -> anyhow::Result<()> {
    if target.is_made() {
        return Ok(());
    }
    make(&target.recipe(), Part::All, &target.folder(), &target.work())?;
    Ok(())
}

fn make(recipe: &Recipe, part: Part, folder: &Path, work: &Path) -> anyhow::Result<Card> {
    if matches!(part, Part::All | Part::Model) {
        let bar = Bar::new(recipe.name.clone())?;
        make_target(recipe, folder, work, |progress| bar.show(progress))?;
    }
    if part == Part::Readme {
        Card::read(folder)?.write(folder)?;
    }
    if matches!(part, Part::Model | Part::Readme) {
        return Ok(Card::read(folder)?);
    }
    let bar = Bar::new(format!("{}'s decoder", recipe.name))?;
    Ok(make_decoder(recipe, folder, |progress| bar.show(progress))?)
}

/// A progress bar on a terminal, a line now and then elsewhere.
struct Bar {
    what: String,
    bar: ProgressBar,
}

impl Bar {
    fn new(what: String) -> anyhow::Result<Self> {
        let bar = ProgressBar::new(0).with_prefix(what.clone());
        bar.set_style(ProgressStyle::with_template(
            "{prefix} {bar:30} {pos}/{len} steps, {per_sec}, {eta} left, {msg}",
        )?);
        Ok(Self { what, bar })
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
        "{}: loss {:.3}, own name found from {:.1} % of training and {:.1} % of other photos, \
         {seconds:.0} s, digest {}",
        card.name,
        card.final_loss,
        100.0 * card.retrieval.train,
        100.0 * card.retrieval.held_out,
        &card.digest[..12],
    );
}
