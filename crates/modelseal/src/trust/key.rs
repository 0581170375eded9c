//! The key method: a public key the policy names.

use super::{Legacy, Signer, TrustFault};
use crate::bundle::Bundle;
use crate::error::Error;

/// A public key from the policy.
#[derive(Clone, Debug)]
pub(crate) struct PublicKey {}

impl PublicKey {
    /// Parses `-----BEGIN PUBLIC KEY-----`; text around it is ignored.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, Error> {
        let _ = pem;
        Err(TrustFault::SignatureInvalid.into())
    }
}

pub(super) fn check(bundle: &Bundle, keys: &[PublicKey], legacy: Legacy) -> Result<Signer, Error> {
    let _ = (bundle, keys, legacy);
    Err(TrustFault::SignatureInvalid.into())
}
