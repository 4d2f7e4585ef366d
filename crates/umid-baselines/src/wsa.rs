//! Weakly supervised attack: Ko, Jin, Wang and Jia, ICCV 2023 (code reds-lab/CLIP-MIA).
//!
//! Pairs that are known not to be in the training set (published after the model, say) give a
//! threshold, the mean of their cosines plus lambda deviations. Pairs of an unlabelled pool at or
//! above it are called pseudo-members, and a classifier is trained on pseudo-members against the
//! known non-members; its output is the score.
//!
//! **The pseudo-labels come from a pool that holds members and non-members like those under
//! test**; that is how the paper defines the attack. Where the pool *is* the list under test, a
//! query's own cosine takes part in the training of what scores it. Use a pool apart from it
//! where there are enough pairs, and say in a result which it was.
//!
//! Differences from the authors' code: their classifier is a network of three hidden layers on
//! `[image, text]`, trained on as many pairs of one class as of the other, with an early stop; ours is a
//! logistic regression on all of them, without randomness. A linear function of `[image, text]`
//! cannot see how well the two agree, so the cosine, standardised by the known non-members', is a
//! further feature.
//!
//! **Needs** images of the queried person, known non-member pairs and a pool. **Costs** one forward
//! pass of each tower per pair (queries, non-members and pool alike); no gradient, no reference
//! model.

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};

use crate::checks;
use crate::error::{BaselineError, Result};
use crate::gaussian::Gaussian;
use crate::logistic::Logistic;

/// The default of the authors' code; they search -2.5 to 2.5.
const LAMBDA: f64 = 1.5;
/// Pseudo-members below which a classifier of `2 dim` features is refused. A low bar: with so few
/// the classifier learns next to nothing.
const FEWEST_PSEUDO_MEMBERS: usize = 5;

/// Embeddings of texts and of their images, row by row; normalised or not.
#[derive(Debug, Clone, Copy)]
pub struct Pairs<'a> {
    /// `[pairs, dim]`.
    pub texts: ArrayView2<'a, f32>,
    /// `[pairs, dim]`.
    pub images: ArrayView2<'a, f32>,
}

/// The attack's settings.
///
/// ```
/// use ndarray::Array2;
/// use umid_baselines::{Pairs, WeaklySupervised};
///
/// // Texts are all alike; an image is turned away from its text by an angle.
/// let texts = Array2::from_shape_fn((30, 2), |(_, column)| if column == 0 { 1.0 } else { 0.0 });
/// let turned = |least: f32| Array2::from_shape_fn((30, 2), |(row, column)| {
///     let angle = least + row as f32 / 60.0;
///     if column == 0 { angle.cos() } else { angle.sin() }
/// });
/// let (far, near) = (turned(0.9), turned(0.2));
/// let non_members = Pairs { texts: texts.view(), images: far.view() };
/// let pool = Pairs { texts: texts.view(), images: near.view() };
/// let model = WeaklySupervised::default().fit(&non_members, &pool)?;
/// let member = model.score(&pool)?[0];
/// assert!(member > model.score(&non_members)?[29]);
/// # Ok::<(), umid_baselines::BaselineError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WeaklySupervised {
    /// Deviations above the mean cosine of known non-members at which a pool pair becomes a
    /// pseudo-member.
    pub lambda: f64,
    /// scikit-learn's C of the classifier.
    pub inverse_penalty: f64,
}

impl Default for WeaklySupervised {
    fn default() -> Self {
        Self { lambda: LAMBDA, inverse_penalty: 1.0 }
    }
}

/// The fitted classifier.
#[derive(Debug, Clone)]
pub struct WeaklySupervisedModel {
    width: usize,
    non_member_cosines: Gaussian,
    threshold: f64,
    pseudo_members: usize,
    classifier: Logistic,
}

