//! Texts become inputs: gradient ascent through an input tower, from many random starts.
//!
//! [`Inverter`] batches over (text, start) on one device. What is optimised is a [`Space`]:
//! the pixels themselves ([`InputSpace`]) or the latent of a [`Decoder`]. The crate records
//! what signals are made of (cosines of every step, final embeddings, gradient norms) and
//! knows nothing of what they mean.

mod decoder;
mod error;
mod invert;
mod latent;
mod optimiser;
mod params;
mod space;
pub mod starts;

/// Raised whenever an inversion with the same parameters may end in other numbers: the loop, the
/// optimisers, the starts or the spaces. A cache of what came out of inversions keys on it.
pub const INVERSION_VERSION: u32 = 1;

pub use decoder::{Decoder, DecoderConfig};
pub use error::{InvertError, Result};
pub use invert::{Inversion, Inverter, KeepInputs, Outcome};
pub use latent::LatentSpace;
pub use params::{Clamp, InvertParams, Optimiser, Starts};
pub use space::InputSpace;
pub use umid_core::{InputTower, InputUnits, Space};
