//! Visitors that read: a module's tensors on the host, and the names and shapes of them.

use burn::module::Param;
use burn::tensor::Tensor;
use umid_core::to_host;

use super::visit::{Derived, Form, Visitor};
use crate::Result;
use crate::checkpoint::transpose;

/// A tensor on the host under its name.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Name, such as `text_model.final_layer_norm.weight`.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

/// Collects a module's tensors as they would be stored.
#[derive(Default)]
pub(crate) struct Exporter(pub(crate) Vec<NamedTensor>);

impl Exporter {
    fn push(&mut self, name: &str, shape: &[usize], values: Vec<f32>) {
        self.0.push(NamedTensor { name: name.to_owned(), shape: shape.to_vec(), values });
    }
}

impl Visitor for Exporter {
    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        stored: &[usize],
        form: Form,
        param: &mut Param<Tensor<D>>,
    ) -> Result<()> {
        let values = to_host(param.val().inner());
        let values = match form {
            Form::Plain => values,
            Form::Transposed => transpose(&values, values.len() / stored[0], stored[0]),
        };
        self.push(name, stored, values);
        Ok(())
    }

    fn derived(
        &mut self,
        tensors: &[(String, Vec<usize>)],
        module: &mut impl Derived,
    ) -> Result<()> {
        for ((name, shape), values) in tensors.iter().zip(module.get()) {
            self.push(name, shape, values);
        }
        Ok(())
    }
}

/// Lists the names and shapes of a module's tensors as they would be stored.
#[derive(Default)]
pub(crate) struct Shapes(pub(crate) Vec<(String, Vec<usize>)>);

impl Visitor for Shapes {
    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        stored: &[usize],
        _: Form,
        _: &mut Param<Tensor<D>>,
    ) -> Result<()> {
        self.0.push((name.to_owned(), stored.to_vec()));
        Ok(())
    }

    fn derived(&mut self, tensors: &[(String, Vec<usize>)], _: &mut impl Derived) -> Result<()> {
        self.0.extend_from_slice(tensors);
        Ok(())
    }
}
