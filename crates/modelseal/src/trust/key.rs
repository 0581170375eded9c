//! The key method: a public key the policy names.

use der::pem::LineEnding;
use der::{Decode, DecodePem, Encode, EncodePem};
use sha2::{Digest, Sha256};
use signature::Verifier;
use signature::hazmat::PrehashVerifier;
use spki::{DecodePublicKey, SubjectPublicKeyInfoOwned};

use super::{Legacy, Signer, TrustFault, legacy_encoding, method};
use crate::bundle::{Bundle, Material};
use crate::error::Error;

/// A public key from the policy or from a verified certificate.
#[derive(Clone, Debug)]
pub(crate) struct PublicKey {
    kind: Kind,
    /// The canonical PEM text: LF, 64 columns, no preamble. OMS hashes it for its hint.
    pem: String,
    /// Hex SHA-256 of the SubjectPublicKeyInfo in DER.
    fingerprint: String,
}

#[derive(Clone, Debug)]
enum Kind {
    Ed25519(ed25519_dalek::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    // The crate's own type prints nothing.
    P521(std::sync::Arc<Opaque<p521::ecdsa::VerifyingKey>>),
    /// Usable with PKCS #1 v1.5 and with PSS.
    Rsa(rsa::RsaPublicKey),
    /// id-RSASSA-PSS (RFC 4055 section 3.1): PSS only.
    RsaPss(rsa::RsaPublicKey),
}

/// A value whose type does not implement `Debug`.
pub(crate) struct Opaque<T>(T);

impl<T> std::fmt::Debug for Opaque<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VerifyingKey")
    }
}

/// Which hash an ECDSA signature uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum EcdsaHash {
    /// SHA-256, SHA-384 or SHA-512 for P-256, P-384 or P-521: the OMS algorithm registry.
    ByCurve,
    /// SHA-256 on every curve: v0.2 certificate bundles.
    Sha256,
}

const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

