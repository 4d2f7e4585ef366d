//! Activation functions of multilayer perceptrons.

use burn::tensor::Tensor;
use burn::tensor::activation::{relu, sigmoid};
use serde::{Deserialize, Serialize};
use umid_core::gelu;

/// Slope of the sigmoid in quick-GELU (OpenAI's CLIP, `model.py`).
const QUICK_GELU_SLOPE: f64 = 1.702;
/// Of the approximation of the GELU through the hyperbolic tangent (Hendrycks and Gimpel 2016,
/// section 2): the root of 2 / pi, and the factor on the cube.
const GELU_TANH_SLOPE: f64 = 0.797_884_560_802_865_4;
const GELU_TANH_CUBIC: f64 = 0.044_715;

/// Activation function of an MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `x * sigmoid(1.702 x)`, as in OpenAI's CLIP.
    QuickGelu,
    /// The exact GELU, through the error function.
    Gelu,
    /// The approximation of the GELU through the hyperbolic tangent.
    GeluTanh,
    /// The positive part.
    Relu,
}

impl Activation {
    /// transformers' name.
    pub(crate) fn transformers_name(self) -> &'static str {
        match self {
            Self::QuickGelu => "quick_gelu",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_pytorch_tanh",
            Self::Relu => "relu",
        }
    }

    /// What [`Activation::of_transformers`] takes.
    pub(crate) const NAMES_OF_TRANSFORMERS: &str =
        "`gelu`, `quick_gelu`, `gelu_pytorch_tanh`, `gelu_new` or `relu`";

    /// The activation of transformers' name.
    pub(crate) fn of_transformers(name: &str) -> Option<Self> {
        match name {
            "quick_gelu" => Some(Self::QuickGelu),
            "gelu" => Some(Self::Gelu),
            "gelu_pytorch_tanh" | "gelu_new" => Some(Self::GeluTanh),
            "relu" => Some(Self::Relu),
            _ => None,
        }
    }

    pub(crate) fn kernel(self) -> umid_kernels::Activation {
        match self {
            Self::QuickGelu => umid_kernels::Activation::QuickGelu,
            Self::Gelu => umid_kernels::Activation::Gelu,
            Self::GeluTanh => umid_kernels::Activation::GeluTanh,
            Self::Relu => umid_kernels::Activation::Relu,
        }
    }

    pub(crate) fn apply<const D: usize>(self, inner: Tensor<D>) -> Tensor<D> {
        match self {
            Self::QuickGelu => inner.clone() * sigmoid(inner * QUICK_GELU_SLOPE),
            Self::Gelu => gelu(inner),
            Self::GeluTanh => {
                let factor = inner.clone().powi_scalar(2) * GELU_TANH_CUBIC + 1.0;
                // (1 + tanh(x)) / 2 is the logistic function of 2 x.
                inner.clone() * sigmoid(inner * factor * (2.0 * GELU_TANH_SLOPE))
            }
            Self::Relu => relu(inner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Derivatives of `x * normal_cdf(x)`; the approximation through tanh has 1.0830 at 1.
    #[test]
    fn the_gradient_of_gelu_is_that_of_the_error_function() {
        let at = [-3.0f32, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0];
        let expected = [-0.0119456, -0.0833155, 0.1325049, 0.5, 0.8674951, 1.0833155, 1.0852318];
        let x =
            Tensor::<1>::from_data(at, &crate::default_device().unwrap().autodiff()).require_grad();
        let gradients = Activation::Gelu.apply(x.clone()).sum().backward();
        let found = crate::to_host(x.grad(&gradients).unwrap());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 2e-6, "{found}, expected {expected}");
        }
    }
}
