//! What identifies a model: a digest of the bytes of all files that it was read from, and of what
//! the user said of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::stored::OpenFile;
use crate::Result;
use crate::config::Activation;

/// Bytes of a file that are mapped together: enough for all cores, and no whole model.
const WINDOW: usize = 1 << 25;

/// Digest of a checkpoint's files. Each file enters with its name and its own digest, so the
/// order of reading does not matter and a renamed file does. An activation that was given makes it
/// another model.
pub(crate) fn digest(files: &[PathBuf], activation: Option<Activation>) -> Result<String> {
    let mut parts = BTreeMap::new();
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = OpenFile::open(path)?;
        let mut hasher = blake3::Hasher::new();
        let len = file.len()?;
        for first in (0..len).step_by(WINDOW) {
            hasher.update_rayon(&file.map(first..len.min(first + WINDOW))?);
        }
        parts.insert(name, hasher.finalize());
    }
    let mut whole = blake3::Hasher::new();
    for (name, digest) in parts {
        whole.update(&(name.len() as u64).to_le_bytes());
        whole.update(name.as_bytes());
        whole.update(digest.as_bytes());
    }
    if let Some(activation) = activation {
        whole.update(activation.transformers_name().as_bytes());
    }
    Ok(whole.finalize().to_hex().to_string())
}
