//! The sigstore method: a keyless identity, through `sigstore-verify`.

use super::{Signer, TrustFault};
use crate::bundle::Bundle;
use crate::clock::Timestamp;
use crate::error::Error;

/// A Sigstore trusted root: the embedded public-good one, or the operator's.
#[derive(Clone, Debug)]
pub(crate) struct TrustedRoot {}

impl TrustedRoot {
    /// The public-good root embedded in this build.
    pub(crate) fn embedded() -> Result<Self, Error> {
        Err(TrustFault::SignatureInvalid.into())
    }

    /// A `trusted_root.json` document; `date` is the file's modification time, for the record.
    pub(crate) fn parse(bytes: &[u8], date: Option<Timestamp>) -> Result<Self, Error> {
        let _ = (bytes, date);
        Err(TrustFault::SignatureInvalid.into())
    }
}

pub(super) fn check(
    bundle: &Bundle,
    identity: &str,
    issuer: &str,
    root: &TrustedRoot,
    now: Timestamp,
) -> Result<Signer, Error> {
    let _ = (bundle, identity, issuer, root, now);
    Err(TrustFault::SignatureInvalid.into())
}
