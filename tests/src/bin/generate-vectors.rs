//! Writes `tests/vectors`: one folder per case, deterministic. Keys and certificates under `keys/` are made once and
//! kept, because certificates are signed at random; delete the folder to make them anew.
//!
//! `generate-vectors [DIRECTORY]` writes elsewhere, with the kept keys.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a generator that fails says where"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use modelseal::manifest::{MeasureOptions, Serialization};
use modelseal::{Algorithm, Tree};
use modelseal_sign::{Signer, SigningKey};
use modelseal_tests::{Case, Setup, vectors};
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The time of every case that is not about time.
const CLOCK: &str = "2027-01-01T00:00:00Z";
const NAME: &str = "acme/model";

fn main() {
    let kept = vectors().join("keys");
    if !kept.exists() {
        write_keys(&kept);
    }
    let root = std::env::args_os().nth(1).map_or_else(vectors, PathBuf::from);
    if root == vectors() {
        for entry in fs::read_dir(&root).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path != kept {
                fs::remove_dir_all(path).unwrap();
            }
        }
    } else {
        copy(&kept, &root.join("keys"));
    }
    let world = World { root };
    world.bundles();
    world.statements();
    world.signers();
    world.chains();
    world.policies();
    world.files();
    world.formats();
    world.opens();
    world.ledgers();
}

/// A key from a fixed scalar: test data, worth nothing.
fn key(scalar: u8) -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[scalar; 32]).unwrap()
}

fn signing_key(scalar: u8) -> SigningKey {
    let pem = p256::SecretKey::from(key(scalar).as_nonzero_scalar()).to_pkcs8_pem(LineEnding::LF).unwrap();
    SigningKey::from_pem(pem.as_bytes(), None).unwrap()
}

fn public(scalar: u8) -> String {
    key(scalar).verifying_key().to_public_key_pem(LineEnding::LF).unwrap()
}

const RELEASE: u8 = 1;
const OTHER: u8 = 2;
const STRANGER: u8 = 3;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

// Keys and certificates.

fn authority(name: &str, most: u8) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(most));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2046, 1, 1));
    params
}

fn leaf() -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    params.distinguished_name.push(DnType::CommonName, "model signing");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2046, 1, 1));
    params
}

fn extension(oid: &[u64], critical: bool, value: &[u8]) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(oid, value.to_vec());
    extension.set_criticality(critical);
    extension
}

/// Writes every chain as `<name>.pem`, leaf first, and the leaf's key as `leaf.key`.
fn write_keys(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    let write = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
    write("README.md", "Test keys and certificates, worth nothing. Made by `generate-vectors`.\n");
    for (name, scalar) in [("release", RELEASE), ("other", OTHER), ("stranger", STRANGER)] {
        write(&format!("{name}.pub"), &public(scalar));
    }
    let root_key = KeyPair::generate().unwrap();
    let root_params = authority("test root", 1);
    let root_certificate = root_params.self_signed(&root_key).unwrap();
    write("root.pem", &root_certificate.pem());
    let root = Issuer::new(root_params, root_key);
    let leaf_key = KeyPair::generate().unwrap();
    write("leaf.key", &leaf_key.serialize_pem());
    let issue = |name: &str, change: &dyn Fn(&mut CertificateParams)| {
        let mut params = leaf();
        change(&mut params);
        write(&format!("{name}.pem"), &params.signed_by(&leaf_key, &root).unwrap().pem());
    };
    issue("good", &|_| ());
    issue("expired", &|params| params.not_after = date_time_ymd(2026, 6, 1));
    issue("early", &|params| params.not_before = date_time_ymd(2040, 1, 1));
    issue("tls", &|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    issue("critical", &|params| {
        params.custom_extensions = vec![extension(&[1, 2, 3, 4], true, &[5, 0])];
    });
    issue("policy", &|params| {
        params.custom_extensions = vec![extension(&[2, 5, 29, 36], true, &[0x30, 3, 0x80, 1, 0])];
    });
    let below = |name: &str, change: &dyn Fn(&mut CertificateParams), depth: usize| {
        let mut issuer_key = KeyPair::generate().unwrap();
        let mut params = authority("test intermediate", 0);
        change(&mut params);
        let mut chain = vec![params.signed_by(&issuer_key, &root).unwrap().pem()];
        for level in 1..depth {
            let next_key = KeyPair::generate().unwrap();
            let next = authority(&format!("test intermediate {level}"), 0);
            chain.push(next.signed_by(&next_key, &Issuer::new(params, issuer_key)).unwrap().pem());
            (params, issuer_key) = (next, next_key);
        }
        let leaf = leaf().signed_by(&leaf_key, &Issuer::new(params, issuer_key)).unwrap().pem();
        chain.push(leaf);
        chain.reverse();
        write(&format!("{name}.pem"), &chain.concat());
    };
    below("intermediate", &|_| (), 1);
    below("not-ca", &|params| params.is_ca = IsCa::ExplicitNoCa, 1);
    below("too-long", &|_| (), 2);
    below(
        "constrained",
        &|params| {
            let mut other = rcgen::DistinguishedName::new();
            other.push(DnType::OrganizationName, "Somebody else");
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DirectoryName(other)],
                excluded_subtrees: Vec::new(),
            });
        },
        1,
    );
    // The same name as the root, another key: the leaf's signature does not match the anchor.
    let forger_key = KeyPair::generate().unwrap();
    let forger = Issuer::new(authority("test root", 1), forger_key);
    write("forged.pem", &leaf().signed_by(&leaf_key, &forger).unwrap().pem());
    let stranger = Issuer::new(authority("another root", 1), KeyPair::generate().unwrap());
    write("untrusted.pem", &leaf().signed_by(&leaf_key, &stranger).unwrap().pem());
}

