//! The code table: append-only, and every code is produced by a vector or by a named test.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use modelseal::Code;
use modelseal_tests::{Case, vectors};

/// Codes that no file can provoke, and the test that does: file and function.
const FAULTS: [(Code, &str, &str); 12] = [
    (Code::AssuranceVerity, "crates/modelseal/src/open/pass.rs", "a_measured_digest_must_be_the_signed_one"),
    (Code::FileChanged, "tests/tests/faults.rs", "a_file_that_changes_under_the_reader_is_denied"),
    (
        Code::FileUnreadable,
        "crates/modelseal/src/digest/executor.rs",
        "a_file_that_cannot_be_read_is_unreadable",
    ),
    (Code::KeylessIdentity, "tests/tests/conformance.rs", "every_negative_case_is_denied_for_its_reason"),
    (
        Code::KeylessUnavailable,
        "crates/modelseal/src/trust/keyless.rs",
        "without_the_feature_nothing_is_keyless",
    ),
    (Code::OpenCancelled, "tests/tests/faults.rs", "a_cancelled_open_hands_out_nothing"),
    (Code::OpenSystem, "crates/modelseal/src/policy/approval.rs", "a_clock_before_1970_denies"),
    (Code::SignCertificate, "tests/tests/faults.rs", "a_certificate_of_another_key_signs_nothing"),
    (Code::SignKey, "tests/tests/faults.rs", "a_key_of_another_kind_signs_nothing"),
    (Code::SignOutput, "tests/tests/faults.rs", "a_signature_that_cannot_be_written_is_an_error"),
    (Code::SignPassword, "tests/tests/faults.rs", "a_wrong_password_signs_nothing"),
    (
        Code::SignUnavailable,
        "crates/modelseal-cli/tests/reference.rs",
        "sigstore_is_the_default_method_and_says_that_it_is_missing",
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn the_table_only_grows() {
    let lock = fs::read_to_string(root().join("tests/codes.lock")).unwrap();
    let locked: Vec<&str> = lock.lines().filter(|line| !line.starts_with('#')).collect();
    let known: BTreeSet<String> =
        Code::ALL.iter().map(|code| format!("{} {}", code.number(), code.as_str())).collect();
    for line in &locked {
        assert!(known.contains(*line), "codes.lock: '{line}' was removed or changed");
    }
    let missing: Vec<&String> = known.iter().filter(|code| !locked.contains(&code.as_str())).collect();
    assert!(missing.is_empty(), "append to the end of tests/codes.lock: {missing:?}");
    let (mut numbers, mut names) = (BTreeSet::new(), BTreeSet::new());
    for line in locked {
        let (number, name) = line.split_once(' ').unwrap();
        assert!(numbers.insert(number.to_owned()) && names.insert(name.to_owned()), "'{line}' is used twice");
    }
}

#[test]
fn every_code_is_produced() {
    let mut produced: BTreeSet<Code> = BTreeSet::new();
    for entry in fs::read_dir(vectors()).unwrap() {
        let Ok(text) = fs::read_to_string(entry.unwrap().path().join("case.toml")) else { continue };
        let case: Case = toml::from_str(&text).unwrap();
        if case.expect != "allow" {
            produced.insert(
                Code::from_name(&case.expect).unwrap_or_else(|| panic!("{} is no code", case.expect)),
            );
        }
    }
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for (code, file, test) in FAULTS {
        let text = files.entry(file).or_insert_with(|| fs::read_to_string(root().join(file)).unwrap());
        assert!(text.contains(&format!("fn {test}(")), "{file} has no test {test}");
        produced.insert(code);
    }
    let missing: Vec<&str> =
        Code::ALL.iter().filter(|code| !produced.contains(code)).map(|code| code.as_str()).collect();
    assert!(missing.is_empty(), "no vector and no named test produces {missing:?}");
}
