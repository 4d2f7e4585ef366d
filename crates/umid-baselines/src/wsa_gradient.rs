//! Weakly supervised attack on the loss and its gradient: Gomez, "Rethinking Membership Inference
//! Attacks for CLIP", AAAI 2026 (code lluisgomez/CLIP-MIA-Bench, `wsa_grad_loss.py`).
//!
//! Each pair has two numbers, its contrastive loss and the length of the loss's gradient with respect
//! to the two embeddings (see [`GradientNorm::of_embeddings`](crate::GradientNorm::of_embeddings)).
//! In deviations of pairs that are known not to be members, the pool's pairs whose numbers are on
//! average below the mean are pseudo-members. A logistic regression on the two numbers tells them
//! from the known non-members; its output is the score.
//!
//! Whoever the pool is under test takes part in the training of what scores it; see
//! [`WeaklySupervised`](crate::WeaklySupervised).
//!
//! **Needs** what the gradient norm needs, known non-member pairs and a pool. **Costs** one forward
//! pass of each tower per pair.

use ndarray::Array2;

use crate::checks;
use crate::error::{BaselineError, Result};
use crate::gaussian::Gaussian;
use crate::logistic::Logistic;

/// Pseudo-members below which the regression is refused, as of the attack on embeddings.
const FEWEST_PSEUDO_MEMBERS: usize = 5;
/// scikit-learn's C, its default as in the author's code.
const INVERSE_PENALTY: f64 = 1.0;

/// What the attack sees of a pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossAndGradient {
    /// The pair's contrastive loss, in nats.
    pub loss: f64,
    /// Length of the loss's gradient.
    pub gradient: f64,
}

/// The fitted regression.
///
/// ```
/// use umid_baselines::{LossAndGradient, WeaklySupervisedGradient};
///
/// let pair = |loss: f64| LossAndGradient { loss, gradient: 2.0 * loss };
/// let known: Vec<_> = (0..10).map(|i| pair(4.0 + f64::from(i) / 10.0)).collect();
/// let pool: Vec<_> = (0..10).map(|i| pair(f64::from(i))).collect();
/// let model = WeaklySupervisedGradient::fit(&known, &pool)?;
/// assert_eq!(model.pseudo_members(), 5);
/// assert!(model.score(pair(1.0))? > model.score(pair(6.0))?);
/// # Ok::<(), umid_baselines::BaselineError>(())
/// ```
#[derive(Debug, Clone)]
pub struct WeaklySupervisedGradient {
    pseudo_members: usize,
    regression: Logistic,
}

impl WeaklySupervisedGradient {
    /// Labels the pool and fits the regression.
    ///
    /// # Errors
    /// When a number is not finite, the known non-members' losses or gradients do not vary, or fewer
    /// than 5 pairs of the pool become pseudo-members.
    pub fn fit(known: &[LossAndGradient], pool: &[LossAndGradient]) -> Result<Self> {
        known.iter().chain(pool).try_for_each(LossAndGradient::check)?;
        let spread = |of: fn(&LossAndGradient) -> f64, what| {
            let values: Vec<f64> = known.iter().map(of).collect();
            Gaussian::fit(&values).ok_or(BaselineError::NoSpread { what })
        };
        let losses = spread(|pair| pair.loss, "losses of the known non-members")?;
        let gradients = spread(|pair| pair.gradient, "gradients of the known non-members")?;
        let is_pseudo_member =
            |pair: &&LossAndGradient| losses.z(pair.loss) + gradients.z(pair.gradient) < 0.0;
        let pseudo: Vec<&LossAndGradient> = pool.iter().filter(is_pseudo_member).collect();
        checks::at_least("pool pairs below the mean", FEWEST_PSEUDO_MEMBERS, pseudo.len())?;
        let rows = pseudo.iter().copied().chain(known);
        let records: Vec<[f64; 2]> = rows.map(|pair| [pair.loss, pair.gradient]).collect();
        let labels: Vec<bool> = (0..records.len()).map(|row| row < pseudo.len()).collect();
        let records = Array2::from(records);
        let regression = Logistic::fit(&records.view(), &labels, INVERSE_PENALTY)?;
        Ok(Self { pseudo_members: pseudo.len(), regression })
    }

