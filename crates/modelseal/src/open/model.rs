//! What an open hands out: files, bytes and tensors that can only be verified bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::OpenFault;
use super::backing::Backing;
use super::directory::VerifiedDirectory;
use super::pass::{self, Spec};
use crate::digest::Executor;
use crate::error::{Code, Error};
use crate::format::{DataType, Format, MetadataValue, Reference, TensorInfo, WeightsFile};
use crate::json::Value;
use crate::ledger::{Event, FileRecord, Head, LoadId, Verdict};
use crate::policy::Policy;
use crate::policy::approval::{Selected, finding};

/// A model whose publisher and bytes were verified. Made by [`crate::Approval::open`] only.
///
/// Cheap to clone and safe to share between threads; clones share one set of bytes. A path is not proof, so there
/// is no `AsRef<Path>`:
///
/// ```compile_fail,E0277
/// fn f(model: modelseal::VerifiedModel) {
///     std::fs::read_dir(model);
/// }
/// ```
#[derive(Clone, Debug)]
pub struct VerifiedModel {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    files: BTreeMap<String, FileState>,
    /// What the signed documents say of other files.
    references: Vec<Reference>,
    verdict: Verdict,
    recorder: Recorder,
    spec: Spec,
    executor: Executor,
    poison: OnceLock<Poison>,
}

#[derive(Debug)]
struct FileState {
    size: u64,
    format: Format,
    slot: Mutex<Slot>,
}

#[derive(Debug)]
enum Slot {
    /// On access, not touched yet: the descriptor that was opened beneath the root.
    Pending(Box<Selected>, File),
    Ready(Content),
    Released,
}

/// Why every further access fails.
#[derive(Debug)]
struct Poison {
    code: Code,
    path: Option<String>,
    message: String,
}

/// Bytes of one file that matched, and what was found in them.
#[derive(Clone, Debug)]
pub(super) struct Content {
    backing: Arc<Backing>,
    weights: Option<Arc<WeightsFile>>,
    digest: String,
}

impl Content {
    pub(super) fn new(backing: Backing, weights: Option<WeightsFile>, digest: String) -> Self {
        Self { backing: Arc::new(backing), weights: weights.map(Arc::new), digest }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.backing.as_slice()
    }

    pub(super) fn weights(&self) -> Option<Arc<WeightsFile>> {
        self.weights.clone()
    }
}

/// A candidate whose files matched, before its record is written.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) contents: BTreeMap<String, Content>,
    /// Files to check on access, with their descriptors.
    pub(super) later: BTreeMap<String, (Selected, File)>,
    /// Sizes and formats of all handed-out files.
    pub(super) shapes: BTreeMap<String, (u64, Format)>,
    pub(super) references: Vec<Reference>,
    pub(super) spec: Spec,
    pub(super) executor: Executor,
}

impl Opened {
    /// The mechanism that holds all bytes, or the weakest of several.
    pub(super) fn assurance(&self) -> &'static str {
        let held: Vec<&str> = self.contents.values().map(|content| content.backing.as_str()).collect();
        match held.first() {
            Some(first) if held.iter().all(|name| name == first) => first,
            _ => "private",
        }
    }

    pub(super) fn complete(&self, records: &mut [FileRecord]) {
        for record in records {
            if let Some(content) = self.contents.get(&record.path) {
                record.digest = Some(content.digest.clone());
            }
        }
    }

    pub(super) fn into_model(mut self, verdict: Verdict, recorder: Recorder) -> VerifiedModel {
        let mut files = BTreeMap::new();
        for (path, (size, format)) in self.shapes {
            let slot = match (self.contents.remove(&path), self.later.remove(&path)) {
                (Some(content), _) => Slot::Ready(content),
                (None, Some((selected, file))) => Slot::Pending(Box::new(selected), file),
                (None, None) => continue,
            };
            files.insert(path, FileState { size, format, slot: Mutex::new(slot) });
        }
        VerifiedModel {
            shared: Arc::new(Shared {
                files,
                references: self.references,
                verdict,
                recorder,
                spec: self.spec,
                executor: self.executor,
                poison: OnceLock::new(),
            }),
        }
    }
}

/// Appends later events of one load to the policy's ledger.
#[derive(Debug)]
pub(super) struct Recorder {
    policy: Policy,
    load: LoadId,
    head: Option<Head>,
}

impl Recorder {
    pub(super) fn new(policy: Policy, load: LoadId, head: Option<Head>) -> Self {
        Self { policy, load, head }
    }

