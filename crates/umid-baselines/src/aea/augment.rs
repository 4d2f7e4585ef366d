//! Small deterministic changes of a normalised image.

use ndarray::{Array3, ArrayView3, s};

use crate::error::{BaselineError, Result};

/// Shift in units of the image's side: small enough that a person stays recognisable.
const SHIFT: f32 = 0.05;
/// Side of the central crop, in units of the image's side.
const CROP: f32 = 0.9;
/// Added brightness. One unit of a normalised channel is one deviation of the pixels that CLIP
/// trained on, about a quarter of the full range; 0.2 of it is about 5 % of the range.
const BRIGHTER: f32 = 0.2;

/// A change of a normalised image that keeps its shape. Nothing here is drawn at random, so that
/// every query meets the same changes.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Augmentation {
    /// Left and right exchanged.
    HorizontalFlip,
    /// Moved down and right by these shares of the height and width (negative: up and left); the
    /// edge is repeated where nothing moves in.
    Shift {
        /// Share of the height, above -1 and below 1.
        down: f32,
        /// Share of the width, above -1 and below 1.
        right: f32,
    },
    /// The middle, of this share of either side, above 0 and at most 1, scaled back up bilinearly.
    CentreCrop {
        /// Share of either side that is kept.
        share: f32,
    },
    /// A number added to every value.
    Brightness {
        /// In units of the normalised pixels.
        add: f32,
    },
    /// The mean over 3 x 3 neighbours, edges repeated.
    Blur,
}

/// The augmentations of [`augmentation_enhanced`](crate::augmentation_enhanced): a flip, four
/// shifts by 5 %, a central crop of 90 %, brighter, darker, and a blur.
pub fn augmentations() -> Vec<Augmentation> {
    use Augmentation::{Blur, Brightness, CentreCrop, HorizontalFlip, Shift};
    vec![
        HorizontalFlip,
        Shift { down: SHIFT, right: 0.0 },
        Shift { down: -SHIFT, right: 0.0 },
        Shift { down: 0.0, right: SHIFT },
        Shift { down: 0.0, right: -SHIFT },
        CentreCrop { share: CROP },
        Brightness { add: BRIGHTER },
        Brightness { add: -BRIGHTER },
        Blur,
    ]
}

impl Augmentation {
    /// The changed image.
    ///
    /// # Shapes
    /// `[channels, height, width]` to the same; height and width at least 1.
    ///
    /// # Errors
    /// When the image is empty or the augmentation's number is outside its range.
    pub fn apply(&self, pixels: &ArrayView3<'_, f32>) -> Result<Array3<f32>> {
        self.check()?;
        let (_, height, width) = pixels.dim();
        if pixels.is_empty() {
            return Err(BaselineError::TooFew { what: "pixels", needed: 1, found: 0 });
        }
        Ok(match *self {
            Self::HorizontalFlip => pixels.slice(s![.., .., ..;-1]).to_owned(),
            Self::Brightness { add } => pixels.mapv(|value| value + add),
            Self::Shift { down, right } => {
                let down = (down * height as f32).round() as isize;
                let right = (right * width as f32).round() as isize;
                map(pixels, |c, y, x| at(pixels, c, y as isize - down, x as isize - right))
            }
            Self::CentreCrop { share } => map(pixels, |c, y, x| {
                let (y, x) = (from_centre(y, height, share), from_centre(x, width, share));
                bilinear(pixels, c, y, x)
            }),
            Self::Blur => map(pixels, |c, y, x| {
                let near = |at: usize| at as isize - 1..=at as isize + 1;
                near(y).flat_map(|y| near(x).map(move |x| at(pixels, c, y, x))).sum::<f32>() / 9.0
            }),
        })
    }

    fn check(&self) -> Result<()> {
        let within = |argument, found: f32, usable: bool, expected| {
            if usable {
                return Ok(());
            }
            Err(BaselineError::Argument { argument, expected, found: f64::from(found) })
        };
        match *self {
            Self::HorizontalFlip | Self::Blur => Ok(()),
            Self::Brightness { add } => within("add", add, add.is_finite(), "a finite number"),
            Self::Shift { down, right } => {
                within("down", down, down.abs() < 1.0, "above -1 and below 1")?;
                within("right", right, right.abs() < 1.0, "above -1 and below 1")
            }
            Self::CentreCrop { share } => {
                within("share", share, share > 0.0 && share <= 1.0, "above 0 and at most 1")
            }
        }
    }
}

