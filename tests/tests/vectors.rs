//! Walks `tests/vectors`: every case is allowed, or denied for exactly the reason it states.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use modelseal::ledger::{self, Head};
use modelseal::{
    Assurance, Clock, Code, Error, ModelName, OpenOptions, Policy, Selection, Source, Timestamp, Tree,
    Verification, verify_and_map, verify_and_open_with,
};
use modelseal_tests::{Case, Setup, vectors};
use sha2::{Digest as _, Sha256};

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

fn set_up(model: &Path, setup: &Setup) {
    match setup {
        Setup::Deep { path, count } => {
            let mut path = model.join(path);
            for level in 0..*count {
                path.push(level.to_string());
            }
            fs::create_dir_all(path).unwrap();
        }
        Setup::Fifo { path } => {
            assert!(Command::new("mkfifo").arg(model.join(path)).status().unwrap().success());
        }
        Setup::Length { path, bytes } => {
            fs::OpenOptions::new().write(true).open(model.join(path)).unwrap().set_len(*bytes).unwrap();
        }
        Setup::Name { hex } => {
            let name = hex::decode(hex).unwrap();
            fs::write(model.join(std::ffi::OsStr::from_bytes(&name)), "").unwrap();
        }
        Setup::Symlink { path, target } => {
            let path = model.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, path).unwrap();
        }
    }
}

/// Does what a case says. The answer is what was handed out.
fn run(folder: &Path, case: &Case) -> Result<BTreeMap<String, String>, Error> {
    let clock = Clock::At(Timestamp::parse(&case.clock).unwrap());
    match case.action.as_str() {
        "policy" => Policy::load(folder.join(&case.policy), clock).map(|_| BTreeMap::new()),
        "ledger" => {
            let files: Vec<_> = case.ledgers.iter().map(|ledger| folder.join(ledger)).collect();
            let head = (!case.head.is_empty()).then(|| case.head.parse::<Head>()).transpose()?;
            ledger::verify(&files, head.as_ref()).map(|_| BTreeMap::new())
        }
        "" | "open" => open(folder, case, clock),
        action => panic!("unknown action {action}"),
    }
}

fn open(folder: &Path, case: &Case, clock: Clock) -> Result<BTreeMap<String, String>, Error> {
    let scratch = tempfile::tempdir().unwrap();
    let model = scratch.path().join(&case.model);
    copy(&folder.join(&case.model), &model);
    for setup in &case.setup {
        set_up(&model, setup);
    }
    let policy = Policy::load(folder.join(&case.policy), clock)?;
    let name = ModelName::parse(&case.name)?;
    let path = model.join(&case.within);
    let mut source = if case.hub_snapshot { Source::hub_snapshot(path) } else { Source::new(path) };
    for bundle in &case.bundles {
        let inside = scratch.path().join(bundle);
        source = source.with_bundle(if inside.exists() { inside } else { folder.join(bundle) });
    }
    if !case.select.is_empty() {
        source = source.select(Selection::Files(case.select.clone()));
    }
    let mut options = OpenOptions::new();
    if case.on_access {
        options = options.verification(Verification::OnAccess);
    }
    options = match case.assurance.as_str() {
        "" | "mapped" => options,
        "private" => options.assurance(Assurance::Private),
        "sealed" => options.assurance(Assurance::Sealed),
        "verity" => options.assurance(Assurance::Verity),
        assurance => panic!("unknown assurance {assurance}"),
    };
    if case.assurance == "mapped" {
        let model = verify_and_map(source, &name, &policy, &options)?;
        return model
            .files()
            .map(|file| Ok((file.path().to_owned(), hex::encode(Sha256::digest(file.read()?)))))
            .collect();
    }
    let model = verify_and_open_with(source, &name, &policy, &options)?;
    for tensor in &case.tensors {
        assert!(!model.tensor(tensor)?.bytes().is_empty());
    }
    for path in &case.touch {
        model.file(path)?.bytes()?;
    }
    assert_eq!(model.verdict().code(), None);
    model
        .files()
        .map(|file| Ok((file.path().to_owned(), hex::encode(Sha256::digest(file.bytes()?)))))
        .collect()
}

#[test]
fn every_vector_is_judged_as_it_says() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(vectors()).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(text) = fs::read_to_string(folder.join("case.toml")) else { continue };
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let case: Case = toml::from_str(&text).unwrap();
        count += 1;
        match (run(&folder, &case), Code::from_name(&case.expect)) {
            (Ok(found), None) if case.expect == "allow" => {
                assert_eq!(found, case.handed_out, "{name}");
            }
            (Err(error), Some(code)) if error.code() == code => {
                // A record exists wherever there was a policy to leave it by and a name to open under.
                if let Some(verdict) = error.verdict() {
                    assert_eq!(verdict.code(), Some(code), "{name}");
                }
            }
            (Ok(_), _) => wrong.push(format!("{name}: allowed, expected {}", case.expect)),
            (Err(error), _) => wrong.push(format!("{name}: expected {}, got {error}", case.expect)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 100, "only {count} vectors were found");
}

#[test]
fn the_vectors_are_what_the_generator_writes() {
    let fresh = tempfile::tempdir().unwrap();
    let generator = env!("CARGO_BIN_EXE_generate-vectors");
    assert!(Command::new(generator).arg(fresh.path()).status().unwrap().success());
    assert_eq!(listing(&vectors()), listing(fresh.path()));
}

fn listing(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let tree = Tree::walk(root).unwrap();
    drop(tree);
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                all.insert(name, hex::encode(Sha256::digest(fs::read(&path).unwrap())));
            }
        }
    }
    all
}
