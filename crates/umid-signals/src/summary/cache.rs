//! Summaries of siblings in bounded memory: the least recently used one goes first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Group, SiblingSummary};

/// Memory for summaries of siblings unless another limit is set: 512 MiB. With six templates, a
/// part takes 48 KiB at width 512 (11,000 parts), and 32 KiB more with a bank.
pub const DEFAULT_SUMMARY_BYTES: usize = 512 << 20;

/// What an entry takes besides its vectors, roughly: key, means of signals, and both maps.
const ENTRY_BYTES: usize = 1024;

/// Summaries by group. What is in it changes how long a reading takes, and not what it says.
#[derive(Debug)]
pub(crate) struct SummaryCache {
    limit: usize,
    bytes: usize,
    /// Uses so far.
    uses: u64,
    summaries: HashMap<Arc<Group>, Entry>,
    /// Each group under its last use.
    by_use: BTreeMap<u64, Arc<Group>>,
}

#[derive(Debug)]
struct Entry {
    last_use: u64,
    summary: Arc<SiblingSummary>,
}

impl SummaryCache {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, uses: 0, summaries: HashMap::new(), by_use: BTreeMap::new() }
    }

    pub(crate) fn get(&mut self, group: &Group) -> Option<Arc<SiblingSummary>> {
        let entry = self.summaries.get_mut(group)?;
        let group = self.by_use.remove(&entry.last_use)?;
        self.uses += 1;
        entry.last_use = self.uses;
        self.by_use.insert(self.uses, group);
        Some(Arc::clone(&entry.summary))
    }

    /// Keeps a summary, for which others make room; one that is larger than the limit is not kept.
    pub(crate) fn insert(&mut self, group: Group, summary: Arc<SiblingSummary>) {
        if self.summaries.contains_key(&group) || bytes(&summary) > self.limit {
            return;
        }
        self.bytes += bytes(&summary);
        while self.bytes > self.limit {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some(entry) = self.summaries.remove(&oldest) {
                self.bytes -= bytes(&entry.summary);
            }
        }
        self.uses += 1;
        let group = Arc::new(group);
        self.by_use.insert(self.uses, Arc::clone(&group));
        self.summaries.insert(group, Entry { last_use: self.uses, summary });
    }
}

fn bytes(summary: &SiblingSummary) -> usize {
    ENTRY_BYTES + summary.bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::{group, summary};

    #[test]
    fn the_least_recently_used_summary_makes_room() {
        let size = bytes(&summary());
        let mut cache = SummaryCache::new(2 * size);
        let kept = |cache: &SummaryCache| {
            let mut parts: Vec<&str> =
                cache.by_use.values().map(|group| group.part.as_str()).collect();
            parts.sort_unstable();
            assert_eq!(cache.summaries.len(), parts.len());
            assert_eq!(cache.bytes, parts.len() * size);
            parts.concat()
        };
        for part in ["a", "b", "b"] {
            cache.insert(group(part), Arc::new(summary()));
        }
        assert_eq!(kept(&cache), "ab");
        assert!(cache.get(&group("a")).is_some());
        cache.insert(group("c"), Arc::new(summary()));
        assert_eq!(kept(&cache), "ac");
        assert!(cache.get(&group("b")).is_none());
        cache.insert(group("d"), Arc::new(summary()));
        assert_eq!(kept(&cache), "cd");
    }

    #[test]
    fn a_summary_beyond_the_limit_is_not_kept_and_drives_nothing_out() {
        let mut cache = SummaryCache::new(bytes(&summary()) - 1);
        cache.insert(group("a"), Arc::new(summary()));
        assert!(cache.get(&group("a")).is_none());
        assert_eq!((cache.bytes, cache.by_use.len()), (0, 0));
    }
}
