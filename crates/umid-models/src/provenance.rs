//! What of a model was read from which file, and what no file says.

use serde::{Deserialize, Serialize};

/// Where a model's description comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Names of the files that were read.
    pub read: Vec<String>,
    /// What follows from the shapes of the tensors, each as `what: value`.
    pub inferred: Vec<String>,
    /// What neither a file nor a shape says, each as `what: value (why)`.
    pub assumed: Vec<String>,
}
