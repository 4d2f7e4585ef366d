//! Which files hold the weights of a directory in the Hugging Face layout.

use std::path::{Path, PathBuf};

use super::Section;
use crate::{ModelError, Result};

/// The weights' file name, where there is one file.
pub(crate) const WEIGHTS: &str = "model.safetensors";
/// The file that names the shards, where there are several.
const INDEX: &str = "model.safetensors.index.json";

/// Files of weights.
pub(crate) struct WeightFiles {
    pub(crate) weights: Vec<PathBuf>,
    /// The file that names them, where there are several.
    pub(crate) index: Option<PathBuf>,
}

/// One file, or the shards of an index.
pub(crate) fn weight_files(directory: &Path) -> Result<WeightFiles> {
    let whole = directory.join(WEIGHTS);
    if whole.is_file() {
        return Ok(WeightFiles { weights: vec![whole], index: None });
    }
    let index = directory.join(INDEX);
    if !index.is_file() {
        return Err(ModelError::MissingFile {
            path: whole,
            purpose: "it holds the weights (or model.safetensors.index.json with its shards; pickled pytorch_model.bin files are not read)",
        });
    }
    let section = Section::read(&index)?.section("weight_map")?;
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
            purpose: "model.safetensors.index.json names it as a shard of the weights",
        });
    }
    Ok(WeightFiles { weights: shards, index: Some(index) })
}
