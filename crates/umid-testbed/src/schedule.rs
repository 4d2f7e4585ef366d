//! The learning rate's course.

use std::f64::consts::PI;

/// Learning rate of a step, from 0: a linear rise to `peak` over `warmup` steps, then half a
/// cosine that reaches zero after `steps`.
pub(crate) fn cosine_after_warmup(peak: f64, step: usize, warmup: usize, steps: usize) -> f64 {
    if step < warmup {
        return peak * (step + 1) as f64 / warmup as f64;
    }
    let falling = steps.saturating_sub(warmup).max(1);
    let done = (step - warmup) as f64 / falling as f64;
    peak * 0.5 * (1.0 + (PI * done).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_and_falls() {
        for (step, expected) in [(0, 1e-5), (99, 1e-3), (100, 1e-3), (500, 5e-4), (900, 0.0)] {
            let found = cosine_after_warmup(1e-3, step, 100, 900);
            assert!((found - expected).abs() < 1e-12, "step {step}: {found}");
        }
    }

    #[test]
    fn there_may_be_no_warmup_and_nothing_else() {
        assert!((cosine_after_warmup(1.0, 0, 0, 4) - 1.0).abs() < 1e-12);
        assert!((cosine_after_warmup(1.0, 3, 4, 4) - 1.0).abs() < 1e-12);
    }
}
