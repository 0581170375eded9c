//! Private keys in PEM: PKCS#8 (RFC 5958), plain or encrypted (PBES2, RFC 8018), and SEC1 (RFC 5915).

use std::fmt;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912::{ID_EC_PUBLIC_KEY, SECP_256_R_1, SECP_384_R_1, SECP_521_R_1};
use der::pem::LineEnding;
use der::{Decode, SecretDocument};
use p256::ecdsa::signature::hazmat::PrehashSigner;
use pkcs8::pkcs5::pbes2::Parameters;
use pkcs8::{EncodePrivateKey, EncodePublicKey, EncryptedPrivateKeyInfo, PrivateKeyInfo};
use rand_core::{OsRng, RngCore};
use sec1::EcPrivateKey;
use sha2::{Digest, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use crate::error::{Error, Fault};
use crate::nonce;
use crate::pem::{self, Block};

/// A private key on P-256, P-384 or P-521. Wiped from memory when dropped.
///
/// `Debug` prints the curve and nothing else.
pub struct SigningKey {
    secret: Secret,
}

/// Each of these wipes itself when dropped.
enum Secret {
    P256(p256::SecretKey),
    P384(p384::SecretKey),
    P521(p521::SecretKey),
}

impl SigningKey {
    /// The first private key in `pem`: `PRIVATE KEY`, `ENCRYPTED PRIVATE KEY` or `EC PRIVATE KEY`. Text and other
    /// blocks around it (`EC PARAMETERS`, certificates) may stand there. A password that is not needed is not used.
    ///
    /// # Errors
    ///
    /// `sign.key`: no private key, damaged, another type or curve, or an encryption other than PBES2.
    /// `sign.password`: encrypted, and the password is missing or wrong.
    pub fn from_pem(pem: &[u8], password: Option<&Password>) -> Result<Self, Error> {
        let text = std::str::from_utf8(pem).map_err(|_| Fault::KeyMissing)?;
        let mut parameters = None;
        for block in pem::blocks(text) {
            if block.text.contains("Proc-Type:") {
                return Err(
                    Fault::KeyEncryption { detail: "the traditional PEM encryption".to_owned() }.into()
                );
            }
            match block.label {
                "EC PARAMETERS" => parameters = Some(named_curve(&block)?),
                "EC PRIVATE KEY" => return Self::from_sec1(&decoded(&block)?, parameters),
                "ENCRYPTED PRIVATE KEY" => {
                    return Self::from_encrypted(&decoded(&block)?, password.ok_or(Fault::PasswordMissing)?);
                }
                "PRIVATE KEY" => return Self::from_pkcs8(&decoded(&block)?),
                other if other.ends_with("PRIVATE KEY") => {
                    return Err(Fault::KeyUnsupported { found: other.to_owned() }.into());
                }
                _ => {}
            }
        }
        Err(Fault::KeyMissing.into())
    }

    /// A new key on P-256, from the operating system's random numbers.
    #[must_use]
    pub fn generate_p256() -> Self {
        Self { secret: Secret::P256(p256::SecretKey::random(&mut OsRng)) }
    }

    /// The private key as PKCS#8 in PEM, encrypted: PBKDF2 with HMAC-SHA-256 and 600 000 rounds, AES-256 in CBC
    /// mode. Takes about half a second. Every OpenSSL since 1.0 opens it; scrypt at a comparable cost exceeds the
    /// memory that OpenSSL allows.
    ///
    /// # Errors
    ///
    /// `sign.key`, if the key cannot be encoded.
    pub fn to_encrypted_pem(&self, password: &Password) -> Result<Zeroizing<String>, Error> {
        let (mut salt, mut iv) = ([0; 16], [0; 16]);
        OsRng.fill_bytes(&mut salt);
        OsRng.fill_bytes(&mut iv);
        let plain = self.to_pkcs8().map_err(malformed)?;
        let encrypted = Parameters::pbkdf2_sha256_aes256cbc(PBKDF2_ROUNDS, &salt, &iv)
            .map_err(pkcs8::Error::from)
            .and_then(|parameters| {
                PrivateKeyInfo::try_from(plain.as_bytes())?.encrypt_with_params(parameters, password.bytes())
            })
            .map_err(malformed)?;
        Ok(encrypted.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).map_err(malformed)?)
    }

    /// The private key as PKCS#8 in PEM, for everyone who can read the file it ends up in.
    ///
    /// # Errors
    ///
    /// `sign.key`, if the key cannot be encoded.
    pub fn to_plain_pem(&self) -> Result<Zeroizing<String>, Error> {
        let plain = self.to_pkcs8().map_err(malformed)?;
        Ok(plain.to_pem("PRIVATE KEY", LineEnding::LF).map_err(malformed)?)
    }

    /// The public key as SubjectPublicKeyInfo in PEM: LF line ends, 64 columns, a newline at the end. The SHA-256 of
    /// this very text is the hint in a bundle.
    ///
    /// # Errors
    ///
    /// `sign.key`, if the key cannot be encoded.
    pub fn public_key_pem(&self) -> Result<String, Error> {
        let pem = match &self.secret {
            Secret::P256(key) => key.public_key().to_public_key_pem(LineEnding::LF),
            Secret::P384(key) => key.public_key().to_public_key_pem(LineEnding::LF),
            Secret::P521(key) => key.public_key().to_public_key_pem(LineEnding::LF),
        };
        Ok(pem.map_err(malformed)?)
    }

    /// The public key as SubjectPublicKeyInfo in DER.
    pub(crate) fn public_key_der(&self) -> Result<Vec<u8>, Error> {
        let der = match &self.secret {
            Secret::P256(key) => key.public_key().to_public_key_der(),
            Secret::P384(key) => key.public_key().to_public_key_der(),
            Secret::P521(key) => key.public_key().to_public_key_der(),
        };
        Ok(der.map_err(malformed)?.into_vec())
    }

    /// The ECDSA signature of `message` in DER. The hash follows the curve (OMS v1.0, algorithm registry), the nonce
    /// is deterministic (RFC 6979).
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature: Result<Vec<u8>, ecdsa::Error> = match &self.secret {
            Secret::P256(key) => p256::ecdsa::SigningKey::from(key)
                .sign_prehash(&Sha256::digest(message))
                .map(|signature: p256::ecdsa::DerSignature| signature.as_bytes().to_vec()),
            Secret::P384(key) => p384::ecdsa::SigningKey::from(key)
                .sign_prehash(&Sha384::digest(message))
                .map(|signature: p384::ecdsa::DerSignature| signature.as_bytes().to_vec()),
            Secret::P521(key) => nonce::sign_p521(key, &Sha512::digest(message).into())
                .map(|signature| signature.to_der().as_bytes().to_vec()),
        };
        Ok(signature.map_err(|error| Fault::Signature { detail: error.to_string() })?)
    }

    fn from_encrypted(der: &SecretDocument, password: &Password) -> Result<Self, Error> {
        let encrypted = EncryptedPrivateKeyInfo::try_from(der.as_bytes()).map_err(malformed)?;
        let plain = encrypted.decrypt(password.bytes()).map_err(|error| {
            if is_wrong_password(&error) {
                Fault::PasswordWrong
            } else {
                Fault::KeyEncryption { detail: error.to_string() }
            }
        })?;
        if PrivateKeyInfo::try_from(plain.as_bytes()).is_err() {
            return Err(Fault::PasswordWrong.into());
        }
        Self::from_pkcs8(&plain)
    }

    fn from_pkcs8(der: &SecretDocument) -> Result<Self, Error> {
        let info = PrivateKeyInfo::try_from(der.as_bytes()).map_err(malformed)?;
        if info.algorithm.oid != ID_EC_PUBLIC_KEY {
            return Err(Fault::KeyUnsupported { found: named(info.algorithm.oid) }.into());
        }
        let curve = info.algorithm.parameters_oid().map_err(|_| explicit_curve())?;
        Self::from_scalar(info.private_key, curve)
    }

    fn from_sec1(der: &SecretDocument, parameters: Option<ObjectIdentifier>) -> Result<Self, Error> {
        let key = EcPrivateKey::from_der(der.as_bytes()).map_err(malformed)?;
        let inside = key.parameters.and_then(sec1::EcParameters::named_curve);
        let curve = inside.or(parameters).ok_or_else(explicit_curve)?;
        Self::from_scalar(der.as_bytes(), curve)
    }

    /// From an `ECPrivateKey` structure. A public key in it must belong to the private one.
    fn from_scalar(der: &[u8], curve: ObjectIdentifier) -> Result<Self, Error> {
        let secret = match curve {
            SECP_256_R_1 => p256::SecretKey::from_sec1_der(der).map(Secret::P256),
            SECP_384_R_1 => p384::SecretKey::from_sec1_der(der).map(Secret::P384),
            SECP_521_R_1 => p521::SecretKey::from_sec1_der(der).map(Secret::P521),
            other => return Err(Fault::KeyUnsupported { found: named(other) }.into()),
        };
        Ok(Self { secret: secret.map_err(malformed)? })
    }

    fn to_pkcs8(&self) -> pkcs8::Result<SecretDocument> {
        match &self.secret {
            Secret::P256(key) => key.to_pkcs8_der(),
            Secret::P384(key) => key.to_pkcs8_der(),
            Secret::P521(key) => key.to_pkcs8_der(),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.secret {
            Secret::P256(_) => "SigningKey(P-256)",
            Secret::P384(_) => "SigningKey(P-384)",
            Secret::P521(_) => "SigningKey(P-521)",
        })
    }
}

