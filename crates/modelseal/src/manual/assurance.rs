//! What holds after the open.
//!
//! | assurance | guarantee | cost |
//! |---|---|---|
//! | `verity` | the kernel refuses any byte of this file that does not match the signed fs-verity digest | one ioctl |
//! | `sealed` | bytes live in a sealed memfd: nobody, this process included, can change or truncate them | one copy in shared memory |
//! | `private` | bytes live in anonymous memory of this process | one copy |
//! | `mapped` | bytes matched when they were read; afterwards file permissions are all that protects them | none |
//!
//! The policy's floor is [`crate::Floor`]; the default of a document is `immutable`, which the first three meet.
//! [`crate::Assurance::Auto`] takes `verity` for a large file whose file system enforces it (ext4, f2fs, btrfs; never
//! FUSE, overlay or a network) and whose measured digest is the signed one, else `private`. It never takes `mapped`,
//! which is another function ([`crate::verify_and_map`]) and another type.
//!
//! `sealed` and `verity` exist on Linux only. Elsewhere, asking for them, for a descriptor or for a directory is
//! `assurance.unavailable`.
//!
//! A sealed copy is a path that any loader can open:
//!
//! ```no_run
//! # fn f(model: modelseal::VerifiedModel) -> Result<(), modelseal::Error> {
//! let directory = model.directory()?;
//! println!("hand this to the loader: {}", directory.path().display());
//! # Ok(())
//! # }
//! ```
