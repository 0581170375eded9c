//! Untrusted bytes to [`Bundle`]: Sigstore bundle v0.1 to v0.3, DSSE envelope, in-toto statement.
//!
//! Parsing proves nothing. A [`Bundle`] is mute: it has no public accessor for anything a publisher may have
//! written, because nothing in it is verified yet.
//!
//! How strict, and by whose word:
//!
//! - Unknown fields are refused in the bundle, in `verificationMaterial`, in the envelope and in its signature: the
//!   ProtoJSON mapping has parsers reject them by default, and the schemas of OpenSSF Model Signing v1.0 close all
//!   but `verificationMaterial`. A kind of material we do not know must not ride along with one that we do. Inside
//!   `publicKey` and the certificates those schemas are open, and so are we.
//! - `null` is absence, as in ProtoJSON.
//! - Base64 is standard or URL-safe, with or without padding (ProtoJSON; DSSE v1 lets producers choose the
//!   alphabet), but never mixed, with white space, or with stray bits at the end.

mod statement;
#[cfg(test)]
pub(crate) mod vectors;

pub(crate) use statement::{PredicateType, Statement};

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::Digest as _;

use crate::error::{Code, Error, Evidence, Fault};
use crate::json::{JsonError, Value};
use crate::limits;

/// A parsed signature bundle. Nothing in it is readable: it has not been verified.
///
/// `Debug` prints sizes and the bundle's own digest only.
pub struct Bundle {
    /// The document as received; keyless verification parses it again with its own types.
    raw: Vec<u8>,
    sha256: [u8; 32],
    origin: Option<Origin>,
    media_type: MediaType,
    material: Material,
    payload_type: String,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// Where a bundle was read from, so that it can leave the model's file set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Origin {
    pub(crate) path: PathBuf,
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// The bundle versions this library reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MediaType {
    V01,
    V02,
    V03,
}

/// The verification material, by signing method. Hints only: trust comes from the policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Material {
    /// `x509CertificateChain`: DER certificates, leaf first.
    Certificate { chain: Vec<Vec<u8>> },
    /// `publicKey`: a hint (hex SHA-256 of the PEM text), or before 1.1.0 the PEM text itself.
    Key { hint: Option<String>, raw_bytes: Option<Vec<u8>> },
    /// `certificate` with log entries: a Fulcio leaf in DER.
    Keyless { certificate: Vec<u8> },
}

impl Bundle {
    /// Parses one bundle document.
    ///
    /// # Errors
    ///
    /// `bundle.too_large`, `bundle.not_json`, `bundle.duplicate_key`, `bundle.media_type`, `bundle.malformed`,
    /// `bundle.signature_count`, `bundle.material`.
    ///
    /// ```
    /// use modelseal::{Bundle, Code};
    ///
    /// assert_eq!(Bundle::parse(b"not a bundle").unwrap_err().code(), Code::BundleNotJson);
    /// ```
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if !u64::try_from(bytes.len()).is_ok_and(|length| length <= limits::BUNDLE_BYTES) {
            return Err(BundleFault::TooLarge.into());
        }
        let document = Value::parse_within(bytes, limits::BUNDLE_VALUES).map_err(BundleFault::from)?;
        let bundle = Fields::of("bundle", &document)?;

        // The media type first: it says which fields may follow.
        let media_type = MediaType::parse(&bundle)?;
        bundle.only(&["dsseEnvelope", "mediaType", "messageSignature", "verificationMaterial"])?;
        if bundle.optional("messageSignature").is_some() {
            return Err(BundleFault::MessageSignature.into());
        }
        let material = Material::parse(&bundle.object("verificationMaterial")?)?;

