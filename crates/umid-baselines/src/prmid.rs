//! Rank of the true text: after PRMID, the paired baseline of Li et al., "A Unimodal Speaker-Level
//! Membership Inference Detector for Contrastive Pretraining" (USMID), arXiv 2410.18371.
//!
//! A model that was trained on a speaker ranks the speaker's text high among others for their
//! clips. The paper's reference code is not published; how ranks of several clips are joined is
//! ours: the logarithms are averaged, so that one lucky clip does not decide.
//!
//! **Needs** clips (or images) of the queried person and the texts of other people. **Costs** one
//! forward pass of the input tower per clip, and one of the text tower per candidate, once for all
//! queries; no gradient, no reference model.

use ndarray::{Array2, ArrayView2};

use crate::checks;
use crate::error::{BaselineError, Result};

/// Embeddings of candidate texts, ready for many people.
///
/// ```
/// use ndarray::array;
/// use umid_baselines::RankedCandidates;
///
/// let candidates = RankedCandidates::new(&array![[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]].view())?;
/// let clips = array![[2.0, 0.1], [0.2, 1.0]];
/// // The first clip ranks candidate 0 first, the second ranks it second.
/// assert_eq!(candidates.ranks(&clips.view(), 0)?, [1, 2]);
/// assert!(candidates.score(&clips.view(), 0)? > candidates.score(&clips.view(), 2)?);
/// # Ok::<(), umid_baselines::BaselineError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RankedCandidates {
    /// `[candidates, dim]`, rows at length 1.
    texts: Array2<f64>,
}

impl RankedCandidates {
    /// Normalises the embeddings.
    ///
    /// # Shapes
    /// `[candidates, dim]`, normalised or not.
    ///
    /// # Errors
    /// When there are fewer than two candidates, or an embedding is not finite or has length zero.
    pub fn new(candidates: &ArrayView2<'_, f32>) -> Result<Self> {
        checks::at_least("candidate texts", 2, candidates.nrows())?;
        Ok(Self { texts: checks::unit_rows("candidate embeddings", candidates)? })
    }

    /// Rank of a candidate for each clip, from 1. A candidate that ties with others has the last
    /// of their ranks.
    ///
    /// # Shapes
    /// `clips` `[clips, dim]`, normalised or not.
    ///
    /// # Errors
    /// When there is no clip, the widths differ, an embedding is not finite or has length zero, or
    /// `candidate` is no candidate's index.
    pub fn ranks(&self, clips: &ArrayView2<'_, f32>, candidate: usize) -> Result<Vec<usize>> {
        if candidate >= self.texts.nrows() {
            return Err(BaselineError::Argument {
                argument: "candidate",
                expected: "the index of a candidate",
                found: candidate as f64,
            });
        }
        let clips = checks::unit_rows("clip embeddings", clips)?;
        checks::same_size("width of the clip embeddings", self.texts.ncols(), clips.ncols())?;
        let cosines = clips.dot(&self.texts.t());
        let rank = |row: ndarray::ArrayView1<'_, f64>| {
            row.iter().filter(|cosine| **cosine >= row[candidate]).count()
        };
        Ok(cosines.outer_iter().map(rank).collect())
    }

    /// Mean negative logarithm of the rank over a person's clips: 0 where every clip ranks the
    /// true text first. Higher for members.
    ///
    /// # Shapes
    /// As [`ranks`](Self::ranks).
    ///
    /// # Errors
    /// As [`ranks`](Self::ranks).
    pub fn score(&self, clips: &ArrayView2<'_, f32>, candidate: usize) -> Result<f64> {
        let ranks = self.ranks(clips, candidate)?;
        Ok(-ranks.iter().map(|rank| (*rank as f64).ln()).sum::<f64>() / ranks.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn candidates() -> RankedCandidates {
        RankedCandidates::new(&array![[1.0f32, 0.0], [0.0, 3.0], [2.0, 0.0]].view())
            .expect("usable")
    }

    #[test]
    fn a_tie_is_the_last_of_its_ranks() {
        // Candidates 0 and 2 point the same way.
        let clips = array![[5.0f32, 0.1], [0.1, 5.0]];
        for candidate in [0, 2] {
            assert_eq!(candidates().ranks(&clips.view(), candidate).expect("ranks"), [2, 3]);
        }
        assert_eq!(candidates().ranks(&clips.view(), 1).expect("ranks"), [3, 1]);
        let score = candidates().score(&clips.view(), 1).expect("a score");
        assert!((score + 3.0_f64.ln() / 2.0).abs() < 1e-12);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let clips = array![[1.0f32, 0.0]];
        let outside = candidates().ranks(&clips.view(), 3);
        assert!(matches!(outside, Err(BaselineError::Argument { .. })));
        let wide = candidates().score(&array![[1.0f32, 0.0, 0.0]].view(), 0);
        assert!(matches!(wide, Err(BaselineError::Size { .. })));
        let one = RankedCandidates::new(&array![[1.0f32, 0.0]].view());
        assert!(matches!(one, Err(BaselineError::TooFew { .. })));
    }
}
