//! A pool of buffers: a fresh one costs a page fault for every 4 KiB.
//!
//! Batches of other shapes need buffers of other lengths, and a long run meets hundreds of
//! shapes. The pool therefore never keeps more idle than the peak in use; the least recently used
//! lengths make room.

use std::collections::HashMap;
use std::sync::Mutex;

use aligned_vec::{AVec, ConstAlign, avec};

/// Values aligned to a cache line: a register that lies across two lines takes two loads.
pub(crate) type Values = AVec<f32, ConstAlign<64>>;

pub(crate) fn zeros(length: usize) -> Values {
    avec![[64]| 0.0; length]
}

/// A pool of buffers by their lengths.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Pool>);

#[derive(Debug, Default)]
struct Pool {
    idle: HashMap<usize, Shelf>,
    /// Values in idle buffers.
    idle_values: usize,
    /// Values in buffers that are in use.
    used_values: usize,
    /// The peak of `used_values`.
    most_used_values: usize,
    /// Buffers taken so far.
    taken: u64,
}

/// Idle buffers of one length.
#[derive(Debug, Default)]
struct Shelf {
    buffers: Vec<Values>,
    /// When a buffer of this length was last taken or given, by the count of buffers taken.
    last: u64,
}

impl Buffers {
    /// A buffer with undefined contents, to be given back.
    pub(crate) fn take(&self, length: usize) -> Values {
        let found = self.0.lock().expect("no holder panics").take(length);
        found.unwrap_or_else(|| zeros(length))
    }

    /// Returns a buffer that was taken here.
    pub(crate) fn give(&self, buffer: Values) {
        let dropped = self.0.lock().expect("no holder panics").give(buffer);
        // Freed without the lock.
        drop(dropped);
    }

    /// Values in buffers that were taken and not given back.
    #[cfg(test)]
    pub(crate) fn used_values(&self) -> usize {
        self.0.lock().expect("no holder panics").used_values
    }
}

impl Pool {
    fn take(&mut self, length: usize) -> Option<Values> {
        self.taken += 1;
        self.used_values += length;
        self.most_used_values = self.most_used_values.max(self.used_values);
        let shelf = self.idle.get_mut(&length)?;
        shelf.last = self.taken;
        let found = shelf.buffers.pop()?;
        self.idle_values -= length;
        Some(found)
    }

    /// Keeps a buffer; returns the buffers that it displaces.
    fn give(&mut self, buffer: Values) -> Vec<Values> {
        let length = buffer.len();
        self.used_values = self.used_values.saturating_sub(length);
        self.idle_values += length;
        let shelf = self.idle.entry(length).or_default();
        shelf.last = self.taken;
        shelf.buffers.push(buffer);
        let mut displaced = Vec::new();
        while self.idle_values > self.most_used_values {
            let oldest = self.idle.iter().min_by_key(|(_, shelf)| shelf.last);
            let Some(oldest) = oldest.map(|(length, _)| *length) else { break };
            let shelf = self.idle.remove(&oldest).expect("it was found just now");
            self.idle_values -= oldest * shelf.buffers.len();
            displaced.extend(shelf.buffers);
        }
        displaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(buffers: &Buffers) -> usize {
        let pool = buffers.0.lock().unwrap();
        let counted: usize = pool.idle.values().flat_map(|s| &s.buffers).map(Values::len).sum();
        assert_eq!(counted, pool.idle_values);
        counted
    }

    #[test]
    fn a_buffer_is_used_again() {
        let buffers = Buffers::default();
        let mut one = buffers.take(8);
        one.fill(3.0);
        buffers.give(one);
        assert_eq!(buffers.take(8).as_slice(), [3.0; 8]);
        assert_eq!(idle(&buffers), 0);
    }

    #[test]
    fn idle_buffers_are_never_more_than_what_was_in_use_together() {
        let buffers = Buffers::default();
        for length in 1..=1000 {
            let taken = [(); 3].map(|()| buffers.take(length));
            for buffer in taken {
                buffers.give(buffer);
            }
            assert!(idle(&buffers) <= 3 * length);
        }
        // Small ones displace large ones that nobody asks for any more, and not the reverse.
        for _ in 0..1000 {
            buffers.give(buffers.take(7));
        }
        assert!(idle(&buffers) <= 3000);
        assert_eq!(buffers.used_values(), 0);
    }

    #[test]
    fn the_length_that_was_not_asked_for_the_longest_makes_room() {
        let buffers = Buffers::default();
        let (large, other) = (buffers.take(100), buffers.take(100));
        buffers.give(large);
        buffers.give(other);
        buffers.give(buffers.take(60));
        // 260 would be idle, and 200 is the most.
        assert_eq!(idle(&buffers), 60);
        buffers.give(buffers.take(70));
        buffers.give(buffers.take(60));
        buffers.give(buffers.take(71));
        assert_eq!(idle(&buffers), 131, "70 made room, 60 was used since");
    }
}
