//! The OMS predicate: statement to [`Manifest`], and back for signers.
//!
//! OpenSSF Model Signing v1.0, sections 5 and 6. What is refused where the specification leaves room:
//!
//! - Paths with a backslash or a control character. Both are legal names on Linux; but a backslash is a separator
//!   elsewhere, so one signed name would mean two paths, and a line break could forge a line of `dirHash`.
//! - A `serialization` with unknown fields: it says how to read everything else (the schema closes it too). Elsewhere
//!   in the predicate unknown fields are ignored, as section 5.2.1 demands of descriptors.
//! - `shards` without `shard_size`: section 5.2.2 requires it; the default of section 6.3.2 is advice to signers.
//!
//! And what is accepted beyond the letter: resources in any order (the reference implementation sorts by path
//! component), `shard_size` written as `4.0`, and `algorithm` in shards as `sha256-sharded-<size>`: the reference
//! implementation writes both.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::Serialize;
use sha2::Digest as _;

use super::{Annotation, FileDigest, Manifest, Method, Serialization, SignedFile};
use crate::bundle::{PredicateType, Statement};
use crate::digest::{Algorithm, Digest};
use crate::error::{Code, Error, Evidence, Fault, escaped};
use crate::json::Value;
use crate::limits;

/// What the reference implementation calls the one file of a single-file model.
pub(super) const SINGLE_FILE: &str = ".";

/// Our key among the `annotations` of a file's resource descriptor; with shards, of its first range.
const ANNOTATION: &str = "modelseal.digests/v1";

impl Manifest {
    /// Calls the one file of a single-file model by the name the caller opened it under.
    ///
    /// Section 6.1 names it by its basename; the reference implementation writes `.`, and refuses anything else. Either
    /// way the file is the one the caller named, and the digest that binds names is the same.
    pub(crate) fn name_single_file(&mut self, name: &str) {
        if self.files.len() == 1
            && let Some(file) = self.files.remove(SINGLE_FILE)
        {
            self.files.insert(name.to_owned(), file);
        }
    }

    /// Reads the manifest out of a verified statement.
    pub(crate) fn from_statement(statement: &Statement) -> Result<Self, Error> {
        let manifest = match statement.predicate_type {
            PredicateType::LegacyDigests => from_legacy(statement)?,
            PredicateType::Signature => from_signature(statement)?,
        };
        check_files(&manifest.files, &manifest.serialization)?;
        Ok(manifest)
    }

    /// Makes the manifest that a signer signs, by the rules that [`Manifest::from_statement`] reads with.
    ///
    /// With shards, empty files have no resource (section 6.3.2) and are left out.
    pub(crate) fn new(
        subject: &str,
        mut serialization: Serialization,
        mut files: BTreeMap<String, SignedFile>,
    ) -> Result<Self, Error> {
        if subject.is_empty() {
            return Err(ManifestFault::Subject { problem: "has no name" }.into());
        }
        if serialization.legacy {
            return Err(ManifestFault::Serialization { problem: "is the deprecated one of v0.2" }.into());
        }
        let ignore_paths = std::mem::take(&mut serialization.ignore_paths);
        let serialization = serialization.with_ignore_paths(ignore_paths);
        if let Some(path) = serialization.ignore_paths.iter().find(|path| !can_exclude(path)) {
            return Err(ManifestFault::IgnorePath { path: path.clone() }.into());
        }
        files.retain(|_, file| !matches!(file.digest, FileDigest::Shards { length: 0, .. }));
        for (path, file) in &files {
            check_digests(path, file, &serialization)?;
        }
        check_files(&files, &serialization)?;

        let mut manifest =
            Self { subject: subject.to_owned(), serialization, files, root: [0; 32], warnings: Vec::new() };
        manifest.root = root_of(manifest.resources().iter().map(|resource| resource.digest));
        Ok(manifest)
    }

    /// The in-toto statement to sign: the same bytes for equal manifests, resources in the order of section 5.2.1.
    ///
    /// Sign these bytes, not another rendering of them.
    #[must_use]
    pub fn to_payload(&self) -> Vec<u8> {
        let resources = self.resources();
        let document = StatementDocument {
            statement_type: "https://in-toto.io/Statement/v1",
            subject: [SubjectDocument {
                name: &self.subject,
                digest: RootDocument {
                    sha256: hex::encode(root_of(resources.iter().map(|resource| resource.digest))),
                },
            }],
            predicate_type: PredicateType::Signature.as_str(),
            predicate: PredicateDocument {
                serialization: SerializationDocument {
                    method: self.serialization.method.as_str(),
                    hash_type: self.serialization.algorithm.as_str(),
                    shard_size: self.serialization.method.shard_size(),
                    allow_symlinks: self.serialization.allow_symlinks,
                    ignore_paths: &self.serialization.ignore_paths,
                },
                resources: resources
                    .iter()
                    .map(|resource| ResourceDocument::new(resource, self.serialization.method))
                    .collect(),
            },
        };
        #[expect(
            clippy::expect_used,
            reason = "text and integers, written to memory: serde_json cannot fail"
        )]
        serde_json::to_vec_pretty(&document).expect("a statement is representable in JSON")
    }

    /// The resources in code-point order of their names, which for UTF-8 is the order of bytes.
    fn resources(&self) -> Vec<Resource<'_>> {
        let mut resources = Vec::new();
        for (path, file) in &self.files {
            match &file.digest {
                FileDigest::Whole(digest) => resources.push(Resource {
                    name: path.clone(),
                    digest,
                    annotation: file.annotation.as_ref(),
                }),
                FileDigest::Shards { length, digests } => {
                    let size = self.serialization.method.shard_size().map_or(*length, Into::into);
                    let mut start = 0_u64;
                    for digest in digests {
                        let end = start.saturating_add(size).min(*length);
                        let annotation = if start == 0 { file.annotation.as_ref() } else { None };
                        resources.push(Resource {
                            name: format!("{path}:{start}:{end}"),
                            digest,
                            annotation,
                        });
                        start = end;
                    }
                }
            }
        }
        resources.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        resources
    }
}

/// The v1.0 predicate: sections 5.2 and 8.4.
fn from_signature(statement: &Statement) -> Result<Manifest, ManifestFault> {
    let (subject, root) = match statement.subject.as_slice() {
        [subject] => (subject_name(subject)?, subject_root(subject)?),
        _ => return Err(ManifestFault::Subject { problem: "is not exactly one" }),
    };
    let mut warnings = Vec::new();
    let serialization = Serialization::parse(&statement.predicate, &mut warnings)?;
    let resources = statement
        .predicate
        .get("resources")
        .and_then(Value::as_array)
        .ok_or(ManifestFault::Resources { problem: "is not an array" })?;
    if resources.len() > limits::RESOURCES {
        return Err(ManifestFault::TooMany);
    }

    let mut files = Files::new(serialization.method);
    let mut hasher = sha2::Sha256::new();
    let mut annotations = 0_usize;
    let mut previous = "";
    let mut sorted = true;
    for resource in resources {
        let descriptor = Descriptor::parse(resource, &serialization)?;
        hasher.update(descriptor.digest.as_bytes());
        annotations = annotations.saturating_add(usize::from(descriptor.annotation.is_some()));
        sorted &= previous <= descriptor.name;
        previous = descriptor.name;
        files.add(descriptor)?;
    }
    if !sorted {
        warnings.push("the resources are not sorted by name".to_owned());
    }
    // Section 6.5.1, in the order listed: signers disagree on the order, and all of them hash what they list.
    let found: [u8; 32] = hasher.finalize().into();
    if found != root {
        return Err(ManifestFault::Root { expected: hex::encode(root), found: hex::encode(found) });
    }
    let mentioned =
        statement.subject.iter().map(mentions).fold(mentions(&statement.predicate), usize::saturating_add);
    if mentioned != annotations {
        return Err(ManifestFault::AnnotationMisplaced);
    }
    Ok(Manifest { subject: subject.to_owned(), serialization, files: files.finish()?, root, warnings })
}