impl PublicKey {
    /// Parses `-----BEGIN PUBLIC KEY-----`; text around it is ignored.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, Error> {
        const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
        const END: &str = "-----END PUBLIC KEY-----";
        let malformed = |detail: &str| TrustFault::Unreadable { detail: detail.to_owned() };
        let start = pem.find(BEGIN).ok_or_else(|| malformed("there is no PEM block `PUBLIC KEY`"))?;
        let block = pem.get(start..).unwrap_or_default();
        let end = block.find(END).ok_or_else(|| malformed("the PEM block does not end"))?;
        let block = block.get(..end + END.len()).unwrap_or_default();
        let rest = pem.get(start + block.len()..).unwrap_or_default();
        if rest.contains(BEGIN) {
            return Err(malformed("there are two keys in one text").into());
        }
        let info = SubjectPublicKeyInfoOwned::from_pem(block)
            .map_err(|error| TrustFault::Unreadable { detail: error.to_string() })?;
        Self::from_info(&info)
    }

    /// From the SubjectPublicKeyInfo of a certificate.
    pub(crate) fn from_info(info: &SubjectPublicKeyInfoOwned) -> Result<Self, Error> {
        use const_oid::db::rfc5912::{
            ID_EC_PUBLIC_KEY, ID_RSASSA_PSS, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1, SECP_521_R_1,
        };
        use const_oid::db::rfc8410::ID_ED_25519;
        let unusable = |detail: String| -> Error { TrustFault::KeyUnsupported { detail }.into() };
        let der = info.to_der().map_err(|error| unusable(error.to_string()))?;
        let failed = |error: spki::Error| unusable(error.to_string());
        let kind = match info.algorithm.oid {
            ID_EC_PUBLIC_KEY => {
                let curve: const_oid::ObjectIdentifier = info
                    .algorithm
                    .parameters
                    .as_ref()
                    .and_then(|parameters| parameters.decode_as().ok())
                    .ok_or_else(|| unusable("the curve is not named".to_owned()))?;
                match curve {
                    SECP_256_R_1 => {
                        Kind::P256(p256::ecdsa::VerifyingKey::from_public_key_der(&der).map_err(failed)?)
                    }
                    SECP_384_R_1 => {
                        Kind::P384(p384::ecdsa::VerifyingKey::from_public_key_der(&der).map_err(failed)?)
                    }
                    SECP_521_R_1 => {
                        let key = p521::PublicKey::from_public_key_der(&der).map_err(failed)?;
                        let key = p521::ecdsa::VerifyingKey::from_affine(*key.as_affine())
                            .map_err(|error| unusable(error.to_string()))?;
                        Kind::P521(std::sync::Arc::new(Opaque(key)))
                    }
                    other => return Err(unusable(format!("the curve {other} is not supported"))),
                }
            }
            ID_ED_25519 => {
                Kind::Ed25519(ed25519_dalek::VerifyingKey::from_public_key_der(&der).map_err(failed)?)
            }
            RSA_ENCRYPTION => Kind::Rsa(rsa_key(info)?),
            ID_RSASSA_PSS => Kind::RsaPss(rsa_key(info)?),
            other => return Err(unusable(format!("the key type {other} is not supported"))),
        };
        let pem = info.to_pem(LineEnding::LF).map_err(|error| unusable(error.to_string()))?;
        Ok(Self { kind, pem, fingerprint: hex::encode(Sha256::digest(&der)) })
    }

    /// The OMS hint: lower-case hex SHA-256 of the PEM text, not of the DER.
    pub(crate) fn hint(&self) -> String {
        hex::encode(Sha256::digest(self.pem.as_bytes()))
    }

    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether `signature` is this key's over `message`.
    ///
    /// An RSA key does not say which padding and hash its signer chose, and neither does a DSSE envelope; the
    /// registered ones are tried. That is no downgrade: all of them are SHA-2 under the key that the policy names.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8], hash: EcdsaHash) -> bool {
        match &self.kind {
            Kind::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Kind::P256(key) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Kind::P384(key) => {
                p384::ecdsa::Signature::from_der(signature).is_ok_and(|signature| match hash {
                    EcdsaHash::ByCurve => key.verify(message, &signature).is_ok(),
                    EcdsaHash::Sha256 => key.verify_prehash(&Sha256::digest(message), &signature).is_ok(),
                })
            }
            Kind::P521(key) => {
                p521::ecdsa::Signature::from_der(signature).is_ok_and(|signature| match hash {
                    EcdsaHash::ByCurve => key.0.verify(message, &signature).is_ok(),
                    EcdsaHash::Sha256 => key.0.verify_prehash(&Sha256::digest(message), &signature).is_ok(),
                })
            }
            Kind::Rsa(key) => pkcs1v15(key, message, signature) || pss(key, message, signature),
            Kind::RsaPss(key) => pss(key, message, signature),
        }
    }
}

impl PublicKey {
    /// Whether this key signed a certificate's content with the algorithm the certificate names. `None` for an
    /// algorithm below the floor (MD5, SHA-1) or unknown.
    pub(super) fn verifies_certificate(
        &self,
        algorithm: &spki::AlgorithmIdentifierOwned,
        message: &[u8],
        signature: &[u8],
    ) -> Option<bool> {
        use const_oid::db::rfc5912::{
            ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ECDSA_WITH_SHA_512, ID_RSASSA_PSS,
            SHA_256_WITH_RSA_ENCRYPTION, SHA_384_WITH_RSA_ENCRYPTION, SHA_512_WITH_RSA_ENCRYPTION,
        };
        use const_oid::db::rfc8410::ID_ED_25519;

        match algorithm.oid {
            ECDSA_WITH_SHA_256 => Some(self.verifies_prehash(&Sha256::digest(message), signature)),
            ECDSA_WITH_SHA_384 => Some(self.verifies_prehash(&sha2::Sha384::digest(message), signature)),
            ECDSA_WITH_SHA_512 => Some(self.verifies_prehash(&sha2::Sha512::digest(message), signature)),
            ID_ED_25519 => Some(
                matches!(self.kind, Kind::Ed25519(_))
                    && self.verifies(message, signature, EcdsaHash::ByCurve),
            ),
            // The hash is one of SHA-256, SHA-384, SHA-512 whatever the parameters say: each is tried.
            SHA_256_WITH_RSA_ENCRYPTION | SHA_384_WITH_RSA_ENCRYPTION | SHA_512_WITH_RSA_ENCRYPTION => {
                Some(matches!(&self.kind, Kind::Rsa(key) if pkcs1v15(key, message, signature)))
            }
            ID_RSASSA_PSS => Some(match &self.kind {
                Kind::Rsa(key) | Kind::RsaPss(key) => pss(key, message, signature),
                Kind::Ed25519(_) | Kind::P256(_) | Kind::P384(_) | Kind::P521(_) => false,
            }),
            _ => None,
        }
    }

