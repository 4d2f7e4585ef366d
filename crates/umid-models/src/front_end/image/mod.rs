//! Image files to the pixels that a model was trained on: resize, crop, normalise.
//!
//! References: transformers, `CLIPImageProcessor` and `SiglipImageProcessor` with Pillow; open_clip,
//! `transform.py`. Both resize 8-bit numbers with Pillow's antialiased convolution
//! ([`resample`]). They differ in what they do before it; see [`ImageConvention`].

mod decode;
mod resample;

use std::path::Path;

use image::DynamicImage;
use image::metadata::Orientation;
use serde::{Deserialize, Serialize};

use self::decode::{BYTES_CAP, Decoded, Pixels};
use self::resample::Raster;
use crate::front_end::Input;
use crate::{ModelError, Result};

/// Mean of each colour channel in OpenAI's CLIP training data, of pixels in 0..1.
pub const OPENAI_MEAN: [f32; 3] = [0.48145466, 0.4578275, 0.40821073];
/// Standard deviation of each colour channel in OpenAI's CLIP training data.
pub const OPENAI_STD: [f32; 3] = [0.26862954, 0.26130258, 0.27577711];
/// How images become model inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// Resizing, before the crop.
    pub resize: Resize,
    /// Filter of the resizing.
    pub filter: Filter,
    /// Side of the centred square that is cut out; smaller images are padded.
    pub crop: Option<usize>,
    /// Level of every colour that images are padded with.
    pub fill: u8,
    /// Whose steps are followed where packages differ.
    pub convention: ImageConvention,
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
    /// The longer edge gets this length, the shorter one keeps the proportion (rounded to even).
    LongestEdge(usize),
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

/// Whose steps are followed where packages differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageConvention {
    /// transformers turns an image upright by its EXIF orientation, lays it over white where it is
    /// transparent, and resizes what is then RGB. Half a pixel of margin is rounded down.
    Transformers,
    /// open_clip resizes the image as the file holds it, palettes and single bits by the nearest
    /// neighbour and colours weighted with their alpha, and then converts it to RGB, without
    /// alpha. It turns nothing. Half a pixel of margin is rounded to the even neighbour.
    OpenClip,
}

