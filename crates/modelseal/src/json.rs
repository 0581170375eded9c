//! JSON as untrusted input: no duplicate keys, bounded nesting, no trailing data, UTF-8 only.
//!
//! RFC 8259 section 4 leaves the meaning of a repeated name open, so two readers of one signed document could see two
//! documents. Here a repeated name is an error at any depth.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

use crate::limits;

/// A parsed JSON value. Objects cannot hold a key twice.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Array(Vec<Value>),
    Bool(bool),
    Null,
    /// A number that is not a non-negative integer below 2^64.
    Number(f64),
    Object(BTreeMap<String, Value>),
    String(String),
    Unsigned(u64),
}

/// Why a document is not acceptable JSON. The text never quotes the document.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum JsonError {
    #[error("an object names one key twice")]
    DuplicateKey { key: String },
    #[error("{detail}")]
    Malformed { detail: String },
}

impl Value {
    /// Parses one document of at most [`limits::JSON_VALUES`] values.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        Self::parse_within(bytes, limits::JSON_VALUES)
    }

    /// Parses one document of at most `values` values; a few bytes of input can cost hundreds in memory.
    pub(crate) fn parse_within(bytes: &[u8], values: usize) -> Result<Self, JsonError> {
        let budget = RefCell::new(Budget { values, refusal: None });
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let parsed = Node { budget: &budget, depth: 0 }
            .deserialize(&mut deserializer)
            .and_then(|value| deserializer.end().map(|()| value));
        parsed.map_err(|error| budget.into_inner().refusal.unwrap_or_else(|| syntax_error(&error)))
    }

    pub(crate) fn as_array(&self) -> Option<&[Value]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    pub(crate) fn as_object(&self) -> Option<&BTreeMap<String, Value>> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// A non-negative integer. `4.0` is one too (JSON Schema 2020-12, section 4.2.3), as far as a double is exact:
    /// writers that go through protobuf's `Struct` know no other numbers.
    pub(crate) fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Unsigned(value) => Some(*value),
            Self::Number(value) => exact(*value),
            Self::Array(_) | Self::Bool(_) | Self::Null | Self::Object(_) | Self::String(_) => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// A member of an object; `None` if this is no object or has no such member.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.as_object()?.get(key)
    }
}

/// The integer that a double stands for, if it is below 2^53 and thus exact.
fn exact(value: f64) -> Option<u64> {
    const BOUND: f64 = 9_007_199_254_740_992.0;
    if !(0.0..BOUND).contains(&value) || value.fract() != 0.0 {
        return None;
    }
    // The text of such a double is its digits; a cast would be refused by the lints for good reason.
    format!("{:.0}", value.abs()).parse().ok()
}

/// Line and column only: serde_json's own message may quote the document.
fn syntax_error(error: &serde_json::Error) -> JsonError {
    let what = if error.is_eof() { "it ends too early" } else { "syntax error" };
    JsonError::Malformed { detail: format!("{what} at line {} column {}", error.line(), error.column()) }
}

/// What is left to spend, and why parsing stopped if that was ours to say.
struct Budget {
    values: usize,
    refusal: Option<JsonError>,
}

/// One value to be parsed, `depth` arrays and objects down.
#[derive(Clone, Copy)]
struct Node<'a> {
    budget: &'a RefCell<Budget>,
    depth: usize,
}

impl<'a> Node<'a> {
    fn child<E: serde::de::Error>(self) -> Result<Node<'a>, E> {
        if self.depth == limits::JSON_DEPTH {
            return Err(self.refuse(JsonError::Malformed {
                detail: format!("it nests deeper than {} levels", limits::JSON_DEPTH),
            }));
        }
        Ok(Node { budget: self.budget, depth: self.depth.saturating_add(1) })
    }

    fn spend<E: serde::de::Error>(self) -> Result<(), E> {
        let left = self.budget.borrow().values.checked_sub(1);
        let Some(left) = left else {
            return Err(
                self.refuse(JsonError::Malformed { detail: "it holds more values than allowed".to_owned() })
            );
        };
        self.budget.borrow_mut().values = left;
        Ok(())
    }

    fn refuse<E: serde::de::Error>(self, reason: JsonError) -> E {
        let error = E::custom(&reason);
        self.budget.borrow_mut().refusal = Some(reason);
        error
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.spend()?;
        deserializer.deserialize_any(self)
    }
}

/// The one key of the map in which numbers arrive when any crate of the build switches on serde_json's feature
/// `arbitrary_precision`. An object of this shape is read as a number in every build, so that a document means the
/// same in all of them.
const NUMBER_TOKEN: &str = "$serde_json::private::Number";

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        number(&value.to_string()).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let child = self.child()?;
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(child)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let child = self.child()?;
        let mut members = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            // Before the value: the duplicate is the news, whatever stands behind it.
            if members.contains_key(&key) {
                return Err(self.refuse(JsonError::DuplicateKey { key }));
            }
            let value = map.next_value_seed(child)?;
            members.insert(key, value);
        }
        match members.get(NUMBER_TOKEN) {
            Some(Value::String(text)) if members.len() == 1 => {
                number(text).ok_or_else(|| A::Error::custom("number out of range"))
            }
            _ => Ok(Value::Object(members)),
        }
    }
}

