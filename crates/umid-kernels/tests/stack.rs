//! Against the same blocks written out in f64, and against themselves in other company.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use umid_kernels::{
    Activation, Block, Groups, Linear, Matrix, Norm, Precision, Stack, Weights, Windows,
};

/// A block's weights, owned.
struct Owned {
    vectors: Vec<Vec<f32>>,
    heads: usize,
    activation: Activation,
    groups: Groups,
    precision: Precision,
}

impl Owned {
    fn random(
        width: usize,
        inner: usize,
        heads: usize,
        activation: Activation,
        groups: Groups,
        seed: u64,
    ) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |count: usize, scale: f32, centre: f32| -> Vec<f32> {
            (0..count).map(|_| centre + scale * random.random_range(-1.0..1.0f32)).collect()
        };
        let spread = (width as f32).sqrt().recip();
        let vectors = vec![
            draw(width, 0.3, 1.0),
            draw(width, 0.3, 0.0),
            draw(width * width, 2.0 * spread, 0.0),
            draw(width, 0.3, 0.0),
            draw(width * width, 2.0 * spread, 0.0),
            draw(width, 0.3, 0.0),
            draw(width * width, 2.0 * spread, 0.0),
            draw(width, 0.3, 0.0),
            draw(width * width, spread, 0.0),
            draw(width, 0.3, 0.0),
            draw(width, 0.3, 1.0),
            draw(width, 0.3, 0.0),
            draw(width * inner, 2.0 * spread, 0.0),
            draw(inner, 0.3, 0.0),
            draw(inner * width, spread, 0.0),
            draw(width, 0.3, 0.0),
        ];
        Self { vectors, heads, activation, groups, precision: Precision::F32 }
    }

    fn weights(&self) -> Weights<'_> {
        let v = &self.vectors;
        let linear = |i: usize| Linear { weight: &v[i], bias: Some(&v[i + 1]) };
        Weights {
            norm_before: Norm { gain: &v[0], shift: &v[1] },
            qkv: [2, 4, 6].map(linear),
            output: linear(8),
            norm_after: Norm { gain: &v[10], shift: &v[11] },
            fc1: linear(12),
            fc2: linear(14),
            heads: self.heads,
            activation: self.activation,
            epsilon: 1e-5,
            groups: self.groups.clone(),
            precision: self.precision,
        }
    }
}

/// A block of one sequence in f64, as its definition has it.
fn plain(block: &Weights, hidden: &[f64]) -> Vec<f64> {
    let width = block.norm_before.gain.len();
    let tokens = hidden.len() / width;
    let head = width / block.heads;
    let before = norm(hidden, &block.norm_before);
    let qkv = block.qkv.map(|part| linear(&before, width, &part));
    let at =
        |token: usize, part: usize, h: usize, i: usize| qkv[part][token * width + h * head + i];
    let windows: Vec<Vec<usize>> = match &block.groups {
        Groups::Windows(windows) => windows.tokens.clone(),
        _ => vec![(0..tokens).collect()],
    };
    let mut context = vec![0.0; tokens * width];
    for (w, window) in windows.iter().enumerate() {
        for h in 0..block.heads {
            for (i, query) in window.iter().enumerate() {
                let scores: Vec<f64> = window
                    .iter()
                    .enumerate()
                    .map(|(j, key)| {
                        let product: f64 =
                            (0..head).map(|e| at(*query, 0, h, e) * at(*key, 1, h, e)).sum();
                        let score = product / (head as f64).sqrt();
                        match &block.groups {
                            Groups::Backwards if j > i => f64::NEG_INFINITY,
                            Groups::All | Groups::Backwards => score,
                            Groups::Windows(windows) => {
                                let bias = windows.bias[(h * window.len() + i) * window.len() + j];
                                let apart =
                                    windows.regions.as_ref().is_some_and(|r| r[w][i] != r[w][j]);
                                score + f64::from(bias) - if apart { 100.0 } else { 0.0 }
                            }
                        }
                    })
                    .collect();
                let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = scores.iter().map(|s| (s - highest).exp()).sum();
                for e in 0..head {
                    context[query * width + h * head + e] = window
                        .iter()
                        .zip(&scores)
                        .map(|(key, s)| (s - highest).exp() / total * at(*key, 2, h, e))
                        .sum();
                }
            }
        }
    }
    let add =
        |x: &[f64], y: Vec<f64>| -> Vec<f64> { x.iter().zip(y).map(|(x, y)| x + y).collect() };
    let hidden = add(hidden, linear(&context, width, &block.output));
    let inner = linear(&norm(&hidden, &block.norm_after), width, &block.fc1);
    let inner: Vec<f64> = inner.into_iter().map(|x| activate(block.activation, x)).collect();
    let inner_width = inner.len() / tokens;
    add(&hidden, linear(&inner, inner_width, &block.fc2))
}

