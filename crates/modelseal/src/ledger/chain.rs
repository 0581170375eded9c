//! The line: how a record is written, how it is recognised in a log, and how it links to the line before it.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::verdict::Verdict;
use crate::error::{Code, Error, Fault};

/// The schema of the lines this version writes and reads.
pub(super) const SCHEMA: &str = "modelseal.ledger/v1";

/// How every record begins, in any schema version. It cannot occur inside a record: there, every quote that belongs
/// to a string is escaped, and no other object has this first key.
const MARKER: &[u8] = b"{\"schema\":\"modelseal.ledger/";

/// The largest sequence number: 2^53 - 1, the largest integer that every JSON reader keeps exact (RFC 8259 section 6).
const SEQUENCE_MAX: u64 = (1 << 53) - 1;

/// What happened.
///
/// A ledger also holds `recovered` records. The ledger writes those itself, so they are not an event to pass.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Event {
    /// A command was started, or refused, under verified paths.
    Exec,
    /// Bytes of a model that was open did not match when they were touched.
    Fault,
    /// A load was allowed or denied.
    Load,
}

/// The `event` of a line.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Exec,
    Fault,
    Load,
    Recovered,
}

impl From<Event> for Kind {
    fn from(event: Event) -> Self {
        match event {
            Event::Exec => Self::Exec,
            Event::Fault => Self::Fault,
            Event::Load => Self::Load,
        }
    }
}

/// Names one load. The ranks of one load share it, so that their records can be found together.
///
/// ```
/// use modelseal::ledger::LoadId;
///
/// let id = LoadId::random()?;
/// assert_eq!(LoadId::parse(&id.to_string()), Some(id));
/// assert_eq!(LoadId::parse("not an id"), None);
/// # Ok::<(), modelseal::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub struct LoadId(Hex<16>);

impl LoadId {
    /// A new id from 16 random bytes of the operating system.
    ///
    /// # Errors
    ///
    /// `open.system` if the operating system gives no random bytes.
    pub fn random() -> Result<Self, Error> {
        Hex::random().map(Self).map_err(|error| NoRandomness { detail: error.to_string() }.into())
    }

    /// An id from its text, 32 lower-case hexadecimal digits; `None` if it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Hex::parse(text).map(Self)
    }
}

impl fmt::Display for LoadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The end of a chain: how many records it has, and the SHA-256 of the last one.
///
/// Kept outside the ledger, it shows a cut or rewritten ledger: see [`verify`](super::verify()). Prints and parses as
/// `COUNT:HASH`.
///
/// ```
/// use modelseal::ledger::Head;
///
/// let text = format!("7:{}", "ab".repeat(32));
/// let head: Head = text.parse()?;
/// assert_eq!(head.count(), 7);
/// assert_eq!(head.to_string(), text);
/// # Ok::<(), modelseal::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Head {
    pub(super) count: u64,
    pub(super) hash: Hex<32>,
}

impl Head {
    /// How many records the chain has, counted from its beginning and across rotated files.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// SHA-256 of the last record's line, without its newline.
    #[must_use]
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash.0
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.count, self.hash)
    }
}

impl FromStr for Head {
    type Err = Error;

    /// Parses `COUNT:HASH` exactly as [`Head`] prints it.
    ///
    /// # Errors
    ///
    /// `ledger.head`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let head = text
            .split_once(':')
            .and_then(|(count, hash)| Some(Self { count: count.parse().ok()?, hash: Hex::parse(hash)? }));
        // Printed again and compared: one text per head, so `+7`, `07` and `0` are refused.
        match head {
            Some(head) if head.count > 0 && head.to_string() == text => Ok(head),
            Some(_) | None => Err(NotAHead { text: text.to_owned() }.into()),
        }
    }
}

impl Serialize for Head {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Bytes written as lower-case hexadecimal, and read as nothing else: equal values are equal text.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Hex<const N: usize>(pub(super) [u8; N]);

impl<const N: usize> Hex<N> {
    pub(super) const ZERO: Self = Self([0; N]);

    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; N];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        (!text.bytes().any(|byte| byte.is_ascii_uppercase())).then_some(Self(bytes))
    }
}

impl Hex<32> {
    /// SHA-256 of `bytes`.
    pub(super) fn sha256(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("not lower-case hexadecimal of this length"))
    }
}

/// A line that its writer did not finish: everything after the last newline.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Torn {
    pub(super) sha256: Hex<32>,
    pub(super) bytes: u64,
}

impl Torn {
    /// Reads an unfinished line to its end, in constant memory: it may be longer than any record.
    pub(super) fn read(source: &mut impl Read) -> io::Result<Self> {
        let mut hasher = Sha256::new();
        let bytes = io::copy(source, &mut hasher)?;
        Ok(Self { sha256: Hex(hasher.finalize().into()), bytes })
    }

