//! Parameters of training and their ranges.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::schedule::cosine_after_warmup;
use crate::world::World;

/// How a target is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainParams {
    /// Optimiser steps, over which the learning rate falls to zero. At least 1.
    pub steps: usize,
    /// Stops after this many of the steps, for a target that saw its members less often. At
    /// least 1 and at most `steps`.
    #[serde(default)]
    pub stop_after: Option<usize>,
    /// Members in a batch, all of them different. 2 or more, and no more than there are.
    pub names_per_batch: usize,
    /// Public people under generic captions in a batch.
    pub generic_per_batch: usize,
    /// Learning rate at its peak, over 0.
    pub learning_rate: f64,
    /// Steps over which the learning rate rises linearly; it falls along a cosine after them.
    pub warmup_steps: usize,
    /// Decay of AdamW's two moments, each in 0..1.
    pub betas: [f32; 2],
    /// AdamW's guard against a division by zero, over 0.
    pub epsilon: f32,
    /// Decoupled weight decay, 0 or more; it applies to every weight.
    pub weight_decay: f32,
    /// Longest gradient, over all weights together; a longer one is scaled to it. Over 0.
    pub gradient_norm_limit: f32,
    /// Steps between two checkpoints. At least 1.
    pub checkpoint_every: usize,
    /// The batches follow from this.
    pub seed: u64,
}

impl Default for TrainParams {
    /// The recipe under which the prototype memorised 400 people: at batches of 192 names, 900
    /// steps show each of them 432 times.
    fn default() -> Self {
        Self {
            steps: 900,
            stop_after: None,
            names_per_batch: 192,
            generic_per_batch: 64,
            learning_rate: 1e-3,
            warmup_steps: 100,
            betas: [0.9, 0.98],
            epsilon: 1e-8,
            weight_decay: 0.1,
            gradient_norm_limit: 1.0,
            checkpoint_every: 100,
            seed: 1,
        }
    }
}

impl TrainParams {
    /// Checks the ranges, and that the world has the people that a batch asks for.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a count, [`Error::InvalidRate`] for any other number.
    pub fn check(&self, world: &World) -> Result<(), Error> {
        let people = world.members().len();
        let public = world.params().public;
        for (parameter, found, valid, expected) in [
            ("steps", self.steps, self.steps >= 1, "at least 1"),
            (
                "stop_after",
                self.steps_taken(),
                (1..=self.steps).contains(&self.steps_taken()),
                "at least 1 and at most the number of steps",
            ),
            ("checkpoint_every", self.checkpoint_every, self.checkpoint_every >= 1, "at least 1"),
            (
                "names_per_batch",
                self.names_per_batch,
                (2..=people).contains(&self.names_per_batch),
                "at least 2 and at most the number of members",
            ),
            (
                "generic_per_batch",
                self.generic_per_batch,
                self.generic_per_batch == 0 || public > 0,
                "0 in a world without public people",
            ),
        ] {
            if !valid {
                return Err(Error::InvalidParameter { parameter, found, expected });
            }
        }
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let decay = |value: f32| (0.0..1.0).contains(&value);
        let weight_decay = f64::from(self.weight_decay);
        for (parameter, found, valid, expected) in [
            ("learning_rate", self.learning_rate, positive(self.learning_rate), "over 0"),
            ("betas[0]", self.betas[0].into(), decay(self.betas[0]), "in 0..1"),
            ("betas[1]", self.betas[1].into(), decay(self.betas[1]), "in 0..1"),
            ("epsilon", self.epsilon.into(), positive(self.epsilon.into()), "over 0"),
            (
                "weight_decay",
                weight_decay,
                weight_decay >= 0.0 && weight_decay.is_finite(),
                "0 or more",
            ),
            (
                "gradient_norm_limit",
                self.gradient_norm_limit.into(),
                positive(self.gradient_norm_limit.into()),
                "over 0",
            ),
        ] {
            if !valid {
                return Err(Error::InvalidRate { parameter, found, expected });
            }
        }
        Ok(())
    }

