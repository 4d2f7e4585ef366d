//! Embedding-norm attack, after the Embedding Lp-Norm Likelihood Attack (LpLA): Sun, Hu, Luo,
//! Zhang, Zhang, Yuan and Zhang, "When Better Features Mean Greater Risks: The Performance-Privacy
//! Trade-Off in Contrastive Learning", ASIA CCS 2025 (arXiv 2506.05743).
//!
//! Contrastive training changes the length that an embedding has before it is normalised. The paper's
//! abstract says that membership is read from the distribution of the p-norm of feature
//! vectors; its code (SeroneySun/LpLA_code) is announced but was not published when this was
//! written. Both readings of it are therefore offered, under separate names:
//!
//! - [`embedding_norms`]: the norm itself, **taken as larger for members**. It needs no label, so
//!   the direction is an assumption; this project's prototype found it so
//!   for text towers.
//! - [`NormLikelihood`]: the log likelihood ratio of two normal distributions of the norm, fitted
//!   on known members and known non-members (of shadow models, say). It needs no assumed
//!   direction.
//!
//! **Needs** the embedding before normalisation, of the text or of an image. **Costs** one forward
//! pass of one tower; no gradient. The likelihood needs labelled norms.

use ndarray::ArrayView2;

use crate::checks;
use crate::error::{BaselineError, Result};
use crate::gaussian::Gaussian;

/// `(sum_i |x_i|^p)^(1/p)` of every embedding; `p` may be infinite for the largest entry.
///
/// # Shapes
/// `[queries, dim]`, **not** normalised, to `queries` norms.
///
/// # Errors
/// When `p` is below 1 or NaN, there is no embedding, or an entry is not finite.
///
/// ```
/// use ndarray::array;
///
/// let norms = umid_baselines::embedding_norms(&array![[3.0, -4.0], [1.0, 0.0]].view(), 2.0)?;
/// assert_eq!(norms, [5.0, 1.0]);
/// # Ok::<(), umid_baselines::BaselineError>(())
/// ```
pub fn embedding_norms(embeddings: &ArrayView2<'_, f32>, p: f64) -> Result<Vec<f64>> {
    if p.is_nan() || p < 1.0 {
        let expected = "at least 1, or infinity";
        return Err(BaselineError::Argument { argument: "p", expected, found: p });
    }
    checks::at_least("embeddings", 1, embeddings.nrows())?;
    checks::finite("embeddings", embeddings)?;
    let norm = |row: ndarray::ArrayView1<'_, f32>| {
        let sizes = || row.iter().map(|&value| f64::from(value).abs());
        let largest = sizes().fold(0.0, f64::max);
        if p.is_infinite() || largest == 0.0 {
            return largest;
        }
        // Relative to the largest entry no power overflows.
        largest * sizes().map(|size| (size / largest).powf(p)).sum::<f64>().powf(p.recip())
    };
    Ok(embeddings.outer_iter().map(norm).collect())
}

/// Normal distributions of the norm among known members and known non-members.
///
/// ```
/// use umid_baselines::NormLikelihood;
///
/// let attack = NormLikelihood::fit(&[9.0, 10.0, 11.0], &[6.0, 7.0, 8.0])?;
/// assert!(attack.score(10.0)? > 0.0);
/// assert!(attack.score(7.0)? < 0.0);
/// # Ok::<(), umid_baselines::BaselineError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormLikelihood {
    members: Gaussian,
    non_members: Gaussian,
}

impl NormLikelihood {
    /// Fits either distribution.
    ///
    /// # Errors
    /// When a class has fewer than two norms, norms that are all equal, or one that is not finite.
    pub fn fit(member_norms: &[f64], non_member_norms: &[f64]) -> Result<Self> {
        let gaussian = |what, norms: &[f64]| {
            checks::at_least(what, 2, norms.len())?;
            checks::finite_list(what, norms)?;
            Gaussian::fit(norms).ok_or(BaselineError::NoSpread { what })
        };
        Ok(Self {
            members: gaussian("member norms", member_norms)?,
            non_members: gaussian("non-member norms", non_member_norms)?,
        })
    }

    /// Log likelihood ratio of a norm; higher for members.
    ///
    /// # Errors
    /// When the norm, or its ratio, is not finite.
    pub fn score(&self, norm: f64) -> Result<f64> {
        let score = self.members.log_density(norm) - self.non_members.log_density(norm);
        if norm.is_finite() && score.is_finite() {
            return Ok(score);
        }
        Err(BaselineError::NonFinite { array: "norm", index: 0, value: norm })
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn norms_are_those_of_their_definition() {
        let rows = array![[1.0f32, -2.0, 2.0], [0.0, 0.0, 0.0]];
        for (p, expected) in [(1.0, 5.0), (2.0, 3.0), (3.0, 17f64.cbrt()), (f64::INFINITY, 2.0)] {
            let norms = embedding_norms(&rows.view(), p).expect("usable");
            assert!((norms[0] - expected).abs() < 1e-12, "p {p}: {}", norms[0]);
            assert_eq!(norms[1], 0.0);
        }
    }

    #[test]
    fn large_entries_do_not_overflow() {
        let norms = embedding_norms(&array![[3e38f32, 3e38]].view(), 50.0).expect("usable");
        assert!(norms[0].is_finite());
    }

    #[test]
    fn bad_input_is_refused() {
        let rows = array![[1.0f32, f32::NAN]];
        assert!(matches!(embedding_norms(&rows.view(), 2.0), Err(BaselineError::NonFinite { .. })));
        for p in [0.5, f64::NAN, -1.0] {
            let result = embedding_norms(&array![[1.0f32]].view(), p);
            assert!(matches!(result, Err(BaselineError::Argument { .. })), "{p}");
        }
        let none = embedding_norms(&Array2::zeros((0, 2)).view(), 2.0);
        assert!(matches!(none, Err(BaselineError::TooFew { .. })));
        let flat = NormLikelihood::fit(&[1.0, 1.0], &[1.0, 2.0]);
        assert!(matches!(flat, Err(BaselineError::NoSpread { .. })));
        assert!(NormLikelihood::fit(&[1.0], &[1.0, 2.0]).is_err());
        let fitted = NormLikelihood::fit(&[1.0, 2.0], &[2.0, 3.0]).expect("fits");
        assert!(fitted.score(f64::NAN).is_err() && fitted.score(f64::INFINITY).is_err());
    }

    #[test]
    fn the_ratio_is_that_of_normal_densities() {
        let attack = NormLikelihood::fit(&[1.0, 3.0], &[0.0, 4.0]).expect("fits");
        // Both have mean 2, so at 2 only the deviations differ: by a factor of 2.
        assert!((attack.score(2.0).expect("finite") - 2f64.ln()).abs() < 1e-12);
    }
}
