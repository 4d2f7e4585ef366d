//! `cargo xtask zoo`: trains the targets of a suite afresh.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use umid_eval::suites::{Suite, Target};
use umid_eval::zoo::{self, Order};
use umid_testbed::CARD;

/// Train the targets of a suite; one that was interrupted continues from where it stopped.
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
#[derive(Debug, Clone, Copy, ValueEnum)]
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

impl From<Part> for zoo::Part {
    fn from(part: Part) -> Self {
        match part {
            Part::All => Self::All,
            Part::Model => Self::Model,
            Part::Decoder => Self::Decoder,
            Part::Readme => Self::Readme,
        }
    }
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut suite = Suite::load(&arguments.suite)?;
    if let Some(only) = &arguments.only {
        suite.retain_target(only)?;
    }
    let order =
        Order { part: arguments.part.into(), steps: arguments.steps, out: arguments.out.clone() };
    let wanted =
        |target: &&Target| !(arguments.missing && order.folder(target).join(CARD).exists());
    let targets: Vec<&Target> = suite.targets.iter().filter(wanted).collect();
    Ok(zoo::train(&targets, &order)?)
}
