//! Signs models as OpenSSF Model Signing (OMS) bundles.
//!
//! Private keys live in this crate and nowhere else: the verifying library `modelseal` never sees one. What it
//! writes, every OMS verifier accepts: a Sigstore bundle of version v0.3 around a DSSE envelope, signed with ECDSA
//! on P-256, P-384 or P-521. The nonce is deterministic (RFC 6979), so the same key and content give the same bytes.
//!
//! ```
//! use modelseal_sign::{Signer, SigningKey};
//!
//! let key = SigningKey::generate_p256();
//! let bundle = Signer::key(key).sign_statement(b"{}")?;
//! assert!(bundle.to_bytes().starts_with(b"{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\""));
//! # Ok::<(), modelseal_sign::Error>(())
//! ```

mod certificate;
mod error;
mod key;
mod model; // signs a tree: waits for the library's `Manifest::measure`
mod nonce;
mod pem;
mod signer;
mod write;

pub use error::Error;
pub use key::{Password, SigningKey};
pub use signer::{SignedBundle, Signer};
pub use write::{write_atomically, write_new_secret};
