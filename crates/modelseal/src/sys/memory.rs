//! Memory that nobody else can change, and mappings of files.

use std::fmt;
use std::fs::File;
use std::io;

use memmap2::{Mmap, MmapMut, MmapOptions, MmapRaw};

/// Below this size huge pages cannot help; the kernel's own are 2 MiB on x86-64.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Anonymous memory of this process, filled once and then [frozen](AnonymousMemory::freeze). Zeroed, page aligned.
pub(crate) struct AnonymousMemory(MmapMut);

/// Anonymous memory that is read-only from now on.
pub(crate) struct FrozenMemory(Mmap);

impl AnonymousMemory {
    /// Reserves memory; pages are taken from the system when they are first written. Zero bytes are allowed.
    pub(crate) fn new(bytes: usize) -> io::Result<Self> {
        let memory = MmapOptions::new().len(bytes).map_anon()?;
        #[cfg(target_os = "linux")]
        if bytes >= HUGE_PAGE_BYTES {
            // Advice only: a kernel without transparent huge pages answers EINVAL and uses small ones.
            let _ = memory.advise(memmap2::Advice::HugePage);
        }
        Ok(Self(memory))
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Takes the write permission off the pages (`mprotect`).
    pub(crate) fn freeze(self) -> io::Result<FrozenMemory> {
        Ok(FrozenMemory(self.0.make_read_only()?))
    }
}

impl FrozenMemory {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for AnonymousMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnonymousMemory({} bytes)", self.0.len())
    }
}

impl fmt::Debug for FrozenMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrozenMemory({} bytes)", self.0.len())
    }
}

/// A mapping of an ordinary file: nothing keeps others from changing or truncating it.
///
/// Creating it is safe, because until [`Mapping::as_slice`] nobody looks at the memory.
pub struct Mapping(MmapRaw);

impl Mapping {
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        Ok(Self(MmapOptions::new().map_raw_read_only(file)?))
    }

    /// The mapped bytes.
    ///
    /// # Safety
    ///
    /// While the slice lives, nobody may write to the file or truncate it, in this process or any other, on this
    /// machine or (network file systems) another. A write changes bytes behind a `&[u8]`, which the compiler takes for
    /// constant: undefined behaviour. After a truncation an access raises SIGBUS and ends the process.
    #[must_use]
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: pointer and length are those of one live mapping, readable and owned by `self`, which the slice
        // borrows (for an empty file one page is mapped, so the pointer is valid then, too). That the bytes do not change
        // is the caller's promise; if the file changes nevertheless, see above.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), self.0.len()) }
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapping({} bytes)", self.0.len())
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
pub(crate) use sealed::is_sealed;
#[cfg(target_os = "linux")]
pub(crate) use sealed::{Sealed, SealedFile, SealedMapping, VerityMapping};

#[cfg(target_os = "linux")]
mod sealed {
    use std::os::fd::AsRawFd;

    use rustix::fs::{MemfdFlags, SealFlags};
    use rustix::io::Errno;

    use super::*;
    use crate::sys::beneath::Status;
    use crate::sys::verity::VerityFile;

