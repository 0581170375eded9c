//! Approval to verified bytes. The only place that builds a [`VerifiedModel`].
//!
//! Each file is opened once beneath the held root, copied to where the assurance wants it, hashed in the same
//! pass, and parsed only after its digest matched.

mod backing;
mod compare;
mod directory;
mod hash;
mod mapped;
mod model;
mod pass;

pub use compare::CompareOptions;
pub use directory::VerifiedDirectory;
pub use mapped::{MappedFile, MappedModel};
pub use model::{Tensor, VerifiedBytes, VerifiedFile, VerifiedModel, VerifiedReader};
pub(crate) use pass::survey;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::digest::{CancelToken, Executor, Progress};
use crate::error::{Code, Error, Evidence, Fault};
use crate::ledger::{Coverage, Event, LoadId, Outcome};
use crate::policy::approval::{Selected, file_records, finding};
use crate::policy::{Approval, Floor};

/// How the bytes are held after the open.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Assurance {
    /// `verity` where a file has enforced fs-verity with the signed digest, else `private`.
    #[default]
    Auto,
    /// Anonymous memory of this process.
    Private,
    /// Sealed memfds: nobody, this process included, can change or truncate them. Linux only.
    Sealed,
    /// The kernel checks every byte against the signed fs-verity digest. Linux only.
    Verity,
}

/// When files are checked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verification {
    /// All selected files before the open returns.
    #[default]
    Eager,
    /// Signature, policy, file set and every inert file before the open returns; each weights file when it is
    /// first touched. The access returns a `Result`; a mismatch is recorded, and every further access to the
    /// model then fails with the same code. If bundles of accepted publishers list different contents, everything is
    /// checked before the open returns, as with `Eager`.
    OnAccess,
}

/// How to open: assurance, when to check, threads, progress, cancellation.
///
/// ```
/// use modelseal::{Assurance, CancelToken, OpenOptions};
///
/// let token = CancelToken::new();
/// let options = OpenOptions::new().assurance(Assurance::Sealed).cancel(token.clone());
/// # let _ = options;
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct OpenOptions {
    pub(crate) assurance: Assurance,
    pub(crate) verification: Verification,
    pub(crate) thorough: bool,
    pub(crate) threads: Option<NonZeroUsize>,
    pub(crate) progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
    pub(crate) cancel: CancelToken,
    pub(crate) load: Option<LoadId>,
}

impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions")
            .field("assurance", &self.assurance)
            .field("verification", &self.verification)
            .finish_non_exhaustive()
    }
}

impl OpenOptions {
    /// Eager, [`Assurance::Auto`], all cores, no progress.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the mechanism. The policy's floor still holds.
    pub fn assurance(mut self, assurance: Assurance) -> Self {
        self.assurance = assurance;
        self
    }

    /// Says when files are checked.
    pub fn verification(mut self, verification: Verification) -> Self {
        self.verification = verification;
        self
    }

    /// Hashes on after a mismatch, so that the record lists every finding. The verdict is the same.
    pub fn thorough(mut self) -> Self {
        self.thorough = true;
        self
    }

    /// Bounds the worker threads. Affects speed only. The policy's own bound is never exceeded.
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Calls back with bytes done and total, from worker threads, one call at a time.
    pub fn progress(mut self, progress: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }

    /// Records the load under this id, so that the ranks of one load can be told to belong together. Without it, a random
    /// one. Used by [`crate::verify_and_open_with`] and [`crate::verify_and_map`].
    pub fn load_id(mut self, load: LoadId) -> Self {
        self.load = Some(load);
        self
    }

    /// Lets another thread stop the open, which then ends with `open.cancelled`.
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.cancel = token;
        self
    }

    /// The executor of one batch. Progress counts the batches before it and the total of all.
    fn executor(&self, bound: Option<NonZeroUsize>, batch: Option<Span>) -> Executor {
        let threads = match (self.threads, bound) {
            (Some(asked), Some(bound)) => Some(asked.min(bound)),
            (asked, bound) => asked.or(bound),
        };
        let progress = match (self.progress.clone(), batch) {
            (Some(progress), Some(Span { before, total })) => {
                let shifted = move |part: Progress| {
                    let bytes_done = before.saturating_add(part.bytes_done);
                    progress(Progress { bytes_done, bytes_total: total });
                };
                let shifted: Arc<dyn Fn(Progress) + Send + Sync> = Arc::new(shifted);
                Some(shifted)
            }
            (progress, _) => progress,
        };
        Executor::new(threads, self.cancel.clone(), progress)
    }
}

/// Where a batch stands in a whole pass, in bytes.
#[derive(Clone, Copy, Debug)]
struct Span {
    before: u64,
    total: u64,
}

