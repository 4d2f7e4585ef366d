//! Image files become pixels, as Pillow opens them.
//!
//! References: Pillow, `PngImagePlugin.py`, `GifImagePlugin.py`, `BmpImagePlugin.py` (which images
//! have a palette), `JpegImagePlugin.py` and `ImageFile.py` (files that are cut off); EXIF 2.3,
//! tag 274.

use std::io::{Cursor, Read};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageFormat, ImageReader};

use crate::{ModelError, Result};

/// Files, and decoded or resized images, that take more bytes than this are refused.
pub(super) const BYTES_CAP: u64 = 1 << 30;

/// An image as a file holds it.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) image: DynamicImage,
    pub(super) pixels: Pixels,
    /// How the image is to be turned to be upright.
    pub(super) orientation: Orientation,
}

/// What the pixels of a file are, beyond their colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pixels {
    /// Numbers that can be averaged.
    Numbers,
    /// The same, where one colour stands for transparency.
    NumbersAndKey,
    /// Indices of a palette, or single bits.
    Indices,
}

/// Reads a file.
///
/// # Errors
///
/// [`ModelError::Io`] and [`ModelError::Image`].
pub(super) fn read(path: &Path) -> Result<Decoded> {
    let io = |source| ModelError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(io)?;
    file.take(BYTES_CAP + 1).read_to_end(&mut bytes).map_err(io)?;
    decode(&bytes).map_err(|reason| ModelError::Image { path: path.to_owned(), reason })
}

