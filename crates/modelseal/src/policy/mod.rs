//! The policy: which publishers may speak for which model names, and how strongly the bytes must hold.
//!
//! A policy is a TOML document that [`Policy::load`] or [`Policy::parse`] reads, or the same content built in Rust with
//! [`PolicyBuilder`]. The document is closed: an unknown key, a repeated key, a value of the wrong type or a name that
//! is not defined is `policy.malformed`, with the line. Nothing is trusted and nothing is weakened by leaving a key
//! out; every weakness is a word that a reviewer can see.
//!
//! ```
//! use modelseal::{Clock, Policy};
//!
//! let policy = Policy::parse(
//!     r#"
//! version = 1
//!
//! [defaults]
//! formats = ["safetensors"]      # no pickles, no GGUF, no Python
//! assurance = "immutable"        # nobody can change the bytes once they are handed out
//! ledger = "stderr"              # one record per load
//!
//! [[publisher]]
//! name = "research"              # a person or a workflow, known to an identity provider
//! keyless = { identity = "release@example.org", issuer = "https://accounts.example.org" }
//!
//! [[publisher]]
//! name = "ci"                    # whoever holds this key
//! key = { public = ["""
//! -----BEGIN PUBLIC KEY-----
//! MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEnJw/ieNr7jkssjeGveK5iXFuKQL7
//! cFrenJDQu/UnQOmwmKIUBHBOsInFwDDWvu745nmoqQWWoGpibXc5gXvHcw==
//! -----END PUBLIC KEY-----
//! """] }
//!
//! [[model]]
//! match = "example/*"            # every model below example/ may come from either
//! publishers = ["research", "ci"]
//!
//! [[model]]
//! match = "example/production"   # but this one must be signed by both, and be this content
//! all_of = ["research", "ci"]
//! pin = ["dirHash:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"]
//! "#,
//!     Clock::System,
//! )?;
//! assert_eq!(policy.digest().len(), 64);
//! # Ok::<(), modelseal::Error>(())
//! ```
//!
//! # The document
//!
//! | key | type | default | meaning |
//! |---|---|---|---|
//! | `version` | integer | required | `1`. Missing or any other number: `policy.version`. |
//! | `defaults` | table | empty | What rules say unless they say otherwise. |
//! | `publisher` | tables | at least one | Who is known. One that no rule names is allowed; its files must be readable all the same. |
//! | `model` | tables | at least one | What may be loaded. A policy without a rule denies everything and is taken for a mistake. |
//!
//! ## `[defaults]`
//!
//! | key | type | default | meaning |
//! |---|---|---|---|
//! | `formats` | list of names | `["gguf", "safetensors"]` | What is handed out besides inert files: `executable`, `gguf`, `numpy`, `onnx`, `other`, `pickle`, `python`, `safetensors`, `tensorflow`. Signed files of other formats are withheld. |
//! | `assurance` | `"mapped"`, `"immutable"`, `"verity"` | `"immutable"` | The weakest assurance a load may have: [`Floor`]. |
//! | `legacy` | boolean | `false` | Whether bundles of the deprecated format v0.2 count. |
//! | `annotations` | boolean | `true` | Whether signed annotations (size, BLAKE3, fs-verity) may be checked instead of the OMS digest. |
//! | `ledger` | text | none | `"stderr"`, `"fd:N"`, a file, or a directory for one file per process. If the record cannot be written, nothing loads. Without it the record is only returned. |
//! | `threads` | integer, 1 to 1024 | one per processor | How many threads hash. |
//!
//! ## `[[publisher]]`
//!
//! | key | type | default | meaning |
//! |---|---|---|---|
//! | `name` | text | required | What rules and records call the publisher: at most 96 letters, digits, `.`, `_` and `-`. Unique. |
//! | `keyless`, `certificate`, `key` | table | exactly one | How its signatures are recognised. |
//!
//! | key | type | default | meaning |
//! |---|---|---|---|
//! | `keyless.identity` | text | required | The identity in the certificate, exact. |
//! | `keyless.issuer` | text | required | The identity provider in the certificate, exact. |
//! | `keyless.trusted_root.file` | file | the embedded public-good root | A `trusted_root.json`. |
//! | `keyless.trusted_root.max_age` | text | required with `file` | Whole days (`"90d"`) or hours (`"12h"`), at most `"3650d"`, or `"unlimited"`. |
//! | `certificate.anchors` | list of PEM | required | Certificates that may end a chain, one or more in each text: roots, intermediates, or the leaf itself. |
//! | `certificate.subject` | text | see next | The leaf's subject in the text form of RFC 4514, compared after parsing. |
//! | `certificate.any_identity` | `true` | exactly one of the two | Every leaf below the anchors. The record says so. |
//! | `certificate.strict` | boolean | `false` | Whether warnings about the chain are denials. |
//! | `key.public` | list of PEM | required | One `PUBLIC KEY` in each text; any of them may have signed, so that a key can be rotated with an overlap. |
//!
//! A PEM entry is the text itself if it contains `-----BEGIN `, else the name of a file. A file that cannot be read, that
//! is no regular file, is larger than 4 MiB, or does not parse is `trust.unreadable`. Symbolic links are followed. Names are
//! relative to the directory of the path given to [`Policy::load`]. [`Policy::parse`] has no directory, so a file name
//! there is `policy.malformed`.
//!
//! A trusted root that is older than its `max_age` is `trust.stale`, when the policy is loaded and at every check after
//! that. A trusted root does not say when it was issued; its date is the file's modification time, that is when it was
//! fetched. A copy that sets a new modification time makes the root young again, and an image build that sets all times
//! to 1970 makes it old. Fetch it in place and keep its time (`cp -p`), or write `"unlimited"` and replace it with the image. A
//! date more than a day ahead of the policy's clock is `trust.stale` too, because such a root would never grow old.
//!
//! ## `[[model]]`
//!
//! | key | type | default | meaning |
//! |---|---|---|---|
//! | `match` | text | required | A model name, or a literal prefix of names ending in `*`. `"*"` is every name. Not a name: `policy.name_invalid`. |
//! | `publishers` | list of publishers | see next | Any of them must have signed. |
//! | `all_of` | list of publishers | exactly one of the two | Each of them must have signed, and the same content. |
//! | `pin` | list of digests | any content | `"dirHash:<hex>"` or `"treeHash:<hex>"`: this content and no other, against an older or another model of the right publisher. `dirHash1` is `dirHash`. |
//! | `signatures` | list of files | beside the model | Where the bundles are. They are evidence, not part of the policy: read at every load, and no part of [`Policy::digest`]. |
//! | `formats`, `assurance`, `legacy`, `annotations` | as in `[defaults]` | from `[defaults]` | For this rule. They replace the default, upwards or downwards. |
//! | `observe_until` | date, or date and time with offset | never | Until when `modelseal exec --observe` may start a command although the load was denied. A date lasts to its last second in UTC. It is never an approval. |
//!
//! One rule decides a load. A rule whose `match` is the full name beats every prefix, and a longer prefix beats a shorter
//! one; the order in the document does not matter, and two rules with one `match` are `policy.malformed`. Prefixes are
//! compared byte by byte: `"org/llama*"` matches `org/llama` and `org/llama-evil`, so end a prefix at a `/` unless you
//! mean that. A name without a rule is `policy.no_rule`.
//!
//! A list that is empty or names something twice is `policy.malformed`: an empty `pin` would read like a restriction and
//! be none.

