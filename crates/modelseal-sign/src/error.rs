//! One error for the crate. Its codes are the library's.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use modelseal::Code;

/// Why nothing was signed, or why the signature was not written.
///
/// Carries a stable [`Code`] (`sign.*`, or the library's when measuring the model failed), the file it is about and
/// a remedy. Never carries key material or a password.
///
/// ```
/// use modelseal::Code;
/// use modelseal_sign::SigningKey;
///
/// let error = SigningKey::from_pem(b"not a key", None).unwrap_err();
/// assert_eq!(error.code(), Code::SignKey);
/// assert!(error.to_string().starts_with("sign.key: "));
/// ```
pub struct Error {
    inner: Box<Inner>,
}

enum Inner {
    Fault(Fault),
    Library(modelseal::Error),
}

impl Error {
    /// The stable reason.
    #[must_use]
    pub fn code(&self) -> Code {
        match &*self.inner {
            Inner::Fault(fault) => fault.code(),
            Inner::Library(error) => error.code(),
        }
    }

    /// The file the error is about.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match &*self.inner {
            Inner::Fault(fault) => fault.path().and_then(Path::to_str),
            Inner::Library(error) => error.path(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &str {
        match &*self.inner {
            Inner::Fault(fault) => fault.remedy().unwrap_or_else(|| fault.code().remedy()),
            Inner::Library(error) => error.remedy(),
        }
    }
}

impl From<modelseal::Error> for Error {
    fn from(error: modelseal::Error) -> Self {
        Self { inner: Box::new(Inner::Library(error)) }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self { inner: Box::new(Inner::Fault(fault)) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.inner {
            Inner::Fault(fault) => write!(f, "{}: {fault}", fault.code().as_str()),
            Inner::Library(error) => error.fmt(f),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self}; {})", self.remedy())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.inner {
            Inner::Fault(fault) => std::error::Error::source(fault),
            Inner::Library(error) => std::error::Error::source(error),
        }
    }
}

/// Everything that can go wrong here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("a certificate of the chain issued nothing in it: {subject}")]
    ChainUnlinked { subject: String },
    #[error("the {what} is not a certificate in PEM: {detail}")]
    CertificateMalformed { what: &'static str, detail: String },
    #[error("the signing certificate holds another public key than the private key's")]
    CertificateOfAnotherKey,
    #[error("the private key's encryption is not supported: {detail}")]
    KeyEncryption { detail: String },
    #[error("the private key is damaged: {detail}")]
    KeyMalformed { detail: String },
    #[error("there is no private key in PEM")]
    KeyMissing,
    #[error("the private key's type is not supported: {found}")]
    KeyUnsupported { found: String },
    #[error("{}: already exists", path.display())]
    OutputExists { path: PathBuf },
    #[error("{}: is not a regular file", path.display())]
    OutputNotRegular { path: PathBuf },
    #[error("{}: cannot be written: {error}", path.display())]
    OutputUnwritable { path: PathBuf, error: io::Error },
    #[error("the private key is encrypted and no password was given")]
    PasswordMissing,
    #[error("the private key does not open with this password")]
    PasswordWrong,
    #[error("the key could not make a signature: {detail}")]
    Signature { detail: String },
}

impl Fault {
    fn code(&self) -> Code {
        match self {
            Self::ChainUnlinked { .. }
            | Self::CertificateMalformed { .. }
            | Self::CertificateOfAnotherKey => Code::SignCertificate,
            Self::KeyEncryption { .. }
            | Self::KeyMalformed { .. }
            | Self::KeyMissing
            | Self::KeyUnsupported { .. }
            | Self::Signature { .. } => Code::SignKey,
            Self::OutputExists { .. } | Self::OutputNotRegular { .. } | Self::OutputUnwritable { .. } => {
                Code::SignOutput
            }
            Self::PasswordMissing | Self::PasswordWrong => Code::SignPassword,
        }
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::OutputExists { path }
            | Self::OutputNotRegular { path }
            | Self::OutputUnwritable { path, .. } => Some(path),
            Self::ChainUnlinked { .. }
            | Self::CertificateMalformed { .. }
            | Self::CertificateOfAnotherKey
            | Self::KeyEncryption { .. }
            | Self::KeyMalformed { .. }
            | Self::KeyMissing
            | Self::KeyUnsupported { .. }
            | Self::PasswordMissing
            | Self::PasswordWrong
            | Self::Signature { .. } => None,
        }
    }

    /// A remedy more precise than the code's.
    fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::ChainUnlinked { .. } => {
                Some("Give only the certificates between the signing certificate and its root.")
            }
            Self::CertificateMalformed { .. } => {
                Some("Give certificates in PEM (`-----BEGIN CERTIFICATE-----`).")
            }
            Self::KeyEncryption { .. } => {
                Some("Convert the key with `openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW`.")
            }
            Self::OutputExists { .. } => {
                Some("Choose another path, or move the file away; a key is never overwritten.")
            }
            Self::OutputNotRegular { .. } => Some("Name a file that does not exist yet, or a regular file."),
            Self::CertificateOfAnotherKey
            | Self::KeyMalformed { .. }
            | Self::KeyMissing
            | Self::KeyUnsupported { .. }
            | Self::OutputUnwritable { .. }
            | Self::PasswordMissing
            | Self::PasswordWrong
            | Self::Signature { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_error_names_its_file_once() {
        let error = Error::from(Fault::OutputExists { path: PathBuf::from("key.pem") });
        assert_eq!(error.code(), Code::SignOutput);
        assert_eq!(error.path(), Some("key.pem"));
        assert_eq!(error.to_string(), "sign.output: key.pem: already exists");
        assert!(error.remedy().contains("never overwritten"));
    }

    #[test]
    fn a_library_error_keeps_its_code_and_text() {
        let library = modelseal::ModelName::parse("../x").unwrap_err();
        let (code, text) = (library.code(), library.to_string());
        let error = Error::from(library);
        assert_eq!(error.code(), code);
        assert_eq!(error.to_string(), text);
    }
}
