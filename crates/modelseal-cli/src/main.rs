//! The `modelseal` command: a thin caller of the libraries.

mod args;
mod digest;
mod files;
mod inspect;
mod keygen;
mod ledger;
mod manual;
mod open;
mod password;
mod pin;
mod progress;
mod report;
mod sign;
mod verify;

use std::process::ExitCode;

use args::{Arguments, Verb};

fn main() -> ExitCode {
    let arguments = Arguments::from_command_line();
    let (headline, outcome) = match &arguments.verb {
        Verb::Completions(arguments) => ("error", manual::completions(arguments)),
        Verb::Digest(arguments) => ("error", digest::run(arguments)),
        Verb::Inspect(arguments) => ("error", inspect::run(arguments)),
        Verb::Keygen(arguments) => ("error", keygen::run(arguments)),
        Verb::Ledger(verb) => ("error", ledger::run(verb)),
        Verb::Man(arguments) => ("error", manual::man(arguments)),
        Verb::Open(arguments) => ("denied", open::run(arguments)),
        Verb::Pin(arguments) => ("denied", pin::run(arguments)),
        Verb::Sign(method) => ("Signing failed with error", sign::run(method)),
        Verb::Verify(method) => ("Verification failed with error", verify::run(method)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(headline),
    }
}
