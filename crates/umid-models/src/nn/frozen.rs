//! Frozen blocks and convolutions on a CPU: one operation for a whole stack, instead of some thirty
//! per block.
//!
//! The kernels are `umid-kernels`. A stack enters burn's graph as one operation with a backward pass
//! of its own, so that everything around it is differentiated by burn. What has no kernel, or is on
//! another device, keeps burn's own operations, which the kernels are tested against.

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
use umid_kernels::{ConvPassed, ConvStack, Passed, Stack};

/// A frozen network, and how a batch passes through it.
#[derive(Debug, Clone)]
enum Network {
    Blocks { stack: Arc<Stack>, tokens: usize, read: Option<Arc<[usize]>> },
    Convolutions { stack: Arc<ConvStack>, height: usize, width: usize },
}

/// What a backward pass needs of the forward pass.
#[derive(Debug)]
enum Kept {
    Blocks(Passed),
    Convolutions(ConvPassed),
}

impl Network {
    fn forward(&self, values: &[f32]) -> FloatTensor<Flex> {
        self.output(match self {
            Self::Blocks { stack, tokens, read } => stack.forward(values, *tokens, read.as_deref()),
            Self::Convolutions { stack, height, width } => stack.forward(values, *height, *width),
        })
    }

    fn forward_for_backward(&self, values: &[f32]) -> (FloatTensor<Flex>, Kept) {
        let (output, kept) = match self {
            Self::Blocks { stack, tokens, read } => {
                let (output, passed) = stack.forward_for_backward(values, *tokens, read.as_deref());
                (output, Kept::Blocks(passed))
            }
            Self::Convolutions { stack, height, width } => {
                let (output, passed) = stack.forward_for_backward(values, *height, *width);
                (output, Kept::Convolutions(passed))
            }
        };
        (self.output(output), kept)
    }

    fn backward(&self, gradient: &[f32], kept: &Kept) -> FloatTensor<Flex> {
        match (self, kept) {
            (Self::Blocks { stack, .. }, Kept::Blocks(passed)) => {
                let values = stack.backward(gradient, passed);
                let shape = vec![values.len() / stack.width(), stack.width()];
                tensor(values, shape)
            }
            (Self::Convolutions { stack, height, width }, Kept::Convolutions(passed)) => {
                let values = stack.backward(gradient, passed);
                let channels = stack.channels();
                let images = values.len() / (channels * height * width);
                tensor(values, vec![images, channels, *height, *width])
            }
            _ => panic!("what was kept is another network's"),
        }
    }

    fn output(&self, values: Vec<f32>) -> FloatTensor<Flex> {
        match self {
            Self::Blocks { stack, .. } => {
                let shape = vec![values.len() / stack.width(), stack.width()];
                tensor(values, shape)
            }
            Self::Convolutions { stack, height, width } => {
                let [rows, columns, channels] =
                    stack.output_shape(*height, *width).expect("it passed images of this size");
                let images = values.len() / (rows * columns * channels);
                tensor(values, vec![images, rows, columns, channels])
            }
        }
    }
}

/// A tensor of some values, without a copy.
fn tensor(values: Vec<f32>, shape: Vec<usize>) -> FloatTensor<Flex> {
    Flex::float_from_data(TensorData::new(values, shape), &FlexDevice)
}

#[backend_extension(Flex, Autodiff)]
trait FrozenOps: Backend {
    /// What a network makes of its inputs; shapes are the network's.
    fn frozen(inputs: FloatTensor<Self>, network: Network) -> FloatTensor<Self>;
}

impl FrozenOps for Flex {
    fn frozen(inputs: FloatTensor<Self>, network: Network) -> FloatTensor<Self> {
        let inputs = inputs.to_contiguous();
        network.forward(inputs.as_slice::<f32>().expect("f32"))
    }
}

impl<C: CheckpointStrategy> FrozenOps for Autodiff<Flex, C> {
    fn frozen(inputs: FloatTensor<Self>, network: Network) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Frozen;

        impl Backward<Flex, 1> for Frozen {
            type State = (Network, Arc<Kept>);

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let (network, kept) = ops.state;
                unary::<Flex, _>(ops.parents, ops.node, grads, |gradient| {
                    let gradient = gradient.to_contiguous();
                    network.backward(gradient.as_slice::<f32>().expect("f32"), &kept)
                });
            }
        }

        match Frozen.prepare::<C>([inputs.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let inputs = inputs.into_primitive().to_contiguous();
                let values = inputs.as_slice::<f32>().expect("f32");
                let (output, kept) = network.forward_for_backward(values);
                prep.finish((network, Arc::new(kept)), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(Flex::frozen(inputs.into_primitive(), network)),
        }
    }
}

