//! Cases 25.9 and 25.10: what empty, stored, final and plain messages do to the windows of both sides, and lengths at the borders of buffers,
//! compressed.
//! RFC 7692 sections 6, 7.1.1 and 7.2.

use super::lengths::{BORDERS, around};
use super::rules::{parsed, window_kept};
use super::streams::{HELLO, WRONG, open, packed};
use crate::case::{Case, case};
use crate::frame::{continuation, text};
use crate::script::{Script, Step, Want, echo};
use crate::setting::Random;
use crate::verdict::Verdict;

const KEPT: &str = window_kept!();
const PLAIN: &str = concat!(
    window_kept!(),
    " A message without RSV1 is no compressed message (6)."
);
const FINAL: &str = concat!(
    window_kept!(),
    " 7.2.3.4: a block with BFINAL 1 may end a message."
);
const EACH: &str = concat!(
    parsed!(),
    " RFC 7692 6: RSV1 tells whether a message is compressed, whatever its length."
);

const BACK: &str = "Each comes back.";

/// "Hello" as a reference to the five octets before it (RFC 7692 section 7.2.3.2).
const AGAIN: [u8; 5] = [0xf2, 0x00, 0x11, 0x00, 0x00];

/// "Hello" in a block without compression.
const STORED: [u8; 11] = [
    0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
];

/// "Hello" in a block with BFINAL 1.
const LAST: [u8; 8] = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];

/// Sends "Hello" as a reference to the one before, where the window is kept.
fn again(script: Script) -> Script {
    script.step(Step::Reference(packed(AGAIN), b"Hello".to_vec()))
}

/// Text without repetitions.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut random = Random(seed);
    let letter = |number: u64| LETTERS.get((number % 64) as usize).copied();
    std::iter::repeat_with(|| letter(random.next()).unwrap_or(b' '))
        .take(length)
        .collect()
}

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = received();
    all.extend(echoed());
    for (at, border) in BORDERS.into_iter().enumerate() {
        let lengths = around(border);
        let does = format!(
            "Send compressed text of each length from {} to {} octets.",
            lengths.start(),
            lengths.end()
        );
        all.push(case(
            format!("25.10.{}", at + 1),
            does,
            BACK,
            EACH,
            move |_| {
                lengths
                    .clone()
                    .fold(open(), |script, length| {
                        let message = noise(length as u64, length);
                        script.message(true, message.clone()).echo_text(message)
                    })
                    .close()
            },
        ));
    }
    all
}