/// The password of a private key. Wiped from memory when dropped; `Debug` prints nothing of it.
#[derive(Eq, PartialEq)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Takes the password's bytes, without the newline that a file may end with.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// Whether it has no bytes. An empty password protects nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// Bad padding, which the dependency calls by either name, or a text that is no structure at all: CBC has no tag.
fn is_wrong_password(error: &pkcs8::Error) -> bool {
    use pkcs8::pkcs5::Error::{DecryptFailed, EncryptFailed};
    matches!(error, pkcs8::Error::Asn1(_) | pkcs8::Error::EncryptedPrivateKey(DecryptFailed | EncryptFailed))
}

fn decoded(block: &Block<'_>) -> Result<SecretDocument, Error> {
    let (_, document) = SecretDocument::from_pem(block.text).map_err(malformed)?;
    Ok(document)
}

/// The curve an `EC PARAMETERS` block names. Explicit parameters (RFC 5480, section 2.1.1) must not be used.
fn named_curve(block: &Block<'_>) -> Result<ObjectIdentifier, Error> {
    let (_, der) = der::pem::decode_vec(block.text.as_bytes()).map_err(malformed)?;
    ObjectIdentifier::from_der(&der).map_err(|_| explicit_curve().into())
}

fn explicit_curve() -> Fault {
    Fault::KeyUnsupported { found: "a curve that is not named".to_owned() }
}

