//! Misuse of the typestate must not compile. Each case under `misuse/` holds one line marked `MISUSE`, which must
//! fail with exactly the error code in its first line, and one marked `TWIN`, which compiles in its place.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The library as it was built for this test run.
fn library(dependencies: &Path) -> PathBuf {
    fs::read_dir(dependencies)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| {
                name.starts_with("libmodelseal-")
                    && Path::new(name).extension().is_some_and(|end| end == "rlib")
            })
        })
        .max_by_key(|path| path.metadata().unwrap().modified().unwrap())
        .expect("the library is built before its tests")
}

/// The error codes rustc reports for a source; empty if it compiles.
fn errors(name: &str, source: &str) -> BTreeSet<String> {
    let dependencies = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(format!("{name}.rs"));
    fs::write(&file, source).unwrap();
    let run = Command::new("rustc")
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
            "--error-format",
            "short",
            "-A",
            "warnings",
        ])
        .arg("--out-dir")
        .arg(directory.path())
        .arg("--extern")
        .arg(format!("modelseal={}", library(&dependencies).display()))
        .arg("-L")
        .arg(format!("dependency={}", dependencies.display()))
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stderr).into_owned();
    let codes: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.split_once("error[")?.1.split_once(']').map(|(code, _)| code.to_owned()))
        .collect();
    assert!(run.status.success() != codes.iter().any(|_| true), "{name}: {text}");
    codes
}

#[test]
fn every_misuse_is_refused_and_its_twin_compiles() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/misuse");
    let mut count = 0;
    for entry in fs::read_dir(cases).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let expected = text.lines().next().unwrap().strip_prefix("// expect: ").unwrap().to_owned();
        let without = |mark: &str| -> String {
            let kept: Vec<&str> = text.lines().filter(|line| !line.trim_end().ends_with(mark)).collect();
            assert_eq!(kept.len() + 1, text.lines().count(), "{name}: exactly one line is marked {mark}");
            kept.join("\n")
        };
        assert_eq!(errors(&name, &without("// TWIN")), BTreeSet::from([expected]), "{name}");
        assert_eq!(errors(&name, &without("// MISUSE")), BTreeSet::new(), "{name}: the twin must compile");
        count += 1;
    }
    assert_eq!(count, 10, "the ten misuses of the typestate");
}