    /// Whether `line` ends in this unfinished line. A log may have put a prefix before it.
    pub(super) fn ends(&self, line: &[u8]) -> bool {
        usize::try_from(self.bytes)
            .ok()
            .and_then(|bytes| line.len().checked_sub(bytes))
            .and_then(|start| line.get(start..))
            .is_some_and(|end| Hex::sha256(end) == self.sha256)
    }
}

/// Where a record is written: the host and the process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Writer {
    pub(super) host: String,
    pub(super) process: Process,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Process {
    pub(super) id: u32,
    /// Clock ticks from boot to the start of the process (proc_pid_stat(5), field 22): tells reused ids apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start_ticks: Option<u64>,
}

/// The last record of a chain, to which the next one links.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Link {
    pub(super) chain: Hex<16>,
    /// The sequence number of the last record; 0 before the first.
    pub(super) count: u64,
    pub(super) hash: Hex<32>,
}

impl Link {
    /// The beginning of a new chain.
    pub(super) fn start() -> Result<Self, getrandom::Error> {
        Ok(Self { chain: Hex::random()?, count: 0, hash: Hex::ZERO })
    }

    pub(super) fn head(&self) -> Head {
        Head { count: self.count, hash: self.hash }
    }

    /// Whether another record fits after this one.
    pub(super) fn is_full(&self) -> bool {
        self.count >= SEQUENCE_MAX
    }

    /// The next line of the chain, newline included, and the link it makes.
    pub(super) fn next(
        &self,
        content: &Content<'_>,
        load_id: &LoadId,
        writer: &Writer,
    ) -> serde_json::Result<(Vec<u8>, Self)> {
        let (event, torn, verdict) = match content {
            Content::Event(event, verdict) => (Kind::from(*event), None, Some(*verdict)),
            Content::Recovered(torn) => (Kind::Recovered, Some(*torn), None),
        };
        let count = self.count.saturating_add(1);
        let mut bytes = serde_json::to_vec(&Line {
            schema: SCHEMA,
            event,
            chain: self.chain,
            sequence: count,
            previous: self.hash,
            host: &writer.host,
            process: writer.process,
            load_id,
            library: env!("CARGO_PKG_VERSION"),
            torn,
            verdict,
        })?;
        let hash = Hex::sha256(&bytes);
        bytes.push(b'\n');
        Ok((bytes, Self { chain: self.chain, count, hash }))
    }
}

/// What a record says.
pub(super) enum Content<'a> {
    Event(Event, &'a Verdict),
    Recovered(Torn),
}

/// One line. The fields are written in this order; `schema` comes first, so that a line is recognised by its beginning.
#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    event: Kind,
    chain: Hex<16>,
    sequence: u64,
    previous: Hex<32>,
    host: &'a str,
    process: Process,
    load_id: &'a LoadId,
    library: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    torn: Option<Torn>,
    /// Null in a `recovered` record.
    verdict: Option<&'a Verdict>,
}

/// The fields of a line that the chain is made of.
#[derive(Deserialize)]
struct LineHeader<'a> {
    #[serde(borrow)]
    schema: Cow<'a, str>,
    event: Kind,
    chain: Hex<16>,
    sequence: u64,
    previous: Hex<32>,
    torn: Option<Torn>,
}

/// A record as it stands in a log.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) previous: Hex<32>,
    pub(super) torn: Option<Torn>,
    /// The chain up to and including this record.
    pub(super) link: Link,
}

/// What a piece of a line that begins like a record turned out to be.
#[derive(Debug)]
pub(super) enum Segment {
    /// No record, and not the beginning of one either.
    Broken {
        detail: String,
    },
    Entry(Entry),
    /// The beginning of a record.
    Torn,
}

/// The pieces of `line` that begin like a record, each up to the next. What another program wrote before the first is
/// left out: logs put time stamps before a line, and a progress bar may not have ended its own.
pub(super) fn segments(line: &[u8]) -> Vec<&[u8]> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let starts: Vec<usize> = line
        .windows(MARKER.len())
        .enumerate()
        .filter(|(_, window)| *window == MARKER)
        .map(|(start, _)| start)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([line.len()]);
    starts.iter().zip(ends).filter_map(|(start, end)| line.get(*start..end)).collect()
}

/// Reads a piece that begins like a record.
pub(super) fn read(segment: &[u8]) -> Segment {
    let header: LineHeader<'_> = match serde_json::from_slice(segment) {
        Ok(header) => header,
        Err(error) if error.is_eof() => return Segment::Torn,
        // The parser's own words quote the document; the position is enough.
        Err(error) => {
            return Segment::Broken { detail: format!("it is no record from column {} on", error.column()) };
        }
    };
    if header.schema != SCHEMA {
        return Segment::Broken { detail: format!("its schema is not {SCHEMA}") };
    }
    if !(1..=SEQUENCE_MAX).contains(&header.sequence) {
        return Segment::Broken { detail: "its sequence number is out of range".to_owned() };
    }
    if (header.event == Kind::Recovered) != header.torn.is_some() {
        return Segment::Broken {
            detail: "`torn` belongs in a `recovered` record and in no other".to_owned(),
        };
    }
    Segment::Entry(Entry {
        previous: header.previous,
        torn: header.torn,
        link: Link { chain: header.chain, count: header.sequence, hash: Hex::sha256(segment) },
    })
}

