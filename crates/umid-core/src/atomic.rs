//! Writing a whole file so that a reader, or a run that is killed, never sees half of it:
//! a temporary file in the same directory, flushed to the disk, then renamed.

use std::fs::File;
use std::io::{self, BufWriter, IntoInnerError, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Start of the names of temporary files, by which leftovers of a killed process are known.
pub const TEMPORARY_PREFIX: &str = ".umid-tmp-";

/// A whole file in the making: what is written goes to a temporary file, which takes the place
/// of the file at `path` when it is committed. One that is dropped before leaves nothing.
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl Replacement {
    /// Begins a file with the permissions of an ordinary new one.
    ///
    /// # Errors
    /// The system's error.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Less the user's mask; temporary files are private to the user otherwise.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        Self::with(&mut builder, path)
    }

    fn with(builder: &mut tempfile::Builder<'_, '_>, path: &Path) -> io::Result<Self> {
        let file = builder.prefix(TEMPORARY_PREFIX).tempfile_in(directory(path))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// The system's error; the old file is then as it was.
    pub fn commit(self) -> io::Result<()> {
        let file = self.file.into_inner().map_err(IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        sync_directory(directory(&self.path));
        Ok(())
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Replaces the file at `path` by `content`, with the permissions of an ordinary new file.
///
/// # Errors
/// The system's error; the old file is then as it was.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = Replacement::begin(path)?;
    file.write_all(content)?;
    file.commit()
}

/// [`write_atomically`], readable by the user alone.
///
/// # Errors
/// The system's error; the old file is then as it was.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = Replacement::with(&mut tempfile::Builder::new(), path)?;
    file.write_all(content)?;
    file.commit()
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a rename or a new file in `directory` outlast a power failure, where the file system
/// can do that; where it cannot, the file itself is still whole.
pub fn sync_directory(directory: &Path) {
    if let Ok(handle) = File::open(directory) {
        let _ = handle.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.json");
        for content in ["first, longer", "second"] {
            write_atomically(&path, content.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("file"), "kept").unwrap();
        assert!(write_atomically(&path, b"x").is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write_atomically(&dir.path().join("absent/file"), b"x").is_err());
    }

    #[test]
    fn a_file_that_is_given_up_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.csv");
        write_atomically(&path, b"old").unwrap();
        let mut given_up = Replacement::begin(&path).unwrap();
        given_up.write_all(&vec![b'x'; 100_000]).unwrap();
        drop(given_up);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_private_file_is_readable_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (private, ordinary) = (dir.path().join("private"), dir.path().join("ordinary"));
        write_private(&private, b"x").unwrap();
        write_atomically(&ordinary, b"x").unwrap();
        let plain = dir.path().join("plain");
        std::fs::write(&plain, "x").unwrap();
        assert_eq!(mode(&private), 0o600);
        assert_eq!(mode(&ordinary), mode(&plain));
    }
}
