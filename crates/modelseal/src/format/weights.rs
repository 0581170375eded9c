//! A weights file of either format, behind one face.

use std::collections::BTreeMap;

use crate::error::{Code, Error, Fault};

use super::Format;
use super::gguf::Gguf;
use super::metadata::MetadataValue;
use super::safetensors::Safetensors;
use super::tensor::TensorInfo;

/// The structure of one verified weights file. It holds no tensor data, only where it is.
#[derive(Clone, Debug)]
pub(crate) enum WeightsFile {
    Gguf(Gguf),
    Safetensors(Safetensors),
}

impl WeightsFile {
    /// Parses `bytes`, the whole verified file, as `format`. The caller names the file with [`Error::at`].
    ///
    /// Fails with `format.safetensors` or `format.gguf`, and with `format.content_mismatch` for a format that has no
    /// tensors this library reads.
    pub(crate) fn parse(format: Format, bytes: &[u8]) -> Result<Self, Error> {
        match format {
            Format::Gguf => Ok(Self::Gguf(Gguf::parse(bytes)?)),
            Format::Safetensors => Ok(Self::Safetensors(Safetensors::parse(bytes)?)),
            Format::Executable
            | Format::Inert
            | Format::Numpy
            | Format::Onnx
            | Format::Other
            | Format::Pickle
            | Format::Python
            | Format::Tensorflow => Err(NotWeights { format }.into()),
        }
    }

    /// The tensors, in the order of the file.
    pub(crate) fn tensors(&self) -> &[TensorInfo] {
        match self {
            Self::Gguf(file) => &file.tensors,
            Self::Safetensors(file) => &file.tensors,
        }
    }

    /// The metadata by key; strings only in safetensors.
    pub(crate) fn metadata(&self) -> &BTreeMap<String, MetadataValue> {
        match self {
            Self::Gguf(file) => &file.metadata,
            Self::Safetensors(file) => &file.metadata,
        }
    }

    /// The template that the file carries for chats (GGUF's `tokenizer.chat_template`).
    pub(crate) fn chat_template(&self) -> Option<&str> {
        self.metadata().get("tokenizer.chat_template")?.as_str()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("files of the format {format} have no tensors that this library reads")]
struct NotWeights {
    format: Format,
}

impl Fault for NotWeights {
    fn code(&self) -> Code {
        Code::FormatContentMismatch
    }
}
