//! Bundle and trust material to [`Signer`]: did a publisher's key, chain or identity sign this bundle?
//!
//! One function, [`check`]. Trust material comes from the policy only; nothing in a bundle is an anchor.

mod certificate;
mod key;
mod keyless;

pub(crate) use certificate::Anchors;
pub(crate) use key::PublicKey;
pub(crate) use keyless::TrustedRoot;

use crate::bundle::Bundle;
use crate::clock::Timestamp;
use crate::error::Error;

/// How a publisher's signature is recognised.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// A chain to one of the anchors; `subject` is compared unless the policy says `any_identity`.
    Certificate { anchors: Anchors, subject: SubjectRule, strict: bool },
    /// Any of these keys.
    Key { keys: Vec<PublicKey> },
    /// A keyless identity at an issuer, both exact.
    Keyless { identity: String, issuer: String, root: TrustedRoot },
}

/// Which leaf subjects a certificate publisher accepts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum SubjectRule {
    /// Every subject below the anchors. Written out in the policy; recorded.
    AnyIdentity,
    /// RFC 4514 text, for example `CN=model signing,O=Example`, compared after parsing.
    Exact(String),
}

/// Whether the broken v0.2 signature encoding may be tried (DSSE `pae_compat`), for v0.2 payloads only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Legacy {
    Allow,
    Refuse,
}

/// Who signed, proven.
#[derive(Clone, Debug)]
pub(crate) struct Signer {
    /// `key`, `certificate` or `sigstore`.
    pub(crate) method: &'static str,
    /// What a person recognises: key fingerprint, subject, or identity and issuer.
    pub(crate) identity: String,
    /// Hex SHA-256 of the key's SPKI in DER, or of the leaf certificate.
    pub(crate) fingerprint: String,
    /// The anchor or trusted root that vouched: its fingerprint and, if known, its date.
    pub(crate) anchor: Option<String>,
    /// The earliest moment at which the same evidence would be refused for time.
    pub(crate) valid_until: Option<Timestamp>,
    /// True if the signature held only in the v0.2 encoding.
    pub(crate) legacy: bool,
    /// Things a strict reader would refuse, in sentences.
    pub(crate) warnings: Vec<String>,
}

/// Proves that `trust` signed `bundle`, as of `now`.
pub(crate) fn check(bundle: &Bundle, trust: &Trust, now: Timestamp, legacy: Legacy) -> Result<Signer, Error> {
    match trust {
        Trust::Certificate { anchors, subject, strict } => {
            certificate::check(bundle, anchors, subject, *strict, now, legacy)
        }
        Trust::Key { keys } => key::check(bundle, keys, legacy),
        Trust::Keyless { identity, issuer, root } => keyless::check(bundle, identity, issuer, root, now),
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustFault {
    #[error("the signature does not match the payload")]
    SignatureInvalid,
}

impl crate::error::Fault for TrustFault {
    fn code(&self) -> crate::error::Code {
        match self {
            Self::SignatureInvalid => crate::error::Code::SignatureInvalid,
        }
    }
}
