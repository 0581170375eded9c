//! Distinguished names and name constraints (RFC 5280 sections 4.2.1.10, 7.1).

use std::str::FromStr;

use const_oid::db::rfc3280::EMAIL_ADDRESS;
use der::Encode;
use der::asn1::{Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::constraints::name::GeneralSubtrees;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};

use super::{Link, Problem};
use crate::error::Error;
use crate::limits;

/// Whether two names are equal: the same attributes in the same order, text compared without regard to case,
/// encoding and repeated spaces (RFC 5280 section 7.1, in its simple form).
pub(super) fn same(left: &Name, right: &Name) -> bool {
    left.0.len() == right.0.len() && left.0.iter().zip(&right.0).all(|(left, right)| same_rdn(left, right))
}

/// Whether `text` (RFC 4514) is the subject. RFC 4514 writes the last attribute first, many tools write the first one
/// first; the same attributes in the opposite order are the same subject here.
pub(super) fn is_subject(text: &str, subject: &Name) -> bool {
    let Ok(expected) = RdnSequence::from_str(text) else { return false };
    if expected.0.is_empty() {
        return false;
    }
    let mut reversed = expected.clone();
    reversed.0.reverse();
    same(&expected, subject) || same(&reversed, subject)
}

fn same_rdn(left: &RelativeDistinguishedName, right: &RelativeDistinguishedName) -> bool {
    left.0.len() == right.0.len()
        && left.0.iter().all(|attribute| right.0.iter().any(|other| same_attribute(attribute, other)))
}

fn same_attribute(left: &AttributeTypeAndValue, right: &AttributeTypeAndValue) -> bool {
    if left.oid != right.oid {
        return false;
    }
    match (text(left), text(right)) {
        (Some(left), Some(right)) => folded(&left) == folded(&right),
        _ => left.value.to_der().ok().is_some_and(|der| right.value.to_der().ok() == Some(der)),
    }
}

