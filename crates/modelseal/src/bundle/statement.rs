//! The in-toto Statement v1 inside an envelope. Parsed from the signed bytes, after the signature held.

use crate::error::Error;
use crate::json::Value;

/// Which predicate a payload claims to carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PredicateType {
    /// `https://model_signing/Digests/v0.1`, deprecated, verified only.
    LegacyDigests,
    /// `https://model_signing/signature/v1.0`.
    Signature,
}

/// A statement: subjects and predicate as JSON, types already checked.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) predicate_type: PredicateType,
    /// The `subject` array, each an object.
    pub(crate) subject: Vec<Value>,
    pub(crate) predicate: Value,
}

impl Statement {
    /// Parses a payload. Call it on verified bytes only.
    pub(crate) fn parse(payload_type: &str, payload: &[u8]) -> Result<Self, Error> {
        let _ = (payload_type, payload);
        Err(super::BundleFault::NotJson { detail: "stub".to_owned() }.into())
    }

    /// The predicate type an *unverified* payload claims, used only to decide whether the legacy signature
    /// encoding may be tried at all. Never trusted.
    pub(crate) fn claimed_predicate_type(payload: &[u8]) -> Option<PredicateType> {
        let _ = payload;
        None
    }
}
