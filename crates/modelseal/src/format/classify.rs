//! Which format a name claims, and whether the content agrees.
//!
//! A name decides the fate of a file before it is read: handed out, or withheld because the policy does not list its
//! format. A loader may go by content instead (`torch.load` takes any pickle, llama.cpp any GGUF), so content that
//! belies its name is a denial.

use std::fmt;

use super::{gguf, safetensors};

/// The formats a policy can list. Inert files (text, JSON, tokenizers, templates, images) need no listing.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Format {
    /// Native code and scripts: `.so`, `.dll`, `.exe`, `.sh`, ...
    Executable,
    /// GGUF weights.
    Gguf,
    /// NumPy arrays: `.npy`, `.npz` (they may hold pickled objects).
    Numpy,
    /// ONNX graphs.
    Onnx,
    /// Anything else.
    Other,
    /// Pickles: `.bin`, `.pt`, `.pth`, `.pkl`, `.ckpt`, and zip archives of them.
    Pickle,
    /// Python source and byte code.
    Python,
    /// Safetensors weights.
    Safetensors,
    /// TensorFlow and Keras: `.h5`, `.keras`, `.pb`, `.tflite`, `.msgpack` of Flax.
    Tensorflow,
    /// Text, JSON, tokenizers, templates and images: data no loader executes.
    Inert,
}

impl Format {
    /// Every format that a policy can list.
    pub(crate) const LISTABLE: &'static [Self] = &[
        Self::Executable,
        Self::Gguf,
        Self::Numpy,
        Self::Onnx,
        Self::Other,
        Self::Pickle,
        Self::Python,
        Self::Safetensors,
        Self::Tensorflow,
    ];

    /// The name in policies and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Executable => "executable",
            Self::Gguf => "gguf",
            Self::Numpy => "numpy",
            Self::Onnx => "onnx",
            Self::Other => "other",
            Self::Pickle => "pickle",
            Self::Python => "python",
            Self::Safetensors => "safetensors",
            Self::Tensorflow => "tensorflow",
            Self::Inert => "inert",
        }
    }

    /// The format of this name in a policy. `inert` is none: it is always handed out and cannot be listed.
    ///
    /// ```
    /// use modelseal::Format;
    ///
    /// assert_eq!(Format::from_name("gguf"), Some(Format::Gguf));
    /// assert_eq!(Format::from_name("inert"), None);
    /// assert_eq!(Format::from_name("GGUF"), None);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::LISTABLE.iter().copied().find(|format| format.as_str() == name)
    }
}

