//! Photos as model inputs, and the bank of public inputs: people in neither group, one photo
//! each. Many people with one photo make a better bank than few with many.

use std::fs;
use std::path::Path;

use umid_models::{Input, Preprocess};

use crate::error::Error;
use crate::photo::Photo;
use crate::world::World;

/// A photo as an 8-bit image file of it would reach a model of the same input size.
pub fn pixels(photo: &Photo, preprocess: &Preprocess) -> Input {
    let side = photo.size().side();
    let values = photo
        .values()
        .chunks_exact(side * side)
        .zip(preprocess.mean.iter().zip(preprocess.std))
        .flat_map(|(channel, (mean, std))| {
            channel.iter().map(move |value| ((value * 255.0).round() / 255.0 - mean) / std)
        })
        .collect();
    Input { shape: [3, side, side], values }
}

/// The first `count` photos of the bank as model inputs, rendered as they are asked for.
///
/// # Errors
/// A count over [`WorldParams::bank`](crate::WorldParams::bank).
pub fn bank_pixels<'a>(
    world: &'a World,
    preprocess: &'a Preprocess,
    count: usize,
) -> Result<impl Iterator<Item = Input> + 'a, Error> {
    check_count(world, count)?;
    Ok((0..count)
        .map_while(|person| world.bank_photo(person).ok())
        .map(|photo| pixels(&photo, preprocess)))
}

/// Writes the first `count` photos of the bank as PNG files `00000.png` and so on.
///
/// # Errors
/// A count over [`WorldParams::bank`](crate::WorldParams::bank), or a folder that cannot be
/// made or written.
pub fn write_bank(world: &World, count: usize, folder: &Path) -> Result<(), Error> {
    check_count(world, count)?;
    fs::create_dir_all(folder).map_err(Error::writing(folder))?;
    for person in 0..count {
        let path = folder.join(format!("{person:05}.png"));
        let image = world.bank_photo(person)?.to_rgb8();
        image.save(&path).map_err(|source| Error::Image { path, source })?;
    }
    Ok(())
}

fn check_count(world: &World, count: usize) -> Result<(), Error> {
    let available = world.params().bank;
    if count <= available {
        return Ok(());
    }
    Err(Error::OutOfRange { what: "a bank photo", index: count - 1, count: available })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::preprocessing;
    use crate::names::NameLists;
    use crate::world::WorldParams;

    fn world() -> World {
        let params = WorldParams { members: 2, non_members: 2, bank: 3, ..WorldParams::default() };
        World::draw(params, &NameLists::bundled()).expect("a world")
    }

    #[test]
    fn a_file_of_the_bank_and_its_pixels_are_the_same_input() {
        let (world, folder) = (world(), tempfile::tempdir().expect("a folder"));
        write_bank(&world, 3, folder.path()).expect("files");
        let preprocess = preprocessing(world.params().image_size);
        let pixels: Vec<Input> = bank_pixels(&world, &preprocess, 3).expect("a bank").collect();
        for (person, pixels) in pixels.iter().enumerate() {
            let path = folder.path().join(format!("{person:05}.png"));
            let opened = preprocess.open(&path).expect("an image");
            let worst = pixels
                .values
                .iter()
                .zip(&opened.values)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            // Round-off of two orders of the same arithmetic.
            assert!(worst < 1e-5, "photo {person} differs by {worst}");
        }
    }

    #[test]
    fn more_than_the_bank_holds_is_an_error() {
        let (world, folder) = (world(), tempfile::tempdir().expect("a folder"));
        let preprocess = preprocessing(world.params().image_size);
        assert!(matches!(
            bank_pixels(&world, &preprocess, 4).err(),
            Some(Error::OutOfRange { index: 3, count: 3, .. })
        ));
        assert!(write_bank(&world, 4, folder.path()).is_err());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
