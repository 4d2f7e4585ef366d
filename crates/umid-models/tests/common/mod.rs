//! Copies of the fixtures in a temporary directory, to be changed.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use umid_models::{Model, Result, parse_device};

/// A copy of a checkpoint, gone when dropped.
pub struct Checkpoint(TempDir);

impl Checkpoint {
    /// Copies `tests/fixtures/{fixture}`.
    pub fn copy(fixture: &str) -> Self {
        let to = TempDir::new().expect("temporary directory");
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture);
        for entry in std::fs::read_dir(&from).expect("fixture") {
            let path = entry.expect("entry").path();
            let name = path.file_name().expect("file name");
            if !name.to_string_lossy().starts_with("expected") {
                std::fs::copy(&path, to.path().join(name)).expect("copy");
            }
        }
        Self(to)
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    pub fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.path(file)).expect(file)
    }

    pub fn write(&self, file: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(file), bytes).expect(file);
    }

    pub fn load(&self) -> Result<Model> {
        load(self.0.path())
    }
}

pub fn load(directory: &Path) -> Result<Model> {
    Model::load(directory, &parse_device("cpu").expect("cpu"))
}
