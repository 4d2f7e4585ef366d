//! The methods of an evaluation. A method is one file with a type that implements [`Method`],
//! and one line in [`all`].

mod aea;
mod blind;
mod calibrated;
mod clip_probe;
mod coarse;
mod combined;
mod csa;
mod embedding_norm;
mod gradient_norm;
mod idia;
mod inversion;
mod lpla;
mod pair_probe;
mod prmid;
mod reference_models;
mod speaker_similarity;
mod text_probe;
mod tuni;
mod wsa;

use std::collections::BTreeMap;
use std::time::Instant;

use serde::de::DeserializeOwned;
use umid::queries::Query;

use crate::error::Error;
use crate::record::{Group, Reading};
use crate::subject::Subject;

/// Every method, in the order in which tables list them.
pub fn all() -> Vec<Box<dyn Method>> {
    vec![
        Box::new(inversion::Inversion),
        Box::new(calibrated::Calibrated),
        Box::new(combined::Combined),
        Box::new(tuni::Tuni),
        Box::new(blind::Blind),
        Box::new(csa::Csa),
        Box::new(aea::Aea),
        Box::new(wsa::Wsa),
        Box::new(gradient_norm::GradientNorm),
        Box::new(embedding_norm::EmbeddingNorm),
        Box::new(idia::Idia),
        Box::new(prmid::Prmid),
        Box::new(speaker_similarity::SpeakerSimilarity),
        Box::new(reference_models::ReferenceModels),
        Box::new(lpla::Lpla),
    ]
}

/// A way of telling members from non-members.
pub trait Method {
    /// Name in suites, tables and cells.
    fn name(&self) -> &'static str;

    /// Who published it.
    fn source(&self) -> &'static str;

    /// What the outcome depends on besides the target and the settings. Whoever changes the method
    /// changes this too, so that its cells are measured again.
    fn definition(&self) -> String {
        "1".to_owned()
    }

    /// Whether it needs reference models; they are trained where they are missing.
    fn needs_shadows(&self) -> bool {
        false
    }

    /// Seconds on a target of 400 v 400 on two cores, roughly; for an estimate before anything
    /// has been measured.
    fn seconds(&self) -> f64;

    /// Refuses settings that the method does not have, before anything runs. By default it has none.
    fn check(&self, settings: &toml::Table) -> crate::Result<()> {
        let found = settings.keys().next();
        if found.is_some() {
            return Err(Error::NoSettings { method: self.name() });
        }
        Ok(())
    }

    /// Reads a target.
    fn measure(&self, subject: &Subject, settings: &toml::Table) -> crate::Result<Vec<Reading>>;
}

/// The method of a name.
pub fn by_name(name: &str) -> crate::Result<Box<dyn Method>> {
    let names: Vec<&str> = all().iter().map(|method| method.name()).collect();
    let found = all().into_iter().find(|method| method.name() == name);
    found.ok_or_else(|| Error::NoMethod { name: name.to_owned(), known: names.join(", ") })
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
