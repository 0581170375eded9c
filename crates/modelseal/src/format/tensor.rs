//! One tensor of a weights file: its name, its type, its shape and where its bytes are.

use std::fmt;
use std::ops::Range;

/// Makes [`DataType`] and its lookups from one table, so that no second list can drift.
macro_rules! data_types {
    ($($name:ident = $text:literal, $ggml:expr, $elements:literal elements in $bytes:literal;)*) => {
        /// The type of a tensor's elements: every type of safetensors 0.8 and of ggml.
        ///
        /// Elements are stored in blocks: one element for plain types, up to 256 for quantized ones. A type that both
        /// formats know has one variant.
        ///
        /// ```
        /// use modelseal::DataType;
        ///
        /// assert_eq!(DataType::Q4_0.as_str(), "Q4_0");
        /// assert_eq!((DataType::Q4_0.block_elements(), DataType::Q4_0.block_bytes()), (32, 18));
        /// assert_eq!((DataType::BF16.block_elements(), DataType::BF16.block_bytes()), (1, 2));
        /// ```
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[expect(non_camel_case_types, reason = "the spelling of the two formats, the same in every language")]
        #[non_exhaustive]
        pub enum DataType {
            $(
                #[doc = concat!("`", $text, "`: blocks of ", stringify!($elements), " elements in ", stringify!($bytes), " bytes.")]
                $name,
            )*
        }

        impl DataType {
            /// Every type, in the order of the table.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name in safetensors headers, or ggml's name without its prefix.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// The elements of one block.
            #[must_use]
            pub const fn block_elements(self) -> u64 {
                match self { $(Self::$name => $elements),* }
            }

            /// The bytes of one block.
            #[must_use]
            pub const fn block_bytes(self) -> u64 {
                match self { $(Self::$name => $bytes),* }
            }

            /// The number of the type in `enum ggml_type`, if ggml has it.
            pub(crate) const fn ggml(self) -> Option<u32> {
                match self { $(Self::$name => $ggml),* }
            }
        }
    };
}

// safetensors: `Dtype` of crate 0.8. Its types below one byte need whole bytes: two F4, four F6.
// ggml: `enum ggml_type` in ggml.h and GGML_QUANT_SIZES of gguf-py 0.19; Q2_0 is newer than that release.
// Numbers that ggml removed (4, 5, 31 to 33, 36 to 38) and numbers of forks are absent: they are refused.
data_types! {
    BOOL = "BOOL", None, 1 elements in 1;
    F4 = "F4", None, 2 elements in 1;
    F6_E2M3 = "F6_E2M3", None, 4 elements in 3;
    F6_E3M2 = "F6_E3M2", None, 4 elements in 3;
    U8 = "U8", None, 1 elements in 1;
    F8_E5M2 = "F8_E5M2", None, 1 elements in 1;
    F8_E4M3 = "F8_E4M3", None, 1 elements in 1;
    F8_E8M0 = "F8_E8M0", None, 1 elements in 1;
    F8_E4M3FNUZ = "F8_E4M3FNUZ", None, 1 elements in 1;
    F8_E5M2FNUZ = "F8_E5M2FNUZ", None, 1 elements in 1;
    U16 = "U16", None, 1 elements in 2;
    U32 = "U32", None, 1 elements in 4;
    C64 = "C64", None, 1 elements in 8;
    U64 = "U64", None, 1 elements in 8;
    F32 = "F32", Some(0), 1 elements in 4;
    F16 = "F16", Some(1), 1 elements in 2;
    Q4_0 = "Q4_0", Some(2), 32 elements in 18;
    Q4_1 = "Q4_1", Some(3), 32 elements in 20;
    Q5_0 = "Q5_0", Some(6), 32 elements in 22;
    Q5_1 = "Q5_1", Some(7), 32 elements in 24;
    Q8_0 = "Q8_0", Some(8), 32 elements in 34;
    Q8_1 = "Q8_1", Some(9), 32 elements in 40;
    Q2_K = "Q2_K", Some(10), 256 elements in 84;
    Q3_K = "Q3_K", Some(11), 256 elements in 110;
    Q4_K = "Q4_K", Some(12), 256 elements in 144;
    Q5_K = "Q5_K", Some(13), 256 elements in 176;
    Q6_K = "Q6_K", Some(14), 256 elements in 210;
    Q8_K = "Q8_K", Some(15), 256 elements in 292;
    IQ2_XXS = "IQ2_XXS", Some(16), 256 elements in 66;
    IQ2_XS = "IQ2_XS", Some(17), 256 elements in 74;
    IQ3_XXS = "IQ3_XXS", Some(18), 256 elements in 98;
    IQ1_S = "IQ1_S", Some(19), 256 elements in 50;
    IQ4_NL = "IQ4_NL", Some(20), 32 elements in 18;
    IQ3_S = "IQ3_S", Some(21), 256 elements in 110;
    IQ2_S = "IQ2_S", Some(22), 256 elements in 82;
    IQ4_XS = "IQ4_XS", Some(23), 256 elements in 136;
    I8 = "I8", Some(24), 1 elements in 1;
    I16 = "I16", Some(25), 1 elements in 2;
    I32 = "I32", Some(26), 1 elements in 4;
    I64 = "I64", Some(27), 1 elements in 8;
    F64 = "F64", Some(28), 1 elements in 8;
    IQ1_M = "IQ1_M", Some(29), 256 elements in 56;
    BF16 = "BF16", Some(30), 1 elements in 2;
    TQ1_0 = "TQ1_0", Some(34), 256 elements in 54;
    TQ2_0 = "TQ2_0", Some(35), 256 elements in 66;
    MXFP4 = "MXFP4", Some(39), 32 elements in 17;
    NVFP4 = "NVFP4", Some(40), 64 elements in 36;
    Q1_0 = "Q1_0", Some(41), 128 elements in 18;
    Q2_0 = "Q2_0", Some(42), 64 elements in 18;
}

