//! Reading a ledger back: does each record link to the one before it?

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::chain::{Entry, Head, Hex, Link, Segment, Torn, read, segments};
use super::tail::Tail;
use crate::error::{Code, Error, Evidence, Fault};
use crate::limits;

/// What a ledger without findings holds.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The chains, in the order in which they begin.
    pub chains: Vec<Chain>,
    /// Records of all chains.
    pub records: u64,
    /// Unfinished lines that a `recovered` record names.
    pub recovered: u64,
    /// Unfinished lines that no record names: a writer was killed, and none came after it, or the end was cut off.
    pub torn: u64,
    /// Lines that do not hold the beginning of a record: other programs wrote to the same log.
    pub other_lines: u64,
}

/// One chain of a ledger.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Chain {
    /// Its random name, in hexadecimal.
    pub id: String,
    /// The sequence number of its first record here. Above 1, the records before it are not in these files: rotated
    /// away, or cut off.
    pub first: u64,
    /// Its end. Keep it elsewhere: a ledger that is cut or rewritten later does not contain it.
    pub head: Head,
}

/// Checks the chains in `files`, rotated files before the current one, and that `head` is in one of them.
///
/// Lines that are not records are passed over, so the log of a container may be checked as it is. A record may stand
/// behind a prefix on its line; a log that wraps lines in JSON of its own must be unwrapped first. Reads each file
/// once; memory holds two lines and one entry per chain. May run while records are appended: an unfinished last line
/// is counted in [`Report::torn`].
///
/// Without `head`, a ledger whose end was cut, whose last line was edited, or which was written anew as a whole, passes.
///
/// # Errors
///
/// * `ledger.corrupt`: a line was edited, inserted, reordered or removed. The evidence has the line, the change and
///   the chain.
/// * `ledger.head`: no record is the one that `head` names.
/// * `ledger.unreadable`: a file cannot be read, is no log, or there is no record at all.
///
/// ```
/// use modelseal::{Code, ledger};
///
/// let error = ledger::verify(&["no/such/ledger".into()], None).unwrap_err();
/// assert_eq!(error.code(), Code::LedgerUnreadable);
/// ```
pub fn verify(files: &[PathBuf], head: Option<&Head>) -> Result<Report, Error> {
    let mut check = Check::new(head.copied());
    for file in files {
        check.file(file)?;
    }
    Ok(check.finish()?)
}

/// The head of the chain that the last record of `file` belongs to. Checks nothing: see [`verify`].
///
/// # Errors
///
/// `ledger.unreadable`: the file cannot be read or holds no record.
pub fn head(file: &Path) -> Result<Head, Error> {
    let tail = File::open(file)
        .and_then(|opened| Tail::read(&opened))
        .map_err(|error| VerifyFault::Unreadable { file: shown(file), detail: error.to_string() })?;
    match tail.link {
        Some(link) => Ok(link.head()),
        None => Err(VerifyFault::NoRecord { files: shown(file) }.into()),
    }
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}

/// The state of a check between two lines.
struct Check {
    wanted: Option<Head>,
    wanted_found: bool,
    chains: HashMap<Hex<16>, Known>,
    /// The chains in the order in which they begin.
    order: Vec<Hex<16>>,
    report: Report,
    /// The line before this one, without its newline: a `recovered` record may name it.
    before: Vec<u8>,
    /// A line that begins like a record and is none. It is a finding unless the next record names it as torn.
    broken: Option<Broken>,
    /// Unfinished records that no record has named yet.
    torn: VecDeque<Torn>,
    /// A break in a chain. Which change it was depends on the lines that follow.
    suspect: Option<Suspect>,
}

/// A chain as far as it was read.
struct Known {
    first: u64,
    link: Link,
    /// Where its last record stands.
    place: Place,
}

#[derive(Clone, Debug)]
struct Place {
    file: String,
    line: u64,
}

struct Broken {
    place: Place,
    detail: String,
}

/// A record that does not link to the one before it.
struct Suspect {
    place: Place,
    entry: Entry,
    /// The last record that was in order, and where it stands.
    last: Link,
    last_place: Place,
    /// A later record has a sequence number that was left out.
    left_out_found: bool,
    /// A later record has the suspect's sequence number too.
    twice: bool,
    /// The record after the suspect was made after another one than the suspect.
    disowned: bool,
}

