//! The project's own commands. `cargo xtask --help` lists them.

mod demo;
mod fuzz;
mod gate;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "The project's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks the dependencies against an advisory database that you bring
    Advisories {
        /// A clone of the RustSec advisory database
        #[arg(long)]
        db: Option<PathBuf>,
    },
    /// Signs and opens two models, then attacks them; exits 0 only if every step went as it must
    Demo,
    /// Runs the fuzz targets on the nightly toolchain
    Fuzz {
        /// Seconds per target
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// One target instead of all
        target: Option<String>,
    },
    /// Writes what is generated: the head of README.md, the test vectors
    Generate,
    /// Everything the gate runs
    Test,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Advisories { db } => gate::advisories(db.as_deref()),
        Command::Demo => demo::run(),
        Command::Fuzz { seconds, target } => fuzz::run(seconds, target.as_deref()),
        Command::Generate => gate::generate(),
        Command::Test => gate::test(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}
