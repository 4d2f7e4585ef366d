//! Embedding norm: the length of the photo's embedding before it is normalised.

use umid_baselines::embedding_norms;

use super::known::decided;
use super::pair_probe::Probe;
use super::{Method, columns_of};
use crate::record::{Cost, Reading, Sees};
use crate::subject::Subject;

/// The Euclidean norm.
pub const P: f64 = 2.0;

/// The embedding-norm attack.
pub static METHOD: Method = Method {
    definition: || String::from("2, decides"),
    ..Method::new("embedding-norm", "LpLA", 3.0, measure)
};

fn measure(subject: &Subject, _: &toml::Table) -> crate::Result<Vec<Reading>> {
    let probe = Probe::of(subject)?;
    let known = embedding_norms(&probe.known.embedded.view(), P)?;
    let groups = columns_of(&probe.groups, |pairs| {
        let norms = embedding_norms(&pairs.embedded.view(), P)?;
        decided(norms.into_iter().map(Some).collect(), &known)
    })?;
    let seconds = Some(probe.seconds);
    let cost = Cost { forward: 1.0, backward: 0.0, seconds, latency: None };
    Ok(vec![Reading::new("embedding norm", Sees::Images, groups, cost).headline()])
}
