//! Cases 20.*: requests where the RFC leaves a choice, and requests that come in odd ways.
//! RFC 6455 sections 4.1, 4.2, 9.1 and 10; RFC 9110 and 9112 for HTTP.

use super::opening_server::{
    BAD, BOUNDS, EXTENSIONS, GRAMMAR, LARGE, TAKEN, accepted, echoes, first, refusal,
};
use super::rules::{accepts, parsed};
use crate::case::{Case, case};
use crate::frame::text;
use crate::http::Head;
use crate::opening;
use crate::script::{Chop, Script, Setting, Step, Want, echo, millis};
use crate::verdict::{Verdict, Word};

const CHUNKS: &str = concat!(
    accepts!(),
    " RFC 9293 3.9.1: TCP delivers a stream of octets; its pieces mean nothing."
);
const PROTOCOLS: &str = "RFC 6455 4.2.2: \"The value chosen MUST be derived from the client's handshake, specifically by selecting one of the values from the |Sec-WebSocket-Protocol| field that the server is willing to use for this connection (if any).\"";
const BODY: &str = "RFC 9110 9.3.1: content in a GET request \"has no generally defined semantics\", and \"might lead some implementations to reject the request\"; RFC 9112 9.3: a server MUST \"read the entire request message body or close the connection after sending its response\".";
const LISTED: &str = "RFC 6455 4.2.1 asks for a field \"containing the value \\\"websocket\\\"\"; RFC 9110 7.8 makes the field a list.";
const EARLY: &str = concat!(
    parsed!(),
    " 4.1: the client \"MUST wait for a response from the server before sending any further data\": a server may refuse, but loses nothing that it accepts."
);

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = vec![
        case("20.1.8", "Send octets like those of a TLS client, and an empty line, instead of HTTP.", "A refusal, or the end of TCP; silence is non-strict.", GRAMMAR, |_| {
            // The end of the head follows it: there is nothing to wait for.
            let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[0x5a; 128], b"\r\n\r\n"].concat();
            Script::raw()
                .bytes(hello)
                .either(refusal(BAD).into_iter().chain([(Want::End, Verdict::Ok, true)]))
                .step(Step::Leave)
        }).stands_on(Word::Should),
        case("20.1.9", "Ask for a path that is not there, as a server that has only some would say.", "101, or a refusal such as 404.",
            "RFC 6455 4.2.2: \"If the requested service is not available, the server MUST send an appropriate HTTP error code (such as 404 Not Found)\".", |setting| {
            either(setting, first(setting.request(), "GET /no/such/path-7f3a HTTP/1.1").write())
        }).free("a server may serve all paths"),
        case("20.7.10", "Send a field that is folded over two lines.", "A refusal, or 101 as if it were one line.",
            "RFC 9112 5.2: a server that receives an obs-fold \"MUST either reject the message by sending a 400 (Bad Request) [...] or replace each received obs-fold with one or more SP octets\".", |setting| {
            either(setting, setting.request().with("X-Fold", "a\r\n b").write())
        }).free("RFC 9112 5.2 allows both"),
        case("20.7.11", "End lines with LF alone.", "A refusal, or 101; a server that does not take LF for the end of a line may wait.",
            "RFC 9112 2.2: \"a recipient MAY recognize a single LF as a line terminator and ignore any preceding CR\".", |setting| {
            let head: Vec<u8> = setting.request().write().into_iter().filter(|byte| *byte != b'\r').collect();
            either(setting, head)
        }).stands_on(Word::May).waits().free("RFC 9112 2.2 allows both"),
        case("20.7.12", "Send a request with a body of 3 octets.", "A refusal, the end of TCP, or 101; the body is no message.",
            BODY, |setting| {
            let bytes = [setting.request().with("Content-Length", "3").write(), b"\x81\x01x".to_vec()].concat();
            with_body(setting, bytes)
        }).free("RFC 9110 9.3.1 allows to reject it, in any way"),
        case("20.7.13", "Send a request with a chunked body.", "A refusal, the end of TCP, or 101; the body is no message.",
            BODY, |setting| {
            let bytes = [setting.request().with("Transfer-Encoding", "chunked").write(), b"1\r\nx\r\n0\r\n\r\n".to_vec()].concat();
            with_body(setting, bytes)
        }).free("RFC 9110 9.3.1 allows to reject it, in any way"),
        case("20.8.4", "Send the request octet by octet.", TAKEN, CHUNKS, |setting| {
            let head = setting.request().write();
            echoes(Script::raw().step(Step::Bytes(head, Chop::Bytes(1))).expect(accepted(setting)))
        }),
        case("20.8.5", "Send the request in pieces of 7 octets, 5 ms apart.", TAKEN, CHUNKS, |setting| {
            let head = setting.request().write();
            let script = head.chunks(7).fold(Script::raw(), |script, part| script.bytes(part).pause(millis(5)));
            echoes(script.expect(accepted(setting)))
        }).waits(),
        case("20.8.6", "Send a field of 1 MiB in pieces of 16 KiB, without its end.", "It is refused, or TCP ends; nothing is held without bound.", BOUNDS, |setting| {
            let mut head = setting.request().with("X-Long", &"a".repeat(1 << 20)).write();
            head.truncate(head.len() - 4);
            Script::raw()
                .step(Step::Bytes(head, Chop::Bytes(16 << 10)))
                .either(refusal(LARGE).into_iter().chain([(Want::End, Verdict::Ok, true)]))
                .step(Step::Leave)
        }).stands_on(Word::Should),
        case("20.8.7", "Send 512 KiB of empty lines, and a request behind them.", "It is refused, TCP ends, or the request is accepted.",
            "RFC 9112 2.2: \"a server that is expecting to receive and parse a request-line SHOULD ignore at least one empty line (CRLF) received prior to the request-line\"; RFC 9110 2.3: \"SHOULD parse a received protocol element defensively\".", |setting| {
            let bytes = [b"\r\n".repeat(256 << 10), setting.request().write()].concat();
            let branches = refusal(LARGE).into_iter().chain([
                (accepted(setting), Verdict::Informational, true),
                (Want::End, Verdict::Ok, true),
            ]);
            Script::raw()
                .step(Step::Bytes(bytes, Chop::Bytes(16 << 10)))
                .either(branches)
                .step(Step::Leave)
        }).stands_on(Word::Should).free("a server may skip all of them, since they need not be held"),
        case("20.1.5", "Ask with HTTP/2.0 in an HTTP/1.1 request line.", "A refusal, or 101.",
            "RFC 6455 4.2.1: \"An HTTP/1.1 or higher GET request\"; RFC 9110 15.6.6: 505 for a major version that the server does not support.", |setting| {
            either(setting, first(setting.request(), "GET {} HTTP/2.0").write())
        }).stands_on(Word::Unsaid).free("2.0 is higher than 1.1, and no version of this form"),
        case("20.3.6", "Send `Upgrade: foo/1, websocket`.", "101, or a refusal.", LISTED, |setting| {
            either(setting, setting.request().set("Upgrade", "foo/1, websocket").write())
        }).stands_on(Word::Unsaid).free("RFC 6455 4.2.1 does not say whether other values may stand beside this one"),
        case("20.3.7", "Send Upgrade on two lines, `foo` and `websocket`.", "101, or a refusal.", LISTED, |setting| {
            either(setting, setting.request().set("Upgrade", "foo").with("Upgrade", "websocket").write())
        }).stands_on(Word::Unsaid).free("RFC 6455 4.2.1 does not say whether other values may stand beside this one"),
        case("20.6.12", "Send the version 8, that of a draft.", "A refusal, or 101.",
            "RFC 6455 4.4: \"If the server doesn't support the requested version, it MUST respond with a |Sec-WebSocket-Version| header field\"; 4.2.2: a server may understand several.", |setting| {
            either(setting, setting.request().set("Sec-WebSocket-Version", "8").write())
        }).free("servers may understand the versions of drafts, which frame alike"),
        case("20.8.8", "Send the request and a frame at once, before the answer.", "Text comes back, or the request is refused; the frame is not lost.",
            EARLY, |setting| {
            let mut bytes = setting.request().write();
            text("Hello").masking(crate::frame::Masking::Key([1, 2, 3, 4])).write(Some([1, 2, 3, 4]), &mut bytes);
            let refused = |head: &Head| match head.status() {
                Some(400..=599) => Ok(()),
                _ => Err(format!("expected 101 or a refusal, and got `{}`", head.first)),
            };
            Script::raw()
                .bytes(bytes)
                .either([
                    (accepted(setting), Verdict::Ok, false),
                    (Want::Head("a refusal", Box::new(refused)), Verdict::Ok, true),
                    (Want::End, Verdict::Informational, true),
                ])
                .echo_text("Hello")
                .close()
        }).free("the client breaks a rule itself, and a server may end TCP for it"),
        case("20.9.3", "Offer the subprotocols `chat` and `superchat`.", "101 with one of them, or with none.", PROTOCOLS, |setting| {
            offers_protocols(setting, &["chat, superchat"])
        }),
        case("20.9.4", "Offer subprotocols on two lines.", "101 with one of them, or with none.", PROTOCOLS, |setting| {
            offers_protocols(setting, &["chat", "superchat"])
        }),
        case("20.9.5", "Send extensions that are malformed.", "A refusal; a server that ignores them is told of.", EXTENSIONS, |setting| {
            either(setting, setting.request().with("Sec-WebSocket-Extensions", "permessage-deflate; =").write())
        }).stands_on(Word::Unsaid).free("section 9.1 says to fail, 4.2.2 to ignore what cannot be used; servers differ"),
        case("20.9.6", "Send a subprotocol that is no token.", "A refusal, or 101 without it.", PROTOCOLS, |setting| {
            either(setting, setting.request().with("Sec-WebSocket-Protocol", "a b, {}").write())
        }).stands_on(Word::Unsaid).free("section 4.2.1 does not say what a malformed offer comes to"),
        case("20.10.1", "Ask as a browser on another site would.", "101, or 403.",
            "RFC 6455 10.2: \"Servers that are not intended to process input from any web page but only for certain sites SHOULD verify the |Origin| field\".", |setting| {
            either(setting, setting.request().without("Origin").with("Origin", "https://evil.example").write())
        }).stands_on(Word::Should).free("an echo server may be meant for all sites"),
    ];
    for case in &mut all {
        case.peer = Some(crate::script::Peer::Server);
    }
    all
}

