//! The same content as a policy document, built in Rust.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroUsize;

use sha2::{Digest, Sha256};
use toml::value::Datetime;

use super::document::{
    Assurance, CertificateTable, Defaults, Document, Files, KeyTable, KeylessTable, List, ModelTable, Origin,
    PublisherTable, RootTable, VERSION, built,
};
use super::{Floor, Policy};
use crate::clock::{Clock, Timestamp};
use crate::error::Error;
use crate::format::Format;

/// Builds a [`Policy`] without a document.
///
/// Every method stands for one key of the [document](super), with the same default and the same errors; only the
/// line is missing from them. All material is passed as PEM text or bytes and all paths are absolute: nothing is read
/// but what the caller holds.
///
/// ```
/// use modelseal::policy::{ModelRule, PolicyBuilder, Publisher};
/// use modelseal::{Clock, Format};
///
/// # fn main() -> Result<(), modelseal::Error> {
/// # let pem = "-----BEGIN PUBLIC KEY-----
/// # MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEnJw/ieNr7jkssjeGveK5iXFuKQL7
/// # cFrenJDQu/UnQOmwmKIUBHBOsInFwDDWvu745nmoqQWWoGpibXc5gXvHcw==
/// # -----END PUBLIC KEY-----";
/// let policy = PolicyBuilder::new(Clock::System)
///     .formats([Format::Safetensors])
///     .publisher(Publisher::key("ci", [pem]))
///     .model(ModelRule::new("example/*", ["ci"]))
///     .build()?;
/// assert_eq!(policy.digest().len(), 64);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct PolicyBuilder {
    clock: Clock,
    document: Document,
    roots: BTreeMap<String, Vec<u8>>,
}

impl PolicyBuilder {
    /// A policy without publishers and models, which cannot be built yet.
    pub fn new(clock: Clock) -> Self {
        let document = Document {
            version: VERSION,
            defaults: Defaults::default(),
            publishers: Vec::new(),
            models: Vec::new(),
        };
        Self { clock, document, roots: BTreeMap::new() }
    }

    /// Adds a publisher: a `[[publisher]]`.
    pub fn publisher(mut self, publisher: impl Into<Publisher>) -> Self {
        let Publisher { table, root } = publisher.into();
        self.roots.extend(root);
        self.document.publishers.push(built(table));
        self
    }

    /// Adds a rule: a `[[model]]`.
    pub fn model(mut self, rule: ModelRule) -> Self {
        self.document.models.push(built(rule.table));
        self
    }

    /// The formats that rules hand out unless they say otherwise: `defaults.formats`.
    pub fn formats(mut self, formats: impl IntoIterator<Item = Format>) -> Self {
        self.document.defaults.formats = Some(format_names(formats));
        self
    }

    /// The floor of rules that do not set their own: `defaults.assurance`.
    pub fn assurance(mut self, floor: Floor) -> Self {
        self.document.defaults.assurance = Some(Assurance::from(floor));
        self
    }

    /// Accepts v0.2 bundles for every rule: `defaults.legacy = true`.
    pub fn legacy(mut self) -> Self {
        self.document.defaults.legacy = Some(true);
        self
    }

    /// Ignores signed annotations for every rule: `defaults.annotations = false`.
    pub fn without_annotations(mut self) -> Self {
        self.document.defaults.annotations = Some(false);
        self
    }

    /// Where records go: `defaults.ledger`. A path must be absolute.
    pub fn ledger(mut self, ledger: impl Into<String>) -> Self {
        self.document.defaults.ledger = Some(built(ledger));
        self
    }

    /// How many threads hash: `defaults.threads`.
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        // A count that does not fit is beyond every limit: `build` refuses it.
        self.document.defaults.threads = Some(built(i64::try_from(threads.get()).unwrap_or(i64::MAX)));
        self
    }

    /// Checks everything and parses the trust material.
    ///
    /// # Errors
    ///
    /// Those of [`Policy::load`], except `policy.unreadable` and `policy.version`.
    pub fn build(self) -> Result<Policy, Error> {
        let origin = Origin::new("<builder>".to_owned(), "", Files::Given(self.roots));
        let plan = self.document.check(&origin)?;
        let text = self.document.render(&origin)?;
        Policy::from_plan(plan, &origin, &text, self.clock)
    }
}

