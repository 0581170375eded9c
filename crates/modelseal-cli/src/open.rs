//! `modelseal open`: what a server would get.

use std::path::PathBuf;

use clap::Args;
use modelseal::{
    Clock, Error, ModelName, OpenOptions, Policy, Source, Timestamp, Verdict, VerifiedModel,
    verify_and_open_with,
};
use serde_json::{Value, json};

use crate::progress::Bar;
use crate::report::{Failure, say, warn};

/// Open a model under a policy, and print verdict, files and tensors.
#[derive(Args, Debug)]
pub(crate) struct OpenArguments {
    #[command(flatten)]
    pub(crate) load: LoadArguments,

    /// Print one JSON document, for a denial too
    #[arg(long)]
    json: bool,

    /// Hash on after the first finding, and list every one
    #[arg(long)]
    all: bool,
}

/// One load under a policy: what `open` and `pin` share.
#[derive(Args, Debug)]
pub(crate) struct LoadArguments {
    /// The model: a directory or a single file
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// What the policy calls the model
    #[arg(long, value_name = "NAME")]
    name: String,

    /// The policy document
    #[arg(long, value_name = "POLICY")]
    policy: PathBuf,

    /// A signature bundle, instead of those the policy names or those beside the model; may be repeated
    #[arg(long, value_name = "SIGNATURE_PATH")]
    signature: Vec<PathBuf>,

    /// The model is a snapshot in the Hugging Face hub's cache
    #[arg(long, alias = "hub_snapshot")]
    hub_snapshot: bool,

    /// Warn when the same inputs would be denied for time within so many days
    #[arg(long, alias = "warn_days", value_name = "DAYS", default_value_t = 30)]
    warn_days: u32,
}

/// When a load stops hashing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Findings {
    All,
    First,
}

pub(crate) fn run(arguments: &OpenArguments) -> Result<(), Failure> {
    let findings = if arguments.all { Findings::All } else { Findings::First };
    let policy = Policy::load(&arguments.load.policy, Clock::System)?;
    match arguments.load.open(&policy, findings) {
        Ok(model) if arguments.json => say(format_args!("{:#}", allowed_json(&model)?)),
        Ok(model) => print_allowed(&model),
        Err(Failure::Library(error)) => {
            if arguments.json {
                say(format_args!("{:#}", denied_json(&error)))?;
            } else if findings == Findings::All {
                print_findings(&error)?;
            }
            Err(error.into())
        }
        Err(other) => Err(other),
    }
}

impl LoadArguments {
    /// Opens the model. Warns of what a strict reader would refuse, and of an approaching end.
    pub(crate) fn open(&self, policy: &Policy, findings: Findings) -> Result<VerifiedModel, Failure> {
        let name = ModelName::parse(&self.name)?;
        let mut source =
            if self.hub_snapshot { Source::hub_snapshot(&self.model) } else { Source::new(&self.model) };
        for signature in &self.signature {
            source = source.with_bundle(signature);
        }
        let bar = Bar::new();
        let mut options = OpenOptions::new().progress(bar.listener());
        if findings == Findings::All {
            options = options.thorough();
        }
        let model = verify_and_open_with(source, &name, policy, &options)?;
        drop(bar);
        for warning in &model.verdict().warnings {
            warn(warning);
        }
        if let Some(warning) = expiry_warning(model.verdict(), self.warn_days) {
            warn(warning);
        }
        Ok(model)
    }

    pub(crate) fn policy(&self) -> Result<Policy, Failure> {
        Ok(Policy::load(&self.policy, Clock::System)?)
    }
}

fn expiry_warning(verdict: &Verdict, days: u32) -> Option<String> {
    ends_soon(verdict.time?, verdict.valid_until?, days)
}

fn ends_soon(now: Timestamp, until: Timestamp, days: u32) -> Option<String> {
    let left = until.seconds().saturating_sub(now.seconds());
    (left < i64::from(days).saturating_mul(DAY_SECONDS)).then(|| {
        format!(
            "the model will be denied from {until} on, in {} days; have it signed again",
            left / DAY_SECONDS
        )
    })
}

const DAY_SECONDS: i64 = 86_400;

fn allowed_json(model: &VerifiedModel) -> Result<Value, Failure> {
    let tensors: Vec<Value> = model
        .tensors()?
        .iter()
        .map(|(file, tensor)| {
            json!({
                "name": tensor.name(),
                "dtype": tensor.dtype().as_str(),
                "shape": tensor.shape(),
                "file": file,
            })
        })
        .collect();
    Ok(json!({ "verdict": model.verdict(), "tensors": tensors }))
}

fn denied_json(error: &Error) -> Value {
    json!({
        "verdict": error.verdict(),
        "error": {
            "code": error.code().as_str(),
            "path": error.path(),
            "message": error.message(),
            "evidence": error.evidence(),
            "remedy": error.remedy(),
        },
    })
}

fn print_allowed(model: &VerifiedModel) -> Result<(), Failure> {
    let verdict = model.verdict();
    say(format_args!("allowed: {}", shown(verdict.model.as_deref())))?;
    say(format_args!("publishers: {}", verdict.publishers.join(", ")))?;
    for signer in &verdict.signers {
        say(format_args!("signer: {} {} ({})", signer.method, signer.identity, signer.publisher))?;
    }
    say(format_args!("content: {}", shown(verdict.name_digest.as_deref())))?;
    say(format_args!("assurance: {}", shown(verdict.assurance)))?;
    match verdict.valid_until {
        Some(until) => say(format_args!("valid until: {until}"))?,
        None => say("valid until: no end")?,
    }
    say("files:")?;
    for file in &verdict.files {
        let size = file.size.map_or_else(|| "-".to_owned(), |size| size.to_string());
        let reason = file.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        say(format_args!("  {} {size} {}{reason}", file.fate, file.path))?;
    }
    say("tensors:")?;
    for (_, tensor) in model.tensors()? {
        say(format_args!("  {} {} {:?}", tensor.name(), tensor.dtype().as_str(), tensor.shape()))?;
    }
    Ok(())
}

fn print_findings(error: &Error) -> Result<(), Failure> {
    for finding in error.verdict().map(|verdict| verdict.findings.as_slice()).unwrap_or_default() {
        match &finding.path {
            Some(path) => say(format_args!("{}: {path}: {}", finding.code, finding.message))?,
            None => say(format_args!("{}: {}", finding.code, finding.message))?,
        }
        say(format_args!("  {}", finding.remedy))?;
    }
    Ok(())
}

fn shown(value: Option<&str>) -> &str {
    value.unwrap_or("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warns_only_when_the_end_is_near() {
        let at = |text| Timestamp::parse(text).unwrap();
        let now = at("2026-11-20T00:00:00Z");
        assert_eq!(ends_soon(now, at("2026-12-21T00:00:00Z"), 30), None);
        assert_eq!(ends_soon(now, at("2026-12-20T00:00:00Z"), 30), None);
        let warning = ends_soon(now, at("2026-11-25T12:00:00Z"), 30).unwrap();
        assert!(warning.contains("2026-11-25T12:00:00Z") && warning.contains("in 5 days"), "{warning}");
        assert_eq!(ends_soon(now, at("2026-11-25T12:00:00Z"), 0), None);
    }
}
