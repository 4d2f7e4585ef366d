//! Inversion of sound, as a log-mel and as a waveform, on the bundled CLAP.

use std::path::PathBuf;

use burn::tensor::{Tensor, TensorData};
use ndarray::{Array2, ArrayView2};
use umid_invert::{InputSpace, Inversion, InvertParams, Inverter, KeepInputs, Space};
use umid_models::audio::WaveformSpace;
use umid_models::{FrontEnd, Model, default_device, to_host};

fn model() -> Model {
    let bundled = "../../datasets/zoo/clap-htsat";
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(bundled);
    Model::load(&directory, &default_device().expect("a device")).expect("a target")
}

fn waveforms(model: &Model) -> WaveformSpace {
    match &model.front_end {
        FrontEnd::Audio(log_mel) => WaveformSpace::new(log_mel, model.device()),
        FrontEnd::Image(_) | FrontEnd::Absent { .. } => panic!("the target reads sound"),
    }
}

fn invert(model: &Model, space: &impl Space) -> (Inversion, Array2<f32>) {
    let params = InvertParams { restarts: 3, ..InvertParams::default() };
    let inverter =
        Inverter::new(model.tower().expect("an input tower"), space, params, model.device())
            .expect("params");
    let text = model.embed_texts(&["the voice of ada"]).expect("embeddings").embeddings;
    let mut inversions = inverter.invert(text.view(), KeepInputs::Yes).expect("inversion");
    let starts = inverter.starts();
    let again = inverter.invert_from(text.view(), starts.view(), KeepInputs::Yes);
    assert_eq!(again.expect("inversion"), inversions);
    (inversions.remove(0), starts)
}

/// The model inputs of variables, `[rows, channels * height * width]`.
fn inputs(model: &Model, space: &impl Space, variables: ArrayView2<f32>) -> Vec<f32> {
    let data = TensorData::new(variables.iter().copied().collect(), variables.shape().to_vec());
    to_host(space.inputs(Tensor::from_data(data, model.device())))
}

fn check(model: &Model, space: &impl Space) -> Inversion {
    let (inversion, starts) = invert(model, space);
    assert_eq!(starts.dim(), (3, space.dim()));
    let (first, last) = (inversion.cosines.column(0), inversion.final_cosines());
    assert!(last.iter().zip(first).all(|(last, first)| *last > first + 0.3), "{inversion:?}");
    let variables = inversion.variables.as_ref().expect("kept");
    assert_eq!(variables.dim(), starts.dim());
    let kept: Vec<f32> = inversion.inputs.as_ref().expect("kept").iter().copied().collect();
    assert_eq!(inputs(model, space, variables.view()), kept);
    for (range, value) in space.valid_range().iter().zip(variables.row(0)) {
        assert!((range.0..=range.1).contains(value), "{value} is outside of {range:?}");
    }
    inversion
}

#[test]
fn a_log_mel_is_found_within_what_a_sound_can_reach() {
    let model = model();
    check(&model, &InputSpace::new(&model.input_units().expect("an input tower"), model.device()));
}

#[test]
fn a_waveform_is_found_and_the_front_end_hears_what_the_search_did() {
    let model = model();
    let space = waveforms(&model);
    let inversion = check(&model, &space);
    let sound = space.samples(inversion.variables.as_ref().expect("kept").view());
    assert!(sound.iter().all(|sample| sample.abs() <= 1.0));
    let FrontEnd::Audio(log_mel) = &model.front_end else { panic!("the target reads sound") };
    let heard = log_mel.of_clip(&sound.row(0).to_vec(), 0).expect("an input");
    let searched = inversion.inputs.as_ref().expect("kept");
    assert_eq!(heard.values.len(), searched.row(0).len());
    for (heard, searched) in heard.values.iter().zip(searched.row(0)) {
        // Decibels: round-off of the differentiable transform, which is in f32.
        assert!((heard - searched).abs() < 0.01, "{heard} and {searched}");
    }
}