impl fmt::Debug for PolicyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyBuilder")
            .field("clock", &self.clock)
            .field("publishers", &self.document.publishers.len())
            .field("models", &self.document.models.len())
            .finish_non_exhaustive()
    }
}

/// A publisher of a [`PolicyBuilder`]: a name, and how its signatures are recognised.
#[derive(Clone)]
#[must_use = "a publisher does nothing until it is added to a policy"]
pub struct Publisher {
    table: PublisherTable,
    /// The trusted root that the table names.
    root: Option<(String, Vec<u8>)>,
}

impl Publisher {
    /// Signatures by any of these public keys, each a PEM text.
    pub fn key(name: impl Into<String>, public: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let key = Some(KeyTable { public: List::built(public) });
        Self { table: PublisherTable { key, ..table(name.into()) }, root: None }
    }

    /// Signatures by certificates below any of these anchors, PEM texts with one or more certificates each. Say next
    /// whose: [`CertificatePublisher::subject`] or [`CertificatePublisher::any_identity`].
    pub fn certificate(
        name: impl Into<String>,
        anchors: impl IntoIterator<Item = impl Into<String>>,
    ) -> CertificatePublisher {
        let certificate = CertificateTable {
            anchors: List::built(anchors),
            subject: None,
            any_identity: None,
            strict: None,
        };
        CertificatePublisher { table: table(name.into()), certificate }
    }

    /// Keyless signatures by this identity at this issuer, both exact, under the embedded public-good trusted root.
    pub fn keyless(
        name: impl Into<String>,
        identity: impl Into<String>,
        issuer: impl Into<String>,
    ) -> KeylessPublisher {
        let keyless = KeylessTable { identity: built(identity), issuer: built(issuer), trusted_root: None };
        KeylessPublisher { table: table(name.into()), keyless, root: None }
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("name", self.table.name.get_ref()).finish_non_exhaustive()
    }
}

/// A certificate [`Publisher`] that does not say yet whose certificates it accepts. It cannot be added to a policy, so
/// that accepting every identity is never a matter of forgetting.
#[derive(Clone)]
#[must_use = "say whose certificates are accepted: `subject` or `any_identity`"]
pub struct CertificatePublisher {
    table: PublisherTable,
    certificate: CertificateTable,
}

impl CertificatePublisher {
    /// Turns warnings about the chain into denials: `strict = true`.
    pub fn strict(mut self) -> Self {
        self.certificate.strict = Some(true);
        self
    }

    /// Accepts leaf certificates of this subject, in the text form of RFC 4514.
    pub fn subject(mut self, subject: impl Into<String>) -> Publisher {
        self.certificate.subject = Some(built(subject));
        self.into_publisher()
    }

    /// Accepts every leaf certificate below the anchors. The record says so.
    pub fn any_identity(mut self) -> Publisher {
        self.certificate.any_identity = Some(built(true));
        self.into_publisher()
    }

    fn into_publisher(self) -> Publisher {
        Publisher { table: PublisherTable { certificate: Some(self.certificate), ..self.table }, root: None }
    }
}

impl fmt::Debug for CertificatePublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificatePublisher")
            .field("name", self.table.name.get_ref())
            .finish_non_exhaustive()
    }
}

/// A keyless [`Publisher`] whose trusted root can still be chosen.
#[derive(Clone)]
#[must_use = "a publisher does nothing until it is added to a policy"]
pub struct KeylessPublisher {
    table: PublisherTable,
    keyless: KeylessTable,
    root: Option<(String, Vec<u8>)>,
}

impl KeylessPublisher {
    /// Uses this `trusted_root.json` instead of the embedded one. Bytes have no date: keeping them fresh is left to
    /// the caller, as with `max_age = "unlimited"` in a document.
    pub fn trusted_root(mut self, json: impl Into<Vec<u8>>) -> Self {
        let bytes = json.into();
        let name = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        self.keyless.trusted_root =
            Some(RootTable { file: built(name.clone()), max_age: built("unlimited") });
        self.root = Some((name, bytes));
        self
    }
}

