//! Where verified bytes live, and proof that nobody can change them there.

use std::fs::File;

use super::{Assurance, OpenFault};
use crate::digest::Place;
use crate::error::Error;
use crate::sys;

/// Bytes that matched their digest, in a place that cannot change.
#[derive(Debug)]
pub(super) enum Backing {
    Private(sys::FrozenMemory),
    #[cfg(target_os = "linux")]
    Sealed {
        file: sys::Sealed,
        mapping: sys::SealedMapping,
    },
    #[cfg(target_os = "linux")]
    Verity(sys::VerityMapping),
}

impl Backing {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Private(memory) => memory.as_slice(),
            #[cfg(target_os = "linux")]
            Self::Sealed { mapping, .. } => mapping.as_slice(),
            #[cfg(target_os = "linux")]
            Self::Verity(mapping) => mapping.as_slice(),
        }
    }

    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Private(_) => "private",
            #[cfg(target_os = "linux")]
            Self::Sealed { .. } => "sealed",
            #[cfg(target_os = "linux")]
            Self::Verity(_) => "verity",
        }
    }

    /// A read-only descriptor of sealed bytes. Bytes that are not in a sealed file yet are copied into one: they are
    /// verified and immutable, so no second hash is needed.
    #[cfg(target_os = "linux")]
    pub(super) fn descriptor(&self) -> Result<File, Error> {
        use std::io::Write;

        if let Self::Sealed { file, .. } = self {
            return file.reopen_read_only().map_err(|error| refused("a descriptor", &error));
        }
        let memory =
            sys::SealedFile::create(MEMORY_NAME).map_err(|error| refused("a sealed file", &error))?;
        let mut writer = memory.file();
        writer.write_all(self.as_slice()).map_err(|error| refused("memory for a sealed file", &error))?;
        let sealed = memory.seal().map_err(|error| refused("a seal", &error))?;
        sealed.reopen_read_only().map_err(|error| refused("a descriptor", &error))
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn descriptor(&self) -> Result<File, Error> {
        Err(linux_only())
    }
}

/// What `/proc/<pid>/maps` shows for a sealed copy.
#[cfg(target_os = "linux")]
const MEMORY_NAME: &str = "modelseal";

/// Where a file's bytes are written while they are hashed.
#[derive(Debug)]
pub(super) enum Draft {
    /// Already immutable: a sealed memfd, hashed in place.
    #[cfg(target_os = "linux")]
    InPlace(sys::Sealed),
    Private {
        source: File,
        memory: sys::AnonymousMemory,
    },
    #[cfg(target_os = "linux")]
    Sealed {
        source: File,
        memory: sys::SealedFile,
    },
}

impl Draft {
    /// Chooses the place of a copy. Reserves address space; pages are taken as bytes arrive.
    pub(super) fn new(source: File, size: u64, assurance: Assurance) -> Result<Self, Error> {
        #[cfg(target_os = "linux")]
        let source = match sys::Sealed::adopt(source) {
            Ok(sealed) => return Ok(Self::InPlace(sealed)),
            Err(source) => source,
        };
        match assurance {
            #[cfg(target_os = "linux")]
            Assurance::Sealed => {
                let memory =
                    sys::SealedFile::create(MEMORY_NAME).map_err(|error| refused("a sealed file", &error))?;
                Ok(Self::Sealed { source, memory })
            }
            #[cfg(not(target_os = "linux"))]
            Assurance::Sealed => Err(linux_only()),
            Assurance::Auto | Assurance::Private | Assurance::Verity => {
                let bytes = usize::try_from(size).map_err(|_| OpenFault::System {
                    what: "memory",
                    detail: "the file is larger than the address space".to_owned(),
                })?;
                let memory = sys::AnonymousMemory::new(bytes).map_err(|error| refused("memory", &error))?;
                Ok(Self::Private { source, memory })
            }
        }
    }

    /// The descriptor to read, and the place its bytes go to.
    pub(super) fn parts(&mut self) -> (&File, Place<'_>) {
        match self {
            #[cfg(target_os = "linux")]
            Self::InPlace(sealed) => (sealed.file(), Place::Nowhere),
            Self::Private { source, memory } => (source, Place::Memory(memory.as_mut_slice())),
            #[cfg(target_os = "linux")]
            Self::Sealed { source, memory } => (source, Place::File(memory.file())),
        }
    }

    /// Makes the bytes immutable. Call it after they matched.
    pub(super) fn seal(self) -> Result<Backing, Error> {
        match self {
            #[cfg(target_os = "linux")]
            Self::InPlace(file) => map(file),
            Self::Private { memory, .. } => {
                memory.freeze().map(Backing::Private).map_err(|error| refused("read-only memory", &error))
            }
            #[cfg(target_os = "linux")]
            Self::Sealed { memory, .. } => map(memory.seal().map_err(|error| refused("a seal", &error))?),
        }
    }
}

#[cfg(target_os = "linux")]
fn map(file: sys::Sealed) -> Result<Backing, Error> {
    let mapping = file.map().map_err(|error| refused("a mapping", &error))?;
    Ok(Backing::Sealed { file, mapping })
}

#[cfg(not(target_os = "linux"))]
fn linux_only() -> Error {
    let reason = "sealed files exist on Linux only; use `private`".to_owned();
    OpenFault::Unavailable { path: None, reason }.into()
}

pub(super) fn refused(what: &'static str, error: &std::io::Error) -> Error {
    OpenFault::System { what, detail: error.to_string() }.into()
}
