//! `cargo xtask parity`: loads every checkpoint of a folder and compares it with what its reference
//! package computed from the same files (`scripts/make_registry.py`, whose docstring describes the
//! files that are read here).

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use burn::tensor::{Tensor, TensorData};
use clap::Args;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use umid_models::{InputTower, Model, Tower, default_device, to_host};

use crate::compare::row_error;

/// Largest difference of a text's embedding, or of an input's that both were given as numbers,
/// relative to its norm.
const EMBEDDING_TOLERANCE: f32 = 1e-4;
/// The same where each read the input's file for itself.
const FILE_TOLERANCE: f32 = 1e-3;
/// The same for the gradient of a cosine with respect to an input.
const GRADIENT_TOLERANCE: f32 = 1e-3;

/// Compare the checkpoints of a folder with their reference packages.
#[derive(Args)]
pub struct Arguments {
    /// Where scripts/make_registry.py wrote them.
    folder: PathBuf,
    /// Also write everything that was found to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only cases whose name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// `expected.json` of a case.
#[derive(Deserialize)]
struct Expected {
    case: String,
    kind: String,
    container: String,
    /// What is loaded, relative to the case; the case's own folder if it is not given.
    model: Option<PathBuf>,
    pad_id: u32,
    texts: Vec<Text>,
    /// Images or clips in the order of `image_embeds`; none for a checkpoint with a text tower alone.
    #[serde(default)]
    images: Vec<Image>,
    #[serde(default)]
    gradient_texts: Vec<usize>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
}

#[derive(Deserialize)]
struct Image {
    file: PathBuf,
}

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// Everything agrees.
    Both,
    /// The texts agree, and there is no input tower.
    TextAlone,
    /// It does not load.
    Refused,
    /// It loads and disagrees.
    Wrong,
}

/// Relative differences by what they are of. A value that could not be had is absent.
#[derive(Debug, Default, Serialize)]
struct Row {
    case: String,
    kind: String,
    container: String,
    outcome: Option<Outcome>,
    text: Option<f32>,
    image: Option<f32>,
    file: Option<f32>,
    gradient: Option<f32>,
    /// Why it did not load, or what is wrong.
    remark: String,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut directories = Vec::new();
    for entry in
        fs::read_dir(&arguments.folder).context(format!("{}", arguments.folder.display()))?
    {
        let directory = entry?.path();
        let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let wanted = arguments.only.as_ref().is_none_or(|only| name.contains(only));
        if wanted && directory.join("expected.json").is_file() {
            directories.push(directory);
        }
    }
    ensure!(!directories.is_empty(), "no case in {}", arguments.folder.display());
    directories.sort();
    let mut rows = Vec::new();
    for directory in &directories {
        eprintln!("{}", directory.display());
        rows.push(check(directory, &arguments.folder.join("inputs"))?);
    }
    print_table(&rows);
    if let Some(path) = &arguments.json {
        fs::write(path, serde_json::to_string_pretty(&rows)?)?;
    }
    let wrong = rows.iter().filter(|row| row.outcome == Some(Outcome::Wrong)).count();
    ensure!(wrong == 0, "{wrong} of {} checkpoints load and disagree", rows.len());
    Ok(())
}

/// Loads a case and compares it.
fn check(directory: &Path, images: &Path) -> anyhow::Result<Row> {
    let json = fs::read(directory.join("expected.json"))?;
    let expected: Expected =
        serde_json::from_slice(&json).context(format!("{}", directory.display()))?;
    let bytes = fs::read(directory.join("expected.safetensors"))?;
    let values = SafeTensors::deserialize(&bytes)?;
    let mut row = Row {
        case: expected.case.clone(),
        kind: expected.kind.clone(),
        container: expected.container.clone(),
        ..Row::default()
    };
    let path = expected.model.as_ref().map_or(directory.to_owned(), |file| directory.join(file));
    let device = default_device()?;
    let compared = catch_unwind(AssertUnwindSafe(|| match Model::load(&path, &device) {
        Ok(model) => compare(&model, &expected, &values, images, &mut row),
        Err(error) => {
            row.outcome = Some(Outcome::Refused);
            row.remark = error.to_string();
            Ok(())
        }
    }));
    match compared {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            row.outcome = Some(Outcome::Wrong);
            row.remark = format!("{error:#}");
        }
        Err(panic) => {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            row.outcome = Some(Outcome::Wrong);
            row.remark = format!("panicked: {}", said.unwrap_or_default());
        }
    }
    Ok(row)
}

