//! Appending: a whole line or nothing, flushed, under a lock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Target;
use super::chain::{Content, Event, Head, Link, LoadId, Process, Torn, Writer};
use super::tail::Tail;
use super::verdict::{Outcome, Verdict};
use crate::error::{Code, Error, Fault};
use crate::limits;

/// How often the path of a ledger may change under a writer between opening and locking it.
const REOPENS: usize = 16;

/// How long a writer sleeps before it tries a lock or a full pipe again.
const RETRY: Duration = Duration::from_millis(1);

/// The ledger of one policy. Opened at the first append; threads take turns.
#[derive(Debug)]
pub(crate) struct Ledger {
    target: Option<Target>,
    state: Mutex<State>,
}

/// What this process knows of its stream.
#[derive(Debug, Default)]
struct State {
    /// Who filled in the rest. A forked child finds its parent's id here and begins anew.
    writer: Option<Writer>,
    /// The last record that this process appended to the stream.
    link: Option<Link>,
    /// A stream only: what a failed write left behind. A file is cut off instead.
    torn: Option<Torn>,
    /// The file last appended to, kept open so that its inode number is not given to another; or the copy of `fd:N`.
    file: Option<Arc<File>>,
    /// A directory target only: this process's file.
    path: Option<PathBuf>,
}

impl Ledger {
    /// A ledger at `target`; `None` logs instead. Nothing is opened yet.
    pub(crate) fn new(target: Option<Target>) -> Self {
        Self { target, state: Mutex::default() }
    }

    /// Appends one record and flushes it. Returns the head of the chain, or `None` if there is no target and the
    /// record was logged.
    ///
    /// # Errors
    ///
    /// `ledger.unwritable`: the record is not in the ledger, and nothing may be handed out.
    pub(crate) fn append(
        &self,
        event: Event,
        load_id: &LoadId,
        verdict: &Verdict,
    ) -> Result<Option<Head>, Error> {
        let Some(target) = &self.target else {
            log(event, load_id, verdict);
            return Ok(None);
        };
        // A poisoned lock hides no half-made change: `State` advances only after a line was written.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = match &state.writer {
            Some(writer) if writer.process.id == std::process::id() => writer.clone(),
            Some(_) | None => Writer::this(),
        };
        if state.writer.as_ref() != Some(&writer) {
            *state = State { writer: Some(writer.clone()), ..State::default() };
        }
        let record = Record { content: Content::Event(event, verdict), load_id, writer };
        let result = match target {
            Target::Directory(directory) => state.append_in_directory(directory, &record),
            Target::Fd(number) => state.append_to_descriptor(*number, &record),
            Target::File(path) => state.append_to_file(path, &record, Predecessor::Search),
            Target::Stderr => state.append_to_stderr(&record),
        };
        result
            .map(|link| Some(link.head()))
            .map_err(|failure| Unwritable { target: target.clone(), failure }.into())
    }

    /// Records the denial `error` and returns it with its record. It keeps its own code; if the record could not be
    /// written, that is its source.
    pub(crate) fn deny(&self, event: Event, load_id: &LoadId, verdict: Verdict, error: Error) -> Error {
        let verdict = verdict.denied(&error);
        let written = self.append(event, load_id, &verdict);
        let error = error.with_verdict(verdict);
        match written {
            Ok(_) => error,
            Err(unwritable) => error.because(unwritable),
        }
    }
}

fn log(event: Event, load_id: &LoadId, verdict: &Verdict) {
    let record = serde_json::to_string(verdict).unwrap_or_default();
    match verdict.outcome {
        Outcome::Allowed => tracing::info!(?event, %load_id, record, "the model was allowed"),
        Outcome::Denied => tracing::warn!(?event, %load_id, record, "the model was denied"),
    }
}

impl Writer {
    /// This host and this process.
    fn this() -> Self {
        #[cfg(unix)]
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        #[cfg(not(unix))]
        let host = "unknown".to_owned();
        Self { host, process: Process { id: std::process::id(), start_ticks: start_ticks() } }
    }
}

/// Field 22 of proc_pid_stat(5). The second field is a name in parentheses and may hold anything, so the fields are
/// counted from the last parenthesis: the state after it is the third.
fn start_ticks() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// A record that has no place in a chain yet.
struct Record<'a> {
    content: Content<'a>,
    load_id: &'a LoadId,
    writer: Writer,
}

impl Record<'_> {
    /// Adds this record's line to `bytes`, as the one after `link`.
    fn add(&self, bytes: &mut Vec<u8>, link: Link) -> Result<Link, Failure> {
        self.add_content(bytes, link, &self.content)
    }

    /// Adds a `recovered` line that comes before this record.
    fn add_recovered(&self, bytes: &mut Vec<u8>, link: Link, torn: Torn) -> Result<Link, Failure> {
        self.add_content(bytes, link, &Content::Recovered(torn))
    }

    fn add_content(&self, bytes: &mut Vec<u8>, link: Link, content: &Content<'_>) -> Result<Link, Failure> {
        let link = if link.is_full() { Link::start()? } else { link };
        let (line, next) = link.next(content, self.load_id, &self.writer)?;
        if line.len() >= limits::LEDGER_LINE_BYTES {
            return Err(Failure::TooLong { bytes: line.len() });
        }
        bytes.extend_from_slice(&line);
        Ok(next)
    }
}

