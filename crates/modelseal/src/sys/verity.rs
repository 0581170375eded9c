//! fs-verity as the kernel reports it (Linux `Documentation/filesystems/fsverity.rst`).

use std::fs::File;

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

use super::memory::VerityMapping;

/// What the kernel says of one file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verity {
    /// The kernel checks every byte of this inode against this digest, and the inode can never be written again.
    Measured(Measurement),
    /// The file system could enforce fs-verity, but it is not enabled on this file.
    NotEnabled,
    /// This file system (its `statfs` magic) does not enforce fs-verity in the kernel; what it says is not evidence.
    NotEnforced { magic: u64 },
}

/// The file digest: a hash of the descriptor, which binds algorithm, block size, length and root hash.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Measurement {
    pub(crate) algorithm: VerityAlgorithm,
    pub(crate) digest: Vec<u8>,
}

/// `FS_VERITY_HASH_ALG_*`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum VerityAlgorithm {
    Sha256,
    Sha512,
    Unknown(u16),
}

/// A file whose fs-verity is enforced. The only way to a safe mapping of a file on disk.
#[derive(Debug)]
pub(crate) struct VerityFile {
    file: File,
    measurement: Measurement,
}

impl VerityFile {
    /// Asks the kernel about this file; without an enforced digest the file comes back with the answer.
    ///
    /// The digest is the kernel's word, not yet a proof: compare it with the signed one.
    pub(crate) fn prove(file: File) -> Result<Self, (File, Result<Verity, Errno>)> {
        match measure(&file) {
            Ok(Verity::Measured(measurement)) => Ok(Self { file, measurement }),
            answer => Err((file, answer)),
        }
    }

    pub(crate) fn measurement(&self) -> &Measurement {
        &self.measurement
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn map(&self) -> std::io::Result<VerityMapping> {
        VerityMapping::new(self)
    }
}

/// File systems whose code in the kernel verifies pages as they are read. A FUSE server may answer the ioctl as it
/// likes; overlayfs and network file systems do not verify either, so nothing else is ever asked.
const ENFORCING: [u64; 3] = [
    0xef53,      // EXT4_SUPER_MAGIC
    0xf2f5_2010, // F2FS_SUPER_MAGIC
    0x9123_683e, // BTRFS_SUPER_MAGIC
];

/// `FS_IOC_MEASURE_VERITY`, `_IOWR('f', 134, struct fsverity_digest)`: the header alone determines the number.
const MEASURE: Opcode = opcode::read_write::<[u16; 2]>(b'f', 134);

/// `struct fsverity_digest` with room for the longest digest, SHA-512.
#[repr(C)]
struct FsverityDigest {
    digest_algorithm: u16,
    digest_size: u16,
    digest: [u8; 64],
}

/// Measures a file: one system call to learn the file system, one to read the digest; no byte of the file is read.
pub(crate) fn measure(file: &File) -> Result<Verity, Errno> {
    let magic = magic(rustix::fs::fstatfs(file)?.f_type);
    if !ENFORCING.contains(&magic) {
        return Ok(Verity::NotEnforced { magic });
    }
    let mut answer = FsverityDigest { digest_algorithm: 0, digest_size: 64, digest: [0; 64] };
    // SAFETY: the kernel reads `digest_size` as the room behind the header and writes at most that many bytes there.
    // The struct has the kernel's layout (`repr(C)`, two 16-bit fields, then bytes) and that much room, and it outlives
    // the call, which borrows it. A file that changes has no influence on the memory.
    let request = unsafe { Updater::<MEASURE, FsverityDigest>::new(&mut answer) };
    // SAFETY: opcode and operand belong together, see above; on a descriptor that does not know this request the
    // kernel touches nothing and answers ENOTTY. The file systems listed above give the number no other meaning.
    match unsafe { ioctl(file, request) } {
        Ok(()) => {
            let digest =
                answer.digest.get(..usize::from(answer.digest_size)).ok_or(Errno::OVERFLOW)?.to_vec();
            Ok(Verity::Measured(Measurement { algorithm: answer.digest_algorithm.into(), digest }))
        }
        // ENODATA: not enabled on this file. ENOTTY: the kernel has no fs-verity. EOPNOTSUPP: this file system's
        // instance was made without it.
        Err(Errno::NODATA | Errno::NOTTY | Errno::OPNOTSUPP) => Ok(Verity::NotEnabled),
        Err(errno) => Err(errno),
    }
}

/// The magic is 32 bits wide, in a field whose type, and on 32-bit machines sign, differs.
fn magic<T: Into<i64>>(field: T) -> u64 {
    field.into().cast_unsigned() & 0xffff_ffff
}

impl From<u16> for VerityAlgorithm {
    fn from(number: u16) -> Self {
        match number {
            1 => Self::Sha256,
            2 => Self::Sha512,
            unknown => Self::Unknown(unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_number_is_the_kernels() {
        assert_eq!(MEASURE, 0xc004_6686);
    }

    #[test]
    fn memory_files_are_never_asked() {
        let memory = crate::sys::SealedFile::create("test").unwrap();
        assert_eq!(measure(memory.file()).unwrap(), Verity::NotEnforced { magic: 0x0102_1994 });
        let proc = File::open("/proc/self/status").unwrap();
        assert_eq!(measure(&proc).unwrap(), Verity::NotEnforced { magic: 0x9fa0 });
    }

    #[test]
    fn an_ordinary_file_proves_nothing() {
        let file = tempfile::tempfile().unwrap();
        let (_file, answer) = VerityFile::prove(file).unwrap_err();
        assert!(matches!(answer, Ok(Verity::NotEnabled | Verity::NotEnforced { .. })), "{answer:?}");
    }

    #[test]
    fn magics_survive_sign_extension() {
        assert_eq!(magic(0xf2f5_2010_i64), 0xf2f5_2010);
        assert_eq!(magic(-218_816_496_i32), 0xf2f5_2010);
    }
}
