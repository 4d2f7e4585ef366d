//! The configuration.

use super::*;

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
        ("/vision_config/hidden_act", json!("mish"), "hidden_act"),
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
fn a_residual_image_tower_of_no_shape() {
    const RESNET: &str = "openclip-rn50";
    for (key, value, named) in [
        ("layers", json!([3, 4, 6]), "layers"),
        ("layers", json!([3, 4, 0, 3]), "layers of the image tower"),
        ("image_size", json!(40), "a multiple of 32"),
        ("width", json!(5), "an even number"),
        ("head_width", json!(0), "head_width"),
        ("head_width", json!(1000), "attention heads of the image tower"),
    ] {
        let checkpoint = Checkpoint::copy(RESNET);
        checkpoint.edit_json("open_clip_config.json", |config| {
            config["model_cfg"]["vision_cfg"][key] = value;
        });
        let error = refused(&checkpoint, &["open_clip_config.json", named, "expected"]);
        assert_variant!(error, InvalidConfigValue);
    }
}

#[test]
fn unknown_architecture() {
    let blip = Checkpoint::copy(HF);
    blip.edit_json("config.json", |config| config["model_type"] = json!("blip"));
    let supported = "not supported; docs/models.md lists";
    assert_variant!(refused(&blip, &["`blip`", supported]), UnsupportedArchitecture);

    let named = "text tower `roberta-base`";
    let checkpoint = Checkpoint::copy(OPEN_CLIP);
    checkpoint.edit_json("open_clip_config.json", |config| {
        config["model_cfg"]["text_cfg"]["hf_model_name"] = json!("roberta-base");
    });
    let error = refused(&checkpoint, &["open_clip_config.json", named, supported]);
    assert_variant!(error, UnsupportedArchitecture);
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
