//! The digests of a tree as it lies there: what a signer signs.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use super::names::is_unfinished_signature;
use super::predicate::SINGLE_FILE;
use super::{Annotation, EntryKind, FileDigest, Manifest, Method, Serialization, SignedFile, Tree};
use crate::digest::{
    Algorithm, CancelToken, Executor, Hasher, Input, Job, Measured, Place, Progress, Wanted,
};
use crate::error::{Code, Error, Evidence, Fault, escaped};
use crate::limits;

/// What every OMS signer leaves out at the top of a model.
const GIT_DEFAULTS: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];

/// What [`Manifest::measure`] measures, and how.
///
/// ```
/// # let model = tempfile::tempdir()?;
/// # std::fs::write(model.path().join("config.json"), "{}")?;
/// use modelseal::manifest::{Manifest, MeasureOptions, Serialization};
/// use modelseal::{Algorithm, Tree};
///
/// let options = MeasureOptions::new("org/name", Serialization::files(Algorithm::Sha256)).exclude("model.sig");
/// let manifest = Manifest::measure(&Tree::walk(model.path())?, &options)?;
/// assert_eq!(manifest.files().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MeasureOptions {
    subject: String,
    serialization: Serialization,
    ignore_paths: Vec<String>,
    git_defaults: bool,
    annotations: bool,
    threads: Option<NonZeroUsize>,
    progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
    cancel: CancelToken,
}

impl MeasureOptions {
    /// Measures every file but git's own at the top of the model, with annotations, on all processors.
    ///
    /// `subject` is what the manifest calls the model, usually its directory's name; nobody trusts it.
    #[must_use]
    pub fn new(subject: impl Into<String>, serialization: Serialization) -> Self {
        Self {
            subject: subject.into(),
            serialization,
            ignore_paths: Vec::new(),
            git_defaults: true,
            annotations: true,
            threads: None,
            progress: None,
            cancel: CancelToken::new(),
        }
    }

    /// Leaves out a path and everything below it: relative to the model, with `/`, taken literally. The manifest
    /// records it, whether it exists or not. No verifier protects what is left out.
    #[must_use]
    pub fn ignore_path(mut self, path: impl Into<String>) -> Self {
        self.ignore_paths.push(path.into());
        self
    }

    /// Leaves out the signature that is about to be written, like [`MeasureOptions::ignore_path`]; a path that is
    /// absolute or leaves the model (`..`) is no part of it, so nothing is left out or recorded.
    ///
    /// The manifest records a signature inside the model, as the reference implementation does: whoever gets the
    /// bundle from elsewhere finds that file unsigned in the model.
    #[must_use]
    pub fn exclude(self, path: impl Into<String>) -> Self {
        let path = path.into();
        let outside = path.starts_with('/') || path.split('/').any(|component| component == "..");
        if outside { self } else { self.ignore_path(path) }
    }

    /// Measures `.git`, `.gitattributes`, `.github` and `.gitignore` at the top of the model too.
    #[must_use]
    pub fn without_git_defaults(mut self) -> Self {
        self.git_defaults = false;
        self
    }

    /// Leaves out our annotations (size, BLAKE3 and fs-verity digest of each file): the manifest holds what OMS asks
    /// for and nothing else. A verifier can then neither check a file in parallel nor by fs-verity.
    #[must_use]
    pub fn without_annotations(mut self) -> Self {
        self.annotations = false;
        self
    }

