//! Against finite differences, on a tiny checkpoint of random weights.

use std::path::Path;

use burn::module::ModuleMapper;
use umid_models::{LoadOptions, parse_device};

use super::*;

const TEXT: &str = "a photo of Maria Kowalski";
const NEGATIVES: [&str; 3] = ["A PHOTO OF JOHN SMITH", "a portrait of Ada Lovelace.", "agent 007"];
/// A step through f32 weights: short enough to be straight, long enough to stand out of round-off.
const WEIGHT_STEP: f32 = 3e-3;
/// What curvature and f32 round-off leave of agreement at that step.
const WEIGHT_TOLERANCE: f64 = 5e-3;

fn model() -> Model {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../umid-models/tests/fixtures");
    let device = parse_device("cpu").expect("cpu");
    Model::load(&fixtures.join("hf-gelu"), LoadOptions::on(&device).trainable()).expect("fixture")
}

/// An image of waves, another one for each seed.
fn waves(model: &Model, seed: f32) -> Input {
    let [_, size, _] = model.tower().expect("an input tower").input_shape();
    let values = (0..3 * size * size).map(|i| ((i as f32) * (0.05 + 0.01 * seed) + seed).sin());
    Input { shape: [3, size, size], values: values.collect() }
}

fn attack(model: &Model) -> GradientNorm<'_> {
    let images: Vec<Input> = [1.0, 2.0].map(|seed| waves(model, seed)).into();
    GradientNorm::new(model, &NEGATIVES, &images).expect("usable")
}

/// Moves every weight along the gradient.
struct Along<'a> {
    gradients: &'a GradientsParams,
    factor: f32,
}

impl ModuleMapper for Along<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.get::<D>(param.id) else {
            return param;
        };
        param.map(|value| Tensor::from_inner(value.inner() + gradient * self.factor).require_grad())
    }
}

#[test]
fn the_length_is_the_slope_along_the_gradient() {
    let model = model();
    let attack = attack(&model);
    let image = waves(&model, 0.0);
    let length = -attack.of_weights(TEXT, &image).expect("finite");
    let gradients = attack.weight_gradients(TEXT, &image).expect("finite");
    let loss_at = |step: f32| {
        let factor = step / length as f32;
        let moved = attack.towers.clone().map(&mut Along { gradients: &gradients, factor });
        f64::from(to_host(attack.loss(&moved, TEXT, &image).expect("usable").inner())[0])
    };
    let slope = (loss_at(WEIGHT_STEP) - loss_at(-WEIGHT_STEP)) / f64::from(2.0 * WEIGHT_STEP);
    assert!((slope / length - 1.0).abs() < WEIGHT_TOLERANCE, "slope {slope}, length {length}");
}

#[test]
fn every_weight_that_takes_part_has_a_gradient() {
    struct Missing<'a>(&'a GradientsParams, usize);
    impl ModuleVisitor for Missing<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1 += usize::from(self.0.get::<D>(param.id).is_none());
        }
    }
    let model = model();
    let attack = attack(&model);
    let gradients = attack.weight_gradients(TEXT, &waves(&model, 0.0)).expect("finite");
    let mut missing = Missing(&gradients, 0);
    attack.towers.visit(&mut missing);
    assert_eq!(missing.1, 0);
}

#[test]
fn embedding_gradients_agree_with_finite_differences() {
    let model = model();
    let attack = attack(&model);
    let width = model.config.embedding_dim;
    let unit = |seed: f64| {
        let row: Array1<f64> = (0..width).map(|i| (i as f64 * 0.7 + seed).sin()).collect();
        let length = row.dot(&row).sqrt();
        row / length
    };
    let (text, image) = (unit(0.3), unit(1.1));
    let loss = |text: &Array1<f64>, image: &Array1<f64>| {
        let scale = f64::from(model.logit_scale());
        let own = scale * text.dot(image);
        let texts = softmax(own, &(attack.negative_texts.dot(image) * scale))[0];
        let images = softmax(own, &(attack.negative_images.dot(text) * scale))[0];
        -0.5 * (texts.ln() + images.ln())
    };
    let [of_text, of_image] = attack.embedding_gradients(&text, &image);
    let step = 1e-6;
    for i in 0..width {
        let moved = |row: &Array1<f64>, by: f64| {
            let mut row = row.clone();
            row[i] += by;
            row
        };
        let by_text = loss(&moved(&text, step), &image) - loss(&moved(&text, -step), &image);
        let by_image = loss(&text, &moved(&image, step)) - loss(&text, &moved(&image, -step));
        assert!((by_text / (2.0 * step) - of_text[i]).abs() < 1e-7, "text {i}");
        assert!((by_image / (2.0 * step) - of_image[i]).abs() < 1e-7, "image {i}");
    }
}

#[test]
fn both_ways_of_computing_the_loss_agree() {
    let model = model();
    let attack = attack(&model);
    let image = waves(&model, 0.0);
    let by_tensor = to_host(attack.loss(&attack.towers, TEXT, &image).expect("usable").inner())[0];
    let text = model.embed_texts(&[TEXT]).expect("text").embeddings;
    let embedded = model.embed_inputs(std::slice::from_ref(&image)).expect("image");
    let text = checks::unit("text", &text.row(0)).expect("finite");
    let embedded = checks::unit("image", &embedded.row(0)).expect("finite");
    let scale = f64::from(model.logit_scale());
    let own = scale * text.dot(&embedded);
    let texts = softmax(own, &(attack.negative_texts.dot(&embedded) * scale))[0];
    let images = softmax(own, &(attack.negative_images.dot(&text) * scale))[0];
    let by_array = -0.5 * (texts.ln() + images.ln());
    assert!((f64::from(by_tensor) - by_array).abs() < 1e-5, "{by_tensor} {by_array}");
    let (text, embedded) = (text.mapv(|v| v as f32 * 3.0), embedded.mapv(|v| v as f32));
    let pair = attack.loss_and_gradient(&text.view(), &embedded.view()).expect("finite");
    assert!((pair.loss - by_array).abs() < 1e-5, "{} {by_array}", pair.loss);
    let gradient = -attack.of_embeddings(TEXT, &image).expect("finite");
    assert!((pair.gradient - gradient).abs() < 1e-5, "{} {gradient}", pair.gradient);
}

#[test]
fn a_score_does_not_depend_on_other_queries() {
    let model = model();
    let attack = attack(&model);
    let (first, second) = (waves(&model, 0.0), waves(&model, 5.0));
    let before = attack.of_weights(TEXT, &first).expect("finite");
    attack.of_weights("agent 007 in room 42b", &second).expect("finite");
    assert_eq!(before, attack.of_weights(TEXT, &first).expect("finite"));
    assert!(before < 0.0 && attack.of_embeddings(TEXT, &first).expect("finite") < 0.0);
}

#[test]
fn images_of_another_size_and_no_negatives_are_refused() {
    let model = model();
    let small = Input { shape: [3, 2, 2], values: vec![0.0; 12] };
    let result = attack(&model).of_weights(TEXT, &small);
    assert!(matches!(result, Err(BaselineError::InputShape { .. })), "{result:?}");
    assert!(attack(&model).of_embeddings(TEXT, &small).is_err());
    let none = GradientNorm::new(&model, &[] as &[&str], &[waves(&model, 1.0)]);
    assert!(matches!(none, Err(BaselineError::TooFew { .. })));
}
