//! How images are prepared, by `preprocess_cfg` of an OpenCLIP configuration.
//!
//! Reference: open_clip, `transform.py`, outside training: `image_transform_v2` of a
//! `PreprocessCfg`. Images are resized to the tower's own size: the shorter edge and then cropped
//! (CLIP), the longer edge and then padded, or both edges (`squash`: CLIPA, SigLIP, DFN).

use serde_json::Value;

use crate::Result;
use crate::checkpoint::Section;
use crate::front_end::{Filter, ImageConvention, OPENAI_MEAN, OPENAI_STD, Preprocess, Resize};

pub(super) fn read_preprocess(top: &Section, image_size: usize) -> Result<Preprocess> {
    let mut preprocess = Preprocess {
        resize: Resize::ShortestEdge(image_size),
        filter: Filter::Bicubic,
        crop: Some(image_size),
        fill: 0,
        convention: ImageConvention::OpenClip,
        mean: OPENAI_MEAN,
        std: OPENAI_STD,
    };
    if top.get("preprocess_cfg").is_none() {
        return Ok(preprocess);
    }
    let section = top.section("preprocess_cfg")?;
    if let Some(mode) = section.get("mode").filter(|mode| **mode != "RGB") {
        return Err(section.invalid("mode", mode, "`RGB`"));
    }
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
        // A filter that training draws is bicubic afterwards.
        None | Some("bicubic" | "random") => Filter::Bicubic,
        Some("bilinear") => Filter::Bilinear,
        Some(other) => {
            let found = Value::from(other);
            let expected = "`bicubic`, `bilinear` or `random`";
            return Err(section.invalid("interpolation", &found, expected));
        }
    };
    preprocess.resize = match section.optional_text("resize_mode")? {
        None | Some("shortest") => Resize::ShortestEdge(image_size),
        Some("squash") => Resize::Exact { height: image_size, width: image_size },
        Some("longest") => Resize::LongestEdge(image_size),
        Some(other) => {
            let found = Value::from(other);
            let expected = "`shortest`, `longest` or `squash`";
            return Err(section.invalid("resize_mode", &found, expected));
        }
    };
    let fill = section.optional_count("fill_color")?.unwrap_or(0);
    preprocess.fill = u8::try_from(fill)
        .map_err(|_| section.invalid("fill_color", &Value::from(fill), "a level of 0 to 255"))?;
    Ok(preprocess)
}
