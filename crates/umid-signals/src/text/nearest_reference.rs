//! How close a name lies to the nearest reference names; a memorised name moves away from them.

use ndarray::{ArrayView1, Axis};

use super::TextSignal;
use crate::card::OWN;
use crate::{Basis, Card, Direction, Result, UnitRows, unit::keep_largest};

/// Nearest reference names that are averaged; the value measured in docs/method.md.
const NEIGHBOURS: usize = 5;

/// Cosine of the name's mean embedding with the nearest reference names.
pub static NEAREST_REFERENCE_COSINE: TextSignal = TextSignal::new(
    Card {
        name: "nearest_reference_cosine",
        definition: "mean cosine with the nearest reference texts",
        direction: Direction::LowerIsMember,
        basis: Basis::Reference,
        source: OWN,
        version: 1,
    },
    |name| {
        let (mean, reference) = (name.mean_embedding(), name.reference());
        nearest_reference_cosine(mean, reference, NEIGHBOURS, name.reference_row())
    },
);

/// The mean cosine with the `neighbours` nearest reference texts; `None` when there are fewer.
///
/// When the query is itself one of the reference texts (a reference scored for calibration),
/// `own_row` names its row and that row is left out; otherwise it would be its own nearest.
fn nearest_reference_cosine(
    embedding: ArrayView1<'_, f32>,
    reference: &UnitRows,
    neighbours: usize,
    own_row: Option<usize>,
) -> Result<Option<f64>> {
    const ARRAY: &str = "text embedding";
    let query = UnitRows::new(ARRAY, embedding.insert_axis(Axis(0)))?;
    reference.check_width(ARRAY, &query)?;

    let others = (0..reference.len()).filter(|&row| Some(row) != own_row);
    if others.clone().count() < neighbours {
        return Ok(None);
    }
    let mut nearest = vec![f64::NEG_INFINITY; neighbours];
    for row in others {
        keep_largest(&mut nearest, query.cosine(0, reference, row));
    }
    Ok(Some(nearest.iter().sum::<f64>() / neighbours as f64))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, ArrayView2, arr1, arr2, s};
    use proptest::prelude::*;

    use super::*;
    use crate::Error;

    /// f64 sums of a few dozen values of order one.
    const ROUND_OFF: f64 = 1e-12;
    /// Multiplying an f32 embedding by a factor rounds each coordinate by up to 2^-24.
    const F32_ROUND_OFF: f64 = 1e-6;

    #[test]
    fn too_few_references_give_no_number() {
        let reference = UnitRows::new("reference", arr2(&[[1.0], [2.0]]).view()).unwrap();
        let query = arr1(&[1.0]);
        let cosine = |k, own| nearest_reference_cosine(query.view(), &reference, k, own).unwrap();
        assert_eq!(cosine(2, None), Some(1.0));
        assert_eq!(cosine(3, None), None);
        assert_eq!(cosine(2, Some(1)), None);
    }

    #[test]
    fn a_reference_text_is_not_its_own_nearest() {
        let reference = arr2(&[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]);
        let reference = UnitRows::new("reference", reference.view()).unwrap();
        let query = arr1(&[2.0, 0.0]);
        let cosine = |own| nearest_reference_cosine(query.view(), &reference, 2, own).unwrap();
        assert_eq!(cosine(None), Some(0.5));
        assert_eq!(cosine(Some(0)), Some(-0.5));
    }

    #[test]
    fn broken_inputs_are_errors() {
        let reference = UnitRows::new("reference", arr2(&[[1.0], [2.0]]).view()).unwrap();
        let wide = arr1(&[1.0, 1.0]);
        assert!(matches!(
            nearest_reference_cosine(wide.view(), &reference, 1, None),
            Err(Error::Mismatch { found: 2, expected: 1, .. })
        ));
    }

    /// Six embeddings away from the origin.
    fn embeddings() -> impl Strategy<Value = Array2<f32>> {
        prop::collection::vec(0.1f32..1.0, 6 * 4)
            .prop_map(|values| Array2::from_shape_vec((6, 4), values).expect("6 x 4 values"))
    }

    fn nearest(query: ArrayView1<'_, f32>, reference: ArrayView2<'_, f32>) -> f64 {
        let reference = UnitRows::new("reference", reference).unwrap();
        nearest_reference_cosine(query, &reference, 3, None).unwrap().unwrap()
    }

    proptest! {
        #[test]
        fn order_and_length_of_embeddings_do_not_matter(
            rows in embeddings(),
            factor in 0.01f32..100.0,
        ) {
            let mut other = rows.select(Axis(0), &[0, 5, 2, 4, 3, 1]);
            let near = |rows: &Array2<f32>| nearest(rows.row(0), rows.slice(s![1.., ..]));
            prop_assert!((near(&rows) - near(&other)).abs() < ROUND_OFF);
            other.row_mut(1).mapv_inplace(|value| value * factor);
            other.row_mut(0).mapv_inplace(|value| value * factor);
            prop_assert!((near(&rows) - near(&other)).abs() < F32_ROUND_OFF);
        }
    }
}
