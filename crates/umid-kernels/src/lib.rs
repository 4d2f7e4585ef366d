//! Frozen transformer blocks on a CPU: the way forward, and the way back to the input.

mod attention;
mod block;
mod buffers;
mod elementwise;
mod product;
mod stack;

pub use attention::{Groups, Windows};
pub use block::{Linear, Norm, Weights};
pub use elementwise::Activation;
pub use stack::{Passed, Stack};
