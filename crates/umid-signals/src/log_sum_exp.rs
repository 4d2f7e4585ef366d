//! The logarithm of a sum of exponentials, one term at a time.
//!
//! The running maximum is taken out of the sum, so no term overflows however large its exponent:
//! Milakov and Gimelshein 2018, "Online normalizer calculation for softmax", algorithm 3.

/// A running log-sum-exp; memory does not grow with the number of terms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogSumExp {
    max: f64,
    /// Sum of `exp(term - max)`.
    sum: f64,
}

impl LogSumExp {
    /// No term yet: the logarithm of zero.
    pub(crate) const EMPTY: Self = Self { max: f64::NEG_INFINITY, sum: 0.0 };

    /// Adds `exp(term)` to the sum; `term` is finite.
    pub(crate) fn add(&mut self, term: f64) {
        if term <= self.max {
            self.sum += (term - self.max).exp();
        } else {
            self.sum = self.sum * (self.max - term).exp() + 1.0;
            self.max = term;
        }
    }

    /// The logarithm of the sum so far.
    pub(crate) fn value(self) -> f64 {
        self.max + self.sum.ln()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A few dozen f64 operations on values near 1e3.
    const ROUND_OFF: f64 = 1e-10;

    fn log_sum_exp(terms: &[f64]) -> f64 {
        let mut total = LogSumExp::EMPTY;
        for &term in terms {
            total.add(term);
        }
        total.value()
    }

    #[test]
    fn equal_terms_add_the_log_of_their_number() {
        let value = log_sum_exp(&[2.0; 8]);
        assert!((value - (2.0 + 8f64.ln())).abs() < ROUND_OFF);
    }

    #[test]
    fn large_terms_neither_overflow_nor_vanish() {
        let value = log_sum_exp(&[-1e6, 1e6, 1e6]);
        assert!((value - (1e6 + 2f64.ln())).abs() < ROUND_OFF);
        assert!((log_sum_exp(&[-1e6]) + 1e6).abs() < ROUND_OFF);
    }

    proptest! {
        #[test]
        fn order_does_not_matter(mut terms in prop::collection::vec(-800.0..800.0, 1..40)) {
            let forwards = log_sum_exp(&terms);
            terms.reverse();
            prop_assert!((forwards - log_sum_exp(&terms)).abs() < ROUND_OFF);
        }

        #[test]
        fn it_agrees_with_the_plain_formula(terms in prop::collection::vec(-5.0..5.0, 1..40)) {
            let plain = terms.iter().map(|term: &f64| term.exp()).sum::<f64>().ln();
            prop_assert!((plain - log_sum_exp(&terms)).abs() < ROUND_OFF);
        }
    }
}
