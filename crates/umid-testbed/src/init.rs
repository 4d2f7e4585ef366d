//! Random initial weights of a small model.
//!
//! CLIP's scheme is that of OpenAI's CLIP (`model.py`, `initialize_parameters`), applied to both
//! towers; patches and image positions take the deviations of transformers
//! (`modeling_clip.py`, `CLIPPreTrainedModel._init_weights`). CLAP's keeps the variance of what
//! passes through a layer: 1 / inputs, or 2 / inputs before a ReLU (He et al. 2015). Each tensor
//! is drawn from its own stream, keyed by the seed and the tensor's name, so that a tensor does
//! not change when another is added. Bells stand in for normals: no weight is an accident of a
//! long tail, and every platform draws the same.

use umid_models::config::{InputConfig, ModelConfig, TextConfig, TransformerConfig};
use umid_models::save::{NamedTensor, tensor_shapes};
use umid_models::{FrontEnd, Input};

use crate::error::Error;
use crate::stream::{Purpose, Stream};
use crate::world::World;

/// Deviation of token embeddings, and of patches and positions of the image tower.
const EMBEDDING_STD: f32 = 0.02;
/// Deviation of positions of the text tower.
const TEXT_POSITION_STD: f32 = 0.01;
/// Initial temperature of CLIP: cosines are divided by it.
const INITIAL_TEMPERATURE: f32 = 0.07;

/// Recordings over which the inputs' mean and variance are taken.
const STATISTICS: usize = 64;

/// Mean and variance of each column of inputs, where an audio tower begins with a norm of its
/// mel bins: `[mel_bins]` each.
#[derive(Debug, Clone, PartialEq)]
pub struct InputStatistics {
    mean: Vec<f32>,
    variance: Vec<f32>,
}

impl InputStatistics {
    /// Of recordings of random people of nobody's world.
    ///
    /// # Errors
    /// A front end that cannot read them.
    pub fn measure(world: &World, front_end: &FrontEnd) -> Result<Self, Error> {
        let inputs = (0..STATISTICS)
            .map(|row| world.random_recording(0, row).input(front_end))
            .collect::<Result<Vec<Input>, Error>>()?;
        let columns = inputs[0].shape[2];
        let of_column = |column: usize| {
            let values = inputs.iter().flat_map(|input| input.values.chunks_exact(columns));
            let values = values.map(move |row| f64::from(row[column]));
            let (sum, squares, count) = values.fold((0.0, 0.0, 0.0), |(sum, squares, n), value| {
                (sum + value, squares + value * value, n + 1.0)
            });
            let mean = sum / count;
            (mean as f32, (squares / count - mean * mean) as f32)
        };
        let (mean, variance) = (0..columns).map(of_column).unzip();
        Ok(Self { mean, variance })
    }
}

/// Initial weights of a model of this shape, under their names in the layout it is saved in.
///
/// # Errors
///
/// A shape that is not written.
pub fn initial_weights(
    config: &ModelConfig,
    statistics: &InputStatistics,
    seed: u64,
) -> Result<Vec<NamedTensor>, Error> {
    let tensors = tensor_shapes(config)?
        .into_iter()
        .map(|(name, shape)| {
            let count = shape.iter().product();
            let values = match mel_statistic(statistics, &name) {
                Some(values) => values.to_vec(),
                None => match distribution(config, &name, &shape) {
                    Distribution::Constant(value) => vec![value; count],
                    Distribution::Bell(std) => {
                        let mut stream = Stream::new(seed, Purpose::InitialWeights, key(&name), 0);
                        (0..count).map(|_| std * stream.bell()).collect()
                    }
                },
            };
            NamedTensor { name, shape, values }
        })
        .collect();
    Ok(tensors)
}

