//! Writing a CLIP model in the Hugging Face layout, so that what is trained here loads anywhere.

use std::collections::HashMap;
use std::path::Path;

use burn::module::Param;
use burn::nn::{LayerNorm, Linear};
use half::f16;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::config::{Activation, ClipConfig, Pooling, TransformerConfig};
use crate::image::ImageTower;
use crate::layout::hugging_face::{CONFIG, PREPROCESSOR, WEIGHTS};
use crate::model::to_host;
use crate::preprocess::{Filter, Preprocess, Resize};
use crate::text::CausalText;
use crate::transformer::{Block, Transformer};
use crate::weights::transpose;
use crate::{ModelError, Result};

/// Type in which weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    F32,
    /// 16 bits, IEEE.
    F16,
}

/// A tensor on the host under its name in the Hugging Face layout.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Name, such as `text_model.final_layer_norm.weight`.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

/// Name and shape of every tensor of a CLIP model in the Hugging Face layout.
pub fn tensor_shapes(config: &ClipConfig) -> Vec<(String, Vec<usize>)> {
    let (text, image) = (&config.text, &config.image);
    let (text_width, image_width) = (text.transformer.width, image.transformer.width);
    let patch = image.patch_size;
    let mut shapes = vec![
        ("logit_scale".to_owned(), vec![]),
        ("text_projection.weight".to_owned(), vec![config.embedding_dim, text_width]),
        ("visual_projection.weight".to_owned(), vec![config.embedding_dim, image_width]),
    ];
    let mut add = |tower: &str, name: &str, shape: &[usize]| {
        shapes.push((format!("{tower}_model.{name}"), shape.to_vec()));
    };
    let (vocabulary, context) = (text.vocabulary, text.context);
    add("text", "embeddings.token_embedding.weight", &[vocabulary, text_width]);
    add("text", "embeddings.position_embedding.weight", &[context, text_width]);
    add("vision", "embeddings.class_embedding", &[image_width]);
    let kernel = [image_width, image.channels, patch, patch];
    add("vision", "embeddings.patch_embedding.weight", &kernel);
    add("vision", "embeddings.position_embedding.weight", &[1 + image.patches(), image_width]);
    for (tower, t, norms) in [
        ("text", &text.transformer, &["final_layer_norm"][..]),
        ("vision", &image.transformer, &["pre_layrnorm", "post_layernorm"][..]),
    ] {
        let (width, mlp_width) = (t.width, t.mlp_width);
        for norm in norms {
            add(tower, &format!("{norm}.weight"), &[width]);
            add(tower, &format!("{norm}.bias"), &[width]);
        }
        for layer in 0..t.layers {
            for (name, rows, columns) in [
                ("self_attn.q_proj", width, width),
                ("self_attn.k_proj", width, width),
                ("self_attn.v_proj", width, width),
                ("self_attn.out_proj", width, width),
                ("mlp.fc1", mlp_width, width),
                ("mlp.fc2", width, mlp_width),
            ] {
                let name = format!("encoder.layers.{layer}.{name}");
                add(tower, &format!("{name}.weight"), &[rows, columns]);
                add(tower, &format!("{name}.bias"), &[rows]);
            }
            for norm in ["layer_norm1", "layer_norm2"] {
                let name = format!("encoder.layers.{layer}.{norm}");
                add(tower, &format!("{name}.weight"), &[width]);
                add(tower, &format!("{name}.bias"), &[width]);
            }
        }
    }
    shapes
}

/// The towers' weights as they would be saved.
pub fn export(text: &CausalText, image: &ImageTower, log_logit_scale: f32) -> Vec<NamedTensor> {
    let mut out = Export::default();
    out.push("logit_scale".to_owned(), vec![], vec![log_logit_scale]);
    out.param("text_model.embeddings.token_embedding.weight", &text.token_embedding);
    out.param("text_model.embeddings.position_embedding.weight", &text.position_embedding);
    out.transformer("text_model", &text.encoder);
    out.layer_norm("text_model.final_layer_norm", &text.final_layer_norm);
    out.transposed("text_projection.weight".to_owned(), &text.text_projection);

    out.param("vision_model.embeddings.class_embedding", &image.class_embedding);
    let [inputs, width] = image.patch_embedding.val().dims();
    let patch = image.patch_size();
    let kernel = transpose(&to_host(image.patch_embedding.val().inner()), inputs, width);
    out.push(
        "vision_model.embeddings.patch_embedding.weight".to_owned(),
        vec![width, inputs / (patch * patch), patch, patch],
        kernel,
    );
    out.param("vision_model.embeddings.position_embedding.weight", &image.position_embedding);
    out.layer_norm("vision_model.pre_layrnorm", &image.pre_layer_norm);
    out.transformer("vision_model", &image.encoder);
    out.layer_norm("vision_model.post_layernorm", &image.post_layer_norm);
    out.transposed("visual_projection.weight".to_owned(), &image.visual_projection);
    out.0
}

