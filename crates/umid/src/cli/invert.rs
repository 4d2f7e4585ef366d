//! `umid invert`: one inversion, replayable from given starts.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args as ClapArgs, ValueEnum};
use ndarray::Array2;
use umid::imagined::{imagined, wav_file};
use umid_invert::{InputSpace, Inversion, InvertParams, Inverter, KeepInputs, Space};
use umid_models::audio::WaveformSpace;
use umid_models::{FrontEnd, InputTower, Model};

use super::Ended;
use super::options::{InversionArgs, ModelArgs, Use};
use super::tensors::{self, HostTensor};

/// Side of the preview in pixels, at least.
const PREVIEW_SIDE: usize = 256;

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The text, as it is
    #[arg(long, value_name = "TEXT")]
    text: String,
    /// What is searched: the model's input (pixels; of sound a log-mel spectrogram), or the
    /// waveform whose spectrogram the model reads
    #[arg(long, value_enum, default_value = "input")]
    space: SearchSpace,
    /// A safetensors file with starts `starts` instead of random ones: [restarts, channels, height,
    /// width], or [restarts, samples] of a waveform
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// Where to write `starts`, `inputs`, `embeddings`, `cosines` and `gradient_norms`, and
    /// `waveforms` where those were searched
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Show the best restart's input: as an image or a spectrogram (.png), or as sound (.wav)
    #[arg(long, value_name = "FILE.png|FILE.wav")]
    preview: Option<PathBuf>,
    /// Seed of the starts
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    #[command(flatten)]
    inversion: InversionArgs,
}

/// What is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SearchSpace {
    /// The model's input
    Input,
    /// The waveform that a model hears
    Waveform,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Ended> {
    let model = args.model.load(Use::Exact)?;
    model.tower()?;
    let params = args
        .inversion
        .params(args.seed, &model)?
        .ok_or_else(|| anyhow::anyhow!("--restarts is 0, expected at least 1"))?;
    match (args.space, &model.front_end) {
        (SearchSpace::Input, _) => {
            let space = InputSpace::new(&model.input_units()?, model.device());
            let input = model.tower()?.input_shape();
            let found = search(args, &model, &space, params, &input)?;
            finish(args, &model, found, None)
        }
        (SearchSpace::Waveform, FrontEnd::Audio(log_mel)) => {
            let space = WaveformSpace::new(log_mel, model.device());
            let found = search(args, &model, &space, params, &[space.dim()])?;
            let variables = found.inversion.variables.as_ref().expect("inputs were asked for");
            let waveforms = space.samples(variables.view());
            finish(args, &model, found, Some((&waveforms, log_mel.params().sample_rate)))
        }
        (SearchSpace::Waveform, FrontEnd::Image(_) | FrontEnd::Absent { .. }) => {
            anyhow::bail!("this model reads images; --space waveform is for one that reads sound")
        }
    }
}

/// Starts and what came of them.
struct Found {
    starts: HostTensor,
    inversion: Inversion,
}

/// Inverts the text from starts of a shape.
fn search(
    args: &Args,
    model: &Model,
    space: &impl Space,
    params: InvertParams,
    start: &[usize],
) -> anyhow::Result<Found> {
    let inverter = Inverter::new(model.tower()?, space, params, model.device())?;
    let starts = match &args.init {
        None => inverter.starts(),
        Some(path) => {
            let tensor = tensors::read(path, "starts")?;
            let rows = tensor.shape.first().copied().unwrap_or(0);
            let (shape, dim) = (tensor.shape, space.dim());
            Array2::from_shape_vec((rows, dim), tensor.values).map_err(|_| {
                let expected: Vec<String> = start.iter().map(ToString::to_string).collect();
                anyhow::anyhow!(
                    "{}: starts have shape {shape:?}, expected [restarts, {}]",
                    path.display(),
                    expected.join(", ")
                )
            })?
        }
    };
    let text = model.embed_texts(&[&args.text])?.embeddings;
    let inversion = inverter.invert_from(text.view(), starts.view(), KeepInputs::Yes)?.remove(0);
    for (i, outcome) in inversion.outcomes.iter().enumerate() {
        let (first, last) =
            (inversion.cosines.row(i)[0], inversion.cosines.row(i)[inversion.cosines.ncols() - 1]);
        println!("restart {}: cosine {first:.4} -> {last:.4}, {outcome}", i + 1);
    }
    let mut starts = matrix("starts", &starts);
    starts.shape.splice(1.., start.iter().copied());
    Ok(Found { starts, inversion })
}

fn matrix(name: &'static str, array: &Array2<f32>) -> HostTensor {
    HostTensor { name, shape: array.shape().to_vec(), values: array.iter().copied().collect() }
}

/// Writes the tensors, and the preview where one is asked for. Waveforms come with their rate.
fn finish(
    args: &Args,
    model: &Model,
    Found { starts, inversion }: Found,
    waveforms: Option<(&Array2<f32>, usize)>,
) -> anyhow::Result<Ended> {
    let mut inputs = matrix("inputs", inversion.inputs.as_ref().expect("inputs were asked for"));
    inputs.shape.splice(1.., model.tower()?.input_shape());
    let gradient_norms = HostTensor {
        name: "gradient_norms",
        shape: vec![inversion.gradient_norms.len()],
        values: inversion.gradient_norms.to_vec(),
    };
    let mut all = vec![
        starts,
        inputs,
        matrix("embeddings", &inversion.embeddings),
        matrix("cosines", &inversion.cosines),
        gradient_norms,
    ];
    all.extend(waveforms.map(|(waveforms, _)| matrix("waveforms", waveforms)));
    tensors::write(&args.out, &all)?;
    if let Some(path) = &args.preview {
        preview(model, &inversion, waveforms, path)?;
    }
    Ok(Ended::Done)
}

fn is_wav(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wav"))
}

fn preview(
    model: &Model,
    inversion: &Inversion,
    waveforms: Option<(&Array2<f32>, usize)>,
    path: &Path,
) -> anyhow::Result<()> {
    let cosines = inversion.final_cosines();
    let best = inversion.usable().into_iter().max_by(|a, b| cosines[*a].total_cmp(&cosines[*b]));
    let Some(best) = best else {
        anyhow::bail!(
            "no restart stayed finite, so there is nothing to show; try a smaller --step"
        );
    };
    let inputs = inversion.inputs.as_ref().expect("inputs were asked for");
    let imagined = imagined(model, &inputs.row(best).to_vec(), PREVIEW_SIDE)?;
    let bytes = match waveforms {
        _ if !is_wav(path) => imagined.png,
        Some((waveforms, rate)) => wav_file(&waveforms.row(best).to_vec(), rate)?,
        None => imagined.wav.context("this model reads images; give a .png file to --preview")?,
    };
    std::fs::write(path, bytes)
        .map_err(|e| anyhow::anyhow!("cannot write {}: {e}", path.display()))?;
    Ok(())
}
