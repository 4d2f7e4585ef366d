//! The reference cache: what a reference costs to compute is kept between runs, by everything
//! that it depends on. It holds signals under digests and no text.
//!
//! An entry is one file: a line with the BLAKE3 digest of the rest, then JSON. It is renamed
//! into place, so two runs at once see a whole entry or none, and write the same one. An entry
//! that is damaged is told, computed again and replaced. A cache that fails never fails a run.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use umid_core::atomic::write_atomically;

use crate::queries::{Query, names_digest};
use crate::record::SCHEMA_VERSION;

/// Environment variable that names another directory for the cache.
pub const CACHE_DIR_VARIABLE: &str = "UMID_CACHE_DIR";

/// Where references are kept; a cache without a directory keeps nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceCache {
    dir: Option<PathBuf>,
}

/// What was found in the cache.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup<T> {
    /// The value.
    Hit(T),
    /// Nothing.
    Miss,
    /// Something that cannot be used, with a warning that says so.
    Damaged(String),
}

/// The name of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheKey(String);

impl CacheKey {
    /// The key of a value that depends on the model, on `texts` and on `parameters`, which
    /// must hold everything else that the value depends on (and the kind of value), and no
    /// more.
    ///
    /// # Panics
    /// When `parameters` cannot be written as JSON: a map whose keys are not strings.
    pub fn new(model_digest: &str, parameters: &impl Serialize, texts: &[Query]) -> Self {
        let parameters = serde_json::to_string(parameters).expect("parameters have string keys");
        let texts = names_digest(texts);
        let schema = SCHEMA_VERSION.to_string();
        let mut hasher = blake3::Hasher::new_derive_key("umid 2026 reference cache");
        // Besides the versions that `parameters` holds: any release computes again.
        for field in [&schema, env!("CARGO_PKG_VERSION"), model_digest, &parameters, &texts] {
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field.as_bytes());
        }
        Self(hasher.finalize().to_hex().to_string())
    }
}

impl ReferenceCache {
    /// The user's cache: the directory in [`CACHE_DIR_VARIABLE`] where that is set, and the
    /// system's place for caches otherwise.
    pub fn of_user() -> Self {
        Self { dir: directory(std::env::var_os(CACHE_DIR_VARIABLE)) }
    }

    /// A cache in `dir`, which is made when it is first written to.
    pub fn at(dir: &Path) -> Self {
        Self { dir: Some(dir.to_owned()) }
    }

    /// A cache that keeps nothing.
    pub fn off() -> Self {
        Self { dir: None }
    }

    /// The cache's directory.
    pub fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// Looks for the value of `key`.
    pub fn load<T: DeserializeOwned>(&self, key: &CacheKey) -> Lookup<T> {
        let Some(path) = self.path(key) else { return Lookup::Miss };
        let damaged = |reason: &str| {
            Lookup::Damaged(format!(
                "the cached reference {} {reason}; it is computed again and replaced",
                path.display()
            ))
        };
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Lookup::Miss,
            Err(error) => return damaged(&format!("cannot be read ({error})")),
        };
        let mut halves = bytes.splitn(2, |&byte| byte == b'\n');
        let (digest, json) = (halves.next().unwrap_or_default(), halves.next());
        let Some(json) = json.filter(|json| digest == digest_line(json).as_bytes()) else {
            return damaged("is damaged");
        };
        match serde_json::from_slice(json) {
            Ok(value) => Lookup::Hit(value),
            Err(error) => damaged(&format!("has another layout ({error})")),
        }
    }

    /// Keeps `value` under `key`; a warning when that fails, or when the value would not be
    /// read back equal (it holds a number that is not finite).
    pub fn store<T>(&self, key: &CacheKey, value: &T) -> Option<String>
    where
        T: Serialize + DeserializeOwned + PartialEq,
    {
        let path = self.path(key)?;
        let warning = |reason: String| {
            Some(format!(
                "the reference could not be kept in {}: {reason}; the run is not affected, set \
                 {CACHE_DIR_VARIABLE} to a writable directory to save time",
                path.display()
            ))
        };
        let json = match serde_json::to_vec(value) {
            Ok(json) => json,
            Err(error) => return warning(error.to_string()),
        };
        if !serde_json::from_slice::<T>(&json).is_ok_and(|same| same == *value) {
            return warning(
                "it would not be read back the same, since it holds a number that is not finite"
                    .to_owned(),
            );
        }
        let content = [digest_line(&json).as_bytes(), b"\n", &json].concat();
        let directory = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        match directory.and_then(|()| write_atomically(&path, &content)) {
            Ok(()) => None,
            Err(error) => warning(error.to_string()),
        }
    }

    fn path(&self, key: &CacheKey) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.join(format!("reference-{}.json", key.0)))
    }
}

fn directory(variable: Option<OsString>) -> Option<PathBuf> {
    match variable {
        Some(dir) if !dir.is_empty() => Some(PathBuf::from(dir)),
        _ => directories::ProjectDirs::from("", "", "umid").map(|dirs| dirs.cache_dir().to_owned()),
    }
}

