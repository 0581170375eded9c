//! How one file is cut into segments that are hashed apart, and the hashing of one segment.

use std::ops::Range;

use rayon::prelude::*;

use super::fsverity::{self, FsVerity};
use super::subtree::Subtrees;
use super::{Algorithm, Digest, Hasher, Measured, Wanted};
use crate::limits::READ_BYTES;

/// The least bytes of a segment: enough work to make handing it to another thread free.
pub(super) const SEGMENT_BYTES: u64 = 8 << 20;

/// The most segments of a file, unless its shards are longer: bounds what is kept until the last one is hashed.
const SEGMENTS: u64 = 256;

/// Cuts a file into segments that can be hashed in any order. An empty file has one, empty, segment.
///
/// One chain over the whole file (SHA-256, BLAKE2b) cannot be cut. Shards are cut between shards, the trees of BLAKE3
/// and fs-verity between blocks. Both at once at common multiples of shard and block: with the shard size of
/// 1 000 000 000 that other signers use by default, that is every 8 GB.
pub(super) fn segments(size: u64, wanted: &Wanted, least: u64) -> Vec<Range<u64>> {
    let step = step(size, wanted, least).unwrap_or(size).clamp(1, size.max(1));
    let mut segments = Vec::new();
    let mut start = 0_u64;
    loop {
        let end = start.saturating_add(step).min(size);
        segments.push(start..end);
        if end == size {
            break;
        }
        start = end;
    }
    segments
}

/// Bytes per segment; `None` if the file is one segment.
fn step(size: u64, wanted: &Wanted, least: u64) -> Option<u64> {
    if wanted.whole.iter().any(|algorithm| *algorithm != Algorithm::Blake3) {
        return None;
    }
    // A block of fs-verity is a whole number of BLAKE3 chunks. Cut at powers of two, trees cost nothing extra.
    let grain = match wanted.shards {
        Some((_, shard)) if wanted.whole.is_empty() && !wanted.fsverity => shard,
        Some((_, shard)) => shard.checked_mul(fsverity::BLOCK >> shard.trailing_zeros().min(12))?,
        None => fsverity::BLOCK,
    };
    let target = (size / SEGMENTS).max(least).checked_next_power_of_two()?;
    target.div_ceil(grain.max(1)).checked_mul(grain)
}

/// The hashes of one segment.
pub(super) struct SegmentHashes {
    streams: Vec<Stream>,
}

/// One hash of one segment.
enum Stream {
    /// A tree over a whole file that is hashed in several segments.
    Blake3(Subtrees),
    FsVerity(FsVerity),
    Shards(Shards),
    /// A chain over a whole file that is one segment.
    Whole(Hasher),
}

impl SegmentHashes {
    /// The hashes of `segment` in a file of `size` bytes.
    pub(super) fn new(wanted: &Wanted, segment: &Range<u64>, size: u64) -> Self {
        let mut streams = Vec::with_capacity(wanted.streams());
        for algorithm in &wanted.whole {
            streams.push(match algorithm {
                Algorithm::Blake3 if *segment != (0..size) => {
                    Stream::Blake3(Subtrees::new(segment.start, segment.end))
                }
                Algorithm::Blake2b | Algorithm::Blake3 | Algorithm::Sha256 => {
                    Stream::Whole(Hasher::new(*algorithm))
                }
            });
        }
        if let Some((algorithm, shard)) = wanted.shards {
            streams.push(Stream::Shards(Shards::new(algorithm, shard)));
        }
        if wanted.fsverity {
            streams.push(Stream::FsVerity(FsVerity::at(segment.start)));
        }
        Self { streams }
    }

    /// Hashes the next bytes of the segment. Every byte of a pass comes through here, once.
    ///
    /// Streams do not depend on each other: full chunks are shared out among idle threads of the pool, so that a
    /// single large file with several digests uses several cores.
    ///
    /// A SHA-256 kernel for several streams at once plugs in here and in [`FsVerity::update`]. A worker would hold
    /// several segments (or files), read a shorter chunk of each, and pass them all to one call of this function;
    /// the blocks of fs-verity and short shards are several streams within one chunk already.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        if self.streams.len() > 1 && bytes.len() >= READ_BYTES {
            self.streams.par_iter_mut().for_each(|stream| stream.update(bytes));
        } else {
            self.streams.iter_mut().for_each(|stream| stream.update(bytes));
        }
    }

    /// Adds the hashes of the segment that follows, made for the same file.
    pub(super) fn append(&mut self, next: Self) {
        for (stream, next) in self.streams.iter_mut().zip(next.streams) {
            stream.append(next);
        }
    }

    /// The digests of the file, when all its segments are appended.
    pub(super) fn finish(self, size: u64) -> Measured {
        let mut measured = Measured::default();
        for stream in self.streams {
            match stream {
                Stream::Blake3(subtrees) => measured.whole.push(subtrees.finish()),
                Stream::FsVerity(digest) => measured.fsverity = Some(digest.finish(size)),
                Stream::Shards(shards) => measured.shards = shards.finish(),
                Stream::Whole(hasher) => measured.whole.push(hasher.finish()),
            }
        }
        measured
    }
}

