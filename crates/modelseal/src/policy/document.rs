//! The policy document: closed, typed TOML. An unknown key is an error.
//!
//! Two steps, both without trust material: text to [`Document`] (what the author wrote), [`Document`] to [`Plan`]
//! (what it means). The builder makes a [`Document`] too, so that the two ways to a policy cannot drift apart.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::value::Datetime;

use super::fault::{DocumentFault, Problem};
use super::name::{Pattern, is_segment};
use super::{Floor, Require, Rule};
use crate::clock::Timestamp;
use crate::error::{Error, escaped};
use crate::format::Format;
use crate::ledger::Target;
use crate::limits;
use crate::manifest::NameDigest;
use crate::trust::SubjectRule;

/// The version of the document this library reads and writes.
pub(super) const VERSION: i64 = 1;

/// What makes a value PEM text instead of the name of a file.
const PEM_MARK: &str = "-----BEGIN ";

/// Weights that carry no code for the loader to run: the default of `formats`.
const DEFAULT_FORMATS: [Format; 2] = [Format::Gguf, Format::Safetensors];

const HOUR_SECONDS: i64 = 3600;
const DAY_SECONDS: i64 = 24 * HOUR_SECONDS;

/// Ten years. Whoever wants more wants no bound, and says so.
const MAX_AGE_SECONDS: i64 = 3650 * DAY_SECONDS;

/// A policy as its author wrote it. Field names are the document's keys; [`super`] describes them.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) version: i64,
    #[serde(default)]
    pub(super) defaults: Defaults,
    #[serde(default, rename = "publisher")]
    pub(super) publishers: Vec<Spanned<PublisherTable>>,
    #[serde(default, rename = "model")]
    pub(super) models: Vec<Spanned<ModelTable>>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Defaults {
    pub(super) formats: Option<List>,
    pub(super) assurance: Option<Assurance>,
    pub(super) legacy: Option<bool>,
    pub(super) annotations: Option<bool>,
    pub(super) ledger: Option<Spanned<String>>,
    pub(super) threads: Option<Spanned<i64>>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PublisherTable {
    pub(super) name: Spanned<String>,
    pub(super) certificate: Option<CertificateTable>,
    pub(super) key: Option<KeyTable>,
    pub(super) keyless: Option<KeylessTable>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CertificateTable {
    pub(super) anchors: List,
    pub(super) subject: Option<Spanned<String>>,
    pub(super) any_identity: Option<Spanned<bool>>,
    pub(super) strict: Option<bool>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyTable {
    pub(super) public: List,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeylessTable {
    pub(super) identity: Spanned<String>,
    pub(super) issuer: Spanned<String>,
    pub(super) trusted_root: Option<RootTable>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RootTable {
    pub(super) file: Spanned<String>,
    pub(super) max_age: Spanned<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelTable {
    #[serde(rename = "match")]
    pub(super) pattern: Spanned<String>,
    pub(super) publishers: Option<List>,
    pub(super) all_of: Option<List>,
    pub(super) pin: Option<List>,
    pub(super) signatures: Option<List>,
    pub(super) formats: Option<List>,
    pub(super) assurance: Option<Assurance>,
    pub(super) legacy: Option<bool>,
    pub(super) annotations: Option<bool>,
    pub(super) observe_until: Option<Spanned<Datetime>>,
}

/// A list of texts, each with its place.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct List(Spanned<Vec<Spanned<String>>>);

impl List {
    /// A list that stands in no text.
    pub(super) fn built(items: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(built(items.into_iter().map(built).collect::<Vec<_>>()))
    }

    pub(super) fn extend(&mut self, items: impl IntoIterator<Item = impl Into<String>>) {
        self.0.get_mut().extend(items.into_iter().map(built));
    }
}

/// A value that stands in no text.
pub(super) fn built<T>(value: impl Into<T>) -> Spanned<T> {
    Spanned::new(0..0, value.into())
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Assurance {
    Immutable,
    Mapped,
    Verity,
}

impl From<Assurance> for Floor {
    fn from(assurance: Assurance) -> Self {
        match assurance {
            Assurance::Immutable => Self::Immutable,
            Assurance::Mapped => Self::Mapped,
            Assurance::Verity => Self::Verity,
        }
    }
}

impl From<Floor> for Assurance {
    fn from(floor: Floor) -> Self {
        match floor {
            Floor::Immutable => Self::Immutable,
            Floor::Mapped => Self::Mapped,
            Floor::Verity => Self::Verity,
        }
    }
}

/// Where a document comes from: its name for messages, its lines, and where the files are that it names.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) shown: String,
    pub(super) files: Files,
    /// Offset of every line end, in order; looked up for every value, so counted once.
    line_ends: Vec<usize>,
}

/// Where the files are that a document names.
#[derive(Debug)]
pub(super) enum Files {
    /// Nowhere: the document may name none.
    Absent,
    /// Relative to the directory of the policy file, which is absolute.
    Directory(PathBuf),
    /// In memory, by the name that [`super::builder`] gave them.
    Given(BTreeMap<String, Vec<u8>>),
}

impl Origin {
    pub(super) fn new(shown: String, text: &str, files: Files) -> Self {
        let line_ends =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        Self { shown, files, line_ends }
    }

    /// The line a value stands in, from 1; `None` for values that were built in Rust.
    pub(super) fn line(&self, at: &Range<usize>) -> Option<usize> {
        match self.files {
            Files::Absent | Files::Directory(_) => {
                Some(1 + self.line_ends.partition_point(|end| *end < at.start))
            }
            Files::Given(_) => None,
        }
    }

    pub(super) fn fault(&self, owner: &Owner, at: &Range<usize>, problem: Problem) -> Error {
        DocumentFault { shown: self.shown.clone(), line: self.line(at), owner: owner.0.clone(), problem }
            .into()
    }

    /// A fault at an offset of the text, in no table.
    pub(super) fn at(&self, offset: usize, problem: Problem) -> Error {
        self.fault(&Owner::nobody(), &(offset..offset), problem)
    }

    /// A fault of the document as a whole, which stands in no line.
    pub(super) fn whole(&self, problem: Problem) -> Error {
        DocumentFault { shown: self.shown.clone(), line: None, owner: String::new(), problem }.into()
    }
}

/// The table a message is about, as the message begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Owner(String);

impl Owner {
    fn nobody() -> Self {
        Self(String::new())
    }

    fn defaults() -> Self {
        Self("[defaults]: ".to_owned())
    }

    fn publisher(name: &str) -> Self {
        Self(format!("publisher '{name}': "))
    }

    fn model(pattern: &str) -> Self {
        Self(format!("model '{pattern}': "))
    }
}

/// A [`Document`] whose every value was checked: what is left to do is to read the trust material.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) publishers: Vec<PlannedPublisher>,
    pub(super) models: Vec<Rule>,
    pub(super) ledger: Option<Target>,
    pub(super) threads: Option<NonZeroUsize>,
}

#[derive(Debug, PartialEq)]
pub(super) struct PlannedPublisher {
    pub(super) name: String,
    pub(super) owner: Owner,
    pub(super) method: Method,
}

#[derive(Debug, PartialEq)]
pub(super) enum Method {
    Certificate { anchors: Vec<Material>, subject: SubjectRule, strict: bool },
    Key { keys: Vec<Material> },
    Keyless { identity: String, issuer: String, root: Root },
}

/// Trust material, or where it is.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Material {
    File(Spanned<String>),
    Pem(Spanned<String>),
}

impl Material {
    pub(super) fn span(&self) -> Range<usize> {
        match self {
            Self::File(name) => name.span(),
            Self::Pem(text) => text.span(),
        }
    }
}

/// What a message calls it.
impl fmt::Display for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) => write!(f, "'{name}'"),
            Self::Pem(_) => f.write_str("the PEM text"),
        }
    }
}

