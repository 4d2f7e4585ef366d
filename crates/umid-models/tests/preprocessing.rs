//! Images of every kind, preprocessed as transformers and open_clip do it
//! (`scripts/make_preprocessing_fixtures.py`).

#[path = "common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};

use common::Checkpoint;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use umid_models::Model;

/// Largest difference of a normalised number, relative to the largest: the resizing agrees to the
/// last bit, and f32 round-off of the normalisation is left.
const TOLERANCE: f32 = 2e-6;
/// Levels of 255 by which two decoders of a JPEG differ.
const JPEG_TOLERANCE: f32 = 2.0;
const HUGGING_FACE: &str = "hf-gelu";
const OPEN_CLIP: &str = "openclip-clipa";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/preprocessing")
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

/// A model with another configuration of its preprocessing.
fn model(layout: &str, config: &Value, side: u64) -> Model {
    if layout == "hugging-face" {
        let checkpoint = Checkpoint::copy(HUGGING_FACE);
        checkpoint.write("preprocessor_config.json", config.to_string());
        return checkpoint.load().unwrap_or_else(|e| panic!("{config}: {e}"));
    }
    let checkpoint = Checkpoint::copy(OPEN_CLIP);
    let file = "open_clip_config.json";
    let mut all = json_of(&checkpoint.read(file));
    assert_eq!(all["model_cfg"]["vision_cfg"]["image_size"], side);
    all["preprocess_cfg"] = config.clone();
    checkpoint.write(file, all.to_string());
    checkpoint.load().unwrap_or_else(|e| panic!("{config}: {e}"))
}

#[test]
fn images_are_prepared_as_the_packages_do() {
    let cases = json_of(&std::fs::read(fixtures().join("cases.json")).expect("cases"));
    let bytes = std::fs::read(fixtures().join("expected.safetensors")).expect("expected values");
    let expected = SafeTensors::deserialize(&bytes).expect("safetensors");
    let side = cases["side"].as_u64().expect("side");
    let mut failures = Vec::new();
    let mut compared = 0;
    for case in cases["cases"].as_array().expect("cases") {
        let name = case["name"].as_str().expect("name");
        let model = model(case["layout"].as_str().expect("layout"), &case["config"], side);
        let preprocess = model.front_end.pixels().expect("an image model");
        for file in case["images"].as_array().expect("images") {
            let file = file.as_str().expect("file");
            let view = expected.tensor(&format!("{name}/{file}")).expect(file);
            let values: Vec<f32> =
                view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            let found = preprocess.open(&fixtures().join(file)).expect(file);
            assert_eq!(found.shape.to_vec(), view.shape(), "{name}: {file}");
            let largest = values.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            let tolerance = if Path::new(file).extension().is_some_and(|kind| kind == "jpg") {
                let std = preprocess.std.iter().copied().fold(f32::INFINITY, f32::min);
                JPEG_TOLERANCE / 255.0 / std
            } else {
                TOLERANCE * largest
            };
            let differences = found.values.iter().zip(&values).map(|(f, e)| (f - e).abs());
            let worst = differences.max_by(f32::total_cmp).expect("pixels");
            if worst.is_nan() || worst > tolerance {
                failures.push(format!("{name}: {file} by {worst:e}, allowed {tolerance:e}"));
            }
            compared += 1;
        }
    }
    assert!(compared > 60, "only {compared}");
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn keys_that_are_not_honoured_are_refused_by_name() {
    let side = json!({ "height": 14, "width": 14 });
    let base = json!({ "image_processor_type": "CLIPImageProcessor", "crop_size": side });
    for (key, value) in [
        ("image_processor_type", json!("DPTImageProcessor")),
        ("do_pad", json!(true)),
        ("do_convert_rgb", json!(false)),
        ("rescale_factor", json!(0)),
        ("rescale_factor", json!(-1.0)),
        ("size", json!({ "longest_edge": 24 })),
        ("size", json!({ "shortest_edge": 24, "longest_edge": 24 })),
        ("size", json!({ "height": 24 })),
        ("resample", json!(1)),
    ] {
        let mut config = base.clone();
        config[key] = value;
        let checkpoint = Checkpoint::copy(HUGGING_FACE);
        checkpoint.write("preprocessor_config.json", config.to_string());
        let error = checkpoint.load().expect_err(key).to_string();
        assert!(error.contains(&format!("`{key}`")), "{key}: {error}");
    }
    for (key, value) in [
        ("resize_mode", json!("wide")),
        ("interpolation", json!("lanczos")),
        ("fill_color", json!(300)),
        ("mode", json!("L")),
    ] {
        let checkpoint = Checkpoint::copy(OPEN_CLIP);
        let file = "open_clip_config.json";
        let mut config = json_of(&checkpoint.read(file));
        config["preprocess_cfg"][key] = value;
        checkpoint.write(file, config.to_string());
        let error = checkpoint.load().expect_err(key).to_string();
        assert!(error.contains(&format!("preprocess_cfg.{key}`")), "{key}: {error}");
    }
}

/// Pillow and torchvision refuse one.
#[test]
fn a_jpeg_that_is_cut_off_is_refused() {
    let config = json!({ "image_processor_type": "CLIPImageProcessor" });
    let model = model("hugging-face", &config, 14);
    let whole = std::fs::read(fixtures().join("turned6.jpg")).expect("image");
    let folder = tempfile::TempDir::new().expect("folder");
    for end in [whole.len() - 1, whole.len() / 2, 700] {
        let path = folder.path().join("cut.jpg");
        std::fs::write(&path, &whole[..end]).expect("written");
        let error = model.front_end.open(&path).expect_err("it is cut off").to_string();
        assert!(error.contains("cut off") && error.contains("cut.jpg"), "{error}");
    }
}
