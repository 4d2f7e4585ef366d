//! Towers of convolutions, against the same written out in f64, and against themselves in other
//! batches.

use rayon::ThreadPoolBuilder;
use umid_kernels::{Conv, ConvStack, Precision, Relu, Step};

use crate::common::{assert_close, bits, exact, precisions, random};

/// An image or its gradient in f64.
#[derive(Clone)]
struct Image {
    channels: usize,
    height: usize,
    width: usize,
    /// `[channels, height, width]`.
    values: Vec<f64>,
}

impl Image {
    fn zeros(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width, values: vec![0.0; channels * height * width] }
    }

    fn index(&self, channel: usize, y: usize, x: usize) -> usize {
        (channel * self.height + y) * self.width + x
    }

    /// `[height, width, channels]`.
    fn channels_last(&self) -> Vec<f64> {
        let pixels = self.height * self.width;
        (0..pixels * self.channels)
            .map(|i| self.values[i % self.channels * pixels + i / self.channels])
            .collect()
    }

    fn from_channels_last(like: &Self, values: &[f32]) -> Self {
        let pixels = like.height * like.width;
        let at = |i: usize| f64::from(values[i % pixels * like.channels + i / pixels]);
        Self { values: (0..like.values.len()).map(at).collect(), ..*like }
    }
}

/// Calls back with every output element of a convolution, and each kernel and input element that
/// plays a part in it.
fn visit(conv: &Conv, input: &Image, output: &Image, mut one: impl FnMut(usize, usize, usize)) {
    for o in 0..conv.outputs {
        for y in 0..output.height {
            for x in 0..output.width {
                for i in 0..conv.inputs {
                    for ky in 0..conv.side {
                        for kx in 0..conv.side {
                            let from_y = (y * conv.stride + ky).wrapping_sub(conv.padding);
                            let from_x = (x * conv.stride + kx).wrapping_sub(conv.padding);
                            if from_y < input.height && from_x < input.width {
                                let k = ((o * conv.inputs + i) * conv.side + ky) * conv.side + kx;
                                one(output.index(o, y, x), k, input.index(i, from_y, from_x));
                            }
                        }
                    }
                }
            }
        }
    }
}

fn convolve(conv: &Conv, input: &Image) -> Image {
    let size = |pixels: usize| (pixels + 2 * conv.padding - conv.side) / conv.stride + 1;
    let mut output = Image::zeros(conv.outputs, size(input.height), size(input.width));
    let kernel = conv.kernel.values(0..conv.kernel.count());
    let mut sums = output.values.clone();
    visit(conv, input, &output, |to, k, from| {
        sums[to] += f64::from(kernel[k]) * input.values[from];
    });
    let pixels = output.height * output.width;
    for (i, sum) in sums.iter_mut().enumerate() {
        *sum += conv.bias.map_or(0.0, |bias| f64::from(bias[i / pixels]));
        if conv.relu == Relu::Yes {
            *sum = sum.max(0.0);
        }
    }
    output.values = sums;
    output
}

/// The output of a step, and the gradient of its input from that of its output.
fn step(step: &Step, input: &Image, above: Option<&Image>) -> (Image, Option<Image>) {
    let mut below = Image { values: vec![0.0; input.values.len()], ..*input };
    match step {
        Step::Conv(conv) => {
            let output = convolve(conv, input);
            let kernel = conv.kernel.values(0..conv.kernel.count());
            if let Some(above) = above {
                visit(conv, input, &output, |to, k, from| {
                    if conv.relu == Relu::No || output.values[to] > 0.0 {
                        below.values[from] += f64::from(kernel[k]) * above.values[to];
                    }
                });
            }
            (output, above.map(|_| below))
        }
        Step::AveragePool(side) => {
            let mut output = Image::zeros(input.channels, input.height / side, input.width / side);
            let share = 1.0 / (side * side) as f64;
            for channel in 0..input.channels {
                for y in 0..output.height * side {
                    for x in 0..output.width * side {
                        let (from, to) =
                            (input.index(channel, y, x), output.index(channel, y / side, x / side));
                        output.values[to] += share * input.values[from];
                        if let Some(above) = above {
                            below.values[from] = share * above.values[to];
                        }
                    }
                }
            }
            (output, above.map(|_| below))
        }
        Step::Residual { main, skip } => {
            let add = |x: &Image, y: &Image| -> Vec<f64> {
                x.values.iter().zip(&y.values).map(|(x, y)| x + y).collect()
            };
            let (one, other) = (plain(main, input, None).0, plain(skip, input, None).0);
            assert_eq!(one.values.len(), other.values.len());
            let values: Vec<f64> = add(&one, &other).iter().map(|x| x.max(0.0)).collect();
            let below = above.map(|above| {
                let kept = above.values.iter().zip(&values);
                let kept: Vec<f64> =
                    kept.map(|(above, value)| if *value > 0.0 { *above } else { 0.0 }).collect();
                let kept = Image { values: kept, ..one };
                let [one, other] = [main, skip]
                    .map(|path| plain(path, input, Some(&kept)).1.expect("there is one above"));
                Image { values: add(&one, &other), ..below }
            });
            (Image { values, ..one }, below)
        }
    }
}

