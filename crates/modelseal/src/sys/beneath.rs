//! Opening beneath a held directory, without following links.
//!
//! On Linux one `openat2(2)` resolves the whole path (`RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
//! RESOLVE_NO_MAGICLINKS`). Where that call is missing (Linux before 5.6), filtered (old seccomp profiles answer
//! `ENOSYS` or `EPERM`, and so does gVisor) or unknown (other Unix systems), the path is opened component by component
//! with `O_NOFOLLOW`. Both refuse the same paths with the same [`Refusal`].
//!
//! Mount points below the directory are crossed: Kubernetes and container runtimes mount volumes and single files there.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

/// A directory, held open: names are looked up beneath it whatever happens to the path it came from.
#[derive(Debug)]
pub(crate) struct Directory {
    descriptor: OwnedFd,
    resolution: Resolution,
}

/// How a path of several names is resolved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Resolution {
    /// One `openat` per name: what the fallback does. Never chosen outright but by tests.
    #[cfg_attr(not(test), expect(dead_code, reason = "the fallback is reached through `Kernel`"))]
    Components,
    /// One `openat2`, and [`Resolution::Components`] where the kernel or a filter refuses that call.
    Kernel,
}

/// What the caller's own path is.
#[derive(Debug)]
pub(crate) enum Opened {
    Directory(Directory),
    File(File, Status),
    /// A FIFO, socket or device. It is closed again.
    Special,
}

/// What is behind a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Status {
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Directory,
    File,
    Link,
    /// A FIFO, socket or device.
    Special,
}

/// Why a path was not opened. The same for both resolutions.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("a component of the path is a symbolic link")]
    Link,
    #[error("there is no such file")]
    Missing,
    #[error("the path is not a directory")]
    NotDirectory,
    #[error("the path is not a regular file")]
    NotRegular,
    #[error("{0}")]
    System(Errno),
}

/// `O_NONBLOCK`: opening a FIFO for reading must not wait for a writer. `O_NOCTTY`: opening a terminal must not adopt it.
const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

impl Directory {
    /// Opens the path the caller gave. Links on the way and at its end are followed: the caller named that path, and
    /// `/models/current` often is a link. From here on the descriptor counts, not the path.
    pub(crate) fn follow(path: &Path) -> Result<Opened, Refusal> {
        let descriptor = retry_on_intr(|| rustix::fs::open(path, READ, Mode::empty()))?;
        let status = Status::of(&descriptor)?;
        Ok(match status.kind {
            Kind::Directory => Opened::Directory(Self { descriptor, resolution: Resolution::Kernel }),
            Kind::File => Opened::File(blocking(descriptor)?, status),
            Kind::Link | Kind::Special => Opened::Special,
        })
    }

    /// Forces how paths are resolved from here on.
    #[cfg(test)]
    pub(crate) fn resolving(mut self, resolution: Resolution) -> Self {
        self.resolution = resolution;
        self
    }

    /// Opens a regular file for reading, and says what was opened.
    pub(crate) fn open_file(&self, path: impl AsRef<Path>) -> Result<(File, Status), Refusal> {
        let descriptor = self.descend(path.as_ref(), READ).map_err(|refusal| match refusal {
            // Without O_DIRECTORY only a parent can be the wrong kind: then there is no such file.
            Refusal::NotDirectory => Refusal::Missing,
            Refusal::Link | Refusal::Missing | Refusal::NotRegular | Refusal::System(_) => refusal,
        })?;
        let status = Status::of(&descriptor)?;
        match status.kind {
            Kind::File => Ok((blocking(descriptor)?, status)),
            Kind::Directory | Kind::Link | Kind::Special => Err(Refusal::NotRegular),
        }
    }

    /// Opens a directory.
    pub(crate) fn open_directory(&self, path: impl AsRef<Path>) -> Result<Self, Refusal> {
        let descriptor = self.descend(path.as_ref(), READ.union(OFlags::DIRECTORY))?;
        Ok(Self { descriptor, resolution: self.resolution })
    }

    /// What is behind a path. Its last component is not followed if it is a link, and no other may be one.
    pub(crate) fn status(&self, path: impl AsRef<Path>) -> Result<Status, Refusal> {
        self.with_parent(path.as_ref(), |descriptor, name| {
            Status::from_stat(&rustix::fs::statat(descriptor, name, AtFlags::SYMLINK_NOFOLLOW)?)
        })
    }

    /// The text of a link.
    pub(crate) fn read_link(&self, path: impl AsRef<Path>) -> Result<OsString, Refusal> {
        self.with_parent(path.as_ref(), |descriptor, name| {
            rustix::fs::readlinkat(descriptor, name, Vec::new())
                .map(|text| OsString::from_vec(text.into_bytes()))
        })
    }

    /// What this directory itself is.
    pub(crate) fn own_status(&self) -> Result<Status, Refusal> {
        Ok(Status::of(&self.descriptor)?)
    }