    fn verifies_prehash(&self, digest: &[u8], signature: &[u8]) -> bool {
        match &self.kind {
            Kind::P256(key) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok()),
            Kind::P384(key) => p384::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok()),
            Kind::P521(key) => p521::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.0.verify_prehash(digest, &signature).is_ok()),
            Kind::Ed25519(_) | Kind::Rsa(_) | Kind::RsaPss(_) => false,
        }
    }
}

fn rsa_key(info: &SubjectPublicKeyInfoOwned) -> Result<rsa::RsaPublicKey, Error> {
    use rsa::traits::PublicKeyParts;
    let unusable = |detail: String| -> Error { TrustFault::KeyUnsupported { detail }.into() };
    let bytes = info
        .subject_public_key
        .as_bytes()
        .ok_or_else(|| unusable("the RSA key is not a whole number of bytes".to_owned()))?;
    let key = rsa::pkcs1::RsaPublicKey::from_der(bytes).map_err(|error| unusable(error.to_string()))?;
    let modulus = rsa::BigUint::from_bytes_be(key.modulus.as_bytes());
    let exponent = rsa::BigUint::from_bytes_be(key.public_exponent.as_bytes());
    // Checked before the crate's own arithmetic, which grows with the size an attacker chooses.
    if !RSA_BITS.contains(&modulus.bits()) {
        return Err(unusable(format!("an RSA key of {} bits is outside {RSA_BITS:?}", modulus.bits())));
    }
    let key = rsa::RsaPublicKey::new_with_max_size(modulus, exponent, *RSA_BITS.end())
        .map_err(|error| unusable(error.to_string()))?;
    debug_assert!(key.n().bits() >= *RSA_BITS.start());
    Ok(key)
}

fn pkcs1v15(key: &rsa::RsaPublicKey, message: &[u8], signature: &[u8]) -> bool {
    use rsa::pkcs1v15::{Signature, VerifyingKey};
    let Ok(signature) = Signature::try_from(signature) else { return false };
    VerifyingKey::<sha2::Sha256>::new(key.clone()).verify(message, &signature).is_ok()
        || VerifyingKey::<sha2::Sha384>::new(key.clone()).verify(message, &signature).is_ok()
        || VerifyingKey::<sha2::Sha512>::new(key.clone()).verify(message, &signature).is_ok()
}

fn pss(key: &rsa::RsaPublicKey, message: &[u8], signature: &[u8]) -> bool {
    use rsa::pss::{Signature, VerifyingKey};
    let Ok(signature) = Signature::try_from(signature) else { return false };
    VerifyingKey::<sha2::Sha256>::new(key.clone()).verify(message, &signature).is_ok()
        || VerifyingKey::<sha2::Sha384>::new(key.clone()).verify(message, &signature).is_ok()
        || VerifyingKey::<sha2::Sha512>::new(key.clone()).verify(message, &signature).is_ok()
}

pub(super) fn check(bundle: &Bundle, keys: &[PublicKey], legacy: Legacy) -> Result<Signer, Error> {
    let Material::Key { hint, raw_bytes } = bundle.material() else {
        return Err(TrustFault::Method { expected: "key", found: method(bundle) }.into());
    };
    // The bundle's word about its key only narrows the choice; the signature decides.
    let named = |key: &&PublicKey| {
        hint.as_ref().is_none_or(|hint| hint.eq_ignore_ascii_case(&key.hint()))
            && raw_bytes.as_ref().is_none_or(|raw| same_key(raw, key))
    };
    let candidates: Vec<&PublicKey> = keys.iter().filter(named).collect();
    if candidates.is_empty() {
        return Err(TrustFault::WrongKey {
            expected: keys.iter().map(PublicKey::hint).collect::<Vec<_>>().join(", "),
            found: hint.clone().unwrap_or_else(|| "another key".to_owned()),
        }
        .into());
    }
    let mut warnings = Vec::new();
    if hint.is_none() && raw_bytes.is_none() {
        warnings.push("the bundle does not say which key signed it".to_owned());
    }
    let pae = bundle.pae();
    let compat = legacy_encoding(bundle, legacy);
    for key in candidates {
        let verifies = |message: &[u8]| key.verifies(message, bundle.signature(), EcdsaHash::ByCurve);
        if verifies(&pae) || compat.as_deref().is_some_and(verifies) {
            return Ok(Signer {
                method: "key",
                identity: format!("sha256:{}", key.fingerprint()),
                fingerprint: key.fingerprint().to_owned(),
                anchor: None,
                valid_until: None,
                warnings,
            });
        }
    }
    Err(TrustFault::SignatureInvalid.into())
}

