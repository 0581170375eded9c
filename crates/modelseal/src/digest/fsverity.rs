//! The fs-verity digest of bytes, computed in user space (Linux `Documentation/filesystems/fsverity.rst`).

use sha2::{Digest as _, Sha256};

use super::forest::{Forest, Node};

/// Bytes per block, of data and of hashes alike. Smaller than every page size, so every kernel accepts it.
pub(super) const BLOCK: u64 = 4096;

const BLOCK_LEN: usize = 4096;
const BLOCK_LOG2: u8 = 12;

/// 128 hashes of 32 bytes fill a block.
const HASHES_PER_BLOCK_LOG2: u32 = 7;

const ZEROS: [u8; BLOCK_LEN] = [0; BLOCK_LEN];

/// The streaming fs-verity digest with SHA-256, 4096-byte blocks and no salt.
///
/// A range of a file can be hashed on its own and appended to the range before it: [`FsVerity::at`].
#[derive(Clone, Debug)]
pub(crate) struct FsVerity {
    /// Index of the next block.
    block: u64,
    /// The bytes of a block that is not complete yet.
    partial: Vec<u8>,
    tree: Forest,
}

impl FsVerity {
    /// A digest of bytes from the start of a file.
    #[cfg(test)]
    pub(super) fn new() -> Self {
        Self::at(0)
    }

    /// A digest of the range that starts at `offset`, a multiple of [`BLOCK`].
    pub(super) fn at(offset: u64) -> Self {
        Self {
            block: offset / BLOCK,
            partial: Vec::new(),
            tree: Forest::new(HASHES_PER_BLOCK_LOG2, |nodes| {
                hash_block(nodes.iter().map(|node| node.hash.as_slice()))
            }),
        }
    }

    /// Adds the next bytes.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        if !self.partial.is_empty() {
            let missing = BLOCK_LEN.saturating_sub(self.partial.len());
            let (head, rest) = bytes.split_at(missing.min(bytes.len()));
            self.partial.extend_from_slice(head);
            bytes = rest;
            if self.partial.len() == BLOCK_LEN {
                self.push_partial();
            }
        }
        let blocks = bytes.chunks_exact(BLOCK_LEN);
        self.partial.extend_from_slice(blocks.remainder());
        for block in blocks {
            self.push(hash_block([block]));
        }
    }

    /// Adds the range that follows. This one ends at a multiple of [`BLOCK`], where the next one starts.
    pub(super) fn append(&mut self, next: Self) {
        self.tree.append(next.tree);
        self.block = next.block;
        self.partial = next.partial;
    }

    /// The digest of a file of `size` bytes, as `FS_IOC_MEASURE_VERITY` reports it.
    pub(crate) fn finish(mut self, size: u64) -> [u8; 32] {
        if !self.partial.is_empty() {
            self.push_partial();
        }
        // "If the file is empty, then the Merkle tree root hash is all zeroes."
        let root = self.tree.into_root().unwrap_or([0; 32]);
        // struct fsverity_descriptor, 256 bytes.
        Sha256::new()
            .chain_update([1, 1, BLOCK_LOG2, 0]) // version, SHA-256, log2 of the block size, size of the salt
            .chain_update([0; 4]) // reserved
            .chain_update(size.to_le_bytes())
            .chain_update(root)
            .chain_update([0; 32]) // the root hash's field has room for 64 bytes
            .chain_update([0; 32]) // salt
            .chain_update([0; 144]) // reserved
            .finalize()
            .into()
    }

    fn push_partial(&mut self) {
        let leaf = hash_block([self.partial.as_slice()]);
        self.partial.clear();
        self.push(leaf);
    }

    fn push(&mut self, leaf: [u8; 32]) {
        self.tree.push(Node { level: 0, index: self.block, hash: leaf });
        self.block += 1;
    }
}

