//! Developer tasks, run as `cargo xtask TASK`. One file a task: its arguments and its `run`.
#![expect(clippy::print_stdout, reason = "lists and paths are a command's answer")]

mod bank;
mod bench;
#[path = "../../crates/umid-models/tests/compare/mod.rs"]
mod compare;
mod eval;
mod parity;
mod zoo;

use clap::{Parser, Subcommand};

/// A training step allocates and frees hundreds of megabytes; the system's allocator gives them
/// back to the kernel each time, which costs a tenth of the step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    Eval(eval::Arguments),
    Parity(parity::Arguments),
    Bench(bench::Arguments),
    #[command(hide = true)]
    BenchWorker(bench::worker::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Zoo(arguments) => zoo::run(&arguments),
        Task::Bank(arguments) => bank::run(&arguments),
        Task::Eval(arguments) => eval::run(&arguments),
        Task::Parity(arguments) => parity::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::BenchWorker(arguments) => bench::worker::run(&arguments),
    }
}
