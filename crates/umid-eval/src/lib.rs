//! Measures every method on every target of a suite, and makes tables, figures and one page of
//! what was measured.
//!
//! suite -> plan (cells) -> runner (methods on subjects) -> records -> tables, figures, page

mod error;
mod evaluation;
mod figure;
pub mod foreign;
mod methods;
mod page;
mod plan;
mod record;
mod runner;
mod subject;
pub mod suites;
mod summary;
mod table;
pub mod zoo;

pub use error::{Error, Result};
pub use evaluation::{Estimate, Evaluation, Listed, Measured, State};
