//! What a loaded checkpoint says of its files, and what saving it again keeps.

mod common;

use std::path::Path;

use burn::tensor::{Tensor, TensorData};
use common::Checkpoint;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use umid_models::Precision;
use umid_models::save::{export, save};
use umid_models::{FrontEnd, InputTower, LoadOptions, Model, ModelError, to_host};

const TEXTS: [&str; 4] = ["a", "a photo of ada lovelace", "two words", "0123456789 !"];

fn digest(checkpoint: &Checkpoint) -> String {
    checkpoint.load().unwrap_or_else(|e| panic!("{e}")).source.digest
}

#[test]
fn the_digest_of_a_copied_directory_is_the_same() {
    for fixture in ["hf-gelu", "hf-sharded", "openclip-gelu"] {
        assert_eq!(digest(&Checkpoint::copy(fixture)), digest(&Checkpoint::copy(fixture)));
    }
}

/// An edit of a file's bytes.
type Change<'a> = &'a dyn Fn(&mut Vec<u8>);

/// Each file is changed in a way that it still loads.
#[test]
fn the_digest_changes_with_one_byte_of_any_file() {
    let space = |bytes: &mut Vec<u8>| bytes.push(b' ');
    // The lowest bits of the last weight.
    let weight = |bytes: &mut Vec<u8>| {
        let low = bytes.len() - 4;
        bytes[low] ^= 1;
    };
    let version = |bytes: &mut Vec<u8>| {
        assert!(bytes.starts_with(b"#version: 0.2"));
        bytes[12] = b'3';
    };
    let cases: [(&str, &str, Change); 13] = [
        ("hf-gelu", "config.json", &space),
        ("hf-gelu", "preprocessor_config.json", &space),
        ("hf-gelu", "vocab.json", &space),
        ("hf-gelu", "merges.txt", &version),
        ("hf-gelu", "model.safetensors", &weight),
        ("hf-bf16", "processor_config.json", &space),
        ("hf-sharded", "tokenizer.json", &space),
        ("hf-sharded", "model.safetensors.index.json", &space),
        ("hf-sharded", "model-00001-of-00004.safetensors", &weight),
        ("hf-sharded", "model-00004-of-00004.safetensors", &weight),
        ("openclip-gelu", "open_clip_config.json", &space),
        ("openclip-gelu", "open_clip_model.safetensors", &weight),
        ("openclip-gelu", "tokenizer.json", &space),
    ];
    for (fixture, file, change) in cases {
        let checkpoint = Checkpoint::copy(fixture);
        let before = digest(&checkpoint);
        let mut bytes = checkpoint.read(file);
        change(&mut bytes);
        checkpoint.write(file, bytes);
        assert_ne!(digest(&checkpoint), before, "{fixture}: {file}");
    }
}

#[test]
fn a_saved_checkpoint_gives_identical_embeddings() {
    for fixture in [
        "hf-quickgelu-legacy-eos",
        "hf-gelu",
        "hf-f16",
        "hf-bf16",
        "hf-sharded",
        "openclip-gelu",
        "openclip-quickgelu",
    ] {
        let source = Checkpoint::copy(fixture);
        let model = load_trainable(&source.path(""));
        let saved = tempfile::tempdir().expect("temporary directory");
        let again = saved_again(&source, &model, saved.path());

        assert_eq!(again.source.layout, "hugging-face");
        assert_eq!(again.config, model.config, "{fixture}");
        assert_eq!(again.log_logit_scale.to_bits(), model.log_logit_scale.to_bits(), "{fixture}");
        let normalisation = |model: &Model| {
            let preprocess = model.front_end.pixels().expect("an image model");
            (preprocess.mean, preprocess.std)
        };
        assert_eq!(normalisation(&again), normalisation(&model));
        let texts = |model: &Model| model.embed_texts(&TEXTS).expect("embeddings");
        assert_eq!(texts(&again), texts(&model), "{fixture}: text embeddings");
        assert_eq!(input_embeddings(&again), input_embeddings(&model), "{fixture}: images");
    }
}

#[test]
fn a_saved_clap_keeps_its_embeddings_and_its_front_end() {
    for (fixture, layout) in [
        ("clap-hf-unfused", "hugging-face"),
        ("clap-hf-other", "hugging-face"),
        ("clap-laion-pann", "laion-clap"),
    ] {
        let source = Checkpoint::copy(fixture);
        let model = load_trainable(&source.path(""));
        let saved = tempfile::tempdir().expect("temporary directory");
        let again = saved_again(&source, &model, saved.path());
        assert_eq!(again.source.layout, layout);
        assert_eq!(again.config, model.config, "{fixture}");
        assert_eq!(again.log_logit_scale.to_bits(), model.log_logit_scale.to_bits(), "{fixture}");
        let sound = |model: &Model| match &model.front_end {
            FrontEnd::Audio(log_mel) => log_mel.params().clone(),
            FrontEnd::Image(_) | FrontEnd::Absent { .. } => panic!("{fixture} reads sound"),
        };
        assert_eq!(sound(&again), sound(&model), "{fixture}");
        let texts = |model: &Model| model.embed_texts(&TEXTS).expect("embeddings");
        // The token type's embedding joins that of the words, and batch norms the convolutions.
        close(
            &texts(&again).embeddings.into_raw_vec_and_offset().0,
            &texts(&model).embeddings.into_raw_vec_and_offset().0,
            fixture,
        );
        close(&input_embeddings(&again), &input_embeddings(&model), fixture);
    }
}

