//! Every way a checkpoint directory can be bad: which error it is, that the message names
//! what is wrong, and that it says what to do.

mod common;

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
    let error = refused_path(&missing, &["elsewhere", "give the directory that holds"]);
    assert_variant!(error, NotADirectory);
}

#[test]
fn file_instead_of_directory() {
    let checkpoint = Checkpoint::copy(HF);
    let parts = [WEIGHTS, "no model directory", "give the directory that holds"];
    assert_variant!(refused_path(&checkpoint.path(WEIGHTS), &parts), NotADirectory);
}

#[test]
fn empty_directory() {
    let empty = tempfile::tempdir().expect("temporary directory");
    let parts = ["neither config.json", "open_clip_config.json", "download the whole repository"];
    assert_variant!(refused_path(empty.path(), &parts), UnknownLayout);
}

// The configuration.

#[test]
fn config_is_not_json() {
    for (fixture, file) in [(HF, "config.json"), (OPEN_CLIP, "open_clip_config.json")] {
        for bytes in [&b"{\"model_type\": \"clip\","[..], b"", b"\xff\xfe{}", &[b'['; 5_000]] {
            let checkpoint = Checkpoint::copy(fixture);
            checkpoint.write(file, bytes);
            assert_variant!(refused(&checkpoint, &[file, "copy the file again"]), Json);
        }
    }
}

#[test]
fn config_is_not_an_object() {
    let checkpoint = Checkpoint::copy(HF);
    checkpoint.write("config.json", format!("{:?}", vec![1; 10_000]));
    let parts = ["config.json", "expected an object", "check the file"];
    assert_variant!(refused(&checkpoint, &parts), InvalidConfigValue);
}

#[test]
fn config_without_a_needed_key() {
    for (fixture, file, within, key) in [
        (HF, "config.json", "", "text_config"),
        (HF, "config.json", "", "vision_config"),
        (HF, "config.json", "", "model_type"),
        (HF, "preprocessor_config.json", "", "image_mean"),
        (HF, "preprocessor_config.json", "", "size"),
        ("hf-sharded", "model.safetensors.index.json", "", "weight_map"),
        (OPEN_CLIP, "open_clip_config.json", "", "model_cfg"),
        (OPEN_CLIP, "open_clip_config.json", "/model_cfg", "embed_dim"),
        (OPEN_CLIP, "open_clip_config.json", "/model_cfg", "text_cfg"),
    ] {
        let checkpoint = Checkpoint::copy(fixture);
        checkpoint.edit_json(file, |config| {
            let section = config.pointer_mut(within).and_then(Value::as_object_mut);
            section.expect("a section").remove(key).expect(key);
        });
        let error = refused(&checkpoint, &[file, &format!("{key}`"), "copy it again"]);
        assert_variant!(error, MissingConfigKey);
    }
}

#[test]
fn config_value_of_the_wrong_type() {
    for (pointer, value) in [
        ("/text_config/hidden_size", json!("24")),
        ("/text_config/hidden_size", json!(24.5)),
        ("/text_config/num_hidden_layers", json!(-3)),
        ("/text_config/layer_norm_eps", json!("small")),
        ("/text_config/eos_token_id", json!([2])),
        ("/vision_config/patch_size", json!({ "height": 8 })),
        ("/vision_config/hidden_act", json!(1)),
        ("/text_config", json!([1, 2, 3])),
        ("/model_type", json!(["clip"])),
    ] {
        let checkpoint = Checkpoint::copy(HF);
        checkpoint.edit_json("config.json", |config| {
            *config.pointer_mut(pointer).expect(pointer) = value.clone();
        });
        let key = pointer[1..].replace('/', ".");
        let parts = [&format!("`{key}` is {value}"), "expected", "check the file"];
        assert_variant!(refused(&checkpoint, &parts), InvalidConfigValue);
    }
}

