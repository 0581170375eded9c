//! The paved road: one call from a path to verified bytes.

use std::path::{Path, PathBuf};

use crate::bundle::Bundle;
use crate::error::{Code, Error, escaped};
use crate::ledger::LoadId;
use crate::manifest::Tree;
use crate::open::{self, MappedModel, OpenOptions, VerifiedModel};
use crate::policy::approval::{Content, Draft, FileSet};
use crate::policy::{Approval, ModelName, Policy, Rule};
use crate::source::{BundleSource, Source};

/// Verifies a model against a policy and hands out its bytes; nothing else does.
///
/// Finds the bundles, checks who signed them, asks the policy whether they may speak for `name`, compares the file
/// set, reads every file once into memory nobody else can change, hashes it on the way, and parses it only then.
/// One record goes to the policy's ledger, allowed or denied.
///
/// Blocks; hashes with one thread per core unless the policy says otherwise. Safe to call from several threads.
///
/// # Errors
///
/// Any [`Code`]: every error is a denial, and no byte was handed out. The error carries the record.
///
/// ```no_run
/// use modelseal::{Clock, ModelName, Policy, verify_and_open};
///
/// let policy = Policy::load("policy.toml", Clock::System)?;
/// let name = ModelName::parse("ibm-granite/granite-4.0-8b")?;
/// let model = verify_and_open("/models/granite", &name, &policy)?;
/// let weights = model.tensor("model.embed_tokens.weight")?;
/// println!("{:?} {:?}: {} bytes", weights.dtype(), weights.shape(), weights.bytes().len());
/// # Ok::<(), modelseal::Error>(())
/// ```
pub fn verify_and_open(
    source: impl Into<Source>,
    name: &ModelName,
    policy: &Policy,
) -> Result<VerifiedModel, Error> {
    verify_and_open_with(source, name, policy, &OpenOptions::new())
}

/// [`verify_and_open`] with a named assurance, on access, with progress or cancellation.
///
/// # Errors
///
/// As [`verify_and_open`].
pub fn verify_and_open_with(
    source: impl Into<Source>,
    name: &ModelName,
    policy: &Policy,
    options: &OpenOptions,
) -> Result<VerifiedModel, Error> {
    approve(source.into(), name, policy, options)?.open_with(options)
}

/// Verifies a model and hands out views of the original files, which file permissions alone protect afterwards.
///
/// # Errors
///
/// As [`verify_and_open`], and `assurance.below_floor` unless the policy says `assurance = "mapped"`.
pub fn verify_and_map(
    source: impl Into<Source>,
    name: &ModelName,
    policy: &Policy,
    options: &OpenOptions,
) -> Result<MappedModel, Error> {
    approve(source.into(), name, policy, options)?.open_mapped(options)
}

fn approve(
    source: Source,
    name: &ModelName,
    policy: &Policy,
    options: &OpenOptions,
) -> Result<Approval, Error> {
    let load = match options.load {
        Some(load) => load,
        None => LoadId::random()?,
    };
    let mut draft = Draft::new(policy, load);
    if options.thorough {
        draft = draft.every_finding();
    }
    draft.verdict.model = Some(name.as_str().to_owned());
    draft.verdict.source = Some(escaped(&source.path.display().to_string()));
    let rule = match policy.rule(name) {
        Ok(rule) => rule,
        Err(error) => return Err(draft.deny(policy, error)),
    };
    draft.verdict.policy.rule = Some(rule.shown.clone());
    let mut bundles = Vec::new();
    let mut unusable: Option<Error> = None;
    for found in find(&source, rule) {
        match found {
            Ok(bundle) => bundles.push(bundle),
            // Evidence that cannot be read counts as absent, so that adding it never closes what another bundle opens.
            Err(error) => {
                draft.verdict.warnings.push(format!("set aside: {error}"));
                unusable.get_or_insert(error);
            }
        }
    }
    if let (true, Some(error)) = (bundles.is_empty(), unusable) {
        return Err(draft.deny(policy, error));
    }
    let claims = policy.check_for(bundles, Some(rule), draft)?;
    match Tree::walk(source) {
        Ok(tree) if options.thorough => {
            let survey = |tree: &Tree, content: &Content, files: &FileSet, annotations: bool| {
                open::survey(tree, content, files, annotations, options)
            };
            claims.approve_with(name, tree, Some(&survey))
        }
        Ok(tree) => claims.approve(name, tree),
        Err(error) => Err(claims.draft.deny(policy, error)),
    }
}

/// The bundles of a source: the caller's, else the rule's, else `model.sig` inside and `<path>.sig` beside.
fn find(source: &Source, rule: &Rule) -> Vec<Result<Bundle, Error>> {
    if !source.bundles.is_empty() {
        return source
            .bundles
            .iter()
            .map(|bundle| match bundle {
                BundleSource::Bytes(bytes) => Bundle::parse(bytes),
                BundleSource::File(path) => Bundle::read(path),
            })
            .collect();
    }
    if !rule.signatures.is_empty() {
        return rule.signatures.iter().map(|path| Bundle::read(path)).collect();
    }
    // Nobody named these places, so absence there is no finding: without any, `check` says `bundle.missing`.
    usual_places(&source.path)
        .iter()
        .map(|path| Bundle::read(path))
        .filter(|found| found.as_ref().err().is_none_or(|error| error.code() != Code::BundleMissing))
        .collect()
}

fn usual_places(model: &Path) -> Vec<PathBuf> {
    let mut places = Vec::new();
    if model.is_dir() {
        places.push(model.join("model.sig"));
    }
    // `models/` and `models` have the same neighbour. `.` and `/` have no name of their own, and none.
    if let Some(name) = model.file_name() {
        let mut beside = name.to_owned();
        beside.push(".sig");
        places.push(model.with_file_name(beside));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_are_searched_inside_and_beside() {
        let directory = tempfile::tempdir().unwrap();
        let model = directory.path().join("granite");
        std::fs::create_dir(&model).unwrap();
        let expected = vec![model.join("model.sig"), directory.path().join("granite.sig")];
        assert_eq!(usual_places(&model), expected);
        assert_eq!(usual_places(&model.join("")), expected);
        assert_eq!(usual_places(Path::new("/none/story.gguf")), [Path::new("/none/story.gguf.sig")]);
        assert_eq!(usual_places(Path::new(".")), [Path::new("./model.sig")]);
    }
}
