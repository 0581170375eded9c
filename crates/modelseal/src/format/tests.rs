//! The structure rules of the formats, one by one.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::error::{Code, Error};

fn code<T>(result: Result<T, Error>) -> Code {
    match result {
        Ok(_) => panic!("accepted"),
        Err(error) => error.code(),
    }
}

fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = u64::try_from(header.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn parse(format: Format, bytes: &[u8]) -> Result<WeightsFile, Error> {
    WeightsFile::parse(format, bytes)
}

const TWO: &str = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}"#;

#[test]
fn safetensors_say_where_their_tensors_are() {
    let file = parse(Format::Safetensors, &safetensors(TWO, 9)).unwrap();
    let shown: Vec<_> = file
        .tensors()
        .iter()
        .map(|tensor| (tensor.name(), tensor.dtype().as_str(), tensor.shape()))
        .collect();
    assert_eq!(shown, [("a", "F32", &[2][..]), ("b", "U8", &[][..])]);
    let start = u64::try_from(8 + TWO.len()).unwrap();
    assert_eq!(file.tensors()[1].range(), &(start + 8..start + 9));
}

#[test]
fn safetensors_are_refused_for_every_broken_rule() {
    let one = |shape: &str, offsets: &str| {
        format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    for (header, data) in [
        (TWO.to_owned(), 8),
        (TWO.to_owned(), 10),
        (one("[2]", "[0,4]"), 4),
        (one("[2]", "[4,12]"), 12),
        (one("[2]", "[8,0]"), 8),
        (one("[-1]", "[0,4]"), 4),
        (one("[4611686018427387904,4]", "[0,4]"), 4),
        (TWO.replace("\"b\"", "\"a\""), 9),
        (TWO.replace("[8,9]", "[7,8]"), 8),
        (TWO.replace("U8", "Q9"), 9),
        ("[]".to_owned(), 0),
        ("{\"a\":1}".to_owned(), 0),
    ] {
        assert_eq!(
            code(parse(Format::Safetensors, &safetensors(&header, data))),
            Code::FormatSafetensors,
            "{header}"
        );
    }
    for bytes in [&b""[..], b"1234567", &[0xff; 16], &u64::MAX.to_le_bytes()] {
        assert_eq!(code(parse(Format::Safetensors, bytes)), Code::FormatSafetensors);
    }
}

/// A GGUF writer in either byte order.
#[derive(Clone)]
struct Writer {
    bytes: Vec<u8>,
    big: bool,
}

impl Writer {
    fn new(version: u32, tensors: u64, pairs: u64, big: bool) -> Self {
        let mut writer = Self { bytes: b"GGUF".to_vec(), big };
        writer.u32(version).u64(tensors).u64(pairs);
        writer
    }

    fn u32(&mut self, number: u32) -> &mut Self {
        self.bytes.extend(if self.big { number.to_be_bytes() } else { number.to_le_bytes() });
        self
    }

    fn u64(&mut self, number: u64) -> &mut Self {
        self.bytes.extend(if self.big { number.to_be_bytes() } else { number.to_le_bytes() });
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.u64(u64::try_from(text.len()).unwrap());
        self.bytes.extend(text.as_bytes());
        self
    }

    fn tensor(&mut self, name: &str, shape: &[u64], kind: u32, offset: u64) -> &mut Self {
        self.text(name).u32(u32::try_from(shape.len()).unwrap());
        for dimension in shape {
            self.u64(*dimension);
        }
        self.u32(kind).u64(offset)
    }

    fn data(&mut self, alignment: usize, length: usize) -> Vec<u8> {
        self.bytes.resize(self.bytes.len().next_multiple_of(alignment) + length, 0);
        self.bytes.clone()
    }
}

const U32: u32 = 4;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

#[test]
fn gguf_is_read_in_both_versions_and_byte_orders() {
    for version in [2, 3] {
        for big in [false, true] {
            if big && version == 2 {
                // Big-endian files exist since version 3.
                assert_eq!(
                    code(parse(Format::Gguf, &Writer::new(2, 0, 0, true).data(32, 0))),
                    Code::FormatGguf
                );
                continue;
            }
            let mut writer = Writer::new(version, 2, 2, big);
            writer.text("general.architecture").u32(STRING).text("llama");
            writer.text("tokenizer.chat_template").u32(STRING).text("{{ x }}");
            writer.tensor("a", &[4, 2], 0, 0).tensor("b", &[32], 2, 32);
            let file = parse(Format::Gguf, &writer.data(32, 32 + 32)).unwrap();
            let shown: Vec<_> = file
                .tensors()
                .iter()
                .map(|tensor| (tensor.name(), tensor.dtype().as_str(), tensor.shape()))
                .collect();
            // Outermost first; the file stores the innermost first.
            assert_eq!(shown, [("a", "F32", &[2, 4][..]), ("b", "Q4_0", &[32][..])], "v{version} {big}");
            assert_eq!(file.chat_template(), Some("{{ x }}"));
            assert_eq!(file.tensors()[0].endian(), if big { Endian::Big } else { Endian::Little });
        }
    }
}

#[test]
fn every_ggml_type_has_its_size() {
    for number in 0..64 {
        let Some(dtype) = DataType::from_ggml(number) else { continue };
        let mut writer = Writer::new(3, 1, 0, false);
        writer.tensor("t", &[dtype.block_elements()], number, 0);
        let length = usize::try_from(dtype.block_bytes()).unwrap();
        let file = parse(Format::Gguf, &writer.clone().data(32, length)).unwrap();
        let range = file.tensors()[0].range();
        assert_eq!(range.end - range.start, dtype.block_bytes(), "{}", dtype.as_str());
        assert_eq!(
            code(parse(Format::Gguf, &writer.data(32, length - 1))),
            Code::FormatGguf,
            "{}",
            dtype.as_str()
        );
    }
}

#[test]
fn gguf_is_refused_for_every_broken_rule() {
    let pairs = |count: u64, write: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::new(3, 0, count, false);
        write(&mut writer);
        writer.data(32, 0)
    };
    let tensors = |count: u64, length: usize, write: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::new(3, count, 0, false);
        write(&mut writer);
        writer.data(32, length)
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("version 1", Writer::new(1, 0, 0, false).data(32, 0)),
        ("version 4", Writer::new(4, 0, 0, false).data(32, 0)),
        ("more tensors than bytes", Writer::new(3, u64::MAX, 0, false).data(32, 64)),
        ("more pairs than bytes", Writer::new(3, 0, 1 << 60, false).data(32, 64)),
        (
            "a key twice",
            pairs(2, &|w| {
                w.text("k").u32(U32).u32(1).text("k").u32(U32).u32(2);
            }),
        ),
        (
            "a string longer than the file",
            pairs(1, &|w| {
                w.text("k").u32(STRING).u64(1 << 40);
            }),
        ),
        (
            "an unknown type",
            pairs(1, &|w| {
                w.text("k").u32(99).u32(0);
            }),
        ),
        (
            "an array longer than the file",
            pairs(1, &|w| {
                w.text("k").u32(ARRAY).u32(U32).u64(1 << 40);
            }),
        ),
        (
            "arrays in arrays in arrays",
            pairs(1, &|w| {
                w.text("k");
                for _ in 0..8 {
                    w.u32(ARRAY).u32(ARRAY).u64(1);
                }
            }),
        ),
        (
            "an alignment of zero",
            pairs(1, &|w| {
                w.text("general.alignment").u32(U32).u32(0);
            }),
        ),
        (
            "an alignment that is no power of two",
            pairs(1, &|w| {
                w.text("general.alignment").u32(U32).u32(24);
            }),
        ),
        (
            "five dimensions",
            tensors(1, 4, &|w| {
                w.tensor("t", &[1, 1, 1, 1, 1], 0, 0);
            }),
        ),
        (
            "a removed type",
            tensors(1, 64, &|w| {
                w.tensor("t", &[32], 4, 0);
            }),
        ),
        (
            "half a block",
            tensors(1, 64, &|w| {
                w.tensor("t", &[16], 2, 0);
            }),
        ),
        (
            "a product past 64 bits",
            tensors(1, 64, &|w| {
                w.tensor("t", &[1 << 40, 1 << 40], 0, 0);
            }),
        ),
        (
            "an unaligned offset",
            tensors(1, 64, &|w| {
                w.tensor("t", &[1], 0, 4);
            }),
        ),
        (
            "past the end",
            tensors(1, 32, &|w| {
                w.tensor("t", &[16], 0, 0);
            }),
        ),
        (
            "two in one place",
            tensors(2, 64, &|w| {
                w.tensor("a", &[1], 0, 0).tensor("b", &[1], 0, 0);
            }),
        ),
        (
            "one name twice",
            tensors(2, 64, &|w| {
                w.tensor("a", &[1], 0, 0).tensor("a", &[1], 0, 32);
            }),
        ),
    ];
    for (what, bytes) in cases {
        assert_eq!(code(parse(Format::Gguf, &bytes)), Code::FormatGguf, "{what}");
    }
    let mut whole = Writer::new(3, 1, 1, false);
    let whole = whole.text("k").u32(STRING).text("v").tensor("t", &[4], 0, 0).clone().data(32, 16);
    assert!(parse(Format::Gguf, &whole).is_ok());
    for length in 0..whole.len() {
        assert_eq!(code(parse(Format::Gguf, &whole[..length])), Code::FormatGguf, "cut at {length}");
    }
}