#[test]
fn config_value_out_of_range() {
    for (pointer, value, named) in [
        ("/text_config/hidden_size", json!(0), "width of the text tower"),
        ("/text_config/hidden_size", json!(u64::MAX), "width of the text tower"),
        ("/text_config/num_hidden_layers", json!(0), "layers of the text tower"),
        ("/text_config/max_position_embeddings", json!(2), "context"),
        ("/text_config/eos_token_id", json!(1_u64 << 32), "eos_token_id"),
        ("/text_config/eos_token_id", json!(604), "below the vocabulary's size of 604"),
        ("/text_config/layer_norm_eps", json!(0.0), "layer_norm_eps"),
        ("/vision_config/image_size", json!(1_u64 << 40), "image size"),
        ("/vision_config/image_size", json!(7), "image size"),
        ("/vision_config/patch_size", json!(0), "patch size"),
        ("/vision_config/num_channels", json!(4), "num_channels"),
        ("/vision_config/intermediate_size", json!(1_u64 << 62), "MLP width of the image"),
        ("/vision_config/hidden_act", json!("relu"), "hidden_act"),
        ("/projection_dim", json!(0), "joint embedding"),
    ] {
        let checkpoint = Checkpoint::copy(HF);
        checkpoint.edit_json("config.json", |config| {
            *config.pointer_mut(pointer).expect(pointer) = value;
        });
        let error = refused(&checkpoint, &["config.json", named, "expected", "check the file"]);
        assert_variant!(error, InvalidConfigValue);
    }
}

#[test]
fn unknown_architecture() {
    let siglip = Checkpoint::copy(HF);
    siglip.edit_json("config.json", |config| config["model_type"] = json!("siglip"));
    let supported = "supported are CLIP models with a ViT image tower";
    assert_variant!(refused(&siglip, &["`siglip`", supported]), UnsupportedArchitecture);

    for (section, key, value, named) in [
        ("/vision_cfg", "timm_model_name", json!("convnext_base"), "image tower of another"),
        ("/vision_cfg", "layers", json!([3, 4, 6, 3]), "ResNet image tower"),
        ("/text_cfg", "hf_model_name", json!("roberta-base"), "text tower of another"),
        ("", "multimodal_cfg", json!({ "width": 512 }), "CoCa"),
    ] {
        let checkpoint = Checkpoint::copy(OPEN_CLIP);
        checkpoint.edit_json("open_clip_config.json", |config| {
            let section = config.pointer_mut(&format!("/model_cfg{section}"));
            section.expect("a section")[key] = value;
        });
        let error = refused(&checkpoint, &["open_clip_config.json", named, supported]);
        assert_variant!(error, UnsupportedArchitecture);
    }
}

#[test]
fn heads_do_not_divide_the_width() {
    for (section, tower) in [("text_config", "text tower"), ("vision_config", "image tower")] {
        for heads in [0, 7, 1_000] {
            let checkpoint = Checkpoint::copy(HF);
            checkpoint.edit_json("config.json", |config| {
                config[section]["num_attention_heads"] = json!(heads);
            });
            let parts =
                [tower, &format!("{heads} at width"), "divides the width", "check the file"];
            assert_variant!(refused(&checkpoint, &parts), InvalidConfigValue);
        }
    }
}

#[test]
fn hidden_size_of_another_model() {
    let checkpoint = Checkpoint::copy(HF);
    checkpoint.edit_json("config.json", |config| config["text_config"]["hidden_size"] = json!(48));
    let parts = ["token_embedding.weight", "[604, 24]", "[604, 48]", "use the configuration that"];
    assert_variant!(refused(&checkpoint, &parts), WrongShape);
}

