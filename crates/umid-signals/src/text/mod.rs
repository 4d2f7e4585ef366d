//! Signals of text embeddings alone: no inversion, no input of the model's other modality.
//!
//! A [`TextSignal`] is a [`Card`] and a function from a [`NameView`] to a number, or to `None` where
//! the signal is not defined for the name. To add one, write it in a file of its own and name it in
//! [`TEXT_SIGNALS`]. `TextSignal::calibrated` sets any signal against the name's siblings.
//!
//! What these signals measure is what a contrastive model does to a name that it has seen often: the
//! embedding gets longer, depends less on the template around it, moves away from the names around
//! it, and is no longer explained by the parts of the name.

mod bank_score;
mod context_agreement;
mod interaction;
mod nearest_reference;
mod response_agreement;
mod response_interaction;
mod response_norm;
mod template_agreement;
mod text_norm;

pub use bank_score::{BANK, BANK_CSLS, BANK_CSLS_CALIBRATED, BANK_CSLS_EXCESS};
pub use context_agreement::{CONTEXT_AGREEMENT, context_agreement};
pub use interaction::{INTERACTION, INTERACTION_COHERENCE};
pub use nearest_reference::NEAREST_REFERENCE_COSINE;
pub use response_agreement::{RESPONSE_AGREEMENT, RESPONSE_AGREEMENT_CALIBRATED};
pub use response_interaction::{RESPONSE_COHERENCE_CALIBRATED, RESPONSE_INTERACTION};
pub use response_norm::{RESPONSE_NORM, RESPONSE_NORM_CALIBRATED};
pub use template_agreement::{TEMPLATE_AGREEMENT, TEMPLATE_AGREEMENT_CALIBRATED};
pub use text_norm::{TEXT_NORM, TEXT_NORM_CALIBRATED};

use crate::siblings::Shares;
use crate::{Card, NameView, Result, Signal};

/// Every text signal, in the order of reports.
pub static TEXT_SIGNALS: &[&TextSignal] = &[
    &TEXT_NORM,
    &TEXT_NORM_CALIBRATED,
    &TEMPLATE_AGREEMENT,
    &TEMPLATE_AGREEMENT_CALIBRATED,
    &NEAREST_REFERENCE_COSINE,
    &BANK,
    &BANK_CSLS,
    &BANK_CSLS_CALIBRATED,
    &BANK_CSLS_EXCESS,
    &INTERACTION,
    &INTERACTION_COHERENCE,
    &RESPONSE_NORM,
    &RESPONSE_NORM_CALIBRATED,
    &RESPONSE_AGREEMENT,
    &RESPONSE_AGREEMENT_CALIBRATED,
    &CONTEXT_AGREEMENT,
    &RESPONSE_INTERACTION,
    &RESPONSE_COHERENCE_CALIBRATED,
];

/// What is taken off signals of the response. Less than all, as a member's own exposures are exposures
/// of its parts; more of the last part, which fewer names share. Chosen on the development worlds
/// (docs/findings.md).
const OF_RESPONSES: Shares = Shares { same_first: 0.3, same_last: 0.6 };

/// Raised when what text signals are computed from changes: which texts are embedded, which
/// siblings a name gets, what is taken out of the responses, how a signal is calibrated.
const READING_VERSION: u32 = 3;

/// Name and version of everything that the text signals of a name depend on, so that a cache can
/// tell values computed by another version.
pub fn text_signal_versions() -> Vec<(&'static str, u32)> {
    let signals = TEXT_SIGNALS.iter().map(|signal| (signal.card.name, signal.card.version));
    std::iter::once(("text_reading", READING_VERSION)).chain(signals).collect()
}

/// The value of a signal for one name, or `None` where the signal is not defined for it.
pub type ValueOf = fn(&NameView<'_>) -> Result<Option<f64>>;

/// A number that a text tower says of a name.
#[derive(Debug)]
pub struct TextSignal {
    card: Card,
    compute: Compute,
}

#[derive(Debug)]
enum Compute {
    Direct(ValueOf),
    Calibrated(&'static TextSignal, Shares),
}

impl TextSignal {
    /// A signal that is computed from the view of a name.
    pub const fn new(card: Card, value: ValueOf) -> Self {
        Self { card, compute: Compute::Direct(value) }
    }

    /// `base` minus these shares of its means over the name's two groups of siblings
    /// ([`crate::siblings`]); `None` for a name of one part. The correction is linear, so it keeps
    /// the direction of `base`.
    pub(crate) const fn calibrated(
        base: &'static Self,
        shares: Shares,
        name: &'static str,
        definition: &'static str,
    ) -> Self {
        let card = Card { name, definition, ..base.card };
        Self { card, compute: Compute::Calibrated(base, shares) }
    }

    /// What is known of it.
    pub const fn card(&self) -> &Card {
        &self.card
    }

    /// Its key in a row.
    pub const fn signal(&'static self) -> Signal {
        Signal::new(&self.card)
    }

    /// The raw value for a name; `None` where the signal is not defined for it.
    ///
    /// # Errors
    /// A broken embedding, state or response.
    pub fn value(&self, name: &NameView<'_>) -> Result<Option<f64>> {
        match self.compute {
            Compute::Direct(value) => value(name),
            Compute::Calibrated(base, shares) => {
                let of_siblings = name.siblings().and_then(|siblings| siblings.means_of(base));
                Ok(base.value(name)?.zip(of_siblings).map(|(own, (same_first, same_last))| {
                    shares.taken_off(own, same_first, same_last)
                }))
            }
        }
    }

    /// The signal that this one sets against siblings, if it is calibrated.
    pub(crate) const fn base(&self) -> Option<&'static Self> {
        match self.compute {
            Compute::Direct(_) => None,
            Compute::Calibrated(base, _) => Some(base),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn versions_name_every_text_signal_and_the_reading_itself() {
        let versions = text_signal_versions();
        let names: BTreeSet<&str> = versions.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), TEXT_SIGNALS.len() + 1);
        assert!(TEXT_SIGNALS.iter().all(|signal| names.contains(signal.card().name)));
    }

    #[test]
    fn calibration_keeps_everything_of_the_card_but_name_and_definition() {
        let (base, calibrated) = (BANK_CSLS.card(), BANK_CSLS_CALIBRATED.card());
        assert_eq!(base.direction, calibrated.direction);
        assert_eq!(base.basis, calibrated.basis);
        assert_eq!((base.source, base.version), (calibrated.source, calibrated.version));
        assert_ne!(base.name, calibrated.name);
    }
}