fn der_chain(pem: &str) -> Vec<String> {
    pem.split("-----BEGIN CERTIFICATE-----")
        .skip(1)
        .map(|block| block.split("-----END").next().unwrap().split_whitespace().collect())
        .collect()
}

// Models and bundles.

fn safetensors(tensor: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header =
        format!(r#"{{"{tensor}":{{"dtype":"U8","shape":[{0}],"data_offsets":[0,{0}]}}}}"#, bytes.len());
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    let mut file = u64::try_from(header.len()).unwrap().to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(bytes);
    file
}

/// A GGUF v3 file of one F32 tensor.
fn gguf() -> Vec<u8> {
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend(u64::try_from(text.len()).unwrap().to_le_bytes());
        out.extend(text.as_bytes());
    };
    let mut out = b"GGUF".to_vec();
    out.extend(3_u32.to_le_bytes());
    out.extend(1_u64.to_le_bytes());
    out.extend(1_u64.to_le_bytes());
    text(&mut out, "general.architecture");
    out.extend(8_u32.to_le_bytes());
    text(&mut out, "llama");
    text(&mut out, "token_embd.weight");
    out.extend(1_u32.to_le_bytes());
    out.extend(4_u64.to_le_bytes());
    out.extend(0_u32.to_le_bytes());
    out.extend(0_u64.to_le_bytes());
    out.resize(out.len().next_multiple_of(32), 0);
    out.extend([1_f32, 2.0, 3.0, 4.0].iter().flat_map(|number| number.to_le_bytes()));
    out
}

type Files = Vec<(&'static str, Vec<u8>)>;

fn plain() -> Files {
    vec![
        ("config.json", br#"{"model_type": "llama"}"#.to_vec()),
        ("model.safetensors", safetensors("weight", &[1, 2, 3, 4])),
        ("tokenizer.json", br#"{"version": "1.0"}"#.to_vec()),
    ]
}

fn with(name: &'static str, bytes: impl Into<Vec<u8>>) -> Files {
    let mut files = plain();
    files.retain(|(known, _)| *known != name);
    files.push((name, bytes.into()));
    files
}

/// Annotations would bind sizes and stand in for digests; cases that are about neither do without.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Annotations {
    With,
    Without,
}

struct World {
    root: PathBuf,
}

/// A case in the making: its folder and what its `case.toml` will say.
struct Draft<'w> {
    world: &'w World,
    folder: PathBuf,
    case: Case,
}

impl World {
    /// A case that opens `model/` under a policy which trusts the release key.
    fn case(&self, name: &str, expect: &str, description: &str) -> Draft<'_> {
        let folder = self.root.join(name);
        fs::create_dir_all(&folder).unwrap();
        let case = Case {
            description: description.to_owned(),
            expect: expect.to_owned(),
            model: "model".to_owned(),
            name: NAME.to_owned(),
            policy: "policy.toml".to_owned(),
            clock: CLOCK.to_owned(),
            ..Case::default()
        };
        Draft { world: self, folder, case }.policy("")
    }

    fn kept(&self, name: &str) -> String {
        fs::read_to_string(self.root.join("keys").join(name)).unwrap()
    }
}