/// The predicate of v0.2.0: subjects are the resources, and nothing says that they are all.
fn from_legacy(statement: &Statement) -> Result<Manifest, ManifestFault> {
    if statement.subject.len() > limits::RESOURCES {
        return Err(ManifestFault::TooMany);
    }
    if statement.subject.iter().map(mentions).fold(mentions(&statement.predicate), usize::saturating_add) != 0
    {
        return Err(ManifestFault::AnnotationMisplaced);
    }
    let mut files = Files::new(Method::Files);
    let mut hasher = sha2::Sha256::new();
    for subject in &statement.subject {
        let name = text(subject, "name")
            .ok_or_else(|| ManifestFault::Path { name: String::new(), problem: "is missing" })?;
        let algorithm = subject.get("annotations").and_then(|notes| notes.get("actual_hash_algorithm"));
        if algorithm.is_some_and(|algorithm| algorithm.as_str() != Some("file-sha256")) {
            return Err(ManifestFault::Algorithm { name: name.to_owned() });
        }
        let digest = subject
            .get("digest")
            .and_then(|digests| text(digests, "sha256"))
            .and_then(|hex| Digest::from_hex(Algorithm::Sha256, hex))
            .ok_or_else(|| ManifestFault::Digest { name: name.to_owned() })?;
        hasher.update(digest.as_bytes());
        files.add(Descriptor { name, digest, annotation: None })?;
    }
    Ok(Manifest {
        subject: String::new(),
        serialization: Serialization { legacy: true, ..Serialization::files(Algorithm::Sha256) },
        files: files.finish()?,
        root: hasher.finalize().into(),
        warnings: vec![
            "the bundle is in the deprecated v0.2 format, which binds neither a model name nor an exclusion list"
                .to_owned(),
        ],
    })
}

/// Section 6.5.1: SHA-256 over the raw digests, whatever algorithm they are of.
fn root_of<'a>(digests: impl Iterator<Item = &'a Digest>) -> [u8; 32] {
    let mut hasher = sha2::Sha256::new();
    for digest in digests {
        hasher.update(digest.as_bytes());
    }
    hasher.finalize().into()
}

/// Section 6.5: any non-empty text.
fn subject_name(subject: &Value) -> Result<&str, ManifestFault> {
    text(subject, "name")
        .filter(|name| !name.is_empty())
        .ok_or(ManifestFault::Subject { problem: "has no name" })
}

fn subject_root(subject: &Value) -> Result<[u8; 32], ManifestFault> {
    let digest = subject
        .get("digest")
        .and_then(|digests| text(digests, "sha256"))
        .ok_or(ManifestFault::Subject { problem: "has no sha256 digest" })?;
    bytes32(digest).ok_or_else(|| ManifestFault::Digest { name: String::new() })
}

fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

fn bytes32(text: &str) -> Option<[u8; 32]> {
    hex::decode(text).ok()?.try_into().ok()
}

/// How often our key occurs anywhere below a value. Depth is bounded by the JSON parser.
fn mentions(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(mentions).fold(0, usize::saturating_add),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| usize::from(key == ANNOTATION).saturating_add(mentions(value)))
            .fold(0, usize::saturating_add),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) | Value::Unsigned(_) => 0,
    }
}

impl Serialization {
    /// Section 5.2.2.
    fn parse(predicate: &Value, warnings: &mut Vec<String>) -> Result<Self, ManifestFault> {
        let problem = |problem| ManifestFault::Serialization { problem };
        let members =
            predicate.get("serialization").and_then(Value::as_object).ok_or(problem("is not an object"))?;
        let known = ["allow_symlinks", "hash_type", "ignore_paths", "method", "shard_size"];
        if !members.keys().all(|key| known.contains(&key.as_str())) {
            return Err(problem("has a field that this version does not know"));
        }
        let hash_type =
            members.get("hash_type").and_then(Value::as_str).ok_or(problem("has no `hash_type`"))?;
        let algorithm = Algorithm::from_name(hash_type)
            .ok_or_else(|| ManifestFault::HashType { found: hash_type.to_owned() })?;
        let allow_symlinks = members
            .get("allow_symlinks")
            .and_then(Value::as_bool)
            .ok_or(problem("has no `allow_symlinks`"))?;
        if allow_symlinks {
            warnings.push("the signer followed symbolic links".to_owned());
        }
        let shard_size = members.get("shard_size");
        let method = match (members.get("method").and_then(Value::as_str), shard_size.map(Value::as_u64)) {
            (Some("files"), None) => Method::Files,
            (Some("files"), Some(_)) => return Err(problem("has a `shard_size` without shards")),
            (Some("shards"), Some(Some(size))) if size > 0 => Method::Shards { size },
            (Some("shards"), _) => return Err(problem("has no usable `shard_size`")),
            (Some(_) | None, _) => return Err(problem("has an unknown `method`")),
        };
        let ignore_paths = match members.get("ignore_paths") {
            Some(paths) => paths
                .as_array()
                .and_then(|paths| paths.iter().map(Value::as_str).collect::<Option<Vec<_>>>())
                .ok_or(problem("has `ignore_paths` that are not an array of text"))?,
            None => Vec::new(),
        };
        let (usable, useless): (Vec<&str>, Vec<&str>) =
            ignore_paths.into_iter().partition(|path| can_exclude(path));
        if let Some(example) = useless.first() {
            warnings.push(format!(
                "{} of the signed `ignore_paths` cannot name a path of the model and exclude nothing, such as \"{}\"",
                useless.len(),
                escaped(example)
            ));
        }
        Ok(Self { method, algorithm, allow_symlinks, ignore_paths: Vec::new(), legacy: false }
            .with_ignore_paths(usable))
    }
}

/// Section 6.2.1: exact relative paths, no globs. Anything else must never exclude a path.
fn can_exclude(path: &str) -> bool {
    path_problem(path).is_none() && !path.contains(['*', '?', '['])
}

/// One resource as listed.
struct Descriptor<'a> {
    name: &'a str,
    digest: Digest,
    annotation: Option<Annotation>,
}

impl<'a> Descriptor<'a> {
    /// Section 5.2.1: name, digest and algorithm are required; other fields are ignored, but for our annotation.
    fn parse(resource: &'a Value, serialization: &Serialization) -> Result<Self, ManifestFault> {
        if resource.as_object().is_none() {
            return Err(ManifestFault::Resources { problem: "holds an entry that is not an object" });
        }
        let name = text(resource, "name")
            .ok_or_else(|| ManifestFault::Path { name: String::new(), problem: "is missing" })?;
        // Section 5.2.2: one algorithm for all, the one `hash_type` says.
        if !text(resource, "algorithm").is_some_and(|algorithm| serialization.writes(algorithm)) {
            return Err(ManifestFault::Algorithm { name: name.to_owned() });
        }
        let digest = text(resource, "digest")
            .and_then(|hex| Digest::from_hex(serialization.algorithm, hex))
            .ok_or_else(|| ManifestFault::Digest { name: name.to_owned() })?;
        let annotation = match resource.get("annotations").map(|notes| (notes, notes.get(ANNOTATION))) {
            Some((_, Some(annotation))) => Some(Annotation::parse(name, annotation)?),
            Some((Value::Object(_) | Value::Null, None)) | None => None,
            Some((_, None)) => {
                return Err(ManifestFault::Annotation {
                    name: name.to_owned(),
                    problem: "is not in an object",
                });
            }
        };
        Ok(Self { name, digest, annotation })
    }
}

