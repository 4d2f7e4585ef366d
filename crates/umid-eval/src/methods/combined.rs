//! The calibrated reading with the signals of inversion added: what inversion is worth beside
//! what the text tower says without it.

use umid::score::DEFAULT_SCORE;
use umid_signals::inversion::{CROSS_TEMPLATE_TRANSFER, SIMILARITY};
use umid_signals::score::weights_on;
use umid_signals::{Signal, SignalRow};

use super::inversion::{self, calibrated};
use super::{Method, Needs, columns_of, text_probe};
use crate::record::{Cost, Reading, Sees};
use crate::subject::Subject;

/// The inversion signals that are added, with small weights that were set on the development world.
static ADDED: [(Signal, f64); 2] =
    [(SIMILARITY.signal(), 0.25), (CROSS_TEMPLATE_TRANSFER.signal(), 0.25)];

/// The default score and inversion.
pub static METHOD: Method = Method {
    needs: |_| Needs::Names,
    definition: || format!("2 {DEFAULT_SCORE:?} {ADDED:?}"),
    ..Method::new("combined", "this project", 5.0, measure)
};

fn measure(subject: &Subject, _: &toml::Table) -> crate::Result<Vec<Reading>> {
    let text = text_probe::Probe::of(subject, &text_probe::Settings::default())?;
    let inversion = inversion::Probe::of(subject, &inversion::Settings::default())?;
    let merged = |text: &SignalRow, inversion: &SignalRow| -> SignalRow {
        text.iter().chain(inversion).map(|(signal, value)| (*signal, *value)).collect()
    };
    let names: Vec<SignalRow> =
        text.names.iter().zip(&inversion.names).map(|(t, i)| merged(t, i)).collect();
    let mut groups = columns_of(&text.groups, |readings| {
        Ok(readings.iter().map(|reading| reading.signals.clone()).collect::<Vec<SignalRow>>())
    })?;
    groups.retain(|group, _| inversion.groups.contains_key(group));
    for (group, rows) in &mut groups {
        for (row, inversion) in rows.iter_mut().zip(&inversion.groups[group]) {
            *row = merged(row, inversion);
        }
    }
    let score: Vec<(Signal, f64)> = DEFAULT_SCORE.into_iter().chain(ADDED).collect();
    let score = weights_on(&score, &names.iter().collect::<Vec<_>>());
    let sum = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a + b);
    let cost = Cost {
        forward: text.cost.forward + inversion.cost.forward,
        backward: inversion.cost.backward,
        seconds: sum(text.cost.seconds, inversion.cost.seconds),
        latency: sum(text.cost.latency, inversion.cost.latency),
    };
    let groups = calibrated(&score, &names, &groups, 0)?;
    Ok(vec![Reading::new("calibrated, inversion", Sees::Text, groups, cost).headline()])
}
