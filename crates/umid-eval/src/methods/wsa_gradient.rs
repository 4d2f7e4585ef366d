//! WSA with gradient and loss (Gomez, AAAI 2026): a classifier of pseudo-members against known
//! non-members that sees each pair's loss and the length of its gradient.
//!
//! The pool of pseudo-members is the list under test, as in [`super::wsa`].

use ndarray::ArrayView2;
use umid_baselines::{GradientNorm, LossAndGradient, WeaklySupervisedGradient};

use super::gradient_norm::NEGATIVES;
use super::known::reaching;
use super::pair_probe::{Pairs, Probe};
use super::{Method, columns_of};
use crate::record::{Cost, Group, Reading, Sees};
use crate::subject::Subject;

/// The weakly supervised attack on loss and gradient.
pub static METHOD: Method = Method::new("wsa-gradient", "Gomez 2026", 3.0, measure);

fn measure(subject: &Subject, _: &toml::Table) -> crate::Result<Vec<Reading>> {
    let probe = Probe::of(subject)?;
    let known = &probe.known;
    let negatives = NEGATIVES.min(known.captions.len());
    let (captions, inputs) = (&known.captions[..negatives], &known.inputs[..negatives]);
    let attack = GradientNorm::new(&subject.model, captions, inputs)?;
    let pairs = |pairs: &Pairs, from: usize| {
        let rows = ndarray::s![from.., ..];
        seen(&attack, pairs.texts.slice(rows), pairs.embedded.slice(rows))
    };
    let known = pairs(known, negatives)?;
    let groups = columns_of(&probe.groups, |group| pairs(group, 0))?;
    let under_test = [Group::Member, Group::NonMember];
    let pool: Vec<LossAndGradient> =
        under_test.iter().filter_map(|group| groups.get(group)).flatten().copied().collect();
    let fitted = WeaklySupervisedGradient::fit(&known, &pool)?;
    let columns = columns_of(&groups, |pairs| {
        let scores = pairs.iter().map(|pair| Ok(Some(fitted.score(*pair)?)));
        // The regression's own decision: pseudo-member is the likelier class.
        Ok(reaching(scores.collect::<crate::Result<_>>()?, 0.0))
    })?;
    let seconds = Some(probe.seconds);
    let cost = Cost { forward: 2.0, backward: 0.0, seconds, latency: None };
    let name = "WSA, gradient and loss";
    let mut reading = Reading::new(name, Sees::Images, columns, cost).headline();
    let pseudo = vec![fitted.pseudo_members() as f64];
    reading.facts.insert("pseudo_members".to_owned(), pseudo);
    Ok(vec![reading])
}

fn seen(
    attack: &GradientNorm<'_>,
    texts: ArrayView2<f32>,
    inputs: ArrayView2<f32>,
) -> crate::Result<Vec<LossAndGradient>> {
    let pairs = texts.outer_iter().zip(inputs.outer_iter());
    pairs.map(|(text, input)| Ok(attack.loss_and_gradient(&text, &input)?)).collect()
}