impl Format {
    /// Whether this library reads tensors of it.
    pub(crate) fn has_tensors(self) -> bool {
        matches!(self, Self::Gguf | Self::Safetensors)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The format a path claims by its name. Case does not matter: not every file system and loader keeps it.
pub(crate) fn classify(path: &str) -> Format {
    let name = file_name(path).to_ascii_lowercase();
    // The index of weights goes with them: if they are withheld, so is it. That of safetensors is plain JSON.
    if let Some(format @ (Format::Pickle | Format::Tensorflow)) = indexed_format(&name) {
        return format;
    }
    if inert(&name).is_some() {
        return Format::Inert;
    }
    if versioned(&name, ".so.") {
        return Format::Executable;
    }
    if versioned(&name, ".data-") {
        return Format::Tensorflow;
    }
    by_extension(extension(&name)).unwrap_or(Format::Other)
}

/// The format of the weights that a file of this lower-case name is an index of: safetensors for
/// `model.safetensors.index.json` and, in a variant, for `model.safetensors.index.fp16.json`.
pub(crate) fn indexed_format(name: &str) -> Option<Format> {
    let (weights, variant) = name.strip_suffix(".json")?.rsplit_once(".index")?;
    let known = variant.is_empty() || variant.strip_prefix('.').is_some_and(|variant| !variant.contains('.'));
    if known { by_extension(extension(weights)) } else { None }
}

fn by_extension(extension: &str) -> Option<Format> {
    FORMATS.iter().find(|(_, extensions)| extensions.contains(&extension)).map(|row| row.0)
}

/// Extensions of everything but inert files. A new extension goes here only with the loader that reads it.
const FORMATS: &[(Format, &[&str])] = &[
    // Run by the loader of the operating system, by a shell, an interpreter or a driver; compiled on the fly by
    // `torch.utils.cpp_extension` in the case of C++ and CUDA.
    (
        Format::Executable,
        &[
            "a", "app", "bash", "bat", "c", "cc", "class", "cmd", "com", "cpp", "cu", "cubin", "cuh", "dll",
            "dylib", "elf", "exe", "fatbin", "h", "hpp", "hsaco", "jar", "js", "ko", "lib", "lua", "mjs",
            "msi", "o", "php", "pl", "ps1", "ptx", "pyd", "rb", "sh", "so", "vbs", "wasm", "zsh",
        ],
    ),
    (Format::Gguf, &["gguf"]),
    // `numpy.load` unpickles object arrays when asked to.
    (Format::Numpy, &["npy", "npz"]),
    // Graphs may name external data and custom operators.
    (Format::Onnx, &["onnx", "onnx_data", "ort"]),
    // `torch.load`, `pickle.load`, `joblib.load`; zip and tar archives that hold pickles. `.pth` is also Python's
    // path file, which runs code: the same fate.
    (
        Format::Pickle,
        &[
            "bin",
            "ckpt",
            "cloudpickle",
            "dill",
            "distcp",
            "joblib",
            "mar",
            "nemo",
            "ot",
            "pck",
            "pcl",
            "pickle",
            "pkl",
            "pt",
            "pt2",
            "pth",
            "ptl",
            "sav",
            "t7",
            "th",
            "torch",
            "zip",
        ],
    ),
    // Imported, or imported from (archives on the module path); notebooks.
    (Format::Python, &["egg", "ipynb", "py", "pyc", "pyi", "pyo", "pyw", "pyx", "pyz", "whl"]),
    (Format::Safetensors, &["safetensors"]),
    // Keras files hold marshalled lambdas; graphs name operators that read and write files.
    (
        Format::Tensorflow,
        &["h5", "hdf5", "index", "keras", "meta", "msgpack", "pb", "pbtxt", "tflite", "tfrecord"],
    ),
];

/// What the name of an inert file promises of its content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Content {
    /// A raster image of any known kind: images are often named after the wrong one.
    Image,
    Json,
    /// Text for people: any encoding without NUL. Old licences are in Latin-1.
    Prose,
    /// Text for programs: UTF-8 without NUL.
    Text,
    /// A tokenizer in a binary or text form of its own (SentencePiece, tiktoken).
    Tokenizer,
    Yaml,
}

/// Inert files by their whole name.
const INERT_NAMES: &[(Content, &[&str])] = &[
    (Content::Text, &[".gitattributes", ".gitignore", ".gitkeep", ".gitmodules", "merges.txt", "vocab.txt"]),
    // `.model` alone would also be gensim's and XGBoost's.
    (
        Content::Tokenizer,
        &[
            "bpe.model",
            "ice_text.model",
            "sentencepiece.bpe.model",
            "sentencepiece.model",
            "sp.model",
            "spiece.model",
            "spm.model",
            "tiktoken.model",
            "tokenizer.model",
        ],
    ),
];

/// Inert files by their extension.
const INERT_EXTENSIONS: &[(Content, &[&str])] = &[
    (Content::Image, &["gif", "jpeg", "jpg", "png", "webp"]),
    (Content::Json, &["json"]),
    (Content::Prose, &["bib", "cff", "markdown", "md", "rst", "txt"]),
    (
        Content::Text,
        &[
            "bpe", "cfg", "csv", "ini", "j2", "jinja", "jinja2", "jsonl", "svg", "tiktoken", "toml", "tsv",
            "vocab",
        ],
    ),
    (Content::Tokenizer, &["spm"]),
    (Content::Yaml, &["yaml", "yml"]),
];

/// Documents by the first word of a name without extension: `LICENSE`, `LICENSE-MIT`, `NOTICE`.
const DOCUMENTS: &[&str] = &[
    "authors",
    "changelog",
    "citation",
    "contributors",
    "copying",
    "copyright",
    "licence",
    "license",
    "notice",
    "readme",
];

/// The content that an inert name promises; `None` if the name is not inert.
fn inert(name: &str) -> Option<Content> {
    let row = |rows: &[(Content, &[&str])], word: &str| {
        rows.iter().find(|(_, words)| words.contains(&word)).map(|row| row.0)
    };
    if let Some(content) = row(INERT_NAMES, name) {
        return Some(content);
    }
    // Mistral's `tokenizer.model.v3` and `tokenizer.model.v11`.
    if versioned(name, "tokenizer.model.v") {
        return Some(Content::Tokenizer);
    }
    if name.contains('.') {
        return row(INERT_EXTENSIONS, extension(name));
    }
    let word = name.split(['-', '_']).next().unwrap_or(name);
    DOCUMENTS.contains(&word).then_some(Content::Prose)
}

/// Whether `name` contains `mark`, followed by a version or number and nothing else.
fn versioned(name: &str, mark: &str) -> bool {
    name.rsplit_once(mark).is_some_and(|(_, version)| {
        version.starts_with(|first: char| first.is_ascii_digit())
            && version
                .chars()
                .all(|rest| rest.is_ascii_digit() || matches!(rest, '.' | '-' | 'm' | 'o' | 'f'))
    })
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The extension of a lower-case name: what follows the last dot. A name without a dot has none.
fn extension(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Whether verified content belies the claimed format: `Some(what it really is)` if it does.
///
/// `format` is what [`classify`] says of `path`, `bytes` the whole file. Formats that can run code anyway are not
/// looked into: who lists `pickle` gets whatever the publisher signed.
pub(crate) fn sniff(format: Format, path: &str, bytes: &[u8]) -> Option<&'static str> {
    let name = file_name(path).to_ascii_lowercase();
    match format {
        Format::Executable | Format::Other | Format::Pickle | Format::Python => None,
        Format::Gguf => (!bytes.starts_with(gguf::MAGIC)).then_some("not a GGUF file"),
        // A name that is not inert after all gets the strictest rule.
        Format::Inert => belied(inert(&name).unwrap_or(Content::Json), bytes),
        Format::Numpy if extension(&name) == "npz" => {
            (!bytes.starts_with(ZIP)).then_some("not a zip archive")
        }
        Format::Numpy => (!bytes.starts_with(NUMPY)).then_some("not a NumPy array"),
        Format::Onnx => foreign(bytes),
        Format::Safetensors => safetensors::split(bytes).is_err().then_some("not a safetensors file"),
        Format::Tensorflow => match extension(&name) {
            "h5" | "hdf5" => (!is_hdf5(bytes)).then_some("not an HDF5 file"),
            "keras" => {
                (!is_hdf5(bytes) && !bytes.starts_with(ZIP)).then_some("neither a zip archive nor HDF5")
            }
            "msgpack" | "pb" | "tflite" => foreign(bytes),
            // Raw tensors and their tables may start with any byte.
            _ => None,
        },
    }
}

fn belied(content: Content, bytes: &[u8]) -> Option<&'static str> {
    match content {
        Content::Image => (!is_image(bytes)).then_some("not an image"),
        Content::Json => foreign(bytes).or_else(|| not_text(bytes)).or_else(|| not_json(bytes)),
        Content::Prose => foreign(bytes).or_else(|| bytes.contains(&0).then_some("binary data")),
        Content::Text => foreign(bytes).or_else(|| not_text(bytes)),
        Content::Tokenizer => foreign(bytes).or_else(|| compressed(bytes)).or_else(|| old_pickle(bytes)),
        Content::Yaml => foreign(bytes).or_else(|| not_text(bytes)).or_else(|| python_tags(bytes)),
    }
}

fn not_text(bytes: &[u8]) -> Option<&'static str> {
    if bytes.contains(&0) {
        return Some("binary data");
    }
    std::str::from_utf8(bytes).is_err().then_some("not UTF-8 text")
}