#[test]
fn absent_key_whose_default_does_not_fit() {
    let remedy = "use the configuration that came with these weights";
    for (fixture, file, section, key, parts) in [
        (
            HF,
            "config.json",
            "/text_config",
            "hidden_size",
            ["text_config.hidden_size (512)", "check the file"],
        ),
        (
            "hf-gelu",
            "config.json",
            "/text_config",
            "eos_token_id",
            ["text_config.eos_token_id (49407)", "check the file"],
        ),
        (HF, "config.json", "", "projection_dim", ["projection_dim (512)", remedy]),
        (
            HF,
            "config.json",
            "/vision_config",
            "num_hidden_layers",
            ["vision_config.num_hidden_layers (12)", "layers.2"],
        ),
        (
            "hf-bf16",
            "config.json",
            "/vision_config",
            "num_attention_heads",
            ["vision_config.num_attention_heads (12)", "check the file"],
        ),
        (
            OPEN_CLIP,
            "open_clip_config.json",
            "/model_cfg/vision_cfg",
            "patch_size",
            ["vision_cfg.patch_size (16)", remedy],
        ),
    ] {
        let checkpoint = Checkpoint::copy(fixture);
        checkpoint.edit_json(file, |config| {
            let section = config.pointer_mut(section).and_then(Value::as_object_mut);
            section.expect("a section").remove(key).expect(key);
        });
        refused(&checkpoint, &parts);
    }
}

#[test]
fn one_layer_less_in_the_config() {
    for (fixture, file, pointer, layers, extra) in [
        (HF, "config.json", "/text_config/num_hidden_layers", 2, "text_model.encoder.layers.2"),
        (
            OPEN_CLIP,
            "open_clip_config.json",
            "/model_cfg/text_cfg/layers",
            2,
            "transformer.resblocks.2",
        ),
    ] {
        let checkpoint = Checkpoint::copy(fixture);
        checkpoint.edit_json(file, |config| {
            *config.pointer_mut(pointer).expect(pointer) = json!(layers);
        });
        let parts = [extra, "no place for", "the configuration belongs to another model"];
        assert_variant!(refused(&checkpoint, &parts), ExtraTensors);
    }
}

#[test]
fn one_layer_more_in_the_config() {
    for (fixture, file, pointer, layers, missing) in [
        (HF, "config.json", "/text_config/num_hidden_layers", 4, "text_model.encoder.layers.3"),
        (
            OPEN_CLIP,
            "open_clip_config.json",
            "/model_cfg/text_cfg/layers",
            4,
            "transformer.resblocks.3",
        ),
    ] {
        let checkpoint = Checkpoint::copy(fixture);
        checkpoint.edit_json(file, |config| {
            *config.pointer_mut(pointer).expect(pointer) = json!(layers);
        });
        let parts = [missing, "no tensor", "its configuration belongs to another model"];
        assert_variant!(refused(&checkpoint, &parts), MissingTensor);
    }
}

// The weights.

#[test]
fn missing_weights() {
    for (fixture, file) in [(HF, WEIGHTS), (OPEN_CLIP, "open_clip_model.safetensors")] {
        let checkpoint = Checkpoint::copy(fixture);
        checkpoint.remove(file);
        let parts = [file, "is missing", "it holds the weights", "copy it from"];
        assert_variant!(refused(&checkpoint, &parts), MissingFile);
    }
}

#[test]
fn truncated_weights() {
    let checkpoint = Checkpoint::copy(HF);
    let whole = checkpoint.read(WEIGHTS);
    let data_start = 8 + split(&whole).0.len();
    let last = whole.len() - 1;
    for length in [0, 1, 7, 8, 9, data_start / 2, data_start - 1, data_start, last / 2, last] {
        checkpoint.write(WEIGHTS, &whole[..length]);
        let error = refused(&checkpoint, &[WEIGHTS, "truncated", "download it again"]);
        assert_variant!(error, Safetensors);
    }
}

#[test]
fn bytes_behind_the_weights() {
    let checkpoint = Checkpoint::copy(HF);
    checkpoint.write(WEIGHTS, [checkpoint.read(WEIGHTS), vec![0; 16]].concat());
    let parts = [WEIGHTS, "do not end where the file ends", "download it again"];
    assert_variant!(refused(&checkpoint, &parts), Safetensors);
}