/// Where a new file's chain comes from.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Predecessor {
    /// This process alone writes the file: what it remembers is the end of the chain, wherever the file went.
    Remembered,
    /// The file that was renamed to make room for this one.
    Search,
}

impl State {
    fn append_in_directory(&mut self, directory: &Path, record: &Record<'_>) -> Result<Link, Failure> {
        let link = self.link()?;
        let path = match &self.path {
            Some(path) => path.clone(),
            None => {
                let host: String = record
                    .writer
                    .host
                    .chars()
                    .map(|character| if character.is_ascii_alphanumeric() { character } else { '-' })
                    .collect();
                directory.join(format!("modelseal-{host}-{}-{}.jsonl", record.writer.process.id, link.chain))
            }
        };
        self.link = Some(link);
        self.path = Some(path.clone());
        self.append_to_file(&path, record, Predecessor::Remembered)
    }

    fn append_to_file(
        &mut self,
        path: &Path,
        record: &Record<'_>,
        predecessor: Predecessor,
    ) -> Result<Link, Failure> {
        let deadline = deadline();
        for _ in 0..REOPENS {
            let file = self.open(path, predecessor)?;
            let lock = Lock::exclusive(&file, deadline)?;
            // The file may have been renamed while we waited; whoever did it expects no more records in it.
            if is_at(&file, path)? {
                let (bytes, link) = self.lines(&file, path, record, predecessor, deadline)?;
                write_or_cut_off(&file, path, &bytes)?;
                drop(lock);
                self.link = Some(link);
                return Ok(link);
            }
        }
        Err(Failure::Moving)
    }

    /// The file at `path`: the one that is open, if the path still names it, else opened or created.
    fn open(&mut self, path: &Path, predecessor: Predecessor) -> Result<Arc<File>, Failure> {
        if let Some(file) = &self.file
            && is_at(file, path)?
        {
            return Ok(Arc::clone(file));
        }
        // A pipe or device must not be opened at all: opening one can wait for a reader, or rewind a tape.
        match std::fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => return Err(Failure::NotRegular),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
        let file = Arc::new(options.open(path)?);
        if !file.metadata()?.is_file() {
            return Err(Failure::NotRegular);
        }
        // Other processes may have written since, to a file that is not here any more: what this one remembers is
        // then not the end of their chain.
        if predecessor == Predecessor::Search {
            self.link = None;
        }
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }

    /// The bytes to append to `file`, which is locked, and the link that they make.
    fn lines(
        &self,
        file: &File,
        path: &Path,
        record: &Record<'_>,
        predecessor: Predecessor,
        deadline: Instant,
    ) -> Result<(Vec<u8>, Link), Failure> {
        let mut tail = Tail::read(file)?;
        let mut bytes = Vec::new();
        if tail.torn.is_some() {
            bytes.push(b'\n');
        }
        if tail.link.is_none() && predecessor == Predecessor::Search {
            let before = renamed_tail(path, deadline)?;
            tail.link = before.link;
            if file.metadata()?.len() == 0 {
                tail.torn = before.torn;
            }
        }
        // A file that fell behind what this process appended to it was cut or edited. Linking to its new end would
        // make the change part of the chain; linking to the record that is missing shows it.
        let link = match (tail.link, self.link) {
            (Some(found), Some(known)) if found.chain == known.chain && known.count >= found.count => known,
            (Some(found), _) => found,
            (None, Some(known)) => known,
            (None, None) => Link::start()?,
        };
        let link = match tail.torn {
            Some(torn) => record.add_recovered(&mut bytes, link, torn)?,
            None => link,
        };
        let link = record.add(&mut bytes, link)?;
        Ok((bytes, link))
    }

    fn append_to_stderr(&mut self, record: &Record<'_>) -> Result<Link, Failure> {
        // Through a copy of the descriptor: the standard library's own handle takes a closed one for success.
        let stderr = io::stderr().lock();
        #[cfg(unix)]
        let file = File::from(std::os::fd::AsFd::as_fd(&stderr).try_clone_to_owned()?);
        #[cfg(windows)]
        let file = File::from(std::os::windows::io::AsHandle::as_handle(&stderr).try_clone_to_owned()?);
        self.append_to_stream(&file, record)
    }

