//! The table of reasons. Everything that lists codes is made from it.

/// Makes [`Code`] and its lookups from one table, so that no second list can drift.
macro_rules! codes {
    ($($name:ident = $number:literal, $dotted:literal, $sentence:literal, $remedy:literal;)*) => {
        /// A stable, machine-readable reason for a denial.
        ///
        /// Numbers and names are never reused: a lock file in the tests is append-only. The thousands digit
        /// is the stage of the load that found the reason; see the table in [`crate::manual::codes`].
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        #[repr(u32)]
        pub enum Code {
            $(
                #[doc = concat!("`", $dotted, "` (", stringify!($number), "): ", $sentence)]
                $name = $number,
            )*
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable number, the same in C.
            #[must_use]
            pub const fn number(self) -> u32 {
                match self { $(Self::$name => $number),* }
            }

            /// The dotted name used in records, in Python and on the command line.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $dotted),* }
            }

            /// One sentence: what this reason means.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence),* }
            }

            /// What the reader can do about it, when the error itself knows nothing more precise.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy),* }
            }

            /// Finds a code by its dotted name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == name)
            }
        }
    };
}

codes! {
    // 1000: the bundle, read as untrusted bytes.
    BundleMissing = 1001, "bundle.missing", "No signature bundle was found for the model.",
        "Sign the model, or say where its bundle is.";
    BundleUnreadable = 1002, "bundle.unreadable", "A bundle file could not be read.",
        "Check that the path names a readable regular file.";
    BundleTooLarge = 1003, "bundle.too_large", "A bundle is larger than any real one.",
        "Make sure the file is a signature bundle.";
    BundleNotJson = 1004, "bundle.not_json", "A bundle is not one well-formed JSON document.",
        "Fetch the bundle again; it is truncated or not a bundle.";
    BundleDuplicateKey = 1005, "bundle.duplicate_key", "A JSON object in the bundle names one key twice.",
        "Ask the publisher for a bundle without duplicate keys.";
    BundleMediaType = 1006, "bundle.media_type", "The bundle's media type is not a Sigstore bundle this version reads.",
        "Use a bundle of version v0.1 to v0.3.";
    BundleMalformed = 1007, "bundle.malformed", "A bundle field is missing, of the wrong type or wrongly encoded.",
        "Fetch the bundle again, or ask the publisher for a valid one.";
    BundleSignatureCount = 1008, "bundle.signature_count", "A bundle must carry exactly one signature.",
        "Write one bundle per signature.";
    BundleMaterial = 1009, "bundle.material", "The bundle's verification material does not belong to any signing method.",
        "Ask the publisher for a bundle with a key hint, a certificate chain or a keyless certificate.";

    // 2000: the signed statement and the manifest in it.
    EnvelopePayloadType = 2001, "envelope.payload_type", "The envelope's payload type is not in-toto JSON.",
        "Sign the model with a tool that writes OpenSSF Model Signing bundles.";
    StatementMalformed = 2002, "statement.malformed", "The signed payload is not a well-formed in-toto statement.",
        "Ask the publisher to sign the model again.";
    StatementType = 2003, "statement.type", "The statement's `_type` is not in-toto Statement v1.",
        "Ask the publisher to sign the model again.";
    StatementSubject = 2004, "statement.subject", "The statement's subject is missing, repeated or wrong.",
        "Ask the publisher to sign the model again.";
    StatementPredicateType = 2005, "statement.predicate_type", "The statement's predicate is not a model signature.",
        "Pass the model's signature, not another attestation.";
    StatementLegacy = 2006, "statement.legacy", "The bundle uses the deprecated v0.2 format, which this rule does not allow.",
        "Sign the model again, or write `legacy = true` in the rule.";
    ManifestEmpty = 2007, "manifest.empty", "The manifest lists no files.",
        "Sign a model that contains at least one file.";
    ManifestPathInvalid = 2008, "manifest.path_invalid", "A signed path is absolute, leaves the model, or is not canonical.",
        "Ask the publisher to sign the model again.";
    ManifestDuplicateName = 2009, "manifest.duplicate_name", "Two signed resources have one name.",
        "Ask the publisher to sign the model again.";
    ManifestDigestInvalid = 2010, "manifest.digest_invalid", "A signed digest is not hexadecimal of the right length.",
        "Ask the publisher to sign the model again.";
    ManifestAlgorithm = 2011, "manifest.algorithm", "A signed digest uses an algorithm that is not allowed.",
        "Sign with sha256, blake2b or blake3.";
    ManifestSerialization = 2012, "manifest.serialization", "The manifest's serialization is unknown or contradicts itself.",
        "Sign with the method `files` or `shards`.";
    ManifestShards = 2013, "manifest.shards", "The signed shards of a file leave a gap, overlap or have the wrong size.",
        "Ask the publisher to sign the model again.";
    ManifestRoot = 2014, "manifest.root", "The signed root digest is not the digest of the listed resources.",
        "Ask the publisher to sign the model again.";
    ManifestAnnotation = 2015, "manifest.annotation", "A signed annotation is misplaced, repeated or of the wrong length.",
        "Ask the publisher to sign the model again.";

    // 3000: who signed.
    SignatureInvalid = 3001, "signature.invalid", "The signature does not match the payload.",
        "Do not load this model; fetch model and bundle again from the publisher.";
    SignatureWrongKey = 3002, "signature.wrong_key", "The bundle says that it was signed with another key.",
        "Check which public key the publisher uses, and correct the policy.";
    SignatureMethod = 3003, "signature.method", "The bundle was signed with another method than the publisher uses.",
        "Ask the publisher how the model is signed, and correct the policy.";
    KeyUnsupported = 3004, "key.unsupported", "A public key is malformed, too weak or of an unsupported type.",
        "Use P-256, P-384, P-521, Ed25519, or RSA of 2048 bits or more.";
    X509Malformed = 3101, "x509.malformed", "A certificate in the chain is not well-formed.",
        "Ask the publisher for a valid certificate chain.";
    X509TooLarge = 3102, "x509.too_large", "The certificate chain is larger than any real one.",
        "Ask the publisher for a shorter chain.";
    X509Untrusted = 3103, "x509.untrusted", "The certificate chain does not lead to an anchor of the policy.",
        "Check the anchors in the policy.";
    X509Signature = 3104, "x509.signature", "A certificate is not signed by the next one in the chain.",
        "Do not load this model; ask the publisher for the right chain.";
    X509Algorithm = 3105, "x509.algorithm", "A certificate uses an algorithm or a key below the floor.",
        "Use SHA-2 with P-256, P-384, P-521, Ed25519, or RSA of 2048 bits or more.";
    X509Expired = 3106, "x509.expired", "A certificate in the chain has expired.",
        "Sign the model again with a certificate that is valid now.";
    X509NotYetValid = 3107, "x509.not_yet_valid", "A certificate in the chain is not valid yet.",
        "Check the clock, or wait.";
    X509Usage = 3108, "x509.usage", "A certificate's key usage or extended key usage does not allow signing code.",
        "Sign with a certificate issued for code signing.";
    X509NotCa = 3109, "x509.not_ca", "A certificate signed another one without being a certificate authority.",
        "Ask the publisher for the right chain.";
    X509PathLength = 3110, "x509.path_length", "The chain is longer than a certificate in it allows.",
        "Ask the publisher for the right chain.";
    X509CriticalExtension = 3111, "x509.critical_extension", "A certificate carries a critical extension that is not understood.",
        "Use certificates without that extension.";
    X509NameConstraint = 3112, "x509.name_constraint", "A certificate's name violates a constraint of its issuer.",
        "Ask the publisher for the right chain.";
    X509PolicyConstraint = 3113, "x509.policy_constraint", "The chain uses certificate policy constraints, which are refused.",
        "Use certificates without policy constraints.";
    X509Identity = 3114, "x509.identity", "The certificate is valid but names another subject than the publisher's.",
        "Check the subject in the policy.";
    KeylessInvalid = 3201, "keyless.invalid", "The keyless evidence (certificate, log entry, timestamps) does not verify.",
        "Do not load this model; fetch the bundle again from the publisher.";
    KeylessIdentity = 3202, "keyless.identity", "The bundle was signed by another identity or through another issuer.",
        "Check identity and issuer in the policy.";
    KeylessUnavailable = 3203, "keyless.unavailable", "This build cannot verify keyless bundles.",
        "Build with the feature `keyless`.";
    TrustUnreadable = 3301, "trust.unreadable", "A key, anchor or trusted root named by the policy cannot be read or parsed.",
        "Correct the file that the policy names.";
    TrustStale = 3302, "trust.stale", "A trusted root named by the policy is older than its `max_age`.",
        "Fetch the trusted root again.";

    // 4000: the policy.
    PolicyUnreadable = 4001, "policy.unreadable", "The policy file cannot be read.",
        "Check the path of the policy.";
    PolicyMalformed = 4002, "policy.malformed", "The policy is not a valid policy document.",
        "Correct the line that the message names.";
    PolicyVersion = 4003, "policy.version", "The policy is of a version this library does not know.",
        "Update modelseal, or write `version = 1`.";
    PolicyNameInvalid = 4004, "policy.name_invalid", "The model name is not a valid name.",
        "Use one to four segments of letters, digits, `.`, `_` and `-`, joined by `/`.";
    PolicyNoRule = 4005, "policy.no_rule", "No rule of the policy matches the model's name.",
        "Add a [[model]] rule for this name.";
    PolicyNoPublisher = 4006, "policy.no_publisher", "No publisher that the rule allows signed this model.",
        "Check the rule's publishers, or get the model from its publisher.";
    PolicyPublishersMissing = 4007, "policy.publishers_missing", "The rule asks for signatures of all its publishers; one is missing.",
        "Pass one bundle for every publisher of the rule.";
    PolicyBundlesDisagree = 4008, "policy.bundles_disagree", "Two bundles of this model list different resources.",
        "Have every publisher sign the same content.";
    PolicyPin = 4009, "policy.pin", "The model is signed by the right publisher but is not the pinned content.",
        "Load the pinned content, or change the pin after review.";

    // 5000: the files.
    SourceUnreadable = 5001, "source.unreadable", "The model cannot be opened or is neither a file nor a directory.",
        "Check the path of the model.";
    SourceTooLarge = 5002, "source.too_large", "The model has more files or deeper directories than any real one.",
        "Point at the model's own directory.";
    SourceHubLink = 5003, "source.hub_link", "A link in the hub cache does not have the shape the hub writes.",
        "Remove the snapshot and download it again.";
    FileMissing = 5101, "file.missing", "A signed file is missing.",
        "Fetch the model again.";
    FileUnsigned = 5102, "file.unsigned", "A file that a loader could pick up is not signed.",
        "Remove the file, or have the publisher sign it.";
    FileExcludedLoadable = 5103, "file.excluded_loadable", "The signer excluded a file that a loader could pick up.",
        "Remove the file, or have the publisher sign it.";
    FileSize = 5104, "file.size", "A file's size differs from the signed size.",
        "Fetch the file again.";
    FileDigestMismatch = 5105, "file.digest_mismatch", "The bytes of a file differ from the signed digest.",
        "Do not load this model; fetch the file again from the publisher.";
    FileChanged = 5106, "file.changed", "A file changed while it was read.",
        "Stop whatever writes to the model, and load again.";
    FileSymlink = 5107, "file.symlink", "A path of the model is a symbolic link.",
        "Replace the link by the file, or open a hub cache as a hub snapshot.";
    FileNotRegular = 5108, "file.not_regular", "A path of the model is not a regular file.",
        "Remove it from the model's directory.";
    FileNameInvalid = 5109, "file.name_invalid", "A file's name is not valid UTF-8 or contains a control character.",
        "Rename or remove the file.";
    FileUnreadable = 5110, "file.unreadable", "A file of the model cannot be read.",
        "Check the file's permissions and the disk.";
    SelectionMissing = 5201, "selection.missing", "A selected file is not part of the signed model.",
        "Select files that the manifest lists.";

    // 6000: the formats.
    FormatContentMismatch = 6001, "format.content_mismatch", "A file's content belies its name.",
        "Do not load this model; ask the publisher what the file is.";
    FormatWithheldReferenced = 6002, "format.withheld_referenced", "The model needs a file of a format that the policy does not list.",
        "List the format in the policy after review, or use a model without it.";
    FormatNothingLoadable = 6003, "format.nothing_loadable", "Nothing that may be handed out is left of the model.",
        "List the model's format in the policy after review.";
    FormatSafetensors = 6101, "format.safetensors", "A safetensors file is not well-formed.",
        "Ask the publisher for a valid file.";
    FormatGguf = 6102, "format.gguf", "A GGUF file is not well-formed.",
        "Ask the publisher for a valid file.";
    FormatIndex = 6103, "format.index", "The index of a sharded model contradicts its files.",
        "Ask the publisher for a valid index.";
    TensorMissing = 6201, "tensor.missing", "The model has no tensor of this name.",
        "List the tensors with `modelseal open`.";
    FileNotHandedOut = 6202, "file.not_handed_out", "The model hands out no file of this name.",
        "The record says whether the file is withheld, and why.";

    // 7000: the open.
    AssuranceBelowFloor = 7001, "assurance.below_floor", "The assurance asked for is weaker than the policy's floor.",
        "Ask for a stronger assurance, or change the floor in the policy.";
    AssuranceUnavailable = 7002, "assurance.unavailable", "The assurance asked for does not exist here.",
        "Ask for another assurance.";
    AssuranceMemory = 7003, "assurance.memory", "There is not enough memory for the copy that the assurance needs.",
        "Free memory, raise the limit, select fewer files, or use `verity`.";
    AssuranceVerity = 7004, "assurance.verity", "The file's fs-verity digest is not the signed one.",
        "Fetch the file again and enable fs-verity on it.";
    OpenCancelled = 7101, "open.cancelled", "The caller cancelled the verification.",
        "Start it again.";
    OpenSystem = 7102, "open.system", "The operating system refused a resource that the open needs.",
        "See the evidence; raise the limit it names.";

    // 8000: the ledger.
    LedgerUnwritable = 8001, "ledger.unwritable", "The record of this load could not be written.",
        "Make the ledger that the policy names writable.";
    LedgerCorrupt = 8002, "ledger.corrupt", "A ledger line was edited, inserted, moved or removed.",
        "Treat the ledger as tampered with.";
    LedgerHead = 8003, "ledger.head", "The ledger does not contain the head that was kept elsewhere.",
        "Treat the ledger as cut or rewritten.";
    LedgerUnreadable = 8004, "ledger.unreadable", "A ledger file could not be read, or holds no record.",
        "Check that the path names a ledger.";

    // 9000: signing.
    SignKey = 9001, "sign.key", "The private key cannot be read or is of an unsupported type.",
        "Use a P-256, P-384 or P-521 key in PEM.";
    SignPassword = 9002, "sign.password", "The private key is encrypted and the password is missing or wrong.",
        "Give the key's password.";
    SignCertificate = 9003, "sign.certificate", "The signing certificate cannot be used with this key.",
        "Give the certificate that belongs to the private key, and its chain.";
    SignOutput = 9004, "sign.output", "The signature could not be written.",
        "Check that the directory of the signature is writable.";
    SignUnavailable = 9005, "sign.unavailable", "This signing method is not available in this build.",
        "Sign with a key or a certificate.";
}
