//! CLAPs with towers that are not known here, in LAION's and in OpenCLIP's layout: the text tower
//! alone where it is the audio tower, a refusal where it is the text tower or a key.

use umid_models::config::{HtsatConfig, InputConfig};
use umid_models::{FrontEnd, Modality, Model};

use super::*;

const PANN: &str = "clap-laion-pann";
const FUSED: &str = "clap-laion-fused";
const CONFIG: &str = "open_clip_config.json";
const OPEN_CLIP_HTSAT: &str = "clap-openclip-htsat";
const OPEN_CLIP_FUSED: &str = "clap-openclip-fused";
const TEXTS: [&str; 3] = ["the voice of Maria Kowalski", "x", ""];

/// A copy whose weights have the name that the helpers edit, which open_clip looks for too.
fn of_open_clip(fixture: &str) -> Checkpoint {
    let checkpoint = Checkpoint::copy(fixture);
    let from = checkpoint.path("open_clip_model.safetensors");
    std::fs::rename(from, checkpoint.path(WEIGHTS)).expect("weights");
    checkpoint
}

impl Checkpoint {
    fn edit_audio(&self, key: &str, value: Value) {
        self.edit_json(CONFIG, |config| config["model_cfg"]["audio_cfg"][key] = value);
    }
}

/// Checks that a model opens with the text tower of a fixture and without an audio tower, and says
/// why.
#[track_caller]
fn text_alone(checkpoint: &Checkpoint, fixture: &str, reason: &str) {
    let model = checkpoint.load().unwrap_or_else(|e| panic!("{reason}: {e}"));
    let said = model.without_input().expect("no input tower");
    assert!(said.contains("audio tower") && said.contains(reason), "{said}");
    assert!(matches!(model.front_end, FrontEnd::Absent { modality: Modality::Audio, .. }));
    let texts = |model: &Model| model.embed_texts(&TEXTS).expect("embeddings");
    let whole = Checkpoint::copy(fixture).load().expect("the fixture");
    assert!(whole.without_input().is_none());
    assert_eq!(texts(&model), texts(&whole), "{reason}");
}

fn tensor(name: &str, shape: &[usize]) -> Stored {
    let bytes = vec![0; 4 * shape.iter().product::<usize>()];
    Stored { name: name.to_owned(), dtype: Dtype::F32, shape: shape.to_vec(), bytes }
}

/// An edit of a checkpoint's tensors.
type Edit<'a> = &'a dyn Fn(&mut Vec<Stored>);

#[test]
fn other_audio_towers_of_laions_leave_the_text_tower() {
    let without = |parts: &'static [&str]| {
        move |tensors: &mut Vec<Stored>| {
            tensors.retain(|t| !parts.iter().any(|part| t.name.contains(part)));
        }
    };
    let with = |name: &'static str, shape: &'static [usize]| {
        move |tensors: &mut Vec<Stored>| tensors.push(tensor(name, shape))
    };
    let channels = |name: &'static str, count: usize| {
        move |tensors: &mut Vec<Stored>| {
            let kernel = tensors.iter_mut().find(|t| t.name == name).expect(name);
            kernel.shape[1] = count;
            kernel.bytes = kernel.bytes.repeat(count);
        }
    };
    let cases: [(&str, &str, Edit); 9] = [
        // Of five by five pixels, one to a block.
        (PANN, "Cnn6 or Cnn10", &without(&[".conv2.", ".bn2.", "conv_block5", "conv_block6"])),
        (PANN, "Cnn6 or Cnn10", &without(&["conv_block6"])),
        (PANN, "Cnn14 that fuses", &with("audio_branch.mel_conv1d.0.weight", &[64, 64, 5])),
        (PANN, "Cnn14 that fuses", &with("audio_branch.mel_conv2d.0.weight", &[4, 1, 5, 5])),
        (PANN, "as channels", &channels("audio_branch.conv_block1.conv1.weight", 4)),
        (FUSED, "`aff_2d`", &without(&["fusion_model"])),
        (
            FUSED,
            "`aff_2d`",
            &with("audio_branch.patch_embed.fusion_model.local_att2.0.weight", &[2, 8, 1, 1]),
        ),
        ("clap-laion-htsat", "`aff_2d`", &with("audio_branch.mel_conv1d.0.weight", &[64, 64, 5])),
        ("clap-laion-htsat", "as channels", &channels("audio_branch.patch_embed.proj.weight", 4)),
    ];
    for (fixture, reason, edit) in cases {
        let checkpoint = Checkpoint::copy(fixture);
        // The other container is not edited.
        let _ = std::fs::remove_file(checkpoint.path("checkpoint.pt"));
        checkpoint.edit_tensors(edit);
        text_alone(&checkpoint, fixture, reason);
    }
}