/// Passes sequences through a stack of blocks.
///
/// # Shapes
///
/// - hidden: `[sequences * tokens, width]`
/// - read: the pooled position of each sequence; `None` for all tokens
/// - output: as hidden, or `[sequences, width]`
pub(crate) fn forward(
    stack: &Arc<Stack>,
    hidden: Tensor<2>,
    tokens: usize,
    read: Option<&[usize]>,
) -> Tensor<2> {
    let read = read.map(Arc::from);
    let network = Network::Blocks { stack: Arc::clone(stack), tokens, read };
    Tensor::from_dispatch(<Dispatch as FrozenOps>::frozen(hidden.into_dispatch(), network))
}

/// Passes images through convolutions.
///
/// # Shapes
///
/// - images: `[batch, channels, height, width]`
/// - output: `[batch, rows, columns, features]`
pub(crate) fn convolve(stack: &Arc<ConvStack>, images: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = images.dims();
    let network = Network::Convolutions { stack: Arc::clone(stack), height, width };
    Tensor::from_dispatch(<Dispatch as FrozenOps>::frozen(images.into_dispatch(), network))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use burn::tensor::Distribution;

    use super::*;
    use crate::{InputTower, LoadOptions, Model, parse_device, to_host};

    /// Relative to the largest value: f32 round-off in another order of summation.
    const TOLERANCE: f32 = 1e-5;
    const FIXTURES: [&str; 14] = [
        "openclip-siglip-text",
        "hf-sharded",
        "hf-f16",
        "openclip-gelu",
        "openclip-quickgelu",
        "openclip-rn50",
        "openclip-clipa",
        "openclip-vit-scaled",
        "openclip-vit-queries",
        "openclip-eva01",
        "openclip-vit-gap",
        "openclip-vit-mci",
        "clap-hf-unfused",
        // Its text tower norms after it has added.
        "clap-hf-other",
    ];

    fn both(fixture: &str) -> [Model; 2] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture);
        let device = parse_device("cpu").expect("cpu");
        let frozen = LoadOptions::on(&device);
        [Model::load(&folder, frozen.clone()), Model::load(&folder, frozen.trainable())]
            .map(|model| model.unwrap_or_else(|e| panic!("{fixture}: {e}")))
    }

    #[track_caller]
    fn assert_close(found: &[f32], expected: &[f32], what: &str) {
        let largest = expected.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        assert!(largest > 0.0, "{what}");
        assert_eq!(found.len(), expected.len(), "{what}");
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < TOLERANCE * largest, "{what}: {found} {expected}");
        }
    }

    #[test]
    fn published_shapes_have_kernels_and_odd_ones_have_none() {
        let frozen =
            |fixture: &str| both(fixture)[0].tower().expect("an input tower").frozen_parts();
        assert_eq!(frozen("hf-sharded"), [true]);
        assert_eq!(frozen("openclip-gelu"), [true]);
        assert_eq!(frozen("openclip-clipa"), [true]);
        assert_eq!(frozen("openclip-vit-scaled"), [true]);
        assert_eq!(frozen("hf-gelu"), [false]);
        // Two biases and a factor per column are folded in.
        assert_eq!(frozen("openclip-eva01"), [true]);
        assert_eq!(frozen("openclip-vit-gap"), [true]);
        // Queries and keys are turned.
        assert_eq!(frozen("openclip-eva02"), [false]);
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

            let [channels, height, width] = fast.tower().expect("an input tower").input_shape();
            let device = fast.device().clone();
            let normal = Distribution::Normal(0.0, 1.0);
            let inputs = Tensor::<4>::random([3, channels, height, width], normal, &device);
            let weights = Tensor::random([3, fast.config.embedding_dim], normal, &device);
            let [found, expected] = [&fast, &plain].map(|model| {
                let inputs = inputs.clone().autodiff().require_grad();
                let embeddings = model.tower().expect("an input tower").embed(inputs.clone());
                let gradients = (embeddings.clone() * weights.clone().autodiff()).sum().backward();
                let gradient = inputs.grad(&gradients).expect("tracked");
                (to_host(embeddings.without_autodiff()), to_host(gradient))
            });
            assert_close(&found.0, &expected.0, fixture);
            assert_close(&found.1, &expected.1, fixture);
        }
    }
}