impl Serialization {
    /// Whether a resource may name its algorithm so. The reference implementation writes the shard size into it.
    fn writes(&self, algorithm: &str) -> bool {
        let hash_type = self.algorithm.as_str();
        match self.method {
            Method::Files => algorithm == hash_type,
            Method::Shards { size } => {
                algorithm == hash_type || algorithm == format!("{hash_type}-sharded-{size}")
            }
        }
    }
}

impl Annotation {
    fn parse(name: &str, value: &Value) -> Result<Self, ManifestFault> {
        let problem = |problem| ManifestFault::Annotation { name: name.to_owned(), problem };
        let members = value.as_object().ok_or_else(|| problem("is not an object"))?;
        if !members.keys().all(|key| ["blake3", "fsverity", "size"].contains(&key.as_str())) {
            return Err(problem("has a field that this version does not know"));
        }
        Ok(Self {
            size: members
                .get("size")
                .and_then(Value::as_u64)
                .ok_or_else(|| problem("has no usable `size`"))?,
            blake3: members
                .get("blake3")
                .and_then(Value::as_str)
                .and_then(bytes32)
                .ok_or_else(|| problem("has no usable `blake3`"))?,
            fsverity: members
                .get("fsverity")
                .and_then(Value::as_str)
                .and_then(|text| text.strip_prefix("sha256:"))
                .and_then(bytes32)
                .ok_or_else(|| problem("has no usable `fsverity`"))?,
        })
    }
}

/// Gathers resources into files.
enum Files {
    Shards { size: u64, ranges: BTreeMap<String, BTreeMap<u64, Range>> },
    Whole(BTreeMap<String, SignedFile>),
}

struct Range {
    end: u64,
    digest: Digest,
    annotation: Option<Annotation>,
}

impl Files {
    fn new(method: Method) -> Self {
        match method {
            Method::Files => Self::Whole(BTreeMap::new()),
            Method::Shards { size } => Self::Shards { size, ranges: BTreeMap::new() },
        }
    }

    fn add(&mut self, descriptor: Descriptor<'_>) -> Result<(), ManifestFault> {
        let Descriptor { name, digest, annotation } = descriptor;
        match self {
            Self::Whole(files) => match files.entry(name.to_owned()) {
                Entry::Occupied(_) => Err(ManifestFault::Duplicate { name: name.to_owned() }),
                Entry::Vacant(entry) => {
                    entry.insert(SignedFile { digest: FileDigest::Whole(digest), annotation });
                    Ok(())
                }
            },
            Self::Shards { ranges, .. } => {
                let (path, start, end) = split_range(name).ok_or_else(|| ManifestFault::Shards {
                    name: name.to_owned(),
                    problem: "the name does not end in `:<start>:<end>`",
                })?;
                if annotation.is_some() && start != 0 {
                    return Err(ManifestFault::Annotation {
                        name: name.to_owned(),
                        problem: "is not in the file's first range",
                    });
                }
                match ranges.entry(path.to_owned()).or_default().entry(start) {
                    Entry::Occupied(entry) if entry.get().end == end => {
                        Err(ManifestFault::Duplicate { name: name.to_owned() })
                    }
                    Entry::Occupied(_) => Err(ManifestFault::Shards {
                        name: name.to_owned(),
                        problem: "the range overlaps another one",
                    }),
                    Entry::Vacant(entry) => {
                        entry.insert(Range { end, digest, annotation });
                        Ok(())
                    }
                }
            }
        }
    }

    fn finish(self) -> Result<BTreeMap<String, SignedFile>, ManifestFault> {
        match self {
            Self::Whole(files) => Ok(files),
            Self::Shards { size, ranges } => ranges
                .into_iter()
                .map(|(path, ranges)| {
                    let file = joined(&path, ranges, size)?;
                    Ok((path, file))
                })
                .collect(),
        }
    }
}

/// Section 6.3.2: the *last* two components are the range, since names may hold colons. Canonical decimals only.
fn split_range(name: &str) -> Option<(&str, u64, u64)> {
    let decimal = |text: &str| text.parse::<u64>().ok().filter(|value| value.to_string() == text);
    let (rest, end) = name.rsplit_once(':')?;
    let (path, start) = rest.rsplit_once(':')?;
    Some((path, decimal(start)?, decimal(end)?))
}

/// Section 6.3.2: consecutive from zero, each of the shard size, only the last one shorter, none empty.
fn joined(path: &str, ranges: BTreeMap<u64, Range>, size: u64) -> Result<SignedFile, ManifestFault> {
    let problem = |problem| ManifestFault::Shards { name: path.to_owned(), problem };
    let mut length = 0_u64;
    let mut digests = Vec::with_capacity(ranges.len());
    let mut annotation = None;
    let mut ranges = ranges.into_iter().peekable();
    while let Some((start, range)) = ranges.next() {
        if start != length {
            return Err(problem("the ranges leave a gap or overlap"));
        }
        match range.end.checked_sub(start) {
            Some(bytes) if bytes == size => {}
            Some(bytes) if 0 < bytes && bytes < size && ranges.peek().is_none() => {}
            Some(_) | None => return Err(problem("a range has the wrong size")),
        }
        length = range.end;
        annotation = annotation.or(range.annotation);
        digests.push(range.digest);
    }
    Ok(SignedFile { digest: FileDigest::Shards { length, digests }, annotation })
}

/// That a measured file fits the serialization it is to be signed under.
fn check_digests(path: &str, file: &SignedFile, serialization: &Serialization) -> Result<(), ManifestFault> {
    if file.digests().iter().any(|digest| digest.algorithm() != serialization.algorithm) {
        return Err(ManifestFault::Algorithm { name: path.to_owned() });
    }
    let problem = |problem| ManifestFault::Shards { name: path.to_owned(), problem };
    match (&file.digest, serialization.method) {
        (FileDigest::Whole(_), Method::Files) => Ok(()),
        (FileDigest::Shards { length, digests }, Method::Shards { size: 1.. }) => {
            let expected = serialization.method.shard_size().map(|size| length.div_ceil(size.get()));
            if expected == u64::try_from(digests.len()).ok() {
                Ok(())
            } else {
                Err(problem("there is another number of digests than of ranges"))
            }
        }
        (FileDigest::Whole(_) | FileDigest::Shards { .. }, Method::Files | Method::Shards { .. }) => {
            Err(problem("the file was not measured as the serialization says"))
        }
    }
}

/// The rules that hold between all files of a manifest, read or made.
fn check_files(
    files: &BTreeMap<String, SignedFile>,
    serialization: &Serialization,
) -> Result<(), ManifestFault> {
    if files.is_empty() {
        return Err(ManifestFault::Empty);
    }
    let resources = files.values().map(|file| file.digests().len()).fold(0, usize::saturating_add);
    if resources > limits::RESOURCES {
        return Err(ManifestFault::TooMany);
    }
    for (path, file) in files {
        // The reference implementation calls a single-file model by the path of its root.
        let single = path == SINGLE_FILE && files.len() == 1;
        if let Some(problem) = path_problem(path).filter(|_| !single) {
            return Err(ManifestFault::Path { name: path.clone(), problem });
        }
        if let Some(annotation) = &file.annotation {
            check_annotation(path, file, annotation, serialization)?;
        }
    }

    // Sorted by component, everything below `a` follows `a` at once: neighbours show every conflict.
    let mut paths: Vec<&str> = files.keys().map(String::as_str).collect();
    paths.sort_unstable_by(|one, other| one.split('/').cmp(other.split('/')));
    for (path, next) in paths.iter().zip(paths.iter().skip(1)) {
        if next.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')) {
            return Err(ManifestFault::Path {
                name: (*path).to_owned(),
                problem: "is both a file and a directory",
            });
        }
    }
    Ok(())
}