#[test]
fn header_that_claims_terabytes() {
    let checkpoint = Checkpoint::copy(HF);
    for claim in [4_u64 << 40, u64::MAX, u64::MAX - 7] {
        let mut bytes = checkpoint.read(WEIGHTS);
        bytes[..8].copy_from_slice(&claim.to_le_bytes());
        checkpoint.write(WEIGHTS, bytes);
        let parts = [WEIGHTS, &format!("{claim} bytes"), "download it again"];
        assert_variant!(refused(&checkpoint, &parts), Safetensors);
    }
}

#[test]
fn header_that_is_not_json() {
    let checkpoint = Checkpoint::copy(HF);
    let whole = checkpoint.read(WEIGHTS);
    let (header, data) = split(&whole);
    for header in [vec![b'x'; header.len()], vec![0xff; header.len()], b"{}}".to_vec()] {
        checkpoint.write(WEIGHTS, joined(&header, data));
        let error = refused(&checkpoint, &[WEIGHTS, "in header", "download it again"]);
        assert_variant!(error, Safetensors);
    }
}

#[test]
fn overlapping_tensors() {
    let checkpoint = Checkpoint::copy(HF);
    let [key, value] =
        ["k", "v"].map(|p| format!("text_model.encoder.layers.0.self_attn.{p}_proj.weight"));
    checkpoint.edit_header(|header| {
        header[&key]["data_offsets"] = header[&value]["data_offsets"].clone();
    });
    let parts = [WEIGHTS, "offset for tensor `text_model.", "download it again"];
    assert_variant!(refused(&checkpoint, &parts), Safetensors);
}

#[test]
fn tensors_out_of_bounds() {
    for (start, end) in [(0, u64::MAX), (1_u64 << 50, (1 << 50) + 1_920), (8, 4)] {
        let checkpoint = Checkpoint::copy(HF);
        checkpoint.edit_header(|header| header[PROJECTION]["data_offsets"] = json!([start, end]));
        let error = refused(&checkpoint, &[WEIGHTS, "download it again"]);
        assert_variant!(error, Safetensors);
    }
}

#[test]
fn shape_that_overflows() {
    let checkpoint = Checkpoint::copy(HF);
    checkpoint.edit_header(|header| header[PROJECTION]["shape"] = json!([u64::MAX, u64::MAX]));
    let error = refused(&checkpoint, &[WEIGHTS, "overflow", "download it again"]);
    assert_variant!(error, Safetensors);
}

#[test]
fn missing_tensor() {
    for name in [PROJECTION, "logit_scale", "vision_model.encoder.layers.1.mlp.fc2.bias"] {
        let checkpoint = Checkpoint::copy(HF);
        checkpoint.edit_tensors(|tensors| tensors.retain(|t| t.name != name));
        let parts = [&format!("no tensor `{name}`"), "the checkpoint is incomplete"];
        assert_variant!(refused(&checkpoint, &parts), MissingTensor);
    }
}

#[test]
fn extra_tensor() {
    let checkpoint = Checkpoint::copy(HF);
    checkpoint.edit_tensors(|tensors| {
        tensors.push(Stored {
            name: "adapter.weight".to_owned(),
            dtype: Dtype::F32,
            shape: vec![1],
            bytes: vec![0; 4],
        });
    });
    let parts = ["1 tensor(s)", "adapter.weight", "parts that are not supported"];
    assert_variant!(refused(&checkpoint, &parts), ExtraTensors);
}

/// A name that the OpenCLIP layout does not have, but that its tensors get when loaded.
#[test]
fn extra_tensor_under_a_name_of_the_other_layout() {
    let checkpoint = Checkpoint::copy(OPEN_CLIP);
    let file = "open_clip_model.safetensors";
    std::fs::rename(checkpoint.path(file), checkpoint.path(WEIGHTS)).expect("rename");
    checkpoint.edit_tensors(|tensors| {
        tensors.push(Stored {
            name: PROJECTION.to_owned(),
            dtype: Dtype::F32,
            shape: vec![1],
            bytes: vec![0; 4],
        });
    });
    std::fs::rename(checkpoint.path(WEIGHTS), checkpoint.path(file)).expect("rename");
    let parts = ["1 tensor(s)", PROJECTION, "parts that are not supported"];
    assert_variant!(refused(&checkpoint, &parts), ExtraTensors);
}

