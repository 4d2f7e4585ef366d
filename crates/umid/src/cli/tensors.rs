//! Small safetensors files that commands read and write: inputs, starts, inversions.

use std::path::Path;

use anyhow::{Context, bail};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// A tensor of f32 values with its shape.
pub(crate) struct HostTensor {
    pub(crate) name: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

/// Reads the only tensor of a file, or the one called `name`.
pub(crate) fn read(path: &Path, name: &'static str) -> anyhow::Result<HostTensor> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = SafeTensors::deserialize(&bytes)
        .with_context(|| format!("{} is not a valid safetensors file", path.display()))?;
    let names = file.names();
    let key = match names.as_slice() {
        [only] => *only,
        _ if names.contains(&name) => name,
        _ => bail!("{} has no tensor `{name}`; it holds {names:?}", path.display()),
    };
    let view = file.tensor(key)?;
    if view.dtype() != Dtype::F32 {
        bail!("{}: tensor `{key}` is {:?}; save it as F32", path.display(), view.dtype());
    }
    let values = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    Ok(HostTensor { name, shape: view.shape().to_vec(), values })
}

/// Writes tensors to a temporary file beside `path` and renames it into place.
pub(crate) fn write(path: &Path, tensors: &[HostTensor]) -> anyhow::Result<()> {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|t| t.values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|(t, bytes)| Ok((t.name, TensorView::new(Dtype::F32, t.shape.clone(), bytes)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let bytes = safetensors::serialize(views, None)?;
    umid_core::atomic::write_atomically(path, &bytes)
        .with_context(|| format!("cannot write {}", path.display()))
}