/// `rawBytes` holds PEM text (before 1.1.0), compared after parsing; DER is accepted too.
fn same_key(raw: &[u8], key: &PublicKey) -> bool {
    let found = match std::str::from_utf8(raw) {
        Ok(pem) => PublicKey::from_pem(pem).ok(),
        Err(_) => None,
    };
    let found = found.or_else(|| {
        SubjectPublicKeyInfoOwned::from_der(raw).ok().and_then(|info| PublicKey::from_info(&info).ok())
    });
    found.is_some_and(|found| found.fingerprint == key.fingerprint)
}

#[cfg(test)]
mod tests {
    use rand_core::OsRng;
    use rsa::pkcs1v15::SigningKey as Pkcs1;
    use rsa::pss::BlindedSigningKey as Pss;
    use signature::{RandomizedSigner, SignatureEncoding, Signer as _};
    use spki::EncodePublicKey;

    use super::*;
    use crate::error::Code;

    fn accepts(key: &PublicKey, signature: &[u8]) -> bool {
        let good = key.verifies(b"message", signature, EcdsaHash::ByCurve);
        assert!(!key.verifies(b"massage", signature, EcdsaHash::ByCurve));
        assert!(!key.verifies(b"message", &[], EcdsaHash::ByCurve));
        assert!(!key.verifies(b"message", &signature[..signature.len() - 1], EcdsaHash::ByCurve));
        good
    }

    fn pem(key: &impl EncodePublicKey) -> PublicKey {
        PublicKey::from_pem(&key.to_public_key_pem(LineEnding::LF).unwrap()).unwrap()
    }

    fn refused(pem: &str) -> Code {
        PublicKey::from_pem(pem).unwrap_err().code()
    }

    #[test]
    fn every_curve_signs_with_its_own_hash() {
        let p256 = p256::ecdsa::SigningKey::random(&mut OsRng);
        let signature: p256::ecdsa::Signature = p256.sign(b"message");
        assert!(accepts(&pem(p256.verifying_key()), signature.to_der().as_bytes()));
        // A raw signature of the same numbers is not DER.
        assert!(!pem(p256.verifying_key()).verifies(b"message", &signature.to_bytes(), EcdsaHash::ByCurve));
        let p384 = p384::ecdsa::SigningKey::random(&mut OsRng);
        let signature: p384::ecdsa::Signature = p384.sign(b"message");
        let key = pem(p384.verifying_key());
        assert!(accepts(&key, signature.to_der().as_bytes()));
        assert!(!key.verifies(b"message", signature.to_der().as_bytes(), EcdsaHash::Sha256));
        let ed25519 = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        assert!(accepts(&pem(&ed25519.verifying_key()), &ed25519.sign(b"message").to_bytes()));
    }

    #[test]
    fn rsa_verifies_both_paddings_from_2048_bits() {
        let private = rsa::RsaPrivateKey::new(&mut OsRng, 2048).unwrap();
        let key = pem(&private.to_public_key());
        assert!(accepts(&key, &Pkcs1::<sha2::Sha256>::new(private.clone()).sign(b"message").to_vec()));
        assert!(accepts(&key, &Pkcs1::<sha2::Sha512>::new(private.clone()).sign(b"message").to_vec()));
        let pss = Pss::<sha2::Sha256>::new(private.clone()).sign_with_rng(&mut OsRng, b"message").to_vec();
        assert!(accepts(&key, &pss));
        let weak = rsa::RsaPrivateKey::new(&mut OsRng, 1024).unwrap().to_public_key();
        assert_eq!(refused(&weak.to_public_key_pem(LineEnding::LF).unwrap()), Code::KeyUnsupported);
    }

