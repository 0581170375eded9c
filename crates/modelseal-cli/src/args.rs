//! The command line: its verbs, and the habits of the reference tool that scripts rely on.

use std::ffi::OsString;

use clap::{Parser, Subcommand, ValueEnum};

/// Proves who made a model and that not one byte changed.
///
/// Exit status: 0 allowed, 1 denied or failed, 2 wrong usage or an unreadable policy. Nothing is read from
/// environment variables.
#[derive(Debug, Parser)]
#[command(
    name = "modelseal",
    version,
    args_override_self = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    infer_long_args = false
)]
pub(crate) struct Arguments {
    /// Accepted because scripts pass it to the reference tool; nothing is logged
    #[arg(long, alias = "log_level", value_name = "LEVEL", ignore_case = true, hide = true)]
    pub(crate) log_level: Option<LogLevel>,

    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Print the completions of a shell
    Completions(crate::manual::CompletionsArguments),
    /// Print the digests of a model: the one that binds names, and the root digest
    Digest(crate::digest::DigestArguments),
    /// Show what a bundle claims, unverified
    Inspect(crate::inspect::InspectArguments),
    /// Make a key pair on P-256
    Keygen(crate::keygen::KeygenArguments),
    /// Check the ledger's chain of records
    #[command(subcommand)]
    Ledger(crate::ledger::LedgerVerb),
    /// Print the manual page
    Man(crate::manual::ManArguments),
    /// Open a model under a policy, and print verdict, files and tensors
    Open(crate::open::OpenArguments),
    /// Print the pin of a model that verified, for its rule in the policy
    Pin(crate::pin::PinArguments),
    /// Sign a model (method `sigstore` if none is named)
    #[command(subcommand)]
    Sign(crate::sign::Method),
    /// Verify a model's signature (method `sigstore` if none is named)
    #[command(subcommand)]
    Verify(crate::verify::Method),
}

/// The reference tool's levels.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogLevel {
    Critical,
    Debug,
    Error,
    Info,
    Warning,
}

impl Arguments {
    /// Parses the process's arguments. Wrong usage prints a message and ends the process with status 2.
    pub(crate) fn from_command_line() -> Self {
        Self::parse_from(with_default_method(std::env::args_os().collect()))
    }
}

/// Inserts `sigstore` where `sign` or `verify` is followed by a model instead of a method, as the reference tool
/// does.
fn with_default_method(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let mut position = 1;
    while let Some(argument) = arguments.get(position) {
        let text = argument.to_string_lossy();
        if text == "--log-level" || text == "--log_level" {
            position += 2;
        } else if text.starts_with('-') {
            position += 1;
        } else {
            break;
        }
    }
    let is_verb = arguments.get(position).is_some_and(|verb| verb == "sign" || verb == "verify");
    let is_model = arguments.get(position + 1).is_some_and(|next| {
        let next = next.to_string_lossy();
        !next.starts_with('-') && !METHODS.contains(&&*next)
    });
    if is_verb && is_model {
        arguments.insert(position + 1, "sigstore".into());
    }
    arguments
}

const METHODS: [&str; 5] = ["certificate", "key", "pkcs11-certificate", "pkcs11-key", "sigstore"];

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn rewritten(line: &str) -> String {
        let words = with_default_method(line.split(' ').map(OsString::from).collect());
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_model_in_the_place_of_a_method_means_sigstore() {
        assert_eq!(rewritten("m sign DIR --signature s"), "m sign sigstore DIR --signature s");
        assert_eq!(rewritten("m verify DIR"), "m verify sigstore DIR");
        assert_eq!(rewritten("m --log-level DEBUG verify DIR"), "m --log-level DEBUG verify sigstore DIR");
        for line in
            ["m sign key DIR", "m verify certificate sign", "m sign --help", "m sign", "m open sign DIR", "m"]
        {
            assert_eq!(rewritten(line), line);
        }
    }
}
