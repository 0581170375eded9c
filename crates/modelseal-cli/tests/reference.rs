//! Scripts written for the reference tool, with the name swapped.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use modelseal_sign::{SigningKey, write_new_secret};

fn modelseal(directory: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_modelseal"))
        .args(line.split(' '))
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Runs one line, checks its status, and gives standard output and standard error.
fn expect(directory: &Path, status: i32, line: &str) -> (String, String) {
    let output = modelseal(directory, line);
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(status), "{line}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

/// A model of two files, a key pair, and a signature `model.sig` in the working directory.
fn signed() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::create_dir_all(path.join("M/sub")).unwrap();
    fs::write(path.join("M/weights.bin"), "weights").unwrap();
    fs::write(path.join("M/sub/config.json"), "{}").unwrap();
    fs::write(path.join("M/.gitignore"), "x").unwrap();
    let key = SigningKey::generate_p256();
    write_new_secret(path.join("key"), key.to_plain_pem().unwrap().as_bytes()).unwrap();
    fs::write(path.join("pub"), key.public_key_pem().unwrap()).unwrap();
    let (stdout, stderr) = expect(path, 0, "sign key M --private_key key");
    assert_eq!((stdout.as_str(), stderr.as_str()), ("Signing succeeded\n", ""));
    directory
}

#[test]
fn a_signed_model_verifies_in_both_spellings() {
    let directory = signed();
    for line in [
        "verify key M --signature model.sig --public_key pub",
        "verify key --public-key pub --signature=model.sig M --ignore_git_paths --no-ignore-unsigned-files",
        "--log-level INFO verify key M --signature model.sig --public-key pub --no-ignore_unsigned_files",
    ] {
        let (stdout, stderr) = expect(directory.path(), 0, line);
        assert_eq!((stdout.as_str(), stderr.as_str()), ("Verification succeeded\n", ""));
    }
}

#[test]
fn the_same_key_and_model_give_the_same_signature() {
    let directory = signed();
    expect(directory.path(), 0, "sign key M --private_key key --signature again.sig");
    let read = |name| fs::read(directory.path().join(name)).unwrap();
    assert_eq!(read("model.sig"), read("again.sig"));
}

#[test]
fn a_signature_inside_the_model_is_no_part_of_it() {
    let directory = signed();
    expect(directory.path(), 0, "sign key M --private_key key --signature M/model.sig");
    expect(directory.path(), 0, "sign key M --private_key key --signature M/model.sig");
    expect(directory.path(), 0, "verify key M --signature M/model.sig --public_key pub");
    fs::copy(directory.path().join("M/model.sig"), directory.path().join("outside.sig")).unwrap();
    fs::remove_file(directory.path().join("M/model.sig")).unwrap();
    expect(directory.path(), 0, "verify key M --signature outside.sig --public_key pub");
}

#[test]
fn every_denial_ends_with_1_and_names_its_code() {
    let directory = signed();
    let path = directory.path();
    let line = "verify key M --signature model.sig --public_key pub";
    let denied = |code: &str, line: &str| {
        let (stdout, stderr) = expect(path, 1, line);
        assert_eq!(stdout, "");
        let reason = format!("Verification failed with error: {code}: ");
        assert!(stderr.lines().any(|line| line.starts_with(&reason)), "{stderr}");
        assert!(stderr.contains("\nhelp: "), "{stderr}");
    };

    fs::write(path.join("M/weights.bin"), "weighty").unwrap();
    denied("file.digest_mismatch", line);
    fs::write(path.join("M/weights.bin"), "weights").unwrap();

    fs::write(path.join("M/extra.py"), "").unwrap();
    denied("file.unsigned", line);
    expect(path, 0, &format!("{line} --ignore_unsigned_files"));
    expect(path, 0, &format!("{line} --ignore-paths M/extra.py"));
    denied("file.unsigned", &format!("{line} --ignore-paths extra.py"));
    denied("file.unsigned", &format!("{line} --ignore_unsigned_files --no-ignore-unsigned-files"));
    fs::remove_file(path.join("M/extra.py")).unwrap();

    fs::remove_file(path.join("M/sub/config.json")).unwrap();
    denied("file.missing", line);
    fs::write(path.join("M/sub/config.json"), "{}").unwrap();

    denied("bundle.missing", "verify key M --signature absent.sig --public_key pub");
    fs::write(path.join("other"), SigningKey::generate_p256().public_key_pem().unwrap()).unwrap();
    expect(path, 1, "verify key M --signature model.sig --public_key other");
    expect(path, 0, line);
}

#[cfg(unix)]
#[test]
fn links_are_followed_only_when_asked_and_only_inside() {
    let directory = signed();
    let path = directory.path();
    std::os::unix::fs::symlink("weights.bin", path.join("M/alias.bin")).unwrap();
    expect(path, 1, "sign key M --private_key key --signature linked.sig");
    expect(path, 0, "sign key M --private_key key --signature linked.sig --allow-symlinks");
    expect(path, 0, "verify key M --signature linked.sig --public_key pub --allow_symlinks");
    expect(path, 1, "verify key M --signature linked.sig --public_key pub");
    std::os::unix::fs::symlink("/etc/hostname", path.join("M/outside.txt")).unwrap();
    expect(path, 1, "sign key M --private_key key --signature linked.sig --allow-symlinks");
}

#[test]
fn wrong_usage_ends_with_2() {
    let directory = signed();
    for line in [
        "sign key M",
        "sign key M --private_key key --frobnicate",
        "sign key M --private_key key --ignore-paths M",
        "verify key M --public_key pub",
        "verify key M --signature model.sig",
        "verify key M --signature model.sig --public_key absent",
        "verify key M --signature model.sig --public_key model.sig",
        "verify certificate M --signature model.sig",
        "verify M --signature model.sig",
        "verify M --signature model.sig --identity a --identity_provider b --use_staging",
    ] {
        expect(directory.path(), 2, line);
    }
}

#[test]
fn sigstore_is_the_default_method_and_says_that_it_is_missing() {
    let directory = signed();
    for line in [
        "sign M",
        "sign sigstore M --use_staging --identity_token t --signature s",
        "sign pkcs11-key M --pkcs11_uri u",
    ] {
        let (_, stderr) = expect(directory.path(), 1, line);
        assert!(stderr.starts_with("Signing failed with error: sign.unavailable: "), "{stderr}");
    }
}

#[test]
fn a_failed_signing_leaves_the_old_signature() {
    let directory = signed();
    let before = fs::read(directory.path().join("model.sig")).unwrap();
    fs::create_dir(directory.path().join("empty")).unwrap();
    expect(directory.path(), 1, "sign key empty --private_key key");
    expect(directory.path(), 1, "sign key M --private_key absent");
    expect(directory.path(), 1, "sign key M --private_key pub");
    assert_eq!(fs::read(directory.path().join("model.sig")).unwrap(), before);
}
