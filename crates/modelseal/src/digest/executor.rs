//! One pass over many files: read, place, hash, in parallel, with progress and cancellation.

use std::cmp::Reverse;
use std::fmt;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::plan::{self, SegmentHashes};
use super::{Algorithm, Digest, length};
use crate::error::{Code, Error, Evidence, Fault};
use crate::limits::{READ_BYTES, THREADS};

/// Threads of a pass whose caller names no number: beyond this, memory and storage are the limit, not hashing.
const DEFAULT_THREADS: usize = 16;

/// How far a verification is. Reported from the threads that hash, one report at a time, with rising numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes read and hashed so far.
    pub bytes_done: u64,
    /// Bytes to read in all.
    pub bytes_total: u64,
}

/// Stops a running verification from another thread.
///
/// Cancelling is permanent; the open ends with `open.cancelled`. Clones share one flag.
///
/// ```
/// let token = modelseal::CancelToken::new();
/// token.cancel();
/// assert!(token.is_cancelled());
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that is not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels every verification that holds a clone of this token.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Which digests of a file one pass computes. At least one field is set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// The whole file under these algorithms.
    pub(crate) whole: Vec<Algorithm>,
    /// Every range of this many bytes, the last one shorter. The caller bounds their number: each is kept.
    pub(crate) shards: Option<(Algorithm, u64)>,
    /// The fs-verity digest (SHA-256, 4096-byte blocks, no salt).
    pub(crate) fsverity: bool,
}

impl Wanted {
    /// How many digests are computed side by side.
    pub(super) fn streams(&self) -> usize {
        self.whole.len() + usize::from(self.shards.is_some()) + usize::from(self.fsverity)
    }
}

/// Where the bytes of a job come from. Read by position, never by the file's cursor.
pub(crate) enum Input<'a> {
    /// Opened when a worker comes to it and closed when it is hashed: a model may have more files than a process may
    /// have open at once.
    Closed(Box<dyn Fn() -> Result<File, Error> + Send + Sync + 'a>),
    /// Held open by the caller.
    Open(&'a File),
}

impl<'a> From<&'a File> for Input<'a> {
    fn from(file: &'a File) -> Self {
        Self::Open(file)
    }
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("Closed"),
            Self::Open(file) => f.debug_tuple("Open").field(file).finish(),
        }
    }
}

/// Where the bytes of a file go while they are hashed. What is hashed is what lies there afterwards.
#[derive(Debug)]
pub(crate) enum Place<'a> {
    /// Written to this file at the same offset, from the buffer that was hashed.
    File(&'a File),
    /// Read straight into this memory (exactly the file's size) and hashed there.
    Memory(&'a mut [u8]),
    /// Hashed only.
    Nowhere,
}

/// One file of a pass.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) source: Input<'a>,
    /// Bytes to read; one byte more or less in the file is `file.changed`.
    pub(crate) size: u64,
    pub(crate) wanted: Wanted,
    pub(crate) place: Place<'a>,
}

/// What one pass found of a file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Measured {
    /// In the order of [`Wanted::whole`].
    pub(crate) whole: Vec<Digest>,
    /// In order of offset; empty for an empty file.
    pub(crate) shards: Vec<Digest>,
    pub(crate) fsverity: Option<[u8; 32]>,
}

/// Runs passes on a thread pool of its own.
pub(crate) struct Executor {
    threads: NonZeroUsize,
    cancel: CancelToken,
    progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
    /// The least bytes of a file that two threads share; the tests lower it.
    segment_bytes: u64,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("threads", &self.threads).finish_non_exhaustive()
    }
}

impl Executor {
    /// An executor with this many threads; by default one per processor the process may use, at most
    /// [`DEFAULT_THREADS`]. The number changes how long a pass takes, never what it finds.
    ///
    /// `progress` is called from the workers, one at a time, with rising numbers, at most once per
    /// [`READ_BYTES`]; a worker does not wait for another one's call. If it panics, the pass goes on without its
    /// thread, and the panic continues in the caller of [`Executor::run`].
    pub(crate) fn new(
        threads: Option<NonZeroUsize>,
        cancel: CancelToken,
        progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
    ) -> Self {
        let available = || {
            let processors = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
            processors.min(NonZeroUsize::new(DEFAULT_THREADS).unwrap_or(NonZeroUsize::MIN))
        };
        Self {
            threads: threads.unwrap_or_else(available),
            cancel,
            progress,
            segment_bytes: plan::SEGMENT_BYTES,
        }
    }