/// Two statements of one signer about one file must not contradict each other.
fn check_annotation(
    path: &str,
    file: &SignedFile,
    annotation: &Annotation,
    serialization: &Serialization,
) -> Result<(), ManifestFault> {
    let problem = |problem| ManifestFault::Annotation { name: path.to_owned(), problem };
    if file.size() != Some(annotation.size) {
        return Err(problem("has another size than the file's ranges"));
    }
    match (serialization.algorithm, file.digests()) {
        (Algorithm::Blake3, [digest]) if digest.as_bytes() != annotation.blake3 => {
            Err(problem("has another BLAKE3 digest than the file's resource"))
        }
        (Algorithm::Blake2b | Algorithm::Blake3 | Algorithm::Sha256, _) => Ok(()),
    }
}

/// Section 6.1.2, and the two rules of this module's head. `None` if the path is canonical.
fn path_problem(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("is empty");
    }
    if path.len() > limits::NAME_BYTES {
        return Some("is longer than any path");
    }
    if path.starts_with('/') {
        return Some("is absolute");
    }
    if path.chars().any(char::is_control) {
        return Some("holds a control character");
    }
    if path.contains('\\') {
        return Some("holds a backslash");
    }
    path.split('/').find_map(|component| match component {
        "" => Some("has an empty component"),
        "." | ".." => Some("has a `.` or `..` component"),
        _ => None,
    })
}

/// One resource to be written.
struct Resource<'a> {
    name: String,
    digest: &'a Digest,
    annotation: Option<&'a Annotation>,
}

#[derive(Serialize)]
struct StatementDocument<'a> {
    #[serde(rename = "_type")]
    statement_type: &'static str,
    subject: [SubjectDocument<'a>; 1],
    #[serde(rename = "predicateType")]
    predicate_type: &'static str,
    predicate: PredicateDocument<'a>,
}

#[derive(Serialize)]
struct SubjectDocument<'a> {
    name: &'a str,
    digest: RootDocument,
}

#[derive(Serialize)]
struct RootDocument {
    sha256: String,
}

#[derive(Serialize)]
struct PredicateDocument<'a> {
    serialization: SerializationDocument<'a>,
    resources: Vec<ResourceDocument<'a>>,
}

#[derive(Serialize)]
struct SerializationDocument<'a> {
    method: &'static str,
    hash_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard_size: Option<std::num::NonZeroU64>,
    allow_symlinks: bool,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    ignore_paths: &'a [String],
}

#[derive(Serialize)]
struct ResourceDocument<'a> {
    name: &'a str,
    digest: String,
    algorithm: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<AnnotationsDocument>,
}

#[derive(Serialize)]
struct AnnotationsDocument {
    #[serde(rename = "modelseal.digests/v1")]
    digests: AnnotationDocument,
}

#[derive(Serialize)]
struct AnnotationDocument {
    size: u64,
    blake3: String,
    fsverity: String,
}

