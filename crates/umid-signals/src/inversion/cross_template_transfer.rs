//! Whether the inversion of a name in one template fits it in others.

use ndarray::{ArrayView2, Axis, s};

use super::InversionSignal;
use crate::card::OWN;
use crate::{Basis, Card, Direction, Result, UnitRows};

/// Transfer from the first template to the others.
pub static CROSS_TEMPLATE_TRANSFER: InversionSignal = InversionSignal::new(
    Card {
        name: "cross_template_transfer",
        definition: "mean cosine of the final embeddings with the name in other templates",
        direction: Direction::HigherIsMember,
        basis: Basis::Name,
        source: OWN,
        version: 1,
    },
    |inversion| cross_template_transfer(inversion.directions(), inversion.templates()),
);

/// How well the inversion of a name in the first of its templates fits it in the others: the mean
/// of cos(v_i, u_t) over restarts i, (m, d), and the other templates t, (T, d). `None` without a
/// restart or without another template.
pub(super) fn cross_template_transfer(
    final_embeddings: ArrayView2<'_, f32>,
    templates: ArrayView2<'_, f32>,
) -> Result<Option<f64>> {
    let restarts = UnitRows::new("final embeddings", final_embeddings)?;
    let templates = UnitRows::new("template embeddings", templates)?;
    restarts.check_width("template embeddings", &templates)?;
    // The mean over all pairs of a dot product is the dot product of the means.
    let mean_restart = restarts.directions().mean_axis(Axis(0));
    let mean_template = templates.directions().slice(s![1.., ..]).mean_axis(Axis(0));
    Ok(mean_restart.zip(mean_template).map(|(restart, template)| restart.dot(&template)))
}
