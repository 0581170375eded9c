//! Bundle and trust material to [`Signer`]: did a publisher's key, chain or identity sign this bundle?
//!
//! One function, [`check`]. Trust material comes from the policy only; nothing in a bundle is an anchor.

mod certificate;
mod key;
mod keyless;
mod x509;

pub(crate) use key::PublicKey;
pub(crate) use keyless::TrustedRoot;
pub(crate) use x509::Anchors;

use crate::bundle::{Bundle, PredicateType, Statement};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Evidence, Fault};

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

/// Whether the broken v0.2 signature encoding may be tried, for v0.2 payloads only.
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

/// The bytes a v0.2 signature covers, if the payload claims to be v0.2 and the caller allows it.
///
/// v0.2.0 signed a broken encoding: `DSSEV1`, lengths, and then the *Python representation* of the payload bytes.
fn legacy_encoding(bundle: &Bundle, legacy: Legacy) -> Option<Vec<u8>> {
    if legacy == Legacy::Refuse
        || Statement::claimed_predicate_type(bundle.payload()) != Some(PredicateType::LegacyDigests)
    {
        return None;
    }
    Some(pae_compat(bundle.payload_type(), bundle.payload()))
}

fn pae_compat(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    use std::fmt::Write as _;

    // Python chooses double quotes only for bytes with a single quote and no double quote; JSON always has the latter.
    let mut text = format!("DSSEV1 {} {payload_type} {} b'", payload_type.len(), payload.len());
    for byte in payload {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\r' => text.push_str("\\r"),
            b'\\' => text.push_str("\\\\"),
            b'\'' => text.push_str("\\'"),
            0x20..=0x7e => text.push(char::from(*byte)),
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text.push('\'');
    text.into_bytes()
}

#[derive(Debug, thiserror::Error)]
#[allow(dead_code, reason = "which of the keyless reasons occur depends on the feature `keyless`")]
pub(crate) enum TrustFault {
    #[error("the signer's identity or its issuer is not the publisher's")]
    KeylessIdentity { expected: String },
    #[error("the keyless evidence does not verify: {detail}")]
    KeylessInvalid { detail: String },
    #[error("this build cannot verify keyless bundles")]
    KeylessUnavailable,
    #[error("the public key cannot be used: {detail}")]
    KeyUnsupported { detail: String },
    #[error("the bundle is signed by the method '{found}', the publisher by '{expected}'")]
    Method { expected: &'static str, found: &'static str },
    #[error("the signature does not match the payload")]
    SignatureInvalid,
    #[error("the trust material cannot be used: {detail}")]
    Unreadable { detail: String },
    #[error("the bundle says that it was signed with another key")]
    WrongKey { expected: String, found: String },
}

impl Fault for TrustFault {
    fn code(&self) -> Code {
        match self {
            Self::KeylessIdentity { .. } => Code::KeylessIdentity,
            Self::KeylessInvalid { .. } => Code::KeylessInvalid,
            Self::KeylessUnavailable => Code::KeylessUnavailable,
            Self::KeyUnsupported { .. } => Code::KeyUnsupported,
            Self::Method { .. } => Code::SignatureMethod,
            Self::SignatureInvalid => Code::SignatureInvalid,
            Self::Unreadable { .. } => Code::TrustUnreadable,
            Self::WrongKey { .. } => Code::SignatureWrongKey,
        }
    }

    fn evidence(&self) -> Vec<Evidence> {
        match self {
            Self::KeylessIdentity { expected } => vec![Evidence::new("expected", expected)],
            Self::WrongKey { expected, found } => {
                vec![Evidence::new("expected", expected), Evidence::new("found", found)]
            }
            Self::KeylessInvalid { .. }
            | Self::KeylessUnavailable
            | Self::KeyUnsupported { .. }
            | Self::Method { .. }
            | Self::SignatureInvalid
            | Self::Unreadable { .. } => Vec::new(),
        }
    }
}

/// The method a bundle was signed by.
fn method(bundle: &Bundle) -> &'static str {
    use crate::bundle::Material;
    match bundle.material() {
        Material::Certificate { .. } => "certificate",
        Material::Key { .. } => "key",
        Material::Keyless { .. } => "sigstore",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_legacy_encoding_is_the_python_representation() {
        assert_eq!(
            pae_compat("t", b"{\"a'\": \"\xc3\xa9\\\n\"}"),
            b"DSSEV1 1 t 14 b'{\"a\\'\": \"\\xc3\\xa9\\\\\\n\"}'"
        );
    }
}
