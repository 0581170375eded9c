//! Where a model and its bundles are.

use std::path::{Path, PathBuf};

/// Where a model's files are, and where its bundles are.
///
/// A path converts into a `Source`: a directory or a single file, told apart when it is opened. Bundles the caller
/// passes come first; else the policy rule's `signatures`; else `model.sig` inside the directory or `<path>.sig`
/// beside it.
///
/// ```
/// use modelseal::Source;
///
/// let plain: Source = std::path::Path::new("/models/granite").into();
/// let cached = Source::hub_snapshot("/cache/models--org--name/snapshots/0123").with_bundle("/signatures/name.sig");
/// # let _ = (plain, cached);
/// ```
#[derive(Clone, Debug)]
pub struct Source {
    pub(crate) path: PathBuf,
    pub(crate) kind: SourceKind,
    pub(crate) bundles: Vec<BundleSource>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SourceKind {
    /// `<cache>/models--org--name/snapshots/<commit>`, whose files are links of exactly two shapes.
    HubSnapshot,
    /// A directory or a single file.
    Plain,
}

#[derive(Clone, Debug)]
pub(crate) enum BundleSource {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Source {
    /// A model directory or a single-file model.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), kind: SourceKind::Plain, bundles: Vec::new() }
    }

    /// A snapshot directory of the Hugging Face hub cache. Its files are symbolic links; only the two shapes the
    /// hub writes are accepted, and each hop is opened beneath the cache root.
    #[must_use]
    pub fn hub_snapshot(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), kind: SourceKind::HubSnapshot, bundles: Vec::new() }
    }

    /// Adds a bundle file. From the first one on, no other place is searched.
    #[must_use]
    pub fn with_bundle(mut self, path: impl Into<PathBuf>) -> Self {
        self.bundles.push(BundleSource::File(path.into()));
        self
    }

    /// Adds a bundle that the caller already holds. From the first one on, no other place is searched.
    #[must_use]
    pub fn with_bundle_bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.bundles.push(BundleSource::Bytes(bytes.into()));
        self
    }

    /// The path of the model.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for Source {
    fn from(path: &P) -> Self {
        Self::new(path.as_ref())
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::new(path)
    }
}

/// Which signed files the caller wants. Never inferred from what is on disk.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Selection {
    /// Every signed file.
    All,
    /// These files, by their signed paths. Each must be signed, else `selection.missing`.
    Files(Vec<String>),
}
