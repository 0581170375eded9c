//! `modelseal verify`: the methods and flags of the reference tool. Hashes everything, hands out nothing.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use modelseal::policy::{ModelRule, PolicyBuilder, Publisher};
use modelseal::{Bundle, Clock, Code, CompareOptions, OpenOptions, Tree, Verdict};

use crate::files::{GitPaths, ModelArguments};
use crate::progress::Bar;
use crate::report::{Failure, note, read, say, warn};

/// How the model was signed.
#[derive(Debug, Subcommand)]
pub(crate) enum Method {
    /// Verify with certificates that may end the signer's chain
    Certificate(CertificateArguments),
    /// Verify with the signer's public key
    Key(KeyArguments),
    /// Verify with the signer's identity, through Sigstore
    Sigstore(SigstoreArguments),
}

#[derive(Args, Debug)]
pub(crate) struct CertificateArguments {
    #[command(flatten)]
    check: CheckArguments,

    /// Certificates that may end the signer's chain, in PEM; may be repeated. There is no default: this machine's
    /// roots say nothing about who may sign a model
    #[arg(long, alias = "certificate_chain", value_name = "CERTIFICATE_PATH", required = true)]
    certificate_chain: Vec<PathBuf>,

    /// Print the SHA-256 fingerprints of the signer's certificate and of the anchor
    #[arg(long, alias = "log_fingerprints")]
    log_fingerprints: bool,
}

#[derive(Args, Debug)]
pub(crate) struct KeyArguments {
    #[command(flatten)]
    check: CheckArguments,

    /// The signer's public key, in PEM
    #[arg(long, alias = "public_key", value_name = "PUBLIC_KEY", required = true)]
    public_key: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct SigstoreArguments {
    #[command(flatten)]
    check: CheckArguments,

    /// The signer's identity, for example name@example.com
    #[arg(long, value_name = "IDENTITY", required = true)]
    identity: String,

    /// The identity's provider, for example https://accounts.example.com
    #[arg(long, alias = "identity_provider", value_name = "IDENTITY_PROVIDER", required = true)]
    identity_provider: String,

    /// Trust this root instead of the embedded one: a trusted root, or a client trust configuration that holds one
    #[arg(long, alias = "trust_config", value_name = "TRUST_CONFIG_PATH")]
    trust_config: Option<PathBuf>,

    /// Trust Sigstore's staging instance; its root is not in this build, so --trust-config must name it
    #[arg(long, alias = "use_staging")]
    use_staging: bool,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    model: ModelArguments,

    /// The signature to verify
    #[arg(long, value_name = "SIGNATURE_PATH", required = true)]
    signature: PathBuf,

    /// Accept files that are not signed
    #[arg(long, alias = "ignore_unsigned_files", overrides_with = "no_ignore_unsigned_files")]
    ignore_unsigned_files: bool,

    /// Do not accept files that are not signed (default)
    #[arg(
        long,
        alias = "no-ignore_unsigned_files",
        alias = "no_ignore_unsigned_files",
        overrides_with = "ignore_unsigned_files"
    )]
    no_ignore_unsigned_files: bool,
}

pub(crate) fn run(method: &Method) -> Result<(), Failure> {
    let verdict = match method {
        Method::Certificate(arguments) => {
            let mut anchors = Vec::new();
            for path in &arguments.certificate_chain {
                anchors.push(text(path)?);
            }
            let verdict = check(Publisher::certificate(SIGNER, anchors).any_identity(), &arguments.check)?;
            if arguments.log_fingerprints {
                print_fingerprints(&verdict);
            }
            verdict
        }
        Method::Key(arguments) => {
            check(Publisher::key(SIGNER, [text(&arguments.public_key)?]), &arguments.check)?
        }
        Method::Sigstore(arguments) => check(keyless(arguments)?, &arguments.check)?,
    };
    for warning in &verdict.warnings {
        warn(warning);
    }
    say("Verification succeeded")
}

/// The flags as a policy of one publisher, and its verdict. v0.2 bundles are accepted, as by the reference tool; the
/// verdict's warnings say so.
fn check(publisher: impl Into<Publisher>, arguments: &CheckArguments) -> Result<Verdict, Failure> {
    let policy = PolicyBuilder::new(Clock::System)
        .legacy()
        .publisher(publisher)
        .model(ModelRule::new("*", [SIGNER]))
        .build()?;
    let claims = policy.check([Bundle::read(&arguments.signature)?])?;

    let bar = Bar::new();
    let mut options = CompareOptions::new().open_options(OpenOptions::new().progress(bar.listener()));
    for path in arguments.model.ignored()? {
        options = options.ignore_path(path);
    }
    if arguments.model.git_paths() == GitPaths::Include {
        options = options.without_git_defaults();
    }
    if arguments.ignore_unsigned_files {
        options = options.ignore_unsigned_files();
    }
    let tree = Tree::walk(arguments.model.source().with_bundle(&arguments.signature))?;
    Ok(claims.compare(tree, &options)?)
}

fn keyless(arguments: &SigstoreArguments) -> Result<Publisher, Failure> {
    let publisher = Publisher::keyless(SIGNER, &arguments.identity, &arguments.identity_provider);
    match &arguments.trust_config {
        Some(path) => Ok(publisher.trusted_root(trusted_root(read(Code::TrustUnreadable, path)?)).into()),
        None if arguments.use_staging => Err(Failure::Usage {
            message: "the root of Sigstore's staging instance is not in this build".to_owned(),
            remedy: "Name it with --trust-config.".to_owned(),
        }),
        None => Ok(publisher.into()),
    }
}

/// The trusted root in a client trust configuration (`sigstore_trustroot.proto`, `ClientTrustConfig`), or the
/// document itself.
fn trusted_root(document: Vec<u8>) -> Vec<u8> {
    let inner = serde_json::from_slice::<serde_json::Value>(&document)
        .ok()
        .and_then(|json| json.get("trustedRoot").map(ToString::to_string));
    inner.map_or(document, String::into_bytes)
}

fn text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(Code::TrustUnreadable, path)?).map_err(|_| Failure::Command {
        code: Code::TrustUnreadable,
        message: format!("{}: is not PEM", path.display()),
        remedy: "Name a file in PEM (`-----BEGIN ...`).",
    })
}

fn print_fingerprints(verdict: &Verdict) {
    for signer in &verdict.signers {
        note(format_args!("signer: {} sha256:{}", signer.identity, signer.fingerprint));
        if let Some(anchor) = &signer.anchor {
            note(format_args!("anchor: {anchor}"));
        }
    }
}

/// The name of the one publisher.
const SIGNER: &str = "signer";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_trust_configuration_holds_the_root() {
        assert_eq!(trusted_root(b"{\"trustedRoot\":{\"a\":1},\"b\":2}".to_vec()), b"{\"a\":1}");
        assert_eq!(trusted_root(b"{\"tlogs\":[]}".to_vec()), b"{\"tlogs\":[]}");
        assert_eq!(trusted_root(b"not json".to_vec()), b"not json");
    }
}
