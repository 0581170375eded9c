//! The walk: names under a held descriptor, no bytes read.
//!
//! A [`Tree`] holds the root open. Everything below it is found, and later opened, beneath that descriptor and without
//! following links, so that the path may be renamed or re-pointed meanwhile: the answer stays about one directory. What
//! the walk saw under a name (device, inode, size) is compared again when the name is opened.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;

use crate::error::{Code, Error, Evidence, Fault};
use crate::limits;
use crate::source::{Links, Selection, Source, SourceKind};
use crate::sys::{Directory, Kind, Opened, Refusal, Status};

/// The names of a model, walked below a descriptor that stays open. No byte of a file has been read.
#[derive(Debug)]
pub struct Tree {
    pub(crate) entries: BTreeMap<String, Entry>,
    pub(crate) selection: Selection,
    /// The basename, if the model is a single file.
    pub(crate) single_file: Option<String>,
    /// The path as the caller gave it, for messages and the record only.
    pub(crate) shown: String,
    root: Root,
    links: Links,
}

/// One name of a tree. Directories are not entries; a directory that could not be read is.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: EntryKind,
    /// Size, device and inode at the time of the walk; zero where there is no regular file.
    pub(crate) size: u64,
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum EntryKind {
    /// A regular file. `hub_target` is where it lies beneath the held root, if that is not its own path: the blob of a
    /// hub snapshot, or the target of a [followed](Source::following_links) link.
    File { hub_target: Option<String> },
    /// A name that is not valid UTF-8 or holds a control character. The key of the entry is `./` and its escaped form,
    /// which no valid path is; a directory of such a name is not entered.
    InvalidName,
    /// A FIFO, socket or device.
    Special,
    /// A symbolic link that the source's kind does not allow.
    Symlink,
    /// A directory that could not be opened. The key of the entry ends with `/`.
    UnreadableDirectory,
}

/// What the tree holds open.
#[derive(Debug)]
enum Root {
    Directory(Directory),
    File(File),
    Hub(HubSnapshot),
}

impl Tree {
    /// Walks the source. Nothing below it is opened for reading but directories; links are never followed, except the
    /// hub cache's in a hub snapshot. Links in the path of the source itself are followed, mounts below it are crossed.
    ///
    /// A name that is gone between listing and looking is not there; anything else that changes meanwhile is
    /// `file.changed`. What the walk finds is judged by the approval, not here: links, pipes and unreadable directories
    /// become part of the tree.
    ///
    /// # Errors
    ///
    /// `source.unreadable`, `source.too_large`, `source.hub_link`, `file.changed`.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # std::fs::write(directory.path().join("config.json"), "{}")?;
    /// let tree = modelseal::Tree::walk(directory.path())?;
    /// # let _ = tree;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn walk(source: impl Into<Source>) -> Result<Self, Error> {
        let source = source.into();
        let shown = source.path.display().to_string();
        let (root, entries, single_file) = match source.kind {
            SourceKind::HubSnapshot => {
                let hub = HubSnapshot::open(&source.path)?;
                let snapshot = hub.directory()?;
                let entries = Walk::new(Following::Hub(&hub)).all(&snapshot)?;
                (Root::Hub(hub), entries, None)
            }
            SourceKind::Plain => match Directory::follow(&source.path) {
                Ok(Opened::Directory(directory)) => {
                    let following = match source.links {
                        Links::Follow => Following::Beneath(&directory),
                        Links::Refuse => Following::Nothing,
                    };
                    let entries = Walk::new(following).all(&directory)?;
                    (Root::Directory(directory), entries, None)
                }
                Ok(Opened::File(file, status)) => {
                    let (name, entry) = single(&source.path, status);
                    (Root::File(file), BTreeMap::from([(name.clone(), entry)]), Some(name))
                }
                Ok(Opened::Special) => {
                    return Err(TreeFault::unreadable(&shown, "it is neither a directory nor a file").into());
                }
                Err(refusal) => return Err(TreeFault::unreadable(&shown, refusal).into()),
            },
        };
        Ok(Self { entries, selection: source.selection, single_file, shown, root, links: source.links })
    }

    /// Whether links were followed: then the names say less than usual, and no approval is given.
    pub(crate) fn follows_links(&self) -> bool {
        match (&self.root, self.links) {
            (Root::Directory(_) | Root::File(_), Links::Follow) => true,
            // The hub's links have a rule of their own, whatever the source says.
            (Root::Hub(_), Links::Follow) => false,
            (_, Links::Refuse) => false,
        }
    }

    /// Opens one regular file of the tree for reading, beneath the held root, without following links.
    ///
    /// The descriptor is the very file the walk saw: one device, inode and size. A single-file model is not opened
    /// again; its one descriptor is duplicated, so read it by position.
    ///
    /// # Errors
    ///
    /// `file.missing`, `file.symlink`, `file.not_regular`, `file.name_invalid`, `file.unreadable`, `file.changed`, and
    /// `source.hub_link` if a link of the hub cache was re-pointed since the walk.
    pub(crate) fn open(&self, path: &str) -> Result<File, Error> {
        let refused = |refusal| TreeFault::Refused { path: path.to_owned(), refusal };
        let entry = self.entries.get(path).ok_or_else(|| refused(Refusal::Missing))?;
        let target = match &entry.kind {
            EntryKind::File { hub_target } => hub_target.as_deref(),
            EntryKind::InvalidName => return Err(TreeFault::NameInvalid { path: path.to_owned() }.into()),
            EntryKind::Special => return Err(refused(Refusal::NotRegular).into()),
            EntryKind::Symlink => return Err(refused(Refusal::Link).into()),
            EntryKind::UnreadableDirectory => return Err(refused(Refusal::System(Errno::ACCESS)).into()),
        };
        let (file, status) = match &self.root {
            Root::Directory(directory) => directory.open_file(target.unwrap_or(path)).map_err(refused)?,
            Root::File(file) => {
                let copy = rustix::io::fcntl_dupfd_cloexec(file, 0).map_err(|errno| refused(errno.into()))?;
                let status = Status::of(&copy).map_err(|errno| refused(errno.into()))?;
                (File::from(copy), status)
            }
            Root::Hub(hub) => hub.open_file(path, target)?,
        };
        let walked = Status { kind: Kind::File, size: entry.size, device: entry.device, inode: entry.inode };
        if !status.is_same_file(walked) {
            return Err(TreeFault::Changed { path: path.to_owned() }.into());
        }
        Ok(file)
    }
}

