//! Images of inverted inputs, large enough to look at.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

use super::ReportError;

/// Writes an image as PNG, enlarged by a whole factor so that its shorter side has at least
/// `scale_to_at_least` pixels. Every input pixel becomes a square of equal pixels: nothing is
/// smoothed, what is seen is what was optimised.
///
/// Values are taken as 0..1 and cut off outside; one that is not a number is drawn black.
///
/// # Shapes
/// `pixels`: `[3, height, width]`, row-major, channels red, green, blue.
///
/// # Errors
/// [`ReportError::PreviewShape`] when the number of values is not `3 * height * width` or is
/// zero, [`ReportError::PreviewEncode`] when the enlarged image is too large for PNG.
pub fn png_from_chw(
    pixels: &[f32],
    height: usize,
    width: usize,
    scale_to_at_least: usize,
) -> Result<Vec<u8>, ReportError> {
    let plane = height.checked_mul(width);
    let plane = plane
        .filter(|plane| *plane > 0 && plane.checked_mul(3) == Some(pixels.len()))
        .ok_or(ReportError::PreviewShape { height, width, found: pixels.len() })?;
    let factor = scale_to_at_least.div_ceil(height.min(width)).max(1);

    let byte = |channel: usize, row: usize, column: usize| {
        let value = pixels[channel * plane + row * width + column];
        (value.clamp(0.0, 1.0) * 255.0).round() as u8
    };
    let mut rgb = Vec::with_capacity(plane * 3 * factor * factor);
    for row in 0..height {
        let start = rgb.len();
        for column in 0..width {
            let colour = [0, 1, 2].map(|channel| byte(channel, row, column));
            for _ in 0..factor {
                rgb.extend(colour);
            }
        }
        let end = rgb.len();
        for _ in 1..factor {
            rgb.extend_from_within(start..end);
        }
    }

    let (height, width) = (height * factor, width * factor);
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(
            &rgb,
            u32::try_from(width).unwrap_or(u32::MAX),
            u32::try_from(height).unwrap_or(u32::MAX),
            ExtendedColorType::Rgb8,
        )
        .map_err(|source| ReportError::PreviewEncode { height, width, source })?;
    Ok(png)
}

/// Lowest and highest decibels below the loudest value that a spectrogram shows as black and
/// white.
const RANGE: f32 = 60.0;

/// A log-mel spectrogram as a picture: time to the right, frequency upwards, louder is lighter.
///
/// # Shapes
/// `decibels`: `[frames, mel_bins]`, row-major.
///
/// # Errors
/// As [`png_from_chw`].
pub fn spectrogram_png(
    decibels: &[f32],
    frames: usize,
    mel_bins: usize,
    scale_to_at_least: usize,
) -> Result<Vec<u8>, ReportError> {
    if frames.checked_mul(mel_bins) != Some(decibels.len()) {
        let found = decibels.len();
        return Err(ReportError::PreviewShape { height: mel_bins, width: frames, found });
    }
    let loudest = decibels.iter().copied().fold(f32::MIN, f32::max);
    let share =
        |bin: usize, frame: usize| 1.0 + (decibels[frame * mel_bins + bin] - loudest) / RANGE;
    let pixels: Vec<f32> = (0..3)
        .flat_map(|channel| {
            (0..mel_bins)
                .rev()
                .flat_map(move |bin| (0..frames).map(move |frame| heat(share(bin, frame))[channel]))
        })
        .collect();
    png_from_chw(&pixels, mel_bins, frames, scale_to_at_least)
}

/// Black through violet and orange to white, each step lighter than the last.
fn heat(share: f32) -> [f32; 3] {
    const STOPS: [[f32; 3]; 5] =
        [[0.0, 0.0, 0.05], [0.3, 0.07, 0.45], [0.75, 0.2, 0.4], [0.98, 0.6, 0.25], [1.0, 1.0, 0.9]];
    let at = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f32;
    let (low, rest) = (at.floor() as usize, at.fract());
    let high = (low + 1).min(STOPS.len() - 1);
    std::array::from_fn(|c| STOPS[low][c] * (1.0 - rest) + STOPS[high][c] * rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_becomes_a_square() {
        // 1 x 2: red, then a colour outside the range and not a number.
        let pixels = [1.0, -2.0, 0.0, 7.0, 0.0, f32::NAN];
        let png = png_from_chw(&pixels, 1, 2, 3).expect("a valid image");
        let image = image::load_from_memory(&png).expect("a valid PNG").to_rgb8();
        assert_eq!(image.dimensions(), (6, 3));
        for (x, _, pixel) in image.enumerate_pixels() {
            assert_eq!(pixel.0, if x < 3 { [255, 0, 0] } else { [0, 255, 0] });
        }
    }

    #[test]
    fn an_image_that_is_large_enough_keeps_its_size() {
        let png = png_from_chw(&[0.5; 3 * 4 * 5], 4, 5, 2).expect("a valid image");
        let image = image::load_from_memory(&png).expect("a valid PNG");
        assert_eq!((image.width(), image.height()), (5, 4));
    }

    #[test]
    fn a_wrong_shape_is_an_error() {
        for (pixels, height, width) in [(5, 1, 2), (0, 0, 0), (0, 0, 4), (6, usize::MAX, 2)] {
            let error = png_from_chw(&vec![0.0; pixels], height, width, 64);
            assert!(matches!(error, Err(ReportError::PreviewShape { .. })), "{error:?}");
        }
    }

    #[test]
    fn a_spectrogram_has_high_bins_on_top_and_loud_ones_light() {
        // Two frames of three bins; the loudest is the highest bin of the second.
        let png = spectrogram_png(&[-90.0, -90.0, -90.0, -20.0, -90.0, 0.0], 2, 3, 3);
        let image = image::load_from_memory(&png.expect("valid")).expect("a PNG").to_luma8();
        assert_eq!(image.dimensions(), (4, 6));
        let light = |x: u32, y: u32| image.get_pixel(2 * x, 2 * y).0[0];
        assert!(light(1, 0) > light(1, 2) && light(1, 2) > light(0, 0));
        assert_eq!(light(0, 0), light(0, 2));
        assert!(spectrogram_png(&[0.0; 5], 2, 3, 3).is_err());
    }
}