fn targets(path: &str, text: &str) -> Result<Vec<String>, Code> {
    references(path, text.as_bytes())
        .map(|found| found.into_iter().map(|reference| reference.to).collect())
        .map_err(|error| error.code())
}

#[test]
fn documents_say_which_files_they_need() {
    let index = r#"{"weight_map": {"a": "x.safetensors", "b": "x.safetensors", "c": "y.safetensors"}}"#;
    let needed = targets("sub/model.safetensors.index.json", index).unwrap();
    assert_eq!(needed, ["sub/x.safetensors", "sub/y.safetensors"]);
    let code = r#"{"auto_map": {"AutoModel": "modeling_x.Model", "AutoTokenizer": ["tok.Slow", null]}}"#;
    assert_eq!(targets("config.json", code).unwrap(), ["modeling_x.py", "tok.py"]);
    assert_eq!(targets("README.json", index), Ok(Vec::new()));
    let elsewhere = r#"{"auto_map": {"AutoModel": "org/repo--modeling_x.Model"}}"#;
    assert_eq!(targets("config.json", elsewhere), Err(Code::FormatWithheldReferenced));
    for text in ["{}", r#"{"weight_map": []}"#, r#"{"weight_map": {"a": "../x.safetensors"}}"#] {
        assert_eq!(targets("model.safetensors.index.json", text), Err(Code::FormatIndex), "{text}");
    }
    assert_eq!(targets("model.safetensors.index.json", "{"), Err(Code::FormatContentMismatch));
}

