//! The methods of an evaluation. A method is one file with a [`Method`] and one line in
//! [`METHODS`].

mod acoustic_blind;
mod aea;
mod blind;
mod calibrated;
mod clip_probe;
mod coarse;
mod combined;
mod csa;
mod embedding_norm;
mod gradient_norm;
pub mod idia;
mod inversion;
mod known;
mod listed;
mod lpla;
mod mc_dropout;
mod pair_probe;
mod photo_vote;
mod prmid;
mod reference_models;
mod speaker_similarity;
mod text_probe;
mod tuni;
mod wsa;
mod wsa_gradient;

use std::collections::BTreeMap;
use std::time::Instant;

use serde::de::DeserializeOwned;
use umid::queries::Query;

use crate::error::Error;
use crate::record::{Group, Reading};
use crate::subject::Subject;

/// Every method, in the order in which tables list them.
pub static METHODS: [&Method; 20] = [
    &inversion::METHOD,
    &calibrated::METHOD,
    &photo_vote::METHOD,
    &combined::METHOD,
    &tuni::METHOD,
    &blind::METHOD,
    &acoustic_blind::METHOD,
    &listed::METHOD,
    &csa::METHOD,
    &aea::METHOD,
    &wsa::METHOD,
    &wsa_gradient::METHOD,
    &mc_dropout::METHOD,
    &gradient_norm::METHOD,
    &embedding_norm::METHOD,
    &idia::METHOD,
    &prmid::METHOD,
    &speaker_similarity::METHOD,
    &reference_models::METHOD,
    &lpla::METHOD,
];

/// What a method makes of a target with the settings of a suite.
type Measure = fn(&Subject, &toml::Table) -> crate::Result<Vec<Reading>>;

/// What a method needs of a target besides its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Names alone, which every target has.
    Names,
    /// Photos or clips of the people, or of others like them, which a target has that was trained
    /// here.
    People,
    /// These, and models that were trained like the target; they are trained if they are missing.
    Shadows,
}

/// A way of telling members from non-members.
pub struct Method {
    /// Name in suites, tables and cells.
    pub name: &'static str,
    /// Who published it.
    pub source: &'static str,
    /// Seconds on a target of 400 v 400 on two cores, roughly; for an estimate before anything
    /// has been measured.
    pub seconds: f64,
    /// What it needs of a target, by its settings.
    pub needs: fn(&toml::Table) -> Needs,
    /// What the outcome depends on besides the target and the settings. Whoever changes the method
    /// changes this too, so that its cells are measured again.
    pub definition: fn() -> String,
    /// Refuses settings that the method does not have, before anything runs; absent if it has none.
    check: Option<fn(&toml::Table) -> crate::Result<()>>,
    /// Reads a target.
    pub measure: Measure,
}

impl Method {
    /// A method without settings, which needs people and no reference models.
    const fn new(name: &'static str, source: &'static str, seconds: f64, measure: Measure) -> Self {
        let definition = || String::from("1");
        let needs = |_: &toml::Table| Needs::People;
        Self { name, source, seconds, needs, definition, check: None, measure }
    }

    /// Refuses settings that the method does not have.
    pub fn check(&self, settings: &toml::Table) -> crate::Result<()> {
        match self.check {
            Some(check) => check(settings),
            None if settings.is_empty() => Ok(()),
            None => Err(Error::NoSettings { method: self.name }),
        }
    }
}

/// The method of a name.
pub fn by_name(name: &str) -> crate::Result<&'static Method> {
    let known: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
    let found = METHODS.into_iter().find(|method| method.name == name);
    found.ok_or_else(|| Error::NoMethod { name: name.to_owned(), known: known.join(", ") })
}

/// Settings of a method from those of a suite. A setting that is left out has its default; one that
/// the method does not have is an error.
fn settings<T: DeserializeOwned>(table: &toml::Table) -> crate::Result<T> {
    table.clone().try_into().map_err(|error| Error::Settings(Box::new(error)))
}

/// Median seconds that a text takes alone, of the first few.
fn latency(
    texts: &[Query],
    mut read: impl FnMut(&Query) -> crate::Result<()>,
) -> crate::Result<f64> {
    const TIMED: usize = 8;
    let mut seconds = Vec::with_capacity(TIMED);
    for text in texts.iter().take(TIMED) {
        let started = Instant::now();
        read(text)?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().ok_or(Error::NothingToTime)
}

/// Makes a column for each group.
fn columns_of<T, C>(
    groups: &BTreeMap<Group, T>,
    column: impl Fn(&T) -> crate::Result<C>,
) -> crate::Result<BTreeMap<Group, C>> {
    groups.iter().map(|(group, known)| Ok((*group, column(known)?))).collect()
}
