//! The calibrated reading with the signals of inversion added: what inversion is worth beside
//! what the text tower says without it.

use umid::score::DEFAULT_SCORE;
use umid_signals::Signal;
use umid_signals::inversion::{CROSS_TEMPLATE_TRANSFER, SIMILARITY};

use super::inversion::{self, Row, calibrated};
use super::{Method, columns_of, text_probe};
use crate::record::{Cost, Reading, Sees};
use crate::subject::Subject;

/// The inversion signals that are added, with small weights that were set on the development world.
static ADDED: [(Signal, f64); 2] =
    [(SIMILARITY.signal(), 0.25), (CROSS_TEMPLATE_TRANSFER.signal(), 0.25)];

/// The default score and inversion.
pub struct Combined;

impl Method for Combined {
    fn name(&self) -> &'static str {
        "combined"
    }

    fn source(&self) -> &'static str {
        "this project"
    }

    fn definition(&self) -> String {
        format!("2 {DEFAULT_SCORE:?} {ADDED:?}")
    }

    fn seconds(&self) -> f64 {
        5.0
    }

    fn measure(&self, subject: &Subject, _: &toml::Table) -> crate::Result<Vec<Reading>> {
        let text = text_probe::Probe::of(subject, &text_probe::Settings::default())?;
        let inversion = inversion::Probe::of(subject, &inversion::Settings::default())?;
        let merged = |text: &Row, inversion: &Row| -> Row {
            text.iter().chain(inversion).map(|(signal, value)| (*signal, *value)).collect()
        };
        let names: Vec<Row> =
            text.names.iter().zip(&inversion.names).map(|(t, i)| merged(t, i)).collect();
        let mut groups = columns_of(&text.groups, |readings| {
            Ok(readings.iter().map(|reading| reading.signals.clone()).collect::<Vec<Row>>())
        })?;
        groups.retain(|group, _| inversion.groups.contains_key(group));
        for (group, rows) in &mut groups {
            for (row, inversion) in rows.iter_mut().zip(&inversion.groups[group]) {
                *row = merged(row, inversion);
            }
        }
        let present =
            |signal: &Signal| names.iter().any(|row| row.get(signal).is_some_and(Option::is_some));
        let score: Vec<(Signal, f64)> =
            DEFAULT_SCORE.into_iter().chain(ADDED).filter(|(s, _)| present(s)).collect();
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
}