pub(crate) mod approval;
mod builder;
mod document;
mod fault;
mod material;
mod name;

pub use approval::{Approval, Claims};
pub use builder::{CertificatePublisher, KeylessPublisher, ModelRule, PolicyBuilder, Publisher};
pub(crate) use material::RootAge;
pub use name::ModelName;
pub(crate) use name::Pattern;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::clock::{Clock, Timestamp};
use crate::error::{Code, Error, Fault};
use crate::format::Format;
use crate::ledger::Ledger;
use crate::manifest::NameDigest;
use crate::trust::Trust;
use document::{Document, Files, Origin, Plan};
use fault::Problem;
use material::Resolved;

/// The rules a load is judged by. Never changes; a server reloads by loading a new one.
///
/// There is no `Default`: no policy trusts by default.
#[derive(Clone)]
pub struct Policy {
    pub(crate) rules: Arc<Rules>,
}

pub(crate) struct Rules {
    /// SHA-256 over the document and every file it names: see [`Policy::digest`].
    pub(crate) digest: [u8; 32],
    /// The policy file's path, or `<text>`, or `<builder>`; for messages and the record.
    pub(crate) shown: String,
    /// Every trust file, as the document names it, with its SHA-256, in the order of the document; for the record.
    pub(crate) files: Vec<(String, [u8; 32])>,
    pub(crate) clock: Clock,
    pub(crate) ledger: Ledger,
    pub(crate) publishers: Vec<TrustedPublisher>,
    pub(crate) models: Vec<Rule>,
    pub(crate) threads: Option<std::num::NonZeroUsize>,
}

