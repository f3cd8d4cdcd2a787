//! Cases 28.*: UTF-8 that the classic suite does not cover: ends inside characters, cuts at each byte, blocks of wide registers.
//! RFC 6455 sections 5.6 and 8.1; RFC 3629.

use super::rules::parsed;
use super::utf8::{REASON, fragments};
use crate::case::{Case, case};
use crate::frame::{close, continuation, frame, opcode, ping, text};
use crate::script::{INVALID, Script, Step, echo, seconds};

const WHOLE: &str = "RFC 6455 5.6: \"a particular text frame might include a partial UTF-8 sequence; however, the whole message MUST contain valid UTF-8.\"";
const BAD: &str = "RFC 6455 8.1: \"When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in fact, a valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_.\"";

const FAILS: &str = "The connection fails with 1007.";
const ECHOES: &str = "The same comes back.";

/// Characters of 2, 3 and 4 bytes.
const CHARACTERS: [&str; 3] = ["\u{e4}", "\u{20ac}", "\u{1f600}"];

/// Octets that are no characters, with where a cut falls.
const BROKEN: [(&[u8], &str); 6] = [
    (b"\xc0\xaf", "an overlong form of 2 octets"),
    (b"\xe0\x80\xaf", "an overlong form of 3 octets"),
    (b"\xf0\x80\x80\xaf", "an overlong form of 4 octets"),
    (b"\xed\xa0\x80", "half of a surrogate pair"),
    (b"\xf4\x90\x80\x80", "a character above U+10FFFF"),
    (b"\xe2\x28\xa1", "a character with a wrong second octet"),
];

/// Where wide registers and their blocks end.
const BORDERS: [usize; 12] = [15, 16, 31, 32, 33, 63, 64, 65, 127, 128, 4095, 4096];

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let mut at = 0;
    for character in CHARACTERS {
        let bytes = character.as_bytes();
        for cut in 1..bytes.len() {
            at += 1;
            let (left, right) = bytes.split_at(cut);
            let does = format!(
                "Send two fragments that split a character of {} octets behind its octet {cut}.",
                bytes.len()
            );
            all.push(case(format!("28.1.{at}"), does, ECHOES, WHOLE, move |_| {
                let whole = [b"ab", bytes, b"cd"].concat();
                Script::new()
                    .send([
                        text([b"ab", left].concat()).more(),
                        continuation([right, b"cd"].concat()),
                    ])
                    .echo_text(whole)
                    .close()
            }));
            all.push(case(
                format!("28.2.{at}"),
                format!(
                    "Send text that ends in the first {cut} of {} octets of a character.",
                    bytes.len()
                ),
                FAILS,
                WHOLE,
                move |_| {
                    Script::new()
                        .send([text([b"ab", left].concat())])
                        .fails(INVALID)
                },
            ));
            all.push(case(format!("28.3.{at}"), format!("Send a fragment that ends in the first {cut} of {} octets of a character, then an empty last one.", bytes.len()), FAILS, WHOLE, move |_| {
                Script::new()
                    .send([text([b"ab", left].concat()).more(), continuation("")])
                    .fails(INVALID)
            }));
        }
    }
    for (at, (bytes, what)) in BROKEN.into_iter().enumerate() {
        all.push(case(
            format!("28.4.{}", at + 1),
            format!("Send {what}, in fragments of one octet."),
            FAILS,
            BAD,
            move |_| Script::new().send(fragments(bytes, 1)).fails(INVALID),
        ));
    }
    for (at, place) in BORDERS.into_iter().enumerate() {
        let does = format!("Send text of ASCII whose octet {place} is ff.");
        all.push(case(
            format!("28.5.{}", at + 1),
            does,
            FAILS,
            BAD,
            move |_| {
                let mut bytes = vec![b'a'; 2 * place + 3];
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = 0xff;
                }
                Script::new().send([text(bytes)]).fails(INVALID)
            },
        ));
        let does = format!("Send text with characters of 4 octets across its octet {place}.");
        all.push(case(
            format!("28.6.{}", at + 1),
            does,
            ECHOES,
            WHOLE,
            move |_| {
                let payload = format!(
                    "{}\u{1f600}{}\u{20ac}",
                    "a".repeat(place - 1),
                    "b".repeat(place)
                );
                Script::new()
                    .send([text(payload.clone())])
                    .echo_text(payload)
                    .close()
            },
        ));
    }
    all.extend(others());
    for (at, (what, payload)) in CHANGED.into_iter().enumerate() {
        all.push(case(
            format!("28.10.{}", at + 1),
            format!("Send text with {what}."),
            "The same comes back, octet by octet.",
            UNCHANGED,
            move |_| {
                Script::new()
                    .send([text(payload)])
                    .echo_text(payload)
                    .close()
            },
        ));
    }
    all
}

const UNCHANGED: &str = concat!(
    parsed!(),
    " \"The 'Application data' from this frame is defined as the /data/ of the message\": text is no lines, no tokens and no JSON."
);