    pub(super) fn head(&self) -> Option<Head> {
        self.head
    }

    /// Records a mismatch found on access. If the record cannot be written, the error says so as its source.
    fn fault(&self, verdict: &Verdict, error: Error) -> Error {
        let mut verdict = verdict.clone();
        verdict.findings = vec![finding(&error)];
        self.policy.rules.ledger.deny(Event::Fault, &self.load, verdict, error)
    }
}

impl VerifiedModel {
    /// The record of this load: plain data, never a key.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.shared.verdict
    }

    /// The head of the ledger after this load's record: keep it elsewhere, and a ledger that is cut or written anew will
    /// show. `None` without a ledger.
    #[must_use]
    pub fn ledger_head(&self) -> Option<Head> {
        self.shared.recorder.head()
    }

    /// The paths of all files that are handed out, sorted by bytes.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.shared.files.keys().map(String::as_str)
    }

    /// One file by its signed path.
    ///
    /// # Errors
    ///
    /// `file.not_handed_out`: not signed, withheld or not selected; the record says which.
    pub fn file(&self, path: &str) -> Result<VerifiedFile, Error> {
        match self.shared.files.get_key_value(path) {
            Some((path, _)) => Ok(VerifiedFile { shared: Arc::clone(&self.shared), path: path.clone() }),
            None => Err(OpenFault::NotHandedOut { path: path.to_owned() }.into()),
        }
    }

    /// All files, in path order.
    pub fn files(&self) -> impl Iterator<Item = VerifiedFile> {
        self.shared
            .files
            .keys()
            .map(|path| VerifiedFile { shared: Arc::clone(&self.shared), path: path.clone() })
    }

    /// Frees a file's copy. Views that are still held keep their bytes; later accesses are `file.not_handed_out`.
    ///
    /// # Errors
    ///
    /// `file.not_handed_out` if there is no such file.
    pub fn release(&self, path: &str) -> Result<(), Error> {
        let state =
            self.shared.files.get(path).ok_or_else(|| OpenFault::NotHandedOut { path: path.to_owned() })?;
        *state.slot.lock().unwrap_or_else(PoisonError::into_inner) = Slot::Released;
        Ok(())
    }

    /// Name, type and shape of every tensor with its file, in file and then header order. On access this touches
    /// every weights file.
    ///
    /// # Errors
    ///
    /// On access: those of [`VerifiedFile::bytes`].
    pub fn tensors(&self) -> Result<Vec<(String, TensorInfo)>, Error> {
        let mut all = Vec::new();
        for (path, state) in &self.shared.files {
            if state.format.has_tensors() {
                let content = self.shared.touch(path)?;
                if let Some(weights) = &content.weights {
                    all.extend(weights.tensors().iter().map(|tensor| (path.clone(), tensor.clone())));
                }
            }
        }
        Ok(all)
    }

    /// One tensor by name, across the shards of the model. A signed index decides which file it comes from. On access
    /// without an index this touches every weights file.
    ///
    /// # Errors
    ///
    /// `tensor.missing`; `format.index` if several files have it and no index prefers one (then say the file, with
    /// [`VerifiedModel::tensor_in`]); on access those of [`VerifiedFile::bytes`].
    pub fn tensor(&self, name: &str) -> Result<Tensor, Error> {
        let indexed = self.shared.references.iter().find(|reference| reference.tensors.contains(name));
        if let Some(reference) = indexed {
            return self.shared.tensor_in(&reference.to, name)?.ok_or_else(|| missing(name));
        }
        let mut found: Option<Tensor> = None;
        for (path, state) in &self.shared.files {
            let tensor = if state.format.has_tensors() { self.shared.tensor_in(path, name)? } else { None };
            match (&found, tensor) {
                (_, None) => {}
                (None, tensor) => found = tensor,
                (Some(first), Some(second)) => {
                    let files = format!("{}, {}", first.file, second.file);
                    return Err(OpenFault::TensorTwice { name: name.to_owned(), files }.into());
                }
            }
        }
        found.ok_or_else(|| missing(name))
    }

    /// One tensor of one file: for models that ship two sets of weights with equal names.
    ///
    /// # Errors
    ///
    /// `file.not_handed_out`, `tensor.missing`; on access those of [`VerifiedFile::bytes`].
    pub fn tensor_in(&self, path: &str, name: &str) -> Result<Tensor, Error> {
        self.file(path)?;
        self.shared.tensor_in(path, name)?.ok_or_else(|| missing(name))
    }

    /// The metadata of one weights file: the string map of safetensors, the key-value pairs of GGUF.
    ///
    /// # Errors
    ///
    /// `file.not_handed_out`; on access those of [`VerifiedFile::bytes`].
    pub fn metadata(&self, path: &str) -> Result<BTreeMap<String, MetadataValue>, Error> {
        self.file(path)?;
        let content = self.shared.touch(path)?;
        Ok(content.weights.as_ref().map(|weights| weights.metadata().clone()).unwrap_or_default())
    }

    /// The chat template as verified text: `chat_template.jinja`, else `chat_template` of `tokenizer_config.json`,
    /// else `tokenizer.chat_template` of the first GGUF file that has one. `None` if the model has none.
    ///
    /// A template is code that runs on every request; take it from here and from nowhere else.
    ///
    /// # Errors
    ///
    /// On access those of [`VerifiedFile::bytes`]; `format.content_mismatch` if it is not text.
    pub fn chat_template(&self) -> Result<Option<String>, Error> {
        if let Ok(file) = self.file("chat_template.jinja") {
            let bytes = file.bytes()?;
            return match std::str::from_utf8(&bytes) {
                Ok(text) => Ok(Some(text.to_owned())),
                Err(_) => Err(OpenFault::Content { path: file.path, found: "text that is not UTF-8" }.into()),
            };
        }
        if let Ok(file) = self.file("tokenizer_config.json")
            && let Ok(document) = Value::parse(&file.bytes()?)
            && let Some(template) = document.get("chat_template").and_then(Value::as_str)
        {
            return Ok(Some(template.to_owned()));
        }
        for (path, state) in &self.shared.files {
            if state.format == Format::Gguf {
                let content = self.shared.touch(path)?;
                if let Some(template) = content.weights.as_ref().and_then(|weights| weights.chat_template()) {
                    return Ok(Some(template.to_owned()));
                }
            }
        }
        Ok(None)
    }

    /// A private directory through which an unmodified loader reads exactly the verified bytes. Linux only.
    ///
    /// Every handed-out file appears under its signed path as a link to a sealed, read-only descriptor of this
    /// process. The directory works for this user in this PID namespace while the returned value lives.
    ///
    /// # Errors
    ///
    /// `assurance.unavailable` elsewhere than on Linux; `open.system`; on access those of [`VerifiedFile::bytes`].
    pub fn directory(&self) -> Result<VerifiedDirectory, Error> {
        VerifiedDirectory::of(self)
    }
}

