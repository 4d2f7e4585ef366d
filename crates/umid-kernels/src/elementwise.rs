//! Layer norm, activations and softmax, row by row.

use pulp::Arch;

const LANES: usize = crate::product::LANES;

/// Activation between the two layers of a perceptron.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x sigmoid(1.702 x)`.
    QuickGelu,
    /// `x Phi(x)`, where `Phi` is the standard normal distribution function.
    Gelu,
    /// The same with `Phi(x)` approximated by the logistic function of a cubic polynomial.
    GeluTanh,
    /// The positive part.
    Relu,
}

/// Compiles a function for every level of vector instructions, and calls the machine's best.
///
/// The function must be `#[inline(always)]`, as must all that it calls: only what is inlined is
/// compiled for a level. It is told whether the level has fused operations.
macro_rules! at_best_level {
    ($(#[$doc:meta])* pub(crate) fn $name:ident($($arg:ident: $type:ty),*) = $body:ident) => {
        $(#[$doc])*
        pub(crate) fn $name($($arg: $type),*) {
            match Arch::new() {
                Arch::Scalar => $body::<false>($($arg),*),
                vectors => vectors.dispatch(
                    #[inline(always)]
                    move || {
                        // Moved: a closure that could be called again is called by way of a
                        // function that is not inlined.
                        $(let $arg = $arg;)*
                        $body::<true>($($arg),*);
                    },
                ),
            }
        }
    };
}

const QUICK_GELU_SLOPE: f32 = 1.702;
/// Twice the root of 2 / pi, and the factor on the cube (Hendrycks and Gimpel 2016, section 2).
const GELU_TANH_SLOPE: f32 = 1.595_769_1;
const GELU_TANH_CUBIC: f32 = 0.044_715;

/// `x y + z`: without an instruction of its own, a fused operation is a slow call.
#[inline(always)]
fn fma<const FUSED: bool>(x: f32, y: f32, z: f32) -> f32 {
    if FUSED { x.mul_add(y, z) } else { x * y + z }
}

/// `e^x`, within two units in the last place; 0 below -87.
///
/// The argument is split into a multiple of ln 2, which goes into the exponent's bits, and a rest
/// of at most ln 2 / 2, for which seven terms of the series are enough.
#[inline(always)]
fn exp<const FUSED: bool>(x: f32) -> f32 {
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    /// Added to a float, this leaves the nearest integer in its low bits.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = fma::<FUSED>(clamped, std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    let rest = fma::<FUSED>(whole, -LN_2_LOW, fma::<FUSED>(whole, -LN_2_HIGH, clamped));
    let mut series = 1.0 / 5040.0;
    series = fma::<FUSED>(series, rest, 1.0 / 720.0);
    series = fma::<FUSED>(series, rest, 1.0 / 120.0);
    series = fma::<FUSED>(series, rest, 1.0 / 24.0);
    series = fma::<FUSED>(series, rest, 1.0 / 6.0);
    series = fma::<FUSED>(series, rest, 0.5);
    series = fma::<FUSED>(series, rest, 1.0);
    series = fma::<FUSED>(series, rest, 1.0);
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    if x < -87.0 { 0.0 } else { series * power }
}

/// The standard normal distribution function and density, within 1e-7.
///
/// Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
#[inline(always)]
fn normal<const FUSED: bool>(x: f32) -> (f32, f32) {
    const DENSITY_AT_ZERO: f32 = 0.398_942_3;
    let size = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / fma::<FUSED>(0.327_591_1, size, 1.0);
    let mut sum = 1.061_405_4;
    sum = fma::<FUSED>(sum, t, -1.453_152);
    sum = fma::<FUSED>(sum, t, 1.421_413_7);
    sum = fma::<FUSED>(sum, t, -0.284_496_7);
    sum = fma::<FUSED>(sum, t, 0.254_829_6);
    let decay = exp::<FUSED>(-size * size);
    let beyond = 0.5 * sum * t * decay;
    (if x < 0.0 { beyond } else { 1.0 - beyond }, DENSITY_AT_ZERO * decay)
}

at_best_level! {
    /// `outputs = activation(inputs)`; the inputs become the activation's derivatives, which is all
    /// that the backward pass needs of them.
    pub(crate) fn activate(activation: Activation, inputs: &mut [f32], outputs: &mut [f32]) = activate_at
}

#[inline(always)]
fn activate_at<const FUSED: bool>(activation: Activation, inputs: &mut [f32], outputs: &mut [f32]) {
    match activation {
        Activation::QuickGelu => {
            for (input, output) in inputs.iter_mut().zip(outputs) {
                let scaled = QUICK_GELU_SLOPE * *input;
                let sigmoid = 1.0 / (1.0 + exp::<FUSED>(-scaled));
                *output = *input * sigmoid;
                *input = sigmoid * fma::<FUSED>(scaled, 1.0 - sigmoid, 1.0);
            }
        }
        Activation::Gelu => {
            for (input, output) in inputs.iter_mut().zip(outputs) {
                let (share, density) = normal::<FUSED>(*input);
                *output = *input * share;
                *input = fma::<FUSED>(*input, density, share);
            }
        }
        Activation::GeluTanh => {
            for (input, output) in inputs.iter_mut().zip(outputs) {
                let square = *input * *input;
                let scaled = GELU_TANH_SLOPE * *input;
                let cubic = fma::<FUSED>(GELU_TANH_CUBIC * square, scaled, scaled);
                let sigmoid = 1.0 / (1.0 + exp::<FUSED>(-cubic));
                *output = *input * sigmoid;
                let slope = fma::<FUSED>(3.0 * GELU_TANH_CUBIC * square, scaled, scaled);
                *input = sigmoid * fma::<FUSED>(slope, 1.0 - sigmoid, 1.0);
            }
        }
        Activation::Relu => {
            for (input, output) in inputs.iter_mut().zip(outputs) {
                // A comparison that leaves a NaN one.
                *output = if *input <= 0.0 { 0.0 } else { *input };
                *input = if *input > 0.0 { 1.0 } else { 0.0 };
            }
        }
    }
}

at_best_level! {
    /// `values *= factors`.
    pub(crate) fn multiply(factors: &[f32], values: &mut [f32]) = multiply_at
}

#[inline(always)]
fn multiply_at<const FUSED: bool>(factors: &[f32], values: &mut [f32]) {
    for (factor, value) in factors.iter().zip(values) {
        *value *= *factor;
    }
}

at_best_level! {
    /// `to += values`.
    pub(crate) fn add(values: &[f32], to: &mut [f32]) = add_at
}

#[inline(always)]
fn add_at<const FUSED: bool>(values: &[f32], to: &mut [f32]) {
    for (value, to) in values.iter().zip(to) {
        *to += *value;
    }
}

at_best_level! {
    /// `values *= factor`.
    pub(crate) fn scale(factor: f32, values: &mut [f32]) = scale_at
}

#[inline(always)]
fn scale_at<const FUSED: bool>(factor: f32, values: &mut [f32]) {
    for value in values {
        *value *= factor;
    }
}

at_best_level! {
    /// The ReLU in place. A bit of `positive` is set for each value that it leaves: 16 to a number.
    pub(crate) fn rectify(values: &mut [f32], positive: &mut [u16]) = rectify_at
}

#[inline(always)]
fn rectify_at<const FUSED: bool>(values: &mut [f32], positive: &mut [u16]) {
    for (values, positive) in values.as_chunks_mut::<LANES>().0.iter_mut().zip(positive) {
        let mut bits = [0u16; LANES];
        for (lane, (value, bit)) in values.iter_mut().zip(&mut bits).enumerate() {
            *bit = if *value > 0.0 { 1 << lane } else { 0 };
            // A comparison that leaves a NaN one.
            *value = if *value <= 0.0 { 0.0 } else { *value };
        }
        *positive = bits.iter().fold(0, |all, bit| all | bit);
    }
}

at_best_level! {
    /// Those of the values whose bit is set, and zeros for the others.
    pub(crate) fn keep_positive(positive: &[u16], values: &[f32], to: &mut [f32]) = keep_positive_at
}

#[inline(always)]
fn keep_positive_at<const FUSED: bool>(positive: &[u16], values: &[f32], to: &mut [f32]) {
    let (values, to) = (values.as_chunks::<LANES>().0, to.as_chunks_mut::<LANES>().0);
    for ((positive, values), to) in positive.iter().zip(values).zip(to) {
        for (lane, (value, to)) in values.iter().zip(to).enumerate() {
            *to = if positive & 1 << lane == 0 { 0.0 } else { *value };
        }
    }
}

/// Sum of products, in 16 partial sums.
#[inline(always)]
fn dot<const FUSED: bool>(x: &[f32], y: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    for (x, y) in x.chunks_exact(LANES).zip(y.chunks_exact(LANES)) {
        for ((x, y), sum) in x.iter().zip(y).zip(&mut sums) {
            *sum = fma::<FUSED>(*x, *y, *sum);
        }
    }
    joined(sums, |x, y| x + y)
}

#[inline(always)]
fn sum(x: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    for x in x.chunks_exact(LANES) {
        for (x, sum) in x.iter().zip(&mut sums) {
            *sum += x;
        }
    }
    joined(sums, |x, y| x + y)
}

/// The highest number, in 16 partial ones; NaNs are ignored.
#[inline(always)]
fn highest(x: &[f32]) -> f32 {
    let larger = |x: f32, y: f32| if x > y { x } else { y };
    let mut most = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = x.as_chunks::<LANES>();
    for x in whole {
        for (x, most) in x.iter().zip(&mut most) {
            *most = larger(*x, *most);
        }
    }
    for (x, most) in rest.iter().zip(&mut most) {
        *most = larger(*x, *most);
    }
    joined(most, larger)
}

/// Halves joined until one number is left.
#[inline(always)]
fn joined(mut parts: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            parts[i] = join(parts[i], parts[i + half]);
        }
        half /= 2;
    }
    parts[0]
}

