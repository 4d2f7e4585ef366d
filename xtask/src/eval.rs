//! `cargo xtask eval`: measures every method on every target of a suite, and makes tables,
//! figures and one page of what was measured.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use indicatif::HumanDuration;
use umid_eval::suites::Suite;
use umid_eval::{Evaluation, State};

/// Measure the methods of a suite on its targets. What is done is skipped, and after an
/// interruption the same command goes on.
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
    /// Where the files of published targets are [default: datasets/public].
    #[arg(long, value_name = "FOLDER")]
    public: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut suite = Suite::load(&arguments.suite)?;
    if let Some(folder) = &arguments.public {
        suite.read_public(folder);
    }
    let Arguments { suite: name, only, out, .. } = arguments;
    let evaluation = Evaluation::open(name, suite, only, out.clone())?;
    if arguments.list {
        list(&evaluation);
        return Ok(());
    }
    let missing = evaluation.missing();
    if !missing.is_empty() {
        eprintln!(
            "not everything is at hand; what is missing is left out:\n\n{}",
            missing.join("\n")
        );
    }
    if arguments.dry_run {
        return estimate(&evaluation);
    }
    let measured = evaluation.run()?;
    println!("{}", measured.page.display());
    ensure!(
        measured.failed == 0,
        "{} of {} cells failed, as the page says; the same command tries them again",
        measured.failed,
        measured.cells
    );
    Ok(())
}

fn list(evaluation: &Evaluation) {
    for cell in evaluation.cells() {
        let state = match cell.state {
            State::Done => "done   ",
            State::ToDo => "to do  ",
            State::NoFiles => "MISSING",
        };
        println!("{} {state} {}", cell.key, cell.title);
    }
    for listing in evaluation.missing() {
        print!("\n{listing}");
    }
}

fn estimate(evaluation: &Evaluation) -> anyhow::Result<()> {
    let estimate = evaluation.estimate()?;
    for (title, seconds) in &estimate.missing {
        match seconds {
            Some(seconds) => println!("{seconds:>6.0} s  {title}"),
            None => println!("     ? s  {title}"),
        }
    }
    if !estimate.to_train.is_empty() {
        println!("to be trained first, minutes each: {}", estimate.to_train.join(", "));
    }
    let seconds = estimate.missing.iter().filter_map(|(_, seconds)| *seconds).sum();
    println!(
        "{} of {} cells to measure, about {} and the training",
        estimate.missing.len(),
        estimate.cells,
        HumanDuration(Duration::from_secs_f64(seconds))
    );
    let unknown = estimate.missing.iter().filter(|(_, seconds)| seconds.is_none()).count();
    if unknown > 0 {
        println!("{unknown} of these are of unknown length: nothing like them has been measured");
    }
    Ok(())
}
