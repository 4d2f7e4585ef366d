//! Gradient-norm attack: Gomez, "Rethinking Membership Inference Attacks for CLIP", AAAI 2026 (code
//! lluisgomez/CLIP-MIA-Bench).
//!
//! A pair that the model fits has a small contrastive loss, and a small gradient of it. The loss
//! is that of the queried pair among negatives, the mean of both directions:
//! `-(ln p(text | image) + ln p(image | text)) / 2` with the model's own factor on cosines.
//!
//! The gradient can be taken with respect to
//! - the **weights** of both towers ([`GradientNorm::of_weights`]), as white-box attacks on
//!   classifiers do and as the paper's name for it suggests; the factor on cosines is held fixed;
//! - the two **normalised embeddings** ([`GradientNorm::of_embeddings`]), which is what the
//!   authors' code computes. It follows from the cosines alone, so it needs no gradient of the
//!   model.
//!
//! In their code the negatives are the other pairs of the evaluation batch, so that a score depends
//! on the other queries of its batch, and the gradient includes their losses. Here the negatives are
//! one fixed list for every query, and are constants.
//!
//! **Needs** images of the queried person, a list of public pairs, and for the weights white-box
//! access. **Costs** one forward pass of either tower, and for the weights one backward pass; the
//! negatives cost theirs once.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array1, Array2, ArrayView1, Axis};
use umid_models::{Input, InputTower, Model, TextTower, Tower, to_host};

use crate::checks;
use crate::error::{BaselineError, Result};
use crate::wsa_gradient::LossAndGradient;

/// The attack on one model, with its negatives.
///
/// ```
/// use umid_baselines::GradientNorm;
/// use umid_models::{Model, Input};
///
/// /// Minus the length of the gradient for one photo of a person.
/// fn score(model: &Model, public: &[Input], photo: &Input) -> umid_baselines::Result<f64> {
///     let texts = ["a photo of Ann Poe", "a photo of Jon Roe"];
///     GradientNorm::new(model, &texts, public)?.of_weights("a photo of Ada Lovelace", photo)
/// }
/// ```
#[derive(Debug)]
pub struct GradientNorm<'a> {
    model: &'a Model,
    towers: Towers,
    device: Device,
    negative_texts: Array2<f64>,
    negative_images: Array2<f64>,
}

/// What the gradient is taken with respect to.
#[derive(Module, Debug)]
struct Towers {
    text: TextTower,
    input: Tower,
}

impl<'a> GradientNorm<'a> {
    /// Embeds the negatives: public texts and public images, of none of the queries. A text and
    /// the image beside it need not belong together, nor need the lists be equally long.
    ///
    /// # Errors
    /// When either list is empty, an image is not of the model's size, or the model refuses a
    /// text.
    pub fn new<S: AsRef<str>>(model: &'a Model, texts: &[S], images: &[Input]) -> Result<Self> {
        let negative_texts = model.embed_texts(texts)?.embeddings;
        let negative_texts = checks::unit_rows("negative texts", &negative_texts.view())?;
        let negative_images = model.embed_inputs(images)?;
        let negative_images = checks::unit_rows("negative images", &negative_images.view())?;
        let towers = Towers { text: model.text.clone(), input: model.tower()?.clone() }.train();
        let device = model.device().clone().autodiff();
        Ok(Self { model, towers, device, negative_texts, negative_images })
    }

    /// Minus the length of the gradient with respect to all weights of both towers; higher for
    /// members.
    ///
    /// # Errors
    /// When the model's weights are not trainable (see [`umid_models::LoadOptions`]), the image is not of the
    /// model's size, the model refuses the text, or the gradient is not finite.
    pub fn of_weights(&self, text: &str, image: &Input) -> Result<f64> {
        if !self.model.is_trainable() {
            return Err(BaselineError::FrozenModel);
        }
        let gradients = self.weight_gradients(text, image)?;
        score(squared_length(&gradients, &self.towers).sqrt())
    }

    /// Minus the length of the gradient with respect to the two normalised embeddings together;
    /// higher for members.
    ///
    /// # Errors
    /// As [`Self::of_weights`], but for the first; or when an embedding has length zero.
    pub fn of_embeddings(&self, text: &str, image: &Input) -> Result<f64> {
        let text = self.model.embed_texts(&[text])?.embeddings;
        let image = self.model.embed_inputs(std::slice::from_ref(image))?;
        let pair = self.loss_and_gradient(&text.row(0), &image.row(0))?;
        score(pair.gradient)
    }

    /// The loss of an embedded pair and the length of its gradient with respect to the two
    /// normalised embeddings together.
    ///
    /// # Shapes
    /// - text, image: `[dim]`, normalised or not
    ///
    /// # Errors
    /// When an embedding is not finite or has length zero.
    pub fn loss_and_gradient(
        &self,
        text: &ArrayView1<'_, f32>,
        image: &ArrayView1<'_, f32>,
    ) -> Result<LossAndGradient> {
        let text = checks::unit("text embedding", text)?;
        let image = checks::unit("image embedding", image)?;
        let [of_text, of_image] = self.embedding_gradients(&text, &image);
        let [over_texts, over_images] = self.shares(&text, &image);
        Ok(LossAndGradient {
            loss: -0.5 * (over_texts[0].ln() + over_images[0].ln()),
            gradient: (of_text.dot(&of_text) + of_image.dot(&of_image)).sqrt(),
        })
    }

