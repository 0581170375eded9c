//! GGUF: metadata and tensors of a file whose digest already matched.
//!
//! The rules are those of the specification (docs/gguf.md in ggml) and, where it is silent, of its reference reader:
//! tensors lie in the order of their declaration, each at the next aligned offset, so that none overlaps another and
//! nothing hides between or behind them.

mod reader;

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Code, Fault};
use crate::limits;

use super::metadata::MetadataValue;
use super::tensor::{DataType, Endian, TensorInfo};
use reader::Reader;

/// The first four bytes, in either byte order.
pub(crate) const MAGIC: &[u8; 4] = b"GGUF";

/// The alignment of a file without `general.alignment`.
const DEFAULT_ALIGNMENT: u64 = 32;

/// A tensor's declaration is at least this long: name length, one byte of name, dimension count, type, offset.
const SMALLEST_TENSOR: u64 = 8 + 1 + 4 + 4 + 8;

/// A metadata pair is at least this long: key length, one byte of key, type, one byte of value.
const SMALLEST_PAIR: u64 = 8 + 1 + 4 + 1;

/// The structure of one GGUF file.
#[derive(Clone, Debug)]
pub(crate) struct Gguf {
    pub(crate) metadata: BTreeMap<String, MetadataValue>,
    /// In the order of the file.
    pub(crate) tensors: Vec<TensorInfo>,
}

impl Gguf {
    /// Parses a whole file. Reads the header only; tensor data is measured, not touched.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, GgufError> {
        let endian = byte_order(bytes)?;
        let mut reader = Reader::new(bytes, endian);
        // Magic and version, which are judged already.
        reader.uint64()?;
        let tensor_count = reader.uint64()?;
        let pair_count = reader.uint64()?;
        if tensor_count > limits::GGUF_TENSORS {
            return Err(GgufError::Count {
                what: "tensors",
                count: tensor_count,
                limit: limits::GGUF_TENSORS,
            });
        }
        if pair_count > limits::GGUF_PAIRS {
            return Err(GgufError::Count {
                what: "metadata pairs",
                count: pair_count,
                limit: limits::GGUF_PAIRS,
            });
        }

        let metadata = pairs(&mut reader, pair_count)?;
        let alignment = alignment(&metadata)?;
        let declared = declarations(&mut reader, tensor_count)?;
        let tensors = placed(declared, &reader, alignment, endian, bytes.len())?;
        Ok(Self { metadata, tensors })
    }
}

/// The byte order of a file of a known version. The magic is the same in both orders; the version tells them apart.
pub(crate) fn byte_order(bytes: &[u8]) -> Result<Endian, GgufError> {
    let Some((magic, rest)) = bytes.split_first_chunk::<4>() else { return Err(GgufError::Magic) };
    if magic != MAGIC {
        return Err(GgufError::Magic);
    }
    let Some(version) = rest.first_chunk::<4>() else {
        return Err(GgufError::Truncated { position: MAGIC.len() });
    };
    match (u32::from_le_bytes(*version), u32::from_be_bytes(*version)) {
        (2 | 3, _) => Ok(Endian::Little),
        // Version 3 is the first that may be big-endian.
        (_, 3) => Ok(Endian::Big),
        (1, _) | (_, 1) => Err(GgufError::VersionOne),
        (version, _) => Err(GgufError::Version { version }),
    }
}

fn pairs(reader: &mut Reader<'_>, count: u64) -> Result<BTreeMap<String, MetadataValue>, GgufError> {
    reader.require(count, SMALLEST_PAIR)?;
    let mut metadata = BTreeMap::new();
    for _ in 0..count {
        let key = reader.name()?;
        let kind = reader.uint32()?;
        let value = reader.value(kind)?;
        if metadata.insert(key.to_owned(), value).is_some() {
            return Err(GgufError::DuplicateKey { key: key.to_owned() });
        }
    }
    Ok(metadata)
}

/// The alignment of the tensors: a multiple of eight by the specification, a power of two by the reference reader.
fn alignment(metadata: &BTreeMap<String, MetadataValue>) -> Result<u64, GgufError> {
    match metadata.get("general.alignment") {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(MetadataValue::Uint32(value)) if value.is_power_of_two() && *value >= 8 => Ok(u64::from(*value)),
        Some(_) => Err(GgufError::Alignment),
    }
}

/// One tensor as declared, its place not yet checked.
struct Declaration<'a> {
    name: &'a str,
    dtype: DataType,
    shape: Vec<u64>,
    offset: u64,
    size: u64,
}

fn declarations<'a>(reader: &mut Reader<'a>, count: u64) -> Result<Vec<Declaration<'a>>, GgufError> {
    reader.require(count, SMALLEST_TENSOR)?;
    let mut declared = Vec::with_capacity(reader.size(count)?);
    let mut names = BTreeSet::new();
    for _ in 0..count {
        let name = reader.name()?;
        if !names.insert(name) {
            return Err(GgufError::DuplicateTensor { tensor: name.to_owned() });
        }
        declared.push(declaration(reader, name)?);
    }
    Ok(declared)
}

