//! Messages to send: deterministic, of any length.

/// Around the borders of the three length encodings of a frame, and large.
pub const SIZES: [usize; 8] = [0, 1, 125, 126, 65535, 65536, 1 << 20, 5 << 20];

/// Text of exactly `length` octets, with characters of one to four octets.
pub fn text(length: usize) -> String {
    const WORDS: &str = "zwölf Stücke, 日本語, 🧩; ";
    let mut text = WORDS.repeat(length / WORDS.len() + 1);
    text.truncate(text.floor_char_boundary(length));
    while text.len() < length {
        text.push('x');
    }
    text
}

/// Octets that no compressor makes smaller.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(length);
    bytes
}
