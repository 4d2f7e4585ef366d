//! Every CLAP fixture, loaded and compared with what the model's own package computed from the same
//! files (`scripts/make_clap_fixtures.py`, whose docstring lists the values).

mod compare;

use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use safetensors::SafeTensors;
use serde_json::Value;
use umid_models::audio::{LogMel, LogMelTensors, Padding};

use compare::row_error;
use umid_models::{FrontEnd, Input, InputTower, Model, default_device, parse_device, to_host};

/// As for CLIP (`parity.rs`).
const EMBEDDING_TOLERANCE: f32 = 1e-4;
const GRADIENT_TOLERANCE: f32 = 1e-4;
/// The same of embeddings that begin at a file, whose samples are resampled in f32 by the reference.
const FILE_TOLERANCE: f32 = 1e-3;
/// Largest difference of a log-mel above the floor, in decibels.
const DECIBEL_TOLERANCE: f32 = 1e-3;
/// Decibels of the floor, and what counts as above it.
const FLOOR: f32 = -100.0;
const ABOVE_FLOOR: f32 = 1e-2;

struct Case {
    json: Value,
    bytes: Vec<u8>,
    model: Model,
}

impl Case {
    fn load(directory: &Path) -> Self {
        let json = std::fs::read(directory.join("expected.json")).expect("expected.json");
        let json = serde_json::from_slice(&json).expect("JSON");
        let bytes = std::fs::read(directory.join("expected.safetensors")).expect("expected values");
        // msclap's is a file alone.
        let alone = Some(directory.join("CLAP_weights.pth")).filter(|file| file.is_file());
        let path = alone.as_deref().unwrap_or(directory);
        let model = Model::load(path, &default_device().expect("a device"))
            .unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
        Self { json, bytes, model }
    }

    fn has(&self, name: &str) -> bool {
        SafeTensors::deserialize(&self.bytes).expect("safetensors").tensor(name).is_ok()
    }

    fn expected(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let tensors = SafeTensors::deserialize(&self.bytes).expect("safetensors");
        let view = tensors.tensor(name).expect(name);
        let values =
            view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        (view.shape().to_vec(), values)
    }

    fn list(&self, name: &str) -> &[Value] {
        self.json[name].as_array().expect(name)
    }

    fn indices(&self, name: &str) -> Vec<usize> {
        serde_json::from_value(self.json[name].clone()).expect(name)
    }

    fn name(&self) -> &str {
        self.json["case"].as_str().expect("case")
    }

    fn texts(&self) -> Vec<String> {
        let text = |t: &Value| t["text"].as_str().expect("text").to_owned();
        self.list("texts").iter().map(text).collect()
    }

    /// The clips as samples in -1..1, and where the pieces that are read of each start.
    fn clips(&self) -> Vec<(Vec<f32>, Vec<usize>)> {
        let clip = |clip: &Value| {
            let file = fixtures().join("clap-clips").join(clip["file"].as_str().expect("file"));
            let bytes = std::fs::read(file).expect("a clip");
            // Sixteen bits, one channel, behind a header of 44 bytes.
            let samples = bytes[44..].as_chunks::<2>().0.iter();
            let samples = samples.map(|b| f32::from(i16::from_le_bytes(*b)) / 32_768.0).collect();
            let crop = clip["crop_start"].as_u64().map(|start| vec![start as usize]);
            let chunks = serde_json::from_value(clip["chunk_starts"].clone()).unwrap_or_default();
            (samples, crop.unwrap_or(chunks))
        };
        self.list("clips").iter().map(clip).collect()
    }

    /// Of the numbers of an input, which of them are stored.
    fn every(&self) -> usize {
        self.json["every"].as_u64().map_or(1, |every| every as usize)
    }

    /// Shape of a batch of the random inputs, and their values. Where not every number is stored,
    /// the inputs are a formula's.
    fn features(&self) -> (Vec<usize>, Vec<f32>) {
        if self.every() == 1 {
            return self.expected("features");
        }
        let count = self.expected("features").0[0];
        let shape: Vec<usize> =
            serde_json::from_value(self.json["input_shape"].clone()).expect("a shape");
        let each: usize = shape.iter().product();
        let value = |row: usize, i: usize| {
            (-40.0 + 20.0 * ((0.37 + 0.11 * row as f64) * i as f64).sin()) as f32
        };
        let values = (0..count).flat_map(|row| (0..each).map(move |i| value(row, i)));
        ([vec![count], shape].concat(), values.collect())
    }