/// Looks at the first token only: whether the rest is JSON is its reader's business.
fn not_json(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let token = match text.first() {
        Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9') => true,
        Some(_) => [b"true".as_slice(), b"false", b"null"].iter().any(|word| text.starts_with(word)),
        None => false,
    };
    (!token).then_some("not JSON")
}

/// PyYAML's unsafe loaders construct any object that such a tag names.
fn python_tags(bytes: &[u8]) -> Option<&'static str> {
    let holds = |tag: &[u8]| bytes.windows(tag.len()).any(|window| window == tag);
    (holds(b"!!python/") || holds(b"tag:yaml.org,2002:python/"))
        .then_some("YAML that constructs Python objects")
}

fn is_image(bytes: &[u8]) -> bool {
    let webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    webp || [b"\x89PNG\r\n\x1a\n".as_slice(), b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM"]
        .iter()
        .any(|magic| bytes.starts_with(magic))
}

const NUMPY: &[u8] = b"\x93NUMPY";
const ZIP: &[u8] = b"PK\x03\x04";
const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Magic numbers at the start of a file. None is the start of a real text, JSON document or SentencePiece model.
const MAGIC: &[(&[u8], &str)] = &[
    (NUMPY, "a NumPy array"),
    (ZIP, "a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"PK\x07\x08", "a zip archive"),
    (b"\x7fELF", "an ELF program or library"),
    (b"\xfe\xed\xfa\xce", "a Mach-O program or library"),
    (b"\xfe\xed\xfa\xcf", "a Mach-O program or library"),
    (b"\xce\xfa\xed\xfe", "a Mach-O program or library"),
    (b"\xcf\xfa\xed\xfe", "a Mach-O program or library"),
    (b"\xca\xfe\xba\xbe", "a Mach-O library or a Java class"),
    (b"\0asm", "WebAssembly"),
    (b"\x1f\x8b", "gzip data"),
    (b"\xfd7zXZ\0", "xz data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"\x04\x22\x4d\x18", "lz4 data"),
    (b"Rar!\x1a\x07", "a RAR archive"),
];

/// What the content is, if it is one of the formats that a loader recognises whatever the name.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    if let Some((_, what)) = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(what);
    }
    // The four letters alone may start a text about the format.
    if gguf::byte_order(bytes).is_ok() {
        return Some("a GGUF file");
    }
    if is_pickle(bytes) {
        return Some("a pickle");
    }
    if is_portable_executable(bytes) {
        return Some("a Windows program or library");
    }
    if is_byte_code(bytes) {
        return Some("Python byte code");
    }
    if is_hdf5(bytes) {
        return Some("an HDF5 file");
    }
    // A member's name is padded with NUL.
    if bytes.split_at_checked(257).is_some_and(|(name, rest)| name.contains(&0) && rest.starts_with(b"ustar"))
    {
        return Some("a tar archive");
    }
    if bytes.starts_with(b"BZh") && bytes.get(4..10) == Some(b"1AY&SY") {
        return Some("bzip2 data");
    }
    if ends_as_zip(bytes) {
        return Some("a zip archive behind other data");
    }
    safetensors::split(bytes).is_ok().then_some("a safetensors file")
}

/// A pickle of protocol 2 or later: PROTO, its argument, another opcode. UTF-8 text cannot start with 0x80.
fn is_pickle(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 0..=5, opcode, ..] if is_opcode(*opcode))
}

