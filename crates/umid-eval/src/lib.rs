//! Measures every method on every target of a suite, and makes tables, figures and one page of
//! what was measured.
//!
//! suite -> plan (cells) -> runner (methods on subjects) -> records -> tables, figures, page

mod figure;
mod methods;
mod page;
pub mod plan;
pub mod public;
pub mod record;
pub mod runner;
mod subject;
pub mod suites;
pub mod summary;
mod table;
pub mod zoo;

pub use methods::Method;
