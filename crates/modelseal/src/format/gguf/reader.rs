//! Typed reads from a GGUF header. Every length is checked against the bytes that are left before it is used.

use super::GgufError;
use crate::format::metadata::{MetadataArray, MetadataValue};
use crate::format::tensor::Endian;
use crate::limits;

/// A position in the header of a GGUF file.
pub(super) struct Reader<'a> {
    header: &'a [u8],
    rest: &'a [u8],
    endian: Endian,
    /// Whether `header` was cut at the bound of [`limits::GGUF_HEADER_BYTES`] rather than at the end of the file.
    cut: bool,
}

/// Reads of one number each, in the file's byte order.
macro_rules! numbers {
    ($($name:ident -> $type:ty;)*) => {
        $(
            pub(super) fn $name(&mut self) -> Result<$type, GgufError> {
                let bytes = self.array()?;
                Ok(match self.endian {
                    Endian::Big => <$type>::from_be_bytes(bytes),
                    Endian::Little => <$type>::from_le_bytes(bytes),
                })
            }
        )*
    };
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], endian: Endian) -> Self {
        let bounded = bytes.get(..limits::GGUF_HEADER_BYTES);
        let header = bounded.unwrap_or(bytes);
        Self { header, rest: header, endian, cut: bounded.is_some() }
    }

    pub(super) fn position(&self) -> usize {
        self.header.len().saturating_sub(self.rest.len())
    }

    numbers! {
        int8 -> i8;
        int16 -> i16;
        int32 -> i32;
        int64 -> i64;
        uint8 -> u8;
        uint16 -> u16;
        uint32 -> u32;
        uint64 -> u64;
        float32 -> f32;
        float64 -> f64;
    }

    /// A truth value: the specification allows 0 and 1 and calls anything else invalid.
    pub(super) fn boolean(&mut self) -> Result<bool, GgufError> {
        match self.uint8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(GgufError::Bool { position: self.position() }),
        }
    }

    /// A string of at most `limit` bytes.
    pub(super) fn string(&mut self, limit: u64) -> Result<&'a str, GgufError> {
        let length = self.uint64()?;
        if length > limit {
            return Err(GgufError::StringTooLong { length, limit, position: self.position() });
        }
        let bytes = self.take(self.size(length)?)?;
        std::str::from_utf8(bytes).map_err(|_| GgufError::Utf8 { position: self.position() })
    }

    /// A name: not empty, and without NUL, where readers in C would stop and take it for another name.
    pub(super) fn name(&mut self) -> Result<&'a str, GgufError> {
        let name = self.string(limits::GGUF_NAME_BYTES)?;
        if name.is_empty() || name.contains('\0') {
            return Err(GgufError::Name { position: self.position() });
        }
        Ok(name)
    }

    /// A metadata value of the type `kind`: `enum gguf_type` of the specification.
    pub(super) fn value(&mut self, kind: u32) -> Result<MetadataValue, GgufError> {
        Ok(match kind {
            0 => MetadataValue::Uint8(self.uint8()?),
            1 => MetadataValue::Int8(self.int8()?),
            2 => MetadataValue::Uint16(self.uint16()?),
            3 => MetadataValue::Int16(self.int16()?),
            4 => MetadataValue::Uint32(self.uint32()?),
            5 => MetadataValue::Int32(self.int32()?),
            6 => MetadataValue::Float32(self.float32()?),
            7 => MetadataValue::Bool(self.boolean()?),
            8 => MetadataValue::String(self.string(limits::GGUF_STRING_BYTES)?.to_owned()),
            9 => MetadataValue::Array(self.elements(limits::GGUF_NESTING)?),
            10 => MetadataValue::Uint64(self.uint64()?),
            11 => MetadataValue::Int64(self.int64()?),
            12 => MetadataValue::Float64(self.float64()?),
            _ => return Err(GgufError::ValueType { kind, position: self.position() }),
        })
    }

    /// The elements of an array that may hold arrays `nesting - 1` levels deep.
    fn elements(&mut self, nesting: usize) -> Result<MetadataArray, GgufError> {
        let Some(inner) = nesting.checked_sub(1) else {
            return Err(GgufError::Nesting { position: self.position() });
        };
        let kind = self.uint32()?;
        let count = self.uint64()?;
        Ok(match kind {
            0 => MetadataArray::Uint8(self.sequence(count, 1, Self::uint8)?),
            1 => MetadataArray::Int8(self.sequence(count, 1, Self::int8)?),
            2 => MetadataArray::Uint16(self.sequence(count, 2, Self::uint16)?),
            3 => MetadataArray::Int16(self.sequence(count, 2, Self::int16)?),
            4 => MetadataArray::Uint32(self.sequence(count, 4, Self::uint32)?),
            5 => MetadataArray::Int32(self.sequence(count, 4, Self::int32)?),
            6 => MetadataArray::Float32(self.sequence(count, 4, Self::float32)?),
            7 => MetadataArray::Bool(self.sequence(count, 1, Self::boolean)?),
            8 => {
                MetadataArray::String(self.sequence(count, 8, |reader| {
                    reader.string(limits::GGUF_STRING_BYTES).map(str::to_owned)
                })?)
            }
            9 => MetadataArray::Array(self.sequence(count, 12, |reader| reader.elements(inner))?),
            10 => MetadataArray::Uint64(self.sequence(count, 8, Self::uint64)?),
            11 => MetadataArray::Int64(self.sequence(count, 8, Self::int64)?),
            12 => MetadataArray::Float64(self.sequence(count, 8, Self::float64)?),
            _ => return Err(GgufError::ValueType { kind, position: self.position() }),
        })
    }

    /// `count` elements of at least `smallest` bytes each. Allocates only what the bytes that are left could fill.
    fn sequence<T>(
        &mut self,
        count: u64,
        smallest: u64,
        mut element: impl FnMut(&mut Self) -> Result<T, GgufError>,
    ) -> Result<Vec<T>, GgufError> {
        if count > limits::GGUF_ARRAY {
            return Err(GgufError::ArrayTooLong { count, position: self.position() });
        }
        self.require(count, smallest)?;
        let mut elements = Vec::with_capacity(self.size(count)?);
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    /// Refuses a count whose smallest elements would not fit into what is left.
    pub(super) fn require(&self, count: u64, smallest: u64) -> Result<(), GgufError> {
        let bytes = count.checked_mul(smallest).ok_or_else(|| self.truncated())?;
        if self.size(bytes)? > self.rest.len() {
            return Err(self.truncated());
        }
        Ok(())
    }

    /// A length as an index. One that does not fit is longer than the file.
    pub(super) fn size(&self, length: u64) -> Result<usize, GgufError> {
        usize::try_from(length).map_err(|_| self.truncated())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| self.truncated())?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], GgufError> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.truncated())?;
        self.rest = rest;
        Ok(bytes)
    }

    fn truncated(&self) -> GgufError {
        if self.cut {
            GgufError::HeaderTooLarge { limit: limits::GGUF_HEADER_BYTES }
        } else {
            GgufError::Truncated { position: self.position() }
        }
    }
}
