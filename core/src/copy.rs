//! Copies whose speed does not depend on where the memory lies.
//! Knows no message.

use alloc::string::String;
use alloc::vec::Vec;

/// Length up to which C libraries copy by loads and stores.
///
/// Beyond about 2 100 bytes, glibc copies by one instruction, `rep movsb`, where the processor claims to be fast at it. AMD's Zen 4 then takes
/// twenty times as long if the target lies 1 to 15 bytes behind the source, modulo 4 096: usual for a payload behind a header, in buffers whose
/// lengths are multiples of 4 KiB.
const STEP: usize = 2 << 10;

/// Appends bytes.
#[inline]
pub fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() <= STEP {
        out.extend_from_slice(bytes);
    } else {
        append_steps(out, bytes);
    }
}

#[inline(never)]
fn append_steps(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len());
    for step in bytes.chunks(STEP) {
        out.extend_from_slice(step);
    }
}

/// Appends text.
#[inline]
pub fn append_text(out: &mut String, text: &str) {
    if text.len() <= STEP {
        out.push_str(text);
    } else {
        append_text_steps(out, text);
    }
}

#[inline(never)]
fn append_text_steps(out: &mut String, mut text: &str) {
    out.reserve(text.len());
    while text.len() > STEP {
        let mut at = STEP;
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let (step, rest) = text.split_at(at);
        out.push_str(step);
        text = rest;
    }
    out.push_str(text);
}

/// Returns a copy.
#[inline]
pub fn copied(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    append(&mut out, bytes);
    out
}

/// Returns a copy of text.
#[inline]
pub fn copied_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    append_text(&mut out, text);
    out
}

/// Overwrites the beginning of `target` with bytes, as far as they fit.
pub fn overwrite(target: &mut [u8], bytes: &[u8]) {
    for (target, step) in target.chunks_mut(STEP).zip(bytes.chunks(STEP)) {
        let length = target.len().min(step.len());
        if let (Some(target), Some(step)) = (target.get_mut(..length), step.get(..length)) {
            target.copy_from_slice(step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn copies_are_whole_whatever_their_length() {
        for length in [0, 1, STEP - 1, STEP, STEP + 1, 2 * STEP, 5 * STEP + 7] {
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            assert_eq!(copied(&bytes), bytes);
            let mut out = b"front".to_vec();
            append(&mut out, &bytes);
            assert_eq!(out, [b"front", &bytes[..]].concat());
            let mut target = vec![255; length + 3];
            overwrite(&mut target, &bytes);
            assert_eq!(target, [&bytes[..], &[255; 3]].concat());
            let mut short = vec![255; length / 2];
            overwrite(&mut short, &bytes);
            assert_eq!(short, bytes[..length / 2]);
        }
    }

    #[test]
    fn text_is_cut_between_characters() {
        for shift in 0..4 {
            let text = "x".repeat(shift) + &"𝄞é".repeat(STEP);
            assert_eq!(copied_text(&text), text);
            let mut out = String::from("front");
            append_text(&mut out, &text);
            assert_eq!(out, String::from("front") + &text);
        }
    }
}
