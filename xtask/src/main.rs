//! Developer tasks, run as `cargo xtask TASK`. One file a task: its arguments and its `run`.

mod bank;
mod suites;
mod zoo;

use clap::{Parser, Subcommand};

/// Developer tasks of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Zoo(zoo::Arguments),
    Bank(bank::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Zoo(arguments) => zoo::run(&arguments),
        Task::Bank(arguments) => bank::run(&arguments),
    }
}
