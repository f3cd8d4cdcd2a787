//! Cases 30.1 to 30.3: the settings of a server, and requests for a WebSocket over HTTP/2.
//! RFC 8441 sections 3 to 5; RFC 9113 sections 8.1 to 8.5.

use super::rules::{
    ACKNOWLEDGES, BLOCK, CHOSEN, FIELD, IGNORES, MALFORMED, NO_KEY, OPENS, PSEUDO, REFUSED,
    SPECIFIC, TAKES,
};
use super::{
    acknowledged, answered, field, head_frame, in_parts, opened, padded, raw, settled, with,
    without,
};
use crate::case::{Case, case};
use crate::deflate::Params;
use crate::frame::text;
use crate::http::Head;
use crate::http2::wire::{self, Frame, flag, frame, kind, setting};
use crate::http2::{Fields, Options, heads};
use crate::script::{Script, Setting, Step, Want};
use crate::verdict::{Verdict, Word};

const ENABLES: &str = "RFC 8441 3: \"Upon receipt of SETTINGS_ENABLE_CONNECT_PROTOCOL with a value of 1, a client MAY use the Extended CONNECT\"; \"The value of the parameter MUST be 0 or 1.\" RFC 9113 3.4: SETTINGS \"MUST be the first frame the server sends\".";
const EXTENDED: &str = "RFC 8441 4: \"On requests that contain the :protocol pseudo-header field, the :scheme and :path pseudo-header fields of the target URI (see Section 5) MUST also be included.\" RFC 9113 8.1.1: what lacks a mandatory pseudo-header field is malformed.";
const PROTOCOL: &str = "RFC 8441 5: \"The :protocol pseudo-header field MUST be included in the CONNECT request, and it MUST have a value of websocket to initiate a WebSocket connection on an HTTP/2 stream.\"";
const AUTHORITY: &str = "RFC 8441 5: \"The Host information is conveyed as part of the :authority pseudo-header field, which is required on every HTTP/2 transaction.\"";
const VERSION: &str = "RFC 6455 4.2.2: \"If this version does not match a version understood by the server, the server MUST abort the WebSocket handshake described in this section and instead send an appropriate HTTP error code\"; RFC 8441 5: Sec-WebSocket-Version is used \"as defined in [RFC6455]\".";

/// Makes other fields of good ones.
type Edit = fn(Fields) -> Fields;

/// Makes the frames of a request from its fields.
type Frames = fn(&Fields) -> Vec<Frame>;

fn added(fields: Fields, name: &str, value: &str) -> Fields {
    let mut fields = fields;
    fields.push(field(name, value));
    fields
}

fn first(mut fields: Fields, name: &str, value: &str) -> Fields {
    fields.insert(0, field(name, value));
    fields
}

/// Text comes back, and both close.
pub(super) fn echoes(script: Script) -> Script {
    script.send([text("Hello")]).echo_text("Hello").close()
}

/// A refusal: a status, or the end of the stream or of the connection.
pub(super) fn refusal() -> [(Want, Verdict, bool); 2] {
    let status = |head: &Head| match head.status() {
        Some(400..=599) => Ok(()),
        _ => Err(format!("expected a refusal, and got `{}`", head.first)),
    };
    [
        (Want::Head("a refusal", Box::new(status)), Verdict::Ok, true),
        (Want::End, Verdict::Ok, true),
    ]
}

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut all = settings();
    all.extend(taken());
    all.extend(refused());
    for case in std::mem::take(&mut all) {
        all.push(case.for_servers());
    }
    all
}

fn settings() -> Vec<Case> {
    vec![
        case(
            "30.1.1",
            "Connect over HTTP/2.",
            "SETTINGS come first, with SETTINGS_ENABLE_CONNECT_PROTOCOL 1, and ours are acknowledged.",
            ENABLES,
            |setting| {
                raw(setting)
                    .step(settled())
                    .act(acknowledged())
                    .step(Step::Leave)
            },
        ),
        case(
            "30.1.2",
            "Send SETTINGS five times on an open WebSocket.",
            "They are acknowledged, extended CONNECT stays enabled, and text comes back.",
            ACKNOWLEDGES,
            |setting| {
                let again = wire::settings(&[(setting::MAX_CONCURRENT_STREAMS, 100)]);
                echoes(opened(setting).frames(vec![again; 5]).act(acknowledged()))
            },
        ),
        case(
            "30.1.3",
            "Send SETTINGS_ENABLE_CONNECT_PROTOCOL as a client.",
            OPENS,
            "RFC 8441 3: \"Receipt of this parameter by a server does not have any impact.\" RFC 9113 6.5.3: \"Unsupported settings MUST be ignored.\"",
            |setting| {
                let options = Options::toward(setting.peer);
                echoes(Script::new().over(options.setting(setting::ENABLE_CONNECT_PROTOCOL, 1)))
            },
        ),
        case(
            "30.1.4",
            "Send settings that nobody knows.",
            OPENS,
            IGNORES,
            |setting| {
                let options = Options::toward(setting.peer).setting(0xfafa, 7);
                echoes(Script::new().over(options.setting(0x0a0a, u32::MAX)))
            },
        ),
    ]
}

