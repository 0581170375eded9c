//! The check that hands out nothing: signature, exact file set, every digest.

use std::collections::BTreeSet;

use super::hash::{Rule, hash};
use super::pass;
use super::{OpenFault, OpenOptions};
use crate::digest::{Algorithm, Digest, Measured, Wanted};
use crate::error::Error;
use crate::format::Format;
use crate::ledger::{Coverage, Event, FileRecord, Outcome, Verdict};
use crate::manifest::{Manifest, Serialization, Tree, is_unfinished_signature};
use crate::policy::Claims;
use crate::policy::approval::{ApprovalFault, Selected, covered, finding, is_bundle, unreadable_kind};

/// What a comparison leaves out.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CompareOptions {
    ignore_paths: Vec<String>,
    git_paths: bool,
    ignore_unsigned_files: bool,
    open: OpenOptions,
}

impl CompareOptions {
    /// Compares every file but the OMS defaults (`.git`, `.gitignore`, `.gitattributes`, `.github` at the top).
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves out this path, relative to the model, and everything below it. Recorded.
    pub fn ignore_path(mut self, path: impl Into<String>) -> Self {
        self.ignore_paths.push(path.into());
        self
    }

    /// Compares the git files too.
    pub fn without_git_defaults(mut self) -> Self {
        self.git_paths = true;
        self
    }

    /// Accepts files that are not signed. Recorded.
    pub fn ignore_unsigned_files(mut self) -> Self {
        self.ignore_unsigned_files = true;
        self
    }

    /// Threads, progress, cancellation, and whether to hash on after a mismatch.
    pub fn open_options(mut self, options: OpenOptions) -> Self {
        self.open = options;
        self
    }
}

/// Names git keeps at the top of a repository; the reference implementation leaves them out by default.
const GIT_PATHS: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];

impl Claims<'_> {
    /// Compares a model with what was signed, and hands out nothing: the exact file set, every OMS digest, and
    /// that signed annotations agree with them. Judges neither names nor formats nor assurance.
    ///
    /// # Errors
    ///
    /// `file.*`, `manifest.annotation`, `open.*`, the first in path order; recorded like a load.
    pub fn compare(self, tree: Tree, options: &CompareOptions) -> Result<Verdict, Error> {
        let (policy, contents, origins, mut draft) = self.into_contents();
        draft.verdict.source = Some(crate::error::escaped(&tree.shown));
        let mut first: Option<Vec<Error>> = None;
        for mut content in contents {
            if let Some(name) = &tree.single_file {
                content.manifest.name_single_file(name);
            }
            match compare(&content.manifest, &tree, &origins, options, policy.rules.threads) {
                Ok(files) => {
                    draft.describe(&content);
                    let verdict = &mut draft.verdict;
                    verdict.outcome = Outcome::Allowed;
                    verdict.coverage = Some(Coverage::Whole);
                    verdict.files = files;
                    return match policy.rules.ledger.append(Event::Load, &draft.load, verdict) {
                        Ok(_) => Ok(draft.verdict),
                        Err(unwritable) => {
                            let verdict = draft.verdict.denied(&unwritable);
                            Err(unwritable.with_verdict(verdict))
                        }
                    };
                }
                Err(errors) => {
                    first.get_or_insert(errors);
                }
            }
        }
        let errors = first.unwrap_or_default();
        draft.verdict.findings = errors.iter().map(finding).collect();
        let error = errors.into_iter().next().unwrap_or_else(|| OpenFault::NoCandidate.into());
        Err(draft.deny(&policy, error))
    }
}

fn compare(
    manifest: &Manifest,
    tree: &Tree,
    origins: &[crate::bundle::Origin],
    options: &CompareOptions,
    threads: Option<std::num::NonZeroUsize>,
) -> Result<Vec<FileRecord>, Vec<Error>> {
    let mut ignored = options.ignore_paths.clone();
    ignored.extend(manifest.serialization.ignore_paths.iter().cloned());
    if !options.git_paths {
        ignored.extend(GIT_PATHS.map(str::to_owned));
    }
    let entries = &tree.entries;
    let mut records = Vec::new();
    let mut selected = Vec::new();
    let mut errors: Vec<Error> = Vec::new();
    for path in manifest.files.keys().chain(entries.keys()).collect::<BTreeSet<_>>() {
        match (manifest.files.get(path), entries.get(path)) {
            (Some(_), None) => errors.push(ApprovalFault::Missing { path: path.clone() }.into()),
            (Some(signed), Some(entry)) => match (unreadable_kind(path, &entry.kind), signed.size()) {
                (Some(fault), _) => errors.push(fault.into()),
                (None, Some(size)) if size != entry.size => errors.push(
                    ApprovalFault::Size { path: path.clone(), expected: size, found: entry.size }.into(),
                ),
                (None, _) => selected.push(Selected {
                    path: path.clone(),
                    signed: signed.clone(),
                    format: Format::Other,
                    size: entry.size,
                }),
            },
            (None, Some(entry)) if is_bundle(origins, path, entry) => {
                records.push(FileRecord::new(path, "bundle"));
            }
            (None, Some(_))
                if covered(&ignored, path)
                    || options.ignore_unsigned_files
                    || is_unfinished_signature(path.rsplit('/').next().unwrap_or(path)) =>
            {
                records.push(FileRecord::new(path, "ignored"));
            }
            (None, Some(entry)) => errors.push(match unreadable_kind(path, &entry.kind) {
                Some(fault) => fault.into(),
                None => ApprovalFault::Unsigned { path: path.clone() }.into(),
            }),
            (None, None) => {}
        }
    }
    if !errors.is_empty() && !options.open.thorough {
        return Err(errors);
    }
    let rule = Everything { serialization: &manifest.serialization };
    for hashed in hash(tree, &selected, &rule, &options.open, threads).map_err(|error| vec![error])? {
        match hashed.outcome {
            Ok((_, digest)) => records.push(
                FileRecord::new(&hashed.file.path, "compared")
                    .with_size(hashed.file.size)
                    .with_digest(digest),
            ),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        records.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(records)
    } else {
        errors.sort_by(|left, right| left.path().cmp(&right.path()));
        Err(errors)
    }
}

/// The OMS digest, and every digest that an annotation signs beside it.
struct Everything<'m> {
    serialization: &'m Serialization,
}

impl Rule for Everything<'_> {
    fn wanted(&self, file: &Selected) -> Wanted {
        let mut wanted = pass::oms(self.serialization, file);
        if file.signed.annotation.is_some() {
            wanted.whole.push(Algorithm::Blake3);
            wanted.fsverity = true;
        }
        wanted
    }

    fn agree(&self, file: &Selected, measured: &Measured) -> Result<String, Error> {
        let checked = pass::agree_oms(file, measured)?;
        let Some(annotation) = &file.signed.annotation else { return Ok(checked) };
        let contradiction = |expected: [u8; 32], found: String| -> Error {
            OpenFault::Annotation { path: file.path.clone(), expected: hex::encode(expected), found }.into()
        };
        // The annotation's algorithm was asked for last.
        let blake3 = measured.whole.last().map(Digest::to_hex).unwrap_or_default();
        if blake3 != hex::encode(annotation.blake3) {
            return Err(contradiction(annotation.blake3, blake3));
        }
        let fsverity = measured.fsverity.map(hex::encode).unwrap_or_default();
        if fsverity != hex::encode(annotation.fsverity) {
            return Err(contradiction(annotation.fsverity, fsverity));
        }
        Ok(checked)
    }
}
