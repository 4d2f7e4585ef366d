//! Images resized as Pillow resizes them, to the last bit.
//!
//! Reference: Pillow, `Resample.c` (8 bits per channel) and `Geometry.c` (nearest neighbour). transformers
//! and open_clip resize with it, so a model's embedding of an image depends on its round-off.

use std::ops::Range;

use rayon::prelude::*;

use super::Filter;

/// Bits behind the point of a weight.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// Interleaved bytes of an image.
#[derive(Debug, Clone)]
pub(super) struct Raster<const CHANNELS: usize> {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Row by row: `[height, width]`.
    pub(super) pixels: Vec<[u8; CHANNELS]>,
}

impl<const CHANNELS: usize> Raster<CHANNELS> {
    /// Resized by a filter that averages the pixels of the source, one axis after the other, each
    /// rounded to 8 bits.
    pub(super) fn resampled(self, width: usize, height: usize, filter: Filter) -> Self {
        let down = |image: Self| {
            if height == image.height { image } else { image.down(height, filter) }
        };
        let across = |image: Self| {
            if width == image.width { image } else { image.across(width, filter) }
        };
        if self.columns_first(width, height) { across(down(self)) } else { down(across(self)) }
    }

    /// Whether columns are resized before rows, as Pillow 13 does where an image loses more than two
    /// rows for each column; up to Pillow 12 rows always came first. The order shows wherever a
    /// number is rounded or clipped between the two.
    fn columns_first(&self, width: usize, height: usize) -> bool {
        height < self.height && self.height - height + 2 * width > 2 * self.width
    }

    /// The same image, with every pixel changed.
    pub(super) fn map<const OTHERS: usize>(
        self,
        change: impl Fn([u8; CHANNELS]) -> [u8; OTHERS],
    ) -> Raster<OTHERS> {
        let pixels = self.pixels.into_iter().map(change).collect();
        Raster { width: self.width, height: self.height, pixels }
    }

    fn across(&self, width: usize, filter: Filter) -> Self {
        let taps = taps(self.width, width, filter);
        let mut pixels = vec![[0; CHANNELS]; width * self.height];
        let rows = pixels.par_chunks_exact_mut(width).zip(self.pixels.par_chunks_exact(self.width));
        rows.for_each(|(to, from)| {
            for (to, (range, weights)) in to.iter_mut().zip(&taps) {
                *to = weighted(from[range.clone()].iter(), weights);
            }
        });
        Self { width, height: self.height, pixels }
    }

    fn down(&self, height: usize, filter: Filter) -> Self {
        let taps = taps(self.height, height, filter);
        let mut pixels = vec![[0; CHANNELS]; self.width * height];
        let rows = pixels.par_chunks_exact_mut(self.width).zip(&taps);
        rows.for_each(|(to, (range, weights))| {
            let from = &self.pixels[range.start * self.width..range.end * self.width];
            for (x, to) in to.iter_mut().enumerate() {
                *to = weighted(from.iter().skip(x).step_by(self.width), weights);
            }
        });
        Self { width: self.width, height, pixels }
    }

    /// Resized by taking the pixel of the source that the middle of each pixel falls into.
    pub(super) fn nearest(&self, width: usize, height: usize) -> Self {
        let columns = nearest(self.width, width);
        let rows = nearest(self.height, height);
        let mut pixels = Vec::with_capacity(width * height);
        for y in rows {
            pixels.extend(columns.iter().map(|x| self.pixels[y * self.width + x]));
        }
        Self { width, height, pixels }
    }
}

/// A weighted sum of pixels, rounded and clipped.
fn weighted<'a, const CHANNELS: usize>(
    pixels: impl Iterator<Item = &'a [u8; CHANNELS]>,
    weights: &[i32],
) -> [u8; CHANNELS] {
    let mut sums = [1i32 << (PRECISION_BITS - 1); CHANNELS];
    for (pixel, weight) in pixels.zip(weights) {
        for (sum, value) in sums.iter_mut().zip(pixel) {
            *sum = sum.wrapping_add(i32::from(*value).wrapping_mul(*weight));
        }
    }
    sums.map(|sum| (sum >> PRECISION_BITS).clamp(0, 255) as u8)
}

/// For each of `to` pixels on an axis, the pixels of `from` that it is made of and their weights.
fn taps(from: usize, to: usize, filter: Filter) -> Vec<(Range<usize>, Vec<i32>)> {
    let scale = from as f64 / to as f64;
    let filter_scale = scale.max(1.0);
    let support = filter.support() * filter_scale;
    let of_pixel = |at: usize| {
        let centre = (at as f64 + 0.5) * scale;
        // Casts truncate, and saturate at 0.
        let first = (centre - support + 0.5) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weight = |i: usize| filter.at((i as f64 - centre + 0.5) * filter_scale.recip());
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: f64| {
            let weight = if sum == 0.0 { weight } else { weight / sum };
            (weight * f64::from(1 << PRECISION_BITS) + 0.5f64.copysign(weight)) as i32
        };
        (first..end, weights.into_iter().map(fixed).collect())
    };
    (0..to).map(of_pixel).collect()
}

/// The nearest of `from` pixels to each of `to` on an axis. Positions are summed up, as Pillow does:
/// the round-off decides where one falls between two pixels.
fn nearest(from: usize, to: usize) -> Vec<usize> {
    let step = from as f64 / to as f64;
    let mut at = step * 0.5;
    let mut next = || {
        let found = (at as usize).min(from - 1);
        at += step;
        found
    };
    (0..to).map(|_| next()).collect()
}

impl Filter {
    /// Pixels on either side that a filter sees.
    fn support(self) -> f64 {
        match self {
            Self::Bicubic => 2.0,
            Self::Bilinear => 1.0,
        }
    }

    fn at(self, distance: f64) -> f64 {
        const A: f64 = -0.5;
        let x = distance.abs();
        match self {
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic | Self::Bilinear => 0.0,
        }
    }
}