#[test]
fn indexes_must_tell_the_truth() {
    let file = |name: &str| {
        let header = format!(r#"{{"{name}":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}}}"#);
        parse(Format::Safetensors, &safetensors(&header, 1)).unwrap()
    };
    let files = |pairs: &[(&str, &str)]| -> BTreeMap<String, WeightsFile> {
        pairs.iter().map(|(path, name)| ((*path).to_owned(), file(name))).collect()
    };
    let index = |text: &str| references("model.safetensors.index.json", text.as_bytes()).unwrap();
    let both = index(r#"{"weight_map": {"a": "x.safetensors", "b": "y.safetensors"}}"#);
    assert!(check_indexes(&files(&[("x.safetensors", "a"), ("y.safetensors", "b")]), &both).is_ok());
    let wrong = files(&[("x.safetensors", "b"), ("y.safetensors", "a")]);
    assert_eq!(code(check_indexes(&wrong, &both)), Code::FormatIndex);
    let twice = index(r#"{"weight_map": {"a": "x.safetensors"}}"#);
    let outside = files(&[("x.safetensors", "a"), ("other.safetensors", "a")]);
    assert!(check_indexes(&outside, &twice).is_ok(), "a second set of weights is no fault");
}

#[test]
fn split_sets_are_whole() {
    let needed: Vec<String> =
        split_references("m-00002-of-00003.gguf").into_iter().map(|reference| reference.to).collect();
    assert_eq!(needed, ["m-00001-of-00003.gguf", "m-00003-of-00003.gguf"]);
    assert!(split_references("model.gguf").is_empty());
    let part = |number: u32, name: &str| {
        let mut writer = Writer::new(3, 1, 2, false);
        writer.text("split.no").u32(U32).u32(number).text("split.count").u32(U32).u32(2);
        writer.tensor(name, &[1], 0, 0);
        parse(Format::Gguf, &writer.data(32, 4)).unwrap()
    };
    let set = |first: WeightsFile, second: WeightsFile| -> BTreeMap<String, WeightsFile> {
        [("m-00001-of-00002.gguf".to_owned(), first), ("m-00002-of-00002.gguf".to_owned(), second)].into()
    };
    assert!(check_splits(&set(part(0, "a"), part(1, "b"))).is_ok());
    assert_eq!(code(check_splits(&set(part(1, "a"), part(0, "b")))), Code::FormatIndex);
    assert_eq!(code(check_splits(&set(part(0, "a"), part(1, "a")))), Code::FormatIndex);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for format in [Format::Gguf, Format::Safetensors] {
            let _ = parse(format, &bytes);
        }
        let _ = parse(Format::Gguf, &[b"GGUF\x03\0\0\0", &bytes[..]].concat());
        let _ = references("model.safetensors.index.json", &bytes);
    }
}