/// As [`step`], of steps one after the other.
fn plain(steps: &[Step], input: &Image, above: Option<&Image>) -> (Image, Option<Image>) {
    let Some((first, rest)) = steps.split_first() else {
        return (input.clone(), above.cloned());
    };
    let (middle, _) = step(first, input, None);
    let (output, between) = plain(rest, &middle, above);
    let below = between.and_then(|between| step(first, input, Some(&between)).1);
    (output, below)
}

/// A convolution's weights, owned.
struct Owned {
    kernel: Vec<f32>,
    bias: Vec<f32>,
    inputs: usize,
    side: usize,
}

impl Owned {
    fn random(inputs: usize, outputs: usize, side: usize, seed: u64) -> Self {
        let spread = ((inputs * side * side) as f32).sqrt().recip();
        let kernel = random(outputs * inputs * side * side, seed);
        let kernel = kernel.iter().map(|x| x * spread).collect();
        Self { kernel, bias: random(outputs, 1000 + seed), inputs, side }
    }

    fn conv(&self, stride: usize, padding: usize, relu: Relu) -> Conv<'_> {
        Conv {
            kernel: &self.kernel,
            bias: Some(&self.bias),
            inputs: self.inputs,
            outputs: self.bias.len(),
            side: self.side,
            stride,
            padding,
            relu,
        }
    }
}

/// Output and gradient of a few images, against the definition.
fn check(steps: &[Step], precision: Precision, [channels, height, width]: [usize; 3], what: &str) {
    // A factor of bf16 is off by up to 2^-9 of itself, and is one of a sum of many.
    let tolerance = match precision {
        Precision::F32 => 3e-6,
        Precision::Bf16 => 1e-2,
    };
    let stack = ConvStack::new(steps, precision);
    let each = channels * height * width;
    let images = random(3 * each, 1);
    let (features, passed) = stack.forward_for_backward(&images, height, width);
    let above = random(features.len(), 2);
    let gradient = stack.backward(&above, &passed);
    assert_eq!(gradient.len(), images.len());
    assert_eq!(bits(&features), bits(&stack.forward(&images, height, width)));
    let each_features = features.len() / 3;
    for image in 0..3 {
        let input = exact(&images[image * each..][..each]);
        let input = Image { channels, height, width, values: input };
        let output = plain(steps, &input, None).0;
        let shape = [output.height, output.width, output.channels];
        assert_eq!(stack.output_shape(height, width), Some(shape), "{what}");
        let found = &features[image * each_features..][..each_features];
        assert_close(found, &output.channels_last(), tolerance, what);
        let above = &above[image * each_features..][..each_features];
        let above = Image::from_channels_last(&output, above);
        let below = plain(steps, &input, Some(&above)).1.expect("there is one above");
        let found = &gradient[image * each..][..each];
        assert_close(found, &below.values, tolerance, &format!("{what}, gradient"));
    }
}

#[test]
fn convolutions_are_what_their_definition_says() {
    for precision in precisions() {
        for (seed, (inputs, outputs)) in [(3, 16), (1, 5), (20, 33), (16, 48)].iter().enumerate() {
            for (side, stride, padding) in
                [(1, 1, 0), (1, 2, 0), (1, 1, 1), (2, 2, 0), (3, 1, 1), (3, 2, 1), (5, 3, 2)]
            {
                let owned = Owned::random(*inputs, *outputs, side, seed as u64);
                let what = format!(
                    "{precision:?}, {inputs} to {outputs}, {side} x {side} every {stride}, \
                     padded by {padding}"
                );
                let conv = owned.conv(stride, padding, Relu::No);
                let without = Conv { bias: None, ..conv };
                check(&[Step::Conv(conv)], precision, [*inputs, 9, 14], &what);
                check(&[Step::Conv(without)], precision, [*inputs, 5, 5], &what);
            }
        }
    }
}

/// A stem, a residual whose skip path changes the shape, and one whose skip path is the input.
fn tower(owned: &[Owned; 9]) -> Vec<Step<'_>> {
    let conv = |i: usize, stride, padding, relu| Step::Conv(owned[i].conv(stride, padding, relu));
    vec![
        conv(0, 2, 1, Relu::Yes),
        conv(1, 1, 1, Relu::Yes),
        Step::AveragePool(2),
        Step::Residual {
            main: vec![
                conv(2, 1, 0, Relu::Yes),
                conv(3, 1, 1, Relu::Yes),
                Step::AveragePool(2),
                conv(4, 1, 0, Relu::No),
            ],
            skip: vec![Step::AveragePool(2), conv(5, 1, 0, Relu::No)],
        },
        Step::Residual {
            main: vec![conv(6, 1, 0, Relu::Yes), conv(7, 1, 1, Relu::Yes), conv(8, 1, 0, Relu::No)],
            skip: Vec::new(),
        },
    ]
}