pub(crate) struct TrustedPublisher {
    pub(crate) name: String,
    pub(crate) trust: Trust,
    /// The age limit of its trusted root, if the policy sets one; to be checked with the time of every check.
    pub(crate) root_age: Option<RootAge>,
}

/// One `[[model]]` table with the defaults applied.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Rule {
    pub(crate) pattern: Pattern,
    pub(crate) require: Require,
    /// Empty: any content of the right publisher.
    pub(crate) pins: Vec<NameDigest>,
    /// Bundle files the rule names, already resolved; empty: search beside the model.
    pub(crate) signatures: Vec<PathBuf>,
    pub(crate) formats: BTreeSet<Format>,
    pub(crate) floor: Floor,
    /// Whether v0.2 bundles are accepted.
    pub(crate) legacy: bool,
    /// Whether signed annotations may stand in for the OMS digest.
    pub(crate) annotations: bool,
    pub(crate) observe_until: Option<Timestamp>,
    /// Where the rule stands, for errors, escaped: `policy.toml:12`, or `<builder>: org/*`.
    pub(crate) shown: String,
}

/// Indices into [`Rules::publishers`]. Never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Require {
    AllOf(Vec<usize>),
    AnyOf(Vec<usize>),
}

/// The weakest assurance a rule accepts.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Floor {
    /// Bytes matched when read; file permissions protect them afterwards.
    Mapped,
    /// Bytes that nobody can change: private, sealed or verity. The default of a policy document.
    Immutable,
    /// The kernel checks every byte against the signed fs-verity digest.
    Verity,
}

impl Policy {
    /// Reads a policy document and every file it names, each once.
    ///
    /// Relative paths in the document start at the directory of `path`. Links are followed. Nothing else is read: no
    /// environment, no default location. The files may change afterwards; the policy does not.
    ///
    /// # Errors
    ///
    /// `policy.unreadable`, `policy.malformed`, `policy.version`, `policy.name_invalid`, `trust.unreadable`,
    /// `trust.stale`. The error names the document, and the line if it stands in one.
    pub fn load(path: impl AsRef<Path>, clock: Clock) -> Result<Self, Error> {
        let path = path.as_ref();
        let shown = path.display().to_string();
        let unreadable = |detail: String| {
            Origin::new(shown.clone(), "", Files::Absent).whole(Problem::Unreadable { detail })
        };
        let content = material::read(path).map_err(|problem| unreadable(problem.to_string()))?;
        // Rules keep the paths of their bundles: these must not move with the working directory later.
        let absolute = std::path::absolute(path).map_err(|error| unreadable(error.to_string()))?;
        let directory = absolute.parent().unwrap_or(Path::new("/")).to_owned();
        let text = match std::str::from_utf8(&content.bytes) {
            Ok(text) => text,
            Err(error) => {
                let valid = content.bytes.get(..error.valid_up_to()).unwrap_or_default();
                let origin = Origin::new(shown, &String::from_utf8_lossy(valid), Files::Absent);
                return Err(origin.at(error.valid_up_to(), Problem::NotText));
            }
        };
        Self::from_text(text, &Origin::new(shown, text, Files::Directory(directory)), clock)
    }

