//! The bundled targets, loaded by us and by transformers: the expected values were written by
//! `scripts/embed_with_transformers.py`.

use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use serde::Deserialize;
use umid_models::{InputTower, Modality, Model, parse_device, to_host};
use umid_testbed::{
    Card, FRESH_NAMES, MEMBERS, NON_MEMBERS, NameLists, Retrieval, World, WorldParams,
    read_membership,
};

/// Largest difference of an embedding relative to its norm: f32 round-off through the layers
/// is near 1e-6, and a wrong activation, pooling or tokenizer shows from 1e-2 on.
const TOLERANCE: f32 = 1e-4;

/// The targets of `umid demo`.
const TARGETS: [&str; 2] = ["demo", "clap-htsat"];

#[derive(Deserialize)]
struct Expected {
    texts: Vec<String>,
    ids: Vec<Vec<u32>>,
    text_embeds: Vec<Vec<f32>>,
    inputs: Vec<Vec<Vec<Vec<f32>>>>,
    input_embeds: Vec<Vec<f32>>,
    logit_scale: f32,
}

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/zoo").join(target)
}

fn model(target: &str) -> Model {
    Model::load(&folder(target), &parse_device("cpu").expect("cpu")).expect(target)
}

fn expected(target: &str) -> Expected {
    let file = format!("tests/fixtures/{}_target_expected.json", target.replace('-', "_"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    serde_json::from_slice(&std::fs::read(path).expect("expected values")).expect("JSON")
}

/// Largest difference between two rows, relative to the norm of the expected one. transformers
/// gives CLAP's embeddings at length 1.
fn row_error(modality: Modality, found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
    let length = match modality {
        Modality::Image => 1.0,
        Modality::Audio => norm(&mut found.iter().copied()),
    };
    let difference = norm(&mut found.iter().zip(expected).map(|(f, e)| f / length - e));
    difference / norm(&mut expected.iter().copied())
}

#[test]
fn texts_are_embedded_as_transformers_does() {
    for target in TARGETS {
        let (model, expected) = (model(target), expected(target));
        for (text, ids) in expected.texts.iter().zip(&expected.ids) {
            assert_eq!(&model.tokenizer.tokenize(text).expect("tokens").ids, ids, "{text}");
        }
        let found = model.embed_texts(&expected.texts).expect("embeddings").embeddings;
        for ((found, expected), text) in
            found.rows().into_iter().zip(&expected.text_embeds).zip(&expected.texts)
        {
            let error = row_error(model.modality(), &found.to_vec(), expected);
            assert!(error <= TOLERANCE, "{target}: {text}: off by {error:e}");
        }
    }
}

#[test]
fn inputs_are_embedded_as_transformers_does() {
    for target in TARGETS {
        let (model, expected) = (model(target), expected(target));
        let (batch, [channels, rows, columns]) =
            (expected.inputs.len(), model.tower().expect("an input tower").input_shape());
        let values: Vec<f32> =
            expected.inputs.iter().flatten().flatten().flatten().copied().collect();
        let inputs = TensorData::new(values, [batch, channels, rows, columns]);
        let found = to_host(
            model.tower().expect("an input tower").embed(Tensor::from_data(inputs, model.device())),
        );
        for (found, expected) in
            found.chunks_exact(model.config.embedding_dim).zip(&expected.input_embeds)
        {
            let error = row_error(model.modality(), found, expected);
            assert!(error <= TOLERANCE, "{target}: off by {error:e}");
        }
        assert!((model.log_logit_scale - expected.logit_scale).abs() <= TOLERANCE);
    }
}

#[test]
fn the_card_and_the_lists_are_of_this_model() {
    let folders = std::fs::read_dir(folder("")).expect("the zoo").map(|entry| entry.expect("read"));
    let names = folders.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name());
    let targets: Vec<String> = names.map(|name| name.into_string().expect("UTF-8")).collect();
    assert!(TARGETS.iter().all(|target| targets.iter().any(|name| name == target)));
    for target in &targets {
        let card = Card::read(&folder(target)).expect("a card");
        let model = model(target);
        assert_eq!(card.digest, model.source.digest);
        assert_eq!(card.model, model.config);
        let list = |file| read_membership(&folder(target).join(file)).expect(file);
        let (members, non_members, fresh) = (list(MEMBERS), list(NON_MEMBERS), list(FRESH_NAMES));
        assert_eq!(members.len(), card.world.members);
        assert_eq!(non_members.len(), card.world.non_members);
        assert!(members.iter().all(|row| row.member) && !non_members.iter().any(|row| row.member));
        let names = members.iter().chain(&non_members).chain(&fresh).map(|row| &row.text);
        let distinct: std::collections::HashSet<&String> = names.clone().collect();
        assert_eq!(distinct.len(), names.count());
    }
}

/// A change of the renderer, of the voices, of the names or of the streams would leave the target
/// without its world: its recordings could not be made again.
#[test]
fn the_world_that_is_drawn_is_the_one_the_target_was_trained_in() {
    for target in TARGETS {
        let card = Card::read(&folder(target)).expect("a card");
        let params = WorldParams {
            seed: card.world.seed,
            members: card.world.members,
            non_members: card.world.non_members,
            public: card.world.public,
            bank: card.world.bank,
            images_per_person: card.world.images_per_person,
            medium: card.world.medium,
            ..WorldParams::default()
        };
        let world = World::draw(params, &NameLists::bundled()).expect("a world");
        let (members, non_members): (Vec<_>, Vec<_>) =
            world.membership().into_iter().partition(|row| row.member);
        let list = |file| read_membership(&folder(target).join(file)).expect(file);
        assert_eq!((members, non_members), (list(MEMBERS), list(NON_MEMBERS)));
        let found = Retrieval::measure(&model(target), &world).expect("retrieval");
        // One recording in a thousand may tip over on another processor.
        assert!((found.train - card.retrieval.train).abs() < 1e-3, "{target}: {found:?}");
        assert!((found.held_out - card.retrieval.held_out).abs() < 1e-3, "{target}: {found:?}");
    }
}
