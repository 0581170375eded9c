//! Which files of a model take part: the flags that `sign`, `verify` and `digest` share with the reference tool.

use std::fs;
use std::path::{Component, Path, PathBuf};

use clap::Args;
use modelseal::Source;

use crate::report::{Failure, warn};

/// A model and the paths of it that do not take part.
#[derive(Args, Debug)]
pub(crate) struct ModelArguments {
    /// The model: a directory or a single file
    #[arg(value_name = "MODEL_PATH")]
    pub(crate) model: PathBuf,

    /// Path to leave out, with everything below it; may be repeated. Relative to the working directory
    #[arg(long, alias = "ignore_paths", value_name = "IGNORE_PATHS")]
    ignore_paths: Vec<PathBuf>,

    /// Leave out .git, .gitattributes, .github and .gitignore at the top of the model (default)
    #[arg(long, alias = "ignore_git_paths", overrides_with = "no_ignore_git_paths")]
    ignore_git_paths: bool,

    /// Do not leave them out
    #[arg(
        long,
        alias = "no-ignore_git_paths",
        alias = "no_ignore_git_paths",
        overrides_with = "ignore_git_paths"
    )]
    no_ignore_git_paths: bool,

    /// Take links that stay inside the model for what they lead to; in a snapshot of the Hugging Face hub's cache, the
    /// hub's own links. What follows links can be signed and verified, not opened
    #[arg(long, alias = "allow_symlinks")]
    allow_symlinks: bool,
}

/// Whether git's own files at the top of a model take part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum GitPaths {
    Ignore,
    Include,
}

impl ModelArguments {
    pub(crate) fn source(&self) -> Source {
        match (self.allow_symlinks, is_hub_snapshot(&self.model)) {
            (true, true) => Source::hub_snapshot(&self.model),
            (true, false) => Source::new(&self.model).following_links(),
            (false, _) => Source::new(&self.model),
        }
    }

    pub(crate) fn git_paths(&self) -> GitPaths {
        if self.no_ignore_git_paths { GitPaths::Include } else { GitPaths::Ignore }
    }

    /// The model's basename: what a signer calls it. Informational.
    pub(crate) fn subject(&self) -> String {
        let path = fs::canonicalize(&self.model).unwrap_or_else(|_| self.model.clone());
        path.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// The paths of `--ignore-paths`, relative to the model. One that lies outside of it excludes nothing, as in the
    /// reference tool, but that is said.
    pub(crate) fn ignored(&self) -> Result<Vec<String>, Failure> {
        let mut ignored = Vec::new();
        for path in &self.ignore_paths {
            match self.inside(path)? {
                Some(relative) => ignored.push(relative),
                None => warn(format_args!(
                    "--ignore-paths {}: is not inside the model; it leaves nothing out",
                    path.display()
                )),
            }
        }
        Ok(ignored)
    }

    /// `path` relative to the model, or `None` if it lies elsewhere.
    pub(crate) fn inside(&self, path: &Path) -> Result<Option<String>, Failure> {
        let root = place(&self.model, LastLink::Follow);
        let place = place(path, LastLink::Keep);
        let Ok(relative) = place.strip_prefix(&root) else { return Ok(None) };
        if relative.as_os_str().is_empty() {
            // A single file: there is nothing to leave out of it. A directory: nothing would be left.
            return if root.is_dir() { Err(whole_model(path)) } else { Ok(None) };
        }
        let mut names = Vec::new();
        for component in relative.components() {
            match component {
                Component::Normal(name) => names.push(name.to_str().ok_or_else(|| not_text(path))?),
                Component::CurDir | Component::ParentDir | Component::Prefix(_) | Component::RootDir => {
                    return Ok(None);
                }
            }
        }
        Ok(Some(names.join("/")))
    }
}

/// Whether a symbolic link at the very end of a path is part of its place.
#[derive(Clone, Copy)]
enum LastLink {
    Follow,
    Keep,
}

/// Where `path` lies, without `.`, `..` and links on the way. It need not exist.
fn place(path: &Path, last: LastLink) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let whole = matches!(last, LastLink::Follow) || path.file_name().is_none();
    if whole && let Ok(found) = fs::canonicalize(&path) {
        return found;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => place(parent, LastLink::Follow).join(name),
        (Some(_) | None, Some(_) | None) => path,
    }
}

