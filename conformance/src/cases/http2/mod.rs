//! Cases 30.* to 32.*: WebSockets over HTTP/2.
//! RFC 8441; RFC 9113 for what is below them, and RFC 6455 for what is above.

mod client;
mod framing;
mod rules;
mod server;
mod shared;
mod streams;
mod windows;

use crate::case::Case;
use crate::http::Head;
use crate::http2::wire::{Frame, flag, frame, kind};
use crate::http2::{Fields, Options, Session, heads};
use crate::opening;
use crate::script::{Act, Peer, Script, Setting, Step, Want};

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    [
        server::cases(),
        shared::cases(),
        client::cases(),
        streams::cases(),
        windows::cases(),
        framing::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Starts with an ordinary WebSocket over HTTP/2.
fn opened(setting: &Setting) -> Script {
    Script::new().over(Options::toward(setting.peer))
}

/// Starts with the settings, and writes its own heads.
fn raw(setting: &Setting) -> Script {
    Script::raw().over(Options::toward(setting.peer))
}

/// Waits for the peer's settings, which a server's must precede the request of the suite.
fn settled() -> Step {
    let look = |session: &Session| match (session.is_settled(), session.connect_protocol()) {
        (false, _) => None,
        (true, Some(1)) => Some(Ok(())),
        (true, found) => Some(Err(format!(
            "its SETTINGS_ENABLE_CONNECT_PROTOCOL is {found:?}, and not 1"
        ))),
    };
    let what = "SETTINGS that enable extended CONNECT";
    Step::Http2(Act::Await(what, Box::new(look)))
}

/// Waits until our settings are acknowledged.
fn acknowledged() -> Act {
    let look = |session: &Session| session.is_acknowledged().then_some(Ok(()));
    Act::Await("the acknowledgement of our SETTINGS", Box::new(look))
}

/// Waits for so many acknowledged pings.
fn pinged(count: usize) -> Act {
    let look = move |session: &Session| (session.pings() >= count).then_some(Ok(()));
    Act::Await("the acknowledgement of our PING", Box::new(look))
}

/// A PING of HTTP/2.
fn ping() -> Frame {
    frame(
        kind::PING,
        0,
        0,
        "wsconform".as_bytes().get(..8).unwrap_or_default(),
    )
}

/// A field.
fn field(name: &str, value: &str) -> (String, String) {
    (name.into(), value.into())
}

/// Fields without one of them.
fn without(mut fields: Fields, name: &str) -> Fields {
    fields.retain(|(own, _)| own != name);
    fields
}

/// Fields with one of them changed.
fn with(mut fields: Fields, name: &str, value: &str) -> Fields {
    for (own, old) in &mut fields {
        if own == name {
            *old = value.into();
        }
    }
    fields
}

/// A head in one frame, of the main stream.
fn head_frame(stream: u32, fields: &[(String, String)]) -> Frame {
    let block = heads::encode(fields);
    frame(kind::HEADERS, flag::END_HEADERS, stream, block)
}

/// A head in a HEADERS frame and as many CONTINUATION frames as it takes.
fn in_parts(stream: u32, fields: &[(String, String)], size: usize) -> Vec<Frame> {
    let block = heads::encode(fields);
    let count = block.len().div_ceil(size);
    let parts = block.chunks(size).enumerate();
    parts
        .map(|(at, part)| {
            let kind = if at == 0 {
                kind::HEADERS
            } else {
                kind::CONTINUATION
            };
            let flags = if at + 1 == count {
                flag::END_HEADERS
            } else {
                0
            };
            frame(kind, flags, stream, part)
        })
        .collect()
}

/// A payload behind its Pad Length, with padding after it.
fn padded(payload: &[u8], padding: u8) -> Vec<u8> {
    [&[padding], payload, &vec![0; padding.into()]].concat()
}

/// An answer that opens the WebSocket, and chooses none but the run's subprotocols and these.
fn answered(setting: &Setting, more: &[&str]) -> Want {
    let more = more.iter().map(|name| (*name).to_owned());
    let protocols: Vec<String> = setting.protocols.iter().cloned().chain(more).collect();
    let check = move |head: &Head| opening::check_answer(head, &[], &protocols).map(drop);
    Want::Head("200", Box::new(check))
}

/// The masking key of a frame that is written by hand.
fn key(setting: &Setting) -> Option<[u8; 4]> {
    (setting.peer == Peer::Server).then_some([1, 2, 3, 4])
}
