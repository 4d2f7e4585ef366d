//! Every way a checkpoint directory can be bad: which error it is, that the message names
//! what is wrong, and that it says what to do.

mod clap;
#[path = "../common/mod.rs"]
mod common;
mod config;
mod preprocessing;
mod timm;
mod tokenizer;
mod weights;

use std::path::Path;

use common::{Checkpoint, load};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use umid_models::ModelError;

/// Most characters of a message, paths aside: it is read in a terminal.
const LONGEST_MESSAGE: usize = 600;
const HF: &str = "hf-quickgelu-legacy-eos";
const OPEN_CLIP: &str = "openclip-gelu";
const SHARDED: &str = "hf-sharded";
const WEIGHTS: &str = "model.safetensors";
const PROJECTION: &str = "text_projection.weight";

/// The error of loading, whose message must hold each of `parts`: what is wrong, then the
/// remedy.
#[track_caller]
fn refused(checkpoint: &Checkpoint, parts: &[&str]) -> ModelError {
    refused_path(&checkpoint.path(""), parts)
}

#[track_caller]
fn refused_path(directory: &Path, parts: &[&str]) -> ModelError {
    let error = load(directory).expect_err("a bad checkpoint");
    assert_message(&error, parts);
    error
}

#[track_caller]
fn assert_message(error: &ModelError, parts: &[&str]) {
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
    assert!(!message.contains('\n') && message.len() < LONGEST_MESSAGE, "too long: {message}");
}

macro_rules! assert_variant {
    ($error:expr, $variant:ident) => {{
        let error = $error;
        assert!(matches!(error, ModelError::$variant { .. }), "{error:?}");
    }};
}
use assert_variant;

impl Checkpoint {
    fn edit_json(&self, file: &str, edit: impl FnOnce(&mut Value)) {
        let mut value = serde_json::from_slice(&self.read(file)).expect("JSON");
        edit(&mut value);
        self.write(file, value.to_string());
    }

    fn remove(&self, file: &str) {
        std::fs::remove_file(self.path(file)).expect(file);
    }

    /// Changes the header of `model.safetensors`, its data left alone.
    fn edit_header(&self, edit: impl FnOnce(&mut Value)) {
        let bytes = self.read(WEIGHTS);
        let (header, data) = split(&bytes);
        let mut header = serde_json::from_slice(header).expect("JSON");
        edit(&mut header);
        self.write(WEIGHTS, joined(header.to_string().as_bytes(), data));
    }

    /// Writes `model.safetensors` again with other tensors.
    fn edit_tensors(&self, edit: impl FnOnce(&mut Vec<Stored>)) {
        let bytes = self.read(WEIGHTS);
        let mut tensors: Vec<Stored> = SafeTensors::deserialize(&bytes)
            .expect("safetensors")
            .iter()
            .map(|(name, view)| Stored {
                name: name.to_owned(),
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                bytes: view.data().to_vec(),
            })
            .collect();
        edit(&mut tensors);
        let views = tensors.iter().map(|t| {
            let view = TensorView::new(t.dtype, t.shape.clone(), &t.bytes).expect("tensor");
            (t.name.as_str(), view)
        });
        self.write(WEIGHTS, safetensors::serialize(views, None).expect("safetensors"));
    }

    /// Changes one tensor of `model.safetensors`.
    fn edit_tensor(&self, name: &str, edit: impl FnOnce(&mut Stored)) {
        self.edit_tensors(|tensors| {
            edit(tensors.iter_mut().find(|t| t.name == name).expect("a tensor of this name"));
        });
    }
}

struct Stored {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// Header and data of a safetensors file.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = bytes.split_first_chunk().expect("length of the header");
    rest.split_at(u64::from_le_bytes(*length) as usize)
}

fn joined(header: &[u8], data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header, data].concat()
}

// The directory.

#[test]
fn missing_directory() {
    let checkpoint = Checkpoint::copy(HF);
    let missing = checkpoint.path("elsewhere");
    let error =
        refused_path(&missing, &["elsewhere", "nothing at", "give a checkpoint's directory"]);
    assert_variant!(error, NothingThere);
}

#[test]
fn a_file_that_holds_no_weights() {
    let checkpoint = Checkpoint::copy(HF);
    checkpoint.remove("config.json");
    let parts = ["tokenizer.json", "is not the PyTorch checkpoint", "download it again"];
    assert_variant!(refused_path(&checkpoint.path("tokenizer.json"), &parts), Pickle);
}

#[test]
fn several_weights_without_a_configuration() {
    let checkpoint = Checkpoint::copy(HF);
    checkpoint.remove("config.json");
    checkpoint.write("epoch_1.pt", "");
    let parts = ["epoch_1.pt, model.safetensors", "give the path of the one that is meant"];
    assert_variant!(refused(&checkpoint, &parts), SeveralWeights);
}

#[test]
fn weights_of_an_unknown_kind() {
    let checkpoint = Checkpoint::copy(HF);
    checkpoint.remove("config.json");
    let parts = [WEIGHTS, "logit_scale, text_model.", "no configuration beside it"];
    assert_variant!(refused(&checkpoint, &parts), UnknownWeights);
}

#[test]
fn a_link_that_leads_to_itself() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let link = folder.path().join("model");
    std::os::unix::fs::symlink(&link, &link).expect("a link");
    assert_variant!(refused_path(&link, &["model", "cannot read"]), Io);
    let checkpoint = Checkpoint::copy(HF);
    checkpoint.remove(WEIGHTS);
    std::os::unix::fs::symlink(checkpoint.path(WEIGHTS), checkpoint.path(WEIGHTS)).expect("link");
    assert_variant!(refused(&checkpoint, &[WEIGHTS, "cannot read"]), Io);
}

/// Other packages call their configurations `config.json` too.
#[test]
fn a_configuration_without_its_weights_does_not_win() {
    for config in ["{}", r#"{"architecture": "vit"}"#, r#"{"model_type": "clip"}"#, "[]"] {
        let checkpoint = Checkpoint::copy(OPEN_CLIP);
        checkpoint.write("config.json", config);
        let model = checkpoint.load().unwrap_or_else(|e| panic!("{config}: {e}"));
        assert_eq!(model.source.layout, "open-clip", "{config}");
    }
}

#[test]
fn empty_directory() {
    let empty = tempfile::tempdir().expect("temporary directory");
    let parts = ["neither config.json", "open_clip_config.json", "download the whole repository"];
    assert_variant!(refused_path(empty.path(), &parts), UnknownLayout);
}