at_best_level! {
    /// Rows minus their means, divided by their standard deviations; the reciprocals of those go to
    /// `scales`. A layer norm's gain and shift are in the weights that follow it.
    ///
    /// # Shapes
    ///
    /// - rows, normed: `[count, width]`
    /// - scales: `[count]`
    pub(crate) fn norm(rows: &[f32], width: usize, epsilon: f32, normed: &mut [f32], scales: &mut [f32]) = norm_at
}

#[inline(always)]
fn norm_at<const FUSED: bool>(
    rows: &[f32],
    width: usize,
    epsilon: f32,
    normed: &mut [f32],
    scales: &mut [f32],
) {
    let rows = rows.chunks_exact(width).zip(normed.chunks_exact_mut(width));
    for ((row, normed), scale) in rows.zip(scales) {
        let mean = sum(row) / width as f32;
        for (x, normed) in row.iter().zip(normed.iter_mut()) {
            *normed = *x - mean;
        }
        *scale = 1.0 / (dot::<FUSED>(normed, normed) / width as f32 + epsilon).sqrt();
        for normed in normed.iter_mut() {
            *normed *= *scale;
        }
    }
}

at_best_level! {
    /// Adds the gradients of a [`norm`]'s rows to `gradients`, from those of its results.
    ///
    /// # Shapes
    ///
    /// - normed, normed_gradients, gradients: `[count, width]`
    /// - scales: `[count]`
    pub(crate) fn norm_backward(normed: &[f32], scales: &[f32], width: usize, normed_gradients: &[f32], gradients: &mut [f32]) = norm_backward_at
}

