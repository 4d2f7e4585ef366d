//! A CLIP checkpoint on disk becomes a tokenizer, a text tower and an image tower.
//!
//! [`Clip::load`] reads a directory in the Hugging Face or the OpenCLIP layout, driven by its
//! configuration alone, and accounts for every tensor. The towers run on any burn device (see
//! [`parse_device`]); their weights carry no gradient, so that differentiating an embedding
//! with respect to an input never computes a weight's.
//!
//! This crate knows nothing of auditing. It opens no network connection: a model is a path.
//!
//! ```no_run
//! # fn main() -> umid_models::Result<()> {
//! use std::path::Path;
//! let model = umid_models::Clip::load(Path::new("clip-vit-base-patch32"), &umid_models::parse_device("cpu")?)?;
//! let texts = model.embed_texts(&["a photo of Ada Lovelace"])?;
//! assert_eq!(texts.embeddings.ncols(), model.config.embedding_dim);
//! # Ok(())
//! # }
//! ```

mod clip;
pub mod config;
mod device;
mod error;
mod image;
mod layout;
mod preprocess;
pub mod save;
mod text;
mod tokenizer;
mod transformer;
mod weights;

pub use clip::{Clip, InputTower, Source, TextEmbeddings, to_host};
pub use device::parse_device;
pub use error::{ModelError, Result};
pub use image::ImageTower;
pub use layout::Layout;
pub use preprocess::{
    CropRounding, Filter, OPENAI_MEAN, OPENAI_STD, Pixels, Preprocess, Resize, Transparency,
};
pub use text::{TextOutput, TextTower};
pub use tokenizer::{ClipTokenizer, Tokens};
pub use transformer::Transformer;
