//! Cases 30.4: several streams on one connection of a server.
//! RFC 8441 section 1; RFC 9113 section 5.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::{MALFORMED, TAKES};
use super::server::echoes;
use super::{field, head_frame, opened, without};
use crate::case::{Case, case};
use crate::cases::rules::parsed;
use crate::frame::{Frame, Reader, binary, close, opcode, text};
use crate::http2::wire::{self, MAIN, data, error};
use crate::http2::{Incident, Options};
use crate::inbox::Event;
use crate::script::{Act, Script, Seen, Setting, Step, echo};
use crate::verdict::Word;

const APART: &str = concat!(
    parsed!(),
    " RFC 9113 5.4.2: \"A stream error is an error related to a specific stream that does not affect processing of other streams.\""
);
const MIXED: &str = concat!(
    parsed!(),
    " RFC 8441 1: \"The other streams on the connection may carry more extended CONNECT tunnels, traditional HTTP/2 data, or a mixture of both.\""
);
const AGAIN: &str =
    "RFC 9113 5.4.1: \"an endpoint MAY choose to treat a stream error as a connection error\"";

/// Opens other WebSockets, on these streams. RFC 6455 section 4.1: a client sends nothing more before it is answered.
fn beside(script: Script, setting: &Setting, streams: &[u32]) -> Script {
    let asked = { streams.iter() }.fold(script, |script, stream| {
        script.act(Act::Request(*stream, setting.connect(), false))
    });
    let mut left: BTreeSet<u32> = streams.iter().copied().collect();
    let check = move |event: &Event| match event {
        Event::Beside(Incident::Head { stream, head }) if head.opens() => {
            left.remove(stream);
            Ok(more(left.is_empty()))
        }
        _ => Err("it did not open".into()),
    };
    let what = format!("200 on {}", told(streams));
    asked.step(Step::Until(what, Box::new(check)))
}

/// Returns whether that was the last event.
const fn more(last: bool) -> Seen {
    match last {
        true => Seen::Last,
        false => Seen::More,
    }
}

fn told(streams: &[u32]) -> String {
    let numbers: Vec<String> = streams.iter().map(ToString::to_string).collect();
    format!("the streams {}", numbers.join(", "))
}

/// Sends a frame of a WebSocket on this stream.
fn on(stream: u32, frame: &Frame) -> wire::Frame {
    let mut bytes = Vec::new();
    frame.write(Some([1, 2, 3, stream.to_be_bytes()[3]]), &mut bytes);
    data(stream, bytes)
}

/// Expects that this text comes back on each of these streams.
fn come_back(streams: &[u32], wanted: &'static str) -> Step {
    let mut left: BTreeSet<u32> = streams.iter().copied().collect();
    let mut readers: BTreeMap<u32, Reader> = BTreeMap::new();
    let check = move |event: &Event| {
        match event {
            Event::Beside(Incident::Data { stream, bytes }) => {
                let reader = readers.entry(*stream).or_default();
                let mut input = bytes.as_slice();
                while let Ok(Some(frame)) = reader.next(&mut input, 1 << 20) {
                    if frame.opcode != opcode::TEXT || frame.payload != wanted.as_bytes() {
                        return Err(format!("another frame came on stream {stream}"));
                    }
                    left.remove(stream);
                }
            }
            _ => return Err("it did not come".into()),
        }
        Ok(more(left.is_empty()))
    };
    let what = format!("`{wanted}` on {}", told(streams));
    Step::Until(what, Box::new(check))
}

/// Expects the end of this stream.
fn ends(stream: u32) -> Step {
    let check = move |event: &Event| match event {
        Event::Beside(Incident::End { stream: ended, .. }) if *ended == stream => Ok(Seen::Last),
        Event::Beside(Incident::Data { .. }) => Ok(Seen::More),
        _ => Err("it did not end".into()),
    };
    Step::Until(format!("the end of stream {stream}"), Box::new(check))
}

/// Expects any answer to a request that is none for a WebSocket.
fn answer(stream: u32) -> Step {
    let check =
        move |event: &Event| match event {
            Event::Beside(
                Incident::Head { stream: own, .. } | Incident::End { stream: own, .. },
            ) if *own == stream => Ok(Seen::Last),
            _ => Err("it did not come".into()),
        };
    Step::Until(format!("an answer on stream {stream}"), Box::new(check))
}

