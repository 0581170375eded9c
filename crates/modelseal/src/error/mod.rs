//! One error for the crate, and the table of its codes.

mod code;

pub use code::Code;

use std::fmt;

use crate::ledger::Verdict;

/// What every stage's private error enum says of itself. [`Error`] is made from it with `?`.
pub(crate) trait Fault: std::error::Error + Send + Sync + 'static {
    /// The stable reason.
    fn code(&self) -> Code;
    /// The model file it is about, as a path relative to the model, or the document's path.
    fn path(&self) -> Option<String> {
        None
    }
    /// Expected and found values, names already escaped, never payload.
    fn evidence(&self) -> Vec<Evidence> {
        Vec::new()
    }
    /// A remedy more precise than the code's.
    fn remedy(&self) -> Option<String> {
        None
    }
}

/// One fact that supports an error, for example `expected` and a digest.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Evidence {
    /// What the fact is: `expected`, `found`, `rule`, `limit`, ...
    pub name: &'static str,
    /// Its value, escaped and bounded.
    pub value: String,
}

impl Evidence {
    /// A fact with a value that may be untrusted; it is escaped and bounded here.
    pub(crate) fn new(name: &'static str, value: impl fmt::Display) -> Self {
        Self { name, value: escaped(&value.to_string()) }
    }
}

/// Why a model was not opened.
///
/// Carries a stable [`Code`], the file it is about, evidence (expected and found) and a remedy; when the load
/// got far enough to leave a record, it carries that too. It never carries unverified payload, and names that
/// came from untrusted input are escaped and bounded.
///
/// ```
/// use modelseal::{Code, ModelName};
///
/// let error = ModelName::parse("../etc/passwd").unwrap_err();
/// assert_eq!(error.code(), Code::PolicyNameInvalid);
/// assert!(error.to_string().starts_with("policy.name_invalid: "));
/// ```
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    code: Code,
    message: String,
    path: Option<String>,
    evidence: Vec<Evidence>,
    remedy: Option<String>,
    verdict: Option<Box<Verdict>>,
    source: Option<Error>,
}

impl Error {
    /// The stable reason.
    #[must_use]
    pub fn code(&self) -> Code {
        self.inner.code
    }

    /// The file the error is about: a path relative to the model, or the path of a document. Escaped.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.inner.path.as_deref()
    }

    /// What happened, in one sentence, without code and remedy.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// The message with its evidence, without code and path.
    pub(crate) fn explained(&self) -> String {
        if self.inner.evidence.is_empty() {
            return self.inner.message.clone();
        }
        let facts: Vec<String> =
            self.inner.evidence.iter().map(|fact| format!("{} {}", fact.name, fact.value)).collect();
        format!("{} ({})", self.inner.message, facts.join(", "))
    }

    /// Expected and found values.
    #[must_use]
    pub fn evidence(&self) -> &[Evidence] {
        &self.inner.evidence
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &str {
        self.inner.remedy.as_deref().unwrap_or(self.inner.code.remedy())
    }

    /// The record of the denied load, if the load got far enough to leave one.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        self.inner.verdict.as_deref()
    }

    /// Attaches the record of the denied load.
    pub(crate) fn with_verdict(mut self, verdict: Verdict) -> Self {
        self.inner.verdict = Some(Box::new(verdict));
        self
    }

    /// Names the file, unless the error already names one.
    pub(crate) fn at(mut self, path: &str) -> Self {
        if self.inner.path.is_none() {
            self.inner.path = Some(escaped(path));
        }
        self
    }

    /// Adds a fact.
    pub(crate) fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.inner.evidence.push(Evidence::new(name, value));
        self
    }

    /// Keeps this error's code and says that `source` happened too.
    pub(crate) fn because(mut self, source: Error) -> Self {
        self.inner.source = Some(source);
        self
    }
}

impl<F: Fault> From<F> for Error {
    fn from(fault: F) -> Self {
        Self {
            inner: Box::new(Inner {
                code: fault.code(),
                message: escaped(&fault.to_string()),
                path: fault.path().map(|path| escaped(&path)),
                evidence: fault.evidence(),
                remedy: fault.remedy(),
                verdict: None,
                source: None,
            }),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.inner.code.as_str())?;
        if let Some(path) = &self.inner.path {
            write!(f, "{path}: ")?;
        }
        f.write_str(&self.explained())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self}; {})", self.remedy())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.inner.source {
            Some(source) => Some(source),
            None => None,
        }
    }
}

/// Makes untrusted text safe to print: control characters and bidirectional overrides are escaped, length is bounded.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(crate::limits::MESSAGE_CHARS));
    for (count, character) in text.chars().enumerate() {
        if count == crate::limits::MESSAGE_CHARS {
            out.push_str("...");
            break;
        }
        let hidden = character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if hidden {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_unique_and_ordered() {
        for pair in Code::ALL.windows(2) {
            assert!(pair[0].number() < pair[1].number(), "{:?} must come before {:?}", pair[0], pair[1]);
        }
        for code in Code::ALL {
            assert_eq!(Code::from_name(code.as_str()), Some(*code));
        }
    }

    #[test]
    fn untrusted_text_is_escaped_and_bounded() {
        assert_eq!(escaped("a\nb\u{202e}c"), "a\\u{a}b\\u{202e}c");
        assert!(escaped(&"x".repeat(10_000)).len() <= crate::limits::MESSAGE_CHARS + 3);
    }
}
