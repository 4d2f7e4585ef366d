//! How little the response to a name depends on the template around it.

use ndarray::ArrayView2;

use super::template_agreement::template_agreement;
use super::{OF_RESPONSES, TextSignal};
use crate::card::OWN;
use crate::{Basis, Card, Direction, Result};

/// Agreement of the responses, on a log scale.
pub static RESPONSE_AGREEMENT: TextSignal = TextSignal::new(
    Card {
        name: "response_agreement",
        definition: "minus log of what the templates' responses lack to full agreement",
        direction: Direction::HigherIsMember,
        basis: Basis::Reference,
        source: OWN,
        version: 1,
    },
    |name| log_agreement(name.responses()),
);

/// [`RESPONSE_AGREEMENT`] against siblings.
pub static RESPONSE_AGREEMENT_CALIBRATED: TextSignal = TextSignal::calibrated(
    &RESPONSE_AGREEMENT,
    OF_RESPONSES,
    "response_agreement_calibrated",
    "response_agreement minus .3 of the mean of siblings with the same first part and .6 of the others",
);

/// The agreement that [`log_agreement`] is of.
pub(super) fn agreement_of(log_agreement: f64) -> f64 {
    1.0 - (-log_agreement).exp()
}

/// Disagreement of templates that is taken for none: below it lies round-off.
const LEAST_DISAGREEMENT: f64 = 1e-6;

/// [`template_agreement`] on a log scale, -ln(1 - agreement): agreements of .98 and .99 are as far
/// apart as .8 and .9. `None` below two templates.
pub(super) fn log_agreement(templates: ArrayView2<'_, f32>) -> Result<Option<f64>> {
    let agreement = template_agreement(templates)?;
    Ok(agreement.map(|agreement| -(1.0 - agreement).max(LEAST_DISAGREEMENT).ln()))
}