impl From<KeylessPublisher> for Publisher {
    fn from(publisher: KeylessPublisher) -> Self {
        let table = PublisherTable { keyless: Some(publisher.keyless), ..publisher.table };
        Self { table, root: publisher.root }
    }
}

impl fmt::Debug for KeylessPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeylessPublisher").field("name", self.table.name.get_ref()).finish_non_exhaustive()
    }
}

/// A publisher without a method.
fn table(name: String) -> PublisherTable {
    PublisherTable { name: built(name), certificate: None, key: None, keyless: None }
}

/// A model rule of a [`PolicyBuilder`].
#[derive(Clone, Debug)]
#[must_use = "a rule does nothing until it is added to a policy"]
pub struct ModelRule {
    table: ModelTable,
}

impl ModelRule {
    /// A rule for the names that `pattern` matches, satisfied by any of the publishers.
    pub fn new(pattern: impl Into<String>, publishers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            table: ModelTable {
                pattern: built(pattern),
                publishers: Some(List::built(publishers)),
                all_of: None,
                pin: None,
                signatures: None,
                formats: None,
                assurance: None,
                legacy: None,
                annotations: None,
                observe_until: None,
            },
        }
    }

    /// Asks for the signatures of all the publishers instead of any: `all_of`.
    pub fn all_of(mut self) -> Self {
        if let Some(publishers) = self.table.publishers.take() {
            self.table.all_of = Some(publishers);
        }
        self
    }

    /// Accepts only pinned content, `dirHash:<hex>` or `treeHash:<hex>`. Called again, it allows one more: `pin`.
    pub fn pin(mut self, pin: impl Into<String>) -> Self {
        append(&mut self.table.pin, [pin]);
        self
    }

    /// Where the bundles are, instead of beside the model. The paths must be absolute: `signatures`.
    pub fn signatures(mut self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        append(&mut self.table.signatures, paths);
        self
    }

    /// The formats this rule hands out: `formats`.
    pub fn formats(mut self, formats: impl IntoIterator<Item = Format>) -> Self {
        self.table.formats = Some(format_names(formats));
        self
    }

    /// The floor of this rule: `assurance`.
    pub fn assurance(mut self, floor: Floor) -> Self {
        self.table.assurance = Some(Assurance::from(floor));
        self
    }

    /// Accepts v0.2 bundles: `legacy = true`.
    pub fn legacy(mut self) -> Self {
        self.table.legacy = Some(true);
        self
    }

    /// Ignores signed annotations: `annotations = false`.
    pub fn without_annotations(mut self) -> Self {
        self.table.annotations = Some(false);
        self
    }

    /// Until when a gate that observes may start a command after a denial: `observe_until`.
    pub fn observe_until(mut self, moment: Timestamp) -> Self {
        // TOML has no years before 0. `build` refuses the empty moment that stands for them.
        let nothing = Datetime { date: None, time: None, offset: None };
        self.table.observe_until = Some(built(moment.to_string().parse::<Datetime>().unwrap_or(nothing)));
        self
    }
}

fn append(list: &mut Option<List>, items: impl IntoIterator<Item = impl Into<String>>) {
    match list {
        Some(list) => list.extend(items),
        None => *list = Some(List::built(items)),
    }
}

fn format_names(formats: impl IntoIterator<Item = Format>) -> List {
    let formats: BTreeSet<Format> = formats.into_iter().collect();
    List::built(formats.into_iter().map(Format::as_str))
}

#[cfg(test)]
mod tests {
    use super::super::document::Plan;
    use super::*;
    use crate::error::Code;

    const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEnJw/ieNr7jkssjeGveK5iXFuKQL7\ncFrenJDQu/UnQOmwmKIUBHBOsInFwDDWvu745nmoqQWWoGpibXc5gXvHcw==\n-----END PUBLIC KEY-----\n";
    const ANCHOR: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const PIN: &str = "treeHash:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

