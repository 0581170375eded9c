//! Safetensors: metadata and tensors of a file whose digest already matched.
//!
//! The `safetensors` crate, which most loaders use, is the judge of types, shapes and gap-free coverage. Before it
//! sees the header, a strict reading refuses what it would let pass: a repeated name (it keeps the last, other
//! readers the first), unknown fields, a header that does not start with `{`, and offsets beyond the file (whose sum
//! it does not check for overflow).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ::safetensors::SafeTensors;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::{Code, Fault};
use crate::limits;

use super::metadata::MetadataValue;
use super::tensor::{DataType, Endian, TensorInfo};

/// The length of the header, as a little-endian integer at the start of the file.
const LENGTH_BYTES: usize = 8;

/// The one name in a header that is no tensor.
const METADATA: &str = "__metadata__";

/// The structure of one safetensors file.
#[derive(Clone, Debug)]
pub(crate) struct Safetensors {
    pub(crate) metadata: BTreeMap<String, MetadataValue>,
    /// In the order of the file.
    pub(crate) tensors: Vec<TensorInfo>,
}

impl Safetensors {
    /// Parses a whole file. Reads the header only; tensor data is measured, not touched.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, SafetensorsError> {
        let (header, data) = split(bytes)?;
        let data_bytes = u64::try_from(data.len()).map_err(|_| SafetensorsError::HeaderLength)?;
        let text = std::str::from_utf8(header).map_err(|_| SafetensorsError::Utf8)?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        Header { data_bytes }
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end())
            .map_err(|error| SafetensorsError::Header { detail: error.to_string() })?;

        let (_, parsed) = SafeTensors::read_metadata(bytes)
            .map_err(|error| SafetensorsError::Header { detail: error.to_string() })?;
        let start = u64::try_from(header.len()).ok().and_then(|length| length.checked_add(8));
        let start = start.ok_or(SafetensorsError::HeaderLength)?;
        let mut tensors = Vec::new();
        for name in parsed.offset_keys() {
            let info = parsed.info(&name).ok_or(SafetensorsError::HeaderLength)?;
            let refused = || SafetensorsError::Tensor { tensor: name.clone() };
            let dtype = DataType::from_name(&info.dtype.to_string()).ok_or_else(refused)?;
            let offset = |offset: usize| {
                u64::try_from(offset).ok().and_then(|offset| start.checked_add(offset)).ok_or_else(refused)
            };
            let range = offset(info.data_offsets.0)?..offset(info.data_offsets.1)?;
            let shape = info.shape.iter().map(|dimension| u64::try_from(*dimension));
            let shape = shape.collect::<Result<_, _>>().map_err(|_| refused())?;
            tensors.push(TensorInfo { name, dtype, endian: Endian::Little, shape, range });
        }
        let metadata = parsed.metadata().clone().unwrap_or_default();
        let metadata = metadata.into_iter().map(|(key, text)| (key, MetadataValue::String(text))).collect();
        Ok(Self { metadata, tensors })
    }
}

/// Header and data of a file whose first bytes could be safetensors.
pub(crate) fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), SafetensorsError> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or(SafetensorsError::HeaderLength)?;
    let length = u64::from_le_bytes(*length);
    if length > limits::SAFETENSORS_HEADER_BYTES {
        return Err(SafetensorsError::HeaderLength);
    }
    let length = usize::try_from(length).map_err(|_| SafetensorsError::HeaderLength)?;
    let (header, data) = rest.split_at_checked(length).ok_or(SafetensorsError::HeaderLength)?;
    // The format's own rule: the header begins with `{` and may end in spaces.
    if header.first() != Some(&b'{') {
        return Err(SafetensorsError::Brace);
    }
    Ok((header, data))
}

/// The strict reading of a header. It keeps names, to find repetitions, and nothing else.
struct Header {
    data_bytes: u64,
}

impl<'de> DeserializeSeed<'de> for Header {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Header {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if names.contains(&name) {
                return Err(A::Error::custom(format_args!("`{name}` occurs twice")));
            }
            if names.len() == limits::SAFETENSORS_TENSORS {
                return Err(A::Error::custom(format_args!(
                    "it lists more than {} tensors",
                    limits::SAFETENSORS_TENSORS
                )));
            }
            if name == METADATA {
                map.next_value::<Texts>()?;
            } else {
                let entry = map.next_value::<Entry>()?;
                if entry.data_offsets.1 > self.data_bytes {
                    return Err(A::Error::custom(format_args!(
                        "`{name}` reaches beyond the end of the file"
                    )));
                }
            }
            names.insert(name);
        }
        Ok(())
    }
}

/// One tensor. The judgement of its fields is the crate's.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(rename = "dtype")]
    _dtype: ::safetensors::Dtype,
    #[serde(rename = "shape")]
    _shape: Shape,
    data_offsets: (u64, u64),
}

/// Dimensions, counted and dropped.
struct Shape;

impl<'de> serde::Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Self)
    }
}

impl<'de> Visitor<'de> for Shape {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of dimensions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self, A::Error> {
        let mut left = limits::SAFETENSORS_DIMENSIONS;
        while sequence.next_element::<u64>()?.is_some() {
            left = left.checked_sub(1).ok_or_else(|| {
                A::Error::custom(format_args!("more than {} dimensions", limits::SAFETENSORS_DIMENSIONS))
            })?;
        }
        Ok(self)
    }
}

/// Metadata: texts under distinct keys.
struct Texts;

impl<'de> serde::Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for Texts {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value::<String>()?;
            if keys.contains(&key) {
                return Err(A::Error::custom(format_args!("the metadata key `{key}` occurs twice")));
            }
            keys.insert(key);
        }
        Ok(self)
    }
}

/// Why a file is not well-formed safetensors.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SafetensorsError {
    #[error("the header does not start with `{{`")]
    Brace,
    #[error("the header is not acceptable: {detail}")]
    Header { detail: String },
    #[error(
        "the length of the header exceeds the file or the format's bound of {} bytes",
        limits::SAFETENSORS_HEADER_BYTES
    )]
    HeaderLength,
    #[error("tensor `{tensor}` has a type or size this version does not know")]
    Tensor { tensor: String },
    #[error("the header is not UTF-8")]
    Utf8,
}

impl Fault for SafetensorsError {
    fn code(&self) -> Code {
        Code::FormatSafetensors
    }
}
