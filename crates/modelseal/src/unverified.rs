//! What a bundle says of itself before anyone checked it: for people who inspect one.
//!
//! Nothing here converts into a manifest, a claim or an approval, and no decision may rest on it: whoever can write
//! the bundle chooses every word.

use serde::Serialize;
use sha2::Digest as _;

use crate::bundle::{Bundle, Material, Statement};
use crate::error::{Error, escaped};
use crate::manifest::{Manifest, Method, SignedFile};

/// What a bundle claims. None of it is verified.
///
/// Text is escaped and bounded for printing, so a path in here need not be a path that exists.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Description {
    /// Always `unverified`, so that the serialized form says so too.
    pub status: &'static str,
    /// Hex SHA-256 of the document.
    pub bundle_sha256: String,
    /// The media type, in its current spelling.
    pub media_type: &'static str,
    /// The signing method that the verification material belongs to: `key`, `certificate` or `sigstore`.
    pub method: &'static str,
    /// For `key`, which key the signer says it used: hex SHA-256 of its PEM text.
    pub key_hint: Option<String>,
    /// Certificates in the bundle.
    pub certificates: usize,
    /// The payload type of the envelope.
    pub payload_type: String,
    /// The predicate type, if it is one that this version reads.
    pub predicate_type: Option<&'static str>,
    /// What the payload lists.
    pub manifest: Option<ClaimedManifest>,
    /// Why the payload is no manifest: code and reason.
    pub problem: Option<String>,
}

/// What an unverified payload lists.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ClaimedManifest {
    /// What the signer called the model.
    pub subject: String,
    /// The root digest, recomputed from the listed digests: hexadecimal SHA-256.
    pub root_digest: String,
    /// The name-binding digest of the list: `dirHash:<hex>` or `treeHash:<hex>`.
    pub name_digest: String,
    /// `files` or `shards`.
    pub serialization: &'static str,
    /// Bytes per range, with shards.
    pub shard_size: Option<u64>,
    /// `sha256`, `blake2b` or `blake3`.
    pub algorithm: &'static str,
    /// Paths that the signer left out.
    pub ignore_paths: Vec<String>,
    /// Every file, sorted by path.
    pub files: Vec<ClaimedFile>,
    /// Things a strict reader would refuse.
    pub warnings: Vec<String>,
}

/// One file of an unverified payload.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ClaimedFile {
    /// Its path relative to the model.
    pub path: String,
    /// Its size in bytes, if listed.
    pub size: Option<u64>,
    /// Hexadecimal digest of the file, or of each range in order.
    pub digests: Vec<String>,
}

/// Describes a bundle without verifying anything.
///
/// A payload that is no manifest is described as well: `problem` says why.
///
/// # Errors
///
/// Those of [`Bundle::parse`].
///
/// ```
/// let bundle = r#"{
///   "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
///   "verificationMaterial": { "publicKey": { "hint": "e845" } },
///   "dsseEnvelope": {
///     "payload": "e30=",
///     "payloadType": "application/vnd.in-toto+json",
///     "signatures": [{ "sig": "c2ln" }]
///   }
/// }"#;
/// let description = modelseal::unverified::describe(bundle.as_bytes())?;
/// assert_eq!(description.status, "unverified");
/// assert_eq!(description.method, "key");
/// assert!(description.problem.unwrap().starts_with("statement.type: "));
/// # Ok::<(), modelseal::Error>(())
/// ```
pub fn describe(bundle: &[u8]) -> Result<Description, Error> {
    let bundle = Bundle::parse(bundle)?;
    let (method, key_hint, certificates) = match bundle.material() {
        Material::Certificate { chain } => ("certificate", None, chain.len()),
        Material::Key { hint: Some(hint), .. } => ("key", Some(escaped(hint)), 0),
        // Before 1.1.0 bundles carried the PEM text itself: its digest is what the hint is now.
        Material::Key { hint: None, raw_bytes } => {
            ("key", raw_bytes.as_ref().map(|pem| hex::encode(sha2::Sha256::digest(pem))), 0)
        }
        Material::Keyless { .. } => ("sigstore", None, 1),
    };
    let statement = Statement::parse(bundle.payload_type(), bundle.payload());
    let predicate_type = statement.as_ref().ok().map(|statement| statement.predicate_type.as_str());
    let (manifest, problem) = match statement.and_then(|statement| Manifest::from_statement(&statement)) {
        Ok(manifest) => (Some(ClaimedManifest::new(&manifest)), None),
        Err(error) => (None, Some(error.to_string())),
    };
    Ok(Description {
        status: "unverified",
        bundle_sha256: hex::encode(bundle.sha256()),
        media_type: bundle.media_type().as_str(),
        method,
        key_hint,
        certificates,
        payload_type: escaped(bundle.payload_type()),
        predicate_type,
        manifest,
        problem,
    })
}

impl ClaimedManifest {
    fn new(manifest: &Manifest) -> Self {
        Self {
            subject: escaped(manifest.subject()),
            root_digest: manifest.root_digest(),
            name_digest: manifest.name_digest().to_string(),
            serialization: manifest.method().as_str(),
            shard_size: match manifest.method() {
                Method::Files => None,
                Method::Shards { size } => Some(size),
            },
            algorithm: manifest.algorithm().as_str(),
            ignore_paths: manifest.serialization.ignore_paths().iter().map(|path| escaped(path)).collect(),
            files: manifest.files().map(|(path, file)| ClaimedFile::new(path, file)).collect(),
            warnings: manifest.warnings.clone(),
        }
    }
}

impl ClaimedFile {
    fn new(path: &str, file: &SignedFile) -> Self {
        Self {
            path: escaped(path),
            size: file.size(),
            digests: file.digests().iter().map(crate::digest::Digest::to_hex).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::vectors;
    use crate::error::Code;

    #[test]
    fn bundles_of_the_conformance_suite_are_described() {
        for (name, bytes) in vectors::bundles(&["positive", "historical"]) {
            let description = describe(&bytes).unwrap();
            assert_eq!(description.problem, None, "{name}");
            let manifest = description.manifest.unwrap();
            assert!(!manifest.files.is_empty(), "{name}");
            if description.method == "key" {
                assert_eq!(
                    description.key_hint.as_deref(),
                    Some("e8450dec4eb99dae995da9af1bc2cc9f76ed669ee2e744f57abba763df3e3f8e"),
                    "{name}"
                );
            }
            assert_eq!(
                description.certificates,
                if description.method == "certificate" {
                    2
                } else {
                    usize::from(description.method == "sigstore")
                }
            );
        }
    }

    #[test]
    fn a_payload_that_is_no_manifest_is_a_problem_and_no_error() {
        for (name, bytes) in vectors::bundles(&["negative"]) {
            let expected = match name.as_str() {
                "malformed-empty-resources_fail" => "manifest.empty",
                "malformed-no-subject_fail" => "statement.subject",
                "malformed-wrong-predicate_fail" => "statement.predicate_type",
                _ => continue,
            };
            let description = describe(&bytes).unwrap();
            assert!(description.manifest.is_none(), "{name}");
            assert!(description.problem.unwrap().starts_with(expected), "{name}");
        }
    }

    #[test]
    fn a_document_that_is_no_bundle_is_an_error() {
        assert_eq!(describe(b"{").unwrap_err().code(), Code::BundleNotJson);
    }

    #[test]
    fn the_serialized_form_says_that_nothing_is_verified() {
        for (name, bytes) in vectors::bundles(&["positive"]) {
            let json = serde_json::to_value(describe(&bytes).unwrap()).unwrap();
            assert_eq!(json["status"], "unverified", "{name}");
        }
    }
}
