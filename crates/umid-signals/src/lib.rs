//! Membership signals: numbers computed from the embeddings of a text and from its inversions.
//!
//! A *signal* is one number about one query text under one model: a [`Card`] with its name,
//! definition, direction, source and version, and a function that computes its *raw* value.
//! [`Signal::oriented`] turns a raw value into a score that is **higher for more member-like**
//! queries.
//!
//! [`TextReader`] computes the [`text`] signals of names from any source of text embeddings: it says
//! which texts are embedded, which siblings a name gets and what is taken out of the responses.
//! [`inversion::InversionView`] does the same for the restarts of an inversion. [`score`] says which
//! signals make the calibrated score. `examples/calibrated_score.rs` shows all three.
//!
//! | module | signals | input |
//! | --- | --- | --- |
//! | [`inversion`] | similarity, variability and four others | final cosines, embeddings and gradient norms of the restarts |
//! | [`text`] | norm, agreement, bank, interaction, and their calibrated forms | what the text tower makes of a name and of its siblings |
//! | [`bank`], [`csls`] | the bank's scores | text embeddings, embeddings of public inputs |
//! | [`siblings`] | the calibration by siblings | scores of names that share a part with the query |
//! | [`interaction`] | part-interaction residual and its coherence | hidden states or responses of the text tower |
//!
//! # Conventions
//! - No model, no file, no randomness: a signal is a pure function of its arguments.
//! - Arrays come in as `f32` views and are accumulated in `f64`.
//! - Axes: m restarts, n steps, d embedding width, T templates, Q queries, N bank inputs,
//!   R reference texts, D width of the hidden states, J public last parts, K public first parts.
//! - `Ok(None)` means that the signal is not defined for this query (too few restarts, one
//!   template); an [`Error`] means that an input is broken. No signal is ever filled with a 0.0.

pub mod bank;
pub mod csls;
pub mod interaction;
pub mod inversion;
pub mod responses;
pub mod score;
pub mod siblings;
mod template_agreement;
pub mod text;

mod card;
mod checks;
mod error;
mod log_sum_exp;
mod name;
mod reader;
mod summary;
mod unit;
mod view;

pub use bank::Bank;
pub use card::{Basis, Card, Direction, Signal, SignalRow};
pub use csls::CslsBank;
pub use error::{Error, Result};
pub use interaction::Interaction;
pub use inversion::inversion_signal_versions;
pub use name::{Name, full_name, name_key};
pub use reader::{EmbeddedTexts, NameReading, Setting, TextEmbedder, TextReader};
pub use summary::DEFAULT_SUMMARY_BYTES;
pub use text::text_signal_versions;
pub use unit::UnitRows;
pub use view::NameView;
