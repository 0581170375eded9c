//! The process is killed at a moment of nobody's choice, in the middle of signing and of an append to the ledger.
//! What lies on the disk afterwards is whole.
//!
//! The victim is this test binary itself: a test named `victim_...` that does its work for ever when the environment
//! says where, and nothing otherwise.

#![cfg(unix)]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use modelseal::manifest::{MeasureOptions, Serialization};
use modelseal::policy::{ModelRule, PolicyBuilder, Publisher};
use modelseal::{Algorithm, Clock, Floor, Policy, Tree, VerifiedModel, ledger, verify_and_open};
use modelseal_sign::{Signer, SigningKey};
use support::{Form, Person, any_of, builder, contents, name, write_model};

/// Where a victim works: a directory with `model/` and the key `key.pem`, or with `policy.toml`.
const PLACE: &str = "MODELSEAL_TEST_VICTIM";

/// How often each victim is killed.
const KILLS: u32 = 60;

/// Starts the victim, which says `working` by making a file, and kills it after `delay`.
fn kill(victim: &str, place: &Path, delay: Duration) {
    let mut child = Victim(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", victim, "--nocapture"])
            .env(PLACE, place)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let working = place.join("working");
    let start = Instant::now();
    while !working.exists() {
        assert!(child.0.try_wait().unwrap().is_none(), "{victim} ended by itself");
        assert!(start.elapsed() < Duration::from_secs(60), "{victim} did not start");
        std::thread::sleep(Duration::from_micros(200));
    }
    std::thread::sleep(delay);
    child.0.kill().unwrap();
    let status = child.0.wait().unwrap();
    assert_eq!(status.signal(), Some(9), "{victim} ended by itself: {status}");
    fs::remove_file(working).unwrap();
}

/// Never outlives its test.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Different moments, the same in every run: multiples of the golden ratio spread evenly over `bound`.
fn moment(round: u32, bound: Duration) -> Duration {
    bound.mul_f64((f64::from(round) * 0.618_033_988_749_895).fract())
}

/// The directory of a victim, or `None` when the test is not run as one.
fn place() -> Option<PathBuf> {
    std::env::var_os(PLACE).map(PathBuf::from)
}

fn say_working(place: &Path) {
    fs::write(place.join("working"), b"").unwrap();
}

#[test]
fn victim_signs_for_ever() {
    let Some(place) = place() else { return };
    let model = place.join("model");
    let signature = model.join("model.sig");
    let key = SigningKey::from_pem(&fs::read(place.join("key.pem")).unwrap(), None).unwrap();
    let signer = Signer::key(key);
    say_working(&place);
    for round in 0_u64.. {
        // Long and short bundles in turn: a short one written over a long one in place would leave the long one's end.
        let subject = "m".repeat(if round % 2 == 0 { 5 } else { 200_000 });
        let options =
            MeasureOptions::new(subject, Serialization::files(Algorithm::Sha256)).exclude("model.sig");
        signer.sign_model(&Tree::walk(&model).unwrap(), &options).unwrap().write(&signature).unwrap();
        if round % 8 == 7 {
            fs::remove_file(&signature).unwrap();
        }
    }
}

#[test]
fn a_signature_is_the_old_one_the_new_one_or_absent() {
    let home = tempfile::tempdir().unwrap();
    let model = home.path().join("model");
    fs::create_dir(&model).unwrap();
    write_model(&model);
    let key = SigningKey::generate_p256();
    fs::write(home.path().join("key.pem"), key.to_plain_pem().unwrap().as_bytes()).unwrap();
    let policy = PolicyBuilder::new(Clock::System)
        .publisher(Publisher::key("alice", [key.public_key_pem().unwrap()]))
        .model(ModelRule::new("acme/*", ["alice"]))
        .build()
        .unwrap();
    let (mut whole, mut absent, mut left_behind) = (0, 0, 0);
    for round in 0..KILLS {
        kill("victim_signs_for_ever", home.path(), moment(round, Duration::from_millis(60)));
        // At worst a temporary file stays behind. It is no part of the model, so it stays where it is.
        for entry in fs::read_dir(&model).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                assert!(path.file_name().unwrap().to_str().unwrap().starts_with(".model.sig."), "{path:?}");
                left_behind += 1;
            }
        }
        if model.join("model.sig").exists() {
            let opened = verify_and_open(&model, &name(), &policy)
                .unwrap_or_else(|error| panic!("round {round}: a torn signature: {error}"));
            contents(&opened).unwrap();
            whole += 1;
        } else {
            absent += 1;
        }
    }
    println!("{KILLS} kills: {whole} whole, {absent} absent, {left_behind} temporary files");
    assert!(whole > 0, "no signature survived, so nothing was tested");
}

