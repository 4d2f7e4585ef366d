//! How little the embedding of a name depends on the template around it.

use ndarray::{ArrayView2, Axis};

use super::TextSignal;
use crate::card::OWN;
use crate::siblings::Shares;
use crate::{Basis, Card, Direction, Result, UnitRows};

/// Agreement of the embeddings.
pub static TEMPLATE_AGREEMENT: TextSignal = TextSignal::new(
    Card {
        name: "template_agreement",
        definition: "mean cosine between the embeddings of one name in two templates",
        direction: Direction::HigherIsMember,
        basis: Basis::Name,
        source: OWN,
        version: 1,
    },
    |name| template_agreement(name.embeddings()),
);

/// [`TEMPLATE_AGREEMENT`] against siblings.
pub static TEMPLATE_AGREEMENT_CALIBRATED: TextSignal = TextSignal::calibrated(
    &TEMPLATE_AGREEMENT,
    Shares::HALVES,
    "template_agreement_calibrated",
    "template_agreement minus half the mean of each group of siblings",
);

/// The mean cosine between the embeddings of one name in two different templates, (T, d), normalised
/// or not; `None` below two.
pub(super) fn template_agreement(templates: ArrayView2<'_, f32>) -> Result<Option<f64>> {
    let directions = UnitRows::new("template embeddings", templates)?.directions();
    let templates = directions.nrows();
    if templates < 2 {
        return Ok(None);
    }
    // Every ordered pair, those of a row with itself included, adds up to |sum_t u_t|^2.
    let sum = directions.sum_axis(Axis(0));
    let of_itself: f64 = directions.iter().map(|value| value * value).sum();
    let pairs = (templates * (templates - 1)) as f64;
    Ok(Some((sum.dot(&sum) - of_itself) / pairs))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, arr2};
    use proptest::prelude::*;

    use super::*;
    use crate::Error;

    /// f64 sums of a few dozen values of order one.
    const ROUND_OFF: f64 = 1e-12;
    /// Multiplying an f32 embedding by a factor rounds each coordinate by up to 2^-24.
    const F32_ROUND_OFF: f64 = 1e-6;

    #[test]
    fn a_single_template_has_no_agreement() {
        assert_eq!(template_agreement(arr2(&[[1.0, 0.0]]).view()).unwrap(), None);
        let three = arr2(&[[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]);
        let agreement = template_agreement(three.view()).unwrap().unwrap();
        assert!((agreement - 1.0 / 3.0).abs() < ROUND_OFF);
    }

    #[test]
    fn a_broken_embedding_is_named() {
        assert!(matches!(
            template_agreement(arr2(&[[1.0], [f32::NAN]]).view()),
            Err(Error::NotFinite { at, .. }) if at == [1, 0]
        ));
    }

    /// Six embeddings away from the origin.
    fn embeddings() -> impl Strategy<Value = Array2<f32>> {
        prop::collection::vec(0.1f32..1.0, 6 * 4)
            .prop_map(|values| Array2::from_shape_vec((6, 4), values).expect("6 x 4 values"))
    }

    proptest! {
        #[test]
        fn agreement_is_the_mean_over_pairs(rows in embeddings()) {
            let unit = UnitRows::new("rows", rows.view())?;
            let mut cosines = Vec::new();
            for i in 0..6 {
                cosines.extend((0..i).map(|j| unit.cosine(i, &unit, j)));
            }
            let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
            let agreement = template_agreement(rows.view())?.unwrap();
            prop_assert!((agreement - mean).abs() < ROUND_OFF);
        }

        #[test]
        fn order_and_length_of_embeddings_do_not_matter(
            rows in embeddings(),
            factor in 0.01f32..100.0,
        ) {
            let mut other = rows.select(Axis(0), &[0, 5, 2, 4, 3, 1]);
            let agreement = |rows: &Array2<f32>| template_agreement(rows.view()).map(Option::unwrap);
            prop_assert!((agreement(&rows)? - agreement(&other)?).abs() < ROUND_OFF);
            other.row_mut(1).mapv_inplace(|value| value * factor);
            prop_assert!((agreement(&rows)? - agreement(&other)?).abs() < F32_ROUND_OFF);
        }
    }
}