    /// Runs all jobs. `judge` is called once per finished job with its index, from a worker thread or the caller's;
    /// its error is that job's result. After a job failed, jobs with a *higher* index may be skipped (`None`), jobs
    /// with a lower one always finish: the first error in order is the same whatever the threads do.
    ///
    /// With `thorough` no job is skipped for another's failure. Cancellation makes the outer result `open.cancelled`.
    ///
    /// A job fails with `file.changed` if the file is not of the job's size, with `file.unreadable` if it cannot be
    /// read, with the error of its [`Input::Closed`], and with `assurance.memory` or `open.system` if its bytes
    /// cannot be written to their place. These errors name no file: the caller does, with [`Error::at`].
    ///
    /// Memory: [`READ_BYTES`] per worker and a few kilobytes per job. Large files go first.
    pub(crate) fn run(
        &self,
        jobs: Vec<Job<'_>>,
        thorough: bool,
        judge: &(dyn Fn(usize, Measured) -> Result<(), Error> + Sync),
    ) -> Result<Vec<Option<Result<(), Error>>>, Error> {
        let total = jobs.iter().fold(0_u64, |total, job| total.saturating_add(job.size));
        let mut tasks = Vec::with_capacity(jobs.len());
        let mut queue = Vec::with_capacity(jobs.len());
        for (index, job) in jobs.into_iter().enumerate() {
            let (task, units) = Task::new(index, job, self.segment_bytes);
            tasks.push(task);
            queue.push(units);
        }
        // The longest units first, so that no thread is left alone with one at the end. The units of one file stay
        // together, so that few files are open at once.
        queue.sort_by_key(|units| Reverse(units.first().map_or(0, |unit| unit.range.end - unit.range.start)));
        let queue: Vec<Unit<'_>> = queue.into_iter().flatten().collect();
        let streams =
            queue.iter().filter_map(|unit| tasks.get(unit.task)).map(|task| task.wanted.streams()).sum();
        let workers = self.threads.get().min(THREADS).min(streams);

        let unplanned = tasks.iter().position(|task| lock(&task.state).result.is_some());
        let pass = Pass {
            tasks,
            queue: Mutex::new(queue.into_iter()),
            first_failed: AtomicUsize::new(unplanned.unwrap_or(usize::MAX)),
            thorough,
            judge,
            cancel: &self.cancel,
            meter: Meter::new(self.progress.as_deref(), total),
        };
        // Starting threads takes longer than hashing this little. No segment here is long enough to be shared out.
        if total < length(READ_BYTES) {
            pass.work();
        } else {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(workers.max(1)).build();
            pool.map_err(ExecutorFault::Threads)?.broadcast(|_| pass.work());
        }
        if self.cancel.is_cancelled() {
            return Err(ExecutorFault::Cancelled.into());
        }
        pass.meter.finish();
        Ok(pass.tasks.into_iter().map(Task::into_result).collect())
    }
}

/// One run of an executor.
struct Pass<'p, 'j> {
    tasks: Vec<Task<'j>>,
    queue: Mutex<std::vec::IntoIter<Unit<'j>>>,
    /// The least index of a failed job.
    first_failed: AtomicUsize,
    thorough: bool,
    judge: &'p (dyn Fn(usize, Measured) -> Result<(), Error> + Sync),
    cancel: &'p CancelToken,
    meter: Meter<'p>,
}

/// A segment of a file: what a worker takes from the queue.
struct Unit<'j> {
    task: usize,
    segment: usize,
    range: Range<u64>,
    /// Where the bytes of this segment go; [`Place::File`] is the whole file.
    place: Place<'j>,
}

/// Why a unit has no hashes.
enum Stop {
    Failed(Error),
    /// Nobody asks for it any more: the pass is cancelled, or something earlier failed.
    Superseded,
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Pass<'_, '_> {
    /// One worker: takes units until none is left.
    fn work(&self) {
        let mut buffer = vec![0; READ_BYTES];
        while let Some(unit) = self.next_unit() {
            let Some(task) = self.tasks.get(unit.task) else { continue };
            let segment = unit.segment;
            let part = match self.hash(task, unit, &mut buffer) {
                Ok(hashes) => Some(Ok(hashes)),
                Err(Stop::Failed(error)) => Some(Err(error)),
                Err(Stop::Superseded) => None,
            };
            self.settle(task, segment, part);
        }
    }

    fn next_unit(&self) -> Option<Unit<'_>> {
        lock(&self.queue).next()
    }

