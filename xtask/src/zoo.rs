//! `cargo xtask zoo`: trains the targets of a suite afresh.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use umid_testbed::{Card, Progress, Recipe, Stage, make_target};

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
    /// Steps instead of the recipe's. The target is then not what its name promises.
    #[arg(long)]
    steps: Option<usize>,
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
        let card = make(&recipe, &out).with_context(|| format!("the target {name} failed"))?;
        report(&card, started.elapsed().as_secs_f64());
    }
    Ok(())
}

fn make(recipe: &Recipe, out: &Path) -> anyhow::Result<Card> {
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template(
        "{prefix} {bar:30} {pos}/{len} steps, {per_sec}, {eta} left, {msg}",
    )?);
    let work = workspace_root().join("target/zoo-work").join(&recipe.name);
    let card = make_target(recipe, &out.join(&recipe.name), &work, |stage, progress| {
        let Progress { step, steps, loss } = progress;
        let what = match stage {
            Stage::Target => recipe.name.clone(),
            Stage::Decoder => format!("{}'s decoder", recipe.name),
        };
        if bar.is_hidden() && step.is_multiple_of(50) {
            eprintln!("{what}: step {step} of {steps}, loss {loss:.3}");
        }
        if bar.prefix() != what {
            bar.reset();
            bar.set_length(steps as u64);
            bar.set_prefix(what);
        }
        bar.set_position(step as u64);
        bar.set_message(format!("loss {loss:.3}"));
    })?;
    bar.finish();
    Ok(card)
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
