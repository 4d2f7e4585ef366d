//! A CLIP or CLAP checkpoint on disk becomes a tokenizer, a text tower and an input tower.
//!
//! [`Model::load`] reads a directory in the Hugging Face, the OpenCLIP or the LAION-CLAP layout,
//! driven by its configuration alone, and accounts for every tensor. The towers run on any burn
//! device (see [`parse_device`]); their weights carry no gradient, so that differentiating an
//! embedding with respect to an input never computes a weight's.
//!
//! This crate knows nothing of auditing. It opens no network connection: a model is a path.
//!
//! ```no_run
//! # fn main() -> umid_models::Result<()> {
//! use std::path::Path;
//! let model = umid_models::Model::load(Path::new("clip-vit-base-patch32"), &umid_models::parse_device("cpu")?)?;
//! let texts = model.embed_texts(&["a photo of Ada Lovelace"])?;
//! assert_eq!(texts.embeddings.ncols(), model.config.embedding_dim());
//! # Ok(())
//! # }
//! ```

pub mod audio;
mod computed;
pub mod config;
mod device;
mod digest;
mod error;
mod front_end;
mod frozen;
mod image;
mod layout;
mod model;
mod precision;
mod preprocess;
mod projection;
pub mod save;
mod stored;
mod text;
mod tokenizer;
mod tower;
mod transformer;
mod weights;

pub use device::{DEVICE_VARIABLE, default_device, parse_device};
pub use error::{ModelError, Result};
pub use front_end::{FrontEnd, Input, InputUnits, Modality};
pub use image::ImageTower;
pub use layout::Layout;
pub use model::{Model, Source, TextEmbeddings, to_host};
pub use precision::Precision;
pub use preprocess::{
    CropRounding, Filter, OPENAI_MEAN, OPENAI_STD, Preprocess, Resize, Transparency,
};
pub use text::{CausalText, Roberta, TextOutput, TextTower};
pub use tokenizer::{TextTokenizer, Tokens};
pub use tower::{InputTower, Tower};
pub use transformer::Transformer;
