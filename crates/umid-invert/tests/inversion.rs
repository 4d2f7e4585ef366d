//! The inversion loop on a real (tiny, random) checkpoint: what it must never depend on, and
//! that it does what it says.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor};
use ndarray::{Array2, Axis, s};
use umid_invert::{
    Clamp, InputSpace, Inversion, InvertError, InvertParams, Inverter, KeepInputs, Optimiser,
    Outcome, Space, Starts,
};
use umid_models::{InputTower, InputUnits, Model, default_device};

/// Largest difference between the same row computed in batches of different size. The matrix
/// kernels choose their blocking by the number of rows, so sums are taken in another order;
/// through 20 steps of a chaotic search that round-off grows.
const BATCH_TOLERANCE: f32 = 2e-4;

fn model() -> Model {
    let fixture = "../umid-models/tests/fixtures/hf-quickgelu-legacy-eos";
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(fixture);
    Model::load(&directory, &default_device().expect("a device")).expect("fixture")
}

fn texts(model: &Model) -> Array2<f32> {
    let names = ["a photo of ada", "a photo of bob", "x", "a portrait of carol smith", "dora e"];
    model.embed_texts(&names).expect("embeddings").embeddings
}

fn space(model: &Model) -> InputSpace {
    InputSpace::new(&model.input_units().expect("an input tower"), model.device())
}

fn invert(model: &Model, params: InvertParams, texts: &Array2<f32>) -> Vec<Inversion> {
    let space = space(model);
    let inverter =
        Inverter::new(model.tower().expect("an input tower"), &space, params, model.device())
            .expect("params");
    inverter.invert(texts.view(), KeepInputs::Yes).expect("inversion")
}

/// Largest difference between cosines; NaN if one of them is.
fn worst(a: &[Inversion], b: &[Inversion]) -> f32 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).flat_map(|(a, b)| {
        assert_eq!(a.cosines.dim(), b.cosines.dim());
        a.cosines.iter().zip(&b.cosines).map(|(a, b)| (a - b).abs())
    });
    differences.max_by(f32::total_cmp).expect("cosines")
}

#[test]
fn a_nan_in_any_cosine_is_a_difference() {
    let model = model();
    let inversions = invert(&model, InvertParams::default(), &texts(&model));
    let mut broken = inversions.clone();
    broken[0].cosines[[0, 0]] = f32::NAN;
    assert!(worst(&inversions, &broken).is_nan());
}

