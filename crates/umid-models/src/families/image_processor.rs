//! How images are prepared, by the configuration of one of transformers' image processors.
//!
//! Reference: transformers, `image_processing_backends.py`, and `image_processing_clip.py`,
//! `image_processing_siglip.py`, `image_processing_vit.py` for what a key is by default. CLIP, its
//! Chinese version, AltCLIP and MetaCLIP resize the shorter edge and crop; SigLIP squashes the image
//! to a square.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::clip::{PREPROCESSOR, PROCESSOR};
use crate::checkpoint::{Found, Section};
use crate::front_end::{
    Filter, FrontEnd, ImageConvention, OPENAI_MEAN, OPENAI_STD, Preprocess, Resize,
};
use crate::{ModelError, Result};

/// Value of `resample`: Pillow's filter numbers.
const PILLOW_BILINEAR: usize = 2;
const PILLOW_BICUBIC: usize = 3;
/// Longest side that images are resized or cropped to.
const MAX_SIDE: usize = 1 << 14;
/// Levels of a colour, which become numbers of 0 to 1 by default.
const LEVELS: f64 = 255.0;

/// What a processor does where its configuration says nothing.
#[derive(Debug, Clone, Copy)]
struct Defaults {
    resize: Resize,
    crop: Option<usize>,
    filter: Filter,
    mean: [f32; 3],
    std: [f32; 3],
    /// Whether a size that is one number is that of a square.
    square: bool,
}

const CROPPED: Defaults = Defaults {
    resize: Resize::ShortestEdge(224),
    crop: Some(224),
    filter: Filter::Bicubic,
    mean: OPENAI_MEAN,
    std: OPENAI_STD,
    square: false,
};
const SQUASHED: Defaults = Defaults {
    resize: Resize::Exact { height: 224, width: 224 },
    crop: None,
    mean: [0.5; 3],
    std: [0.5; 3],
    ..CROPPED
};

/// Processors whose steps are followed; older and faster versions have other endings.
const PROCESSORS: [(&str, Defaults); 5] = [
    ("CLIP", CROPPED),
    ("ChineseCLIP", CROPPED),
    ("Bit", CROPPED),
    ("Siglip", SQUASHED),
    ("ViT", Defaults { filter: Filter::Bilinear, square: true, ..SQUASHED }),
];
const ENDINGS: [&str; 4] =
    ["ImageProcessor", "ImageProcessorFast", "ImageProcessorPil", "FeatureExtractor"];

/// How images are prepared, and the file that says it. A processor that is not named is of the
/// model's own kind, such as `CLIP` or `Siglip`.
pub(super) fn front_end(found: &Found, model: &str) -> Result<(FrontEnd, PathBuf)> {
    let purpose = "it says how images are resized, cropped and normalised";
    let (path, section) = processor(found, "image_processor", purpose)?;
    Ok((FrontEnd::Image(read(&section, model)?), path))
}

/// The processor's file, and the part of it that counts: all of a file of its own, or its part of
/// one for all processors.
pub(super) fn processor(
    found: &Found,
    part: &str,
    purpose: &'static str,
) -> Result<(PathBuf, Section)> {
    let path = found.path(PREPROCESSOR);
    if path.is_file() {
        let section = Section::read(&path)?;
        return Ok((path, section));
    }
    let processor = found.path(PROCESSOR);
    if processor.is_file() {
        let section = Section::read(&processor)?.section(part)?;
        return Ok((processor, section));
    }
    Err(ModelError::MissingFile { path, purpose })
}

fn read(section: &Section, model: &str) -> Result<Preprocess> {
    let defaults = defaults(section, model)?;
    for key in ["do_pad", "pad_size"] {
        if let Some(found) = section.get(key).filter(|found| **found != false) {
            return Err(section.invalid(key, found, "no padding"));
        }
    }
    if let Some(found) = section.get("do_convert_rgb").filter(|found| **found != true) {
        return Err(section.invalid("do_convert_rgb", found, "true"));
    }
    let crop = crop(section, defaults)?;
    let filter = match section.optional_count("resample")? {
        None => defaults.filter,
        Some(PILLOW_BICUBIC) => Filter::Bicubic,
        Some(PILLOW_BILINEAR) => Filter::Bilinear,
        Some(other) => {
            let found = Value::from(other);
            return Err(section.invalid("resample", &found, "2 (bilinear) or 3 (bicubic)"));
        }
    };
    let (mean, std) = statistics(section, defaults)?;
    Ok(Preprocess {
        resize: resize(section, defaults)?,
        filter,
        crop,
        fill: 0,
        convention: ImageConvention::Transformers,
        mean,
        std,
    })
}

fn defaults(section: &Section, model: &str) -> Result<Defaults> {
    const KEY: &str = "image_processor_type";
    // Of a version before image processors had their name.
    const OLD_KEY: &str = "feature_extractor_type";
    let key = if section.get(KEY).is_some() { KEY } else { OLD_KEY };
    let name = section.optional_text(key)?;
    let known = PROCESSORS.iter().find(|(kind, _)| match name {
        Some(name) => name.strip_prefix(kind).is_some_and(|ending| ENDINGS.contains(&ending)),
        None => *kind == model,
    });
    known.map(|(_, defaults)| *defaults).ok_or_else(|| {
        let kinds: Vec<&str> = PROCESSORS.iter().map(|(kind, _)| *kind).collect();
        let expected = format!("an image processor of {}", kinds.join(", "));
        section.invalid(key, &Value::from(name.unwrap_or(model)), &expected)
    })
}

