//! Writing a model, so that what is trained here loads anywhere: in the Hugging Face layout, or,
//! for towers that transformers does not have, in OpenCLIP's (residual networks) or LAION-CLAP's
//! (Cnn14).

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::tensor::Device;
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

pub use crate::nn::export::NamedTensor;

use crate::checkpoint::{Naming, View, transpose};
use crate::config::ModelConfig;
use crate::families::{FAMILIES, Family};
use crate::front_end::FrontEnd;
use crate::nn::export::{Exporter, Shapes};
use crate::precision::Precision;
use crate::towers::{TextTower, Tower};
use crate::{ModelError, Result};

/// Name and shape of every tensor of a model as it is written.
///
/// # Errors
///
/// [`ModelError::NotWritten`] for a model that no family writes.
pub fn tensor_shapes(config: &ModelConfig) -> Result<Vec<(String, Vec<usize>)>> {
    let family = writer(config)?;
    let device = Device::flex();
    let mut shapes = Shapes::default();
    config.text.build(config.embedding_dim, &device).describe(&mut shapes)?;
    if let Some(input) = &config.input {
        input.build(config.embedding_dim, &device).describe(&mut shapes)?;
    }
    let scales = family.logit_scales().iter().map(|name| ((*name).to_owned(), vec![]));
    let stored =
        shapes.0.into_iter().map(|(name, shape)| NamedTensor { name, shape, values: vec![] });
    let stored = stored_form(family.naming(), stored.collect());
    Ok(scales.chain(stored.into_iter().map(|tensor| (tensor.name, tensor.shape))).collect())
}

/// The towers' weights as they would be written.
///
/// # Errors
///
/// [`ModelError::NotWritten`] for a model that no family writes.
///
/// # Panics
///
/// If the towers' weights are not trainable; see [`WeightUse`](crate::WeightUse).
pub fn export(
    config: &ModelConfig,
    text: &TextTower,
    tower: &Tower,
    log_logit_scale: f32,
) -> Result<Vec<NamedTensor>> {
    let family = writer(config)?;
    let mut exporter = Exporter::default();
    text.clone().describe(&mut exporter)?;
    tower.clone().describe(&mut exporter)?;
    let scales = family.logit_scales().iter().map(|name| NamedTensor {
        name: (*name).to_owned(),
        shape: vec![],
        values: vec![log_logit_scale],
    });
    Ok(scales.chain(stored_form(family.naming(), exporter.0)).collect())
}

/// The family that writes models of a shape.
fn writer(config: &ModelConfig) -> Result<&'static dyn Family> {
    let family = FAMILIES.into_iter().find(|family| family.writes(config));
    family.ok_or_else(|| ModelError::NotWritten { architecture: config.architecture() })
}

/// Tensors under the names, and in the form, of a family's files. Values may be absent where only
/// shapes are asked for.
fn stored_form(naming: Naming, tensors: Vec<NamedTensor>) -> Vec<NamedTensor> {
    let mut stored = Vec::with_capacity(tensors.len());
    let mut thirds: BTreeMap<String, Vec<(usize, NamedTensor)>> = BTreeMap::new();
    for NamedTensor { name, shape, values } in tensors {
        let (name, view) = naming(&name);
        match (view, shape.as_slice()) {
            (View::Third(third), _) => {
                let part = NamedTensor { name: name.clone(), shape, values };
                thirds.entry(name).or_default().push((third, part));
            }
            (View::Transposed, &[rows, columns]) => {
                let values =
                    if values.is_empty() { values } else { transpose(&values, rows, columns) };
                stored.push(NamedTensor { name, shape: vec![columns, rows], values });
            }
            // No family whose files are fused in columns is written.
            (View::Whole | View::Transposed | View::ColumnThird(_), _) => {
                stored.push(NamedTensor { name, shape, values });
            }
        }
    }
    stored.extend(thirds.into_iter().map(|(name, mut parts)| {
        parts.sort_by_key(|(third, _)| *third);
        let mut shape = parts[0].1.shape.clone();
        shape[0] *= parts.len();
        let values = parts.into_iter().flat_map(|(_, part)| part.values).collect();
        NamedTensor { name, shape, values }
    }));
    stored
}

/// Writes a model's configuration, front end and weights. The tokenizer's files are the caller's
/// to add.
///
/// # Errors
///
/// [`ModelError::Io`], [`ModelError::Safetensors`], [`ModelError::MissingTensor`] and
/// [`ModelError::WrongShape`] where the tensors are not those of [`tensor_shapes`], and
/// [`ModelError::NotWritten`] for a model that no family writes.
pub fn save(
    directory: &Path,
    config: &ModelConfig,
    front_end: &FrontEnd,
    tensors: &[NamedTensor],
    precision: Precision,
) -> Result<()> {
    let not_written = || ModelError::NotWritten { architecture: config.architecture() };
    let family = writer(config)?;
    let files = family.files(config, front_end, precision).ok_or_else(not_written)?;
    let by_name: HashMap<&str, &NamedTensor> =
        tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    for (name, expected) in tensor_shapes(config)? {
        let found = by_name.get(name.as_str()).ok_or_else(|| ModelError::MissingTensor {
            path: directory.to_owned(),
            name: name.clone(),
            hint: String::new(),
        })?;
        if found.shape != expected || found.values.len() != expected.iter().product::<usize>() {
            return Err(ModelError::WrongShape {
                path: directory.to_owned(),
                name,
                found: found.shape.clone(),
                expected,
                hint: String::new(),
            });
        }
    }
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| ModelError::Io { path, source }
    };
    std::fs::create_dir_all(directory).map_err(io(directory))?;
    for (name, value) in files {
        let path = directory.join(name);
        std::fs::write(&path, format!("{value:#}\n")).map_err(io(&path))?;
    }
    let path = directory.join(family.weights_file());
    let bytes = serialise(tensors, precision)
        .map_err(|e| ModelError::Safetensors { path: path.clone(), reason: e.to_string() })?;
    std::fs::write(&path, bytes).map_err(io(&path))
}

fn serialise(
    tensors: &[NamedTensor],
    precision: Precision,
) -> std::result::Result<Vec<u8>, safetensors::SafeTensorError> {
    let dtype = match precision {
        Precision::F32 => Dtype::F32,
        Precision::F16 => Dtype::F16,
        Precision::Bf16 => Dtype::BF16,
    };
    let encoded: Vec<Vec<u8>> = tensors
        .iter()
        .map(|t| match precision {
            Precision::F32 => t.values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Precision::F16 => {
                t.values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect()
            }
            Precision::Bf16 => {
                t.values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect()
            }
        })
        .collect();
    let views = tensors
        .iter()
        .zip(&encoded)
        .map(|(t, bytes)| Ok((t.name.as_str(), TensorView::new(dtype, t.shape.clone(), bytes)?)))
        .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()?;
    // transformers asks for this mark to know the layout of the matrices.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(metadata))
}