    fn origin(builder: &PolicyBuilder, text: &str) -> Origin {
        Origin::new("<builder>".to_owned(), text, Files::Given(builder.roots.clone()))
    }

    fn plan(builder: &PolicyBuilder) -> Plan {
        without_places(builder.document.check(&origin(builder, "")).unwrap())
    }

    fn without_places(mut plan: Plan) -> Plan {
        for rule in &mut plan.models {
            rule.shown.clear();
        }
        plan
    }

    fn complete() -> PolicyBuilder {
        PolicyBuilder::new(Clock::System)
            .formats([Format::Safetensors, Format::Gguf, Format::Gguf])
            .assurance(Floor::Verity)
            .legacy()
            .without_annotations()
            .ledger("/var/log/modelseal")
            .threads(NonZeroUsize::new(3).unwrap())
            .publisher(Publisher::key("ci", [KEY]))
            .publisher(Publisher::certificate("someone", [ANCHOR]).strict().subject("CN=a"))
            .publisher(Publisher::certificate("anyone", [ANCHOR]).any_identity())
            .publisher(Publisher::keyless("robot", "a@example.org", "https://example.org"))
            .publisher(Publisher::keyless("own", "b@example.org", "https://example.org").trusted_root("{}"))
            .model(ModelRule::new("org/*", ["ci", "someone"]))
            .model(
                ModelRule::new("org/name", ["ci", "own"])
                    .all_of()
                    .pin(PIN)
                    .pin(PIN.replace('2', "3"))
                    .signatures(["/srv/a.sig"])
                    .signatures(["/srv/b.sig"])
                    .formats([Format::Pickle])
                    .assurance(Floor::Mapped)
                    .legacy()
                    .without_annotations()
                    .observe_until(Timestamp::parse("2027-01-31T12:00:00Z").unwrap()),
            )
    }

    /// The same content, written by hand.
    fn document() -> String {
        format!(
            r#"
version = 1

[defaults]
formats = ["gguf", "safetensors"]
assurance = "verity"
legacy = true
annotations = false
ledger = "/var/log/modelseal"
threads = 3

[[publisher]]
name = "ci"
key = {{ public = ["""{KEY}"""] }}

[[publisher]]
name = "someone"
certificate = {{ anchors = ["""{ANCHOR}"""], subject = "CN=a", strict = true }}

[[publisher]]
name = "anyone"
certificate = {{ anchors = ["""{ANCHOR}"""], any_identity = true }}

[[publisher]]
name = "robot"
keyless = {{ identity = "a@example.org", issuer = "https://example.org" }}

[[publisher]]
name = "own"
[publisher.keyless]
identity = "b@example.org"
issuer = "https://example.org"
trusted_root.file = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
trusted_root.max_age = "unlimited"

[[model]]
match = "org/*"
publishers = ["ci", "someone"]

[[model]]
match = "org/name"
all_of = ["ci", "own"]
pin = ["{PIN}", "{}"]
signatures = ["/srv/a.sig", "/srv/b.sig"]
formats = ["pickle"]
assurance = "mapped"
legacy = true
annotations = false
observe_until = 2027-01-31T13:00:00+01:00
"#,
            PIN.replace('2', "3")
        )
    }

    #[test]
    fn builder_and_document_mean_the_same() {
        let (builder, text) = (complete(), document());
        let origin = origin(&builder, &text);
        let written = Document::parse(&text, &origin).unwrap().check(&origin).unwrap();
        assert_eq!(plan(&builder), without_places(written));
    }

    #[test]
    fn the_rendering_is_a_document_with_the_same_meaning() {
        let builder = complete();
        let text = builder.document.render(&origin(&builder, "")).unwrap();
        let origin = origin(&builder, &text);
        let parsed = Document::parse(&text, &origin).unwrap();
        assert_eq!(plan(&builder), without_places(parsed.check(&origin).unwrap()));
        assert_eq!(parsed.render(&origin).unwrap(), text, "rendering is canonical");
    }

