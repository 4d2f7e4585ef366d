//! Checkpoints changed at random: whatever stands in their files, loading and using them ends
//! in a model or in an error, never in a panic.

mod common;

use std::path::Path;

use burn::tensor::{Tensor, TensorData};
use common::Checkpoint;
use proptest::prelude::*;
use serde_json::{Value, json};
use umid_models::{InputTower, Model, ModelError, to_host};

const HF: &str = "hf-quickgelu-legacy-eos";
const OPEN_CLIP: &str = "openclip-gelu";
/// Loads and, where that works, uses the model; the outcome matters not, only that there is
/// one.
fn exercise(checkpoint: &Checkpoint) {
    if let Ok(model) = checkpoint.load() {
        use_model(&model);
    }
}

fn use_model(model: &Model) {
    let long = "a long text ".repeat(50);
    let _: Result<_, ModelError> = model.embed_texts(&["", "ada lovelace", &long]);
    let [channels, height, width] = model.tower().expect("an input tower").input_shape();
    let shape = [1, channels, height, width];
    let pixels = TensorData::new(vec![0.5_f32; shape.iter().product()], shape);
    to_host(
        model.tower().expect("an input tower").embed(Tensor::from_data(pixels, model.device())),
    );
    let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images/photo.png");
    if let Ok(pixels) = model.front_end.open(&photo) {
        let _: Result<_, ModelError> = model.embed_inputs(&[pixels]);
    }
}

/// Where a byte is changed: as a fraction of the file, or near its start, where headers are.
fn position() -> impl Strategy<Value = (f64, bool)> {
    (0.0..1.0, any::<bool>())
}

fn place(length: usize, (fraction, near_start): (f64, bool)) -> usize {
    let range = if near_start { length.min(4_096) } else { length };
    (fraction * range as f64) as usize
}

/// A value that a JSON file might hold by accident.
fn any_json() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (0..64_u32).prop_map(|bits| Value::from(1_u64 << bits)),
        (0..300_u64).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
    ]
}

/// The values inside a JSON value, itself included, as pointers.
fn pointers(value: &Value) -> Vec<String> {
    let inner = |key: String, value: &Value| -> Vec<String> {
        pointers(value).iter().map(|p| format!("/{key}{p}")).collect()
    };
    let below: Vec<String> = match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, v)| inner(key.replace('~', "~0").replace('/', "~1"), v))
            .collect(),
        Value::Array(list) => {
            list.iter().enumerate().flat_map(|(i, v)| inner(i.to_string(), v)).collect()
        }
        _ => Vec::new(),
    };
    std::iter::once(String::new()).chain(below).collect()
}

const BINARY: [(&str, &str); 6] = [
    (HF, "model.safetensors"),
    (OPEN_CLIP, "open_clip_model.safetensors"),
    ("hf-bin", "pytorch_model.bin"),
    ("hf-bin-sharded", "pytorch_model-00002-of-00003.bin"),
    ("openclip-training", "epoch_1.pt"),
    ("openclip-script", "ViT-tiny.pt"),
];
const TEXTUAL: [(&str, &str); 6] = [
    (HF, "config.json"),
    (HF, "preprocessor_config.json"),
    (HF, "tokenizer.json"),
    (OPEN_CLIP, "open_clip_config.json"),
    ("hf-gelu", "vocab.json"),
    ("hf-gelu", "merges.txt"),
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn changed_bytes_never_panic(
        (fixture, file) in prop::sample::select([&BINARY[..], &TEXTUAL].concat()),
        changes in prop::collection::vec((position(), any::<u8>()), 1..4),
    ) {
        let checkpoint = Checkpoint::copy(fixture);
        let mut bytes = checkpoint.read(file);
        for (at, byte) in changes {
            let at = place(bytes.len(), at);
            bytes[at] = byte;
        }
        checkpoint.write(file, bytes);
        exercise(&checkpoint);
    }

    #[test]
    fn truncation_is_always_an_error(
        (fixture, file) in prop::sample::select(BINARY.to_vec()),
        at in position(),
    ) {
        let checkpoint = Checkpoint::copy(fixture);
        let bytes = checkpoint.read(file);
        checkpoint.write(file, &bytes[..place(bytes.len(), at)]);
        prop_assert!(checkpoint.load().is_err());
    }

    #[test]
    fn changed_json_values_never_panic(
        (fixture, file) in prop::sample::select(TEXTUAL[..4].to_vec()),
        which in any::<prop::sample::Index>(),
        value in any_json(),
    ) {
        let checkpoint = Checkpoint::copy(fixture);
        let mut json = serde_json::from_slice(&checkpoint.read(file)).expect("JSON");
        let pointers = pointers(&json);
        let pointer: &String = which.get(&pointers);
        *json.pointer_mut(pointer).expect("a pointer into it") = value;
        checkpoint.write(file, json.to_string());
        exercise(&checkpoint);
    }
}
