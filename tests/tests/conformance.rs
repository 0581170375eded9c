//! The public OMS conformance suite, judged as `modelseal verify` judges, with a code for every refusal.
//!
//! The suite is found through `MODELSEAL_VECTORS`; without it these tests say so and end.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use modelseal::manifest::{MeasureOptions, Serialization};
use modelseal::policy::{ModelRule, PolicyBuilder, Publisher};
use modelseal::{
    Algorithm, Bundle, Clock, Code, CompareOptions, Error, Format, ModelName, Policy, Source, Timestamp,
    Tree, Verdict, verify_and_open,
};
use modelseal_sign::{Signer, SigningKey};
use serde_json::Value;

/// Every refusal of the suite and its reason. `malformed-*` carry signatures that do not verify; what they are named
/// for is reached in [`malformed_payloads_with_a_valid_signature`].
const NEGATIVE: [(&str, Code); 23] = [
    ("certificate-expired_fail", Code::X509Expired),
    ("certificate-simple-wrong-ca_fail", Code::X509Untrusted),
    ("key-simple-corrupted-bundle_fail", Code::BundleNotJson),
    ("key-simple-extra-file_fail", Code::FileUnsigned),
    ("key-simple-missing-file_fail", Code::FileMissing),
    ("key-simple-no-signature_fail", Code::BundleSignatureCount),
    ("key-simple-tampered-content_fail", Code::FileDigestMismatch),
    ("key-simple-truncated-bundle_fail", Code::BundleNotJson),
    ("key-simple-wrong-key_fail", Code::SignatureWrongKey),
    ("key-simple-wrong-mediatype_fail", Code::BundleMediaType),
    ("key-verify-as-certificate_fail", Code::SignatureMethod),
    ("malformed-empty-bundle_fail", Code::BundleNotJson),
    ("malformed-empty-resources_fail", Code::SignatureInvalid),
    ("malformed-missing-envelope_fail", Code::BundleMalformed),
    ("malformed-no-predicate_fail", Code::SignatureInvalid),
    ("malformed-no-subject_fail", Code::SignatureInvalid),
    ("malformed-wrong-payload-type_fail", Code::SignatureInvalid),
    ("malformed-wrong-predicate_fail", Code::SignatureInvalid),
    ("malformed-wrong-statement-type_fail", Code::SignatureInvalid),
    ("sigstore-tampered-content_fail", Code::FileDigestMismatch),
    ("sigstore-verify-as-key_fail", Code::SignatureMethod),
    ("sigstore-wrong-identity_fail", Code::KeylessIdentity),
    ("sigstore-wrong-issuer_fail", Code::KeylessIdentity),
];

/// What each malformed payload is named for, once its signature holds.
const MALFORMED: [(&str, Code); 6] = [
    ("malformed-empty-resources_fail", Code::ManifestEmpty),
    ("malformed-no-predicate_fail", Code::StatementMalformed),
    ("malformed-no-subject_fail", Code::StatementSubject),
    ("malformed-wrong-payload-type_fail", Code::EnvelopePayloadType),
    ("malformed-wrong-predicate_fail", Code::StatementPredicateType),
    ("malformed-wrong-statement-type_fail", Code::StatementType),
];

/// Every certificate and log entry of the suite is valid at this time, but those that a case wants expired.
const TIME: &str = "2026-09-01T00:00:00Z";

fn suite() -> Option<PathBuf> {
    let Some(root) = std::env::var_os("MODELSEAL_VECTORS") else {
        println!("skipped: MODELSEAL_VECTORS not set");
        return None;
    };
    Some(Path::new(&root).join("oms"))
}

fn cases(directory: &Path) -> BTreeMap<String, PathBuf> {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path))
        .collect()
}

fn config(case: &Path) -> Value {
    serde_json::from_slice(&fs::read(case.join("config.json")).unwrap()).unwrap()
}

fn list(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|item| item.as_str().unwrap().to_owned()).collect()
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

