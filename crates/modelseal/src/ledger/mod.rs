//! One record per load, in a chain of lines that shows tampering.
//!
//! A policy with a `ledger` key gets one JSON line for every event: `load` (allowed or denied), `fault` (bytes of an
//! open model did not match when touched) and `exec`. The line is on its way to disk before the model is handed out,
//! and a load whose record cannot be written is denied with `ledger.unwritable`. Without the key the record is
//! returned and logged, and nothing is written.
//!
//! # The line
//!
//! A line is one JSON object. Its fields, in this order:
//!
//! | field | meaning |
//! |---|---|
//! | `schema` | `modelseal.ledger/v1`; always first, so that a line is recognised inside other logs |
//! | `event` | `load`, `fault`, `exec` or `recovered` |
//! | `chain` | 16 random bytes in hexadecimal, drawn when the chain begins |
//! | `sequence` | 1 for the first record of a chain, then one more each |
//! | `previous` | SHA-256 of the line of the chain's previous record, without its newline; zeros for the first |
//! | `host`, `process` | node name; process id and, on Linux, its start in clock ticks after boot |
//! | `load_id` | the same for all ranks of one load; in `recovered`, of the load that found the torn line |
//! | `library` | the version that wrote the line |
//! | `torn` | only in `recovered`: SHA-256 and length of the unfinished line before it |
//! | `verdict` | the [`Verdict`]; null in `recovered` |
//!
//! # The targets
//!
//! * `stderr` and `fd:N`: one chain per process, each line in one write. A line longer than `PIPE_BUF` (4096 bytes on
//!   Linux) may be mixed with what other processes write to the same pipe at that moment; processes that share a pipe
//!   are better given a directory. A pipe that nobody reads is `ledger.unwritable`, but a host program in C must
//!   ignore `SIGPIPE`, or the write ends it. `fd:N` is flushed if it is a regular file, standard error never.
//! * a file: one chain, shared by all processes. Each append takes the file's lock, links to the last record, writes
//!   the line in one write and flushes it with fdatasync, which is nearly all of its cost. Waiting for the lock ends
//!   after 30 seconds in a denial. An append that fails half-way is cut off again. Only a regular file qualifies: a
//!   pipe or device is given as `stderr` or `fd:N`.
//! * a directory, which must exist: as a file, but each process has its own,
//!   `modelseal-<host>-<process id>-<chain>.jsonl`. A process that forks gets a chain of its own in the child.
//!
//! # Rotation
//!
//! Rotate by renaming `FILE` to `FILE.1` (or `FILE.0`, or `FILE-<date>`), and leave the newest one uncompressed. A
//! writer that finds `FILE` gone or replaced makes it anew and links its first record to the last one of the renamed
//! file, whose lock it takes first, so that a record on its way into the old file is not missed. [`verify()`] over
//! `FILE.1 FILE` then sees one chain. If no renamed file is there or readable, a new chain begins. Copying and
//! truncating loses the records written between the two steps, and [`verify()`] says so.
//!
//! # What a chain shows
//!
//! [`verify()`] finds lines that were edited, inserted, reordered or removed between two others. A chain alone cannot
//! show that its end was cut, its last line edited, or all of it written anew. That shows against a [`Head`] kept
//! elsewhere: every append returns one, and [`head`] reads it from a file. Records that begin later than 1 are what
//! rotation leaves when old files are deleted, so a cut beginning is reported in [`Chain::first`], not refused.
//!
//! A process also remembers the last record it appended. If the file fell behind that, the next record links to the
//! one that is missing, and [`verify()`] shows the gap.
//!
//! A writer that is killed while it writes leaves an unfinished line. It stays as it is: the next append ends it with
//! a newline and writes a `recovered` record that names it by its SHA-256, then its own record.

mod chain;
mod tail;
mod verdict;
mod verify;
mod writer;

pub use chain::{Event, Head, LoadId};
pub use verdict::{
    BundleRecord, Coverage, FileRecord, Finding, Outcome, PolicyRecord, SignerRecord, TimeSource, Verdict,
};
pub use verify::{Chain, Report, head, verify};
pub(crate) use writer::Ledger;

use std::path::{Path, PathBuf};

/// Where records go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    /// A file per process in this directory.
    Directory(PathBuf),
    /// A descriptor the process was given.
    Fd(i32),
    /// One file, shared under a lock.
    File(PathBuf),
    /// Standard error.
    Stderr,
}

impl Target {
    /// Reads the `ledger` key: `stderr`, `fd:N`, else a path. A path is a directory if it ends in `/` or is one now.
    ///
    /// `None` if the text is none of these: empty, `fd:` without a plain number, a NUL, or a relative path without a
    /// `base_dir` to resolve it against (no decision depends on the working directory).
    pub(crate) fn parse(text: &str, base_dir: Option<&Path>) -> Option<Self> {
        if text == "stderr" {
            return Some(Self::Stderr);
        }
        if let Some(number) = text.strip_prefix("fd:") {
            let parsed: i32 = number.parse().ok()?;
            return (parsed >= 0 && parsed.to_string() == number).then_some(Self::Fd(parsed));
        }
        if text.trim().is_empty() || text.contains('\0') {
            return None;
        }
        let given = Path::new(text);
        let path = if given.is_absolute() { given.to_path_buf() } else { base_dir?.join(given) };
        Some(if text.ends_with('/') || path.is_dir() { Self::Directory(path) } else { Self::File(path) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_as_documented() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path();
        let parse = |text| Target::parse(text, Some(base));
        assert_eq!(parse("stderr"), Some(Target::Stderr));
        assert_eq!(parse("fd:3"), Some(Target::Fd(3)));
        assert_eq!(parse("ledger.jsonl"), Some(Target::File(base.join("ledger.jsonl"))));
        assert_eq!(parse("later/"), Some(Target::Directory(base.join("later/"))));
        assert_eq!(parse("."), Some(Target::Directory(base.join("."))));
        assert_eq!(parse("/var/log/x"), Some(Target::File(PathBuf::from("/var/log/x"))));
        assert_eq!(Target::parse("/var/log/x", None), Some(Target::File(PathBuf::from("/var/log/x"))));
    }

    #[test]
    fn malformed_targets_are_none() {
        for text in ["", "fd:", "fd:x", "fd:-1", "fd:+1", "fd:01", "fd:99999999999", "a\0b"] {
            assert_eq!(Target::parse(text, Some(Path::new("/tmp"))), None, "{text:?}");
        }
        assert_eq!(Target::parse("relative", None), None);
    }
}

#[cfg(test)]
mod testing {
    use super::*;

    pub(super) fn ledger_at(file: &Path) -> Ledger {
        Ledger::new(Some(Target::File(file.to_path_buf())))
    }

    /// Appends one record that must be written.
    #[track_caller]
    pub(super) fn append(ledger: &Ledger) -> Head {
        try_append(ledger).unwrap().unwrap()
    }

    pub(super) fn try_append(ledger: &Ledger) -> Result<Option<Head>, crate::Error> {
        ledger.append(Event::Load, &LoadId::random().unwrap(), &Verdict::new(Outcome::Allowed))
    }

    pub(super) fn lines_of(file: &Path) -> Vec<String> {
        std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
    }
}
