//! Texts become inputs: gradient ascent through an input tower, from many random starts.
//!
//! [`Inverter`] batches over (text, start) on one device. What is optimised is a [`Space`]:
//! the model's input itself ([`InputSpace`]), or whatever else yields inputs by a differentiable
//! map. The crate records what signals are made of (cosines of every step, final embeddings,
//! gradient norms) and knows nothing of what they mean.

mod error;
mod invert;
mod optimiser;
mod params;
mod space;
pub mod starts;

/// Raised whenever an inversion with the same parameters may end in other numbers: the loop, the
/// optimisers, the starts or the spaces. A cache of what came out of inversions keys on it.
pub const INVERSION_VERSION: u32 = 1;

pub use error::{InvertError, Result};
pub use invert::{Inversion, Inverter, KeepInputs, Outcome};
pub use params::{Clamp, InvertParams, Optimiser, Starts};
pub use space::InputSpace;
pub use umid_core::{InputTower, InputUnits, Space};