#[test]
fn tensor_of_the_wrong_shape() {
    let checkpoint = Checkpoint::copy(HF);
    checkpoint.edit_tensor(PROJECTION, |tensor| tensor.shape.reverse());
    let parts = [PROJECTION, "[24, 20]", "[20, 24]", "use the configuration that came with"];
    assert_variant!(refused(&checkpoint, &parts), WrongShape);
}

#[test]
fn tensor_of_an_unsupported_type() {
    for (dtype, name, size) in [(Dtype::I8, "I8", 1), (Dtype::F64, "F64", 8)] {
        let checkpoint = Checkpoint::copy(HF);
        checkpoint.edit_tensor(PROJECTION, |tensor| {
            tensor.dtype = dtype;
            tensor.bytes = vec![0; 20 * 24 * size];
        });
        let parts = [PROJECTION, &format!("stored as {name}"), "convert the checkpoint first"];
        assert_variant!(refused(&checkpoint, &parts), UnsupportedDtype);
    }
}

#[test]
fn weight_that_is_not_finite() {
    for (value, named) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let checkpoint = Checkpoint::copy(HF);
        checkpoint.edit_tensor(PROJECTION, |tensor| {
            tensor.bytes[17 * 4..18 * 4].copy_from_slice(&value.to_le_bytes());
        });
        let parts = [PROJECTION, &format!("holds {named} at element 17"), "corrupt"];
        assert_variant!(refused(&checkpoint, &parts), NonFiniteWeight);
    }
}

// The shards.

const SHARDED: &str = "hf-sharded";
const INDEX: &str = "model.safetensors.index.json";

#[test]
fn index_that_names_a_missing_shard() {
    let checkpoint = Checkpoint::copy(SHARDED);
    checkpoint.remove("model-00003-of-00004.safetensors");
    let parts = ["model-00003-of-00004.safetensors", "names it as a shard", "copy it from"];
    assert_variant!(refused(&checkpoint, &parts), MissingFile);
}

#[test]
fn index_that_leads_outside_of_the_directory() {
    for file in ["../weights.safetensors", "/etc/hostname", "..", ".", "", "a/b.safetensors"] {
        let checkpoint = Checkpoint::copy(SHARDED);
        checkpoint.edit_json(INDEX, |index| index["weight_map"]["logit_scale"] = json!(file));
        let found = format!("`weight_map.logit_scale` is {}", json!(file));
        let parts = [INDEX, &found, "a file in the same directory", "check the file"];
        assert_variant!(refused(&checkpoint, &parts), InvalidConfigValue);
    }
}

#[test]
fn tensor_in_two_shards() {
    let checkpoint = Checkpoint::copy(SHARDED);
    let shard = checkpoint.read("model-00004-of-00004.safetensors");
    checkpoint.write("model-00005-of-00004.safetensors", shard);
    checkpoint.edit_json(INDEX, |index| {
        index["weight_map"]["logit_scale"] = json!("model-00005-of-00004.safetensors");
    });
    let parts = ["model-00005-of-00004.safetensors", "in an earlier file too", "download it again"];
    assert_variant!(refused(&checkpoint, &parts), Safetensors);
}

// The tokenizer.

#[test]
fn missing_tokenizer() {
    let checkpoint = Checkpoint::copy(SHARDED);
    checkpoint.remove("tokenizer.json");
    let parts = ["tokenizer.json", "vocab.json with merges.txt", "copy it from"];
    assert_variant!(refused(&checkpoint, &parts), MissingFile);

    let checkpoint = Checkpoint::copy("hf-gelu");
    checkpoint.remove("merges.txt");
    assert_variant!(refused(&checkpoint, &parts), MissingFile);
}