impl Draft<'_> {
    fn write(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    fn files(self, files: Files) -> Self {
        files.into_iter().fold(self, |draft, (name, bytes)| draft.write(&format!("model/{name}"), bytes))
    }

    /// The usual policy, with more lines in its rule.
    fn policy(self, rule: &str) -> Self {
        self.policy_text(&format!(
            "version = 1\n\n[[publisher]]\nname = \"release\"\nkey = {{ public = [\"../keys/release.pub\"] }}\n\n\
             [[publisher]]\nname = \"other\"\nkey = {{ public = [\"../keys/other.pub\"] }}\n\n\
             [[model]]\nmatch = \"acme/*\"\n{}{rule}",
            if rule.contains("all_of") { "" } else { "publishers = [\"release\"]\n" },
        ))
    }

    fn policy_text(self, text: &str) -> Self {
        self.write("policy.toml", text)
    }

    fn certificate_policy(self, options: &str) -> Self {
        self.policy_text(&format!(
            "version = 1\n\n[[publisher]]\nname = \"lab\"\n\
             certificate = {{ anchors = [\"../keys/root.pem\"], {options} }}\n\n\
             [[model]]\nmatch = \"acme/*\"\npublishers = [\"lab\"]\n"
        ))
    }

    fn measured(&self, annotations: Annotations, serialization: Serialization) -> Vec<u8> {
        let options = MeasureOptions::new("model", serialization).exclude("model.sig");
        let options = if annotations == Annotations::With { options } else { options.without_annotations() };
        let tree = Tree::walk(self.folder.join("model")).unwrap();
        modelseal::Manifest::measure(&tree, &options).unwrap().to_payload()
    }

    fn payload(&self) -> Value {
        let payload = self.measured(Annotations::Without, Serialization::files(Algorithm::Sha256));
        serde_json::from_slice(&payload).unwrap()
    }

    /// Signs what lies there now as the release does.
    fn signed(self) -> Self {
        self.signed_by(RELEASE, "model/model.sig")
    }

    fn signed_by(self, scalar: u8, place: &str) -> Self {
        let payload = self.measured(Annotations::Without, Serialization::files(Algorithm::Sha256));
        let bundle = bundle(scalar, &payload);
        self.write(place, serde_json::to_vec(&bundle).unwrap())
    }

    fn signed_as(self, annotations: Annotations, serialization: Serialization) -> Self {
        let payload = self.measured(annotations, serialization);
        let bundle = bundle(RELEASE, &payload);
        self.write("model/model.sig", serde_json::to_vec(&bundle).unwrap())
    }

    /// Signs a changed statement: a valid signature over what no honest signer writes.
    fn statement(self, change: impl FnOnce(&mut Value)) -> Self {
        let mut payload = self.payload();
        change(&mut payload);
        let bundle = bundle(RELEASE, &serde_json::to_vec(&payload).unwrap());
        self.write("model/model.sig", serde_json::to_vec(&bundle).unwrap())
    }

    /// Changes the bundle after it was signed.
    fn bundle(self, change: impl FnOnce(&mut Value)) -> Self {
        let mut bundle = bundle(RELEASE, &serde_json::to_vec(&self.payload()).unwrap());
        change(&mut bundle);
        self.write("model/model.sig", serde_json::to_vec(&bundle).unwrap())
    }

    /// Signs with the leaf key, under this chain of certificates.
    fn chain(self, name: &str) -> Self {
        let chain = der_chain(&self.world.kept(&format!("{name}.pem")));
        self.raw_chain(&chain)
    }

    fn raw_chain(self, chain: &[String]) -> Self {
        let key = SigningKey::from_pem(self.world.kept("leaf.key").as_bytes(), None).unwrap();
        let payload = serde_json::to_vec(&self.payload()).unwrap();
        let signed = Signer::key(key).sign_statement(&payload).unwrap();
        let mut bundle: Value = serde_json::from_slice(signed.to_bytes()).unwrap();
        let certificates: Vec<Value> = chain.iter().map(|der| json!({ "rawBytes": der })).collect();
        bundle["verificationMaterial"] =
            json!({ "x509CertificateChain": { "certificates": certificates }, "tlogEntries": [] });
        self.write("model/model.sig", serde_json::to_vec(&bundle).unwrap())
    }

    fn set(mut self, change: impl FnOnce(&mut Case)) -> Self {
        change(&mut self.case);
        self
    }

    fn setup(mut self, setup: Setup) -> Self {
        self.case.setup.push(setup);
        self
    }

    /// Writes `case.toml`. An allowed case says what it hands out.
    fn done(mut self) {
        if self.case.expect == "allow" && self.case.action.is_empty() && self.case.handed_out.is_empty() {
            self.case.handed_out = handed_out(&self.folder.join(&self.case.model), &self.case);
        }
        let text = toml::to_string(&self.case).unwrap();
        fs::write(self.folder.join("case.toml"), text).unwrap();
    }
}

fn bundle(scalar: u8, payload: &[u8]) -> Value {
    let signed = Signer::key(signing_key(scalar)).sign_statement(payload).unwrap();
    serde_json::from_slice(signed.to_bytes()).unwrap()
}

fn handed_out(model: &Path, case: &Case) -> BTreeMap<String, String> {
    if model.is_file() {
        let name = model.file_name().unwrap().to_str().unwrap().to_owned();
        return BTreeMap::from([(name, hex::encode(Sha256::digest(fs::read(model).unwrap())))]);
    }
    let mut all = BTreeMap::new();
    let mut open = vec![model.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(model).unwrap().to_str().unwrap().to_owned();
            let withheld = [".sig", ".bin", ".py", "README.md"].iter().any(|ending| name.ends_with(ending));
            if !withheld && (case.select.is_empty() || case.select.contains(&name)) {
                all.insert(name, hex::encode(Sha256::digest(fs::read(&path).unwrap())));
            }
        }
    }
    all
}

// The cases, by stage.