impl Preprocess {
    /// Reads and preprocesses an image file.
    ///
    /// Before anything else, 16-bit samples are scaled to 8 bits.
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`] and [`ModelError::Image`].
    pub fn open(&self, path: &Path) -> Result<Input> {
        let image = decode::read(path)?;
        self.apply_to(image).map_err(|reason| ModelError::Image { path: path.to_owned(), reason })
    }

    /// Preprocesses an upright image in memory, as [`Preprocess::open`] does one that it has
    /// decoded.
    ///
    /// # Errors
    ///
    /// [`ModelError::Image`] if the image cannot be resized.
    pub fn apply(&self, image: &DynamicImage) -> Result<Input> {
        let path = Path::new("(in memory)").to_owned();
        let (image, orientation) = (image.clone(), Orientation::NoTransforms);
        self.apply_to(Decoded { image, pixels: Pixels::Numbers, orientation })
            .map_err(|reason| ModelError::Image { path, reason })
    }

    fn apply_to(&self, decoded: Decoded) -> std::result::Result<Input, String> {
        let Decoded { mut image, pixels, orientation } = decoded;
        if self.convention == ImageConvention::Transformers {
            image.apply_orientation(orientation);
        }
        let (width, height) = (image.width() as usize, image.height() as usize);
        let (to_height, to_width) = self.target(height, width);
        if to_height == 0 || to_width == 0 {
            return Err(format!(
                "its sides of {width} and {height} pixels are too unequal: resized it would have \
                 {to_width} x {to_height}"
            ));
        }
        // Rows are resized before columns.
        let largest = to_width.saturating_mul(height.max(to_height));
        if largest.saturating_mul(size_of::<[u8; 4]>()) as u64 > BYTES_CAP {
            return Err(format!(
                "its sides of {width} and {height} pixels are too unequal: resized it would have \
                 {to_width} x {to_height}"
            ));
        }
        let has_alpha = image.color().has_alpha();
        let raster = match (self.convention, pixels) {
            (ImageConvention::Transformers, _) if has_alpha => {
                over_white(&image).resampled(to_width, to_height, self.filter)
            }
            (ImageConvention::OpenClip, Pixels::Indices) => {
                rgb(&image).nearest(to_width, to_height)
            }
            (ImageConvention::OpenClip, Pixels::Numbers) if has_alpha => {
                self.weighted_by_alpha(&image, to_width, to_height)
            }
            _ => rgb(&image).resampled(to_width, to_height, self.filter),
        };
        let (height, width) = (raster.height, raster.width);
        Ok(match self.crop {
            None => self.normalise(&raster, (0, 0), (height, width)),
            Some(side) => {
                let offset = |length: usize| self.convention.crop_offset(length, side);
                self.normalise(&raster, (offset(height), offset(width)), (side, side))
            }
        })
    }

    /// Resized with every colour multiplied by its alpha, and divided by it afterwards.
    fn weighted_by_alpha(&self, image: &DynamicImage, width: usize, height: usize) -> Raster<3> {
        let rgba = rgba(image);
        let raster = if (width, height) == (rgba.width, rgba.height) {
            rgba
        } else {
            let resampled = rgba.map(multiplied_by_alpha).resampled(width, height, self.filter);
            resampled.map(divided_by_alpha)
        };
        raster.map(|[r, g, b, _]| [r, g, b])
    }

    fn target(&self, height: usize, width: usize) -> (usize, usize) {
        match self.resize {
            Resize::None => (height, width),
            Resize::Exact { height, width } => (height, width),
            Resize::LongestEdge(edge) => {
                let ratio = height.max(width) as f64 / edge as f64;
                let side = |length: usize| (length as f64 / ratio).round_ties_even() as usize;
                (side(height), side(width))
            }
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

    /// Cuts `size` out of an image at `offset`, which may lie outside, and normalises.
    fn normalise(&self, image: &Raster<3>, offset: (isize, isize), size: (usize, usize)) -> Input {
        let (height, width) = (image.height, image.width);
        let mut values = Vec::with_capacity(3 * size.0 * size.1);
        for channel in 0..3 {
            for y in 0..size.0 {
                for x in 0..size.1 {
                    let (y, x) = (y as isize + offset.0, x as isize + offset.1);
                    let inside =
                        (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
                    let byte = if inside {
                        image.pixels[y as usize * width + x as usize][channel]
                    } else {
                        self.fill
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

/// An image's colours, without its alpha.
fn rgb(image: &DynamicImage) -> Raster<3> {
    let rgb = image.to_rgb8();
    let pixels = rgb.as_raw().as_chunks().0.to_vec();
    Raster { width: rgb.width() as usize, height: rgb.height() as usize, pixels }
}

fn rgba(image: &DynamicImage) -> Raster<4> {
    let rgba = image.to_rgba8();
    let pixels = rgba.as_raw().as_chunks().0.to_vec();
    Raster { width: rgba.width() as usize, height: rgba.height() as usize, pixels }
}

/// Lays an image over white. Reference: Pillow, `AlphaComposite.c`.
fn over_white(image: &DynamicImage) -> Raster<3> {
    const BITS: u32 = 7;
    rgba(image).map(|[r, g, b, alpha]| {
        let alpha = u32::from(alpha);
        [r, g, b].map(|colour| {
            let sum = (u32::from(colour) * alpha + 255 * (255 - alpha)) << BITS;
            let sum = sum + (0x80 << BITS);
            ((((sum >> 8) + sum) >> 8) >> BITS) as u8
        })
    })
}

/// Reference: Pillow, `Convert.c`, RGBA to RGBa.
fn multiplied_by_alpha([r, g, b, alpha]: [u8; 4]) -> [u8; 4] {
    let [r, g, b] = [r, g, b].map(|colour| {
        let product = u32::from(colour) * u32::from(alpha) + 128;
        (((product >> 8) + product) >> 8) as u8
    });
    [r, g, b, alpha]
}

/// Reference: Pillow, `Convert.c`, RGBa to RGBA.
fn divided_by_alpha([r, g, b, alpha]: [u8; 4]) -> [u8; 4] {
    if matches!(alpha, 0 | 255) {
        return [r, g, b, alpha];
    }
    let [r, g, b] =
        [r, g, b].map(|colour| (255 * u32::from(colour) / u32::from(alpha)).min(255) as u8);
    [r, g, b, alpha]
}

impl ImageConvention {
    /// Where a centred crop begins.
    fn crop_offset(self, length: usize, side: usize) -> isize {
        let margin = length as isize - side as isize;
        match self {
            Self::Transformers => margin.div_euclid(2),
            // torchvision pads a smaller image first, with the odd pixel behind it.
            Self::OpenClip if margin < 0 => margin / 2,
            Self::OpenClip => (margin as f64 / 2.0).round_ties_even() as isize,
        }
    }
}