fn decode(bytes: &[u8]) -> std::result::Result<Decoded, String> {
    if bytes.len() as u64 > BYTES_CAP {
        return Err(format!("it has more than {BYTES_CAP} bytes"));
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let reader = reader.map_err(|e| e.to_string())?;
    let format = reader.format();
    if format == Some(ImageFormat::Jpeg) && !has_end(bytes) {
        return Err("it is a JPEG without an end marker, so it is cut off".to_owned());
    }
    let mut decoder = reader.into_decoder().map_err(|e| e.to_string())?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(BYTES_CAP);
    limits.reserve(decoder.total_bytes()).map_err(|e| e.to_string())?;
    decoder.set_limits(limits).map_err(|e| e.to_string())?;
    let pixels = match format {
        Some(ImageFormat::Png) => pixels_of_png(bytes),
        Some(ImageFormat::Gif) if !is_grey_gif(bytes) => Pixels::Indices,
        Some(ImageFormat::Gif) => Pixels::NumbersAndKey,
        Some(ImageFormat::Bmp) if has_bmp_palette(bytes) => Pixels::Indices,
        _ if decoder.original_color_type() == ExtendedColorType::L1 => Pixels::Indices,
        _ => Pixels::Numbers,
    };
    // Metadata that cannot be read turns nothing.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?;
    // Pillow turns a TIFF whenever it opens one.
    if format == Some(ImageFormat::Tiff) {
        image.apply_orientation(orientation);
        return Ok(Decoded { image, pixels, orientation: Orientation::NoTransforms });
    }
    Ok(Decoded { image, pixels, orientation })
}

/// Whether a JPEG comes to its end marker. What stands behind it does not matter.
fn has_end(bytes: &[u8]) -> bool {
    const START: u8 = 0xd8;
    const END: u8 = 0xd9;
    const RESTARTS: std::ops::RangeInclusive<u8> = 0xd0..=0xd7;
    let mut at = 0;
    while let Some(offset) = bytes[at..].iter().position(|byte| *byte == 0xff) {
        let Some(marker) = bytes.get(at + offset + 1) else { return false };
        at += offset + 2;
        match *marker {
            END => return true,
            // A byte of the data, and padding before a marker.
            0 | START => {}
            0xff => at -= 1,
            marker if RESTARTS.contains(&marker) => {}
            _ => {
                let Some(length) = bytes.get(at..).and_then(<[u8]>::first_chunk::<2>) else {
                    return false;
                };
                // The data of a scan, which have no length, follow its segment.
                at = (at + usize::from(u16::from_be_bytes(*length))).min(bytes.len());
            }
        }
    }
    false
}

fn pixels_of_png(bytes: &[u8]) -> Pixels {
    /// Of the header, which is the first chunk: signature, length, name, two sides.
    const DEPTH: usize = 8 + 4 + 4 + 4 + 4;
    match (bytes.get(DEPTH), bytes.get(DEPTH + 1)) {
        (_, Some(3)) | (Some(1), Some(0)) => Pixels::Indices,
        // Grey and colours without an alpha channel may name one colour that is transparent.
        (_, Some(0 | 2)) => Pixels::NumbersAndKey,
        _ => Pixels::Numbers,
    }
}

/// Whether the palette of a GIF's first frame leaves every index as it is, so that Pillow reads the
/// indices as grey.
fn is_grey_gif(bytes: &[u8]) -> bool {
    const SCREEN: usize = 13;
    /// Of a frame: separator, place, sides, flags.
    const FRAME: usize = 10;
    let size = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let identity = |palette: &[u8]| {
        let mut colours = palette.chunks_exact(3).enumerate();
        colours.all(|(i, colour)| colour.iter().all(|c| usize::from(*c) == i))
    };
    let Some(screen) = bytes.get(..SCREEN) else { return false };
    let global = SCREEN..SCREEN + size(screen[10]);
    let mut at = global.end;
    loop {
        match bytes.get(at) {
            Some(0x2c) => break,
            // An extension: its label, then blocks until an empty one.
            Some(0x21) => {
                at += 2;
                while let Some(length) = bytes.get(at).copied().filter(|length| *length > 0) {
                    at += 1 + usize::from(length);
                }
                at += 1;
            }
            _ => return false,
        }
    }
    let Some(frame) = bytes.get(at..at + FRAME) else { return false };
    let local = at + FRAME..at + FRAME + size(frame[FRAME - 1]);
    let palette = if local.is_empty() { global } else { local };
    bytes.get(palette).is_some_and(identity)
}

/// Whether Pillow reads a bitmap's pixels as indices: it has a palette that is not the greys in their
/// order, or single bits.
fn has_bmp_palette(bytes: &[u8]) -> bool {
    const FILE_HEADER: usize = 14;
    /// The first header had sides of 16 bits and colours of three bytes.
    const OLD_HEADER: u32 = 12;
    let u16_at =
        |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).map(|b| u16::from_le_bytes(*b));
    let u32_at =
        |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).map(|b| u32::from_le_bytes(*b));
    let Some(header) = u32_at(FILE_HEADER) else { return false };
    let old = header == OLD_HEADER;
    let depth = u16_at(FILE_HEADER + if old { 10 } else { 14 });
    let Some(depth @ (1 | 4 | 8)) = depth else { return false };
    let given = if old { None } else { u32_at(FILE_HEADER + 32).filter(|count| *count > 0) };
    let count = given.map_or(1 << depth, |count| count as usize);
    if count <= 2 {
        return true;
    }
    let colour_size = if old { 3 } else { 4 };
    let start = FILE_HEADER.saturating_add(header as usize);
    let palette = bytes.get(start..).unwrap_or_default();
    let mut colours = palette.chunks_exact(colour_size).take(count).enumerate();
    !colours.all(|(i, colour)| colour[..3].iter().all(|c| usize::from(*c) == i))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg() -> Vec<u8> {
        let mut bytes = Vec::new();
        let image = image::RgbImage::from_fn(40, 24, |x, y| image::Rgb([x as u8 * 6, y as u8, 7]));
        let encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
        image.write_with_encoder(encoder).expect("a JPEG");
        bytes
    }

    #[test]
    fn a_jpeg_that_is_cut_off_anywhere_is_refused() {
        let whole = jpeg();
        decode(&whole).expect("it is whole");
        for end in (whole.len() / 2..whole.len()).chain([20, 200]) {
            let error = decode(&whole[..end]).expect_err("it is cut off");
            assert!(error.contains("cut off") || end < 300, "{end}: {error}");
        }
        // Bytes behind the end are allowed.
        let image = decode(&whole).expect("whole").image;
        let behind = decode(&[&whole[..], b"and more"].concat()).expect("whole");
        assert_eq!(behind.image, image);
    }

    /// The end marker of a thumbnail in the metadata is not that of the image.
    #[test]
    fn an_end_marker_within_a_segment_does_not_end_a_jpeg() {
        let whole = jpeg();
        let segment = [&[0xff, 0xe1, 0, 6][..], &[1, 2, 0xff, 0xd9]].concat();
        let with_segment = [&whole[..2], &segment, &whole[2..]].concat();
        decode(&with_segment).expect("whole");
        decode(&with_segment[..with_segment.len() - 2]).expect_err("cut off");
    }
}
