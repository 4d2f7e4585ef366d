//! The same model in other files: what is read does not depend on the container, and what no file
//! says is taken from the user and told.

mod common;

use common::Checkpoint;
use umid_models::config::{Activation, TextConfig};
use umid_models::{LoadOptions, Model, ModelError};

const TRAINING: &str = "openclip-training";
const TRAINING_FILE: &str = "epoch_1.pt";
const SCRIPT: &str = "openclip-script";
const SCRIPT_FILE: &str = "ViT-tiny.pt";
const TEXTS: [&str; 2] = ["a photo of ada lovelace", "x"];

fn load(checkpoint: &Checkpoint, file: &str, activation: Option<Activation>) -> Model {
    let options = LoadOptions::default().with_activation(activation);
    Model::load(&checkpoint.path(file), options).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn activation(model: &Model) -> Activation {
    match &model.config.text {
        TextConfig::Clip(text) => text.transformer.activation,
        other => panic!("{other:?}"),
    }
}

/// A configuration that says what the training checkpoint's shapes say.
fn config() -> serde_json::Value {
    serde_json::json!({
        "model_cfg": {
            "embed_dim": 12,
            "vision_cfg": {
                "image_size": 12, "layers": 2, "width": 16, "head_width": 16, "patch_size": 4
            },
            "text_cfg": {
                "context_length": 16,
                "vocab_size": vocabulary(),
                "width": 16,
                "heads": 1,
                "layers": 1
            }
        }
    })
}

fn vocabulary() -> usize {
    load(&Checkpoint::copy(TRAINING), TRAINING_FILE, None).config.text.vocabulary()
}

#[test]
fn a_directory_and_the_file_in_it_are_the_same_model() {
    for (fixture, file) in [(TRAINING, TRAINING_FILE), (SCRIPT, SCRIPT_FILE)] {
        let checkpoint = Checkpoint::copy(fixture);
        let (directory, alone) =
            (checkpoint.load().expect("a model"), load(&checkpoint, file, None));
        assert_eq!(alone.config, directory.config);
        assert_eq!(alone.source.digest, directory.source.digest);
        assert_eq!(alone.source.name, file);
        let texts = |model: &Model| model.embed_texts(&TEXTS).expect("embeddings");
        assert_eq!(texts(&alone), texts(&directory));
    }
}

#[test]
fn every_name_that_open_clip_gives_weights_is_found() {
    let bare = Checkpoint::copy(TRAINING);
    let expected = bare.load().expect("a model");
    for name in [
        "open_clip_pytorch_model.bin",
        "open_clip_pytorch_model.pth",
        "pytorch_model.bin",
        "pytorch_model.pth",
        "model.pth",
    ] {
        let checkpoint = Checkpoint::copy(TRAINING);
        checkpoint.write(name, checkpoint.read(TRAINING_FILE));
        std::fs::remove_file(checkpoint.path(TRAINING_FILE)).expect("a file");
        checkpoint.write("open_clip_config.json", config().to_string());
        let model = checkpoint.load().unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(model.source.layout, "open-clip", "{name}");
        assert_eq!(model.config, expected.config, "{name}");
        assert!(model.source.provenance.assumed.is_empty(), "{name}");
        let texts = |model: &Model| model.embed_texts(&TEXTS).expect("embeddings");
        assert_eq!(texts(&model), texts(&expected), "{name}");
    }
}

/// One of several files of weights is opened by its own path, with the configuration beside it.
#[test]
fn a_file_that_is_given_wins_over_those_beside_it() {
    let checkpoint = Checkpoint::copy(TRAINING);
    checkpoint.write("open_clip_config.json", config().to_string());
    checkpoint.write("open_clip_pytorch_model.bin", "damaged");
    let model = load(&checkpoint, TRAINING_FILE, None);
    assert_eq!(model.source.layout, "open-clip");
    assert!(model.source.provenance.read.contains(&TRAINING_FILE.to_owned()));
}

#[test]
fn the_activation_is_assumed_or_given() {
    let training = Checkpoint::copy(TRAINING);
    let assumed = |model: &Model| model.source.provenance.assumed.join("\n");
    let model = load(&training, TRAINING_FILE, None);
    assert_eq!(activation(&model), Activation::Gelu);
    assert!(
        assumed(&model).contains("activation: gelu (open_clip's default"),
        "{}",
        assumed(&model)
    );
    let given = load(&training, TRAINING_FILE, Some(Activation::QuickGelu));
    assert_eq!(activation(&given), Activation::QuickGelu);
    assert!(assumed(&given).contains("quick_gelu (as given)"), "{}", assumed(&given));
    // They are two models, so that nothing computed with one is taken for the other's.
    assert_ne!(given.source.digest, model.source.digest);
    let texts = |model: &Model| model.embed_texts(&TEXTS).expect("embeddings");
    assert_ne!(texts(&given), texts(&model));
}

#[test]
fn an_activation_that_is_known_is_not_to_be_given() {
    let script = Checkpoint::copy(SCRIPT);
    assert_eq!(activation(&load(&script, SCRIPT_FILE, None)), Activation::QuickGelu);
    let refused = |checkpoint: &Checkpoint, file: &str, activation: Activation| {
        let options = LoadOptions::default().with_activation(Some(activation));
        let error = Model::load(&checkpoint.path(file), options).expect_err("an activation");
        assert!(matches!(error, ModelError::ActivationIsKnown { .. }), "{error:?}");
    };
    refused(&script, SCRIPT_FILE, Activation::Gelu);
    refused(&Checkpoint::copy("openclip-gelu"), "", Activation::Gelu);
    refused(&Checkpoint::copy("hf-bin"), "", Activation::QuickGelu);
}

#[test]
fn what_was_read_and_inferred_is_told() {
    let provenance = load(&Checkpoint::copy(SCRIPT), SCRIPT_FILE, None).source.provenance;
    assert_eq!(provenance.read, [SCRIPT_FILE, "tokenizer.json"]);
    let inferred = provenance.inferred.join("\n");
    for part in ["embed_dim: 12", "\"image_size\":12", "\"patch_size\":4", "\"context_length\":16"]
    {
        assert!(inferred.contains(part), "no {part} in {inferred}");
    }
    let of_directory =
        Checkpoint::copy("hf-bin-sharded").load().expect("a model").source.provenance;
    assert!(of_directory.inferred.is_empty() && of_directory.assumed.is_empty());
    assert!(of_directory.read.contains(&"pytorch_model-00002-of-00003.bin".to_owned()));
}

#[test]
fn integers_are_not_counted_as_weights() {
    let model = Checkpoint::copy("hf-bin").load().expect("a model");
    assert_eq!(model.source.dtypes["I64"], 2);
    let sharded = Checkpoint::copy("hf-bin-sharded").load().expect("a model");
    assert_eq!(model.source.parameter_count, sharded.source.parameter_count);
}