impl<'a> ResourceDocument<'a> {
    /// With shards, `algorithm` is what the reference implementation writes and compares, `sha256-sharded-<size>`; the
    /// plain name of section 5.2.1 it refuses. Verifiers that follow the letter take the digest's algorithm from
    /// `hash_type`.
    fn new(resource: &'a Resource<'_>, method: Method) -> Self {
        let algorithm = resource.digest.algorithm().as_str();
        Self {
            name: &resource.name,
            digest: resource.digest.to_hex(),
            algorithm: match method {
                Method::Files => algorithm.to_owned(),
                Method::Shards { size } => format!("{algorithm}-sharded-{size}"),
            },
            annotations: resource.annotation.map(|annotation| AnnotationsDocument {
                digests: AnnotationDocument {
                    size: annotation.size,
                    blake3: hex::encode(annotation.blake3),
                    fsverity: format!("sha256:{}", hex::encode(annotation.fsverity)),
                },
            }),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ManifestFault {
    #[error("its resource does not name the algorithm of the manifest's `hash_type`")]
    Algorithm { name: String },
    #[error("its `{ANNOTATION}` annotation {problem}")]
    Annotation { name: String, problem: &'static str },
    #[error("`{ANNOTATION}` stands outside the annotations of a resource")]
    AnnotationMisplaced,
    #[error("its digest is not hexadecimal of the right length")]
    Digest { name: String },
    #[error("it is listed twice")]
    Duplicate { name: String },
    #[error("the manifest lists no files")]
    Empty,
    #[error("the manifest's `hash_type` is not sha256, blake2b or blake3")]
    HashType { found: String },
    #[error("it cannot be one of `ignore_paths`: that takes a relative path without glob characters")]
    IgnorePath { path: String },
    #[error("the name of a resource {problem}")]
    Path { name: String, problem: &'static str },
    #[error("the predicate's `resources` {problem}")]
    Resources { problem: &'static str },
    #[error("the signed root digest is not that of the listed resources")]
    Root { expected: String, found: String },
    #[error("the manifest's `serialization` {problem}")]
    Serialization { problem: &'static str },
    #[error("{problem}")]
    Shards { name: String, problem: &'static str },
    #[error("the statement's `subject` {problem}")]
    Subject { problem: &'static str },
    #[error("the manifest lists more than {} resources", limits::RESOURCES)]
    TooMany,
}

impl Fault for ManifestFault {
    fn code(&self) -> Code {
        match self {
            Self::Algorithm { .. } | Self::HashType { .. } => Code::ManifestAlgorithm,
            Self::Annotation { .. } | Self::AnnotationMisplaced => Code::ManifestAnnotation,
            Self::Digest { .. } => Code::ManifestDigestInvalid,
            Self::Duplicate { .. } => Code::ManifestDuplicateName,
            Self::Empty => Code::ManifestEmpty,
            Self::IgnorePath { .. } | Self::Serialization { .. } => Code::ManifestSerialization,
            Self::Path { .. } => Code::ManifestPathInvalid,
            Self::Resources { .. } => Code::StatementMalformed,
            Self::Root { .. } => Code::ManifestRoot,
            Self::Shards { .. } => Code::ManifestShards,
            Self::Subject { .. } => Code::StatementSubject,
            Self::TooMany => Code::BundleTooLarge,
        }
    }

    fn path(&self) -> Option<String> {
        match self {
            Self::Algorithm { name }
            | Self::Annotation { name, .. }
            | Self::Digest { name }
            | Self::Duplicate { name }
            | Self::IgnorePath { path: name }
            | Self::Path { name, .. }
            | Self::Shards { name, .. } => Some(name.clone()).filter(|name| !name.is_empty()),
            Self::AnnotationMisplaced
            | Self::Empty
            | Self::HashType { .. }
            | Self::Resources { .. }
            | Self::Root { .. }
            | Self::Serialization { .. }
            | Self::Subject { .. }
            | Self::TooMany => None,
        }
    }

    fn evidence(&self) -> Vec<Evidence> {
        match self {
            Self::HashType { found } => vec![Evidence::new("found", found)],
            Self::Root { expected, found } => {
                vec![Evidence::new("expected", expected), Evidence::new("found", found)]
            }
            Self::Algorithm { .. }
            | Self::Annotation { .. }
            | Self::AnnotationMisplaced
            | Self::Digest { .. }
            | Self::Duplicate { .. }
            | Self::Empty
            | Self::IgnorePath { .. }
            | Self::Path { .. }
            | Self::Resources { .. }
            | Self::Serialization { .. }
            | Self::Shards { .. }
            | Self::Subject { .. }
            | Self::TooMany => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::bundle::{Bundle, vectors};
    use crate::manifest::NameDigest;

    const W: &str = "50e721e49c013f00c62cf59f2163542a9d8df02464efeb615d31051b0fddc326";
    const X: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

    fn parse(statement: &Json) -> Result<Manifest, Error> {
        let payload = statement.to_string();
        Manifest::from_statement(&Statement::parse("application/vnd.in-toto+json", payload.as_bytes())?)
    }

    fn code(statement: &Json) -> Code {
        parse(statement).expect_err("must be refused").code()
    }

    fn resource(name: &str, digest: &str) -> Json {
        json!({ "name": name, "digest": digest, "algorithm": "sha256" })
    }

    fn serialization() -> Json {
        json!({ "method": "files", "hash_type": "sha256", "allow_symlinks": false })
    }

    fn shards(size: u64) -> Json {
        json!({ "method": "shards", "hash_type": "sha256", "allow_symlinks": false, "shard_size": size })
    }

    /// A statement with the root that belongs to its resources.
    fn statement(resources: Json, serialization: Json) -> Json {
        let digests: Vec<u8> = resources
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|resource| {
                resource["digest"].as_str().and_then(|hex| hex::decode(hex).ok()).unwrap_or_default()
            })
            .collect();
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": "model", "digest": { "sha256": hex::encode(sha2::Sha256::digest(digests)) } }],
            "predicateType": "https://model_signing/signature/v1.0",
            "predicate": { "resources": resources, "serialization": serialization },
        })
    }

    fn two() -> Json {
        statement(json!([resource("a.safetensors", W), resource("notes.txt", X)]), serialization())
    }

    fn named(names: &[&str]) -> Json {
        statement(names.iter().map(|name| resource(name, W)).collect(), serialization())
    }

    fn ranges(names: &[&str], size: u64) -> Json {
        statement(names.iter().map(|name| resource(name, W)).collect(), shards(size))
    }

    #[test]
    fn manifests_of_the_conformance_suite_match_their_roots() {
        for (name, bytes) in vectors::bundles(&["positive", "historical"]) {
            let bundle = Bundle::parse(&bytes).unwrap();
            let statement = Statement::parse(bundle.payload_type(), bundle.payload()).unwrap();
            let manifest =
                Manifest::from_statement(&statement).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(manifest.serialization.legacy, name.contains("v0.2.0"), "{name}");
            assert!(matches!(manifest.name_digest(), NameDigest::DirHash(_)), "{name}");
            if manifest.serialization.legacy {
                assert_eq!(manifest.files.len(), 2, "{name}");
            } else {
                assert_eq!(
                    Some(manifest.root_digest().as_str()),
                    statement.subject[0].get("digest").and_then(|digests| text(digests, "sha256")),
                    "{name}"
                );
                assert!(!manifest.subject().is_empty(), "{name}");
            }
        }
    }

    #[test]
    fn an_empty_list_is_refused_under_its_own_code() {
        for (name, bytes) in vectors::bundles(&["negative"]) {
            if name == "malformed-empty-resources_fail" {
                let bundle = Bundle::parse(&bytes).unwrap();
                let statement = Statement::parse(bundle.payload_type(), bundle.payload()).unwrap();
                assert_eq!(Manifest::from_statement(&statement).unwrap_err().code(), Code::ManifestEmpty);
            }
        }
        assert_eq!(code(&named(&[])), Code::ManifestEmpty);
    }

    #[test]
    fn the_root_does_not_bind_names_and_dir_hash_does() {
        let swapped =
            statement(json!([resource("a.safetensors", W), resource("modeling_x.py", X)]), serialization());
        let (one, other) = (parse(&two()).unwrap(), parse(&swapped).unwrap());
        for manifest in [&one, &other] {
            assert_eq!(
                manifest.root_digest(),
                "b72fc79176d9feac904d7dff2a985efa81c3baf9999481c5100bb804eaf8001b"
            );
        }
        assert_eq!(
            one.name_digest().to_string(),
            "dirHash:f9c0b4d9f75b33599841c0ac9df9f59b4e6a769f522b68ee74382819e5c397ed"
        );
        assert_eq!(
            other.name_digest().to_string(),
            "dirHash:23888ca5c79537317c676d20a0a75b9975ddf9d1a40033b5a63613365582b70a"
        );
        assert!(!one.same_resources(&other) && one.same_resources(&one));
    }

    #[test]
    fn listed_order_makes_the_root_and_other_orders_warn() {
        let listed = named(&["a", "b"]);
        assert!(parse(&listed).unwrap().warnings.is_empty());

        let component_order = statement(json!([resource("a/x", W), resource("a b", X)]), serialization());
        let manifest = parse(&component_order).unwrap();
        assert_eq!(manifest.warnings, ["the resources are not sorted by name"]);

        let mut wrong = two();
        wrong["predicate"]["resources"].as_array_mut().unwrap().reverse();
        let error = parse(&wrong).unwrap_err();
        assert_eq!(error.code(), Code::ManifestRoot);
        assert_eq!(error.evidence().len(), 2);
    }

    #[test]
    fn paths_are_canonical() {
        let long = "x".repeat(limits::NAME_BYTES + 1);
        for name in [
            "", "/", "/a", "a/", "a//b", "..", "../a", "a/..", "a/../b", "./a", "a/./b", "a/.", "a\nb",
            "a\0", "a\u{7f}", "a\u{85}b", "a\\b", &long,
        ] {
            assert_eq!(code(&named(&[name])), Code::ManifestPathInvalid, "{name:?}");
        }
        for name in ["a", ".a", "..a", "a..", "a b", "a:b", "ä/\u{1f600}", "...", "a-b/c.d"] {
            assert!(parse(&named(&[name])).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn a_dot_is_the_name_of_a_single_file_only() {
        assert!(parse(&named(&["."])).is_ok());
        assert!(parse(&ranges(&[".:0:5"], 5)).is_ok());
        assert_eq!(code(&named(&[".", "a"])), Code::ManifestPathInvalid);
    }

    #[test]
    fn names_are_unique_and_no_file_is_a_directory() {
        assert_eq!(code(&named(&["a", "a"])), Code::ManifestDuplicateName);
        assert_eq!(code(&ranges(&["a:0:5", "a:0:5"], 5)), Code::ManifestDuplicateName);
        for names in
            [["a", "a/b"].as_slice(), &["a", "a b", "a-b", "a.b", "a/b/c"], &["x/y", "x/y/z", "x/y!"]]
        {
            assert_eq!(code(&named(names)), Code::ManifestPathInvalid, "{names:?}");
        }
        assert!(parse(&named(&["a", "a b/c", "a-b/c", "a.b/c", "ab/c"])).is_ok());
    }

    #[test]
    fn digests_are_hexadecimal_of_the_right_length() {
        let with = |digest: &str| statement(json!([resource("a", digest)]), serialization());
        for digest in ["", "00", &W[2..], &format!("{W}00"), &format!("{}zz", &W[2..])] {
            assert_eq!(code(&with(digest)), Code::ManifestDigestInvalid, "{digest}");
        }
        let upper = parse(&with(&W.to_uppercase())).unwrap();
        assert_eq!(upper.files().next().unwrap().1.digests()[0].to_hex(), W);

        let mut missing = named(&["a"]);
        missing["predicate"]["resources"][0]["digest"] = json!({ "sha256": W });
        assert_eq!(code(&missing), Code::ManifestDigestInvalid);
    }

    #[test]
    fn one_algorithm_is_used_throughout() {
        for algorithm in [json!("blake3"), json!("SHA256"), json!("sha256-sharded-5"), Json::Null] {
            let mut document = named(&["a"]);
            document["predicate"]["resources"][0]["algorithm"] = algorithm.clone();
            assert_eq!(code(&document), Code::ManifestAlgorithm, "{algorithm}");
        }
        let mut unknown = named(&["a"]);
        unknown["predicate"]["serialization"]["hash_type"] = json!("md5");
        assert_eq!(code(&unknown), Code::ManifestAlgorithm);

        let mut sharded = ranges(&["a:0:5"], 5);
        sharded["predicate"]["resources"][0]["algorithm"] = json!("sha256-sharded-5");
        assert!(parse(&sharded).is_ok());
        sharded["predicate"]["resources"][0]["algorithm"] = json!("sha256-sharded-6");
        assert_eq!(code(&sharded), Code::ManifestAlgorithm);
    }

    #[test]
    fn serialization_is_read_strictly() {
        for (key, value) in [
            ("method", json!("tensors")),
            ("method", Json::Null),
            ("hash_type", Json::Null),
            ("allow_symlinks", json!("false")),
            ("shard_size", json!(5)),
            ("ignore_paths", json!("a")),
            ("ignore_paths", json!([1])),
            ("extra", json!(1)),
        ] {
            let mut document = named(&["a"]);
            document["predicate"]["serialization"][key] = value;
            assert_eq!(code(&document), Code::ManifestSerialization, "{key}");
        }
        for size in [json!(0), json!(-1), json!(1.5), json!("5"), Json::Null] {
            let mut document = ranges(&["a:0:5"], 5);
            document["predicate"]["serialization"]["shard_size"] = size.clone();
            assert_eq!(code(&document), Code::ManifestSerialization, "{size}");
        }
        for missing in ["method", "hash_type", "allow_symlinks", "shard_size"] {
            let mut document = ranges(&["a:0:5"], 5);
            document["predicate"]["serialization"].as_object_mut().unwrap().remove(missing);
            assert_eq!(code(&document), Code::ManifestSerialization, "{missing}");
        }
        let mut none = named(&["a"]);
        none["predicate"]["serialization"] = Json::Null;
        assert_eq!(code(&none), Code::ManifestSerialization);

        let mut links = named(&["a"]);
        links["predicate"]["serialization"]["allow_symlinks"] = json!(true);
        let manifest = parse(&links).unwrap();
        assert!(manifest.serialization.allow_symlinks && manifest.warnings.len() == 1);
    }

    #[test]
    fn malformed_resources_are_refused() {
        for resources in [json!({}), json!("x"), Json::Null, json!([1])] {
            let mut document = named(&["a"]);
            document["predicate"]["resources"] = resources.clone();
            assert_eq!(code(&document), Code::StatementMalformed, "{resources}");
        }
        let mut unnamed = named(&["a"]);
        unnamed["predicate"]["resources"][0]["name"] = json!(1);
        assert_eq!(code(&unnamed), Code::ManifestPathInvalid);
    }

    #[test]
    fn subjects_have_a_name_and_a_root() {
        for subject in [
            json!({ "digest": { "sha256": W } }),
            json!({ "name": "", "digest": { "sha256": W } }),
            json!({ "name": "model" }),
            json!({ "name": "model", "digest": { "sha512": W } }),
        ] {
            let mut document = named(&["a"]);
            document["subject"] = json!([subject]);
            assert_eq!(code(&document), Code::StatementSubject, "{subject}");
        }
        let mut document = named(&["a"]);
        document["subject"][0]["digest"]["sha256"] = json!("00");
        assert_eq!(code(&document), Code::ManifestDigestInvalid);
    }

    #[test]
    fn unknown_fields_of_descriptors_are_ignored() {
        let mut document = two();
        document["predicate"]["resources"][0]["media_type"] = json!("x");
        document["predicate"]["resources"][0]["annotations"] = json!({ "other": { "size": "?" } });
        document["predicate"]["more"] = json!({});
        assert_eq!(parse(&document).unwrap().files, parse(&two()).unwrap().files);
    }

    #[test]
    fn shards_cover_their_file() {
        let manifest = parse(&ranges(&["w:0:10", "w:10:20", "w:20:23", "x:0:1"], 10)).unwrap();
        let sizes: Vec<_> =
            manifest.files().map(|(path, file)| (path, file.size(), file.digests().len())).collect();
        assert_eq!(sizes, [("w", Some(23), 3), ("x", Some(1), 1)]);
        assert!(matches!(manifest.name_digest(), NameDigest::TreeHash(_)));

        // The reference implementation sorts ranges by number.
        let numeric = parse(&ranges(&["w:2:4", "w:0:2"], 2)).unwrap();
        assert_eq!(numeric.files["w"].size(), Some(4));

        for names in [
            ["w:0:11"].as_slice(),
            &["w:1:10"],
            &["w:0:0"],
            &["w:5:0"],
            &["w:0:9", "w:9:19"],
            &["w:0:10", "w:11:20"],
            &["w:0:10", "w:9:19"],
            &["w:0:10", "w:0:9"],
            &["w:0:10", "w:10:10"],
            &["w:10:20"],
            &["w"],
            &["w:0"],
            &["w:00:10"],
            &["w:0:010"],
            &["w:+0:10"],
            &["w:0x0:10"],
            &["w: 0:10"],
            &["w:-1:10"],
            &["w:0:18446744073709551616"],
        ] {
            assert_eq!(code(&ranges(names, 10)), Code::ManifestShards, "{names:?}");
        }
        assert_eq!(code(&ranges(&[":0:10"], 10)), Code::ManifestPathInvalid);
    }

    #[test]
    fn shard_names_are_split_at_their_last_colons() {
        let manifest = parse(&ranges(&["a:0:5:0:5"], 5)).unwrap();
        assert_eq!(manifest.files().next().unwrap().0, "a:0:5");
    }

    #[test]
    fn the_largest_shard_size_does_not_overflow() {
        let name = format!("w:0:{}", u64::MAX);
        let manifest = parse(&ranges(&[&name], u64::MAX)).unwrap();
        assert_eq!(manifest.files["w"].size(), Some(u64::MAX));
        assert_eq!(parse_payload(&manifest).files, manifest.files);
    }

    /// What model-signing 1.1.1 writes for shards: a double, and the size within the algorithm's name.
    #[test]
    fn shards_of_the_reference_implementation_are_read() {
        for (algorithm, root) in [
            ("sha256", "685e438e8ca94a685f2b46f07eb7e62e71cf7197315458a39b15234dc200cf12"),
            ("blake2b", "917e28c3a1c247c11c2b9f4da35bd4e80a96f328065310b08ba7779e29097006"),
        ] {
            let algorithm = Algorithm::from_name(algorithm).unwrap();
            let digest = |bytes: &[u8]| {
                let mut hasher = crate::digest::Hasher::new(algorithm);
                hasher.update(bytes);
                hasher.finish().to_hex()
            };
            let named = format!("{}-sharded-4", algorithm.as_str());
            let shard = |name: &str, bytes: &[u8]| json!({ "algorithm": named, "digest": digest(bytes), "name": name });
            let text = json!({
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{ "name": "bundle_model", "digest": { "sha256": root } }],
                "predicateType": "https://model_signing/signature/v1.0",
                "predicate": {
                    "serialization": {
                        "hash_type": algorithm.as_str(),
                        "shard_size": 4.0,
                        "method": "shards",
                        "ignore_paths": [".git", ".github", ".gitignore", ".gitattributes"],
                        "allow_symlinks": false,
                    },
                    "resources": [
                        shard("a.bin:0:4", b"hell"),
                        shard("a.bin:4:8", b"o wo"),
                        shard("a.bin:8:11", b"rld"),
                        shard("d/b:0:2", b"xy"),
                    ],
                },
            });
            let manifest = parse(&text).unwrap();
            assert_eq!(manifest.method(), Method::Shards { size: 4 });
            assert_eq!(manifest.files["a.bin"].size(), Some(11));
        }
    }

    #[test]
    fn useless_exclusions_are_dropped_with_one_warning() {
        let mut document = named(&["a"]);
        let paths =
            ["b", "/etc", "../up", "a/../b", "*.bin", "x?", "[a]", "", ".", "./c", "c/", "a\\b", "c", "b"];
        document["predicate"]["serialization"]["ignore_paths"] = json!(paths);
        let manifest = parse(&document).unwrap();
        assert_eq!(manifest.serialization.ignore_paths(), ["b", "c"]);
        assert_eq!(manifest.warnings.len(), 1);
        assert!(manifest.warnings[0].starts_with("11 of the signed"), "{:?}", manifest.warnings);
    }

    fn annotation() -> Json {
        json!({ "size": 5, "blake3": W, "fsverity": format!("sha256:{X}") })
    }

    #[test]
    fn annotations_are_read_from_the_first_resource_of_a_file() {
        for mut document in [named(&["w"]), ranges(&["w:0:3", "w:3:5"], 3)] {
            document["predicate"]["resources"][0]["annotations"] =
                json!({ ANNOTATION: annotation(), "other": 1 });
            let found = parse(&document).unwrap().files["w"].annotation.unwrap();
            assert_eq!(found.size, 5);
            assert_eq!(hex::encode(found.blake3), W);
            assert_eq!(hex::encode(found.fsverity), X);
        }
    }

    #[test]
    fn annotations_of_any_other_form_are_refused() {
        for (key, value) in [
            ("size", json!(-1)),
            ("size", json!("5")),
            ("size", Json::Null),
            ("blake3", json!(&W[2..])),
            ("blake3", json!(5)),
            ("fsverity", json!(X)),
            ("fsverity", json!(format!("sha512:{X}"))),
            ("fsverity", json!("sha256:")),
            ("more", json!(1)),
        ] {
            let mut document = named(&["w"]);
            let mut changed = annotation();
            changed[key] = value;
            document["predicate"]["resources"][0]["annotations"] = json!({ ANNOTATION: changed });
            assert_eq!(code(&document), Code::ManifestAnnotation, "{key}");
        }
        for value in [Json::Null, json!([]), json!("x")] {
            let mut document = named(&["w"]);
            document["predicate"]["resources"][0]["annotations"] = json!({ ANNOTATION: value });
            assert_eq!(code(&document), Code::ManifestAnnotation);
        }
        let mut list = named(&["w"]);
        list["predicate"]["resources"][0]["annotations"] = json!([{ ANNOTATION: annotation() }]);
        assert_eq!(code(&list), Code::ManifestAnnotation);
    }

    #[test]
    fn annotations_elsewhere_are_refused() {
        for pointer in [
            "/subject/0",
            "/predicate",
            "/predicate/resources/0",
            "/predicate/resources/0/annotations/deeper",
        ] {
            let mut document = named(&["w"]);
            document["predicate"]["resources"][0]["annotations"] = json!({ "deeper": {} });
            document.pointer_mut(pointer).unwrap()[ANNOTATION] = annotation();
            assert_eq!(code(&document), Code::ManifestAnnotation, "{pointer}");
        }
        let mut second = ranges(&["w:0:3", "w:3:5"], 3);
        second["predicate"]["resources"][1]["annotations"] = json!({ ANNOTATION: annotation() });
        assert_eq!(code(&second), Code::ManifestAnnotation);

        let mut old = legacy(json!({}));
        old["subject"][0]["annotations"][ANNOTATION] = annotation();
        assert_eq!(code(&old), Code::ManifestAnnotation);
    }

    #[test]
    fn annotations_must_agree_with_the_resources() {
        let mut size = ranges(&["w:0:3", "w:3:6"], 3);
        size["predicate"]["resources"][0]["annotations"] = json!({ ANNOTATION: annotation() });
        assert_eq!(code(&size), Code::ManifestAnnotation);

        let blake3 = json!({ "method": "files", "hash_type": "blake3", "allow_symlinks": false });
        let with = |digest: &str| {
            let mut resource = json!({ "name": "w", "digest": digest, "algorithm": "blake3" });
            resource["annotations"] = json!({ ANNOTATION: annotation() });
            statement(json!([resource]), blake3.clone())
        };
        assert!(parse(&with(W)).is_ok());
        assert_eq!(code(&with(X)), Code::ManifestAnnotation);
    }

    fn legacy(annotations: Json) -> Json {
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [
                { "name": "b", "digest": { "sha256": X }, "annotations": annotations },
                { "name": "a", "digest": { "sha256": W } },
            ],
            "predicateType": "https://model_signing/Digests/v0.1",
            "predicate": { "unused": "" },
        })
    }

    #[test]
    fn the_old_predicate_lists_files_as_subjects() {
        let manifest = parse(&legacy(json!({ "actual_hash_algorithm": "file-sha256" }))).unwrap();
        assert!(manifest.serialization.legacy);
        assert_eq!((manifest.method(), manifest.algorithm()), (Method::Files, Algorithm::Sha256));
        assert_eq!(manifest.files().map(|(path, _)| path).collect::<Vec<_>>(), ["a", "b"]);
        let listed = hex::decode(format!("{X}{W}")).unwrap();
        assert_eq!(manifest.root, <[u8; 32]>::from(sha2::Sha256::digest(listed)));

        assert_eq!(
            code(&legacy(json!({ "actual_hash_algorithm": "file-blake2b" }))),
            Code::ManifestAlgorithm
        );
        let mut document = legacy(json!({}));
        document["subject"][0]["digest"] = json!({ "sha512": X });
        assert_eq!(code(&document), Code::ManifestDigestInvalid);
        document = legacy(json!({}));
        document["subject"][0]["name"] = json!("a");
        assert_eq!(code(&document), Code::ManifestDuplicateName);
        document["subject"][0]["name"] = json!("../a");
        assert_eq!(code(&document), Code::ManifestPathInvalid);
    }

    fn digest(algorithm: Algorithm, byte: u8) -> Digest {
        Digest::new(algorithm, &vec![byte; algorithm.digest_bytes()]).unwrap()
    }

    fn whole(algorithm: Algorithm, byte: u8) -> SignedFile {
        SignedFile { digest: FileDigest::Whole(digest(algorithm, byte)), annotation: None }
    }

    fn sharded(length: u64, count: usize) -> SignedFile {
        let digests = vec![digest(Algorithm::Sha256, 7); count];
        SignedFile { digest: FileDigest::Shards { length, digests }, annotation: None }
    }

    fn parse_payload(manifest: &Manifest) -> Manifest {
        let statement = Statement::parse("application/vnd.in-toto+json", &manifest.to_payload()).unwrap();
        Manifest::from_statement(&statement).unwrap()
    }

    fn new_code(serialization: Serialization, files: Vec<(&str, SignedFile)>) -> Code {
        let files = files.into_iter().map(|(path, file)| (path.to_owned(), file)).collect();
        Manifest::new("model", serialization, files).expect_err("must be refused").code()
    }

    #[test]
    fn a_manifest_to_sign_obeys_the_rules_of_reading() {
        use Algorithm::{Blake3, Sha256};

        let by_file = || Serialization::files(Sha256);
        let by_shard = || Serialization::shards(Sha256, NonZeroU64::new(4).unwrap());
        assert_eq!(new_code(by_file(), vec![]), Code::ManifestEmpty);
        assert_eq!(new_code(by_shard(), vec![("empty", sharded(0, 0))]), Code::ManifestEmpty);
        assert_eq!(new_code(by_file(), vec![("../a", whole(Sha256, 1))]), Code::ManifestPathInvalid);
        assert_eq!(
            new_code(by_file(), vec![(".", whole(Sha256, 1)), ("a", whole(Sha256, 1))]),
            Code::ManifestPathInvalid
        );
        assert_eq!(new_code(by_file(), vec![("a", whole(Blake3, 1))]), Code::ManifestAlgorithm);
        assert_eq!(new_code(by_shard(), vec![("a", whole(Sha256, 1))]), Code::ManifestShards);
        assert_eq!(new_code(by_file(), vec![("a", sharded(4, 1))]), Code::ManifestShards);
        assert_eq!(new_code(by_shard(), vec![("a", sharded(9, 2))]), Code::ManifestShards);
        let excluded = by_file().with_ignore_paths(["*.bin"]);
        assert_eq!(new_code(excluded, vec![("a", whole(Sha256, 1))]), Code::ManifestSerialization);
        let old = Serialization { legacy: true, ..by_file() };
        assert_eq!(new_code(old, vec![("a", whole(Sha256, 1))]), Code::ManifestSerialization);
        let zero = Serialization { method: Method::Shards { size: 0 }, ..by_file() };
        assert_eq!(new_code(zero, vec![("a", sharded(4, 1))]), Code::ManifestShards);
        let nameless = Manifest::new("", by_file(), [("a".to_owned(), whole(Sha256, 1))].into());
        assert_eq!(nameless.unwrap_err().code(), Code::StatementSubject);
    }

    #[test]
    fn the_payload_is_the_same_bytes_every_time() {
        let files = [
            ("b".to_owned(), whole(Algorithm::Sha256, 0xbb)),
            ("a c".to_owned(), whole(Algorithm::Sha256, 0xaa)),
        ];
        let serialization =
            Serialization::files(Algorithm::Sha256).with_ignore_paths([".gitignore", ".git", ".git"]);
        let manifest = Manifest::new("m", serialization, files.into()).unwrap();
        let expected = format!(
            r#"{{
  "_type": "https://in-toto.io/Statement/v1",
  "subject": [
    {{
      "name": "m",
      "digest": {{
        "sha256": "{root}"
      }}
    }}
  ],
  "predicateType": "https://model_signing/signature/v1.0",
  "predicate": {{
    "serialization": {{
      "method": "files",
      "hash_type": "sha256",
      "allow_symlinks": false,
      "ignore_paths": [
        ".git",
        ".gitignore"
      ]
    }},
    "resources": [
      {{
        "name": "a c",
        "digest": "{a}",
        "algorithm": "sha256"
      }},
      {{
        "name": "b",
        "digest": "{b}",
        "algorithm": "sha256"
      }}
    ]
  }}
}}"#,
            root = manifest.root_digest(),
            a = "aa".repeat(32),
            b = "bb".repeat(32),
        );
        assert_eq!(String::from_utf8(manifest.to_payload()).unwrap(), expected);
    }

    #[test]
    fn shards_are_written_in_code_point_order_of_their_names() {
        let serialization = Serialization::shards(Algorithm::Sha256, NonZeroU64::new(4).unwrap());
        let files = [("w".to_owned(), sharded(43, 11)), ("empty".to_owned(), sharded(0, 0))];
        let manifest = Manifest::new("m", serialization, files.into()).unwrap();
        let written: Json = serde_json::from_slice(&manifest.to_payload()).unwrap();
        let names: Vec<_> =
            written["predicate"]["resources"].as_array().unwrap().iter().map(|r| &r["name"]).collect();
        assert_eq!(names[..4], ["w:0:4", "w:12:16", "w:16:20", "w:20:24"]);
        assert_eq!(names.len(), 11);
        assert_eq!(parse_payload(&manifest), manifest);
    }

    #[test]
    fn tree_hash_binds_names_lengths_and_ranges() {
        let one = parse(&ranges(&["w:0:4", "w:4:6"], 4)).unwrap().name_digest();
        for other in
            [ranges(&["v:0:4", "v:4:6"], 4), ranges(&["w:0:4", "w:4:7"], 4), ranges(&["w:0:5", "w:5:6"], 5)]
        {
            assert_ne!(one, parse(&other).unwrap().name_digest());
        }
        // Written out by hand after the definition at `Manifest::name_digest`.
        let mut inner = 6_u64.to_be_bytes().to_vec();
        inner.extend(hex::decode(format!("{W}{W}")).unwrap());
        let line = format!(
            "modelseal.treeHash/v1\nshards:sha256:4 {}  w\n",
            hex::encode(sha2::Sha256::digest(inner))
        );
        assert_eq!(one, NameDigest::TreeHash(sha2::Sha256::digest(line).into()));
    }

    #[test]
    fn name_digests_are_read_back() {
        let digest = parse(&two()).unwrap().name_digest();
        assert_eq!(NameDigest::parse(&digest.to_string()), Some(digest));
        let hex = "ab".repeat(32);
        assert_eq!(NameDigest::parse(&format!("dirHash1:{hex}")), Some(NameDigest::DirHash([0xab; 32])));
        assert_eq!(NameDigest::parse(&format!("treeHash:{hex}")), Some(NameDigest::TreeHash([0xab; 32])));
        for text in [
            "",
            "dirHash",
            &hex,
            &format!("sha256:{hex}"),
            &format!("dirHash:{hex}00"),
            &format!("dirhash:{hex}"),
        ] {
            assert_eq!(NameDigest::parse(text), None, "{text}");
        }
    }

    fn any_manifest() -> impl Strategy<Value = Manifest> {
        let algorithm =
            prop_oneof![Just(Algorithm::Blake2b), Just(Algorithm::Blake3), Just(Algorithm::Sha256)];
        let size = proptest::option::of(1_u64..1 << 40);
        let file = (any::<u8>(), 0_u64..20, any::<u64>(), any::<Option<[u8; 32]>>());
        // Upper-case directories and lower-case files: no path is both.
        let files = proptest::collection::btree_map(
            "([A-Z: .-]{0,3}[A-Z]/){0,2}[a-zé\"*:. -]{0,6}[a-z]",
            file,
            1..12,
        );
        (algorithm, size, files, "\\PC{1,8}").prop_filter_map("empty", |(algorithm, size, files, subject)| {
            let serialization = match size.and_then(NonZeroU64::new) {
                Some(size) => Serialization::shards(algorithm, size),
                None => Serialization::files(algorithm),
            };
            let files = files
                .into_iter()
                .map(|(path, (byte, count, rest, annotated))| {
                    let (digest, length) = match size {
                        Some(size) if count > 0 => {
                            let length = size * (count - 1) + 1 + rest % size;
                            let digests = (0..count).map(|_| digest(algorithm, byte)).collect();
                            (FileDigest::Shards { length, digests }, length)
                        }
                        Some(_) => (FileDigest::Shards { length: 0, digests: Vec::new() }, 0),
                        None => (FileDigest::Whole(digest(algorithm, byte)), rest),
                    };
                    let blake3 = if algorithm == Algorithm::Blake3 { [byte; 32] } else { [3; 32] };
                    let annotation = annotated.map(|fsverity| Annotation { size: length, blake3, fsverity });
                    (path, SignedFile { digest, annotation })
                })
                .collect();
            let serialization = serialization.with_ignore_paths(["z/y", ".git"]);
            match Manifest::new(&subject, serialization, files) {
                Ok(manifest) => Some(manifest),
                Err(error) => {
                    assert_eq!(error.code(), Code::ManifestEmpty, "{error}");
                    None
                }
            }
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(manifest in any_manifest()) {
            prop_assert_eq!(parse_payload(&manifest), manifest);
        }

        #[test]
        fn a_changed_byte_never_panics(manifest in any_manifest(), at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
            let mut payload = manifest.to_payload();
            let at = at.index(payload.len());
            payload[at] = byte;
            if let Ok(statement) = Statement::parse("application/vnd.in-toto+json", &payload) {
                let _ = Manifest::from_statement(&statement);
            }
        }
    }
}