impl Span {
    fn of<'f>(files: impl IntoIterator<Item = &'f Selected>) -> Self {
        let total = files.into_iter().fold(0_u64, |sum, file| sum.saturating_add(file.size));
        Self { before: 0, total }
    }

    fn after<'f>(self, batch: impl IntoIterator<Item = &'f Selected>) -> Self {
        Self { before: self.before.saturating_add(Self::of(batch).total), ..self }
    }
}

impl Approval {
    /// Reads, hashes and hands out the model with [`OpenOptions::new`].
    ///
    /// # Errors
    ///
    /// As [`Approval::open_with`].
    ///
    /// An approval opens once:
    ///
    /// ```compile_fail,E0382
    /// # fn f(approval: modelseal::Approval) {
    /// let model = approval.open();
    /// let again = approval.open();
    /// # }
    /// ```
    pub fn open(self) -> Result<VerifiedModel, Error> {
        self.open_with(&OpenOptions::new())
    }

    /// Reads each file once, hashes it while it moves to its final place, and hands out the model.
    ///
    /// Blocks until all selected files are checked (eager) or until the inert ones are (on access). The record is
    /// written to the policy's ledger before the model is handed out.
    ///
    /// # Errors
    ///
    /// `file.*`, `format.*`, `assurance.*`, `open.*`: the first in path order; the record lists the others known.
    /// `ledger.unwritable` if the record cannot be written.
    pub fn open_with(self, options: &OpenOptions) -> Result<VerifiedModel, Error> {
        let verification = self.verification(options);
        self.attempt(
            |approval, index| pass::open(approval, index, options, verification),
            |opened, verdict| {
                verdict.assurance = Some(opened.assurance());
                verdict.coverage = Some(match verification {
                    Verification::Eager => Coverage::Whole,
                    Verification::OnAccess => Coverage::OnAccess,
                });
                opened.complete(&mut verdict.files);
            },
            |opened, verdict, ledger| opened.into_model(verdict, ledger),
        )
    }

    /// Hashes the model in place and hands out views of the original files.
    ///
    /// The bytes matched when they were read. Afterwards file permissions are all that protects them, so this is
    /// another function and another type, and the policy must say `assurance = "mapped"`.
    ///
    /// # Errors
    ///
    /// `assurance.below_floor` unless the policy's floor is `mapped`; `assurance.unavailable` if a withheld file
    /// lies where a loader would find it; else as [`Approval::open_with`].
    pub fn open_mapped(self, options: &OpenOptions) -> Result<MappedModel, Error> {
        self.attempt(
            |approval, index| mapped::open(approval, index, options),
            |opened, verdict| {
                verdict.assurance = Some("mapped");
                verdict.coverage = Some(Coverage::Whole);
                opened.complete(&mut verdict.files);
            },
            |opened, verdict, recorder| opened.into_model(verdict, &recorder),
        )
    }

    /// When to check. If accepted publishers signed different contents, only the bytes can tell which of them this is,
    /// so all are checked at once: settling on one would let its bundle close what another one opens.
    fn verification(&self, options: &OpenOptions) -> Verification {
        let mut contents = self.candidates.iter().map(|candidate| &candidate.content.manifest.files);
        let first = contents.next();
        if contents.all(|content| Some(content) == first) {
            options.verification
        } else {
            Verification::Eager
        }
    }

    /// Tries each accepted content until one matches; the error is the first one's. Leaves exactly one record.
    fn attempt<O, M>(
        mut self,
        open: impl Fn(&Self, usize) -> Result<O, Vec<Error>>,
        complete: impl FnOnce(&O, &mut crate::ledger::Verdict),
        hand_out: impl FnOnce(O, crate::ledger::Verdict, model::Recorder) -> M,
    ) -> Result<M, Error> {
        let mut first: Option<(usize, Vec<Error>)> = None;
        for index in 0..self.candidates.len() {
            match open(&self, index) {
                Ok(opened) => {
                    self.describe(index);
                    let verdict = &mut self.draft.verdict;
                    verdict.outcome = Outcome::Allowed;
                    complete(&opened, verdict);
                    return match self.policy.rules.ledger.append(
                        Event::Load,
                        &self.draft.load,
                        &self.draft.verdict,
                    ) {
                        Ok(head) => {
                            let recorder = model::Recorder::new(self.policy.clone(), self.draft.load, head);
                            Ok(hand_out(opened, self.draft.verdict, recorder))
                        }
                        Err(unwritable) => {
                            let verdict = self.draft.verdict.denied(&unwritable);
                            Err(unwritable.with_verdict(verdict))
                        }
                    };
                }
                Err(errors) => {
                    first.get_or_insert((index, errors));
                }
            }
        }
        let Some((index, errors)) = first else {
            return Err(OpenFault::NoCandidate.into());
        };
        self.describe(index);
        let rule = self.policy.rules.models.get(self.rule).map(|rule| rule.shown.clone()).unwrap_or_default();
        let errors: Vec<Error> = errors.into_iter().map(|error| error.with("rule", &rule)).collect();
        self.draft.verdict.findings = errors.iter().map(finding).collect();
        let error = errors.into_iter().next().unwrap_or_else(|| OpenFault::NoCandidate.into());
        Err(self.draft.deny(&self.policy, error))
    }

