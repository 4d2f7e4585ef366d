//! Against the same blocks written out in f64, and against themselves in other batches.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPoolBuilder;
use umid_kernels::{
    Activation, AddedTo, Block, Body, Branch, Groups, Linear, Norm, Precision, SharedSequences,
    Stack, Windows,
};

use crate::common::{assert_close, bits, exact, precisions, random};

const EPSILON: f32 = 1e-5;

/// A block's weights, owned.
struct Owned {
    vectors: Vec<Vec<f32>>,
    heads: usize,
    activation: Activation,
    groups: Groups,
    precision: Precision,
    /// Whether attention takes the hidden state through a norm.
    norms_first: bool,
    added_to: AddedTo,
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
        Self {
            vectors,
            heads,
            activation,
            groups,
            precision: Precision::F32,
            norms_first: true,
            added_to: AddedTo::Hidden,
        }
    }

    fn branches(&self) -> [Branch<'_>; 2] {
        let v = &self.vectors;
        let linear = |i: usize| Linear { weight: &v[i], bias: Some(&v[i + 1]) };
        let norm = |i: usize| Norm { gain: &v[i], shift: &v[i + 1], epsilon: EPSILON };
        let attention = Body::Attention {
            qkv: [2, 4, 6].map(linear),
            output: linear(8),
            heads: self.heads,
            groups: self.groups.clone(),
        };
        let perceptron =
            Body::Perceptron { fc1: linear(12), fc2: linear(14), activation: self.activation };
        let (width, added_to) = (v[0].len(), self.added_to);
        let first = self.norms_first.then(|| norm(0));
        [(first, attention), (Some(norm(10)), perceptron)].map(|(norm, body)| Branch {
            width,
            norm,
            added_to,
            body,
        })
    }

    fn block(&self) -> Block {
        Block::new(&self.branches(), self.precision)
    }
}

/// A branch of one sequence in f64, as its definition has it.
fn plain(branch: &Branch, hidden: &[f64]) -> Vec<f64> {
    let width = branch.width;
    let normed = branch.norm.map_or_else(|| hidden.to_vec(), |by| norm(hidden, &by));
    let added = match &branch.body {
        Body::Attention { qkv, output, heads, groups } => {
            let qkv = qkv.map(|part| linear(&normed, width, &part));
            linear(&attend(&qkv, width, *heads, groups), width, output)
        }
        Body::Perceptron { fc1, fc2, activation } => {
            let inner = linear(&normed, width, fc1);
            let inner: Vec<f64> = inner.into_iter().map(|x| activate(*activation, x)).collect();
            linear(&inner, inner.len() * width / hidden.len(), fc2)
        }
    };
    let to = match branch.added_to {
        AddedTo::Hidden => hidden,
        AddedTo::Normed => &normed,
    };
    to.iter().zip(added).map(|(x, y)| x + y).collect()
}