    /// Reads, places and hashes one segment, each byte once.
    fn hash(&self, task: &Task<'_>, unit: Unit<'_>, buffer: &mut [u8]) -> Result<SegmentHashes, Stop> {
        let Range { mut start, end } = unit.range;
        let mut hashes = SegmentHashes::new(&task.wanted, &unit.range, task.size);
        self.proceed(task, unit.segment)?;
        let opened;
        let source = match &task.source {
            Input::Closed(open) => {
                opened = task.opened(open)?;
                &*opened
            }
            Input::Open(file) => {
                if unit.segment == 0 {
                    advise_sequential(file);
                }
                file
            }
        };
        match unit.place {
            Place::Memory(memory) => {
                for chunk in memory.chunks_mut(READ_BYTES) {
                    self.proceed(task, unit.segment)?;
                    read_exact_at(source, chunk, start, task.size)?;
                    hashes.update(chunk);
                    start += length(chunk.len());
                    self.meter.add(length(chunk.len()));
                }
            }
            Place::File(_) | Place::Nowhere => {
                while start < end {
                    self.proceed(task, unit.segment)?;
                    let left = usize::try_from(end - start).unwrap_or(usize::MAX);
                    let chunk = buffer.get_mut(..left.min(READ_BYTES)).unwrap_or_default();
                    read_exact_at(source, chunk, start, task.size)?;
                    hashes.update(chunk);
                    if let Place::File(target) = unit.place {
                        target
                            .write_all_at(chunk, start)
                            .map_err(|error| ExecutorFault::Unplaceable { offset: start, error })?;
                    }
                    start += length(chunk.len());
                    self.meter.add(length(chunk.len()));
                }
            }
        }
        if end == task.size {
            expect_end(source, end)?;
        }
        Ok(hashes)
    }

    /// Goes on only if somebody still asks for this segment. A failure stops what comes after it and nothing else,
    /// so that everything before it is known in the end.
    fn proceed(&self, task: &Task<'_>, segment: usize) -> Result<(), Stop> {
        let superseded = self.cancel.is_cancelled()
            || task.first_failed.load(Ordering::Relaxed) < segment
            || (!self.thorough && self.first_failed.load(Ordering::Relaxed) < task.index);
        if superseded { Err(Stop::Superseded) } else { Ok(()) }
    }

    /// Keeps what became of a segment. With the last one of a job, the job is judged.
    fn settle(&self, task: &Task<'_>, segment: usize, part: Option<Result<SegmentHashes, Error>>) {
        if matches!(part, Some(Err(_))) {
            task.first_failed.fetch_min(segment, Ordering::Relaxed);
        }
        let Some(parts) = task.keep(segment, part) else { return };
        let Some(measured) = task.combine(parts) else { return };
        let result = measured.and_then(|measured| (self.judge)(task.index, measured));
        if result.is_err() {
            self.first_failed.fetch_min(task.index, Ordering::Relaxed);
        }
        lock(&task.state).result = Some(result);
    }
}

/// A job during a pass.
struct Task<'j> {
    index: usize,
    source: Input<'j>,
    size: u64,
    wanted: Wanted,
    /// The least failed segment.
    first_failed: AtomicUsize,
    /// The file of an [`Input::Closed`], while its segments are hashed.
    open: Mutex<Option<Arc<File>>>,
    state: Mutex<TaskState>,
}

#[derive(Default)]
struct TaskState {
    /// By segment; `None` while it is not hashed, and for good if it was superseded.
    parts: Vec<Option<Result<SegmentHashes, Error>>>,
    /// Segments that no worker has finished.
    left: usize,
    result: Option<Result<(), Error>>,
}

impl<'j> Task<'j> {
    /// A task and its units; none if the job contradicts itself.
    fn new(index: usize, job: Job<'j>, segment_bytes: u64) -> (Self, Vec<Unit<'j>>) {
        let Job { source, size, wanted, place } = job;
        let mut state = TaskState::default();
        let units = match cut(index, size, &wanted, place, segment_bytes) {
            Ok(units) => units,
            Err(fault) => {
                state.result = Some(Err(fault.into()));
                Vec::new()
            }
        };
        state.left = units.len();
        state.parts.resize_with(units.len(), || None);
        let task = Self {
            index,
            source,
            size,
            wanted,
            first_failed: AtomicUsize::new(usize::MAX),
            open: Mutex::new(None),
            state: Mutex::new(state),
        };
        (task, units)
    }