#[derive(Debug, PartialEq)]
pub(super) enum Root {
    Embedded,
    File { file: Spanned<String>, max_age: MaxAge },
}

/// How old a trusted root may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum MaxAge {
    Seconds(i64),
    Unlimited,
}

impl MaxAge {
    /// A positive whole number of days (`90d`) or hours (`12h`), at most 3650 days, or `unlimited`.
    fn parse(text: &str) -> Option<Self> {
        if text == "unlimited" {
            return Some(Self::Unlimited);
        }
        let (digits, unit) = match (text.strip_suffix('d'), text.strip_suffix('h')) {
            (Some(days), _) => (days, DAY_SECONDS),
            (None, Some(hours)) => (hours, HOUR_SECONDS),
            (None, None) => return None,
        };
        // `i64::from_str` also takes a sign.
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let seconds = digits.parse::<i64>().ok()?.checked_mul(unit)?;
        (1..=MAX_AGE_SECONDS).contains(&seconds).then_some(Self::Seconds(seconds))
    }
}

impl Document {
    /// Reads the text. The version is looked at first, so that a newer document is called newer and not malformed.
    pub(super) fn parse(text: &str, origin: &Origin) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Preamble {
            version: Option<Spanned<i64>>,
        }

        let syntax = |error: toml::de::Error| {
            let problem = Problem::Syntax { detail: error.message().to_owned() };
            match error.span() {
                Some(at) => origin.at(at.start, problem),
                None => origin.whole(problem),
            }
        };
        match toml::from_str::<Preamble>(text).map_err(syntax)?.version {
            Some(version) if *version.get_ref() == VERSION => {}
            Some(version) => {
                let problem = Problem::Version { found: *version.get_ref() };
                return Err(origin.at(version.span().start, problem));
            }
            None => return Err(origin.whole(Problem::VersionMissing)),
        }
        toml::from_str(text).map_err(syntax)
    }

    /// The one text for this content. What a policy without a document takes its digest over.
    pub(super) fn render(&self, origin: &Origin) -> Result<String, Error> {
        toml::to_string(self).map_err(|error| origin.whole(Problem::Syntax { detail: error.to_string() }))
    }

    /// Checks every value and applies the defaults.
    pub(super) fn check(&self, origin: &Origin) -> Result<Plan, Error> {
        if self.publishers.is_empty() {
            return Err(origin.whole(Problem::NoPublisher));
        }
        if self.models.is_empty() {
            return Err(origin.whole(Problem::NoModel));
        }

        let mut publishers = Vec::with_capacity(self.publishers.len());
        let mut indices = BTreeMap::new();
        for (index, table) in self.publishers.iter().enumerate() {
            let publisher = table.get_ref().check(origin, &table.span())?;
            if indices.insert(publisher.name.clone(), index).is_some() {
                let at = table.get_ref().name.span();
                return Err(origin.fault(&publisher.owner, &at, Problem::SamePublisher));
            }
            publishers.push(publisher);
        }

        let owner = Owner::defaults();
        let (ledger, threads) =
            (self.defaults.ledger(origin, &owner)?, self.defaults.threads(origin, &owner)?);
        let defaults = Effective {
            formats: match &self.defaults.formats {
                Some(list) => formats(list, origin, &owner)?,
                None => BTreeSet::from(DEFAULT_FORMATS),
            },
            floor: self.defaults.assurance.map_or(Floor::Immutable, Floor::from),
            legacy: self.defaults.legacy.unwrap_or(false),
            annotations: self.defaults.annotations.unwrap_or(true),
        };

        let mut models = Vec::with_capacity(self.models.len());
        let mut patterns = BTreeSet::new();
        for table in &self.models {
            let rule = table.get_ref().check(origin, &table.span(), &indices, &defaults)?;
            if !patterns.insert(rule.pattern.clone()) {
                let pattern = &table.get_ref().pattern;
                return Err(origin.fault(
                    &Owner::model(pattern.get_ref()),
                    &pattern.span(),
                    Problem::SameModel,
                ));
            }
            models.push(rule);
        }
        Ok(Plan { publishers, models, ledger, threads })
    }
}