fn missing(name: &str) -> Error {
    OpenFault::TensorMissing { name: name.to_owned() }.into()
}

impl Shared {
    /// The content of a file; on access, the moment it is read and checked.
    fn touch(&self, path: &str) -> Result<Content, Error> {
        if let Some(poison) = self.poison.get() {
            return Err(OpenFault::Poisoned {
                code: poison.code,
                path: poison.path.clone(),
                message: poison.message.clone(),
            }
            .into());
        }
        let not_handed_out = || OpenFault::NotHandedOut { path: path.to_owned() };
        let state = self.files.get(path).ok_or_else(not_handed_out)?;
        let mut slot = state.slot.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *slot, Slot::Released) {
            Slot::Ready(content) => {
                *slot = Slot::Ready(content.clone());
                Ok(content)
            }
            Slot::Pending(selected, file) => {
                let read = pass::read_one(&selected, file, &self.spec, &self.executor)
                    .and_then(|content| self.check_tensors(path, &content).map(|()| content));
                match read {
                    Ok(content) => {
                        *slot = Slot::Ready(content.clone());
                        Ok(content)
                    }
                    Err(error) => Err(self.poisoned(error)),
                }
            }
            Slot::Released => Err(not_handed_out().into()),
        }
    }

    /// Holds a file that was just parsed against what the signed indexes say of it.
    fn check_tensors(&self, path: &str, content: &Content) -> Result<(), Error> {
        let Some(weights) = &content.weights else { return Ok(()) };
        self.references
            .iter()
            .filter(|reference| reference.to == path && !reference.tensors.is_empty())
            .try_for_each(|reference| reference.check_tensors(Some(weights)))
    }

    fn poisoned(&self, error: Error) -> Error {
        let poison = Poison {
            code: error.code(),
            path: error.path().map(str::to_owned),
            message: error.message().to_owned(),
        };
        // Two threads may find two faults; the first one's code stays.
        let _ = self.poison.set(poison);
        self.recorder.fault(&self.verdict, error)
    }

    fn tensor_in(&self, path: &str, name: &str) -> Result<Option<Tensor>, Error> {
        let content = self.touch(path)?;
        let Some(weights) = &content.weights else { return Ok(None) };
        let Some(info) = weights.tensors().iter().find(|tensor| tensor.name() == name) else {
            return Ok(None);
        };
        // The parser checked that the range lies within these bytes.
        let offset = |end: u64| usize::try_from(end).map_err(|_| missing(name));
        let range = offset(info.range().start)?..offset(info.range().end)?;
        Ok(Some(Tensor {
            info: info.clone(),
            file: path.to_owned(),
            bytes: VerifiedBytes { range, backing: content.backing },
        }))
    }
}

