//! The kernels alone: stacks of published shapes, forward and backward.
//!
//! Throughput is in operations of the matrix products; a multiplication and the addition that
//! follows it are two.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use umid_kernels::{
    Activation, AddedTo, Block, Body, Branch, Conv, ConvStack, Groups, Linear, Matrix, Norm,
    Precision, Relu, Stack, Step, Windows,
};

fn main() {
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    let vit = Shape { width: 768, heads: 12, blocks: 12, tokens: 50, seen: 50 };
    bench(&mut criterion, "ViT-B/32", vit, &Groups::All, &[2, 8, 32]);
    let side = 64;
    let stage = Shape { width: 96, heads: 4, blocks: 2, tokens: side * side, seen: 64 };
    bench(&mut criterion, "HTSAT's first stage", stage, &windows(side, 8, 4), &[4]);
    let side = 16;
    let stage = Shape { width: 384, heads: 16, blocks: 6, tokens: side * side, seen: 64 };
    bench(&mut criterion, "HTSAT's third stage", stage, &windows(side, 8, 16), &[4]);
    for precision in [Precision::F32, Precision::Bf16] {
        if precision.is_available() {
            bench_convolutions(&mut criterion, precision, &[2, 8]);
        }
    }
    criterion.final_summary();
}

/// Shape of a stack; perceptrons are four times as wide as the stream.
#[derive(Clone, Copy)]
struct Shape {
    width: usize,
    heads: usize,
    blocks: usize,
    tokens: usize,
    /// Tokens that each attends to.
    seen: usize,
}

fn bench(criterion: &mut Criterion, name: &str, shape: Shape, groups: &Groups, batches: &[usize]) {
    for (precision, name) in
        [(Precision::F32, name.to_owned()), (Precision::Bf16, format!("{name}, bf16"))]
    {
        if precision.is_available() {
            bench_in(precision, criterion, &name, shape, groups, batches);
        }
    }
}

fn bench_in(
    precision: Precision,
    criterion: &mut Criterion,
    name: &str,
    shape: Shape,
    groups: &Groups,
    batches: &[usize],
) {
    let Shape { width, heads, blocks, tokens, seen } = shape;
    let spread = (width as f32).sqrt().recip();
    let (gain, shift) = (waves(width, 0.2, 1.0), waves(width, 0.1, 0.0));
    let square = waves(width * width, spread, 0.0);
    let inner = waves(4 * width * width, spread, 0.0);
    let bias = waves(4 * width, 0.1, 0.0);
    let norm = Some(Norm { gain: &gain, shift: &shift, epsilon: 1e-5 });
    let attention = Body::Attention {
        qkv: [Linear { weight: &square, bias: Some(&bias[..width]) }; 3],
        output: Linear { weight: &square, bias: Some(&bias[..width]) },
        heads,
        groups: groups.clone(),
    };
    let perceptron = Body::Perceptron {
        fc1: Linear { weight: &inner, bias: Some(&bias) },
        fc2: Linear { weight: &inner, bias: Some(&bias[..width]) },
        activation: Activation::Gelu,
    };
    let branches = [attention, perceptron].map(|body| {
        let added_to = AddedTo::Hidden;
        Branch { width, norm, added_to, body }
    });
    let block = Block::new(&branches, precision);
    // Blocks of their own, as a model's weights do not all fit the cache.
    let stack = Stack::new(vec![block; blocks]);
    let each = 2.0 * (tokens * blocks * (12 * width * width + 2 * seen * width)) as f64;
    let mut group = criterion.benchmark_group(name);
    for &batch in batches {
        let hidden = waves(batch * tokens * width, 1.0, 0.0);
        group.throughput(Throughput::Elements((batch as f64 * each) as u64));
        group.bench_function(BenchmarkId::new("forward", batch), |b| {
            b.iter(|| stack.forward(black_box(&hidden), tokens, None));
        });
        group.throughput(Throughput::Elements((2.0 * batch as f64 * each) as u64));
        group.bench_function(BenchmarkId::new("forward and backward", batch), |b| {
            b.iter(|| {
                let (output, passed) = stack.forward_for_backward(black_box(&hidden), tokens, None);
                stack.backward(&output, &passed)
            });
        });
    }
    group.finish();
}

