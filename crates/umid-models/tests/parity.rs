//! Every fixture, loaded and compared with what transformers or open_clip computed from the
//! same files (`scripts/make_clip_fixtures.py`; `tests/fixtures/README.md` lists the cases).

mod compare;

use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use safetensors::SafeTensors;
use serde_json::Value;
use umid_models::{InputTower, Model, default_device, to_host};

use compare::{largest, row_error};

/// Largest difference of an embedding relative to its norm. f32 round-off through a dozen
/// layers is near 1e-6; a wrong activation or pooling moves the fixtures by more than 1e-2.
const EMBEDDING_TOLERANCE: f32 = 1e-4;
/// The same for the gradient of a cosine, which passes through every layer twice.
const GRADIENT_TOLERANCE: f32 = 1e-4;
/// Largest difference of a preprocessed pixel, in 0..1: two grey levels, the round-off of two
/// implementations of Pillow's fixed-point resizing.
const PIXEL_TOLERANCE: f32 = 2.0 / 255.0;

struct Case {
    directory: PathBuf,
    json: Value,
    bytes: Vec<u8>,
    model: Model,
}

impl Case {
    fn load(directory: PathBuf) -> Self {
        let json = std::fs::read(directory.join("expected.json")).expect("expected.json");
        let json = serde_json::from_slice(&json).expect("JSON");
        let bytes = std::fs::read(directory.join("expected.safetensors")).expect("expected values");
        // What is to be loaded, if it is a file in the directory.
        let json: Value = json;
        let model = json["model"].as_str().map_or(directory.clone(), |file| directory.join(file));
        let model = Model::load(&model, &default_device().expect("a device"))
            .unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
        Self { directory, json, bytes, model }
    }

    fn expected(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let tensors = SafeTensors::deserialize(&self.bytes).expect("safetensors");
        let view = tensors.tensor(name).expect(name);
        let values =
            view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        (view.shape().to_vec(), values)
    }

    fn texts(&self) -> Vec<String> {
        let texts = self.json["texts"].as_array().expect("texts");
        texts.iter().map(|t| t["text"].as_str().expect("text").to_owned()).collect()
    }

