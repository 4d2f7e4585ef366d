//! The preprocessing.

use super::*;

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
    ] {
        let checkpoint = Checkpoint::copy(HF);
        checkpoint.edit_json("preprocessor_config.json", |config| config[key] = value);
        let parts = ["preprocessor_config.json", &format!("`{key}`"), "expected", "check the file"];
        assert_variant!(refused(&checkpoint, &parts), InvalidConfigValue);
    }
}
