//! Hashing files where they are, for callers that keep no copy: a mapped model, a comparison, a survey.

use std::fs::File;
use std::num::NonZeroUsize;
use std::sync::OnceLock;

use super::{OpenFault, OpenOptions, Span};
use crate::digest::{Input, Job, Measured, Place, Wanted};
use crate::error::Error;
use crate::limits;
use crate::manifest::Tree;
use crate::policy::approval::Selected;

/// What to compute of a file, and whether the result is what was signed.
pub(super) trait Rule: Sync {
    fn wanted(&self, file: &Selected) -> Wanted;
    /// Returns the digest that was checked, for the record.
    fn agree(&self, file: &Selected, measured: &Measured) -> Result<String, Error>;
}

/// One file and what became of it: its descriptor and the digest that was checked, or why not.
pub(super) struct Hashed<'f> {
    pub(super) file: &'f Selected,
    pub(super) outcome: Result<(File, String), Error>,
}

/// Hashes files beneath the tree in batches, in path order. Unless `options` ask for every finding it ends after the
/// first batch with a failure; files it never came to are not in the result.
pub(super) fn hash<'f>(
    tree: &Tree,
    files: &'f [Selected],
    rule: &impl Rule,
    options: &OpenOptions,
    bound: Option<NonZeroUsize>,
) -> Result<Vec<Hashed<'f>>, Error> {
    let mut span = Span::of(files);
    let mut all = Vec::new();
    for batch in files.chunks(limits::OPEN_FILES) {
        let executor = options.executor(bound, Some(span));
        span = span.after(batch);
        let mut opened: Vec<(&Selected, File)> = Vec::new();
        for selected in batch {
            match tree.open(&selected.path) {
                Ok(file) => opened.push((selected, file)),
                Err(error) => {
                    all.push(Hashed { file: selected, outcome: Err(error.at(&selected.path)) });
                    if !options.thorough {
                        break;
                    }
                }
            }
        }
        let digests: Vec<OnceLock<String>> = opened.iter().map(|_| OnceLock::new()).collect();
        let judge = |index: usize, measured: Measured| -> Result<(), Error> {
            let (Some((selected, _)), Some(slot)) = (opened.get(index), digests.get(index)) else {
                return Err(OpenFault::NoCandidate.into());
            };
            slot.set(rule.agree(selected, &measured)?).map_err(|_| OpenFault::NoCandidate.into())
        };
        let jobs = opened
            .iter()
            .map(|(selected, file)| Job {
                source: Input::Open(file),
                size: selected.size,
                wanted: rule.wanted(selected),
                place: Place::Nowhere,
            })
            .collect();
        let results = executor.run(jobs, options.thorough, &judge)?;
        for (((selected, file), digest), result) in opened.into_iter().zip(digests).zip(results) {
            let outcome = match (result, digest.into_inner()) {
                (None, _) => continue,
                (Some(Ok(())), Some(digest)) => Ok((file, digest)),
                (Some(Ok(())), None) => Err(OpenFault::NoCandidate.into()),
                (Some(Err(error)), _) => Err(error.at(&selected.path)),
            };
            all.push(Hashed { file: selected, outcome });
        }
        if !options.thorough && all.iter().any(|hashed| hashed.outcome.is_err()) {
            break;
        }
    }
    all.sort_by(|left, right| left.file.path.cmp(&right.file.path));
    Ok(all)
}