    /// Reads a policy document that stands for itself: keys and anchors are PEM text, and no file is named.
    ///
    /// # Errors
    ///
    /// As [`Policy::load`]; a file name is `policy.malformed`.
    pub fn parse(text: &str, clock: Clock) -> Result<Self, Error> {
        let origin = Origin::new("<text>".to_owned(), text, Files::Absent);
        if material::exceeds_limit(text.as_bytes()) {
            let detail = material::ReadProblem::TooLarge.to_string();
            return Err(origin.whole(Problem::Unreadable { detail }));
        }
        Self::from_text(text, &origin, clock)
    }

    /// SHA-256 in hexadecimal over the document and every trust file it names: two policies with one digest say the
    /// same and trust the same. The clock, the dates of trusted roots and the directory of the document are not in it;
    /// the record of every load carries it beside the time.
    ///
    /// The hash runs over the text `modelseal policy v1` and a zero byte, the length of the document and its bytes, and
    /// for each file, in the order in which the document first names them, the length of the name, the name and the
    /// SHA-256 of its bytes. A length is eight bytes, most significant first. The document of a [`PolicyBuilder`] is its
    /// content written as TOML.
    #[must_use]
    pub fn digest(&self) -> String {
        hex::encode(self.rules.digest)
    }

    /// Where the time of every check comes from.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.rules.clock
    }

    fn from_text(text: &str, origin: &Origin, clock: Clock) -> Result<Self, Error> {
        let plan = Document::parse(text, origin)?.check(origin)?;
        Self::from_plan(plan, origin, text, clock)
    }

    fn from_plan(plan: Plan, origin: &Origin, text: &str, clock: Clock) -> Result<Self, Error> {
        let Resolved { publishers, files } = material::resolve(plan.publishers, origin, clock)?;
        let rules = Rules {
            digest: digest(text, &files),
            shown: origin.shown.clone(),
            files,
            clock,
            ledger: Ledger::new(plan.ledger),
            publishers,
            models: plan.models,
            threads: plan.threads,
        };
        Ok(Self { rules: Arc::new(rules) })
    }

    /// The rule for a name: a full name beats a prefix, a longer prefix a shorter one.
    pub(crate) fn rule(&self, name: &ModelName) -> Result<&Rule, Error> {
        let matching = self.rules.models.iter().filter(|rule| rule.pattern.matches(name));
        matching.max_by_key(|rule| rule.pattern.precedence()).ok_or_else(|| {
            let document = self.rules.shown.clone();
            NoRule { name: name.clone(), document, closest: self.closest(name) }.into()
        })
    }

    /// The rules that look most like a name, for the reader who mistyped it.
    fn closest(&self, name: &ModelName) -> Vec<String> {
        let mut rules: Vec<(usize, String)> = Vec::new();
        for rule in &self.rules.models {
            let pattern = rule.pattern.to_string();
            let likeness = likeness(pattern.trim_end_matches('*'), name.as_str());
            if likeness > 0 {
                rules.push((likeness, format!("'{pattern}' ({})", rule.shown)));
            }
        }
        rules.sort_by_key(|(likeness, _)| Reverse(*likeness));
        rules.into_iter().take(3).map(|(_, rule)| rule).collect()
    }
}

/// How many bytes two names share at their beginnings and ends, regardless of case.
fn likeness(one: &str, other: &str) -> usize {
    let same = |(a, b): &(u8, u8)| a.eq_ignore_ascii_case(b);
    let begin = one.bytes().zip(other.bytes()).take_while(same).count();
    let end = one.bytes().rev().zip(other.bytes().rev()).take_while(same).count();
    begin.saturating_add(end).min(one.len()).min(other.len())
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.rules, f)
    }
}

