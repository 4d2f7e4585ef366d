//! The table of tensors of one file: names, shapes, types and where the bytes are.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use safetensors::{Dtype, SafeTensorError, SafeTensors};

use super::stored::{OpenFile, Place};
use super::torch;
use crate::{ModelError, Result};

/// End of the names of safetensors files; every other file of weights is PyTorch's.
const SAFETENSORS: &str = "safetensors";
/// One tensor, still in its file.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(super) place: Place,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Thirds that have been taken, as bits.
    pub(super) taken: u8,
}

/// The tensors of one file.
pub(crate) struct Table {
    pub(super) entries: BTreeMap<String, Entry>,
    /// Whether the file is a TorchScript archive.
    pub(crate) scripted: bool,
}

impl Table {
    /// Reads the table of a file. Tensors stay where they are.
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`], [`ModelError::Safetensors`], [`ModelError::Pickle`] and
    /// [`ModelError::UnsafePickle`].
    pub(crate) fn read(path: &Path) -> Result<Self> {
        if path.extension().is_some_and(|end| end == SAFETENSORS) {
            safetensors(path)
        } else {
            torch::table(path)
        }
    }

    /// Whether there is a tensor whose name begins so.
    pub(crate) fn holds(&self, prefix: &str) -> bool {
        let first = self.entries.range(prefix.to_owned()..).next();
        first.is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// Names of the tensors, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }
}

fn safetensors(path: &Path) -> Result<Table> {
    let malformed = |reason: String| ModelError::Safetensors { path: path.to_owned(), reason };
    let file = Arc::new(OpenFile::open(path)?);
    let map = file.map(0..file.len()?)?;
    let (header_len, metadata) =
        SafeTensors::read_metadata(&map).map_err(|e| malformed(explain(&e, &map)))?;
    // The header is preceded by its own length in eight bytes.
    let data_start = header_len + size_of::<u64>();
    let mut entries = BTreeMap::new();
    for (name, info) in metadata.tensors() {
        let bytes = data_start + info.data_offsets.0..data_start + info.data_offsets.1;
        if bytes.end > map.len() {
            let (end, size) = (bytes.end, map.len());
            let reason = format!("tensor `{name}` ends at byte {end}, the file has {size}");
            return Err(malformed(reason));
        }
        let place = Place::Mapped(Arc::clone(&file), bytes);
        let entry = Entry { place, dtype: info.dtype, shape: info.shape.clone(), taken: 0 };
        entries.insert(name, entry);
    }
    Ok(Table { entries, scripted: false })
}

/// What is wrong with a file whose header was refused, with the sizes that do not fit.
fn explain(error: &SafeTensorError, bytes: &[u8]) -> String {
    let size = bytes.len();
    let header = bytes.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
    match error {
        SafeTensorError::HeaderTooSmall => {
            format!("it has {size} bytes, too few for a header, so it is truncated")
        }
        SafeTensorError::HeaderTooLarge => {
            format!("its header claims to have {header} bytes, more than any header has")
        }
        SafeTensorError::InvalidHeaderLength => format!(
            "its header claims to have {header} bytes, the file has {size}, so it is truncated"
        ),
        SafeTensorError::MetadataIncompleteBuffer => format!(
            "the tensors of its header do not end where the file ends, at byte {size}, so it is \
             truncated or was written twice"
        ),
        SafeTensorError::TensorInvalidInfo => {
            "a tensor of its header takes more or fewer bytes than its shape and type need"
                .to_owned()
        }
        other => other.to_string(),
    }
}