        let envelope = bundle.object("dsseEnvelope")?;
        envelope.only(&["payload", "payloadType", "signatures"])?;
        Ok(Self {
            raw: bytes.to_vec(),
            sha256: sha2::Sha256::digest(bytes).into(),
            origin: None,
            media_type,
            material,
            payload_type: envelope.string("payloadType")?.to_owned(),
            payload: envelope.base64("payload")?,
            signature: only_signature(&envelope)?,
        })
    }

    /// Reads and parses the bundle in a file. Links are followed: a bundle's place is the caller's choice.
    ///
    /// # Errors
    ///
    /// `bundle.missing`, `bundle.unreadable`, and those of [`Bundle::parse`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let shown = path.display().to_string();
        let (bytes, origin) = read(path).map_err(|fault| Error::from(fault).at(&shown))?;
        let bundle = Self::parse(&bytes).map_err(|error| error.at(&shown))?;
        Ok(Self { origin: Some(origin), ..bundle })
    }

    /// The document as received. Only keyless verification reads it again, and the fuzz targets.
    #[cfg(any(feature = "keyless", fuzzing, test))]
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// SHA-256 of the document as received: the name of this bundle in records.
    pub(crate) fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    pub(crate) fn material(&self) -> &Material {
        &self.material
    }

    pub(crate) fn media_type(&self) -> MediaType {
        self.media_type
    }

    pub(crate) fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// The payload bytes exactly as received. Parse them only after the signature over [`Bundle::pae`] held.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The DSSE pre-authentication encoding over the payload as received (DSSE v1, protocol.md).
    pub(crate) fn pae(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.payload.len() + self.payload_type.len() + 48);
        out.extend_from_slice(
            format!("DSSEv1 {} {} {} ", self.payload_type.len(), self.payload_type, self.payload.len())
                .as_bytes(),
        );
        out.extend_from_slice(&self.payload);
        out
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle")
            .field("bytes", &self.raw.len())
            .field("sha256", &hex::encode(self.sha256))
            .finish_non_exhaustive()
    }
}

impl MediaType {
    /// The spelling of the Sigstore bundle specification; v0.3 had another one before it settled.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::V01 => "application/vnd.dev.sigstore.bundle+json;version=0.1",
            Self::V02 => "application/vnd.dev.sigstore.bundle+json;version=0.2",
            Self::V03 => "application/vnd.dev.sigstore.bundle.v0.3+json",
        }
    }

    fn parse(bundle: &Fields<'_>) -> Result<Self, BundleFault> {
        let found = match bundle.optional("mediaType") {
            Some(Value::String(text)) => text.as_str(),
            Some(_) => return Err(bundle.malformed("mediaType", "is not text")),
            None => "",
        };
        match found {
            "application/vnd.dev.sigstore.bundle+json;version=0.1" => Ok(Self::V01),
            "application/vnd.dev.sigstore.bundle+json;version=0.2" => Ok(Self::V02),
            "application/vnd.dev.sigstore.bundle+json;version=0.3"
            | "application/vnd.dev.sigstore.bundle.v0.3+json" => Ok(Self::V03),
            other => Err(BundleFault::MediaType { found: other.to_owned() }),
        }
    }
}

impl Material {
    /// Section 4.1 of OpenSSF Model Signing v1.0: the field must match the method.
    fn parse(fields: &Fields<'_>) -> Result<Self, BundleFault> {
        fields.only(&[
            "certificate",
            "publicKey",
            "timestampVerificationData",
            "tlogEntries",
            "x509CertificateChain",
        ])?;
        if let Some(timestamps) = fields.optional("timestampVerificationData") {
            Fields::of("timestampVerificationData", timestamps)?;
        }
        let entries = match fields.optional("tlogEntries") {
            Some(entries) => {
                entries.as_array().ok_or_else(|| fields.malformed("tlogEntries", "is not an array"))?
            }
            None => &[],
        };
        for entry in entries {
            Fields::of("tlogEntries[]", entry)?;
        }

        let kinds = ["publicKey", "x509CertificateChain", "certificate"].map(|kind| fields.optional(kind));
        match kinds {
            [Some(key), None, None] => Self::parse_key(&Fields::of("publicKey", key)?),
            [None, Some(_), None] if !entries.is_empty() => Err(BundleFault::Material {
                reason: "log entries belong to a keyless `certificate`, not to `x509CertificateChain`",
            }),
            [None, Some(chain), None] => Self::parse_chain(&Fields::of("x509CertificateChain", chain)?),
            [None, None, Some(_)] if entries.is_empty() => {
                Err(BundleFault::Material { reason: "a keyless `certificate` needs at least one log entry" })
            }
            [None, None, Some(leaf)] => {
                Ok(Self::Keyless { certificate: Fields::of("certificate", leaf)?.base64("rawBytes")? })
            }
            [None, None, None] => Err(BundleFault::Material {
                reason: "there is no `publicKey`, `x509CertificateChain` or `certificate`",
            }),
            [Some(_), _, _] | [_, Some(_), _] => {
                Err(BundleFault::Material { reason: "there is more than one kind of key or certificate" })
            }
        }
    }