/// Opcodes of `pickletools` for all protocols.
fn is_opcode(byte: u8) -> bool {
    b"().012BCFGIJKLMNPQRSTUVX]abcdeghijlopqrstu}".contains(&byte) || (0x80..=0x98).contains(&byte)
}

/// `MZ`, then at the offset that byte 60 holds, `PE`. The letters alone may start a text.
fn is_portable_executable(bytes: &[u8]) -> bool {
    let offset = bytes.get(60..).and_then(|rest| rest.first_chunk::<4>()).map(|raw| u32::from_le_bytes(*raw));
    let offset = offset.and_then(|offset| usize::try_from(offset).ok());
    let header =
        offset.and_then(|offset| bytes.get(offset..)).is_some_and(|rest| rest.starts_with(b"PE\0\0"));
    bytes.starts_with(b"MZ") && header
}

/// A version between Python 3.0 and any near one, CR LF, and numbers with at least one zero byte.
fn is_byte_code(bytes: &[u8]) -> bool {
    let Some((head, _)) = bytes.split_first_chunk::<16>() else { return false };
    matches!(head, [_, 0x0b..=0x0f, b'\r', b'\n', rest @ ..] if rest.contains(&0))
}

/// HDF5's superblock stands at the start or, after a user block, at 512 bytes or a doubling of that.
fn is_hdf5(bytes: &[u8]) -> bool {
    let offsets = std::iter::successors(Some(512_usize), |offset| offset.checked_mul(2));
    std::iter::once(0)
        .chain(offsets)
        .take_while(|offset| *offset < bytes.len())
        .any(|offset| bytes.get(offset..).is_some_and(|rest| rest.starts_with(HDF5)))
}

