//! Image files to the pixels that a model was trained on: resize, crop, normalise.
//!
//! Reference: transformers, `CLIPImageProcessor` on Pillow images; open_clip,
//! `transform.py`. Both resize 8-bit RGB with Pillow's antialiased convolution, whose
//! algorithm `fast_image_resize` implements.

use std::path::Path;

use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{DynamicImage, ImageReader, Rgb, RgbImage};
use serde::{Deserialize, Serialize};

use crate::front_end::Input;
use crate::{ModelError, Result};

/// Mean of each colour channel in OpenAI's CLIP training data, of pixels in 0..1.
pub const OPENAI_MEAN: [f32; 3] = [0.48145466, 0.4578275, 0.40821073];
/// Standard deviation of each colour channel in OpenAI's CLIP training data.
pub const OPENAI_STD: [f32; 3] = [0.26862954, 0.26130258, 0.27577711];
/// Images that take more bytes than this, decoded or resized, are refused.
const DECODED_BYTES_CAP: u64 = 1 << 30;

/// How images become model inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// Resizing, before the crop.
    pub resize: Resize,
    /// Filter of the resizing.
    pub filter: Filter,
    /// Side of the centred square that is cut out; smaller images are padded with black.
    pub crop: Option<usize>,
    /// Where the crop starts when the margin is odd.
    pub crop_rounding: CropRounding,
    /// What becomes of transparent pixels.
    pub transparency: Transparency,
    /// Subtracted from each channel, of pixels in 0..1.
    pub mean: [f32; 3],
    /// Divides each channel after the mean is subtracted.
    pub std: [f32; 3],
}

/// Target of the resizing, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// Leave the size.
    None,
    /// The shorter edge gets this length, the longer one keeps the proportion (truncated).
    ShortestEdge(usize),
    /// Exactly this size, whatever the proportion.
    Exact {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
}

/// Resampling filter, with antialiasing as Pillow does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// Cubic convolution with a = -0.5.
    Bicubic,
    /// Triangle.
    Bilinear,
}

/// How half a pixel of margin is rounded in a centred crop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CropRounding {
    /// Down, as transformers does.
    Down,
    /// To the even neighbour, as torchvision does.
    HalfEven,
}

/// What becomes of an image's alpha channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transparency {
    /// The image is laid over white, as transformers does.
    OverWhite,
    /// The alpha channel is ignored, as open_clip does.
    Dropped,
}

