//! `modelseal pin`: the line that ties a rule of the policy to the content that verified just now.

use clap::Args;
use modelseal::Code;

use crate::open::{Findings, LoadArguments};
use crate::report::{Failure, say};

/// Print the pin of a model that verified, for its rule in the policy.
#[derive(Args, Debug)]
pub(crate) struct PinArguments {
    #[command(flatten)]
    load: LoadArguments,
}

pub(crate) fn run(arguments: &PinArguments) -> Result<(), Failure> {
    let model = arguments.load.open(&arguments.load.policy()?, Findings::First)?;
    let digest = model.verdict().name_digest.as_deref().ok_or_else(|| Failure::Command {
        code: Code::PolicyPin,
        message: "the record has no digest that binds names".to_owned(),
        remedy: "Have the model signed again.",
    })?;
    say(format_args!("pin = [\"{digest}\"]"))
}
