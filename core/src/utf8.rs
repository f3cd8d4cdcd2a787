//! Incremental UTF-8: text that arrives in chunks of any size.
//! RFC 6455 section 8.1, RFC 3629.
//! Knows no frames. It fails at the first byte that proves the text invalid, whatever the chunks.

/// The bytes cannot become valid UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

/// The validator: it holds back the bytes of an incomplete character, at most three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scanner {
    held: [u8; 4],
    count: u8,
}

/// The text that a chunk completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readable<'a> {
    /// The character that was held back and is now complete.
    pub first: Option<char>,
    /// The whole characters after it.
    pub rest: &'a str,
}

impl Scanner {
    /// Takes the next bytes of the text; returns the complete characters, and holds back an incomplete last one.
    pub fn feed<'a>(&mut self, bytes: &'a [u8]) -> Result<Readable<'a>, Invalid> {
        let (first, bytes) = if self.count == 0 {
            (None, bytes)
        } else {
            self.complete(bytes)?
        };
        let (whole, tail) = bytes.split_at(bytes.len() - unfinished(bytes));
        let rest = check(whole)?;
        if !tail.is_empty() {
            // The tail must be the start of a character: "e0 80" never is.
            if !could_become_char(tail) {
                return Err(Invalid);
            }
            for (slot, byte) in self.held.iter_mut().zip(tail) {
                *slot = *byte;
                self.count += 1;
            }
        }
        Ok(Readable { first, rest })
    }

    /// Ends the text: an unfinished character is invalid.
    pub fn finish(&mut self) -> Result<(), Invalid> {
        if core::mem::take(self).count == 0 {
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    /// Returns the number of held bytes of an incomplete character: at most three.
    pub const fn held(&self) -> usize {
        self.count as usize
    }

    fn complete<'a>(&mut self, mut bytes: &'a [u8]) -> Result<(Option<char>, &'a [u8]), Invalid> {
        while let [byte, after @ ..] = bytes {
            bytes = after;
            let Some(slot) = self.held.get_mut(usize::from(self.count)) else {
                return Err(Invalid);
            };
            *slot = *byte;
            self.count += 1;
            let held = self.held.get(..usize::from(self.count)).unwrap_or_default();
            match core::str::from_utf8(held) {
                Ok(text) => {
                    let first = text.chars().next();
                    self.count = 0;
                    return Ok((first, bytes));
                }
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(Invalid),
            }
        }
        Ok((None, bytes))
    }
}

/// Validates a whole text.
#[inline]
pub fn check(bytes: &[u8]) -> Result<&str, Invalid> {
    // Below a cache line, the scalar check of the standard library starts faster.
    if bytes.len() < 64 {
        return core::str::from_utf8(bytes).map_err(|_| Invalid);
    }
    simdutf8::basic::from_utf8(bytes).map_err(|_| Invalid)
}

/// Returns the number of bytes at the end that start an incomplete character.
fn unfinished(bytes: &[u8]) -> usize {
    for (back, byte) in bytes.iter().rev().take(3).enumerate() {
        let needs = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return 0,
        };
        return if needs > back + 1 { back + 1 } else { 0 };
    }
    0
}

fn could_become_char(bytes: &[u8]) -> bool {
    match core::str::from_utf8(bytes) {
        Ok(_) => false,
        Err(error) => error.valid_up_to() == 0 && error.error_len().is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;

    /// Finds the first invalid position with the standard library, byte by byte.
    fn naive(bytes: &[u8]) -> Result<(), usize> {
        for end in 1..=bytes.len() {
            if let Err(error) = core::str::from_utf8(&bytes[..end])
                && error.error_len().is_some()
            {
                return Err(end);
            }
        }
        core::str::from_utf8(bytes)
            .map(drop)
            .map_err(|_| bytes.len())
    }

    fn scan<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Result<String, usize> {
        let (mut scanner, mut text, mut seen) = (Scanner::default(), String::new(), 0);
        for part in parts {
            seen += part.len();
            let readable = scanner.feed(part).map_err(|_| seen)?;
            text.extend(readable.first);
            text.push_str(readable.rest);
        }
        scanner.finish().map_err(|_| seen)?;
        Ok(text)
    }

    const TEXTS: &[&[u8]] = &[
        b"",
        b"Hello",
        "κόσμε ∮ 𐍈 ﬀ 日本語".as_bytes(),
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        b"\xf4\x90\x80\x80",
        b"\xe0\x80\x80",
        b"\xf0\x8f\xbf\xbf",
        b"\xc0\xaf",
        b"\xc1\xbf",
        b"\xff",
        b"abc\x80",
        b"\xe2\x82",
        b"\xf0\x9f\x98",
        b"\xed\xbf\xbf",
        b"\xf8\x88\x80\x80\x80",
        b"a\xe2\x82\xacb\xe2\x28\xa1",
    ];

    #[test]
    fn eight_one_byte_by_byte_fails_where_it_is_proved() {
        for bytes in TEXTS {
            assert_eq!(scan(bytes.chunks(1)).map(drop), naive(bytes), "{bytes:x?}");
        }
    }

    #[test]
    fn every_split_gives_the_same_text() {
        for bytes in TEXTS {
            let whole = scan([*bytes].into_iter());
            for one in 0..=bytes.len() {
                for two in one..=bytes.len() {
                    let parts = [&bytes[..one], &bytes[one..two], &bytes[two..]];
                    let split = scan(parts.into_iter());
                    assert_eq!(split.is_ok(), whole.is_ok(), "{bytes:x?} at {one}, {two}");
                    if let (Ok(split), Ok(whole)) = (split, &whole) {
                        assert_eq!(&split, whole);
                    }
                }
            }
        }
    }

    #[test]
    fn an_error_is_found_at_every_offset_around_a_block() {
        for length in [30, 31, 32, 33, 63, 64, 65, 127, 128, 129] {
            for at in 0..length {
                let mut bytes: Vec<u8> = alloc::vec![b'a'; length];
                bytes[at] = 0xff;
                assert_eq!(
                    Scanner::default().feed(&bytes),
                    Err(Invalid),
                    "{at} of {length}"
                );
            }
        }
    }
}
