//! What a loaded checkpoint says of its files, and what saving it again keeps.

mod common;

use burn::tensor::{Tensor, TensorData};
use common::Checkpoint;
use umid_models::config::ModelConfig;
use umid_models::save::{Precision, export, save_hugging_face};
use umid_models::{InputTower, Layout, Model, to_host};

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
        let model = source.load().expect(fixture);
        let saved = tempfile::tempdir().expect("temporary directory");
        let (text, image) = model.clip_towers().expect("a CLIP");
        let tensors = export(text, image, model.log_logit_scale);
        let ModelConfig::Clip(config) = &model.config else { panic!("a CLIP") };
        let preprocess = model.front_end.pixels();
        save_hugging_face(saved.path(), config, preprocess, &tensors, Precision::F32)
            .expect(fixture);
        for file in ["tokenizer.json", "vocab.json", "merges.txt"] {
            if source.path(file).is_file() {
                std::fs::copy(source.path(file), saved.path().join(file)).expect(file);
            }
        }
        let again = common::load(saved.path()).unwrap_or_else(|e| panic!("{fixture}: {e}"));

        assert_eq!(again.source.layout, Layout::HuggingFace);
        assert_eq!(again.config, model.config, "{fixture}");
        assert_eq!(again.log_logit_scale.to_bits(), model.log_logit_scale.to_bits(), "{fixture}");
        let normalisation = |model: &Model| {
            let preprocess = model.front_end.pixels();
            (preprocess.mean, preprocess.std)
        };
        assert_eq!(normalisation(&again), normalisation(&model));
        let texts = |model: &Model| model.embed_texts(&TEXTS).expect("embeddings");
        assert_eq!(texts(&again), texts(&model), "{fixture}: text embeddings");
        assert_eq!(image_embeddings(&again), image_embeddings(&model), "{fixture}: images");
    }
}

/// Embeddings of two images of a fixed pattern.
fn image_embeddings(model: &Model) -> Vec<f32> {
    let [channels, size, _] = model.tower.input_shape();
    let values: Vec<f32> =
        (0..2 * channels * size * size).map(|i| (i as f32 * 0.37).sin()).collect();
    let pixels = TensorData::new(values, [2, channels, size, size]);
    to_host(model.tower.embed(Tensor::from_data(pixels, model.device())))
}