    fn append_to_descriptor(&mut self, number: i32, record: &Record<'_>) -> Result<Link, Failure> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => Arc::new(crate::sys::fd::duplicate(number)?),
        };
        self.file = Some(Arc::clone(&file));
        let link = self.append_to_stream(&file, record)?;
        if file.metadata()?.is_file() {
            file.sync_data()?;
        }
        Ok(link)
    }

    /// Appends to a stream that cannot be read back or cut off.
    fn append_to_stream(&mut self, file: &File, record: &Record<'_>) -> Result<Link, Failure> {
        let deadline = deadline();
        let mut link = self.link()?;
        if let Some(torn) = self.torn {
            let mut bytes = vec![b'\n'];
            let recovered = record.add_recovered(&mut bytes, link, torn)?;
            link = self.write_line(file, &bytes, recovered, deadline)?;
            self.torn = None;
        }
        let mut bytes = Vec::new();
        let next = record.add(&mut bytes, link)?;
        self.write_line(file, &bytes, next, deadline)
    }

    /// Writes one line to a stream. If only a part could be written, that part is remembered, and the next append ends it.
    fn write_line(
        &mut self,
        file: &File,
        bytes: &[u8],
        link: Link,
        deadline: Instant,
    ) -> Result<Link, Failure> {
        let (written, result) = write(file, bytes, deadline);
        let unfinished = bytes.get(..written).unwrap_or(bytes).rsplit(|byte| *byte == b'\n').next();
        match (result, unfinished) {
            (Ok(()), _) => self.link = Some(link),
            (Err(error), Some(part)) if !part.is_empty() => {
                self.torn = Some(Torn::read(&mut io::Cursor::new(part))?);
                // Only the newline is missing: the record itself stands in the log.
                if written.checked_add(1) == Some(bytes.len()) {
                    self.link = Some(link);
                }
                return Err(error.into());
            }
            (Err(error), _) => return Err(error.into()),
        }
        Ok(link)
    }

    /// The end of this process's own chain.
    fn link(&self) -> Result<Link, Failure> {
        match self.link {
            Some(link) => Ok(link),
            None => Ok(Link::start()?),
        }
    }
}

/// A file lock that ends with its scope. Closing the file would not be enough: a child that was forked meanwhile
/// holds a copy of the descriptor.
struct Lock<'a>(&'a File);

impl<'a> Lock<'a> {
    fn exclusive(file: &'a File, deadline: Instant) -> Result<Self, Failure> {
        Self::take(file, deadline, File::try_lock)
    }

    fn shared(file: &'a File, deadline: Instant) -> Result<Self, Failure> {
        Self::take(file, deadline, File::try_lock_shared)
    }

