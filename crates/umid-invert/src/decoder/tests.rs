use ndarray::array;

use super::*;

fn device() -> Device {
    Device::flex()
}

fn small() -> Decoder {
    let config = DecoderConfig { latent_dim: 3, channels: vec![4, 2], public_latents: 0 };
    Decoder::init(config, 5, &device())
        .and_then(|decoder| decoder.with_public_latents(array![[1.0, 2.0, 3.0]]))
        .expect("a decoder")
}

fn images(decoder: &Decoder, batch: usize) -> Vec<f32> {
    let latents: Vec<f32> = (0..batch * 3).map(|i| (i as f32 * 0.7).sin()).collect();
    let latents = Tensor::from_data(TensorData::new(latents, [batch, 3]), &device());
    to_host(decoder.forward(latents))
}

/// A saved decoder's folder after a change to its tensors.
fn changed(change: impl FnOnce(&mut Vec<(String, Dtype, Vec<usize>, Vec<u8>)>)) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    small().save(folder.path()).expect("saved");
    let path = folder.path().join(WEIGHTS);
    let bytes = fs::read(&path).expect("weights");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut tensors = file
        .tensors()
        .into_iter()
        .map(|(name, v)| (name, v.dtype(), v.shape().to_vec(), v.data().to_vec()))
        .collect();
    change(&mut tensors);
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).expect("a view"))
    });
    fs::write(&path, safetensors::serialize(views, None).expect("bytes")).expect("written");
    Decoder::load(folder.path(), &device()).expect_err("a fault").to_string()
}

#[test]
fn a_saved_decoder_gives_the_same_images() {
    let folder = tempfile::tempdir().expect("a folder");
    let decoder = small();
    decoder.save(folder.path()).expect("saved");
    let loaded = Decoder::load(folder.path(), &device()).expect("loaded");
    assert_eq!(images(&decoder, 2), images(&loaded, 2));
    assert_eq!(loaded.latent_dim(), 3);
    assert_eq!(loaded.public_latents(), array![[1.0, 2.0, 3.0]]);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
}

#[test]
fn images_are_images_and_rows_are_independent() {
    let (one, three) = (images(&small(), 1), images(&small(), 3));
    assert_eq!(small().config().image_size(), 8);
    assert_eq!(one.len(), 3 * 8 * 8);
    assert!(three.iter().all(|v| (0.0..=1.0).contains(v)));
    for (a, b) in one.iter().zip(&three) {
        // Round-off of matrix products of different sizes.
        assert!((a - b).abs() < 1e-6);
    }
}

#[test]
fn doubling_repeats_every_pixel() {
    let maps = Tensor::<1>::from_floats([1.0, 2.0, 3.0, 4.0], &device()).reshape([1, 1, 2, 2]);
    let expected = [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 3.0, 3.0, 4.0, 4.0];
    assert_eq!(to_host(doubled(maps)), expected);
}

#[test]
fn an_absurd_shape_is_an_error() {
    for (latent_dim, channels) in [(0, vec![4]), (3, vec![]), (3, vec![4, 0]), (3, vec![4; 12])] {
        let config = DecoderConfig { latent_dim, channels, public_latents: 0 };
        assert!(matches!(
            Decoder::init(config, 1, &device()),
            Err(InvertError::InvalidParameter { name: "decoder", .. })
        ));
    }
}

#[test]
fn mapped_latents_give_the_images_of_what_they_stand_for() {
    let (matrix, offset) =
        (array![[2.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.5, 0.0, 1.0]], array![[0.1, 0.2, 0.3]]);
    let latents = array![[1.0, -1.0, 0.5]];
    let forward = |decoder: &Decoder, latents: &Array2<f32>| {
        let values = TensorData::new(latents.iter().copied().collect::<Vec<f32>>(), [1, 3]);
        to_host(decoder.forward(Tensor::from_data(values, &device())))
    };
    let expected = forward(&small(), &(latents.dot(&matrix) + &offset));
    let mapped = small().with_latents_mapped(&matrix, &offset).expect("it fits");
    assert_eq!(mapped.public_latents().nrows(), 0);
    for (found, expected) in forward(&mapped, &latents).iter().zip(&expected) {
        // Round-off of two orders of the same products.
        assert!((found - expected).abs() < 1e-5);
    }
    let misshapen = small().with_latents_mapped(&offset, &offset);
    assert!(matches!(misshapen, Err(InvertError::Shape { .. })));
}

#[test]
fn latents_of_another_length_are_an_error() {
    let result = small().with_public_latents(Array2::zeros((2, 4)));
    assert!(matches!(result, Err(InvertError::Shape { .. })));
}

#[test]
fn a_missing_tensor_is_an_error_that_names_it() {
    let message = changed(|tensors| tensors.retain(|t| t.0 != "rgb.bias"));
    assert!(message.contains("rgb.bias is missing"), "{message}");
}

#[test]
fn a_tensor_too_many_is_an_error_that_names_it() {
    let extra = ("stages.7.bias".to_owned(), Dtype::F32, vec![1], vec![0; 4]);
    let message = changed(|tensors| tensors.push(extra));
    assert!(message.contains("stages.7.bias"), "{message}");
}

#[test]
fn a_misshapen_tensor_is_an_error_that_names_it() {
    let message = changed(|tensors| {
        let bias = tensors.iter_mut().find(|t| t.0 == "rgb.bias").expect("a bias");
        (bias.2, bias.3) = (vec![2], vec![0; 8]);
    });
    assert!(message.contains("rgb.bias") && message.contains("[3]"), "{message}");
}

#[test]
fn a_weight_that_is_not_finite_is_an_error() {
    let message = changed(|tensors| {
        let bias = tensors.iter_mut().find(|t| t.0 == "rgb.bias").expect("a bias");
        bias.3[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    assert!(message.contains("not finite"), "{message}");
}

#[test]
fn files_that_are_missing_or_cut_are_errors_that_name_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let load = || Decoder::load(folder.path(), &device()).expect_err("a fault").to_string();
    assert!(load().contains(SHAPE));
    small().save(folder.path()).expect("saved");
    let path = folder.path().join(WEIGHTS);
    let bytes = fs::read(&path).expect("weights");
    fs::write(&path, &bytes[..bytes.len() / 2]).expect("cut");
    assert!(load().contains(WEIGHTS));
    fs::write(folder.path().join(SHAPE), r#"{"latent_dim": 0, "channels": [4]}"#).expect("x");
    assert!(load().contains("latent_dim"));
}