/// A copy of a case's model with its modifications made.
fn model(suite: &Path, case: &Path, config: &Value, into: &Path) -> PathBuf {
    let root = if config["model_relative_to"] == "test_dir" { case.to_owned() } else { suite.join("assets") };
    let from = root.join(config["model"].as_str().unwrap());
    let to = into.join(from.file_name().unwrap());
    copy(&from, &to);
    let changes = &config["model_modifications"];
    for path in list(&changes["delete"]) {
        // Some cases delete what their model does not have.
        let _ = fs::remove_file(to.join(path));
    }
    for kind in ["inject", "tamper"] {
        for (path, text) in changes[kind].as_object().into_iter().flatten() {
            let path = to.join(path);
            let _ = fs::remove_file(&path);
            fs::write(path, text.as_str().unwrap()).unwrap();
        }
    }
    for (path, target) in changes["symlinks"].as_object().into_iter().flatten() {
        std::os::unix::fs::symlink(target.as_str().unwrap(), to.join(path)).unwrap();
    }
    to
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The policy a case's flags stand for. A key the suite lacks is replaced by one of ours: the case is about the
/// method, and a file that cannot be read would prove nothing.
fn policy(suite: &Path, config: &Value) -> Policy {
    let verify = &config["verify"];
    let assets = suite.join("assets");
    let publisher: Publisher = match config["method"].as_str().unwrap() {
        "certificate" => {
            let anchors = list(&verify["cert_chain"]);
            Publisher::certificate("signer", anchors.iter().map(|path| text(&assets.join(path))))
                .any_identity()
        }
        "key" => {
            let path = assets.join(verify["public_key"].as_str().unwrap());
            let key = if path.exists() {
                text(&path)
            } else {
                SigningKey::generate_p256().public_key_pem().unwrap()
            };
            Publisher::key("signer", [key])
        }
        "sigstore" => Publisher::keyless(
            "signer",
            verify["identity"].as_str().unwrap(),
            verify["identity_provider"].as_str().unwrap(),
        )
        .into(),
        method => panic!("unknown method {method}"),
    };
    of(publisher)
}

fn of(publisher: Publisher) -> Policy {
    let rule = ModelRule::new("*", ["signer"]).formats([Format::Other, Format::Pickle]);
    let clock = Clock::At(Timestamp::parse(TIME).unwrap());
    PolicyBuilder::new(clock).legacy().publisher(publisher).model(rule).build().unwrap()
}

/// What `modelseal verify` does with these flags.
fn verify(policy: &Policy, config: &Value, model: &Path, bundle: &Path) -> Result<Verdict, Error> {
    let mut options = CompareOptions::new();
    for path in list(&config["verify"]["ignore_paths"]) {
        options = options.ignore_path(path);
    }
    if config["verify"]["ignore_unsigned_files"] == true {
        options = options.ignore_unsigned_files();
    }
    policy.check([Bundle::read(bundle)?])?.compare(Tree::walk(model)?, &options)
}

fn compared(verdict: &Verdict) -> BTreeSet<String> {
    verdict.files.iter().filter(|file| file.fate == "compared").map(|file| file.path.clone()).collect()
}

#[test]
fn every_positive_and_historical_case_verifies() {
    let Some(suite) = suite() else { return };
    let mut count = 0;
    for group in ["positive", "historical"] {
        for (name, case) in cases(&suite.join("test-cases/verify").join(group)) {
            let config = config(&case);
            let directory = tempfile::tempdir().unwrap();
            let model = model(&suite, &case, &config, directory.path());
            let policy = policy(&suite, &config);
            let verdict = verify(&policy, &config, &model, &case.join("bundle.sig"))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            if !config["expected_signed_files"].is_null() {
                // `.` is the one file of a single-file model; here it has the name it was opened under.
                let file = model.file_name().unwrap().to_str().unwrap();
                let expected = list(&config["expected_signed_files"]).into_iter();
                let expected =
                    expected.map(|path| if path == "." { file.to_owned() } else { path }).collect();
                assert_eq!(compared(&verdict), expected, "{name}");
            }
            let legacy = name.contains("v0.2.0");
            assert_eq!(verdict.warnings.iter().any(|warning| warning.contains("v0.2")), legacy, "{name}");
            count += 1;
        }
    }
    assert_eq!(count, 20);
}

#[test]
fn every_negative_case_is_denied_for_its_reason() {
    let Some(suite) = suite() else { return };
    let cases = cases(&suite.join("test-cases/verify/negative"));
    let known: BTreeMap<&str, Code> = NEGATIVE.into_iter().collect();
    assert_eq!(cases.keys().map(String::as_str).collect::<BTreeSet<_>>(), known.keys().copied().collect());
    for (name, case) in cases {
        let config = config(&case);
        let directory = tempfile::tempdir().unwrap();
        let model = model(&suite, &case, &config, directory.path());
        let error = verify(&policy(&suite, &config), &config, &model, &case.join("bundle.sig")).unwrap_err();
        assert_eq!(error.code(), known[name.as_str()], "{name}: {error}");
    }
}

#[test]
fn malformed_payloads_with_a_valid_signature() {
    let Some(suite) = suite() else { return };
    let cases = cases(&suite.join("test-cases/verify/negative"));
    for (name, code) in MALFORMED {
        let bundle: Value =
            serde_json::from_slice(&fs::read(cases[name].join("bundle.sig")).unwrap()).unwrap();
        let envelope = &bundle["dsseEnvelope"];
        let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
        let key = SigningKey::generate_p256();
        let publisher = Publisher::key("signer", [key.public_key_pem().unwrap()]);
        let signed = Signer::key(key).sign_statement(&payload).unwrap();
        let mut ours: Value = serde_json::from_slice(signed.to_bytes()).unwrap();
        if envelope["payloadType"] != ours["dsseEnvelope"]["payloadType"] {
            // A signature over another type cannot be made with our signer. The type is refused before the signature
            // is looked at only if it is refused at all, so it must not be the signature that says no.
            ours["dsseEnvelope"] = signed_as(envelope["payloadType"].as_str().unwrap(), &payload, &mut ours);
        }
        let publisher = match ours["publisher"].as_str() {
            Some(pem) => Publisher::key("signer", [pem.to_owned()]),
            None => publisher,
        };
        ours.as_object_mut().unwrap().remove("publisher");
        let bundle = Bundle::parse(&serde_json::to_vec(&ours).unwrap()).unwrap();
        let error = of(publisher).check([bundle]).unwrap_err();
        assert_eq!(error.code(), code, "{name}: {error}");
    }
}

/// An envelope over a foreign payload type, signed with a fresh key whose public half goes into `bundle`.
fn signed_as(payload_type: &str, payload: &[u8], bundle: &mut Value) -> Value {
    use p256::ecdsa::signature::Signer as _;
    use p256::pkcs8::EncodePublicKey as _;

    let key = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    let pem = key.verifying_key().to_public_key_pem(p256::pkcs8::LineEnding::LF).unwrap();
    let mut pae = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    pae.extend_from_slice(payload);
    let signature: p256::ecdsa::DerSignature = key.sign(&pae);
    bundle["verificationMaterial"] =
        serde_json::json!({ "publicKey": { "rawBytes": STANDARD.encode(&pem) }, "tlogEntries": [] });
    bundle["publisher"] = pem.into();
    serde_json::json!({
        "payload": STANDARD.encode(payload),
        "payloadType": payload_type,
        "signatures": [{ "sig": STANDARD.encode(signature.as_bytes()), "keyid": "" }],
    })
}

#[test]
fn historical_single_files_are_opened_under_their_old_name() {
    let Some(suite) = suite() else { return };
    for version in ["v0.3.1", "v1.0.0"] {
        let case = suite.join(format!("test-cases/verify/historical/historical-{version}-elliptic-key"));
        let config = config(&case);
        let directory = tempfile::tempdir().unwrap();
        let model = model(&suite, &case, &config, directory.path());
        let name = ModelName::parse("old/model").unwrap();
        let source = Source::new(&model).with_bundle(case.join("bundle.sig"));
        let opened = verify_and_open(source, &name, &policy(&suite, &config)).unwrap();
        let file = model.file_name().unwrap().to_str().unwrap();
        assert_eq!(opened.paths().collect::<Vec<_>>(), [file]);
        assert_eq!(opened.file(file).unwrap().bytes().unwrap().as_slice(), fs::read(&model).unwrap());
        // The same name for a directory is no name at all.
        let elsewhere = tempfile::tempdir().unwrap();
        let tree = elsewhere.path().join("tree");
        copy(directory.path(), &tree);
        let source = Source::new(&tree).with_bundle(case.join("bundle.sig"));
        assert!(verify_and_open(source, &name, &policy(&suite, &config)).is_err());
    }
}

#[test]
fn every_roundtrip_scenario_works_with_fresh_keys() {
    let Some(suite) = suite() else { return };
    let mut done = BTreeSet::new();
    for (name, case) in cases(&suite.join("test-cases/roundtrip")) {
        let config = config(&case);
        if config["method"] == "sigstore" {
            println!(
                "{name}: needs an identity provider; the bundles of verify/historical cover verification"
            );
            continue;
        }
        let directory = tempfile::tempdir().unwrap();
        let model = model(&suite, &case, &config, directory.path());
        let signature = match config["sig_inside_model"] == true {
            true => model.join("model.sig"),
            false => directory.path().join("fresh.sig"),
        };
        let (signer, publisher) = fresh(config["method"].as_str().unwrap(), &name);
        let signed = sign(&signer, &model, &config, &signature);
        if config["expect"] == "fail" {
            let expected = if name.contains("empty-model") { Code::ManifestEmpty } else { Code::FileSymlink };
            assert_eq!(signed.unwrap_err().code(), expected, "{name}");
            done.insert(name);
            continue;
        }
        let bytes = signed.unwrap();
        fs::write(&signature, &bytes).unwrap();
        if name.contains("ignore-unsigned") {
            fs::write(model.join("added-later.bin"), "later").unwrap();
        }
        let policy = of(publisher);
        let verdict =
            verify(&policy, &config, &model, &signature).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected: BTreeSet<String> = list(&config["expected_signed_files"]).into_iter().collect();
        assert_eq!(compared(&verdict), expected, "{name}");
        if name.contains("deterministic") {
            assert_eq!(sign(&signer, &model, &config, &signature).unwrap(), bytes, "{name}");
        }
        done.insert(name);
    }
    assert_eq!(done.len(), 23);
}

/// Signs what the case signs: everything but the caller's excluded paths.
fn sign(
    signer: &Signer,
    model: &Path,
    config: &Value,
    signature: &Path,
) -> Result<Vec<u8>, modelseal_sign::Error> {
    let mut options = MeasureOptions::new("model", Serialization::files(Algorithm::Sha256));
    for path in list(&config["verify"]["ignore_paths"]) {
        options = options.ignore_path(path);
    }
    if signature.starts_with(model) {
        options = options.exclude("model.sig");
    }
    Ok(signer.sign_model(&Tree::walk(model)?, &options)?.to_bytes().to_vec())
}

fn fresh(method: &str, name: &str) -> (Signer, Publisher) {
    if method == "key" {
        let key = match name {
            name if name.contains("p384") => pem_key(&support::p384_pem()),
            name if name.contains("p521") => pem_key(&support::p521_pem()),
            _ => SigningKey::generate_p256(),
        };
        let public = key.public_key_pem().unwrap();
        return (Signer::key(key), Publisher::key("signer", [public]));
    }
    let chain = if name.contains("self-signed") { support::self_signed() } else { support::chain() };
    let intermediates: Vec<&[u8]> = chain.intermediates.iter().map(|pem| pem.as_bytes()).collect();
    let signer = Signer::certificate(pem_key(&chain.key), chain.leaf.as_bytes(), &intermediates).unwrap();
    (signer, Publisher::certificate("signer", [chain.root]).any_identity())
}

fn pem_key(pem: &str) -> SigningKey {
    SigningKey::from_pem(pem.as_bytes(), None).unwrap()
}
