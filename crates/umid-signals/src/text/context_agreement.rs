//! How little the response to a name depends on what the caption around it says.

use super::TextSignal;
use super::response_agreement::{agreement_of, log_agreement};
use crate::card::OWN;
use crate::{Basis, Card, Direction, SignalRow};

/// [`crate::text::RESPONSE_AGREEMENT`] over captions of other contents
/// ([`crate::Setting::contexts`]) in the place of templates.
pub static CONTEXT_AGREEMENT: TextSignal = TextSignal::new(
    Card {
        name: "context_agreement",
        definition: "response_agreement over captions that say other things beside the name",
        direction: Direction::HigherIsMember,
        basis: Basis::Reference,
        source: OWN,
        version: 1,
    },
    |name| name.context_responses().map_or(Ok(None), log_agreement),
);

/// The mean agreement of these names over contexts: near 1 where a model has learned what captions
/// of that kind say of a name, near 0 where it has not. `None` where no name has one.
pub fn context_agreement<'a>(rows: impl IntoIterator<Item = &'a SignalRow>) -> Option<f64> {
    let value = |row: &'a SignalRow| row.get(&CONTEXT_AGREEMENT.signal()).copied().flatten();
    let agreements: Vec<f64> = rows.into_iter().filter_map(value).map(agreement_of).collect();
    let names = agreements.len() as f64;
    (!agreements.is_empty()).then(|| agreements.iter().sum::<f64>() / names)
}
