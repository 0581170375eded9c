//! BLAKE3 of a file whose ranges are hashed apart (the BLAKE3 paper, section 2.1).

use blake3::hazmat::{HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};

use super::Digest;
use super::forest::{Forest, Node};

/// Bytes of a leaf.
pub(super) const CHUNK: u64 = 1024;

/// The BLAKE3 subtrees of one range of a larger file.
///
/// A range is cut into the largest complete subtrees that fit; they are hashed at full speed by `blake3` and merged
/// with the neighbouring range's afterwards.
#[derive(Clone, Debug)]
pub(super) struct Subtrees {
    position: u64,
    end: u64,
    open: Option<Subtree>,
    tree: Forest,
}

#[derive(Clone, Debug)]
struct Subtree {
    hasher: Box<blake3::Hasher>,
    level: u32,
    index: u64,
    /// Bytes still to come.
    left: u64,
}

impl Subtrees {
    /// The range from `start`, a multiple of [`CHUNK`], to `end`, which is one too or the end of the file. The range
    /// is never the whole file: a root is hashed differently.
    pub(super) fn new(start: u64, end: u64) -> Self {
        let tree = Forest::new(1, |nodes| match nodes {
            [left, right] => merge_subtrees_non_root(&left.hash, &right.hash, Mode::Hash),
            _ => [0; 32], // A forest of arity two passes two.
        });
        Self { position: start, end, open: None, tree }
    }

    /// Adds the next bytes, no more than the range has.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.position < self.end {
            let mut subtree = self.open.take().unwrap_or_else(|| Subtree::at(self.position, self.end));
            let take = usize::try_from(subtree.left).map_or(bytes.len(), |left| left.min(bytes.len()));
            let (head, rest) = bytes.split_at(take);
            subtree.hasher.update(head);
            let taken = super::length(head.len());
            subtree.left -= taken;
            self.position += taken;
            bytes = rest;
            if subtree.left == 0 {
                let Subtree { hasher, level, index, .. } = subtree;
                self.tree.push(Node { level, index, hash: hasher.finalize_non_root() });
            } else {
                self.open = Some(subtree);
            }
        }
    }

    /// Adds the range that follows.
    pub(super) fn append(&mut self, next: Self) {
        self.tree.append(next.tree);
    }

    /// The digest of the file, when all its ranges are appended.
    pub(super) fn finish(self) -> Digest {
        let mut nodes = self.tree.into_nodes();
        let mut right = nodes.pop().map_or([0; 32], |node| node.hash);
        while let Some(left) = nodes.pop() {
            right = if nodes.is_empty() {
                *merge_subtrees_root(&left.hash, &right, Mode::Hash).as_bytes()
            } else {
                merge_subtrees_non_root(&left.hash, &right, Mode::Hash)
            };
        }
        Digest::blake3(right)
    }
}

impl Subtree {
    /// The largest subtree that starts at `start` and ends no later than `end`.
    fn at(start: u64, end: u64) -> Self {
        let room = end.saturating_sub(start);
        let aligned = if start == 0 { u64::MAX } else { 1 << start.trailing_zeros() };
        // A power of two chunks, or at the end of the file a part of one.
        let length = if room < CHUNK { room } else { (1 << room.ilog2()).min(aligned) };
        let level = (length / CHUNK).max(1).ilog2();
        let mut hasher = Box::new(blake3::Hasher::new());
        hasher.set_input_offset(start);
        Self { hasher, level, index: (start / CHUNK) >> level, left: length }
    }
}

#[cfg(test)]
mod tests {
    use super::super::length as file_length;
    use super::*;

    fn cut(bytes: &[u8], step: usize, piece: usize) -> Digest {
        let mut whole = Subtrees::new(0, 0);
        for (number, range) in bytes.chunks(step).enumerate() {
            let start = number * step;
            let mut subtrees = Subtrees::new(file_length(start), file_length(start + range.len()));
            for part in range.chunks(piece) {
                subtrees.update(part);
            }
            whole.append(subtrees);
        }
        whole.finish()
    }

    #[test]
    fn ranges_hashed_apart_make_the_digest_of_the_whole() {
        for length in [1025, 2048, 2049, 3072, 4096, 7 * 1024, 7 * 1024 + 1, 8192, 65_536, 65_537, 100_000] {
            let bytes: Vec<u8> = (0..251).cycle().take(length).collect();
            for step in
                [1024, 2048, 3 * 1024, 4096, 5 * 1024, 32_768].into_iter().filter(|step| *step < length)
            {
                for piece in [1, 1000, 4096] {
                    assert_eq!(
                        cut(&bytes, step, piece),
                        Digest::blake3(*blake3::hash(&bytes).as_bytes()),
                        "{length} bytes cut at {step}, fed by {piece}"
                    );
                }
            }
        }
    }
}
