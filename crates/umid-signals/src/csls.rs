//! The bank corrected for hubs: an input that is close to every name says little about one.
//!
//! score(t) = logsumexp_j tau (2 cos(t, e_j) - h_j), where h_j is the mean cosine of bank input j
//! to its 10 nearest reference texts. This is the cross-domain similarity local scaling of Conneau
//! et al. (arXiv 1710.04087), without the query's own neighbourhood term, which is the same for
//! every j and would take the signal itself away.

use ndarray::{Array1, ArrayView2};

use crate::{
    Bank, Result, UnitRows, checks,
    unit::{for_each_cosine_tile, keep_largest},
};

/// Reference texts that make up h_j; the neighbourhood size of Conneau et al.
pub const HUB_NEIGHBOURS: usize = 10;

/// Entries kept an input: its neighbours, and the one that steps in when one of them is left out.
const KEPT: usize = HUB_NEIGHBOURS + 1;

/// A [`Bank`] that knows how close each of its inputs lies to reference texts.
///
/// Reference texts are plausible names that cannot be members, in the template of the queries: at
/// least 100, better 400; gibberish makes the score worse. A reference text that is scored itself, to
/// learn a scale from it, must not have pulled down its own score: use
/// [`CslsBank::scores_without_reference`].
///
/// ```
/// use ndarray::Array2;
/// use umid_signals::Bank;
///
/// let directions = |rows: usize, shift: usize| {
///     Array2::from_shape_fn((rows, 4), |(i, k)| ((i + shift) as f32 * 0.7 + k as f32).sin())
/// };
/// let bank = Bank::new(directions(30, 1).view())?.with_hubness(directions(20, 5).view())?;
/// let scores = bank.scores(directions(2, 9).view(), 100.0)?;
/// assert_eq!(scores.len(), 2);
/// let own = bank.scores_without_reference(directions(1, 5).view(), 100.0, 0)?;
/// assert!(own[0] > bank.scores(directions(1, 5).view(), 100.0)?[0]);
/// # Ok::<(), umid_signals::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct CslsBank {
    bank: Bank,
    reference: UnitRows,
    /// For each input, its largest cosines with the reference, in descending order.
    nearest: Vec<[f64; KEPT]>,
    /// (N): h_j.
    hubness: Array1<f64>,
}

impl CslsBank {
    /// Measures how close the inputs of `bank` lie to `reference`.
    ///
    /// # Shapes
    /// `reference` (R, d), raw or normalised, R >= 11: ten neighbours, and one to leave out.
    ///
    /// # Errors
    /// Fewer than 11 reference texts, a row that is not finite or has length zero, or another
    /// width than the bank's.
    pub fn new(bank: Bank, reference: ArrayView2<'_, f32>) -> Result<Self> {
        checks::at_least(KEPT, "reference texts", reference.nrows())?;
        let reference = UnitRows::new("reference embeddings", reference)?;
        let inputs = bank.inputs();
        inputs.check_width("reference embeddings", &reference)?;

        let mut nearest = vec![[f64::NEG_INFINITY; KEPT]; inputs.len()];
        for_each_cosine_tile(&reference, inputs, |_, first_input, cosines| {
            for ((_, column), &cosine) in cosines.indexed_iter() {
                keep_largest(&mut nearest[first_input + column], cosine);
            }
        });
        let hubness = nearest
            .iter()
            .map(|nearest| nearest[..HUB_NEIGHBOURS].iter().sum::<f64>() / HUB_NEIGHBOURS as f64)
            .collect();
        Ok(Self { bank, reference, nearest, hubness })
    }

    /// The bank without the correction.
    pub fn bank(&self) -> &Bank {
        &self.bank
    }

    /// h_j of every bank input, (N).
    pub fn hubness(&self) -> &Array1<f64> {
        &self.hubness
    }