/// Fills in a row; an error says what else is wrong.
fn compare(
    model: &Model,
    expected: &Expected,
    values: &SafeTensors,
    images: &Path,
    row: &mut Row,
) -> anyhow::Result<()> {
    let alike = same_ids(model, expected, values)?;
    let mut wrong = Vec::new();
    let others = expected.texts.iter().zip(&alike).filter(|(_, alike)| !**alike);
    let others: Vec<&str> = others.map(|(text, _)| text.text.as_str()).collect();
    if !others.is_empty() {
        let count = format!("{} of {} texts", others.len(), expected.texts.len());
        wrong.push(format!("{count} have other token ids: {others:?}"));
    }
    row.text = Some(text_difference(model, expected, values, &alike)?);
    if let Ok((_, scale)) = floats(values, "logit_scale")
        && model.log_logit_scale.to_bits() != scale[0].to_bits()
    {
        wrong.push(format!("logit scale {} in place of {}", model.log_logit_scale, scale[0]));
    }
    row.outcome = Some(Outcome::TextAlone);
    match model.tower() {
        Ok(tower) if !expected.images.is_empty() => {
            row.outcome = Some(Outcome::Both);
            compare_tower(model, tower, expected, values, row)?;
            let mut found = Vec::new();
            for image in &expected.images {
                let input = model.front_end.open(&images.join(&image.file))?;
                found.extend(model.embed_inputs(&[input])?);
            }
            row.file = Some(difference(&found, &floats(values, "image_embeds")?)?);
        }
        Ok(_) => wrong.push("an input tower that the reference does not have".to_owned()),
        Err(error) => row.remark = error.to_string(),
    }
    let limits = [
        ("text", row.text, EMBEDDING_TOLERANCE),
        ("image", row.image, EMBEDDING_TOLERANCE),
        ("file", row.file, FILE_TOLERANCE),
        ("gradient", row.gradient, GRADIENT_TOLERANCE),
    ];
    let beyond = |found: f32, limit: f32| found.is_nan() || found > limit;
    let beyond =
        limits.iter().filter(|(_, found, limit)| found.is_some_and(|found| beyond(found, *limit)));
    wrong.extend(beyond.map(|(what, _, limit)| format!("{what} differs by more than {limit:e}")));
    if !wrong.is_empty() {
        bail!("{}", wrong.join("; "));
    }
    Ok(())
}

/// Which texts have the reference's token ids, up to what pads them.
fn same_ids(model: &Model, expected: &Expected, values: &SafeTensors) -> anyhow::Result<Vec<bool>> {
    let view = values.tensor("input_ids")?;
    let ids = view.data().as_chunks::<8>().0.iter().map(|id| u64::from_le_bytes(*id) as u32);
    let ids: Vec<u32> = ids.collect();
    let unpadded = |ids: &[u32]| {
        let kept = ids.iter().rposition(|id| *id != expected.pad_id).map_or(0, |last| last + 1);
        ids[..kept].to_vec()
    };
    let context = view.shape()[1];
    ensure!(ids.len() == context * expected.texts.len(), "`input_ids` has not a row per text");
    let pairs = expected.texts.iter().zip(ids.chunks_exact(context));
    let same = pairs.map(|(text, ids)| {
        let found = model.tokenizer.tokenize(&text.text)?.ids;
        Ok(unpadded(&found) == unpadded(ids))
    });
    same.collect()
}

/// The largest difference of the embeddings of texts with the reference's token ids.
fn text_difference(
    model: &Model,
    expected: &Expected,
    values: &SafeTensors,
    alike: &[bool],
) -> anyhow::Result<f32> {
    let texts: Vec<&str> = expected.texts.iter().map(|text| text.text.as_str()).collect();
    let found = model.embed_texts(&texts)?.embeddings;
    let (shape, embeddings) = floats(values, "text_embeds")?;
    ensure!(shape == [found.nrows(), found.ncols()], "text embeddings {:?}", found.dim());
    let kept = |values: &[f32]| -> Vec<f32> {
        let rows = values.chunks_exact(shape[1]).zip(alike).filter(|(_, alike)| **alike);
        rows.flat_map(|(row, _)| row.to_vec()).collect()
    };
    let found: Vec<f32> = found.iter().copied().collect();
    ensure!(alike.contains(&true), "no text has the reference's token ids");
    Ok(row_error(&kept(&found), &kept(&embeddings), shape[1]))
}

