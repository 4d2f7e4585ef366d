//! How close a name lies to some of many public inputs of the model's domain; see [`crate::Bank`]
//! and [`crate::CslsBank`].

use ndarray::Axis;

use super::TextSignal;
use crate::card::OWN;
use crate::siblings::Shares;
use crate::{Basis, Card, Direction};

/// [`crate::Bank::scores`] of the name's mean embedding.
pub static BANK: TextSignal = TextSignal::new(
    Card {
        name: "bank",
        definition: "log-sum-exp of the scaled cosines with public inputs",
        direction: Direction::HigherIsMember,
        basis: Basis::Bank,
        source: OWN,
        version: 1,
    },
    |name| {
        let Some(bank) = name.bank() else { return Ok(None) };
        let mean = name.mean_embedding().insert_axis(Axis(0));
        Ok(Some(bank.bank().scores(mean, name.logit_scale())?[0]))
    },
);

/// [`crate::CslsBank::scores`] of the name's mean embedding.
pub static BANK_CSLS: TextSignal = TextSignal::new(
    Card {
        name: "bank_csls",
        definition: "bank with each input's closeness to reference texts taken off",
        direction: Direction::HigherIsMember,
        basis: Basis::Bank,
        source: "CSLS of Conneau et al., arXiv 1710.04087, on one side only; docs/method.md",
        version: 2,
    },
    |name| Ok(name.bank_scores()?.map(|scores| scores.own)),
);

/// [`BANK_CSLS`] against siblings. Those of a reference name are scored without that name, so their
/// means are not among the calibrated signals' (`TextSignal::calibrated`).
pub static BANK_CSLS_CALIBRATED: TextSignal = TextSignal::new(
    Card {
        name: "bank_csls_calibrated",
        definition: "bank_csls minus half the mean of each group of siblings",
        ..*BANK_CSLS.card()
    },
    |name| {
        let Some(scores) = name.bank_scores()? else { return Ok(None) };
        Ok(scores.siblings.map(|(same_first, same_last)| {
            Shares::HALVES.taken_off(scores.own, same_first, same_last)
        }))
    },
);

/// [`BANK_CSLS_CALIBRATED`] where it is above zero. A name that was shown a little moves towards inputs
/// in general; one that was shown often moves away from them, towards its own, so a low score says
/// nothing.
pub static BANK_CSLS_EXCESS: TextSignal = TextSignal::new(
    Card {
        name: "bank_csls_excess",
        definition: "bank_csls_calibrated where it is above zero, else zero",
        direction: Direction::HigherIsMember,
        basis: Basis::Bank,
        source: OWN,
        version: 1,
    },
    |name| Ok(BANK_CSLS_CALIBRATED.value(name)?.map(|score| score.max(0.0))),
);
