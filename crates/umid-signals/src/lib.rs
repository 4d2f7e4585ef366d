//! Membership signals: numbers computed from the embeddings of a text and from its inversions.
//!
//! A *signal* is one number about one query text under one model. [`Signal`] lists them all, with
//! their definitions, sources and directions. The functions of this crate return a signal as it is
//! defined (its *raw* value); [`Signal::oriented`] turns a raw value into a score that is **higher
//! for more member-like** queries.
//!
//! | module | signals | input |
//! | --- | --- | --- |
//! | [`inversion`] | similarity, variability and five others | final cosines, embeddings and gradient norms of the restarts |
//! | [`text`] | text norm, template agreement, nearest reference cosine | text embeddings |
//! | [`bank`], [`csls`] | plain bank, CSLS bank | text embeddings, embeddings of public inputs |
//! | [`siblings`] | calibrated signals, bank residual | scores of names that share a part with the query |
//! | [`interaction`] | part-interaction residual and its coherence | hidden states of the text tower |
//!
//! # Conventions
//! - Everything is a pure function of its arguments: no model, no file, no randomness.
//! - Arrays come in as `f32` views and are accumulated in `f64`.
//! - Axes: m restarts, n steps, d embedding width, T templates, Q queries, N bank inputs,
//!   R reference texts, D width of the hidden states, J public last parts, K public first parts.
//! - `Ok(None)` means that the signal is not defined for this query (too few restarts, one
//!   template); an [`Error`] means that an input is broken. No signal is ever filled with a 0.0.

pub mod bank;
pub mod csls;
pub mod interaction;
pub mod inversion;
pub mod principal;
pub mod responses;
pub mod siblings;
pub mod text;

mod checks;
mod error;
mod log_sum_exp;
mod signal;
mod unit;

pub use bank::Bank;
pub use csls::CslsBank;
pub use error::{Error, Residual, Result};
pub use interaction::{Interaction, QueryStates, SiblingGrid};
pub use signal::{Direction, Need, Signal, inversion_signal_versions, text_signal_versions};
pub use unit::UnitRows;
