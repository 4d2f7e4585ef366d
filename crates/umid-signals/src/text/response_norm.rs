//! How strongly a model responds to a name: the length of the response, without what any name gets.

use ndarray::ArrayView2;

use super::{OF_RESPONSES, TextSignal};
use crate::card::OWN;
use crate::{Basis, Card, Direction, Result, checks, unit::row_norms};

/// Log length of the responses.
pub static RESPONSE_NORM: TextSignal = TextSignal::new(
    Card {
        name: "response_norm",
        definition: "mean log length of the response, less what the model answers to any name",
        direction: Direction::HigherIsMember,
        basis: Basis::Reference,
        source: OWN,
        version: 1,
    },
    |name| log_norm(name.responses()).map(Some),
);

/// [`RESPONSE_NORM`] against siblings.
pub static RESPONSE_NORM_CALIBRATED: TextSignal = TextSignal::calibrated(
    &RESPONSE_NORM,
    OF_RESPONSES,
    "response_norm_calibrated",
    "response_norm minus .3 of the mean of siblings with the same first part and .6 of the others",
);

/// The mean over templates, (T, d), of the log length; higher for names that a model responds to
/// strongly.
fn log_norm(templates: ArrayView2<'_, f32>) -> Result<f64> {
    checks::at_least(1, "templates", templates.nrows())?;
    let norms = row_norms("text responses", templates)?;
    Ok(norms.iter().map(|norm| norm.ln()).sum::<f64>() / norms.len() as f64)
}
