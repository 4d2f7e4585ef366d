//! Which files hold the weights of a directory.

use std::path::{Path, PathBuf};

use super::{Found, Section};
use crate::{ModelError, Result};

/// The name of a written model's weights.
pub(crate) const WEIGHTS: &str = "model.safetensors";
/// What transformers calls weights, in the order in which it looks for them.
pub(crate) const TRANSFORMERS: [&str; 4] =
    [WEIGHTS, "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];
/// End of the names of files that name the shards of weights.
const INDEX: &str = ".index.json";
/// Ends of the names of weights.
const ENDS: [&str; 5] = ["safetensors", "pt", "pth", "bin", "ckpt"];
/// Files with such an end that trainings leave beside the weights.
const OF_TRAININGS: [&str; 5] =
    ["optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "training_args.bin"];

/// Files of weights.
pub(crate) struct WeightFiles {
    pub(crate) weights: Vec<PathBuf>,
    /// The file that names them, if there is one.
    pub(crate) index: Option<PathBuf>,
}

impl WeightFiles {
    /// One file.
    pub(super) fn one(file: PathBuf) -> Self {
        Self { weights: vec![file], index: None }
    }

    /// Every file: the weights and what names them.
    pub(crate) fn all(&self) -> impl Iterator<Item = PathBuf> {
        self.weights.iter().chain(&self.index).cloned()
    }
}

/// The first of these files that a directory has.
pub(super) fn choose(found: &Found, names: &[&'static str]) -> Result<WeightFiles> {
    match names.iter().find(|name| found.has(name)) {
        Some(name) if name.ends_with(INDEX) => shards(&found.path(name)),
        Some(name) => Ok(WeightFiles::one(found.path(name))),
        None => Err(ModelError::MissingWeights {
            path: found.given().to_owned(),
            names: names.join(", "),
        }),
    }
}

/// The only file of weights of a directory.
pub(super) fn only(found: &Found) -> Result<WeightFiles> {
    let is_weights = |name: &&str| {
        let end = Path::new(name).extension().and_then(|end| end.to_str());
        end.is_some_and(|end| ENDS.contains(&end)) && !OF_TRAININGS.contains(name)
    };
    let names: Vec<&str> = found.names().filter(is_weights).collect();
    match names.as_slice() {
        [] => Err(ModelError::MissingWeights {
            path: found.given().to_owned(),
            names: ENDS.map(|end| format!("*.{end}")).join(", "),
        }),
        [name] => Ok(WeightFiles::one(found.path(name))),
        several => Err(ModelError::SeveralWeights {
            path: found.given().to_owned(),
            names: several.join(", "),
        }),
    }
}

/// The shards of an index.
fn shards(index: &Path) -> Result<WeightFiles> {
    let section = Section::read(index)?.section("weight_map")?;
    let directory = index.parent().unwrap_or(Path::new("."));
    let mut shards = Vec::new();
    for (tensor, found) in section.entries() {
        // A shard lies beside its index; a path that leads elsewhere is not followed.
        let beside = |file: &&str| {
            Path::new(file).components().count() == 1 && !file.starts_with(['.', '/', '\\'])
        };
        let file = found.as_str().filter(beside).ok_or_else(|| {
            section.invalid(tensor, found, "the name of a file in the same directory")
        })?;
        shards.push(directory.join(file));
    }
    shards.sort();
    shards.dedup();
    if let Some(path) = shards.iter().find(|p| !p.is_file()) {
        return Err(ModelError::MissingFile {
            path: path.clone(),
            purpose: "the weights' index names it as a shard",
        });
    }
    Ok(WeightFiles { weights: shards, index: Some(index.to_owned()) })
}