fn map(pixels: &ArrayView3<'_, f32>, value: impl Fn(usize, usize, usize) -> f32) -> Array3<f32> {
    Array3::from_shape_fn(pixels.raw_dim(), |(c, y, x)| value(c, y, x))
}

/// A pixel, or the nearest one of the edge.
fn at(pixels: &ArrayView3<'_, f32>, channel: usize, y: isize, x: isize) -> f32 {
    let inside = |at: isize, size: usize| at.clamp(0, size as isize - 1) as usize;
    let (_, height, width) = pixels.dim();
    pixels[[channel, inside(y, height), inside(x, width)]]
}

/// Where the centre of a pixel comes from when the middle share fills the whole side.
fn from_centre(at: usize, size: usize, share: f32) -> f32 {
    let middle = (size as f32 - 1.0) / 2.0;
    (at as f32 - middle).mul_add(share, middle)
}

fn bilinear(pixels: &ArrayView3<'_, f32>, channel: usize, y: f32, x: f32) -> f32 {
    let (top, left) = (y.floor(), x.floor());
    let (below, beside) = (y - top, x - left);
    let at = |dy, dx| at(pixels, channel, top as isize + dy, left as isize + dx);
    let upper = at(0, 0) * (1.0 - beside) + at(0, 1) * beside;
    let lower = at(1, 0) * (1.0 - beside) + at(1, 1) * beside;
    upper * (1.0 - below) + lower * below
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests {
    use super::*;
    use ndarray::array;

    fn ramp() -> Array3<f32> {
        Array3::from_shape_fn((3, 20, 20), |(c, y, x)| (100 * c + 5 * y + x) as f32)
    }

    #[test]
    fn every_augmentation_keeps_the_shape_and_changes_the_image() {
        let image = ramp();
        let mut results = Vec::new();
        for augmentation in augmentations() {
            let changed = augmentation.apply(&image.view()).expect("usable");
            assert_eq!(changed.dim(), image.dim(), "{augmentation:?}");
            assert!(changed.iter().all(|value| value.is_finite()), "{augmentation:?}");
            assert!(!results.contains(&changed) && changed != image, "{augmentation:?}");
            results.push(changed);
        }
    }

    #[test]
    fn small_images_are_changed_as_expected() {
        let image = array![[[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]];
        let apply = |a: Augmentation| a.apply(&image.view()).expect("usable");
        assert_eq!(apply(Augmentation::HorizontalFlip)[[0, 1, 0]], 6.0);
        let shifted = apply(Augmentation::Shift { down: 0.4, right: -0.4 });
        let expected = array![[[2.0f32, 3.0, 3.0], [2.0, 3.0, 3.0], [5.0, 6.0, 6.0]]];
        assert_eq!(shifted, expected);
        let blurred = apply(Augmentation::Blur);
        assert!((blurred[[0, 1, 1]] - 5.0).abs() < 1e-6);
        // Corner 1: its row and column repeated, so (4 * 1 + 2 * 2 + 2 * 4 + 5) / 9.
        assert!((blurred[[0, 0, 0]] - 21.0 / 9.0).abs() < 1e-6);
        let cropped = apply(Augmentation::CentreCrop { share: 0.5 });
        assert!((cropped[[0, 0, 0]] - 3.0).abs() < 1e-6);
        assert_eq!(cropped[[0, 1, 1]], 5.0);
    }

    #[test]
    fn numbers_outside_their_range_and_empty_images_are_refused() {
        let image = ramp();
        for bad in [
            Augmentation::Shift { down: 1.0, right: 0.0 },
            Augmentation::Shift { down: 0.0, right: f32::NAN },
            Augmentation::CentreCrop { share: 0.0 },
            Augmentation::CentreCrop { share: f32::NAN },
            Augmentation::Brightness { add: f32::INFINITY },
        ] {
            let result = bad.apply(&image.view());
            assert!(matches!(result, Err(BaselineError::Argument { .. })), "{bad:?}");
        }
        let empty = Augmentation::Blur.apply(&Array3::zeros((3, 0, 4)).view());
        assert!(matches!(empty, Err(BaselineError::TooFew { .. })));
    }
}
