//! What was signed ([`Manifest`]) and what is there ([`Tree`]): paths and digests, names without bytes.

mod names;
mod predicate;
mod tree;

pub(crate) use names::{Loadable, loadable};
pub use tree::Tree;
pub(crate) use tree::{Entry, EntryKind};

use std::collections::BTreeMap;

use crate::digest::{Algorithm, Digest};

/// Paths and digests of a model, as an OMS manifest lists them. Data, not proof.
///
/// A manifest that [`Manifest::measure`]d a tree is what a signer signs. A manifest that came out of a bundle is
/// never handed out before its signature held.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// `subject.name`: informational, never used for trust.
    pub(crate) subject: String,
    pub(crate) serialization: Serialization,
    /// By path, canonical and unique. A single-file model has one entry named by its basename (or `.`, before 1.0.1).
    pub(crate) files: BTreeMap<String, SignedFile>,
    /// SHA-256 over the raw digests in listed order. An index, not an identity: it does not bind names.
    pub(crate) root: [u8; 32],
    /// Things a strict reader would refuse, in sentences.
    pub(crate) warnings: Vec<String>,
}

/// How a manifest cuts files into resources.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Serialization {
    pub(crate) method: Method,
    pub(crate) algorithm: Algorithm,
    pub(crate) allow_symlinks: bool,
    /// Paths the signer excluded: exact relative paths and everything below them. Entries that could never name a
    /// path of the model are dropped with a warning.
    pub(crate) ignore_paths: Vec<String>,
    /// True for the deprecated v0.2 predicate.
    pub(crate) legacy: bool,
}

/// OMS serialization methods.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Method {
    /// One resource per file.
    Files,
    /// One resource per range of `size` bytes; the last range of a file is shorter.
    Shards {
        /// Bytes per range, at least 1.
        size: u64,
    },
}

/// The signed digests of one file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SignedFile {
    pub(crate) digest: FileDigest,
    pub(crate) annotation: Option<Annotation>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum FileDigest {
    /// Ranges of the serialization's shard size, in order, covering `length` bytes.
    Shards {
        length: u64,
        digests: Vec<Digest>,
    },
    Whole(Digest),
}

/// Our signer's extra digests of one file, under the signature: `annotations` of its resource descriptor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Annotation {
    pub(crate) size: u64,
    pub(crate) blake3: [u8; 32],
    pub(crate) fsverity: [u8; 32],
}

impl SignedFile {
    /// The signed size, if the manifest binds one.
    pub(crate) fn size(&self) -> Option<u64> {
        match (&self.digest, &self.annotation) {
            (FileDigest::Shards { length, .. }, _) => Some(*length),
            (FileDigest::Whole(_), Some(annotation)) => Some(annotation.size),
            (FileDigest::Whole(_), None) => None,
        }
    }
}

/// A digest that binds names: the identity a `pin` compares.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum NameDigest {
    /// in-toto `dirHash` (Go `dirhash.Hash1`): for `files` with sha256.
    DirHash([u8; 32]),
    /// Our own, for every other serialization; see [`Manifest::name_digest`].
    TreeHash([u8; 32]),
}
