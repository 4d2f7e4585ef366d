//! `umid embed`: embeddings as the reference implementation gives them.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;
use umid_models::{Clip, Pixels};

use super::Outcome;
use super::options::ModelArgs;
use super::tensors;

#[derive(Debug, ClapArgs)]
#[group(id = "source", required = true, multiple = false, args = ["text", "image", "input"])]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// A text, as it is; repeatable
    #[arg(long, value_name = "TEXT")]
    text: Vec<String>,
    /// An image file, preprocessed as the model wants it; repeatable
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
    /// A safetensors file with preprocessed inputs `inputs`, [n, 3, height, width]
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Print as JSON, with every number; otherwise a line each
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let model = args.model.load()?;
    let (names, embeddings) = if !args.text.is_empty() {
        (args.text.clone(), model.embed_texts(&args.text)?.embeddings)
    } else if let Some(path) = &args.input {
        let pixels = inputs(&model, path)?;
        let names = (0..pixels.len()).map(|i| format!("{}[{i}]", path.display())).collect();
        (names, model.embed_images(&pixels)?)
    } else {
        let open = |path: &PathBuf| model.preprocess.open(path);
        let pixels: Result<Vec<Pixels>, _> = args.image.iter().map(open).collect();
        let names = args.image.iter().map(|path| path.display().to_string()).collect();
        (names, model.embed_images(&pixels?)?)
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
    Ok(Outcome::Done)
}

fn inputs(model: &Clip, path: &std::path::Path) -> anyhow::Result<Vec<Pixels>> {
    let tensor = tensors::read(path, "inputs")?;
    let size = model.config.image.image_size;
    match tensor.shape.as_slice() {
        [_, 3, height, width] if (*height, *width) == (size, size) => Ok(tensor
            .values
            .chunks_exact(3 * size * size)
            .map(|values| Pixels { values: values.to_vec(), height: size, width: size })
            .collect()),
        found => anyhow::bail!(
            "{}: inputs have shape {found:?}, the model takes [n, 3, {size}, {size}]",
            path.display()
        ),
    }
}
