//! Text towers of other kinds than CLIP's: what a configuration may ask of them, and what is refused
//! by name. `parity.rs` compares their embeddings with the reference's.

mod common;

use common::Checkpoint;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use umid_models::ModelError;

const SIGLIP: &str = "openclip-siglip-text";
const TEXTS: [&str; 3] = ["a photo of Ada Lovelace", "x", ""];

fn edit(checkpoint: &Checkpoint, file: &str, change: impl FnOnce(&mut Value)) {
    let mut json: Value = serde_json::from_slice(&checkpoint.read(file)).expect(file);
    change(&mut json);
    checkpoint.write(file, json.to_string());
}

/// The error of a model whose `text_cfg` has one more key.
fn refused(fixture: &str, key: &str, value: Value) -> String {
    let checkpoint = Checkpoint::copy(fixture);
    edit(&checkpoint, "open_clip_config.json", |config| {
        config["model_cfg"]["text_cfg"][key] = value;
    });
    checkpoint.load().expect_err(key).to_string()
}

#[test]
fn padding_is_no_truncation() {
    let model = Checkpoint::copy(SIGLIP).load().expect("a model");
    let context = model.tokenizer.context();
    assert!(model.config.text.is_padded());
    let short = model.tokenizer.tokenize("a photo of Ada").expect("tokens");
    assert!(short.ids.len() < context && !short.is_truncated());
    let padded = model.tokenizer.padded(&short);
    assert_eq!(padded.len(), context);
    // The end token pads.
    assert!(padded[short.ids.len() - 1..].iter().all(|id| *id == 1));
    let long = model.tokenizer.tokenize(&"long ".repeat(30)).expect("tokens");
    assert!(long.is_truncated());
    assert_eq!((long.ids.len(), model.tokenizer.padded(&long)), (context, long.ids.clone()));

    let model = Checkpoint::copy("openclip-gelu").load().expect("a model");
    let tokens = model.tokenizer.tokenize("a photo").expect("tokens");
    assert_eq!(model.tokenizer.padded(&tokens), tokens.ids);
}

#[test]
fn switches_that_are_not_honoured_are_refused_by_name() {
    for (key, value) in [
        ("pool_type", json!("none")),
        ("proj_type", json!("mlp")),
        ("tokenizer_mode", json!("clips")),
        ("qk_norm", json!(true)),
        ("block_type", json!("custom")),
        ("tokenizer_kwargs", json!({ "clean": "thoroughly" })),
        ("tokenizer_kwargs", json!({ "language": "eng_Latn" })),
        ("norm_kwargs", json!({ "elementwise_affine": false })),
    ] {
        let message = refused(SIGLIP, key, value.clone());
        let inner = value.as_object().and_then(|options| options.keys().next());
        assert!(message.contains(inner.map_or(key, String::as_str)), "{key}: {message}");
    }
    // The reference's own fails for any text.
    let message = refused("openclip-roberta-text", "hf_pooler_type", json!("max_pooler"));
    assert!(message.contains("hf_pooler_type"), "{message}");
    // open_clip's own tokenizer has no separators.
    let kwargs = json!({ "strip_sep_token": true });
    let message = refused("openclip-gelu", "tokenizer_kwargs", kwargs);
    assert!(message.contains("strip_sep_token"), "{message}");
}

#[test]
fn a_dual_encoder_with_an_unknown_image_tower_opens_with_its_text_tower() {
    const VIT: &str = "hf-dual-encoder-vit";
    let whole = Checkpoint::copy(VIT).load().expect("both towers");
    let expected = whole.embed_texts(&TEXTS).expect("embeddings").embeddings;
    for kind in ["deit", "dinov2", "swin"] {
        let checkpoint = Checkpoint::copy(VIT);
        edit(&checkpoint, "config.json", |config| {
            config["vision_config"]["model_type"] = json!(kind);
        });
        let alone = checkpoint.load().expect("the text tower");
        let reason = alone.tower().expect_err("no image tower").to_string();
        assert!(reason.contains(&format!("`{kind}`")), "{reason}");
        assert!(alone.source.parameter_count < whole.source.parameter_count);
        assert_eq!(alone.embed_texts(&TEXTS).expect("embeddings").embeddings, expected);
    }
    for (key, value) in [
        ("qkv_bias", json!(false)),
        ("pooler_act", json!("relu")),
        ("pooler_output_size", json!(6)),
        ("hidden_act", json!("silu")),
    ] {
        let checkpoint = Checkpoint::copy(VIT);
        edit(&checkpoint, "config.json", |config| config["vision_config"][key] = value);
        let message = checkpoint.load().expect_err(key).to_string();
        assert!(message.contains(key), "{key}: {message}");
    }
}

#[test]
fn an_open_clip_model_with_an_unknown_image_tower_opens_with_its_text_tower() {
    const GAP: &str = "openclip-vit-gap";
    let whole = Checkpoint::copy(GAP).load().expect("both towers");
    let expected = whole.embed_texts(&TEXTS).expect("embeddings").embeddings;
    for name in ["naflexvit_base_patch16_gap", "swin_base_patch4_window7_224"] {
        let checkpoint = Checkpoint::copy(GAP);
        edit(&checkpoint, "open_clip_config.json", |config| {
            config["model_cfg"]["vision_cfg"]["timm_model_name"] = json!(name);
        });
        let alone = checkpoint.load().expect("the text tower");
        let reason = alone.tower().expect_err("no image tower").to_string();
        assert!(reason.contains(name), "{reason}");
        assert_eq!(alone.embed_texts(&TEXTS).expect("embeddings").embeddings, expected);
    }
}