fn malformed(error: impl fmt::Display) -> Fault {
    Fault::KeyMalformed { detail: error.to_string() }
}

fn named(oid: ObjectIdentifier) -> String {
    match const_oid::db::DB.by_oid(&oid) {
        Some(name) => name.to_owned(),
        None => oid.to_string(),
    }
}

/// OWASP's recommendation for PBKDF2 with HMAC-SHA-256 (Password Storage Cheat Sheet, 2023).
const PBKDF2_ROUNDS: u32 = 600_000;

#[cfg(test)]
mod tests {
    use super::*;
    use modelseal::Code;
    use p256::ecdsa::signature::Verifier;

    /// One key, P-256, in every form; made with OpenSSL 3.0, password `correct horse`.
    const PKCS8: &str = include_str!("../tests/keys/p256-pkcs8.pem");
    const SEC1: &str = include_str!("../tests/keys/p256-sec1.pem");
    const ENCRYPTED: &str = include_str!("../tests/keys/p256-encrypted.pem");
    const SCRYPT: &str = include_str!("../tests/keys/p256-scrypt.pem");
    const TRADITIONAL: &str = include_str!("../tests/keys/p256-traditional.pem");
    const PUBLIC: &str = include_str!("../tests/keys/p256-public.pem");
    const P384: &str = include_str!("../tests/keys/p384-sec1.pem");
    const P521: &str = include_str!("../tests/keys/p521-pkcs8.pem");
    const RSA: &str = include_str!("../tests/keys/rsa.pem");
    const SECP256K1: &str = include_str!("../tests/keys/secp256k1.pem");

    fn password() -> Password {
        Password::new("correct horse")
    }

