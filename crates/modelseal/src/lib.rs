//! *Break the seal only if it is genuine.*
//!
//! Model weights are programs that nobody reviews. modelseal decides whether a model may be loaded: it proves who
//! signed it and that not one byte changed, and only then hands out the bytes. It reads
//! [OpenSSF Model Signing](https://github.com/ossf/model-signing-spec) bundles (key, X.509 certificate chain, keyless
//! Sigstore) and opens safetensors and GGUF models under a policy that you write.
//!
//! ```no_run
//! use modelseal::{Clock, ModelName, Policy, verify_and_open};
//!
//! let policy = Policy::load("policy.toml", Clock::System)?;
//! let name = ModelName::parse("ibm-granite/granite-4.0-8b")?;
//! let model = verify_and_open("/models/granite", &name, &policy)?;
//! for (file, tensor) in model.tensors()? {
//!     println!("{file}: {} {:?}", tensor.name(), tensor.shape());
//! }
//! # Ok::<(), modelseal::Error>(())
//! ```
//!
//! What it promises:
//!
//! 1. **Fail closed.** Unverified bytes have no public type. Any error, any unknown, any missing evidence is a denial.
//! 2. **The bytes handed out are the bytes hashed.** Each file is opened once; nobody can change it afterwards.
//! 3. **Hash first, parse later.** No parser sees a byte before its digest matched.
//! 4. **Every path has one fate:** handed out, withheld, or a denial. An unsigned file that a loader could pick up denies.
//! 5. **The right publisher for this model.** The policy binds the name you state to publishers; nothing is trusted by default.
//! 6. **Offline and pure.** No network, no runtime, no environment: the same inputs give the same verdict and the same error.
//! 7. **Never panics on input, never trusts a length.**
//! 8. **Says what it did.** Every load, allowed or denied, leaves one record.
//!
//! # The flow
//!
//! [`verify_and_open`] is the whole flow in one call. Step by step it is
//! [`Policy::check`] then [`Claims::approve`] with a [`Tree`], then [`Approval::open`]; see [`manual::flow`]. Errors carry a
//! [`Code`], the file, evidence and a remedy; see [`manual::codes`]. What holds after the open is in
//! [`manual::assurance`]; what can go wrong elsewhere, and why not here, in [`manual::threats`]. The policy document is
//! described in [`policy`].
//!
//! # Features
//!
//! `keyless` (default): verification of keyless bundles. Without it they satisfy no publisher. No feature removes a
//! check.

mod bundle;
mod clock;
mod digest;
mod error;
mod format;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod json;
pub mod ledger;
mod limits;
mod load;
pub mod manifest;
pub mod manual;
mod open;
pub mod policy;
mod source;
mod sys;
mod trust;
pub mod unverified;

pub use bundle::Bundle;
pub use clock::{Clock, Timestamp};
pub use digest::{Algorithm, CancelToken, Digest, Progress};
pub use error::{Code, Error, Evidence};
pub use format::{DataType, Endian, Format, MetadataArray, MetadataValue, TensorInfo};
pub use ledger::Verdict;
pub use load::{verify_and_map, verify_and_open, verify_and_open_with};
pub use manifest::{Manifest, Tree};
pub use open::{
    Assurance, CompareOptions, MappedFile, MappedModel, OpenOptions, Tensor, Verification, VerifiedBytes,
    VerifiedDirectory, VerifiedFile, VerifiedModel, VerifiedReader,
};
pub use policy::{Approval, Claims, Floor, ModelName, Policy};
pub use source::{Selection, Source};
pub use sys::Mapping;