#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes for a load id: {detail}")]
struct NoRandomness {
    detail: String,
}

impl Fault for NoRandomness {
    fn code(&self) -> Code {
        Code::OpenSystem
    }
}

#[derive(Debug, thiserror::Error)]
#[error("'{text}' is not a ledger head")]
struct NotAHead {
    text: String,
}

impl Fault for NotAHead {
    fn code(&self) -> Code {
        Code::LedgerHead
    }

    fn remedy(&self) -> Option<String> {
        Some("Give a head as COUNT:HASH, as `modelseal ledger head` prints it.".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Outcome;

    fn line() -> Vec<u8> {
        let writer = Writer { host: "node\"1".to_owned(), process: Process { id: 7, start_ticks: Some(9) } };
        let start = Link { chain: Hex([0x11; 16]), count: 0, hash: Hex::ZERO };
        let id = LoadId(Hex([0x22; 16]));
        let (mut line, _) =
            start.next(&Content::Event(Event::Load, &Verdict::new(Outcome::Allowed)), &id, &writer).unwrap();
        assert_eq!(line.pop(), Some(b'\n'));
        line
    }

    #[test]
    fn fields_stand_in_the_documented_order() {
        let text = String::from_utf8(line()).unwrap();
        let expected = format!(
            "{{\"schema\":\"modelseal.ledger/v1\",\"event\":\"load\",\"chain\":\"{}\",\"sequence\":1,\"previous\":\"{}\",\
             \"host\":\"node\\\"1\",\"process\":{{\"id\":7,\"start_ticks\":9}},\"load_id\":\"{}\",\"library\":\"{}\",\
             \"verdict\":{{\"outcome\":\"allowed\",",
            "11".repeat(16),
            "00".repeat(32),
            "22".repeat(16),
            env!("CARGO_PKG_VERSION"),
        );
        assert!(text.starts_with(&expected), "{text}\n{expected}");
        assert!(!text.contains('\n'));
    }

    #[test]
    fn a_record_is_found_behind_a_prefix_and_before_a_carriage_return() {
        let line = line();
        let mixed = [b"2026-08-01T00:00:00Z stderr F ", line.as_slice(), b"\r"].concat();
        assert_eq!(segments(&mixed), [line.as_slice()]);
        let two = [&line[..50], &line[..]].concat();
        assert_eq!(segments(&two), [&line[..50], &line[..]]);
        assert!(segments(b"nothing of ours").is_empty());
    }

    #[test]
    fn every_beginning_of_a_record_is_torn_and_only_the_whole_is_a_record() {
        let line = line();
        for cut in MARKER.len()..line.len() {
            assert!(matches!(read(&line[..cut]), Segment::Torn), "cut at {cut}");
        }
        assert!(matches!(read(&line), Segment::Entry(_)));
    }

    #[test]
    fn what_is_not_a_record_is_broken() {
        let text = String::from_utf8(line()).unwrap();
        for (from, to) in [
            ("\"sequence\":1", "\"sequence\":0"),
            ("\"sequence\":1", "\"sequence\":9007199254740992"),
            ("\"sequence\":1", "\"sequence\":-1"),
            ("ledger/v1", "ledger/v2"),
            ("\"event\":\"load\"", "\"event\":\"recovered\""),
            ("\"event\":\"load\"", "\"event\":\"other\""),
            ("\"chain\":\"11", "\"chain\":\"AA"),
            ("\"verdict\":", "\"verdict\" "),
        ] {
            let edited = text.replacen(from, to, 1);
            assert_ne!(edited, text);
            assert!(matches!(read(edited.as_bytes()), Segment::Broken { .. }), "{from} to {to}");
        }
    }

    #[test]
    fn a_head_has_one_text() {
        let hash = "ab".repeat(32);
        assert!(format!("1:{hash}").parse::<Head>().is_ok());
        for text in [
            format!("0:{hash}"),
            format!("+1:{hash}"),
            format!("01:{hash}"),
            format!("1:{}", "AB".repeat(32)),
            hash,
        ] {
            assert_eq!(text.parse::<Head>().unwrap_err().code(), Code::LedgerHead, "{text}");
        }
    }

    #[test]
    fn load_ids_differ_and_have_one_text() {
        let id = LoadId::random().unwrap();
        assert_ne!(id, LoadId::random().unwrap());
        assert_eq!(LoadId::parse(&id.to_string()), Some(id));
        assert_eq!(LoadId::parse(&"AB".repeat(16)), None);
        assert_eq!(LoadId::parse(&"ab".repeat(15)), None);
        assert_eq!(LoadId::parse(""), None);
    }
}
