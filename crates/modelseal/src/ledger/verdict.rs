//! What was decided and why: plain data for the ledger and JSON, never a key.

use serde::Serialize;

use crate::clock::{Clock, Timestamp};
use crate::error::{Code, Error, escaped};

/// The record of one decision: what was checked, against what, and with which result.
///
/// Plain data for the ledger and for JSON. It opens nothing and proves nothing: whoever holds one holds a report, not
/// a model. Text that came from outside (paths, names, messages) is escaped. Fields that the load did not reach are
/// empty, never guessed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// Allowed or denied.
    pub outcome: Outcome,
    /// False only if a command was started in spite of a denial, because the policy observes this model.
    pub enforced: bool,
    /// The reason of a denial, by dotted name; see [`Verdict::code`].
    pub code: Option<&'static str>,
    /// The reason of a denial, in words.
    pub reason: Option<String>,
    /// The name the caller stated.
    pub model: Option<String>,
    /// The path the caller gave, escaped.
    pub source: Option<String>,
    /// The time that certificates, trust roots and revocation were judged by.
    pub time: Option<Timestamp>,
    /// Where that time came from.
    pub time_source: Option<TimeSource>,
    /// The policy and the rule that was applied.
    pub policy: PolicyRecord,
    /// Publishers that satisfied the rule.
    pub publishers: Vec<String>,
    /// Every proven signer.
    pub signers: Vec<SignerRecord>,
    /// Every bundle that was looked at.
    pub bundles: Vec<BundleRecord>,
    /// The OMS root digest: an index, not an identity, since it does not bind names.
    pub root_digest: Option<String>,
    /// The name-binding digest, which a `pin` compares: `dirHash:<hex>` or `treeHash:<hex>`.
    pub name_digest: Option<String>,
    /// Every path and its fate, in path order.
    pub files: Vec<FileRecord>,
    /// How the bytes hold after the open: `private`, `sealed`, `verity` or `mapped`.
    pub assurance: Option<&'static str>,
    /// Whether every byte was checked before the call returned.
    pub coverage: Option<Coverage>,
    /// The caller's selection, if it was not everything.
    pub selection: Option<Vec<String>>,
    /// Every known finding, at most 32, in path order.
    pub findings: Vec<Finding>,
    /// Things a strict reader would refuse, in sentences.
    pub warnings: Vec<String>,
    /// The earliest moment at which the same inputs would be denied for time.
    pub valid_until: Option<Timestamp>,
    /// The version of this library.
    pub library: &'static str,
}

/// Allowed or denied.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The bytes were handed out.
    Allowed,
    /// Nothing was handed out.
    Denied,
}

/// What was checked when the call returned.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Coverage {
    /// Signature, policy and file set; each file when first touched.
    OnAccess,
    /// Every selected byte.
    Whole,
}

/// Where the time of a check came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeSource {
    /// The caller fixed it, to replay a verdict.
    Fixed,
    /// The operating system's clock.
    System,
}

impl From<Clock> for TimeSource {
    fn from(clock: Clock) -> Self {
        match clock {
            Clock::At(_) => Self::Fixed,
            Clock::System => Self::System,
        }
    }
}

/// Which policy, which rule.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct PolicyRecord {
    /// Hex SHA-256 over the document and every file it names.
    pub digest: String,
    /// Every file it names, with its hex SHA-256.
    pub files: Vec<(String, String)>,
    /// Where the applied rule stands.
    pub rule: Option<String>,
}

/// A proven signer.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SignerRecord {
    /// The publisher of the policy it satisfied.
    pub publisher: String,
    /// `key`, `certificate` or `sigstore`.
    pub method: &'static str,
    /// Key fingerprint, subject, or identity and issuer.
    pub identity: String,
    /// Hex SHA-256 of the key or the leaf certificate.
    pub fingerprint: String,
    /// The anchor or trusted root, with its date if it has one.
    pub anchor: Option<String>,
}

/// A bundle and what became of it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct BundleRecord {
    /// Hex SHA-256 of the document.
    pub sha256: String,
    /// The publishers it satisfied; empty: set aside.
    pub publishers: Vec<String>,
    /// Why it was set aside, by dotted name.
    pub set_aside: Option<&'static str>,
}