/// A number from its text. What does not fit a finite double is refused, as serde_json itself does.
fn number(text: &str) -> Option<Value> {
    if let Ok(value) = text.parse::<u64>() {
        return Some(Value::Unsigned(value));
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite()).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn malformed(bytes: &[u8]) -> bool {
        matches!(Value::parse(bytes), Err(JsonError::Malformed { .. }))
    }

    fn nested(levels: usize) -> Vec<u8> {
        [b"[".repeat(levels), b"]".repeat(levels)].concat()
    }

    #[test]
    fn values_of_every_kind_are_read() {
        let value = Value::parse(br#"{"a":[1,-1,1.5,true,null,"\u00e9"],"b":{}}"#).unwrap();
        let items = value.get("a").and_then(Value::as_array).unwrap();
        assert_eq!(items[0], Value::Unsigned(1));
        assert_eq!(items[1], Value::Number(-1.0));
        assert_eq!(items[2], Value::Number(1.5));
        assert_eq!(items[3].as_bool(), Some(true));
        assert!(items[4].is_null());
        assert_eq!(items[5].as_str(), Some("\u{e9}"));
        assert!(value.get("b").and_then(Value::as_object).unwrap().is_empty());
        assert_eq!(value.get("c"), None);
    }

    #[test]
    fn a_repeated_key_is_named_at_any_depth() {
        for text in [r#"{"k":1,"k":1}"#, r#"[[{"x":{"k":1,"l":2,"k":3}}]]"#, r#"{"k":1,"\u006b":2}"#] {
            assert_eq!(Value::parse(text.as_bytes()), Err(JsonError::DuplicateKey { key: "k".to_owned() }));
        }
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(Value::parse(&nested(limits::JSON_DEPTH)).is_ok());
        assert!(malformed(&nested(limits::JSON_DEPTH + 1)));
        assert!(malformed(&nested(100_000)));
    }

    #[test]
    fn values_are_counted() {
        assert!(Value::parse_within(b"[1,2]", 3).is_ok());
        assert!(matches!(Value::parse_within(b"[1,2]", 2), Err(JsonError::Malformed { .. })));
    }

    #[test]
    fn anything_but_one_utf8_document_is_refused() {
        for bytes in [
            b"".as_slice(),
            b" ",
            b"{} {}",
            b"{}x",
            b"\xef\xbb\xbf{}",
            b"\"\xff\"",
            b"\"\\ud800\"",
            b"{\"a\":1,}",
            b"{a:1}",
            b"01",
            b"NaN",
            b"1e400",
            b"\"a\nb\"",
            b"{\"a\"",
        ] {
            assert!(malformed(bytes), "{bytes:?}");
        }
        assert!(Value::parse(b" {} \n").is_ok());
    }

    #[test]
    fn integers_are_exact_or_absent() {
        let cases: [(&str, Option<u64>); 9] = [
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("1000000000.0", Some(1_000_000_000)),
            ("1e9", Some(1_000_000_000)),
            ("9007199254740991.0", Some(9_007_199_254_740_991)),
            ("9007199254740992.0", None),
            ("-0", Some(0)),
            ("-1", None),
            ("0.5", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Value::parse(text.as_bytes()).unwrap().as_u64(), expected, "{text}");
        }
    }

    #[test]
    fn an_object_that_looks_like_a_number_token_is_a_number_in_every_build() {
        let text = |inner: &str| format!("{{\"{NUMBER_TOKEN}\":{inner}}}");
        assert_eq!(Value::parse(text("\"5\"").as_bytes()), Ok(Value::Unsigned(5)));
        assert!(malformed(text("\"inf\"").as_bytes()));
        assert!(Value::parse(text("[]").as_bytes()).unwrap().as_object().is_some());
    }

    #[test]
    fn messages_do_not_quote_the_document() {
        let Err(JsonError::Malformed { detail }) = Value::parse(b"{\"secret\": hunter2}") else { panic!() };
        assert!(!detail.contains("secret") && !detail.contains("hunter2"), "{detail}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Value::parse(&bytes);
        }

        #[test]
        fn arbitrary_json_text_agrees_with_serde_json(text in r#"[\[\]{}:,"a0-9.eE+ \\-]{0,40}"#) {
            let ours = Value::parse(text.as_bytes());
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            match ours {
                Err(JsonError::DuplicateKey { .. }) => {}
                ours => prop_assert_eq!(ours.is_ok(), theirs.is_ok()),
            }
        }
    }
}
