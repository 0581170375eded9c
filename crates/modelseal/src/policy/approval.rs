//! Claims and approval: may these publishers speak for this name, and is this the signed file set?
//!
//! `check` proves who signed each bundle. `approve` asks whether the rule for the stated name accepts those
//! publishers, and gives every path of the model its one fate. Neither reads a byte of a model file.

use std::collections::{BTreeMap, BTreeSet};

use super::{Policy, Require, RootAge, Rule, TrustedPublisher};
use crate::bundle::{Bundle, Origin, Statement};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Evidence, Fault, escaped};
use crate::format::{Format, classify};
use crate::ledger::{
    BundleRecord, Event, FileRecord, Finding, LoadId, Outcome, PolicyRecord, SignerRecord, Verdict,
};
use crate::limits;
use crate::manifest::{Entry, EntryKind, Loadable, Manifest, NameDigest, SignedFile, Tree, loadable};
use crate::policy::ModelName;
use crate::source::Selection;
use crate::trust::{self, Legacy, Signer};

/// Proven statements: for each bundle, which publishers of the policy signed it.
///
/// Made by [`Policy::check`] only, and bound to that policy: another policy's rules cannot approve it.
#[derive(Debug)]
#[must_use = "claims that are not approved open nothing"]
pub struct Claims<'p> {
    policy: &'p Policy,
    proven: Proven,
    pub(crate) draft: Draft,
}

/// What became of the bundles.
#[derive(Debug)]
struct Proven {
    claims: Vec<Claim>,
    /// The most specific reason why a bundle was set aside, kept for when nothing else remains.
    set_aside: Option<Error>,
    /// The files that were taken as bundles.
    origins: Vec<Origin>,
}

/// One bundle whose signature held for at least one publisher.
#[derive(Debug)]
struct Claim {
    manifest: Manifest,
    /// Indices into the policy's publishers, with the proven signer.
    satisfied: Vec<(usize, Signer)>,
}

/// Permission to open exactly one tree, once.
///
/// Not `Clone`, no public constructor, no serde; [`Approval::open`] consumes it.
///
/// ```compile_fail,E0599
/// # fn f(approval: modelseal::Approval) {
/// let twice = approval.clone();
/// # }
/// ```
#[derive(Debug)]
#[must_use = "an approval that is not opened protects nothing"]
pub struct Approval {
    pub(crate) policy: Policy,
    /// Index into the policy's model rules.
    pub(crate) rule: usize,
    pub(crate) tree: Tree,
    /// Never empty. Several only where bundles of accepted publishers list different contents; the model is
    /// opened if it matches any of them, so that adding a bundle never closes what another one opens.
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) draft: Draft,
}

/// One content the rule accepts, and the fate of every path under it.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) content: Content,
    pub(crate) files: FileSet,
}

/// Every path and its one fate.
#[derive(Debug, Default)]
pub(crate) struct FileSet {
    /// Signed, selected, of an allowed format, present; in path order.
    pub(crate) handed_out: Vec<Selected>,
    /// Signed but not handed out: path and reason.
    pub(crate) withheld: BTreeMap<String, String>,
    /// Not signed and inert, or the bundle itself: path and fate.
    pub(crate) ignored: BTreeMap<String, &'static str>,
}

/// A file that will be handed out once its digest matched.
#[derive(Clone, Debug)]
pub(crate) struct Selected {
    pub(crate) path: String,
    pub(crate) signed: SignedFile,
    pub(crate) format: Format,
    pub(crate) size: u64,
}

/// The record in the making, carried from step to step so that every end of a load leaves one.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) verdict: Verdict,
    pub(crate) load: LoadId,
    /// How many findings the record lists.
    findings: usize,
}

/// Looks for more findings in the files a content would hand out, where the caller asked for every one.
pub(crate) type Survey<'s> = dyn Fn(&Tree, &Content, &FileSet, bool) -> Vec<Error> + 's;

impl Draft {
    pub(crate) fn new(policy: &Policy, load: LoadId) -> Self {
        let mut verdict = Verdict::new(Outcome::Denied);
        let rules = &policy.rules;
        verdict.policy = PolicyRecord {
            digest: hex::encode(rules.digest),
            files: rules.files.iter().map(|(path, digest)| (path.clone(), hex::encode(digest))).collect(),
            rule: None,
        };
        Self { verdict, load, findings: limits::FINDINGS }
    }

