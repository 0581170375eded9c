//! What holds for every model, bundle and policy, tried on many.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

mod support;

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use modelseal::{
    Assurance, Code, Error, Floor, Policy, Source, Verdict, Verification, verify_and_map,
    verify_and_open_with,
};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;
use support::{FILES, Form, Person, WAYS, any_of, contents, denied, name, options, policy, write_model};
use tempfile::TempDir;

/// One signed model that the tests share and never change.
struct Fixture {
    model: TempDir,
    policy: Policy,
    mapped: Policy,
    bundles: Vec<(Form, Vec<u8>)>,
}

impl Fixture {
    fn shared() -> &'static Self {
        static SHARED: OnceLock<Fixture> = OnceLock::new();
        SHARED.get_or_init(|| {
            let model = tempfile::tempdir().unwrap();
            write_model(model.path());
            let alice = Person::new("alice");
            let bundles = Form::ALL.map(|form| (form, alice.sign(model.path(), form))).to_vec();
            let policy_with = |floor| policy(&[&alice], any_of(&[&alice]), floor);
            Self { policy: policy_with(Floor::Immutable), mapped: policy_with(Floor::Mapped), bundles, model }
        })
    }

    /// Opens with a bundle from elsewhere and touches every byte.
    fn open(&self, bundle: &[u8]) -> Result<Verdict, Error> {
        let source = Source::new(self.model.path()).with_bundle_bytes(bundle);
        let model = verify_and_open_with(source, &name(), &self.policy, &options(WAYS[0]))?;
        contents(&model)?;
        Ok(model.verdict().clone())
    }
}

/// One change to a byte string.
#[derive(Clone, Debug)]
enum Mutation {
    Append(u8),
    Delete(Index),
    Flip(Index, u8),
    Insert(Index, u8),
    Swap(Index, Index),
    Truncate(Index),
}

impl Mutation {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            4 => (any::<Index>(), 0_u32..8).prop_map(|(at, bit)| Self::Flip(at, 1 << bit)),
            1 => any::<u8>().prop_map(Self::Append),
            2 => any::<Index>().prop_map(Self::Delete),
            2 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Self::Insert(at, byte)),
            1 => (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Self::Swap(one, other)),
            1 => any::<Index>().prop_map(Self::Truncate),
        ]
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            bytes.push(0);
            return;
        }
        let length = bytes.len();
        match self {
            Self::Append(byte) => bytes.push(*byte),
            Self::Delete(at) => drop(bytes.remove(at.index(length))),
            Self::Flip(at, mask) => bytes[at.index(length)] ^= mask,
            Self::Insert(at, byte) => bytes.insert(at.index(length), *byte),
            Self::Swap(one, other) => bytes.swap(one.index(length), other.index(length)),
            Self::Truncate(at) => bytes.truncate(at.index(length)),
        }
    }
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    proptest::collection::vec(Mutation::any(), 1..4)
}

/// The bytes after the changes, or `None` if these cancel out.
fn mutated(bytes: &[u8], mutations: &[Mutation]) -> Option<Vec<u8>> {
    let mut changed = bytes.to_vec();
    for mutation in mutations {
        mutation.apply(&mut changed);
    }
    (changed != bytes).then_some(changed)
}

/// The bundle with one Base64 field replaced.
fn with_field(
    bundle: &[u8],
    pointer: &str,
    change: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let mut document: Value = serde_json::from_slice(bundle).unwrap();
    let field = document.pointer_mut(pointer).unwrap();
    let changed = change(&STANDARD.decode(field.as_str().unwrap()).unwrap())?;
    *field = STANDARD.encode(changed).into();
    Some(document.to_string().into_bytes())
}

const PAYLOAD: &str = "/dsseEnvelope/payload";
const SIGNATURE: &str = "/dsseEnvelope/signatures/0/sig";