#[test]
fn a_t5_is_gated_as_its_tensors_say() {
    let checkpoint = Checkpoint::copy("openclip-t5-relu-text");
    checkpoint.write("config.json", r#"{"model_type": "mt5", "feed_forward_proj": "gated-gelu"}"#);
    let message = checkpoint.load().expect_err("gated").to_string();
    assert!(message.contains("feed_forward_proj") && message.contains("`relu`"), "{message}");
}

#[test]
fn a_padded_tower_needs_a_padding_token() {
    let checkpoint = Checkpoint::copy(SIGLIP);
    edit(&checkpoint, "tokenizer_config.json", |settings| settings["pad_token"] = Value::Null);
    edit(&checkpoint, "tokenizer.json", |tokenizer| tokenizer["padding"] = Value::Null);
    let error = checkpoint.load().expect_err("no padding token");
    assert!(matches!(error, ModelError::Tokenizer { .. }), "{error:?}");
    let message = error.to_string();
    assert!(
        message.contains("pad_token") && message.contains("tokenizer_config.json"),
        "{message}"
    );
}

#[test]
fn heads_of_an_unknown_text_tower_ask_for_its_configuration() {
    let message = refused("openclip-roberta-text", "hf_model_name", json!("someone/roberta-x"));
    assert!(message.contains("config.json") && message.contains("attention heads"), "{message}");

    let model = Checkpoint::copy("openclip-roberta-text").load().expect("a model");
    let assumed = model.source.provenance.assumed.join("\n");
    assert!(assumed.contains("num_attention_heads of the text tower: 12"), "{assumed}");
    let model = Checkpoint::copy("openclip-nllb-text").load().expect("a model");
    assert_eq!(model.source.provenance.assumed, Vec::<String>::new());
    assert_eq!(model.logit_bias, None);
    let model = Checkpoint::copy(SIGLIP).load().expect("a model");
    assert!(model.logit_bias.is_some());
}

/// Makes a checkpoint of the text tower alone, and returns its embeddings beside those of the whole.
fn text_tower_alone(keep_projection: bool, keep_prefix: bool) -> [ndarray::Array2<f32>; 3] {
    let checkpoint = Checkpoint::copy("hf-gelu");
    let whole = checkpoint.load().expect("the whole model");
    edit(&checkpoint, "config.json", |config| {
        let projection = config["projection_dim"].clone();
        *config = config["text_config"].clone();
        config["projection_dim"] = projection;
        config["model_type"] = json!("clip_text_model");
    });
    let bytes = checkpoint.read("model.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let kept: Vec<(String, TensorView)> = tensors
        .tensors()
        .into_iter()
        .filter(|(name, _)| {
            name.starts_with("text_model.") || (keep_projection && name == "text_projection.weight")
        })
        .map(|(name, tensor)| {
            let name = if keep_prefix { &name } else { name.trim_start_matches("text_model.") };
            (name.to_owned(), tensor)
        })
        .collect();
    let alone = safetensors::serialize(kept, None).expect("safetensors");
    checkpoint.write("model.safetensors", alone);
    let alone = checkpoint.load().expect("the text tower alone");
    assert!(alone.tower().is_err());
    assert!(alone.logit_scale().is_nan());
    let found = alone.embed_texts(&TEXTS).expect("embeddings");
    let expected = whole.embed_texts(&TEXTS).expect("embeddings");
    [found.embeddings, expected.embeddings, expected.states]
}

#[test]
fn a_text_tower_alone_embeds_as_the_whole_model_does() {
    for keep_prefix in [true, false] {
        let [found, expected, _] = text_tower_alone(true, keep_prefix);
        assert_eq!(found, expected);
    }
}

#[test]
fn without_a_projection_the_embedding_is_the_normed_state() {
    let [found, _, states] = text_tower_alone(false, true);
    assert_eq!(found.dim(), states.dim());
    assert!(found.iter().all(|value| value.is_finite()));
}

#[test]
fn a_text_encoder_finds_its_tokenizer_in_the_folder_beside_it() {
    let checkpoint = Checkpoint::copy("hf-gelu");
    for folder in ["text_encoder_2", "tokenizer_2"] {
        std::fs::create_dir(checkpoint.path(folder)).expect(folder);
    }
    for (file, folder) in [
        ("config.json", "text_encoder_2"),
        ("model.safetensors", "text_encoder_2"),
        ("preprocessor_config.json", "text_encoder_2"),
        ("vocab.json", "tokenizer_2"),
        ("merges.txt", "tokenizer_2"),
    ] {
        let to = checkpoint.path(folder).join(file);
        std::fs::rename(checkpoint.path(file), to).expect(file);
    }
    common::load(&checkpoint.path("text_encoder_2")).expect("both folders");
}