    /// The same, for a caller who asked for every finding.
    pub(crate) fn every_finding(mut self) -> Self {
        self.findings = usize::MAX;
        self
    }

    /// Writes down who signed what.
    pub(crate) fn describe(&mut self, content: &Content) {
        let verdict = &mut self.verdict;
        verdict.publishers.clone_from(&content.publishers);
        verdict.signers.clone_from(&content.signers);
        verdict.root_digest = Some(hex::encode(content.manifest.root));
        verdict.name_digest = Some(content.manifest.name_digest().to_string());
        verdict.valid_until = content.valid_until;
        verdict.warnings.extend(content.warnings.iter().cloned());
    }

    /// Ends the load with a denial: completes the record, appends it to the ledger, attaches it to the error.
    pub(crate) fn deny(mut self, policy: &Policy, error: Error) -> Error {
        let verdict = &mut self.verdict;
        if verdict.findings.is_empty() {
            verdict.findings.push(finding(&error));
        }
        verdict.findings.truncate(self.findings);
        policy.rules.ledger.deny(Event::Load, &self.load, self.verdict, error)
    }
}

pub(crate) fn finding(error: &Error) -> Finding {
    Finding {
        code: error.code().as_str(),
        path: error.path().map(str::to_owned),
        message: error.explained(),
        remedy: error.remedy().to_owned(),
    }
}

impl Policy {
    /// Proves for each bundle which publishers signed it.
    ///
    /// A bundle that satisfies no publisher is set aside and recorded; it never helps and never hurts. The clock
    /// is read once, here.
    ///
    /// # Errors
    ///
    /// `bundle.missing` without bundles; when no bundle satisfies any publisher, the most specific reason:
    /// `signature.*`, `key.*`, `x509.*`, `keyless.*`, `envelope.*`, `statement.*` or `manifest.*`. The denial is
    /// recorded in the policy's ledger.
    pub fn check(&self, bundles: impl IntoIterator<Item = Bundle>) -> Result<Claims<'_>, Error> {
        let draft = Draft::new(self, LoadId::random()?);
        self.check_for(bundles.into_iter().collect(), None, draft)
    }

    /// [`Policy::check`] with the publishers of one rule first in the choice of the reported reason.
    pub(crate) fn check_for(
        &self,
        bundles: Vec<Bundle>,
        rule: Option<&Rule>,
        mut draft: Draft,
    ) -> Result<Claims<'_>, Error> {
        match self.prove(bundles, rule, &mut draft) {
            Ok(proven) => Ok(Claims { policy: self, proven, draft }),
            Err(error) => Err(draft.deny(self, error)),
        }
    }

    fn prove(&self, bundles: Vec<Bundle>, rule: Option<&Rule>, draft: &mut Draft) -> Result<Proven, Error> {
        let now = self.rules.clock.read().ok_or(ApprovalFault::Clock)?;
        draft.verdict.time = Some(now);
        draft.verdict.time_source = Some(self.rules.clock.into());
        // A trust root that the policy names and that went stale denies, whoever signed (DESIGN promise 1).
        for publisher in &self.rules.publishers {
            if let Some(age) = &publisher.root_age {
                age.check(Some(now))?;
            }
        }
        if bundles.is_empty() {
            return Err(ApprovalFault::NoBundle.into());
        }
        if bundles.len() > limits::BUNDLES {
            return Err(ApprovalFault::TooManyBundles { found: bundles.len() }.into());
        }
        // The v0.2 encoding is tried only if some rule asks for it; `approve` then holds it against its own rule.
        let legacy =
            if self.rules.models.iter().any(|rule| rule.legacy) { Legacy::Allow } else { Legacy::Refuse };
        let mut claims = Vec::new();
        let mut origins = Vec::new();
        let mut worst: Option<Error> = None;
        for bundle in &bundles {
            let mut record = BundleRecord::new(bundle.sha256());
            match self.prove_one(bundle, rule, now, legacy) {
                Ok(claim) => {
                    record.publishers =
                        claim.satisfied.iter().map(|(index, _)| self.publisher_name(*index)).collect();
                    claims.push(claim);
                }
                Err(error) => {
                    record.set_aside = Some(error.code().as_str());
                    if worst
                        .as_ref()
                        .is_none_or(|known| specificity(error.code()) > specificity(known.code()))
                    {
                        worst = Some(error);
                    }
                }
            }
            origins.extend(bundle.origin().cloned());
            draft.verdict.bundles.push(record);
        }
        match (claims.is_empty(), worst) {
            (true, Some(error)) => Err(error),
            (true, None) => Err(ApprovalFault::NoBundle.into()),
            (false, set_aside) => Ok(Proven { claims, set_aside, origins }),
        }
    }

    fn prove_one(
        &self,
        bundle: &Bundle,
        rule: Option<&Rule>,
        now: Timestamp,
        legacy: Legacy,
    ) -> Result<Claim, Error> {
        let mut satisfied = Vec::new();
        let mut worst: Option<(u8, Error)> = None;
        for (index, TrustedPublisher { name, trust, root_age }) in self.rules.publishers.iter().enumerate() {
            match trust::check(bundle, trust, now, legacy) {
                Ok(mut signer) => {
                    // The evidence ends when its trust root goes stale, if that is sooner.
                    let ends = [signer.valid_until, root_age.as_ref().and_then(RootAge::fresh_until)];
                    signer.valid_until = ends.into_iter().flatten().min();
                    satisfied.push((index, signer));
                }
                Err(error) => {
                    let of_rule = rule.is_some_and(|rule| rule.require.publishers().contains(&index));
                    let rank = specificity(error.code()) + if of_rule { 100 } else { 0 };
                    if worst.as_ref().is_none_or(|(known, _)| rank > *known) {
                        worst = Some((rank, error.with("publisher", name)));
                    }
                }
            }
        }
        if satisfied.is_empty() {
            return Err(worst.map_or_else(|| ApprovalFault::NoPublishers.into(), |(_, error)| error));
        }
        // Only now are the payload's bytes parsed: the same bytes the signature covered.
        let statement = Statement::parse(bundle.payload_type(), bundle.payload())?;
        Ok(Claim { manifest: Manifest::from_statement(&statement)?, satisfied })
    }

    fn publisher_name(&self, index: usize) -> String {
        self.rules.publishers.get(index).map(|publisher| publisher.name.clone()).unwrap_or_default()
    }
}