/// The end record of a zip archive without comment. Zip readers search it from the end, so anything may stand before.
fn ends_as_zip(bytes: &[u8]) -> bool {
    bytes
        .split_last_chunk::<22>()
        .is_some_and(|(_, end)| end.starts_with(b"PK\x05\x06") && end.ends_with(&[0, 0]))
}

/// What joblib reads through: zlib at any level, and lzma. `x^` may start a text, so only binary files are asked.
fn compressed(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Some("zlib data"),
        [0x5d, 0, 0, ..] => Some("lzma data"),
        _ => None,
    }
}

/// A pickle of protocol 0 or 1, which has no magic: its opcodes, read until one stops, imports or calls.
///
/// Many a text reads as such opcodes, so only binary files are asked. What follows the first import need not be
/// well-formed: the unpickler has already run it.
fn old_pickle(bytes: &[u8]) -> Option<&'static str> {
    let mut rest = bytes;
    // A real pickle imports within its first few opcodes or ends; the bound keeps the cost of a large file small.
    for step in 0..4096 {
        let (opcode, after) = rest.split_first()?;
        rest = match opcode {
            b'.' | b'R' | b'b' | b'o' | 0x81 | 0x82..=0x84 | 0x92 | 0x93 => {
                return (step > 0).then_some("a pickle");
            }
            b'c' | b'i' => {
                let (module, after) = line(after)?;
                let (name, _) = line(after)?;
                return (is_dotted(module) && is_dotted(name)).then_some("a pickle");
            }
            b'I' | b'L' | b'F' => {
                let (digits, after) = line(after)?;
                let numeric = |byte: &u8| byte.is_ascii_digit() || b"+-.eELanif".contains(byte);
                if digits.is_empty() || !digits.iter().all(numeric) {
                    return None;
                }
                after
            }
            b'g' | b'p' => {
                let (digits, after) = line(after)?;
                if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                    return None;
                }
                after
            }
            b'S' => {
                let (quoted, after) = line(after)?;
                if !quoted.starts_with(b"'") && !quoted.starts_with(b"\"") {
                    return None;
                }
                after
            }
            b'P' | b'V' => line(after)?.1,
            b'K' | b'h' | b'q' | 0x80 => after.get(1..)?,
            b'M' => after.get(2..)?,
            b'J' | b'j' | b'r' => after.get(4..)?,
            b'G' => after.get(8..)?,
            b'U' => counted(after, 1)?,
            b'T' | b'X' | b'B' => counted(after, 4)?,
            b'C' => counted(after, 1)?,
            opcode if is_opcode(*opcode) && *opcode < 0x80 => after,
            _ => return None,
        };
    }
    None
}