fn linear(rows: &[f64], width: usize, layer: &Linear) -> Vec<f64> {
    let weight = layer.weight.values(0..layer.weight.count());
    let outputs = |row: &[f64]| -> Vec<f64> {
        let weights = weight.chunks_exact(width).enumerate();
        let output = weights.map(|(output, weights)| {
            let products = row.iter().zip(weights).map(|(x, weight)| x * f64::from(*weight));
            products.sum::<f64>() + layer.bias.map_or(0.0, |bias| f64::from(bias[output]))
        });
        output.collect()
    };
    rows.chunks_exact(width).flat_map(outputs).collect()
}

fn norm(rows: &[f64], norm: &Norm) -> Vec<f64> {
    let width = norm.gain.len();
    rows.chunks_exact(width)
        .flat_map(|row| {
            let mean = row.iter().sum::<f64>() / width as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
            let scale = (variance + 1e-5).sqrt().recip();
            let scaled = move |(i, x): (usize, &f64)| {
                (x - mean) * scale * f64::from(norm.gain[i]) + f64::from(norm.shift[i])
            };
            row.iter().enumerate().map(scaled).collect::<Vec<f64>>()
        })
        .collect()
}

fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::QuickGelu => x / (1.0 + (-1.702 * x).exp()),
        Activation::Gelu => x * normal_distribution(x),
        Activation::Relu => x.max(0.0),
    }
}

/// By Simpson's rule on the density, to about 1e-12.
fn normal_distribution(x: f64) -> f64 {
    let steps = 2000;
    let h = x / f64::from(steps);
    let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let inside: f64 =
        (1..steps).map(|i| density(f64::from(i) * h) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
    0.5 + h / 3.0 * (density(0.0) + inside + density(x))
}

fn hidden(count: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| random.random_range(-2.0..2.0f32)).collect()
}

/// Largest difference, as a share of the largest value.
fn relative(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let difference =
        found.iter().zip(expected).fold(0.0f64, |m, (f, e)| m.max((f64::from(*f) - e).abs()));
    difference / largest
}

/// Those that this processor has.
fn precisions() -> impl Iterator<Item = Precision> {
    [Precision::F32, Precision::Bf16].into_iter().filter(|precision| precision.is_available())
}

/// Output and gradient of two blocks, for sequences of some length, against the definition, in
/// every precision.
fn check(
    width: usize,
    inner: usize,
    heads: usize,
    tokens: usize,
    activation: Activation,
    groups: &Groups,
    read: Option<&[usize]>,
) {
    for precision in precisions() {
        check_in(precision, width, inner, heads, tokens, activation, groups, read);
    }
}

#[expect(clippy::too_many_arguments, reason = "as many as a block has properties")]
fn check_in(
    precision: Precision,
    width: usize,
    inner: usize,
    heads: usize,
    tokens: usize,
    activation: Activation,
    groups: &Groups,
    read: Option<&[usize]>,
) {
    // A factor of bf16 is off by up to 2^-9 of itself, and is one of a sum of many.
    let (output_tolerance, gradient_tolerance) = match precision {
        Precision::F32 => (2e-6, 3e-6),
        Precision::Bf16 => (1e-2, 1e-2),
    };
    let block = |i| Owned {
        precision,
        ..Owned::random(width, inner, heads, activation, groups.clone(), i)
    };
    let blocks: Vec<Owned> = (0..2).map(block).collect();
    let weights: Vec<Weights> = blocks.iter().map(Owned::weights).collect();
    let stack = Stack::new(weights.iter().map(Block::new).collect());
    let sequences = 3;
    let input = hidden(sequences * tokens * width, 7);
    let whole = |input: &[f64]| -> Vec<f64> {
        let each = input.chunks_exact(tokens * width).enumerate().flat_map(|(i, sequence)| {
            let out = weights.iter().fold(sequence.to_vec(), |hidden, block| plain(block, &hidden));
            match read {
                None => out,
                Some(read) => out[read[i] * width..(read[i] + 1) * width].to_vec(),
            }
        });
        each.collect()
    };
    let exact: Vec<f64> = input.iter().map(|x| f64::from(*x)).collect();
    let (output, passed) = stack.forward_for_backward(&input, tokens, read);
    let found = relative(&output, &whole(&exact));
    assert!(found < output_tolerance, "{precision:?}: {found}");
    assert_eq!(output, stack.forward(&input, tokens, read));

    let above = hidden(output.len(), 8);
    let gradient = stack.backward(&above, &passed);
    // The derivative along some directions, by differences in f64.
    for seed in 0..4 {
        let direction = hidden(input.len(), 100 + seed);
        let moved = |by: f64| -> f64 {
            let there: Vec<f64> =
                exact.iter().zip(&direction).map(|(x, d)| x + by * f64::from(*d)).collect();
            whole(&there).iter().zip(&above).map(|(y, a)| y * f64::from(*a)).sum()
        };
        let step = 1e-5;
        let expected = (moved(step) - moved(-step)) / (2.0 * step);
        let products = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d));
        let size = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt()
            * direction.iter().map(|d| f64::from(*d).powi(2)).sum::<f64>().sqrt();
        let found: f64 = products.sum();
        assert!(
            (found - expected).abs() < gradient_tolerance * size,
            "{precision:?}: {found} and {expected} of {size}"
        );
    }
}

