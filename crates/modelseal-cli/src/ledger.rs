//! `modelseal ledger`: is the chain of records whole, and where does it end?

use std::path::PathBuf;

use clap::{Args, Subcommand};
use modelseal::ledger;

use crate::report::{Failure, say, warn};

/// What to do with a ledger.
#[derive(Debug, Subcommand)]
pub(crate) enum LedgerVerb {
    /// Print the head of a ledger, to be kept elsewhere
    Head(HeadArguments),
    /// Check that no record was edited, inserted, moved or removed
    Verify(VerifyArguments),
}

#[derive(Args, Debug)]
pub(crate) struct HeadArguments {
    /// The ledger
    #[arg(value_name = "LEDGER")]
    ledger: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArguments {
    /// The ledger; of rotated files, the oldest first
    #[arg(value_name = "LEDGER", required = true)]
    ledgers: Vec<PathBuf>,

    /// A head that `ledger head` printed earlier: without it, a ledger that was cut or written anew passes
    #[arg(long, value_name = "HEAD")]
    head: Option<String>,
}

pub(crate) fn run(verb: &LedgerVerb) -> Result<(), Failure> {
    match verb {
        LedgerVerb::Head(arguments) => say(ledger::head(&arguments.ledger)?),
        LedgerVerb::Verify(arguments) => verify(arguments),
    }
}

fn verify(arguments: &VerifyArguments) -> Result<(), Failure> {
    let head = match &arguments.head {
        Some(text) => Some(text.parse::<ledger::Head>()?),
        None => None,
    };
    let report = ledger::verify(&arguments.ledgers, head.as_ref())?;
    say(format_args!("whole: {} records in {} chains", report.records, report.chains.len()))?;
    for chain in &report.chains {
        say(format_args!("chain {}: from {}, head {}", chain.id, chain.first, chain.head))?;
    }
    if report.torn > 0 {
        warn(format_args!("{} unfinished lines that no later record names", report.torn));
    }
    if head.is_none() {
        warn("no --head was given: a ledger that was cut or written anew would pass too");
    }
    Ok(())
}
