//! One record per load.

mod verdict;

pub use verdict::{
    BundleRecord, Coverage, FileRecord, Finding, Outcome, PolicyRecord, SignerRecord, Verdict,
};

use std::path::PathBuf;

/// Where records go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    /// A file per process in this directory.
    Directory(PathBuf),
    /// A descriptor the process was given.
    Fd(i32),
    /// One file, shared under a lock.
    File(PathBuf),
    /// Standard error.
    Stderr,
}