impl World {
    fn bundles(&self) {
        let case =
            |code: &str, about: &str| self.case(&code.replace(['.', '_'], "-"), code, about).files(plain());
        case("bundle.missing", "no bundle anywhere").done();
        case("bundle.unreadable", "the bundle is a directory").write("model/model.sig/keep", "").done();
        case("bundle.too_large", "a bundle of 64 MiB and one byte")
            .write("model/model.sig", "")
            .setup(Setup::Length { path: "model.sig".to_owned(), bytes: (64 << 20) + 1 })
            .done();
        case("bundle.not_json", "trailing data after the document")
            .bundle(|_| ())
            .append("model/model.sig", b"{}")
            .done();
        case("bundle.duplicate_key", "the media type is named twice")
            .write("model/model.sig", br#"{"mediaType":"a","mediaType":"b"}"#)
            .done();
        case("bundle.media_type", "a bundle of version 0.9")
            .bundle(|bundle| bundle["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.9+json".into())
            .done();
        case("bundle.malformed", "the payload is not base64")
            .bundle(|bundle| bundle["dsseEnvelope"]["payload"] = "***".into())
            .done();
        case("bundle.signature_count", "a second signature that nobody verified")
            .bundle(|bundle| {
                let first = bundle["dsseEnvelope"]["signatures"][0].clone();
                bundle["dsseEnvelope"]["signatures"].as_array_mut().unwrap().push(first);
            })
            .done();
        case("bundle.material", "a key and a certificate at once")
            .bundle(|bundle| {
                bundle["verificationMaterial"]["x509CertificateChain"] =
                    json!({ "certificates": [{ "rawBytes": "AAAA" }] });
            })
            .done();
    }

    fn statements(&self) {
        let case = |name: &str, code: &str, about: &str| self.case(name, code, about).files(plain());
        let named = |code: &str| code.replace(['.', '_'], "-");
        let plain_case = |code: &str, about: &str| case(&named(code), code, about);
        plain_case("envelope.payload_type", "a valid signature over another payload type")
            .foreign_type()
            .done();
        plain_case("statement.malformed", "no predicate")
            .statement(|statement| drop(statement.as_object_mut().unwrap().remove("predicate")))
            .done();
        plain_case("statement.type", "an in-toto statement of version 0.1")
            .statement(|statement| statement["_type"] = "https://in-toto.io/Statement/v0.1".into())
            .done();
        plain_case("statement.subject", "no subject")
            .statement(|statement| statement["subject"] = json!([]))
            .done();
        plain_case("statement.predicate_type", "a valid signature over a provenance attestation")
            .statement(|statement| statement["predicateType"] = "https://slsa.dev/provenance/v1".into())
            .done();
        let old = |statement: &mut Value| {
            let subjects: Vec<Value> = statement["predicate"]["resources"]
                .as_array()
                .unwrap()
                .iter()
                .map(|resource| json!({ "name": resource["name"], "digest": { "sha256": resource["digest"] } }))
                .collect();
            statement["subject"] = subjects.into();
            statement["predicateType"] = "https://model_signing/Digests/v0.1".into();
            statement["predicate"] = json!({ "unused": "-" });
        };
        plain_case("statement.legacy", "a v0.2 bundle, which the rule does not allow").statement(old).done();
        case("allow-legacy", "allow", "the same v0.2 bundle under a rule that allows it")
            .policy("legacy = true\n")
            .statement(old)
            .done();
        let resources = |statement: &mut Value, change: &dyn Fn(&mut Vec<Value>)| {
            change(statement["predicate"]["resources"].as_array_mut().unwrap());
        };
        plain_case("manifest.empty", "no resources")
            .statement(|it| {
                resources(it, &Vec::clear);
                it["subject"][0]["digest"]["sha256"] = hex::encode(Sha256::digest([])).into();
            })
            .done();
        for (name, path) in [
            ("manifest-path-invalid", "../model.safetensors"),
            ("manifest-path-absolute", "/model.safetensors"),
            ("manifest-path-nul", "model\0.safetensors"),
            ("manifest-path-dot", "./model.safetensors"),
        ] {
            case(name, "manifest.path_invalid", "a path that is not canonical")
                .statement(|it| resources(it, &|all| all[0]["name"] = path.into()))
                .done();
        }
        plain_case("manifest.duplicate_name", "two resources with one name")
            .statement(|it| resources(it, &|all| all[1]["name"] = all[0]["name"].clone()))
            .done();
        plain_case("manifest.digest_invalid", "a digest of 31 bytes")
            .statement(|it| resources(it, &|all| all[0]["digest"] = "00".repeat(31).into()))
            .done();
        plain_case("manifest.algorithm", "a file hashed with MD5")
            .statement(|it| resources(it, &|all| all[0]["algorithm"] = "md5".into()))
            .done();
        plain_case("manifest.serialization", "a method nobody knows")
            .statement(|it| it["predicate"]["serialization"]["method"] = "tensors".into())
            .done();
        plain_case("manifest.shards", "a file whose first shard is missing")
            .statement(|it| {
                it["predicate"]["serialization"]["method"] = "shards".into();
                it["predicate"]["serialization"]["shard_size"] = 4.into();
                resources(it, &|all| {
                    for resource in all.iter_mut() {
                        resource["name"] = format!("{}:4:8", resource["name"].as_str().unwrap()).into();
                    }
                });
            })
            .done();
        plain_case("manifest.root", "a root digest of other resources")
            .statement(|it| it["subject"][0]["digest"]["sha256"] = "00".repeat(32).into())
            .done();
        plain_case("manifest.annotation", "an annotated BLAKE3 root of 31 bytes")
            .statement(|it| {
                resources(it, &|all| {
                    all[0]["annotations"] = json!({ "modelseal.digests/v1": {
                        "size": 1, "blake3": "00".repeat(31), "fsverity": format!("sha256:{}", "00".repeat(32)),
                    }});
                });
            })
            .done();
    }

    fn signers(&self) {
        let case =
            |code: &str, about: &str| self.case(&code.replace(['.', '_'], "-"), code, about).files(plain());
        case("signature.invalid", "the payload was changed after it was signed")
            .bundle(|bundle| {
                let payload = STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
                let text = String::from_utf8(payload).unwrap().replace("config.json", "config.jsox");
                bundle["dsseEnvelope"]["payload"] = STANDARD.encode(text).into();
            })
            .done();
        case("signature.wrong_key", "somebody else signed, and says so")
            .signed_by(STRANGER, "model/model.sig")
            .done();
        self.case(
            "signature-wrong-key-hidden",
            "signature.invalid",
            "somebody else signed, and claims our key",
        )
        .files(plain())
        .bundle(|bundle| {
            let payload = STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
            bundle["dsseEnvelope"] = self::bundle(STRANGER, &payload)["dsseEnvelope"].clone();
        })
        .done();
        case("signature.method", "signed with a key, the publisher has a certificate")
            .certificate_policy("any_identity = true")
            .signed()
            .done();
        case("key.unsupported", "a policy with an RSA key of 1024 bits")
            .set(|case| {
                case.action = "policy".to_owned();
                case.model.clear();
            })
            .policy_text(&format!(
                "version = 1\n\n[[publisher]]\nname = \"release\"\nkey = {{ public = [\"\"\"\n{RSA_1024}\"\"\"] }}\n\n\
                 [[model]]\nmatch = \"acme/*\"\npublishers = [\"release\"]\n"
            ))
            .done();
        case("keyless.invalid", "a keyless bundle with a certificate and a log entry that nobody issued")
            .policy_text(
                "version = 1\n\n[[publisher]]\nname = \"cloud\"\n\
                 keyless = { identity = \"ci@example.com\", issuer = \"https://issuer.example.com\" }\n\n\
                 [[model]]\nmatch = \"acme/*\"\npublishers = [\"cloud\"]\n",
            )
            .bundle(|bundle| {
                let leaf = &der_chain(&self.kept("good.pem"))[0];
                bundle["verificationMaterial"] = json!({
                    "certificate": { "rawBytes": leaf },
                    "tlogEntries": [{
                        "logIndex": "1", "logId": { "keyId": "AAAA" },
                        "kindVersion": { "kind": "dsse", "version": "0.0.1" },
                        "integratedTime": "1790000000", "canonicalizedBody": "AAAA",
                        "inclusionPromise": { "signedEntryTimestamp": "AAAA" },
                    }],
                });
            })
            .done();
    }

    fn chains(&self) {
        let case = |name: &str, code: &str, about: &str| {
            self.case(name, code, about)
                .files(plain())
                .certificate_policy("subject = \"CN=model signing,O=Example\"")
        };
        for (file, code, about) in [
            ("expired", "x509.expired", "the leaf expired"),
            ("early", "x509.not_yet_valid", "the leaf is not valid yet"),
            ("tls", "x509.usage", "a leaf for TLS servers"),
            ("critical", "x509.critical_extension", "a critical extension nobody knows"),
            ("policy", "x509.policy_constraint", "policy constraints"),
            ("not-ca", "x509.not_ca", "an intermediate that is no authority"),
            ("too-long", "x509.path_length", "one intermediate more than the root allows"),
            ("constrained", "x509.name_constraint", "a subject outside the intermediate's constraint"),
            ("forged", "x509.signature", "an issuer with the root's name and another key"),
            ("untrusted", "x509.untrusted", "a root that the policy does not name"),
        ] {
            case(&code.replace(['.', '_'], "-"), code, about).chain(file).done();
        }
        case("x509-identity", "x509.identity", "a valid certificate of somebody else")
            .certificate_policy("subject = \"CN=somebody else,O=Example\"")
            .chain("good")
            .done();
        case("x509-malformed", "x509.malformed", "a certificate that is not DER")
            .raw_chain(&["AAAA".to_owned()])
            .done();
        let good = der_chain(&self.kept("good.pem")).remove(0);
        case("x509-too-large", "x509.too_large", "twelve certificates").raw_chain(&vec![good; 12]).done();
        case("x509-algorithm", "x509.algorithm", "an RSA-1024 key that signed with SHA-1")
            .policy_text(&format!(
                "version = 1\n\n[[publisher]]\nname = \"lab\"\ncertificate = {{ any_identity = true, anchors = [\"\"\"\n\
                 -----BEGIN CERTIFICATE-----\n{RSA_1024_SHA1_LEAF}-----END CERTIFICATE-----\n\"\"\"] }}\n\n\
                 [[model]]\nmatch = \"acme/*\"\npublishers = [\"lab\"]\n"
            ))
            .raw_chain(&[RSA_1024_SHA1_LEAF.split_whitespace().collect()])
            .done();
        case("allow-certificate", "allow", "a leaf below the root").chain("good").done();
        case("allow-intermediate", "allow", "a leaf below an intermediate").chain("intermediate").done();
    }

    fn policies(&self) {
        let policy_case = |code: &str, about: &str| {
            self.case(&code.replace(['.', '_'], "-"), code, about).set(|case| {
                case.action = "policy".to_owned();
                case.model.clear();
            })
        };
        policy_case("policy.unreadable", "there is no policy")
            .set(|case| case.policy = "absent.toml".to_owned())
            .done();
        policy_case("policy.malformed", "a key nobody knows").policy("trust_everybody = true\n").done();
        policy_case("policy.version", "a policy of a later version").policy_text("version = 2\n").done();
        policy_case("trust.unreadable", "a key file that is not there")
            .policy_text(
                "version = 1\n[[publisher]]\nname = \"release\"\nkey = { public = [\"absent.pub\"] }\n\
                 [[model]]\nmatch = \"acme/*\"\npublishers = [\"release\"]\n",
            )
            .done();
        policy_case("trust.stale", "a trusted root older than its max_age, at the time of the check")
            .set(|case| case.clock = "2999-01-01T00:00:00Z".to_owned())
            .write("trusted_root.json", "{}")
            .policy_text(
                "version = 1\n[[publisher]]\nname = \"cloud\"\nkeyless = { identity = \"a@example.com\", \
                 issuer = \"https://issuer.example.com\", trusted_root = { file = \"trusted_root.json\", max_age = \"90d\" } }\n\
                 [[model]]\nmatch = \"acme/*\"\npublishers = [\"cloud\"]\n",
            )
            .done();
        let case =
            |code: &str, about: &str| self.case(&code.replace(['.', '_'], "-"), code, about).files(plain());
        case("policy.name_invalid", "a path in the place of a name")
            .set(|case| case.name = "../model".to_owned())
            .signed()
            .done();
        case("policy.no_rule", "a name that no rule matches")
            .set(|case| case.name = "somebody/model".to_owned())
            .signed()
            .done();
        case("policy.no_publisher", "signed by a publisher of another rule")
            .signed_by(OTHER, "model/model.sig")
            .done();
        let both = "all_of = [\"release\", \"other\"]\n";
        case("policy.publishers_missing", "one of two signatures").policy(both).signed().done();
        let two = ["model/model.sig".to_owned(), "other.sig".to_owned()];
        case("policy.bundles_disagree", "two publishers signed two contents")
            .policy(both)
            .set(|case| case.bundles = two.to_vec())
            .write("model/config.json", r#"{"model_type": "other"}"#)
            .signed_by(OTHER, "other.sig")
            .write("model/config.json", r#"{"model_type": "llama"}"#)
            .signed()
            .done();
        self.case("allow-all-of", "allow", "two publishers signed one content")
            .files(plain())
            .policy(both)
            .set(|case| case.bundles = two.to_vec())
            .signed_by(OTHER, "other.sig")
            .signed()
            .done();
        self.case("allow-stale-beside-current", "allow", "an old bundle beside the current one never hurts")
            .files(plain())
            .set(|case| case.bundles = vec!["old.sig".to_owned(), "model/model.sig".to_owned()])
            .write("model/config.json", r#"{"model_type": "older"}"#)
            .signed_by(RELEASE, "old.sig")
            .write("model/config.json", r#"{"model_type": "llama"}"#)
            .signed()
            .done();
        case("policy.pin", "another content of the right publisher")
            .policy(&format!("pin = [\"dirHash:{}\"]\n", "00".repeat(32)))
            .signed()
            .done();
    }

    fn files(&self) {
        let case = |name: &str, code: &str, about: &str| self.case(name, code, about).files(plain()).signed();
        let named = |code: &str, about: &str| case(&code.replace(['.', '_'], "-"), code, about);
        named("source.unreadable", "there is no model")
            .set(|case| case.within = "absent".to_owned())
            .set(|case| case.bundles = vec!["model/model.sig".to_owned()])
            .done();
        named("source.too_large", "directories nested 80 deep")
            .setup(Setup::Deep { path: "deep".to_owned(), count: 80 })
            .done();
        named("file.missing", "a signed file is gone").remove("model/tokenizer.json").done();
        named("file.unsigned", "a pickle beside signed weights")
            .write("model/pytorch_model.bin", b"\x80\x04.")
            .done();
        case("file-unsigned-python", "file.unsigned", "code beside signed weights")
            .write("model/modeling_llama.py", "print()\n")
            .done();
        named("file.digest_mismatch", "one byte of the weights was swapped")
            .write("model/model.safetensors", safetensors("weight", &[1, 2, 3, 5]))
            .done();
        self.case(
            "file-digest-mismatch-annotated",
            "file.digest_mismatch",
            "the same, found by the signed BLAKE3 root",
        )
        .files(plain())
        .signed_as(Annotations::With, Serialization::files(Algorithm::Sha256))
        .write("model/model.safetensors", safetensors("weight", &[1, 2, 3, 5]))
        .done();
        self.case(
            "file-digest-mismatch-shards",
            "file.digest_mismatch",
            "the same, in the last of several shards",
        )
        .files(plain())
        .signed_as(Annotations::Without, Serialization::shards(Algorithm::Blake3, 16.try_into().unwrap()))
        .write("model/model.safetensors", safetensors("weight", &[1, 2, 3, 5]))
        .done();
        self.case(
            "file-digest-mismatch-on-access",
            "file.digest_mismatch",
            "the same, when the weights are touched",
        )
        .files(plain())
        .signed()
        .write("model/model.safetensors", safetensors("weight", &[1, 2, 3, 5]))
        .set(|case| {
            case.on_access = true;
            case.tensors = vec!["weight".to_owned()];
        })
        .done();
        self.case("file-size", "file.size", "a file longer than its signed size")
            .files(plain())
            .signed_as(Annotations::With, Serialization::files(Algorithm::Sha256))
            .append("model/config.json", b" ")
            .done();
        self.case("file-excluded-loadable", "file.excluded_loadable", "the signer left the weights out")
            .files(plain())
            .statement(|statement| {
                let resources = statement["predicate"]["resources"].as_array_mut().unwrap();
                resources.retain(|resource| resource["name"] != "model.safetensors");
                let mut root = Sha256::new();
                for resource in resources.iter() {
                    root.update(hex::decode(resource["digest"].as_str().unwrap()).unwrap());
                }
                statement["subject"][0]["digest"]["sha256"] = hex::encode(root.finalize()).into();
                statement["predicate"]["serialization"]["ignore_paths"] = json!(["model.safetensors"]);
            })
            .done();
        named("file.symlink", "signed weights became a link out of the model")
            .remove("model/model.safetensors")
            .setup(Setup::Symlink {
                path: "model.safetensors".to_owned(),
                target: "/etc/hostname".to_owned(),
            })
            .done();
        case("file-symlink-directory", "file.symlink", "a directory that is a link out of the model")
            .setup(Setup::Symlink { path: "extra".to_owned(), target: "/etc".to_owned() })
            .done();
        named("file.not_regular", "a FIFO that a loader would wait for")
            .setup(Setup::Fifo { path: "extra.json".to_owned() })
            .done();
        named("file.name_invalid", "a name that is not UTF-8")
            .setup(Setup::Name { hex: "ff2e6a736f6e".to_owned() })
            .done();
        named("selection.missing", "a selected file that is not signed")
            .set(|case| case.select = vec!["vae.safetensors".to_owned()])
            .done();
        self.case("allow-selection", "allow", "one file of a model")
            .files(plain())
            .signed()
            .set(|case| case.select = vec!["config.json".to_owned()])
            .done();
        self.case("allow-inert-extras", "allow", "a note beside a signed model is recorded, not handed out")
            .files(plain())
            .signed()
            .write("model/README.md", "hello\n")
            .done();
        self.hub("allow-hub-snapshot", "allow", "../../blobs/", None);
        self.hub("source-hub-link", "source.hub_link", "../../../../", None);
        self.hub("source-hub-link-extra-hop", "source.hub_link", "../../blobs/", Some("elsewhere"));
    }

    /// A snapshot whose weights are a link to a blob; the link text starts with `up`.
    fn hub(&self, name: &str, expect: &str, up: &str, hop: Option<&str>) {
        let weights = safetensors("weight", &[1, 2, 3, 4]);
        let etag = hex::encode(Sha256::digest(&weights));
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let draft = self.case(name, expect, "weights of a hub snapshot are a link to a blob");
        // What is signed is the content under the snapshot's names.
        let draft =
            draft.files(vec![("model.safetensors", weights.clone())]).signed_by(RELEASE, "bundle.sig");
        fs::remove_dir_all(draft.folder.join("model")).unwrap();
        let repository = "model/models--acme--model";
        let blob = if hop.is_some() { "model/real" } else { &format!("{repository}/blobs/{etag}") };
        let mut draft =
            draft.write(blob, &weights).write(&format!("{repository}/refs/main"), commit).set(|case| {
                case.hub_snapshot = true;
                case.within = format!("models--acme--model/snapshots/{commit}");
                case.bundles = vec!["bundle.sig".to_owned()];
                if expect == "allow" {
                    let digest = hex::encode(Sha256::digest(&weights));
                    case.handed_out = BTreeMap::from([("model.safetensors".to_owned(), digest)]);
                }
            });
        if hop.is_some() {
            draft = draft.setup(Setup::Symlink {
                path: format!("models--acme--model/blobs/{etag}"),
                target: "../../real".to_owned(),
            });
        }
        draft
            .setup(Setup::Symlink {
                path: format!("models--acme--model/snapshots/{commit}/model.safetensors"),
                target: format!("{up}{etag}"),
            })
            .done();
    }

    fn formats(&self) {
        let case = |name: &str, code: &str, about: &str, files: Files| {
            self.case(name, code, about).files(files).signed()
        };
        case(
            "format-content-mismatch",
            "format.content_mismatch",
            "a signed pickle with the name of safetensors",
            with("model.safetensors", b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtin\x94."),
        )
        .done();
        case(
            "format-content-json",
            "format.content_mismatch",
            "a signed pickle with the name of a configuration",
            with("config.json", b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtin\x94."),
        )
        .done();
        case(
            "format-withheld-referenced",
            "format.withheld_referenced",
            "a configuration that asks for signed code",
            {
                let mut files = with("config.json", br#"{"auto_map": {"AutoModel": "modeling_x.XModel"}}"#);
                files.push(("modeling_x.py", b"class XModel: pass\n".to_vec()));
                files
            },
        )
        .done();
        case(
            "format-nothing-loadable",
            "format.nothing_loadable",
            "nothing but a signed pickle",
            vec![("config.json", b"{}".to_vec()), ("pytorch_model.bin", b"\x80\x04.".to_vec())],
        )
        .done();
        case(
            "format-safetensors",
            "format.safetensors",
            "a header that promises more bytes than there are",
            {
                let mut bytes = safetensors("weight", &[1, 2, 3, 4]);
                bytes.truncate(bytes.len() - 1);
                with("model.safetensors", bytes)
            },
        )
        .done();
        let mut broken = gguf();
        broken[8] = 9;
        case(
            "format-gguf",
            "format.gguf",
            "more tensors announced than there are",
            with("model.gguf", broken),
        )
        .done();
        case(
            "format-index",
            "format.index",
            "an index that names a tensor no shard has",
            with(
                "model.safetensors.index.json",
                br#"{"metadata": {}, "weight_map": {"bias": "model.safetensors"}}"#,
            ),
        )
        .done();
        case("tensor-missing", "tensor.missing", "a tensor the model does not have", plain())
            .set(|case| case.tensors = vec!["bias".to_owned()])
            .done();
        case(
            "file-not-handed-out",
            "file.not_handed_out",
            "a signed pickle is withheld",
            with("extra.bin", b"\x80\x04."),
        )
        .set(|case| case.touch = vec!["extra.bin".to_owned()])
        .done();
        case(
            "allow-withheld-pickle",
            "allow",
            "a signed pickle is withheld, the rest is handed out",
            with("extra.bin", b"\x80\x04."),
        )
        .done();
        let mut files = plain();
        files.push(("model.gguf", gguf()));
        case("allow-gguf", "allow", "safetensors and GGUF side by side", files)
            .set(|case| case.tensors = vec!["weight".to_owned(), "token_embd.weight".to_owned()])
            .done();
        let indexed = vec![
            ("a.safetensors", safetensors("left", &[1, 2])),
            ("b.safetensors", safetensors("right", &[3, 4])),
            (
                "model.safetensors.index.json",
                br#"{"metadata": {}, "weight_map": {"left": "a.safetensors", "right": "b.safetensors"}}"#
                    .to_vec(),
            ),
        ];
        case("allow-sharded", "allow", "a sharded model", indexed)
            .set(|case| {
                case.on_access = true;
                case.tensors = vec!["right".to_owned()];
            })
            .done();
    }

    fn opens(&self) {
        let case = |name: &str, code: &str, about: &str| self.case(name, code, about).files(plain());
        let files = || Serialization::files(Algorithm::Sha256);
        case("assurance-below-floor", "assurance.below_floor", "private memory under a floor of verity")
            .policy("assurance = \"verity\"\n")
            .signed_as(Annotations::With, files())
            .set(|case| case.assurance = "private".to_owned())
            .done();
        case("assurance-below-floor-mapped", "assurance.below_floor", "a mapped view under the usual floor")
            .signed()
            .set(|case| case.assurance = "mapped".to_owned())
            .done();
        case("assurance-unavailable", "assurance.unavailable", "fs-verity without a signed fs-verity digest")
            .signed()
            .set(|case| case.assurance = "verity".to_owned())
            .done();
        case("assurance-memory", "assurance.memory", "a file of eight tebibytes")
            .signed()
            .setup(Setup::Length { path: "model.safetensors".to_owned(), bytes: 8 << 40 })
            .done();
        case("ledger-unwritable", "ledger.unwritable", "a ledger in a directory that is not there")
            .ledger_policy()
            .signed()
            .done();
        for assurance in ["private", "sealed"] {
            for (form, annotations, serialization) in [
                ("files", Annotations::Without, files()),
                ("annotated", Annotations::With, files()),
                ("blake3", Annotations::Without, Serialization::files(Algorithm::Blake3)),
                ("blake2b", Annotations::Without, Serialization::files(Algorithm::Blake2b)),
                (
                    "shards",
                    Annotations::With,
                    Serialization::shards(Algorithm::Sha256, 16.try_into().unwrap()),
                ),
            ] {
                case(&format!("allow-{assurance}-{form}"), "allow", "every serialization, held both ways")
                    .signed_as(annotations, serialization)
                    .set(|case| case.assurance = assurance.to_owned())
                    .done();
            }
        }
        case("allow-mapped", "allow", "a mapped view under a policy that names it")
            .policy("assurance = \"mapped\"\n")
            .signed()
            .set(|case| case.assurance = "mapped".to_owned())
            .done();
    }

    fn ledgers(&self) {
        let line = |sequence: u64, previous: &str, load: &str| {
            format!(
                "{{\"schema\":\"modelseal.ledger/v1\",\"event\":\"load\",\"chain\":\"{}\",\"sequence\":{sequence},\
                 \"previous\":\"{previous}\",\"host\":\"test\",\"process\":{{\"id\":1,\"start\":1}},\"load_id\":\"{}\",\
                 \"library\":\"0.1.0\",\"verdict\":{{\"outcome\":\"allowed\"}}}}",
                "ab".repeat(16),
                load.repeat(32),
            )
        };
        let hash = |line: &str| hex::encode(Sha256::digest(line.as_bytes()));
        let first = line(1, &"0".repeat(64), "1");
        let second = line(2, &hash(&first), "2");
        let third = line(3, &hash(&second), "3");
        let ledger = |name: &str, expect: &str, about: &str, lines: &[&str]| {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            self.case(name, expect, about)
                .set(|case| {
                    case.action = "ledger".to_owned();
                    case.model.clear();
                    case.policy.clear();
                    case.name.clear();
                    case.ledgers = vec!["ledger.jsonl".to_owned()];
                })
                .remove("policy.toml")
                .write("ledger.jsonl", text)
        };
        let edited = second.replace("allowed", "denied");
        ledger("ledger-corrupt", "ledger.corrupt", "an edited line", &[&first, &edited, &third]).done();
        ledger("ledger-corrupt-removed", "ledger.corrupt", "a removed line", &[&first, &third]).done();
        ledger(
            "ledger-corrupt-reordered",
            "ledger.corrupt",
            "two lines changed places",
            &[&first, &third, &second],
        )
        .done();
        ledger("ledger-head", "ledger.head", "the tail was cut after its head was kept", &[&first, &second])
            .set(|case| case.head = format!("3:{}", hash(&third)))
            .done();
        ledger("ledger-unreadable", "ledger.unreadable", "there is no ledger", &[])
            .set(|case| case.ledgers = vec!["absent.jsonl".to_owned()])
            .done();
        ledger(
            "allow-ledger",
            "allow",
            "a whole ledger between lines of other logs",
            &[&first, "INFO other", &second, &third],
        )
        .set(|case| case.head = format!("3:{}", hash(&third)))
        .done();
    }
}

impl Draft<'_> {
    fn append(self, name: &str, more: &[u8]) -> Self {
        let mut bytes = fs::read(self.folder.join(name)).unwrap();
        bytes.extend_from_slice(more);
        self.write(name, bytes)
    }

    fn remove(self, name: &str) -> Self {
        fs::remove_file(self.folder.join(name)).unwrap();
        self
    }

    fn ledger_policy(self) -> Self {
        self.policy_text(
            "version = 1\n\n[defaults]\nledger = \"absent/ledger.jsonl\"\n\n[[publisher]]\nname = \"release\"\n\
             key = { public = [\"../keys/release.pub\"] }\n\n[[model]]\nmatch = \"acme/*\"\npublishers = [\"release\"]\n",
        )
    }

    /// A valid signature over a payload type that is not in-toto.
    fn foreign_type(self) -> Self {
        let payload = serde_json::to_vec(&self.payload()).unwrap();
        let payload_type = "application/json";
        let mut pae = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
        pae.extend_from_slice(&payload);
        let signature: p256::ecdsa::DerSignature = key(RELEASE).sign(&pae);
        self.bundle(|bundle| {
            bundle["dsseEnvelope"]["payloadType"] = payload_type.into();
            bundle["dsseEnvelope"]["signatures"][0]["sig"] = STANDARD.encode(signature.as_bytes()).into();
        })
    }
}

/// `openssl genrsa 1024 | openssl rsa -pubout`
const RSA_1024: &str = include_str!("rsa-1024.pub");

/// `openssl req -x509 -newkey rsa:1024 -sha1 -days 7300 -subj "/CN=weak" -outform DER | base64`
const RSA_1024_SHA1_LEAF: &str = include_str!("rsa-1024-sha1.b64");
