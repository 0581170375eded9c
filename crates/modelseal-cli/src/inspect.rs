//! `modelseal inspect`: what a bundle claims. Nothing of it is checked.

use std::path::PathBuf;

use clap::Args;
use modelseal::{Code, unverified};
use serde_json::json;

use crate::report::{Failure, read, say, warn};

/// Show what a bundle claims, unverified.
#[derive(Args, Debug)]
pub(crate) struct InspectArguments {
    /// The bundle
    #[arg(value_name = "SIGNATURE_PATH")]
    signature: PathBuf,
}

pub(crate) fn run(arguments: &InspectArguments) -> Result<(), Failure> {
    let code = if arguments.signature.exists() { Code::BundleUnreadable } else { Code::BundleMissing };
    let bytes = read(code, &arguments.signature)?;
    let description = unverified::describe(&bytes)?;
    say(format_args!("{:#}", json!({ "unverified": description })))?;
    warn("this is what the bundle claims; nothing of it was verified");
    Ok(())
}
