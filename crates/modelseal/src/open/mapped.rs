//! Views of the original files: checked once, protected by file permissions only.

use std::collections::BTreeMap;
use std::fs::File;

use super::backing::refused;
use super::hash::{Hashed, hash};
use super::model::Recorder;
use super::pass::Spec;
use super::{OpenFault, OpenOptions};
use crate::error::Error;
use crate::format::Format;
use crate::ledger::{FileRecord, Head, Verdict};
use crate::manifest::{Loadable, loadable};
use crate::policy::approval::Selected;
use crate::policy::{Approval, Floor};
use crate::sys::Mapping;

/// A model whose bytes matched when they were read. Another process may change them afterwards; see the module
/// [`crate::manual::assurance`].
#[derive(Debug)]
pub struct MappedModel {
    files: BTreeMap<String, MappedFile>,
    verdict: Verdict,
    head: Option<Head>,
}

/// One file of a [`MappedModel`].
#[derive(Debug)]
pub struct MappedFile {
    path: String,
    size: u64,
    format: Format,
    file: File,
    mapping: Mapping,
    digest: String,
}

#[derive(Debug)]
pub(super) struct Opened {
    files: BTreeMap<String, MappedFile>,
}

pub(super) fn open(approval: &Approval, index: usize, options: &OpenOptions) -> Result<Opened, Vec<Error>> {
    let candidate = approval.candidates.get(index).ok_or_else(|| vec![OpenFault::NoCandidate.into()])?;
    if approval.floor() > Floor::Mapped {
        let floor = if approval.floor() == Floor::Verity { "verity" } else { "immutable" };
        return Err(vec![OpenFault::BelowFloor { asked: "mapped", floor }.into()]);
    }
    // A view over the original directory cannot hide a file from a loader.
    if let Some((path, reason)) =
        candidate.files.withheld.iter().find(|(path, _)| loadable(path) == Loadable::Yes)
    {
        let reason = format!("a mapped view cannot withhold this file ({reason})");
        return Err(vec![OpenFault::Unavailable { path: Some(path.clone()), reason }.into()]);
    }
    let spec = Spec::of(approval, candidate, options);
    let hashed =
        hash(&approval.tree, &candidate.files.handed_out, &spec, options, approval.policy.rules.threads)
            .map_err(|error| vec![error])?;
    let mut files = BTreeMap::new();
    let mut errors = Vec::new();
    for Hashed { file: selected, outcome } in hashed {
        match outcome.and_then(|(file, digest)| MappedFile::new(selected, file, digest)) {
            Ok(file) => {
                files.insert(selected.path.clone(), file);
            }
            Err(error) => errors.push(error.at(&selected.path)),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Opened { files })
}

impl Opened {
    pub(super) fn complete(&self, records: &mut [FileRecord]) {
        for record in records {
            if let Some(file) = self.files.get(&record.path) {
                record.digest = Some(file.digest.clone());
            }
        }
    }

    pub(super) fn into_model(self, verdict: Verdict, recorder: &Recorder) -> MappedModel {
        MappedModel { files: self.files, verdict, head: recorder.head() }
    }
}

impl MappedModel {
    /// The record of this load.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The head of the ledger after this load's record; `None` without a ledger.
    #[must_use]
    pub fn ledger_head(&self) -> Option<Head> {
        self.head
    }

    /// All files, in path order.
    pub fn files(&self) -> impl Iterator<Item = &MappedFile> {
        self.files.values()
    }

    /// One file by its signed path.
    ///
    /// # Errors
    ///
    /// `file.not_handed_out`.
    pub fn file(&self, path: &str) -> Result<&MappedFile, Error> {
        self.files.get(path).ok_or_else(|| OpenFault::NotHandedOut { path: path.to_owned() }.into())
    }
}

impl MappedFile {
    fn new(selected: &Selected, file: File, digest: String) -> Result<Self, Error> {
        let mapping = Mapping::new(&file).map_err(|error| refused("a mapping", &error))?;
        Ok(Self {
            path: selected.path.clone(),
            size: selected.size,
            format: selected.format,
            file,
            mapping,
            digest,
        })
    }

    /// Reads bytes from `offset` on into `buffer`, and returns how many there were. Never more than one system call.
    ///
    /// # Errors
    ///
    /// `file.changed` if the file is shorter than it was when it was checked; `file.unreadable`. That the bytes still
    /// are what was checked is *not* tested here.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Error> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let Some(part) = buffer.get_mut(..wanted) else { return Ok(0) };
        let read =
            read_at(&self.file, part, offset).map_err(|error| refused("a read", &error).at(&self.path))?;
        if read == 0 && wanted > 0 {
            return Err(OpenFault::SizeChanged {
                path: self.path.clone(),
                expected: self.size,
                found: offset,
            }
            .into());
        }
        Ok(read)
    }

    /// Reads the whole file into memory of the caller.
    ///
    /// # Errors
    ///
    /// As [`MappedFile::read_at`].
    pub fn read(&self) -> Result<Vec<u8>, Error> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size).map_err(|_| OpenFault::System {
            what: "memory",
            detail: format!("{size} bytes for {}", self.path),
        })?;
        bytes.resize(size, 0);
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            filled += self.read_at(rest, u64::try_from(filled).unwrap_or(u64::MAX))?;
        }
        Ok(bytes)
    }

    /// The mapping itself, without a copy. Looking at its bytes is `unsafe`; see [`Mapping::as_slice`].
    #[must_use]
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// The signed path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Size in bytes when it was checked.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The format its name claims.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}