fn digest_line(json: &[u8]) -> String {
    blake3::hash(json).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Signals = BTreeMap<String, Vec<Option<f64>>>;

    fn texts() -> Vec<Query> {
        vec![Query { id: "1".into(), text: "Jane Roe".into(), parts: None }]
    }

    fn key() -> CacheKey {
        CacheKey::new("model", &("signals", 7_u64), &texts())
    }

    fn signals(values: Vec<Option<f64>>) -> Signals {
        BTreeMap::from([("similarity".to_owned(), values)])
    }

    fn only_file(dir: &Path) -> PathBuf {
        let mut files = std::fs::read_dir(dir).unwrap();
        let file = files.next().unwrap().unwrap().path();
        assert!(files.next().is_none());
        file
    }

    #[test]
    fn a_value_is_found_under_its_key_alone() {
        let dir = tempfile::tempdir().unwrap();
        let cache = ReferenceCache::at(&dir.path().join("made/on/demand"));
        let value = signals(vec![Some(0.1 + 0.2), None]);
        assert_eq!(cache.load::<Signals>(&key()), Lookup::Miss);
        assert_eq!(cache.store(&key(), &value), None);
        assert_eq!(cache.load(&key()), Lookup::Hit(value));
        let mut other_texts = texts();
        other_texts[0].text.push('x');
        for other in [
            CacheKey::new("other", &("signals", 7_u64), &texts()),
            CacheKey::new("model", &("signals", 8_u64), &texts()),
            CacheKey::new("model", &("signals", 7_u64), &other_texts),
        ] {
            assert_eq!(cache.load::<Signals>(&other), Lookup::Miss);
        }
    }

    #[test]
    fn a_cache_that_is_off_keeps_nothing() {
        assert_eq!(ReferenceCache::off().store(&key(), &signals(vec![])), None);
        assert_eq!(ReferenceCache::off().load::<Signals>(&key()), Lookup::Miss);
    }

    #[test]
    fn the_variable_names_the_directory() {
        assert_eq!(directory(Some("/x".into())), Some(PathBuf::from("/x")));
        let by_default = directory(None);
        assert_eq!(directory(Some(OsString::new())), by_default);
    }

    #[test]
    fn an_entry_cut_or_changed_anywhere_is_told_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let cache = ReferenceCache::at(dir.path());
        let value = signals(vec![Some(1.5), Some(-2.25)]);
        cache.store(&key(), &value);
        let path = only_file(dir.path());
        let whole = std::fs::read(&path).unwrap();
        let damaged = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            matches!(cache.load::<Signals>(&key()), Lookup::Damaged(_))
        };
        for at in 0..whole.len() {
            assert!(damaged(&whole[..at]), "cut at {at}");
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(damaged(&changed), "changed at {at}");
        }
        assert_eq!(cache.store(&key(), &value), None);
        assert_eq!(cache.load(&key()), Lookup::Hit(value));
    }

    #[test]
    fn an_entry_of_another_layout_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let cache = ReferenceCache::at(dir.path());
        cache.store(&key(), &vec![1.0_f64]);
        assert!(matches!(cache.load::<Signals>(&key()), Lookup::Damaged(_)));
    }

    #[test]
    fn what_would_not_read_back_equal_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let cache = ReferenceCache::at(dir.path());
        for value in [f64::NAN, f64::INFINITY] {
            let warning = cache.store(&key(), &signals(vec![Some(value)])).unwrap();
            assert!(warning.contains("not finite"), "{warning}");
        }
        assert_eq!(cache.load::<Signals>(&key()), Lookup::Miss);
    }

    #[test]
    fn a_directory_that_cannot_be_written_gives_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let warning = ReferenceCache::at(&file).store(&key(), &signals(vec![])).unwrap();
        assert!(warning.contains("the run is not affected"), "{warning}");
        let found = ReferenceCache::at(&file).load::<Signals>(&key());
        assert!(matches!(found, Lookup::Damaged(_) | Lookup::Miss));
    }

    #[test]
    fn writers_at_once_leave_a_whole_entry() {
        let dir = tempfile::tempdir().unwrap();
        let cache = ReferenceCache::at(dir.path());
        let value = signals(vec![Some(0.5); 2000]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        assert_eq!(cache.store(&key(), &value), None);
                        assert_eq!(cache.load(&key()), Lookup::Hit(value.clone()));
                    }
                });
            }
        });
        only_file(dir.path());
    }

    proptest! {
        // Each case flushes a file to the disk.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn numbers_round_trip_exactly(bits in prop::collection::vec(any::<u64>(), 1..30)) {
            let dir = tempfile::tempdir().unwrap();
            let cache = ReferenceCache::at(dir.path());
            let values: Vec<Option<f64>> =
                bits.into_iter().map(f64::from_bits).filter(|v| v.is_finite()).map(Some).collect();
            let value = signals(values);
            prop_assert_eq!(cache.store(&key(), &value), None);
            let Lookup::Hit(back) = cache.load::<Signals>(&key()) else { panic!("no hit") };
            for (sent, found) in value["similarity"].iter().zip(&back["similarity"]) {
                prop_assert_eq!(sent.unwrap().to_bits(), found.unwrap().to_bits());
            }
        }
    }
}