/// `<cache>/models--<org>--<name>/snapshots/<commit>`.
fn is_hub_snapshot(model: &Path) -> bool {
    let path = std::path::absolute(model).unwrap_or_else(|_| model.to_owned());
    let mut above = path.ancestors().skip(1).filter_map(Path::file_name);
    above.next().is_some_and(|name| name == "snapshots")
        && above.next().is_some_and(|name| name.to_string_lossy().starts_with("models--"))
}

fn whole_model(path: &Path) -> Failure {
    Failure::Usage {
        message: format!("--ignore-paths {}: is the whole model", path.display()),
        remedy: "Name paths inside the model.".to_owned(),
    }
}

fn not_text(path: &Path) -> Failure {
    Failure::Usage {
        message: format!("--ignore-paths {}: is not valid UTF-8", path.display()),
        remedy: "Rename the file; such a name cannot be signed either.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(path: &Path) -> ModelArguments {
        ModelArguments {
            model: path.to_owned(),
            ignore_paths: Vec::new(),
            ignore_git_paths: false,
            no_ignore_git_paths: false,
            allow_symlinks: true,
        }
    }

    #[test]
    fn paths_are_taken_relative_to_the_model() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("model");
        fs::create_dir_all(root.join("sub")).unwrap();
        let model = model(&root);
        let inside = |path: PathBuf| model.inside(&path).unwrap();
        assert_eq!(inside(root.join("absent.txt")).as_deref(), Some("absent.txt"));
        assert_eq!(inside(root.join("sub/./x/y")).as_deref(), Some("sub/x/y"));
        assert_eq!(inside(root.join("sub/../config.json")).as_deref(), Some("config.json"));
        assert_eq!(inside(root.join("../model.sig")), None);
        assert_eq!(inside(directory.path().join("model-2/x")), None);
        assert!(model.inside(&root.join("sub/..")).is_err());
        assert!(model.inside(&root).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_itself_and_not_its_target() {
        let directory = tempfile::tempdir().unwrap();
        let (root, alias) = (directory.path().join("model"), directory.path().join("alias"));
        fs::create_dir(&root).unwrap();
        fs::write(directory.path().join("outside"), "").unwrap();
        std::os::unix::fs::symlink(&root, &alias).unwrap();
        std::os::unix::fs::symlink(directory.path().join("outside"), root.join("link")).unwrap();
        assert_eq!(model(&root).inside(&root.join("link")).unwrap().as_deref(), Some("link"));
        assert_eq!(model(&root).inside(&alias.join("x")).unwrap().as_deref(), Some("x"));
        assert_eq!(model(&alias).inside(&root.join("x")).unwrap().as_deref(), Some("x"));
        assert_eq!(model(&alias).subject(), "model");
    }

    #[test]
    fn a_single_file_leaves_nothing_out() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("model.gguf");
        fs::write(&file, "").unwrap();
        assert_eq!(model(&file).inside(&file).unwrap(), None);
        assert_eq!(model(&file).inside(&directory.path().join("model.sig")).unwrap(), None);
    }

    #[test]
    fn only_a_snapshot_of_the_hub_is_one() {
        assert!(is_hub_snapshot(Path::new("/cache/models--org--name/snapshots/0123")));
        assert!(!is_hub_snapshot(Path::new("/cache/datasets--org--name/snapshots/0123")));
        assert!(!is_hub_snapshot(Path::new("/models/granite")));
    }
}