/// What was done to a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Change {
    Edited,
    Inserted,
    Removed,
    Reordered,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Edited => "edited",
            Self::Inserted => "inserted",
            Self::Removed => "removed",
            Self::Reordered => "reordered",
        })
    }
}

impl Check {
    fn new(wanted: Option<Head>) -> Self {
        Self {
            wanted,
            wanted_found: false,
            chains: HashMap::new(),
            order: Vec::new(),
            report: Report { chains: Vec::new(), records: 0, recovered: 0, torn: 0, other_lines: 0 },
            before: Vec::new(),
            broken: None,
            torn: VecDeque::new(),
            suspect: None,
        }
    }

    fn file(&mut self, file: &Path) -> Result<(), VerifyFault> {
        let unreadable =
            |error: io::Error| VerifyFault::Unreadable { file: shown(file), detail: error.to_string() };
        let mut source = BufReader::new(File::open(file).map_err(unreadable)?);
        let longest = u64::try_from(limits::LEDGER_LINE_BYTES).unwrap_or(u64::MAX);
        let mut place = Place { file: shown(file), line: 0 };
        loop {
            let mut line = Vec::new();
            source.by_ref().take(longest).read_until(b'\n', &mut line).map_err(unreadable)?;
            if line.is_empty() {
                return Ok(());
            }
            place.line = place.line.saturating_add(1);
            if line.len() >= limits::LEDGER_LINE_BYTES {
                return Err(VerifyFault::LineTooLong { place });
            }
            let ending =
                if line.pop_if(|last| *last == b'\n').is_some() { Ending::Newline } else { Ending::File };
            self.line(line, ending, &place)?;
        }
    }

    fn line(&mut self, line: Vec<u8>, ending: Ending, place: &Place) -> Result<(), VerifyFault> {
        let pieces = segments(&line);
        if pieces.is_empty() && !line.is_empty() {
            self.report.other_lines = self.report.other_lines.saturating_add(1);
        }
        for piece in pieces {
            match read(piece) {
                Segment::Entry(entry) => self.entry(entry, place)?,
                Segment::Torn => self.unfinished(piece),
                // Without a newline, nothing was appended after it yet: a crash may leave anything at the end.
                Segment::Broken { .. } if ending == Ending::File => self.unfinished(piece),
                Segment::Broken { detail } => {
                    self.settle_broken()?;
                    self.broken = Some(Broken { place: place.clone(), detail });
                }
            }
        }
        self.before = line;
        Ok(())
    }

    fn unfinished(&mut self, piece: &[u8]) {
        if self.torn.len() >= limits::LEDGER_TORN {
            self.torn.pop_front();
            self.report.torn = self.report.torn.saturating_add(1);
        }
        let bytes = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.torn.push_back(Torn { sha256: Hex::sha256(piece), bytes });
    }

    fn entry(&mut self, entry: Entry, place: &Place) -> Result<(), VerifyFault> {
        match &entry.torn {
            Some(torn) => self.recovered(*torn, &entry, place)?,
            None => self.settle_broken()?,
        }
        self.report.records = self.report.records.saturating_add(1);
        if let Some(suspect) = &mut self.suspect {
            suspect.observe(&entry);
            return Ok(());
        }
        let Some(known) = self.chains.get_mut(&entry.link.chain) else {
            return self.first_entry(&entry, place);
        };
        let next = known.link.count.saturating_add(1);
        if entry.link.count == next && entry.previous == known.link.hash {
            known.link = entry.link;
            known.place = place.clone();
            self.accept(&entry);
            return Ok(());
        }
        if entry.previous == known.link.hash {
            let detail = format!("it is linked as record {next} and says it is record {}", entry.link.count);
            return Err(VerifyFault::corrupt(place, Change::Edited, &entry.link, detail));
        }
        if entry.link.count < known.first {
            let detail = format!(
                "record {} stands after record {}; rotated files come before the current one",
                entry.link.count, known.link.count
            );
            return Err(VerifyFault::corrupt(place, Change::Reordered, &entry.link, detail));
        }
        if entry.link.count < next {
            let detail = format!("record {} is there a second time", entry.link.count);
            return Err(VerifyFault::corrupt(place, Change::Inserted, &entry.link, detail));
        }
        self.suspect = Some(Suspect {
            place: place.clone(),
            entry,
            last: known.link,
            last_place: known.place.clone(),
            left_out_found: false,
            twice: false,
            disowned: false,
        });
        Ok(())
    }