    /// Section 11.1: `hint` since 1.1.0, `rawBytes` before. `keyDetails` beside it repeats what the key says itself.
    fn parse_key(fields: &Fields<'_>) -> Result<Self, BundleFault> {
        let hint = match fields.optional("hint") {
            Some(_) => Some(fields.string("hint")?.to_owned()),
            None => None,
        };
        let raw_bytes = match fields.optional("rawBytes") {
            Some(_) => Some(fields.base64("rawBytes")?),
            None => None,
        };
        if hint.is_none() && raw_bytes.is_none() {
            return Err(fields.malformed("hint", "is missing, and so is `rawBytes`"));
        }
        Ok(Self::Key { hint, raw_bytes })
    }

    fn parse_chain(fields: &Fields<'_>) -> Result<Self, BundleFault> {
        let certificates = fields.array("certificates")?;
        if certificates.is_empty() {
            return Err(fields.malformed("certificates", "is empty"));
        }
        let der = |certificate| Fields::of("certificates[]", certificate)?.base64("rawBytes");
        Ok(Self::Certificate { chain: certificates.iter().map(der).collect::<Result<_, _>>()? })
    }
}

/// The signature of an envelope that must have exactly one: of several, all but one would go unverified and could
/// still be taken for trusted.
fn only_signature(envelope: &Fields<'_>) -> Result<Vec<u8>, BundleFault> {
    let signatures = match envelope.optional("signatures") {
        Some(_) => envelope.array("signatures")?,
        None => &[],
    };
    let [signature] = signatures else {
        return Err(BundleFault::SignatureCount { found: signatures.len() });
    };
    let signature = Fields::of("signatures[]", signature)?;
    signature.only(&["keyid", "sig"])?;
    // Section 4.1: absent, empty or null, and never used.
    if signature.optional("keyid").is_some_and(|keyid| keyid.as_str().is_none()) {
        return Err(signature.malformed("keyid", "is not text"));
    }
    signature.base64("sig")
}

/// One object of the bundle and what errors call it.
struct Fields<'a> {
    name: &'static str,
    members: &'a BTreeMap<String, Value>,
}

impl<'a> Fields<'a> {
    fn of(name: &'static str, value: &'a Value) -> Result<Self, BundleFault> {
        let members = value.as_object().ok_or_else(|| BundleFault::Malformed {
            field: format!("`{name}`"),
            problem: "is not an object",
        })?;
        Ok(Self { name, members })
    }

    fn only(&self, known: &[&str]) -> Result<(), BundleFault> {
        match self.members.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(BundleFault::UnknownField { object: self.name, field: key.clone() }),
            None => Ok(()),
        }
    }

    fn optional(&self, key: &str) -> Option<&'a Value> {
        self.members.get(key).filter(|value| !value.is_null())
    }

    fn required(&self, key: &'static str) -> Result<&'a Value, BundleFault> {
        self.optional(key).ok_or_else(|| self.malformed(key, "is missing"))
    }

    fn array(&self, key: &'static str) -> Result<&'a [Value], BundleFault> {
        self.required(key)?.as_array().ok_or_else(|| self.malformed(key, "is not an array"))
    }

    fn object(&self, key: &'static str) -> Result<Fields<'a>, BundleFault> {
        Fields::of(key, self.required(key)?)
    }

    /// Text of at least one character.
    fn string(&self, key: &'static str) -> Result<&'a str, BundleFault> {
        let text = self.required(key)?.as_str().ok_or_else(|| self.malformed(key, "is not text"))?;
        if text.is_empty() { Err(self.malformed(key, "is empty")) } else { Ok(text) }
    }

    /// Bytes, at least one.
    fn base64(&self, key: &'static str) -> Result<Vec<u8>, BundleFault> {
        let text = self.string(key)?;
        let alphabet =
            if text.contains(['-', '_']) { &base64::alphabet::URL_SAFE } else { &base64::alphabet::STANDARD };
        let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        match GeneralPurpose::new(alphabet, config).decode(text) {
            Ok(bytes) if !bytes.is_empty() => Ok(bytes),
            Ok(_) | Err(_) => Err(self.malformed(key, "is not base64")),
        }
    }

    fn malformed(&self, key: &str, problem: &'static str) -> BundleFault {
        BundleFault::Malformed { field: format!("`{key}` of `{}`", self.name), problem }
    }
}

/// Reads a bundle file up to the bound, whatever its size was said to be.
fn read(path: &Path) -> Result<(Vec<u8>, Origin), BundleFault> {
    let file = open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(BundleFault::NotRegular);
    }
    let mut bytes = Vec::new();
    file.take(limits::BUNDLE_BYTES.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes, Origin::new(path, &metadata)))
}

/// Opens without waiting: a FIFO in the bundle's place must not stall the caller.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};

    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

impl Origin {
    #[cfg(unix)]
    fn new(path: &Path, metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;

        Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() }
    }

    /// No file has these numbers: where there are none, a bundle inside the model stays an unsigned file.
    #[cfg(not(unix))]
    fn new(path: &Path, _: &std::fs::Metadata) -> Self {
        Self { path: path.to_owned(), device: u64::MAX, inode: u64::MAX }
    }
}

