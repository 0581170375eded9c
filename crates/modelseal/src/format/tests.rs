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
    assert_eq!(code(check_indexes(&files(&[]), &twice)), Code::FormatIndex, "a file without tensors");
    let joined = files(&[("x.safetensors", "a"), ("y.safetensors", "a")]);
    assert_eq!(code(check_indexes(&joined, &both)), Code::FormatIndex, "in two files of one index");
    let outside = files(&[("x.safetensors", "a"), ("other.safetensors", "a")]);
    assert!(check_indexes(&outside, &twice).is_ok(), "a second set of weights is no fault");
}

#[test]
fn split_sets_are_whole() {
    let next = |path: &str| split_reference(path).map(|reference| reference.to);
    assert_eq!(next("d/m-00002-of-00003.gguf").unwrap(), "d/m-00003-of-00003.gguf");
    assert_eq!(next("d/m-00003-of-00003.gguf").unwrap(), "d/m-00001-of-00003.gguf");
    assert_eq!(next("m-00007-of-00003.gguf").unwrap(), "m-00001-of-00003.gguf");
    assert_eq!(next("m-00000-of-00000.gguf").unwrap(), "m-00001-of-00000.gguf");
    for path in ["m.gguf", "m-00001-of-00001.gguf", "m-1-of-2.gguf", "m-00001-of-00002.safetensors"] {
        assert_eq!(next(path), None, "{path}");
    }
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

#[test]
fn a_split_file_agrees_with_its_name_and_its_set() {
    let part = |number: u32, count: u32, total: u32, name: &str| {
        let mut writer = Writer::new(3, 1, 3, false);
        writer.text("split.no").u32(U32).u32(number).text("split.count").u32(U32).u32(count);
        writer.text("split.tensors.count").u32(U32).u32(total);
        writer.tensor(name, &[1], 0, 0);
        parse(Format::Gguf, &writer.data(32, 4)).unwrap()
    };
    let alone = || parse(Format::Gguf, &Writer::new(3, 0, 0, false).data(32, 0)).unwrap();
    let check = |files: Vec<(&str, WeightsFile)>| {
        check_splits(&files.into_iter().map(|(path, file)| (path.to_owned(), file)).collect())
    };
    let (first, second) = ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf");
    check(vec![(first, part(0, 2, 2, "a")), (second, part(1, 2, 2, "b"))]).unwrap();
    check(vec![("m-00001-of-00001.gguf", alone()), ("m.gguf", alone())]).unwrap();
    for files in [
        vec![(first, part(0, 3, 1, "a"))],
        vec![("m-00003-of-00002.gguf", part(2, 2, 1, "a"))],
        vec![("m.gguf", part(0, 2, 1, "a"))],
        vec![(first, alone())],
        vec![(first, part(0, 2, 3, "a")), (second, part(1, 2, 3, "b"))],
    ] {
        let paths: Vec<_> = files.iter().map(|file| file.0).collect();
        assert_eq!(code(check(files)), Code::FormatIndex, "{paths:?}");
    }
}

#[test]
fn configurations_name_python_at_any_depth() {
    let text = r#"{"text_config": {"auto_map": {"AutoModel": "modeling_a.Model"}},
        "auto_map": {"AutoConfig": "configuration_a.Config"},
        "custom_pipelines": {"task": {"impl": "pipeline_a.Pipeline", "pt": ["AutoModel"]}}}"#;
    let expected = ["configuration_a.py", "modeling_a.py", "pipeline_a.py"];
    assert_eq!(targets("config.json", text).unwrap(), expected);
    let old = r#"{"auto_map": ["sub/tokenization_a.Slow", null]}"#;
    assert_eq!(targets("tower/tokenizer_config.json", old).unwrap(), ["tower/sub/tokenization_a.py"]);
    for class in ["../modeling_a.Model", "/tmp/a.Model", "Model", ""] {
        let text = format!(r#"{{"auto_map": {{"AutoModel": "{class}"}}}}"#);
        assert_eq!(targets("processor_config.json", &text), Err(Code::FormatWithheldReferenced), "{class}");
    }
    for text in [r#"{"auto_map": 1}"#, r#"{"auto_map": {}, "auto_map": {}}"#] {
        assert_eq!(targets("config.json", text), Err(Code::FormatContentMismatch), "{text}");
    }
}

#[test]
fn the_constants_of_python_hide_nothing() {
    let text =
        r#"{"limit": [0.0, Infinity, -Infinity, NaN], "s": "NaN \" Infinity", "auto_map": {"A": "m.C"}}"#;
    assert_eq!(targets("config.json", text).unwrap(), ["m.py"]);
    // Inside a string they are text: a module of that name is looked for under that name.
    assert_eq!(targets("config.json", r#"{"x": "\\", "auto_map": "NaN.C"}"#).unwrap(), ["NaN.py"]);
}

#[test]
fn what_the_safetensors_crate_writes_is_read_alike() {
    use ::safetensors::tensor::TensorView;
    use ::safetensors::{Dtype, SafeTensors, serialize};

    let data: Vec<u8> = (0..24).collect();
    let tensors = [
        ("b", TensorView::new(Dtype::F32, vec![2, 2], &data[..16]).unwrap()),
        ("a", TensorView::new(Dtype::F4, vec![2, 4], &data[16..20]).unwrap()),
        ("scalar", TensorView::new(Dtype::BF16, vec![], &data[20..22]).unwrap()),
        ("empty", TensorView::new(Dtype::F16, vec![0, 7], &[]).unwrap()),
    ];
    let bytes = serialize(tensors, Some([("format".to_owned(), "pt".to_owned())].into())).unwrap();
    let ours = parse(Format::Safetensors, &bytes).unwrap();
    let theirs = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(ours.metadata()["format"].as_str(), Some("pt"));
    assert_eq!(ours.tensors().len(), theirs.len());
    for tensor in ours.tensors() {
        let view = theirs.tensor(tensor.name()).unwrap();
        let range = tensor.range();
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        assert_eq!(&bytes[range], view.data(), "{}", tensor.name());
        assert_eq!(tensor.dtype().as_str(), view.dtype().to_string());
        let shape: Vec<_> = view.shape().iter().map(|dimension| u64::try_from(*dimension).unwrap()).collect();
        assert_eq!(tensor.shape(), shape);
    }
}

#[test]
fn safetensors_are_refused_for_what_the_crate_lets_pass() {
    let entry = r#"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
    let message =
        |header: &str, data| parse(Format::Safetensors, &safetensors(header, data)).unwrap_err().to_string();
    for header in [
        format!(r#"{{"a":{entry},"\u0061":{entry}}}"#),
        format!(r#"{{"__metadata__":{{}},"__metadata__":{{}},"a":{entry}}}"#),
        format!(r#"{{"__metadata__":{{"k":"1","k":"2"}},"a":{entry}}}"#),
    ] {
        assert!(message(&header, 1).contains("occurs twice"), "{header}");
    }
    let field = r#"{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}"#;
    assert!(message(field, 1).contains("duplicate field"));
    let hidden = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"hidden":0}}"#;
    assert!(message(hidden, 1).contains("unknown field"));
    let dimensions = vec!["1"; crate::limits::SAFETENSORS_DIMENSIONS + 1].join(",");
    let many = format!(r#"{{"a":{{"dtype":"U8","shape":[{dimensions}],"data_offsets":[0,1]}}}}"#);
    assert!(message(&many, 1).contains("dimensions"));
    assert!(message(" {}", 0).contains("does not start with"));

    // Contiguous tensors whose sizes fill 64 bits: the crate would add the header to them and overflow.
    let size = (1_u64 << 61) - 1;
    let huge: Vec<_> = (0..8)
        .map(|number| {
            let (start, end) = (number * size, (number + 1) * size);
            format!(r#""{number}":{{"dtype":"U8","shape":[{size}],"data_offsets":[{start},{end}]}}"#)
        })
        .collect();
    assert!(message(&format!("{{{}}}", huge.join(",")), 64).contains("beyond the end"));
}

/// One metadata pair of type `kind`, its value as written.
fn pair(kind: u32, value: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new(3, 0, 1, false);
    writer.text("k").u32(kind);
    writer.bytes.extend(value);
    writer.data(32, 0)
}

/// The value of an array of type `kind`.
fn list(kind: u32, count: u64, elements: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &count.to_le_bytes(), elements].concat()
}

#[test]
fn every_type_of_metadata_is_read() {
    let read = |kind, value: &[u8]| parse(Format::Gguf, &pair(kind, value)).unwrap().metadata()["k"].clone();
    let text = [&1_u64.to_le_bytes()[..], b"x"].concat();
    for (kind, value, expected) in [
        (0, vec![1], MetadataValue::Uint8(1)),
        (1, vec![0xff], MetadataValue::Int8(-1)),
        (2, 2_u16.to_le_bytes().to_vec(), MetadataValue::Uint16(2)),
        (3, (-3_i16).to_le_bytes().to_vec(), MetadataValue::Int16(-3)),
        (4, 4_u32.to_le_bytes().to_vec(), MetadataValue::Uint32(4)),
        (5, (-5_i32).to_le_bytes().to_vec(), MetadataValue::Int32(-5)),
        (6, 6.5_f32.to_le_bytes().to_vec(), MetadataValue::Float32(6.5)),
        (7, vec![1], MetadataValue::Bool(true)),
        (8, text.clone(), MetadataValue::String("x".to_owned())),
        (10, 10_u64.to_le_bytes().to_vec(), MetadataValue::Uint64(10)),
        (11, (-11_i64).to_le_bytes().to_vec(), MetadataValue::Int64(-11)),
        (12, 12.5_f64.to_le_bytes().to_vec(), MetadataValue::Float64(12.5)),
    ] {
        assert_eq!(read(kind, &value), expected);
    }
    for (kind, zeros, expected) in [
        (0, 2, MetadataArray::Uint8(vec![0; 2])),
        (1, 2, MetadataArray::Int8(vec![0; 2])),
        (2, 4, MetadataArray::Uint16(vec![0; 2])),
        (3, 4, MetadataArray::Int16(vec![0; 2])),
        (4, 8, MetadataArray::Uint32(vec![0; 2])),
        (5, 8, MetadataArray::Int32(vec![0; 2])),
        (6, 8, MetadataArray::Float32(vec![0.0; 2])),
        (7, 2, MetadataArray::Bool(vec![false; 2])),
        (8, 16, MetadataArray::String(vec![String::new(); 2])),
        (9, 24, MetadataArray::Array(vec![MetadataArray::Uint8(Vec::new()); 2])),
        (10, 16, MetadataArray::Uint64(vec![0; 2])),
        (11, 16, MetadataArray::Int64(vec![0; 2])),
        (12, 16, MetadataArray::Float64(vec![0.0; 2])),
    ] {
        assert_eq!(read(ARRAY, &list(kind, 2, &vec![0; zeros])), MetadataValue::Array(expected));
    }
}

#[test]
fn metadata_outside_its_type_or_its_bounds_is_refused() {
    let message = |bytes: &[u8]| parse(Format::Gguf, bytes).unwrap_err().to_string();
    assert!(message(&pair(7, &[2])).contains("neither 0 nor 1"));
    assert!(message(&pair(8, &[1, 0, 0, 0, 0, 0, 0, 0, 0xff])).contains("not UTF-8"));
    assert!(message(&pair(8, &u64::MAX.to_le_bytes())).contains("a string before"));
    assert!(
        message(&pair(ARRAY, &list(0, crate::limits::GGUF_ARRAY + 1, &[]))).contains("elements, more than")
    );
    for kind in [0, 8, 9, 12] {
        let bytes = pair(ARRAY, &list(kind, crate::limits::GGUF_ARRAY, &[]));
        assert!(message(&bytes).contains("in the middle of a field"), "{kind}");
    }
    let nested = |levels| (0..levels).fold(list(0, 0, &[]), |inner, _| list(ARRAY, 1, &inner));
    assert!(parse(Format::Gguf, &pair(ARRAY, &nested(crate::limits::GGUF_NESTING - 1))).is_ok());
    assert!(message(&pair(ARRAY, &nested(crate::limits::GGUF_NESTING))).contains("nest deeper"));
    for key in ["", "a\0b"] {
        let mut writer = Writer::new(3, 0, 1, false);
        assert!(message(&writer.text(key).u32(0).u32(0).data(32, 0)).contains("empty or contains NUL"));
    }
}

#[test]
fn the_alignment_is_honoured_and_checked() {
    let aligned = |alignment: u32, second: u64| {
        let step = usize::try_from(alignment.max(1)).unwrap();
        let mut writer = Writer::new(3, 2, 1, false);
        writer.text("general.alignment").u32(U32).u32(alignment);
        writer.tensor("a", &[1], 24, 0).tensor("b", &[1], 24, second);
        parse(Format::Gguf, &writer.data(step, 2 * step))
    };
    for alignment in [8, 64, 4096] {
        let file = aligned(alignment, u64::from(alignment)).unwrap();
        let [a, b] = file.tensors() else { panic!() };
        assert_eq!(a.range().start % u64::from(alignment), 0);
        assert_eq!(b.range().start - a.range().start, u64::from(alignment));
    }
    for alignment in [0, 1, 4, 12] {
        assert!(aligned(alignment, 32).unwrap_err().to_string().contains("general.alignment"));
    }
}

#[test]
fn nothing_hides_between_or_behind_the_tensors() {
    let two = |second, length| {
        let mut writer = Writer::new(3, 2, 0, false);
        writer.tensor("a", &[8], 0, 0).tensor("b", &[1], 0, second);
        parse(Format::Gguf, &writer.data(32, length)).map_err(|error| error.to_string())
    };
    // The padding of the last tensor may be missing, or there; one byte more is too much, one less is too little.
    assert!(two(32, 36).is_ok() && two(32, 64).is_ok());
    assert!(two(32, 65).unwrap_err().contains("1 bytes follow"));
    assert!(two(32, 35).unwrap_err().contains("beyond the end"));
    for second in [0, 33, 64, u64::MAX] {
        assert!(two(second, 128).unwrap_err().contains("must be at 32"), "{second}");
    }
    let empty = Writer::new(3, 0, 0, false).data(32, 1);
    assert!(parse(Format::Gguf, &empty).unwrap_err().to_string().contains("1 bytes follow"));
}

proptest! {
    #[test]
    fn mutations_are_refused_or_stay_in_the_file(
        mutations in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        big in any::<bool>(),
    ) {
        let mut writer = Writer::new(3, 2, 1, big);
        writer.text("k").u32(ARRAY).u32(STRING).u64(1).text("x");
        writer.tensor("a", &[32, 2], 2, 0).tensor("b", &[4], 0, 64);
        for (format, mut bytes) in [(Format::Gguf, writer.data(32, 80)), (Format::Safetensors, safetensors(TWO, 9))] {
            for (index, byte) in &mutations {
                let position = index.index(bytes.len());
                bytes[position] = *byte;
            }
            if let Ok(file) = parse(format, &bytes) {
                let length = u64::try_from(bytes.len()).unwrap();
                prop_assert!(file.tensors().iter().all(|tensor| tensor.range().end <= length));
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for format in [Format::Gguf, Format::Safetensors] {
            let _ = parse(format, &bytes);
        }
        let _ = parse(Format::Gguf, &[b"GGUF\x03\0\0\0", &bytes[..]].concat());
        let _ = references("model.safetensors.index.json", &bytes);
    }
}
