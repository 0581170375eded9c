//! The end of a ledger file: its last record, and the unfinished line after it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use super::chain::{Entry, Link, Segment, Torn, read, segments};
use crate::limits;

/// What is read first: several ordinary records.
const FIRST_WINDOW: u64 = 64 << 10;

/// The end of a ledger file.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Tail {
    /// The last whole record, newline or not; `None` if the last [`limits::LEDGER_LINE_BYTES`] hold none.
    pub(super) link: Option<Link>,
    /// What stands after the last newline.
    pub(super) torn: Option<Torn>,
}

impl Tail {
    /// Reads the end of `file`. Cost: one read of 64 KiB, unless the last record is longer or far from the end.
    ///
    /// Lines that are not records are passed over: other programs may write to the same file.
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let torn_from = line_start(file, length)?;
        let torn = if torn_from < length {
            let mut source = file;
            source.seek(SeekFrom::Start(torn_from))?;
            Some(Torn::read(&mut source.take(length.saturating_sub(torn_from)))?)
        } else {
            None
        };
        Ok(Self { link: last_link(file, length)?, torn })
    }
}

/// Where the line that ends at `end` begins. Constant memory: the line may be longer than any record.
fn line_start(mut file: &File, end: u64) -> io::Result<u64> {
    let mut until = end;
    while until > 0 {
        let from = until.saturating_sub(FIRST_WINDOW);
        let bytes = range(&mut file, from, until)?;
        if let Some(index) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(from.saturating_add(u64::try_from(index).unwrap_or(u64::MAX)).saturating_add(1));
        }
        until = from;
    }
    Ok(0)
}

/// The last record before `end`. The window grows until a record lies in it whole, at most to one longest line.
fn last_link(mut file: &File, end: u64) -> io::Result<Option<Link>> {
    let longest = u64::try_from(limits::LEDGER_LINE_BYTES).unwrap_or(u64::MAX);
    let mut window = FIRST_WINDOW;
    loop {
        let from = end.saturating_sub(window);
        let bytes = range(&mut file, from, end)?;
        // Unless it starts with the file, a window starts in the middle of a line. That line is left for a larger
        // window: its first record may lie before this one.
        let skipped = if from == 0 {
            0
        } else {
            bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |index| index.saturating_add(1))
        };
        let whole = bytes.get(skipped..).unwrap_or_default();
        let found = whole.rsplit(|byte| *byte == b'\n').find_map(|line| {
            segments(line).into_iter().rev().find_map(|segment| match read(segment) {
                Segment::Entry(Entry { link, .. }) => Some(link),
                Segment::Broken { .. } | Segment::Torn => None,
            })
        });
        if found.is_some() || from == 0 || window >= longest {
            return Ok(found);
        }
        window = window.saturating_mul(16).min(longest);
    }
}

fn range(file: &mut &File, from: u64, until: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(until.saturating_sub(from)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