/// The input tower on inputs that both were given as numbers, and its gradients.
fn compare_tower(
    model: &Model,
    tower: &Tower,
    expected: &Expected,
    values: &SafeTensors,
    row: &mut Row,
) -> anyhow::Result<()> {
    let mut worst = 0.0_f32;
    for (inputs, embeds) in [("image_pixels", "image_embeds"), ("pixels", "pixel_embeds")] {
        let (shape, inputs) = floats(values, inputs)?;
        let shape: [usize; 4] = shape.as_slice().try_into()?;
        let inputs = Tensor::<4>::from_data(TensorData::new(inputs, shape), model.device());
        let error = difference(&to_host(tower.embed(inputs)), &floats(values, embeds)?)?;
        worst = if error.is_nan() { error } else { worst.max(error) };
        row.image = Some(worst);
        if error.is_nan() {
            return Ok(());
        }
    }
    let (shape, inputs) = floats(values, "pixels")?;
    let shape: [usize; 4] = shape.as_slice().try_into()?;
    let (_, targets) = floats(values, "text_embeds")?;
    let width = targets.len() / expected.texts.len();
    let device = model.device().clone().autodiff();
    let mut found = Vec::new();
    for text in &expected.gradient_texts {
        let target = targets[text * width..][..width].to_vec();
        let target = Tensor::<2>::from_data(TensorData::new(target, [1, width]), &device);
        let variable = Tensor::<4>::from_data(TensorData::new(inputs.clone(), shape), &device);
        let variable = variable.require_grad();
        let unit = |v: Tensor<2>| {
            let norm = v.clone().powi_scalar(2).sum_dim(1).sqrt();
            v / norm
        };
        let cosine = (unit(tower.embed(variable.clone())) * unit(target)).sum();
        let gradients = cosine.backward();
        found.extend(to_host(variable.grad(&gradients).context("inputs are not tracked")?));
    }
    let (_, gradients) = floats(values, "pixel_gradients")?;
    row.gradient = Some(difference(&found, &(shape.to_vec(), gradients))?);
    Ok(())
}

/// The largest difference between rows, relative to the expected row's norm.
fn difference(found: &[f32], (shape, expected): &(Vec<usize>, Vec<f32>)) -> anyhow::Result<f32> {
    ensure!(found.len() == expected.len(), "{} numbers, not {}", found.len(), expected.len());
    let row = shape[1..].iter().product();
    Ok(row_error(found, expected, row))
}

fn floats(values: &SafeTensors, name: &str) -> anyhow::Result<(Vec<usize>, Vec<f32>)> {
    let view = values.tensor(name).context(name.to_owned())?;
    ensure!(view.dtype() == safetensors::Dtype::F32, "{name} is not F32");
    let numbers = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    Ok((view.shape().to_vec(), numbers))
}

fn print_table(rows: &[Row]) {
    println!("| configuration | kind | container | outcome | text | image | file | gradient | |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let number = |value: Option<f32>| value.map_or(String::new(), |value| format!("{value:.1e}"));
    for row in rows {
        let remark = row.remark.lines().next().unwrap_or_default().replace('|', "\\|");
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {remark} |",
            row.case,
            row.kind,
            row.container,
            row.outcome.map_or("", Outcome::label),
            number(row.text),
            number(row.image),
            number(row.file),
            number(row.gradient),
        );
    }
    println!();
    println!("| kind | both towers | text alone | refused | wrong |");
    println!("| --- | --- | --- | --- | --- |");
    let mut counts: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for row in rows {
        for kind in [row.kind.as_str(), "~ all"] {
            let outcome = row.outcome.map_or(Outcome::Wrong, |outcome| outcome);
            counts.entry(kind).or_default()[outcome as usize] += 1;
        }
    }
    for (kind, [both, text, refused, wrong]) in counts {
        println!("| {} | {both} | {text} | {refused} | {wrong} |", kind.trim_start_matches("~ "));
    }
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::TextAlone => "text alone",
            Self::Refused => "refused",
            Self::Wrong => "WRONG",
        }
    }
}