#[derive(Debug, thiserror::Error)]
enum BundleFault {
    #[error("an object in the bundle names one key twice")]
    DuplicateKey { key: String },
    #[error("{field} {problem}")]
    Malformed { field: String, problem: &'static str },
    #[error("{reason}")]
    Material { reason: &'static str },
    #[error("the media type is not one of a Sigstore bundle v0.1 to v0.3")]
    MediaType { found: String },
    #[error("the bundle signs a message digest (`messageSignature`); model signatures are DSSE envelopes")]
    MessageSignature,
    #[error("there is no such file")]
    Missing,
    #[error("the bundle is not one well-formed JSON document: {detail}")]
    NotJson { detail: String },
    #[error("it is not a regular file")]
    NotRegular,
    #[error("the envelope carries {found} signatures instead of exactly one")]
    SignatureCount { found: usize },
    #[error("the bundle is larger than {} bytes", limits::BUNDLE_BYTES)]
    TooLarge,
    #[error("`{object}` has a field that this version does not know")]
    UnknownField { object: &'static str, field: String },
    #[error("the file cannot be read: {0}")]
    Unreadable(io::Error),
}

impl From<JsonError> for BundleFault {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::DuplicateKey { key } => Self::DuplicateKey { key },
            JsonError::Malformed { detail } => Self::NotJson { detail },
        }
    }
}

impl From<io::Error> for BundleFault {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound { Self::Missing } else { Self::Unreadable(error) }
    }
}

impl Fault for BundleFault {
    fn code(&self) -> Code {
        match self {
            Self::DuplicateKey { .. } => Code::BundleDuplicateKey,
            Self::Malformed { .. } | Self::MessageSignature | Self::UnknownField { .. } => {
                Code::BundleMalformed
            }
            Self::Material { .. } => Code::BundleMaterial,
            Self::MediaType { .. } => Code::BundleMediaType,
            Self::Missing => Code::BundleMissing,
            Self::NotJson { .. } => Code::BundleNotJson,
            Self::NotRegular | Self::Unreadable(_) => Code::BundleUnreadable,
            Self::SignatureCount { .. } => Code::BundleSignatureCount,
            Self::TooLarge => Code::BundleTooLarge,
        }
    }