fn declaration<'a>(reader: &mut Reader<'a>, name: &'a str) -> Result<Declaration<'a>, GgufError> {
    let tensor = || name.to_owned();
    let dimensions = reader.uint32()?;
    if dimensions > limits::GGUF_DIMENSIONS {
        return Err(GgufError::Dimensions { tensor: tensor(), dimensions });
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        shape.push(reader.uint64()?);
    }
    let number = reader.uint32()?;
    let dtype = DataType::from_ggml(number).ok_or_else(|| GgufError::Type { tensor: tensor(), number })?;
    // A row is the innermost dimension, and a block never crosses rows. No dimension at all is one element.
    let row = shape.first().copied().unwrap_or(1);
    if row % dtype.block_elements() != 0 {
        return Err(GgufError::Row { tensor: tensor(), dtype, row });
    }
    let size = shape
        .iter()
        .try_fold(1_u64, |elements, dimension| elements.checked_mul(*dimension))
        // ggml counts elements in a signed 64-bit integer.
        .filter(|elements| i64::try_from(*elements).is_ok())
        .and_then(|elements| elements.checked_div(dtype.block_elements()))
        .and_then(|blocks| blocks.checked_mul(dtype.block_bytes()))
        .ok_or_else(|| GgufError::TensorTooLarge { tensor: tensor() })?;
    // The file has the innermost dimension first.
    shape.reverse();
    Ok(Declaration { name, dtype, shape, offset: reader.uint64()?, size })
}

/// Puts the tensors into the file: each at the aligned end of the one before, the last within the file.
fn placed(
    declared: Vec<Declaration<'_>>,
    reader: &Reader<'_>,
    alignment: u64,
    endian: Endian,
    length: usize,
) -> Result<Vec<TensorInfo>, GgufError> {
    let length = u64::try_from(length).map_err(|_| GgufError::Overflow)?;
    let header = u64::try_from(reader.position()).map_err(|_| GgufError::Overflow)?;
    let data = header.checked_next_multiple_of(alignment).ok_or(GgufError::Overflow)?;

    let mut next = 0_u64;
    let mut tensors = Vec::with_capacity(declared.len());
    for Declaration { name, dtype, shape, offset, size } in declared {
        if offset != next {
            return Err(GgufError::Offset { tensor: name.to_owned(), offset, expected: next });
        }
        let start = data.checked_add(offset);
        let range = start.and_then(|start| Some(start..start.checked_add(size)?));
        let range = range.filter(|range| range.end <= length);
        let range = range.ok_or_else(|| GgufError::Outside { tensor: name.to_owned() })?;
        next = offset
            .checked_add(size)
            .and_then(|end| end.checked_next_multiple_of(alignment))
            .ok_or(GgufError::Overflow)?;
        tensors.push(TensorInfo { name: name.to_owned(), dtype, endian, shape, range });
    }

    // Writers pad the last tensor too, some do not: both are well-formed. More than padding is not.
    let end = data.checked_add(next).ok_or(GgufError::Overflow)?;
    match length.checked_sub(end) {
        Some(extra @ 1..) => Err(GgufError::Trailing { extra }),
        Some(0) | None => Ok(tensors),
    }
}

/// Why a file is not well-formed GGUF.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GgufError {
    #[error("`general.alignment` is not a 32-bit power of two of at least 8")]
    Alignment,
    #[error("an array before byte {position} has {count} elements, more than {}", limits::GGUF_ARRAY)]
    ArrayTooLong { count: u64, position: usize },
    #[error("a truth value before byte {position} is neither 0 nor 1")]
    Bool { position: usize },
    #[error("the file declares {count} {what}, more than {limit}")]
    Count { what: &'static str, count: u64, limit: u64 },
    #[error("tensor `{tensor}` has {dimensions} dimensions, more than {}", limits::GGUF_DIMENSIONS)]
    Dimensions { tensor: String, dimensions: u32 },
    #[error("the metadata key `{key}` occurs twice")]
    DuplicateKey { key: String },
    #[error("the tensor `{tensor}` occurs twice")]
    DuplicateTensor { tensor: String },
    #[error("the header is longer than {limit} bytes")]
    HeaderTooLarge { limit: usize },
    #[error("the file does not start with `GGUF`")]
    Magic,
    #[error("a name before byte {position} is empty or contains NUL")]
    Name { position: usize },
    #[error("arrays before byte {position} nest deeper than {} levels", limits::GGUF_NESTING)]
    Nesting { position: usize },
    #[error(
        "tensor `{tensor}` is at offset {offset}, but the one before ends so that it must be at {expected}"
    )]
    Offset { tensor: String, offset: u64, expected: u64 },
    #[error("tensor `{tensor}` reaches beyond the end of the file")]
    Outside { tensor: String },
    #[error("the sizes in the header exceed 64 bits")]
    Overflow,
    #[error("tensor `{tensor}` has rows of {row} elements, which {dtype} cannot divide into blocks")]
    Row { tensor: String, dtype: DataType, row: u64 },
    #[error("a string before byte {position} has {length} bytes, more than {limit}")]
    StringTooLong { length: u64, limit: u64, position: usize },
    #[error("tensor `{tensor}` has more elements or bytes than 64 bits can count")]
    TensorTooLarge { tensor: String },
    #[error("{extra} bytes follow the last tensor")]
    Trailing { extra: u64 },
    #[error("the header ends in the middle of a field at byte {position}")]
    Truncated { position: usize },
    #[error("tensor `{tensor}` has type {number}, which ggml does not define or has removed")]
    Type { tensor: String, number: u32 },
    #[error("a string before byte {position} is not UTF-8")]
    Utf8 { position: usize },
    #[error("a metadata value before byte {position} has the unknown type {kind}")]
    ValueType { kind: u32, position: usize },
    #[error("the file has GGUF version {version}; versions 2 and 3 are known, big-endian only in version 3")]
    Version { version: u32 },
    #[error("the file has GGUF version 1, which no current reader supports")]
    VersionOne,
}

impl Fault for GgufError {
    fn code(&self) -> Code {
        Code::FormatGguf
    }

    fn remedy(&self) -> Option<String> {
        matches!(self, Self::VersionOne)
            .then(|| "Ask the publisher for the model in GGUF version 3.".to_owned())
    }
}
