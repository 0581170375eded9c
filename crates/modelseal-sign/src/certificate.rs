//! The certificates that go into a bundle: the signing certificate and those above it, in order.

use der::{Document, Encode};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, SubjectKeyIdentifier};

use crate::error::{Error, Fault};
use crate::key::SigningKey;
use crate::pem;

/// DER certificates, the signing certificate first, each one issued by the next.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    certificates: Vec<Vec<u8>>,
}

impl Chain {
    /// Puts `leaf` and the certificates of `above` in order. The leaf may stand among them again.
    ///
    /// This is a check for the signer's sake: names and key identifiers link, and the leaf is the key's. Whether
    /// the chain is *trusted* is for each verifier and its anchors to say.
    pub(crate) fn new<P: AsRef<[u8]>>(key: &SigningKey, leaf: &[u8], above: &[P]) -> Result<Self, Error> {
        let leaf = parsed(leaf, "signing certificate")?.swap_remove(0);
        let spki = leaf.certificate.tbs_certificate.subject_public_key_info.to_der().map_err(|error| {
            Fault::CertificateMalformed { what: "signing certificate", detail: error.to_string() }
        })?;
        if spki != key.public_key_der()? {
            return Err(Fault::CertificateOfAnotherKey.into());
        }

        let mut pool: Vec<Parsed> = Vec::new();
        for text in above {
            for candidate in parsed(text.as_ref(), "certificate chain")? {
                if candidate.der != leaf.der && pool.iter().all(|other| other.der != candidate.der) {
                    pool.push(candidate);
                }
            }
        }

        let mut certificates = Vec::new();
        let mut last = leaf;
        while let Some(at) = pool.iter().position(|candidate| candidate.issued(&last)) {
            certificates.push(std::mem::replace(&mut last, pool.remove(at)).der);
        }
        certificates.push(last.der);
        match pool.first() {
            Some(stray) => {
                Err(Fault::ChainUnlinked { subject: stray.certificate.tbs_certificate.subject.to_string() }
                    .into())
            }
            None => Ok(Self { certificates }),
        }
    }

    /// The certificates in DER, leaf first.
    pub(crate) fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }
}

struct Parsed {
    der: Vec<u8>,
    certificate: Certificate,
}

impl Parsed {
    /// Whether this certificate's name, and its key identifier where both sides state one, are those of the issuer
    /// of `subject` (RFC 5280, sections 4.2.1.1 and 6.1.3).
    fn issued(&self, subject: &Self) -> bool {
        if self.certificate.tbs_certificate.subject != subject.certificate.tbs_certificate.issuer {
            return false;
        }
        match (self.subject_key(), subject.authority_key()) {
            (Some(own), Some(wanted)) => own == wanted,
            (Some(_) | None, Some(_) | None) => true,
        }
    }

    fn subject_key(&self) -> Option<Vec<u8>> {
        let (_, identifier) = self.certificate.tbs_certificate.get::<SubjectKeyIdentifier>().ok()??;
        Some(identifier.0.as_bytes().to_vec())
    }

    fn authority_key(&self) -> Option<Vec<u8>> {
        let (_, identifier) = self.certificate.tbs_certificate.get::<AuthorityKeyIdentifier>().ok()??;
        Some(identifier.key_identifier?.as_bytes().to_vec())
    }
}

/// Every `CERTIFICATE` of a PEM text; at least one.
fn parsed(pem: &[u8], what: &'static str) -> Result<Vec<Parsed>, Error> {
    let malformed = |detail: String| Fault::CertificateMalformed { what, detail };
    let text = std::str::from_utf8(pem).map_err(|error| malformed(error.to_string()))?;
    let mut found = Vec::new();
    for block in pem::blocks(text).iter().filter(|block| block.label == "CERTIFICATE") {
        let (_, document) = Document::from_pem(block.text).map_err(|error| malformed(error.to_string()))?;
        let certificate =
            Certificate::from_der(document.as_bytes()).map_err(|error| malformed(error.to_string()))?;
        found.push(Parsed { der: document.into_vec(), certificate });
    }
    if found.is_empty() { Err(malformed("no certificate found".to_owned()).into()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use modelseal::Code;

    const KEY: &str = include_str!("../tests/keys/p256-pkcs8.pem");
    const OTHER_KEY: &str = include_str!("../tests/keys/p384-sec1.pem");
    const LEAF: &str = include_str!("../tests/keys/leaf.pem");
    const INTERMEDIATE: &str = include_str!("../tests/keys/intermediate.pem");
    const ROOT: &str = include_str!("../tests/keys/root.pem");

    fn key(pem: &str) -> SigningKey {
        SigningKey::from_pem(pem.as_bytes(), None).unwrap()
    }

    fn subjects(chain: &Chain) -> Vec<String> {
        chain
            .certificates()
            .iter()
            .map(|der| Certificate::from_der(der).unwrap().tbs_certificate.subject.to_string())
            .collect()
    }

    #[test]
    fn puts_the_chain_in_order_whatever_the_files_say() {
        let in_order = ["O=Example,CN=model signing", "CN=test intermediate", "CN=test root"];
        let separate = Chain::new(&key(KEY), LEAF.as_bytes(), &[ROOT, INTERMEDIATE]).unwrap();
        assert_eq!(subjects(&separate), in_order);
        let together = format!("{LEAF}{INTERMEDIATE}{ROOT}{INTERMEDIATE}");
        assert_eq!(subjects(&Chain::new(&key(KEY), LEAF.as_bytes(), &[together]).unwrap()), in_order);
        let alone = Chain::new::<&str>(&key(KEY), LEAF.as_bytes(), &[]).unwrap();
        assert_eq!(subjects(&alone), in_order[..1]);
    }

    #[test]
    fn the_leaf_must_be_the_keys() {
        let error = Chain::new::<&str>(&key(OTHER_KEY), LEAF.as_bytes(), &[]).unwrap_err();
        assert_eq!(error.code(), Code::SignCertificate);
        let error = Chain::new::<&str>(&key(KEY), INTERMEDIATE.as_bytes(), &[]).unwrap_err();
        assert_eq!(error.code(), Code::SignCertificate);
    }

    #[test]
    fn a_gap_or_a_stranger_is_refused() {
        let error = Chain::new(&key(KEY), LEAF.as_bytes(), &[ROOT]).unwrap_err();
        assert_eq!(error.code(), Code::SignCertificate);
        assert!(error.to_string().contains("CN=test root"), "{error}");
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        for text in ["", KEY, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let error = Chain::new::<&str>(&key(KEY), text.as_bytes(), &[]).unwrap_err();
            assert_eq!(error.code(), Code::SignCertificate, "{text}");
            let error = Chain::new(&key(KEY), LEAF.as_bytes(), &[text]).unwrap_err();
            assert_eq!(error.code(), Code::SignCertificate, "{text}");
        }
    }
}