/// Expects that a request is refused, alone or with the whole connection.
fn refused(stream: u32) -> Step {
    let check = move |event: &Event| match event {
        Event::Beside(Incident::Head { stream: own, head }) if *own == stream => {
            match head.status() {
                Some(400..=599) => Ok(Seen::Last),
                _ => Err("it was not refused".into()),
            }
        }
        Event::Beside(Incident::End { stream: own, .. }) if *own == stream => Ok(Seen::Last),
        Event::End(_) => Ok(Seen::Allowed),
        _ => Err("it was not refused".into()),
    };
    Step::Until(format!("a refusal on stream {stream}"), Box::new(check))
}

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut all = vec![
        case(
            "30.4.1",
            "Open ten WebSockets on one connection, and send text on each.",
            "The text comes back on each.",
            TAKES,
            |setting| {
                let streams: Vec<u32> = (3..20).step_by(2).collect();
                let script = beside(opened(setting), setting, &streams);
                let sends: Vec<_> = { streams.iter() }
                    .map(|stream| on(*stream, &text("beside")))
                    .collect();
                echoes(script.frames(sends).step(come_back(&streams, "beside")))
            },
        ),
        case(
            "30.4.2",
            "Reset one of two WebSockets with RST_STREAM and CANCEL.",
            "The other one goes on.",
            APART,
            |setting| {
                let script = beside(opened(setting), setting, &[3]);
                let script = script.frames([on(3, &text("beside"))]);
                let script = script.step(come_back(&[3], "beside"));
                echoes(script.frames([wire::reset(3, error::CANCEL)]))
            },
        ),
        case(
            "30.4.3",
            "Close one of two WebSockets.",
            "It ends, and the other one goes on.",
            MIXED,
            |setting| {
                let script = beside(opened(setting), setting, &[3]);
                let script = script.frames([on(3, &text("beside"))]);
                let script = script.step(come_back(&[3], "beside"));
                let script = script.frames([on(3, &close(1000, ""))]);
                echoes(script.step(ends(3)))
            },
        ),
        case(
            "30.4.4",
            "Send a malformed request beside a WebSocket.",
            "It is refused, and the WebSocket goes on.",
            MALFORMED,
            |setting| {
                let bad = without(setting.connect(), ":path");
                let script = opened(setting).frames([head_frame(3, &bad)]);
                echoes(script.step(refused(3)))
            },
        )
        .stands_on(Word::May)
        .free(AGAIN),
        case(
            "30.4.5",
            "Send a GET beside a WebSocket.",
            "It is answered, and the WebSocket goes on.",
            MIXED,
            |setting| {
                let get = [
                    field(":method", "GET"),
                    field(":scheme", "http"),
                    field(":path", "/"),
                    field(":authority", &setting.host),
                ];
                let get = Act::Request(3, get.into(), true);
                echoes(opened(setting).act(get).step(answer(3)))
            },
        ),
        case(
            "30.4.6",
            "Close a WebSocket, and open another one on the same connection.",
            "Text comes back on it.",
            TAKES,
            |setting| {
                let script = beside(opened(setting), setting, &[3]);
                let script = script.frames([on(3, &close(1000, ""))]);
                let script = beside(script.step(ends(3)), setting, &[5]);
                let script = script.frames([on(5, &text("again"))]);
                echoes(script.step(come_back(&[5], "again")))
            },
        ),
    ];
    all.push(case(
        "30.4.7",
        "Give no room for the rest of a message on one of two WebSockets, and send text on the other.",
        "The text comes back; with new room, so does the message.",
        MIXED,
        |setting| {
            let options = Options::toward(setting.peer).window(1000).holds();
            let message = binary(vec![9; 5000]);
            let script = beside(Script::new().over(options), setting, &[3]);
            let script = script.send([message.clone()]);
            let script = script.frames([on(3, &text("beside"))]);
            let script = script.step(come_back(&[3], "beside"));
            let room = [wire::window_update(MAIN, 1 << 20)];
            script.frames(room).expect(echo(&message)).close()
        },
    ));
    for case in std::mem::take(&mut all) {
        all.push(case.for_servers());
    }
    all
}
