//! Every bound on untrusted input: its name, its value and its reason.
//!
//! A bound that is hit is a denial, never a truncation. Sizes are in bytes unless the name says otherwise.

/// A bundle: production bundles measure 4.6 to 40 KB; 100 000 files of 200 bytes each make 27 MB in base64.
pub(crate) const BUNDLE_BYTES: u64 = 64 << 20;

/// Bundles passed to one check: a few publishers, their rotations, a copy or two.
pub(crate) const BUNDLES: usize = 16;

/// Nesting of JSON documents: a bundle nests 7 deep, a statement 6.
pub(crate) const JSON_DEPTH: usize = 32;

/// Values in one JSON document: every resource of the largest manifest has an object and three strings.
pub(crate) const JSON_VALUES: usize = 1 << 22;

/// Values in one bundle document, which is read before any signature: log entries with their proofs have hundreds.
pub(crate) const BUNDLE_VALUES: usize = 1 << 16;

/// Resources in one manifest: 10 TB in shards of 1 MB would need ten times as many and is not a model.
pub(crate) const RESOURCES: usize = 1_000_000;

/// One resource name: PATH_MAX of Linux.
pub(crate) const NAME_BYTES: usize = 4096;

/// Entries of a model directory, files and directories together.
pub(crate) const TREE_ENTRIES: usize = 1_000_000;

/// Nesting of a model directory.
pub(crate) const TREE_DEPTH: usize = 64;

/// Links followed on the way to one file, where the caller asked for links to be followed: MAXSYMLINKS of Linux.
pub(crate) const LINK_HOPS: usize = 40;

/// The policy document, and each file it names.
pub(crate) const POLICY_BYTES: u64 = 4 << 20;

/// Files named by one policy: a few for each of a hundred publishers. With `POLICY_BYTES` it bounds the memory of a load.
pub(crate) const POLICY_FILES: usize = 256;

/// Certificates between leaf and anchor; web PKI has at most three.
pub(crate) const CHAIN_INTERMEDIATES: usize = 8;

/// One certificate in DER.
pub(crate) const CERTIFICATE_BYTES: usize = 64 << 10;

/// All certificates of one chain.
pub(crate) const CHAIN_BYTES: usize = 256 << 10;

/// Names times name constraints compared on one path: bounds the product an attacker chooses.
pub(crate) const NAME_CONSTRAINT_WORK: usize = 1 << 18;

/// A JSON or text document that we parse out of a model (index, configuration).
pub(crate) const DOCUMENT_BYTES: u64 = 64 << 20;

/// The safetensors header: the format's own bound.
pub(crate) const SAFETENSORS_HEADER_BYTES: u64 = 100_000_000;

/// Safetensors: tensors in one file, metadata counted as one. The largest shards have some 100 000.
pub(crate) const SAFETENSORS_TENSORS: usize = 1 << 20;

/// Safetensors: dimensions of one tensor. NumPy and PyTorch stop at 64.
pub(crate) const SAFETENSORS_DIMENSIONS: usize = 64;

/// GGUF: tensors in one file. The largest mixture-of-experts files have under 10 000.
pub(crate) const GGUF_TENSORS: u64 = 1 << 20;

/// GGUF: metadata pairs in one file. Real files have under 100.
pub(crate) const GGUF_PAIRS: u64 = 1 << 16;

/// GGUF: elements of one metadata array. Vocabularies have about 300 000 entries.
pub(crate) const GGUF_ARRAY: u64 = 1 << 26;

/// GGUF: everything before the tensor data. A vocabulary of 300 000 tokens with its merges takes 20 MB, an embedded
/// tokenizer.json 35 MB more. What is parsed takes at most three times as much memory.
pub(crate) const GGUF_HEADER_BYTES: usize = 128 << 20;

/// GGUF: a metadata key, by the specification; tensor names are shorter in all known readers.
pub(crate) const GGUF_NAME_BYTES: u64 = 65_535;

/// GGUF: one string. An embedded tokenizer.json reaches 35 MB.
pub(crate) const GGUF_STRING_BYTES: u64 = 64 << 20;

/// GGUF: arrays within arrays. The format allows them, no known file has them.
pub(crate) const GGUF_NESTING: usize = 4;

/// GGUF: dimensions of one tensor (GGML_MAX_DIMS).
pub(crate) const GGUF_DIMENSIONS: u32 = 4;

/// Findings listed in one record without further hashing.
pub(crate) const FINDINGS: usize = 32;

/// Characters of untrusted text in one message.
pub(crate) const MESSAGE_CHARS: usize = 400;

/// A file no larger than this is always copied, whatever the mechanism: loaders open configuration several times.
pub(crate) const SMALL_FILE_BYTES: u64 = 64 << 20;

/// What one worker reads at once. Large enough to amortise the system call, small enough to stay in the L2 cache.
pub(crate) const READ_BYTES: usize = 1 << 20;

/// Worker threads a policy may ask for.
pub(crate) const THREADS: usize = 1024;

/// One line of a ledger. A record lists each path once: the record of the largest bundle stays below twice its size.
pub(crate) const LEDGER_LINE_BYTES: usize = 256 << 20;

/// Chains told apart in one check of a ledger: a mixed log of a year holds one per process start.
pub(crate) const LEDGER_CHAINS: usize = 1_000_000;

/// Torn lines remembered while a `recovered` record may still name them; it follows at once, unless logs are mixed.
pub(crate) const LEDGER_TORN: usize = 1024;

/// Milliseconds a load waits for the ledger's lock or a full pipe. A writer holds the lock for one flush.
pub(crate) const LEDGER_WAIT_MILLISECONDS: u64 = 30_000;

/// Files of one model that are open at once: well below the usual limit of 1024 descriptors per process.
pub(crate) const OPEN_FILES: usize = 256;
