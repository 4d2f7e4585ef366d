//! The weights, in one file and in shards.

use super::*;

#[test]
fn missing_weights() {
    for (fixture, file) in [(HF, WEIGHTS), (OPEN_CLIP, "open_clip_model.safetensors")] {
        let checkpoint = Checkpoint::copy(fixture);
        checkpoint.remove(file);
        let parts = [file, "holds no weights", "pytorch_model.bin", "copy one from"];
        assert_variant!(refused(&checkpoint, &parts), MissingWeights);
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
    let parts = ["model-00005-of-00004.safetensors", "in an earlier file too", "download"];
    assert_variant!(refused(&checkpoint, &parts), RepeatedTensor);
}