    /// Hashes with this many threads; by default one per processor, at most 16. The manifest is the same.
    #[must_use]
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Reports progress, from the threads that hash.
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }

    /// Stops with `open.cancelled` when this token is cancelled.
    #[must_use]
    pub fn cancel_with(mut self, token: CancelToken) -> Self {
        self.cancel = token;
        self
    }

    /// The serialization as the manifest records it: with every path that is left out, sorted, so that two runs give
    /// the same bytes.
    fn recorded(&self, tree: &Tree) -> Serialization {
        let mut recorded = self.serialization.clone();
        recorded.allow_symlinks = tree.follows_links();
        recorded.ignore_paths.extend(self.ignore_paths.iter().cloned());
        if self.git_defaults {
            recorded.ignore_paths.extend(GIT_DEFAULTS.map(str::to_owned));
        }
        recorded.ignore_paths.sort_unstable();
        recorded.ignore_paths.dedup();
        recorded
    }

    /// Refuses what no manifest could record, before hours go into hashing: tries it on a manifest of one file.
    fn try_out(&self, recorded: &Serialization) -> Result<(), Error> {
        let digest = Hasher::new(recorded.algorithm).finish();
        let digest = match recorded.method {
            Method::Files => FileDigest::Whole(digest),
            Method::Shards { .. } => FileDigest::Shards { length: 1, digests: vec![digest] },
        };
        let files = BTreeMap::from([("file".to_owned(), SignedFile { digest, annotation: None })]);
        Manifest::new(&self.subject, recorded.clone(), files).map(drop)
    }

    /// The digests of one file that its entry in the manifest needs. The signed digest comes first.
    fn wanted(&self) -> Wanted {
        let algorithm = self.serialization.algorithm;
        let mut wanted = Wanted { fsverity: self.annotations, ..Wanted::default() };
        match self.serialization.method {
            Method::Files => wanted.whole.push(algorithm),
            Method::Shards { size } => wanted.shards = Some((algorithm, size)),
        }
        if self.annotations && !wanted.whole.contains(&Algorithm::Blake3) {
            wanted.whole.push(Algorithm::Blake3);
        }
        wanted
    }
}

impl fmt::Debug for MeasureOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeasureOptions")
            .field("subject", &self.subject)
            .field("serialization", &self.serialization)
            .field("ignore_paths", &self.ignore_paths)
            .field("git_defaults", &self.git_defaults)
            .field("annotations", &self.annotations)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

impl Manifest {
    /// The manifest of a model as it lies there: every file is read once. What a signer signs; it proves nothing.
    ///
    /// A [`crate::Selection`] does not count: a signature covers the whole model. With shards, empty files have no
    /// digest in a manifest (OMS v1.0): they are left out, and a warning names them, because verifiers will find them
    /// unsigned.
    ///
    /// # Errors
    ///
    /// Before a byte is read:
    ///
    /// - `manifest.serialization`, for a path to leave out that could never name a path of a model; `manifest.shards`,
    ///   for shards of zero bytes; `statement.subject`, for an empty subject.
    /// - `file.symlink`, `file.not_regular`, `file.name_invalid` or `file.unreadable`, for an entry that is not left
    ///   out and cannot be signed.
    /// - `manifest.empty`, if no file is left; `source.too_large`, if the manifest would have more resources than
    ///   verifiers read.
    ///
    /// Then those of opening a file, `file.changed` if it is not as the walk found it, `file.unreadable`,
    /// `open.cancelled`, and `open.system` if threads cannot be started. Always the first in the order of paths,
    /// whatever the threads do.
    pub fn measure(tree: &Tree, options: &MeasureOptions) -> Result<Self, Error> {
        let serialization = options.recorded(tree);
        options.try_out(&serialization)?;
        let files = files(tree, &serialization)?;
        let wanted = options.wanted();
        let jobs = files.iter().map(|(path, size)| Job {
            source: Input::Closed(Box::new(|| tree.open(path))),
            size: *size,
            wanted: wanted.clone(),
            place: Place::Nowhere,
        });
        let jobs: Vec<Job<'_>> = jobs.collect();

        let found: Vec<OnceLock<Measured>> = files.iter().map(|_| OnceLock::new()).collect();
        let keep = |index: usize, measured| {
            if let Some(slot) = found.get(index) {
                slot.get_or_init(|| measured);
            }
            Ok(())
        };
        let executor = Executor::new(options.threads, options.cancel.clone(), options.progress.clone());
        let results = executor.run(jobs, false, &keep)?;

        let mut signed = BTreeMap::new();
        for (((path, size), result), found) in files.iter().zip(results).zip(found) {
            if let Some(Err(error)) = result {
                return Err(error.at(path));
            }
            let file = found.into_inner().and_then(|found| sign(found, *size, &wanted));
            let file = file.ok_or_else(|| MeasureFault::Unmeasured { path: (*path).to_owned() })?;
            // The reference implementation verifies a single file only under this name.
            let name = if tree.single_file.is_some() { SINGLE_FILE } else { path };
            signed.insert(name.to_owned(), file);
        }
        let mut manifest = Self::new(&options.subject, serialization, signed)?;
        manifest.warnings.extend(unsigned(&files, options.serialization.method));
        Ok(manifest)
    }
}