    /// Softmax over texts given the image, and over images given the text; the pair's own share is
    /// the first.
    fn shares(&self, text: &Array1<f64>, image: &Array1<f64>) -> [Array1<f64>; 2] {
        let scale = f64::from(self.model.logit_scale());
        let own = scale * text.dot(image);
        [
            softmax(own, &(self.negative_texts.dot(image) * scale)),
            softmax(own, &(self.negative_images.dot(text) * scale)),
        ]
    }

    /// The loss's gradients with respect to the text's and the image's unit embedding.
    ///
    /// With p the softmax over texts given the image and q that over images given the text (entry
    /// 0 the pair's own), `dL/dimage = s/2 ((p_0 - 1 + q_0 - 1) text + sum_k p_k text_k)`, and the
    /// same with the two exchanged.
    fn embedding_gradients(&self, text: &Array1<f64>, image: &Array1<f64>) -> [Array1<f64>; 2] {
        let scale = f64::from(self.model.logit_scale());
        let [over_texts, over_images] = self.shares(text, image);
        let misfit = over_texts[0] - 1.0 + over_images[0] - 1.0;
        let pulled = |other: &Array1<f64>, negatives: &Array2<f64>, weights: &Array1<f64>| {
            let weights = weights.slice(ndarray::s![1..]);
            (other * misfit + weights.dot(negatives)) * (scale / 2.0)
        };
        [
            pulled(image, &self.negative_images, &over_images),
            pulled(text, &self.negative_texts, &over_texts),
        ]
    }

    fn weight_gradients(&self, text: &str, image: &Input) -> Result<GradientsParams> {
        let loss = self.loss(&self.towers, text, image)?;
        Ok(GradientsParams::from_grads(loss.backward(), &self.towers))
    }

    /// `[1]`, in nats.
    fn loss(&self, towers: &Towers, text: &str, image: &Input) -> Result<Tensor<1>> {
        let expected = self.model.tower()?.input_shape();
        if image.shape != expected {
            return Err(BaselineError::InputShape { expected, found: image.shape });
        }
        let [channels, height, width] = expected;
        let values = TensorData::new(image.values.clone(), [1, channels, height, width]);
        let values = Tensor::from_data(values, &self.device);
        let ids = self.model.tokenizer.tokenize(text)?.ids;
        let image = unit_row(towers.input.embed(values));
        let text = unit_row(towers.text.forward(&[ids]).embedding);
        let log_share = |from: &Tensor<2>, to: &Tensor<2>, negatives: &Array2<f64>| {
            let candidates = Tensor::cat(vec![to.clone(), self.constant(negatives)], 0);
            let logits = from.clone().matmul(candidates.transpose()) * self.model.logit_scale();
            log_softmax(logits, 1).narrow(1, 0, 1).reshape([1])
        };
        let texts = log_share(&image, &text, &self.negative_texts);
        let images = log_share(&text, &image, &self.negative_images);
        Ok((texts + images) * -0.5)
    }

    fn constant(&self, rows: &Array2<f64>) -> Tensor<2> {
        let values: Vec<f32> = rows.iter().map(|&value| value as f32).collect();
        Tensor::from_data(TensorData::new(values, [rows.nrows(), rows.ncols()]), &self.device)
    }
}

fn score(length: f64) -> Result<f64> {
    if length.is_finite() {
        return Ok(-length);
    }
    Err(BaselineError::NonFinite { array: "gradient", index: 0, value: length })
}

/// One row scaled to length 1: `[1, dim]` to `[1, dim]`.
fn unit_row(row: Tensor<2>) -> Tensor<2> {
    let norm = row.clone().powi_scalar(2).sum_dim(1).sqrt();
    row / norm
}

/// Shares of the pair's own logit, first, and of the negatives'.
fn softmax(own: f64, negatives: &Array1<f64>) -> Array1<f64> {
    let own = ArrayView1::from(std::slice::from_ref(&own));
    let logits = ndarray::concatenate(Axis(0), &[own, negatives.view()]).expect("both are lists");
    let highest = logits.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
    let powers = logits.mapv(|logit| (logit - highest).exp());
    let sum = powers.sum();
    powers / sum
}

fn squared_length<M: Module>(gradients: &GradientsParams, module: &M) -> f64 {
    let mut visitor = SquaredLength { gradients, sum: 0.0 };
    module.visit(&mut visitor);
    visitor.sum
}

struct SquaredLength<'a> {
    gradients: &'a GradientsParams,
    sum: f64,
}

impl ModuleVisitor for SquaredLength<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.sum += to_host(gradient).into_iter().map(|g| f64::from(g).powi(2)).sum::<f64>();
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests;