impl DataType {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|data_type| data_type.as_str() == name)
    }

    pub(crate) fn from_ggml(number: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|data_type| data_type.ggml() == Some(number))
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The byte order of a tensor's elements.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Endian {
    /// Most significant byte first: GGUF files written for big-endian machines.
    Big,
    /// Least significant byte first: every safetensors file and nearly every GGUF file.
    Little,
}

/// What a verified weights file says of one tensor.
///
/// The range is checked against the file: it lies within it, overlaps no other tensor, and its length is that of the
/// shape and the type. The values in it are whatever the publisher signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TensorInfo {
    pub(crate) name: String,
    pub(crate) dtype: DataType,
    pub(crate) endian: Endian,
    pub(crate) shape: Vec<u64>,
    pub(crate) range: Range<u64>,
}

impl TensorInfo {
    /// The name of the tensor, unique in its file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of the elements.
    #[must_use]
    pub const fn dtype(&self) -> DataType {
        self.dtype
    }

    /// The byte order of the elements.
    #[must_use]
    pub const fn endian(&self) -> Endian {
        self.endian
    }

    /// The dimensions in elements, outermost first, for both formats. GGUF stores them the other way round.
    #[must_use]
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// The bytes of the tensor, as offsets from the start of its file.
    #[must_use]
    pub const fn range(&self) -> &Range<u64> {
        &self.range
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_numbers_are_unique() {
        let names: BTreeSet<_> = DataType::ALL.iter().map(|data_type| data_type.as_str()).collect();
        assert_eq!(names.len(), DataType::ALL.len());
        let numbers: Vec<_> = DataType::ALL.iter().filter_map(|data_type| data_type.ggml()).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
        for data_type in DataType::ALL {
            assert_eq!(DataType::from_name(data_type.as_str()), Some(*data_type));
            assert_eq!(data_type.ggml().and_then(DataType::from_ggml), data_type.ggml().map(|_| *data_type));
        }
    }

    #[test]
    fn removed_and_unknown_numbers_are_refused() {
        for number in [4, 5, 31, 32, 33, 36, 37, 38, 43, 142, u32::MAX] {
            assert_eq!(DataType::from_ggml(number), None, "{number}");
        }
    }

    #[test]
    fn blocks_agree_with_the_bits_of_safetensors() {
        for name in [
            "BOOL",
            "F4",
            "F6_E2M3",
            "F6_E3M2",
            "U8",
            "I8",
            "F8_E5M2",
            "F8_E4M3",
            "F8_E8M0",
            "F8_E4M3FNUZ",
            "F8_E5M2FNUZ",
            "I16",
            "U16",
            "F16",
            "BF16",
            "I32",
            "U32",
            "F32",
            "C64",
            "F64",
            "I64",
            "U64",
        ] {
            let theirs: ::safetensors::Dtype = serde_json::from_str(&format!("\"{name}\"")).unwrap();
            let ours = DataType::from_name(&theirs.to_string()).unwrap();
            let bits = u64::try_from(theirs.bitsize()).unwrap();
            assert_eq!(ours.block_bytes() * 8, bits * ours.block_elements(), "{name}");
        }
    }
}