/// The one entry of a single-file model, named by the last component of the caller's path.
fn single(path: &Path, status: Status) -> (String, Entry) {
    match valid_name(path.file_name().unwrap_or_default()) {
        Ok(name) => (name.to_owned(), Entry::file(status, None)),
        Err(escaped) => (format!("./{escaped}"), Entry::without_file(EntryKind::InvalidName)),
    }
}

impl Entry {
    fn file(status: Status, hub_target: Option<String>) -> Self {
        Self {
            kind: EntryKind::File { hub_target },
            size: status.size,
            device: status.device,
            inode: status.inode,
        }
    }

    fn without_file(kind: EntryKind) -> Self {
        Self { kind, size: 0, device: 0, inode: 0 }
    }
}

/// A walk on its way.
struct Walk<'a> {
    following: Following<'a>,
    entries: BTreeMap<String, Entry>,
    /// Entries that may still be listed: [`limits::TREE_ENTRIES`] in all.
    budget: usize,
    /// The directories that are being walked, outermost first: a followed link to one of them is a cycle.
    open: Vec<Status>,
}

/// Which links lead somewhere.
#[derive(Clone, Copy)]
enum Following<'a> {
    /// Any that stay beneath this directory.
    Beneath(&'a Directory),
    /// Those of exactly the shapes that the hub writes.
    Hub(&'a HubSnapshot),
    Nothing,
}

/// A directory on its way: how the model names it, and where it really lies beneath the root.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a str,
    location: &'a str,
}

impl<'a> Walk<'a> {
    fn new(following: Following<'a>) -> Self {
        Self { following, entries: BTreeMap::new(), budget: limits::TREE_ENTRIES, open: Vec::new() }
    }

    fn all(mut self, root: &Directory) -> Result<BTreeMap<String, Entry>, TreeFault> {
        self.directory(root, Place { path: "", location: "" })?;
        Ok(self.entries)
    }

    fn directory(&mut self, directory: &Directory, place: Place<'_>) -> Result<(), TreeFault> {
        if self.open.len() > limits::TREE_DEPTH {
            return Err(TreeFault::TooDeep { path: place.path.to_owned() });
        }
        let names = match directory.names(self.budget.saturating_add(1)) {
            Ok(names) => names,
            Err(refusal) => return self.unreadable(place.path, refusal),
        };
        self.budget = self.budget.checked_sub(names.len()).ok_or(TreeFault::TooMany)?;
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            match directory.status(&name) {
                Ok(status) => found.push((name, status)),
                // Gone since it was listed: then it is not there. If it was signed, it is missing.
                Err(Refusal::Missing) => {}
                Err(refusal) => {
                    return Err(TreeFault::unreadable(&join(place.path, &name.to_string_lossy()), refusal));
                }
            }
        }
        // The order of a directory depends on its history. In the order of paths the first error is always the same.
        found.sort_by_cached_key(|(name, status)| {
            let slash: &[u8] = if status.kind == Kind::Directory { b"/" } else { b"" };
            [name.as_bytes(), slash].concat()
        });
        self.open.push(directory.own_status().map_err(|refusal| TreeFault::unreadable(place.path, refusal))?);
        for (name, status) in &found {
            self.name(directory, place, name, *status)?;
        }
        self.open.pop();
        Ok(())
    }

    fn name(
        &mut self,
        directory: &Directory,
        place: Place<'_>,
        name: &OsStr,
        status: Status,
    ) -> Result<(), TreeFault> {
        let name = match valid_name(name) {
            Ok(name) => name,
            Err(escaped) => {
                let key = join(place.path, &format!("./{escaped}"));
                self.entries.insert(key, Entry::without_file(EntryKind::InvalidName));
                return Ok(());
            }
        };
        let path = join(place.path, name);
        let location = join(place.location, name);
        let entry = match status.kind {
            Kind::Directory => {
                return self.enter(directory, name, Place { path: &path, location: &location });
            }
            Kind::File => Entry::file(status, (location != path).then_some(location)),
            Kind::Link => match self.following {
                Following::Beneath(root) => return self.follow(root, &path, &location),
                Following::Hub(hub) => {
                    let (target, status) = hub.resolve(&path)?;
                    Entry::file(status, Some(target))
                }
                Following::Nothing => Entry::without_file(EntryKind::Symlink),
            },
            Kind::Special => Entry::without_file(EntryKind::Special),
        };
        self.entries.insert(path, entry);
        Ok(())
    }

    /// Opens `name` in `parent` and walks it.
    fn enter(&mut self, parent: &Directory, name: &str, place: Place<'_>) -> Result<(), TreeFault> {
        match parent.open_directory(name) {
            Ok(directory) => self.directory(&directory, place),
            Err(Refusal::Missing) => Ok(()),
            Err(Refusal::Link | Refusal::NotDirectory | Refusal::NotRegular) => {
                Err(TreeFault::Changed { path: place.path.to_owned() })
            }
            Err(refusal @ Refusal::System(_)) => self.unreadable(place.path, refusal),
        }
    }

    /// Follows a link that the caller asked to be followed. One that leaves the root, dangles, turns in a circle or
    /// leads back to a directory it lies in stays a link, which no loadable file may be.
    fn follow(&mut self, root: &Directory, path: &str, location: &str) -> Result<(), TreeFault> {
        let entry = match resolve_beneath(root, location) {
            Ok((target, status)) => match status.kind {
                Kind::File => Entry::file(status, Some(target)),
                Kind::Directory if !self.encloses(status) => {
                    return self.enter(root, &target, Place { path, location: &target });
                }
                Kind::Directory | Kind::Link => Entry::without_file(EntryKind::Symlink),
                Kind::Special => Entry::without_file(EntryKind::Special),
            },
            Err(_) => Entry::without_file(EntryKind::Symlink),
        };
        self.entries.insert(path.to_owned(), entry);
        Ok(())
    }

    fn encloses(&self, status: Status) -> bool {
        self.open.iter().any(|open| (open.device, open.inode) == (status.device, status.inode))
    }

    /// A directory that may not be read is part of the tree (`lost+found` is such a one); any other failure ends the
    /// walk, and so does a root that cannot be read.
    fn unreadable(&mut self, path: &str, refusal: Refusal) -> Result<(), TreeFault> {
        match refusal {
            Refusal::System(Errno::ACCESS | Errno::PERM) if !path.is_empty() => {
                let entry = Entry::without_file(EntryKind::UnreadableDirectory);
                self.entries.insert(format!("{path}/"), entry);
                Ok(())
            }
            Refusal::Link
            | Refusal::Missing
            | Refusal::NotDirectory
            | Refusal::NotRegular
            | Refusal::System(_) => Err(TreeFault::unreadable(path, refusal)),
        }
    }
}