/// Softmax attention of queries to keys, over values.
fn attend(qkv: &[Vec<f64>; 3], width: usize, heads: usize, groups: &Groups) -> Vec<f64> {
    let tokens = qkv[0].len() / width;
    let head = width / heads;
    let at =
        |token: usize, part: usize, h: usize, i: usize| qkv[part][token * width + h * head + i];
    let windows: Vec<Vec<usize>> = match groups {
        Groups::Windows(windows) => windows.tokens.clone(),
        _ => vec![(0..tokens).collect()],
    };
    let mut context = vec![0.0; tokens * width];
    for (w, window) in windows.iter().enumerate() {
        for h in 0..heads {
            for (i, query) in window.iter().enumerate() {
                let scores: Vec<f64> = window
                    .iter()
                    .enumerate()
                    .map(|(j, key)| {
                        let product: f64 =
                            (0..head).map(|e| at(*query, 0, h, e) * at(*key, 1, h, e)).sum();
                        let score = product / (head as f64).sqrt();
                        match groups {
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
                let total: f64 = scores.iter().map(|s| s.exp()).sum();
                for e in 0..head {
                    context[query * width + h * head + e] = window
                        .iter()
                        .zip(&scores)
                        .map(|(key, s)| s.exp() / total * at(*key, 2, h, e))
                        .sum();
                }
            }
        }
    }
    context
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
            let scale = (variance + f64::from(norm.epsilon)).sqrt().recip();
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
        Activation::GeluTanh => {
            let root = std::f64::consts::FRAC_2_PI.sqrt();
            x * 0.5 * (1.0 + (root * (x + 0.044_715 * x.powi(3))).tanh())
        }
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
        for added_to in [AddedTo::Hidden, AddedTo::Normed] {
            check_in(precision, added_to, width, inner, heads, tokens, activation, groups, read);
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "as many as a block has properties")]
fn check_in(
    precision: Precision,
    added_to: AddedTo,
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
        added_to,
        // As of blocks that norm after they have added.
        norms_first: i > 0 || added_to == AddedTo::Hidden,
        ..Owned::random(width, inner, heads, activation, groups.clone(), i)
    };
    let blocks: Vec<Owned> = (0..2).map(block).collect();
    let branches: Vec<Branch> = blocks.iter().flat_map(Owned::branches).collect();
    let stack = Stack::new(blocks.iter().map(Owned::block).collect());
    let sequences = 3;
    let input = random(sequences * tokens * width, 7);
    let whole = |input: &[f64]| -> Vec<f64> {
        let each = input.chunks_exact(tokens * width).enumerate().flat_map(|(i, sequence)| {
            let out =
                branches.iter().fold(sequence.to_vec(), |hidden, branch| plain(branch, &hidden));
            match read {
                None => out,
                Some(read) => out[read[i] * width..(read[i] + 1) * width].to_vec(),
            }
        });
        each.collect()
    };
    let start = exact(&input);
    let (output, passed) = stack.forward_for_backward(&input, tokens, read);
    assert_close(
        &output,
        &whole(&start),
        output_tolerance,
        &format!("{precision:?}, {added_to:?}"),
    );
    assert_eq!(bits(&output), bits(&stack.forward(&input, tokens, read)));

    let above = random(output.len(), 8);
    let gradient = stack.backward(&above, &passed);
    // The derivative along some directions, by differences in f64.
    for seed in 0..4 {
        let direction = random(input.len(), 100 + seed);
        let moved = |by: f64| -> f64 {
            let there: Vec<f64> =
                start.iter().zip(&direction).map(|(x, d)| x + by * f64::from(*d)).collect();
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
            "{precision:?}, {added_to:?}: {found} and {expected} of {size}"
        );
    }
}

#[test]
fn blocks_are_what_their_definition_says() {
    // Widths and lengths that do and do not fill tiles, panels and registers.
    for (width, inner, heads, tokens) in
        [(16, 32, 1, 1), (48, 80, 2, 5), (96, 384, 4, 17), (128, 64, 2, 50)]
    {
        for activation in [Activation::QuickGelu, Activation::Gelu, Activation::GeluTanh] {
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
    let bias = random(2 * 4 * 4, 3);
    for regions in [None, Some(vec![vec![0, 0, 1, 1], vec![0, 0, 0, 0]])] {
        let groups =
            Groups::Windows(Windows { tokens: tokens.clone(), bias: bias.clone(), regions });
        check(48, 96, 2, 8, Activation::Gelu, &groups, None);
    }
}

/// Some sequences, in some order, in pools of some threads: each has the bits that it has alone.
#[test]
fn results_do_not_depend_on_batch_composition_order_or_threads() {
    const WIDTH: usize = 64;
    const TOKENS: usize = 13;
    const EACH: usize = TOKENS * WIDTH;
    // More sequences than a part has, and more parts than threads.
    let batches: [Vec<usize>; 5] = [
        (0..100).collect(),
        (0..100).rev().collect(),
        vec![17],
        vec![99, 0, 17],
        (0..100).filter(|i| i % 3 == 0).chain([17, 17]).collect(),
    ];
    for precision in precisions() {
        for groups in [Groups::All, Groups::Backwards] {
            let block = |i| {
                let block = Owned::random(WIDTH, 128, 4, Activation::Gelu, groups.clone(), i);
                Owned { precision, ..block }.block()
            };
            let stack = Stack::new((0..2).map(block).collect());
            let (input, above) = (random(100 * EACH, 1), random(100 * EACH, 2));
            for read in [None, Some(5)] {
                let kept = if read.is_some() { WIDTH } else { EACH };
                let run = |batch: &[usize]| {
                    let pick = |from: &[f32], each: usize| -> Vec<f32> {
                        batch.iter().flat_map(|i| from[i * each..][..each].to_vec()).collect()
                    };
                    let read = read.map(|token| vec![token; batch.len()]);
                    let (output, passed) =
                        stack.forward_for_backward(&pick(&input, EACH), TOKENS, read.as_deref());
                    (output, stack.backward(&pick(&above, kept), &passed))
                };
                let alone: Vec<_> = (0..100).map(|i| run(&[i])).collect();
                for threads in 1..=3 {
                    let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
                    for batch in &batches {
                        let (output, gradient) = pool.install(|| run(batch));
                        assert_eq!(output.len(), batch.len() * kept);
                        assert_eq!(gradient.len(), batch.len() * EACH);
                        for (i, sequence) in batch.iter().enumerate() {
                            let what = format!("{precision:?} {threads} {batch:?} {sequence}");
                            let alone = &alone[*sequence];
                            assert!(bits(&output[i * kept..][..kept]) == bits(&alone.0), "{what}");
                            assert!(
                                bits(&gradient[i * EACH..][..EACH]) == bits(&alone.1),
                                "{what}"
                            );
                        }
                    }
                }
            }
        }
    }
}

/// Sequences that share their beginnings, in some order, in pools of some threads: each has the bits
/// that it has alone.
#[test]
fn sequences_that_share_their_beginnings_have_the_bits_that_they_have_alone() {
    const WIDTH: usize = 64;
    const VOCABULARY: u32 = 4;
    let mut random_ids = ChaCha8Rng::seed_from_u64(3);
    // Few tokens, so that much is shared; longer than a lane; some of them twice.
    let sequences: Vec<Vec<u32>> = (0..300)
        .map(|i| (0..=i % 21).map(|_| random_ids.random_range(0..VOCABULARY)).collect())
        .collect();
    let embedding = random(VOCABULARY as usize * WIDTH, 1);
    let place = random(21 * WIDTH, 2);
    let row = |token: u32, position: usize| -> Vec<f32> {
        let token = &embedding[token as usize * WIDTH..][..WIDTH];
        token.iter().zip(&place[position * WIDTH..]).map(|(a, b)| a + b).collect()
    };
    for precision in precisions() {
        let block = |i| {
            let groups = Groups::Backwards;
            let block = Owned::random(WIDTH, 128, 4, Activation::QuickGelu, groups, i);
            Owned { precision, ..block }.block()
        };
        let stack = Stack::new((0..3).map(block).collect());
        let alone = |ids: &[u32]| {
            let hidden: Vec<f32> =
                ids.iter().enumerate().flat_map(|(i, token)| row(*token, i)).collect();
            stack.forward(&hidden, ids.len(), Some(&[ids.len() - 1]))
        };
        for threads in 1..=3 {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            for order in [0, 1, 7] {
                let mut sequences = sequences.clone();
                sequences.rotate_left(order * 40);
                sequences.truncate(300 - 50 * order.min(5));
                let shared = SharedSequences::new(&sequences);
                let total: usize = sequences.iter().map(Vec::len).sum();
                assert!(shared.tokens().len() < total, "nothing is shared");
                let positions = shared.positions().iter().map(|position| *position as usize);
                let hidden: Vec<f32> = shared
                    .tokens()
                    .iter()
                    .zip(positions)
                    .flat_map(|(token, position)| row(*token, position))
                    .collect();
                let output = pool.install(|| stack.forward_shared(&hidden, &shared));
                assert_eq!(output.len(), sequences.len() * WIDTH);
                for (ids, found) in sequences.iter().zip(output.chunks_exact(WIDTH)) {
                    assert!(found.iter().all(|x| x.is_finite()));
                    assert_eq!(bits(found), bits(&alone(ids)), "{precision:?} {threads} {ids:?}");
                }
            }
        }
    }
}

#[test]
fn an_empty_batch_has_an_empty_result() {
    let stack =
        Stack::new(vec![Owned::random(32, 64, 2, Activation::Relu, Groups::All, 0).block()]);
    for tokens in [5, 0] {
        for read in [None, Some(&[][..])] {
            assert!(stack.forward(&[], tokens, read).is_empty());
            let (output, passed) = stack.forward_for_backward(&[], tokens, read);
            assert!(output.is_empty());
            assert!(stack.backward(&[], &passed).is_empty());
        }
    }
}

#[test]
fn a_sequence_that_is_not_finite_stays_by_itself() {
    let all = [Activation::QuickGelu, Activation::Gelu, Activation::GeluTanh, Activation::Relu];
    for activation in all {
        let stack = Stack::new(vec![Owned::random(32, 64, 2, activation, Groups::All, 0).block()]);
        let mut input = random(3 * 5 * 32, 1);
        let clean = stack.forward(&input, 5, None);
        input[5 * 32] = f32::NAN;
        let output = stack.forward(&input, 5, None);
        assert!(output[5 * 32..10 * 32].iter().all(|x| x.is_nan()));
        assert_eq!(bits(&output[..5 * 32]), bits(&clean[..5 * 32]));
        assert_eq!(bits(&output[10 * 32..]), bits(&clean[10 * 32..]));
    }
}