fn load(place: &Path, policy: &Policy) -> VerifiedModel {
    verify_and_open(place.join("model"), &name(), policy)
        .unwrap_or_else(|error| panic!("{}: {error}", place.display()))
}

#[test]
fn victim_loads_for_ever() {
    let Some(place) = place() else { return };
    let policy = Policy::load(place.join("policy.toml"), Clock::System).unwrap();
    say_working(&place);
    loop {
        load(&place, &policy);
    }
}

#[test]
fn a_ledger_stays_whole_and_writable() {
    let home = tempfile::tempdir().unwrap();
    let model = home.path().join("model");
    fs::create_dir(&model).unwrap();
    write_model(&model);
    let person = Person::new("alice");
    fs::write(model.join("model.sig"), person.sign(&model, Form::Annotated)).unwrap();
    let file = home.path().join("ledger.jsonl");
    fs::write(
        home.path().join("policy.toml"),
        format!(
            "version = 1\n[defaults]\nledger = {file:?}\n[[publisher]]\nname = \"alice\"\n\
             key = {{ public = [\"alice.pub\"] }}\n[[model]]\nmatch = \"acme/*\"\npublishers = [\"alice\"]\n"
        ),
    )
    .unwrap();
    fs::write(home.path().join("alice.pub"), person.public_key()).unwrap();
    let policy = builder(&[&person], any_of(&[&person]), Floor::Immutable)
        .ledger(file.to_str().unwrap())
        .build()
        .unwrap();
    let (mut recovered, mut records) = (0, 0);
    for round in 0..KILLS {
        kill("victim_loads_for_ever", home.path(), moment(round, Duration::from_millis(60)));
        // A tail that was cut is reported, never taken for tampering.
        if file.exists() && fs::metadata(&file).unwrap().len() > 0 {
            let report = ledger::verify(std::slice::from_ref(&file), None);
            assert!(report.is_ok(), "round {round}: {report:?}");
        }
        load(home.path(), &policy);
        let head = ledger::head(&file).unwrap();
        let report = ledger::verify(std::slice::from_ref(&file), Some(&head)).unwrap_or_else(|error| {
            panic!("round {round}: {error}");
        });
        assert_eq!(report.chains.len(), 1, "round {round}: the chain broke");
        assert!(report.records > records, "round {round}: records were lost");
        records = report.records;
        assert_eq!(report.torn, 0, "round {round}: a torn line that no record names");
        recovered = report.recovered;
    }
    println!("{KILLS} kills: {records} records, {recovered} torn lines recovered");
}

/// A kill is too quick to tear a line by chance, so each length of the last line is tried.
#[test]
fn a_ledger_cut_anywhere_in_its_last_line_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let model = home.path().join("model");
    fs::create_dir(&model).unwrap();
    write_model(&model);
    let person = Person::new("alice");
    fs::write(model.join("model.sig"), person.sign(&model, Form::Annotated)).unwrap();
    let file = home.path().join("ledger.jsonl");
    let policy = || {
        builder(&[&person], any_of(&[&person]), Floor::Immutable)
            .ledger(file.to_str().unwrap())
            .build()
            .unwrap()
    };
    load(home.path(), &policy());
    load(home.path(), &policy());
    let whole = fs::read(&file).unwrap();
    let last = whole.iter().take(whole.len() - 1).rposition(|byte| *byte == b'\n').unwrap() + 1;
    for cut in (last + 1..whole.len()).step_by(23).chain([last + 1, whole.len() - 1]) {
        fs::write(&file, whole.get(..cut).unwrap()).unwrap();
        // Another process: a new policy remembers nothing of the file.
        load(home.path(), &policy());
        let report = ledger::verify(std::slice::from_ref(&file), Some(&ledger::head(&file).unwrap()))
            .unwrap_or_else(|error| panic!("cut at {cut} of {}: {error}", whole.len()));
        assert_eq!((report.chains.len(), report.recovered), (1, 1), "cut at {cut}");
    }
}