/// `[defaults]` with every default filled in.
struct Effective {
    formats: BTreeSet<Format>,
    floor: Floor,
    legacy: bool,
    annotations: bool,
}

impl Defaults {
    fn ledger(&self, origin: &Origin, owner: &Owner) -> Result<Option<Target>, Error> {
        let Some(written) = &self.ledger else { return Ok(None) };
        let text = written.get_ref();
        let special = text == "stderr" || text.starts_with("fd:");
        let directory = match &origin.files {
            Files::Directory(directory) => directory.as_path(),
            Files::Absent | Files::Given(_) if !special && !Path::new(text).is_absolute() => {
                return Err(origin.fault(owner, &written.span(), Problem::RelativePath { key: "ledger" }));
            }
            Files::Absent | Files::Given(_) => Path::new("/"),
        };
        match Target::parse(text, Some(directory)) {
            Some(target) => Ok(Some(target)),
            None => Err(origin.fault(owner, &written.span(), Problem::Ledger { found: text.clone() })),
        }
    }

    fn threads(&self, origin: &Origin, owner: &Owner) -> Result<Option<NonZeroUsize>, Error> {
        let Some(written) = &self.threads else { return Ok(None) };
        usize::try_from(*written.get_ref())
            .ok()
            .filter(|count| *count <= limits::THREADS)
            .and_then(NonZeroUsize::new)
            .map(Some)
            .ok_or_else(|| {
                origin.fault(owner, &written.span(), Problem::Threads { found: *written.get_ref() })
            })
    }
}

impl PublisherTable {
    fn check(&self, origin: &Origin, at: &Range<usize>) -> Result<PlannedPublisher, Error> {
        let name = self.name.get_ref();
        let owner = Owner::publisher(name);
        if !is_segment(name) {
            return Err(origin.fault(&owner, &self.name.span(), Problem::PublisherName));
        }
        let method = match (&self.certificate, &self.key, &self.keyless) {
            (Some(certificate), None, None) => certificate.check(origin, &owner, at)?,
            (None, Some(key), None) => {
                Method::Key { keys: materials("public", &key.public, origin, &owner)? }
            }
            (None, None, Some(keyless)) => keyless.check(origin, &owner)?,
            (None, None, None) => return Err(origin.fault(&owner, at, Problem::NoMethod)),
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                return Err(origin.fault(&owner, at, Problem::SeveralMethods));
            }
        };
        Ok(PlannedPublisher { name: name.clone(), owner, method })
    }
}

impl CertificateTable {
    fn check(&self, origin: &Origin, owner: &Owner, at: &Range<usize>) -> Result<Method, Error> {
        let subject = match (&self.subject, &self.any_identity) {
            (Some(subject), None) => SubjectRule::Exact(filled("subject", subject, origin, owner)?),
            (None, Some(any)) if *any.get_ref() => SubjectRule::AnyIdentity,
            (None, Some(any)) => return Err(origin.fault(owner, &any.span(), Problem::AnyIdentityFalse)),
            (Some(_), Some(any)) => return Err(origin.fault(owner, &any.span(), Problem::SubjectTwice)),
            (None, None) => return Err(origin.fault(owner, at, Problem::SubjectMissing)),
        };
        let anchors = materials("anchors", &self.anchors, origin, owner)?;
        Ok(Method::Certificate { anchors, subject, strict: self.strict.unwrap_or(false) })
    }
}

impl KeylessTable {
    fn check(&self, origin: &Origin, owner: &Owner) -> Result<Method, Error> {
        let identity = filled("identity", &self.identity, origin, owner)?;
        let issuer = filled("issuer", &self.issuer, origin, owner)?;
        let root = match &self.trusted_root {
            None => Root::Embedded,
            Some(root) => {
                let path = filled("file", &root.file, origin, owner)?;
                if matches!(origin.files, Files::Absent) {
                    let problem = Problem::FileInText { key: "trusted_root", path };
                    return Err(origin.fault(owner, &root.file.span(), problem));
                }
                let Some(max_age) = MaxAge::parse(root.max_age.get_ref()) else {
                    let found = root.max_age.get_ref().clone();
                    return Err(origin.fault(owner, &root.max_age.span(), Problem::MaxAge { found }));
                };
                Root::File { file: root.file.clone(), max_age }
            }
        };
        Ok(Method::Keyless { identity, issuer, root })
    }
}

