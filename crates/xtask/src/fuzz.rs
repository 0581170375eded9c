//! The fuzz targets, on the nightly toolchain.

use std::process::Command;

use crate::run::{self as process, Outcome, heading, output, root};

/// Every target. A test compares this list with the fuzz crate's manifest.
const TARGETS: [&str; 5] = ["bundle", "gguf", "payload", "policy", "safetensors"];

/// Runs one or all targets for `seconds` each. Fails on the first crash.
pub(crate) fn run(seconds: u64, only: Option<&str>) -> Outcome {
    let fuzz = root()?.join("tests/fuzz");
    let mut known = Command::new("cargo");
    known.args(["+nightly", "fuzz", "--version"]);
    if !output(known)?.status.success() {
        heading("Installing cargo-fuzz");
        let mut install = Command::new("cargo");
        install.args(["install", "--locked", "cargo-fuzz"]);
        process::run(install)?;
    }
    if let Some(name) = only
        && !TARGETS.contains(&name)
    {
        return Err(format!("no target {name}; the targets are {}", TARGETS.join(", ")));
    }
    for target in TARGETS.into_iter().filter(|target| only.is_none_or(|only| only == *target)) {
        heading(&format!("Fuzzing {target} for {seconds} s"));
        let mut fuzzing = Command::new("cargo");
        // New inputs go to a scratch corpus; the committed corpus is read and stays small.
        let scratch = process::target("fuzz-corpus")?.join(target);
        std::fs::create_dir_all(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
        fuzzing
            .args(["+nightly", "fuzz", "run", "--fuzz-dir"])
            .arg(&fuzz)
            .arg(target)
            .arg(&scratch)
            .arg(fuzz.join("corpus").join(target))
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            .arg("-max_len=65536")
            .arg("-rss_limit_mb=4096")
            .current_dir(root()?);
        process::run(fuzzing)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_are_those_of_the_manifest() {
        let manifest = std::fs::read_to_string(root().unwrap().join("tests/fuzz/Cargo.toml")).unwrap();
        let (_, binaries) = manifest.split_once("[[bin]]").unwrap();
        let names: Vec<&str> =
            binaries.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).collect();
        assert_eq!(names, TARGETS);
    }
}
