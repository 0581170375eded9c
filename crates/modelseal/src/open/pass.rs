//! The one pass of an open: prepare places, read and hash, seal, then parse what matched.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, OnceLock};

use super::backing::{Backing, Draft, refused};
use super::hash::{Rule, hash};
use super::model::{Content, Opened};
use super::{Assurance, OpenFault, OpenOptions, Span, Verification};
use crate::digest::{Algorithm, Digest, Executor, Input, Job, Measured, Wanted};
use crate::error::Error;
use crate::format::{self, Format, Reference, WeightsFile};
use crate::limits;
use crate::manifest::{Annotation, FileDigest, Method, Serialization, Tree};
use crate::policy::approval::{Candidate, Content as PolicyContent, FileSet, Selected};
use crate::policy::{Approval, Floor};
use crate::sys;

/// Opens one candidate. The errors are in path order and never empty.
pub(super) fn open(
    approval: &Approval,
    index: usize,
    options: &OpenOptions,
    verification: Verification,
) -> Result<Opened, Vec<Error>> {
    let candidate = approval.candidates.get(index).ok_or_else(|| vec![OpenFault::NoCandidate.into()])?;
    if approval.floor() == Floor::Verity && !matches!(options.assurance, Assurance::Auto | Assurance::Verity)
    {
        let asked = if options.assurance == Assurance::Sealed { "sealed" } else { "private" };
        return Err(vec![OpenFault::BelowFloor { asked, floor: "verity" }.into()]);
    }
    let spec = Spec::of(approval, candidate, options);
    let bound = approval.policy.rules.threads;
    let (now, later): (Vec<&Selected>, Vec<&Selected>) = candidate
        .files
        .handed_out
        .iter()
        .partition(|file| verification == Verification::Eager || file.format == Format::Inert);
    enough_memory(&now, &spec).map_err(|error| vec![error])?;
    let mut contents: BTreeMap<String, Content> = BTreeMap::new();
    let mut errors: Vec<Error> = Vec::new();
    // Descriptors are a bounded resource: files are opened, hashed and closed in batches, in path order.
    let mut span = Span::of(now.iter().copied());
    for batch in now.chunks(limits::OPEN_FILES) {
        let executor = options.executor(bound, Some(span));
        span = span.after(batch.iter().copied());
        let opened =
            read(&approval.tree, batch, &spec, &executor, options.thorough).map_err(|error| vec![error])?;
        for (selected, outcome) in batch.iter().zip(opened) {
            match outcome {
                Some(Ok(content)) => {
                    contents.insert(selected.path.clone(), content);
                }
                Some(Err(error)) => errors.push(error),
                None => {}
            }
        }
        if !errors.is_empty() && !options.thorough {
            break;
        }
    }
    let mut references = Vec::new();
    if errors.is_empty() {
        match check_references(candidate, &contents) {
            Ok(found) => references = found,
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let later = later
        .into_iter()
        .map(|selected| {
            let file = approval.tree.open(&selected.path)?;
            Ok((selected.path.clone(), (selected.clone(), file)))
        })
        .collect::<Result<BTreeMap<_, _>, Error>>()
        .map_err(|error| vec![error])?;
    let shapes =
        candidate.files.handed_out.iter().map(|file| (file.path.clone(), (file.size, file.format))).collect();
    Ok(Opened { contents, later, shapes, references, spec, executor: options.executor(bound, None) })
}

/// What every file of one open has in common.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    serialization: Serialization,
    assurance: Assurance,
    floor: Floor,
    annotations: bool,
}

impl Spec {
    pub(super) fn of(approval: &Approval, candidate: &Candidate, options: &OpenOptions) -> Self {
        Self {
            serialization: candidate.content.manifest.serialization.clone(),
            assurance: options.assurance,
            floor: approval.floor(),
            annotations: approval.annotations(),
        }
    }

    fn annotation(&self, file: &Selected) -> Option<Annotation> {
        file.signed.annotation.filter(|_| self.annotations)
    }
}

impl Rule for Spec {
    /// Which digests one pass must compute for a file. A signed BLAKE3 root stands in for the OMS digest where the
    /// policy lets it: it uses all cores for one file.
    fn wanted(&self, file: &Selected) -> Wanted {
        if self.annotation(file).is_some() {
            return Wanted { whole: vec![Algorithm::Blake3], ..Wanted::default() };
        }
        oms(&self.serialization, file)
    }

    /// Whether what was measured is what was signed; returns the digest that was checked, for the record.
    fn agree(&self, file: &Selected, measured: &Measured) -> Result<String, Error> {
        match self.annotation(file) {
            Some(annotation) => {
                let found = measured.whole.first().map(Digest::to_hex).unwrap_or_default();
                let expected = hex::encode(annotation.blake3);
                if found != expected {
                    return Err(OpenFault::Digest {
                        path: file.path.clone(),
                        expected: format!("blake3:{expected}"),
                        found: format!("blake3:{found}"),
                    }
                    .into());
                }
                Ok(format!("annotation blake3:{expected}"))
            }
            None => agree_oms(file, measured),
        }
    }
}

/// Hashes the files that a denied content would have handed out, for the record of a caller who asked for every
/// finding. Nothing is kept.
pub(crate) fn survey(
    tree: &Tree,
    content: &PolicyContent,
    files: &FileSet,
    annotations: bool,
    options: &OpenOptions,
) -> Vec<Error> {
    let spec = Spec {
        serialization: content.manifest.serialization.clone(),
        assurance: Assurance::Auto,
        floor: Floor::Mapped,
        annotations,
    };
    match hash(tree, &files.handed_out, &spec, options, None) {
        Ok(hashed) => hashed.into_iter().filter_map(|hashed| hashed.outcome.err()).collect(),
        Err(error) => vec![error],
    }
}

/// The digests an OMS manifest signed of a file.
pub(super) fn oms(serialization: &Serialization, file: &Selected) -> Wanted {
    match (&file.signed.digest, serialization.method) {
        (FileDigest::Shards { .. }, Method::Shards { size }) => {
            Wanted { shards: Some((serialization.algorithm, size)), ..Wanted::default() }
        }
        (FileDigest::Whole(digest), _) => Wanted { whole: vec![digest.algorithm()], ..Wanted::default() },
        // Contradiction: ask for a digest that can match nothing signed, so that the comparison denies.
        (FileDigest::Shards { .. }, Method::Files) => {
            Wanted { whole: vec![serialization.algorithm], ..Wanted::default() }
        }
    }
}

/// Compares with the OMS digest.
pub(super) fn agree_oms(file: &Selected, measured: &Measured) -> Result<String, Error> {
    let mismatch = |expected: String, found: String| -> Error {
        OpenFault::Digest { path: file.path.clone(), expected, found }.into()
    };
    match &file.signed.digest {
        FileDigest::Whole(expected) => match measured.whole.first() {
            Some(found) if found == expected => Ok(expected.to_string()),
            found => Err(mismatch(expected.to_string(), found.map(ToString::to_string).unwrap_or_default())),
        },
        FileDigest::Shards { digests, .. } => {
            if let Some((position, (expected, found))) = digests
                .iter()
                .zip(&measured.shards)
                .enumerate()
                .find(|(_, (expected, found))| expected != found)
            {
                return Err(mismatch(expected.to_string(), found.to_string()).with("shard", position));
            }
            if digests.len() != measured.shards.len() || digests.is_empty() {
                return Err(mismatch(
                    format!("{} shards", digests.len()),
                    format!("{} shards", measured.shards.len()),
                ));
            }
            let algorithm = digests.first().map(Digest::algorithm).map_or("", Algorithm::as_str);
            Ok(format!("{} shards {algorithm}", digests.len()))
        }
    }
}

/// Refuses before copying if the copy cannot fit, with the numbers.
#[cfg(target_os = "linux")]
fn enough_memory(files: &[&Selected], spec: &Spec) -> Result<(), Error> {
    if spec.assurance == Assurance::Verity {
        return Ok(());
    }
    let needed = files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.size));
    match sys::available() {
        Some(memory) if memory.bytes < needed => {
            Err(OpenFault::Memory { needed, available: memory.bytes, limit: memory.limit }.into())
        }
        // Where nothing is known, the allocation itself fails.
        _ => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn enough_memory(_: &[&Selected], _: &Spec) -> Result<(), Error> {
    Ok(())
}

/// Opens, reads and checks files together. `None` for a file that was skipped after an earlier one failed.
fn read(
    tree: &Tree,
    files: &[&Selected],
    spec: &Spec,
    executor: &Executor,
    thorough: bool,
) -> Result<Vec<Option<Result<Content, Error>>>, Error> {
    let mut batch = Batch::new(files);
    for (position, selected) in files.iter().enumerate() {
        let prepared = tree.open(&selected.path).and_then(|file| prepare(selected, file, spec));
        if batch.take(position, prepared) && !thorough {
            break;
        }
    }
    batch.run(spec, executor, thorough)
}

/// Checks one file that was opened before, on access.
pub(super) fn read_one(
    selected: &Selected,
    file: File,
    spec: &Spec,
    executor: &Executor,
) -> Result<Content, Error> {
    enough_memory(&[selected], spec)?;
    let files = [selected];
    let mut batch = Batch::new(&files);
    batch.take(0, prepare(selected, file, spec));
    batch
        .run(spec, executor, false)?
        .into_iter()
        .flatten()
        .next()
        .unwrap_or_else(|| Err(OpenFault::NotHandedOut { path: selected.path.clone() }.into()))
}

/// Files that are read in one pass, and what became of each.
struct Batch<'f> {
    files: &'f [&'f Selected],
    outcomes: Vec<Option<Result<Content, Error>>>,
    copies: Vec<(usize, Draft)>,
}