/// Weights of a [`tower`].
fn weights(width: usize) -> [Owned; 9] {
    let shapes = [
        (3, width, 3),
        (width, 2 * width, 3),
        (2 * width, width, 1),
        (width, width, 3),
        (width, 4 * width, 1),
        (2 * width, 4 * width, 1),
        (4 * width, width, 1),
        (width, width, 3),
        (width, 4 * width, 1),
    ];
    let mut seed = 0;
    shapes.map(|(inputs, outputs, side)| {
        seed += 1;
        Owned::random(inputs, outputs, side, seed)
    })
}

#[test]
fn a_tower_with_residuals_is_what_its_definition_says() {
    for (width, height, columns) in [(8, 37, 30), (6, 33, 33), (16, 40, 26)] {
        let owned = weights(width);
        check(&tower(&owned), Precision::F32, [3, height, columns], &format!("width {width}"));
    }
}

/// Some images, in some order, in pools of some threads: each has the bits that it has alone.
#[test]
fn features_do_not_depend_on_batch_composition_order_or_threads() {
    const SIDE: usize = 36;
    const EACH: usize = 3 * SIDE * SIDE;
    let owned = weights(8);
    let images = random(11 * EACH, 3);
    let batches: [Vec<usize>; 4] =
        [(0..11).collect(), (0..11).rev().collect(), vec![7, 0, 7], vec![10]];
    for precision in precisions() {
        let stack = ConvStack::new(&tower(&owned), precision);
        let kept: usize = stack.output_shape(SIDE, SIDE).expect("large enough").iter().product();
        let above = random(11 * kept, 4);
        let run = |batch: &[usize]| {
            let pick = |from: &[f32], each: usize| -> Vec<f32> {
                batch.iter().flat_map(|i| from[i * each..][..each].to_vec()).collect()
            };
            let (features, passed) = stack.forward_for_backward(&pick(&images, EACH), SIDE, SIDE);
            (features, stack.backward(&pick(&above, kept), &passed))
        };
        let alone: Vec<_> = (0..11).map(|i| run(&[i])).collect();
        for threads in 1..=3 {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            for batch in &batches {
                let (features, gradient) = pool.install(|| run(batch));
                assert_eq!(features.len(), batch.len() * kept);
                assert_eq!(gradient.len(), batch.len() * EACH);
                for (i, image) in batch.iter().enumerate() {
                    let what = format!("{precision:?} {threads} {batch:?} {image}");
                    let alone = &alone[*image];
                    assert!(bits(&features[i * kept..][..kept]) == bits(&alone.0), "{what}");
                    assert!(bits(&gradient[i * EACH..][..EACH]) == bits(&alone.1), "{what}");
                }
            }
        }
    }
}

#[test]
fn an_image_that_is_not_finite_stays_by_itself() {
    let owned = weights(8);
    let stack = ConvStack::new(&tower(&owned), Precision::F32);
    let (side, each) = (36, 3 * 36 * 36);
    let mut images = random(3 * each, 1);
    let clean = stack.forward(&images, side, side);
    images[each..2 * each].fill(f32::NAN);
    let features = stack.forward(&images, side, side);
    let kept = clean.len() / 3;
    assert!(features[kept..2 * kept].iter().all(|x| x.is_nan()));
    assert_eq!(bits(&features[..kept]), bits(&clean[..kept]));
    assert_eq!(bits(&features[2 * kept..]), bits(&clean[2 * kept..]));
}

#[test]
fn no_images_have_no_features() {
    let owned = weights(8);
    let stack = ConvStack::new(&tower(&owned), Precision::F32);
    assert!(stack.forward(&[], 36, 36).is_empty());
    let (features, passed) = stack.forward_for_backward(&[], 36, 36);
    assert!(features.is_empty());
    assert!(stack.backward(&[], &passed).is_empty());
}

#[test]
fn images_that_are_too_small_have_no_output_shape() {
    let owned = weights(8);
    let stack = ConvStack::new(&tower(&owned), Precision::F32);
    assert_eq!(stack.output_shape(8, 8), Some([1, 1, 32]));
    assert_eq!(stack.output_shape(8, 3), None);
    assert_eq!(stack.output_shape(0, 8), None);
}

#[test]
#[should_panic(expected = "follows 8 channels")]
fn steps_of_other_channels_are_refused() {
    let (one, other) = (Owned::random(3, 8, 3, 1), Owned::random(16, 8, 3, 2));
    let steps = [&one, &other].map(|owned| Step::Conv(owned.conv(1, 1, Relu::Yes)));
    let _ = ConvStack::new(&steps, Precision::F32);
}

#[test]
#[should_panic(expected = "two paths")]
fn paths_of_other_channels_are_refused() {
    let (one, other) = (Owned::random(3, 8, 3, 1), Owned::random(8, 16, 1, 2));
    let main = vec![Step::Conv(other.conv(1, 0, Relu::No))];
    let residual = Step::Residual { main, skip: Vec::new() };
    let _ = ConvStack::new(&[Step::Conv(one.conv(1, 1, Relu::Yes)), residual], Precision::F32);
}
