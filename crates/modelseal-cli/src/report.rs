//! How errors print, and what the process ends with.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use modelseal::Code;

/// Why a verb did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Found by the command itself, under one of the library's codes.
    Command { code: Code, message: String, remedy: &'static str },
    /// A denial, or an unusable policy.
    Library(modelseal::Error),
    /// Standard output could not be written: what was printed may be cut.
    Output(io::Error),
    /// Nothing was signed.
    Sign(modelseal_sign::Error),
    /// The arguments contradict each other, or one is missing. The second text says what to write.
    Usage { message: String, remedy: String },
}

impl Failure {
    /// A file that an argument names and that cannot be read.
    pub(crate) fn unreadable(code: Code, path: &Path, error: &io::Error) -> Self {
        Self::Command {
            code,
            message: format!("{}: {error}", path.display()),
            remedy: "Check that the path is right and that you may use it.",
        }
    }

    /// Prints code, reason and remedy on standard error, and gives the exit status.
    pub(crate) fn report(&self, headline: &str) -> ExitCode {
        let headline = if self.is_usage() { "error" } else { headline };
        let mut text = format!("{headline}: {self}\n");
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(&format!("because: {error}\n"));
            source = error.source();
        }
        text.push_str(&format!("help: {}\n", self.remedy()));
        // If standard error is gone, the exit status still says it.
        let _ = io::stderr().write_all(text.as_bytes());
        ExitCode::from(if self.is_usage() { 2 } else { 1 })
    }

    /// Whether the command line or the policy is at fault, rather than the model.
    fn is_usage(&self) -> bool {
        match self {
            Self::Command { code, .. } => is_policy(*code),
            Self::Library(error) => is_policy(error.code()),
            Self::Output(_) | Self::Sign(_) => false,
            Self::Usage { .. } => true,
        }
    }

    fn remedy(&self) -> &str {
        match self {
            Self::Command { remedy, .. } => remedy,
            Self::Library(error) => error.remedy(),
            Self::Output(_) => "Check where standard output goes.",
            Self::Sign(error) => error.remedy(),
            Self::Usage { remedy, .. } => remedy,
        }
    }
}

/// Whether a code says that there is no usable policy, rather than that the policy denies.
fn is_policy(code: Code) -> bool {
    matches!(
        code,
        Code::KeyUnsupported
            | Code::PolicyMalformed
            | Code::PolicyNameInvalid
            | Code::PolicyUnreadable
            | Code::PolicyVersion
            | Code::TrustUnreadable
    )
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Command { code, message, .. } => write!(f, "{}: {message}", code.as_str()),
            Self::Library(error) => error.fmt(f),
            Self::Output(error) => write!(f, "standard output cannot be written: {error}"),
            Self::Sign(error) => error.fmt(f),
            Self::Usage { message, .. } => f.write_str(message),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Library(error) => error.source(),
            Self::Sign(error) => error.source(),
            Self::Command { .. } | Self::Output(_) | Self::Usage { .. } => None,
        }
    }
}

impl From<modelseal::Error> for Failure {
    fn from(error: modelseal::Error) -> Self {
        Self::Library(error)
    }
}

impl From<modelseal_sign::Error> for Failure {
    fn from(error: modelseal_sign::Error) -> Self {
        Self::Sign(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Prints to standard output. A closed pipe or a full disk is a failure: cut output must not look like success.
pub(crate) fn say(text: impl Display) -> Result<(), Failure> {
    say_bytes(format!("{text}\n").as_bytes())
}

/// Prints a warning on standard error.
pub(crate) fn warn(text: impl Display) {
    note(format_args!("warning: {text}"));
}

/// Prints a line on standard error. If that is gone, nobody is there to read it.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints bytes to standard output, as [`say`] does.
pub(crate) fn say_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    output.write_all(bytes)?;
    output.flush()?;
    Ok(())
}

/// Reads a file that an argument names.
pub(crate) fn read(code: Code, path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(READ_BYTES + 1).read_to_end(&mut bytes))
        .and_then(|_| match u64::try_from(bytes.len()) {
            Ok(length) if length <= READ_BYTES => Ok(bytes),
            Ok(_) | Err(_) => Err(io::Error::other("larger than any key, certificate or bundle")),
        })
        .map_err(|error| Failure::unreadable(code, path, &error))
}

/// The library's own bound on a bundle, the largest document that is read here.
const READ_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unusable_policy_is_a_usage_error() {
        for code in Code::ALL {
            let expected = [
                "key.unsupported",
                "policy.malformed",
                "policy.name_invalid",
                "policy.unreadable",
                "policy.version",
                "trust.unreadable",
            ]
            .contains(&code.as_str());
            let failure = Failure::Command { code: *code, message: String::new(), remedy: "" };
            assert_eq!(failure.is_usage(), expected, "{code:?}");
        }
        assert!(!Failure::Output(io::ErrorKind::BrokenPipe.into()).is_usage());
        assert!(Failure::Usage { message: String::new(), remedy: String::new() }.is_usage());
    }
}
