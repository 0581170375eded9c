//! The fs-verity digest of bytes, computed in user space (Linux `Documentation/filesystems/fsverity.rst`).