    /// The corrected score of each query, the raw value of [`crate::text::BANK_CSLS`].
    ///
    /// Batching and memory are as for [`Bank::scores`].
    ///
    /// # Shapes
    /// `queries` (Q, d), raw or normalised, gives (Q).
    ///
    /// # Errors
    /// As for [`Bank::scores`].
    pub fn scores(&self, queries: ArrayView2<'_, f32>, scale: f64) -> Result<Array1<f64>> {
        let queries = self.bank.check(queries, scale)?;
        Ok(self
            .bank
            .log_sum_exp(&queries, |_, input, cosine| scale * (2.0 * cosine - self.hubness[input])))
    }

    /// The corrected score of each query with one reference text left out of every h_j: what
    /// [`CslsBank::scores`] would say, had row `reference_row` not been a reference text. For that
    /// text itself and for its siblings.
    ///
    /// # Shapes
    /// `queries` (Q, d), raw or normalised, gives (Q).
    ///
    /// # Errors
    /// As for [`Bank::scores`], and a row that the reference does not have.
    pub fn scores_without_reference(
        &self,
        queries: ArrayView2<'_, f32>,
        scale: f64,
        reference_row: usize,
    ) -> Result<Array1<f64>> {
        checks::index("the reference row", reference_row, self.reference.len())?;
        let queries = self.bank.check(queries, scale)?;
        let hubness = self.hubness_without(reference_row);
        Ok(self
            .bank
            .log_sum_exp(&queries, |_, input, cosine| scale * (2.0 * cosine - hubness[input])))
    }

