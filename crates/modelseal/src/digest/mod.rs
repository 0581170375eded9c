//! Digest algorithms and the executor that computes them while bytes move to their final place.

mod algorithm;
mod executor;
mod fsverity;

pub(crate) use algorithm::Hasher;
pub use algorithm::{Algorithm, Digest};
pub use executor::{CancelToken, Progress};
pub(crate) use executor::{Executor, Job, Measured, Place, Wanted};