#[inline(always)]
fn norm_backward_at<const FUSED: bool>(
    normed: &[f32],
    scales: &[f32],
    width: usize,
    normed_gradients: &[f32],
    gradients: &mut [f32],
) {
    let rows = normed.chunks_exact(width).zip(normed_gradients.chunks_exact(width));
    for (((normed, above), scale), below) in rows.zip(scales).zip(gradients.chunks_exact_mut(width))
    {
        let mean = sum(above) / width as f32;
        let along = dot::<FUSED>(above, normed) / width as f32;
        for ((above, normed), below) in above.iter().zip(normed).zip(below) {
            *below = fma::<FUSED>(*scale, *above - fma::<FUSED>(along, *normed, mean), *below);
        }
    }
}

at_best_level! {
    /// Turns the first `count` scores of a row into probabilities, and what follows into zeros.
    ///
    /// # Shapes
    ///
    /// - row: a multiple of 16
    pub(crate) fn softmax(row: &mut [f32], count: usize) = softmax_at
}

#[inline(always)]
fn softmax_at<const FUSED: bool>(row: &mut [f32], count: usize) {
    let highest = highest(&row[..count]);
    for score in &mut *row {
        *score = exp::<FUSED>(*score - highest);
    }
    row[count..].fill(0.0);
    let scale = 1.0 / sum(row);
    for probability in row {
        *probability *= scale;
    }
}

at_best_level! {
    /// Turns the gradients of a row's probabilities into those of its scores.
    pub(crate) fn softmax_backward(probabilities: &[f32], gradients: &mut [f32]) = softmax_backward_at
}

#[inline(always)]
fn softmax_backward_at<const FUSED: bool>(probabilities: &[f32], gradients: &mut [f32]) {
    let mean = dot::<FUSED>(probabilities, gradients);
    for (probability, gradient) in probabilities.iter().zip(gradients) {
        *gradient = *probability * (*gradient - mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_stays_a_nan_in_every_activation() {
        let all = [Activation::QuickGelu, Activation::Gelu, Activation::GeluTanh, Activation::Relu];
        for activation in all {
            let (mut inputs, mut outputs) = ([f32::NAN; 32], [0.0; 32]);
            activate(activation, &mut inputs, &mut outputs);
            assert!(outputs.iter().all(|x| x.is_nan()), "{activation:?} {outputs:?}");
        }
        let mut values = [f32::NAN; 32];
        rectify(&mut values, &mut [0; 2]);
        assert!(values.iter().all(|x| x.is_nan()), "{values:?}");
    }

    #[test]
    fn a_bit_is_kept_for_each_positive_value() {
        let mut values: [f32; 32] =
            std::array::from_fn(|i| (i as f32 - 9.0) * if i % 3 == 0 { -1.0 } else { 1.0 });
        let before = values;
        let mut positive = [0; 2];
        rectify(&mut values, &mut positive);
        let mut kept = [f32::NAN; 32];
        keep_positive(&positive, &before, &mut kept);
        for (i, before) in before.into_iter().enumerate() {
            assert_eq!(positive[i / 16] >> (i % 16) & 1 == 1, before > 0.0, "{i}");
            let expected = if before > 0.0 { before } else { 0.0 };
            assert_eq!(values[i].to_bits(), expected.to_bits(), "{i}");
            assert_eq!(kept[i].to_bits(), expected.to_bits(), "{i}");
        }
    }
}
