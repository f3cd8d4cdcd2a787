//! Cases 20.*: requests where the RFC leaves a choice, and requests that come in odd ways.
//! RFC 6455 sections 4.1, 4.2, 9.1 and 10; RFC 9110 and 9112 for HTTP.

use super::opening_server::{
    BAD, BOUNDS, EXTENSIONS, LARGE, REFUSE, TAKEN, accepted, echoes, first, refusal,
};
use crate::case::{Case, case};
use crate::frame::text;
use crate::http::Head;
use crate::opening;
use crate::script::{Chop, KEY, Script, Setting, Step, Want, millis};
use crate::verdict::Verdict;

const CHUNKS: &str = "RFC 9293 3.9.1: TCP delivers a stream of octets; its pieces mean nothing. RFC 6455 4.2.1 reads a handshake from it.";
const PROTOCOLS: &str = "RFC 6455 4.2.2: the subprotocol is \"either a single value [...] selected from the list\" of the client, or none.";

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = vec![
        case("20.1.8", "Send octets like those of a TLS client, and an empty line, instead of HTTP.", "A refusal, or the end of TCP.", REFUSE, |_| {
            // The end of the head follows it: there is nothing to wait for.
            let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[0x5a; 128], b"\r\n\r\n"].concat();
            Script::raw()
                .bytes(hello)
                .either(refusal(BAD).into_iter().chain([(Want::End, Verdict::Ok, true)]))
                .step(Step::Leave)
        }),
        case("20.1.9", "Ask for a path that is not there, as a server that has only some would say.", "101, or a refusal such as 404.",
            "RFC 6455 4.2.2: \"If the requested service is not available, the server MUST send an appropriate HTTP error code (such as 404 Not Found)\".", |setting| {
            either(first(setting.request(), "GET /no/such/path-7f3a HTTP/1.1").write())
        }).free("a server may serve all paths"),
        case("20.7.10", "Send a field that is folded over two lines.", "A refusal, or 101 as if it were one line.",
            "RFC 9112 5.2: a server that receives an obs-fold \"MUST either reject the message by sending a 400 (Bad Request) [...] or replace each received obs-fold with one or more SP octets\".", |setting| {
            either(setting.request().with("X-Fold", "a\r\n b").write())
        }).free("RFC 9112 5.2 allows both"),
        case("20.7.11", "End lines with LF alone.", "A refusal, or 101.",
            "RFC 9112 2.2: \"a recipient MAY recognize a single LF as a line terminator and ignore any preceding CR\".", |setting| {
            let head: Vec<u8> = setting.request().write().into_iter().filter(|byte| *byte != b'\r').collect();
            either(head)
        }).free("RFC 9112 2.2 allows both"),
        case("20.7.12", "Send a request with a body of 3 octets.", "A refusal; or 101, and the body is not taken for a frame.",
            "RFC 9110 9.3.1: content in a GET request \"has no generally defined semantics\", and \"might lead some implementations to reject the request\"; RFC 9112 6: it is delimited by Content-Length.", |setting| {
            let bytes = [setting.request().with("Content-Length", "3").write(), b"\x81\x01x".to_vec()].concat();
            either(bytes)
        }).free("RFC 9110 9.3.1 allows to reject it"),
        case("20.7.13", "Send a request with a chunked body.", "A refusal; or 101, and the body is not taken for a frame.",
            "RFC 9110 9.3.1, RFC 9112 6 and 7.1: as for a body with a length.", |setting| {
            let bytes = [setting.request().with("Transfer-Encoding", "chunked").write(), b"1\r\nx\r\n0\r\n\r\n".to_vec()].concat();
            either(bytes)
        }).free("RFC 9110 9.3.1 allows to reject it"),
        case("20.8.4", "Send the request octet by octet.", TAKEN, CHUNKS, |setting| {
            let head = setting.request().write();
            echoes(Script::raw().step(Step::Bytes(head, Chop::Bytes(1))).expect(accepted()))
        }),
        case("20.8.5", "Send the request in pieces of 7 octets, with pauses.", TAKEN, CHUNKS, |setting| {
            let head = setting.request().write();
            let script = head.chunks(7).fold(Script::raw(), |script, part| script.bytes(part).pause(millis(5)));
            echoes(script.expect(accepted()))
        }).waits(),
        case("20.8.6", "Send a field of 1 MiB octet group by octet group, without its end.", "It is refused, or TCP ends; nothing is held without bound.", BOUNDS, |setting| {
            let mut head = setting.request().with("X-Long", &"a".repeat(1 << 20)).write();
            head.truncate(head.len() - 4);
            Script::raw()
                .step(Step::Bytes(head, Chop::Bytes(16 << 10)))
                .either(refusal(LARGE).into_iter().chain([(Want::End, Verdict::Ok, true)]))
                .step(Step::Leave)
        }),
        case("20.8.7", "Send 512 KiB of empty lines, and a request behind them.", "It is refused, TCP ends, or the request is accepted.",
            "RFC 9112 2.2: \"a server that is expecting to receive and parse a request-line SHOULD ignore at least one empty line (CRLF) received prior to the request-line\"; RFC 6455 10.4: limits.", |setting| {
            let bytes = [b"\r\n".repeat(256 << 10), setting.request().write()].concat();
            let branches = refusal(LARGE).into_iter().chain([
                (accepted(), Verdict::Informational, true),
                (Want::End, Verdict::Ok, true),
            ]);
            Script::raw()
                .step(Step::Bytes(bytes, Chop::Bytes(16 << 10)))
                .either(branches)
        }).free("a server may skip all of them, since they need not be held"),
        case("20.1.5", "Ask with HTTP/2.0 in an HTTP/1.1 request line.", "A refusal, or 101.",
            "RFC 6455 4.2.1: \"An HTTP/1.1 or higher GET request\"; RFC 9110 15.6.6: 505 for a major version that the server does not support.", |setting| {
            either(first(setting.request(), "GET {} HTTP/2.0").write())
        }).free("2.0 is higher than 1.1, and no version of this form"),
        case("20.6.12", "Send the version 8, that of a draft.", "A refusal, or 101.",
            "RFC 6455 4.4: \"a client may initially request the version of the WebSocket Protocol that it prefers\"; 4.2.2: a server may understand several.", |setting| {
            either(setting.request().set("Sec-WebSocket-Version", "8").write())
        }).free("servers may understand the versions of drafts, which frame alike"),
        case("20.8.8", "Send the request and a frame at once, before the answer.", "Text comes back, or the request is refused; the frame is not lost.",
            "RFC 6455 4.1: \"the client MUST wait for a response from the server before sending any further data\": a server may refuse, and must not lose what it accepts.", |setting| {
            let mut bytes = setting.request().write();
            text("Hello").masking(crate::frame::Masking::Key([1, 2, 3, 4])).write(Some([1, 2, 3, 4]), &mut bytes);
            let refused = |head: &Head| match head.status() {
                Some(400..=599) => Ok(()),
                _ => Err(format!("expected 101 or a refusal, and got `{}`", head.first)),
            };
            Script::raw()
                .bytes(bytes)
                .either([
                    (accepted(), Verdict::Ok, false),
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
            either(setting.request().with("Sec-WebSocket-Extensions", "permessage-deflate; =").write())
        }).free("section 9.1 says to fail, 4.2.2 to ignore what cannot be used; servers differ"),
        case("20.9.6", "Send a subprotocol that is no token.", "A refusal, or 101 without it.", PROTOCOLS, |setting| {
            either(setting.request().with("Sec-WebSocket-Protocol", "a b, {}").write())
        }).free("section 4.2.1 does not say what a malformed offer comes to"),
        case("20.10.1", "Ask as a browser on another site would.", "101, or 403.",
            "RFC 6455 10.2: \"Servers that are not intended to process input from any web page but only for certain sites SHOULD verify the |Origin| field\".", |setting| {
            either(setting.request().with("Origin", "https://evil.example").write())
        }).free("an echo server may be meant for all sites"),
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
    let chosen = |head: &Head| {
        let found: Vec<&str> = head.all("Sec-WebSocket-Protocol").collect();
        match found.as_slice() {
            [] | ["chat"] | ["superchat"] => {
                opening::check_response(&head.clone().without("Sec-WebSocket-Protocol"), KEY, &[])
                    .map(drop)
            }
            others => Err(format!("it chose {others:?}, which was not offered")),
        }
    };
    echoes(
        Script::raw()
            .bytes(head.write())
            .expect(Want::Head("101", Box::new(chosen))),
    )
}

/// Either of both is right.
fn either(bytes: Vec<u8>) -> Script {
    let refused = |head: &Head| match head.status() {
        Some(400..=599) => Ok(()),
        _ => Err(format!(
            "expected 101 or a refusal, and got `{}`",
            head.first
        )),
    };
    let script = Script::raw().bytes(bytes).either([
        (accepted(), Verdict::Informational, false),
        (
            Want::Head("a refusal", Box::new(refused)),
            Verdict::Informational,
            true,
        ),
    ]);
    echoes(script)
}
