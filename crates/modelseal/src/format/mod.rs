//! Structure of verified bytes: which format a file is, and the tensors in it.

mod classify;
mod gguf;
mod index;
mod safetensors;

pub use classify::Format;
pub(crate) use classify::{classify, sniff};