#[test]
fn broken_tokenizer() {
    let checkpoint = Checkpoint::copy(HF);
    let whole = checkpoint.read("tokenizer.json");
    for bytes in [&b"{}"[..], b"", b"null", b"\xff", &whole[..whole.len() / 2]] {
        checkpoint.write("tokenizer.json", bytes);
        let parts = ["tokenizer.json", "does not load", "copy tokenizer.json"];
        assert_variant!(refused(&checkpoint, &parts), Tokenizer);
    }
    for (file, bytes) in [
        ("vocab.json", "{"),
        ("vocab.json", "{}"),
        ("merges.txt", "a b c d\n"),
        // Longer than any token of the vocabulary, on which the tokenizer library panics.
        ("merges.txt", "<|startoftext|> <|endoftext|>\n"),
    ] {
        let checkpoint = Checkpoint::copy("hf-gelu");
        checkpoint.write(file, bytes);
        assert_variant!(refused(&checkpoint, &["does not load", "merges.txt"]), Tokenizer);
    }
}

#[test]
fn tokenizer_without_start_and_end_token() {
    let checkpoint = Checkpoint::copy(HF);
    checkpoint.edit_json("tokenizer.json", |tokenizer| tokenizer["post_processor"] = Value::Null);
    let parts = ["tokenizer.json", "adds 0 special token(s)", "copy tokenizer.json"];
    assert_variant!(refused(&checkpoint, &parts), Tokenizer);
}

/// Nothing is ever decoded, so that this is no error; the tokenizer library would panic.
#[test]
fn tokenizer_with_an_unknown_decoder() {
    let checkpoint = Checkpoint::copy(HF);
    checkpoint.edit_json("tokenizer.json", |tokenizer| {
        tokenizer["decoder"] = json!({ "type": "Telepathy" });
    });
    checkpoint.load().expect("a tokenizer that encodes");
}

#[test]
fn tokenizer_of_a_larger_vocabulary() {
    let checkpoint = Checkpoint::copy("hf-gelu");
    let last = 64;
    checkpoint.edit_json("config.json", |config| {
        config["text_config"]["vocab_size"] = json!(last);
        config["text_config"]["eos_token_id"] = json!(last - 1);
    });
    checkpoint.edit_tensor("text_model.embeddings.token_embedding.weight", |tensor| {
        tensor.bytes.truncate(last * 32 * 4);
        tensor.shape[0] = last;
    });
    let model = checkpoint.load().expect("the files fit each other as far as they say");
    let error = model.tokenizer.tokenize("zoë").expect_err("an id beyond the vocabulary");
    assert_message(&error, &["zoë", "has 64 entries", "the tokenizer belongs to another model"]);
    assert_variant!(error, TokenOutOfVocabulary);
}

// The preprocessing.

#[test]
fn missing_preprocessor_config() {
    let checkpoint = Checkpoint::copy(HF);
    checkpoint.remove("preprocessor_config.json");
    let parts = ["preprocessor_config.json", "resized, cropped and normalised", "copy it from"];
    assert_variant!(refused(&checkpoint, &parts), MissingFile);
}

#[test]
fn preprocessing_that_cannot_be() {
    for (key, value) in [
        ("resample", json!(0)),
        ("resample", json!("bicubic")),
        ("image_std", json!([0.0, 0.3, 0.3])),
        ("image_std", json!([0.3, -0.3, 0.3])),
        ("image_std", json!([0.3, 0.3, 1e-60])),
        ("image_std", json!([0.3, 0.3])),
        ("image_mean", json!([0.5, 0.5, 1e60])),
        ("size", json!(0)),
        ("size", json!({ "shortest_edge": u64::MAX })),
        ("crop_size", json!({ "height": 1_u64 << 40, "width": 1_u64 << 40 })),
        ("crop_size", json!({ "height": 24, "width": 20 })),
        ("do_rescale", json!(false)),
    ] {
        let checkpoint = Checkpoint::copy(HF);
        checkpoint.edit_json("preprocessor_config.json", |config| config[key] = value);
        let parts = ["preprocessor_config.json", &format!("`{key}`"), "expected", "check the file"];
        assert_variant!(refused(&checkpoint, &parts), InvalidConfigValue);
    }
}