/// One line, without its end, and what follows.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line, rest.get(1..)?))
}

/// What follows a little-endian length of `width` bytes and that many bytes.
fn counted(bytes: &[u8], width: usize) -> Option<&[u8]> {
    let (length, rest) = bytes.split_at_checked(width)?;
    let length = length.iter().rev().try_fold(0_usize, |sum, byte| {
        sum.checked_mul(256).and_then(|sum| sum.checked_add(usize::from(*byte)))
    })?;
    rest.get(length..)
}

/// A module or a name in one: identifiers, joined by dots.
fn is_dotted(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sniffed(path: &str, bytes: &[u8]) -> Option<&'static str> {
        sniff(classify(path), path, bytes)
    }

    #[test]
    fn names_of_real_models_are_classified() {
        let cases = [
            (
                Format::Safetensors,
                "model-00001-of-00004.safetensors MODEL.SAFETENSORS adapter_model.safetensors",
            ),
            (Format::Gguf, "llama-q4_k_m.gguf sub/dir/x.GGUF"),
            (
                Format::Pickle,
                "pytorch_model.bin x.pt x.pth x.pkl x.ckpt x.joblib training_args.bin x.tar.zip",
            ),
            (Format::Pickle, "pytorch_model.bin.index.json pytorch_model.bin.index.fp16.json"),
            (Format::Tensorflow, "tf_model.h5 flax_model.msgpack saved_model.pb x.tflite variables.index"),
            (
                Format::Tensorflow,
                "variables.data-00000-of-00001 tf_model.h5.index.json flax_model.msgpack.index.json",
            ),
            (Format::Numpy, "x.npy x.NPZ"),
            (Format::Onnx, "onnx/model.onnx model.onnx_data"),
            (Format::Python, "modeling_x.py x.pyc .py a.PY x.txt.py notebook.ipynb"),
            (Format::Executable, "lib.so lib.so.1 lib.so.1.2.3 x.dll x.exe x.sh kernel.cu x.json.so"),
            (
                Format::Inert,
                "config.json tokenizer.json tokenizer.model tokenizer.model.v3 tokenizer.model.v11",
            ),
            (
                Format::Inert,
                "tokenizer.model.v3m1 vocab.txt merges.txt vocab.bpe qwen.tiktoken spiece.model x.spm",
            ),
            (
                Format::Inert,
                "chat_template.jinja chat_template.json README.md README LICENSE LICENSE-MIT NOTICE",
            ),
            (
                Format::Inert,
                "LICENSE.txt .gitattributes USE_POLICY.md figure.PNG a.svg params.yaml model.sig.json",
            ),
            (Format::Inert, "model.safetensors.index.json model.safetensors.index.fp16.json source.spm"),
            (
                Format::Other,
                "word2vec.model x x. Makefile model.mlmodel engine.plan x.pdf x.so.json.d license.d",
            ),
            (Format::Other, "tokenizer.model.vx dir.py/x .metadata license.code"),
        ];
        for (format, names) in cases {
            for name in names.split(' ').filter(|name| !name.is_empty()) {
                assert_eq!(classify(name), format, "{name}");
            }
        }
        for name in ["", "a.py ", "a.json ", "a.py."] {
            assert_eq!(classify(name), Format::Other, "{name}");
        }
    }

    #[test]
    fn policy_names_round_trip_and_inert_is_not_listable() {
        for format in Format::LISTABLE {
            assert_eq!(Format::from_name(format.as_str()), Some(*format));
            assert_eq!(format.to_string(), format.as_str());
        }
        assert_eq!(Format::from_name("inert"), None);
        assert_eq!(Format::Inert.as_str(), "inert");
    }

    #[test]
    fn every_extension_has_one_row() {
        let inert = INERT_EXTENSIONS.iter().flat_map(|row| row.1);
        let mut all: Vec<_> = FORMATS.iter().flat_map(|row| row.1).chain(inert).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn real_content_is_not_belied() {
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        png.extend([0; 16]);
        let mut safetensors = 2_u64.to_le_bytes().to_vec();
        safetensors.extend(b"{}");
        // ModelProto.pieces: field 1, then a piece with its score.
        let sentencepiece = b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02\n\x0c\n\x03<s>\x15\0\0\0\0\x18\x03";
        let cases: &[(&str, &[u8])] = &[
            ("tokenizer.model", sentencepiece),
            ("tokenizer.model", b"IQ== 0\nIg== 1\nIw== 2\n"),
            ("tiktoken.model", b"cGhw 0\nb3M= 1\n"),
            ("config.json", b"\xef\xbb\xbf\n {\"a\": 1}"),
            ("added_tokens.json", b"[]"),
            ("n.json", b"null"),
            ("n.json", b"-1"),
            ("README.md", b""),
            ("README.md", b"GGUF is a format"),
            ("README.md", b"MZ is a magic number"),
            ("LICENSE", b"Copyright \xa9 2024"),
            ("vocab.txt", "[PAD]\n\u{4f60}\u{597d}\n".as_bytes()),
            ("merges.txt", b"#version: 0.2\n\xc4\xa0 t\n"),
            ("vocab.txt", b"cat\ndog\n."),
            ("figure.jpg", &png),
            ("figure.webp", b"RIFF\0\0\0\0WEBPVP8 "),
            ("logo.svg", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
            ("hparams.yaml", b"lr: 0.1\n"),
            ("model.safetensors", &safetensors),
            ("model.gguf", b"GGUF\x03\0\0\0"),
            ("x.npy", b"\x93NUMPY\x01\0"),
            ("x.npz", b"PK\x03\x04"),
            ("x.h5", HDF5),
            ("x.keras", b"PK\x03\x04"),
            ("x.pb", b"\x08\x01\x12"),
            ("x.onnx", b"\x08\x07\x12\x07pytorch"),
            ("x.bin", b"anything"),
        ];
        for (path, bytes) in cases {
            assert_eq!(sniffed(path, bytes), None, "{path} {bytes:?}");
        }
    }

    #[test]
    fn content_that_belies_its_name_is_named() {
        let mut tar = vec![0; 257];
        tar[0] = b'a';
        tar.extend(b"ustar\x0000");
        let mut program = vec![0; 64];
        program[..2].copy_from_slice(b"MZ");
        program[60] = 64;
        program.extend(b"PE\0\0");
        let mut block = vec![b'a'; 512];
        block.extend(HDF5);
        let mut polyglot = b"text".to_vec();
        polyglot.extend(b"PK\x05\x06");
        polyglot.extend([0; 18]);
        let mut safetensors = 2_u64.to_le_bytes().to_vec();
        safetensors.extend(b"{}");
        let pickle = b"\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\x05posix\x94";
        let cases: &[(&str, &[u8], &str)] = &[
            ("a.json", pickle, "a pickle"),
            ("tokenizer.model", pickle, "a pickle"),
            ("README.md", b"\x80\x02}q\0.", "a pickle"),
            ("a.txt", b"\x80\x05.", "a pickle"),
            ("tokenizer.model", b"cos\nsystem\n(S'id'\ntR.", "a pickle"),
            ("tokenizer.model", b"(S'id'\nios\nsystem\n.", "a pickle"),
            ("tokenizer.model", b"(dp0\nS'a'\np1\nI1\ns.", "a pickle"),
            ("tokenizer.model", b"}q\0(U\x01aK\x01u.", "a pickle"),
            ("tokenizer.model", b"X\x01\0\0\0a0cposix\nsystem\nnot even well-formed", "a pickle"),
            ("tokenizer.model", b"\x78\x9c\x01\x02", "zlib data"),
            ("tokenizer.model", &safetensors, "a safetensors file"),
            ("tokenizer.model", &polyglot, "a zip archive behind other data"),
            ("a.json", b"GGUF\x03\0\0\0", "a GGUF file"),
            ("a.json", b"PK\x03\x04", "a zip archive"),
            ("a.txt", b"\x7fELF\x02\x01", "an ELF program or library"),
            ("a.txt", b"\xcf\xfa\xed\xfe", "a Mach-O program or library"),
            ("tokenizer.model", &program, "a Windows program or library"),
            ("a.txt", b"\0asm\x01\0\0\0", "WebAssembly"),
            ("a.md", &block, "an HDF5 file"),
            ("a.md", &tar, "a tar archive"),
            ("a.md", b"\x1f\x8b\x08", "gzip data"),
            ("a.md", b"BZh91AY&SY", "bzip2 data"),
            ("a.md", b"\xa7\x0d\r\n\0\0\0\0\0\0\0\0\0\0\0\0", "Python byte code"),
            ("a.json", b"{\"a\": \"\xff\"}", "not UTF-8 text"),
            ("a.json", b"{\0}", "binary data"),
            ("a.json", b"", "not JSON"),
            ("a.json", b"import os", "not JSON"),
            ("a.json", b"nul", "not JSON"),
            ("vocab.txt", b"\xa9", "not UTF-8 text"),
            ("a.txt", b"a\0b", "binary data"),
            ("chat_template.jinja", b"\xff", "not UTF-8 text"),
            ("a.png", b"<svg/>", "not an image"),
            ("a.png", b"", "not an image"),
            ("a.yaml", b"a: !!python/object/apply:os.system [id]", "YAML that constructs Python objects"),
            ("m.safetensors", b"", "not a safetensors file"),
            ("m.safetensors", pickle, "not a safetensors file"),
            ("m.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\xff{}", "not a safetensors file"),
            ("m.safetensors", b"\x02\0\0\0\0\0\0\0[]", "not a safetensors file"),
            ("m.gguf", b"FUGG", "not a GGUF file"),
            ("m.gguf", pickle, "not a GGUF file"),
            ("x.npy", pickle, "not a NumPy array"),
            ("x.npz", pickle, "not a zip archive"),
            ("x.h5", pickle, "not an HDF5 file"),
            ("x.keras", pickle, "neither a zip archive nor HDF5"),
            ("x.msgpack", pickle, "a pickle"),
            ("x.onnx", pickle, "a pickle"),
        ];
        for (path, bytes, what) in cases {
            assert_eq!(sniffed(path, bytes), Some(*what), "{path} {bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_names_and_bytes_do_not_panic(
            path in ".{0,40}",
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            let _ = sniffed(&path, &bytes);
            for known in ["a.json", "tokenizer.model", "a.md", "a.safetensors", "a.gguf", "a.yaml", "a.png"] {
                let _ = sniffed(known, &bytes);
            }
        }

        #[test]
        fn opcodes_do_not_panic(bytes in proptest::collection::vec(
            proptest::sample::select(b"().0IJKMSTUVXcdgipqstu}]\n\x001a\x80\x02'".to_vec()), 0..64)) {
            let _ = old_pickle(&bytes);
        }

        #[test]
        fn printable_text_is_never_belied(text in "[ -~\n\u{e0}-\u{fff}]{0,400}") {
            prop_assert_eq!(sniffed("a.txt", text.as_bytes()), None);
            prop_assert_eq!(sniffed("a.jinja", text.as_bytes()), None);
        }
    }
}
