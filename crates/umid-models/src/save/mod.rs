//! Writing a model, so that what is trained here loads anywhere: CLIP and HTSAT in the Hugging
//! Face layout, Cnn14, which transformers does not have, in LAION-CLAP's.

mod clap;
mod clip;
mod export;

use std::collections::HashMap;
use std::path::Path;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::config::{AudioConfig, ModelConfig};
use crate::front_end::FrontEnd;
use crate::layout::hugging_face::{CONFIG, PREPROCESSOR, WEIGHTS};
use crate::layout::laion_clap;
use crate::precision::Precision;
use crate::text::TextTower;
use crate::tower::Tower;
use crate::{ModelError, Result};

pub(crate) use export::Export;

/// PyTorch's name of the type that weights are stored in.
fn torch_name(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "float32",
        Precision::F16 => "float16",
        Precision::Bf16 => "bfloat16",
    }
}

/// A tensor on the host under its name in the layout of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Name, such as `text_model.final_layer_norm.weight`.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

/// Name and shape of every tensor of a model as it is written.
pub fn tensor_shapes(config: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    match config {
        ModelConfig::Clip(config) => clip::tensor_shapes(config),
        ModelConfig::Clap(config) => clap::tensor_shapes(config),
    }
}

/// The towers' weights as they would be written.
///
/// # Panics
///
/// If the towers are not of one model, or are not those of
/// [`Model::load_trainable`](crate::Model::load_trainable).
pub fn export(text: &TextTower, tower: &Tower, log_logit_scale: f32) -> Vec<NamedTensor> {
    let out = match (text, tower) {
        (TextTower::Causal(text), Tower::Image(image)) => {
            clip::export(text, image, log_logit_scale)
        }
        (TextTower::Roberta(text), Tower::Audio(audio)) => {
            clap::export(text, audio, log_logit_scale)
        }
        _ => panic!("towers of two models"),
    };
    out.0
}

/// Writes a model's configuration, front end and weights. The tokenizer's files are the caller's
/// to add.
///
/// # Errors
///
/// [`ModelError::Io`], [`ModelError::Safetensors`], [`ModelError::WrongShape`] where the
/// tensors are not those of [`tensor_shapes`], and [`ModelError::UnsupportedArchitecture`] for a
/// model that fuses features, which can be read and not written.
///
/// # Panics
///
/// If the front end is not of the model's kind.
pub fn save(
    directory: &Path,
    config: &ModelConfig,
    front_end: &FrontEnd,
    tensors: &[NamedTensor],
    precision: Precision,
) -> Result<()> {
    if matches!(config, ModelConfig::Clap(config) if config.audio.fuses()) {
        let found = "a CLAP to be written that fuses features".to_owned();
        return Err(ModelError::UnsupportedArchitecture { path: directory.to_owned(), found });
    }
    let by_name: HashMap<&str, &NamedTensor> =
        tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    for (name, expected) in tensor_shapes(config) {
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
    let files = match (config, front_end) {
        (ModelConfig::Clip(config), FrontEnd::Image(preprocess)) => vec![
            (CONFIG, clip::config_json(config, precision)),
            (PREPROCESSOR, clip::preprocess_json(preprocess)),
        ],
        (ModelConfig::Clap(config), FrontEnd::Audio(log_mel)) => match &config.audio {
            AudioConfig::Htsat(htsat) => vec![
                (CONFIG, clap::config_json(config, htsat, precision)),
                (PREPROCESSOR, clap::feature_extractor_json(log_mel.params())),
            ],
            AudioConfig::Cnn14(cnn14) => {
                vec![(laion_clap::CONFIG, clap::laion_json(config, cnn14, log_mel.params()))]
            }
        },
        _ => panic!("a front end of another kind"),
    };
    for (name, value) in files {
        let path = directory.join(name);
        std::fs::write(&path, format!("{value:#}\n")).map_err(io(&path))?;
    }
    let path = directory.join(WEIGHTS);
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
