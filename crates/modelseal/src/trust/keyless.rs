//! The sigstore method: a keyless identity, through `sigstore-verify`.
//!
//! Certificate, SCT, log inclusion, timestamps and the signature over the envelope are that library's work. The
//! binding of names, digests and root is ours, from the same payload bytes.

use super::Signer;
use crate::bundle::Bundle;
use crate::clock::Timestamp;
use crate::error::Error;

#[cfg(not(feature = "keyless"))]
pub(crate) use disabled::TrustedRoot;
#[cfg(feature = "keyless")]
pub(crate) use enabled::TrustedRoot;

pub(super) fn check(
    bundle: &Bundle,
    identity: &str,
    issuer: &str,
    root: &TrustedRoot,
    now: Timestamp,
) -> Result<Signer, Error> {
    root.check(bundle, identity, issuer, now)
}

#[cfg(feature = "keyless")]
mod enabled {
    use std::fmt;
    use std::sync::Arc;

    use sha2::{Digest, Sha256};
    use sigstore_trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT;
    use sigstore_types::Sha256Hash;
    use sigstore_verify::{IdentityMatcher, VerificationPolicy, Verifier};

    use crate::bundle::{Bundle, Material};
    use crate::clock::Timestamp;
    use crate::error::Error;
    use crate::json::Value;
    use crate::trust::{Signer, TrustFault, method};

    /// A Sigstore trusted root: the embedded public-good one, or the operator's.
    #[derive(Clone)]
    pub(crate) struct TrustedRoot {
        verifier: Arc<Verifier>,
        shown: String,
    }

    impl fmt::Debug for TrustedRoot {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("TrustedRoot").field("shown", &self.shown).finish_non_exhaustive()
        }
    }

    impl TrustedRoot {
        /// The public-good root embedded in this build.
        pub(crate) fn embedded() -> Result<Self, Error> {
            let newest = newest_start(SIGSTORE_PRODUCTION_TRUSTED_ROOT);
            Self::new(
                SIGSTORE_PRODUCTION_TRUSTED_ROOT.as_bytes(),
                format!("embedded, newest entry of {newest}"),
            )
        }

        /// A `trusted_root.json` document; `date` is the file's modification time, for the record.
        pub(crate) fn parse(bytes: &[u8], date: Option<Timestamp>) -> Result<Self, Error> {
            Self::new(bytes, date.map_or_else(|| "undated".to_owned(), |date| format!("of {date}")))
        }

        fn new(bytes: &[u8], origin: String) -> Result<Self, Error> {
            let unusable = |detail: String| -> Error { TrustFault::Unreadable { detail }.into() };
            let text = std::str::from_utf8(bytes).map_err(|error| unusable(error.to_string()))?;
            let root = sigstore_trust_root::TrustedRoot::from_json(text)
                .map_err(|error| unusable(format!("the trusted root does not parse: {error}")))?;
            let verifier = Verifier::new(&root)
                .map_err(|error| unusable(format!("the trusted root is not usable: {error}")))?;
            let shown = format!("trusted root sha256:{} {origin}", hex::encode(Sha256::digest(bytes)));
            Ok(Self { verifier: Arc::new(verifier), shown })
        }

        pub(super) fn check(
            &self,
            bundle: &Bundle,
            identity: &str,
            issuer: &str,
            now: Timestamp,
        ) -> Result<Signer, Error> {
            let Material::Keyless { certificate } = bundle.material() else {
                return Err(TrustFault::Method { expected: "sigstore", found: method(bundle) }.into());
            };
            let invalid = |detail: String| -> Error { TrustFault::KeylessInvalid { detail }.into() };
            let text = std::str::from_utf8(bundle.raw()).map_err(|error| invalid(error.to_string()))?;
            let parsed =
                sigstore_types::Bundle::from_json(text).map_err(|error| invalid(error.to_string()))?;
            let digest = subject_digest(bundle.payload())
                .and_then(|digest| Sha256Hash::from_hex(&digest).ok())
                .ok_or_else(|| invalid("the statement has no subject with one sha256 digest".to_owned()))?;
            // A plain string would match a name of any kind; an address and a URI must each match as what they are.
            let matcher = if identity.contains("://") {
                IdentityMatcher::Uri(identity.to_owned())
            } else {
                IdentityMatcher::Email(identity.to_owned())
            };
            let policy = VerificationPolicy::new(matcher, issuer);
            let result = self.verifier.verify(digest, &parsed, &policy).map_err(|error| {
                use sigstore_verify::Error::{IdentityMismatch, IssuerMismatch};
                if matches!(error, IdentityMismatch { .. } | IssuerMismatch { .. }) {
                    TrustFault::KeylessIdentity { expected: format!("{identity} at {issuer}") }.into()
                } else {
                    invalid(error.to_string())
                }
            })?;
            let complete = result.certificate_verified()
                && result.sct_verified()
                && result.tlog_verified()
                && result.identity_policy_checked();
            if !complete || result.verified_timestamps().is_empty() {
                return Err(invalid("not every check of the keyless evidence was made".to_owned()));
            }
            // The library compares log times with the system clock; a replayed verdict must hold at its own time too.
            if result.verified_timestamps().iter().any(|time| time.as_second() > now.seconds()) {
                return Err(invalid("the signature was made after the time of this check".to_owned()));
            }
            Ok(Signer {
                method: "sigstore",
                identity: format!("{identity} at {issuer}"),
                fingerprint: hex::encode(Sha256::digest(certificate)),
                anchor: Some(self.shown.clone()),
                valid_until: None,
                warnings: Vec::new(),
            })
        }
    }

    /// The document carries no date of its own; the latest moment at which one of its keys or authorities began to be
    /// valid is the best there is.
    fn newest_start(root: &str) -> String {
        fn latest(value: &Value) -> Option<&str> {
            match value {
                Value::Array(items) => items.iter().filter_map(latest).max(),
                Value::Object(fields) => {
                    let own = fields.get("start").and_then(Value::as_str);
                    fields.values().filter_map(latest).chain(own).max()
                }
                Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) | Value::Unsigned(_) => {
                    None
                }
            }
        }
        let parsed = Value::parse(root.as_bytes()).ok();
        parsed.as_ref().and_then(latest).unwrap_or("an unknown date").to_owned()
    }

    /// The digest of the first subject: what the log entry and the envelope agree on. The whole statement is parsed,
    /// strictly, after the signature held.
    fn subject_digest(payload: &[u8]) -> Option<String> {
        let statement = Value::parse(payload).ok()?;
        let [subject, ..] = statement.get("subject")?.as_array()? else { return None };
        Some(subject.get("digest")?.get("sha256")?.as_str()?.to_owned())
    }
}

