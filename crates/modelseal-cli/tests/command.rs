//! The command as a script sees it: exit status, standard output, standard error.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use modelseal_sign::{Password, SigningKey};

fn modelseal(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_modelseal"))
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn status(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn wrong_usage_ends_with_2() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in
        [&[][..], &["frobnicate"], &["keygen", "--frobnicate"], &["completions"], &["completions", "cobol"]]
    {
        let output = modelseal(directory.path(), arguments);
        assert_eq!(status(&output), 2, "{arguments:?}");
        assert!(stdout(&output).is_empty(), "{arguments:?}");
        assert!(!stderr(&output).is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_end_with_0() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in
        [&["--help"][..], &["-h"], &["--version"], &["keygen", "-h"], &["--log-level", "debug", "man"]]
    {
        let output = modelseal(directory.path(), arguments);
        assert_eq!(status(&output), 0, "{arguments:?}: {}", stderr(&output));
        assert!(!stdout(&output).is_empty(), "{arguments:?}");
    }
}

#[test]
fn keygen_encrypts_unless_told_not_to() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("pw"), "correct horse\n").unwrap();
    let output = modelseal(directory.path(), &["keygen", "--password-file", "pw"]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert_eq!(stdout(&output), "private key: modelseal.key\npublic key: modelseal.pub\n");

    let private = std::fs::read(directory.path().join("modelseal.key")).unwrap();
    let public = std::fs::read_to_string(directory.path().join("modelseal.pub")).unwrap();
    assert!(private.starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    let key = SigningKey::from_pem(&private, Some(&Password::new("correct horse"))).unwrap();
    assert_eq!(key.public_key_pem().unwrap(), public);

    let plain = ["keygen", "--no-password", "--private_key", "plain.key", "--public_key", "plain.pub"];
    assert_eq!(status(&modelseal(directory.path(), &plain)), 0);
    let private = std::fs::read(directory.path().join("plain.key")).unwrap();
    assert!(SigningKey::from_pem(&private, None).is_ok());
    #[cfg(unix)]
    for name in ["modelseal.key", "plain.key"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn keygen_needs_a_password_or_a_refusal_of_one() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in
        [&["keygen"][..], &["keygen", "--password", ""], &["keygen", "--password", "x", "--no-password"]]
    {
        let output = modelseal(directory.path(), arguments);
        assert_eq!(status(&output), 2, "{arguments:?}");
        assert!(stderr(&output).contains("--no-password"), "{}", stderr(&output));
    }
    let output = modelseal(directory.path(), &["keygen", "--password-file", "absent"]);
    assert_eq!(status(&output), 1);
    assert!(stderr(&output).starts_with("error: sign.password: absent: "), "{}", stderr(&output));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn keygen_overwrites_nothing() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("modelseal.key"), "mine").unwrap();
    let output = modelseal(directory.path(), &["keygen", "--no-password"]);
    assert_eq!(status(&output), 1);
    assert_eq!(
        stderr(&output),
        "error: sign.output: modelseal.key: already exists\nhelp: Choose another path, or move the file away; a key is never overwritten.\n"
    );
    assert_eq!(std::fs::read(directory.path().join("modelseal.key")).unwrap(), b"mine");
    assert!(!directory.path().join("modelseal.pub").exists());

    std::fs::write(directory.path().join("other.pub"), "mine").unwrap();
    let arguments = ["keygen", "--no-password", "--private-key", "other.key", "--public-key", "other.pub"];
    assert_eq!(status(&modelseal(directory.path(), &arguments)), 2);
    assert!(!directory.path().join("other.key").exists());
}

#[test]
fn completions_and_manual_pages_are_generated() {
    let directory = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = modelseal(directory.path(), &["completions", shell]);
        assert_eq!(status(&output), 0);
        assert!(stdout(&output).contains("keygen"), "{shell}");
    }
    assert!(stdout(&modelseal(directory.path(), &["man"])).contains(".TH modelseal 1"));
    assert_eq!(status(&modelseal(directory.path(), &["man", "--directory", "."])), 0);
    assert!(directory.path().join("modelseal-keygen.1").is_file());
}

#[cfg(target_os = "linux")]
#[test]
fn cut_output_is_not_success() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_modelseal"))
        .args(["completions", "bash"])
        .current_dir(directory.path())
        .stdout(std::fs::File::options().write(true).open("/dev/full").unwrap())
        .output()
        .unwrap();
    assert_eq!(status(&output), 1);
    assert!(stderr(&output).starts_with("error: standard output cannot be written: "));
}
