//! How images are prepared, by `preprocess_cfg` of an OpenCLIP configuration.

use serde_json::Value;

use crate::Result;
use crate::checkpoint::Section;
use crate::front_end::{
    CropRounding, Filter, OPENAI_MEAN, OPENAI_STD, Preprocess, Resize, Transparency,
};

pub(super) fn read_preprocess(top: &Section, image_size: usize) -> Result<Preprocess> {
    let mut preprocess = Preprocess {
        resize: Resize::ShortestEdge(image_size),
        filter: Filter::Bicubic,
        crop: Some(image_size),
        crop_rounding: CropRounding::HalfEven,
        transparency: Transparency::Dropped,
        mean: OPENAI_MEAN,
        std: OPENAI_STD,
    };
    if top.get("preprocess_cfg").is_none() {
        return Ok(preprocess);
    }
    let section = top.section("preprocess_cfg")?;
    if let Some(mean) = section.optional_rgb("mean")? {
        preprocess.mean = mean;
    }
    if let Some(std) = section.optional_rgb("std")? {
        if let Some(bad) = std.iter().find(|s| !s.is_normal() || **s < 0.0) {
            return Err(section.invalid("std", &Value::from(*bad), "positive numbers"));
        }
        preprocess.std = std;
    }
    preprocess.filter = match section.optional_text("interpolation")? {
        None | Some("bicubic") => Filter::Bicubic,
        Some("bilinear") => Filter::Bilinear,
        Some(other) => {
            let found = Value::from(other);
            return Err(section.invalid("interpolation", &found, "`bicubic` or `bilinear`"));
        }
    };
    preprocess.resize = match section.optional_text("resize_mode")? {
        None | Some("shortest") => Resize::ShortestEdge(image_size),
        Some("squash") => Resize::Exact { height: image_size, width: image_size },
        Some(other) => {
            let found = Value::from(other);
            return Err(section.invalid("resize_mode", &found, "`shortest` or `squash`"));
        }
    };
    Ok(preprocess)
}
