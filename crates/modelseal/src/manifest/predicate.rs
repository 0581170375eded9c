//! The OMS predicate: statement to [`Manifest`], and back for signers.
//!
//! OpenSSF Model Signing v1.0, sections 5 and 6.

use super::{Manifest, NameDigest};
use crate::bundle::Statement;
use crate::error::{Code, Error, Fault};

impl Manifest {
    /// Reads the manifest out of a verified statement.
    pub(crate) fn from_statement(statement: &Statement) -> Result<Self, Error> {
        let _ = statement;
        Err(ManifestFault::Empty.into())
    }

    /// The name-binding digest.
    pub(crate) fn name_digest(&self) -> NameDigest {
        NameDigest::DirHash(self.root)
    }
}

#[derive(Debug, thiserror::Error)]
enum ManifestFault {
    #[error("the manifest lists no files")]
    Empty,
}

impl Fault for ManifestFault {
    fn code(&self) -> Code {
        match self {
            Self::Empty => Code::ManifestEmpty,
        }
    }
}
