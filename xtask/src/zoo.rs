//! `cargo xtask zoo`: trains the targets of a suite afresh.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use umid_testbed::{Card, Progress, Recipe, make_decoder, make_target};

use crate::suites::{Suite, workspace_root};

/// Train the targets of a suite; one that was interrupted goes on where it was.
#[derive(Args)]
pub struct Arguments {
    /// Which targets.
    #[arg(long, value_enum, default_value = "demo")]
    suite: Suite,
    /// Only the target of this name.
    #[arg(long)]
    only: Option<String>,
    /// Folder in which each target gets its own; the demo suite's is datasets/zoo, that of
    /// others target/zoo.
    #[arg(long)]
    out: Option<PathBuf>,
    /// What to train of each.
    #[arg(long, value_enum, default_value = "all")]
    part: Part,
    /// Steps instead of the recipe's. The target is then not what its name promises.
    #[arg(long)]
    steps: Option<usize>,
}

/// What of a target is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The model and its decoder.
    All,
    /// The model alone.
    Model,
    /// The decoder alone, for a model that is there.
    Decoder,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut recipes = arguments.suite.recipes();
    if let Some(only) = &arguments.only {
        let names: Vec<String> = recipes.iter().map(|r| r.name.clone()).collect();
        recipes.retain(|recipe| recipe.name == *only);
        ensure!(!recipes.is_empty(), "no target {only:?}; there is {}", names.join(", "));
    }
    let out = arguments.out.clone().unwrap_or_else(|| arguments.suite.folder());
    for mut recipe in recipes {
        if let Some(steps) = arguments.steps {
            recipe.training.steps = steps;
        }
        let name = recipe.name.clone();
        let started = Instant::now();
        let card = make(&recipe, arguments.part, &out)
            .with_context(|| format!("the target {name} failed"))?;
        report(&card, started.elapsed().as_secs_f64());
    }
    Ok(())
}

fn make(recipe: &Recipe, part: Part, out: &Path) -> anyhow::Result<Card> {
    let folder = out.join(&recipe.name);
    let work = workspace_root().join("target/zoo-work").join(&recipe.name);
    if part != Part::Decoder {
        let bar = Bar::new(recipe.name.clone())?;
        make_target(recipe, &folder, &work, |progress| bar.show(progress))?;
    }
    if part == Part::Model {
        return Ok(Card::read(&folder)?);
    }
    let bar = Bar::new(format!("{}'s decoder", recipe.name))?;
    Ok(make_decoder(recipe, &folder, |progress| bar.show(progress))?)
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