#[test]
fn an_audio_tower_of_no_known_kind_leaves_the_text_tower() {
    let checkpoint = Checkpoint::copy(PANN);
    checkpoint.edit_tensors(|tensors| {
        tensors.retain(|t| !t.name.starts_with("audio_branch.conv_block"));
    });
    text_alone(&checkpoint, PANN, "neither an HTSAT nor a Cnn14");
}

#[test]
fn other_text_towers_of_laions_are_refused() {
    let cases: [(&str, Edit); 3] = [
        ("CLIP's", &|tensors| tensors.push(tensor("text_branch.resblocks.0.ln_1.weight", &[16]))),
        ("BART's", &|tensors| tensors.push(tensor("text_branch.shared.weight", &[30, 16]))),
        ("BERT's", &|tensors| {
            let name = "text_branch.embeddings.token_type_embeddings.weight";
            let types = tensors.iter_mut().find(|t| t.name == name).expect(name);
            types.shape[0] = 2;
            types.bytes = types.bytes.repeat(2);
        }),
    ];
    for (tower, edit) in cases {
        let checkpoint = Checkpoint::copy(PANN);
        checkpoint.edit_tensors(edit);
        let found = format!("laion_clap with {tower} text tower");
        let parts = [found.as_str(), "not supported", "docs/models.md"];
        assert_variant!(refused(&checkpoint, &parts), UnsupportedArchitecture);
        // The file alone is named where there is no configuration.
        checkpoint.remove("model_config.json");
        let parts = [WEIGHTS, found.as_str()];
        let error = refused_path(&checkpoint.path(WEIGHTS), &parts);
        assert!(!error.to_string().contains("model_config.json"), "{error}");
    }
}

#[test]
fn other_audio_towers_of_open_clips_leave_the_text_tower() {
    for (fixture, key, value, reason) in [
        (OPEN_CLIP_HTSAT, "model_type", json!("whisper"), "`whisper`"),
        (OPEN_CLIP_HTSAT, "model_type", json!("naflexvit"), "`naflexvit`"),
        (OPEN_CLIP_HTSAT, "pre_norm", json!(true), "`pre_norm`"),
        (OPEN_CLIP_FUSED, "training_head", json!(true), "`training_head`"),
    ] {
        let checkpoint = of_open_clip(fixture);
        checkpoint.edit_audio(key, value);
        text_alone(&checkpoint, fixture, reason);
    }
    // Whatever the encoder's tensors are called.
    let checkpoint = of_open_clip(OPEN_CLIP_FUSED);
    checkpoint.edit_audio("model_type", json!("naflexvit"));
    checkpoint.edit_tensors(|tensors| {
        tensors.retain(|t| !t.name.starts_with("audio.encoder."));
        tensors.push(tensor("audio.encoder.trunk.embeds.proj.weight", &[8, 256]));
    });
    text_alone(&checkpoint, OPEN_CLIP_FUSED, "`naflexvit`");
    let checkpoint = of_open_clip(OPEN_CLIP_FUSED);
    checkpoint.edit_tensors(|tensors| tensors.retain(|t| !t.name.contains("fusion_model")));
    text_alone(&checkpoint, OPEN_CLIP_FUSED, "`aff_2d`");
}