    /// The names in this directory, without `.` and `..`, in no order. Stops after `most` names.
    pub(crate) fn names(&self, most: usize) -> Result<Vec<OsString>, Refusal> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.descriptor)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            if names.len() == most {
                break;
            }
            names.push(OsStr::from_bytes(name).to_owned());
        }
        Ok(names)
    }

    fn with_parent<T>(
        &self,
        path: &Path,
        call: impl FnOnce(&OwnedFd, &OsStr) -> Result<T, Errno>,
    ) -> Result<T, Refusal> {
        let components = names_of(path)?;
        let (name, parents) = components.split_last().ok_or(Errno::INVAL)?;
        if parents.is_empty() {
            return Ok(call(&self.descriptor, name)?);
        }
        let parent = self.open_directory(parents.iter().collect::<std::path::PathBuf>())?;
        Ok(call(&parent.descriptor, name)?)
    }

    fn descend(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Refusal> {
        let names = names_of(path)?;
        let flags = flags.union(OFlags::NOFOLLOW);
        match self.resolution {
            Resolution::Components => self.descend_by_component(&names, flags),
            #[cfg(not(target_os = "linux"))]
            Resolution::Kernel => self.descend_by_component(&names, flags),
            #[cfg(target_os = "linux")]
            Resolution::Kernel => {
                use rustix::fs::ResolveFlags;
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
                let opened = retry_on_intr(|| {
                    rustix::fs::openat2(&self.descriptor, path, flags, Mode::empty(), resolve)
                });
                match opened {
                    // A genuine EPERM meets the same refusal on the slow road. ENOTDIR may mean a link at the end of
                    // the path or a file in its middle; the slow road tells them apart.
                    Err(Errno::NOSYS | Errno::NOTDIR | Errno::PERM) => {
                        self.descend_by_component(&names, flags)
                    }
                    opened => Ok(opened?),
                }
            }
        }
    }

    fn descend_by_component(&self, names: &[&OsStr], flags: OFlags) -> Result<OwnedFd, Refusal> {
        let (last, parents) = names.split_last().ok_or(Errno::INVAL)?;
        let mut held: Option<OwnedFd> = None;
        for name in parents {
            let parent = held.as_ref().unwrap_or(&self.descriptor);
            let flags = READ.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW);
            held = Some(open_name(parent, name, flags)?);
        }
        open_name(held.as_ref().unwrap_or(&self.descriptor), last, flags)
    }
}

/// The components of a relative path without `..`, at least one; nothing else is ever resolved beneath a directory.
fn names_of(path: &Path) -> Result<Vec<&OsStr>, Refusal> {
    let names: Vec<&OsStr> = path
        .components()
        .map(|component| match component {
            Component::Normal(name) => Ok(name),
            Component::CurDir | Component::ParentDir | Component::Prefix(_) | Component::RootDir => {
                Err(Refusal::System(Errno::INVAL))
            }
        })
        .collect::<Result<_, _>>()?;
    if names.is_empty() { Err(Refusal::System(Errno::INVAL)) } else { Ok(names) }
}

fn open_name(directory: &OwnedFd, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Refusal> {
    match retry_on_intr(|| rustix::fs::openat(directory, name, flags, Mode::empty())) {
        // O_DIRECTORY with O_NOFOLLOW answers ENOTDIR for a link, where openat2 answers ELOOP.
        Err(Errno::NOTDIR) => match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_symlink() => Err(Refusal::Link),
            Ok(_) | Err(_) => Err(Refusal::NotDirectory),
        },
        opened => Ok(opened?),
    }
}

/// Takes O_NONBLOCK off again: it has no meaning for regular files, and the descriptor may be handed out.
fn blocking(descriptor: OwnedFd) -> Result<File, Errno> {
    let flags = rustix::fs::fcntl_getfl(&descriptor)?;
    rustix::fs::fcntl_setfl(&descriptor, flags.difference(OFlags::NONBLOCK))?;
    Ok(File::from(descriptor))
}

impl Status {
    /// What an open descriptor refers to.
    pub(crate) fn of(descriptor: impl AsFd) -> Result<Self, Errno> {
        Self::from_stat(&rustix::fs::fstat(descriptor)?)
    }

    fn from_stat(stat: &Stat) -> Result<Self, Errno> {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Link,
            FileType::BlockDevice
            | FileType::CharacterDevice
            | FileType::Fifo
            | FileType::Socket
            | FileType::Unknown => Kind::Special,
        };
        Ok(Self {
            kind,
            size: unsigned(stat.st_size)?,
            device: unsigned(stat.st_dev)?,
            inode: unsigned(stat.st_ino)?,
        })
    }

    /// Whether both are one and the same file, in the same length.
    pub(crate) fn is_same_file(self, other: Self) -> bool {
        self == other
    }
}

