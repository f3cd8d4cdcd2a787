//! Cases 6.*: text that is UTF-8, and text that is not.
//! RFC 6455 sections 5.6 and 8.1.

use crate::case::{Case, case};
use crate::frame::{Frame, continuation, text};
use crate::script::{Chop, INVALID, Script, seconds};

const TEXT: &str = "RFC 6455 5.6: \"The 'Payload data' is text data encoded as UTF-8. Note that a particular text frame might include a partial UTF-8 sequence; however, the whole message MUST contain valid UTF-8.\"";
const BAD: &str = "RFC 6455 8.1: \"When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in fact, a valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_.\"";

const FAILS: &str = "The connection fails with 1007.";
const GREEK: &[u8] = "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}".as_bytes();

/// 132 payloads: number, whether it is UTF-8, bytes in hexadecimal.
const PAYLOADS: &str = include_str!("utf8-cases.tsv");

/// A text message in fragments of so many bytes.
pub(super) fn fragments(payload: &[u8], size: usize) -> Vec<Frame> {
    let count = payload.chunks(size).count();
    payload
        .chunks(size)
        .enumerate()
        .map(|(at, part)| {
            let frame = if at == 0 {
                text(part)
            } else {
                continuation(part)
            };
            if at + 1 < count { frame.more() } else { frame }
        })
        .collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    digits
        .as_bytes()
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mixed = "Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}\u{e0}\u{e1}-UTF-8!!";
    let surrogate = [GREEK, b"\xed\xa0\x80", b"edited"].concat();
    let (bad, very_bad) = (surrogate.clone(), surrogate);
    let mut all = vec![
        case(
            "6.1.1",
            "Send empty text.",
            "Empty text comes back.",
            TEXT,
            |_| Script::new().send([text("")]).echo_text("").close(),
        ),
        case(
            "6.1.2",
            "Send text in three empty fragments.",
            "Empty text comes back.",
            TEXT,
            |_| {
                Script::new()
                    .send([text("").more(), continuation("").more(), continuation("")])
                    .echo_text("")
                    .close()
            },
        ),
        case(
            "6.1.3",
            "Send text in three fragments; only the middle one is not empty.",
            "The text comes back.",
            TEXT,
            |_| {
                Script::new()
                    .send([
                        text("").more(),
                        continuation("middle frame payload").more(),
                        continuation(""),
                    ])
                    .echo_text("middle frame payload")
                    .close()
            },
        ),
        case(
            "6.2.1",
            "Send valid UTF-8 in one frame.",
            "The text comes back.",
            TEXT,
            move |_| Script::new().send([text(mixed)]).echo_text(mixed).close(),
        ),
        case(
            "6.2.2",
            "Send valid UTF-8 in two fragments, split between characters.",
            "The text comes back.",
            TEXT,
            move |_| {
                let (left, right) = mixed.split_at(13);
                Script::new()
                    .send([text(left).more(), continuation(right)])
                    .echo_text(mixed)
                    .close()
            },
        ),
        case(
            "6.2.3",
            "Send valid UTF-8 in fragments of one octet.",
            "The text comes back.",
            TEXT,
            move |_| {
                Script::new()
                    .send(fragments(mixed.as_bytes(), 1))
                    .echo_text(mixed)
                    .close()
            },
        ),
        case(
            "6.2.4",
            "Send valid UTF-8, each character of several octets, in fragments of one octet.",
            "The text comes back.",
            TEXT,
            |_| {
                Script::new()
                    .send(fragments(GREEK, 1))
                    .echo_text(GREEK)
                    .close()
            },
        ),
        case(
            "6.3.1",
            "Send text with half of a surrogate pair in it, in one frame.",
            FAILS,
            BAD,
            move |_| Script::new().send([text(bad.clone())]).fails(INVALID),
        ),
        case(
            "6.3.2",
            "Send text with half of a surrogate pair in it, in fragments of one octet.",
            FAILS,
            BAD,
            move |_| Script::new().send(fragments(&very_bad, 1)).fails(INVALID),
        ),
    ];
    let whole = [GREEK, b"\xf4\x90\x80\x80", b"edited"].concat();
    for (id, first, second, framed) in [
        ("6.4.1", 11, 15, true),
        ("6.4.2", 12, 13, true),
        ("6.4.3", 11, 15, false),
        ("6.4.4", 12, 13, false),
    ] {
        let whole = whole.clone();
        let how = if framed {
            "as three frames"
        } else {
            "as three pieces of one frame"
        };
        let end = if second == 13 {
            "up to the very octet that proves it invalid"
        } else {
            "with what makes it invalid"
        };
        let does = format!("Send good text; after 1 s a part {end}; after 1 s the rest; {how}.");
        let expects =
            "The connection fails with 1007 before the rest is sent; later is non-strict.";
        all.push(
            case(id, does, expects, BAD, move |_| {
                late(&whole, first, second, framed)
            })
            .waits(),
        );
    }
    for line in PAYLOADS.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let (Some(id), Some(valid), Some(digits)) =
            (columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        let (payload, valid) = (unhex(digits), valid == "valid");
        let does = format!("Send text with the octets {digits}.");
        all.push(match valid {
            true => case(id, does, "The text comes back.", TEXT, move |_| {
                Script::new()
                    .send([text(payload.clone())])
                    .echo_text(payload.clone())
                    .close()
            }),
            false => case(id, does, FAILS, BAD, move |_| {
                Script::new().send([text(payload.clone())]).fails(INVALID)
            }),
        });
    }
    all
}

/// Three parts with pauses; the second proves the text invalid.
fn late(whole: &[u8], first: usize, second: usize, framed: bool) -> Script {
    let part = |from: usize, to: usize| whole.get(from..to).unwrap_or_default().to_vec();
    let end = whole.len();
    if framed {
        return Script::new()
            .send([text(part(0, first)).more()])
            .quiet(seconds(1))
            .send([continuation(part(first, second)).more()])
            .step(crate::script::Step::FailsWithin(seconds(1), INVALID))
            .send([continuation(part(second, end))])
            .fails(INVALID);
    }
    // One frame: its header announces all of it, and the bytes arrive in three chunks. The key is zero, so that they need no mask.
    let begin = text(part(0, first))
        .claim(end as u64)
        .masking(crate::frame::Masking::Key([0; 4]));
    Script::new()
        .send_chopped([begin], Chop::Whole)
        .quiet(seconds(1))
        .bytes(part(first, second))
        .step(crate::script::Step::FailsWithin(seconds(1), INVALID))
        .bytes(part(second, end))
        .fails(INVALID)
}

/// Both codes that a Close reason that is not UTF-8 may be answered with.
pub(super) const REASON: &[u16] = &[1002, 1007];