#[test]
fn blocks_are_what_their_definition_says() {
    // Widths and lengths that do and do not fill tiles, panels and registers.
    for (width, inner, heads, tokens) in
        [(16, 32, 1, 1), (48, 80, 2, 5), (96, 384, 4, 17), (128, 64, 2, 50)]
    {
        for activation in [Activation::QuickGelu, Activation::Gelu] {
            check(width, inner, heads, tokens, activation, &Groups::All, None);
        }
    }
}

#[test]
fn one_token_is_read_of_each_sequence() {
    check(48, 80, 2, 9, Activation::QuickGelu, &Groups::All, Some(&[0, 0, 0]));
    check(48, 80, 2, 9, Activation::QuickGelu, &Groups::Backwards, Some(&[8, 3, 0]));
}

#[test]
fn tokens_attend_backwards() {
    check(48, 80, 3, 11, Activation::Gelu, &Groups::Backwards, None);
}

#[test]
fn tokens_attend_within_windows() {
    let tokens = vec![vec![0, 3, 1, 7], vec![2, 4, 5, 6]];
    let bias = hidden(2 * 4 * 4, 3);
    for regions in [None, Some(vec![vec![0, 0, 1, 1], vec![0, 0, 0, 0]])] {
        let groups =
            Groups::Windows(Windows { tokens: tokens.clone(), bias: bias.clone(), regions });
        check(48, 96, 2, 8, Activation::Gelu, &groups, None);
    }
}

#[test]
fn a_sequence_has_the_same_result_in_any_company() {
    for precision in precisions() {
        let block =
            |i| Owned { precision, ..Owned::random(64, 128, 4, Activation::Gelu, Groups::All, i) };
        let blocks: Vec<Owned> = (0..2).map(block).collect();
        let weights: Vec<Weights> = blocks.iter().map(Owned::weights).collect();
        let stack = Stack::new(weights.iter().map(Block::new).collect());
        let (tokens, each) = (13, 13 * 64);
        let input = hidden(40 * each, 1);
        let above = hidden(40 * 64, 2);
        let (output, passed) = stack.forward_for_backward(&input, tokens, Some(&[0; 40]));
        let gradient = stack.backward(&above, &passed);
        for sequence in [0, 17, 39] {
            let (alone, passed) =
                stack.forward_for_backward(&input[sequence * each..][..each], tokens, Some(&[0]));
            assert_eq!(alone, output[sequence * 64..][..64]);
            let alone = stack.backward(&above[sequence * 64..][..64], &passed);
            assert_eq!(alone, gradient[sequence * each..][..each]);
        }
    }
}

#[test]
fn a_sequence_that_is_not_finite_stays_by_itself() {
    let block = Owned::random(32, 64, 2, Activation::QuickGelu, Groups::All, 0);
    let stack = Stack::new(vec![Block::new(&block.weights())]);
    let mut input = hidden(3 * 5 * 32, 1);
    let clean = stack.forward(&input, 5, None);
    input[5 * 32] = f32::NAN;
    let output = stack.forward(&input, 5, None);
    assert!(output[5 * 32..10 * 32].iter().all(|x| x.is_nan()));
    assert_eq!(output[..5 * 32], clean[..5 * 32]);
    assert_eq!(output[10 * 32..], clean[10 * 32..]);
}

#[test]
fn a_product_is_what_its_definition_says() {
    for precision in precisions() {
        // Tiles that are not whole, more rows than a part, more depth than a tile walks through at
        // once, and odd ones.
        let few = (1..18).map(|count| (count, 20 + count, 16 * count));
        for (count, rows, columns) in few.chain([(1, 1, 16), (7, 33, 80), (500, 1101, 208)]) {
            let (left, values) = (hidden(count * rows, 1), hidden(rows * columns, 2));
            let factors = |values: &[f32]| -> Vec<f32> {
                match precision {
                    Precision::F32 => values.to_vec(),
                    Precision::Bf16 => {
                        values.iter().map(|x| half::bf16::from_f32(*x).to_f32()).collect()
                    }
                }
            };
            let exact: Vec<f64> = factors(&left).iter().map(|x| f64::from(*x)).collect();
            let weight = factors(&values);
            let weight: Vec<f32> =
                (0..columns * rows).map(|i| weight[i % rows * columns + i / rows]).collect();
            let expected = linear(&exact, rows, &Linear { weight: &weight, bias: None });
            let mut output = vec![0.0; count * columns];
            Matrix::new(&values, columns, precision).multiply(&left, &mut output);
            let found = relative(&output, &expected);
            assert!(found < 2e-6, "{precision:?}, {count} x {rows} x {columns}: {found}");
        }
    }
}