/// One that fuses; and an HTSAT that reads texts and sounds as laion_clap does, which the Hugging
/// Face layout has no keys for.
#[test]
fn a_model_that_no_layout_describes_is_not_written() {
    for fixture in ["clap-hf-fused", "clap-laion-htsat"] {
        let model = Checkpoint::copy(fixture).load().expect("a model");
        let folder = tempfile::tempdir().expect("temporary directory");
        let tensors = export(
            &model.config,
            &model.text,
            model.tower().expect("an input tower"),
            model.log_logit_scale,
        );
        assert!(matches!(tensors, Err(ModelError::NotWritten { .. })), "{fixture}: {tensors:?}");
        let result = save(folder.path(), &model.config, &model.front_end, &[], Precision::F32);
        assert!(matches!(result, Err(ModelError::NotWritten { .. })), "{fixture}: {result:?}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}

/// Writes a model with the tokenizer of its source and loads it.
fn saved_again(source: &Checkpoint, model: &Model, folder: &Path) -> Model {
    let tensors = export(
        &model.config,
        &model.text,
        model.tower().expect("an input tower"),
        model.log_logit_scale,
    );
    let tensors = tensors.expect("a model that is written");
    save(folder, &model.config, &model.front_end, &tensors, Precision::F32).expect("a checkpoint");
    for file in ["tokenizer.json", "vocab.json", "merges.txt"] {
        if source.path(file).is_file() {
            std::fs::copy(source.path(file), folder.join(file)).expect(file);
        }
    }
    load_trainable(folder)
}

/// The kernels give no weights back, so what is saved is loaded without them.
fn load_trainable(folder: &Path) -> Model {
    Model::load(folder, LoadOptions::default().trainable()).unwrap_or_else(|e| panic!("{e}"))
}

/// Equal but for round-off, relative to the largest.
fn close(found: &[f32], expected: &[f32], what: &str) {
    let largest = expected.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5 * largest, "{what}: {found} and {expected}");
    }
}

/// Embeddings of two inputs of a fixed pattern.
fn input_embeddings(model: &Model) -> Vec<f32> {
    let [channels, rows, columns] = model.tower().expect("an input tower").input_shape();
    let values: Vec<f32> =
        (0..2 * channels * rows * columns).map(|i| (i as f32 * 0.37).sin()).collect();
    let inputs = TensorData::new(values, [2, channels, rows, columns]);
    to_host(model.tower().expect("an input tower").embed(Tensor::from_data(inputs, model.device())))
}

/// The input tower's tensors are accounted for, and not read.
#[test]
fn a_text_tower_loads_alone_with_the_same_embeddings() {
    for fixture in ["hf-gelu", "openclip-rn50", "clap-hf-unfused", "clap-laion-pann"] {
        let source = Checkpoint::copy(fixture);
        let both = source.load().expect("a model");
        let alone = Model::load(&source.path(""), LoadOptions::default().text_alone());
        let alone = alone.unwrap_or_else(|e| panic!("{fixture}: {e}"));
        let texts = |model: &Model| model.embed_texts(&TEXTS).expect("embeddings");
        assert_eq!(texts(&alone), texts(&both), "{fixture}");
        assert!(matches!(alone.tower(), Err(ModelError::TextAlone { .. })), "{fixture}");
        assert!(matches!(alone.input_units(), Err(ModelError::TextAlone { .. })), "{fixture}");
    }
}

/// Older checkpoints store a buffer that counts positions. It is no weight.
#[test]
fn position_ids_are_neither_refused_nor_counted() {
    const WEIGHTS: &str = "model.safetensors";
    let checkpoint = Checkpoint::copy("hf-gelu");
    let without = checkpoint.load().expect("a model").source.parameter_count;
    let bytes = checkpoint.read(WEIGHTS);
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let ids: Vec<u8> = (0..4_i64).flat_map(i64::to_le_bytes).collect();
    let mut views = tensors.tensors();
    for tower in ["text_model", "vision_model"] {
        let view = TensorView::new(Dtype::I64, vec![1, 4], &ids).expect("a view");
        views.push((format!("{tower}.embeddings.position_ids"), view));
    }
    checkpoint.write(WEIGHTS, safetensors::serialize(views, None).expect("safetensors"));
    assert_eq!(checkpoint.load().expect("a model").source.parameter_count, without);
}
