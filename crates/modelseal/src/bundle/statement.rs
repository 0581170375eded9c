//! The in-toto Statement v1 inside an envelope. Parsed from the signed bytes, after the signature held.

use crate::error::{Code, Error, Evidence, Fault};
use crate::json::{JsonError, Value};

const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// Which predicate a payload claims to carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PredicateType {
    /// `https://model_signing/Digests/v0.1`, deprecated, verified only.
    LegacyDigests,
    /// `https://model_signing/signature/v1.0`.
    Signature,
}

/// A statement: subjects and predicate as JSON, types already checked.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) predicate_type: PredicateType,
    /// The `subject` array, each an object. Exactly one for [`PredicateType::Signature`], else at least one.
    pub(crate) subject: Vec<Value>,
    pub(crate) predicate: Value,
}

impl PredicateType {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::LegacyDigests => "https://model_signing/Digests/v0.1",
            Self::Signature => "https://model_signing/signature/v1.0",
        }
    }

    fn from_uri(uri: &str) -> Option<Self> {
        [Self::LegacyDigests, Self::Signature].into_iter().find(|known| known.as_str() == uri)
    }
}

impl Statement {
    /// Parses a payload. Call it on verified bytes only.
    ///
    /// The checks are those of section 8.3 of OpenSSF Model Signing v1.0, in its order. Fields that in-toto does not
    /// define are ignored, as its parsing rules demand.
    pub(crate) fn parse(payload_type: &str, payload: &[u8]) -> Result<Self, Error> {
        if payload_type != PAYLOAD_TYPE {
            return Err(StatementFault::PayloadType { found: payload_type.to_owned() }.into());
        }
        let mut members = match Value::parse(payload).map_err(StatementFault::NotJson)? {
            Value::Object(members) => members,
            Value::Array(_)
            | Value::Bool(_)
            | Value::Null
            | Value::Number(_)
            | Value::String(_)
            | Value::Unsigned(_) => return Err(StatementFault::NotAnObject.into()),
        };

        let statement_type = members.get("_type").and_then(Value::as_str).unwrap_or("");
        if statement_type != STATEMENT_TYPE {
            return Err(StatementFault::Type { found: statement_type.to_owned() }.into());
        }
        let uri = members.get("predicateType").and_then(Value::as_str).unwrap_or("");
        let predicate_type = PredicateType::from_uri(uri)
            .ok_or_else(|| StatementFault::PredicateType { found: uri.to_owned() })?;

        let subject = match members.remove("subject") {
            Some(Value::Array(subject)) => subject,
            Some(_) | None => return Err(StatementFault::Subject { problem: "is not an array" }.into()),
        };
        if !subject.iter().all(|entry| entry.as_object().is_some()) {
            return Err(StatementFault::Subject { problem: "holds an entry that is not an object" }.into());
        }
        match (predicate_type, subject.len()) {
            (_, 0) => return Err(StatementFault::Subject { problem: "is empty" }.into()),
            // Section 6.5: the model as a whole, once. The old predicate listed its files here.
            (PredicateType::Signature, 1) | (PredicateType::LegacyDigests, _) => {}
            (PredicateType::Signature, _) => {
                return Err(StatementFault::Subject { problem: "has more than one entry" }.into());
            }
        }

        let predicate = members
            .remove("predicate")
            .filter(|predicate| predicate.as_object().is_some())
            .ok_or(StatementFault::NoPredicate)?;
        Ok(Self { predicate_type, subject, predicate })
    }

    /// The predicate type an *unverified* payload claims, used only to decide whether the legacy signature
    /// encoding may be tried at all. Never trusted.
    ///
    /// Everything else in the payload is skipped, not built: it is not worth memory before the signature held.
    pub(crate) fn claimed_predicate_type(payload: &[u8]) -> Option<PredicateType> {
        #[derive(serde::Deserialize)]
        struct Claimed {
            #[serde(rename = "predicateType")]
            predicate_type: String,
        }

        let claimed = serde_json::from_slice::<Claimed>(payload).ok()?;
        PredicateType::from_uri(&claimed.predicate_type)
    }
}

#[derive(Debug, thiserror::Error)]
enum StatementFault {
    #[error("the statement has no `predicate` object")]
    NoPredicate,
    #[error("the payload is not a JSON object")]
    NotAnObject,
    #[error("the payload is not one well-formed JSON document: {0}")]
    NotJson(JsonError),
    #[error("the payload type is not `{PAYLOAD_TYPE}`")]
    PayloadType { found: String },
    #[error("the predicate type is not that of a model signature")]
    PredicateType { found: String },
    #[error("the statement's `subject` {problem}")]
    Subject { problem: &'static str },
    #[error("the statement's `_type` is not `{STATEMENT_TYPE}`")]
    Type { found: String },
}

impl Fault for StatementFault {
    fn code(&self) -> Code {
        match self {
            Self::NoPredicate | Self::NotAnObject | Self::NotJson(_) => Code::StatementMalformed,
            Self::PayloadType { .. } => Code::EnvelopePayloadType,
            Self::PredicateType { .. } => Code::StatementPredicateType,
            Self::Subject { .. } => Code::StatementSubject,
            Self::Type { .. } => Code::StatementType,
        }
    }