#[cfg(not(feature = "keyless"))]
mod disabled {
    use crate::bundle::Bundle;
    use crate::clock::Timestamp;
    use crate::error::Error;
    use crate::trust::{Signer, TrustFault};

    /// Stands for a trusted root that this build cannot use.
    #[derive(Clone, Debug)]
    pub(crate) struct TrustedRoot;

    impl TrustedRoot {
        pub(crate) fn embedded() -> Result<Self, Error> {
            Ok(Self)
        }

        pub(crate) fn parse(_: &[u8], _: Option<Timestamp>) -> Result<Self, Error> {
            Ok(Self)
        }

        pub(super) fn check(&self, _: &Bundle, _: &str, _: &str, _: Timestamp) -> Result<Signer, Error> {
            Err(TrustFault::KeylessUnavailable.into())
        }
    }
}

#[cfg(all(test, not(feature = "keyless")))]
mod tests {
    use super::*;

    #[test]
    fn without_the_feature_nothing_is_keyless() {
        let (_, bytes) = crate::bundle::vectors::bundles(&["historical"])
            .into_iter()
            .find(|(name, _)| name.contains("sigstore"))
            .unwrap_or_else(|| ("none".to_owned(), Vec::new()));
        if bytes.is_empty() {
            return;
        }
        let bundle = Bundle::parse(&bytes).unwrap();
        let root = TrustedRoot::embedded().unwrap();
        let now = Timestamp::from_seconds(1_800_000_000).unwrap();
        let error = check(&bundle, "a@example.com", "https://issuer.example.com", &root, now).unwrap_err();
        assert_eq!(error.code(), crate::error::Code::KeylessUnavailable);
    }
}
