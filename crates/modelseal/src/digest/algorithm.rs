//! The digest algorithms of OpenSSF Model Signing (algorithm registry): sha256, blake2b (512 bit), blake3 (256 bit).

use std::fmt;

/// A digest algorithm an OMS manifest may use.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Algorithm {
    /// BLAKE2b with 512 bits (RFC 7693).
    Blake2b,
    /// BLAKE3 with 256 bits.
    Blake3,
    /// SHA-256 (FIPS 180-4).
    Sha256,
}

impl Algorithm {
    /// The name in manifests: `blake2b`, `blake3`, `sha256`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blake2b => "blake2b",
            Self::Blake3 => "blake3",
            Self::Sha256 => "sha256",
        }
    }

    /// Finds an algorithm by its name in manifests.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Blake2b, Self::Blake3, Self::Sha256].into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// Length of a digest in bytes.
    #[must_use]
    pub const fn digest_bytes(self) -> usize {
        match self {
            Self::Blake2b => 64,
            Self::Blake3 | Self::Sha256 => 32,
        }
    }
}

/// A digest: its algorithm and its bytes, always of the right length.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Digest {
    algorithm: Algorithm,
    bytes: Vec<u8>,
}

impl Digest {
    /// A digest from raw bytes; `None` if the length is not the algorithm's.
    #[must_use]
    pub fn new(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        (bytes.len() == algorithm.digest_bytes()).then(|| Self { algorithm, bytes: bytes.to_vec() })
    }

    /// A digest from hexadecimal text of either case; `None` if it is anything else.
    #[must_use]
    pub fn from_hex(algorithm: Algorithm, text: &str) -> Option<Self> {
        Self::new(algorithm, &hex::decode(text).ok()?)
    }

    /// A BLAKE3 digest from its bytes.
    pub(super) fn blake3(bytes: [u8; 32]) -> Self {
        Self { algorithm: Algorithm::Blake3, bytes: bytes.to_vec() }
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Lower-case hexadecimal.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(&self.bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// A streaming hash of any algorithm.
#[derive(Clone)]
pub(crate) enum Hasher {
    Blake2b(Box<blake2::Blake2b512>),
    Blake3(Box<blake3::Hasher>),
    Sha256(sha2::Sha256),
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        use sha2::Digest as _;
        match algorithm {
            Algorithm::Blake2b => Self::Blake2b(Box::new(blake2::Blake2b512::new())),
            Algorithm::Blake3 => Self::Blake3(Box::new(blake3::Hasher::new())),
            Algorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        use sha2::Digest as _;
        match self {
            Self::Blake2b(hasher) => hasher.update(bytes),
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        use sha2::Digest as _;
        match self {
            Self::Blake2b(hasher) => {
                Digest { algorithm: Algorithm::Blake2b, bytes: hasher.finalize().to_vec() }
            }
            Self::Blake3(hasher) => {
                Digest { algorithm: Algorithm::Blake3, bytes: hasher.finalize().as_bytes().to_vec() }
            }
            Self::Sha256(hasher) => {
                Digest { algorithm: Algorithm::Sha256, bytes: hasher.finalize().to_vec() }
            }
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Algorithm; 3] = [Algorithm::Blake2b, Algorithm::Blake3, Algorithm::Sha256];

    #[test]
    fn names_are_the_registrys() {
        assert_eq!(ALL.map(Algorithm::as_str), ["blake2b", "blake3", "sha256"]);
        assert_eq!(ALL.map(|algorithm| Algorithm::from_name(algorithm.as_str())), ALL.map(Some));
        for other in ["", "SHA256", "sha-256", "sha512", "md5", "blake2b-256"] {
            assert_eq!(Algorithm::from_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_digest_has_its_algorithms_length() {
        for algorithm in ALL {
            let digest = Hasher::new(algorithm).finish();
            assert_eq!(digest.algorithm(), algorithm);
            assert_eq!(digest.as_bytes().len(), algorithm.digest_bytes());
            assert_eq!(Digest::from_hex(algorithm, &digest.to_hex()), Some(digest.clone()));
            assert_eq!(Digest::from_hex(algorithm, &digest.to_hex().to_uppercase()), Some(digest.clone()));
            assert_eq!(Digest::new(algorithm, digest.as_bytes().split_last().unwrap().1), None);
            assert_eq!(Digest::from_hex(algorithm, &format!("{}00", digest.to_hex())), None);
        }
        assert_eq!(Digest::from_hex(Algorithm::Sha256, &"zz".repeat(32)), None);
    }

    #[test]
    fn equal_bytes_of_another_algorithm_are_another_digest() {
        assert_ne!(Digest::new(Algorithm::Sha256, &[7; 32]), Digest::new(Algorithm::Blake3, &[7; 32]));
    }
}
