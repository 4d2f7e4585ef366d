//! The bundled target, loaded by us and by transformers: the expected values were written by
//! `scripts/embed_with_transformers.py`.

use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use serde::Deserialize;
use umid_invert::Decoder;
use umid_models::{InputTower, Model, parse_device, to_host};
use umid_testbed::{
    Card, FRESH_NAMES, MEMBERS, NON_MEMBERS, NameLists, Retrieval, World, WorldParams,
    read_membership,
};

/// Largest difference of an embedding relative to its norm: f32 round-off through the layers
/// is near 1e-6, and a wrong activation, pooling or tokenizer shows from 1e-2 on.
const TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Expected {
    texts: Vec<String>,
    ids: Vec<Vec<u32>>,
    text_embeds: Vec<Vec<f32>>,
    pixels: Vec<Vec<Vec<Vec<f32>>>>,
    image_embeds: Vec<Vec<f32>>,
    logit_scale: f32,
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/zoo/demo")
}

fn model() -> Model {
    Model::load(&target(), &parse_device("cpu").expect("cpu")).expect("the bundled target")
}

fn expected() -> Expected {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/demo_target_expected.json");
    serde_json::from_slice(&std::fs::read(path).expect("expected values")).expect("JSON")
}

/// Largest difference between two rows, relative to the norm of the expected one.
fn row_error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
    let difference = norm(&mut found.iter().zip(expected).map(|(f, e)| f - e));
    difference / norm(&mut expected.iter().copied())
}

#[test]
fn texts_are_embedded_as_transformers_does() {
    let (model, expected) = (model(), expected());
    for (text, ids) in expected.texts.iter().zip(&expected.ids) {
        assert_eq!(&model.tokenizer.tokenize(text).expect("tokens").ids, ids, "{text}");
    }
    let found = model.embed_texts(&expected.texts).expect("embeddings").embeddings;
    for ((found, expected), text) in
        found.rows().into_iter().zip(&expected.text_embeds).zip(&expected.texts)
    {
        let error = row_error(&found.to_vec(), expected);
        assert!(error <= TOLERANCE, "{text}: off by {error:e}");
    }
}

#[test]
fn images_are_embedded_as_transformers_does() {
    let (model, expected) = (model(), expected());
    let (batch, [_, side, _]) = (expected.pixels.len(), model.tower.input_shape());
    let values: Vec<f32> = expected.pixels.iter().flatten().flatten().flatten().copied().collect();
    let pixels = TensorData::new(values, [batch, 3, side, side]);
    let found = to_host(model.tower.embed(Tensor::from_data(pixels, model.device())));
    for (found, expected) in
        found.chunks_exact(model.config.embedding_dim()).zip(&expected.image_embeds)
    {
        let error = row_error(found, expected);
        assert!(error <= TOLERANCE, "off by {error:e}");
    }
    assert!((model.log_logit_scale - expected.logit_scale).abs() <= TOLERANCE);
}

#[test]
fn the_card_and_the_lists_are_of_this_model() {
    let card = Card::read(&target()).expect("a card");
    let model = model();
    assert_eq!(card.digest, model.source.digest);
    assert_eq!(card.model, model.config);
    let list = |file| read_membership(&target().join(file)).expect(file);
    let (members, non_members, fresh) = (list(MEMBERS), list(NON_MEMBERS), list(FRESH_NAMES));
    assert_eq!(members.len(), card.world.members);
    assert_eq!(non_members.len(), card.world.non_members);
    assert!(members.iter().all(|row| row.member) && !non_members.iter().any(|row| row.member));
    let names = members.iter().chain(&non_members).chain(&fresh).map(|row| &row.text);
    let distinct: std::collections::HashSet<&String> = names.clone().collect();
    assert_eq!(distinct.len(), names.count());
}

/// A change of the renderer, of the names or of the streams would leave the target without its
/// world: its photos could not be drawn again.
#[test]
fn the_world_that_is_drawn_is_the_one_the_target_was_trained_in() {
    let card = Card::read(&target()).expect("a card");
    let params = WorldParams {
        seed: card.world.seed,
        members: card.world.members,
        non_members: card.world.non_members,
        public: card.world.public,
        bank: card.world.bank,
        images_per_person: card.world.images_per_person,
        ..WorldParams::default()
    };
    let world = World::draw(params, &NameLists::bundled()).expect("a world");
    let (members, non_members): (Vec<_>, Vec<_>) =
        world.membership().into_iter().partition(|row| row.member);
    let list = |file| read_membership(&target().join(file)).expect(file);
    assert_eq!((members, non_members), (list(MEMBERS), list(NON_MEMBERS)));
    let found = Retrieval::measure(&model(), &world).expect("retrieval");
    // One photo in a thousand may tip over on another processor.
    assert!((found.train - card.retrieval.train).abs() < 1e-3, "{found:?}");
    assert!((found.held_out - card.retrieval.held_out).abs() < 1e-3, "{found:?}");
}

#[test]
fn the_decoder_gives_inputs_of_the_model_and_knows_public_photos() {
    let (model, device) = (model(), parse_device("cpu").expect("cpu"));
    let decoder = Decoder::load(&target(), &device).expect("the bundled decoder");
    assert_eq!(decoder.config().image_size(), model.tower.input_shape()[1]);
    let latents = decoder.public_latents();
    let count = latents.len() as f32;
    let mean = latents.sum() / count;
    let variance = latents.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / count;
    // White up to the encoder's own uncertainty, which is not among these.
    assert!(mean.abs() < 0.1 && (0.5..1.2).contains(&variance), "{mean}, {variance}");
}
