//! The walk: names under a held descriptor, no bytes read.

use std::collections::BTreeMap;
use std::fs::File;

use crate::error::{Code, Error, Fault};
use crate::source::{Selection, Source};

/// The names of a model, walked below a descriptor that stays open. No byte of a file has been read.
#[derive(Debug)]
pub struct Tree {
    pub(crate) entries: BTreeMap<String, Entry>,
    pub(crate) selection: Selection,
    /// The basename, if the model is a single file.
    pub(crate) single_file: Option<String>,
    /// The path as the caller gave it, for messages and the record only.
    pub(crate) shown: String,
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
    /// A regular file, perhaps through the hub cache's links (the hops beneath the cache root, in order).
    File { hub_target: Option<String> },
    /// A name that is not valid UTF-8 or holds a control character; the key of the entry is its escaped form.
    InvalidName,
    /// A FIFO, socket or device.
    Special,
    /// A symbolic link that the source's kind does not allow.
    Symlink,
    /// A directory that could not be opened.
    UnreadableDirectory,
}

impl Tree {
    /// Walks the source. Nothing below it is opened for reading but directories; links are never followed, except
    /// the hub cache's in a hub snapshot.
    ///
    /// # Errors
    ///
    /// `source.unreadable`, `source.too_large`, `source.hub_link`.
    pub fn walk(source: impl Into<Source>) -> Result<Self, Error> {
        let source = source.into();
        Err(TreeFault::Unreadable { detail: source.path.display().to_string() }.into())
    }

    /// Restricts what is handed out to these files.
    #[must_use]
    pub fn select(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }

    /// Opens one regular file of the tree for reading, beneath the held root, without following links.
    pub(crate) fn open(&self, path: &str) -> Result<File, Error> {
        Err(TreeFault::Unreadable { detail: path.to_owned() }.into())
    }
}

#[derive(Debug, thiserror::Error)]
enum TreeFault {
    #[error("the model cannot be opened: {detail}")]
    Unreadable { detail: String },
}

impl Fault for TreeFault {
    fn code(&self) -> Code {
        match self {
            Self::Unreadable { .. } => Code::SourceUnreadable,
        }
    }
}
