//! Structure of verified bytes: which format a file is, and the tensors in it.

mod classify;
mod gguf;
mod index;
mod metadata;
mod safetensors;
mod tensor;
#[cfg(test)]
mod tests;
mod weights;

pub use classify::Format;
pub use metadata::{MetadataArray, MetadataValue};
pub use tensor::{DataType, Endian, TensorInfo};

pub(crate) use classify::{classify, sniff};
pub(crate) use index::{Reference, check_indexes, check_splits, references, split_reference};
pub(crate) use weights::WeightsFile;
