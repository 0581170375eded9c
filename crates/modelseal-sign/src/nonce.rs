//! The deterministic nonce of P-521 (RFC 6979), which `p521` 0.13 lacks: its own signer draws a random one.

use ecdsa::hazmat::SignPrimitive;
use p521::ecdsa::Signature;
use p521::elliptic_curve::PrimeField;
use p521::{FieldBytes, Scalar, SecretKey};
use rfc6979::HmacDrbg;
use sha2::Sha512;
use zeroize::{Zeroize, Zeroizing};

/// Signs a SHA-512 digest. The same key and digest give the same signature.
pub(crate) fn sign_p521(key: &SecretKey, digest: &[u8; 64]) -> Result<Signature, ecdsa::Error> {
    // Section 2.3.2 and 2.3.4: 512 bits are fewer than the 521 of the order, so the digest is only padded.
    let mut padded = FieldBytes::default();
    for (to, from) in padded.iter_mut().rev().zip(digest.iter().rev()) {
        *to = *from;
    }

    let secret = Zeroizing::new(key.to_bytes());
    let scalar = Zeroizing::new(*key.to_nonzero_scalar().as_ref());
    // Section 3.2, steps a to g.
    let mut generator = HmacDrbg::<Sha512>::new(&secret, &padded, b"");
    loop {
        // Step h: the leftmost 521 bits of T are its first 66 bytes, less the last 7 bits.
        let mut candidate = FieldBytes::default();
        generator.fill_bytes(&mut candidate);
        shift_right_by_7(&mut candidate);
        // `from_repr` refuses what is not below the order; a zero nonce is refused by `try_sign_prehashed`.
        let nonce = Option::<Scalar>::from(Scalar::from_repr(candidate));
        candidate.zeroize();
        if let Some(nonce) = nonce.map(Zeroizing::new) {
            return scalar.try_sign_prehashed(*nonce, &padded).map(|(signature, _)| signature);
        }
    }
}

fn shift_right_by_7(bytes: &mut FieldBytes) {
    let mut carry = 0;
    for byte in bytes.iter_mut() {
        let low = *byte << 1;
        *byte = carry | (*byte >> 7);
        carry = low;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;

    /// RFC 6979, section A.2.7 (NIST P-521), SHA-512, message "sample" and "test".
    #[test]
    fn agrees_with_rfc_6979() {
        let secret = hex::decode(
            "00FAD06DAA62BA3B25D2FB40133DA757205DE67F5BB0018FEE8C86E1B68C7E75CAA896EB32F1F47C70855836A6D16FCC1466F6D8FBEC67DB89EC0C08B0E996B83538",
        )
        .unwrap();
        let key = SecretKey::from_slice(&secret).unwrap();
        for (message, r, s) in [
            (
                "sample",
                "00C328FAFCBD79DD77850370C46325D987CB525569FB63C5D3BC53950E6D4C5F174E25A1EE9017B5D450606ADD152B534931D7D4E8455CC91F9B15BF05EC36E377FA",
                "00617CCE7CF5064806C467F678D3B4080D6F1CC50AF26CA209417308281B68AF282623EAA63E5B5C0723D8B8C37FF0777B1A20F8CCB1DCCC43997F1EE0E44DA4A67A",
            ),
            (
                "test",
                "013E99020ABF5CEE7525D16B69B229652AB6BDF2AFFCAEF38773B4B7D08725F10CDB93482FDCC54EDCEE91ECA4166B2A7C6265EF0CE2BD7051B7CEF945BABD47EE6D",
                "01FBD0013C674AA79CB39849527916CE301C66EA7CE8B80682786AD60F98F7E78A19CA69EFF5C57400E3B3A0AD66CE0978214D13BAF4E9AC60752F7B155E2DE4DCE3",
            ),
        ] {
            let signature = sign_p521(&key, &Sha512::digest(message).into()).unwrap();
            let expected = [hex::decode(r).unwrap(), hex::decode(s).unwrap()].concat();
            assert_eq!(hex::encode(signature.to_bytes()), hex::encode(expected), "{message}");
        }
    }
}