fn offers_protocols(setting: &Setting, lines: &[&str]) -> Script {
    let head = lines.iter().fold(setting.request(), |head, line| {
        head.with("Sec-WebSocket-Protocol", line)
    });
    let key = setting.key();
    let mut protocols = setting.protocols.clone();
    protocols.extend(["chat".into(), "superchat".into()]);
    let chosen = move |head: &Head| match head.all("Sec-WebSocket-Protocol").count() {
        0 | 1 => opening::check_response(head, &key, &[], &protocols).map(drop),
        count => Err(format!("it chose {count} subprotocols")),
    };
    echoes(
        Script::raw()
            .bytes(head.write())
            .expect(Want::Head("101", Box::new(chosen))),
    )
}

/// Either of both is right.
fn either(setting: &Setting, bytes: Vec<u8>) -> Script {
    echoes(Script::raw().bytes(bytes).either(taken_or_refused(setting)))
}

/// A request with a body: a server that does not skip it may end the connection.
fn with_body(setting: &Setting, bytes: Vec<u8>) -> Script {
    let ended = [(Want::End, Verdict::Informational, true)];
    Script::raw()
        .bytes(bytes)
        .either(taken_or_refused(setting).into_iter().chain(ended))
        .send([text("Hello")])
        .either([
            (echo(&text("Hello")), Verdict::Informational, false),
            (Want::Fail(&[]), Verdict::Informational, true),
        ])
        .close()
}

fn taken_or_refused(setting: &Setting) -> [(Want, Verdict, bool); 2] {
    let refused = |head: &Head| match head.status() {
        Some(400..=599) => Ok(()),
        _ => Err(format!(
            "expected 101 or a refusal, and got `{}`",
            head.first
        )),
    };
    [
        (accepted(setting), Verdict::Informational, false),
        (
            Want::Head("a refusal", Box::new(refused)),
            Verdict::Informational,
            true,
        ),
    ]
}
