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

use anyhow::Context;
use serde::de::DeserializeOwned;

use super::record::{Group, Reading};
use super::subject::Subject;

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

    /// Whose it is.
    fn source(&self) -> &'static str;

    /// What the outcome depends on besides the target and the settings: cells of another
    /// definition are measured again. To be changed with the method.
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

    /// Refuses settings that the method does not have, before anything runs; by default any.
    fn check(&self, settings: &toml::Table) -> anyhow::Result<()> {
        let found = settings.keys().next();
        anyhow::ensure!(found.is_none(), "the method {} has no settings", self.name());
        Ok(())
    }

    /// Reads a target.
    fn measure(&self, subject: &Subject, settings: &toml::Table) -> anyhow::Result<Vec<Reading>>;
}

/// The method of a name.
pub fn by_name(name: &str) -> anyhow::Result<Box<dyn Method>> {
    let names: Vec<&str> = all().iter().map(|method| method.name()).collect();
    let found = all().into_iter().find(|method| method.name() == name);
    found.with_context(|| format!("no method {name:?}; there is {}", names.join(", ")))
}

/// Settings of a method from those of a suite; what is left out has its default, what the
/// method does not have is an error.
fn settings<T: DeserializeOwned>(table: &toml::Table) -> anyhow::Result<T> {
    table.clone().try_into().context("the method's settings")
}

/// A column of each group from what is known of the group.
fn columns_of<T, C>(
    groups: &BTreeMap<Group, T>,
    column: impl Fn(&T) -> anyhow::Result<C>,
) -> anyhow::Result<BTreeMap<Group, C>> {
    groups.iter().map(|(group, known)| Ok((*group, column(known)?))).collect()
}
