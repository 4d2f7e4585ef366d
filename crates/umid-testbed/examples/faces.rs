//! Draws a contact sheet of the people of a world: a row a person, the first photo in the
//! studio, the others as a target would see them.
//!
//! `cargo run --release -p umid-testbed --example faces -- faces.png [side]`

use std::path::Path;
use std::process::ExitCode;

use umid_testbed::{
    Capture, Error, ImageSize, NameLists, World, WorldParams, render, write_contact_sheet,
};

const PEOPLE: usize = 12;
const PHOTOS: usize = 11;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else {
        eprintln!("give the path of the sheet, such as faces.png");
        return ExitCode::from(2);
    };
    let side = match arguments.next().map(|side| side.parse()) {
        None => ImageSize::default().side(),
        Some(Ok(side)) => side,
        Some(Err(error)) => {
            eprintln!("the side is not a number of pixels: {error}");
            return ExitCode::from(2);
        }
    };
    match draw(Path::new(&path), side) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn draw(path: &Path, side: usize) -> Result<(), Error> {
    let params = WorldParams { image_size: ImageSize::new(side)?, ..WorldParams::default() };
    let size = params.image_size;
    let world = World::draw(params, &NameLists::bundled())?;
    let mut photos = Vec::with_capacity(PEOPLE * (PHOTOS + 1));
    for person in &world.members()[..PEOPLE] {
        photos.push(render(&person.attributes, &Capture::studio(), size));
        for photo in 0..PHOTOS {
            photos.push(world.training_photo(person, photo)?);
        }
    }
    write_contact_sheet(path, &photos, PHOTOS + 1)
}
