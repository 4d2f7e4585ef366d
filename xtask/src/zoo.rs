//! `cargo xtask zoo`: trains the targets of a suite afresh.

use std::path::PathBuf;

use clap::Args;
use umid_eval::suites::{Suite, Target};
use umid_eval::zoo::{Order, train};
use umid_testbed::{CARD, Card};

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
    /// Write only the README of each anew, from the card that is there.
    #[arg(long)]
    readme: bool,
    /// Steps instead of the recipe's. The target is then not what its name promises.
    #[arg(long)]
    steps: Option<usize>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut suite = Suite::load(&arguments.suite)?;
    if let Some(only) = &arguments.only {
        suite.retain_target(only)?;
    }
    let order = Order { steps: arguments.steps, out: arguments.out.clone() };
    let wanted =
        |target: &&Target| !(arguments.missing && order.folder(target).join(CARD).exists());
    let targets: Vec<&Target> = suite.targets.iter().filter(wanted).collect();
    if arguments.readme {
        for folder in targets.iter().map(|target| order.folder(target)) {
            Card::read(&folder)?.write(&folder)?;
        }
        return Ok(());
    }
    Ok(train(&targets, &order)?)
}
