//! Untrusted bytes to [`Bundle`]: Sigstore bundle v0.1 to v0.3, DSSE envelope, in-toto statement.
//!
//! Parsing proves nothing. A [`Bundle`] is mute: it has no public accessor for anything a publisher may have
//! written, because nothing in it is verified yet.

mod statement;

pub(crate) use statement::{PredicateType, Statement};

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Fault};

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
        let _ = bytes;
        Err(BundleFault::NotJson { detail: "stub".to_owned() }.into())
    }

    /// Reads and parses the bundle in a file. Links are followed: a bundle's place is the caller's choice.
    ///
    /// # Errors
    ///
    /// `bundle.missing`, `bundle.unreadable`, and those of [`Bundle::parse`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let _ = path;
        Err(BundleFault::NotJson { detail: "stub".to_owned() }.into())
    }

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

#[derive(Debug, thiserror::Error)]
enum BundleFault {
    #[error("the bundle is not one well-formed JSON document: {detail}")]
    NotJson { detail: String },
}

impl Fault for BundleFault {
    fn code(&self) -> Code {
        match self {
            Self::NotJson { .. } => Code::BundleNotJson,
        }
    }
}
