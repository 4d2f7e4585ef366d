//! The blind control: a classifier of names that never sees the model.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use umid_baselines::{BlindControl, BlindOutcome};
use umid_detect::ConformalCalibration;

use super::{Method, Needs};
use crate::record::{Column, Cost, Group, Reading, Sees};
use crate::subject::Subject;

/// Shuffles of the labels.
pub const PERMUTATIONS: usize = 200;

/// The blind control.
pub static METHOD: Method = Method {
    needs: |_| Needs::Names,
    definition: || String::from("2, fitted together"),
    ..Method::new("blind", "after Das et al. 2025", 20.0, measure)
};

fn measure(subject: &Subject, _: &toml::Table) -> crate::Result<Vec<Reading>> {
    let groups = [Group::Member, Group::NonMember];
    let texts: Vec<(&str, bool)> = groups
        .iter()
        .flat_map(|group| subject.groups()[group].iter().map(move |q| (q, group)))
        .map(|(query, group)| (query.text.as_str(), *group == Group::Member))
        .collect();
    let (texts, members): (Vec<&str>, Vec<bool>) = texts.into_iter().unzip();
    let Control { outcome, null } = &*control(&texts, members)?;
    Ok(vec![reading("blind control", Sees::NamesOnly, subject, outcome, null)?])
}

/// A control's scores, its area and what it finds with shuffled labels.
pub fn reading(
    name: &str,
    sees: Sees,
    subject: &Subject,
    outcome: &BlindOutcome,
    null: &[f64],
) -> crate::Result<Reading> {
    let mut scores = outcome.scores.iter().copied().map(Some);
    let columns = [Group::Member, Group::NonMember]
        .into_iter()
        .map(|group| {
            let count = subject.groups()[&group].len();
            (group, Column::of(scores.by_ref().take(count).collect()))
        })
        .collect();
    let mut reading = Reading::new(name, sees, columns, Cost::default()).headline();
    let p_value = ConformalCalibration::new(null.to_vec())?.p_value(outcome.area)?;
    reading.facts.insert("p_value".to_owned(), vec![p_value]);
    reading.facts.insert("auc".to_owned(), vec![outcome.area]);
    reading.facts.insert("null".to_owned(), null.to_vec());
    Ok(reading)
}

/// The control's outcome for a list of names, and its AUCs for shuffled labels.
struct Control {
    outcome: BlindOutcome,
    null: Vec<f64>,
}

/// Controls by their names and labels.
type Controls = HashMap<(Vec<String>, Vec<bool>), Rc<Control>>;

thread_local! {
    /// All snapshots of a training have the same names and labels, so the control is computed once.
    static KNOWN: RefCell<Controls> = RefCell::default();
}

fn control(texts: &[&str], members: Vec<bool>) -> crate::Result<Rc<Control>> {
    let key = (texts.iter().map(|text| (*text).to_owned()).collect(), members);
    if let Some(known) = KNOWN.with_borrow(|known| known.get(&key).cloned()) {
        return Ok(known);
    }
    let prepared = BlindControl::default().prepare(texts, &key.1)?;
    let outcome = prepared.evaluate()?;
    let null = prepared.permutation_null(PERMUTATIONS, 0)?;
    let control = Rc::new(Control { outcome, null });
    KNOWN.with_borrow_mut(|known| known.insert(key, Rc::clone(&control)));
    Ok(control)
}
