//! One function per fuzz target: what must hold for any bytes. Not part of the library; built for tests and fuzzing.
//!
//! Each returns whether the bytes were accepted, so that a corpus can say which of its files must be.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a broken promise must stop the fuzzer")]

use std::collections::BTreeSet;

use crate::bundle::{Bundle, Statement};
use crate::clock::{Clock, Timestamp};
use crate::format::{Format, WeightsFile};
use crate::limits;
use crate::manifest::Manifest;
use crate::policy::{ModelName, Policy};

const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// What is accepted is one JSON document for every reader, and says the same however it is spaced and ordered.
pub fn bundle(bytes: &[u8]) -> bool {
    let Ok(bundle) = Bundle::parse(bytes) else { return false };
    assert_eq!(bundle.raw(), bytes);
    let document: serde_json::Value = serde_json::from_slice(bytes).expect("a lenient reader reads it too");
    let again = Bundle::parse(document.to_string().as_bytes()).expect("another rendering is accepted");
    assert_eq!(again.payload(), bundle.payload());
    assert_eq!(again.payload_type(), bundle.payload_type());
    assert_eq!(again.signature(), bundle.signature());
    assert_eq!(again.material(), bundle.material());
    assert_eq!(again.pae(), bundle.pae());
    assert!(bundle.pae().ends_with(bundle.payload()));
    assert!(!bundle.signature().is_empty());
    payload(bundle.payload());
    true
}

/// What is accepted can be written, and what was written is read as the same manifest and written the same again.
pub fn payload(bytes: &[u8]) -> bool {
    let Ok(statement) = Statement::parse(PAYLOAD_TYPE, bytes) else { return false };
    assert_eq!(Statement::claimed_predicate_type(bytes), Some(statement.predicate_type));
    let Ok(manifest) = Manifest::from_statement(&statement) else { return false };
    assert!(!manifest.files.is_empty());
    for path in manifest.files.keys() {
        let plain = path.split('/').all(|component| !matches!(component, "" | "." | ".."));
        assert!(plain || path == ".", "{path:?} could leave the model");
        assert!(!path.chars().any(char::is_control), "{path:?}");
    }
    if !manifest.serialization.legacy {
        let written = manifest.to_payload();
        let statement = Statement::parse(PAYLOAD_TYPE, &written).expect("our own statement is read");
        let again = Manifest::from_statement(&statement).expect("our own manifest is read");
        assert!(again.same_resources(&manifest));
        assert_eq!(again.files, manifest.files);
        assert_eq!(again.name_digest(), manifest.name_digest());
        assert_eq!(again.to_payload(), written);
    }
    true
}

/// What is accepted is the same policy again, and every rule in it is one that a load can find.
pub fn policy(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let clock = Clock::At(Timestamp::from_seconds(1_800_000_000).unwrap());
    let Ok(policy) = Policy::parse(text, clock) else { return false };
    assert_eq!(Policy::parse(text, clock).expect("the same text").digest(), policy.digest());
    let rules = &policy.rules;
    assert!(!rules.publishers.is_empty() && !rules.models.is_empty());
    let names: BTreeSet<&str> = rules.publishers.iter().map(|publisher| publisher.name.as_str()).collect();
    assert_eq!(names.len(), rules.publishers.len(), "two publishers share a name");
    assert!(rules.threads.is_none_or(|threads| threads.get() <= limits::THREADS));
    for rule in &rules.models {
        let required = rule.require.publishers();
        assert!(!required.is_empty(), "a rule without publishers");
        assert!(required.iter().all(|index| *index < rules.publishers.len()));
        assert!(!rule.formats.is_empty(), "a rule without formats");
        // A name the pattern itself gives: the rule found is this one, or one that is more exact.
        let pattern = rule.pattern.to_string();
        let name = ModelName::parse(pattern.trim_end_matches('*'))
            .or_else(|_| ModelName::parse(&pattern.replace('*', "x")));
        if let Ok(name) = name {
            policy.rule(&name).expect("its own pattern matches");
        }
    }
    true
}

/// What is accepted has tensors that lie in the file, apart from each other, in the size their shape asks for.
pub fn safetensors(bytes: &[u8]) -> bool {
    let Ok(file) = WeightsFile::parse(Format::Safetensors, bytes) else { return false };
    tensors_are_sound(&file, bytes);
    let peer = ::safetensors::SafeTensors::deserialize(bytes).expect("the peer accepts it too");
    assert_eq!(peer.len(), file.tensors().len());
    for tensor in file.tensors() {
        let view = peer.tensor(tensor.name()).expect("the peer knows the tensor");
        let range = tensor.range();
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        assert_eq!(Some(view.data()), bytes.get(range), "{}", tensor.name());
    }
    // Readers disagree about bytes behind the last tensor: they belong to nobody.
    assert!(WeightsFile::parse(Format::Safetensors, &[bytes, b"\0"].concat()).is_err());
    true
}

/// As for safetensors.
pub fn gguf(bytes: &[u8]) -> bool {
    let Ok(file) = WeightsFile::parse(Format::Gguf, bytes) else { return false };
    tensors_are_sound(&file, bytes);
    let alignment = file.metadata().get("general.alignment").and_then(|value| value.as_u64()).unwrap_or(32);
    assert!(file.tensors().iter().all(|tensor| tensor.range().start % alignment == 0));
    let _ = file.chat_template();
    true
}

fn tensors_are_sound(file: &WeightsFile, bytes: &[u8]) {
    let mut names = BTreeSet::new();
    let mut end = 0;
    for tensor in file.tensors() {
        assert!(names.insert(tensor.name()), "{} occurs twice", tensor.name());
        let range = tensor.range();
        assert!(range.start <= range.end, "{}", tensor.name());
        assert!(range.start >= end, "{} overlaps the one before it", tensor.name());
        end = range.end;
        let elements: u64 = tensor
            .shape()
            .iter()
            .try_fold(1_u64, |product, dimension| product.checked_mul(*dimension))
            .expect("the number of elements is representable");
        let (block, size) = (tensor.dtype().block_elements(), tensor.dtype().block_bytes());
        assert_eq!(elements % block, 0, "{}", tensor.name());
        assert_eq!(Some(range.end - range.start), (elements / block).checked_mul(size), "{}", tensor.name());
    }
    assert!(end <= u64::try_from(bytes.len()).unwrap(), "a tensor ends behind the file");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Replays a corpus. `valid-` files must be accepted and `broken-` files refused; others must only not panic.
    fn replay(name: &str, target: fn(&[u8]) -> bool) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(name);
        let (mut valid, mut broken) = (0, 0);
        for entry in std::fs::read_dir(&corpus).unwrap() {
            let path = entry.unwrap().path();
            let accepted = target(&std::fs::read(&path).unwrap());
            let file = path.file_name().unwrap().to_str().unwrap();
            if file.starts_with("valid-") {
                assert!(accepted, "{name}/{file} is refused");
                valid += 1;
            }
            if file.starts_with("broken-") {
                assert!(!accepted, "{name}/{file} is accepted");
                broken += 1;
            }
        }
        assert!(valid > 0 && broken > 0, "{name}: {valid} valid and {broken} broken files");
    }

    #[test]
    fn corpus_of_bundles() {
        replay("bundle", bundle);
    }

    #[test]
    fn corpus_of_payloads() {
        replay("payload", payload);
    }

    #[test]
    fn corpus_of_policies() {
        replay("policy", policy);
    }

    #[test]
    fn corpus_of_safetensors() {
        replay("safetensors", safetensors);
    }

    #[test]
    fn corpus_of_gguf() {
        replay("gguf", gguf);
    }
}
