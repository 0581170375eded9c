//! What the files of a model say about each other: indexes of shards, split sets, and Python that a configuration
//! names. A file that another one needs is handed out too, or the model is not.

use std::borrow::{Borrow, Cow};
use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Code, Error, Fault};
use crate::json::Value;
use crate::limits;

use super::Format;
use super::classify::indexed_format;
use super::metadata::MetadataValue;
use super::tensor::TensorInfo;
use super::weights::WeightsFile;

/// One file that another one needs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reference {
    /// The file that says so, as a path relative to the model.
    pub(crate) from: String,
    /// The file it needs, as a path relative to the model.
    pub(crate) to: String,
    /// The tensors that an index of safetensors says are in it. Empty for any other reference.
    pub(crate) tensors: BTreeSet<String>,
}

impl Reference {
    /// Fails with `format.withheld_referenced` unless the file is among those handed out.
    pub(crate) fn check_handed_out(&self, is_handed_out: impl Fn(&str) -> bool) -> Result<(), Error> {
        if is_handed_out(&self.to) {
            return Ok(());
        }
        Err(IndexError::Withheld { from: self.from.clone(), to: self.to.clone() }.into())
    }

    /// Fails with `format.index` unless every tensor is in `file`, the parsed file that the reference names. A file
    /// without tensors, such as a pickle, holds none of them.
    pub(crate) fn check_tensors(&self, file: Option<&WeightsFile>) -> Result<(), Error> {
        let present: BTreeSet<_> =
            file.map_or(&[][..], WeightsFile::tensors).iter().map(TensorInfo::name).collect();
        match self.tensors.iter().find(|tensor| !present.contains(tensor.as_str())) {
            None => Ok(()),
            Some(tensor) => Err(IndexError::Absent {
                from: self.from.clone(),
                to: self.to.clone(),
                tensor: tensor.clone(),
            }
            .into()),
        }
    }
}

/// The files that the handed-out document `path` needs. Other documents than indexes and configurations need none.
///
/// Fails with `format.index` for an index that is none, `format.content_mismatch` for a document that is not JSON, and
/// `format.withheld_referenced` for a reference out of the model.
pub(crate) fn references(path: &str, bytes: &[u8]) -> Result<Vec<Reference>, Error> {
    let (directory, name) = split(path);
    let name = name.to_ascii_lowercase();
    if let Some(format) = indexed_format(&name) {
        return Ok(indexed(path, directory, format, &document(path, bytes)?)?);
    }
    // config.json, tokenizer_config.json, preprocessor_config.json, ...: transformers reads `auto_map` in all of them.
    if name == "config.json" || name.ends_with("_config.json") {
        let mut code = BTreeSet::new();
        classes(path, &document(path, bytes)?, &mut code)?;
        let reference = |module: String| Reference {
            from: path.to_owned(),
            to: format!("{directory}{module}.py"),
            tensors: BTreeSet::new(),
        };
        return Ok(code.into_iter().map(reference).collect());
    }
    Ok(Vec::new())
}

/// The directory with its slash, and the name.
fn split(path: &str) -> (&str, &str) {
    let name = path.rsplit('/').next().unwrap_or(path);
    (path.strip_suffix(name).unwrap_or(""), name)
}

fn document(path: &str, bytes: &[u8]) -> Result<Value, IndexError> {
    if !u64::try_from(bytes.len()).is_ok_and(|length| length <= limits::DOCUMENT_BYTES) {
        return Err(IndexError::TooLarge { path: path.to_owned() });
    }
    Value::parse(&without_constants(bytes))
        .map_err(|error| IndexError::NotJson { path: path.to_owned(), detail: error.to_string() })
}

