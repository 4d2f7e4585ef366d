//! Frozen transformer blocks on a CPU: the way forward, and the way back to the input.
//!
//! Inverting a text asks for the gradient of an input and never for one of a weight. With weights
//! that do not change, a norm's gain and shift and the scale of the scores go into the weights
//! that follow, every weight is laid out once for each direction, and a block is one operation
//! instead of thirty: [`Stack::forward`] and [`Stack::backward`].
//!
//! Sequences are independent. They are cut into parts of some 256 rows, a part goes through all
//! blocks on one core, and what is computed for a row does not depend on the part it is in: a
//! sequence has the same result alone as in any batch, on any number of cores, to the last bit.
//!
//! Everything is f32, but that products with weights can be of numbers rounded to bf16 where the
//! processor has an instruction for that ([`Precision`]). The crate knows nothing of tensors,
//! models or files.

// Only what is inlined into a function of a vector level is compiled for that level.
#![expect(clippy::inline_always, reason = "vector instructions are chosen at run time")]

mod attention;
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "only x86 has kernels in bf16"))]
mod bf16;
mod block;
mod buffers;
mod elementwise;
mod folded;
mod product;
mod stack;
mod weight;

pub use attention::{Groups, Windows};
pub use block::{Block, Weights, fits};
pub use elementwise::Activation;
pub use folded::{Linear, Norm, Stored};
pub use stack::{Passed, Stack};
pub use weight::{Matrix, Precision};
