//! Digest algorithms and the executor that computes them while bytes move to their final place.

mod algorithm;
mod executor;
mod forest;
mod fsverity;
mod plan;
#[cfg(test)]
mod reference;
mod subtree;

pub(crate) use algorithm::Hasher;
pub use algorithm::{Algorithm, Digest};
pub use executor::{CancelToken, Progress};
pub(crate) use executor::{Executor, Input, Job, Measured, Place, Wanted};

/// A length in memory as a length in a file.
fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
