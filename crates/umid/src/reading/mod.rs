//! What is asked of a name and how it is answered: the queries, the references that they are
//! compared with, the texts and inversions that the signals are read from, and the readers that
//! are fitted on the references.

pub mod auditor;
pub(crate) mod bank;
pub(crate) mod calibrated_reader;
pub(crate) mod computed;
pub(crate) mod form;
pub mod inversion_signals;
pub(crate) mod invisible;
pub mod known_answers;
pub mod known_members;
pub(crate) mod lengths;
pub mod names;
pub(crate) mod options;
pub mod queries;
pub mod reference;
pub(crate) mod reference_fit;
pub mod score;
pub mod siblings;
pub mod templates;
pub(crate) mod text_signals;
