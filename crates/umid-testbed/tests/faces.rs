//! Faces are images, and people can be told apart by them.

use umid_testbed::{Capture, ImageSize, NameLists, World, WorldParams, render};

const PEOPLE: usize = 50;
const PHOTOS: usize = 8;

fn world() -> World {
    let params =
        WorldParams { members: PEOPLE, images_per_person: PHOTOS, ..WorldParams::default() };
    World::draw(params, &NameLists::bundled()).expect("the parameters are in range")
}

/// [person][photo][value]
fn albums(world: &World) -> Vec<Vec<Vec<f32>>> {
    world
        .members()
        .iter()
        .map(|person| {
            (0..PHOTOS)
                .map(|photo| world.training_photo(person, photo).unwrap().values().to_vec())
                .collect()
        })
        .collect()
}

#[test]
fn values_are_colours_at_every_size() {
    let world = world();
    for side in [16, 17, 32, 100, 128] {
        let size = ImageSize::new(side).unwrap();
        for person in world.members() {
            let photo = render(&person.attributes, &Capture::studio(), size);
            assert_eq!(photo.values().len(), 3 * side * side);
            assert!(photo.values().iter().all(|value| (0.0..=1.0).contains(value)));
        }
    }
    for values in albums(&world).iter().flatten() {
        assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
    }
}

#[test]
fn sizes_show_the_same_picture() {
    /// Mean difference of a pixel: soft edges differ, surfaces must not.
    const TOLERANCE: f32 = 0.04;
    let world = world();
    let side = 32;
    for person in &world.members()[..10] {
        let [small, large] = [side, 4 * side].map(|side| {
            let size = ImageSize::new(side).unwrap();
            render(&person.attributes, &Capture::studio(), size)
        });
        let mut difference = 0.0;
        for (index, value) in small.values().iter().enumerate() {
            let (channel, pixel) = (index / (side * side), index % (side * side));
            let (down, across) = (4 * (pixel / side), 4 * (pixel % side));
            let block = (0..16).map(|i| {
                let row = channel * 4 * side + down + i / 4;
                large.values()[row * 4 * side + across + i % 4]
            });
            difference += (value - block.sum::<f32>() / 16.0).abs();
        }
        difference /= small.values().len() as f32;
        assert!(difference < TOLERANCE, "{}: {difference}", person.name);
    }
}

#[test]
fn people_differ_more_than_their_photos() {
    let albums = albums(&world());
    let (mut same, mut other) = (Vec::new(), Vec::new());
    for (person, album) in albums.iter().enumerate() {
        for photo in 1..PHOTOS {
            same.push(distance(&album[0], &album[photo]));
            other.push(distance(&album[0], &albums[(person + photo) % PEOPLE][photo]));
        }
    }
    let (same, other) = (mean(&same), mean(&other));
    assert!(other > 1.2 * same, "other people {other}, same person {same}");
}

/// Leave-one-out: each photo goes to the person whose other photos' mean is nearest, every value
/// measured in its own deviation within people (diagonal linear discriminant), so that the
/// backdrop, which says nothing, counts little.
#[test]
fn nearest_centroid_names_nine_of_ten() {
    let mut albums = albums(&world());
    let deviation = deviation_within(&albums);
    for values in albums.iter_mut().flatten() {
        for (value, deviation) in values.iter_mut().zip(&deviation) {
            *value /= deviation;
        }
    }
    let centroids: Vec<Vec<f32>> = albums.iter().map(|album| centroid(album, None)).collect();
    let mut right = 0;
    for (person, album) in albums.iter().enumerate() {
        for (number, photo) in album.iter().enumerate() {
            let own = distance(photo, &centroid(album, Some(number)));
            let nearer = centroids
                .iter()
                .enumerate()
                .any(|(other, centroid)| other != person && distance(photo, centroid) <= own);
            right += usize::from(!nearer);
        }
    }
    let share = f64::from(u32::try_from(right).unwrap()) / (PEOPLE * PHOTOS) as f64;
    assert!(share >= 0.9, "{share}");
}

/// Root mean square of each value about its person's mean.
fn deviation_within(albums: &[Vec<Vec<f32>>]) -> Vec<f32> {
    let mut squares = vec![0.0; albums[0][0].len()];
    for album in albums {
        let mean = centroid(album, None);
        for photo in album {
            for ((square, value), mean) in squares.iter_mut().zip(photo).zip(&mean) {
                *square += (value - mean).powi(2);
            }
        }
    }
    squares.iter().map(|square| (square / (PEOPLE * PHOTOS) as f32).sqrt()).collect()
}

fn centroid(album: &[Vec<f32>], left_out: Option<usize>) -> Vec<f32> {
    let kept: Vec<&Vec<f32>> = album
        .iter()
        .enumerate()
        .filter(|(photo, _)| Some(*photo) != left_out)
        .map(|(_, values)| values)
        .collect();
    (0..kept[0].len())
        .map(|value| kept.iter().map(|photo| photo[value]).sum::<f32>() / kept.len() as f32)
        .collect()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt()
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}
