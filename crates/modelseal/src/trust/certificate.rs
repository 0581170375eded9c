//! The certificate method: a chain to the policy's anchors.

use super::{Legacy, Signer, SubjectRule, TrustFault};
use crate::bundle::Bundle;
use crate::clock::Timestamp;
use crate::error::Error;

/// Certificates from the policy that may end a chain: roots, intermediates or exact leaf pins. Never empty.
#[derive(Clone, Debug)]
pub(crate) struct Anchors {}

impl Anchors {
    /// Parses one or more PEM texts with one or more certificates each.
    pub(crate) fn from_pem<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let _ = texts.into_iter().count();
        Err(TrustFault::SignatureInvalid.into())
    }
}

pub(super) fn check(
    bundle: &Bundle,
    anchors: &Anchors,
    subject: &SubjectRule,
    strict: bool,
    now: Timestamp,
    legacy: Legacy,
) -> Result<Signer, Error> {
    let _ = (bundle, anchors, subject, strict, now, legacy);
    Err(TrustFault::SignatureInvalid.into())
}