    fn evidence(&self) -> Vec<Evidence> {
        match self {
            Self::PayloadType { found } | Self::PredicateType { found } | Self::Type { found } => {
                vec![Evidence::new("found", found)]
            }
            Self::NotJson(JsonError::DuplicateKey { key }) => vec![Evidence::new("key", key)],
            Self::NoPredicate
            | Self::NotAnObject
            | Self::NotJson(JsonError::Malformed { .. })
            | Self::Subject { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::bundle::{Bundle, vectors};

    fn statement() -> Json {
        json!({
            "_type": STATEMENT_TYPE,
            "subject": [{ "name": "model" }],
            "predicateType": PredicateType::Signature.as_str(),
            "predicate": {},
        })
    }

    fn with(key: &str, value: Json) -> Json {
        let mut document = statement();
        document[key] = value;
        document
    }

    fn parse(document: &Json) -> Result<Statement, Error> {
        Statement::parse(PAYLOAD_TYPE, document.to_string().as_bytes())
    }

    fn code(document: &Json) -> Code {
        parse(document).unwrap_err().code()
    }

    #[test]
    fn statements_of_the_conformance_suite_get_their_codes() {
        let expected = [
            ("malformed-no-predicate_fail", Code::StatementMalformed),
            ("malformed-no-subject_fail", Code::StatementSubject),
            ("malformed-wrong-payload-type_fail", Code::EnvelopePayloadType),
            ("malformed-wrong-predicate_fail", Code::StatementPredicateType),
            ("malformed-wrong-statement-type_fail", Code::StatementType),
        ];
        for (name, bytes) in vectors::bundles(&["historical", "negative", "positive"]) {
            let Ok(bundle) = Bundle::parse(&bytes) else { continue };
            let expected = expected.iter().find(|(case, _)| *case == name).map(|(_, code)| *code);
            let found = Statement::parse(bundle.payload_type(), bundle.payload());
            assert_eq!(found.err().map(|error| error.code()), expected, "{name}");
        }
    }

    #[test]
    fn each_rule_has_its_code() {
        assert!(parse(&statement()).is_ok());
        assert!(parse(&with("unknown", 1.into())).is_ok());

        let payload = statement().to_string();
        for payload_type in ["", "application/json", "application/vnd.in-toto+json; v=1"] {
            let error = Statement::parse(payload_type, payload.as_bytes()).unwrap_err();
            assert_eq!(error.code(), Code::EnvelopePayloadType);
        }
        for payload in [b"".as_slice(), b"[]", b"null", b"{\"a\":1,\"a\":1}", b"{}{}", b"\xff"] {
            let error = Statement::parse(PAYLOAD_TYPE, payload).unwrap_err();
            assert_eq!(error.code(), Code::StatementMalformed, "{payload:?}");
        }
        for value in [Json::Null, 1.into(), "https://in-toto.io/Statement/v0.1".into()] {
            assert_eq!(code(&with("_type", value)), Code::StatementType);
        }
        for value in [Json::Null, 1.into(), "https://model_signing/signature/v1.1".into()] {
            assert_eq!(code(&with("predicateType", value)), Code::StatementPredicateType);
        }
        for value in [Json::Null, json!({}), json!([]), json!([1]), json!([{}, {}])] {
            assert_eq!(code(&with("subject", value)), Code::StatementSubject);
        }
        for value in [Json::Null, json!([]), json!("x")] {
            assert_eq!(code(&with("predicate", value)), Code::StatementMalformed);
        }
    }

    #[test]
    fn only_the_old_predicate_lists_several_subjects() {
        let mut old = with("predicateType", PredicateType::LegacyDigests.as_str().into());
        old["subject"] = json!([{}, {}]);
        let parsed = parse(&old).unwrap();
        assert_eq!(parsed.predicate_type, PredicateType::LegacyDigests);
        assert_eq!(parsed.subject.len(), 2);
        old["subject"] = json!([]);
        assert_eq!(code(&old), Code::StatementSubject);
    }

    #[test]
    fn the_claimed_type_is_read_without_trust() {
        let claimed = |text: &str| Statement::claimed_predicate_type(text.as_bytes());
        assert_eq!(claimed(&statement().to_string()), Some(PredicateType::Signature));
        assert_eq!(
            claimed(r#"{"predicateType":"https://model_signing/Digests/v0.1","x":[{}]}"#),
            Some(PredicateType::LegacyDigests)
        );
        for text in ["", "{}", r#"{"predicateType":"x"}"#, r#"{"predicateType":1}"#] {
            assert_eq!(claimed(text), None, "{text}");
        }
        let twice = r#"{"predicateType":"https://model_signing/Digests/v0.1","predicateType":"x"}"#;
        assert_eq!(claimed(twice), None);
        assert_eq!(claimed(&"[".repeat(1_000_000)), None);
    }
}
