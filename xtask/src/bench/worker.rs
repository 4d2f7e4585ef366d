//! One side of the comparison in a process of its own, so that its memory can be told from the
//! other's: reads requests, a JSON object a line, and answers each with one.

use std::cell::LazyCell;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{anyhow, bail};
use burn::tensor::{Device, Distribution, FloatDType, Tensor};
use clap::Args;
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use umid_invert::{InputSpace, InvertParams, Inverter, KeepInputs};
use umid_kernels::Matrix;
use umid_models::{LoadOptions, Model, Precision, parse_device, to_host};

use super::texts::{self, Texts};

/// Answer the requests of `bench`.
#[derive(Args)]
pub struct Arguments {
    /// A checkpoint.
    #[arg(long)]
    model: PathBuf,
    /// Where to run.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// What to compute in.
    #[arg(long, default_value_t = Precision::F32)]
    precision: Precision,
    /// Leave the kernels of frozen blocks out.
    #[arg(long)]
    unfused: bool,
    /// Read the text tower alone.
    #[arg(long)]
    texts: bool,
}

/// What a worker is asked to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// An inversion of one text: that many steps of that many starts, and the last embedding.
    Invert { batch: usize, steps: usize },
    /// A product of two square matrices of that side.
    Multiply { side: usize },
    /// Embeddings of texts.
    Texts(Texts),
    /// A whole audit by text alone of a checkpoint that is read for it.
    Audit,
    /// The most memory that was in use so far.
    Memory,
}

/// What a worker answers: seconds, or mebibytes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Answer {
    pub value: Option<f64>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = parse_device(&arguments.device)?;
    let options = match (arguments.unfused, arguments.texts) {
        (true, _) => LoadOptions::on(&device).trainable(),
        (false, true) => LoadOptions::on(&device).texts_in(arguments.precision).text_alone(),
        (false, false) => LoadOptions::on(&device).in_precision(arguments.precision),
    };
    // Read when it is first needed.
    let model = LazyCell::new(|| Model::load(&arguments.model, options.clone()));
    let model = || model.as_ref().map_err(|error| anyhow!("{error:#}"));
    let mut answers = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let value = match serde_json::from_str(&line?)? {
            Request::Invert { batch, steps } => Some(invert(model()?, batch, steps)?),
            Request::Multiply { side } => Some(multiply(&device, side, arguments.precision)?),
            Request::Texts(request) => Some(texts::embed(model()?, &request)?),
            Request::Audit => Some(texts::whole_audit(&arguments.model, options.clone())?),
            Request::Memory => peak_mebibytes(),
        };
        writeln!(answers, "{}", serde_json::to_string(&Answer { value })?)?;
        answers.flush()?;
    }
    Ok(())
}

fn invert(model: &Model, batch: usize, steps: usize) -> anyhow::Result<f64> {
    let space = InputSpace::new(&model.input_units()?, model.device());
    let params =
        InvertParams { restarts: batch, batch_rows: batch, steps, ..InvertParams::default() };
    let inverter = Inverter::new(model.tower()?, &space, params, model.device())?;
    let text =
        Array2::from_shape_fn((1, model.config.embedding_dim), |(_, i)| (i as f32 * 0.7).sin());
    let starts = inverter.starts();
    let started = Instant::now();
    inverter.invert_from(text.view(), starts.view(), KeepInputs::No)?;
    Ok(started.elapsed().as_secs_f64())
}

/// Seconds of a product, on a CPU through the kernels, elsewhere through burn.
fn multiply(device: &Device, side: usize, precision: Precision) -> anyhow::Result<f64> {
    let dtype = match precision {
        Precision::F32 => FloatDType::F32,
        Precision::F16 => FloatDType::F16,
        Precision::Bf16 => FloatDType::BF16,
    };
    if *device == Device::flex() {
        let precision = match precision {
            Precision::F32 => umid_kernels::Precision::F32,
            Precision::Bf16 => umid_kernels::Precision::Bf16,
            Precision::F16 => bail!("a CPU has no products in {precision}"),
        };
        let values: Vec<f32> = (0..side * side).map(|i| (i as f32 * 0.7).sin()).collect();
        let matrix = Matrix::new(&values, side, precision);
        let mut output = vec![0.0; side * side];
        return Ok(repeated(|| matrix.multiply(&values, &mut output)));
    }
    let uniform = Distribution::Uniform(-1.0, 1.0);
    let random = || Tensor::<2>::random([side, side], uniform, device).cast(dtype);
    let (left, right) = (random(), random());
    Ok(repeated(|| {
        let product = left.clone().matmul(right.clone());
        to_host(product.narrow(0, 0, 1).narrow(1, 0, 1).cast(FloatDType::F32));
    }))
}

/// Mean seconds of some work that is done over and over for a while, after once for warmth.
fn repeated(mut work: impl FnMut()) -> f64 {
    const WHILE: f64 = 0.5;
    work();
    let (started, mut times) = (Instant::now(), 0);
    while started.elapsed().as_secs_f64() < WHILE {
        work();
        times += 1;
    }
    started.elapsed().as_secs_f64() / f64::from(times)
}

/// Linux tells; nobody else does without a library.
fn peak_mebibytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kibibytes| kibibytes / 1024.0)
}
