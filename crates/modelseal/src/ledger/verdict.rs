//! What was decided and why: plain data for the ledger and JSON, never a key.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Code;

/// The record of one decision. Plain data: it opens nothing.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// Allowed or denied.
    pub outcome: Outcome,
    /// The reason of a denial, by dotted name.
    pub code: Option<&'static str>,
    /// The reason of a denial, in words.
    pub reason: Option<String>,
    /// The name the caller stated.
    pub model: Option<String>,
    /// The path the caller gave, escaped.
    pub source: Option<String>,
    /// The time used.
    pub time: Option<Timestamp>,
    /// The policy and the rule that was applied.
    pub policy: PolicyRecord,
    /// Publishers that satisfied the rule.
    pub publishers: Vec<String>,
    /// Every proven signer.
    pub signers: Vec<SignerRecord>,
    /// Every bundle that was looked at.
    pub bundles: Vec<BundleRecord>,
    /// The OMS root digest: an index, not an identity.
    pub root_digest: Option<String>,
    /// The name-binding digest: `dirHash:<hex>` or `treeHash:<hex>`.
    pub name_digest: Option<String>,
    /// Every path and its fate.
    pub files: Vec<FileRecord>,
    /// `private`, `sealed`, `verity` or `mapped`.
    pub assurance: Option<&'static str>,
    /// Whether every byte was checked before the call returned.
    pub coverage: Option<Coverage>,
    /// The caller's selection, if it was not everything.
    pub selection: Option<Vec<String>>,
    /// Every known finding, at most 32, in path order.
    pub findings: Vec<Finding>,
    /// Things a strict reader would refuse.
    pub warnings: Vec<String>,
    /// The earliest moment at which the same inputs would be denied for time.
    pub valid_until: Option<Timestamp>,
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
    /// The reason of a denial.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.code.and_then(Code::from_name)
    }
}