/// Writes `config.json`, `preprocessor_config.json` and `model.safetensors`. The tokenizer's
/// files are the caller's to add.
///
/// # Errors
///
/// [`ModelError::Io`], [`ModelError::Safetensors`], and [`ModelError::WrongShape`] where the
/// tensors are not those of [`tensor_shapes`].
pub fn save_hugging_face(
    directory: &Path,
    config: &ClipConfig,
    preprocess: &Preprocess,
    tensors: &[NamedTensor],
    precision: Precision,
) -> Result<()> {
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
    for (name, value) in
        [(CONFIG, config_json(config, precision)), (PREPROCESSOR, preprocess_json(preprocess))]
    {
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
    };
    let encoded: Vec<Vec<u8>> = tensors
        .iter()
        .map(|t| match precision {
            Precision::F32 => t.values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Precision::F16 => {
                t.values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect()
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

fn config_json(config: &ClipConfig, precision: Precision) -> serde_json::Value {
    let dtype = match precision {
        Precision::F32 => "float32",
        Precision::F16 => "float16",
    };
    let eos = match config.text.pooling {
        Pooling::LargestId => 2,
        Pooling::FirstOf(eos) => eos,
    };
    let mut text = transformer_json(&config.text.transformer, "clip_text_model");
    text["vocab_size"] = json!(config.text.vocabulary);
    text["max_position_embeddings"] = json!(config.text.context);
    text["eos_token_id"] = json!(eos);
    text["projection_dim"] = json!(config.embedding_dim);
    let mut image = transformer_json(&config.image.transformer, "clip_vision_model");
    image["image_size"] = json!(config.image.image_size);
    image["patch_size"] = json!(config.image.patch_size);
    image["num_channels"] = json!(config.image.channels);
    image["projection_dim"] = json!(config.embedding_dim);
    json!({
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": config.embedding_dim,
        "torch_dtype": dtype,
        "text_config": text,
        "vision_config": image,
    })
}

fn transformer_json(config: &TransformerConfig, model_type: &str) -> serde_json::Value {
    json!({
        "model_type": model_type,
        "hidden_size": config.width,
        "intermediate_size": config.mlp_width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "hidden_act": match config.activation {
            Activation::QuickGelu => "quick_gelu",
            Activation::Gelu => "gelu",
            Activation::Relu => "relu",
        },
        "layer_norm_eps": config.layer_norm_epsilon,
    })
}

fn preprocess_json(preprocess: &Preprocess) -> serde_json::Value {
    let size = match preprocess.resize {
        Resize::None => serde_json::Value::Null,
        Resize::ShortestEdge(edge) => json!({ "shortest_edge": edge }),
        Resize::Exact { height, width } => json!({ "height": height, "width": width }),
    };
    json!({
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": true,
        "do_resize": preprocess.resize != Resize::None,
        "size": size,
        "resample": match preprocess.filter { Filter::Bilinear => 2, Filter::Bicubic => 3 },
        "do_center_crop": preprocess.crop.is_some(),
        "crop_size": preprocess.crop.map(|side| json!({ "height": side, "width": side })),
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": preprocess.mean,
        "image_std": preprocess.std,
    })
}

#[derive(Default)]
struct Export(Vec<NamedTensor>);

impl Export {
    fn push(&mut self, name: String, shape: Vec<usize>, values: Vec<f32>) {
        self.0.push(NamedTensor { name, shape, values });
    }

    fn param<const D: usize>(&mut self, name: &str, param: &Param<burn::tensor::Tensor<D>>) {
        let tensor = param.val().inner();
        self.push(name.to_owned(), tensor.dims().to_vec(), to_host(tensor));
    }

    /// A matrix that multiplies from the right, stored `[output, input]`.
    fn transposed(&mut self, name: String, param: &Param<burn::tensor::Tensor<2>>) {
        let tensor = param.val().inner();
        let [rows, columns] = tensor.dims();
        self.push(name, vec![columns, rows], transpose(&to_host(tensor), rows, columns));
    }

    fn layer_norm(&mut self, name: &str, norm: &LayerNorm) {
        self.param(&format!("{name}.weight"), &norm.gamma);
        if let Some(beta) = &norm.beta {
            self.param(&format!("{name}.bias"), beta);
        }
    }

    fn linear(&mut self, name: &str, linear: &Linear) {
        self.transposed(format!("{name}.weight"), &linear.weight);
        if let Some(bias) = &linear.bias {
            self.param(&format!("{name}.bias"), bias);
        }
    }

    fn transformer(&mut self, tower: &str, transformer: &Transformer) {
        for (i, layer) in transformer.layers().iter().enumerate() {
            self.block(&format!("{tower}.encoder.layers.{i}"), layer);
        }
    }

    fn block(&mut self, name: &str, block: &Block) {
        self.layer_norm(&format!("{name}.layer_norm1"), &block.layer_norm1);
        for (i, part) in ["q", "k", "v"].into_iter().enumerate() {
            self.linear(&format!("{name}.self_attn.{part}_proj"), &third(&block.qkv_proj, i));
        }
        self.linear(&format!("{name}.self_attn.out_proj"), &block.out_proj);
        self.layer_norm(&format!("{name}.layer_norm2"), &block.layer_norm2);
        self.linear(&format!("{name}.mlp.fc1"), &block.fc1);
        self.linear(&format!("{name}.mlp.fc2"), &block.fc2);
    }
}

/// The query, key or value part of a fused projection.
fn third(fused: &Linear, part: usize) -> Linear {
    let weight = fused.weight.val().inner();
    let width = weight.dims()[0];
    Linear {
        weight: Param::from_tensor(weight.narrow(1, part * width, width)),
        bias: fused
            .bias
            .as_ref()
            .map(|b| Param::from_tensor(b.val().inner().narrow(0, part * width, width))),
    }
}