/// Names and digests only: keys and certificates would bury them.
impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("shown", &self.shown)
            .field("digest", &hex::encode(self.digest))
            .field("clock", &self.clock)
            .field("publishers", &self.publishers)
            .field("models", &self.models.iter().map(|rule| rule.pattern.to_string()).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TrustedPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match &self.trust {
            Trust::Certificate { .. } => "certificate",
            Trust::Key { .. } => "key",
            Trust::Keyless { .. } => "keyless",
        };
        write!(f, "{} ({method})", self.name)
    }
}

/// What [`Policy::digest`] documents.
fn digest(document: &str, files: &[(String, [u8; 32])]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"modelseal policy v1\0");
    hasher.update(length(document));
    hasher.update(document);
    for (name, sha256) in files {
        hasher.update(length(name));
        hasher.update(name);
        hasher.update(sha256);
    }
    hasher.finalize().into()
}

/// A length in eight bytes. No text in memory is longer than they can say.
fn length(text: &str) -> [u8; 8] {
    u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes()
}

#[derive(Debug, thiserror::Error)]
#[error("no [[model]] of the policy matches the name '{name}'")]
struct NoRule {
    name: ModelName,
    document: String,
    closest: Vec<String>,
}

impl Fault for NoRule {
    fn code(&self) -> Code {
        Code::PolicyNoRule
    }

    fn path(&self) -> Option<String> {
        Some(self.document.clone())
    }

