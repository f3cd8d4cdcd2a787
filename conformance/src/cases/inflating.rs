//! Cases 25.5: compressed messages that are impossible, too large, or not what they claim.
//! RFC 7692 section 7.2.2; RFC 6455 sections 8.1 and 10.4.

use super::rules::parsed;
use super::streams::{COMPRESSED, ECHOES, HELLO, INFLATE, WRONG, open, packed};
use crate::case::{Case, case};
use crate::deflate::Deflater;
use crate::frame::{Frame, binary, continuation};
use crate::script::{INVALID, Want};
use crate::verdict::{Verdict, Word};

const TEXT: &str = "RFC 6455 8.1: text is judged when it is decompressed; a bad one MUST _Fail the WebSocket Connection_.";
const BOMB: &str = "RFC 6455 10.4: an implementation with limits \"SHOULD impose a limit on frame sizes and the total message size after reassembly from multiple frames\": also while it inflates.";

/// The cases.
pub fn cases() -> Vec<Case> {
    let bad: [(&str, &str, &[u8]); 6] = [
        (
            "25.5.1",
            "Send octets that are not deflate data.",
            &[0xff, 0xff, 0xff, 0xff],
        ),
        (
            "25.5.2",
            "Send a block of the reserved type 3.",
            &[0x06, 0x00],
        ),
        (
            "25.5.3",
            "Send a block without compression whose lengths do not fit each other.",
            &[0x00, 0x05, 0x00, 0x00, 0x00, 0x48, 0x65, 0x6c, 0x6c, 0x6f],
        ),
        (
            "25.5.4",
            "Send a reference to what lies before the first message.",
            &[0x03, 0x12, 0x00],
        ),
        (
            "25.5.5",
            "Send a block without compression that ends before its octets.",
            &[0x00, 0xff, 0x00, 0x00, 0xff, 0x48],
        ),
        (
            "25.5.6",
            "Send a block with dynamic codes of which there are too many.",
            &[0x04, 0x00, 0x92, 0x04],
        ),
    ];
    let mut all: Vec<Case> = bad
        .into_iter()
        .map(|(id, does, bytes)| {
            case(
                id,
                does,
                "The connection fails with 1007 or 1002.",
                INFLATE,
                move |_| open().send([packed(bytes)]).fails(WRONG),
            )
        })
        .collect();
    let deflated = |bytes: &[u8]| Deflater::new(15, false).message(bytes);
    all.extend([
        case(
            "25.5.7",
            "Send a compressed message that ends in the middle of a block.",
            "The connection fails with 1007 or 1002; a peer that takes it for whole is told of.",
            INFLATE,
            |_| {
                open()
                    .send([packed(&HELLO[..3])])
                    .either([
                        (Want::Fail(WRONG), Verdict::Ok, true),
                        (
                            Want::Message {
                                text: true,
                                payload: b"Heh".to_vec(),
                            },
                            Verdict::NonStrict,
                            false,
                        ),
                        (
                            Want::Message {
                                text: true,
                                payload: b"He".to_vec(),
                            },
                            Verdict::NonStrict,
                            false,
                        ),
                    ])
                    .close()
            },
        ),
        case(
            "25.5.8",
            "Send compressed text that is not UTF-8.",
            "The connection fails with 1007.",
            TEXT,
            move |_| {
                open()
                    .send([packed(deflated(b"ab\xff\xfe"))])
                    .fails(INVALID)
            },
        ),
        case(
            "25.5.9",
            "Send compressed text that ends inside a character.",
            "The connection fails with 1007.",
            TEXT,
            move |_| {
                open()
                    .send([packed(deflated(b"ab\xe2\x82"))])
                    .fails(INVALID)
            },
        ),
        case(
            "25.5.10",
            "Send compressed text in fragments, split inside a character of its compressed octets.",
            ECHOES,
            TEXT,
            move |_| {
                let whole = "\u{20ac}\u{1f600}".repeat(50);
                let bytes = deflated(whole.as_bytes());
                let (left, right) = bytes.split_at(bytes.len() / 2);
                open()
                    .send([packed(left).more(), continuation(right)])
                    .echo_text(whole)
                    .close()
            },
        ),
        case(
            "25.5.11",
            "Send binary, compressed, that is not UTF-8.",
            ECHOES,
            concat!(
                parsed!(),
                " RFC 7692 7.2: binary messages are compressed as text is."
            ),
            move |_| {
                let bytes: Vec<u8> = (0..=255).collect();
                let packed = deflated(&bytes);
                open()
                    .send([binary(packed).rsv(COMPRESSED)])
                    .echo_binary(bytes)
                    .close()
            },
        ),
        case(
            "25.5.12",
            "Send a message that inflates to 1 GiB.",
            "The connection fails with 1009; a peer that takes it is non-strict.",
            BOMB,
            |_| {
                let block = Deflater::new(15, false).message(&vec![0; 1 << 20]);
                let joined: Vec<u8> = [block.as_slice(), &[0, 0, 0xff, 0xff]].concat();
                let mut bytes = joined.repeat(1024);
                bytes.truncate(bytes.len() - 4);
                open()
                    .send([binary(bytes).rsv(COMPRESSED)])
                    .fails(&[1009, 1008])
            },
        )
        .stands_on(Word::Should),
        case(
            "25.5.13",
            "Send a message that inflates to 1 GiB, in fragments of 1 KiB.",
            "The connection fails with 1009; a peer that takes it is non-strict.",
            BOMB,
            |_| {
                let block = Deflater::new(15, false).message(&vec![0; 1 << 20]);
                let joined: Vec<u8> = [block.as_slice(), &[0, 0, 0xff, 0xff]].concat();
                let bytes = joined.repeat(1024);
                let mut frames: Vec<Frame> = bytes
                    .chunks(1024)
                    .map(|part| continuation(part).more())
                    .collect();
                if let Some(first) = frames.first_mut() {
                    *first = binary(first.payload.clone()).rsv(COMPRESSED).more();
                }
                if let Some(last) = frames.last_mut() {
                    last.fin = true;
                }
                open().send(frames).fails(&[1009, 1008])
            },
        )
        .stands_on(Word::Should),
    ]);
    all
}
