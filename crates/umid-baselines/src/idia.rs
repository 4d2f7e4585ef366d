//! Identity inference attack: Hintersdorf, Struppek, Brack, Friedrich, Schramowski and Kersting,
//! "Does CLIP Know My Face?", JAIR 80, 2024 (code D0miH/does-clip-know-my-face).
//!
//! Each image of a person is asked for the likeliest of about a thousand candidate names, once for
//! each of 21 prompts. For a prompt, the name that most images predict is its answer; a tie for
//! first place answers nothing. Their rule calls a person a member when at least tau prompts
//! answer with the true name; their experiments use tau = 1 ([`DEFAULT_TAU`]), where a share of
//! one half would be much stricter.
//!
//! The score is finer than the count: prompts that answer rightly come first, and among equal
//! counts the share of single predictions that are right.
//!
//! **Needs** images of the queried person (their analysis takes 3 or more, up to 30) and a list of
//! candidate names. **Costs** one forward pass of the image tower per image, and
//! `prompts * candidates` of the text tower once for all queries; no gradient, no reference model.

use ndarray::{Array3, ArrayView2, ArrayView3, Axis};

use crate::checks;
use crate::error::{BaselineError, Result};

/// Right prompts from which the authors' experiments call a person a member.
pub const DEFAULT_TAU: usize = 1;

/// As many prompts as the paper uses, and of its kinds: plain, photograph, naming, occasion and
/// style. `{}` is the name.
pub const PROMPTS: [&str; 21] = [
    "{}",
    "a photo of {}",
    "a picture of {}",
    "a portrait of {}",
    "a close-up of {}",
    "a colour photo of {}",
    "a black and white photo of {}",
    "a cropped photo of {}",
    "a nice photo of {}",
    "a snapshot of {}",
    "a photo showing {}",
    "{} in a photo",
    "the face of {}",
    "a person called {}",
    "a man called {}",
    "a woman called {}",
    "this person's name is {}",
    "a photo of someone named {}",
    "{} at an event",
    "{} wearing formal clothes",
    "the famous {}",
];

/// Embeddings of every candidate name in every prompt, ready for many people.
///
/// ```
/// use ndarray::array;
/// use umid_baselines::IdentityCandidates;
///
/// // One prompt, three candidates; two of three images are nearest to candidate 0.
/// let candidates = IdentityCandidates::new(&array![[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]].view())?;
/// let images = array![[2.0, 0.1], [0.1, 1.0], [1.0, -0.5]];
/// let outcome = candidates.infer(&images.view(), 0)?;
/// assert_eq!(outcome.right_prompts, 1);
/// assert!(outcome.is_member(umid_baselines::DEFAULT_TAU));
/// assert!(outcome.score() > candidates.infer(&images.view(), 1)?.score());
/// # Ok::<(), umid_baselines::BaselineError>(())
/// ```
#[derive(Debug, Clone)]
pub struct IdentityCandidates {
    /// `[prompts, candidates, dim]`, rows at length 1.
    names: Array3<f32>,
}

/// How often a person's images led to the true name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IdentityOutcome {
    /// Prompts whose answer is the true name.
    pub right_prompts: usize,
    /// Prompts asked.
    pub prompts: usize,
    /// Share of (prompt, image) predictions that are the true name.
    pub right_share: f64,
}

impl IdentityCandidates {
    /// Normalises the embeddings.
    ///
    /// # Shapes
    /// `[prompts, candidates, dim]`, normalised or not.
    ///
    /// # Errors
    /// When there is no prompt, fewer than two candidates, or an embedding that is not finite or
    /// has length zero.
    pub fn new(candidates: &ArrayView3<'_, f32>) -> Result<Self> {
        checks::at_least("prompts", 1, candidates.dim().0)?;
        checks::at_least("candidate names", 2, candidates.dim().1)?;
        let mut names = Array3::zeros(candidates.raw_dim());
        for (prompt, mut to) in candidates.outer_iter().zip(names.outer_iter_mut()) {
            to.assign(&checks::unit_rows("candidate embeddings", &prompt)?.mapv(|v| v as f32));
        }
        Ok(Self { names })
    }