    /// h_j of every bank input without one reference text, (N).
    fn hubness_without(&self, reference_row: usize) -> Vec<f64> {
        let mut hubness = self.hubness.to_vec();
        let reference = self.reference.one(reference_row);
        for_each_cosine_tile(&reference, self.bank.inputs(), |_, first_input, cosines| {
            for ((_, column), &cosine) in cosines.indexed_iter() {
                let input = first_input + column;
                let nearest = &self.nearest[input];
                // Cosines of one pair are equal to the bit, whichever tile they come from.
                if cosine >= nearest[HUB_NEIGHBOURS - 1] {
                    hubness[input] += (nearest[HUB_NEIGHBOURS] - cosine) / HUB_NEIGHBOURS as f64;
                }
            }
        });
        hubness
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
    const SCALE: f64 = 100.0;
    const REFERENCES: usize = 14;

    #[test]
    fn hubness_is_the_mean_over_the_ten_nearest() {
        // Twelve references: eight along the input, four across it.
        let mut reference = Array2::<f32>::zeros((12, 2));
        reference.slice_mut(s![..8, 0]).fill(1.0);
        reference.slice_mut(s![8.., 1]).fill(1.0);
        let bank = Bank::new(arr2(&[[1.0, 0.0]]).view()).unwrap();
        let bank = bank.with_hubness(reference.view()).unwrap();
        assert!((bank.hubness()[0] - 0.8).abs() < ROUND_OFF);

        // cos = 1: 2 - 0.8. Without one of the eight, its place goes to one across: h = 0.7.
        let score = bank.scores(arr2(&[[3.0, 0.0]]).view(), 1.0).unwrap();
        assert!((score[0] - 1.2).abs() < ROUND_OFF);
        let own = |row: usize| {
            let text = reference.slice(s![row..=row, ..]);
            bank.scores_without_reference(text, 1.0, row).unwrap()[0]
        };
        assert!((own(0) - 1.3).abs() < ROUND_OFF);
        assert!((own(11) + 0.8).abs() < ROUND_OFF);
        assert!(matches!(
            bank.scores_without_reference(reference.view(), 1.0, 12),
            Err(Error::IndexOutOfRange { index: 12, len: 12, .. })
        ));
    }

    #[test]
    fn a_hub_counts_for_less_than_a_specific_input() {
        // Every reference lies along the first axis, so the first input is a hub.
        let mut reference = Array2::<f32>::zeros((REFERENCES, 2));
        reference.column_mut(0).fill(1.0);
        let inputs = arr2(&[[1.0, 0.0], [0.0, 1.0]]);
        let bank = Bank::new(inputs.view()).unwrap();
        let plain = bank.scores(inputs.view(), SCALE).unwrap();
        let corrected = bank.with_hubness(reference.view()).unwrap();
        let corrected = corrected.scores(inputs.view(), SCALE).unwrap();
        assert!((plain[0] - plain[1]).abs() < ROUND_OFF);
        assert!(corrected[0] < corrected[1]);
    }

    #[test]
    fn broken_references_are_errors() {
        let bank = || Bank::new(arr2(&[[1.0, 0.0]]).view()).unwrap();
        assert!(matches!(
            bank().with_hubness(Array2::ones((10, 2)).view()),
            Err(Error::TooFew { needed: 11, found: 10, .. })
        ));
        assert!(matches!(
            bank().with_hubness(Array2::ones((11, 3)).view()),
            Err(Error::Mismatch { .. })
        ));
        let mut infinite = Array2::ones((11, 2));
        infinite[[4, 1]] = f32::INFINITY;
        assert!(matches!(
            bank().with_hubness(infinite.view()),
            Err(Error::NotFinite { at, .. }) if at == [4, 1]
        ));
    }

    fn embeddings(rows: usize) -> impl Strategy<Value = Array2<f32>> {
        prop::collection::vec(prop_oneof![-1.0f32..-0.1, 0.1f32..1.0], rows * 5)
            .prop_map(move |values| Array2::from_shape_vec((rows, 5), values).expect("rows x 5"))
    }

    fn csls(inputs: &Array2<f32>, reference: ArrayView2<'_, f32>) -> Result<CslsBank> {
        Bank::new(inputs.view())?.with_hubness(reference)
    }

    proptest! {
        #[test]
        fn the_order_of_references_does_not_matter(
            inputs in embeddings(6),
            reference in embeddings(REFERENCES),
        ) {
            let shuffled: Vec<usize> = (0..REFERENCES).map(|row| row * 5 % REFERENCES).collect();
            let shuffled = reference.select(Axis(0), &shuffled);
            let ordered = csls(&inputs, reference.view())?;
            let shuffled = csls(&inputs, shuffled.view())?;
            prop_assert_eq!(ordered.hubness(), shuffled.hubness());
        }

        #[test]
        fn a_batch_scores_as_its_queries_one_by_one(
            inputs in embeddings(6),
            reference in embeddings(REFERENCES),
            queries in embeddings(5),
        ) {
            let bank = csls(&inputs, reference.view())?;
            let together = bank.scores(queries.view(), SCALE)?;
            prop_assert_eq!(together.len(), queries.nrows());
            for (i, &score) in together.iter().enumerate() {
                let alone = bank.scores(queries.slice(s![i..=i, ..]), SCALE)?;
                prop_assert_eq!(alone[0].to_bits(), score.to_bits());
            }
        }

        #[test]
        fn a_reference_text_can_be_left_out_as_if_it_had_never_been_one(
            inputs in embeddings(6),
            reference in embeddings(REFERENCES),
            queries in embeddings(3),
        ) {
            let bank = csls(&inputs, reference.view())?;
            for left_out in 0..REFERENCES {
                let others: Vec<usize> = (0..REFERENCES).filter(|&row| row != left_out).collect();
                let others = csls(&inputs, reference.select(Axis(0), &others).view())?;
                let own = reference.slice(s![left_out..=left_out, ..]);
                for texts in [own, queries.view()] {
                    let scores = bank.scores_without_reference(texts, SCALE, left_out)?;
                    let refitted = others.scores(texts, SCALE)?;
                    prop_assert_eq!(scores.len(), refitted.len());
                    for (score, refitted) in scores.iter().zip(&refitted) {
                        prop_assert!((score - refitted).abs() < ROUND_OFF);
                    }
                }
            }
        }
    }
}