#[test]
fn keys_of_open_clips_clap_that_are_not_honoured_are_named() {
    for (fixture, key, value) in [
        (OPEN_CLIP_HTSAT, "model_type", json!(1)),
        (OPEN_CLIP_HTSAT, "model_name", json!("huge")),
        (OPEN_CLIP_HTSAT, "mel_bins", json!(32)),
        (OPEN_CLIP_HTSAT, "enable_fusion", json!(true)),
        (OPEN_CLIP_HTSAT, "enable_fusion", json!("aff_2d")),
        (OPEN_CLIP_HTSAT, "proj_act", json!("tanh")),
        (OPEN_CLIP_HTSAT, "clip_samples", json!(-1)),
        (OPEN_CLIP_FUSED, "enable_fusion", json!(false)),
        (OPEN_CLIP_FUSED, "fusion_type", json!("daf_2d")),
    ] {
        let checkpoint = of_open_clip(fixture);
        checkpoint.edit_audio(key, value);
        let parts = [CONFIG, &format!("model_cfg.audio_cfg.{key}"), "expected", "check the file"];
        assert_variant!(refused(&checkpoint, &parts), InvalidConfigValue);
    }
    for (key, value, named) in [
        ("text_arch", json!("modern"), "text_arch"),
        ("variable_text", json!(true), "variable_text"),
        ("tokenizer_type", json!("tiktoken"), "tokenizer_type"),
        ("hf_proj_type", json!("glu"), "hf_proj_type"),
        ("hf_model_config", json!({ "num_hidden_layers": 1 }), "hf_model_config.num_hidden_layers"),
    ] {
        let checkpoint = of_open_clip(OPEN_CLIP_FUSED);
        checkpoint.edit_json(CONFIG, |config| config["model_cfg"]["text_cfg"][key] = value);
        let parts = [CONFIG, &format!("model_cfg.text_cfg.{named}"), "expected"];
        assert_variant!(refused(&checkpoint, &parts), InvalidConfigValue);
    }
    let trained = of_open_clip(OPEN_CLIP_FUSED);
    trained.edit_json(CONFIG, |config| {
        let dropout = json!({ "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0 });
        config["model_cfg"]["text_cfg"]["hf_model_config"] = dropout;
    });
    let assumed = trained.load().expect("dropout is training's").source.provenance.assumed;
    assert!(assumed.iter().any(|line| line.starts_with("sound: a short one")), "{assumed:?}");
}

#[test]
fn weights_of_open_clips_clap_ask_for_their_configuration() {
    let checkpoint = of_open_clip(OPEN_CLIP_FUSED);
    checkpoint.remove(CONFIG);
    for path in ["", WEIGHTS] {
        let parts = [CONFIG, "is missing", "`model_cfg`"];
        assert_variant!(refused_path(&checkpoint.path(path), &parts), MissingFile);
    }
}

#[test]
fn tensors_of_open_clips_clap_are_all_accounted_for() {
    for name in ["audio.proj.2.bias", "audio.encoder.norm.weight", "text.proj.0.weight"] {
        let checkpoint = of_open_clip(OPEN_CLIP_FUSED);
        checkpoint.edit_tensors(|tensors| tensors.retain(|t| t.name != name));
        assert_variant!(refused(&checkpoint, &[name]), MissingTensor);
    }
    for name in ["audio.proj.4.bias", "visual.proj", "text.proj.4.weight"] {
        let checkpoint = of_open_clip(OPEN_CLIP_FUSED);
        checkpoint.edit_tensors(|tensors| tensors.push(tensor(name, &[3])));
        assert_variant!(refused(&checkpoint, &[name]), ExtraTensors);
    }
    // Tables that follow from the configuration, and heads that embeddings do not pass through.
    let checkpoint = of_open_clip(OPEN_CLIP_FUSED);
    checkpoint.edit_tensors(|tensors| {
        for name in [
            "spectrogram_extractor.stft.conv_real.weight",
            "logmel_extractor.melW",
            "layers.0.blocks.1.attn_mask",
            "layers.0.blocks.0.attn.relative_position_index",
        ] {
            tensors.push(tensor(&format!("audio.encoder.{name}"), &[3]));
        }
    });
    checkpoint.load().expect("buffers are left out");
}

/// The depths and heads of HTSAT-base, with which LAION's music and speech models were published, at
/// a quarter of its width; without a configuration.
#[test]
fn the_sizes_of_laions_htsat_base_follow_from_the_shapes() {
    const WIDTH: usize = 32;
    const DEPTHS: [usize; 4] = [2, 2, 12, 2];
    const HEADS: [usize; 4] = [4, 8, 16, 32];
    const OFFSETS: usize = 225;
    let checkpoint = Checkpoint::copy("clap-laion-htsat");
    for file in ["model_config.json", "checkpoint.pt"] {
        checkpoint.remove(file);
    }
    checkpoint.edit_tensors(|tensors| {
        tensors.retain(|t| {
            !t.name.starts_with("audio_branch.") && t.name != "audio_projection.0.weight"
        });
        let mut add = |name: &str, shape: &[usize]| {
            tensors.push(tensor(&format!("audio_branch.{name}"), shape));
        };
        let norm = |add: &mut dyn FnMut(&str, &[usize]), name: &str, width: usize| {
            add(&format!("{name}.weight"), &[width]);
            add(&format!("{name}.bias"), &[width]);
        };
        norm(&mut add, "bn0", 64);
        add("bn0.running_mean", &[64]);
        add("bn0.running_var", &[64]);
        add("patch_embed.proj.weight", &[WIDTH, 1, 4, 4]);
        add("patch_embed.proj.bias", &[WIDTH]);
        norm(&mut add, "patch_embed.norm", WIDTH);
        for (stage, depth) in DEPTHS.into_iter().enumerate() {
            let width = WIDTH << stage;
            for block in 0..depth {
                let block = format!("layers.{stage}.blocks.{block}");
                norm(&mut add, &format!("{block}.norm1"), width);
                norm(&mut add, &format!("{block}.norm2"), width);
                let table = format!("{block}.attn.relative_position_bias_table");
                add(&table, &[OFFSETS, HEADS[stage]]);
                for (layer, output, input) in [
                    ("attn.qkv", 3 * width, width),
                    ("attn.proj", width, width),
                    ("mlp.fc1", 4 * width, width),
                    ("mlp.fc2", width, 4 * width),
                ] {
                    add(&format!("{block}.{layer}.weight"), &[output, input]);
                    add(&format!("{block}.{layer}.bias"), &[output]);
                }
            }
            if stage + 1 < DEPTHS.len() {
                let merging = format!("layers.{stage}.downsample");
                norm(&mut add, &format!("{merging}.norm"), 4 * width);
                add(&format!("{merging}.reduction.weight"), &[2 * width, 4 * width]);
            }
        }
        norm(&mut add, "norm", WIDTH << 3);
        tensors.push(tensor("audio_projection.0.weight", &[20, WIDTH << 3]));
    });
    let model = load(&checkpoint.path(WEIGHTS)).unwrap_or_else(|e| panic!("{e}"));
    let Some(InputConfig::Htsat(HtsatConfig { depths, heads, width, spec_size, window, .. })) =
        &model.config.input
    else {
        panic!("{:?}", model.config.input)
    };
    assert_eq!((depths.as_slice(), heads.as_slice()), (&DEPTHS[..], &HEADS[..]));
    assert_eq!((*width, *spec_size, *window), (WIDTH, 256, 8));
    assert!(model.without_input().is_none());
    let said = format!("{:?}", model.source.provenance);
    for part in ["sizes: CLAP HTSAT", "sound: 10 s at 48000 Hz", "attention heads of the text"] {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
}
