//! Files that are whole or not there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::error::{Error, Fault};

/// Replaces the file at `path` by `bytes`, or leaves it as it was.
///
/// The bytes go to a temporary file in the same directory (`.<name>.*.tmp`), are flushed to the disk, renamed over
/// the old file, and the directory is flushed. Whatever kills the process, a reader sees the old file or the new
/// one; at worst the temporary file stays behind. A symbolic link at `path` is kept and its target replaced.
///
/// # Errors
///
/// `sign.output`: the directory is not writable, the disk is full, or `path` is not a regular file.
///
/// ```
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("model.sig");
/// modelseal_sign::write_atomically(&path, b"{}")?;
/// assert_eq!(std::fs::read(&path)?, b"{}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_atomically(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
    let path = path.as_ref();
    let target = match fs::canonicalize(path) {
        Ok(existing) if !existing.is_file() => {
            return Err(Fault::OutputNotRegular { path: path.to_owned() }.into());
        }
        Ok(existing) => existing,
        Err(_) => path.to_owned(),
    };
    let unwritable = |error| Fault::OutputUnwritable { path: path.to_owned(), error };
    let file = written(&target, bytes, Reader::Everyone).map_err(unwritable)?;
    file.persist(&target).map_err(|failed| unwritable(failed.error))?;
    flush_directory(&target).map_err(unwritable)?;
    Ok(())
}

/// Writes a new file that only its owner may read. Never overwrites.
///
/// # Errors
///
/// `sign.output`: a file of this name exists, the directory is not writable, or the disk is full.
pub fn write_new_secret(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
    let path = path.as_ref();
    let unwritable = |error| Fault::OutputUnwritable { path: path.to_owned(), error };
    let file = written(path, bytes, Reader::Owner).map_err(unwritable)?;
    file.persist_noclobber(path).map_err(|failed| {
        if failed.error.kind() == io::ErrorKind::AlreadyExists {
            Fault::OutputExists { path: path.to_owned() }
        } else {
            unwritable(failed.error)
        }
    })?;
    flush_directory(path).map_err(unwritable)?;
    Ok(())
}

/// Who may read a new file, as far as the process's umask allows.
enum Reader {
    Everyone,
    Owner,
}

/// A temporary file beside `target` that holds `bytes`, on the disk.
fn written(target: &Path, bytes: &[u8], reader: Reader) -> io::Result<NamedTempFile> {
    let name = target.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::IsADirectory))?;
    let prefix = format!(".{}.", name.to_string_lossy());
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(match reader {
            Reader::Everyone => 0o644,
            Reader::Owner => 0o600,
        }));
    }
    #[cfg(not(unix))]
    let _ = reader;
    let mut file = builder.tempfile_in(directory_of(target))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Makes a rename in the directory of `target` survive a power failure.
fn flush_directory(target: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory_of(target))?.sync_all() } else { Ok(()) }
}

fn directory_of(target: &Path) -> PathBuf {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use modelseal::Code;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn replaces_the_whole_file_and_leaves_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.sig");
        fs::write(&path, "a much longer old signature").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(directory.path()), ["model.sig"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("absent").join("model.sig");
        let error = write_atomically(&path, b"new").unwrap_err();
        assert_eq!(error.code(), Code::SignOutput);
        assert!(error.path().unwrap().ends_with("model.sig"));

        let error = write_atomically(directory.path(), b"new").unwrap_err();
        assert_eq!(error.code(), Code::SignOutput);
        assert!(names(directory.path()).is_empty());
    }

    #[test]
    fn a_secret_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        write_new_secret(&path, b"first").unwrap();
        assert_eq!(write_new_secret(&path, b"second").unwrap_err().code(), Code::SignOutput);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(directory.path()), ["key.pem"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_is_for_its_owner_and_links_are_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let directory = tempfile::tempdir().unwrap();
        let secret = directory.path().join("key.pem");
        write_new_secret(&secret, b"secret").unwrap();
        assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);

        let (target, link) = (directory.path().join("target.sig"), directory.path().join("model.sig"));
        fs::write(&target, "old").unwrap();
        symlink(&target, &link).unwrap();
        write_atomically(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(write_atomically("/dev/null", b"new").unwrap_err().code(), Code::SignOutput);
    }
}