#[test]
fn what_was_signed_opens_in_every_form_and_way() {
    let fixture = Fixture::shared();
    for (form, bundle) in &fixture.bundles {
        for way in WAYS {
            let source = Source::new(fixture.model.path()).with_bundle_bytes(bundle.clone());
            let model = verify_and_open_with(source, &name(), &fixture.policy, &options(way)).unwrap();
            let found = contents(&model).unwrap();
            assert_eq!(
                found.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(),
                FILES,
                "{form:?} {way:?}"
            );
            for (path, bytes) in found {
                assert_eq!(
                    bytes,
                    fs::read(fixture.model.path().join(&path)).unwrap(),
                    "{form:?} {way:?} {path}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_payload_is_denied(changes in mutations(), form in any::<Index>()) {
        let fixture = Fixture::shared();
        let (_, bundle) = form.get(&fixture.bundles);
        if let Some(bundle) = with_field(bundle, PAYLOAD, |payload| mutated(payload, &changes)) {
            let code = denied(fixture.open(&bundle));
            // An empty field is no payload at all.
            prop_assert!(matches!(code, Code::SignatureInvalid | Code::BundleMalformed), "{code:?}");
        }
    }

    #[test]
    fn a_mutated_signature_is_denied(changes in mutations(), form in any::<Index>()) {
        let fixture = Fixture::shared();
        let (_, bundle) = form.get(&fixture.bundles);
        if let Some(bundle) = with_field(bundle, SIGNATURE, |signature| mutated(signature, &changes)) {
            let code = denied(fixture.open(&bundle));
            prop_assert!(matches!(code, Code::SignatureInvalid | Code::BundleMalformed), "{code:?}");
        }
    }

    #[test]
    fn a_mutated_bundle_is_denied_or_says_the_same(changes in mutations(), form in any::<Index>()) {
        let fixture = Fixture::shared();
        let (_, bundle) = form.get(&fixture.bundles);
        if let Some(changed) = mutated(bundle, &changes)
            && let Ok(verdict) = fixture.open(&changed)
        {
            let before = fixture.open(bundle).unwrap();
            prop_assert_eq!(&verdict.name_digest, &before.name_digest);
            prop_assert_eq!(&verdict.root_digest, &before.root_digest);
            prop_assert_eq!(&verdict.publishers, &before.publishers);
            let fingerprint = |verdict: &Verdict| -> Vec<String> {
                verdict.signers.iter().map(|signer| signer.fingerprint.clone()).collect()
            };
            prop_assert_eq!(fingerprint(&verdict), fingerprint(&before));
            let digests = |verdict: &Verdict| -> Vec<_> {
                verdict.files.iter().map(|file| (file.path.clone(), file.digest.clone())).collect()
            };
            prop_assert_eq!(digests(&verdict), digests(&before));
        }
    }

    #[test]
    fn a_mutated_model_file_is_denied(
        changes in mutations(),
        form in any::<Index>(),
        file in any::<Index>(),
        way in any::<Index>(),
    ) {
        let fixture = Fixture::shared();
        let (form, bundle) = form.get(&fixture.bundles);
        let (file, way) = (*file.get(&FILES), *way.get(&WAYS));
        let model = tempfile::tempdir().unwrap();
        write_model(model.path());
        let path = model.path().join(file);
        let original = fs::read(&path).unwrap();
        if let Some(bytes) = mutated(&original, &changes) {
            fs::write(&path, &bytes).unwrap();
            let source = Source::new(model.path()).with_bundle_bytes(bundle.clone());
            let code = match verify_and_open_with(source.clone(), &name(), &fixture.policy, &options(way)) {
                Err(error) => error.code(),
                Ok(model) => {
                    prop_assert_eq!(way.1, Verification::OnAccess, "an eager open handed out {}", file);
                    let code = denied(model.file(file).unwrap().bytes());
                    // One mismatch closes the whole model, with the same code.
                    for other in model.files() {
                        prop_assert_eq!(denied(other.bytes()), code);
                    }
                    code
                }
            };
            // A parser that had seen the bytes first would have said `format.*`.
            let known = sized(*form) && bytes.len() != original.len();
            let expected = if known { Code::FileSize } else { Code::FileDigestMismatch };
            prop_assert_eq!(code, expected);
            prop_assert_eq!(denied(verify_and_map(source, &name(), &fixture.mapped, &options(WAYS[0]))), expected);
        }
    }
}

/// Whether the manifest says how large each file is.
fn sized(form: Form) -> bool {
    !matches!(form, Form::Blake2b | Form::Plain)
}

#[test]
fn a_file_more_or_less_is_denied() {
    let fixture = Fixture::shared();
    let open = |model: &Path, bundle: &[u8], way| {
        let source = Source::new(model).with_bundle_bytes(bundle);
        verify_and_open_with(source, &name(), &fixture.policy, &options(way)).map(drop)
    };
    for (_, bundle) in &fixture.bundles {
        for way in WAYS {
            let model = tempfile::tempdir().unwrap();
            write_model(model.path());
            fs::remove_file(model.path().join("weights/b.safetensors")).unwrap();
            assert_eq!(denied(open(model.path(), bundle, way)), Code::FileMissing);
            write_model(model.path());
            for extra in ["pytorch_model.bin", "weights/c.safetensors", "modeling_llama.py", "__init__.py"] {
                fs::write(model.path().join(extra), b"\x80\x04.").unwrap();
                assert_eq!(denied(open(model.path(), bundle, way)), Code::FileUnsigned, "{extra}");
                fs::remove_file(model.path().join(extra)).unwrap();
            }
            open(model.path(), bundle, way).unwrap();
        }
    }
}

/// A piece of evidence, and what it is worth: whose word it is, and for which content.
struct Evidence {
    bundle: Vec<u8>,
    /// The publisher that signed exactly what is on disk, if one of the policy did.
    good: Option<&'static str>,
}

/// Evidence of every kind: good, of another content, of a stranger, of a liar, and garbage.
fn evidence(model: &Path, alice: &Person, bob: &Person, mallory: &Person) -> Vec<Evidence> {
    let other = tempfile::tempdir().unwrap();
    write_model(other.path());
    fs::write(other.path().join("model.safetensors"), support::safetensors(&support::noise(9, 3500)))
        .unwrap();
    let good = |person: &Person, form| Evidence { bundle: person.sign(model, form), good: Some(person.name) };
    let bad = |bundle| Evidence { bundle, good: None };
    vec![
        bad(liar(alice, model)),
        good(alice, Form::Annotated),
        good(bob, Form::Annotated),
        good(alice, Form::Plain),
        bad(alice.sign(other.path(), Form::Annotated)),
        bad(bob.sign(other.path(), Form::Plain)),
        bad(mallory.sign(model, Form::Annotated)),
        bad(bob.sign(model, Form::Annotated)[1..].to_vec()),
        bad(with_field(&bob.sign(model, Form::Plain), SIGNATURE, |signature| Some(signature[..9].to_vec()))
            .unwrap()),
    ]
}

/// A bundle whose OMS digests are right and whose annotated BLAKE3 digest of one weights file is wrong.
fn liar(person: &Person, model: &Path) -> Vec<u8> {
    let bundle: Value = serde_json::from_slice(&person.sign(model, Form::Annotated)).unwrap();
    let payload = STANDARD.decode(bundle.pointer(PAYLOAD).unwrap().as_str().unwrap()).unwrap();
    let mut document: Value = serde_json::from_slice(&payload).unwrap();
    let resources = document.pointer_mut("/predicate/resources").unwrap().as_array_mut().unwrap();
    let resource = resources.iter_mut().find(|resource| resource["name"] == "model.safetensors").unwrap();
    for annotation in resource["annotations"].as_object_mut().unwrap().values_mut() {
        annotation["blake3"] = "00".repeat(32).into();
    }
    person.signer.sign_statement(document.to_string().as_bytes()).unwrap().to_bytes().to_vec()
}

/// Every subset of the evidence, under every kind of rule: what opens is exactly what a reader of the rule expects,
/// and no subset opens what a larger set does not.
#[test]
fn dropping_evidence_never_opens_and_adding_never_closes() {
    evidence_is_monotone(Verification::Eager);
}

/// The same when files are checked on access, up to the last byte.
#[test]
fn evidence_counts_the_same_on_access() {
    evidence_is_monotone(Verification::OnAccess);
}

fn evidence_is_monotone(verification: Verification) {
    let model = tempfile::tempdir().unwrap();
    write_model(model.path());
    let (alice, bob, mallory) = (Person::new("alice"), Person::new("bob"), Person::new("mallory"));
    let pool = evidence(model.path(), &alice, &bob, &mallory);
    let full = 1_u32 << pool.len();
    let rules: [(bool, &[&Person]); 4] =
        [(false, &[&alice]), (false, &[&alice, &bob]), (true, &[&alice, &bob]), (true, &[&bob])];
    for (all, people) in rules {
        let rule = if all { any_of(people).all_of() } else { any_of(people) };
        let policy = policy(&[&alice, &bob], rule, Floor::Immutable);
        let opens = |set: u32| {
            let mut chosen = members(set, &pool);
            // The order of the bundles is nobody's evidence.
            if set.is_multiple_of(3) {
                chosen.reverse();
            }
            let source = chosen.iter().fold(Source::new(model.path()), |source, evidence| {
                source.with_bundle_bytes(evidence.bundle.clone())
            });
            verify_and_open_with(source, &name(), &policy, &options((Assurance::Private, verification)))
                .and_then(|model| contents(&model))
                .is_ok()
        };
        let opened: Vec<bool> = (0..full).map(opens).collect();
        for (index, set) in (0..full).enumerate() {
            let good: Vec<&str> = members(set, &pool).iter().filter_map(|evidence| evidence.good).collect();
            // The liar's manifest lists the true content, so beside another signer's honest one it is Alice's word.
            let backed = all && set & 1 != 0 && !good.is_empty();
            let signed =
                |person: &&Person| good.contains(&person.name) || (backed && person.name == alice.name);
            let expected = if all { people.iter().all(signed) } else { people.iter().any(signed) };
            let names: Vec<&str> = people.iter().map(|person| person.name).collect();
            let shown = format!("all of: {all}, {names:?}, evidence {set:09b}");
            assert_eq!(opened[index], expected, "{shown}");
            for more in 0..pool.len() {
                assert!(!opened[index] || opened[index | 1 << more], "{shown}: adding {more} closes");
            }
        }
    }
}

fn members(set: u32, pool: &[Evidence]) -> Vec<&Evidence> {
    pool.iter().enumerate().filter(|(index, _)| set & 1 << index != 0).map(|(_, evidence)| evidence).collect()
}
