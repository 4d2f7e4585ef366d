//! A CLIP or CLAP checkpoint on disk becomes a tokenizer, a text tower and an input tower.
//!
//! [`Model::load`] reads what a path holds, of any family that it knows, driven by its configuration
//! or, without one, by the shapes of its tensors, and accounts for every tensor. The towers run on any burn device (see
//! [`parse_device`]); their weights carry no gradient, so that differentiating an embedding with
//! respect to an input never computes a weight's.
//!
//! This crate knows nothing of auditing. It opens no network connection: a model is a path or
//! a repository in the local hub cache.
//!
//! ```no_run
//! # fn main() -> umid_models::Result<()> {
//! use std::path::Path;
//! use umid_models::{LoadOptions, Model};
//! let model = Model::load(Path::new("clip-vit-base-patch32"), LoadOptions::default())?;
//! let texts = model.embed_texts(&["a photo of Ada Lovelace"])?;
//! assert_eq!(texts.embeddings.ncols(), model.config.embedding_dim);
//! # Ok(())
//! # }
//! ```

mod checkpoint;
mod computed;
pub mod config;
mod device;
mod error;
mod families;
mod front_end;
mod load;
mod model;
mod nn;
mod precision;
mod provenance;
pub mod save;
mod tokenizer;
mod towers;

pub use checkpoint::cached_repository;
pub use device::{DEVICE_VARIABLE, default_device, parse_device};
pub use error::{ModelError, Result};
pub use front_end::{
    Filter, FrontEnd, ImageConvention, Input, Modality, OPENAI_MEAN, OPENAI_STD, Preprocess,
    Resize, audio,
};
pub use load::{LoadOptions, Towers, WeightUse};
pub use model::{Model, Source, TextEmbeddings};
pub use nn::AttentionDropout;
pub use precision::Precision;
pub use provenance::Provenance;
pub use tokenizer::{TextTokenizer, Tokens, clip_vocabulary};
pub use towers::{TextOutput, TextTower, Tower};
pub use umid_core::{InputTower, InputUnits, Space, to_host};
