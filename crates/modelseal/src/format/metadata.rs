//! The metadata of a weights file, typed as it is stored.

/// One metadata value. Safetensors has strings only; GGUF has every kind.
///
/// ```
/// use modelseal::MetadataValue;
///
/// assert_eq!(MetadataValue::Uint16(7).as_u64(), Some(7));
/// assert_eq!(MetadataValue::Int32(-1).as_u64(), None);
/// assert_eq!(MetadataValue::String("llama".to_owned()).as_str(), Some("llama"));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MetadataValue {
    /// Values of one kind.
    Array(MetadataArray),
    /// A truth value.
    Bool(bool),
    /// A 32-bit float.
    Float32(f32),
    /// A 64-bit float.
    Float64(f64),
    /// A signed 8-bit integer.
    Int8(i8),
    /// A signed 16-bit integer.
    Int16(i16),
    /// A signed 32-bit integer.
    Int32(i32),
    /// A signed 64-bit integer.
    Int64(i64),
    /// Text.
    String(String),
    /// An unsigned 8-bit integer.
    Uint8(u8),
    /// An unsigned 16-bit integer.
    Uint16(u16),
    /// An unsigned 32-bit integer.
    Uint32(u32),
    /// An unsigned 64-bit integer.
    Uint64(u64),
}

impl MetadataValue {
    /// The array, if the value is one.
    #[must_use]
    pub fn as_array(&self) -> Option<&MetadataArray> {
        if let Self::Array(array) = self { Some(array) } else { None }
    }

    /// The text, if the value is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The integer, if the value is one of any width and not negative.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int8(value) => u64::try_from(*value).ok(),
            Self::Int16(value) => u64::try_from(*value).ok(),
            Self::Int32(value) => u64::try_from(*value).ok(),
            Self::Int64(value) => u64::try_from(*value).ok(),
            Self::Uint8(value) => Some(u64::from(*value)),
            Self::Uint16(value) => Some(u64::from(*value)),
            Self::Uint32(value) => Some(u64::from(*value)),
            Self::Uint64(value) => Some(*value),
            Self::Array(_) | Self::Bool(_) | Self::Float32(_) | Self::Float64(_) | Self::String(_) => None,
        }
    }
}

/// An array of metadata values. All elements have one kind, and are kept as such: a vocabulary of 300 000 scores
/// takes four bytes each.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MetadataArray {
    /// Arrays, each of its own kind.
    Array(Vec<MetadataArray>),
    /// Truth values.
    Bool(Vec<bool>),
    /// 32-bit floats.
    Float32(Vec<f32>),
    /// 64-bit floats.
    Float64(Vec<f64>),
    /// Signed 8-bit integers.
    Int8(Vec<i8>),
    /// Signed 16-bit integers.
    Int16(Vec<i16>),
    /// Signed 32-bit integers.
    Int32(Vec<i32>),
    /// Signed 64-bit integers.
    Int64(Vec<i64>),
    /// Texts.
    String(Vec<String>),
    /// Unsigned 8-bit integers.
    Uint8(Vec<u8>),
    /// Unsigned 16-bit integers.
    Uint16(Vec<u16>),
    /// Unsigned 32-bit integers.
    Uint32(Vec<u32>),
    /// Unsigned 64-bit integers.
    Uint64(Vec<u64>),
}