/// Of the norm that an audio tower begins with, in either layout.
fn mel_statistic<'a>(statistics: &'a InputStatistics, name: &str) -> Option<&'a [f32]> {
    let (norm, part) = name.rsplit_once('.')?;
    let of_bins = matches!(norm.rsplit('.').next(), Some("batch_norm" | "bn0"));
    match part {
        "running_mean" if of_bins => Some(&statistics.mean),
        "running_var" if of_bins => Some(&statistics.variance),
        _ => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Distribution {
    Constant(f32),
    /// Mean 0 and this deviation.
    Bell(f32),
}

/// What a tensor of this name starts as.
fn distribution(config: &ModelConfig, name: &str, shape: &[usize]) -> Distribution {
    if name.starts_with("logit_scale") {
        return Distribution::Constant(-INITIAL_TEMPERATURE.ln());
    }
    match (&config.text, &config.input) {
        (TextConfig::Clip(text), Some(InputConfig::Vit(image))) => {
            let tower =
                if name.starts_with("text") { &text.transformer } else { &image.transformer };
            of_clip(tower, name)
        }
        (TextConfig::Clip(text), Some(InputConfig::Resnet(_))) => {
            of_open_clip(&text.transformer, name, shape)
        }
        _ => of_clap(name, shape),
    }
}

fn of_clap(name: &str, shape: &[usize]) -> Distribution {
    let contains = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if name.ends_with(".running_var") {
        return Distribution::Constant(1.0);
    }
    if contains(&[".bias", "running_mean", "token_type"]) && !name.ends_with("bias_table") {
        return Distribution::Constant(0.0);
    }
    if contains(&["norm", "Norm", ".bn"]) {
        return Distribution::Constant(1.0);
    }
    if contains(&["_embeddings.", "bias_table"]) {
        return Distribution::Bell(EMBEDDING_STD);
    }
    let inputs: usize = shape[1..].iter().product();
    let before_relu = contains(&[".conv", ".fc1.", "linear1", "projection.0"]);
    let gain: f32 = if before_relu { 2.0 } else { 1.0 };
    Distribution::Bell((gain / inputs as f32).sqrt())
}

/// A causal text tower and a residual image tower, under open_clip's names.
///
/// As in OpenAI's CLIP (`model.py`, `initialize_parameters`), a residual block first changes
/// nothing, which is written as a kernel of zeros as batch norms are folded; other convolutions
/// keep the variance of what a ReLU follows (He et al. 2015).
fn of_open_clip(text: &TransformerConfig, name: &str, shape: &[usize]) -> Distribution {
    let contains = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if name.ends_with("running_var") {
        return Distribution::Constant(1.0);
    }
    if name.ends_with("bias") || name.ends_with("running_mean") {
        return Distribution::Constant(0.0);
    }
    if contains(&["ln_", ".bn", "downsample.1"]) {
        return Distribution::Constant(1.0);
    }
    let deviation = |count: usize| (count as f32).powf(-0.5);
    Distribution::Bell(match name {
        "token_embedding.weight" => EMBEDDING_STD,
        "positional_embedding" => TEXT_POSITION_STD,
        "text_projection" => deviation(text.width),
        _ if contains(&["attnpool"]) => deviation(shape[1]),
        _ if contains(&["layer"]) && contains(&["conv3"]) => return Distribution::Constant(0.0),
        _ if contains(&["conv", "downsample.0"]) => {
            (2.0 / shape[1..].iter().product::<usize>() as f32).sqrt()
        }
        _ if contains(&["out_proj", "c_proj"]) => {
            deviation(text.width) * deviation(2 * text.layers)
        }
        _ if contains(&["c_fc"]) => deviation(2 * text.width),
        _ => deviation(text.width),
    })
}

fn of_clip(tower: &TransformerConfig, name: &str) -> Distribution {
    let width = (tower.width as f32).powf(-0.5);
    // Residual branches are scaled down by their number.
    let residual = width * (2.0 * tower.layers as f32).powf(-0.5);
    let contains = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
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
    use crate::architecture::Architecture;
    use crate::names::NameLists;
    use crate::tokenizer::{CaptionTokenizer, TokenizerParams};
    use crate::world::WorldParams;
    use umid_models::config::{Activation, ClipTextConfig, Pooling, VitConfig};

    const NONE: InputStatistics = InputStatistics { mean: Vec::new(), variance: Vec::new() };

    fn config(layers: usize) -> ModelConfig {
        let transformer = TransformerConfig {
            width: 16,
            layers,
            heads: 2,
            mlp_width: 64,
            activation: Activation::QuickGelu,
            layer_norm_epsilon: 1e-5,
            layer_scale: false,
        };
        ModelConfig {
            embedding_dim: 8,
            text: TextConfig::Clip(ClipTextConfig::clip(
                600,
                12,
                Pooling::FirstOf(599),
                transformer.clone(),
            )),
            input: Some(InputConfig::Vit(VitConfig::clip(16, 8, transformer))),
        }
    }

    fn find<'a>(tensors: &'a [NamedTensor], name: &str) -> &'a NamedTensor {
        tensors.iter().find(|t| t.name == name).expect(name)
    }

    #[test]
    fn a_tensor_depends_on_its_name_and_the_seed_alone() {
        let weights =
            |layers, seed| initial_weights(&config(layers), &NONE, seed).expect("weights");
        let (small, large) = (weights(1, 3), weights(2, 3));
        assert!(large.len() > small.len());
        for name in
            ["text_projection.weight", "vision_model.encoder.layers.0.self_attn.q_proj.weight"]
        {
            assert_eq!(find(&small, name), find(&large, name), "{name}");
            let other = weights(1, 4);
            assert_ne!(find(&small, name), find(&other, name), "{name}");
        }
        assert_ne!(
            find(&small, "text_projection.weight").values,
            find(&small, "visual_projection.weight").values
        );
    }

    #[test]
    fn keys_of_all_tensors_differ() {
        let names = tensor_shapes(&config(12)).expect("shapes");
        let keys: std::collections::HashSet<u64> = names.iter().map(|(n, _)| key(n)).collect();
        assert_eq!(keys.len(), names.len());
    }

    #[test]
    fn deviations_are_those_of_the_scheme() {
        let tensors = initial_weights(&config(1), &NONE, 3).expect("weights");
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

    #[test]
    fn an_audio_tower_starts_with_standard_inputs_and_keeps_their_variance() {
        for architecture in [Architecture::Htsat, Architecture::Cnn14] {
            let params = WorldParams {
                members: 2,
                non_members: 2,
                medium: architecture.medium(),
                ..WorldParams::default()
            };
            let world = World::draw(params, &NameLists::bundled()).expect("a world");
            let size = world.params().image_size;
            let statistics = InputStatistics::measure(&world, &architecture.front_end(size));
            let statistics = statistics.expect("statistics");
            // Decibels of speech with its pauses.
            assert!(statistics.mean.iter().all(|mean| (-80.0..0.0).contains(mean)));
            assert!(statistics.variance.iter().all(|var| (10.0..1_000.0).contains(var)));
            let params = TokenizerParams {
                merges: crate::tokenizer::Merges::Learned(1),
                family: architecture.tokenizer_family(),
                ..TokenizerParams::default()
            };
            let corpus = ["aa aa".to_owned(), "aa".to_owned()];
            let tokenizer = CaptionTokenizer::train(params, &corpus).expect("a tokenizer");
            let config = architecture.config(&tokenizer, size);
            let tensors = initial_weights(&config, &statistics, 3).expect("weights");
            for tensor in &tensors {
                let finite = tensor.values.iter().all(|value| value.is_finite());
                assert!(finite && tensor.values.len() == tensor.shape.iter().product::<usize>());
            }
            let mean = tensors.iter().find(|t| t.name.ends_with("running_mean")).expect("a norm");
            assert_eq!(mean.values, statistics.mean);
        }
    }
}
