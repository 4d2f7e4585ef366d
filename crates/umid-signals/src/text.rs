//! Signals of text embeddings alone: no inversion, no input of the model's other modality.
//!
//! All three are this project's (docs/method.md). Their source is what a contrastive model does to
//! a name that it has seen often: its embedding gets longer, depends less on the template around
//! it, and moves away from the names around it.

use ndarray::{ArrayView1, ArrayView2, Axis};

use crate::{
    Error, Result, UnitRows, checks,
    unit::{keep_largest, norm},
};

/// Reference texts averaged by [`nearest_reference_cosine`]; the value measured in docs/method.md.
pub const DEFAULT_NEIGHBOURS: usize = 5;

/// The length of the text embedding before normalisation.
///
/// ```
/// use ndarray::arr1;
/// use umid_signals::text::text_norm;
///
/// assert_eq!(text_norm(arr1(&[3.0, 4.0]).view())?, 5.0);
/// # Ok::<(), umid_signals::Error>(())
/// ```
///
/// # Shapes
/// `embedding` (d), as the text tower gives it.
///
/// # Errors
/// A coordinate that is not finite, or a length of zero, which no working tower gives.
pub fn text_norm(embedding: ArrayView1<'_, f32>) -> Result<f64> {
    const ARRAY: &str = "text embedding";
    checks::finite(ARRAY, &embedding)?;
    let length = norm(embedding);
    if length == 0.0 {
        return Err(Error::ZeroRow { array: ARRAY, row: 0 });
    }
    Ok(length)
}

