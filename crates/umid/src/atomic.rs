//! Writing a whole file so that a reader, or a run that is killed, never sees half of it:
//! a temporary file in the same directory, flushed to the disk, then renamed.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Start of the names of temporary files, by which leftovers of a killed run are known.
pub(crate) const TEMPORARY_PREFIX: &str = ".umid-tmp-";

/// Replaces the file at `path` by `content`, with the permissions of an ordinary new file.
///
/// # Errors
/// The system's error; the old file is then as it was.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY_PREFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Less the user's mask; temporary files are private to the user otherwise.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    write_with(&builder, path, content)
}

/// [`write_atomically`], readable by the user alone.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY_PREFIX);
    write_with(&builder, path, content)
}

fn write_with(builder: &tempfile::Builder, path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = builder.tempfile_in(directory)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_directory(directory);
    Ok(())
}

/// Makes a rename or a new file in `directory` outlast a power failure, where the file system
/// can do that; where it cannot, the file itself is still whole.
pub(crate) fn sync_directory(directory: &Path) {
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