/// SHA-256 of one block, filled up with zeros.
fn hash_block<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let mut filled = 0;
    for part in parts {
        hasher.update(part);
        filled += part.len();
    }
    hasher.update(ZEROS.get(filled..).unwrap_or_default());
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::super::length as file_length;
    use super::*;

    /// `fsverity digest --hash-alg=sha256 --block-size=4096` of fsverity-utils 1.5, for files of this many bytes whose
    /// byte at offset `i` is `i % 251` (a prime, so that no two neighbouring blocks are equal).
    const KNOWN: &[(usize, &str)] = &[
        (0, "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95"),
        (1, "b803429503d95915829b29fdbc8bbad142f3abfd11b1cadf5526582e685c0551"),
        (4095, "5f4953aad672b0188023d6cd6fbce9d09508eb7dad165b6298ce0086bc1e72db"),
        (4096, "13e9b8848ae484a36acb3f3cac0ceb2f7601e96633d15c92f9bd3dd44e492157"),
        (4097, "b0d074abef4d544404facfab6ba242f6a8ccbde90f1325cd286f3c8aa8d0f8aa"),
        (127 * 4096, "9283d564646e03a8d2b5ed920a4552b38e1db37567f8128a0b75f467ac71d7a2"),
        (127 * 4096 + 1, "b4f91b5fb47c9b6bddddac36d2bc740cc71a991701a86336fb5654b3d4cd8fec"),
        (128 * 4096 - 1, "9735c4bb231d3222d1e5e23a4004d8b59dd33395d7de390530e15c2572000b47"),
        (128 * 4096, "d82861203d50ae9b60948504a704f35f5118bd229aeb1a22d6dae47b1767c4c4"),
        (128 * 4096 + 1, "4dc6905041c9c4ee73e13b53f63f5d289c46da359b664a965ead7f8cc4d799d4"),
        (129 * 4096, "dd56ffe5de24c1229fe22d25f91db9e735f6adc921510dcf480094624458c92a"),
        (128 * 128 * 4096 - 1, "53e70e3b30d8c6800a47af2e04737f8e0192e035e7d35f9323f54f5c72b03866"),
        (128 * 128 * 4096, "196650e8bd05f8516c0ede56deeb4d1ff2be9809dc2d827261db4a7773957567"),
        (128 * 128 * 4096 + 1, "acba6554fbff4e8b2fc0361086b9e8ed6afbbd3196ade159c0f3e2bf9ecb2ed1"),
    ];

    fn pattern(length: usize) -> Vec<u8> {
        (0..251).cycle().take(length).collect()
    }

    #[test]
    fn digests_match_the_kernels_own_tool() {
        for &(length, expected) in KNOWN {
            let mut digest = FsVerity::new();
            digest.update(&pattern(length));
            assert_eq!(hex::encode(digest.finish(file_length(length))), expected, "{length} bytes");
        }
    }

    #[test]
    fn the_digest_does_not_depend_on_how_bytes_arrive() {
        let (length, expected) = KNOWN[9];
        for step in [1000, 4095, 4096, 4097, 100_000] {
            let mut digest = FsVerity::new();
            for piece in pattern(length).chunks(step) {
                digest.update(piece);
            }
            assert_eq!(hex::encode(digest.finish(file_length(length))), expected, "pieces of {step} bytes");
        }
    }

    #[test]
    fn ranges_hashed_apart_make_the_same_tree() {
        for (case, cut) in [(9, 4096), (10, 3 * 4096), (13, 128 * 4096), (13, 1000 * 4096)] {
            let (length, expected) = KNOWN[case];
            let bytes = pattern(length);
            let mut whole = FsVerity::new();
            for (number, piece) in bytes.chunks(cut).enumerate() {
                let mut range = FsVerity::at(file_length(number * cut));
                range.update(piece);
                whole.append(range);
            }
            assert_eq!(
                hex::encode(whole.finish(file_length(length))),
                expected,
                "{length} bytes cut at {cut}"
            );
        }
    }

    #[test]
    fn the_size_is_part_of_the_digest() {
        let mut digest = FsVerity::new();
        digest.update(&[0; 10]);
        assert_ne!(digest.clone().finish(10), digest.finish(11));
    }
}
