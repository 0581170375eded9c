//! `modelseal sign`: the methods and flags of the reference tool.

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use modelseal::manifest::{MeasureOptions, Serialization};
use modelseal::{Algorithm, Code, Tree};
use modelseal_sign::{Signer, SigningKey};

use crate::files::{GitPaths, ModelArguments};
use crate::password::{PasswordArguments, ask};
use crate::progress::Bar;
use crate::report::{Failure, read, say};

/// How to sign.
#[derive(Debug, Subcommand)]
pub(crate) enum Method {
    /// Sign with a private key and the certificate issued for it
    Certificate(CertificateArguments),
    /// Sign with a private key
    Key(KeyArguments),
    /// Sign with a certificate whose key is on a PKCS#11 token (not in this build)
    #[command(name = "pkcs11-certificate", hide = true)]
    Pkcs11Certificate(UnavailableArguments),
    /// Sign with a key on a PKCS#11 token (not in this build)
    #[command(name = "pkcs11-key", hide = true)]
    Pkcs11Key(UnavailableArguments),
    /// Sign with an identity through Sigstore (not in this build)
    Sigstore(SigstoreArguments),
}

#[derive(Args, Debug)]
pub(crate) struct CertificateArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    signature: SignatureArguments,
    #[command(flatten)]
    key: PrivateKeyArguments,

    /// The certificate of the private key, in PEM
    #[arg(long, alias = "signing_certificate", value_name = "CERTIFICATE_PATH", required = true)]
    signing_certificate: PathBuf,

    /// Certificates above the signing certificate, in PEM, in any order; may be repeated
    #[arg(long, alias = "certificate_chain", value_name = "CERTIFICATE_PATH")]
    certificate_chain: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct KeyArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    signature: SignatureArguments,
    #[command(flatten)]
    key: PrivateKeyArguments,
}

#[derive(Args, Debug)]
pub(crate) struct SignatureArguments {
    /// Where the signature goes
    #[arg(long, value_name = "SIGNATURE_PATH", default_value = "model.sig")]
    signature: PathBuf,

    /// How files are hashed
    #[arg(long, alias = "hash_algorithm", value_name = "ALGORITHM", default_value = "sha256",
          value_parser = ["blake2b", "blake3", "sha256"])]
    hash_algorithm: String,

    /// Hash every so many bytes of a file on their own, which is faster to verify; without it, whole files
    #[arg(long, alias = "shard_size", value_name = "BYTES")]
    shard_size: Option<NonZeroU64>,

    /// Leave out the BLAKE3 and fs-verity digests that are signed beside the standard's own
    #[arg(long, alias = "no_annotations")]
    no_annotations: bool,
}

impl SignatureArguments {
    fn serialization(&self) -> Serialization {
        let algorithm = Algorithm::from_name(&self.hash_algorithm).unwrap_or(Algorithm::Sha256);
        match self.shard_size {
            Some(size) => Serialization::shards(algorithm, size),
            None => Serialization::files(algorithm),
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct PrivateKeyArguments {
    /// The private key, in PEM
    #[arg(long, alias = "private_key", value_name = "PRIVATE_KEY", required = true)]
    private_key: PathBuf,

    #[command(flatten)]
    password: PasswordArguments,
}

/// The reference tool's flags, so that its command lines parse and get the one true answer.
#[derive(Args, Debug)]
pub(crate) struct SigstoreArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    signature: SignatureArguments,

    /// Use Sigstore's staging instance
    #[arg(long, alias = "use_staging")]
    use_staging: bool,

    /// The client trust configuration to use
    #[arg(long, alias = "trust_config", value_name = "TRUST_CONFIG_PATH")]
    trust_config: Option<PathBuf>,

    /// Use credentials from the ambient environment
    #[arg(long, alias = "use_ambient_credentials")]
    use_ambient_credentials: bool,

    /// Use this OIDC identity token
    #[arg(long, alias = "identity_token", value_name = "TOKEN")]
    identity_token: Option<String>,

    /// Do not start a web browser
    #[arg(long, alias = "oauth_force_oob")]
    oauth_force_oob: bool,

    /// The OpenID Connect client's id
    #[arg(long, alias = "client_id", value_name = "ID")]
    client_id: Option<String>,

    /// The OpenID Connect client's secret
    #[arg(long, alias = "client_secret", value_name = "SECRET")]
    client_secret: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct UnavailableArguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<OsString>,
}

pub(crate) fn run(method: &Method) -> Result<(), Failure> {
    match method {
        Method::Certificate(arguments) => {
            let key = arguments.key.load()?;
            let leaf = read(Code::SignCertificate, &arguments.signing_certificate)?;
            let mut chain = Vec::new();
            for path in &arguments.certificate_chain {
                chain.push(read(Code::SignCertificate, path)?);
            }
            let signer = Signer::certificate(key, &leaf, &chain)?;
            sign(&arguments.model, &arguments.signature, &signer)
        }
        Method::Key(arguments) => {
            let signer = Signer::key(arguments.key.load()?);
            sign(&arguments.model, &arguments.signature, &signer)
        }
        Method::Pkcs11Certificate(_) => Err(unavailable("pkcs11-certificate")),
        Method::Pkcs11Key(_) => Err(unavailable("pkcs11-key")),
        Method::Sigstore(_) => Err(unavailable("sigstore")),
    }
}

fn sign(model: &ModelArguments, signature: &SignatureArguments, signer: &Signer) -> Result<(), Failure> {
    let bar = Bar::new();
    let mut options =
        MeasureOptions::new(model.subject(), signature.serialization()).progress(bar.listener());
    if signature.no_annotations {
        options = options.without_annotations();
    }
    for path in model.ignored()? {
        options = options.ignore_path(path);
    }
    if let Some(path) = model.inside(&signature.signature)? {
        options = options.exclude(path);
    }
    if model.git_paths() == GitPaths::Include {
        options = options.without_git_defaults();
    }
    let bundle = signer.sign_model(&Tree::walk(model.source())?, &options)?;
    drop(bar);
    bundle.write(&signature.signature)?;
    say("Signing succeeded")
}

impl PrivateKeyArguments {
    /// Reads the key. If it is encrypted and no password was given, asks on the terminal.
    fn load(&self) -> Result<SigningKey, Failure> {
        let pem = zeroize::Zeroizing::new(read(Code::SignKey, &self.private_key)?);
        if let Some(password) = self.password.given()? {
            return Ok(SigningKey::from_pem(&pem, Some(&password))?);
        }
        match SigningKey::from_pem(&pem, None) {
            Err(error) if error.code() == Code::SignPassword => {
                let prompt = format!("Password of {}: ", self.private_key.display());
                let password = ask(&prompt)?.ok_or(error)?;
                Ok(SigningKey::from_pem(&pem, Some(&password))?)
            }
            outcome => Ok(outcome?),
        }
    }
}

fn unavailable(method: &str) -> Failure {
    Failure::Command {
        code: Code::SignUnavailable,
        message: format!("signing with the method `{method}` is not available in this build"),
        remedy: Code::SignUnavailable.remedy(),
    }
}
