//! Frozen networks on a CPU: the forward pass, and the backward pass to the input.
//!
//! Inverting a text asks for the gradient of an input and never for that of a weight. Because the
//! weights do not change, a norm's gain and shift and the scale of the attention scores are
//! multiplied into the weights that follow, every weight is packed once for each direction, and a
//! block is one operation instead of thirty: [`Stack::forward`] and [`Stack::backward`].
//!
//! A [`Block`] is a list of residual branches ([`Branch`]), of which each says what it computes
//! ([`Body`]). A tower of convolutions is a list of [`Step`]s: [`ConvStack`].
//!
//! Sequences and images are independent. A batch is cut into parts, of up to 512 rows or of a few
//! images, and a part passes through everything on one core. What is computed for a row does not
//! depend on the part it is in: results are bitwise identical for any batch composition, order or
//! number of threads.
//!
//! All arithmetic is f32; products with weights can take factors rounded to bf16 where the processor
//! has instructions for them ([`Precision`]). The crate knows nothing of tensors, models or files.

// Only what is inlined into a function of a vector level is compiled for that level.
#![expect(clippy::inline_always, reason = "vector instructions are chosen at run time")]

mod attention;
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "only x86 has kernels in bf16"))]
mod bf16;
mod block;
mod buffers;
mod chunks;
mod conv;
mod elementwise;
mod folded;
mod layer;
mod product;
mod shared;
mod stack;
mod unit;
mod weight;

pub use attention::{Groups, Windows};
pub use block::{AddedTo, Block, Body, Branch, fits};
pub use conv::{Conv, ConvPassed, ConvStack, Relu, Step};
pub use elementwise::Activation;
pub use folded::{Linear, Norm, Stored};
pub use shared::SharedSequences;
pub use stack::{Passed, Stack};
pub use unit::{KERNELS_VERSION, Level, Unit};
pub use weight::{Matrix, Precision};
