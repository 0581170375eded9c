//! The slow, obvious implementation of [`Measured`]: the oracle of the tests. Nothing is shared with the executor.

use sha2::{Digest as _, Sha256};

use super::{Algorithm, Digest, Measured, Wanted};

/// Every digest wanted of these bytes.
pub(super) fn measure(bytes: &[u8], wanted: &Wanted) -> Measured {
    Measured {
        whole: wanted.whole.iter().map(|algorithm| digest(*algorithm, bytes)).collect(),
        shards: wanted.shards.map_or_else(Vec::new, |(algorithm, size)| {
            bytes.chunks(usize::try_from(size).unwrap()).map(|shard| digest(algorithm, shard)).collect()
        }),
        fsverity: wanted.fsverity.then(|| fsverity(bytes)),
    }
}

fn digest(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let raw = match algorithm {
        Algorithm::Blake2b => blake2::Blake2b512::digest(bytes).to_vec(),
        Algorithm::Blake3 => blake3::hash(bytes).as_bytes().to_vec(),
        Algorithm::Sha256 => Sha256::digest(bytes).to_vec(),
    };
    Digest::new(algorithm, &raw).unwrap()
}

/// The kernel's documentation, sections "Merkle tree" and "fs-verity descriptor", level by level.
pub(super) fn fsverity(bytes: &[u8]) -> [u8; 32] {
    let mut level = bytes.to_vec();
    let mut root = [0; 32];
    while !level.is_empty() {
        level.resize(level.len().next_multiple_of(4096), 0);
        let hashes: Vec<[u8; 32]> = level.chunks(4096).map(|block| Sha256::digest(block).into()).collect();
        root = hashes[0];
        level = if hashes.len() == 1 { Vec::new() } else { hashes.concat() };
    }
    let mut descriptor = [0; 256];
    descriptor[0] = 1;
    descriptor[1] = 1;
    descriptor[2] = 12;
    descriptor[8..16].copy_from_slice(&u64::try_from(bytes.len()).unwrap().to_le_bytes());
    descriptor[16..48].copy_from_slice(&root);
    Sha256::digest(descriptor).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let known = |algorithm| digest(algorithm, b"abc").to_hex();
        assert_eq!(
            known(Algorithm::Sha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            known(Algorithm::Blake3),
            "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
        );
        assert!(known(Algorithm::Blake2b).starts_with("ba80a53f981c4d0d6a2797b69f12f6e9"));
        assert_eq!(
            hex::encode(fsverity(&[])),
            "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95"
        );
    }
}