/// Follows links beneath a directory, name by name: where the path really lies, and what is there.
///
/// Absolute targets are refused even if they lead back inside, as is `..` beyond the root.
fn resolve_beneath(root: &Directory, path: &str) -> Result<(String, Status), Refusal> {
    let mut pending: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
    let mut resolved: Vec<String> = Vec::new();
    let mut hops = limits::LINK_HOPS;
    while let Some(name) = pending.pop() {
        match name.as_str() {
            "" | "." => continue,
            ".." => {
                resolved.pop().ok_or(Refusal::Link)?;
                continue;
            }
            _ => {}
        }
        resolved.push(name);
        let status = root.status(resolved.join("/"))?;
        if status.kind == Kind::Link {
            hops = hops.checked_sub(1).ok_or(Refusal::Link)?;
            let text = root.read_link(resolved.join("/"))?.into_string().map_err(|_| Refusal::Link)?;
            if text.starts_with('/') {
                return Err(Refusal::Link);
            }
            resolved.pop();
            pending.extend(text.rsplit('/').map(str::to_owned));
        }
    }
    let target = resolved.join("/");
    let status = if target.is_empty() { root.own_status()? } else { root.status(&target)? };
    Ok((target, status))
}

/// A snapshot of the Hugging Face hub cache, held at the root of the cache.
///
/// The cache is made of links (huggingface_hub 2.4): `snapshots/<commit>/<path>` leads to the repository's
/// `blobs/<etag>`, which may itself lead to `blobs/<2 hex>/<hash>` of the whole cache, where files are shared between
/// repositories. Both texts are known character by character, so both are compared and no link is ever followed by the
/// kernel. The etag and the hash in a name prove nothing; the signed digest does.
#[derive(Debug)]
struct HubSnapshot {
    cache: Directory,
    /// `models--<organisation>--<name>`.
    repository: String,
    /// `models--<organisation>--<name>/snapshots/<commit>`.
    snapshot: String,
}

impl HubSnapshot {
    fn open(path: &Path) -> Result<Self, TreeFault> {
        let shown = path.display().to_string();
        // Links in the caller's own path are followed, as for every source. `..` in a link's text starts from where
        // the directory really is, so the cache's root must be looked for there, too.
        let real = path.canonicalize().map_err(|error| TreeFault::unreadable(&shown, error))?;
        let not_a_snapshot = || TreeFault::NotASnapshot { shown: shown.clone() };
        let mut ancestors = real.ancestors().map(|ancestor| ancestor.file_name().and_then(OsStr::to_str));
        let (Some(Some(commit)), Some(Some("snapshots")), Some(Some(repository))) =
            (ancestors.next(), ancestors.next(), ancestors.next())
        else {
            return Err(not_a_snapshot());
        };
        if !is_hex(commit, &[40]) || repository.strip_prefix("models--").is_none_or(str::is_empty) {
            return Err(not_a_snapshot());
        }
        let cache = real.ancestors().nth(3).ok_or_else(not_a_snapshot)?;
        let cache = match Directory::follow(cache) {
            Ok(Opened::Directory(cache)) => cache,
            Ok(Opened::File(..) | Opened::Special) => return Err(not_a_snapshot()),
            Err(refusal) => return Err(TreeFault::unreadable(&shown, refusal)),
        };
        let snapshot = format!("{repository}/snapshots/{commit}");
        Ok(Self { cache, repository: repository.to_owned(), snapshot })
    }

    fn directory(&self) -> Result<Directory, TreeFault> {
        let opened = self.cache.open_directory(&self.snapshot);
        opened.map_err(|refusal| TreeFault::unreadable(&self.snapshot, refusal))
    }

    /// Where the link at `path` of the snapshot leads, beneath the cache's root, and which file is there.
    fn resolve(&self, path: &str) -> Result<(String, Status), TreeFault> {
        // One `../` for `snapshots`, one for the commit, and one more per sub-directory of the path.
        let up = "../".repeat(path.matches('/').count().saturating_add(2));
        let link = Hop { path, at: format!("{}/{path}", self.snapshot), shape: format!("{up}blobs/<etag>") };
        let text = link.read(&self.cache)?;
        let etag = text
            .strip_prefix(&up)
            .and_then(|rest| rest.strip_prefix("blobs/"))
            // The git blob's SHA-1, or the SHA-256 of a file in large file storage.
            .filter(|etag| is_hex(etag, &[40, 64]))
            .ok_or_else(|| link.fault(&text, "does not have the shape the hub writes"))?;
        let blob = format!("{}/blobs/{etag}", self.repository);
        let status = link.target(&self.cache, &blob, &text)?;
        if status.kind != Kind::Link {
            return Ok((blob, link.regular(status, &text)?));
        }

        let link = Hop { path, at: blob, shape: "../../blobs/<2 hex>/<hash>".to_owned() };
        let text = link.read(&self.cache)?;
        let shared = text
            .strip_prefix("../../")
            .filter(|shared| {
                let hash = shared.strip_prefix("blobs/").and_then(|rest| rest.split_once('/'));
                hash.is_some_and(|(prefix, hash)| is_hex(hash, &[64]) && hash.get(..2) == Some(prefix))
            })
            .ok_or_else(|| link.fault(&text, "does not have the shape the hub writes"))?;
        let status = link.target(&self.cache, shared, &text)?;
        Ok((shared.to_owned(), link.regular(status, &text)?))
    }