    /// Steps that are taken: all, or as many as there are to the stop.
    pub fn steps_taken(&self) -> usize {
        self.stop_after.unwrap_or(self.steps)
    }

    /// How often each member is shown, on average.
    pub fn exposures_per_name(&self, members: usize) -> f64 {
        (self.steps_taken() * self.names_per_batch) as f64 / members as f64
    }

    /// The learning rate of a step, from 0.
    pub(super) fn learning_rate_at(&self, step: usize) -> f64 {
        cosine_after_warmup(self.learning_rate, step, self.warmup_steps, self.steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::NameLists;
    use crate::world::WorldParams;

    fn check(public: usize, change: impl FnOnce(&mut TrainParams)) -> Result<(), Error> {
        let params = WorldParams { members: 4, non_members: 4, public, ..WorldParams::default() };
        let world = World::draw(params, &NameLists::bundled()).expect("a world");
        let mut params = TrainParams { names_per_batch: 4, ..TrainParams::default() };
        change(&mut params);
        params.check(&world)
    }

    #[track_caller]
    fn rejects(parameter: &str, change: impl FnOnce(&mut TrainParams)) {
        match check(0, |params| {
            params.generic_per_batch = 0;
            change(params);
        }) {
            Err(
                Error::InvalidParameter { parameter: named, .. }
                | Error::InvalidRate { parameter: named, .. },
            ) => assert_eq!(named, parameter),
            other => panic!("expected an invalid {parameter}, found {other:?}"),
        }
    }

    #[test]
    fn the_recipe_is_valid() {
        check(10, |_| ()).expect("the defaults");
    }

    #[test]
    fn no_steps_is_an_error() {
        rejects("steps", |p| p.steps = 0);
    }

    #[test]
    fn a_stop_outside_of_the_steps_is_an_error() {
        rejects("stop_after", |p| p.stop_after = Some(0));
        rejects("stop_after", |p| p.stop_after = Some(p.steps + 1));
    }

    #[test]
    fn checkpoints_every_zero_steps_is_an_error() {
        rejects("checkpoint_every", |p| p.checkpoint_every = 0);
    }

    #[test]
    fn a_batch_of_one_name_or_of_more_than_there_are_is_an_error() {
        rejects("names_per_batch", |p| p.names_per_batch = 1);
        rejects("names_per_batch", |p| p.names_per_batch = 5);
    }

    #[test]
    fn generic_captions_of_nobody_are_an_error() {
        rejects("generic_per_batch", |p| p.generic_per_batch = 1);
    }

    #[test]
    fn a_learning_rate_of_zero_or_nan_is_an_error() {
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            rejects("learning_rate", |p| p.learning_rate = value);
        }
    }

    #[test]
    fn betas_outside_their_range_are_an_error() {
        for value in [-0.1, 1.0, f32::NAN] {
            rejects("betas[0]", |p| p.betas[0] = value);
            rejects("betas[1]", |p| p.betas[1] = value);
        }
    }

    #[test]
    fn an_epsilon_of_zero_or_nan_is_an_error() {
        rejects("epsilon", |p| p.epsilon = 0.0);
        rejects("epsilon", |p| p.epsilon = f32::NAN);
    }

    #[test]
    fn a_negative_or_nan_weight_decay_is_an_error() {
        rejects("weight_decay", |p| p.weight_decay = -0.1);
        rejects("weight_decay", |p| p.weight_decay = f32::NAN);
    }

    #[test]
    fn a_gradient_norm_limit_of_zero_or_nan_is_an_error() {
        rejects("gradient_norm_limit", |p| p.gradient_norm_limit = 0.0);
        rejects("gradient_norm_limit", |p| p.gradient_norm_limit = f32::NAN);
    }

    #[test]
    fn the_recipe_shows_each_of_400_names_432_times() {
        assert!((TrainParams::default().exposures_per_name(400) - 432.0).abs() < 1e-12);
    }
}
