//! Models, publishers and policies minted for one test run.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    reason = "each test file uses its own part, and a failed step is a failed test"
)]

use std::fs;
use std::path::Path;

use modelseal::manifest::{MeasureOptions, Serialization};
use modelseal::policy::{ModelRule, PolicyBuilder, Publisher};
use modelseal::{
    Algorithm, Assurance, Clock, Code, Error, Floor, Format, ModelName, OpenOptions, Policy, Timestamp, Tree,
    Verification, VerifiedModel,
};
use modelseal_sign::{Signer, SigningKey};

/// Whoever holds one key.
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) signer: Signer,
    public: String,
}

impl Person {
    pub(crate) fn new(name: &'static str) -> Self {
        let key = SigningKey::generate_p256();
        let public = key.public_key_pem().unwrap();
        Self { name, signer: Signer::key(key), public }
    }

    pub(crate) fn publisher(&self) -> Publisher {
        Publisher::key(self.name, [self.public.clone()])
    }

    pub(crate) fn public_key(&self) -> &str {
        &self.public
    }

    /// A bundle over what lies in `model` now.
    pub(crate) fn sign(&self, model: &Path, form: Form) -> Vec<u8> {
        let options = MeasureOptions::new("model", form.serialization()).exclude("model.sig");
        let options = if form.annotated() { options } else { options.without_annotations() };
        self.signer.sign_model(&Tree::walk(model).unwrap(), &options).unwrap().to_bytes().to_vec()
    }
}

/// The shapes of a manifest that take different ways through the library.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    Annotated,
    Blake2b,
    Blake3,
    Plain,
    Shards,
    ShardsAnnotated,
}

impl Form {
    pub(crate) const ALL: [Self; 6] =
        [Self::Annotated, Self::Blake2b, Self::Blake3, Self::Plain, Self::Shards, Self::ShardsAnnotated];

    fn annotated(self) -> bool {
        matches!(self, Self::Annotated | Self::ShardsAnnotated | Self::Blake3)
    }

    fn serialization(self) -> Serialization {
        match self {
            Self::Annotated | Self::Plain => Serialization::files(Algorithm::Sha256),
            Self::Blake2b => Serialization::files(Algorithm::Blake2b),
            Self::Blake3 => Serialization::files(Algorithm::Blake3),
            Self::Shards | Self::ShardsAnnotated => {
                Serialization::shards(Algorithm::Sha256, 1000.try_into().unwrap())
            }
        }
    }
}

/// The name every test states.
pub(crate) fn name() -> ModelName {
    ModelName::parse("acme/model").unwrap()
}

/// A policy with one rule for [`name`]. The clock stands still, so that nothing depends on the day.
pub(crate) fn policy(known: &[&Person], rule: ModelRule, floor: Floor) -> Policy {
    builder(known, rule, floor).build().unwrap()
}

pub(crate) fn builder(known: &[&Person], rule: ModelRule, floor: Floor) -> PolicyBuilder {
    known
        .iter()
        .fold(PolicyBuilder::new(clock()), |builder, person| builder.publisher(person.publisher()))
        .model(rule.assurance(floor).formats([Format::Safetensors]))
}

pub(crate) fn any_of(people: &[&Person]) -> ModelRule {
    ModelRule::new("acme/*", people.iter().map(|person| person.name))
}

fn clock() -> Clock {
    Clock::At(Timestamp::from_seconds(1_800_000_000).unwrap())
}

/// A safetensors file of one `U8` tensor with these bytes.
pub(crate) fn safetensors(bytes: &[u8]) -> Vec<u8> {
    let mut header = format!(r#"{{"t":{{"dtype":"U8","shape":[{0}],"data_offsets":[0,{0}]}}}}"#, bytes.len());
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    let mut file = u64::try_from(header.len()).unwrap().to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(bytes);
    file
}

/// The bytes of a tensor that differ at every offset from those of another `seed`.
pub(crate) fn noise(seed: u8, length: usize) -> Vec<u8> {
    (0..length).map(|index| u8::try_from(index * 7 % 128).unwrap() ^ seed).collect()
}

/// Files of a small model: weights, configuration, and a directory.
pub(crate) const FILES: [&str; 5] = [
    "config.json",
    "extra/generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "weights/b.safetensors",
];

pub(crate) fn write_model(directory: &Path) {
    for folder in ["extra", "weights"] {
        fs::create_dir_all(directory.join(folder)).unwrap();
    }
    fs::write(directory.join("config.json"), br#"{"model_type":"llama"}"#).unwrap();
    fs::write(directory.join("extra/generation_config.json"), br#"{"do_sample":false}"#).unwrap();
    fs::write(directory.join("tokenizer.json"), br#"{"version":"1.0"}"#).unwrap();
    fs::write(directory.join("model.safetensors"), safetensors(&noise(1, 3500))).unwrap();
    fs::write(directory.join("weights/b.safetensors"), safetensors(&noise(2, 900))).unwrap();
}

/// Every way to hold verified bytes that exists on every kernel.
pub(crate) const WAYS: [(Assurance, Verification); 4] = [
    (Assurance::Private, Verification::Eager),
    (Assurance::Private, Verification::OnAccess),
    (Assurance::Sealed, Verification::Eager),
    (Assurance::Sealed, Verification::OnAccess),
];

pub(crate) fn options(way: (Assurance, Verification)) -> OpenOptions {
    OpenOptions::new().assurance(way.0).verification(way.1).threads(2.try_into().unwrap())
}

/// The bytes of every file, or the first denial.
pub(crate) fn contents(model: &VerifiedModel) -> Result<Vec<(String, Vec<u8>)>, Error> {
    model.files().map(|file| Ok((file.path().to_owned(), file.bytes()?.to_vec()))).collect()
}

/// The code of a denial.
pub(crate) fn denied<T>(result: Result<T, Error>) -> Code {
    match result {
        Ok(_) => panic!("bytes were handed out"),
        Err(error) => error.code(),
    }
}

/// A chain for signing code, in PEM.
pub(crate) struct Chain {
    pub(crate) key: String,
    pub(crate) leaf: String,
    pub(crate) intermediates: Vec<String>,
    pub(crate) root: String,
}

fn authority(name: &str, path_length: u8) -> (rcgen::CertificateParams, rcgen::KeyPair) {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(path_length));
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    (params, rcgen::KeyPair::generate().unwrap())
}

fn leaf() -> rcgen::CertificateParams {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "model signing");
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::CodeSigning];
    params
}

/// Leaf, intermediate, root.
pub(crate) fn chain() -> Chain {
    let (root, root_key) = authority("root", 1);
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let root = rcgen::Issuer::new(root, root_key);
    let (intermediate, intermediate_key) = authority("intermediate", 0);
    let intermediate_pem = intermediate.signed_by(&intermediate_key, &root).unwrap().pem();
    let intermediate = rcgen::Issuer::new(intermediate, intermediate_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = leaf().signed_by(&key, &intermediate).unwrap().pem();
    Chain { key: key.serialize_pem(), leaf, intermediates: vec![intermediate_pem], root: root_pem }
}

/// A leaf that signs itself and is its own anchor.
pub(crate) fn self_signed() -> Chain {
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = leaf().self_signed(&key).unwrap().pem();
    Chain { key: key.serialize_pem(), intermediates: vec![leaf.clone()], root: leaf.clone(), leaf }
}

pub(crate) fn p384_pem() -> String {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem()
}

pub(crate) fn p521_pem() -> String {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap().serialize_pem()
}