    /// Asks every image of a person under every prompt.
    ///
    /// A candidate that ties exactly with another for an image's highest cosine is not predicted;
    /// candidate names should be distinct.
    ///
    /// # Shapes
    /// `images` `[images, dim]`, normalised or not.
    ///
    /// # Errors
    /// When there is no image, the widths differ, an embedding is not finite or has length zero,
    /// or `true_name` is no candidate's index.
    pub fn infer(&self, images: &ArrayView2<'_, f32>, true_name: usize) -> Result<IdentityOutcome> {
        Ok(self.infer_counts(images, true_name, &[images.nrows()])?.remove(0))
    }

    /// The outcomes for the first images alone, one for each of `counts`.
    ///
    /// # Shapes
    /// `images` `[images, dim]`, normalised or not.
    ///
    /// # Errors
    /// As [`Self::infer`], and when a count is 0 or above the number of images.
    pub fn infer_counts(
        &self,
        images: &ArrayView2<'_, f32>,
        true_name: usize,
        counts: &[usize],
    ) -> Result<Vec<IdentityOutcome>> {
        let (prompts, candidates, width) = self.names.dim();
        if true_name >= candidates {
            return Err(BaselineError::Argument {
                argument: "true_name",
                expected: "the index of a candidate",
                found: true_name as f64,
            });
        }
        checks::same_size("width of the image embeddings", width, images.ncols())?;
        let images = checks::unit_rows("image embeddings", images)?.mapv(|v| v as f32);
        if let Some(&count) = counts.iter().find(|count| !(1..=images.nrows()).contains(*count)) {
            return Err(BaselineError::Argument {
                argument: "counts",
                expected: "1 to the number of images",
                found: count as f64,
            });
        }
        // For each count: right prompts and right predictions.
        let mut right = vec![(0, 0); counts.len()];
        for names in self.names.axis_iter(Axis(0)) {
            let cosines = images.dot(&names.t());
            let predicted: Vec<Option<usize>> =
                cosines.outer_iter().map(|row| single_highest(row.iter().copied())).collect();
            for ((right_prompts, right), &count) in right.iter_mut().zip(counts) {
                let mut votes = vec![0usize; candidates];
                predicted[..count].iter().flatten().for_each(|name| votes[*name] += 1);
                *right += votes[true_name];
                let answer = single_highest(votes.iter().copied()).filter(|&name| votes[name] > 0);
                *right_prompts += usize::from(answer == Some(true_name));
            }
        }
        let outcome = |((right_prompts, right), count): ((usize, usize), &usize)| {
            let right_share = right as f64 / (prompts * count) as f64;
            IdentityOutcome { right_prompts, prompts, right_share }
        };
        Ok(right.into_iter().zip(counts).map(outcome).collect())
    }
}

impl IdentityOutcome {
    /// From 0 to 1, higher for members: ordered by the number of right prompts, then by the share
    /// of right predictions.
    pub fn score(&self) -> f64 {
        // A share of 1 means that every prompt is right, so it cannot overtake a higher count.
        (self.right_prompts as f64 + self.right_share) / (self.prompts + 1) as f64
    }

    /// The paper's decision: at least `tau` right prompts.
    pub fn is_member(&self, tau: usize) -> bool {
        self.right_prompts >= tau
    }
}