    /// The file, opened once for all its segments.
    fn opened(&self, open: &dyn Fn() -> Result<File, Error>) -> Result<Arc<File>, Error> {
        let mut slot = lock(&self.open);
        if let Some(file) = &*slot {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(open()?);
        advise_sequential(&file);
        *slot = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Keeps a part; all of them when none is left to come.
    fn keep(
        &self,
        segment: usize,
        part: Option<Result<SegmentHashes, Error>>,
    ) -> Option<Vec<Option<Result<SegmentHashes, Error>>>> {
        let mut state = lock(&self.state);
        if let Some(slot) = state.parts.get_mut(segment) {
            *slot = part;
        }
        state.left = state.left.saturating_sub(1);
        (state.left == 0).then(|| {
            lock(&self.open).take();
            std::mem::take(&mut state.parts)
        })
    }

    /// The digests of the file, or its first error; `None` if a segment before that was superseded.
    fn combine(&self, parts: Vec<Option<Result<SegmentHashes, Error>>>) -> Option<Result<Measured, Error>> {
        let mut parts = parts.into_iter();
        let mut whole = match parts.next()?? {
            Ok(hashes) => hashes,
            Err(error) => return Some(Err(error)),
        };
        for part in parts {
            match part? {
                Ok(next) => whole.append(next),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(whole.finish(self.size)))
    }

    fn into_result(self) -> Option<Result<(), Error>> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).result
    }
}

/// Cuts a job into its units, and its memory with it.
fn cut<'j>(
    task: usize,
    size: u64,
    wanted: &Wanted,
    place: Place<'j>,
    segment_bytes: u64,
) -> Result<Vec<Unit<'j>>, ExecutorFault> {
    if let Some((_, 0)) = wanted.shards {
        return Err(ExecutorFault::ShardSize);
    }
    let (mut memory, target) = match place {
        Place::File(file) => (None, Some(file)),
        Place::Memory(memory) if length(memory.len()) != size => {
            return Err(ExecutorFault::PlaceSize { expected: size, found: memory.len() });
        }
        Place::Memory(memory) => (Some(memory), None),
        Place::Nowhere => (None, None),
    };
    let mut units = Vec::new();
    for (segment, range) in plan::segments(size, wanted, segment_bytes).into_iter().enumerate() {
        let place = match (memory.take(), target) {
            (Some(whole), _) => {
                let here = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
                let (head, rest) = whole.split_at_mut(here.min(whole.len()));
                memory = Some(rest);
                Place::Memory(head)
            }
            (None, Some(file)) => Place::File(file),
            (None, None) => Place::Nowhere,
        };
        units.push(Unit { task, segment, range, place });
    }
    Ok(units)
}

/// Fills `chunk` from `offset`. The file ends before that only if it changed.
fn read_exact_at(source: &File, chunk: &mut [u8], offset: u64, size: u64) -> Result<(), ExecutorFault> {
    let mut filled = 0;
    while let Some(rest) = chunk.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let position = offset + length(filled);
        match source.read_at(rest, position) {
            Ok(0) => return Err(ExecutorFault::Shorter { expected: size, found: position }),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ExecutorFault::Unreadable { offset: position, error }),
        }
    }
    Ok(())
}

/// Makes sure that nothing follows the last byte.
fn expect_end(source: &File, size: u64) -> Result<(), ExecutorFault> {
    match read_exact_at(source, &mut [0], size, size) {
        Ok(()) => Err(ExecutorFault::Longer { expected: size }),
        Err(ExecutorFault::Shorter { .. }) => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// Doubles the kernel's read-ahead. Advice only: a file system that does not know it reads as before.
fn advise_sequential(file: &File) {
    #[cfg(not(target_os = "linux"))]
    let _ = file;
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Sequential);
}

/// A panic elsewhere leaves no state of ours half-changed: every lock guards one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts bytes and reports them.
struct Meter<'p> {
    progress: Option<&'p (dyn Fn(Progress) + Send + Sync)>,
    total: u64,
    done: AtomicU64,
    /// `bytes_done` of the last report.
    reported: Mutex<u64>,
}

impl<'p> Meter<'p> {
    fn new(progress: Option<&'p (dyn Fn(Progress) + Send + Sync)>, total: u64) -> Self {
        Self { progress, total, done: AtomicU64::new(0), reported: Mutex::new(0) }
    }

    fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        match self.reported.try_lock() {
            Ok(reported) => self.report(reported, length(READ_BYTES)),
            Err(TryLockError::Poisoned(reported)) => self.report(reported.into_inner(), length(READ_BYTES)),
            Err(TryLockError::WouldBlock) => {}
        }
    }

    /// The last report, for bytes that were too few for one or came while another thread reported.
    fn finish(&self) {
        self.report(lock(&self.reported), 1);
    }

    /// Reports if at least this many bytes came since the last report. The number is read under the lock, so that
    /// it rises from call to call.
    fn report(&self, mut reported: MutexGuard<'_, u64>, least: u64) {
        let bytes_done = self.done.load(Ordering::Relaxed);
        if let Some(progress) = self.progress
            && bytes_done.saturating_sub(*reported) >= least
        {
            *reported = bytes_done;
            progress(Progress { bytes_done, bytes_total: self.total });
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ExecutorFault {
    #[error("the verification was cancelled")]
    Cancelled,
    #[error("the file grew while it was read")]
    Longer { expected: u64 },
    #[error("the memory for the file is not of its size")]
    PlaceSize { expected: u64, found: usize },
    #[error("the shard size is zero")]
    ShardSize,
    #[error("the file shrank while it was read")]
    Shorter { expected: u64, found: u64 },
    #[error("the threads that hash cannot be started: {0}")]
    Threads(rayon::ThreadPoolBuildError),
    #[error("the copy cannot be written at byte {offset}: {error}")]
    Unplaceable { offset: u64, error: io::Error },
    #[error("the file cannot be read at byte {offset}: {error}")]
    Unreadable { offset: u64, error: io::Error },
}

impl Fault for ExecutorFault {
    fn code(&self) -> Code {
        match self {
            Self::Cancelled => Code::OpenCancelled,
            Self::Longer { .. } | Self::Shorter { .. } => Code::FileChanged,
            Self::PlaceSize { .. } | Self::Threads(_) => Code::OpenSystem,
            Self::ShardSize => Code::ManifestShards,
            Self::Unplaceable { error, .. } if is_no_room(error) => Code::AssuranceMemory,
            Self::Unplaceable { .. } => Code::OpenSystem,
            Self::Unreadable { .. } => Code::FileUnreadable,
        }
    }

    fn evidence(&self) -> Vec<Evidence> {
        match self {
            Self::Longer { expected } => vec![
                Evidence::new("expected", format_args!("{expected} bytes")),
                Evidence::new("found", "more"),
            ],
            Self::PlaceSize { expected, found } => vec![
                Evidence::new("expected", format_args!("{expected} bytes")),
                Evidence::new("found", format_args!("{found} bytes")),
            ],
            Self::Shorter { expected, found } => vec![
                Evidence::new("expected", format_args!("{expected} bytes")),
                Evidence::new("found", format_args!("{found} bytes")),
            ],
            Self::Cancelled
            | Self::ShardSize
            | Self::Threads(_)
            | Self::Unplaceable { .. }
            | Self::Unreadable { .. } => Vec::new(),
        }
    }
}

/// Whether a write failed for want of room rather than for a fault.
fn is_no_room(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, OutOfMemory, QuotaExceeded, StorageFull};
    matches!(error.kind(), FileTooLarge | OutOfMemory | QuotaExceeded | StorageFull)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{Read as _, Seek as _, Write as _};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::reference;
    use super::*;

    const MIB: usize = 1 << 20;

    fn executor(threads: usize) -> Executor {
        Executor::new(NonZeroUsize::new(threads), CancelToken::new(), None)
    }

    fn watched(threads: usize, progress: impl Fn(Progress) + Send + Sync + 'static) -> Executor {
        Executor { progress: Some(Arc::new(progress)), ..executor(threads) }
    }

    /// Bytes that differ from block to block and from seed to seed.
    fn bytes(seed: usize, length: usize) -> Vec<u8> {
        (0..length)
            .map(|offset| u8::try_from((offset % 251 + offset / 4096 + seed * 7) % 256).unwrap())
            .collect()
    }

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn sha256() -> Wanted {
        Wanted { whole: vec![Algorithm::Sha256], ..Wanted::default() }
    }

    fn everything(shard: u64) -> Wanted {
        Wanted {
            whole: vec![Algorithm::Blake3, Algorithm::Sha256, Algorithm::Blake2b],
            shards: Some((Algorithm::Sha256, shard)),
            fsverity: true,
        }
    }

    fn job(source: &File, size: usize) -> Job<'_> {
        Job { source: source.into(), size: length(size), wanted: sha256(), place: Place::Nowhere }
    }

    /// Runs jobs that must not fail.
    fn measure(executor: &Executor, jobs: Vec<Job<'_>>) -> Vec<Measured> {
        let count = jobs.len();
        let found = Mutex::new(BTreeMap::new());
        let results = executor.run(jobs, false, &|index, measured| {
            assert!(lock(&found).insert(index, measured).is_none(), "job {index} judged twice");
            Ok(())
        });
        let results = results.unwrap();
        assert_eq!(results.len(), count);
        assert!(results.iter().all(|result| matches!(result, Some(Ok(())))), "{results:?}");
        found.into_inner().unwrap().into_values().collect()
    }

    /// Runs one job that must fail.
    fn failure(executor: &Executor, job: Job<'_>) -> Error {
        let judge = |_, _| panic!("a failed job was judged");
        executor.run(vec![job], false, &judge).unwrap().remove(0).unwrap().unwrap_err()
    }

    #[derive(Clone, Copy, Debug)]
    enum Kind {
        File,
        Memory,
        Nowhere,
    }

    fn size() -> impl Strategy<Value = usize> {
        prop_oneof![
            4 => prop::sample::select(vec![
                0, 1, 1023, 1024, 1025, 4095, 4096, 4097, 8192, 65_536, 128 * 4096, 128 * 4096 + 1,
                MIB - 1, MIB, MIB + 1, 2 * MIB + 4096,
            ]),
            2 => 0_usize..20_000,
            1 => 0_usize..3 * MIB,
        ]
    }

    fn wanted() -> impl Strategy<Value = Wanted> {
        let algorithm = prop::sample::select(vec![Algorithm::Blake2b, Algorithm::Blake3, Algorithm::Sha256]);
        let whole = prop_oneof![
            3 => Just(vec![Algorithm::Blake3]),
            1 => Just(Vec::new()),
            2 => prop::collection::vec(algorithm.clone(), 0..4),
        ];
        let shard = prop::sample::select(vec![1000, 1024, 4096, 5000, 8192, 65_536, 1_000_000_000]);
        let shards = prop::option::of((algorithm, shard));
        (whole, shards, any::<bool>()).prop_map(|(whole, shards, fsverity)| Wanted {
            whole,
            shards,
            fsverity,
        })
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop::sample::select(vec![Kind::File, Kind::Memory, Kind::Nowhere])
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_pass_finds_what_the_reference_finds(
            files in prop::collection::vec((size(), wanted(), kind()), 1..7),
            threads in 1_usize..5,
            segment_bytes in prop::sample::select(vec![4096, 16_384, plan::SEGMENT_BYTES]),
        ) {
            let executor = Executor { segment_bytes, ..executor(threads) };
            let contents: Vec<_> =
                files.iter().enumerate().map(|(seed, (size, ..))| bytes(seed, *size)).collect();
            let sources: Vec<_> = contents.iter().map(|content| file(content)).collect();
            let targets: Vec<_> = contents.iter().map(|_| tempfile::tempfile().unwrap()).collect();
            let mut memory: Vec<_> = contents.iter().map(|content| vec![0; content.len()]).collect();

            let jobs = files.iter().zip(&sources).zip(&targets).zip(&mut memory);
            let jobs = jobs.map(|((((size, wanted, kind), source), target), memory)| Job {
                source: source.into(),
                size: length(*size),
                wanted: wanted.clone(),
                place: match kind {
                    Kind::File => Place::File(target),
                    Kind::Memory => Place::Memory(memory),
                    Kind::Nowhere => Place::Nowhere,
                },
            });
            let found = measure(&executor, jobs.collect());

            for (index, (_, wanted, kind)) in files.iter().enumerate() {
                prop_assert_eq!(&found[index], &reference::measure(&contents[index], wanted));
                let mut placed = Vec::new();
                match kind {
                    Kind::File => {
                        let mut target = &targets[index];
                        target.rewind().unwrap();
                        target.read_to_end(&mut placed).unwrap();
                    }
                    Kind::Memory => placed = memory[index].clone(),
                    Kind::Nowhere => placed = contents[index].clone(),
                }
                prop_assert!(placed == contents[index], "bytes of file {} differ in their place", index);
            }
        }
    }

    #[test]
    fn a_file_of_many_segments_has_the_digests_of_one() {
        let content = bytes(3, 20 * MIB + 12_345);
        let source = file(&content);
        for (wanted, threads) in [
            (Wanted { whole: vec![Algorithm::Blake3], shards: None, fsverity: true }, 4),
            (Wanted { whole: Vec::new(), shards: Some((Algorithm::Sha256, 1_000_000)), fsverity: false }, 3),
            (
                Wanted {
                    whole: vec![Algorithm::Blake3],
                    shards: Some((Algorithm::Blake3, 1 << 20)),
                    fsverity: true,
                },
                2,
            ),
            (everything(1 << 20), 4),
        ] {
            let mut memory = vec![0; content.len()];
            let job = Job {
                source: (&source).into(),
                size: length(content.len()),
                wanted: wanted.clone(),
                place: Place::Memory(&mut memory),
            };
            assert_eq!(measure(&executor(threads), vec![job]), [reference::measure(&content, &wanted)]);
            assert!(memory == content);
        }
    }

    #[test]
    fn the_cursor_of_a_source_is_not_used() {
        let source = file(b"0123456789");
        let mut cursor = &source;
        cursor.seek(io::SeekFrom::Start(7)).unwrap();
        assert_eq!(
            measure(&executor(1), vec![job(&source, 10)]),
            [reference::measure(b"0123456789", &sha256())]
        );
        assert_eq!(cursor.stream_position().unwrap(), 7);
    }

    #[test]
    fn a_file_of_another_size_has_changed() {
        for length in [1, 4096, MIB, 3 * MIB] {
            let source = file(&bytes(0, length));
            for (lie, found) in [(length + 1, format!("{length} bytes")), (length - 1, "more".to_owned())] {
                let error = failure(&executor(2), job(&source, lie));
                assert_eq!(error.code(), Code::FileChanged);
                assert_eq!(error.evidence()[0].value, format!("{lie} bytes"));
                assert_eq!(error.evidence()[1].value, found);
            }
        }
        let empty = file(b"");
        assert_eq!(failure(&executor(2), job(&empty, 1)).code(), Code::FileChanged);
        assert_eq!(failure(&executor(2), job(&file(b"x"), 0)).code(), Code::FileChanged);
    }

    #[test]
    fn a_truncated_file_of_many_segments_names_where_it_ends() {
        let source = file(&bytes(0, 100_000));
        for _ in 0..20 {
            let executor = Executor { segment_bytes: 4096, ..executor(4) };
            let wanted = Wanted { whole: vec![Algorithm::Blake3], ..Wanted::default() };
            let error = failure(&executor, Job { wanted, ..job(&source, 4 * MIB) });
            assert_eq!(error.code(), Code::FileChanged);
            assert_eq!(error.evidence()[1].value, "100000 bytes");
        }
    }

    #[test]
    fn a_file_that_changes_its_size_during_the_pass_has_changed() {
        for new_size in [MIB, 5 * MIB] {
            let source = file(&bytes(0, 4 * MIB));
            let writer = source.try_clone().unwrap();
            let executor = watched(1, move |_| writer.set_len(length(new_size)).unwrap());
            assert_eq!(failure(&executor, job(&source, 4 * MIB)).code(), Code::FileChanged);
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_unreadable() {
        let directory = tempfile::tempdir().unwrap();
        let source = File::open(directory.path()).unwrap();
        assert_eq!(failure(&executor(1), job(&source, 10)).code(), Code::FileUnreadable);
        assert_eq!(failure(&executor(1), job(&source, 0)).code(), Code::FileUnreadable);
    }

    #[test]
    fn a_copy_that_cannot_be_written_is_not_the_sources_fault() {
        let source = file(b"content");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("target");
        std::fs::write(&path, "").unwrap();
        let read_only = File::open(path).unwrap();
        let error = failure(&executor(1), Job { place: Place::File(&read_only), ..job(&source, 7) });
        assert_eq!(error.code(), Code::OpenSystem);
        if cfg!(target_os = "linux") {
            let full = File::options().write(true).open("/dev/full").unwrap();
            let error = failure(&executor(1), Job { place: Place::File(&full), ..job(&source, 7) });
            assert_eq!(error.code(), Code::AssuranceMemory);
        }
    }

    #[test]
    fn jobs_that_contradict_themselves_fail() {
        let source = file(b"content");
        let mut memory = [0; 6];
        let error = failure(&executor(1), Job { place: Place::Memory(&mut memory), ..job(&source, 7) });
        assert_eq!(error.code(), Code::OpenSystem);
        assert_eq!(memory, [0; 6]);
        let wanted = Wanted { shards: Some((Algorithm::Sha256, 0)), ..Wanted::default() };
        assert_eq!(failure(&executor(1), Job { wanted, ..job(&source, 7) }).code(), Code::ManifestShards);
    }

    #[test]
    fn a_source_is_opened_once_and_closed_when_it_is_hashed() {
        let directory = tempfile::tempdir().unwrap();
        let content = bytes(1, 50_000);
        let paths: Vec<_> = (0..200).map(|number| directory.path().join(number.to_string())).collect();
        let opens = AtomicUsize::new(0);
        let jobs = paths.iter().map(|path| {
            std::fs::write(path, &content).unwrap();
            let opens = &opens;
            let open = move || {
                opens.fetch_add(1, Ordering::Relaxed);
                Ok(File::open(path).unwrap())
            };
            Job {
                source: Input::Closed(Box::new(open)),
                size: 50_000,
                wanted: Wanted { whole: vec![Algorithm::Blake3], ..Wanted::default() },
                place: Place::Nowhere,
            }
        });
        let jobs: Vec<_> = jobs.collect();
        let most = AtomicUsize::new(0);
        let judge = |_, _| {
            let open_here = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
            let open_here = open_here.filter_map(|entry| std::fs::read_link(entry.path()).ok());
            most.fetch_max(
                open_here.filter(|target| target.starts_with(directory.path())).count(),
                Ordering::Relaxed,
            );
            Ok(())
        };
        let executor = Executor { segment_bytes: 8192, ..executor(4) };
        let results = executor.run(jobs, false, &judge).unwrap();
        assert!(results.iter().all(|result| matches!(result, Some(Ok(())))));
        assert_eq!(opens.into_inner(), 200);
        assert!(most.into_inner() <= 8, "files stay open");
    }

    #[test]
    fn an_error_from_opening_is_the_jobs_error() {
        let open = || Err(ExecutorFault::Shorter { expected: 1, found: 0 }.into());
        let job =
            Job { source: Input::Closed(Box::new(open)), size: 1, wanted: sha256(), place: Place::Nowhere };
        assert_eq!(failure(&executor(1), job).code(), Code::FileChanged);
    }

    /// Jobs of mixed sizes; the judge refuses three of them, late ones sooner than early ones.
    fn refuse_some(executor: &Executor, sources: &[File], thorough: bool) -> Vec<Option<Result<(), Error>>> {
        let jobs = sources.iter().map(|source| Job {
            source: source.into(),
            size: source.metadata().unwrap().len(),
            wanted: Wanted { whole: vec![Algorithm::Blake3], ..Wanted::default() },
            place: Place::Nowhere,
        });
        let judge = |index, _| {
            if [11, 17, 38].contains(&index) {
                std::thread::sleep(Duration::from_micros(200 * (40 - length(index))));
                return Err(Error::from(ExecutorFault::ShardSize).with("job", index));
            }
            Ok(())
        };
        executor.run(jobs.collect(), thorough, &judge).unwrap()
    }

    #[test]
    fn the_first_error_is_the_same_whatever_the_threads_do() {
        let sources: Vec<_> = (0..40).map(|seed| file(&bytes(seed, (seed * 37 % 40) * 3000))).collect();
        for round in 0..60 {
            let executor = Executor { segment_bytes: 8192, ..executor(1 + round % 8) };
            let results = refuse_some(&executor, &sources, false);
            assert!(results[..11].iter().all(|result| matches!(result, Some(Ok(())))));
            let first = results.iter().flatten().find_map(|result| result.as_ref().err()).unwrap();
            assert_eq!(first.evidence()[0].value, "11");
        }
    }

    #[test]
    fn a_thorough_pass_finishes_every_job() {
        let sources: Vec<_> = (0..40).map(|seed| file(&bytes(seed, 40_000))).collect();
        let results = refuse_some(&executor(4), &sources, true);
        let failed = |(index, result): (usize, &Option<Result<(), Error>>)| {
            result.as_ref().unwrap().is_err().then_some(index)
        };
        assert_eq!(results.iter().enumerate().filter_map(failed).collect::<Vec<_>>(), [11, 17, 38]);
    }

    #[test]
    fn after_a_failure_higher_jobs_are_skipped() {
        let sources: Vec<_> = (0..40).map(|seed| file(&bytes(seed, 4000))).collect();
        let results = refuse_some(&executor(1), &sources, false);
        assert_eq!(results.iter().filter(|result| result.is_none()).count(), 28);
        assert!(results[12..].iter().all(Option::is_none));
    }

    #[test]
    fn a_cancelled_pass_ends_with_its_own_code() {
        let source = file(&bytes(0, 4 * MIB));
        let cancelled = executor(2);
        cancelled.cancel.cancel();
        let judge = |_, _| panic!("a cancelled job was judged");
        let error = cancelled.run(vec![job(&source, 4 * MIB)], true, &judge).unwrap_err();
        assert_eq!(error.code(), Code::OpenCancelled);
        assert_eq!(cancelled.run(Vec::new(), true, &judge).unwrap_err().code(), Code::OpenCancelled);

        let token = CancelToken::new();
        let during = token.clone();
        let executor = Executor { cancel: token, ..watched(2, move |_| during.cancel()) };
        let error = executor.run(vec![job(&source, 4 * MIB)], true, &judge).unwrap_err();
        assert_eq!(error.code(), Code::OpenCancelled);
    }

    #[test]
    fn progress_rises_to_the_total() {
        let sources: Vec<_> = (0..30).map(|seed| file(&bytes(seed, seed * 50_000))).collect();
        let total: usize = (0..30).map(|seed| seed * 50_000).sum();
        for threads in [1, 4] {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let report = Arc::clone(&seen);
            let executor = watched(threads, move |progress| lock(&report).push(progress));
            let jobs = sources.iter().enumerate().map(|(seed, source)| job(source, seed * 50_000));
            measure(&executor, jobs.collect());
            let seen = lock(&seen);
            assert!(seen.windows(2).all(|pair| pair[0].bytes_done < pair[1].bytes_done));
            assert!(seen.iter().all(|progress| progress.bytes_total == length(total)));
            assert_eq!(seen.last().unwrap().bytes_done, length(total));
            assert!(seen.len() <= total / MIB + 1);
        }
    }

    #[test]
    fn a_panic_of_a_callback_reaches_the_caller() {
        let source = file(&bytes(0, 4 * MIB));
        let executor = watched(2, |_| panic!("progress"));
        let run = || executor.run(vec![job(&source, 4 * MIB)], true, &|_, _| Ok(()));
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        let run =
            || super::tests::executor(2).run(vec![job(&source, 4 * MIB)], true, &|_, _| panic!("judge"));
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    }

    #[test]
    fn the_pool_is_our_own_and_of_the_size_asked_for() {
        let sources: Vec<_> = (0..5).map(|seed| file(&bytes(seed, MIB))).collect();
        let threads = AtomicUsize::new(0);
        let judge = |_, _| {
            threads.store(rayon::current_num_threads(), Ordering::Relaxed);
            Ok(())
        };
        let jobs = sources.iter().map(|source| job(source, MIB)).collect();
        executor(3).run(jobs, false, &judge).unwrap();
        assert_eq!(threads.into_inner(), 3);
    }

    #[test]
    fn a_pass_over_nothing_finds_nothing() {
        assert!(measure(&executor(2), Vec::new()).is_empty());
    }
}