fn text(attribute: &AttributeTypeAndValue) -> Option<String> {
    let value = &attribute.value;
    value
        .decode_as::<Utf8StringRef<'_>>()
        .map(|text| text.as_str().to_owned())
        .or_else(|_| value.decode_as::<PrintableStringRef<'_>>().map(|text| text.as_str().to_owned()))
        .or_else(|_| value.decode_as::<Ia5StringRef<'_>>().map(|text| text.as_str().to_owned()))
        .or_else(|_| value.decode_as::<TeletexStringRef<'_>>().map(|text| text.as_str().to_owned()))
        .ok()
}

fn folded(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One name of a certificate, in the form constraints speak of.
enum Subject<'a> {
    Alternative(&'a GeneralName),
    Directory(&'a Name),
    /// An address in the subject (RFC 5280 section 4.2.1.10: constrained like an alternative name).
    Email(String),
}

/// RFC 5280 section 6.1.3 (b) and (c): every name of every certificate below a constraint, self-issued ones exempt
/// unless they are the leaf.
pub(super) fn check_constraints(path: &[Link]) -> Result<(), Error> {
    let mut work = 0_usize;
    for (height, issuer) in path.iter().enumerate().skip(1) {
        let Some(constraints) = &issuer.name_constraints else { continue };
        let refused = || -> Error { issuer.fault(Problem::NameConstraint).into() };
        for (position, certificate) in path.iter().enumerate().take(height) {
            let tbs = &certificate.certificate.tbs_certificate;
            if position > 0 && same(&tbs.issuer, &tbs.subject) {
                continue;
            }
            for name in subjects(certificate) {
                let excluded = constraints.excluded_subtrees.as_ref();
                let permitted = constraints.permitted_subtrees.as_ref();
                let subtrees = excluded.map_or(0, Vec::len).saturating_add(permitted.map_or(0, Vec::len));
                work = work.saturating_add(subtrees);
                if work > limits::NAME_CONSTRAINT_WORK {
                    return Err(refused());
                }
                let excluded = excluded.map_or(Hit::None, |subtrees| hits(subtrees, &name));
                let permitted = permitted.map_or(Hit::None, |subtrees| hits(subtrees, &name));
                if matches!(excluded, Hit::Inside | Hit::Unknown)
                    || matches!(permitted, Hit::Missed | Hit::Unknown)
                {
                    return Err(refused());
                }
            }
        }
    }
    Ok(())
}

fn subjects(certificate: &Link) -> Vec<Subject<'_>> {
    let subject = &certificate.certificate.tbs_certificate.subject;
    let mut names = Vec::new();
    if !subject.0.is_empty() {
        names.push(Subject::Directory(subject));
    }
    for attribute in subject.0.iter().flat_map(|rdn| rdn.0.iter()) {
        if attribute.oid == EMAIL_ADDRESS {
            // An address that cannot be read matches nothing permitted and everything excluded.
            names.push(Subject::Email(text(attribute).unwrap_or_default()));
        }
    }
    names.extend(
        certificate.subject_alt_name.iter().flat_map(|names| names.0.iter()).map(Subject::Alternative),
    );
    names
}

/// What a set of subtrees says of a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Hit {
    /// Within one of them.
    Inside,
    /// There are subtrees of this name's form, and it is in none of them.
    Missed,
    /// No subtree is of this name's form.
    None,
    /// A subtree cannot be understood; fails either way.
    Unknown,
}

fn hits(subtrees: &GeneralSubtrees, name: &Subject<'_>) -> Hit {
    let mut found = Hit::None;
    for subtree in subtrees {
        // RFC 5280 section 4.2.1.10: minimum is zero, maximum is absent.
        if subtree.minimum != 0 || subtree.maximum.is_some() {
            return Hit::Unknown;
        }
        match within(&subtree.base, name) {
            Some(true) => return Hit::Inside,
            Some(false) => found = Hit::Missed,
            None => {}
        }
        let understood = matches!(
            subtree.base,
            GeneralName::DirectoryName(_)
                | GeneralName::DnsName(_)
                | GeneralName::IpAddress(_)
                | GeneralName::Rfc822Name(_)
                | GeneralName::UniformResourceIdentifier(_)
        );
        if !understood {
            return Hit::Unknown;
        }
    }
    found
}

/// `None` if base and name are of different forms.
fn within(base: &GeneralName, name: &Subject<'_>) -> Option<bool> {
    match (base, name) {
        (GeneralName::DirectoryName(base), Subject::Directory(name)) => Some(is_prefix(base, name)),
        (GeneralName::DirectoryName(base), Subject::Alternative(GeneralName::DirectoryName(name))) => {
            Some(is_prefix(base, name))
        }
        (GeneralName::DnsName(base), Subject::Alternative(GeneralName::DnsName(name))) => {
            Some(in_domain(base.as_str(), name.as_str()))
        }
        (GeneralName::Rfc822Name(base), Subject::Alternative(GeneralName::Rfc822Name(name))) => {
            Some(is_address(base.as_str(), name.as_str()))
        }
        (GeneralName::Rfc822Name(base), Subject::Email(name)) => Some(is_address(base.as_str(), name)),
        (
            GeneralName::UniformResourceIdentifier(base),
            Subject::Alternative(GeneralName::UniformResourceIdentifier(name)),
        ) => Some(is_host(base.as_str(), name.as_str())),
        (GeneralName::IpAddress(base), Subject::Alternative(GeneralName::IpAddress(name))) => {
            Some(is_address_range(base.as_bytes(), name.as_bytes()))
        }
        _ => None,
    }
}

fn is_prefix(base: &Name, name: &Name) -> bool {
    base.0.len() <= name.0.len() && base.0.iter().zip(&name.0).all(|(base, name)| same_rdn(base, name))
}

fn in_domain(base: &str, name: &str) -> bool {
    let (base, name) = (base.to_ascii_lowercase(), name.to_ascii_lowercase());
    base.is_empty() || name == base || name.strip_suffix(&base).is_some_and(|rest| rest.ends_with('.'))
}

fn is_address(base: &str, name: &str) -> bool {
    let Some((_, host)) = name.rsplit_once('@') else { return false };
    match base.rsplit_once('@') {
        Some(_) => base.eq_ignore_ascii_case(name),
        None if base.starts_with('.') => host.to_ascii_lowercase().ends_with(&base.to_ascii_lowercase()),
        None => host.eq_ignore_ascii_case(base),
    }
}

/// RFC 5280 section 4.2.1.10: the constraint applies to the host part.
fn is_host(base: &str, name: &str) -> bool {
    let Some((_, rest)) = name.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let base = base.to_ascii_lowercase();
    if host.is_empty() {
        return false;
    }
    if base.starts_with('.') { host.ends_with(&base) } else { host == base }
}

fn is_address_range(base: &[u8], name: &[u8]) -> bool {
    if base.len() != name.len().saturating_mul(2) || !matches!(name.len(), 4 | 16) {
        return false;
    }
    let (network, mask) = base.split_at(name.len());
    network.iter().zip(mask).zip(name).all(|((network, mask), name)| network & mask == name & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_compared_as_names() {
        let name = RdnSequence::from_str("CN=model signing,O=Example").unwrap();
        assert!(is_subject("CN=model signing,O=Example", &name));
        assert!(is_subject("O=Example,CN=Model  Signing", &name));
        assert!(!is_subject("CN=model signing", &name));
        assert!(!is_subject("CN=model signing,O=Example,C=DE", &name));
        assert!(!is_subject("", &RdnSequence::default()));
        assert!(!is_subject("not a name", &name));
    }

    #[test]
    fn constraints_match_by_form() {
        assert!(in_domain("example.com", "a.example.com") && !in_domain("example.com", "badexample.com"));
        assert!(is_address("example.com", "x@example.com") && !is_address("example.com", "x@a.example.com"));
        assert!(is_address(".example.com", "x@a.example.com"));
        assert!(
            is_host(".example.com", "https://a.example.com/x")
                && !is_host("example.com", "https://a.example.com")
        );
        assert!(is_address_range(&[10, 0, 0, 0, 255, 0, 0, 0], &[10, 1, 2, 3]));
        assert!(!is_address_range(&[10, 0, 0, 0, 255, 0, 0, 0], &[11, 1, 2, 3]));
    }
}
