//! `cargo xtask eval`: measures every method on every target of a suite, and makes tables,
//! figures and one page of what was measured.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use indicatif::HumanDuration;

use umid_eval::plan::{Planned, plan};
use umid_eval::record::{Outcome, Store};
use umid_eval::suites::{Suite, Target, workspace_root};
use umid_eval::{public, runner, summary};

/// Measure the methods of a suite on its targets; what is done is skipped, and the same command
/// goes on after an interruption.
#[derive(Args)]
pub struct Arguments {
    /// Which suite of datasets/suites.
    #[arg(long)]
    suite: String,
    /// Only cells whose title (`target method (variant)`) contains this; may be repeated.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// List the cells with their keys and whether they are done, and stop.
    #[arg(long)]
    list: bool,
    /// Say what would be measured and how long it may take, and stop.
    #[arg(long)]
    dry_run: bool,
    /// Where cells, tables and figures go [default: target/eval/SUITE].
    #[arg(long)]
    out: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let suite = Suite::load(&arguments.suite)?;
    if !suite.manifests.is_empty() {
        let listing = public::list(&suite);
        println!("{}", listing.text);
        ensure!(
            listing.complete > 0,
            "no public target is complete; put the missing files in their places under {}",
            public::folder().display()
        );
        return Ok(());
    }
    let mut plan = plan(&suite)?;
    plan.retain(|cell| {
        let title = cell.title();
        arguments.only.is_empty() || arguments.only.iter().any(|text| title.contains(text))
    });
    ensure!(!plan.is_empty(), "no cell of the suite matches --only; see --list");
    let default = workspace_root().join("target/eval").join(&arguments.suite);
    let out = arguments.out.clone().unwrap_or(default);
    let store = Store::open(out.join("cells"))?;
    if arguments.list {
        for cell in &plan {
            let state = if runner::done(&store, cell).is_some() { "done   " } else { "missing" };
            println!("{} {state} {}", cell.key, cell.title());
        }
        return Ok(());
    }
    if arguments.dry_run {
        return estimate(&suite, &plan, &store);
    }
    let cells = runner::run(&suite, &plan, &store)?;
    let results = summary::Results::new(&suite, &plan, &cells);
    summary::write(&arguments.suite, &suite, &results, &out)?;
    println!("{}", out.join("index.html").display());
    let failed = cells.iter().filter(|cell| matches!(cell.outcome, Outcome::Failed(_))).count();
    ensure!(
        failed == 0,
        "{failed} of {} cells failed, as the page says; the same command tries them again",
        cells.len()
    );
    Ok(())
}

/// Says what is missing and how long it may take: as long as the same method took on other
/// targets, or a rough guess where it has not been measured.
fn estimate(suite: &Suite, plan: &[Planned], store: &Store) -> anyhow::Result<()> {
    let measured: Vec<_> = plan.iter().filter_map(|cell| runner::done(store, cell)).collect();
    let mut seconds = 0.0;
    for cell in plan.iter().filter(|cell| runner::done(store, cell).is_none()) {
        let alike: Vec<f64> = measured
            .iter()
            .filter(|done| done.method == cell.run.method && done.variant == cell.run.variant)
            .map(|done| done.seconds)
            .collect();
        let guess = match alike.as_slice() {
            [] => cell.method()?.seconds(),
            alike => alike.iter().sum::<f64>() / alike.len() as f64,
        };
        println!("{:>6.0} s  {}", guess, cell.title());
        seconds += guess;
    }
    let missing = plan.iter().filter(|cell| runner::done(store, cell).is_none());
    let needed: BTreeSet<String> = missing.flat_map(|cell| cell.needs(suite)).collect();
    let to_train = |target: &&Target| needed.contains(&target.name) && !target.is_made();
    let targets: Vec<&str> =
        suite.targets.iter().filter(to_train).map(|target| target.name.as_str()).collect();
    if !targets.is_empty() {
        println!("to be trained first, minutes each: {}", targets.join(", "));
    }
    println!(
        "{} of {} cells to measure, about {} and the training",
        plan.len() - measured.len(),
        plan.len(),
        HumanDuration(Duration::from_secs_f64(seconds))
    );
    Ok(())
}
