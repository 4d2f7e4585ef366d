//! Bicubic resizing along one axis as a matrix, so that it is one product and differentiable.

/// The cubic kernel's parameter in PyTorch's `interpolate`.
const A: f64 = -0.75;

/// The weights with which `from` samples make `to`, ends on ends (`align_corners`), beyond the
/// ends the last sample: `[to, from]` in row-major order.
///
/// Reference: PyTorch, `interpolate(mode="bicubic", align_corners=True)`.
pub(crate) fn bicubic_matrix(from: usize, to: usize) -> Vec<f32> {
    let step = if to > 1 { (from - 1) as f64 / (to - 1) as f64 } else { 0.0 };
    let mut matrix = vec![0.0; from * to];
    for (row, weights) in matrix.chunks_exact_mut(from).enumerate() {
        let at = row as f64 * step;
        let (left, rest) = (at.floor(), at.fract());
        let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
        let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
        let four = [far(rest + 1.0), near(rest), near(1.0 - rest), far(2.0 - rest)];
        for (offset, weight) in (-1..3).zip(four) {
            let sample = (left as isize + offset).clamp(0, from as isize - 1);
            weights[sample.unsigned_abs()] += weight as f32;
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_OFF: f32 = 1e-6;

    #[test]
    fn rows_sum_to_one_and_the_ends_stay() {
        let (from, to) = (7, 19);
        let matrix = bicubic_matrix(from, to);
        for row in matrix.chunks_exact(from) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < ROUND_OFF);
        }
        assert!((matrix[0] - 1.0).abs() < ROUND_OFF);
        assert!((matrix[from * to - 1] - 1.0).abs() < ROUND_OFF);
    }

    #[test]
    fn no_change_of_length_changes_nothing() {
        let matrix = bicubic_matrix(4, 4);
        for (i, weight) in matrix.iter().enumerate() {
            let expected = f32::from(u8::from(i / 4 == i % 4));
            assert!((weight - expected).abs() < ROUND_OFF);
        }
    }
}
