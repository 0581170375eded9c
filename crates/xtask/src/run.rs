//! Running other programs, and saying so.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What went wrong, for a person.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// The root of the workspace.
pub(crate) fn root() -> Outcome<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map(Path::to_path_buf).ok_or_else(|| "the workspace has no root".to_owned())
}

/// Where everything made on the way goes.
pub(crate) fn target(name: &str) -> Outcome<PathBuf> {
    let directory = root()?.join("target").join(name);
    std::fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    Ok(directory)
}

/// Says what a group of steps is for.
pub(crate) fn heading(text: &str) {
    println!("\n== {text}");
}

/// A cargo command in the workspace's root.
pub(crate) fn cargo<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Outcome {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root()?);
    run(command)
}

/// Runs a command, shows what it is, and wants success.
pub(crate) fn run(mut command: Command) -> Outcome {
    println!("$ {}", shown(&command));
    let status = command.status().map_err(|error| format!("{}: {error}", shown(&command)))?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", shown(&command))) }
}

/// Runs a command and returns what it printed.
pub(crate) fn output(mut command: Command) -> Outcome<Output> {
    command.output().map_err(|error| format!("{}: {error}", shown(&command)))
}

fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|argument| argument.to_string_lossy().into_owned()));
    if let Some(first) = words.first_mut()
        && let Some(name) = Path::new(first.as_str()).file_name()
    {
        *first = name.to_string_lossy().into_owned();
    }
    words.join(" ")
}