impl WeaklySupervised {
    /// Labels the pool and trains the classifier.
    ///
    /// # Errors
    /// When a setting is outside its range, sizes differ, an embedding is not finite or has length
    /// zero, the known non-members' cosines do not vary, or fewer than 5 pool pairs reach the
    /// threshold.
    pub fn fit(&self, non_members: &Pairs<'_>, pool: &Pairs<'_>) -> Result<WeaklySupervisedModel> {
        if !self.lambda.is_finite() {
            let (argument, expected) = ("lambda", "a finite number");
            return Err(BaselineError::Argument { argument, expected, found: self.lambda });
        }
        let known = UnitPairs::new(non_members)?;
        let pool = UnitPairs::new(pool)?;
        checks::same_size("width of the pool's embeddings", known.width(), pool.width())?;
        let what = "cosines of the known non-members";
        let non_member_cosines =
            Gaussian::fit(&known.cosines.to_vec()).ok_or(BaselineError::NoSpread { what })?;
        let threshold = non_member_cosines.mean + self.lambda * non_member_cosines.deviation;
        let chosen: Vec<usize> =
            (0..pool.cosines.len()).filter(|&pair| pool.cosines[pair] >= threshold).collect();
        let what = "pool pairs at or above the threshold";
        checks::at_least(what, FEWEST_PSEUDO_MEMBERS, chosen.len())?;
        let pseudo = pool.features(&non_member_cosines).select(Axis(0), &chosen);
        let known = known.features(&non_member_cosines);
        let labels: Vec<bool> =
            (0..pseudo.nrows() + known.nrows()).map(|row| row < pseudo.nrows()).collect();
        let records = stack(Axis(0), &[pseudo.view(), known.view()]);
        Ok(WeaklySupervisedModel {
            width: pool.width(),
            non_member_cosines,
            threshold,
            pseudo_members: chosen.len(),
            classifier: Logistic::fit(&records.view(), &labels, self.inverse_penalty)?,
        })
    }
}

impl WeaklySupervisedModel {
    /// Log odds of being a pseudo-member; higher for members.
    ///
    /// # Errors
    /// When sizes differ, or an embedding is not finite or has length zero.
    pub fn score(&self, queries: &Pairs<'_>) -> Result<Vec<f64>> {
        let queries = UnitPairs::new(queries)?;
        checks::same_size("width of the queries' embeddings", self.width, queries.width())?;
        let features = queries.features(&self.non_member_cosines);
        Ok(features.outer_iter().map(|row| self.classifier.decide(&row)).collect())
    }

    /// The cosine from which a pool pair was a pseudo-member.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Pool pairs that became pseudo-members.
    pub fn pseudo_members(&self) -> usize {
        self.pseudo_members
    }
}

/// Checked pairs at length 1, with their cosines.
struct UnitPairs {
    texts: Array2<f64>,
    images: Array2<f64>,
    cosines: Array1<f64>,
}

impl UnitPairs {
    fn new(pairs: &Pairs<'_>) -> Result<Self> {
        checks::same_size("images of a list of pairs", pairs.texts.nrows(), pairs.images.nrows())?;
        checks::same_size("width of image embeddings", pairs.texts.ncols(), pairs.images.ncols())?;
        let texts = checks::unit_rows("text embeddings", &pairs.texts)?;
        let images = checks::unit_rows("image embeddings", &pairs.images)?;
        let cosines = (&texts * &images).sum_axis(Axis(1));
        Ok(Self { texts, images, cosines })
    }

    fn width(&self) -> usize {
        self.texts.ncols()
    }

    /// Image, text and their cosine in deviations of the known non-members', side by side.
    fn features(&self, known: &Gaussian) -> Array2<f64> {
        let cosines = self.cosines.mapv(|c| known.z(c)).insert_axis(Axis(1));
        stack(Axis(1), &[self.images.view(), self.texts.view(), cosines.view()])
    }
}

