//! Gradient norm (Gomez, AAAI 2026): a pair that was trained on has a flat loss. The author's code
//! takes the gradient with respect to the pair's two embeddings; the one with respect to all weights
//! is measured too.

use std::time::Instant;

use umid_baselines::GradientNorm as Attack;
use umid_models::{Input, LoadOptions, Model};

use super::known::decided;
use super::pair_probe::{Pairs, Probe};
use super::{Method, columns_of};
use crate::record::{Cost, Reading, Sees};
use crate::subject::Subject;

/// Public pairs that serve as negatives in a pair's loss; the others are known non-members.
pub const NEGATIVES: usize = 64;

/// The gradient-norm attack.
pub static METHOD: Method = Method {
    definition: || String::from("2, decides"),
    ..Method::new("gradient-norm", "Gomez 2026", 15.0, measure)
};

fn measure(subject: &Subject, _: &toml::Table) -> crate::Result<Vec<Reading>> {
    let probe = Probe::of(subject)?;
    let known = &probe.known;
    let (negatives, known) = split(known);
    let source = &subject.model.source.path;
    let model = Model::load(source, LoadOptions::on(subject.model.device()).trainable())?;
    let attack = Attack::new(&model, negatives.0, negatives.1)?;
    let count: usize = probe.groups.values().map(|pairs| pairs.inputs.len()).sum();
    let mut readings = Vec::new();
    for (name, of_weights) in [("gradient norm", false), ("gradient norm, weights", true)] {
        let scores = |(captions, inputs): (&[String], &[Input])| {
            let score = |(text, input): (&String, &Input)| {
                Ok(if of_weights {
                    attack.of_weights(text, input)?
                } else {
                    attack.of_embeddings(text, input)?
                })
            };
            captions.iter().zip(inputs).map(score).collect::<crate::Result<Vec<f64>>>()
        };
        let known = scores(known)?;
        let started = Instant::now();
        let groups = columns_of(&probe.groups, |pairs| {
            let scores = scores((&pairs.captions, &pairs.inputs))?;
            decided(scores.into_iter().map(Some).collect(), &known)
        })?;
        let seconds = Some(started.elapsed().as_secs_f64() / count as f64);
        let backward = if of_weights { 2.0 } else { 0.0 };
        let cost = Cost { forward: 2.0, backward, seconds, latency: seconds };
        readings.push(Reading::new(name, Sees::Images, groups, cost).headline());
    }
    Ok(readings)
}

/// Captions with inputs.
type Captioned<'a> = (&'a [String], &'a [Input]);

/// The negatives, and the other known non-members.
fn split(known: &Pairs) -> (Captioned<'_>, Captioned<'_>) {
    let at = NEGATIVES.min(known.captions.len());
    let (captions, inputs) = (known.captions.split_at(at), known.inputs.split_at(at));
    ((captions.0, inputs.0), (captions.1, inputs.1))
}
