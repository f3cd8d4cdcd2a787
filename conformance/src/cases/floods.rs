//! Cases 27.*: too much at once, and too slowly.
//! RFC 6455 sections 5.5.2, 5.5.3 and 10.4.

use super::rules::parsed;
use crate::case::{Case, case};
use crate::frame::{Frame, Masking, binary, continuation, ping, pong, text};
use crate::inbox::Event;
use crate::script::{Script, Seen, Step, Want, millis};
use crate::verdict::Verdict;

const PONGS: &str = "RFC 6455 5.5.2: \"an endpoint MUST send a Pong frame in response\"; 5.5.3: \"If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in response to previous Ping frame(s), the endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame.\"";
const UNASKED: &str = concat!(
    parsed!(),
    " 5.5.3: \"A Pong frame MAY be sent unsolicited.\""
);
const LIMITS: &str = "RFC 6455 10.4: \"Implementations that have implementation- and/or platform-specific limitations regarding the frame size or total message size after reassembly from multiple frames MUST protect themselves against exceeding those limits.\"";
const STREAM: &str = concat!(
    parsed!(),
    " RFC 9293 3.9.1: TCP delivers a stream of octets, in any pieces, at any pace."
);
const SLOW: &str = concat!(
    parsed!(),
    " RFC 9293 3.8.6: a slow reader slows its peer down, and loses nothing."
);

/// A payload that tells pings apart.
fn numbered(n: usize) -> Vec<u8> {
    let mut payload = vec![b'.'; 125];
    for (to, from) in payload.iter_mut().zip(format!("{n:06}").bytes()) {
        *to = from;
    }
    payload
}

/// The cases.
pub fn cases() -> Vec<Case> {
    vec![
        case("27.1.1", "Send 1000 pings of 125 octets and text, in one write.", "Pongs in order, at least the last; and the text. A peer that ends the connection is told of.", PONGS, |_| {
            answered(Script::new().send(flood(1000)), 1000).close()
        }).free("RFC 6455 10.4 allows a limit on what a peer may ask for at once"),
        case("27.1.2", "Send 50 000 pings of 125 octets without reading for a second; then text, and read.", "Pongs in order, at least the last; and the text. A peer that ends the connection is told of.", PONGS, |_| {
            let script = Script::new()
                .step(Step::Reading(false))
                .send(flood(50_000))
                .step(Step::Sleep(millis(1000)))
                .step(Step::Reading(true));
            answered(script, 50_000).close()
        }).waits().free("RFC 6455 10.4 allows a limit on what a peer may ask for at once"),
        case("27.1.3", "Send 100 000 pongs that nobody asked for, then text.", "The text comes back.", UNASKED, |_| {
            let mut frames: Vec<Frame> = (0..100_000).map(|_| pong("unasked")).collect();
            frames.push(text("Hello"));
            Script::new().send(frames).echo_text("Hello").close()
        }),
        case("27.2.1", "Send text in 10 000 fragments, all but the first and the last empty.", "The text comes back, or the connection fails with 1008 or 1009.", LIMITS, |_| {
            empty_fragments(10_000)
        }),
        case("27.2.2", "Send text in 200 000 fragments, all but the first and the last empty.", "The text comes back, or the connection fails with 1008 or 1009.", LIMITS, |_| {
            empty_fragments(200_000)
        }),
        case("27.2.3", "Send a binary message in 100 000 fragments of one octet.", "The same comes back, or the connection fails with 1008 or 1009.", LIMITS, |_| {
            let mut frames = vec![binary([0]).more()];
            frames.extend((1..99_999).map(|n| continuation([n as u8]).more()));
            frames.push(continuation([99_999_usize as u8]));
            let payload: Vec<u8> = (0..100_000).map(|n| n as u8).collect();
            whole_or_refused(Script::new().send(frames), false, payload)
        }),
        case("27.2.4", "Send 100 000 empty messages in one write.", "All come back.", STREAM, |_| {
            let frames: Vec<Frame> = (0..100_000).map(|_| text("")).collect();
            let mut seen = 0;
            Script::new()
                .send(frames)
                .step(Step::Until("all 100 000 messages".into(), Box::new(move |event| match event {
                    Event::Message { payload, .. } if payload.is_empty() => {
                        seen += 1;
                            Ok(if seen == 100_000 { Seen::Last } else { Seen::More })
                    }
                    _ => Err(format!("after {seen} messages something else came")),
                })))
                .close()
        }),
        case("27.3.1", "Send 8 MiB in messages of 64 KiB without reading for a second; then read.", "All come back.", SLOW, |_| {
            let script = Script::new()
                .step(Step::Reading(false))
                .send((0..128).map(|n| binary(vec![n; 64 << 10])).collect::<Vec<_>>())
                .step(Step::Sleep(millis(1000)))
                .step(Step::Reading(true));
            (0..128).fold(script, |script, n| script.echo_binary(vec![n; 64 << 10])).close()
        }).waits(),
        case("27.3.2", "Send a message of 4 MiB without reading for a second; then read.", "The same comes back.", SLOW, |_| {
            let message = binary(vec![7; 4 << 20]);
            Script::new()
                .step(Step::Reading(false))
                .send([message.clone()])
                .step(Step::Sleep(millis(1000)))
                .step(Step::Reading(true))
                .echo(&message)
                .close()
        }).waits(),
        case("27.4.1", "Send text of 20 octets, one octet each 50 ms.", "The same comes back.", STREAM, |_| {
            let message = text("slowly, slowly, slow").masking(Masking::Key([0; 4]));
            slowly(&message)
        }).waits(),
        case("27.4.2", "Send a ping in three parts, 200 ms apart.", "A pong comes.", STREAM, |_| {
            let begin = ping("sl").claim(6).masking(Masking::Key([0; 4]));
            Script::new()
                .send([begin])
                .quiet(millis(200))
                .bytes("ow")
                .quiet(millis(200))
                .bytes("ly")
                .pong("slowly")
                .close()
        }).waits(),
    ]
}