    fn describe(&mut self, index: usize) {
        if let Some(candidate) = self.candidates.get(index) {
            self.draft.describe(&candidate.content);
            self.draft.verdict.files = file_records(&candidate.files);
        }
    }

    pub(crate) fn floor(&self) -> Floor {
        self.policy.rules.models.get(self.rule).map_or(Floor::Verity, |rule| rule.floor)
    }

    pub(crate) fn annotations(&self) -> bool {
        self.policy.rules.models.get(self.rule).is_some_and(|rule| rule.annotations)
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenFault {
    #[error("the signed digests of this file contradict each other")]
    Annotation { path: String, expected: String, found: String },
    #[error("the rule asks for a stronger assurance")]
    BelowFloor { asked: &'static str, floor: &'static str },
    #[error("the content belies the name")]
    Content { path: String, found: &'static str },
    #[error("the bytes differ from the signed digest")]
    Digest { path: String, expected: String, found: String },
    #[error("there is not enough memory for the copy")]
    Memory { needed: u64, available: u64, limit: String },
    #[error("no content was approved")]
    NoCandidate,
    #[error("this file is not handed out")]
    NotHandedOut { path: String },
    #[error("an earlier access found this model changed: {message}")]
    Poisoned { code: Code, path: Option<String>, message: String },
    #[error("the size is not the one found when the directory was walked")]
    SizeChanged { path: String, expected: u64, found: u64 },
    #[error("{what} was refused by the operating system: {detail}")]
    System { what: &'static str, detail: String },
    #[error("no tensor of this name is handed out")]
    TensorMissing { name: String },
    #[error("several files have a tensor of this name, and no index prefers one")]
    TensorTwice { name: String, files: String },
    #[error("{reason}")]
    Unavailable { path: Option<String>, reason: String },
    #[error("the file's fs-verity digest is not the signed one")]
    Verity { path: String, expected: String, found: String },
}

impl Fault for OpenFault {
    fn code(&self) -> Code {
        match self {
            Self::Annotation { .. } => Code::ManifestAnnotation,
            Self::BelowFloor { .. } => Code::AssuranceBelowFloor,
            Self::Content { .. } => Code::FormatContentMismatch,
            Self::Digest { .. } => Code::FileDigestMismatch,
            Self::Memory { .. } => Code::AssuranceMemory,
            Self::NoCandidate => Code::PolicyNoPublisher,
            Self::NotHandedOut { .. } => Code::FileNotHandedOut,
            Self::TensorTwice { .. } => Code::FormatIndex,
            Self::Poisoned { code, .. } => *code,
            Self::SizeChanged { .. } => Code::FileChanged,
            Self::System { .. } => Code::OpenSystem,
            Self::TensorMissing { .. } => Code::TensorMissing,
            Self::Unavailable { .. } => Code::AssuranceUnavailable,
            Self::Verity { .. } => Code::AssuranceVerity,
        }
    }

    fn path(&self) -> Option<String> {
        match self {
            Self::Annotation { path, .. }
            | Self::Content { path, .. }
            | Self::Digest { path, .. }
            | Self::NotHandedOut { path }
            | Self::SizeChanged { path, .. }
            | Self::Verity { path, .. } => Some(path.clone()),
            Self::TensorMissing { name } | Self::TensorTwice { name, .. } => Some(name.clone()),
            Self::Poisoned { path, .. } | Self::Unavailable { path, .. } => path.clone(),
            Self::BelowFloor { .. } | Self::Memory { .. } | Self::NoCandidate | Self::System { .. } => None,
        }
    }

    fn evidence(&self) -> Vec<Evidence> {
        match self {
            Self::Annotation { expected, found, .. }
            | Self::Digest { expected, found, .. }
            | Self::Verity { expected, found, .. } => {
                vec![Evidence::new("expected", expected), Evidence::new("found", found)]
            }
            Self::BelowFloor { asked, floor } => {
                vec![Evidence::new("asked", asked), Evidence::new("floor", floor)]
            }
            Self::Content { found, .. } => vec![Evidence::new("found", found)],
            Self::Memory { needed, available, limit } => vec![
                Evidence::new("needed", format!("{needed} bytes")),
                Evidence::new("available", format!("{available} bytes")),
                Evidence::new("limit", limit),
            ],
            Self::TensorTwice { files, .. } => vec![Evidence::new("files", files)],
            Self::SizeChanged { expected, found, .. } => {
                vec![Evidence::new("expected", expected), Evidence::new("found", found)]
            }
            Self::NoCandidate
            | Self::NotHandedOut { .. }
            | Self::Poisoned { .. }
            | Self::System { .. }
            | Self::TensorMissing { .. }
            | Self::Unavailable { .. } => Vec::new(),
        }
    }
}