enum Prepared {
    Copy(Draft),
    Ready(Content),
}

impl<'f> Batch<'f> {
    fn new(files: &'f [&'f Selected]) -> Self {
        Self { files, outcomes: files.iter().map(|_| None).collect(), copies: Vec::new() }
    }

    /// Adds a prepared file. Whether its preparation failed.
    fn take(&mut self, position: usize, prepared: Result<Prepared, Error>) -> bool {
        match prepared {
            Ok(Prepared::Copy(draft)) => self.copies.push((position, draft)),
            Ok(Prepared::Ready(content)) => self.set(position, Ok(content)),
            Err(error) => {
                self.set(position, Err(error));
                return true;
            }
        }
        false
    }

    fn set(&mut self, position: usize, outcome: Result<Content, Error>) {
        let path = self.files.get(position).map(|file| file.path.as_str()).unwrap_or_default();
        if let Some(slot) = self.outcomes.get_mut(position) {
            *slot = Some(outcome.map_err(|error| error.at(path)));
        }
    }

    /// Runs the pass, seals what matched and parses it.
    fn run(
        mut self,
        spec: &Spec,
        executor: &Executor,
        thorough: bool,
    ) -> Result<Vec<Option<Result<Content, Error>>>, Error> {
        let files = self.files;
        let mut copies = std::mem::take(&mut self.copies);
        let selected: Vec<&Selected> =
            copies.iter().filter_map(|(position, _)| files.get(*position).copied()).collect();
        let digests: Vec<OnceLock<String>> = selected.iter().map(|_| OnceLock::new()).collect();
        let judge = |index: usize, measured: Measured| -> Result<(), Error> {
            let (Some(file), Some(slot)) = (selected.get(index), digests.get(index)) else {
                return Err(OpenFault::NoCandidate.into());
            };
            slot.set(spec.agree(file, &measured)?).map_err(|_| OpenFault::NoCandidate.into())
        };
        let jobs = copies
            .iter_mut()
            .zip(&selected)
            .map(|((_, draft), file)| {
                let (source, place) = draft.parts();
                Job { source: Input::Open(source), size: file.size, wanted: spec.wanted(file), place }
            })
            .collect();
        let results = executor.run(jobs, thorough, &judge)?;
        for (((position, draft), result), (file, digest)) in
            copies.into_iter().zip(results).zip(selected.iter().zip(digests))
        {
            match (result, digest.into_inner()) {
                (None, _) => {}
                (Some(Err(error)), _) => self.set(position, Err(error)),
                (Some(Ok(())), Some(digest)) => {
                    self.set(position, draft.seal().and_then(|backing| parse(file, backing, digest)));
                }
                (Some(Ok(())), None) => self.set(position, Err(OpenFault::NoCandidate.into())),
            }
        }
        Ok(self.outcomes)
    }
}