    #[test]
    fn the_rendering_differs_when_the_content_does() {
        let base = || PolicyBuilder::new(Clock::System).publisher(Publisher::key("ci", [KEY]));
        let render = |builder: PolicyBuilder| builder.document.render(&origin(&builder, "")).unwrap();
        let rule = || ModelRule::new("org/*", ["ci"]);
        let texts = [
            render(base().model(rule())),
            render(base().model(rule().all_of())),
            render(base().model(rule().legacy())),
            render(base().model(rule().without_annotations())),
            render(base().model(rule().pin(PIN))),
            render(base().model(rule().assurance(Floor::Mapped))),
            render(base().model(rule()).legacy()),
            render(base().model(rule()).assurance(Floor::Mapped)),
        ];
        for (index, text) in texts.iter().enumerate() {
            assert!(!texts[..index].contains(text), "{text}");
        }
    }

    #[test]
    fn all_of_may_be_said_twice() {
        let builder = PolicyBuilder::new(Clock::System)
            .publisher(Publisher::key("ci", [KEY]))
            .model(ModelRule::new("a", ["ci"]).all_of().all_of());
        assert_eq!(plan(&builder).models[0].require, super::super::Require::AllOf(vec![0]));
    }

    #[test]
    fn mistakes_are_refused_as_in_a_document() {
        let base = || PolicyBuilder::new(Clock::System).publisher(Publisher::key("ci", [KEY]));
        let rule = || ModelRule::new("org/*", ["ci"]);
        let mistakes = [
            (PolicyBuilder::new(Clock::System).model(rule()), Code::PolicyMalformed, "[[publisher]]"),
            (base(), Code::PolicyMalformed, "[[model]]"),
            (base().model(ModelRule::new("org/", ["ci"])), Code::PolicyNameInvalid, "model 'org/'"),
            (base().model(ModelRule::new("org/*", ["cd"])), Code::PolicyMalformed, "'cd'"),
            (base().model(rule()).model(rule()), Code::PolicyMalformed, "same `match`"),
            (
                base().publisher(Publisher::key("ci", [KEY])).model(rule()),
                Code::PolicyMalformed,
                "same `name`",
            ),
            (
                base().publisher(Publisher::key("cd", ["cd.pem"])).model(rule()),
                Code::PolicyMalformed,
                "'cd.pem'",
            ),
            (base().model(rule()).formats([]), Code::PolicyMalformed, "`formats` is empty"),
            (base().model(rule()).formats([Format::Inert]), Code::PolicyMalformed, "'inert'"),
            (base().model(rule()).ledger("ledger"), Code::PolicyMalformed, "relative"),
            (base().model(rule()).threads(NonZeroUsize::MAX), Code::PolicyMalformed, "`threads`"),
            (base().model(rule().pin("x")), Code::PolicyMalformed, "not a pin"),
            (base().model(rule().signatures(["a.sig"])), Code::PolicyMalformed, "relative"),
            (
                base().model(rule().observe_until(Timestamp::from_seconds(-100_000_000_000).unwrap())),
                Code::PolicyMalformed,
                "not a moment",
            ),
        ];
        for (builder, code, message) in mistakes {
            let error = builder.build().unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(error.message().contains(message), "{error}");
            assert!(error.evidence().is_empty(), "a builder has no lines: {error}");
            assert_eq!(error.path(), Some("<builder>"));
        }
    }

    #[test]
    fn debug_shows_no_keys() {
        let shown = format!("{:?} {:?}", complete(), Publisher::key("ci", [KEY]));
        assert!(!shown.contains("BEGIN"), "{shown}");
    }

    #[test]
    fn a_built_policy_has_the_digest_of_its_text() {
        let builder = PolicyBuilder::new(Clock::System)
            .publisher(Publisher::key("ci", [KEY]))
            .model(ModelRule::new("org/*", ["ci"]));
        let text = builder.document.render(&origin(&builder, "")).unwrap();
        let (built, written) = (builder.build().unwrap(), Policy::parse(&text, Clock::System).unwrap());
        assert_eq!(built.digest(), written.digest());
    }
}
