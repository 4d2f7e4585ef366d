//! WSA (Ko et al., ICCV 2023): a classifier of pseudo-members against known non-members.
//!
//! The pool of pseudo-members is the list under test, as in the paper.

use ndarray::{Axis, concatenate};
use umid_baselines::{Pairs as PairRows, WeaklySupervised};

use super::known::reaching;
use super::pair_probe::{Pairs, Probe};
use super::{Method, columns_of};
use crate::record::{Cost, Group, Reading, Sees};
use crate::subject::Subject;

/// The weakly supervised attack.
pub static METHOD: Method = Method {
    definition: || String::from("2, decides"),
    ..Method::new("wsa", "Ko et al. 2023", 3.0, measure)
};

fn measure(subject: &Subject, _: &toml::Table) -> crate::Result<Vec<Reading>> {
    let probe = Probe::of(subject)?;
    let pool: Vec<&Pairs> =
        [Group::Member, Group::NonMember].iter().filter_map(|g| probe.groups.get(g)).collect();
    let texts: Vec<_> = pool.iter().map(|pairs| pairs.texts.view()).collect();
    let images: Vec<_> = pool.iter().map(|pairs| pairs.embedded.view()).collect();
    let texts = concatenate(Axis(0), &texts)?;
    let images = concatenate(Axis(0), &images)?;
    let pool = PairRows { texts: texts.view(), images: images.view() };
    let fitted = WeaklySupervised::default().fit(&rows(&probe.known), &pool)?;
    let groups = columns_of(&probe.groups, |pairs| {
        // The classifier's own decision: pseudo-member is the likelier class.
        Ok(reaching(fitted.score(&rows(pairs))?.into_iter().map(Some).collect(), 0.0))
    })?;
    let seconds = Some(probe.seconds);
    let cost = Cost { forward: 2.0, backward: 0.0, seconds, latency: None };
    let mut reading = Reading::new("WSA", Sees::Images, groups, cost).headline();
    let pseudo = vec![fitted.pseudo_members() as f64];
    reading.facts.insert("pseudo_members".to_owned(), pseudo);
    Ok(vec![reading])
}

fn rows(pairs: &Pairs) -> PairRows<'_> {
    PairRows { texts: pairs.texts.view(), images: pairs.embedded.view() }
}
