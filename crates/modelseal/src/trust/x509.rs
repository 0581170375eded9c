//! Strict, linear validation of a certificate chain for code signing (RFC 5280 section 6.1).
//!
//! The bundle lists the chain leaf first. There is no path search: each certificate is issued by an anchor or by the
//! next one in the list, or the chain is refused. Anchors come from the policy: roots, intermediates, or an exact leaf.

mod names;

use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5280, rfc5912};
use der::{Decode, Encode};
use sha2::{Digest, Sha256};
use spki::SubjectPublicKeyInfoOwned;
use x509_cert::Certificate;
use x509_cert::ext::pkix::constraints::name::NameConstraints;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName};

use super::SubjectRule;
use super::key::PublicKey;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Evidence, Fault, escaped};
use crate::limits;

/// Certificates from the policy that may end a chain. Never empty.
#[derive(Clone, Debug)]
pub(crate) struct Anchors {
    certificates: Vec<Link>,
}

impl Anchors {
    /// Parses one or more PEM texts with one or more certificates each.
    pub(crate) fn from_pem<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let unusable = |detail: String| -> Error { super::TrustFault::Unreadable { detail }.into() };
        let mut certificates = Vec::new();
        for text in texts {
            let parsed = Certificate::load_pem_chain(text.as_bytes())
                .map_err(|error| unusable(format!("an anchor is not a certificate in PEM: {error}")))?;
            if parsed.is_empty() {
                return Err(unusable("a text holds no certificate".to_owned()));
            }
            for certificate in parsed {
                let der = certificate.to_der().map_err(|error| unusable(error.to_string()))?;
                certificates.push(Link::parse(&der, Place::Anchor)?);
            }
        }
        if certificates.is_empty() {
            return Err(unusable("there is no anchor".to_owned()));
        }
        Ok(Self { certificates })
    }
}

/// A chain that ends at an anchor and may sign code, as of the time it was checked.
#[derive(Debug)]
pub(super) struct Path {
    leaf_key: SubjectPublicKeyInfoOwned,
    subject: String,
    anchor: String,
    valid_until: Timestamp,
    warnings: Vec<String>,
}

impl Path {
    pub(super) fn leaf_key(&self) -> &SubjectPublicKeyInfoOwned {
        &self.leaf_key
    }

    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    pub(super) fn anchor(&self) -> &str {
        &self.anchor
    }

    pub(super) fn valid_until(&self) -> Timestamp {
        self.valid_until
    }

    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Where a certificate stands, for messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Anchor,
    Chain(usize),
}

/// One certificate, parsed, with the extensions that decide.
#[derive(Clone, Debug)]
struct Link {
    place: Place,
    der: Vec<u8>,
    certificate: Certificate,
    subject: String,
    basic_constraints: Option<BasicConstraints>,
    key_usage: Option<KeyUsage>,
    extended_key_usage: Option<ExtendedKeyUsage>,
    subject_alt_name: Option<SubjectAltName>,
    name_constraints: Option<NameConstraints>,
}

/// Validates a chain, leaf first.
pub(super) fn validate(
    chain: &[Vec<u8>],
    anchors: &Anchors,
    subject: &SubjectRule,
    strict: bool,
    now: Timestamp,
) -> Result<Path, Error> {
    let bytes = chain.iter().fold(0_usize, |sum, certificate| sum.saturating_add(certificate.len()));
    if chain.len() > limits::CHAIN_INTERMEDIATES + 2 || bytes > limits::CHAIN_BYTES {
        return Err(ChainFault::TooLarge { certificates: chain.len(), bytes }.into());
    }
    let path = link(chain, anchors)?;
    let mut earliest = i64::MAX;
    for certificate in &path {
        earliest = earliest.min(certificate.check_validity(now)?);
        certificate.check_key()?;
    }
    check_issuers(&path)?;
    names::check_constraints(&path)?;
    let (Some(leaf), Some(anchor)) = (path.first(), path.last()) else {
        return Err(ChainFault::TooLarge { certificates: 0, bytes: 0 }.into());
    };
    let warnings = leaf.check_leaf(strict)?;
    if let SubjectRule::Exact(expected) = subject
        && !names::is_subject(expected, &leaf.certificate.tbs_certificate.subject)
    {
        return Err(leaf.fault(Problem::Identity { expected: expected.clone() }).into());
    }
    Ok(Path {
        leaf_key: leaf.certificate.tbs_certificate.subject_public_key_info.clone(),
        subject: leaf.subject.clone(),
        anchor: format!("{} sha256:{}", anchor.subject, hex::encode(Sha256::digest(&anchor.der))),
        // RFC 5280 section 4.1.2.5: the certificate is valid through notAfter, so it is refused one second later.
        valid_until: Timestamp::from_seconds(earliest.saturating_add(1)).unwrap_or(now),
        warnings,
    })
}

