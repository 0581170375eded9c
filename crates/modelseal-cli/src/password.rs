//! Where the password of a private key comes from: the command line, a file, or the terminal.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use modelseal::Code;
use modelseal_sign::Password;
use zeroize::Zeroize;

use crate::report::{self, Failure};

/// The password of a private key.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(crate) struct PasswordArguments {
    /// Password of the private key; other users of this machine can see it while the command runs
    #[arg(long, value_name = "PASSWORD", allow_hyphen_values = true)]
    password: Option<String>,

    /// File whose first line is the password of the private key
    #[arg(long, alias = "password_file", value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordArguments {
    /// The password that the command line gives or names, if any.
    pub(crate) fn given(&self) -> Result<Option<Password>, Failure> {
        if let Some(password) = &self.password {
            return Ok(Some(Password::new(password.as_bytes())));
        }
        let Some(path) = &self.password_file else { return Ok(None) };
        let mut content = report::read(Code::SignPassword, path)?;
        let line = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let password = Password::new(line.strip_suffix(b"\r").unwrap_or(line));
        content.zeroize();
        Ok(Some(password))
    }
}

/// Asks on the terminal. `None` if there is nobody to ask.
pub(crate) fn ask(prompt: &str) -> Result<Option<Password>, Failure> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    match rpassword::prompt_password(prompt) {
        Ok(password) => Ok(Some(Password::new(password))),
        Err(error) => Err(Failure::Command {
            code: Code::SignPassword,
            message: format!("no password could be read from the terminal: {error}"),
            remedy: "Give --password-file.",
        }),
    }
}
