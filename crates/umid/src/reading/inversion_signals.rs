//! The signals that need inversions, and what a reader must know when some failed.

use ndarray::{Array2, ArrayView2};
use umid_invert::{Inversion, Inverter, KeepInputs, Outcome, Space};
use umid_models::InputTower;
use umid_signals::SignalRow;
use umid_signals::inversion::InversionView;

use crate::error::AuditError;

/// Mean final cosine above which an inversion is saturated: on procedural targets the signal
/// lay between .92 and .97, and further steps erased it (`docs/method.md`).
pub const SATURATION: f64 = 0.98;

/// Inverts the first template of each name.
///
/// # Shapes
///
/// Each of `names` holds a name's embeddings, `[templates, embedding_dim]`.
///
/// # Errors
///
/// Those of the inversion.
pub fn invert<T: InputTower, S: Space>(
    inverter: &Inverter<'_, T, S>,
    names: &[ArrayView2<f32>],
) -> Result<Vec<Inversion>, AuditError> {
    let width = names.first().map_or(0, ArrayView2::ncols);
    let mut targets = Array2::zeros((names.len(), width));
    for (mut target, name) in targets.rows_mut().into_iter().zip(names) {
        target.assign(&name.row(0));
    }
    Ok(inverter.invert(targets.view(), KeepInputs::No)?)
}

/// The signals of one inversion.
///
/// # Shapes
///
/// - templates: the name's embeddings, `[templates, embedding_dim]`
///
/// # Errors
///
/// Those of the signals.
pub fn signals(inversion: &Inversion, templates: ArrayView2<f32>) -> Result<SignalRow, AuditError> {
    let view = InversionView::new(
        inversion.cosines.view(),
        inversion.embeddings.view(),
        inversion.gradient_norms.view(),
        templates,
    )?;
    Ok(view.signals()?)
}

/// What failed, in words; empty when nothing did.
pub(crate) fn warnings(inversion: &Inversion) -> Vec<String> {
    let all = inversion.outcomes.len();
    let failed: Vec<String> = inversion
        .outcomes
        .iter()
        .enumerate()
        .filter(|(_, outcome)| **outcome != Outcome::Finished)
        .map(|(i, outcome)| format!("restart {}: {outcome}", i + 1))
        .collect();
    if failed.is_empty() {
        return Vec::new();
    }
    let used = all - failed.len();
    vec![format!(
        "{} of {all} restarts failed and were left out, {used} were used ({}); try a smaller step",
        failed.len(),
        failed.join(", ")
    )]
}