/// The files to sign, with their sizes. Every entry is a file, left out, or an error.
fn files<'t>(tree: &'t Tree, serialization: &Serialization) -> Result<Vec<(&'t str, u64)>, MeasureFault> {
    let mut files = Vec::new();
    let mut resources = 0_u64;
    for (path, entry) in &tree.entries {
        let name = path.rsplit('/').next().unwrap_or(path);
        if is_unfinished_signature(name)
            || serialization.ignore_paths.iter().any(|ignored| is_at_or_below(path, ignored))
        {
            continue;
        }
        let fault = match entry.kind {
            EntryKind::File { .. } if !can_stand_in_a_manifest(path) => {
                MeasureFault::Name { path: path.clone() }
            }
            EntryKind::File { .. } => {
                resources = resources.saturating_add(match serialization.method {
                    Method::Files => 1,
                    Method::Shards { size } => entry.size.div_ceil(size.max(1)),
                });
                files.push((path.as_str(), entry.size));
                continue;
            }
            EntryKind::InvalidName => MeasureFault::Name { path: path.clone() },
            EntryKind::Special => MeasureFault::Special { path: path.clone() },
            EntryKind::Symlink => MeasureFault::Symlink { path: path.clone() },
            EntryKind::UnreadableDirectory => MeasureFault::UnreadableDirectory { path: path.clone() },
        };
        return Err(fault);
    }
    if resources == 0 {
        return Err(MeasureFault::Empty);
    }
    if usize::try_from(resources).map_or(true, |resources| resources > limits::RESOURCES) {
        return Err(MeasureFault::TooMany { resources });
    }
    Ok(files)
}