/// Text that layers above change: lines, blanks, escapes, normal forms.
pub(super) const CHANGED: [(&str, &str); 24] = [
    ("CRLF in it", "one\r\ntwo\r\n"),
    ("LF at its end", "one\n"),
    ("two LF at its end", "one\n\n"),
    ("LF alone", "\n"),
    ("CR alone", "\r"),
    ("CR before a letter", "one\rtwo"),
    ("blanks and tabs around it", " \t one \t "),
    ("only a blank", " "),
    ("NUL at its beginning, in it and at its end", "\0one\0two\0"),
    ("NUL alone", "\0"),
    ("U+2028 and U+2029 in it", "one\u{2028}two\u{2029}"),
    (
        "U+0085, U+000B and U+000C in it",
        "one\u{85}two\u{b}three\u{c}",
    ),
    ("U+FEFF at its end and in it", "one\u{feff}two\u{feff}"),
    ("two U+FEFF at its beginning", "\u{feff}\u{feff}one"),
    ("escapes of half a surrogate pair", "\\ud83d and \\uDE00"),
    ("escapes of whole characters", "\\u0041\\n\\x41\\\\"),
    ("percent escapes", "%41%00%zz+&amp;&#65;"),
    ("quotes around it", "\"one\""),
    ("a number with zeros around it", "007.1400e+00"),
    ("the word null", "null"),
    ("U+FFFD in it", "one\u{fffd}two"),
    (
        "U+FFFE, U+FFFF and U+10FFFF in it",
        "\u{fffe}\u{ffff}\u{10ffff}",
    ),
    ("a letter and an accent apart", "e\u{301} \u{212b} \u{fb01}"),
    (
        "U+200B, U+200E and U+00AD in it",
        "one\u{200b}two\u{200e}three\u{ad}",
    ),
];

fn others() -> Vec<Case> {
    let unseen = "The connection fails with 1007 before the frame ends; later is non-strict.";
    vec![
        case(
            "28.7.1",
            "Send the header of text of 1000 octets, and its first octet, ff; no more.",
            unseen,
            BAD,
            |_| {
                Script::new()
                    .send([text(b"\xff").claim(1000)])
                    .step(Step::FailsWithin(seconds(1), INVALID))
                    .step(Step::Leave)
            },
        )
        .waits(),
        case(
            "28.7.2",
            "Send 500 of 1000 octets of text; the last of them is ff.",
            unseen,
            BAD,
            |_| {
                let bytes = [vec![b'a'; 499], vec![0xff]].concat();
                Script::new()
                    .send([text(bytes).claim(1000)])
                    .step(Step::FailsWithin(seconds(1), INVALID))
                    .step(Step::Leave)
            },
        )
        .waits(),
        case(
            "28.7.3",
            "Send a fragment with ff in it; no more.",
            unseen,
            BAD,
            |_| {
                Script::new()
                    .send([text(b"ab\xffcd").more()])
                    .step(Step::FailsWithin(seconds(1), INVALID))
                    .step(Step::Leave)
            },
        )
        .waits(),
        case(
            "28.8.1",
            "Send text that begins with a byte order mark.",
            ECHOES,
            concat!(
                parsed!(),
                " RFC 3629 6: U+FEFF at the beginning of text is part of it."
            ),
            |_| {
                Script::new()
                    .send([text("\u{feff}Hello")])
                    .echo_text("\u{feff}Hello")
                    .close()
            },
        ),
        case(
            "28.8.2",
            "Send text with NUL and all other control characters.",
            ECHOES,
            WHOLE,
            |_| {
                let bytes: Vec<u8> = (0..=0x7f).collect();
                Script::new()
                    .send([text(bytes.clone())])
                    .echo_text(bytes)
                    .close()
            },
        ),
        case(
            "28.8.3",
            "Send a binary message that is not UTF-8.",
            ECHOES,
            concat!(
                parsed!(),
                " 5.6: \"The 'Payload data' is arbitrary binary data whose interpretation is solely up to the application layer.\""
            ),
            |_| {
                let bytes: Vec<u8> = (0..=255).collect();
                Script::new()
                    .send([crate::frame::binary(bytes.clone())])
                    .echo_binary(bytes)
                    .close()
            },
        ),
        case(
            "28.8.4",
            "Send a character in two fragments, with a ping between them.",
            "A pong, then the text; the other order is non-strict.",
            WHOLE,
            |_| {
                Script::new()
                    .send([
                        text(b"\xe2\x82").more(),
                        ping("between"),
                        continuation(b"\xac"),
                    ])
                    .pongs_then(["between"], Some(echo(&text("\u{20ac}"))))
                    .close()
            },
        ),
        case(
            "28.8.5",
            "Send text that ends inside a character, then good text.",
            FAILS,
            WHOLE,
            |_| {
                Script::new()
                    .send([text(b"ab\xe2\x82"), text("good")])
                    .fails(INVALID)
            },
        ),
        case(
            "28.8.6",
            "Send text of 1 048 575 octets in fragments of 1000 octets; its characters have three.",
            ECHOES,
            WHOLE,
            |_| {
                let payload = "\u{20ac}".repeat((1 << 20) / 3);
                Script::new()
                    .send(fragments(payload.as_bytes(), 1000))
                    .echo_text(payload)
                    .close()
            },
        ),
        case(
            "28.9.1",
            "Send a Close frame whose reason ends inside a character.",
            "The connection fails with 1002 or 1007.",
            BAD,
            |_| {
                Script::new()
                    .send([frame(opcode::CLOSE, b"\x03\xe8ab\xe2\x82")])
                    .fails(REASON)
            },
        ),
        case(
            "28.9.2",
            "Send a Close frame whose reason holds characters of 2, 3 and 4 octets.",
            "Close comes back.",
            "RFC 6455 5.5.1: \"the endpoint MUST send a Close frame in response\"; \"the body MAY contain UTF-8-encoded data with value /reason/\".",
            |_| Script::new().close_with(close(1000, "\u{e4}\u{20ac}\u{1f600}"), &[]),
        ),
    ]
}