impl Stream {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Blake3(subtrees) => subtrees.update(bytes),
            Self::FsVerity(digest) => digest.update(bytes),
            Self::Shards(shards) => shards.update(bytes),
            Self::Whole(hasher) => hasher.update(bytes),
        }
    }

    fn append(&mut self, next: Self) {
        match (self, next) {
            (Self::Blake3(subtrees), Self::Blake3(next)) => subtrees.append(next),
            (Self::FsVerity(digest), Self::FsVerity(next)) => digest.append(next),
            (Self::Shards(shards), Self::Shards(next)) => shards.append(next),
            // A chain is one segment, and both lists were made in one order from the same plan. Were they not, what
            // is left out here would leave a digest that matches nothing.
            (Self::Blake3(_) | Self::FsVerity(_) | Self::Shards(_) | Self::Whole(_), _) => {}
        }
    }
}

/// The digests of consecutive shards, from the start of a shard.
struct Shards {
    algorithm: Algorithm,
    size: u64,
    open: Hasher,
    /// Bytes in the open shard.
    filled: u64,
    done: Vec<Digest>,
}

impl Shards {
    fn new(algorithm: Algorithm, size: u64) -> Self {
        Self { algorithm, size, open: Hasher::new(algorithm), filled: 0, done: Vec::new() }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let left = self.size.saturating_sub(self.filled).max(1);
            let take = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
            let (head, rest) = bytes.split_at(take);
            self.open.update(head);
            self.filled += super::length(head.len());
            bytes = rest;
            if self.filled >= self.size {
                self.close();
            }
        }
    }

    fn append(&mut self, next: Self) {
        self.done.extend(next.done);
        self.open = next.open;
        self.filled = next.filled;
    }

    fn finish(mut self) -> Vec<Digest> {
        if self.filled > 0 {
            self.close();
        }
        self.done
    }

    fn close(&mut self) {
        let shard = std::mem::replace(&mut self.open, Hasher::new(self.algorithm));
        self.done.push(shard.finish());
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(whole: &[Algorithm], shard: Option<u64>, fsverity: bool) -> Wanted {
        Wanted { whole: whole.to_vec(), shards: shard.map(|size| (Algorithm::Sha256, size)), fsverity }
    }

    #[test]
    fn segments_cover_the_file_in_order() {
        for size in [0, 1, 4095, 4096, 4097, 100_000, 1 << 20, (1 << 20) + 1] {
            for shard in [None, Some(1), Some(1000), Some(4096), Some(u64::MAX)] {
                for fsverity in [false, true] {
                    let wanted = wanted(&[Algorithm::Blake3], shard, fsverity);
                    let segments = segments(size, &wanted, 8192);
                    assert_eq!(segments.first().unwrap().start, 0);
                    assert_eq!(segments.last().unwrap().end, size);
                    assert!(segments.windows(2).all(|pair| pair[0].end == pair[1].start));
                    assert!(segments.iter().all(|segment| size == 0 || segment.start < segment.end));
                    assert!(segments.len() <= 256);
                }
            }
        }
    }

    #[test]
    fn segments_begin_where_shards_and_blocks_begin() {
        let starts = |wanted, size| segments(size, wanted, 8192).into_iter().map(|segment| segment.start);
        let shards = wanted(&[], Some(1000), false);
        assert!(starts(&shards, 100_000).all(|start| start % 1000 == 0));
        assert_eq!(starts(&shards, 100_000).nth(1), Some(9000));
        let both = wanted(&[Algorithm::Blake3], Some(1000), true);
        assert_eq!(starts(&both, 1_600_000).nth(1), Some(512_000));
        let trees = wanted(&[Algorithm::Blake3], None, true);
        assert_eq!(starts(&trees, 100_000).nth(1), Some(8192));
        let default = wanted(&[Algorithm::Blake3], Some(1_000_000_000), true);
        assert_eq!(starts(&default, 20_000_000_000).nth(1), Some(8_000_000_000));
    }

    #[test]
    fn a_chain_over_the_whole_file_is_one_segment() {
        for algorithm in [Algorithm::Sha256, Algorithm::Blake2b] {
            let chain = wanted(&[Algorithm::Blake3, algorithm], None, true);
            assert_eq!(segments(1 << 30, &chain, SEGMENT_BYTES).len(), 1);
        }
    }

    #[test]
    fn a_large_file_has_few_segments() {
        let trees = wanted(&[Algorithm::Blake3], None, false);
        assert_eq!(segments(4 << 30, &trees, SEGMENT_BYTES).len(), 256);
        assert!(segments(1 << 44, &trees, SEGMENT_BYTES).len() <= 256);
        assert!(segments(u64::MAX, &trees, SEGMENT_BYTES).len() <= 256);
    }
}
