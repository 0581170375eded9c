//! A directory of links to sealed descriptors, for loaders that only know paths.
//!
//! The links name this process's numeric id, never `/proc/self`: in a spawned child `/proc/self/fd/N` is another
//! object. They lead to sealed memfds only: for any other file, resolving the link would lead back to the path
//! on disk.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::backing::refused;
use super::{OpenFault, VerifiedModel};
use crate::error::Error;

/// A private directory that shows exactly the verified files. Removed, and its descriptors closed, on drop.
///
/// Anyone who can re-point a link wins, so the directory belongs to this user and has mode 0700.
#[derive(Debug)]
pub struct VerifiedDirectory {
    directory: tempfile::TempDir,
    #[expect(dead_code, reason = "held open: the links lead to them")]
    descriptors: Vec<File>,
}

impl VerifiedDirectory {
    #[cfg(target_os = "linux")]
    pub(super) fn of(model: &VerifiedModel) -> Result<Self, Error> {
        use std::os::fd::AsRawFd;
        use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};

        // A fixed place: no decision depends on the environment.
        let base = if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
        let directory = tempfile::Builder::new()
            .prefix("modelseal-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(base)
            .map_err(|error| refused("a private directory", &error))?;
        let mut descriptors = Vec::new();
        let process = std::process::id();
        for file in model.files() {
            let descriptor = file.descriptor()?;
            let link = directory.path().join(file.path());
            if let Some(parent) = link.parent() {
                std::fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(parent)
                    .map_err(|error| refused("a private directory", &error))?;
            }
            symlink(format!("/proc/{process}/fd/{}", descriptor.as_raw_fd()), &link)
                .map_err(|error| refused("a link", &error))?;
            descriptors.push(descriptor);
        }
        Ok(Self { directory, descriptors })
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn of(_: &VerifiedModel) -> Result<Self, Error> {
        let reason = "paths to verified bytes exist on Linux only; use the bytes themselves".to_owned();
        Err(OpenFault::Unavailable { path: None, reason }.into())
    }

    /// The directory. Give it to a loader in the place of the model's own.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The path of one file in it.
    ///
    /// # Errors
    ///
    /// `file.not_handed_out`.
    pub fn file(&self, path: &str) -> Result<PathBuf, Error> {
        let full = self.directory.path().join(path);
        match full.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => Ok(full),
            _ => Err(OpenFault::NotHandedOut { path: path.to_owned() }.into()),
        }
    }
}
