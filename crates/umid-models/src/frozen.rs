//! Blocks that stay as they were loaded, on a CPU: one operation instead of some thirty a block.
//!
//! The kernels are `umid-kernels`. A stack of blocks enters burn's graph as one operation with a
//! backward pass of its own, so that everything around it is differentiated as before. Towers whose
//! blocks have no kernel, or are on another device, keep burn's own operations, which are also what
//! the kernels are tested against.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::flex::FlexDevice;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;
use umid_kernels::{Block, Body, Branch, Groups, Linear, Norm, Passed, Precision, Stack, fits};

use crate::Result;
use crate::config::Activation;
use crate::weights::Weights;

/// What the blocks of a tower become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocks {
    /// Parameters of burn's, on any device.
    Parameters,
    /// Stacks of the kernels, on a CPU, where there are kernels for their shapes.
    Frozen(Precision),
}

impl Blocks {
    /// The same, computing in f32.
    pub(crate) fn in_f32(self) -> Self {
        match self {
            Self::Parameters => Self::Parameters,
            Self::Frozen(_) => Self::Frozen(Precision::F32),
        }
    }
}

/// A pre-norm block: the names of its tensors below its own, and what is not stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockShape {
    pub(crate) norm_before: &'static str,
    pub(crate) qkv: [&'static str; 3],
    pub(crate) qkv_bias: bool,
    pub(crate) output: &'static str,
    pub(crate) norm_after: &'static str,
    pub(crate) fc1: &'static str,
    pub(crate) fc2: &'static str,
    pub(crate) width: usize,
    /// Columns between the perceptron's layers.
    pub(crate) inner: usize,
    pub(crate) heads: usize,
    pub(crate) activation: Activation,
    pub(crate) epsilon: f32,
}

impl BlockShape {
    pub(crate) fn fits(&self) -> bool {
        fits(self.width, self.inner, self.heads)
    }

    /// Lays out the block `name`: from the mapped file, without a copy in between.
    pub(crate) fn load(
        &self,
        weights: &Weights,
        name: &str,
        groups: Groups,
        precision: Precision,
    ) -> Result<Block> {
        let linear = |layer: &str, output: usize, input: usize, with_bias: bool| {
            let weight =
                weights.take_stored(&format!("{name}.{layer}.weight"), &[output, input])?;
            let bias = format!("{name}.{layer}.bias");
            let bias = with_bias.then(|| weights.take(&bias, &[output])).transpose()?;
            Ok((weight, bias))
        };
        let norm = |layer: &str| {
            let part = |kind: &str| weights.take(&format!("{name}.{layer}.{kind}"), &[self.width]);
            Ok((part("weight")?, part("bias")?))
        };
        let (width, inner) = (self.width, self.inner);
        let [query, key, value] = self.qkv;
        let linears = [
            linear(query, width, width, self.qkv_bias)?,
            linear(key, width, width, self.qkv_bias)?,
            linear(value, width, width, self.qkv_bias)?,
            linear(self.output, width, width, true)?,
            linear(self.fc1, inner, width, true)?,
            linear(self.fc2, width, inner, true)?,
        ];
        let norms = [norm(self.norm_before)?, norm(self.norm_after)?];
        let linear = |i: usize| Linear { weight: &linears[i].0, bias: linears[i].1.as_deref() };
        let norm = |i: usize| Norm { gain: &norms[i].0, shift: &norms[i].1, epsilon: self.epsilon };
        let attention = Body::Attention {
            qkv: [0, 1, 2].map(linear),
            output: linear(3),
            heads: self.heads,
            groups,
        };
        let perceptron = Body::Perceptron {
            fc1: linear(4),
            fc2: linear(5),
            activation: self.activation.kernel(),
        };
        let branches =
            [Branch { norm: norm(0), body: attention }, Branch { norm: norm(1), body: perceptron }];
        let block = Block::new(&branches, precision);
        linears.iter().try_for_each(|(weight, _)| weight.check())?;
        Ok(block)
    }
}

/// A stack of blocks, which are laid out on all cores. Of several errors it is the first block's.
pub(crate) fn stack(
    count: usize,
    block: impl Fn(usize) -> Result<Block> + Send + Sync,
) -> Result<Arc<Stack>> {
    let blocks: Vec<Result<Block>> = (0..count).into_par_iter().map(block).collect();
    Ok(Arc::new(Stack::new(blocks.into_iter().collect::<Result<_>>()?)))
}

/// A stack and how sequences go through it.
#[derive(Debug, Clone)]
struct Pass {
    stack: Arc<Stack>,
    tokens: usize,
    read: Option<Arc<[usize]>>,
}

#[backend_extension(Flex, Autodiff)]
trait FrozenOps: Backend {
    /// # Shapes
    ///
    /// - hidden: `[sequences * tokens, width]`
    /// - output: as hidden, or `[sequences, width]` where tokens are read
    fn frozen(hidden: FloatTensor<Self>, pass: Pass) -> FloatTensor<Self>;
}

impl FrozenOps for Flex {
    fn frozen(hidden: FloatTensor<Self>, pass: Pass) -> FloatTensor<Self> {
        let hidden = hidden.to_contiguous();
        let values = hidden.as_slice::<f32>().expect("f32");
        tensor(pass.stack.forward(values, pass.tokens, pass.read.as_deref()), &pass.stack)
    }
}