/// How far a bundle got before it failed: of several reasons the one nearest to success is reported.
fn specificity(code: Code) -> u8 {
    match code.number() {
        number if number == Code::SignatureMethod.number() => 0,
        number if number == Code::SignatureWrongKey.number() => 1,
        number if number == Code::X509Untrusted.number() => 2,
        number if number == Code::SignatureInvalid.number() => 4,
        number if number / 1000 == 2 => 5,
        _ => 3,
    }
}

impl Require {
    pub(crate) fn publishers(&self) -> &[usize] {
        match self {
            Self::AllOf(indices) | Self::AnyOf(indices) => indices,
        }
    }
}

impl Claims<'_> {
    /// Asks whether the policy's rule for `name` accepts the proven publishers, and whether `tree` is the signed
    /// file set. Reads names and sizes only.
    ///
    /// # Errors
    ///
    /// `policy.no_rule`, `policy.no_publisher`, `policy.publishers_missing`, `policy.bundles_disagree`,
    /// `policy.pin`, `statement.legacy`; `selection.missing`, `file.*`, `format.nothing_loadable`: the first in
    /// path order; the record lists the others. The denial is recorded in the policy's ledger.
    pub fn approve(self, name: &ModelName, tree: Tree) -> Result<Approval, Error> {
        self.approve_with(name, tree, None)
    }

    /// [`Claims::approve`], surveying the files too if the file set is not the signed one.
    pub(crate) fn approve_with(
        mut self,
        name: &ModelName,
        tree: Tree,
        survey: Option<&Survey<'_>>,
    ) -> Result<Approval, Error> {
        self.draft.verdict.model = Some(name.as_str().to_owned());
        self.draft.verdict.source = Some(escaped(&tree.shown));
        if let Selection::Files(files) = &tree.selection {
            self.draft.verdict.selection = Some(files.iter().map(|file| escaped(file)).collect());
        }
        let Self { policy, proven, mut draft } = self;
        match judge(policy, proven, &tree, name, survey, &mut draft) {
            Ok((rule, candidates)) => Ok(Approval { policy: policy.clone(), rule, tree, candidates, draft }),
            Err(error) => Err(draft.deny(policy, error)),
        }
    }

    /// The contents a check without a rule accepts: every proven claim, first given first.
    pub(crate) fn into_contents(self) -> (Policy, Vec<Content>, Vec<Origin>, Draft) {
        let Self { policy, proven: Proven { claims, origins, .. }, draft } = self;
        let everyone: BTreeSet<usize> = (0..policy.rules.publishers.len()).collect();
        let contents = claims
            .into_iter()
            .map(|claim| content(policy, &everyone, claim.manifest, &claim.satisfied))
            .collect();
        (policy.clone(), contents, origins, draft)
    }
}

