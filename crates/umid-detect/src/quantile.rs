//! Quantiles with linear interpolation: definition 7 of Hyndman and Fan (1996), the default of
//! `numpy.percentile`, so that a threshold learnt here equals scikit-learn's to the last bit.

/// The `fraction` quantile (0 to 1) of a list that is sorted upwards and not empty.
pub(crate) fn sorted_quantile(sorted: &[f64], fraction: f64) -> f64 {
    let last = sorted.len() - 1;
    let position = last as f64 * fraction;
    let below = (position.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let weight = position - below as f64;
    let step = sorted[above] - sorted[below];
    // numpy interpolates from the nearer end, which is exact at both.
    if weight >= 0.5 {
        sorted[above] - step * (1.0 - weight)
    } else {
        sorted[below] + step * weight
    }
}

/// The `fraction` quantile (0 to 1) of values in any order, with linear interpolation as in
/// `numpy.quantile`.
///
/// # Panics
/// When there is no value.
pub fn quantile(values: impl IntoIterator<Item = f64>, fraction: f64) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted_quantile(&sorted, fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_the_extremes() {
        let values = [3.0, 1.0, 2.0];
        assert_eq!(quantile(values, 0.0).to_bits(), 1.0_f64.to_bits());
        assert_eq!(quantile(values, 1.0).to_bits(), 3.0_f64.to_bits());
    }

    #[test]
    fn between_two_values_it_interpolates() {
        // numpy.percentile([0, 10, 20, 40], 90) == 34.0
        assert!((quantile([0.0, 10.0, 20.0, 40.0], 0.9) - 34.0).abs() < 1e-12);
        assert!((quantile([0.0, 10.0], 0.25) - 2.5).abs() < 1e-12);
    }

    #[test]
    fn one_value_is_every_quantile() {
        assert_eq!(quantile([7.0], 0.3).to_bits(), 7.0_f64.to_bits());
    }
}
