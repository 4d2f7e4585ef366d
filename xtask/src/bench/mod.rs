//! `cargo xtask bench`: times our inversion loop beside PyTorch's, and sets both beside the time that
//! the matrix products alone would take on this machine.
//!
//! Every contender is a process that loads its model once and is then asked for timings in turn
//! with the others, so that a machine that slows down does so for all of them.

mod contender;
mod models;
mod table;
mod texts;
pub mod worker;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use umid_eval::suites::workspace_root;
use umid_models::{Model, Precision};

use self::contender::{Contender, Kind};
use self::models::{MODELS, Timed, operations};
use self::worker::Request;

/// Side of the matrices whose product measures the machine.
const MATRIX_SIDE: usize = 2048;
/// Seconds that one timing should take at least.
const LONG_ENOUGH: f64 = 1.5;

/// Time inversion steps or texts, ours and PyTorch's in turn, and set them beside the machine's rate
/// of matrix products.
#[derive(Args)]
pub struct Arguments {
    /// What to time.
    #[arg(value_enum, default_value_t = What::Inversions)]
    what: What,
    /// Where to run: `cpu`, `wgpu` or `cuda` (the latter two as built with their feature).
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Only this model; may be repeated [default: all].
    #[arg(long, value_name = "NAME")]
    model: Vec<String>,
    /// Precisions to compute in: `f32`, `bf16` or `f16`; a CPU has at most the first two.
    #[arg(long, value_delimiter = ',', value_name = "NAME,...", default_values_t = [Precision::F32, Precision::Bf16])]
    precision: Vec<Precision>,
    /// Batch sizes, instead of each model's own list.
    #[arg(long, value_delimiter = ',', value_name = "N,...")]
    batch: Vec<usize>,
    /// Timings of each contender.
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: usize,
    /// A Python with what scripts/requirements.txt lists [default: an environment that is made
    /// under target/bench].
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// Leave PyTorch out.
    #[arg(long)]
    ours_only: bool,
    /// Leave `torch.compile` out; it takes minutes to compile.
    #[arg(long)]
    no_compile: bool,
    /// Time our loop without the kernels of frozen blocks too.
    #[arg(long)]
    unfused: bool,
    /// Where datasets and scripts are [default: this workspace].
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Where the table goes, as text and as JSON [default: target/bench].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Inversion steps.
    Inversions,
    /// What an audit by text alone asks of a text tower, and such an audit.
    Texts,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Report {
    device: String,
    cores: usize,
    rates: Vec<Rate>,
    rows: Vec<Row>,
}

/// Matrix products of one library.
#[derive(Debug, Serialize)]
struct Rate {
    contender: String,
    precision: Precision,
    /// Operations per second of each timing.
    rates: Vec<f64>,
}

/// Timings of one contender on one model and batch.
#[derive(Debug, Serialize)]
struct Row {
    model: &'static str,
    batch: usize,
    contender: String,
    precision: Precision,
    /// Seconds per step of the whole batch.
    seconds: Vec<f64>,
    /// Operations of a step of the whole batch.
    operations: f64,
    /// Most memory of the process, in MiB.
    memory: Option<f64>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(arguments.rounds > 0, "--rounds is 0, expected at least 1");
    let root = arguments.root.clone().unwrap_or_else(workspace_root);
    let out = arguments.out.clone().unwrap_or_else(|| root.join("target/bench"));
    fs::create_dir_all(&out)?;
    if arguments.what == What::Texts {
        return texts::run(arguments, &root, &out);
    }
    let models: Vec<Timed> = if arguments.model.is_empty() {
        MODELS.to_vec()
    } else {
        arguments
            .model
            .iter()
            .map(|name| Timed::among(&MODELS, name))
            .collect::<anyhow::Result<_>>()?
    };
    let python = match (&arguments.python, arguments.ours_only) {
        (_, true) => None,
        (Some(python), false) => Some(python.clone()),
        (None, false) => Some(contender::environment(&root, &out)?),
    };
    let mut kinds = Vec::new();
    for &precision in &arguments.precision {
        kinds.push(Kind::Ours { precision, unfused: false });
        if arguments.unfused && precision == Precision::F32 {
            kinds.push(Kind::Ours { precision, unfused: true });
        }
        if let Some(python) = &python {
            kinds.push(Kind::pytorch(python, &root, precision, false));
            if !arguments.no_compile {
                kinds.push(Kind::pytorch(python, &root, precision, true));
            }
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut report =
        Report { device: arguments.device.clone(), cores, rates: Vec::new(), rows: Vec::new() };
    for model in models {
        time_model(model, &kinds, arguments, &root, &out, &mut report)?;
        let json = serde_json::to_string_pretty(&report)?;
        umid_core::atomic::write_atomically(&out.join("report.json"), json.as_bytes())?;
        let text = table::table(&report);
        umid_core::atomic::write_atomically(&out.join("report.md"), text.as_bytes())?;
    }
    println!("{}", table::table(&report));
    println!("{}", out.join("report.json").display());
    Ok(())
}

fn time_model(
    model: Timed,
    kinds: &[Kind],
    arguments: &Arguments,
    root: &Path,
    out: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let python = || match &arguments.python {
        Some(python) => Ok(python.clone()),
        None => contender::environment(root, out),
    };
    let checkpoint = model.checkpoint(root, &out.join("models"), python)?;
    let config = Model::load(&checkpoint, &umid_models::parse_device("cpu")?)?.config;
    let operations = operations(&config);
    let batches = if arguments.batch.is_empty() { model.batches } else { &arguments.batch };
    let mut contenders = kinds
        .iter()
        .filter(|kind| model.precisions.contains(&kind.precision()))
        .map(|kind| Contender::start(kind, &checkpoint, &arguments.device))
        .collect::<anyhow::Result<Vec<_>>>()?;
    if report.rates.is_empty() {
        report.rates = matrix_rates(contenders.iter_mut(), arguments.rounds)?;
    }
    for &batch in batches {
        let bar = ProgressBar::new((contenders.len() * (arguments.rounds + 1)) as u64);
        bar.set_style(ProgressStyle::with_template(
            "{prefix} {bar:30} {pos}/{len}, {eta} left, {msg}",
        )?);
        bar.set_prefix(format!("{}, batch {batch}", model.title));
        // The first run of each allocates and compiles; the second says how long a step takes.
        let mut steps = Vec::new();
        for contender in &mut contenders {
            bar.set_message(contender.name());
            contender.ask(&Request::Invert { batch, steps: 1 })?;
            let seconds = contender.ask(&Request::Invert { batch, steps: 1 })? / 1.5;
            steps.push((LONG_ENOUGH / seconds).ceil().clamp(1.0, 200.0) as usize);
            bar.inc(1);
        }
        let mut timings = vec![Vec::new(); contenders.len()];
        for round in 0..arguments.rounds {
            for place in 0..contenders.len() {
                // The order rotates, so that no contender always follows the same one.
                let i = (place + round) % contenders.len();
                bar.set_message(contenders[i].name());
                let seconds = contenders[i].ask(&Request::Invert { batch, steps: steps[i] })?;
                // The last embedding costs one forward pass, half a step.
                timings[i].push(seconds / (steps[i] as f64 + 0.5));
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        for (contender, seconds) in contenders.iter_mut().zip(timings) {
            report.rows.push(Row {
                model: model.title,
                batch,
                contender: contender.name(),
                precision: contender.precision(),
                seconds,
                operations: 2.0 * operations * batch as f64,
                memory: contender.memory(&arguments.device)?,
            });
        }
    }
    Ok(())
}

/// What each library makes of one large product, in turn.
fn matrix_rates<'a>(
    contenders: impl Iterator<Item = &'a mut Contender>,
    rounds: usize,
) -> anyhow::Result<Vec<Rate>> {
    let operations = 2.0 * (MATRIX_SIDE as f64).powi(3);
    let mut plain: Vec<&mut Contender> =
        contenders.filter(|contender| !contender.is_variant()).collect();
    let mut rates: Vec<Rate> = plain
        .iter()
        .map(|contender| Rate {
            contender: contender.name(),
            precision: contender.precision(),
            rates: Vec::new(),
        })
        .collect();
    for _ in 0..rounds {
        for (contender, rate) in plain.iter_mut().zip(&mut rates) {
            let seconds = contender.ask(&Request::Multiply { side: MATRIX_SIDE })?;
            rate.rates.push(operations / seconds);
        }
    }
    Ok(rates)
}

/// Runs a command to its end.
fn run_to_end(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}