/// Chooses where a file's bytes go.
fn prepare(selected: &Selected, file: File, spec: &Spec) -> Result<Prepared, Error> {
    #[cfg(target_os = "linux")]
    let file = match verity(selected, file, spec)? {
        Verified::Content(content) => return Ok(Prepared::Ready(content)),
        Verified::Copy(file) => file,
    };
    #[cfg(not(target_os = "linux"))]
    if spec.assurance == Assurance::Verity || spec.floor == Floor::Verity {
        let reason = "fs-verity exists on Linux only".to_owned();
        return Err(OpenFault::Unavailable { path: Some(selected.path.clone()), reason }.into());
    }
    Draft::new(file, selected.size, spec.assurance).map(Prepared::Copy)
}

#[cfg(target_os = "linux")]
enum Verified {
    Content(Content),
    Copy(File),
}

/// A file the kernel itself checks: its fs-verity digest is the signed one. Under `Auto`, small files are copied all
/// the same, and so is a file without fs-verity; a digest that is there and differs is a denial either way.
#[cfg(target_os = "linux")]
fn verity(selected: &Selected, file: File, spec: &Spec) -> Result<Verified, Error> {
    let required = spec.assurance == Assurance::Verity || spec.floor == Floor::Verity;
    if !required && (spec.assurance != Assurance::Auto || selected.size <= limits::SMALL_FILE_BYTES) {
        return Ok(Verified::Copy(file));
    }
    let unavailable = |reason: String| -> Error {
        OpenFault::Unavailable { path: Some(selected.path.clone()), reason }.into()
    };
    let Some(annotation) = spec.annotation(selected) else {
        if required {
            return Err(unavailable("the signature carries no fs-verity digest of this file".to_owned()));
        }
        return Ok(Verified::Copy(file));
    };
    let proven = match sys::VerityFile::prove(file) {
        Ok(proven) => proven,
        Err((file, _)) if !required => return Ok(Verified::Copy(file)),
        Err((_, Ok(sys::Verity::NotEnforced { magic }))) => {
            return Err(unavailable(format!(
                "this file system (magic {magic:#x}) does not enforce fs-verity"
            )));
        }
        Err((_, Ok(_))) => return Err(unavailable("fs-verity is not enabled on this file".to_owned())),
        Err((_, Err(errno))) => return Err(unavailable(format!("fs-verity cannot be measured: {errno}"))),
    };
    check_measurement(&selected.path, proven.measurement(), &annotation)?;
    let mapping = proven.map().map_err(|error| refused("a mapping of the fs-verity file", &error))?;
    let found = u64::try_from(mapping.as_slice().len()).unwrap_or(u64::MAX);
    if found != annotation.size {
        let (path, expected) = (selected.path.clone(), annotation.size);
        return Err(OpenFault::SizeChanged { path, expected, found }.into());
    }
    let digest = format!("fsverity:{}", hex::encode(annotation.fsverity));
    parse(selected, Backing::Verity(mapping), digest).map(Verified::Content)
}