    /// The seals that make content immutable. `F_SEAL_FUTURE_WRITE` is not among them: it leaves writers that exist.
    const IMMUTABLE: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW);

    /// A file in anonymous shared memory, to be written once and then [sealed](SealedFile::seal).
    #[derive(Debug)]
    pub(crate) struct SealedFile(File);

    /// A memory file whose content nobody can change any more, this process and root included.
    #[derive(Debug)]
    pub(crate) struct Sealed(File);

    impl SealedFile {
        /// An empty memory file. The name is shown in `/proc/<pid>/maps` and means nothing; at most 249 bytes, no NUL.
        ///
        /// The descriptor is close-on-exec. The file is not executable where the kernel can say so (Linux 6.3).
        pub(crate) fn create(name: &str) -> io::Result<Self> {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let descriptor = match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
                // Before Linux 6.3 the flag is unknown.
                Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags),
                created => created,
            }?;
            Ok(Self(File::from(descriptor)))
        }

        /// For writing. No writable shared mapping of it may exist when it is sealed.
        pub(crate) fn file(&self) -> &File {
            &self.0
        }

        /// Seals content, size and the set of seals, and verifies that the seals hold.
        ///
        /// Fails with `EBUSY` while a writable shared mapping or an outstanding direct write exists.
        pub(crate) fn seal(self) -> io::Result<Sealed> {
            let seals = IMMUTABLE | SealFlags::SEAL;
            rustix::fs::fcntl_add_seals(&self.0, seals)?;
            if !rustix::fs::fcntl_get_seals(&self.0)?.contains(seals) {
                return Err(io::Error::other("the kernel did not keep the seals of a memory file"));
            }
            Ok(Sealed(self.0))
        }
    }

    impl Sealed {
        /// Takes a file that already is a sealed memory file, else gives it back.
        pub(crate) fn adopt(file: File) -> Result<Self, File> {
            if is_sealed(&file) { Ok(Self(file)) } else { Err(file) }
        }

        /// For reading by position.
        pub(crate) fn file(&self) -> &File {
            &self.0
        }

        /// A second descriptor of the same memory, opened read-only, to hand out.
        ///
        /// The writing descriptor would do no harm, but kernels before 6.1 refuse a shared read-only mapping through a
        /// writable descriptor of a file under `F_SEAL_WRITE`. A memory file has no name; the only way to open it
        /// again is its entry in `/proc/self/fd`, which is used here at once, within this process, and never handed
        /// out: in another process the same path means another file. That the entry led to this very file is checked,
        /// because a thread with a descriptor table of its own would find another one there.
        pub(crate) fn reopen_read_only(&self) -> io::Result<File> {
            let file = File::open(format!("/proc/self/fd/{}", self.0.as_raw_fd()))?;
            if !Status::of(&file)?.is_same_file(Status::of(&self.0)?) || !is_sealed(&file) {
                return Err(io::Error::other("/proc/self/fd does not show this thread's descriptors"));
            }
            Ok(file)
        }

        /// Maps the whole file.
        pub(crate) fn map(&self) -> io::Result<SealedMapping> {
            // A private mapping, because a shared one through a writable descriptor is refused before Linux 6.1.
            // Without writes it shares its pages all the same.
            //
            // SAFETY: the mapped bytes never change and the file never shrinks. `F_SEAL_WRITE` and `F_SEAL_SHRINK`
            // uphold that: a `Sealed` is made only after the kernel reported both, and seals cannot be removed.
            let mapping = unsafe { MmapOptions::new().map_copy_read_only(&self.0)? };
            Ok(SealedMapping(mapping))
        }
    }

    /// A mapping of a sealed memory file. Keeps the memory alive without a descriptor.
    pub(crate) struct SealedMapping(Mmap);

    impl SealedMapping {
        pub(crate) fn as_slice(&self) -> &[u8] {
            &self.0
        }
    }

    impl fmt::Debug for SealedMapping {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "SealedMapping({} bytes)", self.0.len())
        }
    }

    /// Whether content and size of this file are sealed. Only memory files have seals; every other file answers no.
    pub(crate) fn is_sealed(file: &File) -> bool {
        rustix::fs::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(IMMUTABLE))
    }

    /// A mapping of a file under enforced fs-verity.
    ///
    /// The kernel raises SIGBUS, which ends the process, instead of showing a page that does not match: a corrupted
    /// disk is noticed as a crash, never as wrong bytes. Reading by position answers `EIO` instead.
    pub(crate) struct VerityMapping(Mmap);

    impl VerityMapping {
        pub(crate) fn new(file: &VerityFile) -> io::Result<Self> {
            // SAFETY: the mapped bytes never change and the file never shrinks. fs-verity upholds that: a `VerityFile`
            // is made only after a kernel file system that enforces it reported the digest of this inode, and verity
            // cannot be disabled. If somebody rewrites the block device, the page is not shown (SIGBUS).
            let mapping = unsafe { MmapOptions::new().map(file.file())? };
            Ok(Self(mapping))
        }

        pub(crate) fn as_slice(&self) -> &[u8] {
            &self.0
        }
    }

    impl fmt::Debug for VerityMapping {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "VerityMapping({} bytes)", self.0.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::*;

    #[test]
    fn anonymous_memory_is_zeroed_filled_and_frozen() {
        for bytes in [0, 1, 4096, HUGE_PAGE_BYTES + 1] {
            let mut memory = AnonymousMemory::new(bytes).unwrap();
            assert_eq!(memory.as_mut_slice().len(), bytes);
            assert!(memory.as_mut_slice().iter().all(|byte| *byte == 0));
            memory.as_mut_slice().fill(7);
            let frozen = memory.freeze().unwrap();
            assert_eq!(frozen.as_slice(), vec![7; bytes]);
        }
        assert!(AnonymousMemory::new(usize::MAX).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn frozen_memory_has_no_write_permission() {
        let frozen = AnonymousMemory::new(4096).unwrap().freeze().unwrap();
        let address = frozen.as_slice().as_ptr().addr();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let permissions = maps.lines().find_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let bound = |text| usize::from_str_radix(text, 16).unwrap();
            (bound(start)..bound(end)).contains(&address).then(|| rest.get(..4)).flatten()
        });
        assert_eq!(permissions, Some("r--p"));
    }

    #[test]
    fn a_mapped_file_shows_the_file() {
        let mut file = tempfile::tempfile().unwrap();
        assert_eq!(Mapping::new(&file).unwrap().0.len(), 0);
        file.write_all(b"bytes").unwrap();
        let mapped = Mapping::new(&file).unwrap();
        // SAFETY: an unlinked file of this test; nobody writes to it any more.
        assert_eq!(unsafe { mapped.as_slice() }, b"bytes");
    }

    #[cfg(target_os = "linux")]
    mod sealed {
        use rustix::fs::{FallocateFlags, SealFlags};
        use rustix::io::Errno;

        use super::*;

        fn sealed(content: &[u8]) -> Sealed {
            let file = SealedFile::create("test").unwrap();
            file.file().write_all(content).unwrap();
            file.seal().unwrap()
        }

        #[test]
        fn a_seal_refuses_every_way_to_change_the_content() {
            let sealed = sealed(b"verified");
            let mut file = sealed.file();
            assert_eq!(file.write(b"x").unwrap_err().raw_os_error(), Some(Errno::PERM.raw_os_error()));
            assert_eq!(rustix::fs::ftruncate(file, 1), Err(Errno::PERM));
            assert_eq!(rustix::fs::ftruncate(file, 100), Err(Errno::PERM));
            let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            assert_eq!(rustix::fs::fallocate(file, punch, 0, 4), Err(Errno::PERM));
            assert_eq!(rustix::fs::fcntl_add_seals(file, SealFlags::WRITE), Err(Errno::PERM));
            // SAFETY: must fail; if it did not, the mapping is dropped unread.
            let shared = unsafe { MmapOptions::new().map_mut(file) };
            assert_eq!(shared.unwrap_err().raw_os_error(), Some(Errno::PERM.raw_os_error()));

            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
            if let Ok(mut writer) = File::options().write(true).open(path) {
                assert!(writer.write(b"x").is_err());
            }
            assert_eq!(sealed.map().unwrap().as_slice(), b"verified");
        }

        #[test]
        fn the_copy_for_others_is_read_only_and_the_same_memory() {
            let sealed = sealed(b"verified");
            let mut reader = sealed.reopen_read_only().unwrap();
            assert!(is_sealed(&reader));
            assert_eq!(reader.write(b"x").unwrap_err().raw_os_error(), Some(Errno::BADF.raw_os_error()));
            reader.seek(SeekFrom::Start(0)).unwrap();
            assert_eq!(io::read_to_string(&reader).unwrap(), "verified");
            // SAFETY: sealed.
            assert_eq!(&unsafe { MmapOptions::new().map(&reader) }.unwrap()[..], b"verified");
            assert!(Sealed::adopt(reader).is_ok());
        }

        #[test]
        fn a_mapping_outlives_its_descriptors() {
            let mapping = sealed(&[9; 10_000]).map().unwrap();
            assert_eq!(mapping.as_slice(), vec![9; 10_000]);
            assert_eq!(sealed(b"").map().unwrap().as_slice(), b"");
        }

        #[test]
        fn a_live_writable_mapping_prevents_the_seal() {
            let file = SealedFile::create("test").unwrap();
            file.file().write_all(b"bytes").unwrap();
            // SAFETY: a memory file of this test.
            let _mapping = unsafe { MmapOptions::new().map_mut(file.file()) }.unwrap();
            assert_eq!(file.seal().unwrap_err().raw_os_error(), Some(Errno::BUSY.raw_os_error()));
        }

        #[test]
        fn only_fully_sealed_files_count_as_sealed() {
            let ordinary = tempfile::tempfile().unwrap();
            assert!(!is_sealed(&ordinary));
            let open = SealedFile::create("test").unwrap();
            assert!(!is_sealed(open.file()));
            rustix::fs::fcntl_add_seals(open.file(), SealFlags::SHRINK | SealFlags::GROW).unwrap();
            assert!(!is_sealed(open.file()), "content can still be written");
            assert!(Sealed::adopt(open.file().try_clone().unwrap()).is_err());
            rustix::fs::fcntl_add_seals(open.file(), SealFlags::WRITE).unwrap();
            assert!(is_sealed(open.file()));
        }
    }
}