/// Follows the issuers from the leaf to an anchor. The result starts with the leaf and ends with the anchor.
fn link(chain: &[Vec<u8>], anchors: &Anchors) -> Result<Vec<Link>, Error> {
    let mut path: Vec<Link> = Vec::new();
    for (position, der) in chain.iter().enumerate() {
        let next = Link::parse(der, Place::Chain(position))?;
        if let Some(last) = path.last() {
            if !names::same(
                &last.certificate.tbs_certificate.issuer,
                &next.certificate.tbs_certificate.subject,
            ) {
                return Err(last.fault(Problem::Untrusted).into());
            }
            last.check_signed_by(&next)?;
        }
        // The certificate itself is an anchor: a pin, or a root that the bundle carries and the policy names.
        if anchors.certificates.iter().any(|anchor| anchor.der == next.der) {
            path.push(next);
            return Ok(path);
        }
        let issuers = anchors.certificates.iter().filter(|anchor| {
            names::same(&next.certificate.tbs_certificate.issuer, &anchor.certificate.tbs_certificate.subject)
        });
        let mut forged = None;
        for anchor in issuers {
            match next.check_signed_by(anchor) {
                Ok(()) => {
                    let anchor = anchor.clone();
                    path.push(next);
                    path.push(anchor);
                    return Ok(path);
                }
                Err(error) => {
                    forged.get_or_insert(error);
                }
            }
        }
        let last_of_chain = position + 1 == chain.len();
        path.push(next);
        if let (true, Some(error)) = (last_of_chain, forged) {
            return Err(error);
        }
    }
    match path.last() {
        Some(last) => Err(last.fault(Problem::Untrusted).into()),
        None => Err(ChainFault::TooLarge { certificates: 0, bytes: 0 }.into()),
    }
}

/// RFC 5280 section 6.1.4: every certificate that issued another one.
fn check_issuers(path: &[Link]) -> Result<(), Error> {
    // Certificates that are not self-issued, between the issuer and the leaf.
    let mut below = 0_usize;
    for issuer in path.iter().skip(1) {
        let Some(constraints) = &issuer.basic_constraints else {
            return Err(issuer.fault(Problem::NotCa).into());
        };
        let may_sign = issuer.key_usage.as_ref().is_none_or(|usage| usage.0.contains(KeyUsages::KeyCertSign));
        if !constraints.ca || !may_sign {
            return Err(issuer.fault(Problem::NotCa).into());
        }
        if constraints.path_len_constraint.is_some_and(|most| usize::from(most) < below) {
            return Err(issuer.fault(Problem::PathLength).into());
        }
        if issuer
            .extended_key_usage
            .as_ref()
            .is_some_and(|usages| !usages.0.contains(&rfc5280::ID_KP_CODE_SIGNING))
        {
            return Err(issuer
                .fault(Problem::Usage { why: "its extended key usage does not allow code signing" })
                .into());
        }
        let tbs = &issuer.certificate.tbs_certificate;
        if !names::same(&tbs.issuer, &tbs.subject) {
            below += 1;
        }
    }
    Ok(())
}

