//! The Hugging Face layout, as transformers writes `CLIPModel`.
//!
//! Reference: transformers, `models/clip/configuration_clip.py` and `modeling_clip.py`.
//! transformers leaves out of `config.json` what equals its defaults, so absent sizes take
//! the same defaults here; they are named if a shape then does not fit.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::json::Section;
use super::{Layout, Opened, check, clap_hugging_face};
use crate::config::{
    Activation, ClipConfig, ImageConfig, ModelConfig, Pooling, TextConfig, TransformerConfig,
};
use crate::front_end::FrontEnd;
use crate::preprocess::{CropRounding, Filter, Preprocess, Resize, Transparency};
use crate::weights::Weights;
use crate::{ModelError, Result};

/// The configuration's file name.
pub(crate) const CONFIG: &str = "config.json";
pub(crate) const PREPROCESSOR: &str = "preprocessor_config.json";
/// Where transformers 5 saves the image processor's settings, together with the tokenizer's.
pub(crate) const PROCESSOR: &str = "processor_config.json";
pub(crate) const WEIGHTS: &str = "model.safetensors";
const WEIGHTS_INDEX: &str = "model.safetensors.index.json";

/// `eos_token_id` of configurations written before it was fixed; pooling then goes by the
/// largest id (transformers pull request 24773).
const LEGACY_EOS: usize = 2;
/// Value of `resample` in a preprocessor configuration: Pillow's filter numbers.
const PILLOW_BILINEAR: usize = 2;
const PILLOW_BICUBIC: usize = 3;

/// Longest side that images are resized or cropped to.
const MAX_SIDE: usize = 1 << 14;

/// Buffers of older checkpoints that only count positions.
const POSITION_IDS: [&str; 2] =
    ["text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"];

pub(crate) fn open(directory: &Path) -> Result<Opened> {
    let config_path = directory.join(CONFIG);
    if Section::read(&config_path)?.optional_text("model_type")? == Some("clap") {
        return clap_hugging_face::open(directory);
    }
    let (config, defaulted) = read_config(&config_path)?;
    let (preprocess_path, section) = preprocessor(directory)?;
    let preprocess = read_preprocess(&section)?;
    let mut files = vec![config_path, preprocess_path];
    let WeightFiles { weights: weight_files, index } = weight_files(directory)?;
    let mut weights = Weights::open(directory, &weight_files, defaulted)?;
    for name in POSITION_IDS {
        weights.discard(name);
    }
    files.extend(weight_files);
    files.extend(index);
    let (layout, config) = (Layout::HuggingFace, ModelConfig::Clip(config));
    Ok(Opened { layout, config, front_end: FrontEnd::Image(preprocess), weights, files })
}

pub(crate) struct WeightFiles {
    pub(crate) weights: Vec<PathBuf>,
    /// The file that names them, where there are several.
    pub(crate) index: Option<PathBuf>,
}

