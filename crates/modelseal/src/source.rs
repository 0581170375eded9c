//! Where a model and its bundles are.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Evidence, Fault};
use crate::policy::ModelName;
use crate::sys::{Directory, Opened};

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
/// let cached = Source::hub_snapshot("/cache/models--org--name/snapshots/<commit>").with_bundle("/signatures/name.sig");
/// # let _ = (plain, cached);
/// ```
#[derive(Clone, Debug)]
pub struct Source {
    pub(crate) path: PathBuf,
    pub(crate) kind: SourceKind,
    pub(crate) links: Links,
    pub(crate) bundles: Vec<BundleSource>,
    pub(crate) selection: Selection,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SourceKind {
    /// `<cache>/models--org--name/snapshots/<commit>`, whose files are links of exactly two shapes.
    HubSnapshot,
    /// A directory or a single file.
    Plain,
}

/// What happens to symbolic links below a [`SourceKind::Plain`] source.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Links {
    /// Links to files and directories beneath the root stand for their targets.
    Follow,
    /// A link is a link, and a denial if a loader could pick it up.
    Refuse,
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
        Self::of(path.into(), SourceKind::Plain)
    }

    /// A snapshot directory of the Hugging Face hub cache, `<cache>/models--<organisation>--<name>/snapshots/<commit>`
    /// with a commit of 40 hexadecimal digits. Its files are symbolic links; only the two shapes the hub writes are
    /// accepted, and each hop is opened beneath the cache root. Plain files (where links are impossible) are fine.
    #[must_use]
    pub fn hub_snapshot(path: impl Into<PathBuf>) -> Self {
        Self::of(path.into(), SourceKind::HubSnapshot)
    }

    /// The snapshot of a model that the hub cache's `refs` name for this revision: a branch, a tag, or a commit of 40
    /// hexadecimal digits. Reads `refs` only; nothing is downloaded, and the snapshot need not exist yet.
    ///
    /// The revision is a hint of the cache, not evidence: which content is right is decided by signature and policy.
    ///
    /// # Errors
    ///
    /// `source.unreadable`: the cache has no such model or revision, or its entry is not a commit.
    pub fn hub_snapshot_in(cache: impl AsRef<Path>, name: &ModelName, revision: &str) -> Result<Self, Error> {
        let cache = cache.as_ref();
        let fault = |problem: &dyn fmt::Display| SourceFault {
            cache: cache.display().to_string(),
            name: name.as_str().to_owned(),
            revision: revision.to_owned(),
            problem: problem.to_string(),
        };
        // The cache joins organisation and name with `--`, so neither may hold it.
        if name.as_str().contains("--") || name.as_str().matches('/').count() > 1 {
            return Err(fault(&"the hub has no models of this name").into());
        }
        let repository = format!("models--{}", name.as_str().replace('/', "--"));
        let commit = if is_commit(revision) {
            revision.to_owned()
        } else {
            let Ok(Opened::Directory(held)) = Directory::follow(cache) else {
                return Err(fault(&"the cache is not a readable directory").into());
            };
            let reference = Path::new(&repository).join("refs").join(revision);
            let (file, status) = held.open_file(reference).map_err(|refusal| fault(&refusal))?;
            // One byte more than a commit: a longer file is none.
            let mut text = String::new();
            let read = file.take(COMMIT_CHARS.saturating_add(1)).read_to_string(&mut text);
            if read.is_err() || status.size != COMMIT_CHARS || !is_commit(&text) {
                return Err(fault(&"its entry in `refs` is not a commit").into());
            }
            text
        };
        Ok(Self::hub_snapshot(cache.join(repository).join("snapshots").join(commit)))
    }

    /// Follows symbolic links below a plain directory: the target's content is taken under the link's name, as the
    /// deprecated `allow_symlinks` of OpenSSF Model Signing has it.
    ///
    /// This weakens what a check says: a name then stands for content that lies elsewhere, and whoever may write that
    /// place decides what the name means. It exists for checks that must agree with other tools. No approval is given
    /// for such a tree, so nothing is handed out of it. Links that leave the directory, dangle or turn in a circle are
    /// not followed. A hub snapshot is not affected: its links have their own rule.
    #[must_use]
    pub fn following_links(mut self) -> Self {
        self.links = Links::Follow;
        self
    }

    fn of(path: PathBuf, kind: SourceKind) -> Self {
        Self { path, kind, links: Links::Refuse, bundles: Vec::new(), selection: Selection::All }
    }

    /// Restricts what is handed out. Never inferred from what is on disk.
    #[must_use]
    pub fn select(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
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

/// Hexadecimal digits of a git commit's SHA-1.
const COMMIT_CHARS: u64 = 40;

fn is_commit(text: &str) -> bool {
    u64::try_from(text.len()) == Ok(COMMIT_CHARS)
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[derive(Debug, thiserror::Error)]
#[error("the hub cache cannot resolve the revision: {problem}")]
struct SourceFault {
    cache: String,
    name: String,
    revision: String,
    problem: String,
}

impl Fault for SourceFault {
    fn code(&self) -> Code {
        Code::SourceUnreadable
    }

    fn path(&self) -> Option<String> {
        Some(self.cache.clone())
    }

    fn evidence(&self) -> Vec<Evidence> {
        vec![Evidence::new("model", &self.name), Evidence::new("revision", &self.revision)]
    }

    fn remedy(&self) -> Option<String> {
        Some(
            "Download this revision of the model into the cache first, or name the snapshot directory."
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_revision_resolves_through_refs() {
        let cache = tempfile::tempdir().unwrap();
        let refs = cache.path().join("models--org--name/refs");
        std::fs::create_dir_all(refs.join("refs/pr")).unwrap();
        std::fs::write(refs.join("main"), COMMIT).unwrap();
        std::fs::write(refs.join("refs/pr/1"), COMMIT).unwrap();
        let name = ModelName::parse("org/name").unwrap();
        let expected = cache.path().join("models--org--name/snapshots").join(COMMIT);
        for revision in ["main", "refs/pr/1", COMMIT] {
            let source = Source::hub_snapshot_in(cache.path(), &name, revision).unwrap();
            assert_eq!(source.path(), expected);
            assert_eq!(source.kind, SourceKind::HubSnapshot);
        }
    }

    #[test]
    fn hostile_references_are_refused() {
        let cache = tempfile::tempdir().unwrap();
        let refs = cache.path().join("models--org--name/refs");
        std::fs::create_dir_all(&refs).unwrap();
        std::fs::write(cache.path().join("outside"), COMMIT).unwrap();
        std::os::unix::fs::symlink("../../outside", refs.join("link")).unwrap();
        std::fs::write(refs.join("escape"), "../../../../../../../../../../etc/ssl").unwrap();
        std::fs::write(refs.join("newline"), format!("{COMMIT}\n")).unwrap();
        std::fs::write(refs.join("long"), COMMIT.repeat(2)).unwrap();
        std::fs::write(refs.join("empty"), "").unwrap();
        let name = ModelName::parse("org/name").unwrap();
        let absolute = cache.path().join("outside").display().to_string();
        for revision in
            ["link", "escape", "newline", "long", "empty", "none", "", ".", "../../outside", &absolute]
        {
            let error = Source::hub_snapshot_in(cache.path(), &name, revision).unwrap_err();
            assert_eq!(error.code(), Code::SourceUnreadable, "{revision}");
        }
        for name in ["a/b/c", "org--name", "org/a--b"] {
            let name = ModelName::parse(name).unwrap();
            let error = Source::hub_snapshot_in(cache.path(), &name, COMMIT).unwrap_err();
            assert_eq!(error.code(), Code::SourceUnreadable, "{name}");
        }
    }
}
