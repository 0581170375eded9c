//! What was signed ([`Manifest`]) and what is there ([`Tree`]): paths and digests, names without bytes.

mod measure;
mod names;
mod predicate;
mod tree;

pub use measure::MeasureOptions;
pub(crate) use names::{Loadable, is_unfinished_signature, loadable};
pub use tree::Tree;
pub(crate) use tree::{Entry, EntryKind};

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;

use sha2::Digest as _;

use crate::digest::{Algorithm, Digest};

/// Paths and digests of a model, as an OMS manifest lists them. Data, not proof.
///
/// A manifest measured from a tree is what a signer signs. A manifest that came out of a bundle is never handed out
/// before its signature held.
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

impl Manifest {
    /// What the signer called the model, usually its directory's name. Informational: never used for trust. Empty for
    /// a v0.2 bundle, which carries no name.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The OMS root digest, SHA-256 in lower-case hexadecimal. An index, not an identity: it does not bind names, see
    /// [`Manifest::name_digest`].
    #[must_use]
    pub fn root_digest(&self) -> String {
        hex::encode(self.root)
    }

    /// The name-binding digest: under one serialization, the same for two manifests exactly if they list the same paths
    /// with the same digests.
    ///
    /// For whole files under sha256 it is in-toto's `dirHash`: SHA-256 over the lines `"<hex>  <path>\n"`, sorted by the
    /// bytes of the path. For every other serialization it is our `treeHash`: SHA-256 over the line
    /// `"modelseal.treeHash/v1\n"` and then, sorted in the same way, one line for each file:
    ///
    /// - `"files:<algorithm> <hex>  <path>\n"`, with the digest of the file, or
    /// - `"shards:<algorithm>:<shard size> <hex>  <path>\n"`, with the SHA-256 over the file's length (eight bytes, big
    ///   endian) and the raw digests of its ranges in order.
    ///
    /// Paths hold no line break, so no path can forge a line.
    #[must_use]
    pub fn name_digest(&self) -> NameDigest {
        let Serialization { method, algorithm, .. } = self.serialization;
        let dir_hash = method == Method::Files && algorithm == Algorithm::Sha256;
        let mut hasher = sha2::Sha256::new();
        if !dir_hash {
            hasher.update(b"modelseal.treeHash/v1\n");
        }
        for (path, file) in &self.files {
            let line = match &file.digest {
                FileDigest::Whole(digest) if dir_hash => format!("{}  {path}\n", digest.to_hex()),
                FileDigest::Whole(digest) => {
                    format!("files:{} {}  {path}\n", algorithm.as_str(), digest.to_hex())
                }
                FileDigest::Shards { length, digests } => {
                    let mut ranges = sha2::Sha256::new().chain_update(length.to_be_bytes());
                    for digest in digests {
                        ranges.update(digest.as_bytes());
                    }
                    let size = method.shard_size().map_or(0, NonZeroU64::get);
                    format!(
                        "shards:{}:{size} {}  {path}\n",
                        algorithm.as_str(),
                        hex::encode(ranges.finalize())
                    )
                }
            };
            hasher.update(line);
        }
        let digest = hasher.finalize().into();
        if dir_hash { NameDigest::DirHash(digest) } else { NameDigest::TreeHash(digest) }
    }

    /// Every file with its digests, sorted by the bytes of its path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &SignedFile)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// How files were cut into resources.
    #[must_use]
    pub fn method(&self) -> Method {
        self.serialization.method
    }

    /// The algorithm of every file's digest.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.serialization.algorithm
    }

    /// Whether two signers signed the same resources: equal paths and equal digests over equal ranges. Annotations
    /// are no resources and may differ.
    pub(crate) fn same_resources(&self, other: &Self) -> bool {
        self.serialization.method == other.serialization.method
            && self.files.len() == other.files.len()
            && self
                .files
                .iter()
                .zip(&other.files)
                .all(|((path, file), (other_path, other))| path == other_path && file.digest == other.digest)
    }
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

impl Serialization {
    /// One resource per file.
    #[must_use]
    pub fn files(algorithm: Algorithm) -> Self {
        Self {
            method: Method::Files,
            algorithm,
            allow_symlinks: false,
            ignore_paths: Vec::new(),
            legacy: false,
        }
    }