fn judge(
    policy: &Policy,
    Proven { claims, set_aside, origins }: Proven,
    tree: &Tree,
    name: &ModelName,
    survey: Option<&Survey<'_>>,
    draft: &mut Draft,
) -> Result<(usize, Vec<Candidate>), Error> {
    let rule = policy.rule(name)?;
    let index = policy
        .rules
        .models
        .iter()
        .position(|known| std::ptr::eq(known, rule))
        .ok_or(ApprovalFault::NoBundle)?;
    draft.verdict.policy.rule = Some(rule.shown.clone());
    if tree.follows_links() {
        return Err(ApprovalFault::FollowsLinks.into());
    }
    let (current, legacy): (Vec<Claim>, Vec<Claim>) =
        claims.into_iter().partition(|claim| rule.legacy || !claim.manifest.serialization.legacy);
    if current.is_empty() && !legacy.is_empty() {
        return Err(ApprovalFault::Legacy { rule: rule.shown.clone() }.into());
    }
    let mut contents = accepted(policy, rule, current).map_err(|error| match set_aside {
        Some(reason) => error.because(reason),
        None => error,
    })?;
    if let Some(name) = &tree.single_file {
        contents.iter_mut().for_each(|content| content.manifest.name_single_file(name));
    }
    let pinned: Vec<Content> = pin(rule, contents)?;
    let mut candidates = Vec::new();
    let mut first: Option<(Error, Vec<Finding>)> = None;
    for content in pinned {
        let (files, mut errors) = fates(rule, &content.manifest, tree, &origins);
        if errors.is_empty() {
            candidates.push(Candidate { content, files });
            continue;
        }
        if first.is_some() {
            continue;
        }
        if let Some(survey) = survey {
            errors.extend(survey(tree, &content, &files, rule.annotations));
            errors.sort_by(|left, right| left.path().cmp(&right.path()));
        }
        draft.describe(&content);
        draft.verdict.files = file_records(&files);
        let errors: Vec<Error> = errors.into_iter().map(|error| error.with("rule", &rule.shown)).collect();
        let findings = errors.iter().map(finding).collect();
        first = errors.into_iter().next().map(|error| (error, findings));
    }
    match (candidates.is_empty(), first) {
        (true, Some((error, findings))) => {
            draft.verdict.findings = findings;
            Err(error)
        }
        (true, None) => Err(ApprovalFault::NoBundle.into()),
        (false, _) => Ok((index, candidates)),
    }
}

/// One content that accepted publishers signed.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) manifest: Manifest,
    pub(crate) publishers: Vec<String>,
    pub(crate) signers: Vec<SignerRecord>,
    pub(crate) valid_until: Option<Timestamp>,
    pub(crate) warnings: Vec<String>,
}