    /// The first record of a chain in these files. If it is not the chain's first, it cannot be checked against the
    /// one before it, which rotation may have taken away.
    fn first_entry(&mut self, entry: &Entry, place: &Place) -> Result<(), VerifyFault> {
        if (entry.link.count == 1) != (entry.previous == Hex::ZERO) {
            let detail = format!("record {} and only record 1 has no predecessor", entry.link.count);
            return Err(VerifyFault::corrupt(place, Change::Edited, &entry.link, detail));
        }
        if self.order.len() >= limits::LEDGER_CHAINS {
            return Err(VerifyFault::TooManyChains { file: place.file.clone() });
        }
        self.order.push(entry.link.chain);
        let known = Known { first: entry.link.count, link: entry.link, place: place.clone() };
        self.chains.insert(entry.link.chain, known);
        self.accept(entry);
        Ok(())
    }

    fn accept(&mut self, entry: &Entry) {
        self.wanted_found |= self.wanted == Some(entry.link.head());
    }

    /// Finds the unfinished line that a `recovered` record names: the line before it, or, where programs share a
    /// log, one a little further up.
    fn recovered(&mut self, torn: Torn, entry: &Entry, place: &Place) -> Result<(), VerifyFault> {
        let earlier = self.torn.iter().rposition(|other| *other == torn);
        let is_before = torn.ends(&self.before);
        if is_before {
            self.broken = None;
        }
        self.settle_broken()?;
        if let Some(index) = earlier {
            self.torn.remove(index);
        } else if !is_before {
            let detail = "the unfinished line that this record names is not there".to_owned();
            return Err(VerifyFault::corrupt(place, Change::Removed, &entry.link, detail));
        }
        self.report.recovered = self.report.recovered.saturating_add(1);
        Ok(())
    }