#[test]
fn every_optimiser_raises_the_cosine() {
    let model = model();
    let texts = texts(&model);
    for optimiser in [
        Optimiser::NormalisedGradient { step: 0.07 },
        Optimiser::GradientAscent { step: 20.0 },
        Optimiser::Adam { learning_rate: 0.1 },
    ] {
        for starts in [Starts::Gaussian, Starts::Uniform] {
            let params = InvertParams { optimiser, starts, ..Default::default() };
            for inversion in invert(&model, params, &texts) {
                let (first, last) = (inversion.cosines.column(0), inversion.final_cosines());
                assert!(last.mean() > first.mean().map(|m| m + 0.1), "{optimiser} {inversion:?}");
                assert_eq!(inversion.usable().len(), 4);
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_batch() {
    let model = model();
    let texts = texts(&model);
    let all =
        |batch_rows| invert(&model, InvertParams { batch_rows, ..Default::default() }, &texts);
    let reference = all(32);
    for batch_rows in [1, 3, 7] {
        let difference = worst(&reference, &all(batch_rows));
        assert!(difference <= BATCH_TOLERANCE, "batch of {batch_rows}: {difference}");
    }
}

#[test]
fn results_do_not_depend_on_the_order_or_the_company_of_texts() {
    let model = model();
    let texts = texts(&model);
    let reference = invert(&model, InvertParams::default(), &texts);
    let order = [3, 0, 4, 2, 1];
    let shuffled = invert(&model, InvertParams::default(), &texts.select(Axis(0), &order));
    for (position, text) in order.into_iter().enumerate() {
        let difference = worst(&reference[text..=text], &shuffled[position..=position]);
        assert!(difference <= BATCH_TOLERANCE, "text {text}: {difference}");
    }
    let alone = invert(&model, InvertParams::default(), &texts.slice(s![2..3, ..]).to_owned());
    assert!(worst(&reference[2..3], &alone) <= BATCH_TOLERANCE);
}

#[test]
fn the_same_run_twice_gives_the_same_bits() {
    let model = model();
    let texts = texts(&model);
    let once = invert(&model, InvertParams::default(), &texts);
    assert_eq!(once, invert(&model, InvertParams::default(), &texts));
}

#[test]
fn starts_are_the_same_for_every_text_and_do_not_depend_on_their_number() {
    let model = model();
    let space = space(&model);
    let texts = texts(&model);
    let starts = |restarts| {
        let params = InvertParams { restarts, ..Default::default() };
        Inverter::new(model.tower().expect("an input tower"), &space, params, model.device())
            .expect("params")
            .starts()
    };
    assert_eq!(starts(2), starts(6).slice(s![..2, ..]));
    // One step of length next to nothing shows the starts that each text really had.
    let params = InvertParams {
        steps: 1,
        optimiser: Optimiser::GradientAscent { step: f64::MIN_POSITIVE },
        clamp: Clamp::Off,
        ..Default::default()
    };
    for inversion in invert(&model, params, &texts) {
        assert_eq!(inversion.inputs.expect("kept"), starts(4));
    }
}

#[test]
fn a_start_that_is_there_stops_and_the_others_go_on() {
    let model = model();
    let texts = texts(&model);
    for optimiser in [InvertParams::default().optimiser, Optimiser::Adam { learning_rate: 0.1 }] {
        let params = InvertParams { optimiser, ..Default::default() };
        let whole = invert(&model, params.clone(), &texts);
        // A cosine that some starts reach on the way and some do not.
        let mut reached: Vec<f32> = whole.iter().flat_map(Inversion::final_cosines).collect();
        reached.sort_by(f32::total_cmp);
        let stop_at = reached[reached.len() / 2];
        let stopped = invert(&model, InvertParams { stop_at: Some(stop_at), ..params }, &texts);
        let (mut early, mut late) = (0, 0);
        for (whole, stopped) in whole.iter().zip(&stopped) {
            for (row, &steps) in stopped.steps.iter().enumerate() {
                let (path, stopped_path) = (whole.cosines.row(row), stopped.cosines.row(row));
                let expected = path.iter().take(20).position(|c| *c >= stop_at).unwrap_or(20);
                assert_eq!(steps, expected);
                if steps < 20 {
                    early += 1;
                } else {
                    late += 1;
                }
                for (step, found) in stopped_path.iter().enumerate() {
                    assert!((found - path[step.min(steps)]).abs() < BATCH_TOLERANCE);
                }
                // The embedding is that of the input it ends with.
                let input = stopped.inputs.as_ref().expect("kept").row(row).to_owned();
                let [channels, height, width] =
                    model.tower().expect("an input tower").input_shape();
                let input =
                    burn::tensor::TensorData::new(input.to_vec(), [1, channels, height, width]);
                let again = model
                    .tower()
                    .expect("an input tower")
                    .embed(Tensor::from_data(input, model.device()));
                let again = umid_models::to_host(again);
                let embedding = stopped.embeddings.row(row);
                for (found, expected) in embedding.iter().zip(again) {
                    assert!((found - expected).abs() < BATCH_TOLERANCE);
                }
            }
        }
        assert!(early > 3 && late > 3, "{early} stopped, {late} did not");
    }
}

#[test]
fn given_starts_replay_an_inversion() {
    let model = model();
    let space = space(&model);
    let texts = texts(&model);
    let inverter = Inverter::new(
        model.tower().expect("an input tower"),
        &space,
        InvertParams::default(),
        model.device(),
    )
    .expect("ok");
    let drawn = inverter.invert(texts.view(), KeepInputs::Yes).expect("inversion");
    let starts = inverter.starts();
    let given = inverter.invert_from(texts.view(), starts.view(), KeepInputs::Yes).expect("ok");
    assert_eq!(drawn, given);
    let misfit = Array2::zeros((2, 5));
    let refused = inverter.invert_from(texts.view(), misfit.view(), KeepInputs::No);
    assert!(matches!(refused, Err(InvertError::Shape { .. })));
}

#[test]
fn a_bad_start_ends_its_own_row_only() {
    let model = model();
    let space = space(&model);
    let texts = texts(&model);
    let params = InvertParams { clamp: Clamp::Off, ..Default::default() };
    let inverter =
        Inverter::new(model.tower().expect("an input tower"), &space, params, model.device())
            .expect("params");
    let mut starts = inverter.starts();
    let clean = inverter.invert_from(texts.view(), starts.view(), KeepInputs::No).expect("ok");
    starts[[1, 17]] = f32::NAN;
    let dirty = inverter.invert_from(texts.view(), starts.view(), KeepInputs::No).expect("ok");
    for (clean, dirty) in clean.iter().zip(&dirty) {
        assert_eq!(dirty.usable(), [0, 2, 3]);
        assert_eq!(dirty.outcomes[1], Outcome::NonFinite { step: 0 });
        for row in dirty.usable() {
            assert_eq!(clean.cosines.row(row), dirty.cosines.row(row));
            assert_eq!(clean.embeddings.row(row), dirty.embeddings.row(row));
        }
    }
}

#[test]
fn clamped_inputs_stay_in_the_valid_range() {
    let model = model();
    let space = space(&model);
    let range = space.valid_range();
    let outside = |clamp| {
        let inversions =
            invert(&model, InvertParams { clamp, ..Default::default() }, &texts(&model));
        inversions.iter().any(|i| {
            let inputs = i.inputs.as_ref().expect("kept");
            inputs
                .rows()
                .into_iter()
                .any(|row| row.iter().zip(&range).any(|(v, (low, high))| v < low || v > high))
        })
    };
    assert!(!outside(Clamp::ValidRange));
    assert!(outside(Clamp::Off), "the test cannot fail if nothing leaves the range");
}

#[test]
fn final_embeddings_are_those_of_the_final_inputs() {
    let model = model();
    let texts = texts(&model);
    let inversion = &invert(&model, InvertParams::default(), &texts)[0];
    let inputs = inversion.inputs.as_ref().expect("kept");
    let shape = model.tower().expect("an input tower").input_shape();
    let data = burn::tensor::TensorData::new(
        inputs.iter().copied().collect::<Vec<f32>>(),
        [inputs.nrows(), shape[0], shape[1], shape[2]],
    );
    let embeddings =
        model.tower().expect("an input tower").embed(Tensor::from_data(data, model.device()));
    let embeddings = umid_models::to_host(embeddings);
    assert_eq!(embeddings.len(), inversion.embeddings.len());
    for (a, b) in embeddings.iter().zip(&inversion.embeddings) {
        assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} {b}");
    }
    let text = texts.row(0);
    let norm = text.dot(&text).sqrt();
    for (row, cosine) in inversion.embeddings.rows().into_iter().zip(inversion.final_cosines()) {
        assert!((row.dot(&text) / (norm * row.dot(&row).sqrt()) - cosine).abs() < 1e-5);
    }
}

#[test]
fn a_zero_or_broken_text_embedding_is_refused() {
    let model = model();
    let space = space(&model);
    let inverter = Inverter::new(
        model.tower().expect("an input tower"),
        &space,
        InvertParams::default(),
        model.device(),
    )
    .expect("ok");
    for value in [0.0, f32::NAN, f32::INFINITY] {
        let mut texts = texts(&model);
        texts.row_mut(1).fill(value);
        let refused = inverter.invert(texts.view(), KeepInputs::No);
        assert!(matches!(refused, Err(InvertError::Target { row: 1, .. })), "{value}");
    }
}

/// A tower with a closed form: the mean of each channel.
struct Mean;

impl InputTower for Mean {
    fn input_shape(&self) -> [usize; 3] {
        [3, 2, 2]
    }

    fn embed(&self, inputs: Tensor<4>) -> Tensor<2> {
        inputs.flatten::<3>(2, 3).mean_dim(2).squeeze_dim(2)
    }
}

#[test]
fn a_normalised_step_has_the_stated_length_and_direction() {
    let units = InputUnits {
        shape: Mean.input_shape(),
        mean: vec![0.0; 2],
        deviation: vec![1.0; 2],
        valid_range: vec![(-2.0, 2.0); 12],
    };
    let space = InputSpace::new(&units, &Device::flex());
    let params = InvertParams {
        steps: 1,
        restarts: 1,
        optimiser: Optimiser::NormalisedGradient { step: 0.25 },
        clamp: Clamp::Off,
        ..Default::default()
    };
    let inverter = Inverter::new(&Mean, &space, params, &Device::flex()).expect("params");
    let start = inverter.starts();
    let text = ndarray::array![[1.0f32, 0.0, 0.0]];
    let inversion = &inverter.invert(text.view(), KeepInputs::Yes).expect("inversion")[0];
    let step = inversion.inputs.as_ref().expect("kept") - &start;
    let norm = |a: &Array2<f32>| a.iter().map(|v| v * v).sum::<f32>().sqrt();
    assert!((norm(&step) / norm(&start) - 0.25).abs() < 1e-5);
    // The gradient of cos(mean, e1) is proportional to e1 - cos * mean / |mean|.
    let mean: Vec<f32> = start.row(0).exact_chunks(4).into_iter().map(|c| c.sum() / 4.0).collect();
    let length = mean.iter().map(|v| v * v).sum::<f32>().sqrt();
    let cosine = mean[0] / length;
    let gradient: Vec<f32> =
        (0..12).map(|i| f32::from(u8::from(i < 4)) - cosine * mean[i / 4] / length).collect();
    let scale = norm(&step) / gradient.iter().map(|v| v * v).sum::<f32>().sqrt();
    for (found, expected) in step.iter().zip(&gradient) {
        assert!((found - expected * scale).abs() < 1e-5, "{found} {}", expected * scale);
    }
}