fn resize(section: &Section, defaults: Defaults) -> Result<Resize> {
    const KEY: &str = "size";
    if !section.optional_flag("do_resize")?.unwrap_or(true) {
        return Ok(Resize::None);
    }
    // CLIP's processor takes the square of its default size then, whatever `size` says.
    if section.optional_flag("use_square_size")?.unwrap_or(false)
        && let Resize::ShortestEdge(side) = defaults.resize
    {
        return Ok(Resize::Exact { height: side, width: side });
    }
    let Some(found) = section.get(KEY) else { return Ok(defaults.resize) };
    let resize = if let Value::Object(size) = found {
        let inner = section.section(KEY)?;
        let mut given: Vec<&str> =
            size.iter().filter(|(_, side)| !side.is_null()).map(|(key, _)| key.as_str()).collect();
        given.sort_unstable();
        match given.as_slice() {
            ["shortest_edge"] => Resize::ShortestEdge(inner.count("shortest_edge")?),
            ["height", "width"] => {
                Resize::Exact { height: inner.count("height")?, width: inner.count("width")? }
            }
            _ => {
                let expected = "`shortest_edge`, or `height` and `width`";
                return Err(section.invalid(KEY, found, expected));
            }
        }
    } else {
        let side = section.count(KEY)?;
        if section.optional_flag("default_to_square")?.unwrap_or(defaults.square) {
            Resize::Exact { height: side, width: side }
        } else {
            Resize::ShortestEdge(side)
        }
    };
    let sides = match resize {
        Resize::ShortestEdge(side) => [side, side],
        Resize::Exact { height, width } => [height, width],
        Resize::None | Resize::LongestEdge(_) => [1, 1],
    };
    within(section, KEY, found, sides)?;
    Ok(resize)
}

fn crop(section: &Section, defaults: Defaults) -> Result<Option<usize>> {
    const KEY: &str = "crop_size";
    if !section.optional_flag("do_center_crop")?.unwrap_or(defaults.crop.is_some()) {
        return Ok(None);
    }
    let Some(found) = section.get(KEY) else {
        return defaults.crop.map(Some).ok_or_else(|| section.missing(KEY));
    };
    let [height, width] = if found.is_object() {
        let inner = section.section(KEY)?;
        [inner.count("height")?, inner.count("width")?]
    } else {
        [section.count(KEY)?; 2]
    };
    within(section, KEY, found, [height, width])?;
    if height != width {
        return Err(section.invalid(KEY, found, "a square"));
    }
    Ok(Some(height))
}

fn within(section: &Section, key: &str, found: &Value, sides: [usize; 2]) -> Result<()> {
    if sides.iter().all(|side| (1..=MAX_SIDE).contains(side)) {
        return Ok(());
    }
    Err(section.invalid(key, found, &format!("sides of 1 to {MAX_SIDE} pixels")))
}

/// Mean and deviation of pixels in 0..1, where levels may be multiplied with another factor than
/// 1/255 before they are normalised.
fn statistics(section: &Section, defaults: Defaults) -> Result<([f32; 3], [f32; 3])> {
    let enabled = |key: &str| Ok::<_, ModelError>(section.optional_flag(key)?.unwrap_or(true));
    let (mean, std) = if enabled("do_normalize")? {
        (
            section.optional_rgb("image_mean")?.unwrap_or(defaults.mean),
            section.optional_rgb("image_std")?.unwrap_or(defaults.std),
        )
    } else {
        ([0.0; 3], [1.0; 3])
    };
    let factor = if enabled("do_rescale")? {
        section.optional_number("rescale_factor")?.unwrap_or(LEVELS.recip())
    } else {
        1.0
    };
    if !(factor > 1e-9 && factor < 1e9) {
        let found = Value::from(factor);
        return Err(section.invalid("rescale_factor", &found, "a positive number"));
    }
    let scale = factor * LEVELS;
    let scaled = |values: [f32; 3]| values.map(|value| (f64::from(value) / scale) as f32);
    // A factor that is 1/255 but for its last digits changes nothing.
    let (mean, std) =
        if (scale - 1.0).abs() < 1e-7 { (mean, std) } else { (scaled(mean), scaled(std)) };
    if let Some(std) = std.iter().find(|s| !s.is_normal() || **s < 0.0) {
        let found = Value::from(*std);
        return Err(section.invalid("image_std", &found, "positive numbers"));
    }
    Ok((mean, std))
}

/// The contents of `preprocessor_config.json`.
pub(super) fn to_json(preprocess: &Preprocess) -> Value {
    let size = match preprocess.resize {
        Resize::None => Value::Null,
        Resize::ShortestEdge(edge) => json!({ "shortest_edge": edge }),
        Resize::LongestEdge(edge) => json!({ "longest_edge": edge }),
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