/// The effect of a message on the window of the peer's decompressor.
fn received() -> Vec<Case> {
    vec![
        case(
            "25.9.1",
            "Send \"Hello\" compressed, an empty message, and a reference to \"Hello\".",
            BACK,
            KEPT,
            |_| {
                let script = open()
                    .send([packed(HELLO)])
                    .echo_text("Hello")
                    .send([packed([0])])
                    .echo_text("");
                again(script).echo_text("Hello").close()
            },
        ),
        case(
            "25.9.2",
            "Send \"Hello\" compressed, \"World\" plain, and a reference to \"Hello\".",
            BACK,
            PLAIN,
            |_| {
                let script = open()
                    .send([packed(HELLO)])
                    .echo_text("Hello")
                    .send([text("World")])
                    .echo_text("World");
                again(script).echo_text("Hello").close()
            },
        ),
        case(
            "25.9.3",
            "Send \"Hello\" compressed, plain text of 40000 octets, and a reference to \"Hello\".",
            BACK,
            PLAIN,
            |_| {
                let long = noise(3, 40_000);
                let script = open()
                    .send([packed(HELLO)])
                    .echo_text("Hello")
                    .send([text(long.clone())])
                    .echo_text(long);
                again(script).echo_text("Hello").close()
            },
        ),
        case(
            "25.9.4",
            "Send \"Hello\" in a block without compression, and a reference to it.",
            BACK,
            KEPT,
            |_| {
                let script = open().send([packed(STORED)]).echo_text("Hello");
                again(script).echo_text("Hello").close()
            },
        ),
        case(
            "25.9.5",
            "Send \"Hello\" in a block with BFINAL 1, then \"Hello\" without a reference.",
            BACK,
            FINAL,
            |_| {
                open()
                    .send([packed(LAST)])
                    .echo_text("Hello")
                    .send([packed(HELLO)])
                    .echo_text("Hello")
                    .close()
            },
        ),
        case(
            "25.9.6",
            "Send \"Hello\" in a block with BFINAL 1, and a reference to it.",
            "Each comes back; that the second fails is told of.",
            FINAL,
            |_| {
                let script = open().send([packed(LAST)]).echo_text("Hello");
                again(script)
                    .either([
                        (echo(&text("Hello")), Verdict::Ok, false),
                        (Want::Fail(WRONG), Verdict::Informational, true),
                    ])
                    .close()
            },
        )
        .free("RFC 1951 ends a stream with such a block, and RFC 7692 7.2.2 keeps the window of messages"),
        case(
            "25.9.7",
            "Send \"Hello\" compressed in two fragments, and a reference to it.",
            BACK,
            KEPT,
            |_| {
                let script = open()
                    .send([packed(&HELLO[..3]).more(), continuation(&HELLO[3..])])
                    .echo_text("Hello");
                again(script).echo_text("Hello").close()
            },
        ),
        case(
            "25.9.8",
            "Send text of 40000 octets compressed, then its last 30000 octets.",
            BACK,
            KEPT,
            |_| {
                let long = noise(8, 40_000);
                let end = long.get(10_000..).unwrap_or_default().to_vec();
                open()
                    .message(true, long.clone())
                    .echo_text(long)
                    .message(true, end.clone())
                    .echo_text(end)
                    .close()
            },
        ),
    ]
}

/// The effect of a message on the window of the peer's compressor.
fn echoed() -> Vec<Case> {
    vec![
        case(
            "25.9.9",
            "Send text of each length from 1 to 200 octets, compressed, then each of them again in one message.",
            "Each comes back; the last refers to nothing that came without RSV1.",
            PLAIN,
            |_| {
                let parts: Vec<Vec<u8>> = (1..=200)
                    .map(|length| noise(length as u64, length))
                    .collect();
                let script = parts.iter().fold(open(), |script, part| {
                    script.message(true, part.clone()).echo_text(part.clone())
                });
                let whole = parts.concat();
                script.message(true, whole.clone()).echo_text(whole).close()
            },
        ),
        case(
            "25.9.10",
            "Send text of 200 octets plain, and again compressed, 20 times.",
            BACK,
            PLAIN,
            |_| {
                (0..20)
                    .fold(open(), |script, turn| {
                        let message = noise(turn, 200);
                        script
                            .send([text(message.clone())])
                            .echo_text(message.clone())
                            .message(true, message.clone())
                            .echo_text(message)
                    })
                    .close()
            },
        ),
        case(
            "25.9.11",
            "Send text of 200 octets, an empty message, and that text again, compressed, 20 times.",
            BACK,
            KEPT,
            |_| {
                let long = noise(11, 200);
                (0..20)
                    .fold(open(), |script, _| {
                        script
                            .message(true, long.clone())
                            .echo_text(long.clone())
                            .message(true, "")
                            .echo_text("")
                    })
                    .message(true, long.clone())
                    .echo_text(long.clone())
                    .close()
            },
        ),
        case(
            "25.9.12",
            "Send text of each length from 0 to 20 octets, compressed.",
            BACK,
            EACH,
            |_| {
                (0..=20)
                    .fold(open(), |script, length| {
                        let message = vec![b'a'; length];
                        script.message(true, message.clone()).echo_text(message)
                    })
                    .close()
            },
        ),
    ]
}