impl Link {
    fn parse(der: &[u8], place: Place) -> Result<Self, Error> {
        let malformed = |detail: String| -> Error {
            ChainFault::Certificate {
                place: shown(place),
                subject: String::new(),
                problem: Problem::Malformed { detail },
            }
            .into()
        };
        if der.len() > limits::CERTIFICATE_BYTES {
            return Err(ChainFault::TooLarge { certificates: 1, bytes: der.len() }.into());
        }
        // Trailing bytes are refused by `from_der`.
        let certificate = Certificate::from_der(der).map_err(|error| malformed(error.to_string()))?;
        let tbs = &certificate.tbs_certificate;
        if tbs.version != x509_cert::Version::V3 {
            return Err(malformed("it is not an X.509 version 3 certificate".to_owned()));
        }
        // RFC 5280 section 4.1.1.2: the two algorithm fields are the same.
        if tbs.signature != certificate.signature_algorithm {
            return Err(malformed("its two signature algorithms differ".to_owned()));
        }
        let mut link = Self {
            place,
            der: der.to_vec(),
            subject: escaped(&tbs.subject.to_string()),
            certificate: certificate.clone(),
            basic_constraints: None,
            key_usage: None,
            extended_key_usage: None,
            subject_alt_name: None,
            name_constraints: None,
        };
        let mut seen: Vec<ObjectIdentifier> = Vec::new();
        for extension in tbs.extensions.iter().flatten() {
            // RFC 5280 section 4.2: not more than one instance of an extension.
            if seen.contains(&extension.extn_id) {
                return Err(malformed("an extension occurs twice".to_owned()));
            }
            seen.push(extension.extn_id);
            let value = extension.extn_value.as_bytes();
            let failed = |error: der::Error| malformed(error.to_string());
            match extension.extn_id {
                rfc5912::ID_CE_BASIC_CONSTRAINTS => {
                    link.basic_constraints = Some(BasicConstraints::from_der(value).map_err(failed)?);
                }
                rfc5912::ID_CE_KEY_USAGE => link.key_usage = Some(KeyUsage::from_der(value).map_err(failed)?),
                rfc5912::ID_CE_EXT_KEY_USAGE => {
                    link.extended_key_usage = Some(ExtendedKeyUsage::from_der(value).map_err(failed)?);
                }
                rfc5912::ID_CE_SUBJECT_ALT_NAME => {
                    link.subject_alt_name = Some(SubjectAltName::from_der(value).map_err(failed)?);
                }
                rfc5912::ID_CE_NAME_CONSTRAINTS => {
                    link.name_constraints = Some(NameConstraints::from_der(value).map_err(failed)?);
                }
                rfc5912::ID_CE_POLICY_CONSTRAINTS
                | rfc5912::ID_CE_POLICY_MAPPINGS
                | rfc5912::ID_CE_INHIBIT_ANY_POLICY => {
                    return Err(link.fault(Problem::PolicyConstraint).into());
                }
                // Policies restrict nothing where nobody requires one.
                rfc5912::ID_CE_CERTIFICATE_POLICIES => {}
                _ if extension.critical => {
                    let extension = extension.extn_id.to_string();
                    return Err(link.fault(Problem::CriticalExtension { extension }).into());
                }
                // RFC 5280 section 4.2: an extension that is not critical may be ignored.
                _ => {}
            }
        }
        Ok(link)
    }

    fn fault(&self, problem: Problem) -> ChainFault {
        ChainFault::Certificate { place: shown(self.place), subject: self.subject.clone(), problem }
    }

    /// Returns notAfter in seconds.
    fn check_validity(&self, now: Timestamp) -> Result<i64, Error> {
        let validity = &self.certificate.tbs_certificate.validity;
        let seconds = |time: x509_cert::time::Time| {
            i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
        };
        let (from, until) = (seconds(validity.not_before), seconds(validity.not_after));
        let time = |seconds| {
            Timestamp::from_seconds(seconds).map_or_else(|| "?".to_owned(), |time| time.to_string())
        };
        if now.seconds() < from {
            return Err(self.fault(Problem::NotYetValid { from: time(from), now }).into());
        }
        if now.seconds() > until {
            return Err(self.fault(Problem::Expired { until: time(until), now }).into());
        }
        Ok(until)
    }

    /// The floor for keys: what [`PublicKey`] accepts.
    fn check_key(&self) -> Result<(), Error> {
        PublicKey::from_info(&self.certificate.tbs_certificate.subject_public_key_info)
            .map(drop)
            .map_err(|error| self.fault(Problem::Algorithm { detail: error.message().to_owned() }).into())
    }

