//! CLIP in the Hugging Face layout.

use serde_json::json;

use super::export::Export;
use super::torch_name;
use crate::config::{Activation, ClipConfig, Pooling, TransformerConfig};
use crate::image::ImageTower;
use crate::model::to_host;
use crate::precision::Precision;
use crate::preprocess::{Filter, Preprocess, Resize};
use crate::text::CausalText;
use crate::weights::transpose;

/// Name and shape of every tensor.
pub(super) fn tensor_shapes(config: &ClipConfig) -> Vec<(String, Vec<usize>)> {
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

/// The towers' weights, under their names in the layout.
pub(super) fn export(text: &CausalText, image: &ImageTower, log_logit_scale: f32) -> Export {
    let mut out = Export::default();
    out.push("logit_scale", vec![], vec![log_logit_scale]);
    out.param("text_model.embeddings.token_embedding.weight", &text.token_embedding);
    out.param("text_model.embeddings.position_embedding.weight", &text.position_embedding);
    text.encoder.export(&mut out, "text_model");
    out.layer_norm("text_model.final_layer_norm", &text.final_layer_norm);
    out.transposed("text_projection.weight", &text.text_projection);

    out.param("vision_model.embeddings.class_embedding", &image.class_embedding);
    let [inputs, width] = image.patch_embedding.val().dims();
    let patch = image.patch_size();
    let kernel = transpose(&to_host(image.patch_embedding.val().inner()), inputs, width);
    out.push(
        "vision_model.embeddings.patch_embedding.weight",
        vec![width, inputs / (patch * patch), patch, patch],
        kernel,
    );
    out.param("vision_model.embeddings.position_embedding.weight", &image.position_embedding);
    out.layer_norm("vision_model.pre_layrnorm", &image.pre_layer_norm);
    image.encoder.export(&mut out, "vision_model");
    out.layer_norm("vision_model.post_layernorm", &image.post_layer_norm);
    out.transposed("visual_projection.weight", &image.visual_projection);
    out
}

/// The contents of `config.json`.
pub(super) fn config_json(config: &ClipConfig, precision: Precision) -> serde_json::Value {
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
        "torch_dtype": torch_name(precision),
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
        "hidden_act": activation(config.activation),
        "layer_norm_eps": config.layer_norm_epsilon,
    })
}

/// The contents of `preprocessor_config.json`.
pub(super) fn preprocess_json(preprocess: &Preprocess) -> serde_json::Value {
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

/// transformers' name of an activation.
pub(super) fn activation(activation: Activation) -> &'static str {
    match activation {
        Activation::QuickGelu => "quick_gelu",
        Activation::Gelu => "gelu",
        Activation::Relu => "relu",
    }
}
