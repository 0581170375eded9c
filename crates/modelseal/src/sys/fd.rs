//! A descriptor that the process was given and knows by its number only.

use std::fs::File;
use std::io;

/// A copy of the descriptor `number`, closed on exec. The original stays with whoever owns it.
///
/// # Errors
///
/// `EBADF` if no descriptor of that number is open.
#[cfg(unix)]
pub(crate) fn duplicate(number: i32) -> io::Result<File> {
    use std::os::fd::BorrowedFd;

    if number < 0 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: `borrow_raw` asks for a number other than -1 (checked above) that stays open while it is borrowed. It
    // is borrowed for one fcntl(F_DUPFD_CLOEXEC). The owner is whoever started the process and named the number in
    // the policy. Should another thread close it, the kernel resolves the number once and atomically: the result is
    // EBADF, or a copy of what now has that number. No memory is reached through it in either case.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    borrowed.try_clone_to_owned().map(File::from)
}

/// Descriptors by number exist on Unix only.
#[cfg(not(unix))]
pub(crate) fn duplicate(number: i32) -> io::Result<File> {
    let _ = number;
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::{Read as _, Seek as _, Write as _};
    use std::os::fd::AsRawFd as _;

    #[test]
    fn the_copy_outlives_the_original() {
        let mut file = tempfile::tempfile().unwrap();
        let mut copy = duplicate(file.as_raw_fd()).unwrap();
        copy.write_all(b"record").unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "record");
    }

    #[test]
    fn a_number_that_is_not_open_is_an_error() {
        assert!(duplicate(-1).is_err());
        assert!(duplicate(1_000_000).is_err());
    }
}
