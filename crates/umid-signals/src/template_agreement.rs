//! How far templates agree on the same names: one that a model never saw captions like answers names
//! with noise.

use ndarray::{Array1, ArrayView2, Axis, s};

/// For each template the mean over names of the cosine between the response in it and the mean
/// direction of the responses in the others. `responses` (names * T, d) has the T templates of a name in
/// adjoining rows. NaN for a template whose responses all have length zero, and for one alone.
pub(crate) fn template_agreement(responses: ArrayView2<'_, f32>, templates: usize) -> Vec<f64> {
    let mut sums = vec![0.0; templates];
    let mut counts = vec![0_usize; templates];
    for name in responses.axis_chunks_iter(Axis(0), templates.max(1)) {
        let units: Vec<Option<Array1<f64>>> = name.rows().into_iter().map(unit).collect();
        let mut all = Array1::<f64>::zeros(responses.ncols());
        for direction in units.iter().flatten() {
            all += direction;
        }
        for (template, direction) in units.iter().enumerate() {
            let Some(direction) = direction else { continue };
            if let Some(others) = unit((&all - direction).mapv(|v| v as f32).view()) {
                sums[template] += direction.dot(&others);
                counts[template] += 1;
            }
        }
    }
    sums.iter().zip(counts).map(|(sum, count)| sum / count as f64).collect()
}

fn unit(row: ndarray::ArrayView1<'_, f32>) -> Option<Array1<f64>> {
    let row = row.slice(s![..]).mapv(f64::from);
    let length = row.dot(&row).sqrt();
    (length > 0.0).then(|| row / length)
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    #[test]
    fn a_template_that_answers_otherwise_has_the_lowest_agreement() {
        // Two names in three templates; the last template answers across.
        let responses =
            arr2(&[[2.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [-3.0, 0.0], [0.0, 4.0]]);
        let agreement = template_agreement(responses.view(), 3);
        let half = 0.5_f64.sqrt();
        for (found, expected) in agreement.iter().zip([half, half, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{agreement:?}");
        }
    }

    #[test]
    fn what_has_no_direction_is_left_out() {
        let responses = arr2(&[[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]);
        let agreement = template_agreement(responses.view(), 3);
        assert!(agreement[0].is_nan());
        assert!((agreement[1] - 1.0).abs() < 1e-6, "{agreement:?}");
        assert!(template_agreement(responses.view(), 1)[1..].is_empty());
    }
}
