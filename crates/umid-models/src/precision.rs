//! In which numbers a tower is computed.

use std::fmt;
use std::str::FromStr;

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::LayerNorm;
use burn::tensor::{Device, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

use crate::{ModelError, Result};

/// In which numbers a tower is computed; sums of products are f32 in each. Variables of an inversion
/// and embeddings are always f32.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Half precision: 11 significant bits, and no number above 65,504.
    F16,
    /// 8 significant bits, and the range of f32.
    Bf16,
}

impl Precision {
    /// What the kernels for a CPU are asked for.
    ///
    /// # Errors
    ///
    /// [`ModelError::Precision`] where there are none.
    pub(crate) fn of_kernels(self) -> Result<umid_kernels::Precision> {
        let refused = |reason| Err(ModelError::Precision { precision: self, reason });
        match self {
            Self::F32 => Ok(umid_kernels::Precision::F32),
            Self::Bf16 if umid_kernels::Precision::Bf16.is_available() => {
                Ok(umid_kernels::Precision::Bf16)
            }
            Self::Bf16 => refused("this processor does not multiply in it (no AVX-512 BF16)"),
            Self::F16 => refused("a CPU multiplies in f32, and some in bf16"),
        }
    }

    /// PyTorch's name of the type.
    pub(crate) fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }

    /// A module whose weights are in this precision, but for those of its norms.
    ///
    /// # Errors
    ///
    /// [`ModelError::Precision`] where the device does not compute in it.
    pub(crate) fn apply<M: Module>(self, module: M, device: &Device) -> Result<M> {
        let dtype = match self {
            Self::F32 => return Ok(module),
            Self::F16 => FloatDType::F16,
            Self::Bf16 => FloatDType::BF16,
        };
        if !device.supports_dtype(dtype) {
            let reason = "the device does not compute in it";
            return Err(ModelError::Precision { precision: self, reason });
        }
        Ok(module.map(&mut Cast { dtype, norms: 0 }))
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self> {
        [Self::F32, Self::F16, Self::Bf16]
            .into_iter()
            .find(|precision| precision.to_string() == name)
            .ok_or_else(|| ModelError::UnknownPrecision { found: name.to_owned() })
    }
}

/// Changes the type of what is no norm's.
struct Cast {
    dtype: FloatDType,
    /// Norms that have been entered and not been left.
    norms: usize,
}

/// Containers that stay f32: they divide by the root of a sum of squares, or, of [`MelNorm`], take
/// decibels.
///
/// [`MelNorm`]: crate::nn::batch_norm::MelNorm
const NORMS: [&str; 2] = ["Struct:LayerNorm", "Struct:MelNorm"];

impl ModuleMapper for Cast {
    fn enter_module(&mut self, _name: &str, container: &str) {
        self.norms += usize::from(NORMS.contains(&container));
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.norms -= usize::from(NORMS.contains(&container));
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.norms > 0 { param } else { param.map(|tensor| tensor.cast(self.dtype)) }
    }
}

