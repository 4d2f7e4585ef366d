//! The plain bank: how close a text lies to some of many public inputs of the model's domain.
//!
//! score(t) = logsumexp_j tau cos(t, e_j) over the embeddings e_j of public inputs (images or
//! recordings of people who are neither members nor queried). With tau the model's own scale this
//! is the logarithm of the unnormalised probability mass that the model's contrastive softmax
//! (CLIP, arXiv 2103.00020) gives to the bank. [`crate::csls`] corrects it for hubs.

use ndarray::{Array1, ArrayView2};

use crate::{
    CslsBank, Result, UnitRows, checks, log_sum_exp::LogSumExp, unit::for_each_cosine_tile,
};

/// Embeddings of public inputs, checked and ready to be compared with texts.
///
/// ```
/// use ndarray::arr2;
/// use umid_signals::Bank;
///
/// let bank = Bank::new(arr2(&[[2.0, 0.0], [0.0, 2.0]]).view())?;
/// let queries = arr2(&[[1.0, 0.0], [-1.0, -1.0]]);
/// let scores = bank.scores(queries.view(), 10.0)?;
/// assert!((scores[0] - (10f64.exp() + 1.0).ln()).abs() < 1e-12);
/// assert!(scores[0] > scores[1]);
/// # Ok::<(), umid_signals::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Bank {
    inputs: UnitRows,
}

impl Bank {
    /// Takes the embeddings of public inputs, raw or normalised.
    ///
    /// # Shapes
    /// `embeddings` (N, d).
    ///
    /// # Errors
    /// No row, or a row that is not finite or has length zero.
    pub fn new(embeddings: ArrayView2<'_, f32>) -> Result<Self> {
        checks::at_least(1, "bank embeddings", embeddings.nrows())?;
        Ok(Self { inputs: UnitRows::new("bank embeddings", embeddings)? })
    }

    /// Number of inputs N.
    #[expect(clippy::len_without_is_empty, reason = "a bank is never empty")]
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// The plain bank score of each query: logsumexp_j scale * cos(t, e_j), the raw value of
    /// [`crate::text::BANK`].
    ///
    /// The sum is not divided by N, so scores of banks of two sizes do not compare. A query's
    /// score does not depend on the queries beside it. Memory beyond the arguments is bounded
    /// whatever Q and N.
    ///
    /// # Shapes
    /// `queries` (Q, d), raw or normalised, gives (Q).
    ///
    /// # Errors
    /// A query that is not finite or has length zero, another width than the bank's, or a scale
    /// that is not a positive number.
    pub fn scores(&self, queries: ArrayView2<'_, f32>, scale: f64) -> Result<Array1<f64>> {
        let queries = self.check(queries, scale)?;
        Ok(self.log_sum_exp(&queries, |_, _, cosine| scale * cosine))
    }

    /// Adds the correction for hubs: each input's closeness to `reference` texts.
    ///
    /// # Shapes
    /// `reference` (R, d), raw or normalised.
    ///
    /// # Errors
    /// See [`CslsBank::new`].
    pub fn with_hubness(self, reference: ArrayView2<'_, f32>) -> Result<CslsBank> {
        CslsBank::new(self, reference)
    }

    pub(crate) fn inputs(&self) -> &UnitRows {
        &self.inputs
    }

    pub(crate) fn check(&self, queries: ArrayView2<'_, f32>, scale: f64) -> Result<UnitRows> {
        checks::scale(scale)?;
        let queries = UnitRows::new("query embeddings", queries)?;
        self.inputs.check_width("query embeddings", &queries)?;
        Ok(queries)
    }

    /// Log-sum-exp over bank inputs of `exponent(query, input, cosine)`, for each query.
    pub(crate) fn log_sum_exp(
        &self,
        queries: &UnitRows,
        exponent: impl Fn(usize, usize, f64) -> f64,
    ) -> Array1<f64> {
        let mut totals = vec![LogSumExp::EMPTY; queries.len()];
        for_each_cosine_tile(queries, &self.inputs, |first_query, first_input, cosines| {
            for ((row, column), &cosine) in cosines.indexed_iter() {
                let (query, input) = (first_query + row, first_input + column);
                totals[query].add(exponent(query, input, cosine));
            }
        });
        totals.into_iter().map(LogSumExp::value).collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis, arr2, s};
    use proptest::prelude::*;

    use super::*;
    use crate::Error;

