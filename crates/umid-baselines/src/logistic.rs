//! L2-penalised logistic regression of two classes, by linfa-logistic, scaled as in scikit-learn:
//! minimise `sum_i log(1 + exp(-y_i (w x_i + b))) + |w|^2 / (2 C)`. The intercept b is not
//! penalised, in linfa-logistic as in scikit-learn's `LogisticRegression` (lbfgs).
//!
//! linfa-logistic 0.8 reports no convergence and calls either class positive, whichever is found
//! first or more often; here the gradient is checked and a larger value always means a member.

use linfa::dataset::DatasetBase;
use linfa::traits::Fit;
use linfa_logistic::LogisticRegression;
use ndarray::{Array1, ArrayView1, ArrayView2};

use crate::checks;
use crate::error::{BaselineError, Result};

/// Gradient at which the solver stops; scores are then within this of the optimum for C = 1.
const SOLVER_TOLERANCE: f64 = 1e-7;
/// Largest gradient that is accepted of a solver which stopped because the loss no longer fell;
/// scikit-learn's default tolerance.
const ACCEPTED_GRADIENT: f64 = 1e-4;
/// The solver needs 20 to 60 steps on text features; scikit-learn's users raise its default of 100
/// to about this.
const MAX_STEPS: u64 = 1000;

/// A fitted linear decision function, above 0 where a member is the likelier class.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Logistic {
    pub(crate) weights: Array1<f64>,
    pub(crate) intercept: f64,
}

impl Logistic {
    /// Fits members against the rest.
    ///
    /// # Shapes
    /// `records` (n, d) with one flag per row.
    pub(crate) fn fit(
        records: &ArrayView2<'_, f64>,
        members: &[bool],
        inverse_penalty: f64,
    ) -> Result<Self> {
        checks::positive("inverse_penalty", inverse_penalty)?;
        checks::finite("features", records)?;
        let penalty = 1.0 / inverse_penalty;
        let dataset = DatasetBase::new(records.view(), Array1::from_vec(members.to_vec()));
        let fitted = LogisticRegression::default()
            .alpha(penalty)
            .gradient_tolerance(SOLVER_TOLERANCE)
            .max_iterations(MAX_STEPS)
            .fit(&dataset)?;
        let sign = if fitted.labels().pos.class { 1.0 } else { -1.0 };
        let model = Self { weights: fitted.params() * sign, intercept: fitted.intercept() * sign };
        model.check_converged(records, members, penalty)?;
        Ok(model)
    }

    /// Log odds of being a member.
    pub(crate) fn decide(&self, row: &ArrayView1<'_, f64>) -> f64 {
        self.weights.dot(row) + self.intercept
    }

    fn check_converged(
        &self,
        records: &ArrayView2<'_, f64>,
        members: &[bool],
        penalty: f64,
    ) -> Result<()> {
        let log_odds = records.dot(&self.weights) + self.intercept;
        let residuals: Array1<f64> = log_odds
            .iter()
            .zip(members)
            .map(|(z, &member)| 1.0 / (1.0 + (-z).exp()) - f64::from(u8::from(member)))
            .collect();
        let of_weights = records.t().dot(&residuals) + &self.weights * penalty;
        let entries = of_weights.iter().copied().chain([residuals.sum()]);
        let gradient = entries.map(f64::abs).fold(0.0, |a: f64, b| if b <= a { a } else { b });
        if gradient <= ACCEPTED_GRADIENT {
            return Ok(());
        }
        Err(BaselineError::NotConverged { gradient, tolerance: ACCEPTED_GRADIENT })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_member_scores_higher_whichever_class_is_larger_or_first() {
        for members in [[true, true, false], [true, false, false], [false, false, true]] {
            let records = Array1::from_iter(members.map(|m| if m { 1.0 } else { -1.0 }));
            let records = records.insert_axis(ndarray::Axis(1));
            let model = Logistic::fit(&records.view(), &members, 1.0).expect("fits");
            assert!(model.weights[0] > 0.0, "{members:?}: {model:?}");
        }
    }

    #[test]
    fn one_class_and_a_bad_penalty_are_refused() {
        let records = array![[1.0], [2.0]];
        let one_class = Logistic::fit(&records.view(), &[true, true], 1.0);
        assert!(matches!(one_class, Err(BaselineError::Logistic(_))));
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let result = Logistic::fit(&records.view(), &[true, false], bad);
            assert!(matches!(result, Err(BaselineError::Argument { .. })), "{bad}");
        }
    }
}
