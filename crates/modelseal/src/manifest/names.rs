//! The one table of names: which entries of a model directory a loader could pick up.
//!
//! Asked only about entries that are *not* signed, or that the signer excluded. The answer for a name that nobody listed
//! is yes: unknown is denied. The rows that answer yes change no answer; they say why, and keep a later row from
//! answering no.
//!
//! Three traps shape the table:
//!
//! * An extension or a name speaks for the last component only: `notes.md/` is a directory, and what lies in it is
//!   judged by its own name. Only the whole-directory rows at the top of the table speak for what lies below.
//! * Loaders on case-insensitive file systems open `MODEL.SAFETENSORS`, so extensions are compared without case.
//!   Directories and whole names are compared exactly, because there a match is the lenient answer.
//! * A name may end harmlessly and still be opened by another system's rules: a backslash or a colon has a meaning of
//!   its own on Windows, and such a name is never inert.

/// What a loader could make of an unsigned or excluded entry of this name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Loadable {
    /// Known to be inert: recorded, not handed out, need not be readable.
    No,
    /// A loader could pick it up, or nobody knows: a denial unless signed.
    Yes,
}

/// Classifies a path relative to the model's root. A path that ends with `/` is a directory whose content is unknown.
pub(crate) fn loadable(path: &str) -> Loadable {
    known(path).0
}

/// Classifies a path, and says why.
pub(crate) fn known(path: &str) -> (Loadable, &'static str) {
    let mut components: Vec<&str> = path.split('/').collect();
    let is_directory = components.last() == Some(&"");
    if is_directory {
        components.pop();
    }
    let Some((name, parents)) = components.split_last() else {
        return UNKNOWN;
    };
    if components.iter().any(|component| matches!(*component, "" | "." | "..")) || path.contains(['\\', ':'])
    {
        return UNKNOWN;
    }
    for row in TABLE {
        let matches = match row.pattern {
            Pattern::Below(directory) => is_below(directory, &components),
            Pattern::Extension(extension) => !is_directory && has_extension(name, extension),
            Pattern::Legal => !is_directory && is_legal_text(name),
            Pattern::Name(exact) => !is_directory && *name == exact,
            Pattern::SillyRename => !is_directory && is_silly_rename(name),
            Pattern::UnfinishedSignature => !is_directory && is_unfinished_signature(name),
            Pattern::TopLevelName(exact) => !is_directory && parents.is_empty() && *name == exact,
        };
        if matches {
            return (row.loadable, row.reason);
        }
    }
    UNKNOWN
}

const UNKNOWN: (Loadable, &str) = (Loadable::Yes, "no rule says that the name is inert");

struct Row {
    pattern: Pattern,
    loadable: Loadable,
    reason: &'static str,
}

