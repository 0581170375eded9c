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
        let segments: Vec<&str> = name.split('/').collect();
        if segments.len() > 4 || !segments.iter().all(|segment| is_segment(segment)) {
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

fn is_segment(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    bytes.len() <= 96
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && !segment.contains("..")
}

/// The `match` of a rule: a full name, or a literal prefix ending in `*`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Pattern {
    Name(ModelName),
    Prefix(String),
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
