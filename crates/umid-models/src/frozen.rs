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
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, TensorData};
use umid_kernels::{Passed, Stack};

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

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
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
    Flex::float_from_data(TensorData::new(values, shape), &Default::default())
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
