//! `cargo xtask eval`: measures every method on every target of a suite, and makes tables,
//! figures and one page of what was measured.
//!
//! suite -> plan (cells) -> runner (methods on subjects) -> records -> tables and figures

mod figure;
mod markup;
mod methods;
mod page;
pub mod plan;
mod record;
mod runner;
mod subject;
mod summary;
mod table;

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;

use self::plan::Planned;
use self::record::Store;
use crate::suites::{Suite, workspace_root};

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
    /// List the cells and whether they are done, and stop.
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
    let plan = plan::plan(&suite)?;
    let wanted: Vec<Planned> = plan
        .into_iter()
        .filter(|cell| {
            let title = cell.title();
            arguments.only.is_empty() || arguments.only.iter().any(|text| title.contains(text))
        })
        .collect();
    ensure!(!wanted.is_empty(), "no cell of the suite matches --only; see --list");
    let default = workspace_root().join("target/eval").join(&arguments.suite);
    let out = arguments.out.clone().unwrap_or(default);
    let store = Store::open(out.join("cells"))?;
    if arguments.list {
        for cell in &wanted {
            let state = if runner::done(&store, cell).is_some() { "done" } else { "    " };
            println!("{state} {}", cell.title());
        }
        return Ok(());
    }
    let cells = runner::run(&suite, &wanted, &store)?;
    let results = summary::Results::new(&wanted, &cells);
    summary::write(&arguments.suite, &suite, &results, &out)?;
    println!("{}", out.join("index.html").display());
    let failed =
        cells.iter().filter(|cell| matches!(cell.outcome, record::Outcome::Failed(_))).count();
    ensure!(
        failed == 0,
        "{failed} of {} cells failed; the same command tries them again",
        cells.len()
    );
    Ok(())
}