/// Groups claims by content and keeps the groups whose publishers satisfy the rule.
fn accepted(policy: &Policy, rule: &Rule, claims: Vec<Claim>) -> Result<Vec<Content>, Error> {
    let wanted: BTreeSet<usize> = rule.require.publishers().iter().copied().collect();
    let mut groups: Vec<Vec<Claim>> = Vec::new();
    for claim in claims {
        if !claim.satisfied.iter().any(|(index, _)| wanted.contains(index)) {
            continue;
        }
        match groups
            .iter_mut()
            .find(|group| group.iter().any(|known| known.manifest.same_resources(&claim.manifest)))
        {
            Some(group) => group.push(claim),
            None => groups.push(vec![claim]),
        }
    }
    if groups.is_empty() {
        let publishers = names(policy, rule.require.publishers());
        return Err(ApprovalFault::NoPublisher { rule: rule.shown.clone(), publishers }.into());
    }
    match &rule.require {
        // Any one publisher's word is enough, so each bundle stands for itself, annotations included.
        Require::AnyOf(_) => Ok(groups
            .into_iter()
            .flatten()
            .map(|claim| content(policy, &wanted, claim.manifest, &claim.satisfied))
            .collect()),
        Require::AllOf(indices) => {
            let everywhere: BTreeSet<usize> = groups
                .iter()
                .flatten()
                .flat_map(|claim| claim.satisfied.iter().map(|(index, _)| *index))
                .collect();
            let complete: Vec<Content> = groups
                .into_iter()
                .filter(|group| {
                    indices.iter().all(|index| {
                        group.iter().any(|claim| claim.satisfied.iter().any(|(known, _)| known == index))
                    })
                })
                .filter_map(|group| joint(policy, &wanted, group))
                .collect();
            if !complete.is_empty() {
                return Ok(complete);
            }
            let missing: Vec<usize> =
                indices.iter().copied().filter(|index| !everywhere.contains(index)).collect();
            let rule = rule.shown.clone();
            if missing.is_empty() {
                return Err(ApprovalFault::BundlesDisagree { rule }.into());
            }
            Err(ApprovalFault::PublishersMissing { rule, missing: names(policy, &missing) }.into())
        }
    }
}

fn content(
    policy: &Policy,
    wanted: &BTreeSet<usize>,
    manifest: Manifest,
    satisfied: &[(usize, Signer)],
) -> Content {
    let relevant = || satisfied.iter().filter(|(index, _)| wanted.contains(index));
    let mut warnings = manifest.warnings.clone();
    warnings.extend(relevant().flat_map(|(_, signer)| signer.warnings.iter().cloned()));
    Content {
        publishers: relevant().map(|(index, _)| policy.publisher_name(*index)).collect(),
        signers: records(policy, satisfied, Some(wanted)),
        // Any of the satisfied publishers suffices, so the last one to expire decides; one without an end never does.
        valid_until: relevant()
            .map(|(_, signer)| signer.valid_until)
            .reduce(|left, right| left.zip(right).map(|(left, right)| left.max(right)))
            .flatten(),
        warnings,
        manifest,
    }
}

/// The content that all publishers of a group signed. An annotation counts only if every one of them signed it:
/// one publisher's extra digests must not stand in for the digest that all agreed on. Likewise a path counts as
/// excluded only if all excluded it.
fn joint(policy: &Policy, wanted: &BTreeSet<usize>, group: Vec<Claim>) -> Option<Content> {
    let satisfied: Vec<(usize, Signer)> = group
        .iter()
        .flat_map(|claim| claim.satisfied.iter().cloned())
        .filter(|(index, _)| wanted.contains(index))
        .collect();
    let mut manifests = group.into_iter().map(|claim| claim.manifest);
    let mut content = content(policy, wanted, manifests.next()?, &satisfied);
    for other in manifests {
        for (path, file) in &mut content.manifest.files {
            if other.files.get(path).and_then(|file| file.annotation) != file.annotation {
                file.annotation = None;
            }
        }
        content
            .manifest
            .serialization
            .ignore_paths
            .retain(|path| other.serialization.ignore_paths.contains(path));
        content.warnings.extend(other.warnings);
    }
    // All must hold, so the first to expire decides; a publisher with two bundles counts with its better one.
    let mut ends: BTreeMap<usize, Option<Timestamp>> = BTreeMap::new();
    for (index, signer) in &satisfied {
        ends.entry(*index)
            .and_modify(|end| *end = end.zip(signer.valid_until).map(|(left, right)| left.max(right)))
            .or_insert(signer.valid_until);
    }
    content.valid_until = ends.into_values().flatten().min();
    content.publishers.sort();
    content.publishers.dedup();
    Some(content)
}

