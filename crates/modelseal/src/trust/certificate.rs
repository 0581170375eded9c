//! The certificate method: a chain to the policy's anchors.

use sha2::{Digest, Sha256};

use super::key::{EcdsaHash, PublicKey};
use super::x509::{Anchors, validate};
use super::{Legacy, Signer, SubjectRule, TrustFault, legacy_encoding, method};
use crate::bundle::{Bundle, Material};
use crate::clock::Timestamp;
use crate::error::Error;

pub(super) fn check(
    bundle: &Bundle,
    anchors: &Anchors,
    subject: &SubjectRule,
    strict: bool,
    now: Timestamp,
    legacy: Legacy,
) -> Result<Signer, Error> {
    let Material::Certificate { chain } = bundle.material() else {
        return Err(TrustFault::Method { expected: "certificate", found: method(bundle) }.into());
    };
    let path = validate(chain, anchors, subject, strict, now)?;
    let key = PublicKey::from_info(path.leaf_key())?;
    // v0.2.0 signed with SHA-256 on every curve. The manifest of such a bundle carries a warning of its own.
    let held = key.verifies(&bundle.pae(), bundle.signature(), EcdsaHash::ByCurve)
        || legacy_encoding(bundle, legacy)
            .is_some_and(|compat| key.verifies(&compat, bundle.signature(), EcdsaHash::Sha256));
    if !held {
        return Err(TrustFault::SignatureInvalid.into());
    }
    Ok(Signer {
        method: "certificate",
        identity: path.subject().to_owned(),
        fingerprint: chain.first().map(|leaf| hex::encode(Sha256::digest(leaf))).unwrap_or_default(),
        anchor: Some(path.anchor().to_owned()),
        valid_until: Some(path.valid_until()),
        warnings: path.warnings().to_vec(),
    })
}