    fn check_signed_by(&self, issuer: &Self) -> Result<(), Error> {
        let key = PublicKey::from_info(&issuer.certificate.tbs_certificate.subject_public_key_info)
            .map_err(|error| issuer.fault(Problem::Algorithm { detail: error.message().to_owned() }))?;
        let message = self
            .certificate
            .tbs_certificate
            .to_der()
            .map_err(|error| self.fault(Problem::Malformed { detail: error.to_string() }))?;
        let signature = self.certificate.signature.as_bytes().ok_or_else(|| {
            self.fault(Problem::Malformed { detail: "its signature is not whole bytes".to_owned() })
        })?;
        match key.verifies_certificate(&self.certificate.signature_algorithm, &message, signature) {
            Some(true) => Ok(()),
            Some(false) => Err(self.fault(Problem::Signature).into()),
            None => {
                let detail = format!("signature algorithm {}", self.certificate.signature_algorithm.oid);
                Err(self.fault(Problem::Algorithm { detail }).into())
            }
        }
    }

    /// May this leaf sign a model? Returns what a strict reader would refuse.
    fn check_leaf(&self, strict: bool) -> Result<Vec<String>, Error> {
        let mut warnings = Vec::new();
        let mut tolerate = |why: &'static str| -> Result<(), Error> {
            if strict {
                return Err(self.fault(Problem::Usage { why }).into());
            }
            warnings.push(format!("leaf {}: {why}", self.subject));
            Ok(())
        };
        let usage = self.key_usage.as_ref().map(|usage| usage.0);
        let signs = usage.is_none_or(|usage| usage.contains(KeyUsages::DigitalSignature));
        if !signs {
            return Err(self.fault(Problem::Usage { why: "its key usage does not allow signatures" }).into());
        }
        let is_ca = self.basic_constraints.as_ref().is_some_and(|constraints| constraints.ca);
        let signs_certificates = usage.is_some_and(|usage| usage.contains(KeyUsages::KeyCertSign));
        match &self.extended_key_usage {
            // anyExtendedKeyUsage does not count.
            Some(usages) if !usages.0.contains(&rfc5280::ID_KP_CODE_SIGNING) => {
                return Err(self
                    .fault(Problem::Usage { why: "its extended key usage is not code signing" })
                    .into());
            }
            Some(_) => {}
            None if usage.is_some() && !signs_certificates => tolerate("it has no extended key usage")?,
            None => {
                return Err(self
                    .fault(Problem::Usage {
                        why: "it has no extended key usage and no key usage for signatures alone",
                    })
                    .into());
            }
        }
        if usage.is_none() {
            tolerate("it has no key usage")?;
        }
        // RFC 5280 section 4.2.1.3: without keyCertSign the key cannot sign certificates, whatever the flag says.
        if is_ca && (usage.is_none() || signs_certificates) {
            return Err(self.fault(Problem::Usage { why: "it is a certificate authority" }).into());
        }
        if is_ca {
            tolerate("it is marked as a certificate authority, without the usage to be one")?;
        }
        Ok(warnings)
    }
}

fn shown(place: Place) -> String {
    match place {
        Place::Anchor => "anchor".to_owned(),
        Place::Chain(0) => "leaf".to_owned(),
        Place::Chain(position) => format!("certificate {position}"),
    }
}

#[derive(Debug, thiserror::Error)]
enum ChainFault {
    #[error("{place} '{subject}': {problem}")]
    Certificate { place: String, subject: String, problem: Problem },
    #[error("the chain has {certificates} certificates of {bytes} bytes in all")]
    TooLarge { certificates: usize, bytes: usize },
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("its algorithm or key is below the floor: {detail}")]
    Algorithm { detail: String },
    #[error("it carries the critical extension {extension}, which is not understood")]
    CriticalExtension { extension: String },
    #[error("it expired at {until}; the time is {now}")]
    Expired { until: String, now: Timestamp },
    #[error("it is valid, but the publisher's subject is another one")]
    Identity { expected: String },
    #[error("it is not well-formed: {detail}")]
    Malformed { detail: String },
    #[error("a name below it violates its name constraints")]
    NameConstraint,
    #[error("it issued a certificate without being a certificate authority")]
    NotCa,
    #[error("it is valid from {from}; the time is {now}")]
    NotYetValid { from: String, now: Timestamp },
    #[error("the chain below it is longer than it allows")]
    PathLength,
    #[error("it carries policy constraints, which are refused")]
    PolicyConstraint,
    #[error("its issuer did not sign it")]
    Signature,
    #[error("its issuer is neither an anchor nor the next certificate")]
    Untrusted,
    #[error("{why}")]
    Usage { why: &'static str },
}

