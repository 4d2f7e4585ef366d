//! A normal distribution by mean and deviation.

/// Mean and standard deviation, the latter above 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Gaussian {
    pub(crate) mean: f64,
    pub(crate) deviation: f64,
}

impl Gaussian {
    /// Of finite values; `None` where they are fewer than two or all equal.
    pub(crate) fn fit(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (squares / (n - 1.0)).sqrt();
        (deviation > 0.0 && deviation.is_finite()).then_some(Self { mean, deviation })
    }

    pub(crate) fn z(&self, value: f64) -> f64 {
        (value - self.mean) / self.deviation
    }

    /// Up to the constant that every normal distribution shares.
    pub(crate) fn log_density(&self, value: f64) -> f64 {
        -0.5 * self.z(value).powi(2) - self.deviation.ln()
    }
}