impl<C: CheckpointStrategy> FrozenOps for Autodiff<Flex, C> {
    fn frozen(hidden: FloatTensor<Self>, pass: Pass) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Frozen;

        impl Backward<Flex, 1> for Frozen {
            type State = (Arc<Stack>, Arc<Passed>);

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let (stack, passed) = ops.state;
                unary::<Flex, _>(ops.parents, ops.node, grads, |gradient| {
                    let gradient = gradient.to_contiguous();
                    let values = gradient.as_slice::<f32>().expect("f32");
                    tensor(stack.backward(values, &passed), &stack)
                });
            }
        }

        match Frozen.prepare::<C>([hidden.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let hidden = hidden.into_primitive().to_contiguous();
                let values = hidden.as_slice::<f32>().expect("f32");
                let read = pass.read.as_deref();
                let (output, passed) = pass.stack.forward_for_backward(values, pass.tokens, read);
                let output = tensor(output, &pass.stack);
                prep.finish((pass.stack, Arc::new(passed)), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(Flex::frozen(hidden.into_primitive(), pass)),
        }
    }
}

/// Rows of a stack's width, without a copy.
fn tensor(values: Vec<f32>, stack: &Stack) -> FloatTensor<Flex> {
    let shape = [values.len() / stack.width(), stack.width()];
    Flex::float_from_data(TensorData::new(values, shape), &FlexDevice)
}

/// Passes sequences through a stack.
///
/// # Shapes
///
/// - hidden: `[sequences * tokens, width]`
/// - read: for each sequence the token whose output is wanted; none for all
/// - output: as hidden, or `[sequences, width]`
pub(crate) fn forward(
    stack: &Arc<Stack>,
    hidden: Tensor<2>,
    tokens: usize,
    read: Option<&[usize]>,
) -> Tensor<2> {
    let pass = Pass { stack: Arc::clone(stack), tokens, read: read.map(Arc::from) };
    Tensor::from_dispatch(<Dispatch as FrozenOps>::frozen(hidden.into_dispatch(), pass))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use burn::tensor::Distribution;

    use super::*;
    use crate::model::to_host;
    use crate::tower::{InputTower, Tower};
    use crate::{Model, parse_device};

    /// Relative to the largest value: f32 round-off in another order of summation.
    const TOLERANCE: f32 = 1e-5;
    const FIXTURES: [&str; 5] =
        ["hf-sharded", "hf-f16", "openclip-gelu", "openclip-quickgelu", "clap-hf-unfused"];

    fn both(fixture: &str) -> [Model; 2] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture);
        let device = parse_device("cpu").expect("cpu");
        [Model::load(&folder, &device), Model::load_trainable(&folder, &device)]
            .map(|model| model.unwrap_or_else(|e| panic!("{fixture}: {e}")))
    }

    #[track_caller]
    fn assert_close(found: &[f32], expected: &[f32], what: &str) {
        assert_eq!(found.len(), expected.len(), "{what}");
        let largest = expected.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        assert!(largest > 0.0, "{what}");
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < TOLERANCE * largest, "{what}: {found} {expected}");
        }
    }

    #[test]
    fn published_shapes_have_kernels_and_odd_ones_have_none() {
        let frozen = |fixture: &str| match &both(fixture)[0].tower {
            Tower::Image(tower) => vec![tower.encoder.is_frozen()],
            Tower::Audio(tower) => tower.frozen_stages(),
        };
        assert_eq!(frozen("hf-sharded"), [true]);
        assert_eq!(frozen("openclip-gelu"), [true]);
        assert_eq!(frozen("hf-gelu"), [false]);
        // Its first stage is 8 wide.
        assert_eq!(frozen("clap-hf-unfused"), [false, true, true]);
        // Its stages are 12 and 24 wide.
        assert_eq!(frozen("clap-hf-fused"), [false, false]);
    }

    #[test]
    fn kernels_compute_what_burn_does() {
        for fixture in FIXTURES {
            let [fast, plain] = both(fixture);
            let texts = ["a photo of ada lovelace", "a", "0123456789 !"];
            let [found, expected] =
                [&fast, &plain].map(|model| model.embed_texts(&texts).expect("embeddings"));
            for (found, expected) in [
                (found.embeddings, expected.embeddings),
                (found.states, expected.states),
                (found.responses, expected.responses),
            ] {
                let [found, expected] = [found, expected].map(|a| a.into_raw_vec_and_offset().0);
                assert_close(&found, &expected, fixture);
            }

            let [channels, height, width] = fast.tower.input_shape();
            let device = fast.device().clone();
            let normal = Distribution::Normal(0.0, 1.0);
            let inputs = Tensor::<4>::random([3, channels, height, width], normal, &device);
            let weights = Tensor::random([3, fast.config.embedding_dim()], normal, &device);
            let [found, expected] = [&fast, &plain].map(|model| {
                let inputs = inputs.clone().autodiff().require_grad();
                let embeddings = model.tower.embed(inputs.clone());
                let gradients = (embeddings.clone() * weights.clone().autodiff()).sum().backward();
                let gradient = inputs.grad(&gradients).expect("tracked");
                (to_host(embeddings.without_autodiff()), to_host(gradient))
            });
            assert_close(&found.0, &expected.0, fixture);
            assert_close(&found.1, &expected.1, fixture);
        }
    }
}
