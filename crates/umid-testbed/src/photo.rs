//! A rendered photo: pixels of a square RGB image, and its side.

use crate::error::Error;

/// Side of a photo in pixels, 16..=128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageSize(usize);

impl ImageSize {
    /// Smallest side: below it, eyes and mouth fall into one pixel.
    pub const SMALLEST: usize = 16;
    /// Largest side: beyond it, the drawings show nothing new.
    pub const LARGEST: usize = 128;

    /// A checked side.
    ///
    /// # Errors
    /// A side outside 16..=128.
    pub fn new(side: usize) -> Result<Self, Error> {
        if (Self::SMALLEST..=Self::LARGEST).contains(&side) {
            Ok(Self(side))
        } else {
            Err(Error::InvalidParameter {
                parameter: "image size",
                found: side,
                expected: "16 to 128 pixels",
            })
        }
    }

    /// The side in pixels.
    pub fn side(self) -> usize {
        self.0
    }
}

impl Default for ImageSize {
    /// 32 pixels, the size at which the project's targets are trained.
    fn default() -> Self {
        Self(32)
    }
}

/// A square RGB image with values in 0..1.
#[derive(Clone, Debug, PartialEq)]
pub struct Photo {
    size: ImageSize,
    values: Vec<f32>,
}

impl Photo {
    /// # Shapes
    /// `values`: [3, side, side], channels first.
    pub(crate) fn new(size: ImageSize, values: Vec<f32>) -> Self {
        debug_assert_eq!(values.len(), 3 * size.side() * size.side());
        Self { size, values }
    }

    /// Side in pixels.
    pub fn size(&self) -> ImageSize {
        self.size
    }

    /// The values in 0..1.
    ///
    /// # Shapes
    /// [3, side, side], channels first: all of red, then green, then blue, each row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The photo as an 8-bit image, rounded to the nearest level.
    ///
    /// # Panics
    /// Never: the buffer has the size that is claimed.
    pub fn to_rgb8(&self) -> image::RgbImage {
        let side = self.size.side();
        let plane = side * side;
        let bytes = (0..plane)
            .flat_map(|pixel| [0, 1, 2].map(|channel| self.values[channel * plane + pixel]))
            .map(|value| (value * 255.0).round() as u8)
            .collect();
        let side = u32::try_from(side).expect("a side is at most 128");
        image::RgbImage::from_raw(side, side, bytes).expect("three bytes for every pixel")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_outside_the_range_are_errors() {
        for side in [0, 15, 129, usize::MAX] {
            assert!(matches!(
                ImageSize::new(side),
                Err(Error::InvalidParameter { parameter: "image size", found, .. }) if found == side
            ));
        }
        assert_eq!(ImageSize::new(16).unwrap().side(), 16);
        assert_eq!(ImageSize::new(128).unwrap().side(), 128);
    }

    #[test]
    fn bytes_are_interleaved_and_rounded() {
        let size = ImageSize::new(16).unwrap();
        let mut values = vec![0.0; 3 * 256];
        values[256 + 17] = 0.5;
        values[512 + 17] = 1.0;
        let image = Photo::new(size, values).to_rgb8();
        assert_eq!(image.get_pixel(1, 1).0, [0, 128, 255]);
    }
}