    fn name(&self) -> &str {
        self.json["case"].as_str().expect("case")
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn cases() -> Vec<Case> {
    let mut directories: Vec<PathBuf> = std::fs::read_dir(fixtures())
        .expect("fixtures")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.join("expected.json").is_file())
        // CLAP's hold other values.
        .filter(|path| !path.file_name().expect("a name").to_string_lossy().starts_with("clap-"))
        .collect();
    directories.sort();
    assert!(directories.len() >= 36, "only {} fixtures", directories.len());
    directories.into_iter().map(Case::load).collect()
}

#[track_caller]
fn assert_rows(case: &Case, what: &str, found: &[f32], tolerance: f32) {
    let (shape, expected) = case.expected(what);
    let error = row_error(found, &expected, *shape.last().expect("shape"));
    assert!(error <= tolerance, "{}: {what} differs by {error:e} relative", case.name());
}

#[test]
fn token_ids_are_equal() {
    for case in cases() {
        for text in case.json["texts"].as_array().expect("texts") {
            let found = case.model.tokenizer.tokenize(text["text"].as_str().expect("text"));
            let expected: Vec<u32> =
                serde_json::from_value(text["ids"].clone()).expect("token ids");
            assert_eq!(found.expect("tokens").ids, expected, "{}: {text}", case.name());
        }
    }
}

#[test]
fn text_embeddings_and_states_agree() {
    for case in cases() {
        let found = case.model.embed_texts(&case.texts()).expect("embeddings");
        let rows = |array: &ndarray::Array2<f32>| array.iter().copied().collect::<Vec<_>>();
        assert_rows(&case, "text_embeds", &rows(&found.embeddings), EMBEDDING_TOLERANCE);
        assert_rows(&case, "text_states", &rows(&found.states), EMBEDDING_TOLERANCE);
    }
}

#[test]
fn preprocessed_pixels_agree() {
    let mut failures = Vec::new();
    for case in cases() {
        let (shape, expected) = case.expected("image_pixels");
        let size = shape[2];
        let names = case.json["images"].as_array().expect("images");
        for (name, expected) in names.iter().zip(expected.chunks_exact(3 * size * size)) {
            let file = name["file"].as_str().or(name.as_str()).expect("file name");
            let path = fixtures().join("images").join(file);
            let found = case.model.front_end.open(&path).expect("image");
            assert_eq!(found.shape, [3, size, size], "{}: {file}", case.name());
            // Compared before normalisation, so that the tolerance is in grey levels.
            let preprocess = case.model.front_end.pixels().expect("an image model");
            let grey = |values: &[f32]| preprocess.denormalise(values);
            let (found, expected) = (grey(&found.values), grey(expected));
            assert_eq!(found.len(), expected.len(), "{}: {file}", case.name());
            let worst = largest(found.iter().zip(&expected).map(|(f, e)| f - e));
            if worst.is_nan() || worst > PIXEL_TOLERANCE {
                failures.push(format!("{}: {file} by {} grey levels", case.name(), worst * 255.0));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn image_embeddings_agree() {
    for case in cases() {
        for (pixels, embeddings) in [("image_pixels", "image_embeds"), ("pixels", "pixel_embeds")] {
            let (shape, values) = case.expected(pixels);
            let shape: [usize; 4] = shape.try_into().expect("four axes");
            let pixels =
                Tensor::<4>::from_data(TensorData::new(values, shape), case.model.device());
            let found = to_host(case.model.tower().expect("an input tower").embed(pixels));
            assert_rows(&case, embeddings, &found, EMBEDDING_TOLERANCE);
        }
    }
}

#[test]
fn gradients_of_the_cosine_agree() {
    for case in cases() {
        let texts = case.model.embed_texts(&case.texts()).expect("embeddings").embeddings;
        let (shape, values) = case.expected("pixels");
        let shape: [usize; 4] = shape.try_into().expect("four axes");
        let row = shape[1..].iter().product::<usize>();
        let (_, expected) = case.expected("pixel_gradients");
        let (_, cosines) = case.expected("cosines");
        let indices: Vec<usize> =
            serde_json::from_value(case.json["gradient_texts"].clone()).expect("gradient_texts");
        for (i, text) in indices.into_iter().enumerate() {
            let text = texts.row(text).to_vec();
            let width = text.len();
            let text =
                Tensor::<2>::from_data(TensorData::new(text, [1, width]), case.model.device());
            let pixels = Tensor::<4>::from_data(
                TensorData::new(values.clone(), shape),
                &case.model.device().clone().autodiff(),
            )
            .require_grad();
            let unit = |v: Tensor<2>| {
                let norm = v.clone().powi_scalar(2).sum_dim(1).sqrt();
                v / norm
            };
            let cosine = (unit(case.model.tower().expect("an input tower").embed(pixels.clone()))
                * unit(text))
            .sum_dim(1);
            let found = to_host(cosine.clone().inner());
            let cosines = &cosines[i * shape[0]..(i + 1) * shape[0]];
            assert_eq!(found.len(), cosines.len());
            for (f, e) in found.iter().zip(cosines) {
                assert!((f - e).abs() <= EMBEDDING_TOLERANCE, "{}: cosine {f}, {e}", case.name());
            }
            let gradients = cosine.sum().backward();
            let found = to_host(pixels.grad(&gradients).expect("pixels are tracked"));
            let start = i * shape[0] * row;
            let error = row_error(&found, &expected[start..start + found.len()], row);
            assert!(error <= GRADIENT_TOLERANCE, "{}: gradient off by {error:e}", case.name());
        }
    }
}

#[test]
fn the_scale_is_read_as_stored() {
    for case in cases() {
        let (_, expected) = case.expected("logit_scale");
        assert_eq!(case.model.log_logit_scale.to_bits(), expected[0].to_bits(), "{}", case.name());
        assert!(case.directory.is_dir());
    }
}