    /// Those of an input's numbers that are stored.
    fn stored(&self, values: &[f32]) -> Vec<f32> {
        values.iter().copied().step_by(self.every()).collect()
    }

    fn is_hugging_face(&self) -> bool {
        self.json["layout"] == "hf"
    }

    fn front_end(&self) -> &LogMel {
        let FrontEnd::Audio(front_end) = &self.model.front_end else { panic!("sound") };
        front_end
    }

    /// An input of one clip; where it is not fused, of the whole alone.
    fn input(&self, shape: &[usize], mut values: Vec<f32>, fused: bool) -> Tensor<4> {
        let channels = if fused { shape[1] } else { 1 };
        values.truncate(channels * shape[2] * shape[3]);
        let values = TensorData::new(values, [1, channels, shape[2], shape[3]]);
        Tensor::from_data(values, self.model.device())
    }

    fn text_embedding(&self, text: usize) -> Tensor<2> {
        let ids = self.model.tokenizer.tokenize(&self.texts()[text]).expect("tokens").ids;
        self.model.text.forward(&[ids]).embedding
    }

    /// The cosine of a clip that is repeated up to the model's input, and its gradient with
    /// respect to the clip.
    fn waveform_gradient(
        &self,
        front_end: &LogMelTensors,
        samples: &[f32],
        text: &Tensor<2>,
    ) -> (f32, Vec<f32>) {
        let params = self.front_end().params();
        let repeats = match params.padding {
            Padding::Pad => 1,
            Padding::RepeatPad => params.samples / samples.len(),
            Padding::Repeat => params.samples / samples.len() + 1,
        };
        let clip = TensorData::new(samples.to_vec(), [1, samples.len()]);
        let clip = Tensor::<2>::from_data(clip, self.model.device());
        gradient(clip, text, |clip| {
            let repeated = clip.repeat_dim(1, repeats);
            let device = repeated.device();
            let silence = Tensor::zeros([1, params.samples], &device);
            let padded = Tensor::cat(vec![repeated, silence], 1).narrow(1, 0, params.samples);
            self.model.tower().expect("an input tower").embed(front_end.forward(padded))
        })
    }

