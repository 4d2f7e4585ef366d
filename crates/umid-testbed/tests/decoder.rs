//! Training of a decoder on a toy bank: it learns, and it repeats to the bit.

use burn::tensor::{Tensor, TensorData};
use umid_invert::Decoder;
use umid_models::{parse_device, to_host};
use umid_testbed::{DecoderParams, Error, ImageSize, NameLists, World, WorldParams, train_decoder};

fn world() -> World {
    let params = WorldParams {
        members: 1,
        non_members: 1,
        bank: 320,
        image_size: ImageSize::new(16).expect("a size"),
        ..WorldParams::default()
    };
    World::draw(params, &NameLists::bundled()).expect("a world")
}

fn params() -> DecoderParams {
    DecoderParams { photos: 64, steps: 30, batch: 16, kept_latents: 8, ..DecoderParams::default() }
}

fn images(decoder: &Decoder) -> Vec<f32> {
    let latents: Vec<f32> = decoder.public_latents().iter().copied().collect();
    let shape = [decoder.public_latents().nrows(), decoder.latent_dim()];
    let device = parse_device("cpu").expect("cpu");
    to_host(decoder.forward(Tensor::from_data(TensorData::new(latents, shape), &device)))
}

#[test]
fn a_decoder_learns_and_repeats_to_the_bit() {
    let (world, device) = (world(), parse_device("cpu").expect("cpu"));
    let mut losses = Vec::new();
    let first =
        train_decoder(&world, &params(), &device, |p| losses.push(p.loss)).expect("trained");
    assert!(losses[losses.len() - 1] < 0.85 * losses[0], "{losses:?}");
    assert!(first.held_out_error.is_finite() && first.mean_photo_error > 0.0);
    assert_eq!(first.decoder.public_latents().dim(), (8, 32));
    let again = train_decoder(&world, &params(), &device, |_| ()).expect("trained");
    assert_eq!(images(&first.decoder), images(&again.decoder));

    let folder = tempfile::tempdir().expect("a folder");
    first.decoder.save(folder.path()).expect("saved");
    let loaded = Decoder::load(folder.path(), &device).expect("loaded");
    assert_eq!(images(&loaded), images(&first.decoder));
}

#[test]
fn parameters_outside_their_ranges_are_errors_that_name_them() {
    let rejects = |parameter: &str, change: fn(&mut DecoderParams)| {
        let mut params = params();
        change(&mut params);
        match params.check(320) {
            Err(
                Error::InvalidParameter { parameter: named, .. }
                | Error::InvalidRate { parameter: named, .. },
            ) => assert_eq!(named, parameter),
            other => panic!("expected an invalid {parameter}, found {other:?}"),
        }
    };
    params().check(320).expect("the toy's are valid");
    rejects("batch", |p| p.batch = 0);
    rejects("photos", |p| p.photos = 15);
    rejects("photos", |p| p.photos = 65);
    rejects("steps", |p| p.steps = 0);
    rejects("kept_latents", |p| p.kept_latents = 65);
    rejects("learning_rate", |p| p.learning_rate = 0.0);
    rejects("learning_rate", |p| p.learning_rate = f64::NAN);
    rejects("pixel_deviation", |p| p.pixel_deviation = -1.0);
    rejects("pixel_deviation", |p| p.pixel_deviation = f64::INFINITY);
}

#[test]
fn a_size_that_no_doubling_of_four_gives_is_an_error() {
    let params_of_world = WorldParams {
        members: 1,
        non_members: 1,
        bank: 320,
        image_size: ImageSize::new(20).expect("a size"),
        ..WorldParams::default()
    };
    let world = World::draw(params_of_world, &NameLists::bundled()).expect("a world");
    let device = parse_device("cpu").expect("cpu");
    let result = train_decoder(&world, &params(), &device, |_| ());
    assert!(matches!(
        result.err(),
        Some(Error::InvalidParameter { parameter: "image size", found: 20, .. })
    ));
}