    #[test]
    fn text_around_a_key_is_ignored_and_a_second_key_is_not() {
        let key = p256::ecdsa::SigningKey::random(&mut OsRng);
        let text = key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
        let preamble = PublicKey::from_pem(&format!("Public-Key: (256 bit)\n{text}\nend\n")).unwrap();
        assert_eq!(preamble.hint(), hex::encode(Sha256::digest(text.as_bytes())));
        assert_eq!(refused(&format!("{text}{text}")), Code::TrustUnreadable);
        assert_eq!(refused("-----BEGIN PUBLIC KEY-----\n"), Code::TrustUnreadable);
        assert_eq!(refused(""), Code::TrustUnreadable);
    }

    #[test]
    fn a_curve_outside_the_registry_is_refused() {
        // secp256k1: `openssl ecparam -name secp256k1 -genkey | openssl ec -pubout`.
        let text = "-----BEGIN PUBLIC KEY-----\nMFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAE+AGwwSBF6F5Oh7XraoFZE/CJrK5E/FN7\ns5uAoOAQ2S8B9991MgH4+JdgNmwfmKjQ9BtI6MSXCkimTHDqGTWV7Q==\n-----END PUBLIC KEY-----\n";
        assert_eq!(refused(text), Code::KeyUnsupported);
    }

    #[test]
    fn the_hint_of_the_conformance_key_is_known() {
        let Some(root) = std::env::var_os("MODELSEAL_VECTORS") else {
            println!("skipped: MODELSEAL_VECTORS not set");
            return;
        };
        let path = std::path::Path::new(&root).join("oms/assets/keys/certificate/signing-key-pub.pem");
        let key = PublicKey::from_pem(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(key.hint(), "e8450dec4eb99dae995da9af1bc2cc9f76ed669ee2e744f57abba763df3e3f8e");
        assert_eq!(key.fingerprint(), "c1e49d63327f85c7e2971aefd30b5a0d1c6b9b5e1a892e7f5fba995adace816d");
    }

    #[test]
    fn a_second_key_is_rotation_and_a_hint_only_narrows() {
        let bundle = |hint: Option<&str>| {
            let signing = p256::ecdsa::SigningKey::from_slice(&[9; 32]).unwrap();
            let signature: p256::ecdsa::DerSignature =
                signing.sign(b"DSSEv1 28 application/vnd.in-toto+json 2 {}");
            let material = match hint {
                Some(hint) => serde_json::json!({ "publicKey": { "hint": hint } }),
                None => {
                    let pem = signing.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
                    use base64::Engine as _;
                    let raw = base64::engine::general_purpose::STANDARD.encode(pem);
                    serde_json::json!({ "publicKey": { "rawBytes": raw } })
                }
            };
            use base64::Engine as _;
            let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
            let document = serde_json::json!({
                "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
                "verificationMaterial": material,
                "dsseEnvelope": {
                    "payload": encode(b"{}"), "payloadType": "application/vnd.in-toto+json",
                    "signatures": [{ "sig": encode(signature.as_bytes()) }],
                },
            });
            Bundle::parse(&serde_json::to_vec(&document).unwrap()).unwrap()
        };
        let right = pem(p256::ecdsa::SigningKey::from_slice(&[9; 32]).unwrap().verifying_key());
        let other = pem(p256::ecdsa::SigningKey::from_slice(&[8; 32]).unwrap().verifying_key());
        let verdict = |keys: &[&PublicKey], hint: Option<&str>| {
            let keys: Vec<PublicKey> = keys.iter().map(|key| (*key).clone()).collect();
            check(&bundle(hint), &keys, Legacy::Refuse).map(|_| ()).map_err(|error| error.code())
        };
        assert_eq!(verdict(&[&other, &right], Some(&right.hint())), Ok(()));
        assert_eq!(verdict(&[&other, &right], None), Ok(()));
        assert_eq!(verdict(&[&other], None), Err(Code::SignatureWrongKey));
        assert_eq!(verdict(&[&right], Some(&other.hint())), Err(Code::SignatureWrongKey));
        assert_eq!(verdict(&[&other, &right], Some(&other.hint())), Err(Code::SignatureInvalid));
    }
}
