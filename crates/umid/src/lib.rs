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

pub mod audit;
pub mod compare;
pub mod error;
pub mod evaluation;
pub mod progress;
mod reading;
pub mod report;
mod run;
pub mod several;
mod shown;

pub use reading::reference_fit::PaperReader;
pub use reading::{
    auditor, inversion_signals, known_answers, known_members, names, queries, reference, score,
    siblings, templates,
};
pub use report::imagined;
pub use run::{cache, checked, csv_out, overview, record, redact, store};

pub use error::AuditError;

/// Keeps the README's example compiling.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