    fn evidence(&self) -> Vec<Evidence> {
        match self {
            Self::DuplicateKey { key } => vec![Evidence::new("key", key)],
            Self::MediaType { found } => vec![Evidence::new("found", found)],
            Self::UnknownField { field, .. } => vec![Evidence::new("field", field)],
            Self::Malformed { .. }
            | Self::Material { .. }
            | Self::MessageSignature
            | Self::Missing
            | Self::NotJson { .. }
            | Self::NotRegular
            | Self::SignatureCount { .. }
            | Self::TooLarge
            | Self::Unreadable(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;

    fn key_bundle() -> Json {
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": { "publicKey": { "hint": "00" }, "tlogEntries": [] },
            "dsseEnvelope": {
                "payload": STANDARD.encode("{}"),
                "payloadType": "application/vnd.in-toto+json",
                "signatures": [{ "sig": STANDARD.encode("signature"), "keyid": "" }],
            },
        })
    }

    fn parse(document: &Json) -> Result<Bundle, Error> {
        Bundle::parse(document.to_string().as_bytes())
    }

    fn with(pointer: &str, value: Json) -> Json {
        let mut document = key_bundle();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[key] = value;
        document
    }

    fn code(document: &Json) -> Code {
        parse(document).unwrap_err().code()
    }

    fn material(value: Json) -> Result<Bundle, Error> {
        parse(&with("/verificationMaterial", value))
    }

    #[test]
    fn every_bundle_of_the_conformance_suite_parses() {
        for (name, bytes) in vectors::bundles(&["positive", "historical"]) {
            let bundle = Bundle::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(bundle.media_type(), MediaType::V03, "{name}");
            let method = match bundle.material() {
                Material::Certificate { chain } => {
                    assert_eq!(chain.len(), 2, "{name}");
                    "certificate"
                }
                Material::Key { hint, raw_bytes } => {
                    assert!(hint.is_some() != raw_bytes.is_some(), "{name}");
                    assert!(raw_bytes.as_ref().is_none_or(|pem| pem.starts_with(b"-----BEGIN PUBLIC KEY")));
                    "key"
                }
                Material::Keyless { certificate } => {
                    assert!(!certificate.is_empty(), "{name}");
                    "sigstore"
                }
            };
            assert!(name.contains(method), "{name} is no {method} bundle");
        }
    }

    #[test]
    fn malformed_bundles_of_the_conformance_suite_are_named() {
        let expected = [
            ("key-simple-corrupted-bundle_fail", Code::BundleNotJson),
            ("key-simple-no-signature_fail", Code::BundleSignatureCount),
            ("key-simple-truncated-bundle_fail", Code::BundleNotJson),
            ("key-simple-wrong-mediatype_fail", Code::BundleMediaType),
            ("malformed-empty-bundle_fail", Code::BundleNotJson),
            ("malformed-missing-envelope_fail", Code::BundleMalformed),
        ];
        for (name, bytes) in vectors::bundles(&["negative"]) {
            let expected = expected.iter().find(|(case, _)| *case == name).map(|(_, code)| *code);
            assert_eq!(Bundle::parse(&bytes).err().map(|error| error.code()), expected, "{name}");
        }
    }

    #[test]
    fn media_types_are_exactly_those_of_the_specification() {
        for (text, expected) in [
            ("application/vnd.dev.sigstore.bundle+json;version=0.1", MediaType::V01),
            ("application/vnd.dev.sigstore.bundle+json;version=0.2", MediaType::V02),
            ("application/vnd.dev.sigstore.bundle+json;version=0.3", MediaType::V03),
            ("application/vnd.dev.sigstore.bundle.v0.3+json", MediaType::V03),
        ] {
            assert_eq!(parse(&with("/mediaType", text.into())).unwrap().media_type(), expected);
        }
        for text in [
            "application/vnd.dev.sigstore.bundle.v0.4+json",
            "application/vnd.dev.sigstore.bundle.v0.3+json ",
            "application/vnd.dev.sigstore.bundle",
            "",
        ] {
            assert_eq!(code(&with("/mediaType", text.into())), Code::BundleMediaType, "{text}");
        }
        assert_eq!(code(&with("/mediaType", Json::Null)), Code::BundleMediaType);
        assert_eq!(code(&with("/mediaType", 3.into())), Code::BundleMalformed);
    }

    #[test]
    fn a_newer_bundle_is_refused_for_its_media_type_before_its_fields() {
        let mut newer = with("/mediaType", "application/vnd.dev.sigstore.bundle.v0.9+json".into());
        newer["newField"] = json!(1);
        assert_eq!(code(&newer), Code::BundleMediaType);
    }

    #[test]
    fn one_signature_is_demanded() {
        let signature = json!({ "sig": STANDARD.encode("s") });
        for count in [0, 2, 3] {
            let document = with("/dsseEnvelope/signatures", vec![signature.clone(); count].into());
            assert_eq!(code(&document), Code::BundleSignatureCount);
        }
        assert_eq!(code(&with("/dsseEnvelope/signatures", Json::Null)), Code::BundleSignatureCount);
        assert_eq!(code(&with("/dsseEnvelope/signatures", json!({}))), Code::BundleMalformed);
    }

    #[test]
    fn key_identifiers_of_every_client_are_accepted_and_unused() {
        for keyid in [json!(""), json!("x"), Json::Null] {
            assert!(parse(&with("/dsseEnvelope/signatures/0/keyid", keyid)).is_ok());
        }
        assert!(parse(&with("/dsseEnvelope/signatures", json!([{ "sig": "c2ln" }]))).is_ok());
        assert_eq!(code(&with("/dsseEnvelope/signatures/0/keyid", 1.into())), Code::BundleMalformed);
    }

    #[test]
    fn unknown_fields_are_refused_where_they_could_carry_meaning() {
        for pointer in [
            "/extra",
            "/media_type",
            "/verificationMaterial/trustedKey",
            "/dsseEnvelope/extra",
            "/dsseEnvelope/signatures/0/cert",
        ] {
            assert_eq!(code(&with(pointer, json!({}))), Code::BundleMalformed, "{pointer}");
        }
        assert!(parse(&with("/verificationMaterial/publicKey/keyDetails", "PKIX".into())).is_ok());
    }

    #[test]
    fn material_belongs_to_exactly_one_method() {
        let certificate = json!({ "rawBytes": "MAA=" });
        let chain = json!({ "certificates": [certificate, certificate] });
        let entry = json!([{ "logIndex": "1" }]);

        let code = |value: Json| material(value).unwrap_err().code();
        assert_eq!(code(json!({})), Code::BundleMaterial);
        assert_eq!(
            code(json!({ "publicKey": { "hint": "0" }, "certificate": certificate })),
            Code::BundleMaterial
        );
        assert_eq!(
            code(json!({ "x509CertificateChain": chain, "certificate": certificate })),
            Code::BundleMaterial
        );
        assert_eq!(
            code(json!({ "x509CertificateChain": chain, "publicKey": { "hint": "0" } })),
            Code::BundleMaterial
        );
        assert_eq!(code(json!({ "certificate": certificate })), Code::BundleMaterial);
        assert_eq!(code(json!({ "certificate": certificate, "tlogEntries": [] })), Code::BundleMaterial);

        let misused = material(json!({ "x509CertificateChain": chain, "tlogEntries": entry })).unwrap_err();
        assert_eq!(misused.code(), Code::BundleMaterial);
        assert!(misused.message().contains("x509CertificateChain"), "{misused}");

        let found =
            material(json!({ "x509CertificateChain": chain, "publicKey": null, "tlogEntries": null }))
                .unwrap();
        assert_eq!(found.material(), &Material::Certificate { chain: vec![vec![0x30, 0]; 2] });
        let found = material(json!({ "certificate": certificate, "tlogEntries": entry })).unwrap();
        assert_eq!(found.material(), &Material::Keyless { certificate: vec![0x30, 0] });
    }

    #[test]
    fn malformed_material_is_named() {
        for value in [
            json!(null),
            json!([]),
            json!({ "publicKey": {} }),
            json!({ "publicKey": { "hint": "" } }),
            json!({ "publicKey": { "hint": 1 } }),
            json!({ "publicKey": { "rawBytes": "%" } }),
            json!({ "publicKey": "x" }),
            json!({ "publicKey": { "hint": "0" }, "tlogEntries": {} }),
            json!({ "publicKey": { "hint": "0" }, "tlogEntries": [1] }),
            json!({ "publicKey": { "hint": "0" }, "timestampVerificationData": [] }),
            json!({ "x509CertificateChain": {} }),
            json!({ "x509CertificateChain": { "certificates": [] } }),
            json!({ "x509CertificateChain": { "certificates": [{}] } }),
            json!({ "certificate": { "rawBytes": "" }, "tlogEntries": [{}] }),
        ] {
            let error = material(value.clone()).unwrap_err();
            assert_eq!(error.code(), Code::BundleMalformed, "{value}");
        }
    }

    #[test]
    fn old_keys_come_as_pem_text() {
        let bundle =
            material(json!({ "publicKey": { "rawBytes": STANDARD.encode("PEM"), "keyDetails": "X" } }))
                .unwrap();
        assert_eq!(bundle.material(), &Material::Key { hint: None, raw_bytes: Some(b"PEM".to_vec()) });
    }

    #[test]
    fn base64_is_what_protobuf_json_and_dsse_permit() {
        let payload = b"\xfb\xff\xfe?";
        for text in [
            STANDARD.encode(payload),
            STANDARD_NO_PAD.encode(payload),
            URL_SAFE.encode(payload),
            URL_SAFE_NO_PAD.encode(payload),
        ] {
            let bundle = parse(&with("/dsseEnvelope/payload", text.into())).unwrap();
            assert_eq!(bundle.payload(), payload);
        }
        for text in ["", "+_8=", "e30 ", "e3\n0", "e30==", "e3=0", "e31", "e", "="] {
            let document = with("/dsseEnvelope/payload", text.into());
            assert_eq!(code(&document), Code::BundleMalformed, "{text:?}");
        }
    }

    #[test]
    fn other_documents_are_named() {
        assert_eq!(Bundle::parse(b"[]").unwrap_err().code(), Code::BundleMalformed);
        assert_eq!(Bundle::parse(b"{}").unwrap_err().code(), Code::BundleMediaType);
        let repeated = br#"{"mediaType":"a","verificationMaterial":{"publicKey":{"hint":"1","hint":"2"}}}"#;
        let error = Bundle::parse(repeated).unwrap_err();
        assert_eq!(error.code(), Code::BundleDuplicateKey);
        assert_eq!(error.evidence()[0].value, "hint");

        let mut message = key_bundle();
        message["messageSignature"] = json!({ "signature": "c2ln" });
        let error = parse(&message).unwrap_err();
        assert_eq!(error.code(), Code::BundleMalformed);
        assert!(error.message().contains("messageSignature"), "{error}");
    }

    #[test]
    fn size_is_bounded_before_parsing() {
        let huge = vec![b' '; usize::try_from(limits::BUNDLE_BYTES).unwrap() + 1];
        assert_eq!(Bundle::parse(&huge).unwrap_err().code(), Code::BundleTooLarge);
    }

    #[test]
    fn the_encoding_is_over_the_received_payload() {
        let bundle = parse(&key_bundle()).unwrap();
        assert_eq!(bundle.pae(), b"DSSEv1 28 application/vnd.in-toto+json 2 {}");
    }

    #[test]
    fn debug_says_nothing_of_the_content() {
        let shown = format!("{:?}", parse(&key_bundle()).unwrap());
        assert!(!shown.contains("in-toto") && !shown.contains("hint"), "{shown}");
    }

    #[test]
    fn files_are_read_with_their_origin() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.sig");
        assert_eq!(Bundle::read(&path).unwrap_err().code(), Code::BundleMissing);
        assert_eq!(Bundle::read(directory.path()).unwrap_err().code(), Code::BundleUnreadable);

        std::fs::write(&path, key_bundle().to_string()).unwrap();
        let bundle = Bundle::read(&path).unwrap();
        assert_eq!(bundle.origin().unwrap().path, path);
        assert_eq!(parse(&key_bundle()).unwrap().origin(), None);

        std::fs::write(&path, "{").unwrap();
        let error = Bundle::read(&path).unwrap_err();
        assert_eq!(error.code(), Code::BundleNotJson);
        assert!(error.path().unwrap().ends_with("model.sig"));

        let sparse = File::create(&path).unwrap();
        sparse.set_len(limits::BUNDLE_BYTES + 1).unwrap();
        assert_eq!(Bundle::read(&path).unwrap_err().code(), Code::BundleTooLarge);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_to_the_file_and_a_fifo_does_not_stall() {
        use std::os::unix::fs::{MetadataExt as _, symlink};

        let directory = tempfile::tempdir().unwrap();
        let (file, link, fifo) =
            (directory.path().join("b"), directory.path().join("l"), directory.path().join("f"));
        std::fs::write(&file, key_bundle().to_string()).unwrap();
        symlink(&file, &link).unwrap();
        let origin = Bundle::read(&link).unwrap().origin().unwrap().clone();
        let metadata = std::fs::metadata(&file).unwrap();
        assert_eq!((origin.device, origin.inode), (metadata.dev(), metadata.ino()));

        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(Bundle::read(&fifo).unwrap_err().code(), Code::BundleUnreadable);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Bundle::parse(&bytes);
            let _ = Statement::parse("application/vnd.in-toto+json", &bytes);
            let _ = Statement::claimed_predicate_type(&bytes);
        }

        #[test]
        fn a_changed_byte_does_not_panic(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = key_bundle().to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = Bundle::parse(&bytes);
        }
    }
}