/// Puts `null` in place of `NaN`, `Infinity` and `-Infinity`. They are not JSON, but Python's `json` writes and reads
/// them, and real configurations hold them (`time_step_limit` of Mamba models). No reference is a number.
fn without_constants(bytes: &[u8]) -> Cow<'_, [u8]> {
    const CONSTANTS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut out = Vec::new();
    let mut rest = bytes;
    let mut quoted = false;
    let mut escaped = false;
    let mut replaced = false;
    while let Some((first, after)) = rest.split_first() {
        if !quoted && let Some(after) = CONSTANTS.iter().find_map(|constant| rest.strip_prefix(*constant)) {
            out.extend(b"null");
            replaced = true;
            rest = after;
            continue;
        }
        if *first == b'"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && *first == b'\\' && !escaped;
        out.push(*first);
        rest = after;
    }
    if replaced { Cow::Owned(out) } else { Cow::Borrowed(bytes) }
}

/// `weight_map` of an index: tensor name to the name of a file beside it.
fn indexed(path: &str, directory: &str, format: Format, index: &Value) -> Result<Vec<Reference>, IndexError> {
    let map = index.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| IndexError::NoWeightMap { path: path.to_owned() })?;
    let mut files: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (tensor, file) in map {
        let file = file.as_str().filter(|file| is_plain_name(file));
        let file =
            file.ok_or_else(|| IndexError::ShardName { path: path.to_owned(), tensor: tensor.clone() })?;
        let tensors = files.entry(file).or_default();
        if format == Format::Safetensors {
            tensors.insert(tensor.clone());
        }
    }
    let reference = |(file, tensors): (&str, _)| Reference {
        from: path.to_owned(),
        to: format!("{directory}{file}"),
        tensors,
    };
    Ok(files.into_iter().map(reference).collect())
}

/// A name of a file in the same directory.
fn is_plain_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && !name.chars().any(|character| matches!(character, '/' | '\\') || character.is_control())
}

/// Collects the modules named by `auto_map` and `custom_pipelines` at any depth: configurations nest.
fn classes(path: &str, value: &Value, modules: &mut BTreeSet<String>) -> Result<(), IndexError> {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match key.as_str() {
                    "auto_map" => named(path, member, modules)?,
                    "custom_pipelines" => {
                        for pipeline in member.as_object().into_iter().flat_map(BTreeMap::values) {
                            named(path, pipeline.get("impl").unwrap_or(&Value::Null), modules)?;
                        }
                    }
                    _ => classes(path, member, modules)?,
                }
            }
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(|item| classes(path, item, modules)),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) | Value::Unsigned(_) => Ok(()),
    }
}

/// `module.Class`, lists of them (slow and fast tokenizer, `null` if there is none), objects of either.
fn named(path: &str, value: &Value, modules: &mut BTreeSet<String>) -> Result<(), IndexError> {
    match value {
        Value::String(class) => {
            // `repository--module.Class` is fetched from that repository, whatever the model holds.
            if class.contains("--") {
                return Err(IndexError::Outside { path: path.to_owned(), class: class.clone() });
            }
            let module = class.rsplit_once('.').map(|(module, _)| module);
            let module = module.filter(|module| module.split('/').all(is_plain_name));
            let module =
                module.ok_or_else(|| IndexError::Outside { path: path.to_owned(), class: class.clone() })?;
            modules.insert(module.to_owned());
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(|item| named(path, item, modules)),
        Value::Object(members) => members.values().try_for_each(|member| named(path, member, modules)),
        Value::Null => Ok(()),
        Value::Bool(_) | Value::Number(_) | Value::Unsigned(_) => {
            Err(IndexError::NotAClass { path: path.to_owned() })
        }
    }
}

/// The place of a split GGUF file in its set, by its name: `prefix-00002-of-00005.gguf`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Split<'a> {
    prefix: &'a str,
    number: u64,
    count: u64,
}

impl<'a> Split<'a> {
    /// Reads a path. Both numbers have five digits and count from one, as llama.cpp writes and expects them.
    fn parse(path: &'a str) -> Option<Self> {
        let stem = path.strip_suffix(".gguf")?;
        let (rest, count) = stem.rsplit_once("-of-")?;
        let (prefix, number) = rest.rsplit_once('-')?;
        let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(number) || !digits(count) {
            return None;
        }
        Some(Self { prefix, number: number.parse().ok()?, count: count.parse().ok()? })
    }

