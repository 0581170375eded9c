//! `modelseal keygen`: a key pair on P-256.

use std::path::PathBuf;

use clap::Args;
use modelseal_sign::{Password, SigningKey, write_atomically, write_new_secret};

use crate::password::{PasswordArguments, ask};
use crate::report::{Failure, say, warn};

/// Make a key pair on P-256. No file is ever overwritten.
#[derive(Args, Debug)]
pub(crate) struct KeygenArguments {
    /// Where the private key goes; only its owner may read it
    #[arg(long, alias = "private_key", value_name = "PRIVATE_KEY", default_value = "modelseal.key")]
    private_key: PathBuf,

    /// Where the public key goes
    #[arg(long, alias = "public_key", value_name = "PUBLIC_KEY", default_value = "modelseal.pub")]
    public_key: PathBuf,

    #[command(flatten)]
    password: PasswordArguments,

    /// Do not encrypt the private key
    #[arg(long, alias = "no_password", conflicts_with_all = ["password", "password_file"])]
    no_password: bool,
}

pub(crate) fn run(arguments: &KeygenArguments) -> Result<(), Failure> {
    // A private key without its public half on disk would be a trap; so the public file is looked for first.
    if arguments.public_key.symlink_metadata().is_ok() {
        return Err(Failure::Usage {
            message: format!("{}: already exists", arguments.public_key.display()),
            remedy: "Choose another path with --public-key; a key is never overwritten.".to_owned(),
        });
    }
    let key = SigningKey::generate_p256();
    let private = if arguments.no_password {
        key.to_plain_pem()?
    } else {
        key.to_encrypted_pem(&new_password(&arguments.password)?)?
    };
    write_new_secret(&arguments.private_key, private.as_bytes())?;
    write_atomically(&arguments.public_key, key.public_key_pem()?.as_bytes())?;
    if arguments.no_password {
        warn("the private key is not encrypted: whoever can read the file can sign");
    }
    say(format_args!("private key: {}", arguments.private_key.display()))?;
    say(format_args!("public key: {}", arguments.public_key.display()))
}

/// The password to encrypt with: given, or typed twice.
fn new_password(arguments: &PasswordArguments) -> Result<Password, Failure> {
    let password = match arguments.given()? {
        Some(password) => password,
        None => typed_twice()?,
    };
    if password.is_empty() {
        return Err(Failure::Usage {
            message: "the password is empty".to_owned(),
            remedy: "Give a password, or write --no-password to keep the private key in the clear."
                .to_owned(),
        });
    }
    Ok(password)
}

fn typed_twice() -> Result<Password, Failure> {
    let no_terminal = || Failure::Usage {
        message: "the private key needs a password, and there is no terminal to ask at".to_owned(),
        remedy: "Give --password-file, or write --no-password to keep the private key in the clear."
            .to_owned(),
    };
    let first = ask("Password for the private key: ")?.ok_or_else(no_terminal)?;
    let second = ask("The same password again: ")?.ok_or_else(no_terminal)?;
    if first != second {
        return Err(Failure::Usage {
            message: "the two passwords differ".to_owned(),
            remedy: "Type the same password twice.".to_owned(),
        });
    }
    Ok(first)
}