    fn remedy(&self) -> Option<String> {
        if self.closest.is_empty() {
            return None;
        }
        let closest = self.closest.join(", ");
        Some(format!(
            "Add a [[model]] for this name, or state the name of a rule; the closest are {closest}."
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEnJw/ieNr7jkssjeGveK5iXFuKQL7\ncFrenJDQu/UnQOmwmKIUBHBOsInFwDDWvu745nmoqQWWoGpibXc5gXvHcw==\n-----END PUBLIC KEY-----\n";
    const OTHER_KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE5T5ofvNCu48VNuVGgw+LP+cIEQL0\ngEZU7EuMNQDRU7n1Jux+qFYF4TjBST9PO3hDPdDUTm/f2kjO5CTxJKmViQ==\n-----END PUBLIC KEY-----\n";
    const DOCUMENT: &str = "version = 1
[[publisher]]
name = \"ci\"
key = { public = [\"ci.pem\"] }
[[model]]
match = \"org/*\"
publishers = [\"ci\"]
signatures = [\"model.sig\"]
";
    const KEYLESS: &str = "version = 1
[[publisher]]
name = \"robot\"
[publisher.keyless]
identity = \"a\"
issuer = \"b\"
trusted_root = { file = \"root.json\", max_age = \"90d\" }
[[model]]
match = \"*\"
publishers = [\"robot\"]
";

    fn name(text: &str) -> ModelName {
        ModelName::parse(text).unwrap()
    }

    fn line(error: &Error) -> Option<&str> {
        error.evidence().iter().find(|fact| fact.name == "line").map(|fact| fact.value.as_str())
    }

    /// The rules of a document whose trust material is not looked at.
    fn with_rules(patterns: &[&str]) -> Policy {
        let mut text =
            format!("version = 1\n[[publisher]]\nname = \"ci\"\nkey = {{ public = ['''{KEY}'''] }}\n");
        for pattern in patterns {
            text.push_str(&format!("[[model]]\nmatch = \"{pattern}\"\npublishers = [\"ci\"]\n"));
        }
        let origin = Origin::new("policy.toml".to_owned(), &text, Files::Absent);
        let mut plan = Document::parse(&text, &origin).unwrap().check(&origin).unwrap();
        plan.publishers.clear();
        Policy::from_plan(plan, &origin, &text, Clock::System).unwrap()
    }

    /// A directory with these files.
    fn directory(files: &[(&str, &str)]) -> TempDir {
        let directory = TempDir::new().unwrap();
        for (name, content) in files {
            fs::write(directory.path().join(name), content).unwrap();
        }
        directory
    }

    fn load(directory: &TempDir) -> Result<Policy, Error> {
        Policy::load(directory.path().join("policy.toml"), Clock::System)
    }

    #[track_caller]
    fn unreadable_trust(directory: &TempDir, at: &str, message: &str) {
        let error = load(directory).unwrap_err();
        assert_eq!((error.code(), line(&error)), (Code::TrustUnreadable, Some(at)), "{error}");
        assert!(error.message().contains(message), "{error}");
        assert!(error.path().unwrap().ends_with("policy.toml"), "{error}");
    }

    #[test]
    fn the_most_specific_rule_decides_in_any_order() {
        let mut patterns = ["*", "org/*", "org/gran*", "org/granite", "other"];
        for _ in 0..patterns.len() {
            patterns.rotate_left(1);
            let policy = with_rules(&patterns);
            for (asked, expected) in [
                ("org/granite", "org/granite"),
                ("org/granite-4", "org/gran*"),
                ("org/gran", "org/gran*"),
                ("org/llama", "org/*"),
                ("org", "*"),
                ("other", "other"),
                ("Other", "*"),
            ] {
                assert_eq!(policy.rule(&name(asked)).unwrap().pattern.to_string(), expected, "{asked}");
            }
        }
    }

    #[test]
    fn a_name_without_a_rule_is_told_the_closest() {
        let policy =
            with_rules(&["zeta", "ibm-granite/granite-4.0-8b", "meta/*", "IBM-granite/*", "mistral/small"]);
        let error = policy.rule(&name("ibm-grantie/granite-4.0-8b")).unwrap_err();
        assert_eq!(error.code(), Code::PolicyNoRule);
        assert_eq!(
            error.to_string(),
            "policy.no_rule: policy.toml: no [[model]] of the policy matches the name 'ibm-grantie/granite-4.0-8b'"
        );
        let remedy = error.remedy();
        let places: Vec<usize> =
            ["'ibm-granite/granite-4.0-8b' (policy.toml:12)", "'IBM-granite/*' (policy.toml:18)"]
                .iter()
                .map(|rule| remedy.find(rule).unwrap_or_else(|| panic!("{rule} is not in {remedy}")))
                .collect();
        assert!(places.is_sorted(), "{remedy}");
        assert!(!remedy.contains("zeta"), "{remedy}");
        let nothing_alike = policy.rule(&name("0")).unwrap_err();
        assert_eq!(nothing_alike.remedy(), Code::PolicyNoRule.remedy());
    }

    #[test]
    fn a_missing_document_is_unreadable() {
        let empty = directory(&[]);
        let error = load(&empty).unwrap_err();
        assert_eq!(error.code(), Code::PolicyUnreadable);
        assert!(error.path().unwrap().ends_with("policy.toml"));
        let error = Policy::load(empty.path(), Clock::System).unwrap_err();
        assert_eq!(error.code(), Code::PolicyUnreadable);
        assert!(error.message().contains("not a regular file"), "{error}");
        assert_eq!(Policy::load("", Clock::System).unwrap_err().code(), Code::PolicyUnreadable);
    }

    #[test]
    fn a_document_is_bounded() {
        let length = usize::try_from(crate::limits::POLICY_BYTES).unwrap();
        let just_fits = "#".repeat(length);
        let error = load(&directory(&[("policy.toml", &just_fits)])).unwrap_err();
        assert_eq!(error.code(), Code::PolicyVersion);
        assert_eq!(Policy::parse(&just_fits, Clock::System).unwrap_err().code(), Code::PolicyVersion);
        let too_large = "#".repeat(length + 1);
        let error = load(&directory(&[("policy.toml", &too_large)])).unwrap_err();
        assert_eq!(error.code(), Code::PolicyUnreadable);
        assert_eq!(Policy::parse(&too_large, Clock::System).unwrap_err().code(), Code::PolicyUnreadable);
    }

    #[test]
    fn a_document_is_utf8() {
        let directory = directory(&[]);
        fs::write(directory.path().join("policy.toml"), b"version = 1\n# \xff\n").unwrap();
        let error = load(&directory).unwrap_err();
        assert_eq!((error.code(), line(&error)), (Code::PolicyMalformed, Some("2")), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_fifo_is_refused_without_waiting() {
        let directory = directory(&[("policy.toml", DOCUMENT)]);
        let made = std::process::Command::new("mkfifo").arg(directory.path().join("ci.pem")).status();
        if !made.is_ok_and(|status| status.success()) {
            println!("skipped: no mkfifo");
            return;
        }
        unreadable_trust(&directory, "4", "not a regular file");
    }

    #[test]
    fn a_named_file_that_is_missing_or_broken_denies() {
        unreadable_trust(
            &directory(&[("policy.toml", DOCUMENT)]),
            "4",
            "publisher 'ci': 'ci.pem' cannot be used",
        );
        unreadable_trust(&directory(&[("policy.toml", DOCUMENT), ("ci.pem", "no key")]), "4", "'ci.pem'");
        unreadable_trust(&directory(&[("policy.toml", DOCUMENT), ("ci.pem", "")]), "4", "'ci.pem'");
        let two = format!("{KEY}{OTHER_KEY}");
        unreadable_trust(&directory(&[("policy.toml", DOCUMENT), ("ci.pem", &two)]), "4", "several keys");
        let binary = directory(&[("policy.toml", DOCUMENT)]);
        fs::write(binary.path().join("ci.pem"), b"\x30\x82\xff").unwrap();
        unreadable_trust(&binary, "4", "not text");

        let anchors = DOCUMENT.replace(
            "key = { public = [\"ci.pem\"] }",
            "certificate = { any_identity = true, anchors = [\n\"ca.pem\",\n\"-----BEGIN CERTIFICATE-----\"] }",
        );
        unreadable_trust(&directory(&[("policy.toml", &anchors)]), "5", "'ca.pem'");
        unreadable_trust(&directory(&[("policy.toml", &anchors), ("ca.pem", KEY)]), "5", "'ca.pem'");
        let inline = anchors.replace("\"ca.pem\",", "");
        unreadable_trust(&directory(&[("policy.toml", &inline)]), "6", "the PEM text");
        unreadable_trust(&directory(&[("policy.toml", KEYLESS)]), "7", "publisher 'robot': 'root.json'");
        unreadable_trust(&directory(&[("policy.toml", KEYLESS), ("root.json", "{}")]), "7", "'root.json'");
    }

    #[test]
    fn a_bad_inline_key_denies() {
        let text = DOCUMENT
            .replace("signatures = [\"model.sig\"]\n", "")
            .replace("ci.pem", "-----BEGIN PUBLIC KEY-----");
        let error = Policy::parse(&text, Clock::System).unwrap_err();
        assert_eq!((error.code(), line(&error)), (Code::TrustUnreadable, Some("4")), "{error}");
    }

    #[test]
    fn a_trusted_root_grows_stale() {
        let directory = directory(&[("policy.toml", KEYLESS), ("root.json", "{}")]);
        let root = fs::File::options().write(true).open(directory.path().join("root.json")).unwrap();
        let fetched = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        root.set_modified(fetched).unwrap();
        let at = |seconds: i64| {
            let clock = Clock::At(Timestamp::from_seconds(1_700_000_000 + seconds).unwrap());
            Policy::load(directory.path().join("policy.toml"), clock).err().map(|error| error.code())
        };
        let fresh = Some(Code::TrustUnreadable); // `{}` is no trusted root, but fresh.
        let days = 86_400;
        assert_eq!(at(0), fresh);
        assert_eq!(at(90 * days), fresh);
        assert_eq!(at(90 * days + 1), Some(Code::TrustStale));
        assert_eq!(at(-days), fresh);
        assert_eq!(at(-days - 1), Some(Code::TrustStale));

        let error = load(&directory).unwrap_err();
        assert_eq!((error.code(), line(&error)), (Code::TrustStale, Some("7")), "{error}");
        assert!(
            error
                .message()
                .contains("publisher 'robot': the trusted root 'root.json' is of 2023-11-14T22:13:20Z")
        );
        let unlimited = KEYLESS.replace("90d", "unlimited");
        fs::write(directory.path().join("policy.toml"), unlimited).unwrap();
        assert_eq!(at(9000 * days), fresh);
    }

    #[test]
    fn the_digest_frames_document_and_files() {
        let one = digest("ab", &[("c".to_owned(), [0; 32])]);
        assert_ne!(one, digest("a", &[("bc".to_owned(), [0; 32])]));
        assert_ne!(one, digest("ab", &[("c".to_owned(), [1; 32])]));
        assert_ne!(one, digest("ab", &[]));
        let mut framed = b"modelseal policy v1\0\0\0\0\0\0\0\0\x02ab\0\0\0\0\0\0\0\x01c".to_vec();
        framed.extend([0; 32]);
        assert_eq!(one, <[u8; 32]>::from(Sha256::digest(&framed)));
    }

    #[test]
    fn a_loaded_policy_keeps_what_it_read() {
        let directory = directory(&[("policy.toml", DOCUMENT), ("ci.pem", KEY)]);
        let policy = load(&directory).unwrap();
        let sha256 = <[u8; 32]>::from(Sha256::digest(KEY));
        assert_eq!(policy.rules.files, [("ci.pem".to_owned(), sha256)]);
        assert_eq!(policy.digest(), hex::encode(digest(DOCUMENT, &policy.rules.files)));
        assert_eq!(policy.clock(), Clock::System);
        let rule = policy.rule(&name("org/a")).unwrap();
        assert_eq!(rule.signatures, [directory.path().join("model.sig")]);
        assert!(rule.shown.ends_with("policy.toml:5"), "{}", rule.shown);

        fs::write(directory.path().join("ci.pem"), OTHER_KEY).unwrap();
        let reloaded = load(&directory).unwrap();
        assert_ne!(reloaded.digest(), policy.digest());

        let shown = format!("{policy:?}");
        assert!(shown.contains("ci (key)") && shown.contains("org/*") && !shown.contains("BEGIN"), "{shown}");
    }

    #[test]
    fn a_file_named_twice_is_read_once() {
        let text =
            format!("{DOCUMENT}[[publisher]]\nname = \"again\"\nkey = {{ public = [\"./ci.pem\"] }}\n");
        let policy = load(&directory(&[("policy.toml", &text), ("ci.pem", KEY)])).unwrap();
        assert_eq!(policy.rules.files.len(), 1);
        assert_eq!(policy.rules.publishers.len(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn a_mounted_config_map_is_followed() {
        use std::os::unix::fs::symlink;

        // As a kubelet lays it out: names link into `..data`, which links to a dated directory and is swapped whole.
        let directory = TempDir::new().unwrap();
        let mount = |date: &str, key: &str| {
            let dated = directory.path().join(date);
            fs::create_dir(&dated).unwrap();
            fs::write(dated.join("policy.toml"), DOCUMENT).unwrap();
            fs::write(dated.join("ci.pem"), key).unwrap();
            symlink(date, directory.path().join("..data_tmp")).unwrap();
            fs::rename(directory.path().join("..data_tmp"), directory.path().join("..data")).unwrap();
        };
        mount("..2026_11_20", KEY);
        for file in ["policy.toml", "ci.pem"] {
            symlink(Path::new("..data").join(file), directory.path().join(file)).unwrap();
        }
        let policy = load(&directory).unwrap();
        assert_eq!(policy.rules.files[0].1, <[u8; 32]>::from(Sha256::digest(KEY)));
        assert_eq!(policy.rule(&name("org/a")).unwrap().signatures, [directory.path().join("model.sig")]);

        mount("..2026_11_21", OTHER_KEY);
        let reloaded = load(&directory).unwrap();
        assert_eq!(reloaded.rules.files[0].1, <[u8; 32]>::from(Sha256::digest(OTHER_KEY)));
        assert_eq!(policy.rules.files[0].1, <[u8; 32]>::from(Sha256::digest(KEY)), "a policy never changes");
    }
}
