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
