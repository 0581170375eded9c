//! Model names: what the caller states, never what a bundle or a path says.

use std::fmt;

use crate::error::{Code, Error, Fault};

/// What the caller calls the model: one to four segments of ASCII `[A-Za-z0-9][A-Za-z0-9._-]{0,95}`, joined by `/`,
/// no `..`, compared byte for byte.
///
/// ```
/// use modelseal::ModelName;
///
/// assert!(ModelName::parse("ibm-granite/granite-4.0-8b").is_ok());
/// assert!(ModelName::parse("/models/granite").is_err());
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ModelName(String);

impl ModelName {
    /// Parses a name.
    ///
    /// # Errors
    ///
    /// `policy.name_invalid`.
    pub fn parse(name: &str) -> Result<Self, Error> {
        if !is_name(name) {
            return Err(NameFault { name: name.to_owned() }.into());
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The `match` of a rule: a full name, or a literal prefix ending in `*`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Pattern {
    Name(ModelName),
    /// Without its `*`. Empty: every name.
    Prefix(String),
}

impl Pattern {
    /// Parses a `match`. `None` for text that no model name could ever match.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('*') {
            Some(prefix) => is_prefix(prefix).then(|| Self::Prefix(prefix.to_owned())),
            None => is_name(text).then(|| Self::Name(ModelName(text.to_owned()))),
        }
    }

    pub(super) fn matches(&self, name: &ModelName) -> bool {
        match self {
            Self::Name(full) => full == name,
            Self::Prefix(prefix) => name.0.starts_with(prefix.as_str()),
        }
    }

    /// Orders the patterns that match one name: a full name beats a prefix, a longer prefix a shorter one. Two
    /// different patterns that match one name are never equal here, so the order of the document does not matter.
    pub(super) fn precedence(&self) -> (bool, usize) {
        match self {
            Self::Name(full) => (true, full.0.len()),
            Self::Prefix(prefix) => (false, prefix.len()),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(full) => write!(f, "{full}"),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

const SEGMENTS: usize = 4;
const SEGMENT_BYTES: usize = 96;

fn is_name(text: &str) -> bool {
    text.split('/').take(SEGMENTS + 1).count() <= SEGMENTS && text.split('/').all(is_segment)
}

/// Whether some model name begins with this text.
fn is_prefix(text: &str) -> bool {
    let (whole, begun) = match text.rsplit_once('/') {
        Some((whole, begun)) => (Some(whole), begun),
        None => (None, text),
    };
    (begun.is_empty() || is_segment(begun))
        && whole.is_none_or(|whole| is_name(whole) && whole.split('/').count() < SEGMENTS)
}

pub(super) fn is_segment(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    bytes.len() <= SEGMENT_BYTES
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && !segment.contains("..")
}

#[derive(Debug, thiserror::Error)]
#[error("'{name}' is not a model name")]
struct NameFault {
    name: String,
}

impl Fault for NameFault {
    fn code(&self) -> Code {
        Code::PolicyNameInvalid
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> ModelName {
        ModelName::parse(text).unwrap()
    }

    #[test]
    fn names_have_one_to_four_plain_segments() {
        let longest = "x".repeat(96);
        for good in ["a", "a/b/c/d", "ibm-granite/granite-4.0-8b", "A._-", "0", "a.", longest.as_str()] {
            assert_eq!(name(good).as_str(), good);
        }
        let too_long = "x".repeat(97);
        let bad = [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "a/b/c/d/e",
            ".",
            "..",
            "a/..",
            "a..b",
            ".a",
            "-a",
            "_a",
            "a b",
            "a\n",
            "a*",
            "ä",
            "a\\b",
            "a:b",
            "a@b",
            too_long.as_str(),
        ];
        for bad in bad {
            assert_eq!(ModelName::parse(bad).unwrap_err().code(), Code::PolicyNameInvalid, "{bad:?}");
        }
    }

    #[test]
    fn patterns_are_names_or_prefixes_of_names() {
        for good in ["*", "a*", "org/*", "org/granite-4.*", "a/b/c/*", "a/b/c/d*", "org/name"] {
            assert_eq!(Pattern::parse(good).unwrap().to_string(), good);
        }
        for bad in
            ["", "**", "*/a", "a*b", "/*", "a//*", "a/b/c/d/*", "a..*", "-*", "org/-*", "a b*", "org/", "?"]
        {
            assert_eq!(Pattern::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_prefix_matches_bytes_and_not_segments() {
        let pattern = Pattern::parse("org/gran*").unwrap();
        for (text, expected) in [
            ("org/gran", true),
            ("org/granite", true),
            ("org/granite/v1", true),
            ("org/Granite", false),
            ("org", false),
        ] {
            assert_eq!(pattern.matches(&name(text)), expected, "{text}");
        }
        assert!(Pattern::parse("*").unwrap().matches(&name("a/b")));
        assert!(!Pattern::parse("org/gran").unwrap().matches(&name("org/granite")));
    }

    proptest! {
        #[test]
        fn every_beginning_of_a_name_is_a_prefix(
            text in "[a-z0-9][a-z0-9_-]{0,8}(/[a-z0-9][a-z0-9_-]{0,8}){0,3}", cut in 0_usize..40
        ) {
            let begun = text.get(..cut.min(text.len())).unwrap();
            let pattern = Pattern::parse(&format!("{begun}*"));
            prop_assert!(pattern.unwrap().matches(&name(&text)));
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".*") {
            let _ = (ModelName::parse(&text), Pattern::parse(&text));
        }
    }
}
