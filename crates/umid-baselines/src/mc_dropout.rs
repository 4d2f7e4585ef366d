//! Monte Carlo dropout: Gomez, "Rethinking Membership Inference Attacks for CLIP", AAAI 2026 (code
//! lluisgomez/CLIP-MIA-Bench): the cosine of a pair, averaged over passes in which a share of the
//! attention weights is dropped. The idea is that a pair which was trained on survives that better.
//!
//! In their code every input of every pass has attention weights of its own dropped. Here a pass is one
//! subnetwork for all inputs, so that a score does not depend on the other queries and the noise of a
//! pass is the same for all.
//!
//! **Needs** images of the queried person and the model's weights. **Costs** one forward pass of
//! either tower per pass; no gradient, no reference model.

use ndarray::ArrayView2;
use umid_models::{AttentionDropout, Input, Model};

use crate::csa::cosine_similarity;
use crate::error::{BaselineError, Result};

/// The attack's settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MonteCarloDropout {
    /// Share of attention weights that is dropped, at least 0 and below 1.
    pub share: f64,
    /// Passes, at least 1.
    pub passes: usize,
    /// Seed of the passes.
    pub seed: u64,
}

impl Default for MonteCarloDropout {
    /// The defaults of the author's code.
    fn default() -> Self {
        Self { share: 0.05, passes: 10, seed: 0 }
    }
}

impl MonteCarloDropout {
    /// Mean cosine of each pair over the passes; higher for members. The model has no dropout
    /// afterwards.
    ///
    /// # Errors
    /// When the model's weights are not trainable (its kernels know no dropout), a setting is outside
    /// its range, there are not as many images as texts, neither tower has attention that can drop,
    /// or the model refuses a text or an image.
    pub fn score<S: AsRef<str>>(
        &self,
        model: &mut Model,
        texts: &[S],
        images: &[Input],
    ) -> Result<Vec<f64>> {
        if !model.is_trainable() {
            return Err(BaselineError::FrozenModel);
        }
        let Self { share, passes, .. } = *self;
        if !(0.0..1.0).contains(&share) {
            let expected = "at least 0 and below 1";
            return Err(BaselineError::Argument { argument: "share", expected, found: share });
        }
        crate::checks::at_least("passes", 1, passes)?;
        crate::checks::same_size("images of a list of pairs", texts.len(), images.len())?;
        let scores = self.mean_cosines(model, texts, images);
        model.set_attention_dropout(None);
        scores
    }

    fn mean_cosines<S: AsRef<str>>(
        &self,
        model: &mut Model,
        texts: &[S],
        images: &[Input],
    ) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; texts.len()];
        for pass in 0..self.passes as u64 {
            let dropout = AttentionDropout { share: self.share, seed: self.seed + pass };
            if model.set_attention_dropout(Some(dropout)) == 0 {
                return Err(BaselineError::NothingToDrop);
            }
            let texts = model.embed_texts(texts)?.embeddings;
            let images = model.embed_inputs(images)?;
            for (sum, cosine) in sums.iter_mut().zip(cosines(&texts.view(), &images.view())?) {
                *sum += cosine;
            }
        }
        Ok(sums.into_iter().map(|sum| sum / self.passes as f64).collect())
    }
}

fn cosines(texts: &ArrayView2<'_, f32>, images: &ArrayView2<'_, f32>) -> Result<Vec<f64>> {
    let pair = |i: usize| cosine_similarity(&texts.row(i), &images.slice(ndarray::s![i..=i, ..]));
    (0..texts.nrows()).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use umid_models::{InputTower, LoadOptions, parse_device};

    use super::*;

    /// Round-off of two ways of computing attention.
    const ROUND_OFF: f64 = 1e-5;
    const TEXTS: [&str; 3] = ["a photo of Maria Kowalski", "agent 007", "a portrait of Ada"];

    fn model(trainable: bool) -> Model {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../umid-models/tests/fixtures");
        let options = LoadOptions::on(&parse_device("cpu").expect("cpu"));
        let options = if trainable { options.trainable() } else { options };
        Model::load(&fixtures.join("hf-gelu"), options).expect("fixture")
    }

    fn images(model: &Model) -> Vec<Input> {
        let [_, size, _] = model.tower().expect("an input tower").input_shape();
        let of_seed = |seed: usize| {
            let values = (0..3 * size * size).map(|i| (i as f32 * 0.07 + seed as f32).sin());
            Input { shape: [3, size, size], values: values.collect() }
        };
        (0..TEXTS.len()).map(of_seed).collect()
    }

    fn plain(model: &Model, images: &[Input]) -> Vec<f64> {
        let texts = model.embed_texts(&TEXTS).expect("texts").embeddings;
        let images = model.embed_inputs(images).expect("images");
        cosines(&texts.view(), &images.view()).expect("usable")
    }

    #[test]
    fn dropping_nothing_is_the_cosine() {
        let mut model = model(true);
        let images = images(&model);
        let attack = MonteCarloDropout { share: 0.0, passes: 2, seed: 0 };
        let scores = attack.score(&mut model, &TEXTS, &images).expect("usable");
        for (score, cosine) in scores.iter().zip(plain(&model, &images)) {
            assert!((score - cosine).abs() < ROUND_OFF, "{score} {cosine}");
        }
    }

    #[test]
    fn a_score_is_the_mean_over_passes_and_the_model_is_left_as_it_was() {
        let mut model = model(true);
        let images = images(&model);
        let before = plain(&model, &images);
        let of = |passes, seed| MonteCarloDropout { share: 0.3, passes, seed };
        let mut score =
            |attack: MonteCarloDropout| attack.score(&mut model, &TEXTS, &images).expect("usable");
        let (first, second, both) = (score(of(1, 7)), score(of(1, 8)), score(of(2, 7)));
        assert_ne!(first, second);
        for i in 0..TEXTS.len() {
            assert!((f64::midpoint(first[i], second[i]) - both[i]).abs() < 1e-12, "{i}");
        }
        assert_eq!(before, plain(&model, &images));
    }

    #[test]
    fn a_score_does_not_depend_on_other_queries() {
        let mut model = model(true);
        let images = images(&model);
        let attack = MonteCarloDropout { share: 0.3, passes: 3, seed: 1 };
        let together = attack.score(&mut model, &TEXTS, &images).expect("usable");
        let alone = attack.score(&mut model, &TEXTS[1..2], &images[1..2]).expect("usable");
        assert!((together[1] - alone[0]).abs() < ROUND_OFF);
    }

    #[test]
    fn bad_settings_and_frozen_weights_are_refused() {
        let (mut trainable, mut frozen) = (model(true), model(false));
        let images = images(&trainable);
        for share in [1.0, -0.1, f64::NAN] {
            let attack = MonteCarloDropout { share, ..MonteCarloDropout::default() };
            let result = attack.score(&mut trainable, &TEXTS, &images);
            assert!(matches!(result, Err(BaselineError::Argument { argument: "share", .. })));
        }
        let attack = MonteCarloDropout { passes: 0, ..MonteCarloDropout::default() };
        assert!(attack.score(&mut trainable, &TEXTS, &images).is_err());
        let uneven = MonteCarloDropout::default().score(&mut trainable, &TEXTS, &images[1..]);
        assert!(matches!(uneven, Err(BaselineError::Size { .. })));
        let result = MonteCarloDropout::default().score(&mut frozen, &TEXTS, &images);
        assert!(matches!(result, Err(BaselineError::FrozenModel)), "{result:?}");
    }
}