/// The fields of `struct stat` differ in type from system to system.
fn unsigned<T: TryInto<u64>>(field: T) -> Result<u64, Errno> {
    field.try_into().map_err(|_| Errno::OVERFLOW)
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::LOOP => Self::Link,
            Errno::NOENT => Self::Missing,
            Errno::NOTDIR => Self::NotDirectory,
            // A socket cannot be opened.
            Errno::NXIO => Self::NotRegular,
            // RESOLVE_BENEATH: only a link or a jump could have left the directory.
            Errno::XDEV => Self::Link,
            errno => Self::System(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const BOTH: [Resolution; 2] = [Resolution::Components, Resolution::Kernel];

    fn directory(path: &Path, resolution: Resolution) -> Directory {
        match Directory::follow(path).unwrap() {
            Opened::Directory(directory) => directory.resolving(resolution),
            other @ (Opened::File(..) | Opened::Special) => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_resolutions_open_files_and_refuse_the_same_paths() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "secret").unwrap();
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::write(at("a/b/file"), "bytes").unwrap();
        symlink("file", at("a/b/inner")).unwrap();
        symlink("b", at("a/link")).unwrap();
        symlink(outside.path().join("secret"), at("escape")).unwrap();
        symlink(outside.path(), at("out")).unwrap();
        symlink("loop", at("loop")).unwrap();
        symlink("/proc/self/fd/0", at("magic")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), Mode::RUSR).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();

        for resolution in BOTH {
            let held = directory(root.path(), resolution);
            let (mut file, status) = held.open_file("a/b/file").unwrap();
            assert_eq!(std::io::read_to_string(&mut file).unwrap(), "bytes");
            assert_eq!((status.kind, status.size), (Kind::File, 5));
            assert!(!rustix::fs::fcntl_getfl(&file).unwrap().contains(OFlags::NONBLOCK));
            assert!(
                rustix::io::fcntl_getfd(&file).unwrap().contains(rustix::io::FdFlags::CLOEXEC),
                "descriptors do not leak into children"
            );

            for (path, expected) in [
                ("a/b/inner", Refusal::Link),
                ("a/link/file", Refusal::Link),
                ("escape", Refusal::Link),
                ("out/secret", Refusal::Link),
                ("loop", Refusal::Link),
                ("magic", Refusal::Link),
                ("fifo", Refusal::NotRegular),
                ("socket", Refusal::NotRegular),
                ("a", Refusal::NotRegular),
                ("a/b/file/below", Refusal::Missing),
                ("a/none", Refusal::Missing),
                ("../x", Refusal::System(Errno::INVAL)),
                ("a/../a/b/file", Refusal::System(Errno::INVAL)),
                ("/etc/passwd", Refusal::System(Errno::INVAL)),
                ("", Refusal::System(Errno::INVAL)),
            ] {
                assert_eq!(held.open_file(path).unwrap_err(), expected, "{resolution:?} {path}");
            }
            assert_eq!(held.open_directory("a/link").unwrap_err(), Refusal::Link, "{resolution:?}");
            assert_eq!(held.open_directory("a/b/file").unwrap_err(), Refusal::NotDirectory, "{resolution:?}");
            assert_eq!(held.status("a/link").unwrap().kind, Kind::Link);
            assert_eq!(held.status("a/link/file").unwrap_err(), Refusal::Link);
            assert_eq!(held.read_link("a/b/inner").unwrap(), "file");
        }
    }

    #[test]
    fn the_descriptor_counts_not_the_path() {
        let root = tempfile::tempdir().unwrap();
        let first = root.path().join("first");
        std::fs::create_dir(&first).unwrap();
        std::fs::write(first.join("file"), "first").unwrap();
        let held = directory(&first, Resolution::Kernel);
        std::fs::rename(&first, root.path().join("moved")).unwrap();
        std::fs::create_dir(&first).unwrap();
        std::fs::write(first.join("file"), "second").unwrap();
        let (file, _) = held.open_file("file").unwrap();
        assert_eq!(std::io::read_to_string(file).unwrap(), "first");
    }

    #[test]
    fn the_callers_own_path_may_be_a_link_but_not_a_pipe() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("file"), "x").unwrap();
        symlink("file", root.path().join("current")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, root.path().join("fifo"), Mode::RUSR).unwrap();
        assert!(matches!(Directory::follow(&root.path().join("current")), Ok(Opened::File(..))));
        assert!(matches!(Directory::follow(&root.path().join("fifo")), Ok(Opened::Special)));
        assert_eq!(Directory::follow(&root.path().join("none")).unwrap_err(), Refusal::Missing);
    }

    #[test]
    fn names_stop_at_the_budget() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(root.path().join(name), "").unwrap();
        }
        let held = directory(root.path(), Resolution::Kernel);
        assert_eq!(held.names(10).unwrap().len(), 3);
        assert_eq!(held.names(2).unwrap().len(), 2);
    }
}
