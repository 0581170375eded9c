//! What the tests of the whole share: test vectors as data.
//!
//! A vector is a folder under `tests/vectors` with a `case.toml` and whatever that names. It says what is done, and
//! whether it is allowed or for which reason it is denied. Every language walks the same folders.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One `case.toml`. Paths are relative to its folder.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What the case is about.
    pub description: String,
    /// `allow`, or the dotted name of the reason.
    pub expect: String,
    /// `open` (the default), `policy` (load the policy), or `ledger` (verify a ledger).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// The model: a directory or a file. Copied before `setup` changes it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// Below the copy, the path to open instead of the copy itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub within: String,
    /// The model is a snapshot of the hub's cache.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hub_snapshot: bool,
    /// The name stated.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The policy document.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub policy: String,
    /// The time of the check, RFC 3339.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub clock: String,
    /// Bundles to pass; empty: the usual places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bundles: Vec<String>,
    /// Files to select; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub select: Vec<String>,
    /// `private`, `sealed`, `verity`, `mapped`; empty: the library chooses.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub assurance: String,
    /// Check weights when they are first touched.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_access: bool,
    /// Files to read after the open; the first failure is the result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touch: Vec<String>,
    /// Tensors to read after the open; the first failure is the result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tensors: Vec<String>,
    /// What an allowed open hands out: path to hex SHA-256.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub handed_out: BTreeMap<String, String>,
    /// Ledger files, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ledgers: Vec<String>,
    /// A head that was kept elsewhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub head: String,
    /// What a repository cannot hold, done to the copy in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<Setup>,
}

/// One change to the copy of a model.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Setup {
    /// Makes a directory `count` levels deep.
    Deep {
        /// Where.
        path: String,
        /// How deep.
        count: usize,
    },
    /// Makes a FIFO.
    Fifo {
        /// Where.
        path: String,
    },
    /// Sets a file's length: holes read as zeros.
    Length {
        /// Which file.
        path: String,
        /// Bytes.
        bytes: u64,
    },
    /// Makes an empty file whose name is these bytes, in hexadecimal.
    Name {
        /// The name.
        hex: String,
    },
    /// Makes a symbolic link.
    Symlink {
        /// Where.
        path: String,
        /// What it says.
        target: String,
    },
}

/// The folder of all vectors.
#[must_use]
pub fn vectors() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors")
}