    /// The path of the next file of the set; after the last comes the first.
    fn next(self) -> String {
        let next = if self.number < self.count { self.number.saturating_add(1) } else { 1 };
        format!("{}-{next:05}-of-{:05}.gguf", self.prefix, self.count)
    }
}

/// The next file of the set that a GGUF file belongs to; none if its name is no part of a set, or the set is this file.
///
/// The last needs the first, so if the reference of every handed-out file holds, every set is whole. That each named
/// all others would cost the square of a set that may have 99 999 files.
pub(crate) fn split_reference(path: &str) -> Option<Reference> {
    let to = Split::parse(path)?.next();
    (to != path).then(|| Reference { from: path.to_owned(), to, tensors: BTreeSet::new() })
}

/// Checks the split sets among all parsed files: that each file's metadata agrees with its name, and the set with
/// itself. Fails with `format.index`.
pub(crate) fn check_splits<W: Borrow<WeightsFile>>(files: &BTreeMap<String, W>) -> Result<(), Error> {
    let mut sets: BTreeMap<(&str, u64), BTreeMap<&str, &WeightsFile>> = BTreeMap::new();
    for (path, file) in files {
        let file = file.borrow();
        if !matches!(file, WeightsFile::Gguf(_)) {
            continue;
        }
        if let Some(split) = placed(path, file)? {
            sets.entry((split.prefix, split.count)).or_default().insert(path, file);
        }
    }
    for set in sets.values() {
        check_set(set)?;
    }
    Ok(())
}

/// A file's place by its name, after its metadata confirmed it.
fn placed<'a>(path: &'a str, file: &WeightsFile) -> Result<Option<Split<'a>>, IndexError> {
    let integer = |key: &str| match file.metadata().get(key).map(MetadataValue::as_u64) {
        None => Ok(None),
        Some(None) => Err(IndexError::Split { path: path.to_owned() }),
        Some(Some(value)) => Ok(Some(value)),
    };
    let (number, count) = (integer("split.no")?, integer("split.count")?);
    let split = Split::parse(path);
    let agrees = match split {
        // `split.no` counts from zero.
        Some(split) => match (number, count) {
            (Some(number), Some(count)) => {
                number.checked_add(1) == Some(split.number) && split.count == count && number < count
            }
            (None, None) => split.count == 1 && split.number == 1,
            (Some(_), None) | (None, Some(_)) => false,
        },
        // Split, by its metadata, but the others cannot be found from its name.
        None => count.unwrap_or(0) <= 1,
    };
    if agrees { Ok(split) } else { Err(IndexError::Split { path: path.to_owned() }) }
}

/// No tensor twice, and as many in all as each file announces.
fn check_set(set: &BTreeMap<&str, &WeightsFile>) -> Result<(), IndexError> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (path, file) in set {
        for tensor in file.tensors() {
            if let Some(first) = seen.insert(tensor.name(), path) {
                return Err(IndexError::Twice {
                    tensor: tensor.name().to_owned(),
                    files: vec![first.to_owned(), (*path).to_owned()],
                });
            }
        }
    }
    let found = u64::try_from(seen.len()).unwrap_or(u64::MAX);
    for (path, file) in set {
        let announced = file.metadata().get("split.tensors.count");
        if announced.is_some_and(|announced| announced.as_u64() != Some(found)) {
            return Err(IndexError::TensorCount { path: (*path).to_owned(), found });
        }
    }
    Ok(())
}