/// Numbered pings, followed by text.
fn flood(count: usize) -> Vec<Frame> {
    (0..count)
        .map(|n| ping(numbered(n)))
        .chain([text("Hello")])
        .collect()
}

/// Pongs in order, some may be left out; the last one and the text must come, in either order.
fn answered(script: Script, count: usize) -> Script {
    let (mut next, mut text) = (0, false);
    script.step(Step::Until(
        "the last pong and the text".into(),
        Box::new(move |event| {
            match event {
                Event::Pong(got) => match (next..count).find(|n| *got == numbered(*n)) {
                    Some(n) => next = n + 1,
                    None => return Err("a pong answers no ping that is open".into()),
                },
                Event::Message { payload, .. } if payload == b"Hello" && !text => text = true,
                Event::Close(..) | Event::End(_) => return Ok(Seen::Allowed),
                _ => return Err("something else came".into()),
            }
            Ok(if next == count && text {
                Seen::Last
            } else {
                Seen::More
            })
        }),
    ))
}

fn empty_fragments(count: usize) -> Script {
    let mut frames = vec![text("start").more()];
    frames.extend((2..count).map(|_| continuation("").more()));
    frames.push(continuation("end"));
    whole_or_refused(Script::new().send(frames), true, b"startend".to_vec())
}

fn whole_or_refused(script: Script, text: bool, payload: Vec<u8>) -> Script {
    script
        .either([
            (Want::Message { text, payload }, Verdict::Ok, false),
            (Want::Fail(&[1008, 1009]), Verdict::Ok, true),
        ])
        .close()
}

/// A message with a pause after each byte.
fn slowly(message: &Frame) -> Script {
    let mut begin = message.clone().claim(message.payload.len() as u64);
    begin.payload.clear();
    let script = Script::new().send([begin]);
    message
        .payload
        .iter()
        .fold(script, |script, byte| {
            script.quiet(millis(50)).bytes([*byte])
        })
        .echo(message)
        .close()
}
