//! A statement to a signed bundle.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::certificate::Chain;
use crate::error::{Error, Fault};
use crate::key::SigningKey;
use crate::write::write_atomically;

/// A private key and how its signatures name it.
///
/// ```
/// use modelseal_sign::{Signer, SigningKey};
///
/// let signer = Signer::key(SigningKey::generate_p256());
/// assert_eq!(signer.sign_statement(b"{}")?.to_bytes(), signer.sign_statement(b"{}")?.to_bytes());
/// # Ok::<(), modelseal_sign::Error>(())
/// ```
#[derive(Debug)]
pub struct Signer {
    key: SigningKey,
    method: Method,
}

/// What a bundle says about its key.
#[derive(Debug)]
enum Method {
    /// A certificate chain, leaf first.
    Certificate(Chain),
    /// The hash of the public key.
    Key,
}

impl Signer {
    /// Signs so that the holder of the public key can verify.
    #[must_use]
    pub fn key(key: SigningKey) -> Self {
        Self { key, method: Method::Key }
    }

    /// Signs so that whoever trusts an issuer of `leaf` can verify. `leaf` is a PEM text whose first certificate is
    /// the key's; `chain` are PEM texts with the certificates above it, in any order. Root certificates may be left
    /// out: a verifier never takes one from a bundle.
    ///
    /// # Errors
    ///
    /// `sign.certificate`: no certificate, one of another key, or one that issued nothing in the chain.
    pub fn certificate<P: AsRef<[u8]>>(key: SigningKey, leaf: &[u8], chain: &[P]) -> Result<Self, Error> {
        let chain = Chain::new(&key, leaf, chain)?;
        Ok(Self { key, method: Method::Certificate(chain) })
    }

    /// Signs an in-toto statement, as it is: these bytes become the payload.
    ///
    /// # Errors
    ///
    /// `sign.key`, if the key cannot make a signature.
    pub fn sign_statement(&self, statement: &[u8]) -> Result<SignedBundle, Error> {
        let signature = self.key.sign(&pre_authentication_encoding(statement))?;
        let material = match &self.method {
            Method::Certificate(chain) => Material::X509CertificateChain {
                certificates: chain
                    .certificates()
                    .iter()
                    .map(|der| RawBytes { raw_bytes: STANDARD.encode(der) })
                    .collect(),
            },
            Method::Key => Material::PublicKey { hint: hint(&self.key.public_key_pem()?) },
        };
        let bundle = Bundle {
            media_type: MEDIA_TYPE,
            verification_material: VerificationMaterial { material, tlog_entries: [] },
            dsse_envelope: Envelope {
                payload: STANDARD.encode(statement),
                payload_type: PAYLOAD_TYPE,
                signatures: [Signature { sig: STANDARD.encode(signature), keyid: "" }],
            },
        };
        let bytes =
            serde_json::to_vec(&bundle).map_err(|error| Fault::Signature { detail: error.to_string() })?;
        Ok(SignedBundle { bytes })
    }
}

/// A signed bundle: a JSON document, version v0.3.
#[derive(Clone, Eq, PartialEq)]
pub struct SignedBundle {
    bytes: Vec<u8>,
}

impl SignedBundle {
    /// The document.
    #[must_use]
    pub fn to_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes the document with [`write_atomically`].
    ///
    /// # Errors
    ///
    /// `sign.output`.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        write_atomically(path, &self.bytes)
    }
}

impl fmt::Debug for SignedBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedBundle").field("bytes", &self.bytes.len()).finish()
    }
}

/// DSSE v1, `protocol.md`: what is signed is the type and the payload, each with its length.
fn pre_authentication_encoding(payload: &[u8]) -> Vec<u8> {
    let mut encoded = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).into_bytes();
    encoded.extend_from_slice(payload);
    encoded
}

/// The name of a public key in a bundle: lower-case hex SHA-256 of its canonical PEM text.
fn hint(public_key_pem: &str) -> String {
    hex::encode(Sha256::digest(public_key_pem))
}

