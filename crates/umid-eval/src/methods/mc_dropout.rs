//! Monte Carlo dropout (Gomez, AAAI 2026): the cosine of a person's name and photo, averaged over
//! random subnetworks.

use std::time::Instant;

use umid_baselines::MonteCarloDropout;
use umid_models::{LoadOptions, Modality, Model};

use super::known::decided;
use super::pair_probe::{Pairs, Probe};
use super::{Method, columns_of};
use crate::record::{Cost, Reading, Sees};
use crate::subject::Subject;

/// The Monte Carlo dropout attack.
pub static METHOD: Method = Method::new("mc-dropout", "Gomez 2026", 10.0, measure);

fn measure(subject: &Subject, _: &toml::Table) -> crate::Result<Vec<Reading>> {
    subject.ensure_reads(Modality::Image, "MC dropout")?;
    let probe = Probe::of(subject)?;
    let source = &subject.model.source.path;
    let options = LoadOptions::on(subject.model.device()).trainable();
    let mut model = Model::load(source, options)?;
    let attack = MonteCarloDropout::default();
    let mut scores = |pairs: &Pairs| attack.score(&mut model, &pairs.captions, &pairs.inputs);
    let known = scores(&probe.known)?;
    let started = Instant::now();
    let mut groups = std::collections::BTreeMap::new();
    for (group, pairs) in &probe.groups {
        groups.insert(*group, scores(pairs)?);
    }
    let count: usize = groups.values().map(Vec::len).sum();
    let passes = attack.passes as f64;
    let seconds = Some(probe.seconds + started.elapsed().as_secs_f64() / count as f64);
    let cost = Cost { forward: 2.0 * passes, backward: 0.0, seconds, latency: None };
    let groups =
        columns_of(&groups, |scores| decided(scores.iter().copied().map(Some).collect(), &known))?;
    Ok(vec![Reading::new("MC dropout", Sees::Images, groups, cost).headline()])
}