fn stack(axis: Axis, parts: &[ArrayView2<'_, f64>]) -> Array2<f64> {
    concatenate(axis, parts).expect("parts agree in the other axis")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{array, s};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Random texts; images lean towards their text by `pull`.
    fn pairs(count: usize, pull: f32, seed: u64) -> (Array2<f32>, Array2<f32>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut noise = || Array2::from_shape_simple_fn((count, 8), || rng.random::<f32>() - 0.5);
        let texts = noise();
        let images = &texts * pull + noise();
        (texts, images)
    }

    fn view(pairs: &(Array2<f32>, Array2<f32>)) -> Pairs<'_> {
        Pairs { texts: pairs.0.view(), images: pairs.1.view() }
    }

    fn mean(scores: &[f64]) -> f64 {
        scores.iter().sum::<f64>() / scores.len() as f64
    }

    #[test]
    fn members_of_a_fresh_list_score_higher() {
        let known = pairs(200, 0.3, 1);
        let (members, others) = (pairs(100, 1.5, 2), pairs(100, 0.3, 3));
        let pool = (
            concatenate![Axis(0), members.0, others.0],
            concatenate![Axis(0), members.1, others.1],
        );
        let model = WeaklySupervised::default().fit(&view(&known), &view(&pool)).expect("fits");
        assert!((20..150).contains(&model.pseudo_members()), "{}", model.pseudo_members());
        let score = |list: &(Array2<f32>, Array2<f32>)| model.score(&view(list)).expect("usable");
        let (fresh_members, fresh_others) = (pairs(100, 1.5, 4), pairs(100, 0.3, 5));
        assert!(mean(&score(&fresh_members)) > mean(&score(&fresh_others)) + 1.0);
    }

    #[test]
    fn the_threshold_is_lambda_deviations_above_the_mean() {
        let known = (array![[1.0f32, 0.0], [1.0, 0.0]], array![[1.0f32, 0.0], [0.0, 1.0]]);
        let pool = (array![[1.0f32, 0.0]], array![[1.0f32, 0.0]]);
        let attack = WeaklySupervised { lambda: 0.5, ..WeaklySupervised::default() };
        // Cosines 1 and 0: mean 0.5, deviation sqrt(0.5); 0.854 is below the pool's single cosine.
        let few = attack.fit(&view(&known), &view(&pool));
        assert!(matches!(few, Err(BaselineError::TooFew { found: 1, .. })), "{few:?}");
        let five = pool.1.broadcast((5, 2)).expect("rows").to_owned();
        let pool = Pairs { texts: five.view(), images: five.view() };
        let model = attack.fit(&view(&known), &pool).expect("fits");
        assert!((model.threshold() - (0.5 + 0.5 * 0.5f64.sqrt())).abs() < 1e-12);
    }

    #[test]
    fn bad_input_is_refused() {
        let known = pairs(20, 0.3, 1);
        let pool = pairs(20, 3.0, 2);
        let attack = WeaklySupervised { lambda: f64::NAN, ..WeaklySupervised::default() };
        let result = attack.fit(&view(&known), &view(&pool));
        assert!(matches!(result, Err(BaselineError::Argument { argument: "lambda", .. })));
        let attack = WeaklySupervised::default();
        let uneven = Pairs { texts: known.0.view(), images: known.1.slice(s![..19, ..]) };
        assert!(matches!(attack.fit(&uneven, &view(&pool)), Err(BaselineError::Size { .. })));
        let same = Pairs { texts: known.0.view(), images: known.0.view() };
        let result = attack.fit(&same, &view(&pool));
        // Cosines of 1 differ by round-off at most, so either check may refuse them.
        assert!(result.is_err(), "{result:?}");
        let attack = WeaklySupervised { lambda: 0.5, ..attack };
        let model = attack.fit(&view(&known), &view(&pool)).expect("fits");
        let narrow =
            Pairs { texts: known.0.slice(s![.., ..4]), images: known.1.slice(s![.., ..4]) };
        assert!(matches!(model.score(&narrow), Err(BaselineError::Size { .. })));
    }
}
