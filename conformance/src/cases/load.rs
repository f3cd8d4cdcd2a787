//! Cases 9.* and 10.*: large messages, small fragments, many messages.
//! RFC 6455 sections 5.2, 5.4 and 10.4.

use super::rules::parsed;
use crate::case::{Case, case};
use crate::frame::{Frame, binary, continuation, text};
use crate::script::{Chop, Script, Step, Trips, Want, echo};
use crate::verdict::Verdict;

const RULE: &str = concat!(
    parsed!(),
    " 5.2: a payload may be as long as its length can say. 10.4 leaves limits to implementations."
);
const LIMIT: &str = "RFC 6455 7.4.1 has 1009 for \"a message that is too big for it to process\", and sets no size that an endpoint must take";
const KI: usize = 1 << 10;
const MI: usize = 1 << 20;

const LENGTHS: [usize; 6] = [64 * KI, 256 * KI, MI, 4 * MI, 8 * MI, 16 * MI];
const FRAGMENTS: [usize; 9] = [64, 256, KI, 4 * KI, 16 * KI, 64 * KI, 256 * KI, MI, 4 * MI];
const CHOPS: [usize; 6] = [64, 128, 256, 512, 1024, 2048];
const SMALL: [usize; 6] = [0, 16, 64, 256, 1024, 4096];

fn payload(is_text: bool, length: usize) -> Vec<u8> {
    if is_text {
        let mut payload = b"BAsd7&jh23".repeat(length / 10 + 1);
        payload.truncate(length);
        payload
    } else {
        (0..length).map(|at| (at * 7 + at / 251) as u8).collect()
    }
}

fn message(is_text: bool, payload: Vec<u8>) -> Frame {
    if is_text {
        text(payload)
    } else {
        binary(payload)
    }
}

/// A message in fragments of so many bytes.
fn fragments(is_text: bool, payload: &[u8], size: usize) -> Vec<Frame> {
    let count = payload.chunks(size).count();
    let part = |(at, part): (usize, &[u8])| {
        let frame = if at == 0 {
            message(is_text, part.to_vec())
        } else {
            continuation(part)
        };
        if at + 1 < count { frame.more() } else { frame }
    };
    payload.chunks(size).enumerate().map(part).collect()
}

/// The message comes back, or it is too big for the peer.
fn or_too_big(script: Script, message: &Frame) -> Script {
    script
        .either([
            (echo(message), Verdict::Ok, false),
            (Want::Refusal(TOO_BIG), Verdict::Informational, true),
        ])
        .close()
}

/// The codes of a peer with limits.
const TOO_BIG: &[u16] = &[1009, 1008];

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (offset, is_text) in [(1, true), (2, false)] {
        let kind = if is_text { "text" } else { "binary" };
        for (at, length) in LENGTHS.into_iter().enumerate() {
            let does = format!("Send a {kind} message of {length} octets.");
            all.push(
                case(
                    format!("9.{offset}.{}", at + 1),
                    does,
                    "The same comes back; Close 1009 or 1008 is told of.",
                    RULE,
                    move |_| {
                        let payload = payload(is_text, length);
                        let sent = message(is_text, payload);
                        or_too_big(Script::new().send([sent.clone()]), &sent)
                    },
                )
                .free(LIMIT),
            );
        }
        for (at, size) in FRAGMENTS.into_iter().enumerate() {
            let does = format!("Send a {kind} message of 4 MiB in fragments of {size} octets.");
            all.push(
                case(
                    format!("9.{}.{}", offset + 2, at + 1),
                    does,
                    "The same comes back; Close 1009 or 1008 is told of.",
                    RULE,
                    move |_| {
                        let payload = payload(is_text, 4 * MI);
                        or_too_big(
                            Script::new().send(fragments(is_text, &payload, size)),
                            &message(is_text, payload),
                        )
                    },
                )
                .free(LIMIT),
            );
        }
        for (at, size) in CHOPS.into_iter().enumerate() {
            let does = format!("Send a {kind} message of 1 MiB, in pieces of {size} octets.");
            all.push(
                case(
                    format!("9.{}.{}", offset + 4, at + 1),
                    does,
                    "The same comes back; Close 1009 or 1008 is told of.",
                    RULE,
                    move |_| {
                        let sent = message(is_text, payload(is_text, MI));
                        or_too_big(
                            Script::new().send_chopped([sent.clone()], Chop::Bytes(size)),
                            &sent,
                        )
                    },
                )
                .free(LIMIT),
            );
        }
        for (at, length) in SMALL.into_iter().enumerate() {
            let does = format!("Send 1000 {kind} messages of {length} octets, one at a time.");
            let expects = "Each comes back; the round trips are reported.";
            all.push(
                case(
                    format!("9.{}.{}", offset + 6, at + 1),
                    does,
                    expects,
                    RULE,
                    move |_| {
                        Script::new()
                            .step(Step::Trips(Trips {
                                count: 1000,
                                message: Box::new(move |_| payload(is_text, length)),
                                text: is_text,
                                fragment: None,
                                repeats: 0,
                            }))
                            .close()
                    },
                )
                .alone(),
            );
        }
    }
    let does = "Send a text message of 65536 octets in fragments of 1300 octets.";
    all.push(case("10.1.1", does, "The same comes back.", RULE, |_| {
        let payload = payload(true, 65536);
        Script::new()
            .send(fragments(true, &payload, 1300))
            .echo_text(payload)
            .close()
    }));
    all
}
