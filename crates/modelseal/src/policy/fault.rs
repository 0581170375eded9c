//! Everything that can be wrong with a policy document or a file it names.

use super::document::VERSION;
use crate::error::{Code, Evidence, Fault};
use crate::limits;

/// One thing wrong in a document, and where.
#[derive(Debug, thiserror::Error)]
#[error("{owner}{problem}")]
pub(super) struct DocumentFault {
    pub(super) shown: String,
    /// From 1; `None` for the document as a whole and for values that were built in Rust.
    pub(super) line: Option<usize>,
    /// The table it is about, as the message begins, or nothing.
    pub(super) owner: String,
    pub(super) problem: Problem,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("`any_identity` can only be `true`; without it, write the `subject`")]
    AnyIdentityFalse,
    #[error("`{key}` is empty")]
    Empty { key: &'static str },
    #[error("`{key}` names the file '{path}', but this policy was not read from a file")]
    FileInText { key: &'static str, path: String },
    #[error("'{found}' is not a format that can be listed")]
    Format { found: String },
    #[error("the key in {material} is not acceptable: {detail}")]
    Key { material: String, detail: String },
    #[error("'{found}' is not a ledger")]
    Ledger { found: String },
    #[error("`match` is neither a model name nor the beginning of one followed by `*`")]
    Match,
    #[error("{material} cannot be used: {detail}")]
    Material { material: String, detail: String },
    #[error("'{found}' is not a `max_age`")]
    MaxAge { found: String },
    #[error("an entry of `{key}` is neither PEM text nor the name of a file")]
    NeitherPemNorPath { key: &'static str },
    #[error("one of `keyless`, `certificate` and `key` is missing")]
    NoMethod,
    #[error("the document is not UTF-8 text")]
    NotText,
    #[error("the policy has no [[model]]")]
    NoModel,
    #[error("the policy has no [[publisher]]")]
    NoPublisher,
    #[error("`observe_until` is '{found}', which is not a moment")]
    ObserveUntil { found: String },
    #[error("'{found}' is not a pin")]
    Pin { found: String },
    #[error("`name` is not a publisher's name")]
    PublisherName,
    #[error("`{key}` is a relative path, but this policy has no directory")]
    RelativePath { key: &'static str },
    #[error("`{key}` lists '{found}' twice")]
    Repeated { key: &'static str, found: String },
    #[error("one of `publishers` and `all_of` is missing")]
    RequireMissing,
    #[error("only one of `publishers` and `all_of` may be present")]
    RequireTwice,
    #[error("another [[model]] has the same `match`")]
    SameModel,
    #[error("another [[publisher]] has the same `name`")]
    SamePublisher,
    #[error("only one of `keyless`, `certificate` and `key` may be present")]
    SeveralMethods,
    #[error("one of `subject` and `any_identity` is missing")]
    SubjectMissing,
    #[error("only one of `subject` and `any_identity` may be present")]
    SubjectTwice,
    #[error("{detail}")]
    Syntax { detail: String },
    #[error("`threads` is {found}")]
    Threads { found: i64 },
    #[error("the policy names more than {} files", limits::POLICY_FILES)]
    TooManyFiles,
    #[error("no [[publisher]] has the name '{found}'")]
    UnknownPublisher { found: String },
    #[error("the policy cannot be read: {detail}")]
    Unreadable { detail: String },
    #[error("the policy is of version {found}; this library reads version {VERSION}")]
    Version { found: i64 },
    #[error("the policy does not say its version")]
    VersionMissing,
}

impl Fault for DocumentFault {
    fn code(&self) -> Code {
        match self.problem {
            Problem::Key { .. } => Code::KeyUnsupported,
            Problem::Match => Code::PolicyNameInvalid,
            Problem::Material { .. } | Problem::TooManyFiles => Code::TrustUnreadable,
            Problem::Unreadable { .. } => Code::PolicyUnreadable,
            Problem::Version { .. } | Problem::VersionMissing => Code::PolicyVersion,
            Problem::AnyIdentityFalse
            | Problem::Empty { .. }
            | Problem::FileInText { .. }
            | Problem::Format { .. }
            | Problem::Ledger { .. }
            | Problem::MaxAge { .. }
            | Problem::NeitherPemNorPath { .. }
            | Problem::NoMethod
            | Problem::NoModel
            | Problem::NoPublisher
            | Problem::NotText
            | Problem::ObserveUntil { .. }
            | Problem::Pin { .. }
            | Problem::PublisherName
            | Problem::RelativePath { .. }
            | Problem::Repeated { .. }
            | Problem::RequireMissing
            | Problem::RequireTwice
            | Problem::SameModel
            | Problem::SamePublisher
            | Problem::SeveralMethods
            | Problem::SubjectMissing
            | Problem::SubjectTwice
            | Problem::Syntax { .. }
            | Problem::Threads { .. }
            | Problem::UnknownPublisher { .. } => Code::PolicyMalformed,
        }
    }

    fn path(&self) -> Option<String> {
        Some(self.shown.clone())
    }

    fn evidence(&self) -> Vec<Evidence> {
        self.line.map(|line| Evidence::new("line", line)).into_iter().collect()
    }

    fn remedy(&self) -> Option<String> {
        let remedy = match &self.problem {
            Problem::FileInText { .. } => "Load the policy from its file, or write the PEM text itself.",
            Problem::Format { .. } => {
                "List executable, gguf, numpy, onnx, other, pickle, python, safetensors or tensorflow; inert files \
                 need no listing."
            }
            Problem::Ledger { .. } => "Write `stderr`, `fd:N`, a file or a directory.",
            Problem::Match => {
                "Use one to four segments of letters, digits, `.`, `_` and `-`, joined by `/`; `*` only at the end."
            }
            Problem::MaxAge { .. } => "Write days (`90d`), hours (`12h`), at most 3650d, or `unlimited`.",
            Problem::NoModel => "Add a [[model]]; a policy without one denies everything.",
            Problem::NoPublisher => "Add a [[publisher]]; a policy without one denies everything.",
            Problem::ObserveUntil { .. } => "Write a date, or a date and time with `Z` or an offset.",
            Problem::Pin { .. } => "Write `dirHash:` or `treeHash:` and 64 hexadecimal digits.",
            Problem::PublisherName => {
                "Use at most 96 letters, digits, `.`, `_` and `-`; begin with a letter or a digit."
            }
            Problem::RelativePath { .. } => "Write an absolute path, or load the policy from a file.",
            Problem::SubjectMissing => {
                "Write the `subject` of the signing certificate, or `any_identity = true`."
            }
            Problem::Threads { .. } => "Write a number from 1 to 1024, or nothing for one per processor.",
            Problem::VersionMissing => "Write `version = 1`.",
            Problem::AnyIdentityFalse
            | Problem::Empty { .. }
            | Problem::Key { .. }
            | Problem::Material { .. }
            | Problem::NeitherPemNorPath { .. }
            | Problem::NoMethod
            | Problem::NotText
            | Problem::Repeated { .. }
            | Problem::RequireMissing
            | Problem::RequireTwice
            | Problem::SameModel
            | Problem::SamePublisher
            | Problem::SeveralMethods
            | Problem::SubjectTwice
            | Problem::Syntax { .. }
            | Problem::TooManyFiles
            | Problem::UnknownPublisher { .. }
            | Problem::Unreadable { .. }
            | Problem::Version { .. } => return None,
        };
        Some(remedy.to_owned())
    }
}