fn records(
    policy: &Policy,
    satisfied: &[(usize, Signer)],
    wanted: Option<&BTreeSet<usize>>,
) -> Vec<SignerRecord> {
    satisfied
        .iter()
        .filter(|(index, _)| wanted.is_none_or(|wanted| wanted.contains(index)))
        .map(|(index, signer)| SignerRecord {
            publisher: policy.publisher_name(*index),
            method: signer.method,
            identity: escaped(&signer.identity),
            fingerprint: signer.fingerprint.clone(),
            anchor: signer.anchor.clone(),
        })
        .collect()
}

fn names(policy: &Policy, indices: &[usize]) -> String {
    indices.iter().map(|index| policy.publisher_name(*index)).collect::<Vec<_>>().join(", ")
}

fn pin(rule: &Rule, contents: Vec<Content>) -> Result<Vec<Content>, Error> {
    if rule.pins.is_empty() {
        return Ok(contents);
    }
    let found: Vec<NameDigest> = contents.iter().map(|content| content.manifest.name_digest()).collect();
    let pinned: Vec<Content> =
        contents.into_iter().filter(|content| rule.pins.contains(&content.manifest.name_digest())).collect();
    if pinned.is_empty() {
        let found = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let expected = rule.pins.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(ApprovalFault::Pin { rule: rule.shown.clone(), expected, found }.into());
    }
    Ok(pinned)
}

