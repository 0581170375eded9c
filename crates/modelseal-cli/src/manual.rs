//! `modelseal completions` and `modelseal man`: what clap knows of the command line, written down.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use modelseal::Code;

use crate::args::Arguments;
use crate::report::{Failure, say_bytes};

/// Print the completions of a shell.
#[derive(Args, Debug)]
pub(crate) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

/// Print the manual page.
#[derive(Args, Debug)]
pub(crate) struct ManArguments {
    /// Write one page for the command and one for every verb into this directory instead
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

pub(crate) fn completions(arguments: &CompletionsArguments) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "modelseal", &mut text);
    say_bytes(&text)
}

pub(crate) fn man(arguments: &ManArguments) -> Result<(), Failure> {
    let command = Arguments::command();
    match &arguments.directory {
        Some(directory) => clap_mangen::generate_to(command, directory)
            .map_err(|error| Failure::unreadable(Code::SignOutput, directory, &error)),
        None => {
            let mut text = Vec::new();
            Man::new(command).render(&mut text)?;
            say_bytes(&text)
        }
    }
}
