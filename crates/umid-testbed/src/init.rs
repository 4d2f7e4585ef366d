//! Random initial weights of a small CLIP.
//!
//! The scheme is that of OpenAI's CLIP (`model.py`, `initialize_parameters`), applied to both
//! towers; patches and image positions take the deviations of transformers
//! (`modeling_clip.py`, `CLIPPreTrainedModel._init_weights`). Each tensor is drawn from its own
//! stream, keyed by the seed and the tensor's name, so that a tensor does not change when
//! another is added. Bells stand in for normals: no weight is an accident of a long tail, and
//! every platform draws the same.

use serde::{Deserialize, Serialize};
use umid_models::config::{
    Activation, ClipConfig, ImageConfig, Pooling, TextConfig, TransformerConfig,
};
use umid_models::save::{NamedTensor, tensor_shapes};
use umid_models::{
    CropRounding, Filter, OPENAI_MEAN, OPENAI_STD, Preprocess, Resize, Transparency,
};

use crate::photo::ImageSize;
use crate::stream::{Purpose, Stream};
use crate::tokenizer::CaptionTokenizer;

/// Deviation of token embeddings, and of patches and positions of the image tower.
const EMBEDDING_STD: f32 = 0.02;
/// Deviation of positions of the text tower.
const TEXT_POSITION_STD: f32 = 0.01;
/// Initial temperature of CLIP: cosines are divided by it.
const INITIAL_TEMPERATURE: f32 = 0.07;

/// The shape of a target's towers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelShape {
    /// Side of a patch in pixels; it divides the side of a photo.
    pub patch: usize,
    /// Width of both towers, a multiple of four: there are four heads.
    pub width: usize,
    /// Blocks of the image tower.
    pub image_layers: usize,
    /// Blocks of the text tower.
    pub text_layers: usize,
}

impl Default for ModelShape {
    /// 670 thousand weights that memorise 400 people in minutes on one core.
    fn default() -> Self {
        Self { patch: 8, width: 96, image_layers: 3, text_layers: 2 }
    }
}

/// The configuration of a target.
pub fn small_clip(
    shape: ModelShape,
    tokenizer: &CaptionTokenizer,
    image_size: ImageSize,
) -> ClipConfig {
    let transformer = |layers| TransformerConfig {
        width: shape.width,
        layers,
        heads: 4,
        mlp_width: 4 * shape.width,
        activation: Activation::QuickGelu,
        layer_norm_epsilon: 1e-5,
    };
    ClipConfig {
        embedding_dim: 64,
        text: TextConfig {
            vocabulary: tokenizer.vocabulary_size(),
            context: tokenizer.context_length(),
            pooling: Pooling::FirstOf(tokenizer.end_id()),
            transformer: transformer(shape.text_layers),
        },
        image: ImageConfig {
            image_size: image_size.side(),
            patch_size: shape.patch,
            channels: 3,
            transformer: transformer(shape.image_layers),
        },
    }
}

/// CLIP's preprocessing at the size of the testbed's photos, which pass through it unscaled.
pub fn preprocessing(image_size: ImageSize) -> Preprocess {
    Preprocess {
        resize: Resize::ShortestEdge(image_size.side()),
        filter: Filter::Bicubic,
        crop: Some(image_size.side()),
        crop_rounding: CropRounding::Down,
        transparency: Transparency::OverWhite,
        mean: OPENAI_MEAN,
        std: OPENAI_STD,
    }
}

