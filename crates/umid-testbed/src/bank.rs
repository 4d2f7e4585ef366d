//! The bank of public inputs: people in neither group, one photo or clip each. Many people with
//! one make a better bank than few with many.

use std::fs;
use std::path::Path;

use crate::error::Error;
use crate::world::World;

/// Writes the first `count` recordings of the bank as files `00000.png` or `00000.wav` and so on.
///
/// # Errors
/// A count over [`WorldParams::bank`](crate::WorldParams::bank), or a folder that cannot be
/// made or written.
pub fn write_bank(world: &World, count: usize, folder: &Path) -> Result<(), Error> {
    let available = world.params().bank;
    if count > available {
        return Err(Error::OutOfRange {
            what: "a bank person",
            index: count - 1,
            count: available,
        });
    }
    fs::create_dir_all(folder).map_err(Error::writing(folder))?;
    for person in 0..count {
        world.bank_recording(person)?.write(folder, &format!("{person:05}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Architecture;
    use crate::names::NameLists;
    use crate::recording::Medium;
    use crate::world::WorldParams;

    fn world(medium: Medium) -> World {
        let params =
            WorldParams { members: 2, non_members: 2, bank: 3, medium, ..WorldParams::default() };
        World::draw(params, &NameLists::bundled()).expect("a world")
    }

    #[test]
    fn a_file_of_the_bank_and_its_recording_are_the_same_input() {
        for architecture in [Architecture::default(), Architecture::Htsat, Architecture::Cnn14] {
            let (world, folder) =
                (world(architecture.medium()), tempfile::tempdir().expect("a folder"));
            write_bank(&world, 3, folder.path()).expect("files");
            let front_end = architecture.front_end(world.params().image_size);
            for entry in fs::read_dir(folder.path()).expect("files") {
                let path = entry.expect("a file").path();
                let stem = path.file_stem().and_then(|s| s.to_str()).expect("a stem");
                let recording = world.bank_recording(stem.parse().expect("a number"));
                let input = recording.and_then(|r| r.input(&front_end)).expect("an input");
                let opened = front_end.open(&path).expect("a recording");
                assert_eq!(input.shape, opened.shape);
                let differences =
                    input.values.iter().zip(&opened.values).map(|(a, b)| (a - b).abs());
                let worst = differences.fold(0.0, f32::max);
                // Round-off of two orders of the same arithmetic.
                assert!(worst < 1e-5, "{} differs by {worst}", path.display());
            }
        }
    }

    #[test]
    fn more_than_the_bank_holds_is_an_error() {
        let (world, folder) = (world(Medium::Photos), tempfile::tempdir().expect("a folder"));
        assert!(matches!(
            write_bank(&world, 4, folder.path()).err(),
            Some(Error::OutOfRange { index: 3, count: 3, .. })
        ));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
