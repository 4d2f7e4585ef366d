//! Collecting a model's weights on the host, under the names of a layout.

use burn::module::Param;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;

use super::NamedTensor;
use crate::model::to_host;
use crate::weights::transpose;

/// Tensors in the order in which they were pushed.
#[derive(Default)]
pub(crate) struct Export(pub(super) Vec<NamedTensor>);

impl Export {
    pub(crate) fn push(&mut self, name: &str, shape: Vec<usize>, values: Vec<f32>) {
        self.0.push(NamedTensor { name: name.to_owned(), shape, values });
    }

    pub(crate) fn param<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) {
        let tensor = param.val().inner();
        self.push(name, tensor.dims().to_vec(), to_host(tensor));
    }

    /// A matrix that multiplies from the right, stored `[output, input]`.
    pub(crate) fn transposed(&mut self, name: &str, param: &Param<Tensor<2>>) {
        let tensor = param.val().inner();
        let [rows, columns] = tensor.dims();
        self.push(name, vec![columns, rows], transpose(&to_host(tensor), rows, columns));
    }

    pub(crate) fn layer_norm(&mut self, name: &str, norm: &LayerNorm) {
        self.param(&format!("{name}.weight"), &norm.gamma);
        if let Some(beta) = &norm.beta {
            self.param(&format!("{name}.bias"), beta);
        }
    }

    pub(crate) fn linear(&mut self, name: &str, linear: &Linear) {
        self.transposed(&format!("{name}.weight"), &linear.weight);
        if let Some(bias) = &linear.bias {
            self.param(&format!("{name}.bias"), bias);
        }
    }

    /// Query, key and value, which are kept side by side, under a name each.
    pub(crate) fn thirds(&mut self, names: &[String; 3], fused: &Linear) {
        let weight = fused.weight.val().inner();
        let width = weight.dims()[1] / 3;
        for (part, name) in names.iter().enumerate() {
            let bias = fused.bias.as_ref().map(|b| b.val().inner().narrow(0, part * width, width));
            let weight = weight.clone().narrow(1, part * width, width);
            let linear =
                Linear { weight: Param::from_tensor(weight), bias: bias.map(Param::from_tensor) };
            self.linear(name, &linear);
        }
    }

    /// Changes names.
    pub(super) fn rename(&mut self, new: impl Fn(&str) -> String) {
        for tensor in &mut self.0 {
            tensor.name = new(&tensor.name);
        }
    }
}
