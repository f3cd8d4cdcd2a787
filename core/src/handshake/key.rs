//! `Sec-WebSocket-Key` and `Sec-WebSocket-Accept`.
//! RFC 6455 sections 4.1 and 4.2.2; libraries do the hashing and the encoding.
//! Knows no head.

use alloc::string::String;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1_smol::Sha1;

/// 1.3: "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Returns whether `key` is the base64 of 16 bytes. The unused bits of the last character may be set: no decoder needs them.
pub fn is_key(key: &[u8]) -> bool {
    let alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    matches!(key.strip_suffix(b"=="), Some(digits) if digits.len() == 22 && digits.iter().all(alphabet))
}

/// Returns the value of `Sec-WebSocket-Accept` that answers `key`.
///
/// ```
/// use sansws_core::handshake::accept_key;
/// assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(GUID);
    STANDARD.encode(hash.digest().bytes())
}

/// Returns the key for `nonce`.
pub(super) fn encode_key(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_two_one_keys_are_16_bytes_in_base64() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        assert!(is_key(encode_key([255; 16]).as_bytes()));
        let wrong: &[&[u8]] = &[
            b"",
            b"dGhlIHNhbXBsZSBub25jZQ=",
            b"dGhlIHNhbXBsZSBub25jZ===",
            b"dGhlIHNhbXBsZSBub25jZQAA",
            b"dGhl-HNhbXBsZSBub25j_Q==",
            b"dGhl HNhbXBsZSBub25jZQ==",
        ];
        for key in wrong {
            assert!(!is_key(key), "{}", key.escape_ascii());
        }
    }
}