/// Requests that a server must take.
fn taken() -> Vec<Case> {
    let mut all = Vec::new();
    let mut good = |id: &'static str, does: &'static str, rule, edit: Edit, frames: Frames| {
        all.push(case(id, does, OPENS, rule, move |setting: &Setting| {
            let fields = edit(setting.connect());
            let request = raw(setting).step(settled()).frames(frames(&fields));
            echoes(request.expect(answered(setting, &["x-a", "x-b"])))
        }));
    };
    let whole: Frames = |fields| vec![head_frame(1, fields)];
    let same: Edit = |fields| fields;
    good("30.2.1", "Ask for a WebSocket.", TAKES, same, whole);
    good(
        "30.2.2",
        "Offer two subprotocols.",
        CHOSEN,
        |fields| {
            let fields = without(fields, "sec-websocket-protocol");
            added(fields, "sec-websocket-protocol", "x-a, x-b")
        },
        whole,
    );
    good(
        "30.2.3",
        "Offer an extension that nobody knows.",
        CHOSEN,
        |fields| added(fields, "sec-websocket-extensions", "x-nobody; a=1, x-else"),
        whole,
    );
    good(
        "30.2.4",
        "Send the pseudo-header fields in the reverse order.",
        TAKES,
        |mut fields| {
            let count = fields
                .iter()
                .filter(|(name, _)| name.starts_with(':'))
                .count();
            if let Some(pseudo) = fields.get_mut(..count) {
                pseudo.reverse();
            }
            fields
        },
        whole,
    );
    good(
        "30.2.5",
        "Send fields that nobody knows, and a cookie in two lines.",
        TAKES,
        |fields| {
            let fields = added(fields, "x-nobody", "knows");
            added(added(fields, "cookie", "a=1"), "cookie", "b=2")
        },
        whole,
    );
    good("30.2.6", "Pad the HEADERS frame.", BLOCK, same, |fields| {
        let payload = padded(&heads::encode(fields), 100);
        vec![frame(
            kind::HEADERS,
            flag::END_HEADERS | flag::PADDED,
            1,
            payload,
        )]
    });
    good(
        "30.2.7",
        "Send a priority in the HEADERS frame.",
        BLOCK,
        same,
        |fields| {
            let payload = [&[0, 0, 0, 0, 15], heads::encode(fields).as_slice()].concat();
            vec![frame(
                kind::HEADERS,
                flag::END_HEADERS | flag::PRIORITY,
                1,
                payload,
            )]
        },
    );
    good(
        "30.2.8",
        "Send the request in a HEADERS frame and CONTINUATION frames of 50 octets each.",
        BLOCK,
        same,
        |fields| in_parts(1, fields, 50),
    );
    all.push(
        case(
            "30.2.9",
            "Send a Sec-WebSocket-Key, as over HTTP/1.1.",
            OPENS,
            NO_KEY,
            |setting| {
                let fields = added(setting.connect(), "sec-websocket-key", &setting.key());
                let request = raw(setting).step(settled());
                let request = request.frames([head_frame(1, &fields)]);
                echoes(request.expect(answered(setting, &[])))
            },
        )
        .stands_on(Word::Unsaid)
        .free("RFC 8441 says only that the field is not processed"),
    );
    all.push(
        case(
            "30.2.10",
            "Ask for a WebSocket, and look at the answer.",
            "It has no Sec-WebSocket-Accept.",
            NO_KEY,
            |setting| {
                let check = |head: &Head| match head.field("sec-websocket-accept") {
                    None if head.opens() => Ok(()),
                    _ => Err("it sent a Sec-WebSocket-Accept".into()),
                };
                let plain = (Want::Head("200", Box::new(check)), Verdict::Ok, false);
                let other = (answered(setting, &[]), Verdict::Informational, false);
                let request = raw(setting).step(settled());
                let request = request.frames([head_frame(1, &setting.connect())]);
                echoes(request.either([plain, other]))
            },
        )
        .stands_on(Word::Unsaid)
        .free("RFC 8441 does not forbid the field"),
    );
    all.push(case(
        "30.2.11",
        "Offer permessage-deflate, and send a compressed message.",
        "It is agreed on, and the message comes back.",
        CHOSEN,
        |setting| {
            let script = Script::deflate([Params::default()]).over(Options::toward(setting.peer));
            script
                .message(true, "Hello, Hello, Hello")
                .echo_text("Hello, Hello, Hello")
                .close()
        },
    ));
    all
}