    /// f64 sums of a few dozen terms, times a scale of 100.
    const ROUND_OFF: f64 = 1e-9;
    /// An f32 coordinate times a factor is off by 2^-24, and the scale of 100 multiplies that.
    const F32_ROUND_OFF: f64 = 1e-4;
    const SCALE: f64 = 100.0;

    #[test]
    fn broken_inputs_are_errors() {
        assert!(matches!(Bank::new(Array2::zeros((0, 2)).view()), Err(Error::TooFew { .. })));
        assert!(matches!(
            Bank::new(arr2(&[[1.0, 0.0], [0.0, 0.0]]).view()),
            Err(Error::ZeroRow { row: 1, .. })
        ));
        let bank = Bank::new(arr2(&[[1.0, 0.0]]).view()).unwrap();
        assert!(matches!(
            bank.scores(arr2(&[[1.0, 0.0], [f32::NAN, 0.0]]).view(), SCALE),
            Err(Error::NotFinite { at, .. }) if at == [1, 0]
        ));
        assert!(matches!(
            bank.scores(arr2(&[[1.0]]).view(), SCALE),
            Err(Error::Mismatch { expected: 2, found: 1, .. })
        ));
        assert!(matches!(
            bank.scores(arr2(&[[1.0, 0.0]]).view(), f64::NAN),
            Err(Error::OutOfRange { .. })
        ));
    }

    #[test]
    fn no_query_gives_no_score() {
        let bank = Bank::new(arr2(&[[1.0, 0.0]]).view()).unwrap();
        let scores = bank.scores(Array2::zeros((0, 2)).view(), SCALE).unwrap();
        assert!(scores.is_empty());
    }

    #[test]
    fn an_enormous_scale_does_not_overflow() {
        let bank = Bank::new(arr2(&[[1.0, 0.0], [1.0, 0.0]]).view()).unwrap();
        let queries = arr2(&[[1.0, 0.0], [-1.0, 0.0]]);
        let scores = bank.scores(queries.view(), 1e6).unwrap();
        assert!((scores[0] - (1e6 + 2f64.ln())).abs() < ROUND_OFF);
        assert!((scores[1] - (-1e6 + 2f64.ln())).abs() < ROUND_OFF);
    }

    fn embeddings(rows: usize) -> impl Strategy<Value = Array2<f32>> {
        prop::collection::vec(prop_oneof![-1.0f32..-0.1, 0.1f32..1.0], rows * 6)
            .prop_map(move |values| Array2::from_shape_vec((rows, 6), values).expect("rows x 6"))
    }

    /// False for two lengths and for a NaN.
    fn close(a: &Array1<f64>, b: &Array1<f64>, tolerance: f64) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < tolerance)
    }

    proptest! {
        #[test]
        fn a_batch_scores_as_its_queries_one_by_one(
            bank in embeddings(20),
            queries in embeddings(7),
        ) {
            let bank = Bank::new(bank.view())?;
            let together = bank.scores(queries.view(), SCALE)?;
            prop_assert_eq!(together.len(), queries.nrows());
            for (i, &score) in together.iter().enumerate() {
                let alone = bank.scores(queries.slice(s![i..=i, ..]), SCALE)?;
                prop_assert_eq!(alone[0].to_bits(), score.to_bits());
            }
        }

        #[test]
        fn it_agrees_with_the_definition(bank in embeddings(9), queries in embeddings(3)) {
            let scores = Bank::new(bank.view())?.scores(queries.view(), 2.0)?;
            prop_assert_eq!(scores.len(), queries.nrows());
            let bank = UnitRows::new("bank", bank.view())?;
            let queries = UnitRows::new("queries", queries.view())?;
            for (i, &score) in scores.iter().enumerate() {
                let exponentials = (0..9).map(|j| (2.0 * queries.cosine(i, &bank, j)).exp());
                prop_assert!((score - exponentials.sum::<f64>().ln()).abs() < ROUND_OFF);
            }
        }

        #[test]
        fn order_and_length_of_inputs_do_not_matter(
            inputs in embeddings(8),
            queries in embeddings(3),
            factor in 0.01f32..100.0,
        ) {
            let mut other = inputs.select(Axis(0), &[7, 2, 1, 0, 6, 5, 3, 4]);
            let score = |inputs: &Array2<f32>| Bank::new(inputs.view())?.scores(queries.view(), SCALE);
            prop_assert!(close(&score(&inputs)?, &score(&other)?, ROUND_OFF));
            other.row_mut(2).mapv_inplace(|value| value * factor);
            prop_assert!(close(&score(&inputs)?, &score(&other)?, F32_ROUND_OFF));
        }
    }
}
