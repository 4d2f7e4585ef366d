//! Redaction: a run whose files hold a keyed hash where a name would stand.
//!
//! A plain hash of a name is undone by hashing a list of names, and a key made from the run's
//! seed would be as public as `run.json`. The key is therefore random, made once a run, and
//! kept in the run's directory as `redact.key`, readable by the user alone: a run can be
//! resumed, two runs cannot be linked, and whoever is given the results without the key can
//! test no guess on the names alone. Redaction hides names from a reader, and not from somebody
//! who has the model too: the signals of a guessed name can be computed and compared. To find a person's row, hash the name with the key; to make that impossible
//! for good, delete the key (the run can then not be resumed).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use umid_core::atomic::write_private;

use crate::store::StoreError;

/// The key's file in the run's directory.
pub const KEY_FILE: &str = "redact.key";

/// Hex digits of a redacted name: 64 bits, so that two names of a run do not meet.
const REDACTED_HEX_DIGITS: usize = 16;

/// The secret key of one redacted run.
#[derive(Clone, PartialEq, Eq)]
pub struct RedactionKey([u8; blake3::KEY_LEN]);

impl RedactionKey {
    /// What stands for `text` in the run's files.
    pub fn redacted(&self, text: &str) -> String {
        let mut hex = self.keyed("name", text);
        hex.truncate(REDACTED_HEX_DIGITS);
        hex
    }

    /// `digest` under the key: equal digests stay equal, and a short list of queries cannot be
    /// guessed from it.
    pub(crate) fn blinded(&self, digest: &str) -> String {
        self.keyed("digest", digest)
    }

    fn keyed(&self, purpose: &str, text: &str) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(purpose.as_bytes()).update(b":").update(text.as_bytes());
        hasher.finalize().to_hex().to_string()
    }

    /// Makes a new random key and writes it to `dir`.
    pub(crate) fn create(dir: &Path) -> Result<Self, StoreError> {
        let key = Self(rand::random());
        let path = dir.join(KEY_FILE);
        let line = format!("{}\n", blake3::Hash::from_bytes(key.0).to_hex());
        write_private(&path, line.as_bytes())
            .map_err(|source| StoreError::CreateOutput { path, source })?;
        Ok(key)
    }

    /// Reads the key in `dir`; `None` when there is none.
    pub(crate) fn find(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = dir.join(KEY_FILE);
        match std::fs::read(&path) {
            Ok(bytes) => Self::parse(path, &bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::ReadFile { what: "redaction key", path, source }),
        }
    }

    /// Reads the key in `dir`, which must be there.
    pub(crate) fn load(dir: &Path) -> Result<Self, StoreError> {
        Self::find(dir)?.ok_or_else(|| StoreError::RedactionKey {
            path: dir.join(KEY_FILE),
            reason: "is missing, so this redacted run cannot be resumed",
        })
    }

    fn parse(path: PathBuf, bytes: &[u8]) -> Result<Self, StoreError> {
        let hash = blake3::Hash::from_hex(bytes.trim_ascii());
        hash.map(|hash| Self(*hash.as_bytes()))
            .map_err(|_| StoreError::RedactionKey { path, reason: "is not 64 hex digits" })
    }
}

impl fmt::Debug for RedactionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedactionKey(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_and_hashes_the_same() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(RedactionKey::find(dir.path()).unwrap(), None);
        let key = RedactionKey::create(dir.path()).unwrap();
        let same = RedactionKey::load(dir.path()).unwrap();
        assert_eq!(key, same);
        let hidden = key.redacted("Jane Roe");
        assert_eq!(hidden, same.redacted("Jane Roe"));
        assert_eq!(hidden.len(), 16);
        assert!(hidden.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(hidden, key.redacted("Jane Row"));
        assert_ne!(key.blinded("Jane Roe")[..16], hidden);
    }

    #[test]
    fn two_runs_hash_differently_and_debug_shows_no_key() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, two) =
            (RedactionKey::create(one.path()).unwrap(), RedactionKey::create(two.path()).unwrap());
        assert_ne!(one.redacted("Jane Roe"), two.redacted("Jane Roe"));
        assert_eq!(format!("{one:?}"), "RedactionKey(secret)");
    }

    #[test]
    fn redaction_key_error_for_a_missing_and_a_damaged_key() {
        let dir = tempfile::tempdir().unwrap();
        let error = RedactionKey::load(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::RedactionKey { .. }), "{error}");
        let bad = [String::new(), "abc".into(), "g".repeat(64), "a".repeat(66)];
        for content in bad {
            std::fs::write(dir.path().join(KEY_FILE), content).unwrap();
            let error = RedactionKey::find(dir.path()).unwrap_err();
            assert!(matches!(error, StoreError::RedactionKey { .. }), "{error}");
        }
    }
}
