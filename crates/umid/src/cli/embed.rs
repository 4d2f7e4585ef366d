//! `umid embed`: embeddings as the reference implementation gives them.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;
use umid_models::{Input, InputTower, Modality, Model};

use super::Ended;
use super::options::{ModelArgs, Use};
use super::tensors;

#[derive(Debug, ClapArgs)]
#[group(id = "source", required = true, multiple = false, args = ["text", "image", "audio", "input"])]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// A text, as it is; repeatable
    #[arg(long, value_name = "TEXT")]
    text: Vec<String>,
    /// An image file, preprocessed as the model wants it; repeatable
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
    /// A sound file (WAV, FLAC, MP3, Ogg Vorbis), for a model that reads sound; repeatable
    #[arg(long, value_name = "FILE")]
    audio: Vec<PathBuf>,
    /// A safetensors file with preprocessed inputs `inputs`, [n, 3, height, width], or, for a
    /// model that reads sound, [n, 1, frames, mel bins] in decibels
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Print as JSON, with every number; otherwise a line each
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Ended> {
    let model = args.model.load(Use::Exact)?;
    let (names, embeddings) = if !args.text.is_empty() {
        (args.text.clone(), model.embed_texts(&args.text)?.embeddings)
    } else if let Some(path) = &args.input {
        let pixels = inputs(&model, path)?;
        let names = (0..pixels.len()).map(|i| format!("{}[{i}]", path.display())).collect();
        (names, model.embed_inputs(&pixels)?)
    } else {
        let (files, given) = if args.image.is_empty() {
            (&args.audio, Modality::Audio)
        } else {
            (&args.image, Modality::Image)
        };
        let reads = model.modality();
        anyhow::ensure!(reads == given, "this model reads {reads} files; give them with --{reads}");
        let open = |path: &PathBuf| model.front_end.open(path);
        let inputs: Result<Vec<Input>, _> = files.iter().map(open).collect();
        let names = files.iter().map(|path| path.display().to_string()).collect();
        (names, model.embed_inputs(&inputs?)?)
    };
    for (name, row) in names.iter().zip(embeddings.rows()) {
        let norm = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        if args.json {
            println!("{}", json!({ "source": name, "norm": norm, "embedding": row.to_vec() }));
        } else {
            let shown: Vec<String> = row.iter().take(4).map(|v| format!("{v:.4}")).collect();
            println!("{name}: norm {norm:.4}, {} numbers, {} ...", row.len(), shown.join(" "));
        }
    }
    Ok(Ended::Done)
}

fn inputs(model: &Model, path: &std::path::Path) -> anyhow::Result<Vec<Input>> {
    let tensor = tensors::read(path, "inputs")?;
    let shape = model.tower()?.input_shape();
    let [channels, height, width] = shape;
    match tensor.shape.as_slice() {
        [_, rest @ ..] if rest == shape => Ok(tensor
            .values
            .chunks_exact(channels * height * width)
            .map(|values| Input { shape, values: values.to_vec() })
            .collect()),
        found => anyhow::bail!(
            "{}: inputs have shape {found:?}, the model takes [n, {channels}, {height}, {width}]",
            path.display()
        ),
    }
}
