//! How a run tells its caller where it is. The library never prints.

/// Watches a run. Stages follow one another; within a stage, `advance` adds up to `total`.
pub trait Progress {
    /// A stage begins.
    fn stage(&self, name: &str, total: usize);
    /// `count` more items of the stage are done.
    fn advance(&self, count: usize);
    /// Something that the user should see now, such as a warning.
    fn note(&self, message: &str);
}

/// Watches in silence.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &str, _: usize) {}
    fn advance(&self, _: usize) {}
    fn note(&self, _: &str) {}
}
