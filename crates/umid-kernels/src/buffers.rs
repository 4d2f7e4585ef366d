//! Buffers that are used again: a fresh one costs a page fault for every 4 KiB.

use std::collections::HashMap;
use std::sync::Mutex;

/// Buffers by their lengths.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<HashMap<usize, Vec<Vec<f32>>>>);

impl Buffers {
    /// A buffer with anything in it.
    pub(crate) fn take(&self, length: usize) -> Vec<f32> {
        let found = self.0.lock().expect("no holder panics").get_mut(&length).and_then(Vec::pop);
        found.unwrap_or_else(|| vec![0.0; length])
    }

    pub(crate) fn give(&self, buffer: Vec<f32>) {
        let mut buffers = self.0.lock().expect("no holder panics");
        buffers.entry(buffer.len()).or_default().push(buffer);
    }
}
