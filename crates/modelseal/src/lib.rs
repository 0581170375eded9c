//! Break the seal only if it is genuine.

#![allow(dead_code, unused_imports, clippy::unwrap_used)]

mod bundle;
mod clock;
mod digest;
mod error;
mod format;
mod json;
pub mod ledger;
mod limits;
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
pub use manifest::{Manifest, Tree};
pub use policy::{Approval, Claims, Floor, ModelName, Policy};
pub use source::{Selection, Source};
