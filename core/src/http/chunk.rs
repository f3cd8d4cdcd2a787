//! Bodies in chunks, whose length is not known at their beginning.
//! RFC 9112 section 7.1.
//! Knows no head.

use alloc::format;
use alloc::vec::Vec;

use crate::copy::append;

/// Appends a chunk. An empty one would end the body: it is left out.
pub fn write_chunk(bytes: &[u8], out: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    out.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
    append(out, bytes);
    out.extend_from_slice(b"\r\n");
}

/// Maximum number of bytes that a peer may send while the body of its response is streamed: later requests wait, and nothing else is expected.
pub const MAX_MEANWHILE: usize = 64 << 10;

/// The chunk that ends a body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_has_its_length_and_an_empty_one_is_none() {
        let mut out = Vec::new();
        write_chunk(b"", &mut out);
        write_chunk(&[b'x'; 17], &mut out);
        assert_eq!(out, b"11\r\nxxxxxxxxxxxxxxxxx\r\n");
    }
}
