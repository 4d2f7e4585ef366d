//! Image towers of timm in the OpenCLIP layout.

use super::*;

const CONFIG: &str = "open_clip_config.json";
/// Where the tower's tensors are.
const TRUNK: &str = "visual.trunk";

/// A copy whose weights have the name that the helpers edit, which open_clip looks for too.
fn copy(fixture: &str) -> Checkpoint {
    let checkpoint = Checkpoint::copy(fixture);
    let from = checkpoint.path("open_clip_model.safetensors");
    std::fs::rename(from, checkpoint.path(WEIGHTS)).expect("weights");
    checkpoint
}

#[test]
fn another_pooling_or_projection_is_named() {
    for (fixture, key, value) in [
        ("openclip-eva01", "timm_pool", json!("avg")),
        ("openclip-eva01", "timm_pool", json!("")),
        ("openclip-eva01", "timm_pool", json!(1)),
        ("openclip-pe", "timm_pool", json!("token")),
        ("openclip-vit-gap", "timm_pool", json!("abs_attn")),
        ("openclip-convnext", "timm_pool", json!("rot_attn")),
        ("openclip-convnext", "timm_proj", json!("odd")),
        ("openclip-convnext", "timm_proj", json!(["mlp"])),
        ("openclip-vit-relpos", "timm_proj_bias", json!("yes")),
    ] {
        let checkpoint = copy(fixture);
        checkpoint.edit_json(CONFIG, |config| config["model_cfg"]["vision_cfg"][key] = value);
        let parts = [CONFIG, &format!("model_cfg.vision_cfg.{key}"), "expected", "check the file"];
        assert_variant!(refused(&checkpoint, &parts), InvalidConfigValue);
    }
}

/// Whether a size is read off it or not.
#[test]
fn a_tensor_that_the_architecture_has_is_missing() {
    for (fixture, name) in [
        ("openclip-eva01", "cls_token"),
        ("openclip-eva01", "patch_embed.proj.weight"),
        ("openclip-eva01", "blocks.1.attn.v_bias"),
        ("openclip-eva02", "blocks.0.attn.norm.weight"),
        ("openclip-eva02", "blocks.0.mlp.fc1_g.weight"),
        ("openclip-pe", "norm_pre.bias"),
        ("openclip-pe", "attn_pool.mlp.fc1.weight"),
        ("openclip-vit-mci", "patch_embed.backbone.1.conv.weight"),
        ("openclip-vit-gap", "blocks.0.ls2.gamma"),
        ("openclip-vit-relpos", "blocks.0.attn.rel_pos.mlp.fc1.weight"),
        ("openclip-vitamin", "fc_norm.weight"),
        ("openclip-vitamin", "patch_embed.backbone.stages.1.0.conv3_1x1.weight"),
        ("openclip-convnext", "stages.0.blocks.0.mlp.fc1.weight"),
        ("openclip-convnext", "stages.3.blocks.0.gamma"),
        ("openclip-fastvit-small", "stages.2.downsample.proj.0.se.fc1.weight"),
        ("openclip-fastvit-large", "stages.4.blocks.0.norm.weight"),
    ] {
        let checkpoint = copy(fixture);
        let name = format!("{TRUNK}.{name}");
        checkpoint.edit_tensors(|tensors| {
            let before = tensors.len();
            tensors.retain(|tensor| tensor.name != name);
            assert_eq!(tensors.len() + 1, before, "{fixture} has no {name}");
        });
        assert_variant!(refused(&checkpoint, &[&name]), MissingTensor);
    }
}

#[test]
fn a_tensor_has_another_shape_or_no_place() {
    let checkpoint = copy("openclip-eva01");
    let name = format!("{TRUNK}.pos_embed");
    checkpoint.edit_tensor(&name, |tensor| tensor.shape.swap(0, 1));
    assert_variant!(refused(&checkpoint, &[&name]), WrongShape);

    let checkpoint = copy("openclip-eva01");
    let name = format!("{TRUNK}.blocks.0.mlp.fc1.weight");
    checkpoint.edit_tensor(&name, |tensor| tensor.shape = vec![tensor.shape.iter().product()]);
    assert_variant!(refused(&checkpoint, &[&name, "2 axes"]), InvalidConfigValue);

    // A block that none comes before.
    let checkpoint = copy("openclip-eva01");
    let name = format!("{TRUNK}.blocks.7.norm1.weight");
    checkpoint.edit_tensor(&format!("{TRUNK}.norm.weight"), |tensor| tensor.name = name.clone());
    refused(&checkpoint, &[TRUNK]);
}

/// Shapes that no product fits, which must not be built.
#[test]
fn sizes_that_do_not_fit_each_other_are_named() {
    let checkpoint = copy("openclip-eva01");
    let name = format!("{TRUNK}.patch_embed.proj.weight");
    checkpoint.edit_tensor(&name, |tensor| tensor.shape = vec![24, 4, 4, 4]);
    assert_variant!(
        refused(&checkpoint, &["attention heads", "16 at width 24"]),
        InvalidConfigValue
    );

    let checkpoint = copy("openclip-eva01");
    checkpoint.edit_json(CONFIG, |config| {
        config["model_cfg"]["vision_cfg"]["image_size"] = json!(3);
    });
    assert_variant!(
        refused(&checkpoint, &["image size", "at least one patch"]),
        InvalidConfigValue
    );
}