fn is_at_or_below(path: &str, ancestor: &str) -> bool {
    path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A line break could forge a line of `dirHash`; a backslash separates components elsewhere, so that one signed name
/// would mean two paths.
fn can_stand_in_a_manifest(path: &str) -> bool {
    !path.contains('\\') && !path.chars().any(char::is_control)
}

/// The entry of one file; `None` if a digest is missing.
fn sign(measured: Measured, size: u64, wanted: &Wanted) -> Option<SignedFile> {
    let annotation = match measured.fsverity {
        Some(fsverity) => {
            let blake3 = measured.whole.iter().find(|digest| digest.algorithm() == Algorithm::Blake3)?;
            Some(Annotation { size, blake3: blake3.as_bytes().try_into().ok()?, fsverity })
        }
        None if wanted.fsverity => return None,
        None => None,
    };
    let digest = match wanted.shards {
        Some(_) => FileDigest::Shards { length: size, digests: measured.shards },
        None => FileDigest::Whole(measured.whole.into_iter().next()?),
    };
    Some(SignedFile { digest, annotation })
}

/// Section 6.3.2 of OMS v1.0: with shards, empty files have no resource.
fn unsigned(files: &[(&str, u64)], method: Method) -> Option<String> {
    let Method::Shards { .. } = method else { return None };
    let empty: Vec<&str> = files.iter().filter(|(_, size)| *size == 0).map(|(path, _)| *path).collect();
    let named: Vec<String> = empty.iter().take(limits::FINDINGS).map(|path| escaped(path)).collect();
    let more = empty.len().saturating_sub(named.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!empty.is_empty()).then(|| {
        format!("shards cannot cover empty files, so these are not signed: {}{more}", named.join(", "))
    })
}

#[derive(Debug, thiserror::Error)]
enum MeasureFault {
    #[error("the model has no file that could be signed")]
    Empty,
    #[error("a name with a control character, a backslash or invalid UTF-8 cannot stand in a manifest")]
    Name { path: String },
    #[error("only regular files can be signed")]
    Special { path: String },
    #[error("a symbolic link is not signed: what it leads to could change")]
    Symlink { path: String },
    #[error("the manifest would have more resources than verifiers read")]
    TooMany { resources: u64 },
    #[error("a digest of the file is missing")]
    Unmeasured { path: String },
    #[error("the directory cannot be read")]
    UnreadableDirectory { path: String },
}

impl Fault for MeasureFault {
    fn code(&self) -> Code {
        match self {
            Self::Empty => Code::ManifestEmpty,
            Self::Name { .. } => Code::FileNameInvalid,
            Self::Special { .. } => Code::FileNotRegular,
            Self::Symlink { .. } => Code::FileSymlink,
            Self::TooMany { .. } => Code::SourceTooLarge,
            Self::Unmeasured { .. } | Self::UnreadableDirectory { .. } => Code::FileUnreadable,
        }
    }

    fn path(&self) -> Option<String> {
        match self {
            Self::Empty | Self::TooMany { .. } => None,
            Self::Name { path }
            | Self::Special { path }
            | Self::Symlink { path }
            | Self::Unmeasured { path }
            | Self::UnreadableDirectory { path } => Some(path.clone()),
        }
    }

    fn evidence(&self) -> Vec<Evidence> {
        match self {
            Self::TooMany { resources } => {
                vec![Evidence::new("limit", limits::RESOURCES), Evidence::new("found", resources)]
            }
            Self::Empty
            | Self::Name { .. }
            | Self::Special { .. }
            | Self::Symlink { .. }
            | Self::Unmeasured { .. }
            | Self::UnreadableDirectory { .. } => Vec::new(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Empty => Some("Point at the model's own directory, and leave out fewer paths.".to_owned()),
            Self::TooMany { .. } => {
                Some("Point at the model's own directory, or cut files into larger shards.".to_owned())
            }
            Self::Name { .. }
            | Self::Special { .. }
            | Self::Symlink { .. }
            | Self::Unmeasured { .. }
            | Self::UnreadableDirectory { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::num::NonZeroU64;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::sync::Mutex;

    use super::*;
    use crate::Selection;
    use crate::bundle::Statement;
    use crate::source::Source;

    /// A model of these files.
    fn model(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        directory
    }

    fn options() -> MeasureOptions {
        MeasureOptions::new("name", Serialization::files(Algorithm::Sha256))
    }

    fn shards(size: u64) -> MeasureOptions {
        MeasureOptions::new("name", Serialization::shards(Algorithm::Sha256, NonZeroU64::new(size).unwrap()))
    }

    fn measure(model: impl AsRef<Path>, options: &MeasureOptions) -> Result<Manifest, Error> {
        Manifest::measure(&Tree::walk(model.as_ref()).unwrap(), options)
    }

    fn paths(manifest: &Manifest) -> Vec<&str> {
        manifest.files.keys().map(String::as_str).collect()
    }

    fn refused(model: impl AsRef<Path>, options: &MeasureOptions) -> (Code, Option<String>) {
        let error = measure(model, options).unwrap_err();
        (error.code(), error.path().map(str::to_owned))
    }

    #[test]
    fn known_answers() {
        // dirHash and root as other tools compute them for these two files.
        let model = model(&[("a.safetensors", b"w"), ("notes.txt", b"x")]);
        let manifest = measure(&model, &options()).unwrap();
        assert_eq!(
            hex::encode(manifest.root),
            "b72fc79176d9feac904d7dff2a985efa81c3baf9999481c5100bb804eaf8001b"
        );
        assert_eq!(
            manifest.name_digest().to_string(),
            "dirHash:f9c0b4d9f75b33599841c0ac9df9f59b4e6a769f522b68ee74382819e5c397ed"
        );
        assert_eq!((manifest.subject(), manifest.warnings.len()), ("name", 0));
        assert_eq!(manifest, measure(&model, &options().threads(NonZeroUsize::MIN)).unwrap());
    }

    #[test]
    fn annotations_hold_the_other_digests_of_the_same_bytes() {
        let content: Vec<u8> = (0..251).cycle().take(4097).collect();
        let model = model(&[("weights", &content)]);
        for algorithm in [Algorithm::Blake2b, Algorithm::Blake3, Algorithm::Sha256] {
            let options = MeasureOptions::new("name", Serialization::files(algorithm));
            let manifest = measure(&model, &options).unwrap();
            let file = &manifest.files["weights"];
            assert_eq!(file.digests().len(), 1);
            assert_eq!(file.digests()[0].algorithm(), algorithm);
            let annotation = file.annotation.unwrap();
            assert_eq!(annotation.size, 4097);
            assert_eq!(annotation.blake3, *blake3::hash(&content).as_bytes());
            // From fsverity-utils: the bytes are those of its known answer in `digest/fsverity.rs`.
            assert_eq!(
                hex::encode(annotation.fsverity),
                "b0d074abef4d544404facfab6ba242f6a8ccbde90f1325cd286f3c8aa8d0f8aa"
            );
            let plain = measure(&model, &options.without_annotations()).unwrap();
            assert_eq!(plain.files["weights"].annotation, None);
            assert_eq!(plain.files["weights"].digests(), file.digests());
        }
    }

    #[test]
    fn shards_cover_each_file() {
        let model = model(&[("a", b"0123456789"), ("b", b"0123"), ("c", b"01234567")]);
        let manifest = measure(&model, &shards(4)).unwrap();
        let count = |path| manifest.files[path].digests().len();
        assert_eq!((count("a"), count("b"), count("c")), (3, 1, 2));
        assert_eq!(manifest.files["a"].digests()[1], manifest.files["c"].digests()[1]);
        assert_eq!(manifest.files["a"].digests()[0], manifest.files["b"].digests()[0]);
        assert_eq!(manifest.files["a"].size(), Some(10));
        let annotation = manifest.files["a"].annotation.unwrap();
        assert_eq!(annotation.blake3, *blake3::hash(b"0123456789").as_bytes());
    }

    #[test]
    fn empty_files_are_signed_whole_but_not_in_shards() {
        let model = model(&[("empty", b""), ("weights", b"w"), ("sub/__init__.py", b"")]);
        assert_eq!(paths(&measure(&model, &options()).unwrap()), ["empty", "sub/__init__.py", "weights"]);
        let manifest = measure(&model, &shards(4)).unwrap();
        assert_eq!(paths(&manifest), ["weights"]);
        assert_eq!(manifest.warnings.len(), 1);
        assert!(manifest.warnings[0].ends_with("empty, sub/__init__.py"), "{}", manifest.warnings[0]);
    }

    #[test]
    fn a_warning_names_a_few_files_and_counts_the_rest() {
        let names: Vec<String> = (0..40).map(|number| format!("{number:02}")).collect();
        let files: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 0)).collect();
        let warning = unsigned(&files, Method::Shards { size: 1 }).unwrap();
        assert!(warning.ends_with("30, 31 and 8 more"), "{warning}");
        assert_eq!(unsigned(&[("a", 1)], Method::Shards { size: 1 }), None);
    }

    #[test]
    fn an_empty_model_has_no_manifest() {
        assert_eq!(refused(model(&[]), &options()).0, Code::ManifestEmpty);
        assert_eq!(refused(model(&[("empty", b"")]), &shards(4)).0, Code::ManifestEmpty);
        assert_eq!(refused(model(&[(".gitignore", b"x")]), &options()).0, Code::ManifestEmpty);
        let ignoring = options().ignore_path("sub");
        assert_eq!(refused(model(&[("sub/file", b"x")]), &ignoring).0, Code::ManifestEmpty);
    }

    #[test]
    fn gits_own_files_are_left_out_at_the_top_only() {
        let files: &[(&str, &[u8])] = &[
            (".git/HEAD", b"x"),
            (".gitattributes", b"x"),
            (".github/workflows/a.yml", b"x"),
            (".gitignore", b"x"),
            (".gitmodules", b"x"),
            ("sub/.gitignore", b"x"),
            ("sub/.git/HEAD", b"x"),
            ("weights", b"x"),
        ];
        let model = model(files);
        let manifest = measure(&model, &options()).unwrap();
        assert_eq!(paths(&manifest), [".gitmodules", "sub/.git/HEAD", "sub/.gitignore", "weights"]);
        assert_eq!(
            manifest.serialization.ignore_paths(),
            [".git", ".gitattributes", ".github", ".gitignore"]
        );
        let manifest = measure(&model, &options().without_git_defaults()).unwrap();
        assert_eq!(manifest.files.len(), files.len());
        assert!(manifest.serialization.ignore_paths().is_empty());
    }

    #[test]
    fn what_is_left_out_is_an_exact_path_and_everything_below() {
        let model = model(&[("a/b/c", b"x"), ("a/bc", b"x"), ("a/b.txt", b"x"), ("b/c", b"x"), ("z", b"x")]);
        let options =
            options().without_git_defaults().ignore_path("a/b").ignore_path("z").ignore_path("none");
        let manifest = measure(&model, &options).unwrap();
        assert_eq!(paths(&manifest), ["a/b.txt", "a/bc", "b/c"]);
        assert_eq!(manifest.serialization.ignore_paths(), ["a/b", "none", "z"]);
    }

    #[test]
    fn paths_that_the_serialization_leaves_out_stay_left_out() {
        let model = model(&[("a", b"x"), ("b", b"x"), ("c", b"x")]);
        let serialization = Serialization::files(Algorithm::Sha256).with_ignore_paths(["b"]);
        let options = MeasureOptions::new("name", serialization).without_git_defaults().ignore_path("a");
        let manifest = measure(&model, &options).unwrap();
        assert_eq!(paths(&manifest), ["c"]);
        assert_eq!(manifest.serialization.ignore_paths(), ["a", "b"]);
    }

    #[test]
    fn the_signatures_place_is_recorded_if_it_is_inside() {
        let model = model(&[("model.sig", b"old"), ("weights", b"x")]);
        let options = options().without_git_defaults();
        for outside in ["../model.sig", "/tmp/model.sig", "sub/../../model.sig"] {
            let manifest = measure(&model, &options.clone().exclude(outside)).unwrap();
            assert_eq!(manifest.serialization.ignore_paths(), [""; 0]);
            assert_eq!(manifest.files.len(), 2);
        }
        let manifest = measure(&model, &options.exclude("model.sig")).unwrap();
        assert_eq!(manifest.serialization.ignore_paths(), ["model.sig"]);
        assert_eq!(paths(&manifest), ["weights"]);
    }

    #[test]
    fn options_that_no_manifest_records_are_refused_before_anything_else() {
        let model = model(&[("weights", b"x")]);
        symlink("weights", model.path().join("link")).unwrap();
        for path in ["", "/weights", "../weights", "a//b", "*.bin"] {
            let code = refused(&model, &options().ignore_path(path)).0;
            assert_eq!(code, Code::ManifestSerialization, "{path:?}");
        }
        let unnamed = MeasureOptions { subject: String::new(), ..options() };
        assert_eq!(refused(&model, &unnamed).0, Code::StatementSubject);
        let mut zero = shards(1);
        zero.serialization.method = Method::Shards { size: 0 };
        assert_eq!(refused(&model, &zero).0, Code::ManifestShards);
    }

    #[test]
    fn links_and_pipes_are_refused_unless_left_out() {
        let model = model(&[("weights", b"x")]);
        symlink("weights", model.path().join("link")).unwrap();
        assert_eq!(refused(&model, &options()), (Code::FileSymlink, Some("link".to_owned())));
        let options = options().ignore_path("link");
        assert_eq!(paths(&measure(&model, &options).unwrap()), ["weights"]);

        let pipe = model.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(refused(&model, &options), (Code::FileNotRegular, Some("pipe".to_owned())));
        assert_eq!(paths(&measure(&model, &options.ignore_path("pipe")).unwrap()), ["weights"]);
    }

    #[test]
    fn names_that_no_manifest_holds_are_refused() {
        for name in [b"a\nb".as_slice(), b"\xff", b"a\\b", b"tab\t"] {
            let model = model(&[("weights", b"x")]);
            fs::write(model.path().join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
            assert_eq!(refused(&model, &options()).0, Code::FileNameInvalid, "{name:?}");
        }
    }

    #[test]
    fn the_first_error_in_the_order_of_paths_is_reported() {
        let model = model(&[("b", b"x")]);
        for name in ["c", "a", "d"] {
            symlink("b", model.path().join(name)).unwrap();
        }
        assert_eq!(refused(&model, &options()), (Code::FileSymlink, Some("a".to_owned())));
    }

    #[test]
    fn links_that_were_followed_are_recorded() {
        let model = model(&[("weights", b"x")]);
        symlink("weights", model.path().join("link")).unwrap();
        let tree = Tree::walk(Source::new(model.path()).following_links()).unwrap();
        let manifest = Manifest::measure(&tree, &options()).unwrap();
        assert_eq!(paths(&manifest), ["link", "weights"]);
        assert!(manifest.serialization.allow_symlinks);
        let alone = measure(&model, &options().ignore_path("link")).unwrap();
        assert!(!alone.serialization.allow_symlinks);
    }

    #[test]
    fn a_file_that_changed_since_the_walk_is_named() {
        let model = model(&[("a", b"x"), ("b", b"0123"), ("c", b"0123")]);
        let tree = Tree::walk(model.path()).unwrap();
        fs::write(model.path().join("b"), "01234").unwrap();
        fs::remove_file(model.path().join("c")).unwrap();
        let error = Manifest::measure(&tree, &options()).unwrap_err();
        assert_eq!((error.code(), error.path()), (Code::FileChanged, Some("b")));
    }

    #[test]
    fn a_selection_does_not_shrink_what_is_signed() {
        let model = model(&[("a", b"x"), ("b", b"x")]);
        let tree =
            Tree::walk(Source::new(model.path()).select(Selection::Files(vec!["a".to_owned()]))).unwrap();
        assert_eq!(paths(&Manifest::measure(&tree, &options()).unwrap()), ["a", "b"]);
    }

    #[test]
    fn a_single_file_is_a_model() {
        let model = model(&[("model.gguf", b"x")]);
        let manifest = measure(model.path().join("model.gguf"), &options()).unwrap();
        assert_eq!(paths(&manifest), ["."]);
    }

    #[test]
    fn more_resources_than_verifiers_read_are_refused_before_reading() {
        let model = model(&[]);
        let size = u64::try_from(limits::RESOURCES).unwrap() + 1;
        fs::File::create(model.path().join("sparse")).unwrap().set_len(size).unwrap();
        assert_eq!(refused(&model, &shards(1)).0, Code::SourceTooLarge);
    }

    #[test]
    fn progress_and_cancellation_reach_the_caller() {
        let content = vec![7; 3 << 20];
        let model = model(&[("a", &content), ("b", &content)]);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let report = Arc::clone(&seen);
        let options = options().progress(move |progress| report.lock().unwrap().push(progress));
        measure(&model, &options).unwrap();
        let last = *seen.lock().unwrap().last().unwrap();
        assert_eq!((last.bytes_done, last.bytes_total), (6 << 20, 6 << 20));

        let token = CancelToken::new();
        token.cancel();
        assert_eq!(refused(&model, &options.cancel_with(token)).0, Code::OpenCancelled);
    }

    #[test]
    fn what_is_measured_is_what_is_read_back() {
        let model = model(&[("a b", b"x"), ("a/b", b"xy"), ("a.txt", b"xyz"), ("w:0:1", b"0123456789")]);
        for options in [options(), shards(4), shards(4).without_annotations()] {
            let manifest = measure(&model, &options).unwrap();
            let statement = Statement::parse("application/vnd.in-toto+json", &manifest.to_payload()).unwrap();
            assert_eq!(Manifest::from_statement(&statement).unwrap(), manifest);
            assert_eq!(manifest.files.len(), 4);
        }
    }
}