impl Fault for ChainFault {
    fn code(&self) -> Code {
        match self {
            Self::Certificate { problem, .. } => match problem {
                Problem::Algorithm { .. } => Code::X509Algorithm,
                Problem::CriticalExtension { .. } => Code::X509CriticalExtension,
                Problem::Expired { .. } => Code::X509Expired,
                Problem::Identity { .. } => Code::X509Identity,
                Problem::Malformed { .. } => Code::X509Malformed,
                Problem::NameConstraint => Code::X509NameConstraint,
                Problem::NotCa => Code::X509NotCa,
                Problem::NotYetValid { .. } => Code::X509NotYetValid,
                Problem::PathLength => Code::X509PathLength,
                Problem::PolicyConstraint => Code::X509PolicyConstraint,
                Problem::Signature => Code::X509Signature,
                Problem::Untrusted => Code::X509Untrusted,
                Problem::Usage { .. } => Code::X509Usage,
            },
            Self::TooLarge { .. } => Code::X509TooLarge,
        }
    }

    fn evidence(&self) -> Vec<Evidence> {
        match self {
            Self::Certificate { problem: Problem::Identity { expected }, subject, .. } => {
                vec![Evidence::new("expected", expected), Evidence::new("found", subject)]
            }
            Self::Certificate { .. } | Self::TooLarge { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
        GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    };

    use super::*;

    /// A certificate with its key.
    struct Made {
        params: CertificateParams,
        key: KeyPair,
        certificate: rcgen::Certificate,
    }

    impl Made {
        fn der(&self) -> Vec<u8> {
            self.certificate.der().to_vec()
        }
    }

    fn organisation(name: &str) -> DistinguishedName {
        let mut subject = DistinguishedName::new();
        subject.push(DnType::OrganizationName, name);
        subject
    }

    fn authority() -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = organisation("authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
    }

    fn leaf(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = organisation(name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params
    }

    fn root(params: CertificateParams) -> Made {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Made { params, key, certificate }
    }

    fn below(issuer: &Made, params: CertificateParams) -> Made {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &Issuer::from_params(&issuer.params, &issuer.key)).unwrap();
        Made { params, key, certificate }
    }

    fn judge_strictly(chain: &[&Made], anchor: &Made, strict: bool) -> Result<Vec<String>, Code> {
        let chain: Vec<Vec<u8>> = chain.iter().map(|made| made.der()).collect();
        let anchors = Anchors::from_pem([anchor.certificate.pem().as_str()]).unwrap();
        let now = Timestamp::parse("2026-11-20T00:00:00Z").unwrap();
        validate(&chain, &anchors, &SubjectRule::AnyIdentity, strict, now)
            .map(|path| path.warnings().to_vec())
            .map_err(|error| error.code())
    }

    fn judge(chain: &[&Made], anchor: &Made) -> Result<(), Code> {
        judge_strictly(chain, anchor, false).map(drop)
    }

    #[test]
    fn an_anchor_is_a_root_an_intermediate_or_the_leaf_itself() {
        let top = root(authority());
        let mut intermediate = authority();
        intermediate.distinguished_name = organisation("intermediate");
        let middle = below(&top, intermediate);
        let end = below(&middle, leaf("Example"));
        for anchor in [&top, &middle, &end] {
            assert_eq!(judge(&[&end, &middle], anchor), Ok(()));
            assert_eq!(judge(&[&end, &middle, &top], anchor), Ok(()), "a root in the bundle does no harm");
        }
        assert_eq!(judge(&[&end], &top), Err(Code::X509Untrusted), "nobody searches for a missing link");
        assert_eq!(judge(&[&end, &middle, &top], &root(authority())), Err(Code::X509Signature));
    }

    #[test]
    fn excluded_and_permitted_names_are_told_apart() {
        let constrained = |permitted: &[&str], excluded: &[&str]| {
            let subtrees = |names: &[&str]| {
                names.iter().map(|name| GeneralSubtree::DirectoryName(organisation(name))).collect()
            };
            let mut params = authority();
            params.name_constraints = Some(rcgen::NameConstraints {
                permitted_subtrees: subtrees(permitted),
                excluded_subtrees: subtrees(excluded),
            });
            root(params)
        };
        let verdict = |top: &Made, name: &str| judge(&[&below(top, leaf(name))], top);
        let excluded = constrained(&[], &["Evil"]);
        assert_eq!(verdict(&excluded, "Example"), Ok(()));
        assert_eq!(verdict(&excluded, "EVIL"), Err(Code::X509NameConstraint), "case is no way around");
        let permitted = constrained(&["Example"], &[]);
        assert_eq!(verdict(&permitted, "Example"), Ok(()));
        assert_eq!(verdict(&permitted, "Other"), Err(Code::X509NameConstraint));
        let both = constrained(&["Example"], &["Example"]);
        assert_eq!(verdict(&both, "Example"), Err(Code::X509NameConstraint));
    }

    #[test]
    fn leaves_that_a_strict_reader_refuses_carry_a_warning() {
        let top = root(authority());
        let mut unmarked = leaf("Example");
        unmarked.extended_key_usages.clear();
        // The shape of the public suite's leaf: marked as an authority, without the usage to be one.
        let mut marked = leaf("Example");
        marked.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        for params in [unmarked, marked.clone()] {
            let end = below(&top, params);
            assert_eq!(judge_strictly(&[&end], &top, false).unwrap().len(), 1);
            assert_eq!(judge_strictly(&[&end], &top, true), Err(Code::X509Usage));
        }
        marked.key_usages.push(KeyUsagePurpose::KeyCertSign);
        assert_eq!(
            judge(&[&below(&top, marked)], &top),
            Err(Code::X509Usage),
            "a real authority signs no models"
        );
        assert_eq!(judge_strictly(&[&below(&top, leaf("Example"))], &top, true), Ok(Vec::new()));
    }

    #[test]
    fn usages_must_allow_signing_code_along_the_path() {
        let top = root(authority());
        for usage in [
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::TimeStamping,
            ExtendedKeyUsagePurpose::Any,
        ] {
            let mut params = leaf("Example");
            params.extended_key_usages = vec![usage.clone()];
            assert_eq!(judge(&[&below(&top, params)], &top), Err(Code::X509Usage));
            let mut middle = authority();
            middle.extended_key_usages = vec![usage];
            let middle = below(&top, middle);
            assert_eq!(judge(&[&below(&middle, leaf("Example")), &middle], &top), Err(Code::X509Usage));
        }
        let mut encipherment = leaf("Example");
        encipherment.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
        assert_eq!(judge(&[&below(&top, encipherment)], &top), Err(Code::X509Usage));
    }

    #[test]
    fn an_expired_anchor_ends_no_chain() {
        let mut params = authority();
        params.not_after = rcgen::date_time_ymd(2026, 1, 1);
        let top = root(params);
        assert_eq!(judge(&[&below(&top, leaf("Example"))], &top), Err(Code::X509Expired));
    }

    #[test]
    fn mutated_certificates_never_panic_and_never_pass() {
        let top = root(authority());
        let end = below(&top, leaf("Example"));
        let anchors = Anchors::from_pem([top.certificate.pem().as_str()]).unwrap();
        let now = Timestamp::parse("2026-11-20T00:00:00Z").unwrap();
        let der = end.der();
        for position in 0..der.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut mutated = der.clone();
                mutated[position] ^= flip;
                let outcome = validate(&[mutated], &anchors, &SubjectRule::AnyIdentity, false, now);
                assert!(outcome.is_err(), "byte {position} ^ {flip:#x} was accepted");
            }
            assert!(
                validate(&[der[..position].to_vec()], &anchors, &SubjectRule::AnyIdentity, false, now)
                    .is_err()
            );
        }
    }
}