/// The mean cosine between the embeddings of one name in two different templates; `None` below two.
///
/// ```
/// use ndarray::arr2;
/// use umid_signals::text::template_agreement;
///
/// let templates = arr2(&[[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]);
/// let agreement = template_agreement(templates.view())?.unwrap();
/// assert!((agreement - 1.0 / 3.0).abs() < 1e-12);
/// # Ok::<(), umid_signals::Error>(())
/// ```
///
/// # Shapes
/// `template_embeddings` (T, d), normalised or not.
///
/// # Errors
/// A row that is not finite or has length zero.
pub fn template_agreement(template_embeddings: ArrayView2<'_, f32>) -> Result<Option<f64>> {
    let directions = UnitRows::new("template embeddings", template_embeddings)?.directions();
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

/// The mean over templates of the log length; higher for names that a model responds to strongly.
///
/// ```
/// use ndarray::arr2;
/// use umid_signals::text::log_norm;
///
/// let templates = arr2(&[[3.0, 4.0], [0.0, 5.0]]);
/// assert!((log_norm(templates.view())? - 5.0_f64.ln()).abs() < 1e-12);
/// # Ok::<(), umid_signals::Error>(())
/// ```
///
/// # Shapes
/// `templates` (T, d), T at least 1.
///
/// # Errors
/// No row, or one that is not finite or has length zero.
pub fn log_norm(templates: ArrayView2<'_, f32>) -> Result<f64> {
    checks::at_least(1, "templates", templates.nrows())?;
    let logs: Result<Vec<f64>> =
        templates.rows().into_iter().map(|row| text_norm(row).map(f64::ln)).collect();
    Ok(logs?.iter().sum::<f64>() / templates.nrows() as f64)
}

/// Disagreement of templates that is taken for none: below it lies round-off.
const LEAST_DISAGREEMENT: f64 = 1e-6;

/// [`template_agreement`] on a log scale, -ln(1 - agreement): agreements of .98 and .99 are as far
/// apart as .8 and .9. `None` below two templates.
///
/// ```
/// use ndarray::arr2;
/// use umid_signals::text::log_agreement;
///
/// let templates = arr2(&[[1.0, 0.0], [0.0, 1.0]]);
/// assert_eq!(log_agreement(templates.view())?, Some(0.0));
/// # Ok::<(), umid_signals::Error>(())
/// ```
///
/// # Shapes
/// `templates` (T, d), normalised or not.
///
/// # Errors
/// A row that is not finite or has length zero.
pub fn log_agreement(templates: ArrayView2<'_, f32>) -> Result<Option<f64>> {
    let agreement = template_agreement(templates)?;
    Ok(agreement.map(|agreement| -(1.0 - agreement).max(LEAST_DISAGREEMENT).ln()))
}

/// The mean cosine with the `neighbours` nearest reference texts; `None` when there are fewer.
///
/// When the query is itself one of the reference texts (a reference scored for calibration),
/// `own_row` names its row and that row is left out; otherwise it would be its own nearest.
///
/// ```
/// use ndarray::{arr1, arr2};
/// use umid_signals::{UnitRows, text::nearest_reference_cosine};
///
/// let reference = UnitRows::new(
///     "reference embeddings",
///     arr2(&[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]).view(),
/// )?;
/// let query = arr1(&[2.0, 0.0]);
/// let cosine = nearest_reference_cosine(query.view(), &reference, 2, None)?;
/// assert_eq!(cosine, Some(0.5));
/// let cosine = nearest_reference_cosine(query.view(), &reference, 2, Some(0))?;
/// assert_eq!(cosine, Some(-0.5));
/// # Ok::<(), umid_signals::Error>(())
/// ```
///
/// # Shapes
/// `embedding` (d); `reference` (R, d).
///
/// # Errors
/// A query that is not finite or has length zero, another width than the reference's, zero
/// neighbours, or `own_row` >= R.
pub fn nearest_reference_cosine(
    embedding: ArrayView1<'_, f32>,
    reference: &UnitRows,
    neighbours: usize,
    own_row: Option<usize>,
) -> Result<Option<f64>> {
    const ARRAY: &str = "text embedding";
    checks::at_least(1, "neighbours", neighbours)?;
    if let Some(row) = own_row {
        checks::index("the query's own reference row", row, reference.len())?;
    }
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
    use ndarray::{Array2, arr1, arr2, s};
    use proptest::prelude::*;

    use super::*;

    /// f64 sums of a few dozen values of order one.
    const ROUND_OFF: f64 = 1e-12;
    /// Multiplying an f32 embedding by a factor rounds each coordinate by up to 2^-24.
    const F32_ROUND_OFF: f64 = 1e-6;

    #[test]
    fn one_template_agrees_with_nothing() {
        assert_eq!(template_agreement(arr2(&[[1.0, 0.0]]).view()).unwrap(), None);
    }

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
    fn broken_inputs_are_errors() {
        assert!(matches!(text_norm(arr1(&[0.0, 0.0]).view()), Err(Error::ZeroRow { .. })));
        assert!(matches!(
            text_norm(arr1(&[0.0, f32::NAN]).view()),
            Err(Error::NotFinite { at, .. }) if at == [1]
        ));
        assert!(matches!(
            template_agreement(arr2(&[[1.0], [f32::NAN]]).view()),
            Err(Error::NotFinite { at, .. }) if at == [1, 0]
        ));
        let reference = UnitRows::new("reference", arr2(&[[1.0], [2.0]]).view()).unwrap();
        let query = arr1(&[1.0]);
        let wide = arr1(&[1.0, 1.0]);
        assert!(matches!(
            nearest_reference_cosine(query.view(), &reference, 0, None),
            Err(Error::TooFew { .. })
        ));
        assert!(matches!(
            nearest_reference_cosine(query.view(), &reference, 1, Some(2)),
            Err(Error::IndexOutOfRange { index: 2, .. })
        ));
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
        fn order_and_length_do_not_matter(rows in embeddings(), factor in 0.01f32..100.0) {
            let mut other = rows.select(Axis(0), &[0, 5, 2, 4, 3, 1]);
            let agreement = |rows: &Array2<f32>| template_agreement(rows.view()).map(Option::unwrap);
            let near = |rows: &Array2<f32>| nearest(rows.row(0), rows.slice(s![1.., ..]));
            prop_assert!((agreement(&rows)? - agreement(&other)?).abs() < ROUND_OFF);
            prop_assert!((near(&rows) - near(&other)).abs() < ROUND_OFF);
            other.row_mut(1).mapv_inplace(|value| value * factor);
            other.row_mut(0).mapv_inplace(|value| value * factor);
            prop_assert!((agreement(&rows)? - agreement(&other)?).abs() < F32_ROUND_OFF);
            prop_assert!((near(&rows) - near(&other)).abs() < F32_ROUND_OFF);
        }
    }
}