pub(crate) fn weight_files(directory: &Path) -> Result<WeightFiles> {
    let whole = directory.join(WEIGHTS);
    if whole.is_file() {
        return Ok(WeightFiles { weights: vec![whole], index: None });
    }
    let index = directory.join(WEIGHTS_INDEX);
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

fn read_config(path: &Path) -> Result<(ClipConfig, Vec<String>)> {
    let mut top = Section::read(path)?;
    let model_type = top.optional_text("model_type")?.ok_or_else(|| top.missing("model_type"))?;
    if model_type != "clip" {
        return Err(top.unsupported(format!("model_type `{model_type}`")));
    }
    let mut text = tower_section(&top, "text_config")?;
    let mut vision = tower_section(&top, "vision_config")?;
    let config = ClipConfig {
        embedding_dim: top.count_or("projection_dim", 512)?,
        text: TextConfig {
            vocabulary: text.count_or("vocab_size", 49_408)?,
            context: text.count_or("max_position_embeddings", 77)?,
            pooling: pooling(&mut text)?,
            transformer: transformer(&mut text, 512, 8, 2_048)?,
        },
        image: ImageConfig {
            image_size: vision.count_or("image_size", 224)?,
            patch_size: vision.count_or("patch_size", 32)?,
            channels: vision.count_or("num_channels", 3)?,
            transformer: transformer(&mut vision, 768, 12, 3_072)?,
        },
    };
    let mut defaulted = top.into_defaulted();
    defaulted.extend(text.into_defaulted());
    defaulted.extend(vision.into_defaulted());
    check(&config, path, &defaulted)?;
    Ok((config, defaulted))
}

/// A tower's section. Older files give it twice, and transformers then lets the second,
/// completed with its defaults, replace the first.
fn tower_section(top: &Section, key: &str) -> Result<Section> {
    let second = format!("{key}_dict");
    if top.get(&second).is_some() { top.section(&second) } else { top.section(key) }
}

fn pooling(text: &mut Section) -> Result<Pooling> {
    const KEY: &str = "eos_token_id";
    let eos = text.count_or(KEY, 49_407)?;
    if eos == LEGACY_EOS {
        return Ok(Pooling::LargestId);
    }
    let id = u32::try_from(eos);
    id.map(Pooling::FirstOf).map_err(|_| text.invalid(KEY, &Value::from(eos), "a token id"))
}

fn transformer(
    section: &mut Section,
    width: usize,
    heads: usize,
    mlp_width: usize,
) -> Result<TransformerConfig> {
    Ok(TransformerConfig {
        width: section.count_or("hidden_size", width)?,
        layers: section.count_or("num_hidden_layers", 12)?,
        heads: section.count_or("num_attention_heads", heads)?,
        mlp_width: section.count_or("intermediate_size", mlp_width)?,
        activation: match section.optional_text("hidden_act")? {
            None | Some("quick_gelu") => Activation::QuickGelu,
            Some("gelu") => Activation::Gelu,
            Some(other) => {
                let found = Value::from(other);
                return Err(section.invalid("hidden_act", &found, "`quick_gelu` or `gelu`"));
            }
        },
        layer_norm_epsilon: section.optional_number("layer_norm_eps")?.unwrap_or(1e-5),
    })
}

/// The image processor's file, and the part of it that counts.
fn preprocessor(directory: &Path) -> Result<(PathBuf, Section)> {
    let path = directory.join(PREPROCESSOR);
    if path.is_file() {
        let section = Section::read(&path)?;
        return Ok((path, section));
    }
    let processor = directory.join(PROCESSOR);
    if processor.is_file() {
        let section = Section::read(&processor)?.section("image_processor")?;
        return Ok((processor, section));
    }
    Err(ModelError::MissingFile {
        path,
        purpose: "it says how images are resized, cropped and normalised",
    })
}

fn read_preprocess(section: &Section) -> Result<Preprocess> {
    let side = |key: &str, names: &[&str]| -> Result<Option<(usize, usize)>> {
        let Some(found) = section.get(key) else { return Ok(None) };
        let (height, width) = if found.is_object() {
            let inner = section.section(key)?;
            match names.iter().find(|n| inner.get(n).is_some()) {
                Some(edge) => (inner.count(edge)?, inner.count(edge)?),
                None => (inner.count("height")?, inner.count("width")?),
            }
        } else {
            (section.count(key)?, section.count(key)?)
        };
        if [height, width].iter().all(|n| (1..=MAX_SIDE).contains(n)) {
            Ok(Some((height, width)))
        } else {
            Err(section.invalid(key, found, &format!("sides of 1 to {MAX_SIDE} pixels")))
        }
    };
    let enabled = |key: &str| Ok::<_, ModelError>(section.optional_flag(key)?.unwrap_or(true));
    let resize = if enabled("do_resize")? {
        let shortest_edge = match section.get("size") {
            Some(Value::Object(size)) => size.contains_key("shortest_edge"),
            _ => true,
        };
        let (height, width) =
            side("size", &["shortest_edge"])?.ok_or_else(|| section.missing("size"))?;
        if shortest_edge { Resize::ShortestEdge(height) } else { Resize::Exact { height, width } }
    } else {
        Resize::None
    };
    let crop = if enabled("do_center_crop")? {
        let (height, width) =
            side("crop_size", &[])?.ok_or_else(|| section.missing("crop_size"))?;
        if height != width {
            let found = Value::from(format!("{height}x{width}"));
            return Err(section.invalid("crop_size", &found, "a square"));
        }
        Some(height)
    } else {
        None
    };
    let filter = match section.optional_count("resample")? {
        None | Some(PILLOW_BICUBIC) => Filter::Bicubic,
        Some(PILLOW_BILINEAR) => Filter::Bilinear,
        Some(other) => {
            let found = Value::from(other);
            return Err(section.invalid("resample", &found, "2 (bilinear) or 3 (bicubic)"));
        }
    };
    if !enabled("do_rescale")? {
        let found = Value::from(false);
        return Err(section.invalid("do_rescale", &found, "true"));
    }
    let (mean, std) = if enabled("do_normalize")? {
        (
            section.optional_rgb("image_mean")?.ok_or_else(|| section.missing("image_mean"))?,
            section.optional_rgb("image_std")?.ok_or_else(|| section.missing("image_std"))?,
        )
    } else {
        ([0.0; 3], [1.0; 3])
    };
    if let Some(std) = std.iter().find(|s| !s.is_normal() || **s < 0.0) {
        let found = Value::from(*std);
        return Err(section.invalid("image_std", &found, "positive numbers"));
    }
    Ok(Preprocess {
        resize,
        filter,
        crop,
        crop_rounding: CropRounding::Down,
        transparency: Transparency::OverWhite,
        mean,
        std,
    })
}
