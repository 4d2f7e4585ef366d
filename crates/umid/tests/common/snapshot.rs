//! What is on the disk below a directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every file below `dir` with its content; `None` for a directory.
pub fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            let content = path.is_file().then(|| std::fs::read(&path).expect("a file"));
            if content.is_none() {
                open.push(path.clone());
            }
            found.insert(path, content);
        }
    }
    found
}