impl ModelTable {
    fn check(
        &self,
        origin: &Origin,
        at: &Range<usize>,
        publishers: &BTreeMap<String, usize>,
        defaults: &Effective,
    ) -> Result<Rule, Error> {
        let written = self.pattern.get_ref();
        let owner = Owner::model(written);
        let Some(pattern) = Pattern::parse(written) else {
            return Err(origin.fault(&owner, &self.pattern.span(), Problem::Match));
        };
        let require = match (&self.publishers, &self.all_of) {
            (Some(any), None) => Require::AnyOf(known("publishers", any, publishers, origin, &owner)?),
            (None, Some(all)) => Require::AllOf(known("all_of", all, publishers, origin, &owner)?),
            (Some(_), Some(_)) => return Err(origin.fault(&owner, at, Problem::RequireTwice)),
            (None, None) => return Err(origin.fault(&owner, at, Problem::RequireMissing)),
        };
        Ok(Rule {
            pattern,
            require,
            pins: match &self.pin {
                Some(list) => pins(list, origin, &owner)?,
                None => Vec::new(),
            },
            signatures: match &self.signatures {
                Some(list) => signatures(list, origin, &owner)?,
                None => Vec::new(),
            },
            formats: match &self.formats {
                Some(list) => formats(list, origin, &owner)?,
                None => defaults.formats.clone(),
            },
            floor: self.assurance.map_or(defaults.floor, Floor::from),
            legacy: self.legacy.unwrap_or(defaults.legacy),
            annotations: self.annotations.unwrap_or(defaults.annotations),
            observe_until: match &self.observe_until {
                Some(date) => Some(moment(date.get_ref()).ok_or_else(|| {
                    origin.fault(
                        &owner,
                        &date.span(),
                        Problem::ObserveUntil { found: date.get_ref().to_string() },
                    )
                })?),
                None => None,
            },
            shown: match origin.line(at) {
                Some(line) => format!("{}:{line}", escaped(&origin.shown)),
                None => format!("{}: {written}", escaped(&origin.shown)),
            },
        })
    }
}

/// A text that says something.
fn filled(
    key: &'static str,
    text: &Spanned<String>,
    origin: &Origin,
    owner: &Owner,
) -> Result<String, Error> {
    if text.get_ref().trim().is_empty() {
        return Err(origin.fault(owner, &text.span(), Problem::Empty { key }));
    }
    Ok(text.get_ref().clone())
}

/// The values of a list that is not empty and names nothing twice. An empty list would read like a restriction but
/// lift one: no pins, no signatures and no publishers all mean something else than the author's brackets.
fn entries<T: Clone + Eq + Hash>(
    key: &'static str,
    list: &List,
    origin: &Origin,
    owner: &Owner,
    parse: impl Fn(&Spanned<String>) -> Result<T, Problem>,
) -> Result<Vec<T>, Error> {
    if list.0.get_ref().is_empty() {
        return Err(origin.fault(owner, &list.0.span(), Problem::Empty { key }));
    }
    let mut seen = HashSet::new();
    let mut values = Vec::with_capacity(list.0.get_ref().len());
    for item in list.0.get_ref() {
        filled(key, item, origin, owner)?;
        let value = parse(item).map_err(|problem| origin.fault(owner, &item.span(), problem))?;
        if !seen.insert(value.clone()) {
            let found = item.get_ref().clone();
            return Err(origin.fault(owner, &item.span(), Problem::Repeated { key, found }));
        }
        values.push(value);
    }
    Ok(values)
}

fn known(
    key: &'static str,
    list: &List,
    publishers: &BTreeMap<String, usize>,
    origin: &Origin,
    owner: &Owner,
) -> Result<Vec<usize>, Error> {
    entries(key, list, origin, owner, |item| {
        let name = item.get_ref();
        publishers.get(name).copied().ok_or_else(|| Problem::UnknownPublisher { found: name.clone() })
    })
}

fn materials(key: &'static str, list: &List, origin: &Origin, owner: &Owner) -> Result<Vec<Material>, Error> {
    entries(key, list, origin, owner, |item| {
        let text = item.get_ref();
        if text.contains(PEM_MARK) {
            Ok(Material::Pem(item.clone()))
        } else if text.contains('\n') {
            Err(Problem::NeitherPemNorPath { key })
        } else if matches!(origin.files, Files::Directory(_)) {
            Ok(Material::File(item.clone()))
        } else {
            Err(Problem::FileInText { key, path: text.clone() })
        }
    })
}

fn pins(list: &List, origin: &Origin, owner: &Owner) -> Result<Vec<NameDigest>, Error> {
    entries("pin", list, origin, owner, |item| {
        NameDigest::parse(item.get_ref()).ok_or_else(|| Problem::Pin { found: item.get_ref().clone() })
    })
}

fn signatures(list: &List, origin: &Origin, owner: &Owner) -> Result<Vec<PathBuf>, Error> {
    entries("signatures", list, origin, owner, |item| {
        let path = Path::new(item.get_ref());
        match &origin.files {
            Files::Absent => Err(Problem::FileInText { key: "signatures", path: item.get_ref().clone() }),
            Files::Directory(directory) => Ok(directory.join(path)),
            Files::Given(_) if path.is_absolute() => Ok(path.to_owned()),
            Files::Given(_) => Err(Problem::RelativePath { key: "signatures" }),
        }
    })
}