    /// Opens a file of the snapshot: `walked` is where its link led during the walk, if it was one.
    fn open_file(&self, path: &str, walked: Option<&str>) -> Result<(File, Status), TreeFault> {
        let refused = |refusal| TreeFault::Refused { path: path.to_owned(), refusal };
        let Some(walked) = walked else {
            return self.cache.open_file(format!("{}/{path}", self.snapshot)).map_err(refused);
        };
        let (target, _) = self.resolve(path)?;
        if target != walked {
            return Err(TreeFault::HubLink {
                path: path.to_owned(),
                problem: "was re-pointed after the model was walked",
                link: target,
                expected: walked.to_owned(),
            });
        }
        self.cache.open_file(&target).map_err(refused)
    }
}

/// One link of the hub cache on the way from a path of the snapshot to its file.
struct Hop<'a> {
    /// The path of the model that leads here, for messages.
    path: &'a str,
    /// Where the link lies beneath the cache's root.
    at: String,
    /// The shape its text must have, for messages.
    shape: String,
}

impl Hop<'_> {
    fn read(&self, cache: &Directory) -> Result<String, TreeFault> {
        match cache.read_link(&self.at) {
            Ok(text) => Ok(text.to_string_lossy().into_owned()),
            // It was a link a moment ago.
            Err(Refusal::Missing | Refusal::System(Errno::INVAL)) => {
                Err(TreeFault::Changed { path: self.path.to_owned() })
            }
            Err(refusal) => Err(self.fault(&refusal.to_string(), "cannot be read")),
        }
    }

    fn target(&self, cache: &Directory, target: &str, text: &str) -> Result<Status, TreeFault> {
        cache.status(target).map_err(|refusal| match refusal {
            Refusal::Missing | Refusal::NotDirectory => self.fault(text, "leads to a blob that is missing"),
            Refusal::Link => self.fault(text, "leads through another link"),
            Refusal::NotRegular | Refusal::System(_) => {
                self.fault(text, "leads to a blob that cannot be read")
            }
        })
    }

    fn regular(&self, status: Status, text: &str) -> Result<Status, TreeFault> {
        match status.kind {
            Kind::File => Ok(status),
            Kind::Link => Err(self.fault(text, "leads to another link")),
            Kind::Directory | Kind::Special => {
                Err(self.fault(text, "leads to something that is not a regular file"))
            }
        }
    }

    fn fault(&self, text: &str, problem: &'static str) -> TreeFault {
        TreeFault::HubLink {
            path: self.path.to_owned(),
            problem,
            link: text.to_owned(),
            expected: self.shape.clone(),
        }
    }
}

/// Lower-case hexadecimal of one of these lengths.
fn is_hex(text: &str, lengths: &[usize]) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// The name, or its escaped form if no manifest could hold it: each offending byte as `\xNN`, a backslash doubled, so
/// that two names never look the same.
fn valid_name(name: &OsStr) -> Result<&str, String> {
    if let Some(name) = name.to_str()
        && !name.is_empty()
        && !name.contains(char::is_control)
    {
        return Ok(name);
    }
    let mut shown = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => shown.push_str("\\\\"),
                control if control.is_control() => {
                    let mut buffer = [0; 4];
                    for byte in control.encode_utf8(&mut buffer).bytes() {
                        shown.push_str(&format!("\\x{byte:02x}"));
                    }
                }
                printable => shown.push(printable),
            }
        }
        for byte in chunk.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    Err(shown)
}

#[derive(Debug, thiserror::Error)]
enum TreeFault {
    #[error("the file or directory was replaced while the model was read")]
    Changed { path: String },
    #[error("a link of the hub cache {problem}")]
    HubLink { path: String, problem: &'static str, link: String, expected: String },
    #[error("the name is not valid UTF-8 or holds a control character")]
    NameInvalid { path: String },
    #[error("'{shown}' is not a snapshot directory of the hub cache")]
    NotASnapshot { shown: String },
    #[error("the file cannot be opened: {refusal}")]
    Refused { path: String, refusal: Refusal },
    #[error("directories nest deeper than {} levels", limits::TREE_DEPTH)]
    TooDeep { path: String },
    #[error("the model has more than {} files and directories", limits::TREE_ENTRIES)]
    TooMany,
    #[error("the model cannot be read: {detail}")]
    Unreadable { path: String, detail: String },
}

impl TreeFault {
    fn unreadable(path: &str, detail: impl std::fmt::Display) -> Self {
        Self::Unreadable { path: path.to_owned(), detail: detail.to_string() }
    }
}

impl Fault for TreeFault {
    fn code(&self) -> Code {
        match self {
            Self::Changed { .. } => Code::FileChanged,
            Self::HubLink { .. } => Code::SourceHubLink,
            Self::NameInvalid { .. } => Code::FileNameInvalid,
            Self::NotASnapshot { .. } | Self::Unreadable { .. } => Code::SourceUnreadable,
            Self::Refused { refusal, .. } => match refusal {
                Refusal::Link => Code::FileSymlink,
                Refusal::Missing | Refusal::NotDirectory => Code::FileMissing,
                Refusal::NotRegular => Code::FileNotRegular,
                Refusal::System(_) => Code::FileUnreadable,
            },
            Self::TooDeep { .. } | Self::TooMany => Code::SourceTooLarge,
        }
    }

    fn path(&self) -> Option<String> {
        match self {
            Self::Changed { path }
            | Self::HubLink { path, .. }
            | Self::NameInvalid { path }
            | Self::Refused { path, .. }
            | Self::TooDeep { path }
            | Self::Unreadable { path, .. } => (!path.is_empty()).then(|| path.clone()),
            Self::NotASnapshot { .. } | Self::TooMany => None,
        }
    }

