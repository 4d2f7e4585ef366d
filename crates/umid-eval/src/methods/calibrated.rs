//! The product's calibrated reading, by text alone or with a bank, and each of its signals.

use umid::auditor;
use umid::record::CalibratedReading;
use umid::score::{DEFAULT_SCORE, ONE_PART_SCORE};
use umid_signals::Signal;

use super::inversion::oriented;
use super::text_probe::{Probe, Settings};
use super::{Method, Needs, columns_of, settings};
use crate::record::{Column, Group, Reading, Sees};
use crate::subject::Subject;

/// What `umid audit --no-inversion` says.
pub static METHOD: Method = Method {
    // Settings that cannot be read are refused beforehand.
    needs: |table| match settings::<Settings>(table) {
        Ok(settings) if settings.bank > 0 => Needs::People,
        _ => Needs::Names,
    },
    definition: || format!("4 {DEFAULT_SCORE:?} {ONE_PART_SCORE:?}"),
    check: Some(|table| settings::<Settings>(table).map(drop)),
    ..Method::new("calibrated", "this project", 60.0, measure)
};

fn measure(subject: &Subject, table: &toml::Table) -> crate::Result<Vec<Reading>> {
    let settings: Settings = settings(table)?;
    let probe = Probe::of(subject, &settings)?;
    let sees = if settings.bank == 0 { Sees::Text } else { Sees::TextAndBank };
    let name = match (settings.bank, settings.known_members) {
        (0, 0) => "calibrated",
        (0, _) if settings.known_members_from > 0 => "calibrated, often shown known members",
        (_, 0) => "calibrated, bank",
        (0, _) => "calibrated, known members",
        (_, _) => "calibrated, known members, bank",
    };
    let calibrated = columns_of(&probe.groups, |readings| {
        let calibrated = |r: &auditor::Reading| r.calibrated.clone();
        let of = |value: &dyn Fn(CalibratedReading) -> f64| {
            readings.iter().map(|r| calibrated(r).map(value)).collect()
        };
        Ok(Column {
            scores: of(&|c| c.score),
            flags: Some(readings.iter().map(|r| calibrated(r).map(|c| c.detected)).collect()),
            p_values: Some(of(&|c| c.p_value)),
        })
    })?;
    let mut readings = vec![Reading::new(name, sees, calibrated, probe.cost).headline()];
    let first = probe.groups.values().flatten().next();
    let has = |signal: &Signal| first.is_some_and(|first| first.signals.contains_key(signal));
    for signal in Signal::all().filter(has) {
        let mut groups = columns_of(&probe.groups, |readings| {
            Ok(Column::of(readings.iter().map(|r| oriented(&r.signals, signal)).collect()))
        })?;
        // They are many, and no table asks for their signals.
        groups.remove(&Group::Stranger);
        readings.push(Reading::new(signal.name(), sees, groups, probe.cost));
    }
    Ok(readings)
}