    /// Log odds of being a pseudo-member; higher for members.
    ///
    /// # Errors
    /// When a number is not finite.
    pub fn score(&self, pair: LossAndGradient) -> Result<f64> {
        pair.check()?;
        Ok(self.regression.decide(&ndarray::aview1(&[pair.loss, pair.gradient])))
    }

    /// Pairs of the pool that became pseudo-members.
    pub fn pseudo_members(&self) -> usize {
        self.pseudo_members
    }
}

impl LossAndGradient {
    fn check(&self) -> Result<()> {
        checks::finite_list("loss and gradient", &[self.loss, self.gradient])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(loss: f64, gradient: f64) -> LossAndGradient {
        LossAndGradient { loss, gradient }
    }

    /// Losses 1, 2, 3 (mean 2, deviation 1) and gradients 10, 20, 30.
    fn known() -> Vec<LossAndGradient> {
        vec![pair(1.0, 10.0), pair(2.0, 20.0), pair(3.0, 30.0)]
    }

    #[test]
    fn pseudo_members_are_below_the_mean_of_both_together() {
        // Sums of deviations: -2, -0.5, -0.1, 0, +0.5, -1, -3.
        let pool = [
            pair(1.0, 10.0),
            pair(1.0, 25.0),
            pair(3.0, 9.0),
            pair(2.0, 20.0),
            pair(3.0, 15.0),
            pair(0.0, 30.0),
            pair(0.0, 10.0),
        ];
        let model = WeaklySupervisedGradient::fit(&known(), &pool).expect("fits");
        assert_eq!(model.pseudo_members(), 5);
        let few = WeaklySupervisedGradient::fit(&known(), &pool[..5]);
        assert!(matches!(few, Err(BaselineError::TooFew { found: 3, .. })), "{few:?}");
    }

    #[test]
    fn the_score_is_the_regression_s_log_odds() {
        // Pseudo-members at loss -1, known at +-1 around 1, the gradient three times the loss and
        // one more: at the optimum the gradient of the penalised loss is zero.
        let line = |loss: f64| pair(loss, 3.0 * loss + 1.0);
        let known = [line(0.0), line(2.0)];
        let pool = [line(-1.0); 5];
        let model = WeaklySupervisedGradient::fit(&known, &pool).expect("fits");
        let odds = |loss| model.score(line(loss)).expect("finite");
        // On a line the log odds are linear.
        assert!((odds(0.0) - f64::midpoint(odds(-1.0), odds(1.0))).abs() < 1e-9);
        let share = |z: f64| 1.0 / (1.0 + (-z).exp());
        // The free intercept makes the fitted shares sum to the five members.
        let sum = 5.0 * share(odds(-1.0)) + share(odds(0.0)) + share(odds(2.0));
        assert!((sum - 5.0).abs() < 1e-5, "{sum}");
        assert!(odds(-1.0) > 0.0 && odds(2.0) < 0.0);
    }

    #[test]
    fn bad_numbers_are_refused() {
        let pool = [pair(0.0, 0.0); 5];
        let nan = WeaklySupervisedGradient::fit(&known(), &[pair(f64::NAN, 0.0)]);
        assert!(matches!(nan, Err(BaselineError::NonFinite { .. })));
        let constant = WeaklySupervisedGradient::fit(&[pair(1.0, 2.0); 4], &pool);
        assert!(matches!(constant, Err(BaselineError::NoSpread { .. })));
        let model = WeaklySupervisedGradient::fit(&known(), &pool).expect("fits");
        assert!(model.score(pair(0.0, f64::INFINITY)).is_err());
    }
}
