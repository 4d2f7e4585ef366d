//! Contact sheets: many photos on one PNG, to look at.

use std::path::Path;

use image::{RgbImage, imageops};

use crate::error::Error;
use crate::photo::Photo;

/// Input between two photos.
const GAP: u32 = 1;

/// Photos in rows of `columns`, in the given order.
///
/// # Errors
/// No photos, no columns, or photos of different sizes.
pub fn contact_sheet(photos: &[Photo], columns: usize) -> Result<RgbImage, Error> {
    let uneven = |found: String| Err(Error::UnevenSheet { found });
    let Some(first) = photos.first() else {
        return uneven("there is no photo".to_owned());
    };
    if columns == 0 {
        return uneven("there are no columns".to_owned());
    }
    if let Some(other) = photos.iter().find(|photo| photo.size() != first.size()) {
        return uneven(format!(
            "sides of {} and {} pixels were given",
            first.size().side(),
            other.size().side()
        ));
    }
    let columns = columns.min(photos.len());
    let cell = first.size().side() as u32 + GAP;
    let rows = photos.len().div_ceil(columns) as u32;
    let mut sheet = RgbImage::new(columns as u32 * cell - GAP, rows * cell - GAP);
    for (index, photo) in photos.iter().enumerate() {
        let (row, column) = (index / columns, index % columns);
        let (left, top) = (column as u32 * cell, row as u32 * cell);
        imageops::replace(&mut sheet, &photo.to_rgb8(), left.into(), top.into());
    }
    Ok(sheet)
}

/// Writes a contact sheet as an image; the ending of the path says which kind.
///
/// # Errors
/// As [`contact_sheet`], or a path that cannot be written.
pub fn write_contact_sheet(path: &Path, photos: &[Photo], columns: usize) -> Result<(), Error> {
    contact_sheet(photos, columns)?
        .save(path)
        .map_err(|source| Error::Image { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::photo::ImageSize;

    fn photo(side: usize) -> Photo {
        let size = ImageSize::new(side).unwrap();
        Photo::new(size, vec![1.0; 3 * side * side])
    }

    #[test]
    fn five_photos_in_rows_of_three_take_two_rows() {
        let sheet = contact_sheet(&vec![photo(16); 5], 3).unwrap();
        assert_eq!(sheet.dimensions(), (3 * 17 - 1, 2 * 17 - 1));
        assert_eq!(sheet.get_pixel(17, 17).0, [255; 3]);
        assert_eq!(sheet.get_pixel(16, 16).0, [0; 3]);
    }

    #[test]
    fn no_photo_no_columns_and_mixed_sizes_are_errors() {
        assert!(contact_sheet(&[], 3).is_err());
        assert!(contact_sheet(&[photo(16)], 0).is_err());
        assert!(contact_sheet(&[photo(16), photo(32)], 2).is_err());
    }
}