/// Requests that a server must refuse.
fn refused() -> Vec<Case> {
    let mut all = Vec::new();
    let mut bad = |id: &'static str, does: &'static str, rule, edit: Edit| {
        all.push(case(id, does, REFUSED, rule, move |setting: &Setting| {
            let fields = edit(setting.connect());
            raw(setting)
                .step(settled())
                .frames([head_frame(1, &fields)])
                .either(refusal())
                .step(Step::Leave)
        }));
    };
    bad("30.3.1", "Send no :scheme.", EXTENDED, |fields| {
        without(fields, ":scheme")
    });
    bad("30.3.2", "Send no :path.", EXTENDED, |fields| {
        without(fields, ":path")
    });
    bad("30.3.3", "Send an empty :path.", EXTENDED, |fields| {
        with(fields, ":path", "")
    });
    bad("30.3.4", "Send no :method.", MALFORMED, |fields| {
        without(fields, ":method")
    });
    bad(
        "30.3.5",
        "Send a :protocol that nobody knows.",
        PROTOCOL,
        |fields| with(fields, ":protocol", "x-nothing"),
    );
    bad("30.3.6", "Send an empty :protocol.", PROTOCOL, |fields| {
        with(fields, ":protocol", "")
    });
    bad(
        "30.3.7",
        "Ask with an ordinary CONNECT, without :protocol, :scheme and :path.",
        PROTOCOL,
        |fields| without(without(without(fields, ":protocol"), ":scheme"), ":path"),
    );
    bad("30.3.8", "Send :path twice.", PSEUDO, |fields| {
        first(fields, ":path", "/other")
    });
    bad("30.3.9", "Send :protocol twice.", PSEUDO, |fields| {
        first(fields, ":protocol", "websocket")
    });
    bad(
        "30.3.10",
        "Send :protocol behind a regular field.",
        PSEUDO,
        |fields| added(without(fields, ":protocol"), ":protocol", "websocket"),
    );
    bad(
        "30.3.11",
        "Send a pseudo-header field that nobody knows.",
        PSEUDO,
        |fields| first(fields, ":nobody", "knows"),
    );
    bad(
        "30.3.12",
        "Send :status, which belongs to responses.",
        PSEUDO,
        |fields| first(fields, ":status", "200"),
    );
    bad("30.3.13", "Send `Origin` in uppercase.", FIELD, |fields| {
        added(fields, "Origin", "http://example.com")
    });
    bad(
        "30.3.14",
        "Send a field whose value holds LF.",
        FIELD,
        |fields| added(fields, "x-odd", "a\nb: c"),
    );
    bad(
        "30.3.15",
        "Send a field whose name holds a blank.",
        FIELD,
        |fields| added(fields, "x odd", "a"),
    );
    bad(
        "30.3.16",
        "Send `connection: upgrade`.",
        SPECIFIC,
        |fields| added(fields, "connection", "upgrade"),
    );
    bad(
        "30.3.17",
        "Send `upgrade: websocket`.",
        SPECIFIC,
        |fields| added(fields, "upgrade", "websocket"),
    );
    bad(
        "30.3.18",
        "Send `transfer-encoding: chunked`.",
        SPECIFIC,
        |fields| added(fields, "transfer-encoding", "chunked"),
    );
    bad(
        "30.3.19",
        "Send no Sec-WebSocket-Version.",
        VERSION,
        |fields| without(fields, "sec-websocket-version"),
    );
    bad(
        "30.3.20",
        "Send the Sec-WebSocket-Version 12.",
        VERSION,
        |fields| with(fields, "sec-websocket-version", "12"),
    );
    let authority = case(
        "30.3.21",
        "Send no :authority.",
        REFUSED,
        AUTHORITY,
        |setting| {
            raw(setting)
                .step(settled())
                .frames([head_frame(1, &without(setting.connect(), ":authority"))])
                .either(refusal())
                .step(Step::Leave)
        },
    );
    all.push(
        authority
            .stands_on(Word::Unsaid)
            .free("the RFC says that it is required, and not what to do without it"),
    );
    all
}