    fn code(pem: &str, password: Option<&Password>) -> Code {
        SigningKey::from_pem(pem.as_bytes(), password).unwrap_err().code()
    }

    #[test]
    fn reads_one_key_in_every_form() {
        for (pem, password) in
            [(PKCS8, None), (SEC1, None), (ENCRYPTED, Some(password())), (SCRYPT, Some(password()))]
        {
            let key = SigningKey::from_pem(pem.as_bytes(), password.as_ref()).unwrap();
            assert_eq!(key.public_key_pem().unwrap(), PUBLIC);
        }
        assert!(SEC1.starts_with("-----BEGIN EC PARAMETERS-----"));
    }

    #[test]
    fn the_parameters_block_names_the_curve_when_the_key_does_not() {
        let key = SigningKey::from_pem(SEC1.as_bytes(), None).unwrap();
        let Secret::P256(secret) = &key.secret else { panic!("another curve") };
        let bare = SecretDocument::try_from(secret.to_sec1_der().unwrap().to_vec()).unwrap();
        let bare = bare.to_pem("EC PRIVATE KEY", LineEnding::LF).unwrap();
        assert_eq!(code(&bare, None), Code::SignKey);

        let parameters = pem::blocks(SEC1)[0].text;
        let both = format!("{parameters}\n{}", *bare);
        assert_eq!(SigningKey::from_pem(both.as_bytes(), None).unwrap().public_key_pem().unwrap(), PUBLIC);
    }

    #[test]
    fn a_password_is_asked_for_and_checked() {
        assert_eq!(code(ENCRYPTED, None), Code::SignPassword);
        assert_eq!(code(ENCRYPTED, Some(&Password::new("wrong"))), Code::SignPassword);
        assert_eq!(code(SCRYPT, Some(&Password::new(""))), Code::SignPassword);
    }

    #[test]
    fn other_keys_are_refused() {
        for pem in [RSA, SECP256K1, PUBLIC, TRADITIONAL, "", "-----BEGIN PRIVATE KEY-----\n"] {
            assert_eq!(code(pem, None), Code::SignKey, "{pem}");
        }
        let cut = PKCS8.replace("-----END", "AAAA\n-----END");
        assert_eq!(code(&cut, None), Code::SignKey);
        assert_eq!(SigningKey::from_pem(b"\xff\xfe", None).unwrap_err().code(), Code::SignKey);
    }

    #[test]
    fn an_encrypted_key_comes_back_and_shows_nothing() {
        let key = SigningKey::generate_p256();
        let pem = key.to_encrypted_pem(&password()).unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        assert_eq!(code(&pem, None), Code::SignPassword);
        assert_eq!(code(&pem, Some(&Password::new("correct horsf"))), Code::SignPassword);
        let back = SigningKey::from_pem(pem.as_bytes(), Some(&password())).unwrap();
        assert_eq!(back.public_key_pem().unwrap(), key.public_key_pem().unwrap());
        assert_eq!(*back.to_plain_pem().unwrap(), *key.to_plain_pem().unwrap());
        assert_eq!(format!("{back:?} {:?}", password()), "SigningKey(P-256) Password");
    }

    #[test]
    fn signatures_verify_and_repeat_on_every_curve() {
        let message = b"message";
        for pem in [PKCS8, P384, P521] {
            let key = SigningKey::from_pem(pem.as_bytes(), None).unwrap();
            let signature = key.sign(message).unwrap();
            assert_eq!(signature, key.sign(message).unwrap());
            assert_ne!(signature, key.sign(b"massage").unwrap());
            match &key.secret {
                Secret::P256(secret) => p256::ecdsa::VerifyingKey::from(secret.public_key())
                    .verify(message, &p256::ecdsa::Signature::from_der(&signature).unwrap())
                    .unwrap(),
                Secret::P384(secret) => p384::ecdsa::VerifyingKey::from(secret.public_key())
                    .verify(message, &p384::ecdsa::Signature::from_der(&signature).unwrap())
                    .unwrap(),
                Secret::P521(secret) => {
                    p521::ecdsa::VerifyingKey::from_affine(*secret.public_key().as_affine())
                        .unwrap()
                        .verify(message, &p521::ecdsa::Signature::from_der(&signature).unwrap())
                        .unwrap()
                }
            }
        }
    }
}