/// One verified file. Neither `Deref` nor `AsRef<Path>`: a path is not proof.
#[derive(Clone, Debug)]
pub struct VerifiedFile {
    shared: Arc<Shared>,
    path: String,
}

impl VerifiedFile {
    /// The signed path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.shared.files.get(&self.path).map_or(0, |state| state.size)
    }

    /// The format its name claims; verified content does not belie it.
    #[must_use]
    pub fn format(&self) -> Format {
        self.shared.files.get(&self.path).map_or(Format::Other, |state| state.format)
    }

    /// The verified bytes. On access, the first call reads and checks the file and may block.
    ///
    /// # Errors
    ///
    /// On access: `file.digest_mismatch`, `file.changed`, `file.unreadable`, `format.*`, `assurance.memory`. After
    /// a mismatch every further access to the model fails with the same code. After [`VerifiedModel::release`]:
    /// `file.not_handed_out`.
    pub fn bytes(&self) -> Result<VerifiedBytes, Error> {
        let content = self.shared.touch(&self.path)?;
        Ok(VerifiedBytes { range: 0..content.as_slice().len(), backing: content.backing })
    }

    /// A reader over the verified bytes, with a position of its own.
    ///
    /// # Errors
    ///
    /// As [`VerifiedFile::bytes`]. Reading itself cannot fail.
    pub fn reader(&self) -> Result<VerifiedReader, Error> {
        Ok(VerifiedReader { cursor: Cursor::new(self.bytes()?) })
    }

    /// A read-only descriptor of a sealed file with the verified bytes. Linux only.
    ///
    /// If the bytes are not in a sealed file yet, they are copied into one.
    ///
    /// # Errors
    ///
    /// As [`VerifiedFile::bytes`]; `open.system`; `assurance.unavailable` elsewhere than on Linux.
    pub fn descriptor(&self) -> Result<File, Error> {
        self.shared.touch(&self.path)?.backing.descriptor()
    }
}

/// Verified bytes: a whole file or a part of one. Keeps them in memory as long as it lives; cheap to clone.
#[derive(Clone)]
pub struct VerifiedBytes {
    backing: Arc<Backing>,
    range: Range<usize>,
}

impl VerifiedBytes {
    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        // The range was cut from this very backing; an empty slice is what a broken invariant would show.
        self.backing.as_slice().get(self.range.clone()).unwrap_or_default()
    }

    /// The mechanism that holds them: `private`, `sealed` or `verity`.
    #[must_use]
    pub fn assurance(&self) -> &'static str {
        self.backing.as_str()
    }
}

impl Deref for VerifiedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for VerifiedBytes {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl std::fmt::Debug for VerifiedBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedBytes").field("bytes", &self.range.len()).finish_non_exhaustive()
    }
}

/// Reads and seeks in verified bytes.
#[derive(Clone, Debug)]
pub struct VerifiedReader {
    cursor: Cursor<VerifiedBytes>,
}

impl Read for VerifiedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cursor.read(buffer)
    }
}

impl Seek for VerifiedReader {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.cursor.seek(position)
    }
}

/// One tensor: its description and its verified bytes, as they lie in the file.
#[derive(Clone, Debug)]
pub struct Tensor {
    info: TensorInfo,
    file: String,
    bytes: VerifiedBytes,
}

impl Tensor {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.info.name()
    }

    /// The type of the elements.
    #[must_use]
    pub fn dtype(&self) -> DataType {
        self.info.dtype()
    }

    /// The whole description: byte order, place in the file.
    #[must_use]
    pub fn info(&self) -> &TensorInfo {
        &self.info
    }

    /// The dimensions in elements, outermost first.
    #[must_use]
    pub fn shape(&self) -> &[u64] {
        self.info.shape()
    }

    /// The file it comes from.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The verified bytes.
    #[must_use]
    pub fn bytes(&self) -> &VerifiedBytes {
        &self.bytes
    }
}
