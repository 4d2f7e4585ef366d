//! Tells whether names were in the training set of a CLIP model, asking the model with text
//! alone.
//!
//! [`audit`](audit::audit) takes a loaded model and a list of names and leaves a run directory
//! with records, a table and a report. Two readings are given of every name: the paper's (UMID,
//! arXiv 2603.14222), an ensemble's vote against gibberish, and a calibrated one, a conformal
//! p-value against plausible names, whose error rate means something.
//!
//! A name that is *not detected* is not thereby shown to be outside of the training data.
//!
//! The binary `umid` is a thin shell over this library.

mod atomic;
pub mod audit;
pub mod auditor;
mod bank;
pub mod cache;
pub mod csv_out;
pub mod error;
pub mod evaluation;
pub mod imagined;
pub mod inversion_signals;
mod lengths;
pub mod names;
pub mod overview;
pub mod progress;
pub mod queries;
pub mod record;
pub mod redact;
pub mod reference;
mod reference_fit;
pub mod report;
pub mod score;
mod shown;
pub mod siblings;
pub mod store;
pub mod templates;
mod text_signals;

pub use error::AuditError;

/// Keeps the README's example compiling.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
