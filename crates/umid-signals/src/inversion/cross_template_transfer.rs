//! Whether the inversion of a name in one template fits it in others.

use ndarray::{ArrayView2, Axis};

use super::InversionSignal;
use crate::card::OWN;
use crate::{Basis, Card, Direction, Result, UnitRows, checks};

/// [`cross_template_transfer`] from the first template to the others.
pub static CROSS_TEMPLATE_TRANSFER: InversionSignal = InversionSignal::new(
    Card {
        name: "cross_template_transfer",
        definition: "mean cosine of the final embeddings with the name in other templates",
        direction: Direction::HigherIsMember,
        basis: Basis::Name,
        source: OWN,
        version: 1,
    },
    |inversion| cross_template_transfer(inversion.directions(), inversion.templates(), 0),
);

/// How well the inversion of a name in one template fits the same name in the *other* templates:
/// the mean of cos(v_i, u_t) over restarts i and templates t other than `inverted_template`.
///
/// `None` without a restart or without another template.
///
/// # Shapes
/// `final_embeddings` (m, d); `template_embeddings` (T, d): one name in T templates.
///
/// # Errors
/// A row that is not finite or has length zero, two widths, or `inverted_template` >= T.
pub fn cross_template_transfer(
    final_embeddings: ArrayView2<'_, f32>,
    template_embeddings: ArrayView2<'_, f32>,
    inverted_template: usize,
) -> Result<Option<f64>> {
    let restarts = UnitRows::new("final embeddings", final_embeddings)?;
    let templates = UnitRows::new("template embeddings", template_embeddings)?;
    restarts.check_width("template embeddings", &templates)?;
    checks::index("inverted template", inverted_template, templates.len())?;
    let others: Vec<usize> =
        (0..templates.len()).filter(|&template| template != inverted_template).collect();
    let other_templates = templates.directions().select(Axis(0), &others);
    // The mean over all pairs of a dot product is the dot product of the means.
    let mean_restart = restarts.directions().mean_axis(Axis(0));
    let mean_template = other_templates.mean_axis(Axis(0));
    Ok(mean_restart.zip(mean_template).map(|(restart, template)| restart.dot(&template)))
}