impl Preprocess {
    /// Reads and preprocesses an image file.
    ///
    /// Before anything else, transparency is resolved, greyscale repeated over the channels,
    /// and 16-bit samples scaled to 8 bits.
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`] and [`ModelError::Image`].
    pub fn open(&self, path: &Path) -> Result<Input> {
        let undecodable = |reason: String| ModelError::Image { path: path.to_owned(), reason };
        let mut reader = ImageReader::open(path)
            .and_then(ImageReader::with_guessed_format)
            .map_err(|source| ModelError::Io { path: path.to_owned(), source })?;
        let mut limits = image::Limits::default();
        limits.max_alloc = Some(DECODED_BYTES_CAP);
        reader.limits(limits);
        let image = reader.decode().map_err(|e| undecodable(e.to_string()))?;
        self.apply_to(&image).map_err(undecodable)
    }

    /// Preprocesses an image in memory, as [`Preprocess::open`] does one that it has decoded.
    ///
    /// # Errors
    ///
    /// [`ModelError::Image`] if the image cannot be resized.
    pub fn apply(&self, image: &DynamicImage) -> Result<Input> {
        let path = Path::new("(in memory)").to_owned();
        self.apply_to(image).map_err(|reason| ModelError::Image { path, reason })
    }

    fn apply_to(&self, image: &DynamicImage) -> std::result::Result<Input, String> {
        let rgb = match self.transparency {
            Transparency::OverWhite if image.color().has_alpha() => over_white(image),
            Transparency::OverWhite | Transparency::Dropped => image.to_rgb8(),
        };
        let (width, height) = (rgb.width() as usize, rgb.height() as usize);
        let (height, width, bytes) = match self.target(height, width) {
            (h, w) if (h, w) == (height, width) => (height, width, rgb.into_raw()),
            (h, w) if (h * w) as u64 * 3 > DECODED_BYTES_CAP => {
                return Err(format!(
                    "its sides of {width} and {height} pixels are too unequal: resized it would \
                     have {w} x {h}"
                ));
            }
            (h, w) => (h, w, self.resized(width, height, rgb.into_raw(), w, h)?),
        };
        Ok(match self.crop {
            None => self.normalise(&bytes, height, width, (0, 0), (height, width)),
            Some(side) => {
                let offset = |length: usize| self.crop_rounding.offset(length, side);
                self.normalise(&bytes, height, width, (offset(height), offset(width)), (side, side))
            }
        })
    }

    fn target(&self, height: usize, width: usize) -> (usize, usize) {
        match self.resize {
            Resize::None => (height, width),
            Resize::Exact { height, width } => (height, width),
            Resize::ShortestEdge(edge) => {
                let long = |short: usize, long: usize| (edge * long / short).max(1);
                if width <= height {
                    (long(width, height), edge)
                } else {
                    (edge, long(height, width))
                }
            }
        }
    }

    fn resized(
        &self,
        width: usize,
        height: usize,
        bytes: Vec<u8>,
        to_width: usize,
        to_height: usize,
    ) -> std::result::Result<Vec<u8>, String> {
        let side = |n: usize| u32::try_from(n).map_err(|_| format!("a side of {n} pixels"));
        let filter = match self.filter {
            Filter::Bicubic => FilterType::CatmullRom,
            Filter::Bilinear => FilterType::Bilinear,
        };
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
        let mut image = Image::from_vec_u8(side(width)?, side(height)?, bytes, PixelType::U8x3)
            .map_err(|e| e.to_string())?;
        // Rows first, then columns, each rounded to 8 bits, as Pillow does; the library alone
        // would take them in the other order, which differs wherever a value is clipped.
        for (to_width, to_height) in [(to_width, height), (to_width, to_height)] {
            let mut target = Image::new(side(to_width)?, side(to_height)?, PixelType::U8x3);
            Resizer::new().resize(&image, &mut target, &options).map_err(|e| e.to_string())?;
            image = target;
        }
        Ok(image.into_vec())
    }

    /// Cuts `size` out of interleaved RGB at `offset`, which may lie outside, and normalises.
    fn normalise(
        &self,
        bytes: &[u8],
        height: usize,
        width: usize,
        offset: (isize, isize),
        size: (usize, usize),
    ) -> Input {
        let mut values = Vec::with_capacity(3 * size.0 * size.1);
        for channel in 0..3 {
            for y in 0..size.0 {
                for x in 0..size.1 {
                    let (y, x) = (y as isize + offset.0, x as isize + offset.1);
                    let inside =
                        (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
                    let byte = if inside {
                        bytes[(y as usize * width + x as usize) * 3 + channel]
                    } else {
                        0
                    };
                    values.push((f32::from(byte) / 255.0 - self.mean[channel]) / self.std[channel]);
                }
            }
        }
        Input { shape: [3, size.0, size.1], values }
    }

    /// The range of normalised values that pixels in 0..1 can have, per channel.
    pub fn valid_range(&self) -> [(f32, f32); 3] {
        std::array::from_fn(|c| (-self.mean[c] / self.std[c], (1.0 - self.mean[c]) / self.std[c]))
    }

    /// Normalised values back to pixels in 0..1, clamped.
    ///
    /// # Shapes
    ///
    /// `values` is `[3, height, width]` in row-major order, and so is the result.
    pub fn denormalise(&self, values: &[f32]) -> Vec<f32> {
        let plane = (values.len() / 3).max(1);
        values
            .iter()
            .enumerate()
            .map(|(i, v)| {
                let channel = (i / plane).min(2);
                (v * self.std[channel] + self.mean[channel]).clamp(0.0, 1.0)
            })
            .collect()
    }
}

/// Blends an image with white by its alpha channel.
fn over_white(image: &DynamicImage) -> RgbImage {
    let rgba = image.to_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, alpha] = rgba.get_pixel(x, y).0.map(u32::from);
        Rgb([r, g, b].map(|c| ((c * alpha + 255 * (255 - alpha) + 127) / 255) as u8))
    })
}

impl CropRounding {
    fn offset(self, length: usize, side: usize) -> isize {
        let margin = length as isize - side as isize;
        match self {
            Self::Down => margin.div_euclid(2),
            // torchvision pads a smaller image first, with the odd pixel behind it.
            Self::HalfEven if margin < 0 => margin / 2,
            Self::HalfEven => (margin as f64 / 2.0).round_ties_even() as isize,
        }
    }
}
