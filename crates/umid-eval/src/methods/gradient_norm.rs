//! Gradient norm (Gomez, AAAI 2026): a pair that was trained on has a flat loss. The author's code
//! takes the gradient with respect to the pair's two embeddings; the one with respect to all weights
//! is measured too.

use std::time::Instant;

use umid_baselines::GradientNorm as Attack;
use umid_models::{LoadOptions, Model};

use super::pair_probe::Probe;
use super::{Method, columns_of};
use crate::record::{Column, Cost, Reading, Sees};
use crate::subject::Subject;

/// Public pairs that serve as negatives in a pair's loss.
const NEGATIVES: usize = 64;

/// The gradient-norm attack.
pub static METHOD: Method = Method::new("gradient-norm", "Gomez 2026", 15.0, measure);

fn measure(subject: &Subject, _: &toml::Table) -> crate::Result<Vec<Reading>> {
    let probe = Probe::of(subject)?;
    let known = &probe.known;
    let captions = &known.captions[..NEGATIVES.min(known.captions.len())];
    let photos = &known.inputs[..NEGATIVES.min(known.inputs.len())];
    let source = &subject.model.source.path;
    let model = Model::load(source, LoadOptions::on(subject.model.device()).trainable())?;
    let attack = Attack::new(&model, captions, photos)?;
    let count: usize = probe.groups.values().map(|pairs| pairs.inputs.len()).sum();
    let mut readings = Vec::new();
    for (name, of_weights) in [("gradient norm", false), ("gradient norm, weights", true)] {
        let started = Instant::now();
        let groups = columns_of(&probe.groups, |pairs| {
            let score = |(text, photo): (&String, _)| {
                let score = if of_weights {
                    attack.of_weights(text, photo)
                } else {
                    attack.of_embeddings(text, photo)
                };
                Ok(Some(score?))
            };
            let pairs = pairs.captions.iter().zip(&pairs.inputs);
            Ok(Column::of(pairs.map(score).collect::<crate::Result<_>>()?))
        })?;
        let seconds = Some(started.elapsed().as_secs_f64() / count as f64);
        let backward = if of_weights { 2.0 } else { 0.0 };
        let cost = Cost { forward: 2.0, backward, seconds, latency: seconds };
        readings.push(Reading::new(name, Sees::Images, groups, cost).headline());
    }
    Ok(readings)
}
