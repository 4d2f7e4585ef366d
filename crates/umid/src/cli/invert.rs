//! `umid invert`: one inversion, replayable from given starts.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args as ClapArgs;
use ndarray::Array2;
use umid::imagined::imagined;
use umid_invert::{InputSpace, Inversion, Inverter, KeepInputs, Space};
use umid_models::{InputTower, Model};

use super::Outcome;
use super::options::{InversionArgs, ModelArgs};
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
    /// A safetensors file with starts `starts`, [restarts, 3, height, width], instead of random
    /// ones
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// Where to write `starts`, `inputs`, `embeddings`, `cosines` and `gradient_norms`
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

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let params = args
        .inversion
        .params(args.seed)?
        .ok_or_else(|| anyhow::anyhow!("--restarts is 0, expected at least 1"))?;
    let model = args.model.load()?;
    let space = InputSpace::new(&model.input_units(), model.device());
    let inverter = Inverter::new(&model.tower, &space, params, model.device())?;
    let starts = match &args.init {
        None => inverter.starts(),
        Some(path) => {
            let tensor = tensors::read(path, "starts")?;
            let rows = tensor.shape.first().copied().unwrap_or(0);
            let (shape, dim) = (tensor.shape, space.dim());
            Array2::from_shape_vec((rows, dim), tensor.values).map_err(|_| {
                let expected = model.tower.input_shape();
                anyhow::anyhow!(
                    "{}: starts have shape {shape:?}, expected [restarts, {}, {}, {}]",
                    path.display(),
                    expected[0],
                    expected[1],
                    expected[2]
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
    save(args, &model, &starts, &inversion)?;
    if let Some(path) = &args.preview {
        preview(&model, &inversion, path)?;
    }
    Ok(Outcome::Done)
}

fn save(
    args: &Args,
    model: &Model,
    starts: &Array2<f32>,
    inversion: &Inversion,
) -> anyhow::Result<()> {
    let rows = starts.nrows();
    let [channels, height, width] = model.tower.input_shape();
    let input_shape = vec![rows, channels, height, width];
    let values = |array: &Array2<f32>| array.iter().copied().collect::<Vec<f32>>();
    let matrix = |name, array: &Array2<f32>| HostTensor {
        name,
        shape: array.shape().to_vec(),
        values: values(array),
    };
    let inputs = inversion.inputs.as_ref().expect("inputs were asked for");
    tensors::write(
        &args.out,
        &[
            HostTensor { name: "starts", shape: input_shape.clone(), values: values(starts) },
            HostTensor { name: "inputs", shape: input_shape, values: values(inputs) },
            matrix("embeddings", &inversion.embeddings),
            matrix("cosines", &inversion.cosines),
            HostTensor {
                name: "gradient_norms",
                shape: vec![rows],
                values: inversion.gradient_norms.to_vec(),
            },
        ],
    )
}

fn is_wav(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wav"))
}

fn preview(model: &Model, inversion: &Inversion, path: &Path) -> anyhow::Result<()> {
    let cosines = inversion.final_cosines();
    let best = inversion.usable().into_iter().max_by(|a, b| cosines[*a].total_cmp(&cosines[*b]));
    let Some(best) = best else {
        anyhow::bail!(
            "no restart stayed finite, so there is nothing to show; try a smaller --step"
        );
    };
    let inputs = inversion.inputs.as_ref().expect("inputs were asked for");
    let imagined = imagined(model, &inputs.row(best).to_vec(), PREVIEW_SIDE)?;
    let bytes = if is_wav(path) {
        imagined.wav.context("this model reads images; give a .png file to --preview")?
    } else {
        imagined.png
    };
    std::fs::write(path, bytes)
        .map_err(|e| anyhow::anyhow!("cannot write {}: {e}", path.display()))?;
    Ok(())
}