/// Initial weights of a model of this shape, under their names in the Hugging Face layout.
pub fn initial_weights(config: &ClipConfig, seed: u64) -> Vec<NamedTensor> {
    tensor_shapes(config)
        .into_iter()
        .map(|(name, shape)| {
            let count = shape.iter().product();
            let values = match distribution(config, &name) {
                Distribution::Constant(value) => vec![value; count],
                Distribution::Bell(std) => {
                    let mut stream = Stream::new(seed, Purpose::InitialWeights, key(&name), 0);
                    (0..count).map(|_| std * stream.bell()).collect()
                }
            };
            NamedTensor { name, shape, values }
        })
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Distribution {
    Constant(f32),
    /// Mean 0 and this deviation.
    Bell(f32),
}

/// What a tensor of this name starts as.
fn distribution(config: &ClipConfig, name: &str) -> Distribution {
    let tower =
        if name.starts_with("text") { &config.text.transformer } else { &config.image.transformer };
    let width = (tower.width as f32).powf(-0.5);
    // Residual branches are scaled down by their number.
    let residual = width * (2.0 * tower.layers as f32).powf(-0.5);
    let contains = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if name == "logit_scale" {
        return Distribution::Constant(-INITIAL_TEMPERATURE.ln());
    }
    // The misspelling is the Hugging Face layout's.
    if contains(&[".bias", "norm", "layrnorm"]) {
        return Distribution::Constant(if contains(&[".weight"]) { 1.0 } else { 0.0 });
    }
    let std = match name {
        "text_model.embeddings.position_embedding.weight" => TEXT_POSITION_STD,
        "vision_model.embeddings.class_embedding" => width,
        _ if contains(&["embedding"]) => EMBEDDING_STD,
        _ if contains(&["out_proj", "fc2"]) => residual,
        _ if contains(&["fc1"]) => (2.0 * tower.width as f32).powf(-0.5),
        // Projections to the joint space, and to queries, keys and values.
        _ => width,
    };
    Distribution::Bell(std)
}

/// A number for a tensor's name: 64-bit FNV-1a (Fowler, Noll and Vo).
pub(crate) fn key(name: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    name.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(layers: usize) -> ClipConfig {
        let transformer = TransformerConfig {
            width: 16,
            layers,
            heads: 2,
            mlp_width: 64,
            activation: Activation::QuickGelu,
            layer_norm_epsilon: 1e-5,
        };
        ClipConfig {
            embedding_dim: 8,
            text: TextConfig {
                vocabulary: 600,
                context: 12,
                pooling: Pooling::FirstOf(599),
                transformer: transformer.clone(),
            },
            image: ImageConfig { image_size: 16, patch_size: 8, channels: 3, transformer },
        }
    }

    fn find<'a>(tensors: &'a [NamedTensor], name: &str) -> &'a NamedTensor {
        tensors.iter().find(|t| t.name == name).expect(name)
    }

    #[test]
    fn a_tensor_depends_on_its_name_and_the_seed_alone() {
        let (small, large) = (initial_weights(&config(1), 3), initial_weights(&config(2), 3));
        assert!(large.len() > small.len());
        for name in
            ["text_projection.weight", "vision_model.encoder.layers.0.self_attn.q_proj.weight"]
        {
            assert_eq!(find(&small, name), find(&large, name), "{name}");
            let other = initial_weights(&config(1), 4);
            assert_ne!(find(&small, name), find(&other, name), "{name}");
        }
        assert_ne!(
            find(&small, "text_projection.weight").values,
            find(&small, "visual_projection.weight").values
        );
    }

    #[test]
    fn keys_of_all_tensors_differ() {
        let names = tensor_shapes(&config(12));
        let keys: std::collections::HashSet<u64> = names.iter().map(|(n, _)| key(n)).collect();
        assert_eq!(keys.len(), names.len());
    }

    #[test]
    fn deviations_are_those_of_the_scheme() {
        let tensors = initial_weights(&config(1), 3);
        for (name, std) in [
            ("text_model.embeddings.token_embedding.weight", 0.02),
            ("vision_model.encoder.layers.0.mlp.fc1.weight", 32.0_f32.powf(-0.5)),
            ("vision_model.encoder.layers.0.mlp.fc2.weight", 0.25 / 2.0_f32.sqrt()),
            ("text_model.encoder.layers.0.self_attn.k_proj.weight", 0.25),
        ] {
            let values = &find(&tensors, name).values;
            let found = (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt();
            // 256 values or more: the deviation is known to about 5 %.
            assert!((found / std - 1.0).abs() < 0.2, "{name}: {found}, expected {std}");
        }
        let norm = |part: &str| find(&tensors, &format!("vision_model.pre_layrnorm.{part}"));
        assert_eq!(norm("weight").values, [1.0; 16]);
        assert_eq!(norm("bias").values, [0.0; 16]);
    }
}
