//! What a model's responses say of a name beyond its two parts; see [`crate::interaction`].

use super::TextSignal;
use crate::card::TWO_WAY;
use crate::{Basis, Card, Direction};

/// [`crate::Interaction::log_residual_contrast`] of the responses.
pub static RESPONSE_INTERACTION: TextSignal = TextSignal::new(
    Card {
        name: "response_interaction",
        definition: "interaction, of responses in the place of states",
        direction: Direction::HigherIsMember,
        basis: Basis::Reference,
        source: TWO_WAY,
        version: 1,
    },
    |name| Ok(name.response_interaction()?.map(|interaction| interaction.log_residual_contrast)),
);

/// [`crate::Interaction::log_coherence_calibrated`] of the responses.
pub static RESPONSE_COHERENCE_CALIBRATED: TextSignal = TextSignal::new(
    Card {
        name: "response_coherence_calibrated",
        definition: "coherence of the responses' residual, minus half that of siblings",
        direction: Direction::HigherIsMember,
        basis: Basis::Reference,
        source: TWO_WAY,
        version: 1,
    },
    |name| {
        let interaction = name.response_interaction()?;
        Ok(interaction.and_then(|interaction| interaction.log_coherence_calibrated))
    },
);
