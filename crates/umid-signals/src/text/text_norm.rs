//! The length of the text embedding before normalisation; a name that was seen often gets a longer
//! one.

use ndarray::ArrayView2;

use super::TextSignal;
use crate::card::OWN;
use crate::siblings::Shares;
use crate::{Basis, Card, Direction, Result, checks, unit::row_norms};

/// Length of the embeddings.
pub static TEXT_NORM: TextSignal = TextSignal::new(
    Card {
        name: "text_norm",
        definition: "length of the text embedding before normalisation",
        direction: Direction::HigherIsMember,
        basis: Basis::Name,
        source: OWN,
        version: 1,
    },
    |name| text_norm(name.embeddings()).map(Some),
);

/// [`TEXT_NORM`] against siblings.
pub static TEXT_NORM_CALIBRATED: TextSignal = TextSignal::calibrated(
    &TEXT_NORM,
    Shares::HALVES,
    "text_norm_calibrated",
    "text_norm minus half the mean of each group of siblings",
);

/// The mean over templates, (T, d), of the length of the embedding.
fn text_norm(templates: ArrayView2<'_, f32>) -> Result<f64> {
    checks::at_least(1, "templates", templates.nrows())?;
    let norms = row_norms("text embeddings", templates)?;
    Ok(norms.iter().sum::<f64>() / norms.len() as f64)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, arr2};

    use super::*;
    use crate::Error;

    #[test]
    fn a_broken_embedding_is_named() {
        assert!((text_norm(arr2(&[[3.0, 4.0], [0.0, 7.0]]).view()).unwrap() - 6.0).abs() < 1e-12);
        let zero = arr2(&[[1.0, 0.0], [0.0, 0.0]]);
        assert!(matches!(text_norm(zero.view()), Err(Error::ZeroRow { row: 1, .. })));
        let nan = arr2(&[[0.0, f32::NAN]]);
        assert!(matches!(
            text_norm(nan.view()),
            Err(Error::NotFinite { at, .. }) if at == [0, 1]
        ));
        let none = Array2::zeros((0, 2));
        assert!(matches!(text_norm(none.view()), Err(Error::TooFew { .. })));
    }
}
