//! One description per module, visited.
//!
//! A module names its tensors once, in `describe`; what is done with them is the visitor's: it
//! loads them as burn's parameters or into the kernels' panels ([`load`](super::load)), exports
//! them, or lists their shapes ([`export`](super::export)). Modules are made with shapes and
//! without values; burn allocates a parameter only when its value is asked for.
//!
//! Names are those of the Hugging Face layout where it has the tower, and of the reference
//! implementation otherwise. A family whose files use other names says which (see
//! [`families`](crate::families)).

use burn::module::Param;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use umid_core::to_host;

use super::block::Transformer;
use crate::Result;
use crate::checkpoint::transpose;

/// How a parameter lies in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// In the same order.
    Plain,
    /// Rows and columns exchanged: PyTorch stores a linear layer as `[output, input]`.
    Transposed,
}

/// Something that is done with every tensor of a module.
pub(crate) trait Visitor {
    /// A tensor that is one parameter.
    ///
    /// # Shapes
    ///
    /// - stored: in the file, where a transposed matrix may have further axes for its rows'
    ///   elements, as the kernel of a convolution has
    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        stored: &[usize],
        form: Form,
        param: &mut Param<Tensor<D>>,
    ) -> Result<()>;

    /// Tensors of which a module's parameters are made, such as a batch norm that is folded into a
    /// convolution.
    fn derived(
        &mut self,
        tensors: &[(String, Vec<usize>)],
        module: &mut impl Derived,
    ) -> Result<()>;

    /// A stored buffer that carries no information. It may be absent.
    fn unused(&mut self, _name: &str) {}

    /// A stack of blocks, each under a name of its own.
    fn transformer(
        &mut self,
        transformer: &mut Transformer,
        name: &(impl Fn(usize) -> String + Sync),
    ) -> Result<()>
    where
        Self: Sized,
    {
        transformer.describe_layers(self, name)
    }

    /// A parameter that is stored as it is.
    fn plain<const D: usize>(&mut self, name: &str, param: &mut Param<Tensor<D>>) -> Result<()> {
        self.tensor(name, &param.lazy_shape().to_vec(), Form::Plain, param)
    }

    /// A matrix `[input, output]` that is stored as `[output, input]`.
    fn transposed(&mut self, name: &str, param: &mut Param<Tensor<2>>) -> Result<()> {
        let [input, output] = param.lazy_shape().dims();
        self.tensor(name, &[output, input], Form::Transposed, param)
    }

    /// A weight and, where there is one, a bias.
    fn linear(&mut self, name: &str, linear: &mut Linear) -> Result<()> {
        self.transposed(&format!("{name}.weight"), &mut linear.weight)?;
        match &mut linear.bias {
            Some(bias) => self.plain(&format!("{name}.bias"), bias),
            None => Ok(()),
        }
    }

    /// Linear layers of the same inputs, stored one by one and computed as one.
    fn side_by_side(&mut self, names: &[String; 3], linear: &mut Linear) -> Result<()> {
        let [input, outputs] = linear.weight.lazy_shape().dims();
        let each = outputs / names.len();
        let mut tensors: Vec<_> =
            names.iter().map(|name| (format!("{name}.weight"), vec![each, input])).collect();
        if linear.bias.is_some() {
            tensors.extend(names.iter().map(|name| (format!("{name}.bias"), vec![each])));
        }
        self.derived(&tensors, linear)
    }

    /// A gain and a shift.
    fn norm(&mut self, name: &str, norm: &mut LayerNorm) -> Result<()> {
        self.plain(&format!("{name}.weight"), &mut norm.gamma)?;
        match &mut norm.beta {
            Some(shift) => self.plain(&format!("{name}.bias"), shift),
            None => Ok(()),
        }
    }
}

/// A module whose parameters are computed from stored tensors.
pub(crate) trait Derived {
    /// Takes the stored tensors, in the order in which they were described.
    fn set(&mut self, stored: Vec<Vec<f32>>, device: &Device);

    /// Stored tensors that make the module what it is, in the same order.
    fn get(&self) -> Vec<Vec<f32>>;
}

/// Layers side by side: the weights of all of them, then the biases.
impl Derived for Linear {
    fn set(&mut self, stored: Vec<Vec<f32>>, device: &Device) {
        let [input, outputs] = self.weight.lazy_shape().dims();
        let weights = if self.bias.is_some() { stored.len() / 2 } else { stored.len() };
        // Rows of the stored weights are columns here.
        let values = transpose(&stored[..weights].concat(), outputs, input);
        self.weight = parameter(values, [input, outputs], device);
        if let Some(bias) = &mut self.bias {
            *bias = parameter(stored[weights..].concat(), [outputs], device);
        }
    }

    fn get(&self) -> Vec<Vec<f32>> {
        const PARTS: usize = 3;
        let [input, outputs] = self.weight.dims();
        let rows = transpose(&to_host(self.weight.val().inner()), input, outputs);
        let parts = |values: Vec<f32>| -> Vec<Vec<f32>> {
            values.chunks_exact(values.len() / PARTS).map(<[f32]>::to_vec).collect()
        };
        let mut stored = parts(rows);
        stored.extend(self.bias.iter().flat_map(|bias| parts(to_host(bias.val().inner()))));
        stored
    }
}

/// A parameter with these values.
pub(crate) fn parameter<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Param<Tensor<D>> {
    Param::from_data(TensorData::new(values, shape), device)
}

/// A parameter without values yet.
pub(crate) fn empty<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    burn::nn::Initializer::Zeros.init(shape, device)
}

/// A linear layer without values yet.
pub(crate) fn linear(input: usize, output: usize, bias: bool, device: &Device) -> Linear {
    let config = LinearConfig::new(input, output).with_bias(bias);
    config.with_initializer(burn::nn::Initializer::Zeros).init(device)
}

/// A layer norm that changes nothing yet.
pub(crate) fn layer_norm(width: usize, epsilon: f64, device: &Device) -> LayerNorm {
    LayerNormConfig::new(width).with_epsilon(epsilon).init(device)
}