/// One path and its fate.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FileRecord {
    /// Path relative to the model, escaped.
    pub path: String,
    /// `handed_out`, `withheld`, `ignored` or `bundle`.
    pub fate: &'static str,
    /// Why, unless handed out.
    pub reason: Option<String>,
    /// Size in bytes.
    pub size: Option<u64>,
    /// The digest that was checked: `sha256:<hex>`, `annotation blake3:<hex>`, `fsverity:<hex>`.
    pub digest: Option<String>,
}

/// One thing found wrong.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The reason, by dotted name.
    pub code: &'static str,
    /// The path relative to the model.
    pub path: Option<String>,
    /// In words, with expected and found.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl Verdict {
    /// A record in which nothing but the outcome and the library's version is filled in.
    pub(crate) fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            enforced: true,
            code: None,
            reason: None,
            model: None,
            source: None,
            time: None,
            time_source: None,
            policy: PolicyRecord::default(),
            publishers: Vec::new(),
            signers: Vec::new(),
            bundles: Vec::new(),
            root_digest: None,
            name_digest: None,
            files: Vec::new(),
            assurance: None,
            coverage: None,
            selection: None,
            findings: Vec::new(),
            warnings: Vec::new(),
            valid_until: None,
            library: env!("CARGO_PKG_VERSION"),
        }
    }

    /// This record, turned into a denial for `error`. What was filled in before stays.
    pub(crate) fn denied(mut self, error: &Error) -> Self {
        self.outcome = Outcome::Denied;
        self.code = Some(error.code().as_str());
        self.reason = Some(error.to_string());
        self
    }

    /// The reason of a denial.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.code.and_then(Code::from_name)
    }

    /// The record as indented JSON, for people and for files. A ledger holds the same fields on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Plain text, numbers and lists: none of the failures of serde_json (non-text keys, a writer) can occur.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl BundleRecord {
    pub(crate) fn new(sha256: &[u8; 32]) -> Self {
        Self { sha256: hex::encode(sha256), publishers: Vec::new(), set_aside: None }
    }
}

impl FileRecord {
    /// The record of a path and its fate. The path may be untrusted; it is escaped here.
    pub(crate) fn new(path: &str, fate: &'static str) -> Self {
        Self { path: escaped(path), fate, reason: None, size: None, digest: None }
    }

    pub(crate) fn with_reason(mut self, reason: &str) -> Self {
        self.reason = Some(reason.to_owned());
        self
    }

    pub(crate) fn with_size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    pub(crate) fn with_digest(mut self, digest: String) -> Self {
        self.digest = Some(digest);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_record_claims_nothing() {
        let json: serde_json::Value = serde_json::from_str(&Verdict::new(Outcome::Denied).to_json()).unwrap();
        for (name, value) in json.as_object().unwrap() {
            let expected = match name.as_str() {
                "outcome" => "denied".into(),
                "enforced" => true.into(),
                "library" => env!("CARGO_PKG_VERSION").into(),
                "policy" => serde_json::json!({"digest": "", "files": [], "rule": null}),
                "publishers" | "signers" | "bundles" | "files" | "findings" | "warnings" => {
                    serde_json::json!([])
                }
                _ => serde_json::Value::Null,
            };
            assert_eq!(*value, expected, "{name}");
        }
    }

    #[test]
    fn a_denial_keeps_what_was_filled_in() {
        let error = crate::ModelName::parse("../x").unwrap_err();
        let mut verdict = Verdict::new(Outcome::Allowed);
        verdict.model = Some("org/model".to_owned());
        let verdict = verdict.denied(&error);
        assert_eq!(verdict.outcome, Outcome::Denied);
        assert_eq!(verdict.code(), Some(Code::PolicyNameInvalid));
        assert_eq!(verdict.model.as_deref(), Some("org/model"));
        assert_eq!(Verdict::new(Outcome::Denied).denied(&error).reason, Some(error.to_string()));
    }

    #[test]
    fn words_in_json_are_the_documented_ones() {
        let mut verdict = Verdict::new(Outcome::Allowed);
        verdict.coverage = Some(Coverage::OnAccess);
        verdict.time = Timestamp::parse("2026-08-01T00:00:00Z");
        verdict.time_source = Some(TimeSource::from(Clock::System));
        let json: serde_json::Value = serde_json::from_str(&verdict.to_json()).unwrap();
        assert_eq!(json["coverage"], "on_access");
        assert_eq!(json["time"], "2026-08-01T00:00:00Z");
        assert_eq!(json["time_source"], "system");
    }
}
