//! All `unsafe` of the crate, and the system calls behind it.
//!
//! The safe part ([`beneath`], [`mod@available`]) is here because it talks to the kernel, too; `unsafe` is allowed only in
//! [`fd`] (descriptors by number), [`memory`] (mappings) and [`verity`] (one ioctl).

#[cfg(target_os = "linux")]
pub(crate) mod available;
pub(crate) mod beneath;
#[allow(unsafe_code)]
pub(crate) mod fd;
#[allow(unsafe_code)]
pub(crate) mod memory;
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
pub(crate) mod verity;

#[cfg(target_os = "linux")]
pub(crate) use available::available;
pub(crate) use beneath::{Directory, Kind, Opened, Refusal, Status};
pub use memory::Mapping;
pub(crate) use memory::{AnonymousMemory, FrozenMemory};
#[cfg(target_os = "linux")]
pub(crate) use memory::{Sealed, SealedFile, SealedMapping, VerityMapping};
#[cfg(target_os = "linux")]
pub(crate) use verity::{Measurement, Verity, VerityAlgorithm, VerityFile};
