//! Signals of an inversion: where its restarts ended, and how they got there.
//!
//! Restart i of m raises cos(f_in(x_i), f_txt(t)) for n steps and ends at the embedding v_i.
//! Similarity S and variability V are UMID's (arXiv 2603.14222); [`VARIABILITY_TUNI`] is V as the
//! published code of TUNI (arXiv 2405.14517) computes it; the others are this project's.
//!
//! An [`InversionSignal`] is a [`Card`] and a function from an [`InversionView`] to a number, or to
//! `None` where too few restarts are usable. To add one, write it in a file of its own and name it
//! in [`INVERSION_SIGNALS`].

mod cross_template_transfer;
mod final_gradient_norm;
mod similarity;
mod steps_to_threshold;
mod variability;

pub use cross_template_transfer::CROSS_TEMPLATE_TRANSFER;
pub use final_gradient_norm::FINAL_GRADIENT_NORM;
pub use similarity::SIMILARITY;
pub use steps_to_threshold::STEPS_TO_THRESHOLD;
pub use variability::{VARIABILITY, VARIABILITY_TUNI};

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::{Card, Result, Signal, SignalRow, checks, unit::norm};

/// Every signal of an inversion, in the order of reports.
pub static INVERSION_SIGNALS: &[&InversionSignal] = &[
    &SIMILARITY,
    &VARIABILITY,
    &VARIABILITY_TUNI,
    &STEPS_TO_THRESHOLD,
    &FINAL_GRADIENT_NORM,
    &CROSS_TEMPLATE_TRANSFER,
];

/// Name and version of every signal of an inversion, so that a cache can tell values computed by
/// another version.
pub fn inversion_signal_versions() -> Vec<(&'static str, u32)> {
    INVERSION_SIGNALS.iter().map(|signal| (signal.card.name, signal.card.version)).collect()
}

/// A number that the restarts of an inversion say of a text.
#[derive(Debug)]
pub struct InversionSignal {
    card: Card,
    value: fn(&InversionView<'_>) -> Result<Option<f64>>,
}

impl InversionSignal {
    /// A signal that is computed from the view of an inversion.
    pub const fn new(card: Card, value: fn(&InversionView<'_>) -> Result<Option<f64>>) -> Self {
        Self { card, value }
    }

    /// What is known of it.
    pub const fn card(&self) -> &Card {
        &self.card
    }

    /// Its key in a row.
    pub const fn signal(&'static self) -> Signal {
        Signal::new(&self.card)
    }

    /// The raw value for an inversion; `None` where too few restarts are usable.
    ///
    /// # Errors
    /// A broken embedding, cosine or norm.
    pub fn value(&self, inversion: &InversionView<'_>) -> Result<Option<f64>> {
        (self.value)(inversion)
    }
}

/// An inversion as a signal sees it: its usable restarts and the name that was inverted.
#[derive(Debug, Clone)]
pub struct InversionView<'a> {
    cosines: Array2<f32>,
    embeddings: Array2<f32>,
    directions: Array2<f32>,
    gradient_norms: Array1<f32>,
    templates: ArrayView2<'a, f32>,
}

impl<'a> InversionView<'a> {
    /// Takes the usable restarts of an inversion of a name in the first of its templates: those with
    /// every cosine, every coordinate and the gradient's norm finite, and the final embedding not of
    /// length zero.
    ///
    /// # Shapes
    /// `cosines` (m, n + 1): cosine with the text before each step and after the last;
    /// `embeddings` (m, d): final embeddings, not normalised; `gradient_norms` (m): length of the
    /// last gradient; `templates` (T, d): the name's embeddings.
    ///
    /// # Errors
    /// Two numbers of restarts, or no column of cosines.
    pub fn new(
        cosines: ArrayView2<'_, f32>,
        embeddings: ArrayView2<'_, f32>,
        gradient_norms: ArrayView1<'_, f32>,
        templates: ArrayView2<'a, f32>,
    ) -> Result<Self> {
        let usable = usable_restarts(cosines, embeddings, gradient_norms)?;
        let embeddings = embeddings.select(Axis(0), &usable);
        let mut directions = embeddings.clone();
        for mut row in directions.rows_mut() {
            let length = norm(row.view());
            row.mapv_inplace(|value| (f64::from(value) / length) as f32);
        }
        Ok(Self {
            cosines: cosines.select(Axis(0), &usable),
            embeddings,
            directions,
            gradient_norms: gradient_norms.select(Axis(0), &usable),
            templates,
        })
    }

    /// The values of every signal.
    ///
    /// # Errors
    /// Those of the signals.
    pub fn signals(&self) -> Result<SignalRow> {
        let values = INVERSION_SIGNALS.iter();
        values.map(|signal| Ok((signal.signal(), signal.value(self)?))).collect()
    }

    /// Cosine with the text before each step and after the last, (m, n + 1).
    pub fn cosines(&self) -> ArrayView2<'_, f32> {
        self.cosines.view()
    }

    /// Final embeddings, not normalised, (m, d).
    pub fn embeddings(&self) -> ArrayView2<'_, f32> {
        self.embeddings.view()
    }

    /// Final embeddings at unit length, (m, d).
    pub fn directions(&self) -> ArrayView2<'_, f32> {
        self.directions.view()
    }

    /// Length of the last gradient, (m).
    pub fn gradient_norms(&self) -> ArrayView1<'_, f32> {
        self.gradient_norms.view()
    }

    /// Embeddings of the name, (T, d); the first template is the one that was inverted.
    pub fn templates(&self) -> ArrayView2<'a, f32> {
        self.templates
    }
}

/// The restarts that can be measured.
fn usable_restarts(
    cosines: ArrayView2<'_, f32>,
    final_embeddings: ArrayView2<'_, f32>,
    gradient_norms: ArrayView1<'_, f32>,
) -> Result<Vec<usize>> {
    checks::at_least(1, "recorded cosines", cosines.ncols())?;
    checks::length("final embeddings", "restarts", final_embeddings.nrows(), cosines.nrows())?;
    checks::length("final gradient norms", "restarts", gradient_norms.len(), cosines.nrows())?;
    Ok((0..cosines.nrows())
        .filter(|&restart| {
            let length = norm(final_embeddings.row(restart));
            let finite = cosines.row(restart).iter().all(|cosine| cosine.is_finite());
            finite && gradient_norms[restart].is_finite() && length > 0.0 && length.is_finite()
        })
        .collect())
}

#[cfg(test)]
mod tests;