#[derive(Clone, Copy)]
enum Pattern {
    /// The directory at the root of the model, itself and everything below it.
    Below(&'static str),
    /// The text behind the last dot, in any case; the name before it is not empty.
    Extension(&'static str),
    /// Licences, notices and read-me files without an extension, or with one of plain documents.
    Legal,
    /// The last component, exactly.
    Name(&'static str),
    /// `.nfs` and hexadecimal digits.
    SillyRename,
    /// An entry at the root of the model, exactly.
    TopLevelName(&'static str),
    /// `.<name>.sig.<random>.tmp`, which our signer renames when it is whole.
    UnfinishedSignature,
}

const fn inert(pattern: Pattern, reason: &'static str) -> Row {
    Row { pattern, loadable: Loadable::No, reason }
}

const fn loaded(extension: &'static str, reason: &'static str) -> Row {
    Row { pattern: Pattern::Extension(extension), loadable: Loadable::Yes, reason }
}

/// The first row that matches answers.
const TABLE: &[Row] = &[
    // What version control and the hub's client keep for themselves. Only at the root: that is where they write, and
    // OpenSSF Model Signing v1.0 excludes the git names there and nowhere else. No loader lists these directories, and
    // a signed index that names a file in one refers to a file that is withheld, which is a denial of its own.
    inert(Pattern::Below(".git"), "git's own files; excluded by OpenSSF Model Signing"),
    inert(Pattern::Below(".github"), "the forge's own files; excluded by OpenSSF Model Signing"),
    inert(Pattern::Below(".cache/huggingface"), "what the hub's client remembers of a download"),
    inert(Pattern::Below("lost+found"), "the file system's own; often unreadable"),
    inert(Pattern::TopLevelName(".gitattributes"), "git's own file; excluded by OpenSSF Model Signing"),
    inert(Pattern::TopLevelName(".gitignore"), "git's own file; excluded by OpenSSF Model Signing"),
    // What file systems and desktops leave behind, anywhere. AppleDouble files (`._model.safetensors`) have no row:
    // they keep the extension, and a listing that filters by it picks them up.
    inert(Pattern::UnfinishedSignature, "what a signer that was killed leaves behind"),
    inert(Pattern::SillyRename, "a removed file that an NFS client still holds open"),
    inert(Pattern::Name(".DS_Store"), "the macOS desktop's own file"),
    inert(Pattern::Name("Thumbs.db"), "the Windows desktop's own file"),
    inert(Pattern::Name("desktop.ini"), "the Windows desktop's own file"),
    // Weights.
    loaded("safetensors", "weights; servers load every such file that they find"),
    loaded("gguf", "weights, templates and tokenizer of llama.cpp"),
    loaded("ggml", "weights of old llama.cpp"),
    loaded("onnx", "a graph with weights"),
    loaded("onnx_data", "weights of a graph beside it"),
    loaded("npy", "arrays, perhaps pickled objects"),
    loaded("npz", "arrays, perhaps pickled objects"),
    loaded("h5", "weights and layers of Keras"),
    loaded("hdf5", "weights and layers of Keras"),
    loaded("keras", "weights and layers of Keras"),
    loaded("tflite", "a graph with weights"),
    loaded("pb", "a graph of TensorFlow"),
    loaded("msgpack", "weights of Flax"),
    loaded("engine", "a compiled graph"),
    loaded("plan", "a compiled graph"),
    loaded("mlmodel", "a compiled graph"),
    // Pickles: reading one runs what it says.
    loaded("bin", "weights, usually a pickle"),
    loaded("pt", "a pickle"),
    loaded("pth", "a pickle"),
    loaded("ckpt", "a pickle"),
    loaded("pkl", "a pickle"),
    loaded("pickle", "a pickle"),
    loaded("joblib", "a pickle"),
    loaded("mar", "an archive of code and pickles"),
    loaded("nemo", "an archive of pickles"),
    // Code.
    loaded("py", "code; an unsigned file can shadow an import"),
    loaded("pyc", "byte code"),
    loaded("so", "native code"),
    loaded("dll", "native code"),
    loaded("dylib", "native code"),
    loaded("sh", "a script"),
    loaded("ipynb", "a notebook with code"),
    // Configuration, tokenizers, templates: they decide what is loaded, and how input is read. `*.sigstore.json` is no
    // exception: its extension is `.json`, and a bundle that the caller uses is not asked about here.
    loaded("json", "configuration, index or tokenizer; can name code and files to load"),
    loaded("jsonl", "configuration, tokenizer or data"),
    loaded("yaml", "configuration; can name code and files to load"),
    loaded("yml", "configuration; can name code and files to load"),
    loaded("toml", "configuration"),
    loaded("ini", "configuration"),
    loaded("cfg", "configuration"),
    loaded("model", "a SentencePiece tokenizer"),
    loaded("spm", "a SentencePiece tokenizer"),
    loaded("tiktoken", "a tokenizer"),
    loaded("vocab", "a tokenizer"),
    loaded("jinja", "a chat template, which is a program"),
    // Text. A licence is inert only in the plain forms: `LICENSE.py` is code, `NOTICE.json` is configuration.
    inert(Pattern::Legal, "a licence, notice or read-me file"),
    loaded("txt", "a vocabulary or merge list of a tokenizer, or a prompt"),
    inert(Pattern::Extension("md"), "text for people"),
    inert(Pattern::Extension("rst"), "text for people"),
    inert(Pattern::Extension("pdf"), "text for people"),
    inert(Pattern::Extension("gif"), "a picture for people"),
    inert(Pattern::Extension("jpeg"), "a picture for people"),
    inert(Pattern::Extension("jpg"), "a picture for people"),
    inert(Pattern::Extension("png"), "a picture for people"),
    inert(Pattern::Extension("svg"), "a picture for people"),
    inert(Pattern::Extension("webp"), "a picture for people"),
    // Beside a model. The extension is the last one, so `model.safetensors.incomplete` is no weights file to anybody.
    inert(Pattern::Extension("sig"), "a signature bundle, of whatever publisher"),
    inert(Pattern::Extension("lock"), "a lock of a downloader"),
    inert(Pattern::Extension("incomplete"), "a download that was not finished"),
];

/// Whether the path is the directory or lies below it.
fn is_below(directory: &str, components: &[&str]) -> bool {
    let mut components = components.iter();
    directory.split('/').all(|name| components.next().is_some_and(|component| *component == name))
}

/// A name that only starts with a dot has no extension.
fn has_extension(name: &str, extension: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(stem, found)| !stem.is_empty() && found.eq_ignore_ascii_case(extension))
}

fn is_legal_text(name: &str) -> bool {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "txt"));
    let stem = stem.to_ascii_uppercase();
    ["COPYING", "LICENCE", "LICENSE", "NOTICE", "README"].iter().any(|start| stem.starts_with(start))
        && ["html", "md", "pdf", "rst", "txt"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// The Linux NFS client renames an open file that is removed to `.nfs`, the file's number and a counter, in hexadecimal.
/// Whether a name is that of a signature our signer was killed while writing. It is no part of a model, so it is neither
/// signed nor a reason to deny.
pub(crate) fn is_unfinished_signature(name: &str) -> bool {
    name.starts_with('.')
        && name.strip_suffix(".tmp").and_then(|rest| rest.rsplit_once('.')).is_some_and(|(rest, random)| {
            rest.ends_with(".sig")
                && random.len() == 6
                && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

fn is_silly_rename(name: &str) -> bool {
    name.strip_prefix(".nfs")
        .is_some_and(|digits| digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inert_names() {
        for path in [
            ".git",
            ".git/",
            ".git/config",
            ".git/hooks/run.py",
            ".github/workflows/ci.yml",
            ".gitattributes",
            ".gitignore",
            ".cache/huggingface/",
            ".cache/huggingface/download/model.safetensors.metadata",
            ".cache/huggingface/.gitignore",
            "lost+found",
            "lost+found/",
            "lost+found/#123",
            ".nfs0000000000b7a3c200000001",
            "sub/.nfs0000000000b7a3c200000001",
            ".model.sig.a1B2c3.tmp",
            ".DS_Store",
            "sub/.DS_Store",
            "Thumbs.db",
            "desktop.ini",
            "README.md",
            "readme.MD",
            "docs/guide.md",
            "README",
            "LICENSE",
            "LICENSE.txt",
            "LICENSE-2.0.txt",
            "LICENSE-MIT",
            "NOTICE",
            "Notice.txt",
            "COPYING",
            "model.sig",
            "model.safetensors.sig",
            "model.safetensors.incomplete",
            "download.lock",
            "assets/figure.png",
        ] {
            assert_eq!(loadable(path), Loadable::No, "{path}");
        }
    }

    #[test]
    fn loadable_names() {
        for path in [
            "model.safetensors",
            "MODEL.SafeTensors",
            "sub/model-00001-of-00002.safetensors",
            "model.gguf",
            "pytorch_model.bin",
            "model.pt",
            "tokenizer.model",
            "modeling_x.py",
            "config.json",
            "model.safetensors.index.json",
            "model.sigstore.json",
            "claims.jsonl",
            "chat_template.jinja",
            "vocab.txt",
            "merges.txt",
        ] {
            assert_eq!(loadable(path), Loadable::Yes, "{path}");
            assert_ne!(known(path), UNKNOWN, "{path} has a row of its own");
        }
    }

    #[test]
    fn unknown_names_are_loadable() {
        for path in ["", "/", "weights", "model.xyz", "model.safetensors2", ".hidden", "x.tmp", "x~", ".md"] {
            assert_eq!(known(path), UNKNOWN, "{path}");
        }
    }

    #[test]
    fn nothing_inert_exempts_what_it_should_not() {
        for path in [
            // Directories with inert names.
            "notes.md/model.safetensors",
            "model.sig/model.safetensors",
            "LICENSE/modeling.py",
            ".DS_Store/config.json",
            "notes.md/",
            "model.sig/",
            "LICENSE/",
            ".nfs0000000000b7a3c200000001/x.py",
            // Whole directories count only at the root and only by their exact names.
            "sub/.git/config",
            "sub/lost+found/x",
            "sub/.cache/huggingface/x",
            "sub/.gitignore",
            ".cache/x.py",
            ".cache/",
            ".cache/huggingface2/x.py",
            ".gitx/x.py",
            ".GIT/x.py",
            "lost+found2/x",
            // Names that only look inert.
            "LICENSE.py",
            "LICENSE.json",
            "NOTICE.safetensors",
            "README.md.py",
            "model.md.safetensors",
            ".nfs",
            ".nfsx.safetensors",
            ".nfs0000000000b7a3c2.py",
            "._model.safetensors",
            ".DS_Store.py",
            "desktop.ini.json",
            // Paths that are none, and names that mean something else on another system.
            "sub/../README.md",
            "./README.md",
            "sub//README.md",
            "/README.md",
            "model.py\\README.md",
            "model.py:README.md",
        ] {
            assert_eq!(loadable(path), Loadable::Yes, "{path}");
        }
    }

    #[test]
    fn every_extension_has_one_row() {
        let mut seen = std::collections::BTreeSet::new();
        for row in TABLE {
            if let Pattern::Extension(extension) = row.pattern {
                assert!(seen.insert(extension), "{extension} twice");
                assert_eq!(loadable(&format!("x.{extension}")), row.loadable, "{extension} is shadowed");
            }
        }
    }
}
