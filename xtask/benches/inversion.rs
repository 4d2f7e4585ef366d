//! What an audit spends its time on: inversion steps, and the embedding of texts.
//!
//! Measured on the bundled target, and on the checkpoint that `UMID_BENCH_MODEL` names, if it
//! does. A step is one pass forward through the image tower and one backward to its input.

use std::hint::black_box;
use std::path::Path;

use burn::tensor::{Distribution, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput};
use umid_models::{InputTower, Model, parse_device, to_host};

const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../datasets/zoo/demo");
const BUNDLED_BATCHES: [usize; 3] = [4, 16, 64];
const GIVEN: &str = "UMID_BENCH_MODEL";
/// A full-size model takes seconds a step.
const GIVEN_BATCHES: [usize; 2] = [8, 32];
const NAMES: usize = 64;

fn main() {
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    bench_model(&mut criterion, "bundled", Path::new(BUNDLED), &BUNDLED_BATCHES);
    if let Some(directory) = std::env::var_os(GIVEN) {
        bench_model(&mut criterion, "given", Path::new(&directory), &GIVEN_BATCHES);
    }
    criterion.final_summary();
}

fn bench_model(criterion: &mut Criterion, name: &str, directory: &Path, batches: &[usize]) {
    let model = Model::load(directory, &parse_device("cpu").expect("cpu"))
        .unwrap_or_else(|e| panic!("{e}"));
    let mut group = criterion.benchmark_group(name);

    let names: Vec<String> = (0..NAMES).map(|i| format!("a photo of person {i}")).collect();
    group.throughput(Throughput::Elements(NAMES as u64));
    group.bench_function("embed 64 names", |b| {
        b.iter(|| model.embed_texts(black_box(&names)).expect("texts that fit the context"));
    });

    for &batch in batches {
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_with_input(BenchmarkId::new("inversion step", batch), &batch, |b, &batch| {
            let [channels, height, width] = model.tower().expect("an input tower").input_shape();
            let device = model.device().clone().autodiff();
            let normal = Distribution::Normal(0.0, 1.0);
            let pixels = Tensor::<4>::random([batch, channels, height, width], normal, &device);
            let target = Tensor::random([batch, model.config.embedding_dim], normal, &device);
            b.iter(|| step(&model, pixels.clone(), target.clone()));
        });
    }
    group.finish();
}

/// The gradient of the cosines with respect to the pixels, on the host.
fn step(model: &Model, pixels: Tensor<4>, target: Tensor<2>) -> Vec<f32> {
    let pixels = pixels.require_grad();
    let unit = |v: Tensor<2>| {
        let norm = v.clone().powi_scalar(2).sum_dim(1).sqrt();
        v / norm
    };
    let cosines = unit(model.tower().expect("an input tower").embed(pixels.clone())) * unit(target);
    let gradients = cosines.sum().backward();
    to_host(pixels.grad(&gradients).expect("the pixels are tracked"))
}