/// Whether a path is one of these or lies below one of them.
pub(crate) fn covered(paths: &[String], path: &str) -> bool {
    paths.iter().any(|excluded| {
        path.strip_prefix(excluded.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Whether an entry of the tree is a file that was taken as a bundle.
pub(crate) fn is_bundle(origins: &[Origin], path: &str, entry: &Entry) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    matches!(entry.kind, EntryKind::File { .. })
        && origins.iter().any(|origin| {
            (origin.device, origin.inode) == (entry.device, entry.inode)
                && origin.path.file_name().is_some_and(|known| known == name)
        })
}

/// Gives every path its one fate (DESIGN promise 4), and lists every reason against the file set in path order.
fn fates(rule: &Rule, manifest: &Manifest, tree: &Tree, origins: &[Origin]) -> (FileSet, Vec<Error>) {
    let entries = &tree.entries;
    let mut set = FileSet::default();
    let mut errors: Vec<Error> = Vec::new();
    let mut weights_withheld = None;
    if let Selection::Files(files) = &tree.selection {
        for file in files.iter().filter(|file| !manifest.files.contains_key(*file)) {
            errors.push(ApprovalFault::SelectionMissing { path: file.clone() }.into());
        }
    }
    let paths: BTreeSet<&String> = manifest.files.keys().chain(entries.keys()).collect();
    for path in paths {
        let entry = entries.get(path);
        match (manifest.files.get(path), entry) {
            (Some(signed), entry) => {
                if let Selection::Files(files) = &tree.selection
                    && !files.contains(path)
                {
                    set.withheld.insert(path.clone(), "not selected".to_owned());
                    continue;
                }
                let Some(entry) = entry else {
                    errors.push(ApprovalFault::Missing { path: path.clone() }.into());
                    continue;
                };
                if let Some(fault) = unreadable_kind(path, &entry.kind) {
                    errors.push(fault.into());
                    continue;
                }
                let format = classify(path);
                if format != Format::Inert && !rule.formats.contains(&format) {
                    weights_withheld.get_or_insert_with(|| path.clone());
                    set.withheld.insert(path.clone(), format!("format {format} is not listed by the rule"));
                    continue;
                }
                match signed.size() {
                    Some(size) if size != entry.size => errors.push(
                        ApprovalFault::Size { path: path.clone(), expected: size, found: entry.size }.into(),
                    ),
                    _ => set.handed_out.push(Selected {
                        path: path.clone(),
                        signed: signed.clone(),
                        format,
                        size: entry.size,
                    }),
                }
            }
            (None, Some(entry)) if is_bundle(origins, path, entry) => {
                set.ignored.insert(path.clone(), "bundle");
            }
            // Nobody can say what a loader makes of a name it cannot read, so its ending exempts nothing.
            (None, Some(Entry { kind: EntryKind::InvalidName, .. })) => {
                errors.push(ApprovalFault::InvalidName { path: path.clone() }.into());
            }
            (None, Some(entry)) => match loadable(path) {
                Loadable::No => {
                    set.ignored.insert(path.clone(), "ignored");
                }
                Loadable::Yes => errors.push(match unreadable_kind(path, &entry.kind) {
                    Some(fault) => fault.into(),
                    None if covered(&manifest.serialization.ignore_paths, path) => {
                        ApprovalFault::ExcludedLoadable { path: path.clone() }.into()
                    }
                    None => ApprovalFault::Unsigned { path: path.clone() }.into(),
                }),
            },
            (None, None) => {}
        }
    }
    if errors.is_empty() {
        let weights = set.handed_out.iter().any(|file| file.format != Format::Inert);
        if set.handed_out.is_empty() || (!weights && weights_withheld.is_some()) {
            errors.push(ApprovalFault::NothingLoadable { withheld: weights_withheld }.into());
        }
    }
    (set, errors)
}

/// The fault of an entry that is not a regular file with a usable name.
pub(crate) fn unreadable_kind(path: &str, kind: &EntryKind) -> Option<ApprovalFault> {
    let path = path.to_owned();
    match kind {
        EntryKind::File { .. } => None,
        EntryKind::InvalidName => Some(ApprovalFault::InvalidName { path }),
        EntryKind::Special => Some(ApprovalFault::NotRegular { path }),
        EntryKind::Symlink => Some(ApprovalFault::Symlink { path }),
        EntryKind::UnreadableDirectory => Some(ApprovalFault::Unreadable { path }),
    }
}

/// The record of every path's fate, before digests are known.
pub(crate) fn file_records(files: &FileSet) -> Vec<FileRecord> {
    let handed_out =
        files.handed_out.iter().map(|file| FileRecord::new(&file.path, "handed_out").with_size(file.size));
    let withheld =
        files.withheld.iter().map(|(path, reason)| FileRecord::new(path, "withheld").with_reason(reason));
    let ignored = files.ignored.iter().map(|(path, fate)| FileRecord::new(path, fate));
    let mut records: Vec<FileRecord> = handed_out.chain(withheld).chain(ignored).collect();
    records.sort_by(|left, right| left.path.cmp(&right.path));
    records
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ApprovalFault {
    #[error("the bundles of the rule's publishers list different contents")]
    BundlesDisagree { rule: String },
    #[error("the system clock stands before 1970 or after 9999")]
    Clock,
    #[error("the signer excluded this file, but a loader could pick it up")]
    ExcludedLoadable { path: String },
    #[error("a source that follows links can be compared, not opened")]
    FollowsLinks,
    #[error("the name is not valid UTF-8 or holds a control character")]
    InvalidName { path: String },
    #[error("the bundle is in the deprecated v0.2 format, which this rule does not allow")]
    Legacy { rule: String },
    #[error("the signed file is missing")]
    Missing { path: String },
    #[error("no signature bundle was given or found")]
    NoBundle,
    #[error("none of the rule's publishers signed this model")]
    NoPublisher { rule: String, publishers: String },
    #[error("the policy has no publishers")]
    NoPublishers,
    #[error("this is not a regular file")]
    NotRegular { path: String },
    #[error("nothing that may be handed out is left of the model")]
    NothingLoadable { withheld: Option<String> },
    #[error("the model is signed by an accepted publisher but is not the pinned content")]
    Pin { rule: String, expected: String, found: String },
    #[error("the rule asks for signatures of all its publishers")]
    PublishersMissing { rule: String, missing: String },
    #[error("the selected file is not part of the signed model")]
    SelectionMissing { path: String },
    #[error("the file's size is not the signed size")]
    Size { path: String, expected: u64, found: u64 },
    #[error("this is a symbolic link")]
    Symlink { path: String },
    #[error("too many bundles were given")]
    TooManyBundles { found: usize },
    #[error("the directory cannot be read")]
    Unreadable { path: String },
    #[error("this file is not signed, and a loader could pick it up")]
    Unsigned { path: String },
}

impl Fault for ApprovalFault {
    fn code(&self) -> Code {
        match self {
            Self::BundlesDisagree { .. } => Code::PolicyBundlesDisagree,
            Self::Clock => Code::OpenSystem,
            Self::ExcludedLoadable { .. } => Code::FileExcludedLoadable,
            Self::FollowsLinks | Self::Symlink { .. } => Code::FileSymlink,
            Self::InvalidName { .. } => Code::FileNameInvalid,
            Self::Legacy { .. } => Code::StatementLegacy,
            Self::Missing { .. } => Code::FileMissing,
            Self::NoBundle => Code::BundleMissing,
            Self::NoPublisher { .. } | Self::NoPublishers => Code::PolicyNoPublisher,
            Self::NotRegular { .. } => Code::FileNotRegular,
            Self::NothingLoadable { .. } => Code::FormatNothingLoadable,
            Self::Pin { .. } => Code::PolicyPin,
            Self::PublishersMissing { .. } => Code::PolicyPublishersMissing,
            Self::SelectionMissing { .. } => Code::SelectionMissing,
            Self::Size { .. } => Code::FileSize,
            Self::TooManyBundles { .. } => Code::BundleTooLarge,
            Self::Unreadable { .. } => Code::FileUnreadable,
            Self::Unsigned { .. } => Code::FileUnsigned,
        }
    }

    fn path(&self) -> Option<String> {
        match self {
            Self::ExcludedLoadable { path }
            | Self::InvalidName { path }
            | Self::Missing { path }
            | Self::NotRegular { path }
            | Self::SelectionMissing { path }
            | Self::Size { path, .. }
            | Self::Symlink { path }
            | Self::Unreadable { path }
            | Self::Unsigned { path } => Some(path.clone()),
            Self::NothingLoadable { withheld } => withheld.clone(),
            Self::BundlesDisagree { .. }
            | Self::Clock
            | Self::FollowsLinks
            | Self::Legacy { .. }
            | Self::NoBundle
            | Self::NoPublisher { .. }
            | Self::NoPublishers
            | Self::Pin { .. }
            | Self::PublishersMissing { .. }
            | Self::TooManyBundles { .. } => None,
        }
    }

    fn evidence(&self) -> Vec<Evidence> {
        match self {
            Self::BundlesDisagree { rule } | Self::Legacy { rule } => vec![Evidence::new("rule", rule)],
            Self::NoPublisher { rule, publishers } => {
                vec![Evidence::new("rule", rule), Evidence::new("accepted", publishers)]
            }
            Self::Pin { rule, expected, found } => vec![
                Evidence::new("rule", rule),
                Evidence::new("expected", expected),
                Evidence::new("found", found),
            ],
            Self::PublishersMissing { rule, missing } => {
                vec![Evidence::new("rule", rule), Evidence::new("missing", missing)]
            }
            Self::Size { expected, found, .. } => {
                vec![Evidence::new("expected", expected), Evidence::new("found", found)]
            }
            Self::TooManyBundles { found } => {
                vec![Evidence::new("found", found), Evidence::new("limit", limits::BUNDLES)]
            }
            Self::Clock
            | Self::ExcludedLoadable { .. }
            | Self::FollowsLinks
            | Self::InvalidName { .. }
            | Self::Missing { .. }
            | Self::NoBundle
            | Self::NoPublishers
            | Self::NotRegular { .. }
            | Self::NothingLoadable { .. }
            | Self::SelectionMissing { .. }
            | Self::Symlink { .. }
            | Self::Unreadable { .. }
            | Self::Unsigned { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_nearest_to_success_is_reported() {
        let ranks = [
            Code::SignatureMethod,
            Code::SignatureWrongKey,
            Code::X509Untrusted,
            Code::X509Expired,
            Code::SignatureInvalid,
            Code::ManifestRoot,
        ];
        assert!(ranks.map(specificity).windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_clock_before_1970_denies() {
        // `Clock::System` cannot be turned back in a test; what `check` makes of it can.
        let error = Error::from(ApprovalFault::Clock);
        assert_eq!(error.code(), Code::OpenSystem);
        assert!(error.message().contains("1970"));
    }

    #[test]
    fn excluded_paths_cover_what_lies_below_them() {
        let excluded = ["a/b".to_owned()];
        assert!(covered(&excluded, "a/b") && covered(&excluded, "a/b/c"));
        assert!(!covered(&excluded, "a/bc") && !covered(&excluded, "a"));
    }
}