    /// A broken line that the record after it does not name was made by nobody's crash.
    fn settle_broken(&mut self) -> Result<(), VerifyFault> {
        match self.broken.take() {
            // An earlier finding goes first.
            Some(broken) if self.suspect.is_none() => Err(VerifyFault::Corrupt {
                place: broken.place,
                change: Change::Edited,
                chain: None,
                detail: format!("it begins like a record, but {}", broken.detail),
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn finish(mut self) -> Result<Report, VerifyFault> {
        self.settle_broken()?;
        if let Some(suspect) = &self.suspect {
            return Err(suspect.judge());
        }
        if let Some(wanted) = self.wanted
            && !self.wanted_found
        {
            return Err(VerifyFault::Head {
                wanted,
                longest: self
                    .order
                    .iter()
                    .filter_map(|id| self.chains.get(id))
                    .map(|known| known.link.count)
                    .max(),
            });
        }
        if self.order.is_empty() {
            return Err(VerifyFault::NoRecord { files: "the files".to_owned() });
        }
        let unnamed = u64::try_from(self.torn.len()).unwrap_or(u64::MAX);
        self.report.torn = self.report.torn.saturating_add(unnamed);
        self.report.chains = self
            .order
            .iter()
            .filter_map(|id| self.chains.get(id))
            .map(|known| Chain {
                id: known.link.chain.to_string(),
                first: known.first,
                head: known.link.head(),
            })
            .collect();
        Ok(self.report)
    }
}

/// How a line ends.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Ending {
    File,
    Newline,
}

impl Suspect {
    /// Looks at a later record for signs of what happened.
    fn observe(&mut self, entry: &Entry) {
        if entry.link.chain != self.last.chain {
            return;
        }
        self.disowned |= self.entry.link.count.checked_add(1) == Some(entry.link.count)
            && entry.previous != self.entry.link.hash;
        self.twice |= entry.link.count == self.entry.link.count;
        self.left_out_found |= self.last.count < entry.link.count && entry.link.count < self.entry.link.count;
    }

    /// Which change explains the break.
    fn judge(&self) -> VerifyFault {
        let (last, found) = (self.last.count, self.entry.link.count);
        if self.twice {
            let detail =
                format!("record {found} is there a second time, and this one is not linked to record {last}");
            VerifyFault::corrupt(&self.place, Change::Inserted, &self.entry.link, detail)
        } else if found == last.saturating_add(1) && self.disowned {
            let detail =
                format!("record {found} links neither to the record before it nor to the one after it");
            VerifyFault::corrupt(&self.place, Change::Edited, &self.entry.link, detail)
        } else if found == last.saturating_add(1) {
            let detail = format!(
                "record {found} on line {} of {} was made after a record {last} with SHA-256 {}, and this one has {}",
                self.place.line, self.place.file, self.entry.previous, self.last.hash
            );
            VerifyFault::corrupt(&self.last_place, Change::Edited, &self.last, detail)
        } else if self.left_out_found {
            let detail = format!("record {found} stands where record {} belongs", last.saturating_add(1));
            VerifyFault::corrupt(&self.place, Change::Reordered, &self.entry.link, detail)
        } else {
            let detail =
                format!("record {found} follows record {last}; the records between them are missing");
            VerifyFault::corrupt(&self.place, Change::Removed, &self.entry.link, detail)
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum VerifyFault {
    #[error("the ledger was changed; at line {} a line was {change}: {detail}", place.line)]
    Corrupt { place: Place, change: Change, chain: Option<Hex<16>>, detail: String },
    #[error(
        "no record of the ledger has the head {wanted}: it was cut or rewritten, or a rotated file is missing here"
    )]
    Head { wanted: Head, longest: Option<u64> },
    #[error("line {} is longer than any record; this is no log", place.line)]
    LineTooLong { place: Place },
    #[error("there is no ledger record in {files}")]
    NoRecord { files: String },
    #[error("there are more than {} chains", limits::LEDGER_CHAINS)]
    TooManyChains { file: String },
    #[error("the ledger could not be read: {detail}")]
    Unreadable { file: String, detail: String },
}

impl VerifyFault {
    fn corrupt(place: &Place, change: Change, link: &Link, detail: String) -> Self {
        Self::Corrupt { place: place.clone(), change, chain: Some(link.chain), detail }
    }
}

impl Fault for VerifyFault {
    fn code(&self) -> Code {
        match self {
            Self::Corrupt { .. } => Code::LedgerCorrupt,
            Self::Head { .. } => Code::LedgerHead,
            Self::LineTooLong { .. }
            | Self::NoRecord { .. }
            | Self::TooManyChains { .. }
            | Self::Unreadable { .. } => Code::LedgerUnreadable,
        }
    }

    fn path(&self) -> Option<String> {
        match self {
            Self::Corrupt { place, .. } | Self::LineTooLong { place } => Some(place.file.clone()),
            Self::TooManyChains { file } | Self::Unreadable { file, .. } => Some(file.clone()),
            Self::Head { .. } | Self::NoRecord { .. } => None,
        }
    }

    fn evidence(&self) -> Vec<Evidence> {
        match self {
            Self::Corrupt { place, change, chain, .. } => {
                let mut evidence = vec![Evidence::new("line", place.line), Evidence::new("change", change)];
                evidence.extend(chain.map(|chain| Evidence::new("chain", chain)));
                evidence
            }
            Self::Head { wanted, longest } => {
                let mut evidence = vec![Evidence::new("expected", wanted)];
                evidence.extend(longest.map(|count| Evidence::new("last record", count)));
                evidence
            }
            Self::LineTooLong { .. } => vec![Evidence::new("limit", limits::LEDGER_LINE_BYTES)],
            Self::NoRecord { .. } | Self::TooManyChains { .. } | Self::Unreadable { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::{append, ledger_at, lines_of};

    /// A ledger of `count` records: its lines.
    fn lines(count: usize) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ledger");
        let ledger = ledger_at(&file);
        for _ in 0..count {
            append(&ledger);
        }
        lines_of(&file)
    }

    fn check(lines: &[String], head: Option<&Head>) -> Result<Report, Error> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ledger");
        std::fs::write(&file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        verify(&[file], head)
    }

    #[track_caller]
    fn finds(lines: &[String], change: &str, line: usize) {
        let error = check(lines, None).unwrap_err();
        assert_eq!(error.code(), Code::LedgerCorrupt, "{error}");
        let fact = |name| error.evidence().iter().find(|fact| fact.name == name).unwrap().value.clone();
        assert_eq!((fact("change").as_str(), fact("line")), (change, line.to_string()), "{error}");
        assert!(error.message().contains(&format!("a line was {change}")), "{error}");
        assert!(error.path().unwrap().ends_with("ledger"));
    }

    fn head_of(line: &str, count: u64) -> Head {
        Head { count, hash: Hex::sha256(line.as_bytes()) }
    }

    #[test]
    fn an_untouched_ledger_passes_and_reports_its_chain() {
        let lines = lines(4);
        let report = check(&lines, None).unwrap();
        assert_eq!((report.records, report.recovered, report.torn, report.other_lines), (4, 0, 0, 0));
        assert_eq!(report.chains.len(), 1);
        assert_eq!(report.chains[0].first, 1);
        assert_eq!(report.chains[0].head, head_of(&lines[3], 4));
    }

    #[test]
    fn an_edited_line_is_found() {
        let original = lines(5);
        let edits = [
            ("\"outcome\":\"allowed\"", "\"outcome\":\"denied\""),
            ("\"event\":\"load\"", "\"event\":\"exec\""),
            ("\"previous\":\"", "\"previous\":\"00000000"),
            ("\"sequence\":3", "\"sequence\":4"),
            ("\"sequence\":3", "\"sequence\":2"),
            ("\"verdict\":{", "\"verdict\":["),
            ("}", "} "),
        ];
        for (from, to) in edits {
            let mut lines = original.clone();
            lines[2] = lines[2].replacen(from, to, 1);
            assert_ne!(lines, original, "{from}");
            finds(&lines, "edited", 3);
        }
    }

    #[test]
    fn an_edited_link_is_found_where_it_was_edited() {
        let mut lines = lines(5);
        let previous = hex::encode(head_of(&lines[1], 2).hash());
        lines[2] = lines[2].replacen(&previous, &"ab".repeat(32), 1);
        finds(&lines, "edited", 3);
    }

    #[test]
    fn an_edited_first_line_is_found() {
        let mut lines = lines(3);
        lines[0] = lines[0].replacen("\"sequence\":1", "\"sequence\":2", 1);
        finds(&lines, "edited", 1);
    }

    #[test]
    fn a_removed_inner_line_is_found() {
        let mut lines = lines(5);
        lines.remove(2);
        finds(&lines, "removed", 3);
        lines.remove(2);
        finds(&lines, "removed", 3);
    }

    #[test]
    fn reordered_lines_are_found() {
        let original = lines(5);
        for (from, to, line) in [(1, 2, 2), (1, 4, 2), (3, 1, 2), (0, 2, 3), (0, 1, 2)] {
            let mut lines = original.clone();
            let moved = lines.remove(from);
            lines.insert(to, moved);
            finds(&lines, "reordered", line);
        }
    }

    #[test]
    fn inserted_lines_are_found() {
        let original = lines(5);
        // A copy, at once and later.
        let mut lines = original.clone();
        lines.insert(2, original[1].clone());
        finds(&lines, "inserted", 3);
        let mut lines = original.clone();
        lines.insert(4, original[1].clone());
        finds(&lines, "inserted", 5);
        // A forgery that links to the record before it: the record after it does not link to the forgery.
        let mut lines = original.clone();
        lines.insert(2, original[2].replacen("allowed", "denied", 1));
        finds(&lines, "inserted", 4);
        // Forgeries that link to nothing.
        for sequence in ["3", "5"] {
            let mut lines = original.clone();
            let previous = hex::encode(head_of(&original[1], 2).hash());
            let forged = original[2].replacen(&previous, &"cd".repeat(32), 1);
            lines.insert(2, forged.replacen("\"sequence\":3", &format!("\"sequence\":{sequence}"), 1));
            finds(&lines, "inserted", 3);
        }
    }

    #[test]
    fn a_cut_end_shows_against_a_head_only() {
        let lines = lines(4);
        let head = head_of(&lines[3], 4);
        check(&lines[..3], None).unwrap();
        let error = check(&lines[..3], Some(&head)).unwrap_err();
        assert_eq!(error.code(), Code::LedgerHead, "{error}");
        // A head that the ledger has grown past still holds.
        check(&lines, Some(&head_of(&lines[1], 2))).unwrap();
        check(&lines, Some(&head)).unwrap();
        assert_eq!(check(&lines, Some(&head_of(&lines[1], 3))).unwrap_err().code(), Code::LedgerHead);
    }

    #[test]
    fn a_rewritten_ledger_and_an_edited_last_line_show_against_a_head_only() {
        let original = lines(4);
        let head = head_of(&original[3], 4);
        let rewritten = lines(4);
        check(&rewritten, None).unwrap();
        assert_eq!(check(&rewritten, Some(&head)).unwrap_err().code(), Code::LedgerHead);
        let mut edited = original;
        edited[3] = edited[3].replacen("allowed", "denied", 1);
        check(&edited, None).unwrap();
        assert_eq!(check(&edited, Some(&head)).unwrap_err().code(), Code::LedgerHead);
    }

    #[test]
    fn a_cut_beginning_is_reported() {
        let lines = lines(4);
        let report = check(&lines[2..], None).unwrap();
        assert_eq!((report.chains[0].first, report.records), (3, 2));
    }

    #[test]
    fn records_are_read_out_of_mixed_logs() {
        let (one, two) = (lines(3), lines(2));
        let mut log = vec![
            "starting".to_owned(),
            one[0].clone(),
            format!("2026-08-01T00:00:00.0Z stderr F {}", two[0]),
            String::new(),
            format!("loading 50%{}\r", one[1]),
            "{\"schema\":\"another\"}".to_owned(),
            two[1].clone(),
            one[2].clone(),
        ];
        let report = check(&log, Some(&head_of(&two[1], 2))).unwrap();
        assert_eq!((report.chains.len(), report.records, report.other_lines), (2, 5, 2));
        assert_eq!(report.chains[1].head, head_of(&two[1], 2));
        log.remove(4);
        finds(&log, "removed", 7);
    }

    #[test]
    fn a_line_closed_unfinished_is_reported_and_a_broken_one_is_found() {
        let mut lines = lines(4);
        let whole = lines[3].clone();
        lines[3].truncate(whole.find("\"verdict\"").unwrap());
        assert_eq!(check(&lines, None).unwrap().torn, 1);
        lines[3].push_str(" somebody else's words");
        finds(&lines, "edited", 4);
        // In the middle of the chain, the next record misses it.
        lines[1].truncate(100);
        lines[3] = whole;
        finds(&lines, "removed", 3);
    }

    #[test]
    fn a_record_of_another_schema_is_found() {
        let mut lines = lines(2);
        lines[1] = lines[1].replacen("ledger/v1", "ledger/v2", 1);
        finds(&lines, "edited", 2);
    }

    #[test]
    fn what_is_no_ledger_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("log");
        std::fs::write(&file, "nothing of ours\n").unwrap();
        assert_eq!(verify(std::slice::from_ref(&file), None).unwrap_err().code(), Code::LedgerUnreadable);
        assert_eq!(verify(&[directory.path().into()], None).unwrap_err().code(), Code::LedgerUnreadable);
        assert_eq!(verify(&[], None).unwrap_err().code(), Code::LedgerUnreadable);
        assert_eq!(head(&file).unwrap_err().code(), Code::LedgerUnreadable);
        assert_eq!(head(&directory.path().join("none")).unwrap_err().code(), Code::LedgerUnreadable);
        // With a head to find, an emptied ledger is a cut one.
        let wanted = Head { count: 1, hash: Hex([7; 32]) };
        assert_eq!(verify(&[file], Some(&wanted)).unwrap_err().code(), Code::LedgerHead);
    }
}