fn formats(list: &List, origin: &Origin, owner: &Owner) -> Result<BTreeSet<Format>, Error> {
    let formats = entries("formats", list, origin, owner, |item| {
        Format::from_name(item.get_ref())
            .filter(|format| *format != Format::Inert)
            .ok_or_else(|| Problem::Format { found: item.get_ref().clone() })
    })?;
    Ok(formats.into_iter().collect())
}

/// A moment, or the last second of a day in UTC. A time without an offset would depend on where it is read.
fn moment(written: &Datetime) -> Option<Timestamp> {
    match (written.date, written.time, written.offset) {
        (Some(_), Some(_), Some(_)) => Timestamp::parse(&written.to_string()),
        (Some(date), None, None) => Timestamp::parse(&format!("{date}T23:59:59Z")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Code;

    const KEY: &str = "-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----\\n";

    fn in_text(text: &str) -> Result<Plan, Error> {
        let origin = Origin::new("<text>".to_owned(), text, Files::Absent);
        Document::parse(text, &origin)?.check(&origin)
    }

    fn in_directory(text: &str) -> Result<Plan, Error> {
        let origin =
            Origin::new("policy.toml".to_owned(), text, Files::Directory(PathBuf::from("/etc/policy")));
        Document::parse(text, &origin)?.check(&origin)
    }

    fn line(error: &Error) -> Option<usize> {
        error.evidence().iter().find(|fact| fact.name == "line").map(|fact| fact.value.parse().unwrap())
    }

    /// A document with one key publisher `ci` (lines 2 to 4) and one rule (lines 5 to 7), and more lines in each table.
    fn document(defaults: &str, publisher: &str, model: &str) -> String {
        format!(
            "version = 1\n[[publisher]]\nname = \"ci\"\n{publisher}\n[[model]]\nmatch = \"org/*\"\n{model}\n[defaults]\n{defaults}\n"
        )
    }

    fn key_publisher() -> String {
        format!("key = {{ public = [\"{KEY}\"] }}")
    }

    #[track_caller]
    fn denied(text: &str, code: Code, at: Option<usize>, message: &str) {
        let error = in_directory(text).unwrap_err();
        assert_eq!(error.code(), code, "{error}\n{text}");
        assert_eq!(line(&error), at, "{error}\n{text}");
        assert!(error.message().contains(message), "{error}\n{text}");
        assert_eq!(error.path(), Some("policy.toml"));
    }

    #[track_caller]
    fn malformed(text: &str, at: usize, message: &str) {
        denied(text, Code::PolicyMalformed, Some(at), message);
    }

    #[test]
    fn a_full_document_says_what_it_says() {
        let text = r#"
version = 1

[defaults]
formats = ["onnx"]
assurance = "mapped"
ledger = "fd:3"
threads = 4
legacy = true
annotations = false

[[publisher]]
name = "anyone"
certificate = { anchors = ["root.pem", "-----BEGIN CERTIFICATE-----"], any_identity = true, strict = true }

[[publisher]]
name = "someone"
certificate = { anchors = ["root.pem"], subject = "CN=model signing,O=Example" }

[[publisher]]
name = "robot"
keyless = { identity = "robot@example.org", issuer = "https://issuer.example.org", trusted_root = { file = "root.json", max_age = "90d" } }

[[model]]
match = "org/*"
all_of = ["robot", "anyone"]

[[model]]
match = "org/name"
publishers = ["someone"]
pin = [
  "dirHash:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
  "treeHash:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
]
signatures = ["name.sig", "/srv/name.sig"]
formats = ["gguf", "safetensors"]
assurance = "verity"
legacy = false
annotations = true
observe_until = 2027-01-31
"#;
        let plan = in_directory(text).unwrap();
        assert_eq!(plan.ledger, Some(Target::Fd(3)));
        assert_eq!(plan.threads, NonZeroUsize::new(4));

        let file = |name: &str| Material::File(built(name));
        let methods: Vec<&Method> = plan.publishers.iter().map(|publisher| &publisher.method).collect();
        let pem = Material::Pem(built("-----BEGIN CERTIFICATE-----"));
        let anyone = Method::Certificate {
            anchors: vec![file("root.pem"), pem],
            subject: SubjectRule::AnyIdentity,
            strict: true,
        };
        let someone = Method::Certificate {
            anchors: vec![file("root.pem")],
            subject: SubjectRule::Exact("CN=model signing,O=Example".to_owned()),
            strict: false,
        };
        let robot = Method::Keyless {
            identity: "robot@example.org".to_owned(),
            issuer: "https://issuer.example.org".to_owned(),
            root: Root::File { file: built("root.json"), max_age: MaxAge::Seconds(90 * 86_400) },
        };
        assert_eq!(methods, [&anyone, &someone, &robot]);

        let digest: [u8; 32] =
            hex::decode("2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")
                .unwrap()
                .try_into()
                .unwrap();
        let expected = [
            Rule {
                pattern: Pattern::Prefix("org/".to_owned()),
                require: Require::AllOf(vec![2, 0]),
                pins: vec![],
                signatures: vec![],
                formats: BTreeSet::from([Format::Onnx]),
                floor: Floor::Mapped,
                legacy: true,
                annotations: false,
                observe_until: None,
                shown: "policy.toml:24".to_owned(),
            },
            Rule {
                pattern: Pattern::parse("org/name").unwrap(),
                require: Require::AnyOf(vec![1]),
                pins: vec![NameDigest::DirHash(digest), NameDigest::TreeHash(digest)],
                signatures: vec!["/etc/policy/name.sig".into(), "/srv/name.sig".into()],
                formats: BTreeSet::from([Format::Gguf, Format::Safetensors]),
                floor: Floor::Verity,
                legacy: false,
                annotations: true,
                observe_until: Timestamp::parse("2027-01-31T23:59:59Z"),
                shown: "policy.toml:28".to_owned(),
            },
        ];
        assert_eq!(plan.models, expected);
    }

    #[test]
    fn what_is_left_out_is_strict() {
        let plan = in_text(&document("", &key_publisher(), "publishers = [\"ci\"]")).unwrap();
        let rule = &plan.models[0];
        assert_eq!(rule.formats, BTreeSet::from([Format::Gguf, Format::Safetensors]));
        assert_eq!(rule.floor, Floor::Immutable);
        assert!(!rule.legacy && rule.annotations && rule.observe_until.is_none());
        assert_eq!((plan.ledger, plan.threads), (None, None));
        assert_eq!(rule.shown, "<text>:5");
    }

    #[test]
    fn the_version_is_known_before_the_rest_is_read() {
        let newer = "version = 2\nnovelty = true\n[[model]]\nmatches = 3\n";
        denied(newer, Code::PolicyVersion, Some(1), "version 2");
        denied("# old\nversion = 0\n", Code::PolicyVersion, Some(2), "version 0");
        denied("version = -1", Code::PolicyVersion, Some(1), "version -1");
        denied("novelty = true\n", Code::PolicyVersion, None, "version");
        denied("", Code::PolicyVersion, None, "version");
        malformed("\nversion = \"1\"\n", 2, "invalid type");
        malformed("version = 1.0", 1, "invalid type");
        malformed("version = 99999999999999999999", 1, "");
    }

    #[test]
    fn syntax_errors_name_their_line() {
        malformed("version = 1\n[defaults\n", 2, "");
        malformed("version = 1\n\nledger = \"stderr", 3, "");
        malformed("version = 1\nversion = 1\n", 2, "duplicate");
        malformed("version = 1\n[defaults]\nlegacy = true\nlegacy = false\n", 4, "duplicate");
        malformed("version = 1\n[defaults]\n[defaults]\n", 3, "duplicate");
        malformed("version = 1\n[[publisher]]\nkey = { public = [], public = [] }\n", 3, "duplicate");
        malformed("version = 1\n\0", 2, "");
    }

    /// A parser that recurses without a bound would take the stack, and the process, with it.
    #[test]
    fn nesting_is_bounded() {
        let deep = 100_000;
        for text in [
            format!("version = 1\nx = {}", "[".repeat(deep)),
            format!("version = 1\nx = {}", "{ a = ".repeat(deep)),
            format!("version = 1\nx.{}a = 1", "a.".repeat(deep)),
            format!("version = 1\n[x.{}a]\n", "a.".repeat(deep)),
            format!("version = 1\n[[x.{}a]]\n", "a.".repeat(deep)),
        ] {
            assert_eq!(in_text(&text).unwrap_err().code(), Code::PolicyMalformed);
        }
    }

    #[test]
    fn unknown_keys_are_refused_in_every_table() {
        let rule = "publishers = [\"ci\"]";
        malformed("version = 1\nversions = 1\n", 2, "`versions`");
        malformed(&document("assurances = \"verity\"", &key_publisher(), rule), 9, "`assurances`");
        malformed(&document("", &format!("{}\nkeys = 1", key_publisher()), rule), 5, "`keys`");
        malformed(&document("", "key = { public = [\"a\"], pem = 1 }", rule), 4, "`pem`");
        malformed(
            &document("", "certificate = { anchors = [\"a\"], identity = true }", rule),
            4,
            "`identity`",
        );
        malformed(
            &document("", "keyless = { identity = \"a\", issuer = \"b\", root = 1 }", rule),
            4,
            "`root`",
        );
        let root = "keyless = { identity = \"a\", issuer = \"b\", trusted_root = { file = \"c\", max_age = \"1d\", age = 1 } }";
        malformed(&document("", root, rule), 4, "`age`");
        malformed(&document("", &key_publisher(), &format!("{rule}\npins = []")), 8, "`pins`");
    }

    #[test]
    fn wrong_types_and_missing_keys_are_refused() {
        let key = key_publisher();
        let rule = "publishers = [\"ci\"]";
        for (default, message) in [
            ("formats = \"gguf\"", "invalid type"),
            ("formats = [1]", "invalid type"),
            ("assurance = \"sealed\"", "unknown variant"),
            ("assurance = true", ""),
            ("legacy = \"yes\"", "invalid type"),
            ("annotations = 0", "invalid type"),
            ("ledger = 3", "invalid type"),
            ("threads = \"4\"", "invalid type"),
        ] {
            malformed(&document(default, &key, rule), 9, message);
        }
        malformed(&document("", "key = \"ci.pem\"", rule), 4, "");
        malformed(&document("", "key = {}", rule), 4, "`public`");
        malformed(&document("", "certificate = { subject = \"CN=a\" }", rule), 4, "`anchors`");
        malformed(&document("", "keyless = { identity = \"a\" }", rule), 4, "`issuer`");
        malformed(&document("", "keyless = { issuer = \"a\" }", rule), 4, "`identity`");
        let undated = "keyless = { identity = \"a\", issuer = \"b\", trusted_root = { file = \"c\" } }";
        malformed(&document("", undated, rule), 4, "`max_age`");
        malformed("version = 1\npublisher = 3\n", 2, "invalid type");
        malformed("version = 1\n[[publisher]]\nkey = { public = [\"a\"] }\n", 2, "`name`");
        malformed("version = 1\n[[model]]\npublishers = [\"a\"]\n", 2, "`match`");
        for model in ["publishers = \"ci\"", "publishers = [\"ci\"]\n\nobserve_until = \"2027-01-31\""] {
            malformed(&document("", &key, model), 6 + model.lines().count(), "invalid type");
        }
    }

    #[test]
    fn a_policy_needs_publishers_and_models() {
        denied("version = 1", Code::PolicyMalformed, None, "[[publisher]]");
        let only = format!("version = 1\n[[publisher]]\nname = \"ci\"\n{}", key_publisher());
        denied(&only, Code::PolicyMalformed, None, "[[model]]");
    }

    #[test]
    fn publishers_are_checked() {
        let rule = "publishers = [\"ci\"]";
        let publisher = |text: &str, at, message: &str| malformed(&document("", text, rule), at, message);
        publisher("", 2, "missing");
        let certificate = "certificate = { anchors = [\"a\"], any_identity = true }";
        let keyless = "keyless = { identity = \"a\", issuer = \"b\" }";
        for two in [
            format!("{}\n{certificate}", key_publisher()),
            format!("{}\n{keyless}", key_publisher()),
            format!("{certificate}\n{keyless}"),
            format!("{}\n{certificate}\n{keyless}", key_publisher()),
        ] {
            publisher(&two, 2, "only one of");
        }
        publisher("certificate = { anchors = [\"a\"] }", 2, "one of `subject` and `any_identity`");
        publisher(
            "certificate = { anchors = [\"a\"], subject = \"CN=a\", any_identity = true }",
            4,
            "only one",
        );
        publisher(
            "certificate = { anchors = [\"a\"], subject = \"CN=a\", any_identity = false }",
            4,
            "only one",
        );
        publisher("certificate = { anchors = [\"a\"], any_identity = false }", 4, "only be `true`");
        publisher("certificate = { anchors = [\"a\"], subject = \" \" }", 4, "`subject` is empty");
        publisher("certificate = { anchors = [], any_identity = true }", 4, "`anchors` is empty");
        publisher("certificate = { anchors = [\"\"], any_identity = true }", 4, "`anchors` is empty");
        publisher("certificate = { anchors = [\"a\", \"a\"], any_identity = true }", 4, "'a' twice");
        publisher("key = { public = [] }", 4, "`public` is empty");
        publisher("key = { public = [\n\"a\",\n\"b\",\n\"a\"] }", 7, "'a' twice");
        publisher("key = { public = [\"a\\nb\"] }", 4, "neither PEM text nor");
        publisher("keyless = { identity = \"\", issuer = \"b\" }", 4, "`identity` is empty");
        publisher("keyless = { identity = \"a\", issuer = \"\" }", 4, "`issuer` is empty");

        let names = |name: &str| {
            document("", &key_publisher(), rule).replace("name = \"ci\"", &format!("name = {name:?}"))
        };
        for bad in ["", "a b", "a/b", "-a", "ä"] {
            malformed(&names(bad), 3, "not a publisher's name");
        }
        let twice = format!(
            "{}[[publisher]]\nname = \"ci\"\n{}\n",
            document("", &key_publisher(), rule),
            key_publisher()
        );
        malformed(&twice, 11, "same `name`");
    }

    #[test]
    fn models_are_checked() {
        let key = key_publisher();
        let rule = "publishers = [\"ci\"]";
        let model = |text: &str, at, message: &str| malformed(&document("", &key, text), at, message);
        model("", 5, "one of `publishers` and `all_of` is missing");
        model("publishers = [\"ci\"]\nall_of = [\"ci\"]", 5, "only one");
        model("publishers = []", 7, "`publishers` is empty");
        model("all_of = []", 7, "`all_of` is empty");
        model("publishers = [\"ci\", \"ci\"]", 7, "'ci' twice");
        model("all_of = [\n\"ci\",\n\"cd\"]", 9, "no [[publisher]] has the name 'cd'");
        let with = |line: &str, message: &str| model(&format!("{rule}\n{line}"), 8, message);
        with("pin = []", "`pin` is empty");
        with("signatures = []", "`signatures` is empty");
        with("formats = []", "`formats` is empty");
        with("formats = [\"Pickle\"]", "'Pickle' is not a format");
        with("formats = [\"inert\"]", "'inert' is not a format");
        with("formats = [\"gguf\", \"gguf\"]", "'gguf' twice");
        let digest = "0".repeat(64);
        for bad in
            ["dirHash", "dirHash:", "dirHash:00", &format!("sha256:{digest}"), &format!("dirHash:{digest}0")]
        {
            with(&format!("pin = [{bad:?}]"), "is not a pin");
        }
        with(&format!("pin = [\"dirHash:{digest}\", \"dirHash1:{digest}\"]"), "twice");
        for bad in ["2027-01-31T00:00:00", "12:00:00"] {
            with(&format!("observe_until = {bad}"), "not a moment");
        }

        for bad in ["", "/models/a", "a*b", "org/", "*/x"] {
            let text = document("", &key, rule).replace("\"org/*\"", &format!("{bad:?}"));
            denied(&text, Code::PolicyNameInvalid, Some(6), "neither a model name");
        }
        let twice = format!("{}[[model]]\nmatch = \"org/*\"\n{rule}\n", document("", &key, rule));
        malformed(&twice, 11, "same `match`");
    }

    #[test]
    fn defaults_are_checked() {
        let default = |line: &str, message: &str| {
            malformed(&document(line, &key_publisher(), "all_of = [\"ci\"]"), 9, message)
        };
        for count in ["0", "-1", "1025", "9223372036854775807"] {
            default(&format!("threads = {count}"), "`threads` is");
        }
        for ledger in ["", "fd:", "fd:x", "fd:-1", " "] {
            default(&format!("ledger = {ledger:?}"), "is not a ledger");
        }
        default("formats = []", "`formats` is empty");
        default("formats = [\"exe\"]", "'exe' is not a format");
    }

    #[test]
    fn text_alone_names_no_file() {
        let rule = "publishers = [\"ci\"]";
        let file = |text: &str, at: usize, message: &str| {
            let error = in_text(text).unwrap_err();
            assert_eq!((error.code(), line(&error)), (Code::PolicyMalformed, Some(at)), "{error}");
            assert!(error.message().contains(message), "{error}");
        };
        file(&document("", "key = { public = [\"ci.pem\"] }", rule), 4, "`public` names the file 'ci.pem'");
        let anchors = "certificate = { anchors = [\"/a.pem\"], any_identity = true }";
        file(&document("", anchors, rule), 4, "`anchors` names the file '/a.pem'");
        let root = "keyless = { identity = \"a\", issuer = \"b\", trusted_root = { file = \"r.json\", max_age = \"1d\" } }";
        file(&document("", root, rule), 4, "`trusted_root` names the file 'r.json'");
        let signatures = format!("{rule}\nsignatures = [\"a.sig\"]");
        file(&document("", &key_publisher(), &signatures), 8, "`signatures` names the file 'a.sig'");
        file(&document("ledger = \"log\"", &key_publisher(), rule), 9, "relative path");

        let plan = in_text(&document("ledger = \"/var/log/ledger\"", &key_publisher(), rule)).unwrap();
        assert_eq!(plan.ledger, Some(Target::File("/var/log/ledger".into())));
        let plan = in_directory(&document("ledger = \"log/\"", &key_publisher(), rule)).unwrap();
        assert_eq!(plan.ledger, Some(Target::Directory("/etc/policy/log/".into())));
    }

    #[test]
    fn ages_are_days_or_hours() {
        for (text, seconds) in [("1h", 3600), ("12h", 43_200), ("90d", 7_776_000), ("3650d", 315_360_000)] {
            assert_eq!(MaxAge::parse(text), Some(MaxAge::Seconds(seconds)));
        }
        assert_eq!(MaxAge::parse("unlimited"), Some(MaxAge::Unlimited));
        let wrong = [
            "",
            "d",
            "0d",
            "-1d",
            "+1d",
            "1",
            "1m",
            "1.5d",
            "1 d",
            "3651d",
            "87601h",
            "99999999999999999999d",
        ];
        for text in wrong {
            assert_eq!(MaxAge::parse(text), None, "{text}");
        }
        let root = |age: &str| {
            format!(
                "keyless = {{ identity = \"a\", issuer = \"b\", trusted_root = {{ file = \"r\", max_age = {age:?} }} }}"
            )
        };
        malformed(&document("", &root("1y"), "publishers = [\"ci\"]"), 4, "'1y' is not a `max_age`");
    }

    #[test]
    fn every_remedy_that_is_written_says_something() {
        let error = in_text(&document("threads = 0", &key_publisher(), "publishers = [\"ci\"]")).unwrap_err();
        assert_eq!(error.remedy(), "Write a number from 1 to 1024, or nothing for one per processor.");
        assert_eq!(limits::THREADS, 1024);
        assert_eq!(error.to_string(), "policy.malformed: <text>: [defaults]: `threads` is 0 (line 9)");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".*") {
            let _ = (in_text(&text), in_directory(&text));
        }

        #[test]
        fn arbitrary_tables_never_panic(
            lines in proptest::collection::vec("(version = 1|\\[\\[(publisher|model)\\]\\]|\\[defaults\\]|(name|match|pin|formats|publishers|key|observe_until) = (\"[a-z/*]{0,4}\"|\\[\"ci\"\\]|2027-01-31|\\{ public = \\[\"\"\\] \\}|[0-9]))", 0..12)
        ) {
            let text = format!("version = 1\n{}", lines.join("\n"));
            if let Err(error) = in_directory(&text) {
                prop_assert!(matches!(
                    error.code(),
                    Code::PolicyMalformed | Code::PolicyNameInvalid | Code::PolicyVersion
                ));
                prop_assert!(line(&error).is_none_or(|line| (1..=text.lines().count() + 1).contains(&line)));
            }
        }

        #[test]
        fn cut_documents_never_panic(cut in 0_usize..400) {
            let text = document("threads = 3", &key_publisher(), "publishers = [\"ci\"]\nobserve_until = 2027-01-31");
            let _ = in_text(text.get(..cut.min(text.len())).unwrap());
        }
    }
}
