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

pub use decoder::{Decoder, DecoderConfig};
pub use error::{InvertError, Result};
pub use invert::{Inversion, Inverter, KeepInputs, Outcome};
pub use latent::LatentSpace;
pub use params::{Clamp, InvertParams, Optimiser, Starts};
pub use space::InputSpace;
pub use umid_core::{InputTower, InputUnits, Space};