/// Three bottlenecks of RN50's second stage, beside a plain product of as many operations as one of
/// their 3 x 3 convolutions.
fn bench_convolutions(criterion: &mut Criterion, precision: Precision, batches: &[usize]) {
    const SIDE: usize = 28;
    const WIDTH: usize = 128;
    const BLOCKS: usize = 3;
    let square = |side: usize, inputs: usize, outputs: usize| {
        let count = side * side * inputs * outputs;
        waves(count, ((side * side * inputs) as f32).sqrt().recip(), 0.0)
    };
    let kernels =
        [square(1, 4 * WIDTH, WIDTH), square(3, WIDTH, WIDTH), square(1, WIDTH, 4 * WIDTH)];
    let bias = waves(4 * WIDTH, 0.1, 0.0);
    let conv = |i: usize, inputs: usize, outputs: usize, relu| {
        let (side, padding) = if i == 1 { (3, 1) } else { (1, 0) };
        let (kernel, bias) = (&kernels[i], Some(&bias[..outputs]));
        Step::Conv(Conv { kernel, bias, inputs, outputs, side, stride: 1, padding, relu })
    };
    let block = Step::Residual {
        main: vec![
            conv(0, 4 * WIDTH, WIDTH, Relu::Yes),
            conv(1, WIDTH, WIDTH, Relu::Yes),
            conv(2, WIDTH, 4 * WIDTH, Relu::No),
        ],
        skip: Vec::new(),
    };
    // The bottlenecks begin with the output of another stage, which a convolution stands for here.
    let first = square(1, 16, 4 * WIDTH);
    let first = Step::Conv(Conv {
        kernel: &first,
        bias: None,
        inputs: 16,
        outputs: 4 * WIDTH,
        side: 1,
        stride: 1,
        padding: 0,
        relu: Relu::Yes,
    });
    let steps: Vec<Step> = [vec![first], vec![block; BLOCKS]].concat();
    let stack = ConvStack::new(&steps, precision);
    let product = Matrix::new(&square(3, WIDTH, WIDTH), WIDTH, precision);
    let pixels = SIDE * SIDE;
    let each = 2 * pixels * (16 * 4 + BLOCKS * 17 * WIDTH) * WIDTH;
    let mut group = criterion.benchmark_group(format!("RN50's second stage, {precision:?}"));
    for &batch in batches {
        let images = waves(batch * 16 * pixels, 1.0, 0.0);
        group.throughput(Throughput::Elements((2 * batch * each) as u64));
        group.bench_function(BenchmarkId::new("forward and backward", batch), |b| {
            b.iter(|| {
                let (features, passed) = stack.forward_for_backward(black_box(&images), SIDE, SIDE);
                stack.backward(&features, &passed)
            });
        });
        let left = waves(batch * pixels * 9 * WIDTH, 1.0, 0.0);
        let mut output = vec![0.0; batch * pixels * WIDTH];
        group.throughput(Throughput::Elements((2 * batch * pixels * 9 * WIDTH * WIDTH) as u64));
        group.bench_function(BenchmarkId::new("plain product", batch), |b| {
            b.iter(|| product.multiply(black_box(&left), &mut output));
        });
    }
    group.finish();
}

/// Deterministic numbers without a pattern that matters here.
fn waves(count: usize, size: f32, centre: f32) -> Vec<f32> {
    (0..count).map(|i| centre + size * (i as f32 * 12.9898).sin()).collect()
}

/// Windows over a square grid.
fn windows(side: usize, window: usize, heads: usize) -> Groups {
    let starts = || (0..side).step_by(window);
    let tokens = starts().flat_map(|top| {
        starts().map(move |left| {
            let token = |t: usize| (top + t / window) * side + left + t % window;
            (0..window * window).map(token).collect()
        })
    });
    let pairs = window.pow(4);
    Groups::Windows(Windows {
        tokens: tokens.collect(),
        bias: waves(heads * pairs, 0.1, 0.0),
        regions: None,
    })
}