/// Checks every index of safetensors against the parsed files: each tensor is in the file the index names, and in no
/// other file of the same index. `references` are those of all handed-out documents. Fails with `format.index`.
///
/// One tensor in two files that no index joins is no fault: models ship a consolidated file beside the shards, two
/// precisions, or a vision tower on its own. It is one only when the tensor is asked for without its file.
pub(crate) fn check_indexes<W: Borrow<WeightsFile>>(
    files: &BTreeMap<String, W>,
    references: &[Reference],
) -> Result<(), Error> {
    let mut holders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (path, file) in files {
        for tensor in file.borrow().tensors() {
            holders.entry(tensor.name()).or_default().insert(path);
        }
    }
    let mut shards: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for reference in references {
        shards.entry(&reference.from).or_default().insert(&reference.to);
    }
    for reference in references.iter().filter(|reference| !reference.tensors.is_empty()) {
        reference.check_tensors(files.get(&reference.to).map(Borrow::borrow))?;
        let siblings = shards.get(reference.from.as_str());
        for tensor in &reference.tensors {
            let second = holders.get(tensor.as_str()).into_iter().flatten().find(|holder| {
                **holder != reference.to && siblings.is_some_and(|siblings| siblings.contains(**holder))
            });
            if let Some(second) = second {
                let files = vec![reference.to.clone(), (*second).to_owned()];
                return Err(IndexError::Twice { tensor: tensor.clone(), files }.into());
            }
        }
    }
    Ok(())
}

/// Why the files of a model do not belong together.
#[derive(Debug, thiserror::Error)]
enum IndexError {
    #[error("the index says that the tensor `{tensor}` is in {to}, which does not hold it")]
    Absent { from: String, to: String, tensor: String },
    #[error("`auto_map` holds something that is not the name of a class")]
    NotAClass { path: String },
    #[error("the document is not acceptable JSON: {detail}")]
    NotJson { path: String, detail: String },
    #[error("the index has no object `weight_map`")]
    NoWeightMap { path: String },
    #[error("the class `{class}` is not in this model: loading it would run code from elsewhere")]
    Outside { path: String, class: String },
    #[error("the index does not place the tensor `{tensor}` in a file beside it")]
    ShardName { path: String, tensor: String },
    #[error(
        "`split.no` and `split.count` contradict the file's name, which must end in -NNNNN-of-NNNNN.gguf"
    )]
    Split { path: String },
    #[error("`split.tensors.count` is not {found}, the number of tensors in the files of the set")]
    TensorCount { path: String, found: u64 },
    #[error("the document is larger than {} bytes", limits::DOCUMENT_BYTES)]
    TooLarge { path: String },
    #[error("the tensor `{tensor}` is in more than one file: {}", files.join(", "))]
    Twice { tensor: String, files: Vec<String> },
    #[error("it needs {to}, which is not handed out")]
    Withheld { from: String, to: String },
}

impl Fault for IndexError {
    fn code(&self) -> Code {
        match self {
            Self::Absent { .. }
            | Self::NoWeightMap { .. }
            | Self::ShardName { .. }
            | Self::Split { .. }
            | Self::TensorCount { .. }
            | Self::Twice { .. } => Code::FormatIndex,
            Self::NotAClass { .. } | Self::NotJson { .. } | Self::TooLarge { .. } => {
                Code::FormatContentMismatch
            }
            Self::Outside { .. } | Self::Withheld { .. } => Code::FormatWithheldReferenced,
        }
    }

    fn path(&self) -> Option<String> {
        match self {
            Self::Absent { from: path, .. }
            | Self::NotAClass { path }
            | Self::NotJson { path, .. }
            | Self::NoWeightMap { path }
            | Self::Outside { path, .. }
            | Self::ShardName { path, .. }
            | Self::Split { path }
            | Self::TensorCount { path, .. }
            | Self::TooLarge { path }
            | Self::Withheld { from: path, .. } => Some(path.clone()),
            Self::Twice { .. } => None,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Outside { .. } => Some(
                "Use a model that holds its own code, or none; this one fetches code from elsewhere."
                    .to_owned(),
            ),
            Self::Twice { .. } => Some("Name the file together with the tensor.".to_owned()),
            Self::Absent { .. }
            | Self::NotAClass { .. }
            | Self::NotJson { .. }
            | Self::NoWeightMap { .. }
            | Self::ShardName { .. }
            | Self::Split { .. }
            | Self::TensorCount { .. }
            | Self::TooLarge { .. }
            | Self::Withheld { .. } => None,
        }
    }
}