/// Index of the largest value, unless two share it.
fn single_highest<T: PartialOrd + Copy>(values: impl Iterator<Item = T>) -> Option<usize> {
    let mut best: Option<(usize, T)> = None;
    let mut tied = false;
    for (index, value) in values.enumerate() {
        match best {
            Some((_, highest)) if value < highest => {}
            Some((_, highest)) if value == highest => tied = true,
            _ => (best, tied) = (Some((index, value)), false),
        }
    }
    best.filter(|_| !tied).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array, stack};

    /// Three candidates along the axes of three dimensions, under two prompts; the second prompt
    /// exchanges the first two.
    fn candidates() -> IdentityCandidates {
        let plain = Array2::<f32>::eye(3);
        let exchanged = plain.select(Axis(0), &[1, 0, 2]);
        let both = stack(Axis(0), &[plain.view(), exchanged.view()]).expect("same shape");
        IdentityCandidates::new(&both.view()).expect("usable")
    }

    #[test]
    fn there_are_21_distinct_prompts_with_one_name_each() {
        assert!(PROMPTS.iter().all(|prompt| prompt.matches("{}").count() == 1));
        for (i, prompt) in PROMPTS.iter().enumerate() {
            assert!(!PROMPTS[..i].contains(prompt), "{prompt}");
        }
    }

    #[test]
    fn the_majority_of_images_answers_for_a_prompt() {
        let images = array![[1.0f32, 0.1, 0.0], [5.0, 0.1, 0.2], [0.0, 1.0, 0.1]];
        let outcome = candidates().infer(&images.view(), 0).expect("usable");
        // Prompt 1: two images of three say candidate 0; prompt 2: one of three.
        assert_eq!(outcome, IdentityOutcome { right_prompts: 1, prompts: 2, right_share: 0.5 });
        assert!(outcome.is_member(1) && !outcome.is_member(2));
        assert!((outcome.score() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_count_looks_at_the_first_images_alone() {
        let images = array![[1.0f32, 0.1, 0.0], [0.0, 1.0, 0.1], [0.1, 1.0, 0.0]];
        let known = candidates();
        let outcomes = known.infer_counts(&images.view(), 0, &[1, 2, 3]).expect("usable");
        for (outcome, count) in outcomes.iter().zip(1..) {
            let first = images.slice(ndarray::s![..count, ..]);
            assert_eq!(*outcome, known.infer(&first, 0).expect("usable"));
        }
        // One image: right by the first prompt. Three: two of them say candidate 1, which the
        // second prompt calls candidate 0.
        assert_eq!((outcomes[0].right_prompts, outcomes[2].right_prompts), (1, 1));
        assert!((outcomes[2].right_share - 0.5).abs() < 1e-12);
        for bad in [0, 4] {
            let result = known.infer_counts(&images.view(), 0, &[bad]);
            assert!(matches!(result, Err(BaselineError::Argument { argument: "counts", .. })));
        }
    }

    #[test]
    fn a_tie_answers_nothing_but_still_counts_its_predictions() {
        let images = array![[1.0f32, 0.0, 0.0], [0.0, 1.0, 0.0]];
        let outcome = candidates().infer(&images.view(), 0).expect("usable");
        assert_eq!(outcome, IdentityOutcome { right_prompts: 0, prompts: 2, right_share: 0.5 });
        // An image between two candidates predicts neither.
        let between = array![[1.0f32, 1.0, 0.0]];
        let outcome = candidates().infer(&between.view(), 0).expect("usable");
        assert_eq!((outcome.right_prompts, outcome.right_share), (0, 0.0));
    }

    #[test]
    fn the_score_orders_by_prompts_first() {
        let outcome = |right_prompts, right_share| {
            IdentityOutcome { right_prompts, prompts: 21, right_share }.score()
        };
        assert!(outcome(2, 0.1) > outcome(1, 0.9));
        assert!(outcome(1, 0.2) > outcome(1, 0.1));
        assert_eq!((outcome(0, 0.0), outcome(21, 1.0)), (0.0, 1.0));
    }

    #[test]
    fn bad_input_is_refused() {
        let known = candidates();
        let image = array![[1.0f32, 0.0, 0.0]];
        let result = known.infer(&image.view(), 3);
        assert!(matches!(result, Err(BaselineError::Argument { argument: "true_name", .. })));
        let result = known.infer(&array![[1.0f32]].view(), 0);
        assert!(matches!(result, Err(BaselineError::Size { .. })));
        let result = known.infer(&Array2::zeros((0, 3)).view(), 0);
        assert!(matches!(result, Err(BaselineError::TooFew { .. })));
        let single = IdentityCandidates::new(&Array3::ones((1, 1, 3)).view());
        assert!(matches!(single, Err(BaselineError::TooFew { .. })));
        let zero = IdentityCandidates::new(&Array3::zeros((1, 2, 3)).view());
        assert!(matches!(zero, Err(BaselineError::ZeroRow { .. })));
    }
}
