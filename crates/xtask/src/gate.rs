//! What the gate runs, in the order in which a failure is cheapest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Outcome, cargo, heading, output, root, run, target};

/// Python packages of the interoperability tests. The reference implementation forgets to require pyopenssl.
const PYTHON_PACKAGES: [&str; 4] = ["model-signing==1.1.1", "pyopenssl", "safetensors", "numpy"];

/// Everything `.ci/run` runs.
pub(crate) fn test() -> Outcome {
    heading("Format");
    cargo(["fmt", "--all", "--check"])?;
    heading("Generated files are current");
    let readme = root()?.join("README.md");
    if fs::read_to_string(&readme).map_err(|error| format!("README.md: {error}"))? != readme_text()? {
        return Err("README.md: its head differs from lib.rs; run `cargo xtask generate`".to_owned());
    }
    heading("Lints");
    cargo(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    cargo(["clippy", "--package", "modelseal", "--no-default-features", "--locked", "--", "-D", "warnings"])?;
    heading("Dependencies: bans, licences, sources");
    let deny = cargo_deny()?;
    let mut check = Command::new(&deny);
    check
        .args(["--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
        .current_dir(root()?);
    run(check)?;
    println!("advisories: not checked (run `cargo xtask advisories --db PATH`)");
    heading("Python peers");
    let python = python()?;
    heading("Tests");
    let mut tests = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    tests.args(["test", "--workspace", "--locked"]).env("MODELSEAL_PYTHON", &python).current_dir(root()?);
    run(tests)?;
    heading("Tests without the feature `keyless`");
    cargo(["test", "--package", "modelseal", "--no-default-features", "--lib", "--locked", "trust::"])?;
    heading("Documentation");
    let mut doc = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    doc.args(["doc", "--package", "modelseal", "--package", "modelseal-sign", "--no-deps", "--locked"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .current_dir(root()?);
    run(doc)?;
    heading("Demonstration");
    crate::demo::run()
}

/// Writes what is generated.
pub(crate) fn generate() -> Outcome {
    let readme = root()?.join("README.md");
    fs::write(&readme, readme_text()?).map_err(|error| format!("README.md: {error}"))?;
    println!("README.md: head written from crates/modelseal/src/lib.rs");
    cargo(["run", "--package", "modelseal-tests", "--bin", "generate-vectors"])
}

/// Runs `cargo deny check advisories` against a database the caller brings, or says that nothing was checked.
pub(crate) fn advisories(db: Option<&Path>) -> Outcome {
    let Some(db) = db else {
        println!("advisories: not checked (no --db PATH given)");
        return Ok(());
    };
    let deny = cargo_deny()?;
    // cargo-deny looks for clones below one directory and never fetches with this flag.
    let configuration = target("advisories")?.join("deny.toml");
    let text = format!(
        "[advisories]\ndb-path = {:?}\nignore = [\"RUSTSEC-2023-0071\"]\n",
        db.canonicalize().map_err(|error| format!("{}: {error}", db.display()))?
    );
    fs::write(&configuration, text).map_err(|error| format!("{}: {error}", configuration.display()))?;
    let mut check = Command::new(deny);
    check
        .args(["--locked", "check", "--disable-fetch", "--config"])
        .arg(&configuration)
        .arg("advisories")
        .current_dir(root()?);
    run(check)
}

/// README.md with its head (up to the first second-level heading) taken from the documentation of lib.rs.
fn readme_text() -> Outcome<String> {
    let root = root()?;
    let library = root.join("crates/modelseal/src/lib.rs");
    let library = fs::read_to_string(&library).map_err(|error| format!("{}: {error}", library.display()))?;
    let mut head = String::new();
    for line in library.lines().map_while(|line| line.strip_prefix("//!")) {
        let line = line.strip_prefix(' ').unwrap_or(line);
        if line.starts_with("# The flow") {
            break;
        }
        // Hidden lines of the example.
        if line.starts_with("# ") {
            continue;
        }
        // On the crate's page this is compiled; here it is shown.
        head.push_str(if line == "```no_run" { "```rust" } else { line });
        head.push('\n');
    }
    let readme = fs::read_to_string(root.join("README.md")).map_err(|error| format!("README.md: {error}"))?;
    let rest = readme.find("\n## ").map_or("", |start| readme.get(start..).unwrap_or_default());
    Ok(format!("# modelseal\n\n{}\n{}", head.trim_end(), rest))
}

/// cargo-deny, installed below `target/` the first time.
fn cargo_deny() -> Outcome<PathBuf> {
    let tools = target("tools")?;
    let binary = tools.join("bin/cargo-deny");
    if !binary.exists() {
        heading("Installing cargo-deny below target/tools (once, some minutes)");
        let mut install = Command::new("cargo");
        install.args(["install", "--locked", "--quiet", "cargo-deny", "--root"]).arg(&tools);
        run(install)?;
    }
    Ok(binary)
}

/// A virtual environment below `target/` with the Python peers; returns its interpreter.
pub(crate) fn python() -> Outcome<PathBuf> {
    let environment = target("")?.join("python");
    let python = environment.join("bin/python");
    let stamp = environment.join("packages.txt");
    let wanted = PYTHON_PACKAGES.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        println!("{} is ready", environment.display());
        return Ok(python);
    }
    let mut create = Command::new("python3");
    create.args(["-m", "venv", "--clear"]).arg(&environment);
    run(create)?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PYTHON_PACKAGES);
    run(install)?;
    let mut probe = Command::new(&python);
    probe.args(["-c", "import model_signing, OpenSSL, safetensors"]);
    let probed = output(probe)?;
    if !probed.status.success() {
        return Err(format!("the Python peers do not import: {}", String::from_utf8_lossy(&probed.stderr)));
    }
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(python)
}