/// A layer norm, in f32, of what may be of another type.
pub(crate) fn normed<const D: usize>(norm: &LayerNorm, hidden: Tensor<D>) -> Tensor<D> {
    let dtype = hidden.dtype();
    norm.forward(hidden.cast(FloatDType::F32)).cast(dtype)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use burn::tensor::{Distribution, Tensor};

    use super::*;
    use crate::{InputTower, LoadOptions, Model, Tower, default_device, parse_device, to_host};

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
    }

    fn cpu() -> Device {
        parse_device("cpu").expect("cpu")
    }

    /// Embeddings of some inputs, and the gradient of a sum of theirs.
    fn forward_and_back(tower: &Tower, inputs: &Tensor<4>, dim: usize) -> [Vec<f32>; 2] {
        let weights = (0..dim).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<_>>();
        let weights = Tensor::<1>::from_floats(weights.as_slice(), &inputs.device());
        let inputs = inputs.clone().autodiff().require_grad();
        let embeddings = tower.embed(inputs.clone());
        let sum = (embeddings.clone() * weights.unsqueeze().autodiff()).sum();
        let gradient = inputs.grad(&sum.backward()).expect("tracked");
        [to_host(embeddings.without_autodiff()), to_host(gradient)]
    }

    fn cosine(a: &[f32], b: &[f32]) -> f64 {
        let product =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
        product(a, b) / (product(a, a) * product(b, b)).sqrt()
    }

    #[track_caller]
    fn assert_near(found: &[Vec<f32>; 2], expected: &[Vec<f32>; 2], of_gradients: f64, what: &str) {
        for (part, least) in [0.999, of_gradients].into_iter().enumerate() {
            let (found, expected) = (&found[part], &expected[part]);
            let cosine = cosine(found, expected);
            assert!(cosine > least, "{what}, {part}: {cosine}");
            assert_ne!(found, expected, "{what}, {part}: nothing was rounded");
        }
    }

    fn inputs(model: &Model) -> Tensor<4> {
        let [channels, height, width] = model.tower().expect("an input tower").input_shape();
        let device = model.device();
        device.seed(1);
        Tensor::random([3, channels, height, width], Distribution::Normal(0.0, 1.0), device)
    }

    /// On the device that `UMID_DEVICE` names.
    #[test]
    fn towers_of_half_the_bits_are_near() {
        let device = default_device().expect("a device of this build");
        for (name, least) in [
            ("hf-sharded", 0.999),
            ("openclip-gelu", 0.999),
            ("clap-hf-unfused", 0.999),
            ("clap-hf-other", 0.999),
            // Rounding makes a positive part or a maximum take its other side here and there.
            ("clap-laion-pann", 0.95),
        ] {
            let model =
                Model::load(&fixture(name), LoadOptions::on(&device).trainable()).expect(name);
            let (inputs, dim) = (inputs(&model), model.config.embedding_dim);
            let expected = forward_and_back(model.tower().expect("an input tower"), &inputs, dim);
            for precision in [Precision::F16, Precision::Bf16] {
                let tower = match precision
                    .apply(model.tower().expect("an input tower").clone(), &device)
                {
                    Ok(tower) => tower,
                    Err(error) => {
                        assert_ne!(device, cpu(), "flex has both: {error}");
                        continue;
                    }
                };
                let found = forward_and_back(&tower, &inputs, dim);
                assert_near(&found, &expected, least, &format!("{name} in {precision}"));
            }
        }
    }

    #[test]
    fn kernels_in_bf16_are_near_or_refused() {
        for name in ["hf-sharded", "openclip-gelu", "clap-hf-unfused"] {
            let plain = Model::load(&fixture(name), &cpu()).expect(name);
            let rounded =
                Model::load(&fixture(name), LoadOptions::on(&cpu()).in_precision(Precision::Bf16));
            if !umid_kernels::Precision::Bf16.is_available() {
                assert!(matches!(rounded, Err(ModelError::Precision { .. })), "{name}");
                continue;
            }
            let rounded = rounded.expect(name);
            assert_eq!(rounded.precision(), Precision::Bf16);
            let (inputs, dim) = (inputs(&plain), plain.config.embedding_dim);
            let [found, expected] = [&rounded, &plain].map(|model| {
                forward_and_back(model.tower().expect("an input tower"), &inputs, dim)
            });
            assert_near(&found, &expected, 0.999, name);
            // Texts are not rounded along.
            let texts = [&rounded, &plain].map(|model| model.embed_texts(&["a b"]).expect("text"));
            assert_eq!(texts[0], texts[1], "{name}");
        }
    }

    #[test]
    fn texts_are_rounded_where_kernels_have_the_tower_and_stay_f32_elsewhere() {
        for (name, fits) in [
            ("hf-gelu", true),
            ("openclip-siglip-text", true),
            // The norm is behind what is added.
            ("clap-hf-other", true),
            // A width that fits no kernel, and a mask that none has.
            ("hf-sharded", false),
            ("openclip-coca", false),
        ] {
            let plain = Model::load(&fixture(name), &cpu()).expect(name);
            assert_eq!(plain.text_precision(), Precision::F32);
            for asked in [Precision::Bf16, Precision::F16] {
                let options = LoadOptions::on(&cpu()).texts_in(asked);
                let rounded = Model::load(&fixture(name), options).expect(name);
                let kernels = umid_kernels::Precision::Bf16.is_available();
                let is_rounded = fits && kernels && asked == Precision::Bf16;
                let expected = if is_rounded { Precision::Bf16 } else { Precision::F32 };
                assert_eq!(rounded.text_precision(), expected, "{name} in {asked}");
                assert_eq!(rounded.precision(), Precision::F32, "{name}");
                let texts = ["a photo of Ann Lee", "b"];
                let [found, plain] =
                    [&rounded, &plain].map(|model| model.embed_texts(&texts).expect(name));
                assert_eq!(found == plain, !is_rounded, "{name} in {asked}");
                let rows = found.embeddings.rows().into_iter().zip(plain.embeddings.rows());
                for (found, plain) in rows {
                    let cosine = cosine(&found.to_vec(), &plain.to_vec());
                    assert!(cosine > 0.999, "{name} in {asked}: {cosine}");
                }
            }
        }
    }

    #[test]
    fn what_the_kernels_do_not_have_is_refused() {
        for (name, precision) in [
            ("hf-sharded", Precision::F16),
            // Widths that fit no kernel, and a tower of convolutions.
            ("hf-gelu", Precision::Bf16),
            ("clap-laion-pann", Precision::Bf16),
        ] {
            let error =
                Model::load(&fixture(name), LoadOptions::on(&cpu()).in_precision(precision))
                    .expect_err(name);
            assert!(error.to_string().contains("f32"), "{name}: {error}");
        }
    }
}