/// Whether the kernel's digest of a file is the signed one.
#[cfg(target_os = "linux")]
fn check_measurement(path: &str, found: &sys::Measurement, signed: &Annotation) -> Result<(), Error> {
    if found.algorithm == sys::VerityAlgorithm::Sha256 && found.digest == signed.fsverity {
        return Ok(());
    }
    let (expected, found) = (
        format!("sha256:{}", hex::encode(signed.fsverity)),
        format!("{:?}:{}", found.algorithm, hex::encode(&found.digest)).to_lowercase(),
    );
    Err(OpenFault::Verity { path: path.to_owned(), expected, found }.into())
}

/// Looks into bytes that matched: does the content belie the name, and what tensors are there?
fn parse(selected: &Selected, backing: Backing, digest: String) -> Result<Content, Error> {
    let bytes = backing.as_slice();
    if let Some(found) = format::sniff(selected.format, &selected.path, bytes) {
        return Err(OpenFault::Content { path: selected.path.clone(), found }.into());
    }
    let weights = if selected.format.has_tensors() {
        Some(WeightsFile::parse(selected.format, bytes).map_err(|error| error.at(&selected.path))?)
    } else {
        None
    };
    Ok(Content::new(backing, weights, digest))
}

/// Whether every file that an index, a configuration or a split set refers to is handed out, and whether the weights
/// that were parsed are what the indexes say. Returns what the documents refer to.
fn check_references(
    candidate: &Candidate,
    contents: &BTreeMap<String, Content>,
) -> Result<Vec<Reference>, Error> {
    let handed_out = |path: &str| candidate.files.handed_out.iter().any(|file| file.path == path);
    let mut references = Vec::new();
    for file in &candidate.files.handed_out {
        let mut found = match contents.get(&file.path) {
            // Chosen by name, not by format: the index of listed pickles is of their format.
            Some(content) => format::references(&file.path, content.as_slice())?,
            None => Vec::new(),
        };
        if file.format == Format::Gguf {
            found.extend(format::split_reference(&file.path));
        }
        for reference in &found {
            reference.check_handed_out(handed_out).map_err(|error| {
                match candidate.files.withheld.get(&reference.to) {
                    Some(reason) => error.with("withheld", reason),
                    None => error,
                }
            })?;
        }
        references.append(&mut found);
    }
    let parsed: BTreeMap<String, Arc<WeightsFile>> =
        contents.iter().filter_map(|(path, content)| Some((path.clone(), content.weights()?))).collect();
    // On access nothing is parsed yet; each file is held against the references when it is touched.
    let whole = candidate.files.handed_out.iter().all(|file| contents.contains_key(&file.path));
    if whole {
        format::check_splits(&parsed)?;
        format::check_indexes(&parsed, &references)?;
    }
    Ok(references)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn a_measured_digest_must_be_the_signed_one() {
        let signed = Annotation { size: 1, blake3: [0; 32], fsverity: [7; 32] };
        let measured = |algorithm, digest: &[u8]| {
            let found = sys::Measurement { algorithm, digest: digest.to_vec() };
            check_measurement("model.gguf", &found, &signed).map_err(|error| error.code())
        };
        assert_eq!(measured(sys::VerityAlgorithm::Sha256, &[7; 32]), Ok(()));
        assert_eq!(measured(sys::VerityAlgorithm::Sha256, &[8; 32]), Err(Code::AssuranceVerity));
        assert_eq!(measured(sys::VerityAlgorithm::Sha512, &[7; 32]), Err(Code::AssuranceVerity));
        assert_eq!(measured(sys::VerityAlgorithm::Sha256, &[7; 31]), Err(Code::AssuranceVerity));
    }
}
