//! What a text tower's states say of a name beyond its two parts; see [`crate::interaction`].

use super::TextSignal;
use crate::card::TWO_WAY;
use crate::{Basis, Card, Direction};

/// [`crate::Interaction::log_residual_contrast`] of the states.
pub static INTERACTION: TextSignal = TextSignal::new(
    Card {
        name: "interaction",
        definition: "log size of what the two parts do not explain, against siblings",
        direction: Direction::HigherIsMember,
        basis: Basis::Name,
        source: TWO_WAY,
        version: 1,
    },
    |name| Ok(name.interaction()?.map(|interaction| interaction.log_residual_contrast)),
);

/// [`crate::Interaction::log_coherence`] of the states.
pub static INTERACTION_COHERENCE: TextSignal = TextSignal::new(
    Card {
        name: "interaction_coherence",
        definition: "log share of that residual which all templates have in common",
        direction: Direction::HigherIsMember,
        basis: Basis::Name,
        source: TWO_WAY,
        version: 1,
    },
    |name| Ok(name.interaction()?.and_then(|interaction| interaction.log_coherence)),
);
