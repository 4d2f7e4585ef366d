//! The zip archives that PyTorch writes: names and places of their entries.
//!
//! PyTorch stores what it reads back without compression, so that an entry is a range of the
//! file. Nothing is unpacked; a compressed entry is only an error if it is asked for.

use std::collections::HashMap;
use std::ops::Range;

use rawzip::{CompressionMethod, ZipArchive};

/// Entries of one archive. The largest CLIP's training checkpoint has about 8,000.
const MOST_ENTRIES: usize = 1 << 18;
/// The entry that every archive has, inside a folder of the archive's own name.
const PICKLE: &str = "data.pkl";

/// The entries of an archive, without the folder that all are in.
pub(super) struct Archive {
    entries: HashMap<String, Entry>,
}

struct Entry {
    bytes: Range<usize>,
    stored: bool,
}

impl Archive {
    /// Lists an archive's entries.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let damaged = |e: rawzip::Error| format!("its zip archive is damaged: {e}");
        let archive = ZipArchive::from_slice(bytes).map_err(damaged)?;
        let mut all = Vec::new();
        for header in archive.entries() {
            let header = header.map_err(damaged)?;
            let place = archive.get_entry(header.wayfinder()).map_err(damaged)?;
            let (start, end) = place.compressed_data_range();
            let name = std::str::from_utf8(header.file_path().as_bytes())
                .map_err(|_| "an entry's name is no text".to_owned())?;
            let stored = header.compression_method() == CompressionMethod::STORE;
            all.push((name.to_owned(), Entry { bytes: start as usize..end as usize, stored }));
            if all.len() > MOST_ENTRIES {
                return Err(format!("its zip archive has more than {MOST_ENTRIES} entries"));
            }
        }
        let folders: Vec<&str> = all
            .iter()
            .filter_map(|(name, _)| name.strip_suffix(PICKLE)?.strip_suffix('/'))
            .filter(|folder| !folder.contains('/'))
            .collect();
        let folder = match folders.as_slice() {
            [folder] => format!("{folder}/"),
            [] => {
                return Err(format!(
                    "its zip archive has no {PICKLE}, so PyTorch did not write it"
                ));
            }
            _ => return Err(format!("its zip archive has several {PICKLE}")),
        };
        let mut entries = HashMap::new();
        for (name, entry) in all {
            let Some(inner) = name.strip_prefix(&folder) else { continue };
            if entries.insert(inner.to_owned(), entry).is_some() {
                return Err(format!("its zip archive has two entries of the name {name}"));
            }
        }
        Ok(Self { entries })
    }

    /// Whether there is an entry.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Whether there is an entry in a folder.
    pub(super) fn has_folder(&self, folder: &str) -> bool {
        self.entries.keys().any(|name| name.starts_with(folder))
    }

    /// Place of an entry in the file.
    pub(super) fn entry(&self, name: &str) -> Result<Range<usize>, String> {
        match self.entries.get(name) {
            None => Err(format!("its zip archive has no entry {name}")),
            Some(Entry { stored: false, .. }) => {
                Err(format!("entry {name} of its zip archive is compressed, PyTorch's are not"))
            }
            Some(Entry { bytes, .. }) => Ok(bytes.clone()),
        }
    }

    /// The pickle.
    pub(super) fn pickle(&self) -> Result<Range<usize>, String> {
        self.entry(PICKLE)
    }
}
