//! LpLA: the likelihood ratio of the norm of a photo's embedding between people that a model was
//! trained on and others, learnt from the target's shadows.

use umid_baselines::{NormLikelihood, embedding_norms};

use super::embedding_norm::P;
use super::known::reaching;
use super::pair_probe::Probe;
use super::reference_models::trained_on;
use super::{Method, Needs, columns_of};
use crate::error::Error;
use crate::record::{Cost, Group, Reading, Sees};
use crate::subject::Subject;

/// The likelihood ratio of embedding norms.
pub static METHOD: Method = Method {
    needs: |_| Needs::Shadows,
    definition: || String::from("2, decides"),
    ..Method::new("lpla", "LpLA, arXiv 2506.05743", 5.0, measure)
};

fn measure(subject: &Subject, _: &toml::Table) -> crate::Result<Vec<Reading>> {
    const GROUPS: [Group; 2] = [Group::Member, Group::NonMember];
    let shadows = subject.shadows()?;
    if shadows.is_empty() {
        return Err(Error::ReferenceModels { found: 0, needed: 1 });
    }
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    let trained_on = trained_on(subject, &shadows, &GROUPS)?;
    for ((model, _), trained_on) in shadows.iter().zip(trained_on.rows()) {
        let probe = Probe::compute(subject, model)?;
        let norms = GROUPS.map(|g| embedding_norms(&probe.groups[&g].embedded.view(), P));
        let norms = norms.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
        for (norm, trained_on) in norms.into_iter().zip(trained_on) {
            if *trained_on { inside.push(norm) } else { outside.push(norm) }
        }
    }
    let attack = NormLikelihood::fit(&inside, &outside)?;
    let probe = Probe::of(subject)?;
    let groups = columns_of(&probe.groups, |pairs| {
        let norms = embedding_norms(&pairs.embedded.view(), P)?;
        let scores = norms.into_iter().map(|norm| attack.score(norm).map(Some));
        // The ratio's own decision: members are the likelier class.
        Ok(reaching(scores.collect::<Result<_, _>>()?, 0.0))
    })?;
    let seconds = Some(probe.seconds);
    let cost = Cost { forward: 1.0, backward: 0.0, seconds, latency: None };
    Ok(vec![Reading::new("LpLA", Sees::ImageAndModels, groups, cost).headline()])
}