/// `sigstore_bundle.proto`, in the order its fields are written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bundle<'a> {
    media_type: &'a str,
    verification_material: VerificationMaterial,
    dsse_envelope: Envelope<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationMaterial {
    #[serde(flatten)]
    material: Material,
    /// Always empty; the field itself is required by readers.
    tlog_entries: [(); 0],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Material {
    PublicKey { hint: String },
    X509CertificateChain { certificates: Vec<RawBytes> },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RawBytes {
    raw_bytes: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    payload: String,
    payload_type: &'a str,
    signatures: [Signature<'a>; 1],
}

#[derive(Serialize)]
struct Signature<'a> {
    sig: String,
    keyid: &'a str,
}

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

#[cfg(test)]
mod tests {
    use super::*;
    use p256::ecdsa::signature::Verifier;
    use p256::pkcs8::DecodePublicKey;
    use serde_json::Value;

    const KEY: &str = include_str!("../tests/keys/p256-pkcs8.pem");
    const PUBLIC: &str = include_str!("../tests/keys/p256-public.pem");
    const LEAF: &str = include_str!("../tests/keys/leaf.pem");
    const INTERMEDIATE: &str = include_str!("../tests/keys/intermediate.pem");

    fn key() -> SigningKey {
        SigningKey::from_pem(KEY.as_bytes(), None).unwrap()
    }

    #[test]
    fn the_encoding_is_that_of_dsse() {
        assert_eq!(
            pre_authentication_encoding(b"{\"a\":1}"),
            b"DSSEv1 28 application/vnd.in-toto+json 7 {\"a\":1}"
        );
    }

    /// The public key of the OMS conformance suite, `keys/certificate/signing-key-pub.pem`, in canonical form.
    #[test]
    fn the_hint_is_the_hash_of_the_pem_text() {
        let Some(vectors) = std::env::var_os("MODELSEAL_VECTORS") else {
            println!("skipped: MODELSEAL_VECTORS not set");
            return;
        };
        let path = Path::new(&vectors).join("oms/assets/keys/certificate/signing-key-pub.pem");
        let text = std::fs::read_to_string(path).unwrap();
        let canonical = format!("{}\n", crate::pem::blocks(&text)[0].text);
        assert_eq!(hint(&canonical), "e8450dec4eb99dae995da9af1bc2cc9f76ed669ee2e744f57abba763df3e3f8e");
    }

    #[test]
    fn a_key_bundle_has_the_shape_that_verifiers_read() {
        let bundle = Signer::key(key()).sign_statement(b"{\"a\":1}").unwrap();
        let json: Value = serde_json::from_slice(bundle.to_bytes()).unwrap();
        assert_eq!(json["mediaType"], MEDIA_TYPE);
        assert_eq!(json["verificationMaterial"]["publicKey"]["hint"], hint(PUBLIC));
        assert_eq!(json["verificationMaterial"]["tlogEntries"], Value::Array(Vec::new()));
        assert_eq!(json["verificationMaterial"].as_object().unwrap().len(), 2);
        assert_eq!(json["dsseEnvelope"]["payloadType"], PAYLOAD_TYPE);
        assert_eq!(json["dsseEnvelope"]["payload"], STANDARD.encode("{\"a\":1}"));
        assert_eq!(json["dsseEnvelope"]["signatures"].as_array().unwrap().len(), 1);
        assert_eq!(json["dsseEnvelope"]["signatures"][0]["keyid"], "");

        let signature =
            STANDARD.decode(json["dsseEnvelope"]["signatures"][0]["sig"].as_str().unwrap()).unwrap();
        p256::ecdsa::VerifyingKey::from_public_key_pem(PUBLIC)
            .unwrap()
            .verify(
                &pre_authentication_encoding(b"{\"a\":1}"),
                &p256::ecdsa::Signature::from_der(&signature).unwrap(),
            )
            .unwrap();
    }

    #[test]
    fn a_certificate_bundle_carries_the_chain_leaf_first() {
        let signer = Signer::certificate(key(), LEAF.as_bytes(), &[INTERMEDIATE]).unwrap();
        let bundle = signer.sign_statement(b"{}").unwrap();
        let json: Value = serde_json::from_slice(bundle.to_bytes()).unwrap();
        let chain = json["verificationMaterial"]["x509CertificateChain"]["certificates"].as_array().unwrap();
        let leaf = STANDARD.decode(chain[0]["rawBytes"].as_str().unwrap()).unwrap();
        let (_, expected) = der::Document::from_pem(LEAF).unwrap();
        assert_eq!(leaf, expected.as_bytes());
        assert_eq!(chain.len(), 2);
        assert_eq!(json["verificationMaterial"]["tlogEntries"], Value::Array(Vec::new()));
    }

    #[test]
    fn the_same_key_and_content_give_the_same_bytes() {
        let signer = Signer::key(key());
        assert_eq!(signer.sign_statement(b"{}").unwrap(), Signer::key(key()).sign_statement(b"{}").unwrap());
        assert_ne!(signer.sign_statement(b"{}").unwrap(), signer.sign_statement(b"{ }").unwrap());
    }

    #[test]
    fn a_bundle_is_written_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.sig");
        let bundle = Signer::key(key()).sign_statement(b"{}").unwrap();
        bundle.write(&path).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), bundle.to_bytes());
    }
}