    #[track_caller]
    fn assert_rows(&self, what: &str, found: &[f32], tolerance: f32) {
        let (shape, expected) = self.expected(what);
        let error = row_error(found, &expected, *shape.last().expect("shape"));
        assert!(error <= tolerance, "{}: {what} differs by {error:e} relative", self.name());
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn cases() -> Vec<Case> {
    let names = [
        "clap-hf-unfused",
        "clap-hf-fused",
        "clap-hf-other",
        "clap-laion-htsat",
        "clap-laion-fused",
        "clap-laion-pann",
        "clap-msclap-2022",
        "clap-msclap-2023",
        "clap-openclip-htsat",
        "clap-openclip-fused",
    ];
    names.into_iter().map(|name| Case::load(&fixtures().join(name))).collect()
}

#[test]
fn token_ids_are_equal() {
    for case in cases() {
        for text in case.list("texts") {
            let found = case.model.tokenizer.tokenize(text["text"].as_str().expect("text"));
            let expected: Vec<u32> =
                serde_json::from_value(text["ids"].clone()).expect("token ids");
            assert_eq!(found.expect("tokens").ids, expected, "{}: {text}", case.name());
        }
    }
}

#[test]
fn text_embeddings_agree() {
    for case in cases() {
        let mut found = Vec::new();
        for text in case.texts() {
            let ids = case.model.tokenizer.tokenize(&text).expect("tokens").ids;
            found.extend(to_host(case.model.text.forward(&[ids]).embedding));
        }
        case.assert_rows("text_embeds", &found, EMBEDDING_TOLERANCE);
    }
}

#[test]
fn log_mels_agree() {
    for case in cases() {
        let (shape, expected) = case.expected("input_features");
        let each = shape[1..].iter().product::<usize>();
        for (i, (clip, starts)) in case.clips().into_iter().enumerate() {
            let found = case.front_end().of_clip_at(&clip, &starts).expect("a log-mel").values;
            let found = case.stored(&found);
            let expected = &expected[i * each..][..each];
            assert_eq!(each % found.len(), 0, "{}", case.name());
            // The reference gives four copies of a clip that fits.
            for (f, e) in found.iter().cycle().zip(expected) {
                let floor = FLOOR + ABOVE_FLOOR;
                let close = (f - e).abs() <= DECIBEL_TOLERANCE || (*e <= floor && *f <= floor);
                assert!(close, "{}: clip {i}: {f} and {e} dB", case.name());
            }
        }
    }
}

#[test]
fn audio_embeddings_agree() {
    for case in cases().into_iter().filter(|case| case.every() == 1) {
        let (shape, values) = case.expected("input_features");
        let each = shape[1..].iter().product::<usize>();
        let fuses_all = case.has("fused_audio_embeds") && case.is_hugging_face();
        let mut found = Vec::new();
        for (i, clip) in case.list("clips").iter().enumerate() {
            let values = values[i * each..][..each].to_vec();
            let fused = fuses_all || clip["is_longer"].as_bool() == Some(true);
            found.extend(to_host(
                case.model
                    .tower()
                    .expect("an input tower")
                    .embed(case.input(&shape, values, fused)),
            ));
        }
        let name = if fuses_all { "fused_audio_embeds" } else { "audio_embeds" };
        case.assert_rows(name, &found, EMBEDDING_TOLERANCE);
    }
}

/// From the samples to the embedding in one go, as `umid embed --audio` does.
#[test]
fn clips_embed_as_their_log_mels_do() {
    for case in cases() {
        let clips = case.clips().into_iter();
        let inputs: Vec<_> = clips
            .map(|(clip, starts)| case.front_end().of_clip_at(&clip, &starts).expect("a log-mel"))
            .collect();
        let found = case.model.embed_inputs(&inputs).expect("embeddings");
        let fuses_all = case.has("fused_audio_embeds") && case.is_hugging_face();
        let name = if fuses_all { "fused_audio_embeds" } else { "audio_embeds" };
        let found: Vec<f32> = found.into_iter().collect();
        case.assert_rows(name, &found, EMBEDDING_TOLERANCE);
    }
}

/// From the file to the embedding, through a change of the rate and a mean of channels. Of a long
/// clip that is not fused the first part is heard.
#[test]
fn files_of_another_rate_embed_as_open_clip_embeds_them() {
    const RATE: u32 = 44_100;
    let with_rate = |case: &&Case| case.has("other_rate_embeds");
    let cases: Vec<Case> = cases().into_iter().filter(|case| with_rate(&case)).collect();
    assert_eq!(cases.len(), 2);
    for case in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let inputs: Vec<Input> = (case.indices("other_rate_clips").into_iter())
            .map(|clip| {
                let file = case.list("clips")[clip]["file"].as_str().expect("file");
                let wav = std::fs::read(fixtures().join("clap-clips").join(file)).expect(file);
                let path = folder.path().join(file);
                std::fs::write(&path, stereo(&wav, RATE)).expect(file);
                case.model.front_end.open(&path).unwrap_or_else(|e| panic!("{file}: {e}"))
            })
            .collect();
        let found = case.model.embed_inputs(&inputs).expect("embeddings");
        let found: Vec<f32> = found.into_iter().collect();
        case.assert_rows("other_rate_embeds", &found, FILE_TOLERANCE);
    }
}

/// A WAV file of 16 bits and one channel as one of another rate and two channels alike.
fn stereo(mono: &[u8], rate: u32) -> Vec<u8> {
    const HEADER: usize = 44;
    let mut wav = mono[..HEADER].to_vec();
    let len = 2 * (mono.len() - HEADER) as u32;
    for (at, value) in [(4, len + 36), (24, rate), (28, 4 * rate), (40, len)] {
        wav[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    // Two channels, so four bytes per frame.
    wav[22] = 2;
    wav[32] = 4;
    wav.extend(mono[HEADER..].chunks_exact(2).flat_map(|sample| sample.repeat(2)));
    wav
}

#[test]
fn gradients_with_respect_to_the_log_mel_agree() {
    for case in cases() {
        let (shape, values) = case.features();
        let each = shape[1..].iter().product::<usize>();
        let stored = each.div_ceil(case.every());
        let flags: Vec<bool> =
            serde_json::from_value(case.json["features_longer"].clone()).expect("flags");
        let (_, expected) = case.expected("feature_gradients");
        let (_, cosines) = case.expected("cosines");
        for (i, text) in case.indices("gradient_texts").into_iter().enumerate() {
            let text = case.text_embedding(text);
            for (j, fused) in flags.iter().enumerate() {
                let values = values[j * each..][..each].to_vec();
                let input = case.input(&shape, values, *fused || shape[1] == 1);
                let (cosine, found) = gradient(input, &text, |x| {
                    case.model.tower().expect("an input tower").embed(x)
                });
                let expected_cosine = cosines[i * flags.len() + j];
                // A tower of this layout fuses a clip that fits, too: another value.
                if !*fused && shape[1] > 1 && case.is_hugging_face() {
                    continue;
                }
                let close = (cosine - expected_cosine).abs() <= EMBEDDING_TOLERANCE;
                assert!(close, "{}: cosine {cosine}, {expected_cosine}", case.name());
                let found = case.stored(&found);
                let expected = &expected[(i * flags.len() + j) * stored..][..found.len()];
                let error = row_error(&found, expected, found.len());
                assert!(error <= GRADIENT_TOLERANCE, "{}: gradient off by {error:e}", case.name());
            }
        }
    }
}

#[test]
fn gradients_with_respect_to_the_waveform_agree() {
    for case in cases() {
        if case.has("fused_audio_embeds") && case.is_hugging_face() {
            continue;
        }
        let tensors = case.front_end().on(&default_device().expect("a device").autodiff());
        let (_, cosines) = case.expected("waveform_cosines");
        let clips = case.indices("gradient_clips");
        for (i, text) in case.indices("gradient_texts").into_iter().enumerate() {
            let text = case.text_embedding(text);
            for (j, clip) in clips.iter().enumerate() {
                let (samples, _) = &case.clips()[*clip];
                let file = case.list("clips")[*clip]["file"].as_str().expect("file");
                let name = format!("waveform_gradients.{}", file.trim_end_matches(".wav"));
                let (shape, expected) = case.expected(&name);
                let expected = &expected[i * shape[1]..][..shape[1]];
                let (cosine, found) = case.waveform_gradient(&tensors, samples, &text);
                let expected_cosine = cosines[i * clips.len() + j];
                let close = (cosine - expected_cosine).abs() <= EMBEDDING_TOLERANCE;
                assert!(close, "{}: {name}: cosine {cosine}, {expected_cosine}", case.name());
                let error = row_error(&case.stored(&found), expected, expected.len());
                assert!(error <= GRADIENT_TOLERANCE, "{}: {name} off by {error:e}", case.name());
            }
        }
    }
}

/// The cosine with a text, and its gradient with respect to the input.
fn gradient<const D: usize>(
    input: Tensor<D>,
    text: &Tensor<2>,
    embed: impl Fn(Tensor<D>) -> Tensor<2>,
) -> (f32, Vec<f32>) {
    let input = input.autodiff().require_grad();
    let unit = |v: Tensor<2>| {
        let norm = v.clone().powi_scalar(2).sum_dim(1).sqrt();
        v / norm
    };
    let cosine = (unit(embed(input.clone())) * unit(text.clone())).sum_dim(1);
    let value = to_host(cosine.clone().inner())[0];
    let gradients = cosine.sum().backward();
    (value, to_host(input.grad(&gradients).expect("the input is tracked")))
}

/// The same weights as a training saved them, read without executing the pickle.
#[test]
fn a_pickled_checkpoint_is_the_same_model() {
    let directory = fixtures().join("clap-laion-htsat");
    let copy = tempfile::tempdir().expect("a folder");
    for file in ["checkpoint.pt", "model_config.json", "tokenizer.json"] {
        std::fs::copy(directory.join(file), copy.path().join(file)).expect(file);
    }
    let cpu = parse_device("cpu").expect("cpu");
    let pickled = Model::load(copy.path(), &cpu).unwrap_or_else(|e| panic!("{e}"));
    let plain = Model::load(&directory, &cpu).expect("the fixture");
    assert_eq!(pickled.config, plain.config);
    let texts = ["a recording of Ann Roe", "Bo"];
    let embeddings = |model: &Model| model.embed_texts(&texts).expect("embeddings");
    assert_eq!(embeddings(&pickled), embeddings(&plain));
    let [channels, frames, bins] = plain.tower().expect("an input tower").input_shape();
    let values = (0..frames * bins).map(|i| -40.0 + (i as f32 * 0.37).sin()).collect();
    let input = Input { shape: [channels, frames, bins], values };
    let of_sound = |model: &Model| model.embed_inputs(std::slice::from_ref(&input)).expect("sound");
    assert_eq!(of_sound(&pickled), of_sound(&plain));
}

#[test]
fn a_damaged_pickle_is_told() {
    let directory = fixtures().join("clap-laion-htsat");
    let copy = tempfile::tempdir().expect("a folder");
    let bytes = std::fs::read(directory.join("checkpoint.pt")).expect("the fixture");
    std::fs::write(copy.path().join("checkpoint.pt"), &bytes[..bytes.len() / 2]).expect("written");
    let error = Model::load(copy.path(), &parse_device("cpu").expect("cpu")).expect_err("half");
    assert!(matches!(error, umid_models::ModelError::Pickle { .. }), "{error}");
}