    /// One resource per range of `size` bytes of a file.
    ///
    /// ```
    /// use std::num::NonZeroU64;
    ///
    /// use modelseal::Algorithm;
    /// use modelseal::manifest::{Method, Serialization};
    ///
    /// let size = NonZeroU64::new(1_000_000_000).unwrap();
    /// let serialization = Serialization::shards(Algorithm::Sha256, size).with_ignore_paths([".git"]);
    /// assert_eq!(serialization.method(), Method::Shards { size: 1_000_000_000 });
    /// ```
    #[must_use]
    pub fn shards(algorithm: Algorithm, size: NonZeroU64) -> Self {
        Self { method: Method::Shards { size: size.get() }, ..Self::files(algorithm) }
    }

    /// Records the paths that were left out: relative to the model, each with everything below it. They replace
    /// earlier ones. A path that OMS does not allow here is refused when the manifest is made.
    #[must_use]
    pub fn with_ignore_paths(mut self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.ignore_paths = paths.into_iter().map(Into::into).collect();
        self.ignore_paths.sort_unstable();
        self.ignore_paths.dedup();
        self
    }

    /// How files are cut into resources.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// The algorithm of every resource's digest.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The paths that were left out, sorted.
    #[must_use]
    pub fn ignore_paths(&self) -> &[String] {
        &self.ignore_paths
    }
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

impl Method {
    /// The name in manifests: `files`, `shards`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Shards { .. } => "shards",
        }
    }

    fn shard_size(self) -> Option<NonZeroU64> {
        match self {
            Self::Files => None,
            Self::Shards { size } => NonZeroU64::new(size),
        }
    }
}

/// The digests of one file in a manifest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedFile {
    pub(crate) digest: FileDigest,
    pub(crate) annotation: Option<Annotation>,
}

/// What the manifest says of a file's content.
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
    /// Its digests: one for the whole file, or one for each range in order.
    #[must_use]
    pub fn digests(&self) -> &[Digest] {
        match &self.digest {
            FileDigest::Shards { digests, .. } => digests,
            FileDigest::Whole(digest) => std::slice::from_ref(digest),
        }
    }

    /// Its size in bytes, if the manifest binds one.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        match (&self.digest, &self.annotation) {
            (FileDigest::Shards { length, .. }, _) => Some(*length),
            (FileDigest::Whole(_), Some(annotation)) => Some(annotation.size),
            (FileDigest::Whole(_), None) => None,
        }
    }
}

/// A digest that binds names: the identity a `pin` compares. Prints as `dirHash:<hex>` or `treeHash:<hex>`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum NameDigest {
    /// in-toto `dirHash` (Go `dirhash.Hash1`): for `files` with sha256.
    DirHash([u8; 32]),
    /// Our own, for every other serialization; see [`Manifest::name_digest`].
    TreeHash([u8; 32]),
}

impl NameDigest {
    /// Reads `dirHash:<hex>` or `treeHash:<hex>`; `None` for anything else. The in-toto specification spells the first
    /// one `dirHash1` in its example, so that is accepted too.
    ///
    /// ```
    /// use modelseal::manifest::NameDigest;
    ///
    /// let hex = "f9c0b4d9f75b33599841c0ac9df9f59b4e6a769f522b68ee74382819e5c397ed";
    /// let digest = NameDigest::parse(&format!("dirHash1:{hex}")).unwrap();
    /// assert_eq!(digest.to_string(), format!("dirHash:{hex}"));
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, digest) = text.split_once(':')?;
        let digest = hex::decode(digest).ok()?.try_into().ok()?;
        match kind {
            "dirHash" | "dirHash1" => Some(Self::DirHash(digest)),
            "treeHash" => Some(Self::TreeHash(digest)),
            _ => None,
        }
    }
}

impl fmt::Display for NameDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DirHash(digest) => write!(f, "dirHash:{}", hex::encode(digest)),
            Self::TreeHash(digest) => write!(f, "treeHash:{}", hex::encode(digest)),
        }
    }
}