    fn evidence(&self) -> Vec<Evidence> {
        match self {
            Self::HubLink { link, expected, .. } => {
                vec![Evidence::new("link", link), Evidence::new("expected", expected)]
            }
            Self::NotASnapshot { .. } => {
                vec![Evidence::new(
                    "expected",
                    "<cache>/models--<organisation>--<name>/snapshots/<40 hex digits>",
                )]
            }
            Self::Changed { .. }
            | Self::NameInvalid { .. }
            | Self::Refused { .. }
            | Self::TooDeep { .. }
            | Self::TooMany
            | Self::Unreadable { .. } => Vec::new(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::NotASnapshot { .. } => {
                Some("Name a snapshot directory, or open a plain directory as such.".to_owned())
            }
            Self::Changed { .. }
            | Self::HubLink { .. }
            | Self::NameInvalid { .. }
            | Self::Refused { .. }
            | Self::TooDeep { .. }
            | Self::TooMany
            | Self::Unreadable { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;

    fn file(tree: &Tree, path: &str) -> String {
        let mut text = String::new();
        tree.open(path).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    fn kind<'a>(tree: &'a Tree, path: &str) -> &'a EntryKind {
        let keys: Vec<&String> = tree.entries.keys().collect();
        &tree.entries.get(path).unwrap_or_else(|| panic!("{path} is not in {keys:?}")).kind
    }

    fn write(root: &Path, path: &str, content: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    mod plain {
        use super::*;

        #[test]
        fn files_are_named_by_their_paths_and_opened_once() {
            let root = tempfile::tempdir().unwrap();
            write(root.path(), "config.json", "{}");
            write(root.path(), "a/b/weights.safetensors", "weights");
            write(root.path(), "a.txt", "");
            std::fs::create_dir(root.path().join("empty")).unwrap();
            let tree = Tree::walk(root.path()).unwrap();
            let names: Vec<&str> = tree.entries.keys().map(String::as_str).collect();
            assert_eq!(names, ["a.txt", "a/b/weights.safetensors", "config.json"]);
            assert_eq!(tree.entries["config.json"].size, 2);
            assert_eq!(file(&tree, "a/b/weights.safetensors"), "weights");
            assert_eq!(tree.single_file, None);
            assert_eq!(tree.selection, Selection::All);
        }

        #[test]
        fn every_hostile_shape_is_an_entry_and_none_is_opened() {
            let outside = tempfile::tempdir().unwrap();
            write(outside.path(), "secret", "secret");
            let root = tempfile::tempdir().unwrap();
            let at = |name: &str| root.path().join(name);
            write(root.path(), "weights", "weights");
            symlink("weights", at("inside")).unwrap();
            symlink(outside.path().join("secret"), at("absolute")).unwrap();
            symlink("../../../../../../etc/passwd", at("relative")).unwrap();
            symlink(outside.path(), at("directory")).unwrap();
            symlink("loop", at("loop")).unwrap();
            symlink("nowhere", at("dangling")).unwrap();
            symlink("/proc/self/fd/0", at("magic")).unwrap();
            rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), rustix::fs::Mode::RUSR).unwrap();
            let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();

            let tree = Tree::walk(root.path()).unwrap();
            assert_eq!(tree.entries.len(), 10);
            for name in ["inside", "absolute", "relative", "directory", "loop", "dangling", "magic"] {
                assert_eq!(*kind(&tree, name), EntryKind::Symlink, "{name}");
                assert_eq!(tree.open(name).unwrap_err().code(), Code::FileSymlink, "{name}");
            }
            for name in ["fifo", "socket"] {
                assert_eq!(*kind(&tree, name), EntryKind::Special, "{name}");
                assert_eq!(tree.open(name).unwrap_err().code(), Code::FileNotRegular, "{name}");
            }
            assert_eq!(tree.open("directory/secret").unwrap_err().code(), Code::FileMissing);
            assert_eq!(tree.open("../secret").unwrap_err().code(), Code::FileMissing);
        }

        #[test]
        fn what_changes_after_the_walk_is_refused() {
            let root = tempfile::tempdir().unwrap();
            let at = |name: &str| root.path().join(name);
            for name in ["swapped", "grown", "linked", "gone", "piped", "sub/below"] {
                write(root.path(), name, "verified");
            }
            let tree = Tree::walk(root.path()).unwrap();

            std::fs::rename(at("swapped"), at("old")).unwrap();
            write(root.path(), "swapped", "verified");
            write(root.path(), "grown", "verified and more");
            std::fs::rename(at("linked"), at("target")).unwrap();
            symlink("target", at("linked")).unwrap();
            std::fs::remove_file(at("gone")).unwrap();
            std::fs::remove_file(at("piped")).unwrap();
            rustix::fs::mkfifoat(rustix::fs::CWD, at("piped"), rustix::fs::Mode::RUSR).unwrap();
            std::fs::rename(at("sub"), at("moved")).unwrap();
            symlink("moved", at("sub")).unwrap();

            for (name, code) in [
                ("swapped", Code::FileChanged),
                ("grown", Code::FileChanged),
                ("linked", Code::FileSymlink),
                ("gone", Code::FileMissing),
                ("piped", Code::FileNotRegular),
                ("sub/below", Code::FileSymlink),
                ("moved/below", Code::FileMissing),
            ] {
                let error = tree.open(name).unwrap_err();
                assert_eq!(error.code(), code, "{name}");
                assert_eq!(error.path(), Some(name));
            }
        }

        #[test]
        fn the_root_may_be_a_link_and_is_held() {
            let root = tempfile::tempdir().unwrap();
            write(root.path(), "first/config.json", "first");
            write(root.path(), "second/config.json", "other");
            symlink("first", root.path().join("current")).unwrap();
            let tree = Tree::walk(root.path().join("current")).unwrap();
            std::fs::remove_file(root.path().join("current")).unwrap();
            symlink("second", root.path().join("current")).unwrap();
            assert_eq!(file(&tree, "config.json"), "first");
        }

        #[test]
        fn invalid_names_have_keys_of_their_own() {
            let root = tempfile::tempdir().unwrap();
            let at = |name: &[u8]| root.path().join(std::ffi::OsString::from_vec(name.to_vec()));
            std::fs::write(at(b"new\nline.safetensors"), "").unwrap();
            std::fs::write(at(b"new\\x0aline.safetensors"), "").unwrap();
            std::fs::write(at(b"\xff"), "").unwrap();
            std::fs::write(at(b"\xfe"), "").unwrap();
            std::fs::create_dir(at(b"dir\x01")).unwrap();
            std::fs::write(at(b"dir\x01/inside"), "").unwrap();
            std::fs::create_dir(at(b"sub")).unwrap();
            std::fs::write(at(b"sub/\x7f"), "").unwrap();
            std::fs::write(at("c1\u{85}".as_bytes()), "").unwrap();
            let tree = Tree::walk(root.path()).unwrap();
            for key in [
                "./new\\x0aline.safetensors",
                "./\\xff",
                "./\\xfe",
                "./dir\\x01",
                "sub/./\\x7f",
                "./c1\\xc2\\x85",
            ] {
                assert_eq!(*kind(&tree, key), EntryKind::InvalidName, "{key}");
                assert_eq!(tree.open(key).unwrap_err().code(), Code::FileNameInvalid, "{key}");
            }
            // The valid name that looks like an escaped one stays a file.
            assert_eq!(*kind(&tree, "new\\x0aline.safetensors"), EntryKind::File { hub_target: None });
            assert_eq!(tree.entries.len(), 7);
        }

        #[test]
        fn depth_is_bounded() {
            let root = tempfile::tempdir().unwrap();
            let deep = |levels: usize| root.path().join(vec!["d"; levels].join("/"));
            std::fs::create_dir_all(deep(limits::TREE_DEPTH)).unwrap();
            std::fs::write(deep(limits::TREE_DEPTH).join("x"), "").unwrap();
            assert_eq!(Tree::walk(root.path()).unwrap().entries.len(), 1);
            std::fs::create_dir_all(deep(limits::TREE_DEPTH + 1)).unwrap();
            assert_eq!(Tree::walk(root.path()).unwrap_err().code(), Code::SourceTooLarge);
        }

        #[test]
        fn entries_are_bounded() {
            let root = tempfile::tempdir().unwrap();
            for name in ["a", "b/c", "b/d"] {
                write(root.path(), name, "");
            }
            let Ok(Opened::Directory(directory)) = Directory::follow(root.path()) else { panic!() };
            let mut walk = Walk::new(Following::Nothing);
            walk.budget = 4;
            assert_eq!(walk.all(&directory).unwrap().len(), 3);
            let mut walk = Walk::new(Following::Nothing);
            walk.budget = 3;
            assert_eq!(walk.all(&directory).unwrap_err().code(), Code::SourceTooLarge);
        }

        #[test]
        fn a_directory_that_cannot_be_read_is_an_entry() {
            let root = tempfile::tempdir().unwrap();
            write(root.path(), "lost+found/x", "");
            write(root.path(), "config.json", "{}");
            let lost = root.path().join("lost+found");
            let permissions = |mode| std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&lost, permissions(0o000)).unwrap();
            let tree = Tree::walk(root.path()).unwrap();
            // Permissions do not bind root; there the walk simply reads it.
            if rustix::process::geteuid().is_root() {
                println!("running as root: an unreadable directory cannot be made, only the walk is tested");
            } else {
                assert_eq!(*kind(&tree, "lost+found/"), EntryKind::UnreadableDirectory);
                assert_eq!(tree.open("lost+found/").unwrap_err().code(), Code::FileUnreadable);
                std::fs::set_permissions(&lost, permissions(0o600)).unwrap();
                let tree = Tree::walk(root.path()).unwrap();
                assert_eq!(*kind(&tree, "lost+found/"), EntryKind::UnreadableDirectory, "cannot be searched");
                std::fs::set_permissions(root.path(), permissions(0o000)).unwrap();
                assert_eq!(Tree::walk(root.path()).unwrap_err().code(), Code::SourceUnreadable);
                std::fs::set_permissions(root.path(), permissions(0o700)).unwrap();
            }
            std::fs::set_permissions(&lost, permissions(0o700)).unwrap();
            assert_eq!(file(&tree, "config.json"), "{}");
        }

        /// What the kernel answers for a directory without permissions, which root cannot provoke with one.
        #[test]
        fn only_refused_directories_below_the_root_are_entries() {
            let mut walk = Walk::new(Following::Nothing);
            walk.unreadable("lost+found", Refusal::System(Errno::ACCESS)).unwrap();
            assert_eq!(walk.entries["lost+found/"].kind, EntryKind::UnreadableDirectory);
            let code = |result: Result<(), TreeFault>| result.unwrap_err().code();
            assert_eq!(code(walk.unreadable("", Refusal::System(Errno::ACCESS))), Code::SourceUnreadable);
            assert_eq!(code(walk.unreadable("sub", Refusal::System(Errno::IO))), Code::SourceUnreadable);
            assert_eq!(code(walk.unreadable("sub", Refusal::System(Errno::MFILE))), Code::SourceUnreadable);
        }

        #[test]
        fn a_single_file_is_a_tree_of_one() {
            let root = tempfile::tempdir().unwrap();
            write(root.path(), "blob", "weights");
            symlink("blob", root.path().join("model.gguf")).unwrap();
            let tree = Tree::walk(root.path().join("model.gguf")).unwrap();
            assert_eq!(tree.single_file.as_deref(), Some("model.gguf"));
            assert_eq!(tree.entries.len(), 1);
            // The descriptor is held: what happens to the names afterwards is of no interest.
            std::fs::remove_file(root.path().join("blob")).unwrap();
            assert_eq!(file(&tree, "model.gguf"), "weights");
            assert_eq!(tree.open("blob").unwrap_err().code(), Code::FileMissing);
        }

        #[test]
        fn a_single_file_that_grows_is_refused() {
            let root = tempfile::tempdir().unwrap();
            write(root.path(), "model.gguf", "weights");
            let tree = Tree::walk(root.path().join("model.gguf")).unwrap();
            write(root.path(), "model.gguf", "weights and more");
            assert_eq!(tree.open("model.gguf").unwrap_err().code(), Code::FileChanged);
        }

        #[test]
        fn what_is_no_model_is_no_source() {
            let root = tempfile::tempdir().unwrap();
            let fifo = root.path().join("fifo");
            rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
            for path in [fifo, root.path().join("none"), PathBuf::new()] {
                assert_eq!(Tree::walk(&path).unwrap_err().code(), Code::SourceUnreadable, "{path:?}");
            }
        }
    }

    mod followed {
        use super::*;

        fn walk(path: &Path) -> Tree {
            let tree = Tree::walk(Source::new(path).following_links()).unwrap();
            assert!(tree.follows_links());
            tree
        }

        #[test]
        fn links_beneath_the_root_stand_for_their_targets() {
            let root = tempfile::tempdir().unwrap();
            write(root.path(), "data/deep/weights", "weights");
            symlink("data/deep/weights", root.path().join("direct")).unwrap();
            symlink("link/../deep/weights", root.path().join("data/through")).unwrap();
            symlink("deep", root.path().join("data/link")).unwrap();
            symlink("./direct", root.path().join("twice")).unwrap();
            assert!(!Tree::walk(root.path()).unwrap().follows_links());
            let tree = walk(root.path());
            for path in ["data/deep/weights", "direct", "data/through", "data/link/weights", "twice"] {
                assert_eq!(file(&tree, path), "weights", "{path}");
            }
            let target = Some("data/deep/weights".to_owned());
            assert_eq!(*kind(&tree, "data/link/weights"), EntryKind::File { hub_target: target });
            assert_eq!(tree.entries.len(), 5);
        }

        #[test]
        fn links_that_leave_dangle_or_turn_stay_links() {
            let outside = tempfile::tempdir().unwrap();
            write(outside.path(), "secret", "secret");
            let root = tempfile::tempdir().unwrap();
            let at = |name: &str| root.path().join(name);
            write(root.path(), "sub/file", "file");
            symlink(outside.path().join("secret"), at("absolute")).unwrap();
            symlink(at("sub/file"), at("absolute-inside")).unwrap();
            symlink("../../etc/passwd", at("sub/up")).unwrap();
            symlink("nowhere", at("dangling")).unwrap();
            symlink("loop-b", at("loop-a")).unwrap();
            symlink("loop-a", at("loop-b")).unwrap();
            symlink(".", at("self")).unwrap();
            symlink("..", at("sub/parent")).unwrap();
            let tree = walk(root.path());
            for path in [
                "absolute",
                "absolute-inside",
                "sub/up",
                "dangling",
                "loop-a",
                "loop-b",
                "self",
                "sub/parent",
            ] {
                assert_eq!(*kind(&tree, path), EntryKind::Symlink, "{path}");
            }
            assert_eq!(tree.entries.len(), 9);
        }

        #[test]
        fn directories_that_multiply_hit_the_bounds() {
            let root = tempfile::tempdir().unwrap();
            // Each level names the next one twice: 2^40 paths without a bound.
            for level in 0..40 {
                let directory = root.path().join(format!("{level:02}"));
                std::fs::create_dir(&directory).unwrap();
                symlink(format!("../{:02}", level + 1), directory.join("a")).unwrap();
                symlink(format!("../{:02}", level + 1), directory.join("b")).unwrap();
            }
            std::fs::create_dir(root.path().join("40")).unwrap();
            let Ok(Opened::Directory(directory)) = Directory::follow(root.path()) else { panic!() };
            let mut walk = Walk::new(Following::Beneath(&directory));
            walk.budget = 1000;
            assert_eq!(walk.all(&directory).unwrap_err().code(), Code::SourceTooLarge);
        }
    }

    mod hub {
        use super::*;

        const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
        const GIT: &str = "d7edf6bd2a681fb0175f7735299831ee1b22b812";
        const LFS: &str = "403450e234d65943a7dcf7e05a771ce3c92faa84dd07db4ac20f592037a1e4bd";
        const XET: &str = "7b9a3cbb2c5a4c6d0a1f5bfb35b59d2a4b0b7d2e8a0f6c0d1e2f3a4b5c6d7e8f";

        struct Cache(tempfile::TempDir);

        impl Cache {
            /// A snapshot with a small file, a large file, and one in a sub-directory through the shared store.
            fn new() -> Self {
                let cache = Self(tempfile::tempdir().unwrap());
                write(&cache.repository(), &format!("blobs/{GIT}"), "{}");
                write(&cache.repository(), &format!("blobs/{LFS}"), "weights");
                write(cache.0.path(), &format!("blobs/7b/{XET}"), "shared weights");
                let shared = LFS.replace('4', "5");
                cache.link(&format!("blobs/{shared}"), &format!("../../blobs/7b/{XET}"));
                cache.snapshot_link("config.json", &format!("../../blobs/{GIT}"));
                cache.snapshot_link("model.safetensors", &format!("../../blobs/{LFS}"));
                cache.snapshot_link("sub/deep/model.safetensors", &format!("../../../../blobs/{shared}"));
                cache
            }

            fn repository(&self) -> PathBuf {
                self.0.path().join("models--org--name")
            }

            fn snapshot(&self) -> PathBuf {
                self.repository().join("snapshots").join(COMMIT)
            }

            fn link(&self, path: &str, text: &str) {
                let path = self.repository().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                let _ = std::fs::remove_file(&path);
                symlink(text, path).unwrap();
            }

            fn snapshot_link(&self, path: &str, text: &str) {
                self.link(&format!("snapshots/{COMMIT}/{path}"), text);
            }

            fn walk(&self) -> Result<Tree, Error> {
                Tree::walk(Source::hub_snapshot(self.snapshot()))
            }
        }

        #[test]
        fn both_shapes_and_plain_files_are_read() {
            let cache = Cache::new();
            write(&cache.snapshot(), "plain.json", "plain");
            let tree = cache.walk().unwrap();
            assert_eq!(file(&tree, "config.json"), "{}");
            assert_eq!(file(&tree, "model.safetensors"), "weights");
            assert_eq!(file(&tree, "sub/deep/model.safetensors"), "shared weights");
            assert_eq!(file(&tree, "plain.json"), "plain");
            assert_eq!(tree.entries.len(), 4);
            let target = Some(format!("blobs/7b/{XET}"));
            assert_eq!(*kind(&tree, "sub/deep/model.safetensors"), EntryKind::File { hub_target: target });
            assert_eq!(tree.entries["model.safetensors"].size, 7);
        }

        #[test]
        fn the_snapshot_may_be_reached_through_links() {
            let cache = Cache::new();
            let elsewhere = tempfile::tempdir().unwrap();
            let current = elsewhere.path().join("current");
            symlink(cache.snapshot(), &current).unwrap();
            let tree = Tree::walk(Source::hub_snapshot(&current).following_links()).unwrap();
            assert!(!tree.follows_links(), "no link but the hub's own");
            assert_eq!(file(&tree, "sub/deep/model.safetensors"), "shared weights");
        }

        #[test]
        fn as_a_plain_directory_its_links_are_links() {
            let tree = Tree::walk(Cache::new().snapshot()).unwrap();
            assert_eq!(*kind(&tree, "config.json"), EntryKind::Symlink);
        }

        #[test]
        fn every_other_shape_is_refused() {
            let outside = tempfile::tempdir().unwrap();
            write(outside.path(), GIT, "outside");
            let absolute = outside.path().join(GIT).display().to_string();
            let blob = Cache::new().repository().join("blobs").join(GIT).display().to_string();
            let texts = [
                absolute,
                blob,
                "/etc/passwd".to_owned(),
                format!("../blobs/{GIT}"),
                format!("../../../blobs/{GIT}"),
                format!("../../blobs/./{GIT}"),
                format!("../..//blobs/{GIT}"),
                format!("./../../blobs/{GIT}"),
                format!("../../blobs/{GIT}/"),
                format!("../../blobs/../blobs/{GIT}"),
                format!("../../blobs/{}", GIT.to_uppercase()),
                format!("../../blobs/{}", &GIT[1..]),
                format!("../../blobs/{GIT}\n"),
                "../../blobs/main".to_owned(),
                "../../blobs/..".to_owned(),
                format!("../../../blobs/7b/{XET}"),
                "config.json".to_owned(),
                "self".to_owned(),
                format!("../../../models--org--other/blobs/{GIT}"),
            ];
            for text in texts {
                let cache = Cache::new();
                cache.snapshot_link("self", &text);
                let error = cache.walk().unwrap_err();
                assert_eq!(error.code(), Code::SourceHubLink, "{text}");
                assert_eq!(error.path(), Some("self"));
                let evidence: Vec<&str> = error.evidence().iter().map(|fact| fact.name).collect();
                assert_eq!(evidence, ["link", "expected"]);
                assert_eq!(error.evidence()[1].value, "../../blobs/<etag>");
            }
            let cache = Cache::new();
            cache.snapshot_link("sub/config.json", &format!("../../blobs/{GIT}"));
            let error = cache.walk().unwrap_err();
            assert_eq!(error.code(), Code::SourceHubLink, "one `../` too few for a sub-directory");
            assert_eq!(error.evidence()[1].value, "../../../blobs/<etag>");
        }

        #[test]
        fn the_second_hop_has_one_shape_and_there_is_no_third() {
            let outside = tempfile::tempdir().unwrap();
            write(outside.path(), "x", "outside");
            let absolute = outside.path().join("x").display().to_string();
            for text in [
                absolute,
                format!("../../blobs/7c/{XET}"),
                format!("../../blobs/7b/{}", &XET[2..]),
                format!("../../blobs/7b/{GIT}"),
                format!("../../blobs/7b/../7b/{XET}"),
                format!("../blobs/{LFS}"),
                LFS.to_owned(),
                GIT.to_owned(),
            ] {
                let cache = Cache::new();
                cache.link(&format!("blobs/{GIT}"), &text);
                let error = cache.walk().unwrap_err();
                assert_eq!(error.code(), Code::SourceHubLink, "{text}");
                assert_eq!(error.path(), Some("config.json"), "{text}");
            }

            let cache = Cache::new();
            let store = cache.0.path().join("blobs/7b").join(XET);
            std::fs::rename(&store, cache.0.path().join("elsewhere")).unwrap();
            symlink("../../elsewhere", &store).unwrap();
            assert_eq!(cache.walk().unwrap_err().code(), Code::SourceHubLink, "a third hop");
        }

        #[test]
        fn directories_of_the_cache_may_not_be_links() {
            for directory in ["blobs", "models--org--name/blobs"] {
                let cache = Cache::new();
                let outside = tempfile::tempdir().unwrap();
                let directory = cache.0.path().join(directory);
                std::fs::rename(&directory, outside.path().join("blobs")).unwrap();
                symlink(outside.path().join("blobs"), &directory).unwrap();
                assert_eq!(cache.walk().unwrap_err().code(), Code::SourceHubLink, "{directory:?}");
            }
        }

        #[test]
        fn missing_and_special_blobs_are_refused() {
            let cache = Cache::new();
            let blob = cache.repository().join("blobs").join(GIT);
            std::fs::remove_file(&blob).unwrap();
            assert_eq!(cache.walk().unwrap_err().code(), Code::SourceHubLink);
            rustix::fs::mkfifoat(rustix::fs::CWD, &blob, rustix::fs::Mode::RUSR).unwrap();
            assert_eq!(cache.walk().unwrap_err().code(), Code::SourceHubLink);
            std::fs::remove_file(&blob).unwrap();
            std::fs::create_dir(&blob).unwrap();
            assert_eq!(cache.walk().unwrap_err().code(), Code::SourceHubLink);
        }

        #[test]
        fn what_is_re_pointed_after_the_walk_is_refused() {
            let cache = Cache::new();
            let tree = cache.walk().unwrap();
            cache.snapshot_link("config.json", &format!("../../blobs/{LFS}"));
            assert_eq!(tree.open("config.json").unwrap_err().code(), Code::SourceHubLink);
            cache.snapshot_link("config.json", "/etc/passwd");
            assert_eq!(tree.open("config.json").unwrap_err().code(), Code::SourceHubLink);

            let blob = cache.repository().join("blobs").join(LFS);
            std::fs::rename(&blob, cache.repository().join("old")).unwrap();
            std::fs::write(&blob, "weights").unwrap();
            assert_eq!(tree.open("model.safetensors").unwrap_err().code(), Code::FileChanged);

            let deep = cache.snapshot().join("sub/deep/model.safetensors");
            std::fs::remove_file(&deep).unwrap();
            std::fs::write(&deep, "shared weights").unwrap();
            assert_eq!(tree.open("sub/deep/model.safetensors").unwrap_err().code(), Code::FileChanged);
        }

        #[test]
        fn only_snapshot_directories_are_snapshots() {
            let cache = Cache::new();
            let repository = cache.repository();
            std::fs::create_dir(repository.join("snapshots/main")).unwrap();
            std::fs::create_dir_all(cache.0.path().join("datasets--a/snapshots").join(COMMIT)).unwrap();
            std::fs::create_dir_all(cache.0.path().join("models--/snapshots").join(COMMIT)).unwrap();
            for path in [
                cache.0.path().to_owned(),
                repository.clone(),
                repository.join("snapshots"),
                repository.join("snapshots/main"),
                repository.join("snapshots").join(COMMIT).join("sub"),
                repository.join("snapshots").join(COMMIT).join("config.json"),
                cache.0.path().join("datasets--a/snapshots").join(COMMIT),
                cache.0.path().join("models--/snapshots").join(COMMIT),
                PathBuf::from("/"),
                repository.join("none"),
            ] {
                let error = Tree::walk(Source::hub_snapshot(&path)).unwrap_err();
                assert_eq!(error.code(), Code::SourceUnreadable, "{path:?}");
            }
        }
    }
}
