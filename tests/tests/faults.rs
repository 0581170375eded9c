//! What no vector can hold: files that change, permissions, cancellation, private keys.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use modelseal::{CancelToken, Code, Floor, OpenOptions, Tree, verify_and_open_with};
use modelseal_sign::{Password, Signer, SigningKey};
use support::{Form, Person, any_of, denied, name, policy, write_model};

fn model(person: &Person) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    write_model(directory.path());
    fs::write(directory.path().join("model.sig"), person.sign(directory.path(), Form::Plain)).unwrap();
    directory
}

#[test]
fn a_cancelled_open_hands_out_nothing() {
    let alice = Person::new("alice");
    let model = model(&alice);
    let policy = policy(&[&alice], any_of(&[&alice]), Floor::Immutable);
    let token = CancelToken::new();
    token.cancel();
    let before = OpenOptions::new().cancel(token);
    assert_eq!(denied(verify_and_open_with(model.path(), &name(), &policy, &before)), Code::OpenCancelled);
    // In the middle: the first progress report cancels. Reports come once per mebibyte.
    fs::write(model.path().join("weights/b.safetensors"), support::safetensors(&vec![7; 8 << 20])).unwrap();
    fs::write(model.path().join("model.sig"), alice.sign(model.path(), Form::Plain)).unwrap();
    let token = CancelToken::new();
    let (seen, stop) = (Arc::new(AtomicBool::new(false)), token.clone());
    let report = Arc::clone(&seen);
    let during = OpenOptions::new().threads(1.try_into().unwrap()).cancel(token).progress(move |_| {
        report.store(true, Ordering::Relaxed);
        stop.cancel();
    });
    let outcome = verify_and_open_with(model.path(), &name(), &policy, &during);
    assert!(seen.load(Ordering::Relaxed));
    assert_eq!(denied(outcome), Code::OpenCancelled);
}

#[test]
fn a_file_that_changes_under_the_reader_is_denied() {
    let alice = Person::new("alice");
    let model = model(&alice);
    let policy = policy(&[&alice], any_of(&[&alice]), Floor::Immutable);
    let tree = Tree::walk(model.path()).unwrap();
    // Between the walk and the open the weights shrink: the inode is the same, the size is not.
    let weights = model.path().join("model.safetensors");
    fs::OpenOptions::new().write(true).open(&weights).unwrap().set_len(10).unwrap();
    let bundle = modelseal::Bundle::read(&model.path().join("model.sig")).unwrap();
    let outcome = policy.check([bundle]).unwrap().approve(&name(), tree).unwrap().open();
    assert_eq!(denied(outcome), Code::FileChanged);
}

#[test]
fn a_certificate_of_another_key_signs_nothing() {
    let chain = support::chain();
    let stranger = SigningKey::generate_p256();
    let error = Signer::certificate(stranger, chain.leaf.as_bytes(), &[chain.root.as_bytes()]).unwrap_err();
    assert_eq!(error.code(), Code::SignCertificate);
}

#[test]
fn a_key_of_another_kind_signs_nothing() {
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
    let error = SigningKey::from_pem(ed25519.as_bytes(), None).unwrap_err();
    assert_eq!(error.code(), Code::SignKey);
}

#[test]
fn a_wrong_password_signs_nothing() {
    let key = SigningKey::generate_p256();
    let pem = key.to_encrypted_pem(&Password::new("right")).unwrap();
    let wrong = SigningKey::from_pem(pem.as_bytes(), Some(&Password::new("wrong"))).unwrap_err();
    assert_eq!(wrong.code(), Code::SignPassword);
    let missing = SigningKey::from_pem(pem.as_bytes(), None).unwrap_err();
    assert_eq!(missing.code(), Code::SignPassword);
}

#[test]
fn a_signature_that_cannot_be_written_is_an_error() {
    let signed = Signer::key(SigningKey::generate_p256()).sign_statement(b"{}").unwrap();
    let error = signed.write(Path::new("/nonexistent/model.sig")).unwrap_err();
    assert_eq!(error.code(), Code::SignOutput);
}

#[test]
fn every_load_leaves_one_record_and_its_head() {
    let alice = Person::new("alice");
    let model = model(&alice);
    let scratch = tempfile::tempdir().unwrap();
    let ledger = scratch.path().join("ledger.jsonl");
    let policy = support::builder(&[&alice], any_of(&[&alice]), Floor::Immutable)
        .ledger(ledger.to_str().unwrap())
        .build()
        .unwrap();
    let load = modelseal::ledger::LoadId::random().unwrap();
    let options = OpenOptions::new().load_id(load);
    let opened = verify_and_open_with(model.path(), &name(), &policy, &options).unwrap();
    let head = opened.ledger_head().unwrap();
    assert_eq!(modelseal::ledger::head(&ledger).unwrap(), head);
    // On access: the record says so, and the fault that is found later is a record of its own.
    let on_access = OpenOptions::new().verification(modelseal::Verification::OnAccess).load_id(load);
    let later = verify_and_open_with(model.path(), &name(), &policy, &on_access).unwrap();
    let weights = model.path().join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    assert_eq!(denied(later.tensor_in("model.safetensors", "t")), Code::FileDigestMismatch);
    // The model is poisoned: another file that did not change is refused with the same code.
    let second = later.file("weights/b.safetensors").unwrap();
    assert_eq!(denied(second.bytes()), Code::FileDigestMismatch);
    assert_eq!(
        denied(verify_and_open_with(model.path(), &name(), &policy, &options)),
        Code::FileDigestMismatch
    );
    fs::remove_file(model.path().join("model.sig")).unwrap();
    assert_eq!(denied(verify_and_open_with(model.path(), &name(), &policy, &options)), Code::BundleMissing);
    let text = fs::read_to_string(&ledger).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<String> = lines
        .iter()
        .map(|line| {
            let verdict = &line["verdict"];
            assert_eq!(line["load_id"], load.to_string());
            format!("{} {} {} {}", line["event"], verdict["outcome"], verdict["code"], verdict["coverage"])
                .replace('"', "")
        })
        .collect();
    assert_eq!(
        shown,
        [
            "load allowed null whole",
            "load allowed null on_access",
            "fault denied file.digest_mismatch on_access",
            "load denied file.digest_mismatch null",
            "load denied bundle.missing null",
        ]
    );
    let report = modelseal::ledger::verify(&[ledger], Some(&head)).unwrap();
    assert_eq!(report.records, 5);
}