    /// Tries until the deadline: a stopped process may hold the lock for ever, and a load must end.
    fn take(
        file: &'a File,
        deadline: Instant,
        try_lock: fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Self, Failure> {
        loop {
            match try_lock(file) {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(RETRY),
                Err(TryLockError::WouldBlock) => return Err(Failure::Locked),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // Nothing to be done about a failure; the lock then ends when the file is closed.
        let _ = self.0.unlock();
    }
}

fn deadline() -> Instant {
    let now = Instant::now();
    now.checked_add(Duration::from_millis(limits::LEDGER_WAIT_MILLISECONDS)).unwrap_or(now)
}

/// Whether `path` still names `file`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> Result<bool, Failure> {
    use std::os::unix::fs::MetadataExt as _;

    let held = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(named) => Ok(named.dev() == held.dev() && named.ino() == held.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether `path` still names `file`. Elsewhere an open file cannot be renamed away unless its opener allowed it.
#[cfg(not(unix))]
fn is_at(file: &File, path: &Path) -> Result<bool, Failure> {
    let _ = file;
    Ok(path.try_exists()?)
}

/// The end of the file that `path` was renamed to last; empty if there is none that can be read.
fn renamed_tail(path: &Path, deadline: Instant) -> Result<Tail, Failure> {
    for renamed in renamed_files(path)? {
        let file = match File::open(&renamed) {
            Ok(file) => file,
            // A rotation may have taken it away or given it to somebody else. A new chain then shows in the report.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) =>
            {
                break;
            }
            Err(error) => return Err(error.into()),
        };
        // A writer that locked it before the rename may still be writing its last record.
        let _lock = Lock::shared(&file, deadline)?;
        // Rotated before anything was written to it: the chain ends in the one before.
        if file.metadata()?.len() > 0 {
            return Ok(Tail::read(&file)?);
        }
    }
    Ok(Tail::default())
}

/// The files that `path` was renamed to, newest first: `NAME.0` or `NAME.1`, which the common rotation tools make, and
/// those numbered on from it without a gap; else every `NAME-<date>` or `NAME.<date>`, a date being 8 digits and more.
/// Never by modification time: a copy of an older file may be newer.
fn renamed_files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
    else {
        return Ok(Vec::new());
    };
    let mut dated = BTreeSet::new();
    let mut numbered = BTreeMap::new();
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        // A directory that may be entered and not listed is no reason to deny. A new chain then shows in the report.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    for entry in entries {
        let entry = entry?;
        let other = entry.path();
        let file_name = entry.file_name();
        let Some(suffix) = file_name
            .to_str()
            .and_then(|other| other.strip_prefix(name))
            .and_then(|rest| rest.strip_prefix(['.', '-']))
        else {
            continue;
        };
        if !entry.file_type()?.is_file() {
            continue;
        }
        let digits = suffix.bytes().filter(u8::is_ascii_digit).count();
        let is_date =
            |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b':' | b'T' | b'Z' | b'_');
        if digits >= 8 && suffix.bytes().all(is_date) {
            dated.insert(other);
        } else if let Some(number) = suffix.parse::<u32>().ok().filter(|number| number.to_string() == suffix)
        {
            numbered.insert(number, other);
        }
    }
    // If 0 and 1 are both missing, the newest was compressed or taken away, and 2 is not the end of the chain.
    let first: u32 = if numbered.contains_key(&0) { 0 } else { 1 };
    let newest: Vec<PathBuf> = (first..).map_while(|number| numbered.remove(&number)).collect();
    Ok(if newest.is_empty() { dated.into_iter().rev().collect() } else { newest })
}

/// Appends all of `bytes` to `file`, which is locked, and flushes; or leaves the file as it was.
fn write_or_cut_off(file: &File, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let length = file.metadata()?.len();
    let (_, written) = write(file, bytes, deadline());
    let flushed = written.and_then(|()| file.sync_data());
    let named = if length == 0 { flushed.and_then(|()| sync_name(path)) } else { flushed };
    named.map_err(|error| {
        // If this fails too (an append-only file), an unfinished line stays, and the next append recovers from it.
        let _ = file.set_len(length);
        Failure::from(error)
    })
}

/// Makes a new file's name durable: fdatasync(2) flushes the file, not the directory that names it.
fn sync_name(path: &Path) -> io::Result<()> {
    let Some(directory) = path.parent().filter(|_| cfg!(unix)) else { return Ok(()) };
    match File::open(directory).and_then(|directory| directory.sync_all()) {
        // Some network file systems cannot flush directories: their server keeps the names. And a directory that this
        // process may not list is the administrator's, who made the file as well.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied) =>
        {
            Ok(())
        }
        result => result,
    }
}

/// Writes `bytes`, in one call if the system takes them all. Returns how many were written, also on failure.
///
/// A pipe that another program has set to non-blocking is tried again until the deadline.
fn write(mut file: &File, bytes: &[u8], deadline: Instant) -> (usize, io::Result<()>) {
    let mut written: usize = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written = written.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {
                std::thread::sleep(RETRY);
            }
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// Why an append failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("another process held its lock for {} seconds", limits::LEDGER_WAIT_MILLISECONDS / 1000)]
    Locked,
    #[error("it was replaced again and again while it was opened")]
    Moving,
    #[error("it is not a regular file")]
    NotRegular,
    #[error("the operating system gave no random bytes: {0}")]
    Randomness(#[from] getrandom::Error),
    #[error("the record could not be put into JSON: {0}")]
    Serialize(#[from] serde_json::Error),
    #[error("the record has {bytes} bytes, more than {}", limits::LEDGER_LINE_BYTES)]
    TooLong { bytes: usize },
}

#[derive(Debug, thiserror::Error)]
#[error("the record of this load could not be written: {failure}")]
struct Unwritable {
    target: Target,
    failure: Failure,
}

impl Fault for Unwritable {
    fn code(&self) -> Code {
        Code::LedgerUnwritable
    }

    fn path(&self) -> Option<String> {
        Some(match &self.target {
            Target::Directory(path) | Target::File(path) => path.display().to_string(),
            Target::Fd(number) => format!("fd:{number}"),
            Target::Stderr => "stderr".to_owned(),
        })
    }

    fn remedy(&self) -> Option<String> {
        match &self.failure {
            Failure::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                Some("Create the ledger's directory; it is never made by a load.".to_owned())
            }
            Failure::Locked => {
                Some("Find the process that holds the ledger's lock and let it go on or end it.".to_owned())
            }
            Failure::NotRegular => Some(
                "Name a regular file or a directory; give a pipe or device as `stderr` or `fd:N`.".to_owned(),
            ),
            Failure::Io(_)
            | Failure::Moving
            | Failure::Randomness(_)
            | Failure::Serialize(_)
            | Failure::TooLong { .. } => None,
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ledger::testing::{append, ledger_at, lines_of, try_append};
    use crate::ledger::{head, verify};
    use std::os::fd::AsRawFd as _;
    use std::process::{Command, Stdio};

    const CHILD_TARGET: &str = "MODELSEAL_TEST_LEDGER";
    const CHILD_COUNT: &str = "MODELSEAL_TEST_APPENDS";

    /// Not a test of its own: what the processes do that other tests start.
    #[test]
    fn child() {
        let (Ok(target), Ok(count)) = (std::env::var(CHILD_TARGET), std::env::var(CHILD_COUNT)) else {
            return;
        };
        let ledger = Ledger::new(Target::parse(&target, None));
        for _ in 0..count.parse().unwrap() {
            match try_append(&ledger) {
                Ok(head) => println!("head {}", head.unwrap()),
                Err(error) => println!("failed {error}"),
            }
        }
    }

    /// This test binary again, running [`child`] only, through `/bin/sh` after `setup`.
    fn child_command(setup: &str, target: &str, count: usize) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &format!("{setup} exec \"$0\" --exact ledger::writer::tests::child --nocapture")])
            .arg(std::env::current_exe().unwrap())
            .env(CHILD_TARGET, target)
            .env(CHILD_COUNT, count.to_string())
            .stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn refused(ledger: &Ledger) -> Error {
        let error = try_append(ledger).unwrap_err();
        assert_eq!(error.code(), Code::LedgerUnwritable, "{error}");
        error
    }

    #[test]
    fn without_a_target_nothing_is_written() {
        assert_eq!(try_append(&Ledger::new(None)).unwrap(), None);
    }

    #[test]
    fn ledgers_of_one_file_share_its_chain() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ledger");
        let (one, two) = (ledger_at(&file), ledger_at(&file));
        append(&one);
        append(&two);
        append(&two);
        let last = append(&one);
        assert_eq!(last.count(), 4);
        assert_eq!(head(&file).unwrap(), last);
        let report = verify(&[file], Some(&last)).unwrap();
        assert_eq!((report.records, report.chains.len()), (4, 1));
    }

    #[test]
    fn eight_threads_make_one_chain() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ledger");
        let shared = ledger_at(&file);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (shared, file) = (&shared, &file);
                scope.spawn(move || {
                    let own = ledger_at(file);
                    for _ in 0..50 {
                        append(if thread % 2 == 0 { shared } else { &own });
                    }
                });
            }
        });
        let report = verify(&[file], None).unwrap();
        assert_eq!((report.records, report.chains.len(), report.torn), (400, 1, 0));
        assert_eq!(report.chains[0].head.count(), 400);
    }

    #[test]
    fn processes_make_one_chain() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ledger");
        let start = || child_command("", file.to_str().unwrap(), 20).stdout(Stdio::null()).spawn().unwrap();
        let mut children = [start(), start()];
        let own = ledger_at(&file);
        for _ in 0..20 {
            append(&own);
        }
        for child in &mut children {
            assert!(child.wait().unwrap().success());
        }
        let report = verify(std::slice::from_ref(&file), None).unwrap();
        assert_eq!((report.records, report.chains.len()), (60, 1));
        let id = std::process::id();
        assert_eq!(
            lines_of(&file).iter().filter(|line| line.contains(&format!("{{\"id\":{id}"))).count(),
            20
        );
    }

    #[test]
    fn a_directory_has_a_file_per_process() {
        let directory = tempfile::tempdir().unwrap();
        let target = Target::Directory(directory.path().to_path_buf());
        let (one, two) = (Ledger::new(Some(target.clone())), Ledger::new(Some(target)));
        append(&one);
        append(&two);
        append(&one);
        let files: Vec<PathBuf> =
            std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 2);
        for file in &files {
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(
                name.contains(&format!("-{}-", std::process::id())) && name.ends_with(".jsonl"),
                "{name}"
            );
            let report = verify(std::slice::from_ref(file), None).unwrap();
            assert!(name.contains(&report.chains[0].id));
        }
        let report = verify(&files, None).unwrap();
        assert_eq!((report.records, report.chains.len()), (3, 2));
    }

    #[test]
    fn a_process_goes_on_with_its_chain_when_its_file_in_a_directory_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(Some(Target::Directory(directory.path().to_path_buf())));
        append(&ledger);
        let file = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(append(&ledger).count(), 2);
        assert_eq!(verify(&[file], None).unwrap().chains[0].first, 2);
    }

    #[test]
    fn a_descriptor_is_copied_and_appended_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        let ledger = Ledger::new(Some(Target::Fd(file.as_raw_fd())));
        append(&ledger);
        drop(file);
        let last = append(&ledger);
        assert_eq!(last.count(), 2);
        verify(&[path], Some(&last)).unwrap();
    }

    #[test]
    fn standard_error_is_read_out_of_its_log() {
        let output = child_command("echo before >&2;", "stderr", 3).output().unwrap();
        assert!(output.status.success());
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        std::fs::write(&log, &output.stderr).unwrap();
        let report = verify(std::slice::from_ref(&log), Some(&head(&log).unwrap())).unwrap();
        assert_eq!((report.records, report.chains.len(), report.other_lines), (3, 1, 1));
        // A descriptor the child was given.
        let setup = format!("exec 9>>'{}';", log.display());
        assert!(child_command(&setup, "fd:9", 2).output().unwrap().status.success());
        let report = verify(&[log], None).unwrap();
        assert_eq!((report.records, report.chains.len()), (5, 2));
    }

    #[test]
    fn a_stream_that_takes_nothing_denies() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = refused(&Ledger::new(Some(Target::Fd(full.as_raw_fd()))));
        assert!(error.path() == Some(&format!("fd:{}", full.as_raw_fd())), "{error}");
        refused(&Ledger::new(Some(Target::Fd(1_000_000))));
        let (reader, pipe) = std::io::pipe().unwrap();
        drop(reader);
        refused(&Ledger::new(Some(Target::Fd(pipe.as_raw_fd()))));
        // Read-only.
        let null = File::open("/dev/null").unwrap();
        refused(&Ledger::new(Some(Target::Fd(null.as_raw_fd()))));
    }

    #[test]
    fn a_closed_standard_error_denies() {
        // A Rust program opens /dev/null in place of a closed descriptor, so standard error is made read-only here.
        let output = child_command("exec 2</dev/null;", "stderr", 1).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(stdout.contains("failed ledger.unwritable: stderr"), "{stdout}");
    }

    #[test]
    fn a_file_target_that_is_no_regular_file_denies() {
        for path in ["/dev/full", "/dev/null"] {
            let error = refused(&ledger_at(Path::new(path)));
            assert!(error.remedy().contains("fd:N"), "{error:?}");
        }
        let directory = tempfile::tempdir().unwrap();
        refused(&ledger_at(directory.path()));
        let fifo = directory.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        refused(&ledger_at(&fifo));
    }

    #[test]
    fn a_place_that_cannot_be_written_denies() {
        let error = refused(&ledger_at(Path::new("/no/such/directory/ledger")));
        assert!(error.remedy().contains("Create"), "{error:?}");
        refused(&Ledger::new(Some(Target::Directory(PathBuf::from("/no/such/directory/")))));
        // procfs takes no new files from anybody, the superuser included.
        refused(&Ledger::new(Some(Target::Directory(PathBuf::from("/proc/self/")))));
        refused(&ledger_at(Path::new("/proc/self/ledger")));
    }

    #[test]
    fn a_denial_keeps_its_code_and_names_the_ledger_as_source() {
        let id = LoadId::random().unwrap();
        let denial = || crate::ModelName::parse("../x").unwrap_err();
        let ledger = ledger_at(Path::new("/no/such/directory/ledger"));
        let error = ledger.deny(Event::Load, &id, Verdict::new(Outcome::Allowed), denial());
        assert_eq!(error.code(), Code::PolicyNameInvalid);
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.starts_with("ledger.unwritable: /no/such/directory/ledger"), "{source}");
        assert_eq!(error.verdict().unwrap().outcome, Outcome::Denied);

        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ledger");
        let error = ledger_at(&file).deny(Event::Load, &id, Verdict::new(Outcome::Allowed), denial());
        assert!(std::error::Error::source(&error).is_none());
        let line = lines_of(&file).remove(0);
        assert!(
            line.contains("\"code\":\"policy.name_invalid\"") && line.contains(&id.to_string()),
            "{line}"
        );
    }

    #[test]
    fn an_append_that_does_not_fit_is_cut_off_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ledger");
        // The limit on file sizes makes a write stop half-way, as a full disk does; with the signal ignored, the
        // next write fails with EFBIG.
        let output =
            child_command("trap '' XFSZ; ulimit -f 8;", file.to_str().unwrap(), 30).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(stdout.contains("head 1:") && stdout.contains("failed ledger.unwritable"), "{stdout}");
        assert!(std::fs::read(&file).unwrap().ends_with(b"}\n"));
        let written = verify(std::slice::from_ref(&file), None).unwrap();
        assert_eq!(written.torn, 0);
        assert_eq!(written.records, u64::try_from(stdout.matches("head ").count()).unwrap());
        append(&ledger_at(&file));
        let report = verify(&[file], None).unwrap();
        assert_eq!((report.recovered, report.chains.len()), (0, 1));
    }

    #[test]
    fn a_writer_killed_half_way_blocks_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ledger");
        // Without the trap, the signal kills the process between the two halves of a line.
        let status = child_command("ulimit -c 0; ulimit -f 8;", file.to_str().unwrap(), 30)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(!status.success());
        assert!(!std::fs::read(&file).unwrap().ends_with(b"\n"));
        assert_eq!(verify(std::slice::from_ref(&file), None).unwrap().torn, 1);
        append(&ledger_at(&file));
        let report = verify(&[file], None).unwrap();
        assert_eq!((report.recovered, report.torn, report.chains.len()), (1, 0, 1));
    }

    #[test]
    fn a_writer_killed_at_any_time_blocks_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ledger");
        for _ in 0..3 {
            let mut child =
                child_command("", file.to_str().unwrap(), 1_000_000).stdout(Stdio::null()).spawn().unwrap();
            while !file.exists() {
                std::thread::sleep(RETRY);
            }
            std::thread::sleep(Duration::from_millis(20));
            child.kill().unwrap();
            child.wait().unwrap();
            append(&ledger_at(&file));
        }
        let report = verify(&[file], None).unwrap();
        assert_eq!((report.chains.len(), report.torn), (1, 0));
    }

    #[test]
    fn a_line_torn_anywhere_is_recovered() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ledger");
        let first = ledger_at(&file);
        append(&first);
        let whole_lines = std::fs::metadata(&file).unwrap().len();
        append(&first);
        let bytes = std::fs::read(&file).unwrap();
        let start = usize::try_from(whole_lines).unwrap();
        for cut in start + 1..bytes.len() {
            std::fs::write(&file, &bytes[..cut]).unwrap();
            let ledger = ledger_at(&file);
            let last = append(&ledger);
            let after = append(&ledger);
            let report = verify(std::slice::from_ref(&file), Some(&last)).unwrap();
            assert_eq!((report.recovered, report.torn, report.chains.len()), (1, 0, 1), "cut at {cut}");
            assert_eq!(report.chains[0].head, after);
            // The torn bytes stay where they were, and the line after them names them.
            let now = std::fs::read(&file).unwrap();
            assert_eq!(&now[..cut], &bytes[..cut]);
            assert_eq!(now[cut], b'\n');
            let torn = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes[start..cut]));
            let line = lines_of(&file).remove(2);
            assert!(line.contains("\"event\":\"recovered\"") && line.contains(&torn), "{line}");
        }
    }

    #[test]
    fn what_a_crash_left_instead_of_a_line_is_recovered() {
        for left in [&b"\0\0\0\0"[..], b"{\"schema\":\"modelseal.ledger/v1\",\0\0", b"words", b"\xff{"] {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("ledger");
            append(&ledger_at(&file));
            let mut bytes = std::fs::read(&file).unwrap();
            bytes.extend_from_slice(left);
            std::fs::write(&file, &bytes).unwrap();
            verify(std::slice::from_ref(&file), None).unwrap();
            append(&ledger_at(&file));
            let report = verify(std::slice::from_ref(&file), None).unwrap();
            assert_eq!((report.recovered, report.torn, report.records), (1, 0, 3), "{left:?}");
            // Once named, the torn line is part of what cannot be changed.
            let edited = std::fs::read_to_string(&file).unwrap_or_default().replacen("words", "sword", 1);
            if edited.contains("sword") {
                std::fs::write(&file, edited).unwrap();
                assert_eq!(verify(&[file], None).unwrap_err().code(), Code::LedgerCorrupt);
            }
        }
    }

    #[test]
    fn a_stream_goes_on_after_a_torn_line() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let file = OpenOptions::new().append(true).create(true).open(&log).unwrap();
        for cut in [1, 10, 200, usize::MAX] {
            let ledger = Ledger::new(Some(Target::Fd(file.as_raw_fd())));
            append(&ledger);
            {
                // What `write_line` leaves behind when the descriptor takes only a part of a line.
                let mut state = ledger.state.lock().unwrap();
                let link = state.link.unwrap();
                let (bytes, next) = link
                    .next(
                        &Content::Event(Event::Load, &Verdict::new(Outcome::Denied)),
                        &LoadId::random().unwrap(),
                        state.writer.as_ref().unwrap(),
                    )
                    .unwrap();
                let cut = cut.min(bytes.len() - 1);
                (&file).write_all(&bytes[..cut]).unwrap();
                state.torn = Some(Torn::read(&mut &bytes[..cut]).unwrap());
                if cut + 1 == bytes.len() {
                    state.link = Some(next);
                }
            }
            append(&ledger);
            append(&ledger);
        }
        let report = verify(&[log], None).unwrap();
        assert_eq!((report.chains.len(), report.recovered, report.torn), (4, 4, 0));
    }

    #[test]
    fn a_full_pipe_denies_after_a_torn_line_and_is_recovered() {
        // A non-blocking pipe with little room left takes a part of the line.
        let (mut reader, pipe) = std::io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&pipe, true).unwrap();
        let filler = vec![b'\n'; 4096];
        while (&pipe).write(&filler).is_ok() {}
        let ledger = Ledger::new(Some(Target::Fd(pipe.as_raw_fd())));
        let long = Verdict { warnings: vec!["x".repeat(20_000)], ..Verdict::new(Outcome::Allowed) };
        let id = LoadId::random().unwrap();
        let mut state = State { writer: Some(Writer::this()), ..State::default() };
        let file = crate::sys::fd::duplicate(pipe.as_raw_fd()).unwrap();
        let mut log = vec![0; 8192];
        std::io::Read::read_exact(&mut reader, &mut log).unwrap();
        let link = Link::start().unwrap();
        let (bytes, next) =
            link.next(&Content::Event(Event::Load, &long), &id, state.writer.as_ref().unwrap()).unwrap();
        assert!(state.write_line(&file, &bytes, next, Instant::now()).is_err());
        assert!(state.torn.is_some() && state.link.is_none());
        state.link = Some(link);
        *ledger.state.lock().unwrap() = state;
        let collect = std::thread::spawn(move || {
            std::io::Read::read_to_end(&mut reader, &mut log).unwrap();
            log
        });
        // Now that the reader reads, the same stream goes on.
        append(&ledger);
        drop((ledger, pipe, file));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, collect.join().unwrap()).unwrap();
        let report = verify(&[path], None).unwrap();
        assert_eq!((report.records, report.recovered, report.torn), (2, 1, 0));
    }

    #[test]
    fn the_chain_goes_on_in_the_file_after_a_rotation() {
        for suffix in [".1", ".0", "-20260801", ".2026-08-01T00:00:00Z"] {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("ledger.jsonl");
            let renamed = directory.path().join(format!("ledger.jsonl{suffix}"));
            let (one, two) = (ledger_at(&file), ledger_at(&file));
            append(&one);
            append(&two);
            std::fs::rename(&file, &renamed).unwrap();
            // What is no rotated file of this name does not count.
            std::fs::write(directory.path().join("ledger.jsonl.bak"), "x").unwrap();
            std::fs::write(directory.path().join("ledger.jsonl.2"), "x").unwrap();
            // `one` does not know of the record of `two`, and a new process knows nothing.
            append(&one);
            append(&ledger_at(&file));
            let last = append(&two);
            assert_eq!(last.count(), 5, "{suffix}");
            let report = verify(&[renamed.clone(), file.clone()], Some(&last)).unwrap();
            assert_eq!((report.chains.len(), report.records), (1, 5));
            assert_eq!(verify(std::slice::from_ref(&file), None).unwrap().chains[0].first, 3);
            // In the wrong order.
            let error = verify(&[file.clone(), renamed.clone()], None).unwrap_err();
            assert!(error.message().contains("rotated files come before"), "{error}");
            // The last line of the rotated file is an inner line of the chain.
            let lines = lines_of(&renamed);
            std::fs::write(&renamed, format!("{}\n", lines[0])).unwrap();
            assert_eq!(verify(&[renamed, file], None).unwrap_err().code(), Code::LedgerCorrupt);
        }
    }

    #[test]
    fn a_torn_line_in_a_rotated_file_is_named_in_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let (file, renamed) = (directory.path().join("ledger"), directory.path().join("ledger.1"));
        append(&ledger_at(&file));
        append(&ledger_at(&file));
        let bytes = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&renamed, &bytes[..bytes.len() - 30]).unwrap();
        append(&ledger_at(&file));
        let report = verify(&[renamed.clone(), file], None).unwrap();
        assert_eq!((report.chains.len(), report.recovered, report.torn), (1, 1, 0));
        assert_eq!(std::fs::read(&renamed).unwrap().len(), bytes.len() - 30);
    }

    #[test]
    fn empty_rotated_files_are_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let [file, first, second] =
            ["ledger", "ledger.1", "ledger.2"].map(|name| directory.path().join(name));
        append(&ledger_at(&file));
        std::fs::rename(&file, &second).unwrap();
        std::fs::write(&first, "").unwrap();
        assert_eq!(append(&ledger_at(&file)).count(), 2);
        verify(&[second, first.clone(), file.clone()], None).unwrap();
        // With the newest gone, the one before it is not the end of the chain.
        std::fs::remove_file(&file).unwrap();
        std::fs::remove_file(&first).unwrap();
        assert_eq!(append(&ledger_at(&file)).count(), 1);
    }

    #[test]
    fn without_a_readable_predecessor_a_new_chain_begins() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ledger");
        let ledger = ledger_at(&file);
        append(&ledger);
        std::fs::rename(&file, directory.path().join("ledger.1.gz")).unwrap();
        assert_eq!(append(&ledger).count(), 1);
        verify(&[file], None).unwrap();
    }

    #[test]
    fn writers_and_a_rotation_at_once_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ledger");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let own = ledger_at(&file);
                    for _ in 0..40 {
                        append(&own);
                    }
                });
            }
            scope.spawn(|| {
                for round in 0..6 {
                    std::thread::sleep(Duration::from_millis(5));
                    // Never twice before anybody wrote: the newest renamed file would then be an empty one.
                    while std::fs::metadata(&file).map_or(true, |metadata| metadata.len() == 0) {
                        std::thread::yield_now();
                    }
                    std::fs::rename(&file, directory.path().join(format!("ledger-2026080{round}"))).unwrap();
                }
            });
        });
        let mut files: Vec<PathBuf> =
            (0..6).map(|round| directory.path().join(format!("ledger-2026080{round}"))).collect();
        files.extend(file.exists().then_some(file));
        let report = verify(&files, None).unwrap();
        assert_eq!((report.records, report.chains.len()), (160, 1));
    }

    #[test]
    fn a_change_of_the_last_line_between_two_appends_shows() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ledger");
        let edit = |change: fn(&str) -> String| {
            let text = std::fs::read_to_string(&file).unwrap();
            std::fs::write(&file, change(&text)).unwrap();
        };
        for change in [
            |text: &str| text.replace("allowed", "denied"),
            |text: &str| text.split_inclusive('\n').take(2).collect(),
        ] {
            let _ = std::fs::remove_file(&file);
            let ledger = ledger_at(&file);
            for _ in 0..3 {
                append(&ledger);
            }
            edit(change);
            append(&ledger);
            assert_eq!(verify(std::slice::from_ref(&file), None).unwrap_err().code(), Code::LedgerCorrupt);
        }
    }

    #[test]
    fn a_long_record_and_a_far_one_are_continued() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ledger");
        let long = Verdict { warnings: vec!["x".repeat(300_000)], ..Verdict::new(Outcome::Denied) };
        ledger_at(&file).append(Event::Load, &LoadId::random().unwrap(), &long).unwrap();
        assert_eq!(append(&ledger_at(&file)).count(), 2);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes.extend("another program\n".repeat(100_000).bytes());
        std::fs::write(&file, bytes).unwrap();
        let last = append(&ledger_at(&file));
        assert_eq!(last.count(), 3);
        verify(&[file], Some(&last)).unwrap();
    }

    #[test]
    fn a_lock_that_is_held_ends_in_a_denial() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let other = File::open(file.path()).unwrap();
        other.lock().unwrap();
        let failure = Lock::exclusive(file.as_file(), Instant::now()).err().unwrap();
        assert!(matches!(failure, Failure::Locked));
        other.unlock().unwrap();
        assert!(Lock::exclusive(file.as_file(), Instant::now()).is_ok());
    }

    #[test]
    fn the_start_of_this_process_is_known() {
        assert!(start_ticks().unwrap() > 0);
    }
}
